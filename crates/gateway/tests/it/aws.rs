//! AWS Signature Version 4: what leaves is signed with the real keys, as AWS itself would check it.

mod clients;
mod published;
mod verifier;

use fnox_core::{AgentId, SecretString, VaultName};
use fnox_gateway::injection::aws::{AwsKeys, sign_anew, signs_body};
use fnox_gateway::injection::{Injection, check_none_left, plan};
use fnox_gateway::placeholder::Placeholders;
use fnox_gateway::policy::Policy;
use fnox_gateway::request::CanonicalRequest;
use fnox_gateway::rule::{CredentialRef, Hosts, Rule};
use fnox_gateway::{Reason, Refusal};
use fnox_testkit::FakeClock;
use http::Version;
use proptest::prelude::*;

use self::verifier::verify;
use crate::support::{bound, parse_bound, reason};

/// What the client has for an access key.
const PLACEHOLDER: &str = "AKIAPLACEHOLDER23456";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const NOW: &str = "2026-07-22T12:00:00Z";
const S3_HOST: &str = "b.s3.amazonaws.com";

fn keys(id: &str, secret: &str, token: Option<&str>) -> AwsKeys {
    AwsKeys {
        access_key_id: SecretString::from(id),
        secret_access_key: SecretString::from(secret),
        session_token: token.map(SecretString::from),
    }
}

fn short_lived() -> AwsKeys {
    keys("ASIAREAL", "secret", Some("token/+="))
}

fn request(method: &str, host: &str, target: &str, fields: &[(&str, &str)]) -> CanonicalRequest {
    let mut all = vec![("host", host)];
    all.extend_from_slice(fields);
    parse_bound(&bound(host), Version::HTTP_11, method, target, &all).unwrap()
}

/// The field with which a client signed that has the placeholder for an access key.
fn signed_for(scope: &str, names: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={PLACEHOLDER}/{scope}/aws4_request, SignedHeaders={names}, Signature=00"
    )
}

/// A presigned URL's parameters after its first one.
fn presigned_for(scope: &str, more: &str) -> String {
    let scope = scope.replace('/', "%2F");
    format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={PLACEHOLDER}%2F{scope}%2Faws4_request&\
         X-Amz-Date=20260722T115900Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&{more}X-Amz-Signature=00"
    )
}

/// A rule for each injection, in their order, all with the same keys.
fn pass_by(
    injections: &[&str],
    mut request: CanonicalRequest,
    keys: &AwsKeys,
    body: Option<&[u8]>,
    now: &str,
) -> Result<CanonicalRequest, Refusal> {
    let credential = CredentialRef::Secret(VaultName::parse("aws").unwrap());
    let hosts = Hosts::parse(&request.host().name()).unwrap();
    let rules = injections.iter().map(|injection| {
        let mut rule = Rule::new(*injection, hosts.clone(), credential.clone());
        rule.injection = Injection::parse(injection).unwrap();
        rule
    });
    let policy = Policy {
        rules: rules.collect(),
        ..Policy::default()
    };
    let agent = AgentId::parse("a").unwrap();
    let mut placeholders = Placeholders::default();
    placeholders
        .issue_fixed(&agent, &credential, PLACEHOLDER, None)
        .unwrap();
    let permit = policy.decide(&request)?;
    let clock = FakeClock::at(now);
    for planned in plan(&request, &permit, &placeholders, &agent)? {
        assert!(planned.rule().injection.is_signature());
        sign_anew(&mut request, &planned, keys, body, &clock)?;
    }
    check_none_left(&request, &placeholders)?;
    Ok(request)
}

fn pass(request: CanonicalRequest, keys: &AwsKeys) -> Result<CanonicalRequest, Refusal> {
    pass_by(&["aws-sigv4"], request, keys, None, NOW)
}

fn field<'a>(request: &'a CanonicalRequest, name: &str) -> &'a str {
    request.headers()[name].to_str().unwrap()
}

#[test]
fn short_lived_keys_bring_their_token_and_it_is_signed() {
    let sent = signed_for(
        "20260722/eu-central-1/sts",
        "host;x-amz-date;x-amz-security-token",
    );
    let fields = [
        ("authorization", sent.as_str()),
        ("x-amz-date", "20260722T115959Z"),
        ("x-amz-security-token", "the client's own"),
    ];
    let host = "sts.eu-central-1.amazonaws.com";
    let passed = pass(request("GET", host, "/", &fields), &short_lived()).unwrap();
    assert_eq!(field(&passed, "x-amz-security-token"), "token/+=");
    assert_eq!(field(&passed, "x-amz-date"), "20260722T120000Z");
    assert!(passed.headers()["x-amz-security-token"].is_sensitive());
    assert!(passed.headers()["authorization"].is_sensitive());
    let signed = verify(&passed, "secret", b"");
    assert_eq!(
        signed.credential,
        "ASIAREAL/20260722/eu-central-1/sts/aws4_request"
    );
    assert_eq!(signed.names, "host;x-amz-date;x-amz-security-token");

    // Long-lived ones have none, whatever the client sent.
    let passed = pass(request("GET", host, "/", &fields), &keys("ID", "s", None)).unwrap();
    assert!(!passed.headers().contains_key("x-amz-security-token"));
    assert_eq!(verify(&passed, "s", b"").names, "host;x-amz-date");
}

#[test]
fn the_clients_word_on_the_body_is_kept() {
    for digest in [
        "UNSIGNED-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        &"0a".repeat(32),
    ] {
        let sent = signed_for(
            "20260722/us-east-1/s3",
            "host;x-amz-content-sha256;x-amz-date",
        );
        let fields = [
            ("authorization", sent.as_str()),
            ("content-encoding", "aws-chunked"),
            ("transfer-encoding", "chunked"),
            ("x-amz-content-sha256", digest),
            ("x-amz-date", "20260722T120000Z"),
            ("x-amz-decoded-content-length", "10737418240"),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
        ];
        let client = request("PUT", S3_HOST, "/a%2Bb", &fields);
        assert!(!signs_body(&client));
        let passed = pass(client, &short_lived()).unwrap();
        assert_eq!(field(&passed, "x-amz-content-sha256"), digest);
        assert_eq!(field(&passed, "content-encoding"), "aws-chunked");
        let names = verify(&passed, "secret", b"not looked at").names;
        assert_eq!(
            names,
            "host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
             x-amz-security-token;x-amz-trailer"
        );
    }
}

#[test]
fn a_body_without_a_stated_digest_is_wanted_and_signed() {
    let sent = signed_for(
        "20260722/us-east-1/dynamodb",
        "content-type;host;x-amz-date",
    );
    let host = "dynamodb.us-east-1.amazonaws.com";
    for length in [("content-length", "2"), ("transfer-encoding", "chunked")] {
        let fields = [
            ("authorization", sent.as_str()),
            ("content-type", "application/x-amz-json-1.0"),
            length,
        ];
        let client = || request("POST", host, "/", &fields);
        assert!(signs_body(&client()));
        let rules = ["aws-sigv4"];
        let passed = pass_by(&rules, client(), &short_lived(), Some(b"{}"), NOW).unwrap();
        verify(&passed, "secret", b"{}");
        assert!(!passed.headers().contains_key("x-amz-content-sha256"));

        let refusal = pass(client(), &short_lived()).unwrap_err();
        assert_eq!(
            refusal.message,
            "the AWS signature of the request is over a body that was not read"
        );
    }
    // Without a length, HTTP/1.1 has no body.
    let client = request("POST", host, "/", &[("authorization", &sent)]);
    assert!(!signs_body(&client));
    verify(&pass(client, &short_lived()).unwrap(), "secret", b"");
}

#[test]
fn a_presigned_url_is_presigned_anew_for_minutes() {
    let more = "X-Amz-Security-Token=mine&";
    let target = format!(
        "/a/b.txt?versionId=x/y&acl&{}",
        presigned_for("20260722/us-east-1/s3", more)
    );
    let client = || request("GET", S3_HOST, &target, &[]);
    let passed = pass(client(), &short_lived()).unwrap();
    verify(&passed, "secret", b"");
    let query = passed.query().to_string();
    for sent in [
        "versionId=x%2Fy&acl&",
        "&X-Amz-Credential=ASIAREAL%2F20260722%2Fus-east-1%2Fs3%2Faws4_request&",
        "&X-Amz-Date=20260722T120000Z&",
        "&X-Amz-Expires=300&",
        "&X-Amz-Security-Token=token%2F%2B%3D",
    ] {
        assert!(query.contains(sent), "{query}");
    }
    for parameter in ["Algorithm", "Date", "Security-Token", "Signature"] {
        assert_eq!(query.matches(&format!("X-Amz-{parameter}=")).count(), 1);
    }

    let refused = |now| pass_by(&["aws-sigv4"], client(), &short_lived(), None, now).unwrap_err();
    let refusal = refused("2026-07-22T12:59:01Z");
    assert_eq!(
        refusal.message,
        "the AWS signature of the request is over its time"
    );
}

#[test]
fn a_presigned_url_for_a_shorter_time_stays_short() {
    let query = presigned_for("20260722/us-east-1/sts", "").replace("Expires=3600", "Expires=60");
    let target = format!("/?Action=GetCallerIdentity&{query}");
    let passed = pass(
        request("GET", "sts.amazonaws.com", &target, &[]),
        &short_lived(),
    );
    let passed = passed.unwrap();
    // Other services sign the body, which is empty here.
    verify(&passed, "secret", b"");
    assert!(passed.query().to_string().contains("X-Amz-Expires=60&"));
}

#[test]
fn a_presigned_url_may_state_a_digest_as_a_parameter_or_a_field() {
    let digest = "0b".repeat(32);
    let parameter = format!("X-Amz-Content-Sha256={digest}&");
    let query = presigned_for("20260722/us-east-1/s3", &parameter);
    let fields = [("content-length", "3")];
    let client = request("PUT", S3_HOST, &format!("/k?{query}"), &fields);
    let passed = pass(client, &short_lived()).unwrap();
    assert!(passed.query().to_string().contains(&parameter));
    verify(&passed, "secret", b"");

    let query = presigned_for("20260722/us-east-1/s3", "");
    let fields = [
        ("content-length", "3"),
        ("x-amz-content-sha256", digest.as_str()),
    ];
    let client = request("PUT", S3_HOST, &format!("/k?{query}"), &fields);
    let passed = pass(client, &short_lived()).unwrap();
    let signed = verify(&passed, "secret", b"");
    assert_eq!(signed.names, "host;x-amz-content-sha256");
}

#[test]
fn paths_are_encoded_twice_but_once_for_s3() {
    for (service, host, sent, leaves) in [
        (
            "s3",
            S3_HOST,
            "/a:b/c%24$d%20e/%c3%bc@",
            "/a%3Ab/c%24%24d%20e/%C3%BC%40",
        ),
        ("s3express", S3_HOST, "/a,b", "/a%2Cb"),
        ("s3-object-lambda", S3_HOST, "/a=b", "/a%3Db"),
        ("s3-outposts", S3_HOST, "/a'b", "/a%27b"),
        (
            "lambda",
            "lambda.eu-west-1.amazonaws.com",
            "/f/arn%3Aaws:x/$",
            "/f/arn%3Aaws:x/$",
        ),
        (
            "s3tables",
            "s3tables.eu-west-1.amazonaws.com",
            "/t/arn%3aaws",
            "/t/arn%3Aaws",
        ),
    ] {
        let sent_by = signed_for(&format!("20260722/eu-west-1/{service}"), "host;x-amz-date");
        let client = request("GET", host, sent, &[("authorization", &sent_by)]);
        let passed = pass(client, &short_lived()).unwrap();
        assert_eq!(passed.path().as_str(), leaves, "{service}");
        verify(&passed, "secret", b"");
    }
}

#[test]
fn a_rule_can_say_which_service_and_region() {
    let sent = signed_for("20260722/eu-central-1/s3", "host");
    let query = presigned_for("20260722/eu-central-1/s3", "");
    let clients = [
        request("GET", S3_HOST, "/", &[("authorization", &sent)]),
        request("GET", S3_HOST, &format!("/?{query}"), &[]),
    ];
    for client in clients {
        let outcome = |rules: &[&str]| pass_by(rules, client.clone(), &short_lived(), None, NOW);
        for rules in [
            &["aws-sigv4"][..],
            &["aws-sigv4:s3"],
            &["aws-sigv4:s3/eu-central-1"],
            &["aws-sigv4:*/eu-central-1"],
            &["aws-sigv4:iam", "aws-sigv4:s3"],
        ] {
            verify(&outcome(rules).unwrap(), "secret", b"");
        }
        let refusal = outcome(&["aws-sigv4:s3/us-east-1", "aws-sigv4:iam"]).unwrap_err();
        assert_eq!(refusal.reason, Reason::Placeholder);
        assert_eq!(
            refusal.remedy.unwrap(),
            "Its place is the access key of an AWS signature for `s3` in `us-east-1`."
        );
    }
}

#[test]
fn a_url_of_the_old_version_is_called_that() {
    let query = format!("AWSAccessKeyId={PLACEHOLDER}&Signature=x&Expires=1");
    let client = request("GET", S3_HOST, &format!("/a?{query}"), &[]);
    let refusal = pass(client, &short_lived()).unwrap_err();
    assert!(
        refusal.message.contains("not of Signature Version 4"),
        "{refusal}"
    );
    assert!(refusal.remedy.unwrap().contains("s3v4"));
}

#[test]
fn a_signature_by_other_keys_is_not_touched() {
    let other = signed_for("20260722/us-east-1/s3", "host").replace(PLACEHOLDER, "AKIAOTHER");
    let fields = [("authorization", other.as_str()), ("x-amz-date", "x")];
    let client = request("GET", S3_HOST, "/a:b?c=d/e", &fields);
    assert_eq!(pass(client.clone(), &short_lived()), Ok(client));
}

#[test]
fn a_placeholder_that_signed_nothing_is_refused() {
    let good = signed_for("20260722/us-east-1/s3", "host");
    for (text, wanted) in [
        (format!("Bearer {PLACEHOLDER}"), Reason::Ambiguous),
        (PLACEHOLDER.to_owned(), Reason::Ambiguous),
        (
            good.replace("4-HMAC-SHA256", "4-ECDSA-P256-SHA256"),
            Reason::Ambiguous,
        ),
        (
            good.replace("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256"),
            Reason::Ambiguous,
        ),
        (good.replace("/s3/", "/"), Reason::Ambiguous),
        (good.replace("/s3/", "/s+3/"), Reason::Ambiguous),
        (
            good.replace("/us-east-1/", "/us east 1/"),
            Reason::Ambiguous,
        ),
        (good.replace("20260722", "2026"), Reason::Ambiguous),
        (good.replace("aws4_request", "aws4"), Reason::Ambiguous),
        (good.replace(", Signature=00", ""), Reason::Ambiguous),
        (format!("{good}, X=1"), Reason::Ambiguous),
        (
            good.replace("Credential=", "Credential=x"),
            Reason::Placeholder,
        ),
        (
            good.replace(
                "SignedHeaders=host",
                &format!("SignedHeaders={PLACEHOLDER}"),
            ),
            Reason::Placeholder,
        ),
        (good.to_ascii_lowercase(), Reason::Placeholder),
    ] {
        let client = request("GET", S3_HOST, "/", &[("authorization", &text)]);
        assert_eq!(reason(pass(client, &short_lived())), wanted, "{text}");
    }
}

#[test]
fn the_placeholder_stands_nowhere_else_in_a_signed_request() {
    let sent = signed_for("20260722/us-east-1/s3", "host");
    let own = ("authorization", sent.as_str());
    for (target, fields) in [
        (format!("/{PLACEHOLDER}"), vec![own]),
        (format!("/?prefix={PLACEHOLDER}"), vec![own]),
        (
            format!("/?AWSAccessKeyId={PLACEHOLDER}&Signature=x"),
            vec![],
        ),
        (
            "/".to_owned(),
            vec![own, ("x-amz-security-token", PLACEHOLDER)],
        ),
        ("/".to_owned(), vec![("x-amz-meta-key", PLACEHOLDER)]),
    ] {
        let outcome = pass(request("GET", S3_HOST, &target, &fields), &short_lived());
        assert_eq!(reason(outcome), Reason::Placeholder, "{target} {fields:?}");
    }
}

#[test]
fn what_cannot_be_signed_anew_is_refused_before_keys_are_asked_for() {
    let sent = signed_for("20260722/us-east-1/s3", "host;x-amz-meta-name");
    let own = ("authorization", sent.as_str());
    let digest = |text| [own, ("x-amz-content-sha256", text)];
    for (target, fields, message) in [
        (
            "/",
            &digest("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")[..],
            "is over chunks without the length of their data",
        ),
        (
            "/",
            &digest("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"),
            "is followed by signatures of the chunks of its body that are not of Signature Version 4",
        ),
        (
            "/",
            &digest("none"),
            "has a digest of the body that is none",
        ),
        (
            "/",
            &[
                own,
                ("x-amz-content-sha256", EMPTY),
                ("x-amz-content-sha256", EMPTY),
            ],
            "has more than one digest of the body",
        ),
        ("/?prefix=a+b", &[own], "is over a plus sign"),
        ("/?a+b", &[own], "is over a plus sign"),
        ("/?prefix=%ff", &[own], "is over a query that is not UTF-8"),
        ("/?X-Amz-Signature=00", &[own], "is there twice"),
        (
            "/",
            &[own, ("x-amz-meta-name", "\u{fc}")],
            "is over a field that is not ASCII",
        ),
    ] {
        let unfit = keys("\n", "\n", None);
        let outcome = pass(request("GET", S3_HOST, target, fields), &unfit);
        let refusal = outcome.unwrap_err();
        assert_eq!(refusal.reason, Reason::Ambiguous);
        assert_eq!(refusal.rule.as_deref(), Some("aws-sigv4"));
        assert_eq!(
            refusal.message,
            format!("the AWS signature of the request {message}"),
            "{target} {fields:?}"
        );
    }
}

#[test]
fn presigned_urls_that_are_incomplete_or_ambiguous_are_refused() {
    let good = presigned_for("20260722/us-east-1/s3", "");
    for query in [
        good.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        good.replace("X-Amz-Date=20260722T115900Z&", ""),
        good.replace("20260722T115900Z", "2026-07-22"),
        good.replace("X-Amz-Expires=3600&", ""),
        good.replace("20260722T115900Z", "%2B260722T115900Z"),
        good.replace("20260722T115900Z", "99991231T235900Z"),
        good.replace("=3600", "=604801"),
        good.replace("=3600", "=0"),
        good.replace("X-Amz-SignedHeaders=host&", ""),
        good.replace("&X-Amz-Signature=00", ""),
        good.replace("us-east-1", "us%0Aeast"),
        format!("{good}&X-Amz-Date=20260722T115900Z"),
        format!("{good}&X-Amz-Content-Sha256=x"),
    ] {
        let client = request("GET", S3_HOST, &format!("/?{query}"), &[]);
        let outcome = pass(client, &short_lived());
        assert_eq!(reason(outcome), Reason::Ambiguous, "{query}");
    }
}

#[test]
fn keys_that_cannot_sign_are_not_named() {
    let sent = signed_for("20260722/us-east-1/s3", "host");
    for keys in [
        keys("sesame\n", "secret", None),
        keys("id", "sesame\r", None),
        keys("", "sesame", None),
        keys("id", "secret", Some("sesame\0")),
        keys("id", "secret", Some("sesame\u{7f}")),
    ] {
        let client = request("GET", S3_HOST, "/", &[("authorization", &sent)]);
        let refusal = pass(client, &keys).unwrap_err();
        assert_eq!(refusal.reason, Reason::Credential);
        assert!(!format!("{refusal} {keys:?}").contains("sesame"));
    }
}

#[test]
fn what_is_written_anew_for_each_hop_is_not_signed() {
    let names = "connection;expect;host;te;transfer-encoding;user-agent;x-amz-date;x-own";
    let sent = signed_for("20260722/us-east-1/s3", names);
    let fields = [
        ("authorization", sent.as_str()),
        ("connection", "te"),
        ("expect", "100-continue"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("user-agent", "x"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-own", "  a   b "),
    ];
    let client = request("PUT", S3_HOST, "/", &fields);
    let passed = pass(client, &keys("id", "secret", None)).unwrap();
    let signed = verify(&passed, "secret", b"");
    assert_eq!(signed.names, "host;x-amz-content-sha256;x-amz-date;x-own");
}

/// Pieces of paths and queries, in spellings that may stand there.
const SEGMENT: &str = "[a-z]([A-Za-z0-9!$&'()*,=:@._~-]|%3a|%C3%BC|%24|%7e|%20){0,8}";
const PARAMETER: &str = "([A-Za-z0-9!$'()*,:@/?._~-]|%3a|%C3%BC|%26|%3D|%2B|%25|%2f|%7e|%20){0,8}";

proptest! {
    /// Whatever is sent is what was signed, in the bytes that go out over HTTP/1.1 and HTTP/2.
    #[test]
    fn the_bytes_that_leave_are_the_bytes_that_were_signed(
        service in "s3|lambda",
        segments in prop::collection::vec(SEGMENT, 0..4),
        parameters in prop::collection::vec((PARAMETER, prop::option::of(PARAMETER)), 0..5),
        value in "[ -~]{0,12}",
        is_presigned in any::<bool>(),
        body in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let scope = format!("20260722/eu-west-1/{service}");
        let sent = signed_for(&scope, "host;x-amz-date;x-own");
        let mut target = format!("/{}", segments.join("/"));
        let list = parameters.iter().map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        });
        let mut list: Vec<String> = list.collect();
        if is_presigned {
            list.push(presigned_for(&scope, "").replace("=host&", "=host%3Bx-own&"));
        }
        if !list.is_empty() {
            target = format!("{target}?{}", list.join("&"));
        }
        let length = body.len().to_string();
        let mut fields = vec![("content-length", length.as_str()), ("x-own", value.as_str())];
        if !is_presigned {
            fields.push(("authorization", &sent));
        }
        let client = request("PUT", "x.eu-west-1.amazonaws.com", &target, &fields);
        let passed = pass_by(&["aws-sigv4"], client, &short_lived(), Some(&body), NOW).unwrap();
        prop_assert!(verify(&passed, "secret", &body).names.contains("x-own"));
    }
}

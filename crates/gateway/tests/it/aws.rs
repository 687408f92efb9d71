//! AWS Signature Version 4: what leaves is signed with the real keys, as AWS itself would check it.

use fnox_core::{AgentId, Clock, SecretString, VaultName};
use fnox_gateway::injection::aws::{AwsKeys, sign_anew, signs_body};
use fnox_gateway::injection::{Injection, check_none_left, plan};
use fnox_gateway::placeholder::Placeholders;
use fnox_gateway::policy::Policy;
use fnox_gateway::request::CanonicalRequest;
use fnox_gateway::rule::{CredentialRef, Hosts, Rule};
use fnox_gateway::{Reason, Refusal};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Version;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::support::{bound, parse_bound, reason};

const PLACEHOLDER: &str = "AKIAPLACEHOLDER23456";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[derive(Debug)]
struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

fn keys(id: &str, secret: &str, token: Option<&str>) -> AwsKeys {
    AwsKeys {
        access_key_id: SecretString::from(id),
        secret_access_key: SecretString::from(secret),
        session_token: token.map(SecretString::from),
    }
}

/// The keys of Amazon S3's examples.
fn s3_keys() -> AwsKeys {
    keys(
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        None,
    )
}

fn request(method: &str, host: &str, target: &str, fields: &[(&str, &str)]) -> CanonicalRequest {
    let mut all = vec![("host", host)];
    all.extend_from_slice(fields);
    parse_bound(&bound(host), Version::HTTP_11, method, target, &all).unwrap()
}

/// The field with which a client signed that has the placeholder for an access key.
fn signed_for(scope: &str, names: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={PLACEHOLDER}/{scope}/aws4_request, SignedHeaders={names}, \
         Signature=00"
    )
}

fn pass(
    mut request: CanonicalRequest,
    keys: &AwsKeys,
    body: &[u8],
    now: &str,
) -> Result<CanonicalRequest, Refusal> {
    let credential = CredentialRef::Secret(VaultName::parse("aws").unwrap());
    let hosts = Hosts::parse(&request.host().name()).unwrap();
    let mut rule = Rule::new("aws", hosts, credential.clone());
    rule.injection = Injection::AwsSigV4;
    let policy = Policy {
        rules: vec![rule],
        ..Policy::default()
    };
    let agent = AgentId::parse("a").unwrap();
    let mut placeholders = Placeholders::default();
    placeholders
        .issue_fixed(&agent, &credential, PLACEHOLDER, None)
        .unwrap();
    let permit = policy.decide(&request)?;
    let clock = At(now.parse().unwrap());
    for planned in plan(&request, &permit, &placeholders, &agent)? {
        sign_anew(&mut request, &planned, keys, body, &clock)?;
    }
    check_none_left(&request, &placeholders)?;
    Ok(request)
}

fn field<'a>(request: &'a CanonicalRequest, name: &str) -> &'a str {
    request.headers()[name].to_str().unwrap()
}

/// "Authenticating Requests: Using the Authorization Header", example: GET Object.
#[test]
fn an_object_is_fetched_as_in_the_published_example() {
    let sent = signed_for(
        "20130524/us-east-1/s3",
        "host;range;x-amz-content-sha256;x-amz-date",
    );
    let client = request(
        "GET",
        "examplebucket.s3.amazonaws.com",
        "/test.txt",
        &[
            ("authorization", &sent),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", EMPTY),
            ("x-amz-date", "20130523T235955Z"),
        ],
    );
    let passed = pass(client, &s3_keys(), b"", "2013-05-24T00:00:00Z").unwrap();
    assert_eq!(
        field(&passed, "authorization"),
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
         SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
         Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    );
    assert!(passed.headers()["authorization"].is_sensitive());
    assert_eq!(field(&passed, "x-amz-date"), "20130524T000000Z");
}

/// The same, example: PUT Object. Its path has a reserved character that the client did not encode.
#[test]
fn an_object_is_stored_as_in_the_published_example() {
    let sent = signed_for(
        "20130524/us-east-1/s3",
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
    );
    let client = request(
        "PUT",
        "examplebucket.s3.amazonaws.com",
        "/test$file.text",
        &[
            ("authorization", &sent),
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            (
                "x-amz-content-sha256",
                "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            ),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("content-length", "21"),
        ],
    );
    let passed = pass(client, &s3_keys(), b"", "2013-05-24T00:00:00Z").unwrap();
    let signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd";
    assert!(field(&passed, "authorization").ends_with(signature));
    assert_eq!(passed.target(), "/test%24file.text");
}

/// The example of the AWS General Reference, "Signature Version 4 signing process".
#[test]
fn a_service_that_is_asked_in_the_query_gets_the_published_signature() {
    let sent = signed_for("20150830/us-east-1/iam", "content-type;host;x-amz-date");
    let client = request(
        "GET",
        "iam.amazonaws.com",
        "/?Action=ListUsers&Version=2010-05-08",
        &[
            ("authorization", &sent),
            (
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
            ("x-amz-date", "20150830T123600Z"),
        ],
    );
    assert!(!signs_body(&client));
    let keys = keys(
        "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        None,
    );
    let passed = pass(client, &keys, b"", "2015-08-30T12:36:00Z").unwrap();
    let signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    assert!(field(&passed, "authorization").ends_with(signature));
}

/// `post-x-www-form-urlencoded` of the AWS Signature Version 4 test suite.
#[test]
fn a_body_of_which_the_client_says_no_digest_is_read_and_signed() {
    let sent = signed_for("20150830/us-east-1/service", "content-type;host;x-amz-date");
    let client = request(
        "POST",
        "example.amazonaws.com",
        "/",
        &[
            ("authorization", &sent),
            ("content-type", "application/x-www-form-urlencoded"),
            ("x-amz-date", "20150830T123600Z"),
            ("content-length", "13"),
        ],
    );
    assert!(signs_body(&client));
    let keys = keys(
        "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        None,
    );
    let passed = pass(client, &keys, b"Param1=value1", "2015-08-30T12:36:00Z").unwrap();
    let signature = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
    assert!(field(&passed, "authorization").ends_with(signature));
    assert!(!passed.headers().contains_key("x-amz-content-sha256"));
}

#[test]
fn short_lived_keys_bring_their_token_and_it_is_signed() {
    let sent = signed_for(
        "20260722/eu-central-1/sts",
        "host;x-amz-date;x-amz-security-token",
    );
    let client = request(
        "POST",
        "sts.eu-central-1.amazonaws.com",
        "/",
        &[
            ("authorization", &sent),
            ("x-amz-date", "20260722T120000Z"),
            ("x-amz-security-token", "the client's own"),
        ],
    );
    let keys = keys("ASIAREAL", "secret", Some("token/+="));
    let passed = pass(client, &keys, b"", "2026-07-22T12:00:00Z").unwrap();
    assert_eq!(field(&passed, "x-amz-security-token"), "token/+=");
    assert!(passed.headers()["x-amz-security-token"].is_sensitive());
    let authorization = field(&passed, "authorization");
    assert!(authorization.contains("SignedHeaders=host;x-amz-date;x-amz-security-token, "));
    let signature = expected(
        &["POST", "/", ""],
        &[
            ("host", "sts.eu-central-1.amazonaws.com"),
            ("x-amz-date", "20260722T120000Z"),
            ("x-amz-security-token", "token/+="),
        ],
        EMPTY,
        ("secret", "20260722T120000Z", "eu-central-1", "sts"),
    );
    assert!(authorization.ends_with(&signature));
}

#[test]
fn the_clients_word_on_the_body_is_kept() {
    for digest in ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"] {
        let sent = signed_for("20260722/us-east-1/s3", "host;x-amz-content-sha256;x-amz-date");
        let client = request(
            "PUT",
            "b.s3.amazonaws.com",
            "/a%2Bb",
            &[
                ("authorization", &sent),
                ("content-encoding", "aws-chunked"),
                ("transfer-encoding", "chunked"),
                ("x-amz-content-sha256", digest),
                ("x-amz-date", "20260722T120000Z"),
                ("x-amz-decoded-content-length", "10737418240"),
                ("x-amz-trailer", "x-amz-checksum-crc32"),
            ],
        );
        assert!(!signs_body(&client));
        let passed = pass(client, &s3_keys(), b"", "2026-07-22T12:00:00Z").unwrap();
        assert_eq!(field(&passed, "x-amz-content-sha256"), digest);
        assert_eq!(field(&passed, "content-encoding"), "aws-chunked");
        let signature = expected(
            &["PUT", "/a%2Bb", ""],
            &[
                ("host", "b.s3.amazonaws.com"),
                ("x-amz-content-sha256", digest),
                ("x-amz-date", "20260722T120000Z"),
                ("x-amz-decoded-content-length", "10737418240"),
                ("x-amz-trailer", "x-amz-checksum-crc32"),
            ],
            digest,
            (
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                "20260722T120000Z",
                "us-east-1",
                "s3",
            ),
        );
        assert!(field(&passed, "authorization").ends_with(&signature), "{digest}");
    }
}

#[test]
fn a_presigned_url_is_presigned_anew_for_minutes() {
    let target = format!(
        "/a/b.txt?versionId=x&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={PLACEHOLDER}%2F20260722%2F\
         us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260722T115900Z&X-Amz-Expires=3600&\
         X-Amz-SignedHeaders=host&X-Amz-Security-Token=mine&X-Amz-Signature=00"
    );
    let client = || request("GET", "b.s3.amazonaws.com", &target, &[]);
    let keys = keys("ASIAREAL", "secret", Some("to/ken"));
    let passed = pass(client(), &keys, b"", "2026-07-22T12:00:00Z").unwrap();
    let signed = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIAREAL%2F20260722%2Fus-east-1%2Fs3%2F\
                  aws4_request&X-Amz-Date=20260722T120000Z&X-Amz-Expires=300&X-Amz-Security-Token=to%2Fken&\
                  X-Amz-SignedHeaders=host&versionId=x";
    let signature = expected(
        &["GET", "/a/b.txt", signed],
        &[("host", "b.s3.amazonaws.com")],
        "UNSIGNED-PAYLOAD",
        ("secret", "20260722T120000Z", "us-east-1", "s3"),
    );
    let mut sent: Vec<String> = passed.query().to_string().split('&').map(str::to_owned).collect();
    sent.sort();
    let mut wanted: Vec<String> = signed.split('&').map(str::to_owned).collect();
    wanted.push(format!("X-Amz-Signature={signature}"));
    wanted.sort();
    assert_eq!(sent, wanted);

    let refusal = pass(client(), &keys, b"", "2026-07-22T12:59:01Z").unwrap_err();
    assert_eq!(refusal.message, "the AWS signature of the request is over");
}

#[test]
fn a_signature_by_other_keys_is_not_touched_and_one_beside_the_placeholder_is_refused() {
    let other = signed_for("20260722/us-east-1/s3", "host").replace(PLACEHOLDER, "AKIAOTHER");
    let client = request("GET", "b.s3.amazonaws.com", "/", &[("authorization", &other)]);
    let passed = pass(client, &s3_keys(), b"", "2026-07-22T12:00:00Z").unwrap();
    assert_eq!(field(&passed, "authorization"), other);

    for text in [
        format!("Bearer {PLACEHOLDER}"),
        PLACEHOLDER.to_owned(),
        signed_for("20260722/us-east-1/s3", "host").replace("HMAC-SHA256", "ECDSA-P256-SHA256"),
        signed_for("20260722/us-east-1", "host"),
        signed_for("20260722/us-east-1/s3", "host").replace(", Signature=00", ""),
        format!("{}, X=1", signed_for("20260722/us-east-1/s3", "host")),
    ] {
        let client = request("GET", "b.s3.amazonaws.com", "/", &[("authorization", &text)]);
        let outcome = pass(client, &s3_keys(), b"", "2026-07-22T12:00:00Z");
        assert_eq!(reason(outcome), Reason::Ambiguous, "{text}");
    }
    let prefixed = signed_for("20260722/us-east-1/s3", "host").replace("Credential=", "Credential=x");
    let client = request("GET", "b.s3.amazonaws.com", "/", &[("authorization", &prefixed)]);
    let outcome = pass(client, &s3_keys(), b"", "2026-07-22T12:00:00Z");
    assert_eq!(reason(outcome), Reason::Placeholder);
}

#[test]
fn what_cannot_be_signed_anew_is_refused() {
    let sent = signed_for("20260722/us-east-1/s3", "host");
    let own = ("authorization", sent.as_str());
    for (target, fields) in [
        ("/", &[own, ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")][..]),
        ("/", &[own, ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")]),
        ("/", &[own, ("x-amz-content-sha256", "none")]),
        ("/", &[own, ("x-amz-content-sha256", EMPTY), ("x-amz-content-sha256", EMPTY)]),
        ("/?prefix=a+b", &[own]),
        ("/?X-Amz-Signature=00", &[own]),
    ] {
        let client = request("GET", "b.s3.amazonaws.com", target, fields);
        let outcome = pass(client, &s3_keys(), b"", "2026-07-22T12:00:00Z");
        assert_eq!(reason(outcome), Reason::Ambiguous, "{target} {fields:?}");
    }
}

#[test]
fn keys_that_could_end_a_line_sign_nothing_and_are_not_named() {
    let sent = signed_for("20260722/us-east-1/s3", "host");
    for keys in [
        keys("sesame\n", "secret", None),
        keys("id", "sesame\r", None),
        keys("id", "secret", Some("sesame\0")),
        keys("id", "secret", Some("sesame\u{7f}")),
    ] {
        let client = request("GET", "b.s3.amazonaws.com", "/", &[("authorization", &sent)]);
        let refusal = pass(client, &keys, b"", "2026-07-22T12:00:00Z").unwrap_err();
        assert_eq!(refusal.reason, Reason::Credential);
        assert!(!format!("{refusal} {keys:?}").contains("sesame"));
    }
}

/// A signature after "Create a signed AWS API request" of the IAM User Guide, with nothing of what made it.
fn expected(
    line: &[&str; 3],
    headers: &[(&str, &str)],
    digest: &str,
    (secret, time, region, service): (&str, &str, &str, &str),
) -> String {
    let fields: String = headers
        .iter()
        .map(|(name, value)| [name, ":", value, "\n"].concat())
        .collect();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let canonical = format!("{}\n{fields}\n{}\n{digest}", line.join("\n"), names.join(";"));
    let date = &time[..8];
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let canonical = hex::encode(Sha256::digest(canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{canonical}");
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [date, region, service, "aws4_request"] {
        key = mac(&key, part);
    }
    hex::encode(mac(&key, &text))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

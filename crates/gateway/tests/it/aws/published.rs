//! Signatures that AWS published.

use super::{EMPTY, field, keys, pass_by, request, signed_for, verify};
use fnox_gateway::injection::aws::{AwsKeys, signs_body};
use fnox_gateway::request::CanonicalRequest;

/// The secret key of Amazon S3's examples.
const S3_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// The secret key of the test suite and of the General Reference.
const SUITE_SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SUITE_TIME: &str = "2015-08-30T12:36:00Z";

fn s3_keys() -> AwsKeys {
    keys("AKIAIOSFODNN7EXAMPLE", S3_SECRET, None)
}

/// What leaves has this signature, and arrives with it.
#[track_caller]
fn assert_signed(
    client: CanonicalRequest,
    keys: &AwsKeys,
    body: &[u8],
    time: &str,
    signature: &str,
) -> CanonicalRequest {
    let passed = pass_by(&["aws-sigv4"], client, keys, Some(body), time).unwrap();
    let secret = keys.secret_access_key.expose_secret();
    assert_eq!(verify(&passed, secret, body).signature, signature);
    passed
}

/// "Authenticating Requests: Using the Authorization Header", example: GET Object.
#[test]
fn an_object_is_fetched_as_in_the_published_example() {
    let names = "host;range;x-amz-content-sha256;x-amz-date";
    let sent = signed_for("20130524/us-east-1/s3", names);
    let fields = [
        ("authorization", sent.as_str()),
        ("range", "bytes=0-9"),
        ("x-amz-content-sha256", EMPTY),
        ("x-amz-date", "20130523T235955Z"),
    ];
    let host = "examplebucket.s3.amazonaws.com";
    let client = request("GET", host, "/test.txt", &fields);
    let signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
    let time = "2013-05-24T00:00:00Z";
    let passed = assert_signed(client, &s3_keys(), b"", time, signature);
    assert_eq!(
        field(&passed, "authorization"),
        format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders={names}, Signature={signature}"
        )
    );
}

/// The same, example: PUT Object. Its path has a reserved character that the client did not encode.
#[test]
fn an_object_is_stored_as_in_the_published_example() {
    let sent = signed_for(
        "20130524/us-east-1/s3",
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
    );
    let fields = [
        ("authorization", sent.as_str()),
        ("date", "Fri, 24 May 2013 00:00:00 GMT"),
        (
            "x-amz-content-sha256",
            "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        ),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("content-length", "21"),
    ];
    let host = "examplebucket.s3.amazonaws.com";
    let client = request("PUT", host, "/test$file.text", &fields);
    assert!(!signs_body(&client));
    let signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd";
    let time = "2013-05-24T00:00:00Z";
    let passed = assert_signed(client, &s3_keys(), b"", time, signature);
    assert_eq!(passed.target(), "/test%24file.text");
}

/// The same, examples: GET Bucket Lifecycle, and Get Bucket (List Objects).
#[test]
fn a_bucket_is_asked_as_in_the_published_examples() {
    for (query, signature) in [
        (
            "lifecycle",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "max-keys=2&prefix=J",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ] {
        let names = "host;x-amz-content-sha256;x-amz-date";
        let sent = signed_for("20130524/us-east-1/s3", names);
        let fields = [
            ("authorization", sent.as_str()),
            ("x-amz-content-sha256", EMPTY),
            ("x-amz-date", "20130524T000000Z"),
        ];
        let host = "examplebucket.s3.amazonaws.com";
        let client = request("GET", host, &format!("/?{query}"), &fields);
        assert_signed(client, &s3_keys(), b"", "2013-05-24T00:00:00Z", signature);
    }
}

/// The example of the AWS General Reference, "Signature Version 4 signing process".
#[test]
fn a_service_that_is_asked_in_the_query_gets_the_published_signature() {
    let sent = signed_for("20150830/us-east-1/iam", "content-type;host;x-amz-date");
    let fields = [
        ("authorization", sent.as_str()),
        (
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        ),
        ("x-amz-date", "20150830T123600Z"),
    ];
    let target = "/?Action=ListUsers&Version=2010-05-08";
    let client = request("GET", "iam.amazonaws.com", target, &fields);
    let keys = keys("AKIDEXAMPLE", SUITE_SECRET, None);
    let signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    assert_signed(client, &keys, b"", SUITE_TIME, signature);
}

/// The AWS Signature Version 4 test suite: a name, a request line, fields, a signature. Left out: paths that are not
/// encoded on their way, and dot segments and empty ones, which are refused.
#[test]
fn requests_of_the_test_suite_get_the_signatures_of_the_test_suite() {
    for case in include_str!("suite.txt").split("\n\n") {
        let mut lines = case.lines();
        let name = lines.next().unwrap();
        let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
        let sent = signed_for(
            "20150830/us-east-1/service",
            "host;my-header1;my-header2;x-amz-date",
        );
        let mut fields = vec![("authorization", sent.as_str())];
        let mut token = None;
        for line in lines.by_ref().take_while(|line| !line.starts_with('=')) {
            match line.split_once(':').unwrap() {
                ("x-amz-security-token", value) => token = Some(value),
                field => fields.push(field),
            }
        }
        let client = request(method, "example.amazonaws.com", target, &fields);
        let keys = keys("AKIDEXAMPLE", SUITE_SECRET, token);
        let passed = pass_by(&["aws-sigv4"], client, &keys, Some(b""), SUITE_TIME).unwrap();
        let signed = verify(&passed, SUITE_SECRET, b"");
        assert!(
            case.trim().ends_with(&format!("\n= {}", signed.signature)),
            "{name}"
        );
    }
}

/// The same, `post-x-www-form-urlencoded` with and without a parameter of the type, whose digest is stated.
#[test]
fn forms_of_the_test_suite_get_the_signatures_of_the_test_suite() {
    for (content_type, signature) in [
        (
            "application/x-www-form-urlencoded",
            "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
        ),
        (
            "application/x-www-form-urlencoded; charset=utf-8",
            "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
        ),
    ] {
        let names = "content-length;content-type;host;x-amz-content-sha256;x-amz-date";
        let sent = signed_for("20150830/us-east-1/service", names);
        let fields = [
            ("authorization", sent.as_str()),
            ("content-type", content_type),
            ("content-length", "13"),
            (
                "x-amz-content-sha256",
                "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
            ),
        ];
        let client = request("POST", "example.amazonaws.com", "/", &fields);
        let keys = keys("AKIDEXAMPLE", SUITE_SECRET, None);
        assert_signed(client, &keys, b"Param1=value1", SUITE_TIME, signature);
    }
}

/// The same without `x-amz-content-sha256`, as the suite had it before: the digest is made from the body.
#[test]
fn a_body_of_which_the_client_says_no_digest_is_read_and_signed() {
    let names = "content-type;host;x-amz-date";
    let sent = signed_for("20150830/us-east-1/service", names);
    let fields = [
        ("authorization", sent.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-length", "13"),
    ];
    let client = request("POST", "example.amazonaws.com", "/", &fields);
    assert!(signs_body(&client));
    let keys = keys("AKIDEXAMPLE", SUITE_SECRET, None);
    let signature = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
    assert_signed(client, &keys, b"Param1=value1", SUITE_TIME, signature);
}

/// `double-encode-path` of the suite of AWS's signer for Rust.
#[test]
fn a_path_is_encoded_twice_as_in_the_published_example() {
    let sent = signed_for("20150830/us-east-1/service", "host;x-amz-date");
    let client = request(
        "POST",
        "tj9n5r0m12.execute-api.us-east-1.amazonaws.com",
        "/test/@connections/JBDvjfGEIAMCERw%3D",
        &[("authorization", &sent)],
    );
    let keys = keys("ANOTREAL", "notrealrnrELgWzOk3IfjzDKtFBhDby", None);
    let signature = "57d157672191bac40bae387e48bbe14b15303c001fdbb01f4abf295dccb09705";
    assert_signed(client, &keys, b"", SUITE_TIME, signature);
}

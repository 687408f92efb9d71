//! What boto3 really sends, and botocore as a second opinion on what leaves.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_gateway::injection::aws::signs_body;
use fnox_gateway::request::CanonicalRequest;
use fnox_testkit::{Sandbox, services};
use http::Uri;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{NOW, PLACEHOLDER, keys, pass_by, request, verify};

/// A request of `clients.py`.
#[derive(Debug, Serialize, Deserialize)]
struct Captured {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

fn python(arguments: &[&str], input: &str) -> String {
    let sandbox = Sandbox::new(services::boto3_python());
    let all = [&["-c", include_str!("clients.py")], arguments].concat();
    let run = sandbox.run_program(services::boto3_python(), all);
    run.stdin(input).finish().succeeds().stdout
}

impl Captured {
    fn body(&self) -> Vec<u8> {
        STANDARD.decode(&self.body).unwrap()
    }

    /// As it arrives at the gateway.
    fn arrived(&self) -> CanonicalRequest {
        let uri: Uri = self.url.parse().unwrap();
        let length = self.body().len().to_string();
        let mut fields: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let is_framed = ["content-length", "transfer-encoding"]
            .iter()
            .any(|name| fields.iter().any(|(other, _)| other == name));
        if !is_framed {
            fields.push(("content-length", &length));
        }
        let target = uri.path_and_query().unwrap().as_str();
        request(&self.method, uri.host().unwrap(), target, &fields)
    }
}

/// What leaves, as `clients.py` reads it.
fn leaving(
    passed: &CanonicalRequest,
    names: &str,
    credential: &str,
    body: &str,
) -> serde_json::Value {
    let parts = passed.clone().into_http2().unwrap();
    let headers: Vec<(&str, &str)> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    let scope: Vec<&str> = credential.split('/').collect();
    json!({
        "method": parts.method.as_str(),
        "url": parts.uri.to_string(),
        "headers": headers,
        "body": body,
        "signed": names.split(';').collect::<Vec<_>>(),
        "scope": { "region": scope[2], "service": scope[3] },
    })
}

#[test]
#[ignore = "needs FNOX_TEST_BOTO3_PYTHON"]
fn botocore_signs_what_leaves_in_the_same_way() {
    let text = python(&["capture", PLACEHOLDER, "any text"], "");
    let clients: Vec<Captured> = serde_json::from_str(&text).unwrap();
    let keys = keys("ASIAREAL", "real/secret+", Some("real/token+="));
    let mut leave = Vec::new();
    let mut signatures = Vec::new();
    for client in &clients {
        let arrived = client.arrived();
        let body = client.body();
        let read = signs_body(&arrived).then_some(body.as_slice());
        let passed = pass_by(&["aws-sigv4"], arrived, &keys, read, NOW).unwrap();
        let signed = verify(&passed, "real/secret+", &body);
        leave.push(leaving(
            &passed,
            &signed.names,
            &signed.credential,
            &client.body,
        ));
        signatures.push(signed.signature);
    }
    let input = serde_json::to_string(&leave).unwrap();
    let text = python(
        &["sign", "ASIAREAL", "real/secret+", "real/token+="],
        &input,
    );
    let wanted: Vec<String> = serde_json::from_str(&text).unwrap();
    assert_eq!(signatures.len(), 17);
    for ((ours, botocores), client) in signatures.iter().zip(&wanted).zip(&clients) {
        assert_eq!(ours, botocores, "{} {}", client.method, client.url);
    }
    assert_eq!(signatures.len(), wanted.len());
}

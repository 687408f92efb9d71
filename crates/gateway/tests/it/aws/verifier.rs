//! The other side: it reads the bytes that arrive and checks their signature, after "Create a signed AWS API request"
//! of the IAM User Guide, with nothing of what made it.

use std::collections::BTreeMap;

use fnox_gateway::request::CanonicalRequest;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest as _, Sha256};

/// What AWS does not encode.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A signature that was found to be right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) credential: String,
    pub(super) names: String,
    pub(super) signature: String,
}

/// Checks what leaves over HTTP/1.1 and over HTTP/2.
#[track_caller]
pub(super) fn verify(request: &CanonicalRequest, secret: &str, body: &[u8]) -> Signed {
    let first = arrived(&request.clone().into_http1().unwrap(), secret, body);
    let second = arrived(&request.clone().into_http2().unwrap(), secret, body);
    assert_eq!(first, second);
    first
}

#[track_caller]
fn arrived(parts: &Parts, secret: &str, body: &[u8]) -> Signed {
    let parameters = parameters(parts);
    let (claimed, is_presigned) = match parts.headers.get("authorization") {
        Some(field) => (in_field(field.to_str().unwrap()), false),
        None => (in_query(&parameters), true),
    };
    let scope: Vec<&str> = claimed.credential.split('/').collect();
    let [_, date, region, service, "aws4_request"] = scope[..] else {
        panic!("{}", claimed.credential);
    };
    let time = if is_presigned {
        parameters["X-Amz-Date"].clone()
    } else {
        field(parts, "x-amz-date")
    };
    assert_eq!(time[..8], *date);
    let is_s3 = service == "s3" || service.starts_with("s3express") || service.starts_with("s3-");
    let digest = match (
        parts.headers.get("x-amz-content-sha256"),
        is_presigned && is_s3,
    ) {
        (Some(field), _) => field.to_str().unwrap().to_owned(),
        (None, true) => match parameters.get("X-Amz-Content-Sha256") {
            Some(parameter) => parameter.clone(),
            None => "UNSIGNED-PAYLOAD".to_owned(),
        },
        (None, false) => hex::encode(Sha256::digest(body)),
    };
    let names = claimed.names.split(';');
    let fields: Vec<String> = names
        .map(|name| format!("{name}:{}", field(parts, name)))
        .collect();
    let fields = fields.join("\n");
    let canonical = format!(
        "{}\n{}\n{}\n{fields}\n\n{}\n{digest}",
        parts.method,
        path(parts.uri.path(), is_s3),
        query(parts),
        claimed.names
    );
    let signature = sign(&canonical, secret, &time, &claimed.credential);
    assert_eq!(claimed.signature, signature, "{service}: {canonical}");
    assert!(!region.is_empty());
    claimed
}

/// The signature over a canonical request.
fn sign(canonical: &str, secret: &str, time: &str, credential: &str) -> String {
    let (_, scope) = credential.split_once('/').unwrap();
    let digest = hex::encode(Sha256::digest(canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
    let first = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').fold(first, |key, part| mac(&key, part));
    hex::encode(mac(&key, &text))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn in_field(text: &str) -> Signed {
    let rest = text.strip_prefix("AWS4-HMAC-SHA256 Credential=").unwrap();
    let (credential, rest) = rest.split_once(", SignedHeaders=").unwrap();
    let (names, signature) = rest.split_once(", Signature=").unwrap();
    Signed {
        credential: credential.to_owned(),
        names: names.to_owned(),
        signature: signature.to_owned(),
    }
}

fn in_query(parameters: &BTreeMap<String, String>) -> Signed {
    assert_eq!(parameters["X-Amz-Algorithm"], "AWS4-HMAC-SHA256");
    Signed {
        credential: parameters["X-Amz-Credential"].clone(),
        names: parameters["X-Amz-SignedHeaders"].clone(),
        signature: parameters["X-Amz-Signature"].clone(),
    }
}

/// A field's values as they are signed: spaces at their ends go, and several of them become one.
fn field(parts: &Parts, name: &str) -> String {
    if name == "host" && !parts.headers.contains_key("host") {
        return parts.uri.authority().unwrap().to_string();
    }
    let values = parts.headers.get_all(name).iter().map(|value| {
        let value = value.to_str().unwrap();
        let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
        words.join(" ")
    });
    let values: Vec<String> = values.collect();
    assert!(!values.is_empty(), "{name}");
    values.join(",")
}

/// S3 encodes what the path stands for, other services what arrived.
fn path(path: &str, is_s3: bool) -> String {
    let segments = path.split('/').map(|segment| {
        if is_s3 {
            recoded(segment)
        } else {
            percent_encode(segment.as_bytes(), RESERVED).to_string()
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

fn recoded(text: &str) -> String {
    let plain: Vec<u8> = percent_decode_str(text).collect();
    percent_encode(&plain, RESERVED).to_string()
}

fn pairs(parts: &Parts) -> impl Iterator<Item = (&str, &str)> {
    let query = parts.uri.query().unwrap_or_default();
    let pieces = query.split('&').filter(|piece| !piece.is_empty());
    pieces.map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

fn parameters(parts: &Parts) -> BTreeMap<String, String> {
    let plain = |text| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    pairs(parts)
        .map(|(name, value)| (plain(name), plain(value)))
        .collect()
}

fn query(parts: &Parts) -> String {
    let mut list: Vec<(String, String)> = pairs(parts)
        .map(|(name, value)| (recoded(name), recoded(value)))
        .filter(|(name, _)| name != "X-Amz-Signature")
        .collect();
    list.sort();
    let list: Vec<String> = list
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    list.join("&")
}

//! AWS Signature Version 4, the verifying side.
//!
//! After "Create a signed AWS API request" in the IAM User Guide (reference_sigv-create-signed-request):
//! canonical request, string to sign, signing key, signature. STS takes the signature from the
//! `Authorization` header. The time in `X-Amz-Date` may be at most 15 minutes off.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far `X-Amz-Date` may be off.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(15);

/// The parts of an HTTP request that are signed.
#[derive(Debug)]
pub struct SignedParts<'a> {
    /// The method.
    pub method: &'a str,
    /// The path as sent.
    pub path: &'a str,
    /// The query string as sent, without `?`.
    pub query: &'a str,
    /// The header fields: names in lower case, in the order of arrival.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
}

/// The `Authorization` header, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// Who signed.
    pub access_key_id: String,
    /// `YYYYMMDD`.
    pub date: String,
    /// The region of the credential scope.
    pub region: String,
    /// The service of the credential scope.
    pub service: String,
    /// Names of the signed headers.
    pub signed_headers: Vec<String>,
    /// The signature in hexadecimal.
    pub signature: String,
}

/// Why a signature is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// `IncompleteSignature`: a part is missing or malformed.
    Incomplete(String),
    /// `SignatureDoesNotMatch`: all parts are there and they do not fit.
    DoesNotMatch(String),
}

impl Authorization {
    /// Takes the header apart.
    pub fn parse(header: &str) -> Result<Self, Rejection> {
        let malformed = || Rejection::Incomplete(format!("malformed Authorization: {header}"));
        let rest = header.strip_prefix(ALGORITHM).ok_or_else(malformed)?;
        let mut parts = rest.trim_start().split(',').map(str::trim);
        let mut part = |name: &str| {
            let part = parts.next()?.strip_prefix(name)?;
            part.strip_prefix('=').map(str::to_owned)
        };
        let credential = part("Credential").ok_or_else(malformed)?;
        let signed_headers = part("SignedHeaders").ok_or_else(malformed)?;
        let signature = part("Signature").ok_or_else(malformed)?;
        let scope: Vec<&str> = credential.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = scope[..] else {
            return Err(malformed());
        };
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers: signed_headers.split(';').map(str::to_owned).collect(),
            signature,
        })
    }

    /// Checks the signature over a request that arrived at `now`.
    pub fn verify(
        &self,
        request: &SignedParts<'_>,
        secret: &str,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        self.check_signed_headers(request)?;
        let date = request.header("x-amz-date").unwrap_or_default();
        let time = parse_basic_time(&date)
            .ok_or_else(|| Rejection::Incomplete(format!("malformed X-Amz-Date: {date}")))?;
        if !date.starts_with(&self.date) {
            return Err(Rejection::DoesNotMatch(format!(
                "the scope's date {} is not that of X-Amz-Date {date}",
                self.date
            )));
        }
        if now.duration_since(time).abs() > CLOCK_SKEW {
            return Err(Rejection::DoesNotMatch(format!(
                "signature expired: {date} is too far from {now}"
            )));
        }
        if constant_time_eq(
            &self.signature_over(request, secret, &date),
            &self.signature,
        ) {
            return Ok(());
        }
        Err(Rejection::DoesNotMatch(
            "the request signature we calculated does not match the signature you provided"
                .to_owned(),
        ))
    }

    /// "You must include the host header (HTTP/1.1) … and any x-amz-* headers in the signature"; the names
    /// are in lower case, sorted, each once; all of them are in the request.
    fn check_signed_headers(&self, request: &SignedParts<'_>) -> Result<(), Rejection> {
        let incomplete = |text: String| Err(Rejection::Incomplete(text));
        let names = &self.signed_headers;
        if !names.is_sorted_by(|a, b| a < b)
            || names.iter().any(|name| *name != name.to_lowercase())
        {
            return incomplete(format!("SignedHeaders are not sorted: {}", names.join(";")));
        }
        if let Some(name) = names.iter().find(|name| request.header(name).is_none()) {
            return incomplete(format!("signed header {name} is not in the request"));
        }
        let must_be_signed =
            |name: &str| name == "host" || name == "content-type" || name.starts_with("x-amz-");
        let mut present = request.headers.iter().map(|(name, _)| name.as_str());
        let unsigned =
            present.find(|name| must_be_signed(name) && !names.iter().any(|signed| signed == name));
        if let Some(name) = unsigned {
            return incomplete(format!("header {name} is not signed"));
        }
        for name in ["host", "x-amz-date"] {
            if request.header(name).is_none() {
                return incomplete(format!("header {name} is missing"));
            }
        }
        Ok(())
    }

    pub(super) fn signature_over(
        &self,
        request: &SignedParts<'_>,
        secret: &str,
        date: &str,
    ) -> String {
        let scope = format!(
            "{}/{}/{}/aws4_request",
            self.date, self.region, self.service
        );
        let request = hash(self.canonical_request(request).as_bytes());
        let string_to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{request}");
        let mut key = mac(format!("AWS4{secret}").as_bytes(), &self.date);
        for part in [&self.region, &self.service, "aws4_request"] {
            key = mac(&key, part);
        }
        hex::encode(mac(&key, &string_to_sign))
    }

    fn canonical_request(&self, request: &SignedParts<'_>) -> String {
        let mut text = format!(
            "{}\n{}\n{}\n",
            request.method,
            request.path,
            canonical_query(request.query)
        );
        for name in &self.signed_headers {
            let value = request.header(name).unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}:{value}");
        }
        let _ = write!(
            text,
            "\n{}\n{}",
            self.signed_headers.join(";"),
            hash(request.body)
        );
        text
    }
}

impl SignedParts<'_> {
    /// All values of a header, joined and trimmed as the canonical request has them.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<String> = self
            .headers
            .iter()
            .filter(|(header, _)| header == name)
            .map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        (!values.is_empty()).then(|| values.join(","))
    }
}

/// Sorted by name, then by value. STS clients send their parameters in the body; what stands here has been
/// percent-encoded by the sender already.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(&str, &str)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// `YYYYMMDD'T'HHMMSS'Z'`
fn parse_basic_time(text: &str) -> Option<Timestamp> {
    if text.len() != 16 || !text.is_ascii() {
        return None;
    }
    let [year, month, day] = [&text[..4], &text[4..6], &text[6..8]];
    let [hour, minute, rest] = [&text[9..11], &text[11..13], &text[13..]];
    format!("{year}-{month}-{day}{}{hour}:{minute}:{rest}", &text[8..9])
        .parse()
        .ok()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn constant_time_eq(left: &str, right: &str) -> bool {
    left.len() == right.len()
        && left
            .bytes()
            .zip(right.bytes())
            .fold(0, |all, (a, b)| all | (a ^ b))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The example of the AWS General Reference, "Signature Version 4 signing process": IAM `ListUsers`.
    fn list_users() -> (Authorization, Vec<(String, String)>) {
        let authorization = Authorization::parse(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        );
        let headers = headers(&[
            (
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ]);
        (authorization.unwrap(), headers)
    }

    fn request(headers: &[(String, String)]) -> SignedParts<'_> {
        SignedParts {
            method: "GET",
            path: "/",
            query: "Version=2010-05-08&Action=ListUsers",
            headers,
            body: b"",
        }
    }

    #[test]
    fn accepts_the_published_example() {
        let (authorization, headers) = list_users();
        let request = request(&headers);
        assert_eq!(
            hash(authorization.canonical_request(&request).as_bytes()),
            "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
        );
        assert_eq!(
            authorization.verify(&request, SECRET, at("2015-08-30T12:36:00Z")),
            Ok(())
        );
    }

    /// `post-x-www-form-urlencoded` of the AWS Signature Version 4 test suite.
    #[test]
    fn accepts_the_published_form_post() {
        let authorization = Authorization::parse(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        );
        let headers = headers(&[
            ("content-type", "application/x-www-form-urlencoded"),
            ("host", "example.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ]);
        let request = SignedParts {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
            body: b"Param1=value1",
        };
        let now = at("2015-08-30T12:40:00Z");
        assert_eq!(authorization.unwrap().verify(&request, SECRET, now), Ok(()));
    }

    #[test]
    fn refuses_what_was_changed_after_signing() {
        let (authorization, headers) = list_users();
        let now = at("2015-08-30T12:36:00Z");
        let refused = |changed: SignedParts<'_>, secret: &str| {
            let answer = authorization.verify(&changed, secret, now);
            assert!(
                matches!(answer, Err(Rejection::DoesNotMatch(_))),
                "{changed:?}: {answer:?}"
            );
        };
        refused(
            SignedParts {
                method: "POST",
                ..request(&headers)
            },
            SECRET,
        );
        refused(
            SignedParts {
                path: "/x",
                ..request(&headers)
            },
            SECRET,
        );
        refused(
            SignedParts {
                query: "Action=DeleteUser",
                ..request(&headers)
            },
            SECRET,
        );
        refused(
            SignedParts {
                body: b"x",
                ..request(&headers)
            },
            SECRET,
        );
        refused(request(&headers), "another secret");
    }

    #[test]
    fn refuses_a_signature_from_another_time() {
        let (authorization, headers) = list_users();
        for now in ["2015-08-30T12:51:01Z", "2015-08-30T12:20:59Z"] {
            let answer = authorization.verify(&request(&headers), SECRET, at(now));
            assert!(
                matches!(answer, Err(Rejection::DoesNotMatch(_))),
                "{answer:?}"
            );
        }
    }

    #[test]
    fn refuses_headers_that_should_be_signed_and_are_not() {
        let (authorization, mut headers) = list_users();
        headers.push(("x-amz-security-token".to_owned(), "token".to_owned()));
        let now = at("2015-08-30T12:36:00Z");
        let answer = authorization.verify(&request(&headers), SECRET, now);
        let reason = "header x-amz-security-token is not signed".to_owned();
        assert_eq!(answer, Err(Rejection::Incomplete(reason)));
    }

    #[test]
    fn refuses_headers_it_cannot_take_apart() {
        for header in [
            "",
            "Bearer x",
            "AWS4-HMAC-SHA256 Credential=A/20150830/us-east-1/sts, SignedHeaders=host, Signature=00",
            "AWS4-HMAC-SHA256 Credential=A/20150830/us-east-1/sts/aws4_request, Signature=00",
        ] {
            let answer = Authorization::parse(header);
            assert!(matches!(answer, Err(Rejection::Incomplete(_))), "{header}");
        }
    }
}

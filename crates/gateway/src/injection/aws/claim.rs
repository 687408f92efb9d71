//! What a client's AWS signature says, before it is taken away.

use std::time::Duration;

use aws_sigv4::http_request::SignableBody;
use http::HeaderName;
use http::header::{AUTHORIZATION, CONTENT_TYPE, EXPECT, TE};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::refused;
use super::scope::is_name;
use crate::refusal::Refusal;
use crate::request::{CanonicalRequest, Parameter};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const CREDENTIAL: &str = "X-Amz-Credential";

/// The field in which the digest of the body is, or why there is none.
pub(super) const DIGEST: &str = "x-amz-content-sha256";

/// The parameter in which some clients say the same in a presigned URL. It is a parameter like any other.
const DIGEST_PARAMETER: &str = "X-Amz-Content-Sha256";

/// What S3 calls itself in signatures, with its kinds of buckets.
const S3: [&str; 4] = ["s3", "s3express", "s3-object-lambda", "s3-outposts"];

/// What is between two hops, and may be written anew at each of them.
const NEVER_SIGNED: [HeaderName; 2] = [EXPECT, TE];

/// The parameters of a presigned URL.
pub(super) const PRESIGNED: [&str; 7] = [
    "X-Amz-Algorithm",
    CREDENTIAL,
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
];

/// A signature, taken apart.
pub(super) struct Claim {
    pub(super) access_key_id: String,
    pub(super) region: String,
    pub(super) service: String,
    signed_headers: Vec<String>,
    digest: Option<Digest>,
    pub(super) location: Location,
}

/// What a client says about the digest of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Digest {
    /// It is this, in hexadecimal digits.
    Sha256(String),
    /// It is not signed.
    Unsigned,
    /// It is after the body, which is in chunks, and not signed.
    InTrailer,
    /// Each chunk of the body has a signature of its own, which does not leave.
    InChunks,
}

/// Where a signature stands.
pub(super) enum Location {
    /// In `authorization`.
    Headers,
    /// In the query of a presigned URL.
    Query {
        /// When it is over.
        until: Timestamp,
        /// How long it is valid.
        expires: Duration,
    },
}

/// Whether it is the parameter in which a presigned URL names its access key.
pub(in super::super) fn is_credential_parameter(parameter: &Parameter) -> bool {
    parameter.is_named(CREDENTIAL)
}

/// Whether it is a presigned URL of Signature Version 2.
pub(in super::super) fn is_version_2(request: &CanonicalRequest) -> bool {
    let mut parameters = request.query().parameters();
    parameters.any(|parameter| parameter.is_named("AWSAccessKeyId"))
}

/// Clients of AWS still presign with the old version where a region knows it, unless they are told not to.
pub(in super::super) fn not_version_4() -> Refusal {
    refused("is not of Signature Version 4").with_remedy(
        "Have the client sign with Version 4: `aws configure set default.s3.signature_version s3v4`, or \
         `Config(signature_version=\"s3v4\")` in boto3.",
    )
}

impl Claim {
    /// Reads the only signature of a request.
    pub(super) fn parse(request: &CanonicalRequest) -> Result<Self, Refusal> {
        is_readable(request)?;
        let field = request.headers().get(AUTHORIZATION);
        let is_presigned = request
            .query()
            .parameters()
            .any(|parameter| PRESIGNED.iter().any(|name| parameter.may_be_named(name)));
        let (credential, signed_headers, location) = match (field, is_presigned) {
            (Some(_), true) => return Err(refused("is there twice")),
            (None, false) => return Err(refused("is not there")),
            (Some(value), false) => {
                let text = value.to_str().map_err(|_| refused("cannot be read"))?;
                let (credential, signed_headers) = in_header(text)?;
                (credential, signed_headers, Location::Headers)
            }
            (None, true) => in_query(request)?,
        };
        let scope: Vec<&str> = credential.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = scope[..] else {
            return Err(refused("has a credential without its scope"));
        };
        let is_date = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
        if !is_date || !is_name(region) || !is_name(service) {
            return Err(refused("has a scope that is none"));
        }
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers: signed_headers.split(';').map(str::to_owned).collect(),
            digest: digest(request, &location)?,
            location,
        })
    }

    /// Which digest of the body is signed; `None` if it has to be made from the body.
    pub(super) fn payload(&self) -> Option<SignableBody<'static>> {
        match (&self.digest, &self.location) {
            (Some(Digest::Sha256(digest)), _) => Some(SignableBody::Precomputed(digest.clone())),
            (Some(Digest::InTrailer), _) => Some(SignableBody::StreamingUnsignedPayloadTrailer),
            (Some(Digest::Unsigned | Digest::InChunks), _) => Some(SignableBody::UnsignedPayload),
            (None, Location::Query { .. }) if self.is_s3() => Some(SignableBody::UnsignedPayload),
            (None, _) => None,
        }
    }

    /// Whether the client says the digest of the body, or that there is none.
    pub(super) fn states_digest(&self) -> bool {
        self.digest.is_some()
    }

    /// Whether each chunk of the body has a signature of its own.
    pub(super) fn has_signed_chunks(&self) -> bool {
        self.digest == Some(Digest::InChunks)
    }

    /// Whether it is for S3, which does some things in its own way.
    pub(super) fn is_s3(&self) -> bool {
        S3.contains(&self.service.as_str())
    }

    /// Refuses a presigned URL that is over.
    pub(super) fn is_current(&self, now: Timestamp) -> Result<(), Refusal> {
        match self.location {
            Location::Query { until, .. } if now > until => {
                Err(refused("is over its time").with_remedy("Presign the URL again."))
            }
            _ => Ok(()),
        }
    }

    /// The fields that the signature is over, but those that it brings itself.
    pub(super) fn signed_headers(
        &self,
        request: &CanonicalRequest,
    ) -> Result<Vec<(String, String)>, Refusal> {
        let headers = request.headers().iter();
        let signed = headers.filter(|(name, _)| self.signs(name));
        signed
            .map(|(name, value)| match value.to_str() {
                Ok(value) => Ok((name.as_str().to_owned(), value.to_owned())),
                Err(_) => Err(refused("is over a field that is not ASCII")),
            })
            .collect()
    }

    /// Whether the client signed this field, or AWS wants it signed.
    fn signs(&self, name: &HeaderName) -> bool {
        let is_named = self
            .signed_headers
            .iter()
            .any(|signed| *name == signed.as_str());
        let is_wanted = match self.location {
            Location::Headers => *name == CONTENT_TYPE || name.as_str().starts_with("x-amz-"),
            // S3 looks at it wherever the signature is.
            Location::Query { .. } => *name == DIGEST,
        };
        (is_named || is_wanted) && !NEVER_SIGNED.contains(name)
    }
}

/// Refuses a query that AWS and those who sign for it read in different ways.
fn is_readable(request: &CanonicalRequest) -> Result<(), Refusal> {
    let is_text = |text: &[u8]| std::str::from_utf8(text).is_ok();
    for parameter in request.query().parameters() {
        let value = parameter.value().unwrap_or_default();
        if parameter.name().contains('+') || value.contains('+') {
            return Err(refused("is over a plus sign")
                .with_remedy("Encode it as `%2B`, and a space as `%20`."));
        }
        if !is_text(&parameter.decoded_name()) || !is_text(&parameter.decoded_value()) {
            return Err(refused("is over a query that is not UTF-8"));
        }
    }
    Ok(())
}

/// `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`: credential and signed headers.
fn in_header(text: &str) -> Result<(String, String), Refusal> {
    let rest = text
        .strip_prefix(ALGORITHM)
        .filter(|rest| rest.starts_with(' '))
        .ok_or_else(not_version_4)?;
    let mut fields = rest.split(',').map(|field| field.trim().split_once('='));
    let mut next = |name: &str| match fields.next() {
        Some(Some((own, value))) if own == name => Ok(value.to_owned()),
        _ => Err(refused("is incomplete")),
    };
    let credential = next("Credential")?;
    let signed_headers = next("SignedHeaders")?;
    next("Signature")?;
    if fields.next().is_some() {
        return Err(refused("has more than its parts"));
    }
    Ok((credential, signed_headers))
}

/// The same of a presigned URL.
fn in_query(request: &CanonicalRequest) -> Result<(String, String, Location), Refusal> {
    let parameter = |name: &str| {
        let mut named = request
            .query()
            .parameters()
            .filter(|parameter| parameter.may_be_named(name));
        match (named.next(), named.next()) {
            (Some(parameter), None) => String::from_utf8(parameter.decoded_value().into_owned())
                .map_err(|_| refused("cannot be read")),
            (None, _) => Err(refused("is incomplete")),
            (Some(_), Some(_)) => Err(refused("is there twice")),
        }
    };
    if parameter("X-Amz-Algorithm")? != ALGORITHM {
        return Err(not_version_4());
    }
    parameter("X-Amz-Signature")?;
    let time = time(&parameter("X-Amz-Date")?).ok_or_else(|| refused("has no time"))?;
    // A week at most, as AWS has it.
    let expires = parameter("X-Amz-Expires")?
        .parse()
        .ok()
        .filter(|seconds| (1..=604_800).contains(seconds))
        .ok_or_else(|| refused("is not valid for any time"))?;
    let expires = Duration::from_secs(expires);
    let until = time.checked_add(expires);
    let until = until.map_err(|_| refused("has no time"))?;
    let location = Location::Query { until, expires };
    Ok((
        parameter(CREDENTIAL)?,
        parameter("X-Amz-SignedHeaders")?,
        location,
    ))
}

/// What is said about the digest of the body, in a field or in a presigned URL.
fn digest(request: &CanonicalRequest, location: &Location) -> Result<Option<Digest>, Refusal> {
    let fields = request.headers().get_all(DIGEST).iter();
    let fields = fields.map(|value| value.as_bytes().to_vec());
    let is_presigned = matches!(location, Location::Query { .. });
    let parameters = request
        .query()
        .parameters()
        .filter(|parameter| is_presigned && parameter.may_be_named(DIGEST_PARAMETER))
        .map(|parameter| parameter.decoded_value().into_owned());
    let mut stated = fields.chain(parameters);
    let Some(text) = stated.next() else {
        return Ok(None);
    };
    if stated.next().is_some() {
        return Err(refused("has more than one digest of the body"));
    }
    let is_digest = text.len() == 64 && text.iter().all(u8::is_ascii_hexdigit);
    match String::from_utf8(text).as_deref() {
        Ok("UNSIGNED-PAYLOAD") => Ok(Some(Digest::Unsigned)),
        Ok("STREAMING-UNSIGNED-PAYLOAD-TRAILER") => Ok(Some(Digest::InTrailer)),
        Ok("STREAMING-AWS4-HMAC-SHA256-PAYLOAD" | "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
            if !is_presigned =>
        {
            Ok(Some(Digest::InChunks))
        }
        Ok(text) if is_digest => Ok(Some(Digest::Sha256(text.to_owned()))),
        Ok(text) if text.starts_with("STREAMING-") => Err(refused(
            "is followed by signatures of the chunks of its body that are not of Signature Version 4",
        )
        .with_remedy("Turn off chunked encoding, or the signing of payloads, in the client.")),
        _ => Err(refused("has a digest of the body that is none")),
    }
}

/// `20260722T120000Z`, and nothing else that could be read as one.
fn time(text: &str) -> Option<Timestamp> {
    let is_plain = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    is_plain.then(|| TimeZone::UTC.to_timestamp(time).ok())?
}

//! What a client's AWS signature says, before it is taken away.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::SignableBody;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::refused;
use crate::refusal::Refusal;
use crate::request::{BodyLength, CanonicalRequest, Parameter};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const CREDENTIAL: &str = "X-Amz-Credential";

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
    /// Whether `x-amz-content-sha256` is there.
    pub(super) states_digest: bool,
    pub(super) location: Location,
}

/// Where a signature stands.
pub(super) enum Location {
    /// In `authorization`.
    Headers,
    /// In the query of a presigned URL.
    Query {
        /// When it was signed.
        time: SystemTime,
        /// How long it is valid.
        expires: Duration,
    },
}

/// Whether it is the parameter in which a presigned URL names its access key.
pub(in super::super) fn is_credential_parameter(parameter: &Parameter) -> bool {
    parameter.is_named(CREDENTIAL)
}

impl Claim {
    /// Reads the only signature of a request.
    pub(super) fn parse(request: &CanonicalRequest) -> Result<Self, Refusal> {
        // AWS reads a plus sign as a plus sign, and signers in its place read a space.
        if request.query().to_string().contains('+') {
            return Err(refused("is over a plus sign; encode it as `%2B` or `%20`"));
        }
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
        let [access_key_id, _date, region, service, "aws4_request"] = scope[..] else {
            return Err(refused("has a credential without its scope"));
        };
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers: signed_headers.split(';').map(str::to_owned).collect(),
            states_digest: request.headers().contains_key("x-amz-content-sha256"),
            location,
        })
    }

    /// Which digest of the body is signed; `None` if the body must be read for it.
    pub(super) fn payload(
        &self,
        request: &CanonicalRequest,
    ) -> Result<Option<SignableBody<'static>>, Refusal> {
        let Some(digest) = single(request.headers(), "x-amz-content-sha256")? else {
            return Ok(match self.location {
                Location::Query { .. } if self.is_s3() => {
                    Some(SignableBody::UnsignedPayload)
                }
                _ if request.body_length() == BodyLength::Known(0) => Some(SignableBody::empty()),
                _ => None,
            });
        };
        match digest {
            "UNSIGNED-PAYLOAD" => Ok(Some(SignableBody::UnsignedPayload)),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => {
                Ok(Some(SignableBody::StreamingUnsignedPayloadTrailer))
            }
            _ if digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Ok(Some(SignableBody::Precomputed(digest.to_owned())))
            }
            _ if digest.starts_with("STREAMING-") => Err(refused("is over single chunks")
                .with_remedy("Use `https`, for which AWS clients do not sign chunks, or turn off payload signing.")),
            _ => Err(refused("has a digest of the body that is none")),
        }
    }

    /// Whether it is for S3, which does some things in its own way.
    pub(super) fn is_s3(&self) -> bool {
        matches!(self.service.as_str(), "s3" | "s3-object-lambda" | "s3-outposts")
    }

    /// Refuses a presigned URL that is over.
    pub(super) fn is_current(&self, now: SystemTime) -> Result<(), Refusal> {
        match self.location {
            Location::Query { time, expires } if now > time + expires => {
                Err(refused("is over").with_remedy("Presign the URL again."))
            }
            _ => Ok(()),
        }
    }

    /// Whether the client signed this field, or AWS wants it signed.
    pub(super) fn signs(&self, name: &HeaderName) -> bool {
        let is_named = self
            .signed_headers
            .iter()
            .any(|signed| *name == signed.as_str());
        let is_wanted = match self.location {
            Location::Headers => *name == CONTENT_TYPE || name.as_str().starts_with("x-amz-"),
            Location::Query { .. } => false,
        };
        is_named || is_wanted
    }
}

/// `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`: credential and signed headers.
fn in_header(text: &str) -> Result<(String, String), Refusal> {
    let rest = text
        .strip_prefix(ALGORITHM)
        .filter(|rest| rest.starts_with(' '))
        .ok_or_else(|| refused("is not of Signature Version 4"))?;
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
        return Err(refused("is not of Signature Version 4"));
    }
    parameter("X-Amz-Signature")?;
    let time = time(&parameter("X-Amz-Date")?).ok_or_else(|| refused("has no time"))?;
    // A week at most, as AWS has it.
    let expires = parameter("X-Amz-Expires")?
        .parse()
        .ok()
        .filter(|seconds| (1..=604_800).contains(seconds))
        .ok_or_else(|| refused("is not valid for any time"))?;
    let location = Location::Query {
        time: time.into(),
        expires: Duration::from_secs(expires),
    };
    Ok((
        parameter(CREDENTIAL)?,
        parameter("X-Amz-SignedHeaders")?,
        location,
    ))
}

fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| refused("has a digest of the body that is none")),
        (Some(_), Some(_)) => Err(refused("has more than one digest of the body")),
    }
}

/// `20260722T120000Z`
fn time(text: &str) -> Option<Timestamp> {
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

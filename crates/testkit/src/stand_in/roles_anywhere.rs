//! A strict stand-in for AWS IAM Roles Anywhere: `CreateSession`.
//!
//! Members and limits of the request and the form of the answer: User Guide, "CreateSession API". The signature: ibid.,
//! "The IAM Roles Anywhere authentication signing process", recomputed here from the request as it came and verified
//! with the certificate by `ring`, which is not what fnox signs with. The certificate must lead to the trust anchor. What
//! errors look like is AWS's general form of JSON services; their words are this stand-in's own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::issuer::{Reply, Request, Service};

/// "A request must reach AWS within five minutes of the time stamp" (IAM User Guide, Signature Version 4).
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A trust anchor, a profile and its roles.
#[derive(Debug)]
pub struct RolesAnywhere {
    /// The region of all of them.
    pub region: String,
    /// The trust anchor's ARN.
    pub trust_anchor_arn: String,
    /// The profile's ARN.
    pub profile_arn: String,
    /// The roles of the profile.
    pub roles: Vec<String>,
    /// `acceptRoleSessionName` of the profile.
    pub accepts_session_name: bool,
    /// The certificate of the authority that is trusted, in DER.
    pub authority: Vec<u8>,
    /// Serial numbers on the revocation list, decimal.
    pub revoked: Vec<String>,
    /// Whether what is between hides the service's own time, the header `Date`.
    pub hides_date: bool,
    /// Who got credentials: serial number and access key.
    pub issued: Vec<(String, String)>,
    /// The algorithms of the signatures that were good.
    pub algorithms: Vec<String>,
}

impl RolesAnywhere {
    /// The role of [`RolesAnywhere::example`].
    pub const ROLE: &'static str = "arn:aws:iam::123456789012:role/workload";

    /// One that trusts an authority.
    #[must_use]
    pub fn example(authority: Vec<u8>) -> Self {
        let arn = |resource: &str| {
            format!("arn:aws:rolesanywhere:us-east-1:123456789012:{resource}/a1b2c3d4")
        };
        Self {
            region: "us-east-1".to_owned(),
            trust_anchor_arn: arn("trust-anchor"),
            profile_arn: arn("profile"),
            roles: vec![Self::ROLE.to_owned()],
            accepts_session_name: false,
            authority,
            revoked: Vec::new(),
            hides_date: false,
            issued: Vec::new(),
            algorithms: Vec::new(),
        }
    }

    /// Whether the certificates lead from the first one to the trust anchor.
    fn trusts(&self, leaf: &X509Certificate<'_>, chain: &[Vec<u8>], now: Timestamp) -> bool {
        let mut all = Vec::new();
        for der in chain.iter().chain([&self.authority]) {
            match X509Certificate::from_der(der) {
                Ok(([], certificate)) => all.push(certificate),
                _ => return false,
            }
        }
        let moment = now.as_second();
        let mut current = leaf;
        for issuer in &all {
            let period = current.validity();
            let is_in_time =
                period.not_before.timestamp() <= moment && moment <= period.not_after.timestamp();
            if !is_in_time
                || current.issuer() != issuer.subject()
                || current.verify_signature(Some(issuer.public_key())).is_err()
            {
                return false;
            }
            current = issuer;
        }
        !leaf.is_ca()
    }

    fn create_session(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply {
        let body = match members(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        let signature = match Signature::of(request) {
            Ok(signature) => signature,
            Err(reason) => return Reply::undocumented(reason),
        };
        let leaf = match X509Certificate::from_der(&signature.certificate) {
            Ok(([], leaf)) => leaf,
            _ => return Reply::undocumented("x-amz-x509 is no certificate in DER"),
        };
        if let Err(reply) = signature.check(request, &leaf, &self.region, now) {
            return reply;
        }
        if !self.trusts(&leaf, &signature.chain, now) || self.revoked.contains(&signature.serial) {
            return denied("Untrusted certificate. Insufficient certificate");
        }
        if body["trustAnchorArn"] != self.trust_anchor_arn.as_str()
            || body["profileArn"] != self.profile_arn.as_str()
        {
            return error("ResourceNotFoundException", 404, "no such resource");
        }
        if !self
            .roles
            .iter()
            .any(|role| body["roleArn"] == role.as_str())
        {
            return denied("Unable to assume role, the profile does not have it");
        }
        let name = body.get("roleSessionName").and_then(Value::as_str);
        if name.is_some() && !self.accepts_session_name {
            return error(
                "ValidationException",
                400,
                "the profile does not accept a custom role session name",
            );
        }
        let seconds = body.get("durationSeconds").and_then(Value::as_i64);
        let life = SignedDuration::from_secs(if is_expired {
            -3600
        } else {
            seconds.unwrap_or(3600)
        });
        self.algorithms.push(signature.algorithm.clone());
        let session = name.unwrap_or(&signature.serial).to_owned();
        self.issue(&body, &signature.serial, &session, now + life)
    }

    fn issue(&mut self, body: &Value, serial: &str, session: &str, end: Timestamp) -> Reply {
        let key = format!("ASIA{:016X}", rand::random::<u64>());
        self.issued.push((serial.to_owned(), key.clone()));
        let random = || format!("{:032x}", rand::random::<u128>());
        let role = body["roleArn"].as_str().unwrap_or_default();
        let assumed = role
            .replacen(":iam:", ":sts:", 1)
            .replacen(":role/", ":assumed-role/", 1);
        Reply::json(
            201,
            &json!({
                "credentialSet": [{
                    "assumedRoleUser": {
                        "arn": format!("{assumed}/{session}"),
                        "assumedRoleId": format!("AROAEXAMPLEEXAMPLE01:{session}"),
                    },
                    "credentials": {
                        "accessKeyId": key,
                        "expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                        "secretAccessKey": random(),
                        "sessionToken": random(),
                    },
                    "packedPolicySize": 10,
                    "roleArn": role,
                    "sourceIdentity": "CN=workload",
                }],
                "subjectArn": "arn:aws:rolesanywhere:us-east-1:123456789012:subject/s1",
            }),
        )
    }
}

impl Service for RolesAnywhere {
    fn answer(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply {
        if request.method != "POST" || request.path != "/sessions" || !request.query.is_empty() {
            return Reply::undocumented("there is no such operation");
        }
        let reply = self.create_session(request, now, is_expired);
        if self.hides_date {
            reply.with("date", "")
        } else {
            reply
        }
    }
}

/// The body, with the members that the operation has and no others.
fn members(request: &Request) -> Result<Value, Reply> {
    // The guide has the first one, AWS's own library sends the second one.
    let kind = request.header("content-type").unwrap_or_default();
    if !matches!(kind, "application/json" | "application/x-amz-json-1.0") {
        return Err(Reply::undocumented(format!("the content type is {kind}")));
    }
    let Ok(Value::Object(body)) = serde_json::from_slice(&request.body) else {
        return Err(Reply::undocumented("the body is not a JSON object"));
    };
    let required = ["profileArn", "roleArn", "trustAnchorArn"];
    let optional = ["durationSeconds", "roleSessionName"];
    let mut names = body.keys().map(String::as_str);
    if let Some(name) = names.find(|name| !required.contains(name) && !optional.contains(name)) {
        return Err(Reply::undocumented(format!("there is no member {name}")));
    }
    if let Some(name) = required.iter().find(|name| !body[**name].is_string()) {
        return Err(Reply::undocumented(format!("{name} is missing")));
    }
    let seconds = body.get("durationSeconds");
    if seconds.is_some_and(|own| {
        own.as_i64()
            .is_none_or(|own| !(900..=43_200).contains(&own))
    }) {
        return Err(Reply::undocumented("durationSeconds is 900 to 43200"));
    }
    Ok(Value::Object(body))
}

/// What the headers say about the signature.
struct Signature {
    algorithm: String,
    serial: String,
    scope: String,
    names: Vec<String>,
    signature: Vec<u8>,
    certificate: Vec<u8>,
    chain: Vec<Vec<u8>>,
}

impl Signature {
    fn of(request: &Request) -> Result<Self, String> {
        let header = request
            .header("authorization")
            .ok_or("there is no authorization")?;
        let (algorithm, rest) = header.split_once(' ').ok_or("authorization has one word")?;
        let mut parts = rest.split(", ");
        let mut part = |name: &str| {
            let part = parts.next()?.strip_prefix(name)?;
            part.strip_prefix('=').map(str::to_owned)
        };
        let credential = part("Credential").ok_or("there is no Credential")?;
        let names = part("SignedHeaders").ok_or("there are no SignedHeaders")?;
        let signature = part("Signature").ok_or("there is no Signature")?;
        if parts.next().is_some() {
            return Err("authorization has a fourth part".to_owned());
        }
        let (serial, scope) = credential
            .split_once('/')
            .ok_or("Credential has no scope")?;
        let decode = |text: &str| {
            STANDARD
                .decode(text)
                .map_err(|_| "a certificate is not base64".to_owned())
        };
        let chain = match request.header("x-amz-x509-chain") {
            Some(chain) => chain.split(',').map(decode).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        Ok(Self {
            algorithm: algorithm.to_owned(),
            serial: serial.to_owned(),
            scope: scope.to_owned(),
            names: names.split(';').map(str::to_owned).collect(),
            signature: hex::decode(signature).map_err(|_| "Signature is not hexadecimal")?,
            certificate: decode(
                request
                    .header("x-amz-x509")
                    .ok_or("there is no x-amz-x509")?,
            )?,
            chain,
        })
    }

    fn check(
        &self,
        request: &Request,
        leaf: &X509Certificate<'_>,
        region: &str,
        now: Timestamp,
    ) -> Result<(), Reply> {
        self.check_headers(request).map_err(Reply::undocumented)?;
        let date = request.header("x-amz-date").unwrap_or_default();
        let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date)
            .ok()
            .and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC).ok())
            .ok_or_else(|| Reply::undocumented(format!("x-amz-date is {date}")))?;
        let scope = format!("{}/{region}/rolesanywhere/aws4_request", &date[..8]);
        if self.scope != scope {
            return Err(Reply::undocumented(format!(
                "the scope is {}, not {scope}",
                self.scope
            )));
        }
        if leaf.tbs_certificate.serial.to_string() != self.serial {
            return Err(Reply::undocumented(
                "the serial number is not the certificate's",
            ));
        }
        if now.duration_since(time.timestamp()).abs() > SKEW {
            return Err(denied(&skewed(time.timestamp(), now)));
        }
        let key = &leaf.public_key().subject_public_key.data;
        // An uncompressed point of P-256 has 65 bytes, one of P-384 97 (SEC 1 section 2.3.3).
        let (algorithm, verification): (&str, &dyn VerificationAlgorithm) = match key.len() {
            65 => ("AWS4-X509-ECDSA-SHA256", &ECDSA_P256_SHA256_ASN1),
            97 => ("AWS4-X509-ECDSA-SHA256", &ECDSA_P384_SHA256_ASN1),
            _ => ("AWS4-X509-RSA-SHA256", &RSA_PKCS1_2048_8192_SHA256),
        };
        if self.algorithm != algorithm {
            return Err(Reply::undocumented(format!(
                "the algorithm is {}, not {algorithm}",
                self.algorithm
            )));
        }
        let hash = hex::encode(Sha256::digest(self.canonical(request)));
        let text = format!("{algorithm}\n{date}\n{scope}\n{hash}");
        UnparsedPublicKey::new(verification, key)
            .verify(text.as_bytes(), &self.signature)
            .map_err(|_| Reply::undocumented("the signature does not fit the request"))
    }

    /// Which headers are signed, and that they are there.
    fn check_headers(&self, request: &Request) -> Result<(), String> {
        let names = &self.names;
        if !names.is_sorted_by(|one, other| one < other) {
            return Err(format!("SignedHeaders are not sorted: {names:?}"));
        }
        if let Some(name) = names.iter().find(|name| request.header(name).is_none()) {
            return Err(format!("{name} is signed and not there"));
        }
        let needed =
            |name: &str| matches!(name, "host" | "content-type") || name.starts_with("x-amz-");
        let mut there = request.headers.iter().map(|(name, _)| name.as_str());
        match there.find(|name| needed(name) && !names.iter().any(|own| own == name)) {
            Some(name) => Err(format!("{name} is there and not signed")),
            None if ["host", "x-amz-date", "x-amz-x509"]
                .iter()
                .all(|name| names.iter().any(|own| own == name)) =>
            {
                Ok(())
            }
            None => Err("host, x-amz-date and x-amz-x509 must be signed".to_owned()),
        }
    }

    fn canonical(&self, request: &Request) -> String {
        let headers: String = self
            .names
            .iter()
            .map(|name| {
                let value = request.header(name).unwrap_or_default();
                let words: Vec<&str> = value.split_whitespace().collect();
                format!("{name}:{}\n", words.join(" "))
            })
            .collect();
        format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            request.method,
            request.path,
            request.query,
            self.names.join(";"),
            hex::encode(Sha256::digest(&request.body))
        )
    }
}

/// What AWS says of a signature whose time is not its own (IAM User Guide, "Troubleshoot Signature Version 4 signing for
/// AWS API requests"): both times, and its own in brackets.
fn skewed(theirs: Timestamp, now: Timestamp) -> String {
    let text = |time: Timestamp| time.strftime("%Y%m%dT%H%M%SZ").to_string();
    let (sent, own) = (text(theirs), text(now));
    if theirs < now {
        let limit = text(now - SKEW);
        format!("Signature expired: {sent} is now earlier than {limit} ({own} - 5 min.)")
    } else {
        let limit = text(now + SKEW);
        format!("Signature not yet current: {sent} is still later than {limit} ({own} + 5 min.)")
    }
}

fn denied(message: &str) -> Reply {
    error("AccessDeniedException", 403, message)
}

fn error(class: &str, status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"message": message})).with("x-amzn-errortype", class)
}

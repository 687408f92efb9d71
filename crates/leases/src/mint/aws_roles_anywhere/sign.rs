//! The signature over `CreateSession`.
//!
//! User Guide, "The IAM Roles Anywhere authentication signing process": as Signature Version 4 ("Create a signed AWS API
//! request" in the IAM User Guide), but the string to sign is signed with the certificate's key and not by a derived
//! HMAC key, the credential begins with the certificate's serial number, and the certificates are signed headers.

use std::fmt::Write as _;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::key::Key;
use crate::mint::MintError;

const SERVICE: &str = "rolesanywhere";

/// What is signed. The names of the headers are in lower case and sorted.
#[derive(Debug)]
pub(super) struct Signed<'a> {
    pub(super) path: &'a str,
    pub(super) headers: &'a [(&'static str, String)],
    pub(super) body: &'a [u8],
}

/// The moment as the header `x-amz-date` has it.
pub(super) fn date(now: Timestamp) -> String {
    now.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The value of the header `authorization`.
pub(super) fn authorization(
    key: &Key,
    serial: &str,
    region: &str,
    now: Timestamp,
    signed: &Signed<'_>,
) -> Result<String, MintError> {
    let date = date(now);
    let scope = format!("{}/{region}/{SERVICE}/aws4_request", &date[..8]);
    let algorithm = key.algorithm();
    let (request, names) = signed.canonical();
    let text = format!("{algorithm}\n{date}\n{scope}\n{}", hash(request.as_bytes()));
    let signature = hex::encode(key.sign(&text)?);
    Ok(format!(
        "{algorithm} Credential={serial}/{scope}, SignedHeaders={names}, Signature={signature}"
    ))
}

impl Signed<'_> {
    /// The canonical request, and the names of its headers.
    fn canonical(&self) -> (String, String) {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut text = format!("POST\n{}\n\n", self.path);
        for (name, value) in self.headers {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}:{value}");
        }
        let _ = write!(text, "\n{names}\n{}", hash(self.body));
        (text, names)
    }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::super::certificate::Certificate;
    use super::*;

    /// The guide has no worked example. This one was made with AWS's own `iam-rolesanywhere-session` 3.0.0 for Python,
    /// with the key and the certificate beside this file; an RSA signature is always the same.
    #[test]
    fn the_signature_is_that_of_awss_own_library() {
        let pem = include_str!("vector/certificate.pem");
        let certificate = Certificate::from_pem(pem, Some(pem), "x").unwrap();
        let key = Key::from_pem(include_str!("vector/key.pem"), "x").unwrap();
        assert!(key.is_of(&certificate.public_key));
        let der = STANDARD.encode(&certificate.der);
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let signed = Signed {
            path: "/sessions",
            headers: &[
                ("content-type", "application/x-amz-json-1.0".to_owned()),
                (
                    "host",
                    "rolesanywhere.eu-central-1.amazonaws.com".to_owned(),
                ),
                ("x-amz-date", date(now)),
                ("x-amz-x509", der.clone()),
                ("x-amz-x509-chain", der),
            ],
            body: br#"{"durationSeconds":900,"profileArn":"p","roleArn":"r","trustAnchorArn":"t"}"#,
        };
        let text = authorization(&key, &certificate.serial, "eu-central-1", now, &signed).unwrap();
        assert_eq!(text, include_str!("vector/authorization").trim_end());
    }
}

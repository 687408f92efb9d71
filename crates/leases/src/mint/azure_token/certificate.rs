//! A signed statement that the application's certificate stands behind a request (RFC 7523 section 2.2).
//!
//! Header and claims are those of Microsoft's page "Microsoft identity platform application authentication certificate
//! credentials": PS256, `x5t#S256`; `aud`, `iss`, `sub`, `jti`, `nbf`, `iat`, `exp`.

use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fnox_core::SecretString;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::jwt;
use crate::mint::MintError;

/// Largest file that is read; a certificate with its chain and key has less than 16 KiB.
const LIMIT: u64 = 128 * 1024;

/// "keep it short - 5-10 minutes after nbf at most"
const SECONDS: i64 = 600;

/// An application's certificate and key.
pub(super) struct Certificate {
    thumbprint: String,
    pub(super) key: SecretString,
    name: String,
}

impl Certificate {
    /// Reads a PEM file with both. The first certificate is the application's; others are its chain.
    pub(super) fn read(path: &Path) -> Result<Self, MintError> {
        let name = path.display().to_string();
        let unusable = |reason: &str| {
            MintError::authentication(format!(
                "the certificate file {name} cannot be used: {reason}"
            ))
        };
        let file = std::fs::File::open(path).map_err(|error| unusable(&error.to_string()))?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
        file.take(LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| unusable(&error.to_string()))?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LIMIT {
            return Err(unusable("it is larger than 128 KiB"));
        }
        let text = std::str::from_utf8(&bytes)
            .ok()
            .filter(|text| text.contains("-----BEGIN "))
            .ok_or_else(|| {
                unusable("it is not PEM").with_remedy(
                    "convert a PKCS #12 file with `openssl pkcs12 -in app.pfx -nodes -out app.pem`",
                )
            })?;
        let key = key_block(text).ok_or_else(|| {
            unusable("it has no private key")
                .with_remedy("put the certificate and its key into one PEM file")
        })?;
        if key.contains("ENCRYPTED") {
            return Err(unusable("its private key is encrypted, which is not supported").with_remedy(
                "keep the file in a provider with `as_file = true`, without a password of its own",
            ));
        }
        let certificate = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|_| unusable("it has no certificate"))?;
        Ok(Self {
            thumbprint: URL_SAFE_NO_PAD.encode(Sha256::digest(&certificate)),
            key: SecretString::from(key),
            name,
        })
    }

    /// The statement for one request.
    pub(super) fn assertion(
        &self,
        client: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<SecretString, MintError> {
        #[derive(Serialize)]
        struct Claims<'a> {
            aud: &'a str,
            iss: &'a str,
            sub: &'a str,
            jti: String,
            nbf: i64,
            iat: i64,
            exp: i64,
        }
        let now = now.as_second();
        let claims = Claims {
            aud: audience,
            iss: client,
            sub: client,
            jti: uuid::Builder::from_random_bytes(rand::random())
                .into_uuid()
                .to_string(),
            nbf: now,
            iat: now,
            exp: now + SECONDS,
        };
        let header = Header {
            x5t_s256: Some(self.thumbprint.clone()),
            ..Header::new(Algorithm::PS256)
        };
        jwt::sign_ps256(
            header,
            &claims,
            &self.key,
            &format!("the key of {}", self.name),
        )
    }
}

/// The first private key of a PEM text, its lines of begin and end included.
fn key_block(text: &str) -> Option<&str> {
    const END: &str = "PRIVATE KEY-----";
    let label = text.find(END)?;
    let start = text[..label].rfind("-----BEGIN ")?;
    let after = label + END.len();
    let end = after + text[after..].find("-----END ")?;
    let end = end + text[end..].find(END)? + END.len();
    Some(&text[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(content: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        match Certificate::read(file.path()) {
            Err(error) => format!("{error} {:?}", error.remedy),
            Ok(_) => panic!("read: {content}"),
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_says_why() {
        let key = "-----BEGIN PRIVATE KEY-----\naGk=\n-----END PRIVATE KEY-----\n";
        for (content, wanted) in [
            ("\u{1}pkcs12", "openssl pkcs12"),
            (
                "-----BEGIN CERTIFICATE-----\naGk=\n-----END CERTIFICATE-----\n",
                "no private key",
            ),
            (key, "no certificate"),
            (&*key.replace("PRIVATE", "ENCRYPTED PRIVATE"), "encrypted"),
            (
                &*key.replace("aGk=", "Proc-Type: 4,ENCRYPTED\n\naGk="),
                "encrypted",
            ),
        ] {
            let told = refused(content);
            assert!(told.contains(wanted), "{wanted}: {told}");
            assert!(!told.contains("aGk="), "{told}");
        }
    }

    #[test]
    fn the_key_is_found_before_and_after_the_certificate() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----";
        let certificate = "-----BEGIN CERTIFICATE-----\ny\n-----END CERTIFICATE-----";
        for text in [
            format!("{certificate}\n{key}\n"),
            format!("{key}\n{certificate}\n"),
        ] {
            assert_eq!(key_block(&text), Some(key));
        }
        assert_eq!(key_block(certificate), None);
    }
}

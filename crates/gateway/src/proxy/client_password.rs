//! How a client proves that it may use the gateway: a password in `Proxy-Authorization` (RFC 9110, section 11.7; RFC 7617).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_core::SecretString;
use http::HeaderMap;
use http::header::PROXY_AUTHORIZATION;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::refusal::{Reason, Refusal};

/// The user name that clients give; it means nothing.
pub const USER: &str = "fnox";

/// A password that all clients of a listener share: the programs of one child.
pub struct ClientPassword {
    password: SecretString,
}

impl ClientPassword {
    /// A new one from 256 bits of randomness, in letters and digits, so that it needs no escapes in a URL.
    #[must_use]
    pub fn random(rng: &mut impl rand::RngCore) -> Self {
        let mut bytes = [0_u8; 32];
        rng.fill_bytes(&mut bytes);
        Self {
            password: SecretString::from(hex::encode(bytes)),
        }
    }

    /// The password.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        self.password.expose_secret()
    }

    /// Whether a request has it. Duplicates of the header are refused: nobody says which one counts.
    ///
    /// # Errors
    /// [`Reason::Unauthenticated`]
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if !headers.contains_key(PROXY_AUTHORIZATION) {
            return Err(refused("the gateway needs its password"));
        }
        let given = password_of(headers).unwrap_or_else(|| SecretString::from(""));
        let given = given.expose_secret().as_bytes();
        if bool::from(given.ct_eq(self.password.expose_secret().as_bytes())) {
            Ok(())
        } else {
            Err(refused("the gateway does not know this password"))
        }
    }
}

/// The password that a request presents, if it presents one and one only.
pub(crate) fn password_of(headers: &HeaderMap) -> Option<SecretString> {
    let mut given = headers.get_all(PROXY_AUTHORIZATION).iter();
    let (Some(header), None) = (given.next(), given.next()) else {
        return None;
    };
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(SecretString::from(password))
}

impl fmt::Debug for ClientPassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientPassword([redacted])")
    }
}

fn refused(message: &str) -> Refusal {
    Refusal::new(Reason::Unauthenticated, message).with_remedy(
        "only programs that `fnox agent run` started may use it: their HTTPS_PROXY has the password",
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PROXY_AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn only_the_password_is_let_in() {
        let password = ClientPassword::random(&mut rand::rng());
        let right = format!(
            "Basic {}",
            STANDARD.encode(format!("anybody:{}", password.expose_secret()))
        );
        assert!(password.check(&headers(&[&right])).is_ok());
        let other = ClientPassword::random(&mut rand::rng());
        let wrong = format!(
            "Basic {}",
            STANDARD.encode(format!("{USER}:{}", other.expose_secret()))
        );
        let no_password = format!("Basic {}", STANDARD.encode(USER));
        let as_bearer = right.replace("Basic", "Bearer");
        for given in [
            &[][..],
            &[wrong.as_str()],
            &[no_password.as_str()],
            &[as_bearer.as_str()],
            &["Basic"],
            &["Basic ###"],
            &[right.as_str(), right.as_str()],
            &[wrong.as_str(), right.as_str()],
        ] {
            let refusal = password.check(&headers(given)).unwrap_err();
            assert_eq!(refusal.reason, Reason::Unauthenticated, "{given:?}");
            assert!(!refusal.to_string().contains(password.expose_secret()));
        }
    }
}

//! How a client proves that it may use the gateway: a password in `Proxy-Authorization` (RFC 9110, section 11.7; RFC 7617).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_core::SecretString;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
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

    /// Whether a client has presented it.
    ///
    /// # Errors
    /// [`Reason::Unauthenticated`]
    pub fn check(&self, presented: Option<&SecretString>) -> Result<(), Refusal> {
        let Some(presented) = presented else {
            return Err(refused("the gateway needs its password"));
        };
        let presented = presented.expose_secret().as_bytes();
        if bool::from(presented.ct_eq(self.password.expose_secret().as_bytes())) {
            Ok(())
        } else {
            Err(refused("the gateway does not know this password"))
        }
    }
}

/// The password that a request presents, if it presents any.
///
/// # Errors
/// [`Reason::Unauthenticated`] for a field that is there twice, where nobody says which one counts, or that cannot be read.
pub(super) fn password_of(headers: &HeaderMap) -> Result<Option<SecretString>, Refusal> {
    let mut given = headers.get_all(PROXY_AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(header), None) => match basic_password(header) {
            Some(password) => Ok(Some(password)),
            None => Err(unreadable(
                "`Proxy-Authorization` is no user name and password (Basic)",
            )),
        },
        (Some(_), Some(_)) => Err(unreadable("`Proxy-Authorization` is there twice")),
    }
}

fn basic_password(header: &HeaderValue) -> Option<SecretString> {
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

/// Whichever gateway it is: who may use it is not looked at yet.
fn unreadable(message: &str) -> Refusal {
    Refusal::new(Reason::Unauthenticated, message)
        .with_remedy("use the URL of the proxy as it was given: http://USER:PASSWORD@HOST:PORT")
}

fn refused(message: &str) -> Refusal {
    Refusal::new(Reason::Unauthenticated, message).with_remedy(
        "only programs that `fnox agent run` started may use it: their HTTPS_PROXY has the password",
    )
}

#[cfg(test)]
mod tests {
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
        let check = |given: &[&str]| password.check(password_of(&headers(given))?.as_ref());
        assert_eq!(check(&[&right]), Ok(()));
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
            let refusal = check(given).unwrap_err();
            assert_eq!(refusal.reason, Reason::Unauthenticated, "{given:?}");
            assert!(!refusal.to_string().contains(password.expose_secret()));
        }
    }
}

//! A login that was begun in a browser and has not come back yet.
//!
//! The server keeps nothing: the browser has a cookie with a random number, a moment, where to go on, and a MAC over all
//! of it. `state`, `nonce` and the PKCE verifier are MACs of the random number under labels of their own, so that the
//! cookie tells nobody any of them. Where to go on is the id of an approval and never an address: no login leads to
//! another server.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fnox_core::SecretString;
use jiff::Timestamp;
use rand::TryRngCore as _;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::keys::{Purpose, ServerKeys};
use crate::oidc::Attempt;

/// How long a person may take at the provider.
pub(crate) const LIFETIME: Duration = Duration::from_mins(10);

/// A login under way.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PendingLogin {
    key: [u8; 4],
    random: [u8; 32],
    expires_at: Timestamp,
    /// The approval to show afterwards; without one, the list of all.
    pub(crate) next: Option<Uuid>,
}

impl PendingLogin {
    /// A new one. `None` if the machine gives no random numbers.
    pub(super) fn begin(keys: &ServerKeys, next: Option<Uuid>, now: Timestamp) -> Option<Self> {
        let mut random = [0; 32];
        rand::rngs::OsRng.try_fill_bytes(&mut random).ok()?;
        let ends = now.checked_add(LIFETIME).ok()?;
        Some(Self {
            key: keys.current(),
            random,
            // In whole seconds, as the cookie has it.
            expires_at: Timestamp::from_second(ends.as_second()).ok()?,
            next,
        })
    }

    /// The cookie's value.
    pub(super) fn seal(&self, keys: &ServerKeys) -> Option<String> {
        let body = self.body();
        let mac = mac(keys, &body)?;
        Some(URL_SAFE_NO_PAD.encode([body.as_slice(), &mac].concat()))
    }

    /// Reads a cookie. `None` for everything that this server did not make, and for what has ended.
    pub(super) fn open(keys: &ServerKeys, cookie: &str, now: Timestamp) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (body, given) = bytes.split_at_checked(BODY)?;
        let body: &[u8; BODY] = body.try_into().ok()?;
        let expected = mac(keys, body)?;
        if !bool::from(expected.as_slice().ct_eq(given)) || body[0] != VERSION {
            return None;
        }
        let next = Uuid::from_slice(&body[45..61]).ok()?;
        let pending = Self {
            key: body[1..5].try_into().ok()?,
            random: body[5..37].try_into().ok()?,
            expires_at: Timestamp::from_second(i64::from_be_bytes(body[37..45].try_into().ok()?))
                .ok()?,
            next: (!next.is_nil()).then_some(next),
        };
        (now < pending.expires_at).then_some(pending)
    }

    /// What the provider is told. `None` if the key is gone.
    pub(super) fn attempt(&self, keys: &ServerKeys, redirect: String) -> Option<Attempt> {
        let text = |label: &[u8]| {
            let mac = keys.mac(self.key, Purpose::Cookie, &[label, &self.random])?;
            Some(URL_SAFE_NO_PAD.encode(mac))
        };
        Some(Attempt {
            state: text(b"login state")?,
            nonce: text(b"login nonce")?,
            verifier: SecretString::from(text(b"login code verifier")?),
            redirect,
        })
    }

    fn body(&self) -> [u8; BODY] {
        let mut body = [0; BODY];
        body[0] = VERSION;
        body[1..5].copy_from_slice(&self.key);
        body[5..37].copy_from_slice(&self.random);
        body[37..45].copy_from_slice(&self.expires_at.as_second().to_be_bytes());
        body[45..61].copy_from_slice(self.next.unwrap_or_default().as_bytes());
        body
    }
}

fn mac(keys: &ServerKeys, body: &[u8; BODY]) -> Option<[u8; 32]> {
    let parts: [&[u8]; 6] = [
        b"pending login",
        &body[0..1],
        &body[1..5],
        &body[5..37],
        &body[37..45],
        &body[45..61],
    ];
    keys.mac(body[1..5].try_into().ok()?, Purpose::Cookie, &parts)
}

const VERSION: u8 = 1;
/// Version, key id, random number, expiry, approval.
const BODY: usize = 1 + 4 + 32 + 8 + 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> ServerKeys {
        ServerKeys::parse(&ServerKeys::generate_line().unwrap()).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn attempt(pending: &PendingLogin, keys: &ServerKeys) -> [String; 3] {
        let attempt = pending.attempt(keys, String::new()).unwrap();
        let verifier = attempt.verifier.expose_secret().to_owned();
        [attempt.state, attempt.nonce, verifier]
    }

    #[test]
    fn a_cookie_gives_the_login_back_until_it_ends() {
        let keys = keys();
        for next in [None, Some(Uuid::now_v7())] {
            let begun = PendingLogin::begin(&keys, next, now()).unwrap();
            let cookie = begun.seal(&keys).unwrap();
            let opened = PendingLogin::open(&keys, &cookie, now()).unwrap();
            assert!(opened == begun && opened.next == next);
            assert_eq!(attempt(&opened, &keys), attempt(&begun, &keys));
            assert!(PendingLogin::open(&keys, &cookie, now() + LIFETIME).is_none());
        }
    }

    #[test]
    fn no_changed_cookie_and_none_of_another_server_is_taken() {
        let keys = keys();
        let begun = PendingLogin::begin(&keys, None, now()).unwrap();
        let cookie = begun.seal(&keys).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&cookie).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert!(
                PendingLogin::open(&keys, &changed, now()).is_none(),
                "{place}"
            );
        }
        for cut in ["", &cookie[..cookie.len() - 2], &format!("{cookie}AA")] {
            assert!(PendingLogin::open(&keys, cut, now()).is_none(), "{cut}");
        }
        assert!(PendingLogin::open(&self::keys(), &cookie, now()).is_none());
    }

    #[test]
    fn the_cookie_tells_none_of_what_the_provider_is_told() {
        let keys = keys();
        let begun = PendingLogin::begin(&keys, None, now()).unwrap();
        let cookie = begun.seal(&keys).unwrap();
        let mut texts = attempt(&begun, &keys).to_vec();
        texts.extend(attempt(
            &PendingLogin::begin(&keys, None, now()).unwrap(),
            &keys,
        ));
        assert!(texts.iter().all(|text| !cookie.contains(text.as_str())));
        // RFC 7636, section 4.1: 43 to 128 characters.
        assert!(texts.iter().all(|text| text.len() == 43));
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 6);
    }
}

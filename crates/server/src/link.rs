//! Links to approvals, match codes, and nonces of forms: all made from the server's keys, none stored.
//!
//! A link is `fxa_` and base64url of version, key id, purpose, channel, approval, expiry and a MAC over all of them.
//! The MAC is checked before anything is looked up. Host and path are not in it: a server may be reached by
//! several names.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rand::TryRngCore as _;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::keys::{Purpose, ServerKeys};

/// What a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPurpose {
    /// The page that shows the request and has the form.
    Page,
    /// A yes by one tap, where that was switched on.
    Approve,
    /// A no by one tap, where that was switched on.
    Deny,
}

impl LinkPurpose {
    fn number(self) -> u8 {
        match self {
            Self::Page => 1,
            Self::Approve => 2,
            Self::Deny => 3,
        }
    }

    fn of(number: u8) -> Option<Self> {
        [Self::Page, Self::Approve, Self::Deny]
            .into_iter()
            .find(|purpose| purpose.number() == number)
    }
}

/// A link that this server made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// What it leads to.
    pub purpose: LinkPurpose,
    /// By which channel it was sent: the position in the list of channels.
    pub channel: u8,
    /// The approval.
    pub approval: Uuid,
    /// When it ends, in whole seconds.
    pub expires_at: Timestamp,
}

impl Link {
    /// The link's last part of the address.
    #[must_use]
    pub fn sign(&self, keys: &ServerKeys) -> String {
        let head = self.head(keys.current());
        let mac = mac(keys, keys.current(), &head).unwrap_or_default();
        let mut bytes = head.to_vec();
        bytes.extend_from_slice(&mac);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a link. `None` for everything that this server did not make, and for what has ended: there is one answer
    /// for all of it.
    #[must_use]
    pub fn verify(keys: &ServerKeys, text: &str, now: Timestamp) -> Option<Self> {
        let encoded = text.strip_prefix(PREFIX)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let (head, given) = bytes.split_at_checked(HEAD)?;
        let head: &[u8; HEAD] = head.try_into().ok()?;
        let key: [u8; 4] = head[1..5].try_into().ok()?;
        let expected = mac(keys, key, head)?;
        if !bool::from(expected.as_slice().ct_eq(given)) || head[0] != VERSION {
            return None;
        }
        let seconds = i64::from_be_bytes(head[23..31].try_into().ok()?);
        let link = Self {
            purpose: LinkPurpose::of(head[5])?,
            channel: head[6],
            approval: Uuid::from_slice(&head[7..23]).ok()?,
            expires_at: Timestamp::from_second(seconds).ok()?,
        };
        (now < link.expires_at).then_some(link)
    }

    fn head(&self, key: [u8; 4]) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[0] = VERSION;
        head[1..5].copy_from_slice(&key);
        head[5] = self.purpose.number();
        head[6] = self.channel;
        head[7..23].copy_from_slice(self.approval.as_bytes());
        head[23..31].copy_from_slice(&self.expires_at.as_second().to_be_bytes());
        head
    }
}

fn mac(keys: &ServerKeys, key: [u8; 4], head: &[u8; HEAD]) -> Option<[u8; 32]> {
    let parts: [&[u8]; 7] = [
        b"approval link",
        &head[0..1],
        &head[1..5],
        &head[5..6],
        &head[6..7],
        &head[7..23],
        &head[23..31],
    ];
    keys.mac(key, Purpose::Link, &parts)
}

/// The match code of an approval: six characters, 30 bits, always the same for one approval. `None` if the key is gone.
#[must_use]
pub fn match_code(keys: &ServerKeys, key: [u8; 4], approval: Uuid) -> Option<String> {
    let mac = keys.mac(key, Purpose::Code, &[approval.as_bytes()])?;
    let number = mac
        .iter()
        .take(8)
        .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    Some(
        (0..CODE_LENGTH)
            .map(|place| char::from(ALPHABET[((number >> (5 * place)) & 31) as usize]))
            .collect(),
    )
}

/// Whether a code that somebody typed is the match code. Case, spaces and hyphens do not matter, and letters that look
/// like digits count as these.
#[must_use]
pub fn codes_match(expected: &str, typed: &str) -> bool {
    let typed: Vec<u8> = typed
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .flat_map(char::to_uppercase)
        .map(|c| match c {
            'O' => b'0',
            'I' | 'L' => b'1',
            c => u8::try_from(c).unwrap_or(b'?'),
        })
        .collect();
    expected.as_bytes().ct_eq(&typed).into()
}

/// A nonce for the form of one approval. It works until a wrong code was given: then the page has to be opened anew.
#[must_use]
pub fn nonce(keys: &ServerKeys, approval: Uuid, subject: &str, wrong_codes: u32) -> Option<String> {
    let mut random = [0_u8; 16];
    rand::rngs::OsRng.try_fill_bytes(&mut random).ok()?;
    let key = keys.current();
    let mac = nonce_mac(keys, key, &random, approval, subject, wrong_codes)?;
    let bytes = [key.as_slice(), &random, &mac].concat();
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether a nonce is one of [`nonce`] for the same approval, subject and count.
#[must_use]
pub fn nonce_is_good(
    keys: &ServerKeys,
    given: &str,
    approval: Uuid,
    subject: &str,
    wrong_codes: u32,
) -> bool {
    let check = || {
        let bytes = URL_SAFE_NO_PAD.decode(given).ok()?;
        let (key, rest) = bytes.split_at_checked(4)?;
        let (random, given) = rest.split_at_checked(16)?;
        let key: [u8; 4] = key.try_into().ok()?;
        let expected = nonce_mac(keys, key, random, approval, subject, wrong_codes)?;
        Some(bool::from(expected.as_slice().ct_eq(given)))
    };
    check().unwrap_or(false)
}

fn nonce_mac(
    keys: &ServerKeys,
    key: [u8; 4],
    random: &[u8],
    approval: Uuid,
    subject: &str,
    wrong_codes: u32,
) -> Option<[u8; 32]> {
    let parts: [&[u8]; 5] = [
        b"form nonce",
        random,
        approval.as_bytes(),
        subject.as_bytes(),
        &wrong_codes.to_be_bytes(),
    ];
    keys.mac(key, Purpose::Nonce, &parts)
}

const PREFIX: &str = "fxa_";
const VERSION: u8 = 1;
/// Version, key id, purpose, channel, approval, expiry.
const HEAD: usize = 1 + 4 + 1 + 1 + 16 + 8;
const CODE_LENGTH: usize = 6;
/// Crockford's base32: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> ServerKeys {
        ServerKeys::parse(&ServerKeys::generate_line().unwrap()).unwrap()
    }

    fn link() -> Link {
        Link {
            purpose: LinkPurpose::Page,
            channel: 0,
            approval: Uuid::now_v7(),
            expires_at: Timestamp::from_second(1_800_000_000).unwrap(),
        }
    }

    fn before() -> Timestamp {
        Timestamp::from_second(1_799_999_999).unwrap()
    }

    #[test]
    fn a_link_reads_back_until_it_ends() {
        let (keys, link) = (keys(), link());
        let text = link.sign(&keys);
        assert_eq!(Link::verify(&keys, &text, before()), Some(link));
        assert_eq!(Link::verify(&keys, &text, link.expires_at), None);
    }

    #[test]
    fn a_changed_or_foreign_link_is_none() {
        let (keys, link) = (keys(), link());
        let text = link.sign(&keys);
        let bytes = URL_SAFE_NO_PAD.decode(&text[PREFIX.len()..]).unwrap();
        for place in 0..bytes.len() {
            for bit in [1, 128] {
                let mut changed = bytes.clone();
                changed[place] ^= bit;
                let changed = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(changed));
                assert_eq!(
                    Link::verify(&keys, &changed, before()),
                    None,
                    "byte {place}"
                );
            }
        }
        for cut in 0..bytes.len() {
            let cut = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&bytes[..cut]));
            assert_eq!(Link::verify(&keys, &cut, before()), None);
        }
        assert_eq!(Link::verify(&keys, &format!("{text}="), before()), None);
        assert_eq!(Link::verify(&self::keys(), &text, before()), None);
    }

    #[test]
    fn purposes_do_not_pass_for_one_another() {
        let keys = keys();
        let texts = [LinkPurpose::Page, LinkPurpose::Approve, LinkPurpose::Deny].map(|purpose| {
            let link = Link { purpose, ..link() };
            (purpose, link.sign(&keys))
        });
        for (purpose, text) in texts {
            assert_eq!(
                Link::verify(&keys, &text, before()).map(|link| link.purpose),
                Some(purpose)
            );
        }
    }

    #[test]
    fn a_match_code_is_six_characters_that_people_can_type() {
        let keys = keys();
        let id = Uuid::now_v7();
        let code = match_code(&keys, keys.current(), id).unwrap();
        assert_eq!(code.len(), 6);
        assert_eq!(match_code(&keys, keys.current(), id).unwrap(), code);
        assert_ne!(
            match_code(&keys, keys.current(), Uuid::now_v7()).unwrap(),
            code
        );
        assert!(codes_match(&code, &code.to_lowercase()));
        assert!(codes_match(
            &code,
            &format!(" {}-{} ", &code[..3], &code[3..])
        ));
        assert!(!codes_match(&code, &code[..5]));
        assert!(!codes_match(&code, ""));
        assert!(codes_match("0A1B1C", "oaibLc"));
    }

    #[test]
    fn a_nonce_ends_with_a_wrong_code() {
        let keys = keys();
        let id = Uuid::now_v7();
        let good = nonce(&keys, id, "link", 0).unwrap();
        assert!(nonce_is_good(&keys, &good, id, "link", 0));
        assert!(!nonce_is_good(&keys, &good, id, "link", 1));
        assert!(!nonce_is_good(&keys, &good, id, "ann", 0));
        assert!(!nonce_is_good(&keys, &good, Uuid::now_v7(), "link", 0));
        assert!(!nonce_is_good(&keys, "", id, "link", 0));
    }
}

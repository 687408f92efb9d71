//! FIDO2 keys: making a credential, and asking for the secret that belongs to it and a salt.
//!
//! What is spoken is CTAP 2 ("Client to Authenticator Protocol 2.1", fidoalliance.org) over USB HID: reports in [`hid`], the
//! protection of PIN and secrets in [`protocol`], CBOR in [`message`]. The extension `hmac-secret` (section 12.5) gives 32
//! bytes that depend on the credential, the salt, and on whether the key verified its user, so it is verified
//! whenever the key can: by its own sensor, else by PIN.
//!
//! All of this waits for a device and a person, so it is called where it holds nobody up.

mod hid;
mod message;
mod protocol;

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use ciborium::Value;
use fnox_core::SecretString;
use rand::TryRngCore as _;
use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use self::hid::{Channel, NONCE, Waiting};
use self::message::{at, bytes_at, command, map, texts, under, whole};
use self::protocol::{Protocol, Shared};
use super::HidReports;

/// Bytes of a salt.
pub const SALT: usize = 32;
/// Bytes of the secret.
pub const SECRET: usize = 32;
/// Longest credential id that is sent to a key, in bytes: what fits in any key's messages.
pub const CREDENTIAL: usize = 1023;

const MAKE_CREDENTIAL: u8 = 0x01;
const GET_ASSERTION: u8 = 0x02;
const GET_INFO: u8 = 0x04;
const CLIENT_PIN: u8 = 0x06;

/// Subcommands of `authenticatorClientPIN` (section 6.5.5).
mod pin {
    pub(super) const RETRIES: i64 = 0x01;
    pub(super) const KEY_AGREEMENT: i64 = 0x02;
    pub(super) const TOKEN: i64 = 0x05;
    pub(super) const TOKEN_BY_SENSOR: i64 = 0x06;
    pub(super) const TOKEN_BY_PIN: i64 = 0x09;
}

/// Bytes of a PIN, as UTF-8 (section 6.5.1).
const PIN_BYTES: std::ops::RangeInclusive<usize> = 4..=63;
/// How long a key takes for what needs no person.
const AT_ONCE: Duration = Duration::from_secs(3);
const HMAC_SECRET: &str = "hmac-secret";
/// The flags in front of authenticator data ("Authenticator Data", Web Authentication).
const HAS_CREDENTIAL: u8 = 0x40;
const HAS_EXTENSIONS: u8 = 0x80;

/// Why a key gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The system could not talk to it.
    #[error("the key cannot be reached any more: {0}")]
    Broken(String),
    /// It said nothing.
    #[error("the key does not answer")]
    Silent,
    /// Another program talks to it.
    #[error("another program is using the key")]
    Busy,
    /// It said something that the protocol does not have.
    #[error("the key's answer is damaged")]
    Damaged,
    /// Nobody touched it.
    #[error("the key was not touched in time")]
    NotTouched,
    /// Whoever asked does not want the answer any more.
    #[error("nobody waits for the key any more")]
    Cancelled,
    /// It has no such credential.
    #[error("the key does not have this credential")]
    OtherKey,
    /// It has a credential that it must not have.
    #[error("the key has a credential of this provider already")]
    KnownKey,
    /// It cannot make the secrets that are needed.
    #[error("the key has no `hmac-secret`")]
    NotSupported,
    /// It has a PIN, and nobody can be asked.
    #[error("the key has a PIN, and nobody is at the terminal")]
    PinNeeded,
    /// The PIN is no PIN.
    #[error("a PIN has 4 to 63 bytes")]
    PinLength,
    /// The PIN is another; how many attempts are left, if the key says so.
    #[error("the PIN is wrong")]
    PinWrong(Option<u8>),
    /// Too many wrong PINs in a row; it wants to be plugged in again.
    #[error("the PIN was wrong too often")]
    PinPaused,
    /// No attempts are left.
    #[error("the PIN is blocked: no attempts are left")]
    PinBlocked,
    /// The sensor did not recognise anybody.
    #[error("the key did not recognise its user")]
    NotRecognised,
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
    /// Another status ("Status Codes", section 8.2).
    #[error("the key refused, with status {0:#04x}")]
    Refused(u8),
}

impl Failure {
    fn of_status(status: u8) -> Self {
        match status {
            0x27 | 0x2f | 0x3a => Self::NotTouched,
            0x2d => Self::Cancelled,
            0x19 => Self::KnownKey,
            0x2e => Self::OtherKey,
            0x31 => Self::PinWrong(None),
            0x32 => Self::PinBlocked,
            0x34 => Self::PinPaused,
            0x06 => Self::Busy,
            0x3c | 0x3f => Self::NotRecognised,
            other => Self::Refused(other),
        }
    }
}

/// The person at the key.
pub struct Person<'a> {
    /// Called when the key waits for a touch.
    pub touch: &'a dyn Fn(),
    /// The PIN.
    pub pin: &'a dyn Fn() -> Result<SecretString, Failure>,
    /// How long a touch is waited for.
    pub patience: Duration,
    /// Set when nobody waits any more.
    pub cancelled: &'a AtomicBool,
}

impl std::fmt::Debug for Person<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Person")
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl Person<'_> {
    fn wait(&self, time: Duration) -> Waiting<'_> {
        Waiting {
            until: Instant::now() + time,
            cancelled: self.cancelled,
            touch: self.touch,
        }
    }
}

/// What a key can do (`authenticatorGetInfo`, section 6.4).
#[derive(Debug, Clone, Copy)]
struct Abilities {
    /// It has a sensor that knows somebody.
    has_user: bool,
    has_pin: bool,
    /// Tokens have permissions.
    has_permissions: bool,
    protocol: Protocol,
}

impl Abilities {
    fn read(info: &Value) -> Self {
        let option = |name| {
            let options = at(info, 4)?;
            under(options, name)?.as_bool()
        };
        // In the order in which the key wants them; a key of CTAP 2.0 does not say, and has the first.
        let protocol = at(info, 6)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .find_map(|number| Protocol::parse(number.as_integer()?.into()));
        Self {
            has_user: option("uv").unwrap_or(false),
            has_pin: option("clientPin").unwrap_or(false),
            has_permissions: option("pinUvAuthToken").unwrap_or(false),
            protocol: protocol.unwrap_or(Protocol::One),
        }
    }
}

/// What a token is good for (section 6.5.5.7, "Permissions").
#[derive(Debug, Clone, Copy)]
enum Permission {
    MakeCredential = 0x01,
    GetAssertion = 0x02,
}

/// How the key knows its user.
enum Verified {
    Token(Zeroizing<Vec<u8>>),
    /// By its sensor, within the command.
    Within,
    /// It cannot.
    Not,
}

/// A key that speaks CTAP 2.
pub struct Authenticator<'a> {
    channel: Channel<'a>,
    abilities: Abilities,
    has_secrets: bool,
}

impl std::fmt::Debug for Authenticator<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Authenticator")
            .field("abilities", &self.abilities)
            .finish_non_exhaustive()
    }
}

impl<'a> Authenticator<'a> {
    /// Opens a key. `None`: it is older than CTAP 2.
    ///
    /// # Errors
    /// [`Failure`]
    pub fn open(
        port: &'a mut dyn HidReports,
        person: &Person<'_>,
    ) -> Result<Option<Self>, Failure> {
        let mut nonce = [0; NONCE];
        fill(&mut nonce)?;
        let wait = person.wait(AT_ONCE);
        let Some(mut channel) = Channel::open(port, nonce, &wait)? else {
            return Ok(None);
        };
        let answer = channel.cbor(&[GET_INFO], &wait)?;
        let info = contents(&answer)?;
        let extensions = at(&info, 2).and_then(Value::as_array);
        Ok(Some(Self {
            channel,
            abilities: Abilities::read(&info),
            has_secrets: extensions
                .into_iter()
                .flatten()
                .any(|name| name.as_text() == Some(HMAC_SECRET)),
        }))
    }

    /// Whether it has a credential; nobody has to touch it for that ("pre-flight", section 6.2.1). `None`: it does not say so
    /// before it knows its user.
    ///
    /// # Errors
    /// [`Failure`]
    pub fn has(
        &mut self,
        party: &str,
        credential: &[u8],
        person: &Person<'_>,
    ) -> Result<Option<bool>, Failure> {
        let parameters = map([
            (1, Value::from(party)),
            (2, Value::from(&[0; 32][..])),
            (3, descriptors(&[credential])),
            (5, texts([("up", Value::from(false))])),
        ]);
        let message = command(GET_ASSERTION, parameters, Vec::new())?;
        match self.ask(&message, &person.wait(AT_ONCE)) {
            Err(Failure::OtherKey) => Ok(Some(false)),
            Err(
                failure @ (Failure::Broken(_)
                | Failure::Silent
                | Failure::Busy
                | Failure::Damaged
                | Failure::Cancelled),
            ) => Err(failure),
            Ok(_) => Ok(Some(true)),
            Err(_) => Ok(None),
        }
    }

    /// The secret that belongs to a credential and a salt.
    ///
    /// # Errors
    /// [`Failure`]
    pub fn secret(
        &mut self,
        party: &str,
        credential: &[u8],
        salt: &[u8; SALT],
        person: &Person<'_>,
    ) -> Result<Zeroizing<[u8; SECRET]>, Failure> {
        let verified = self.verify(Permission::GetAssertion, party, person)?;
        let (shared, shown) = self.agree(person)?;
        let sealed = shared.encrypt(salt)?;
        let mut wanted = vec![
            (Value::from(1), shown),
            (Value::from(2), Value::from(sealed.as_slice())),
            (Value::from(3), Value::from(shared.authenticate(&sealed))),
        ];
        let protocol = self.abilities.protocol;
        if protocol != Protocol::One {
            wanted.push((Value::from(4), Value::from(protocol.number())));
        }
        let mut digest = [0; 32];
        fill(&mut digest)?;
        let parameters = map([
            (1, Value::from(party)),
            (2, Value::from(&digest[..])),
            (3, descriptors(&[credential])),
            (4, texts([(HMAC_SECRET, Value::Map(wanted))])),
        ]);
        let message = command(
            GET_ASSERTION,
            parameters,
            self.proof(&verified, &digest, [5, 6, 7], None),
        )?;
        let answer = self.ask(&message, &person.wait(person.patience))?;
        let data = bytes_at(&answer, 2).ok_or(Failure::Damaged)?;
        let extensions = extensions(data, party)?;
        let sealed = under(&extensions, HMAC_SECRET)
            .and_then(Value::as_bytes)
            .ok_or(Failure::NotSupported)?;
        let opened = shared.decrypt(sealed)?;
        let mut secret = Zeroizing::new([0; SECRET]);
        if opened.len() != SECRET {
            return Err(Failure::Damaged);
        }
        secret.copy_from_slice(&opened);
        Ok(secret)
    }

    /// Makes a credential that has secrets, and returns its id. The key keeps nothing of it. A key that has one of the `known`
    /// ones makes none.
    ///
    /// # Errors
    /// [`Failure`]
    pub fn create(
        &mut self,
        party: &str,
        known: &[&[u8]],
        person: &Person<'_>,
    ) -> Result<Vec<u8>, Failure> {
        if !self.has_secrets {
            return Err(Failure::NotSupported);
        }
        let verified = self.verify(Permission::MakeCredential, party, person)?;
        let (mut digest, mut user) = ([0; 32], [0; 32]);
        fill(&mut digest)?;
        fill(&mut user)?;
        // ES256, which every key has (COSE algorithm -7).
        let algorithm = texts([
            ("alg", Value::from(-7)),
            ("type", Value::from("public-key")),
        ]);
        let parameters = map([
            (1, Value::from(&digest[..])),
            (
                2,
                texts([("id", Value::from(party)), ("name", Value::from(party))]),
            ),
            (
                3,
                texts([
                    ("id", Value::from(&user[..])),
                    ("name", Value::from("fnox")),
                    ("displayName", Value::from("fnox")),
                ]),
            ),
            (4, Value::Array(vec![algorithm])),
        ]);
        let mut more = Vec::new();
        if !known.is_empty() {
            more.push((5, descriptors(known)));
        }
        more.push((6, texts([(HMAC_SECRET, Value::from(true))])));
        let stays = ("rk", Value::from(false));
        more.extend(self.proof(&verified, &digest, [7, 8, 9], Some(stays)));
        let message = command(MAKE_CREDENTIAL, parameters, more)?;
        let answer = self.ask(&message, &person.wait(person.patience))?;
        let data = bytes_at(&answer, 2).ok_or(Failure::Damaged)?;
        let granted = under(&extensions(data, party)?, HMAC_SECRET).and_then(Value::as_bool);
        if granted != Some(true) {
            return Err(Failure::NotSupported);
        }
        credential(data).map(<[u8]>::to_vec)
    }

    fn ask(&mut self, message: &[u8], wait: &Waiting<'_>) -> Result<Value, Failure> {
        contents(&self.channel.cbor(message, wait)?)
    }

    /// Agrees on keys for one command.
    fn agree(&mut self, person: &Person<'_>) -> Result<(Shared, Value), Failure> {
        let protocol = self.abilities.protocol;
        let parameters = map([
            (1, Value::from(protocol.number())),
            (2, Value::from(pin::KEY_AGREEMENT)),
        ]);
        let message = command(CLIENT_PIN, parameters, Vec::new())?;
        let answer = self.ask(&message, &person.wait(AT_ONCE))?;
        Shared::agree(protocol, at(&answer, 1).ok_or(Failure::Damaged)?)
    }

    fn verify(
        &mut self,
        permission: Permission,
        party: &str,
        person: &Person<'_>,
    ) -> Result<Verified, Failure> {
        let abilities = self.abilities;
        if abilities.has_user && !abilities.has_permissions {
            return Ok(Verified::Within);
        }
        if abilities.has_user {
            match self.token(pin::TOKEN_BY_SENSOR, None, permission, party, person) {
                Err(Failure::NotRecognised) if abilities.has_pin => {}
                token => return token.map(Verified::Token),
            }
        }
        if !abilities.has_pin {
            return Ok(Verified::Not);
        }
        let typed = (person.pin)()?;
        let normal = SecretString::new(typed.expose_secret().nfc().collect());
        if !PIN_BYTES.contains(&normal.len()) {
            return Err(Failure::PinLength);
        }
        let way = if abilities.has_permissions {
            pin::TOKEN_BY_PIN
        } else {
            pin::TOKEN
        };
        match self.token(way, Some(&normal), permission, party, person) {
            Err(Failure::PinWrong(_)) => Err(Failure::PinWrong(self.retries(person))),
            token => token.map(Verified::Token),
        }
    }

    /// A token for what one command needs.
    fn token(
        &mut self,
        way: i64,
        typed: Option<&SecretString>,
        permission: Permission,
        party: &str,
        person: &Person<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let (shared, shown) = self.agree(person)?;
        let parameters = map([
            (1, Value::from(self.abilities.protocol.number())),
            (2, Value::from(way)),
            (3, shown),
        ]);
        let mut more = Vec::new();
        if let Some(typed) = typed {
            let digest = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(
                typed.expose_secret().as_bytes(),
            )));
            more.push((6, Value::from(shared.encrypt(&digest[..16])?)));
        }
        if way != pin::TOKEN {
            more.push((9, Value::from(permission as i64)));
            more.push((10, Value::from(party)));
        }
        let message = command(CLIENT_PIN, parameters, more)?;
        let answer = self.ask(&message, &person.wait(person.patience))?;
        let token = shared.decrypt(bytes_at(&answer, 2).ok_or(Failure::Damaged)?)?;
        match token.len() {
            16 | 32 => Ok(token),
            _ => Err(Failure::Damaged),
        }
    }

    /// How many wrong PINs the key still takes.
    fn retries(&mut self, person: &Person<'_>) -> Option<u8> {
        let parameters = map([
            (1, Value::from(self.abilities.protocol.number())),
            (2, Value::from(pin::RETRIES)),
        ]);
        let message = command(CLIENT_PIN, parameters, Vec::new()).ok()?;
        let answer = self.ask(&message, &person.wait(AT_ONCE)).ok()?;
        let number = at(&answer, 3)?.as_integer()?;
        u8::try_from(number).ok()
    }

    /// Options, code and protocol, under the numbers that the command has for them.
    fn proof(
        &self,
        verified: &Verified,
        digest: &[u8; 32],
        [options, code, number]: [i64; 3],
        option: Option<(&str, Value)>,
    ) -> Vec<(i64, Value)> {
        let mut set: Vec<(Value, Value)> = option
            .into_iter()
            .map(|(name, value)| (Value::from(name), value))
            .collect();
        if matches!(verified, Verified::Within) {
            set.push((Value::from("uv"), Value::from(true)));
        }
        let mut more = Vec::new();
        if !set.is_empty() {
            more.push((options, Value::Map(set)));
        }
        if let Verified::Token(token) = verified {
            let protocol = self.abilities.protocol;
            more.push((code, Value::from(protocol.authenticate(token, digest))));
            more.push((number, Value::from(protocol.number())));
        }
        more
    }
}

/// `allowList` or `excludeList`.
fn descriptors(credentials: &[&[u8]]) -> Value {
    let descriptor = |credential: &&[u8]| {
        texts([
            ("id", Value::from(*credential)),
            ("type", Value::from("public-key")),
        ])
    };
    Value::Array(credentials.iter().map(descriptor).collect())
}

/// What comes behind a status that is no failure.
fn contents(answer: &[u8]) -> Result<Value, Failure> {
    match answer.split_first() {
        Some((0, contents)) => whole(contents),
        Some((status, _)) => Err(Failure::of_status(*status)),
        None => Err(Failure::Damaged),
    }
}

/// The extensions of authenticator data that belong to the party.
fn extensions(data: &[u8], party: &str) -> Result<Value, Failure> {
    let (head, mut rest) = data.split_at_checked(37).ok_or(Failure::Damaged)?;
    if head[..32] != Sha256::digest(party.as_bytes())[..] {
        return Err(Failure::Damaged);
    }
    let flags = head[32];
    if flags & HAS_CREDENTIAL != 0 {
        let id = credential(data)?;
        rest = rest.get(18 + id.len()..).ok_or(Failure::Damaged)?;
        // The public key.
        message::take(&mut rest)?;
    }
    if flags & HAS_EXTENSIONS == 0 {
        return Ok(Value::Map(Vec::new()));
    }
    whole(rest)
}

/// The id of the credential that authenticator data has: behind 37 bytes of head and 16 of the model's id.
fn credential(data: &[u8]) -> Result<&[u8], Failure> {
    let length = data.get(53..55).ok_or(Failure::Damaged)?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    data.get(55..55 + length)
        .filter(|id| (1..=CREDENTIAL).contains(&id.len()))
        .ok_or(Failure::Damaged)
}

fn fill(bytes: &mut [u8]) -> Result<(), Failure> {
    rand::rngs::OsRng
        .try_fill_bytes(bytes)
        .map_err(|_| Failure::NoRandomness)
}

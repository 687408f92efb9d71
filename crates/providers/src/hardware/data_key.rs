//! A key for a provider's values that any of several devices opens.
//!
//! The data key is random. `fnox.toml` has it once for each device, encrypted with what that device answers, so that a lost
//! device is no lost value. Everything here is XChaCha20-Poly1305 under [`fnox_core::seal`]'s associated data, which say what
//! it is and where it belongs:
//!
//! - the data key for one device: the provider's type and name, and the data key's id. With that of another provider, or
//!   after a change of the id, it does not open.
//! - a value: the data key's id, the profile and the secret's name, as in [`crate::envelope`].
//! - a former key, under the data key: the provider's type and name, and both ids. With it older values still open.
//!
//! A stored value is `fnox-hardware-v1:ID:SEALED:PROFILE`, where `ID` is the data key's id, 16 hexadecimal digits that are
//! derived from it, and `SEALED` is base64 of nonce, ciphertext and tag.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_core::seal::{Algorithm, Sealed, SealingKey as Sealing};
use fnox_core::{SecretBytes, SecretName, SecretString};
use zeroize::Zeroizing;

use super::sealing::{SealingKey, Unopened};

/// How a stored value begins.
const MAGIC: &str = "fnox-hardware-v1:";
/// How the former key of a provider with one device is written: its values name none.
const OWN: &str = "own";
const ALGORITHM: Algorithm = Algorithm::XChaCha20Poly1305;
/// For what a device's answer is used here, and nowhere else.
const PURPOSE: &str = "fnox data key v1";

/// Whose data key it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The provider's type.
    pub kind: &'static str,
    /// The provider's name.
    pub provider: String,
}

/// A data key.
pub struct DataKey(Sealing);

impl std::fmt::Debug for DataKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("DataKey").field(&self.id()).finish()
    }
}

impl DataKey {
    /// A new one. `None`: the system gives no randomness.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let key = Sealing::generate(String::new()).ok()?;
        Some(Self::of(key.expose_bytes().clone()))
    }

    fn of(bytes: Zeroizing<[u8; 32]>) -> Self {
        let named = Sealing::new(String::new(), bytes.clone()).derive(&["fnox data key: id"]);
        let id = hex::encode(&named.expose_bytes()[..8]);
        Self(Sealing::new(id, bytes))
    }

    /// Its id, which is not secret.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.id()
    }

    /// The data key for a device that answers this. `None`: the system gives no randomness.
    #[must_use]
    pub fn wrap(&self, answer: &[u8], place: &Place) -> Option<String> {
        let key = wrapping(answer)?;
        let parts = ["data key", place.kind, &place.provider, self.id()];
        seal(&key, &parts, self.0.expose_bytes().as_slice())
    }

    /// The data key of this id, from what [`Self::wrap`] made for a device that answers this.
    ///
    /// # Errors
    /// [`Unopened`]
    pub fn unwrap(wrapped: &str, answer: &[u8], place: &Place, id: &str) -> Result<Self, Unopened> {
        let key = wrapping(answer).ok_or(Unopened::WrongKey)?;
        let parts = ["data key", place.kind, &place.provider, id];
        let key = Self::of(bytes_of(&open(&key, &parts, wrapped)?)?);
        if key.id() == id {
            Ok(key)
        } else {
            Err(Unopened::WrongKey)
        }
    }

    /// Encrypts a value. `None`: the system gives no randomness.
    #[must_use]
    pub fn seal(&self, profile: &str, name: &SecretName, value: &SecretString) -> Option<String> {
        let id = self.id();
        let parts = ["value", id, profile, name.as_str()];
        let sealed = seal(&self.0, &parts, value.expose_secret().as_bytes())?;
        Some(format!("{MAGIC}{id}:{sealed}:{profile}"))
    }

    /// Decrypts a value that was stored for a secret.
    ///
    /// # Errors
    /// [`Unopened`]
    pub fn open(&self, stored: &Stored<'_>, name: &SecretName) -> Result<SecretBytes, Unopened> {
        let parts = ["value", stored.key, stored.profile, name.as_str()];
        open(&self.0, &parts, stored.sealed)
    }
}

/// A value as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'a> {
    /// The id of its data key.
    pub key: &'a str,
    /// The profile that it was stored for.
    pub profile: &'a str,
    sealed: &'a str,
}

impl<'a> Stored<'a> {
    /// Reads it. `None`: it is not of this form.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix(MAGIC)?.splitn(3, ':');
        Some(Self {
            key: parts.next()?,
            sealed: parts.next()?,
            profile: parts.next()?,
        })
    }
}

/// A provider's data key, and the keys that older values were encrypted with.
#[derive(Debug)]
pub struct DataKeys {
    current: DataKey,
    own: Option<SealingKey>,
    former: Vec<DataKey>,
}

impl DataKeys {
    /// The first data key of a provider that had one device.
    #[must_use]
    pub fn first(current: DataKey, own: SealingKey) -> Self {
        Self {
            current,
            own: Some(own),
            former: Vec::new(),
        }
    }

    /// A data key with the former ones that are stored beside it.
    ///
    /// # Errors
    /// [`Unopened`] for a former key that is not this provider's, or was changed.
    pub fn read(current: DataKey, stored: &[String], place: &Place) -> Result<Self, Unopened> {
        let (mut own, mut former) = (None, Vec::new());
        for text in stored {
            let (id, sealed) = text.split_once(':').ok_or(Unopened::NotSealed)?;
            let bytes = open(&current.0, &former_parts(place, current.id(), id), sealed)?;
            let bytes = bytes_of(&bytes)?;
            if id == OWN {
                own = Some(SealingKey(bytes));
            } else {
                former.push(DataKey::of(bytes));
            }
        }
        Ok(Self {
            current,
            own,
            former,
        })
    }

    /// A new data key, to which the one until now is a former one.
    #[must_use]
    pub fn rotated(self) -> Option<Self> {
        let Self {
            current,
            own,
            mut former,
        } = self;
        former.insert(0, current);
        Some(Self {
            current: DataKey::generate()?,
            own,
            former,
        })
    }

    /// The former keys as they are stored. `None`: the system gives no randomness.
    #[must_use]
    pub fn former_texts(&self, place: &Place) -> Option<Vec<String>> {
        let own = self.own.iter().map(|key| (OWN, &key.0));
        let former = self
            .former
            .iter()
            .map(|key| (key.id(), key.0.expose_bytes()));
        own.chain(former)
            .map(|(id, bytes)| {
                let parts = former_parts(place, self.current.id(), id);
                let sealed = seal(&self.current.0, &parts, bytes.as_slice())?;
                Some(format!("{id}:{sealed}"))
            })
            .collect()
    }

    /// The data key of today.
    #[must_use]
    pub fn current(&self) -> &DataKey {
        &self.current
    }

    /// The data key of an id.
    #[must_use]
    pub fn of_id(&self, id: &str) -> Option<&DataKey> {
        let mut all = std::iter::once(&self.current).chain(&self.former);
        all.find(|key| key.id() == id)
    }

    /// The key of values from when the provider had one device.
    #[must_use]
    pub fn own(&self) -> Option<&SealingKey> {
        self.own.as_ref()
    }
}

fn former_parts<'a>(place: &'a Place, current: &'a str, former: &'a str) -> [&'a str; 5] {
    ["former key", place.kind, &place.provider, current, former]
}

/// What a device's answer encrypts the data key with.
fn wrapping(answer: &[u8]) -> Option<Sealing> {
    let SealingKey(bytes) = SealingKey::derive(answer, PURPOSE)?;
    Some(Sealing::new("hardware".to_owned(), bytes))
}

fn seal(key: &Sealing, parts: &[&str], plaintext: &[u8]) -> Option<String> {
    let plaintext = SecretBytes::new(plaintext.to_vec());
    let sealed = key.seal_bytes(ALGORITHM, parts, &plaintext).ok()?;
    Some(BASE64.encode([sealed.nonce, sealed.ciphertext].concat()))
}

fn open(key: &Sealing, parts: &[&str], sealed: &str) -> Result<SecretBytes, Unopened> {
    let mut nonce = BASE64.decode(sealed).map_err(|_| Unopened::NotSealed)?;
    if nonce.len() < ALGORITHM.nonce_len() {
        return Err(Unopened::NotSealed);
    }
    let ciphertext = nonce.split_off(ALGORITHM.nonce_len());
    key.open_bytes(ALGORITHM, parts, &Sealed { nonce, ciphertext })
        .map_err(|_| Unopened::WrongKey)
}

fn bytes_of(key: &SecretBytes) -> Result<Zeroizing<[u8; 32]>, Unopened> {
    let mut bytes = Zeroizing::new([0; 32]);
    if key.expose_secret().len() != bytes.len() {
        return Err(Unopened::NotSealed);
    }
    bytes.copy_from_slice(key.expose_secret());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(provider: &str) -> Place {
        Place {
            kind: "fido2",
            provider: provider.to_owned(),
        }
    }

    fn name(text: &str) -> SecretName {
        SecretName::parse(text).unwrap()
    }

    fn changed(text: &str) -> Vec<String> {
        let at = |index: usize| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        };
        (0..text.len() - 4).step_by(7).map(at).collect()
    }

    #[test]
    fn each_device_opens_the_data_key_and_no_other_does() {
        let (here, key) = (place("k"), DataKey::generate().unwrap());
        let wrapped = [b"one", b"two"].map(|answer| key.wrap(answer, &here).unwrap());
        let unwrap = |which: usize, answer: &[u8], place: &Place, id: &str| {
            DataKey::unwrap(&wrapped[which], answer, place, id).map(|key| key.id().to_owned())
        };
        assert_eq!(unwrap(0, b"one", &here, key.id()).unwrap(), key.id());
        assert_eq!(unwrap(1, b"two", &here, key.id()).unwrap(), key.id());
        let other = Place {
            kind: "yubikey",
            ..here.clone()
        };
        for (which, answer, place, id) in [
            // Swapped between the devices.
            (0, b"two", &here, key.id()),
            (1, b"one", &here, key.id()),
            // Another device, another provider, another data key.
            (0, b"six", &here, key.id()),
            (0, b"one", &place("j"), key.id()),
            (0, b"one", &other, key.id()),
            (0, b"one", &here, "0011223344556677"),
        ] {
            let error = unwrap(which, answer, place, id).unwrap_err();
            assert_eq!(
                error,
                Unopened::WrongKey,
                "{which} {answer:?} {place:?} {id}"
            );
        }
        for text in changed(&wrapped[0]) {
            assert!(
                DataKey::unwrap(&text, b"one", &here, key.id()).is_err(),
                "{text}"
            );
        }
        for text in ["", "AAAA", "no base64"] {
            let error = DataKey::unwrap(text, b"one", &here, key.id()).unwrap_err();
            assert_eq!(error, Unopened::NotSealed, "{text}");
        }
    }

    #[test]
    fn a_value_opens_at_its_place_only() {
        let key = DataKey::generate().unwrap();
        let text = key
            .seal("dev:1", &name("A"), &SecretString::from("v\n"))
            .unwrap();
        let stored = Stored::parse(&text).unwrap();
        assert_eq!((stored.key, stored.profile), (key.id(), "dev:1"));
        let value = key.open(&stored, &name("A")).unwrap();
        assert_eq!(value.expose_secret(), b"v\n");
        let again = key
            .seal("dev:1", &name("A"), &SecretString::from("v\n"))
            .unwrap();
        assert_ne!(text, again, "a new nonce");
        let moved = Stored {
            profile: "prod",
            ..stored
        };
        let renamed = Stored { key: "0", ..stored };
        for (stored, secret) in [(stored, "B"), (moved, "A"), (renamed, "A")] {
            assert!(
                key.open(&stored, &name(secret)).is_err(),
                "{stored:?} {secret}"
            );
        }
        let other = DataKey::generate().unwrap();
        assert!(other.open(&stored, &name("A")).is_err());
        for text in changed(stored.sealed) {
            let stored = Stored {
                sealed: &text,
                ..stored
            };
            assert!(key.open(&stored, &name("A")).is_err(), "{text}");
        }
        for text in ["", "AAAA", "fnox-hardware-v1:", "fnox-hardware-v1:a:b"] {
            assert_eq!(Stored::parse(text), None, "{text}");
        }
    }

    #[test]
    fn former_keys_stay_readable_through_rotations_and_belong_to_their_provider() {
        let own = || SealingKey::derive(b"answer", "fnox-fido2-k").unwrap();
        let sealed = own().seal(b"old").unwrap();
        let mut keys = DataKeys::first(DataKey::generate().unwrap(), own());
        let mut values = Vec::new();
        for round in 0..3 {
            let value = SecretString::from(format!("v{round}"));
            values.push(keys.current().seal("default", &name("A"), &value).unwrap());
            keys = keys.rotated().unwrap();
        }
        let texts = keys.former_texts(&place("k")).unwrap();
        assert_eq!(texts.len(), 4);
        let copy = |key: &DataKey| DataKey::of(key.0.expose_bytes().clone());
        let read = DataKeys::read(copy(keys.current()), &texts, &place("k")).unwrap();
        assert_eq!(
            read.own().unwrap().open(&sealed).unwrap().expose_secret(),
            b"old"
        );
        for (round, text) in values.iter().enumerate() {
            let stored = Stored::parse(text).unwrap();
            let value = read.of_id(stored.key).unwrap().open(&stored, &name("A"));
            assert_eq!(
                value.unwrap().expose_secret(),
                format!("v{round}").as_bytes()
            );
        }
        assert!(DataKeys::read(copy(keys.current()), &texts, &place("j")).is_err());
        assert!(DataKeys::read(DataKey::generate().unwrap(), &texts, &place("k")).is_err());
        let relabelled = texts[1].replacen(':', "0:", 1);
        assert!(DataKeys::read(copy(keys.current()), &[relabelled], &place("k")).is_err());
        let none = DataKeys::read(copy(keys.current()), &[], &place("k")).unwrap();
        assert!(none.own().is_none() && none.of_id("0011223344556677").is_none());
    }

    #[test]
    fn what_is_shown_of_a_key_is_its_id() {
        let key = DataKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("DataKey(\"{}\")", key.id()));
        assert_eq!(key.id().len(), 16);
    }
}

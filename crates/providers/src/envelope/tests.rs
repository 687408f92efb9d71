use std::sync::Arc;

use fnox_config::Folders;
use fnox_core::Env;
use fnox_core::prompt::NoPrompt;

use super::*;
use crate::error::ErrorKind;

/// Wraps by putting the key's number and the place before the key.
struct Wrapper {
    key: u8,
    takes_context: bool,
}

impl Wrapper {
    fn head(&self, place: &Place) -> Vec<u8> {
        let mut head = vec![self.key];
        if self.takes_context {
            head.extend(place.associated_data());
        }
        head
    }
}

#[async_trait]
impl KeyService for Wrapper {
    fn kind(&self) -> &'static str {
        "aws-kms"
    }

    fn label(&self) -> &'static str {
        "AWS KMS"
    }

    fn key_name(&self) -> String {
        format!("key {}", self.key)
    }

    async fn new_key(&self, place: &Place) -> Result<(Key, Vec<u8>), ProviderError> {
        let key = random_key()?;
        let mut wrapped = self.head(place);
        wrapped.extend_from_slice(&*key);
        Ok((key, wrapped))
    }

    async fn unwrap_key(&self, wrapped: &[u8], place: &Place) -> Result<Key, ProviderError> {
        let rest = wrapped.strip_prefix(self.head(place).as_slice());
        let bytes: [u8; 32] = rest
            .and_then(|rest| rest.try_into().ok())
            .ok_or_else(|| not_for(&place.secret))?;
        Ok(Zeroizing::new(bytes))
    }

    /// What it encrypts itself is turned around, after a mark.
    async fn decrypt_direct(
        &self,
        ciphertext: &[u8],
        secret: &SecretName,
    ) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        let turned = ciphertext.strip_prefix(b"direct ");
        let turned = turned.ok_or_else(|| not_for(secret))?;
        Ok(Zeroizing::new(turned.iter().rev().copied().collect()))
    }
}

fn wrapper(takes_context: bool) -> Wrapper {
    Wrapper {
        key: 1,
        takes_context,
    }
}

fn profiles(profile: &str, stack: &[&str]) -> Profiles {
    let env = Env::default();
    let folders = Folders::from_env(&env);
    let mut context = Context::new(env, folders, Arc::new(NoPrompt));
    context.profile = profile.to_owned();
    context.profile_stack = stack.iter().map(|&it| it.to_owned()).collect();
    Profiles::of(&context)
}

fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

async fn stored(service: &Wrapper, profile: &str, value: &str) -> String {
    let values = [(name("A"), SecretString::from(value))];
    let mut stored = encrypt(service, &profiles(profile, &[]), &values)
        .await
        .unwrap();
    stored.remove(0)
}

async fn opened(
    service: &Wrapper,
    profiles: &Profiles,
    secret: &str,
    stored: &str,
) -> Result<String, ProviderError> {
    let request = Request {
        name: name(secret),
        reference: stored.to_owned(),
    };
    let mut answers = decrypt(service, profiles, &[request]).await;
    answers
        .remove(0)
        .map(|value| value.expose_secret().to_owned())
}

#[tokio::test]
async fn what_the_service_encrypted_itself_is_read() {
    let (service, here) = (wrapper(true), profiles("default", &[]));
    let opens = async |stored: &str| opened(&service, &here, "A", stored).await;
    assert_eq!(
        opens(&BASE64.encode(b"direct eulav")).await.unwrap(),
        "value"
    );
    for (stored, said) in [
        ("", "nothing that AWS KMS encrypted"),
        ("not base64", "nothing that AWS KMS encrypted"),
        ("/w==", "no value of `A`"),
        (&BASE64.encode(b"direct \xff"), "not UTF-8"),
    ] {
        let error = opens(stored).await.unwrap_err();
        assert!(error.message.contains(said), "{stored}: {error}");
    }
}

#[tokio::test]
async fn values_come_back_exactly_and_never_look_alike() {
    let service = wrapper(true);
    let here = profiles("default", &[]);
    for value in ["", " x \n", &"long\n".repeat(20_000)] {
        let one = stored(&service, "default", value).await;
        assert_ne!(one, stored(&service, "default", value).await);
        assert!(one.starts_with(MAGIC) && is_current("aws-kms", &service.key_name(), &one));
        assert_eq!(opened(&service, &here, "A", &one).await.unwrap(), value);
    }
}

#[tokio::test]
async fn a_value_opens_only_in_its_place() {
    for takes_context in [true, false] {
        let service = wrapper(takes_context);
        let prod = stored(&service, "prod", "v").await;
        let child = profiles("prod-eu", &["prod", "prod-eu"]);
        assert_eq!(opened(&service, &child, "A", &prod).await.unwrap(), "v");
        let error = opened(&service, &child, "B", &prod).await.unwrap_err();
        assert_eq!(error, not_for(&name("B")));
        let error = opened(&service, &profiles("dev", &["dev"]), "A", &prod).await;
        assert!(error.unwrap_err().message.contains("profile `prod`"));
        let renamed = prod.replace(":prod", ":dev");
        let error = opened(&service, &profiles("dev", &[]), "A", &renamed).await;
        assert_eq!(error.unwrap_err(), not_for(&name("A")));
        let base = stored(&service, "default", "v").await;
        assert_eq!(opened(&service, &child, "A", &base).await.unwrap(), "v");
    }
}

#[tokio::test]
async fn every_changed_byte_is_noticed() {
    let service = wrapper(true);
    let here = profiles("default", &[]);
    let whole = stored(&service, "default", "v").await;
    for at in 0..whole.len() {
        let mut bytes = whole.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        let error = opened(&service, &here, "A", &changed).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{at}: {error}");
        let cut = opened(&service, &here, "A", &whole[..at]).await;
        assert!(cut.is_err(), "{at}");
    }
}

#[tokio::test]
async fn another_key_is_known_by_its_hint() {
    let whole = stored(&wrapper(true), "default", "v").await;
    let other = Wrapper {
        key: 2,
        takes_context: true,
    };
    assert!(!is_current("aws-kms", &other.key_name(), &whole));
    assert!(!is_current("aws-kms", &other.key_name(), "AQICAHh="));
}

/// What is stored today stays readable: this value was written by the first version.
#[tokio::test]
async fn the_first_versions_values_stay_readable() {
    let service = Wrapper {
        key: 7,
        takes_context: true,
    };
    let here = profiles("default", &[]);
    let value = opened(&service, &here, "A", FIRST).await;
    assert_eq!(value.unwrap(), "kept\n");
}

const FIRST: &str = "fnox-envelope-v1:aws-kms:f8cae82fd551bd8f:B2Zub3gtZW52ZWxvcGUtdjEgNzpkZWZhdWx0IDE6QQgJ+cFybe1yjxlbr3SltpfuJEhYIEFp61vGBbgXk1do:3aXaNPYqzfsnrIK0En+M2zUadv3ExBNAycZhHtZSRky5:default";

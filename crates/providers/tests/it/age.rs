//! `age`, without any other program.

use std::sync::Arc;

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_core::SecretString;
use fnox_core::age::{Recipient, encrypt, generate};
use fnox_core::prompt::{NoPrompt, Prompt};
use fnox_providers::{ErrorKind, Provider, Registry};
use hkdf::Hkdf;
use sha2::Sha256;

use crate::conformance::{Backend, Checked, check};
use crate::kinds;
use crate::world::{World, named, pair, read};

/// Puts a key where one source looks for it, and returns the keys of the table that say so.
type Arrange = fn(&mut World, &Key) -> String;

struct Key {
    identity: String,
    recipient: String,
}

fn key() -> Key {
    let (identity, recipient) = generate();
    Key {
        identity: identity.expose_secret().to_owned(),
        recipient,
    }
}

fn keys(recipient: &str, more: &str) -> String {
    format!("type = \"age\"\nrecipients = [\"{recipient}\"]\n{more}")
}

fn plain_file(recipient: &str, value: &[u8]) -> Vec<u8> {
    let nobody: Arc<dyn Prompt> = Arc::new(NoPrompt);
    encrypt(&[Recipient::parse(recipient).unwrap()], value, &nobody).unwrap()
}

#[tokio::test]
pub(crate) async fn conforms_with_and_without_bound_names() -> Checked<kinds::Age> {
    let mut checked = None;
    for more in ["", "bind_names = true"] {
        let key = key();
        let mut world = World::new();
        world.set("FNOX_AGE_KEY", &key.identity);
        let provider = world.open(&keys(&key.recipient, more));
        let done = check(&Backend {
            kind: kinds::Age,
            provider: provider.as_ref(),
            existing: Vec::new(),
            state: &|| format!("{:?}", world.snapshot()).into_bytes(),
        })
        .await;
        checked = Some(done);
        let stored = provider.encrypt(&[pair("A", "v")]).await.unwrap();
        assert_eq!(provider.is_current(&stored[0]), Some(true));
    }
    checked.unwrap()
}

#[tokio::test]
async fn every_source_of_identities_is_used() {
    let key = key();
    let stored = STANDARD.encode(plain_file(&key.recipient, b"v"));
    let sources: [(&str, Arrange); 6] = [
        ("FNOX_AGE_KEY", |world, key| {
            world.set("FNOX_AGE_KEY", format!("# mine\n{}\n", key.identity));
            String::new()
        }),
        ("key_file", |world, key| {
            world.write("k.txt", &key.identity);
            "key_file = \"k.txt\"".to_owned()
        }),
        ("FNOX_AGE_KEY_FILE", |world, key| {
            let path = world.write("k.txt", &key.identity);
            world.set("FNOX_AGE_KEY_FILE", path.display().to_string());
            String::new()
        }),
        ("home", |world, key| {
            world.write("k.txt", &key.identity);
            world.set("FNOX_AGE_KEY_FILE", "~/k.txt");
            String::new()
        }),
        ("age.txt", |world, key| {
            world.write(".config/fnox/age.txt", &key.identity);
            String::new()
        }),
        ("identities.txt", |world, key| {
            world.write(".config/fnox/age/identities.txt", &key.identity);
            String::new()
        }),
    ];
    for (name, arrange) in sources {
        let mut world = World::new();
        let more = arrange(&mut world, &key);
        let provider = world.open(&keys(&key.recipient, &more));
        provider.check().await.unwrap();
        assert_eq!(
            read(provider.as_ref(), &stored).await.unwrap(),
            "v",
            "{name}"
        );
    }
    let world = World::new();
    let settings = world.settings(&keys(
        &key.recipient,
        "identity = { provider = \"p\", value = \"x\" }",
    ));
    let mut context = world.context();
    context.age_identity = Some(SecretString::from(key.identity.as_str()));
    let provider = Registry.open(&settings, &context).unwrap();
    assert_eq!(read(provider.as_ref(), &stored).await.unwrap(), "v");
    let mut context = world.context();
    context.age_identities_file = Some(world.write("global.txt", &key.identity));
    let provider = Registry
        .open(&world.settings("type = \"age\""), &context)
        .unwrap();
    assert_eq!(read(provider.as_ref(), &stored).await.unwrap(), "v");
}

#[tokio::test]
async fn a_failure_lists_each_source_with_its_own_reason() {
    let (own, other) = (key(), key());
    let mut world = World::new();
    world.write("wrong.txt", format!("# x\nhunter2 {}\n", own.identity));
    world.write(".config/fnox/age.txt", &other.identity);
    world.set("FNOX_AGE_KEY_FILE", "/nonexistent/key");
    let provider = world.open(&keys(&own.recipient, "key_file = \"wrong.txt\""));
    let stored = STANDARD.encode(plain_file(&own.recipient, b"v"));
    let error = read(provider.as_ref(), &stored).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    let home = world.path("");
    let shown = error.to_string().replace(home.to_str().unwrap(), "HOME/");
    insta::assert_snapshot!(shown, @r"
    no age identity opens the value
      - FNOX_AGE_KEY: not set
      - key_file HOME/wrong.txt: line 2 is no age identity
      - FNOX_AGE_KEY_FILE /nonexistent/key: does not exist
      - HOME/.config/fnox/age.txt: it is not encrypted to this identity
      - HOME/.config/fnox/age/identities.txt: does not exist
    ");
    let error = provider.check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert_eq!(error.attempts.len(), 2, "what is set and broken: {error}");

    let world = World::new();
    let error = read(world.open(&keys(&own.recipient, "")).as_ref(), &stored)
        .await
        .unwrap_err();
    assert_eq!(error.message, "there is no usable age identity");
    assert!(error.remedy.unwrap().contains(".config/fnox/age.txt"));
}

#[tokio::test]
async fn an_earlier_source_that_does_not_fit_is_passed_over() {
    let (own, other) = (key(), key());
    let mut world = World::new();
    world.set("FNOX_AGE_KEY", &other.identity);
    world.write(".config/fnox/age.txt", &own.identity);
    let provider = world.open(&keys(&own.recipient, ""));
    let mine = STANDARD.encode(plain_file(&own.recipient, b"mine"));
    let theirs = STANDARD.encode(plain_file(&other.recipient, b"theirs"));
    let answers = provider
        .get_many(&[named("A", &mine), named("B", &theirs)])
        .await;
    let shown: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.unwrap().expose_secret().to_owned())
        .collect();
    assert_eq!(shown, ["mine", "theirs"]);
}

#[tokio::test]
async fn malformed_values_are_the_configurations_fault_and_hurt_no_other() {
    let key = key();
    let mut world = World::new();
    world.set("FNOX_AGE_KEY", &key.identity);
    let provider = world.open(&keys(&key.recipient, ""));
    let good = STANDARD.encode(plain_file(&key.recipient, b"v"));
    let mut damaged = plain_file(&key.recipient, b"v");
    *damaged.last_mut().unwrap() ^= 1;
    let damaged = STANDARD.encode(damaged);
    let binary = STANDARD.encode(plain_file(&key.recipient, b"\xff\xfe"));
    for bad in [
        "",
        "not base64!",
        "aGVsbG8=",
        "fnox-age-batch-v1:x",
        "fnox-age-batch-v1:aGk=:aGk=",
        &damaged,
        &binary,
    ] {
        let answers = provider
            .get_many(&[named("A", bad), named("B", &good)])
            .await;
        let error = answers[0].as_ref().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{bad}: {error}");
        assert!(answers[1].is_ok());
    }
}

#[tokio::test]
async fn a_hundred_values_come_back_in_order() {
    let key = key();
    let mut world = World::new();
    world.set("FNOX_AGE_KEY", &key.identity);
    let provider = world.open(&keys(&key.recipient, ""));
    let values: Vec<_> = (0..100)
        .map(|n| pair(&format!("S{n}"), &format!("value {n}")))
        .collect();
    let stored = provider.encrypt(&values).await.unwrap();
    let requests: Vec<_> = values
        .iter()
        .zip(&stored)
        .map(|((name, _), stored)| named(name.as_str(), stored))
        .collect();
    for ((_, value), answer) in values.iter().zip(provider.get_many(&requests).await) {
        assert_eq!(answer.unwrap(), *value);
    }
}

/// As the established CLI writes it.
fn batch(recipient: &str, values: &[&str]) -> Vec<String> {
    let secret = [7u8; 32];
    let wrapped = plain_file(recipient, STANDARD.encode(secret).as_bytes());
    let mut derived = [0u8; 32];
    Hkdf::<Sha256>::new(None, &secret)
        .expand(b"fnox-age-batch-v1", &mut derived)
        .unwrap();
    let cipher = Aes256Gcm::new_from_slice(&derived).unwrap();
    values
        .iter()
        .enumerate()
        .map(|(index, value)| {
            let nonce = [u8::try_from(index).unwrap(); 12];
            let sealed = cipher
                .encrypt(Nonce::from_slice(&nonce), value.as_bytes())
                .unwrap();
            format!(
                "fnox-age-batch-v1:{}:{}",
                STANDARD.encode(&wrapped),
                STANDARD.encode([nonce.as_slice(), &sealed].concat())
            )
        })
        .collect()
}

#[tokio::test]
async fn the_batch_form_of_the_established_cli_is_read() {
    let key = key();
    let mut world = World::new();
    world.set("FNOX_AGE_KEY", &key.identity);
    let provider = world.open(&keys(&key.recipient, ""));
    let stored = batch(&key.recipient, &["one", "", "three\n"]);
    for (stored, value) in stored.iter().zip(["one", "", "three\n"]) {
        assert_eq!(read(provider.as_ref(), stored).await.unwrap(), value);
    }
    let mut damaged = stored[0].clone();
    damaged.truncate(damaged.len() - 4);
    let error = read(provider.as_ref(), &damaged).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
}

#[tokio::test]
async fn bound_values_cannot_be_swapped() {
    let key = key();
    let mut world = World::new();
    world.set("FNOX_AGE_KEY", &key.identity);
    let bound = keys(&key.recipient, "bind_names = true");
    let stored = world
        .open(&bound)
        .encrypt(&[pair("A", "a"), pair("B", "b")])
        .await
        .unwrap();
    // Also by a provider that no longer binds, and by reencrypt: a swap is never laundered.
    for provider in [world.open(&bound), world.open(&keys(&key.recipient, ""))] {
        let swapped = [named("A", &stored[1]), named("B", &stored[1])];
        for answers in [
            provider.get_many(&swapped).await,
            provider.get_to_reencrypt(&swapped).await,
        ] {
            let error = answers[0].as_ref().unwrap_err();
            assert_eq!(error.kind, ErrorKind::Misconfigured);
            assert_eq!(error.message, "the value was stored for `B`, not for `A`");
            assert_eq!(answers[1].as_ref().unwrap().expose_secret(), "b");
        }
    }
    world.profile = "prod".to_owned();
    let prod = world.open(&bound);
    assert_eq!(read(prod.as_ref(), &stored[0]).await.unwrap(), "a");
    let of_prod = prod.encrypt(&[pair("A", "p")]).await.unwrap();
    world.profile = "default".to_owned();
    let error = read(world.open(&bound).as_ref(), &of_prod[0])
        .await
        .unwrap_err();
    assert!(error.message.contains("profile `prod`"), "{error}");
}

#[tokio::test]
async fn unbound_values_are_refused_where_names_are_bound_but_can_be_reencrypted() {
    let key = key();
    let mut world = World::new();
    world.set("FNOX_AGE_KEY", &key.identity);
    let stored = world
        .open(&keys(&key.recipient, ""))
        .encrypt(&[pair("A", "v")])
        .await
        .unwrap();
    let binding = world.open(&keys(&key.recipient, "bind_names = true"));
    let error = read(binding.as_ref(), &stored[0]).await.unwrap_err();
    assert!(error.remedy.unwrap().contains("fnox reencrypt"));
    assert_eq!(binding.is_current(&stored[0]), Some(false));
    let again = binding.get_to_reencrypt(&[named("A", &stored[0])]).await;
    assert_eq!(again[0].as_ref().unwrap().expose_secret(), "v");
}

#[tokio::test]
async fn a_header_tells_whether_recipients_changed() {
    let (one, two) = (key(), key());
    let world = World::new();
    let provider = world.open(&keys(&one.recipient, ""));
    let marked = provider.encrypt(&[pair("A", "v")]).await.unwrap();
    assert_eq!(provider.is_current(&marked[0]), Some(true));
    let other = world.open(&keys(&two.recipient, ""));
    assert_eq!(other.is_current(&marked[0]), Some(false));
    let foreign = STANDARD.encode(plain_file(&one.recipient, b"v"));
    assert_eq!(other.is_current(&foreign), None, "X25519 is anonymous");
    let both = format!(
        "type = \"age\"\nrecipients = [\"{}\", \"{}\"]",
        one.recipient, two.recipient
    );
    assert_eq!(world.open(&both).is_current(&foreign), Some(false));
}

#[tokio::test]
async fn recipients_are_checked_when_they_are_needed() {
    let key = key();
    let mut world = World::new();
    world.set("FNOX_AGE_KEY", &key.identity);
    let stored = STANDARD.encode(plain_file(&key.recipient, b"v"));
    for recipients in ["[]", "[\"age1nonsense\"]"] {
        let provider = world.open(&format!("type = \"age\"\nrecipients = {recipients}"));
        assert_eq!(read(provider.as_ref(), &stored).await.unwrap(), "v");
        let error = provider.encrypt(&[pair("A", "v")]).await.unwrap_err();
        assert_eq!(error.key, Some("recipients"));
    }
    let mut context = world.context();
    context.age_recipients = vec![key.recipient.clone()];
    let provider = Registry
        .open(&world.settings("type = \"age\""), &context)
        .unwrap();
    assert!(provider.encrypt(&[pair("A", "v")]).await.is_ok());
}

#[tokio::test]
async fn armoured_values_are_read_encoded_or_not() {
    let key = key();
    let mut world = World::new();
    world.set("FNOX_AGE_KEY", &key.identity);
    let provider = world.open(&keys(&key.recipient, ""));
    let body = STANDARD.encode(plain_file(&key.recipient, b"v"));
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let armoured = format!(
        "-----BEGIN AGE ENCRYPTED FILE-----\n{}\n-----END AGE ENCRYPTED FILE-----\n",
        lines.join("\n")
    );
    for stored in [
        armoured.clone(),
        STANDARD.encode(&armoured),
        lines.join("\n  "),
    ] {
        assert_eq!(read(provider.as_ref(), &stored).await.unwrap(), "v");
    }
}

#[test]
fn debug_output_has_no_identity() {
    let key = key();
    let mut world = World::new();
    world.set("FNOX_AGE_KEY", &key.identity);
    let provider: Box<dyn Provider> = world.open(&keys(&key.recipient, ""));
    assert!(!format!("{provider:?}").contains("AGE-SECRET-KEY"));
}

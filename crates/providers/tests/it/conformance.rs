//! What every backend must do alike, by what it says it can do.
//!
//! Each backend's tests call [`check`] with a provider that is at work, and stand in [`kinds`](crate::kinds).

use std::marker::PhantomData;
use std::process::{ExitCode, Termination};

use fnox_config::spec::{Capability, ProviderSpec};
use fnox_core::{SecretName, SecretString};
use fnox_providers::{ErrorKind, Provider, Request};

use fnox_testkit::watched::watch;

use crate::world::{named, pair};

/// The type of a provider as one of Rust's, so that it is known before any test runs which test checks which.
pub(crate) trait Kind: Copy {
    /// Its name in `type`.
    const NAME: &'static str;

    fn name(self) -> &'static str {
        Self::NAME
    }
}

/// That a backend of this type was checked: nothing else makes one.
pub(crate) struct Checked<K>(PhantomData<K>);

impl<K> Termination for Checked<K> {
    fn report(self) -> ExitCode {
        ExitCode::SUCCESS
    }
}

/// A backend at work.
pub(crate) struct Backend<'a, K: Kind> {
    pub(crate) kind: K,
    pub(crate) provider: &'a dyn Provider,
    /// References that exist already, with their values. Needed where nothing can be stored.
    pub(crate) existing: Vec<(String, String)>,
    /// Everything the backend could have changed.
    pub(crate) state: &'a dyn Fn() -> Vec<u8>,
}

/// Values that come back exactly or not at all.
pub(crate) fn values() -> Vec<String> {
    let mut values: Vec<String> = [
        "plain",
        "ünïcödé 🔑",
        "two\nlines",
        "several\nlines\nwith an end\n",
        "\n\n leading and trailing \t ",
        "a=b#c 'd' \"e\" $F ${G} `h` \\i {{ op://x }} %s",
        "x\r\ny",
    ]
    .map(str::to_owned)
    .into();
    values.push("0123456789abcdef\n".repeat(4096));
    // `fnox set NAME ""` stores an empty text on purpose.
    values.push(String::new());
    // No operating system has a variable with U+0000 in it.
    values.push(('\u{1}'..='\u{1f}').chain(['\u{7f}']).collect());
    values
}

/// What a store that cannot hold the value says of it. `None`: it holds it.
fn refusal(kind: &str, value: &str) -> Option<&'static str> {
    let has_lower_limit = matches!(kind, "aws-ps" | "aws-sm" | "gcp-sm");
    (has_lower_limit && value.is_empty()).then_some("this value has 0")
}

/// Runs everything that fits the backend's capability.
pub(crate) async fn check<K: Kind>(backend: &Backend<'_, K>) -> Checked<K> {
    let capability = ProviderSpec::find(K::NAME).unwrap().capability;
    check_as(backend, capability).await;
    Checked(PhantomData)
}

/// The same for a backend that says itself what it can do.
pub(crate) async fn check_as<K: Kind>(backend: &Backend<'_, K>, capability: Capability) {
    let provider = backend.provider;
    assert!(provider.get_many(&[]).await.is_empty(), "nothing asked");
    changes_nothing(backend).await;
    match capability {
        Capability::EncryptsInConfig => encrypts(provider).await,
        Capability::StoresRemotely => stores(backend.kind.name(), provider).await,
        Capability::ReadsOnly => {
            assert!(!backend.existing.is_empty(), "something to read");
            let value = SecretString::from("v");
            unsupported(provider.put("a", &value).await.unwrap_err().kind);
            unsupported(provider.delete("a").await.unwrap_err().kind);
        }
    }
    if capability != Capability::EncryptsInConfig {
        unsupported(provider.encrypt(&[pair("A", "v")]).await.unwrap_err().kind);
        reads_in_order(provider, &backend.existing).await;
    }
}

fn unsupported(kind: ErrorKind) {
    assert_eq!(kind, ErrorKind::Misconfigured);
}

async fn changes_nothing<K: Kind>(backend: &Backend<'_, K>) {
    let before = (backend.state)();
    backend.provider.check().await.unwrap();
    assert_eq!((backend.state)(), before, "check changes nothing");
}

async fn encrypts(provider: &dyn Provider) {
    let pairs: Vec<(SecretName, SecretString)> = values()
        .iter()
        .enumerate()
        .map(|(index, value)| pair(&format!("S{index}"), value))
        .collect();
    let stored = provider.encrypt(&pairs).await.unwrap();
    assert_eq!(stored.len(), pairs.len());
    let mut requests: Vec<(Request, &SecretString)> = pairs
        .iter()
        .zip(&stored)
        .map(|((name, value), stored)| (named(name.as_str(), stored), value))
        .collect();
    requests.reverse();
    let questions: Vec<Request> = requests
        .iter()
        .map(|(request, _)| request.clone())
        .collect();
    let answers = provider.get_many(&questions).await;
    assert_eq!(answers.len(), questions.len());
    for ((_, value), answer) in requests.iter().zip(answers) {
        assert_eq!(
            answer.unwrap().expose_secret(),
            value.expose_secret(),
            "exactly"
        );
    }
    for stored in &stored {
        assert_ne!(provider.is_current(stored), Some(false), "just encrypted");
    }
    assert!(provider.encrypt(&[]).await.unwrap().is_empty());
    let value = SecretString::from("v");
    unsupported(provider.put("a", &value).await.unwrap_err().kind);
    unsupported(provider.delete("a").await.unwrap_err().kind);
}

/// A name that the store takes: those of clouds have few characters.
fn reference(kind: &str, index: usize) -> String {
    match kind {
        "aws-ps" | "aws-sm" => format!("conformance/{index}-x"),
        "azure-sm" | "gcp-sm" => format!("conformance-{index}-x"),
        "keeper-sm" => format!("Shop/custom_field/{index} x"),
        _ => format!("conformance/{index} x"),
    }
}

/// The largest value that the store takes, in bytes, where it has a limit.
fn limit(kind: &str) -> usize {
    match kind {
        "aws-ps" => 8192,
        "aws-sm" | "gcp-sm" => 65_536,
        "azure-sm" => 25_600,
        _ => usize::MAX,
    }
}

async fn stores(kind: &str, provider: &dyn Provider) {
    let mut kept = Vec::new();
    for (index, mut value) in values().into_iter().enumerate() {
        value.truncate(limit(kind));
        let reference = reference(kind, index);
        let secret = SecretString::from(value.as_str());
        let stored = provider.put(&reference, &secret).await;
        match refusal(kind, &value) {
            None => kept.push((stored.unwrap(), value)),
            Some(says) => {
                let error = stored.unwrap_err();
                assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
                assert!(error.message.contains(says), "{error}");
                let answers = provider.get_many(&[named("A", &reference)]).await;
                assert_eq!(answers[0].as_ref().unwrap_err().kind, ErrorKind::NotFound);
            }
        }
    }
    reads_in_order(provider, &kept).await;
    let (reference, _) = &kept[0];
    let other = SecretString::from("another");
    assert_eq!(&provider.put(reference, &other).await.unwrap(), reference);
    kept[0].1 = "another".to_owned();
    reads_in_order(provider, &kept[..1]).await;
    for (reference, _) in &kept {
        provider.delete(reference).await.unwrap();
        let error = provider.delete(reference).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
        let answers = provider.get_many(&[named("A", reference)]).await;
        assert_eq!(answers[0].as_ref().unwrap_err().kind, ErrorKind::NotFound);
    }
}

/// Backwards, twice, and with one that is not there in the middle.
async fn reads_in_order(provider: &dyn Provider, kept: &[(String, String)]) {
    let mut wanted: Vec<(String, Option<&str>)> = kept
        .iter()
        .rev()
        .chain(kept)
        .map(|(reference, value)| (reference.clone(), Some(value.as_str())))
        .collect();
    wanted.insert(wanted.len() / 2, ("absent-entry".to_owned(), None));
    let requests: Vec<Request> = wanted
        .iter()
        .map(|(reference, _)| named("A", reference))
        .collect();
    let answers = provider.get_many(&requests).await;
    assert_eq!(answers.len(), requests.len());
    for ((reference, value), answer) in wanted.iter().zip(answers) {
        match (value, answer) {
            (Some(value), Ok(answer)) => {
                watch(value);
                assert_eq!(answer.expose_secret(), *value, "{reference}");
            }
            (None, Err(error)) => assert_eq!(error.kind, ErrorKind::NotFound, "{error}"),
            (_, outcome) => panic!("{reference}: {outcome:?}"),
        }
    }
}

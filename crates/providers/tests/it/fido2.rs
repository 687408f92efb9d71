//! `fido2`, with a model of the key ([`crate::authenticator`]).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fnox_core::SecretString;
use fnox_core::prompt::{NoPrompt, Prompt};
use fnox_providers::backend::fido2::make_credential;
use fnox_providers::hardware::fido::{Authenticator, Failure, Person};
use fnox_providers::hardware::{FeatureReports, HidReports, NoKey, SecurityKeys};
use fnox_providers::{ErrorKind, Provider, ProviderError, Registry};

use crate::authenticator::{Manner, Model, Port};
use crate::conformance::{Backend, Checked, check};
use crate::kinds;
use crate::world::{World, pair, read, request};

const SALT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const PARTY: &str = "fnox.p";
const PIN: &str = "1234-pi\u{308}n";

// Computed apart from this code (Python's hmac and cryptography): the model's secret for its first credential and SALT,
// HKDF-SHA256 for "fnox-fido2-p", AES-256-GCM with the nonce 000102…0b.
const STORED_WITHOUT_USER: &str = "AAECAwQFBgcICQoLEm1WFz1IF5C/opZ5itCsAe818pGwexHDdn//XHQF6jz5";
const STORED_WITH_USER: &str = "AAECAwQFBgcICQoLJPyXOqZesF5t6qORR3TdazWLEM1+K1+CzjNjcEP/dygK";

#[derive(Debug)]
struct Plugged(Result<Vec<Port>, NoKey>);

impl SecurityKeys for Plugged {
    fn yubikeys(&self) -> Result<Vec<Box<dyn FeatureReports>>, NoKey> {
        Err(NoKey::Absent)
    }

    fn fido(&self) -> Result<Vec<Box<dyn HidReports>>, NoKey> {
        let ports = self.0.clone()?;
        Ok(ports
            .into_iter()
            .map(|port| Box::new(port) as Box<dyn HidReports>)
            .collect())
    }
}

/// Somebody at the terminal, who types one PIN and is told to touch the key.
#[derive(Debug)]
struct Holder {
    pin: &'static str,
    typed: AtomicUsize,
    told: AtomicUsize,
}

impl Prompt for Holder {
    fn message(&self, text: &str) {
        assert_eq!(text, "Touch your security key...");
        self.told.fetch_add(1, Ordering::SeqCst);
    }

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn text(&self, _: &str) -> Option<String> {
        None
    }

    fn secret(&self, question: &str) -> Option<SecretString> {
        assert_eq!(question, "PIN of the security key:");
        self.typed.fetch_add(1, Ordering::SeqCst);
        Some(SecretString::from(self.pin))
    }

    fn is_interactive(&self) -> bool {
        true
    }
}

struct Desk {
    world: World,
    holder: Arc<Holder>,
    plugged: Arc<Plugged>,
}

impl Desk {
    fn with(plugged: Result<Vec<Model>, NoKey>) -> Self {
        let holder = Arc::new(Holder {
            pin: PIN,
            typed: AtomicUsize::new(0),
            told: AtomicUsize::new(0),
        });
        let mut world = World::new();
        world.prompt = Arc::<Holder>::clone(&holder);
        let ports = plugged.map(|models| models.into_iter().map(Port::of).collect());
        Self {
            world,
            holder,
            plugged: Arc::new(Plugged(ports)),
        }
    }

    fn model(model: Model) -> Self {
        Self::with(Ok(vec![model]))
    }

    fn port(&self, number: usize) -> &Port {
        &self.plugged.0.as_ref().unwrap()[number]
    }

    fn context(&self) -> fnox_providers::Context {
        let mut context = self.world.context();
        context.keys = Arc::<Plugged>::clone(&self.plugged);
        context
    }

    fn open(&self, more: &str) -> Box<dyn Provider> {
        self.open_in(&self.context(), SALT, more)
    }

    fn open_in(
        &self,
        context: &fnox_providers::Context,
        salt: &str,
        more: &str,
    ) -> Box<dyn Provider> {
        let credential = hex::encode(Model::new().credential(1, PARTY));
        let keys = format!(
            "type = \"fido2\"\ncredential_id = \"{credential}\"\nsalt = \"{salt}\"\nrp_id = \"{PARTY}\"\n{more}"
        );
        Registry.open(&self.world.settings(&keys), context).unwrap()
    }

    async fn fails(&self) -> ProviderError {
        let error = read(self.open("").as_ref(), STORED_WITHOUT_USER)
            .await
            .unwrap_err();
        assert!(error.remedy.is_some(), "{error}");
        error
    }

    fn typed(&self) -> usize {
        self.holder.typed.load(Ordering::SeqCst)
    }
}

/// The key has its PIN in Unicode's composed form (CTAP 6.5.1), and the person types it in the other.
fn with_pin() -> Model {
    Model {
        pin: Some("1234-p\u{ef}n"),
        ..Model::new()
    }
}

#[tokio::test]
pub(crate) async fn conformance() -> Checked<kinds::Fido2> {
    let mut checked = None;
    for more in ["", "bind_names = true\n"] {
        let desk = Desk::model(Model::new());
        let provider = desk.open(more);
        let done = check(&Backend {
            kind: kinds::Fido2,
            provider: provider.as_ref(),
            existing: Vec::new(),
            state: &|| format!("{:?}", desk.world.snapshot()).into_bytes(),
        })
        .await;
        checked = Some(done);
        assert_eq!(desk.port(0).model().touches, 1, "one touch for all of it");
        assert_eq!(desk.holder.told.load(Ordering::SeqCst), 1);
        assert_eq!(desk.typed(), 0, "it has no PIN");
    }
    checked.unwrap()
}

#[tokio::test]
async fn openings_that_share_answers_ask_once_for_each_question() {
    let desk = Desk::model(with_pin());
    let context = desk.context();
    let touches = || desk.port(0).model().touches;
    let stored = desk
        .open_in(&context, SALT, "")
        .encrypt(&[pair("NAME", "value")])
        .await
        .unwrap();
    // As another command of the same run would open it, and another profile.
    for more in ["", "bind_names = true\n"] {
        let again = desk.open_in(&context, SALT, more);
        let request = fnox_providers::Request {
            name: fnox_core::SecretName::parse("NAME").unwrap(),
            reference: stored[0].clone(),
        };
        let value = again.get_to_reencrypt(&[request]).await.remove(0).unwrap();
        assert_eq!(value.expose_secret(), "value");
    }
    assert_eq!((touches(), desk.typed()), (1, 1));
    let other = SALT.replace("00", "99");
    let values = [pair("NAME", "value")];
    let provider = desk.open_in(&context, &other, "");
    provider.encrypt(&values).await.unwrap();
    assert_eq!(touches(), 2, "another salt is another question");
    desk.open("").encrypt(&values).await.unwrap();
    assert_eq!(touches(), 3, "what is not shared is asked for");
    assert_eq!(format!("{:?}", context.answers), "Answers([redacted])");
}

#[tokio::test]
async fn values_of_the_established_cli_open_in_every_way_to_verify_the_user() {
    let with_user = [
        ("PIN", with_pin()),
        (
            "PIN, protocol one",
            Model {
                protocols: vec![1],
                ..with_pin()
            },
        ),
        (
            "PIN, CTAP 2.0",
            Model {
                permissions: false,
                protocols: vec![1],
                ..with_pin()
            },
        ),
        (
            "sensor",
            Model {
                sensor: Some(true),
                ..with_pin()
            },
        ),
        (
            "sensor, CTAP 2.0",
            Model {
                sensor: Some(true),
                permissions: false,
                protocols: vec![1],
                ..Model::new()
            },
        ),
        (
            "sensor that knows nobody today, then PIN",
            Model {
                sensor: Some(false),
                ..with_pin()
            },
        ),
    ];
    let without = [("nothing", Model::new())];
    for (stored, models) in [
        (STORED_WITH_USER, Vec::from(with_user)),
        (STORED_WITHOUT_USER, Vec::from(without)),
    ] {
        for (way, model) in models {
            let desk = Desk::model(model);
            let provider = desk.open("");
            let answers = provider.get_many(&[stored, stored].map(request)).await;
            for answer in answers {
                let value = answer.unwrap_or_else(|error| panic!("{way}: {error}"));
                assert_eq!(value.expose_secret(), "stored elsewhere\n", "{way}");
            }
            assert_eq!(desk.typed(), usize::from(way.contains("PIN")), "{way}");
            let heard = &desk.port(0).model().heard;
            let is_there = heard.windows(5).any(|bytes| bytes == b"1234-");
            assert!(!is_there, "{way}: the PIN in clear");
        }
    }
}

#[tokio::test]
async fn a_pin_that_is_set_later_gives_another_secret() {
    let desk = Desk::model(with_pin());
    let error = desk.fails().await;
    assert!(
        error.message.contains("before the key had a PIN"),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_pin_says_how_many_attempts_are_left_and_is_tried_once() {
    let wrong = || Model {
        pin: Some("another"),
        ..Model::new()
    };
    let desk = Desk::model(wrong());
    for said in ["attempts that are left: 7", "attempts that are left: 6"] {
        let error = desk.fails().await;
        assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
        assert!(error.message.contains(said), "{error}");
        assert!(!error.to_string().contains(PIN));
    }
    // The third in a row needs the key to be plugged in again.
    for _ in 0..2 {
        let error = desk.fails().await;
        assert!(error.message.contains("wrong too often"), "{error}");
        assert!(error.remedy.unwrap().contains("plug it in again"));
    }
    assert_eq!(desk.port(0).model().retries, 5);
    let desk = Desk::model(Model {
        retries: 1,
        ..wrong()
    });
    for _ in 0..2 {
        let error = desk.fails().await;
        assert!(error.message.contains("blocked"), "{error}");
    }
    // What cannot be a PIN costs no attempt.
    let desk = Desk::model(with_pin());
    let provider = desk.open("pin = \"123\"\n");
    let error = read(provider.as_ref(), STORED_WITH_USER).await.unwrap_err();
    assert_eq!(error.key, Some("pin"));
    assert_eq!(desk.port(0).model().retries, 8);
}

#[tokio::test]
async fn a_key_that_does_not_answer_is_told_apart_by_why() {
    for (manner, kind, said) in [
        (
            Manner::GivesUp,
            ErrorKind::AuthenticationNeeded,
            "not touched in time",
        ),
        (Manner::PulledOut, ErrorKind::Unavailable, "No such device"),
        (
            Manner::LosesReports,
            ErrorKind::Unavailable,
            "does not answer",
        ),
        (Manner::Garbage, ErrorKind::Unavailable, "damaged"),
        (Manner::TooLong, ErrorKind::Unavailable, "damaged"),
        (Manner::Busy, ErrorKind::Unavailable, "another program"),
    ] {
        let desk = Desk::model(Model {
            manner,
            ..Model::new()
        });
        let error = desk.fails().await;
        assert_eq!(error.kind, kind, "{manner:?}: {error}");
        assert!(error.message.contains(said), "{manner:?}: {error}");
    }
}

#[tokio::test]
async fn of_two_keys_the_one_that_has_the_credential_is_touched() {
    let other = || Model {
        seed: [9; 32],
        ..Model::new()
    };
    for right in [0, 1] {
        let mut models = vec![other(), other()];
        models[right] = Model::new();
        let desk = Desk::with(Ok(models));
        let value = read(desk.open("").as_ref(), STORED_WITHOUT_USER).await;
        assert_eq!(value.unwrap(), "stored elsewhere\n");
        assert_eq!(desk.port(right).model().touches, 1);
        assert_eq!(desk.port(1 - right).model().touches, 0);
    }
    let desk = Desk::with(Ok(vec![other(), other()]));
    let error = desk.fails().await;
    assert!(
        error.message.contains("no key that is plugged in"),
        "{error}"
    );
    let error = make_credential(&desk.context(), PARTY, None).unwrap_err();
    assert!(error.message.contains("2 security keys"), "{error}");
}

#[tokio::test]
async fn without_a_key_or_without_a_person_it_says_what_to_do() {
    for (plugged, said) in [
        (NoKey::Absent, "no FIDO2 key"),
        (NoKey::Closed("Permission denied".to_owned()), "Permission"),
        (NoKey::NotBuilt, "cannot talk to hardware keys"),
    ] {
        let desk = Desk::with(Err(plugged));
        for error in [desk.open("").check().await.unwrap_err(), desk.fails().await] {
            assert!(error.message.contains(said), "{error}");
            assert!(error.remedy.is_some());
        }
    }
    let old = Model {
        speaks_cbor: false,
        ..Model::new()
    };
    let error = Desk::model(old).fails().await;
    assert!(error.message.contains("no FIDO2 key"), "{error}");
    let mut desk = Desk::model(with_pin());
    desk.world.prompt = Arc::new(NoPrompt);
    let error = desk.fails().await;
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert!(
        error
            .remedy
            .unwrap()
            .contains("pin = { secret = \"NAME\" }")
    );
    assert!(desk.port(0).model().heard.is_empty(), "it was not asked");
    let provider = desk.open(&format!("pin = \"{PIN}\"\n"));
    let value = read(provider.as_ref(), STORED_WITH_USER).await.unwrap();
    assert_eq!(value, "stored elsewhere\n");
}

#[tokio::test]
async fn a_new_credential_has_a_secret_and_stays_out_of_the_key() {
    for model in [Model::new(), with_pin()] {
        let desk = Desk::model(model);
        let id = make_credential(&desk.context(), PARTY, None).unwrap();
        assert_eq!(id, Model::new().credential(1, PARTY));
        assert_eq!(desk.port(0).model().touches, 1);
        let provider = desk.open("");
        let stored = provider.encrypt(&[pair("A", "v")]).await.unwrap();
        assert_eq!(read(provider.as_ref(), &stored[0]).await.unwrap(), "v");
    }
    let desk = Desk::model(Model {
        has_secrets: false,
        ..Model::new()
    });
    let error = make_credential(&desk.context(), PARTY, None).unwrap_err();
    assert!(error.message.contains("hmac-secret"), "{error}");
    assert_eq!(desk.port(0).model().touches, 0);
}

/// Runs against a key that waits for ever.
fn waiting(cancelled: &AtomicBool, patience: Duration) -> (Failure, usize, usize) {
    let mut port = Port::of(Model {
        manner: Manner::Waits,
        ..Model::new()
    });
    let kept = port.clone();
    let told = Mutex::new(0);
    let person = Person {
        touch: &|| {
            *told.lock().unwrap() += 1;
            if patience > Duration::from_secs(10) {
                cancelled.store(true, Ordering::SeqCst);
            }
        },
        pin: &|| Err(Failure::PinNeeded),
        patience,
        cancelled,
    };
    let mut key = Authenticator::open(&mut port, &person).unwrap().unwrap();
    let id = Model::new().credential(1, PARTY);
    let failure = key.secret(PARTY, &id, &[7; 32], &person).unwrap_err();
    let cancels = kept.model().cancels;
    (failure, told.into_inner().unwrap(), cancels)
}

#[test]
fn a_key_that_waits_too_long_or_for_nobody_is_cancelled_and_told_once() {
    let cancelled = AtomicBool::new(false);
    let late = waiting(&cancelled, Duration::from_millis(50));
    assert_eq!(late, (Failure::NotTouched, 1, 1));
    let gone = waiting(&cancelled, Duration::from_mins(10));
    assert_eq!(gone, (Failure::Cancelled, 1, 1));
}

#[tokio::test]
async fn a_bound_value_does_not_open_under_another_name() {
    let desk = Desk::model(Model::new());
    let bound = desk.open("bind_names = true\n");
    let stored = bound.encrypt(&[pair("OTHER", "v")]).await.unwrap();
    let error = read(bound.as_ref(), &stored[0]).await.unwrap_err();
    assert!(error.message.contains("stored for `OTHER`"), "{error}");
    let error = read(bound.as_ref(), STORED_WITHOUT_USER).await.unwrap_err();
    assert!(error.message.contains("not bound"), "{error}");
    let again = bound
        .get_to_reencrypt(&[request(STORED_WITHOUT_USER)])
        .await;
    assert_eq!(
        again[0].as_ref().unwrap().expose_secret(),
        "stored elsewhere\n"
    );
}

#[test]
fn wrong_keys_are_named() {
    let world = World::new();
    for (credential, salt, key) in [
        ("xyz", SALT, "credential_id"),
        ("00", "00", "salt"),
        ("00", &SALT[2..], "salt"),
        ("00", "zz", "salt"),
    ] {
        let keys = format!(
            "type = \"fido2\"\ncredential_id = \"{credential}\"\nsalt = \"{salt}\"\nrp_id = \"x\""
        );
        let error = world.try_open(&keys).unwrap_err();
        assert_eq!(error.key, Some(key), "{error}");
        assert!(error.remedy.unwrap().contains("provider add"));
    }
}

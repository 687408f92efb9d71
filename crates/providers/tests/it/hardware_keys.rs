//! Several hardware keys for one provider, with the models of [`crate::authenticator`] and [`crate::yubikey`].

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use fnox_core::SecretString;
use fnox_core::prompt::{NoPrompt, Prompt};
use fnox_providers::hardware::keys::{KeyTable, NewKey};
use fnox_providers::hardware::{FeatureReports, HidReports, NoKey, SecurityKeys};
use fnox_providers::{ErrorKind, Provider, ProviderError, Registry};

use crate::authenticator::{Model as FidoModel, Port as FidoPort};
use crate::conformance::{Backend, Checked, check};
use crate::kinds;
use crate::world::{World, named, pair, read, request};
use crate::yubikey::{Manner, Model, Port};

const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// What is plugged in, which changes.
#[derive(Debug, Default)]
struct Ports {
    fido: Mutex<Vec<FidoPort>>,
    yubikeys: Mutex<Vec<Port>>,
}

impl SecurityKeys for Ports {
    fn yubikeys(&self) -> Result<Vec<Box<dyn FeatureReports>>, NoKey> {
        let ports = self.yubikeys.lock().unwrap().clone();
        if ports.is_empty() {
            return Err(NoKey::Absent);
        }
        let boxed = |port| Box::new(port) as Box<dyn FeatureReports>;
        Ok(ports.into_iter().map(boxed).collect())
    }

    fn fido(&self) -> Result<Vec<Box<dyn HidReports>>, NoKey> {
        let ports = self.fido.lock().unwrap().clone();
        if ports.is_empty() {
            return Err(NoKey::Absent);
        }
        let boxed = |port| Box::new(port) as Box<dyn HidReports>;
        Ok(ports.into_iter().map(boxed).collect())
    }
}

type Change = Box<dyn Fn(&str, &Ports) + Send + Sync>;

/// Somebody who plugs in what is asked for.
struct Person {
    ports: Arc<Ports>,
    change: Change,
    asked: Mutex<Vec<String>>,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Person").finish_non_exhaustive()
    }
}

impl Prompt for Person {
    fn message(&self, _: &str) {}

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn text(&self, question: &str) -> Option<String> {
        self.asked.lock().unwrap().push(question.to_owned());
        (self.change)(question, &self.ports);
        Some(String::new())
    }

    fn secret(&self, _: &str) -> Option<SecretString> {
        None
    }

    fn is_interactive(&self) -> bool {
        true
    }
}

/// A provider's configuration, and the desk at which it is used.
struct Desk {
    world: World,
    ports: Arc<Ports>,
    person: Arc<Person>,
    kind: &'static str,
    table: String,
    keys: Vec<KeyTable>,
}

impl Desk {
    fn new(kind: &'static str, table: String, change: Change) -> Self {
        let ports = Arc::new(Ports::default());
        let person = Arc::new(Person {
            ports: Arc::clone(&ports),
            change,
            asked: Mutex::default(),
        });
        let mut world = World::new();
        world.prompt = Arc::<Person>::clone(&person);
        Self {
            world,
            ports,
            person,
            kind,
            table,
            keys: Vec::new(),
        }
    }

    fn fido(change: Change) -> Self {
        let credential = hex::encode(FidoModel::new().credential(1, "fnox.p"));
        let table =
            format!("credential_id = \"{credential}\"\nsalt = \"{HEX}\"\nrp_id = \"fnox.p\"\n");
        Self::new("fido2", table, change)
    }

    fn yubikey(change: Change) -> Self {
        let table = format!("challenge = \"{HEX}\"\nslot = \"2\"\n");
        Self::new("yubikey", table, change)
    }

    fn plug_fido(&self, ports: &[&FidoPort]) {
        *self.ports.fido.lock().unwrap() = ports.iter().map(|port| (*port).clone()).collect();
    }

    fn plug_yubikeys(&self, ports: &[&Port]) {
        *self.ports.yubikeys.lock().unwrap() = ports.iter().map(|port| (*port).clone()).collect();
    }

    fn config(&self, keys: &[KeyTable]) -> String {
        let mut text = format!("type = \"{}\"\n{}", self.kind, self.table);
        for key in keys {
            text.push_str("[[providers.p.keys]]\n");
            for (name, value) in key {
                writeln!(text, "{name} = \"{value}\"").unwrap();
            }
        }
        text
    }

    fn open(&self) -> Box<dyn Provider> {
        self.try_open(&self.config(&self.keys)).unwrap()
    }

    fn try_open(&self, config: &str) -> Result<Box<dyn Provider>, ProviderError> {
        let mut context = self.world.context();
        context.keys = Arc::<Ports>::clone(&self.ports);
        Registry.open(&self.world.settings(config), &context)
    }

    fn shared(&mut self, data_key: &str, former_keys: &[String]) {
        self.table = format!("data_key = \"{data_key}\"\nformer_keys = {former_keys:?}\n");
    }

    async fn add(&mut self, name: &str, slot: Option<&str>) -> Result<(), ProviderError> {
        let new = NewKey {
            name: name.to_owned(),
            first: "first".to_owned(),
            slot: slot.map(str::to_owned),
        };
        let added = self.open().hardware_keys().unwrap().add(&new).await?;
        let was_single = self.keys.is_empty();
        assert_eq!(added.moved.is_empty(), !was_single);
        self.shared(&added.data_key, &added.former_keys);
        self.keys.extend(added.tables);
        Ok(())
    }

    async fn rotate(&mut self, without: Option<usize>) -> Result<(), ProviderError> {
        let rotated = self.open().hardware_keys().unwrap().rotate(without).await?;
        self.shared(&rotated.data_key, &rotated.former_keys);
        for (index, wrapped) in rotated.wrapped {
            self.keys[index].last_mut().unwrap().1 = wrapped;
        }
        if let Some(index) = without {
            self.keys.remove(index);
        }
        Ok(())
    }

    async fn store(&self, value: &str) -> String {
        let stored = self.open().encrypt(&[pair("A", value)]).await.unwrap();
        stored[0].clone()
    }

    async fn reads(&self, stored: &str) -> String {
        read(self.open().as_ref(), stored).await.unwrap()
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.person.asked.lock().unwrap())
    }
}

fn fido(seed: u8) -> FidoPort {
    FidoPort::of(FidoModel {
        seed: [seed; 32],
        ..FidoModel::new()
    })
}

fn yubikey(secret: u8) -> Port {
    Port::of(Model {
        secret: [secret; 20],
        ..Model::new(Manner::Touched(2))
    })
}

fn nobody_asks() -> Change {
    Box::new(|question, _| panic!("{question}"))
}

#[tokio::test]
async fn each_of_two_fido2_keys_opens_old_and_new_values_with_one_touch() {
    let (first, second) = (FidoPort::of(FidoModel::new()), fido(9));
    let mut desk = Desk::fido(nobody_asks());
    desk.plug_fido(&[&first]);
    let old = desk.store("old").await;
    desk.plug_fido(&[&second, &first]);
    desk.add("second", None).await.unwrap();
    let new = desk.store("new").await;
    assert!(
        new.starts_with("fnox-hardware-v1:") && new.ends_with(":default"),
        "{new}"
    );
    let names: Vec<&str> = desk.keys.iter().map(|key| key[0].1.as_str()).collect();
    assert_eq!(names, ["first", "second"]);
    for port in [&first, &second] {
        desk.plug_fido(&[port]);
        let touches = port.model().touches;
        let provider = desk.open();
        let answers = provider.get_many(&[request(&old), request(&new)]).await;
        let values: Vec<String> = answers
            .into_iter()
            .map(|value| value.unwrap().expose_secret().to_owned())
            .collect();
        assert_eq!(values, ["old", "new"]);
        assert_eq!(port.model().touches, touches + 1);
        assert_eq!(provider.is_current(&old), Some(false));
        assert_eq!(provider.is_current(&new), Some(true));
        // What a third key opens, these opened.
        provider.check().await.unwrap();
    }
    desk.plug_fido(&[&fido(3)]);
    let error = read(desk.open().as_ref(), &new).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert!(error.message.contains("(first, second)"), "{error}");
}

#[tokio::test]
pub(crate) async fn conformance() -> Checked<kinds::Fido2> {
    let (first, second) = (FidoPort::of(FidoModel::new()), fido(9));
    let mut desk = Desk::fido(nobody_asks());
    desk.plug_fido(&[&first, &second]);
    desk.add("second", None).await.unwrap();
    let provider = desk.open();
    check(&Backend {
        kind: kinds::Fido2,
        provider: provider.as_ref(),
        existing: Vec::new(),
        state: &|| format!("{:?}", desk.world.snapshot()).into_bytes(),
    })
    .await
}

#[tokio::test]
async fn a_new_fido2_key_is_asked_for_and_must_be_another() {
    let (first, second) = (FidoPort::of(FidoModel::new()), fido(9));
    let plugged = second.clone();
    let mut desk = Desk::fido(Box::new(move |_, ports| {
        *ports.fido.lock().unwrap() = vec![plugged.clone()];
    }));
    desk.plug_fido(&[&first]);
    desk.add("second", None).await.unwrap();
    assert_eq!(
        desk.asked(),
        ["Plug in the new security key, and press Enter:"]
    );
    // Both are in; there is no third.
    desk.plug_fido(&[&first, &second]);
    let error = desk.add("third", None).await.unwrap_err();
    assert!(error.message.contains("already"), "{error}");
    assert_eq!(desk.keys.len(), 2);
    // Which of two new ones is meant is not known.
    desk.plug_fido(&[&first, &fido(3), &fido(4)]);
    let error = desk.add("third", None).await.unwrap_err();
    assert!(error.message.contains("2 security keys"), "{error}");
    desk.asked();
    // Nobody is there to plug one in.
    desk.world.prompt = Arc::new(NoPrompt);
    desk.table.push_str("pin = \"1234\"\n");
    desk.plug_fido(&[&first]);
    let error = desk.add("third", None).await.unwrap_err();
    assert!(
        error.message.contains("nobody is at the terminal"),
        "{error}"
    );
}

#[tokio::test]
async fn each_of_two_yubikeys_opens_with_one_touch_and_its_own_slot() {
    let (first, second) = (yubikey(1), yubikey(2));
    let third = Port::of(Model {
        secret: [3; 20],
        slot: 0x30,
        ..Model::new(Manner::Instant)
    });
    let plugged = second.clone();
    let mut desk = Desk::yubikey(Box::new(move |_, ports| {
        *ports.yubikeys.lock().unwrap() = vec![plugged.clone()];
    }));
    desk.plug_yubikeys(&[&first]);
    let old = desk.store("old").await;
    desk.add("second", None).await.unwrap();
    assert_eq!(
        desk.asked(),
        ["Plug in the new YubiKey instead, and press Enter:"]
    );
    // The one that is there already.
    let error = desk.add("again", None).await.unwrap_err();
    assert!(error.message.contains("already"), "{error}");
    desk.plug_yubikeys(&[&first, &third]);
    desk.add("third", Some("1")).await.unwrap();
    let new = desk.store("new").await;
    assert_eq!(desk.keys[2][2], ("slot", "1".to_owned()));
    for port in [&first, &second] {
        desk.plug_yubikeys(&[port]);
        let asked = port.asked();
        let answers = desk.open().get_many(&[request(&old), request(&new)]).await;
        assert_eq!(answers[0].as_ref().unwrap().expose_secret(), "old");
        assert_eq!(answers[1].as_ref().unwrap().expose_secret(), "new");
        assert_eq!(port.asked(), asked + 1, "one touch");
    }
    desk.plug_yubikeys(&[&third]);
    assert_eq!(desk.reads(&new).await, "new");
    desk.plug_yubikeys(&[&yubikey(4)]);
    let error = read(desk.open().as_ref(), &new).await.unwrap_err();
    assert!(error.message.contains("(first, second, third)"), "{error}");
}

#[tokio::test]
async fn after_a_rotation_the_removed_key_opens_nothing_new_and_the_others_everything() {
    let (first, second, third) = (FidoPort::of(FidoModel::new()), fido(9), fido(3));
    let plugged = third.clone();
    let mut desk = Desk::fido(Box::new(move |question, ports| {
        assert!(question.contains("`third`"), "{question}");
        ports.fido.lock().unwrap().push(plugged.clone());
    }));
    desk.plug_fido(&[&first]);
    let oldest = desk.store("oldest").await;
    for (name, port) in [("second", &second), ("third", &third)] {
        desk.plug_fido(&[&first, port]);
        desk.add(name, None).await.unwrap();
    }
    let old = desk.store("old").await;
    let before = desk.config(&desk.keys);
    // The first was lost; the third is plugged in when it is asked for.
    desk.plug_fido(&[&second]);
    desk.rotate(Some(0)).await.unwrap();
    assert_eq!(desk.asked().len(), 1);
    let new = desk.store("new").await;
    for port in [&second, &third] {
        desk.plug_fido(&[port]);
        for (stored, value) in [(&oldest, "oldest"), (&old, "old"), (&new, "new")] {
            assert_eq!(desk.reads(stored).await, value);
        }
        assert_eq!(desk.open().is_current(&old), Some(false));
    }
    desk.plug_fido(&[&first]);
    let error = read(desk.open().as_ref(), &new).await.unwrap_err();
    assert!(error.message.contains("(second, third)"), "{error}");
    // With the old file it knows the old data key, and no more.
    let with_old_file = desk.try_open(&before).unwrap();
    assert_eq!(read(with_old_file.as_ref(), &old).await.unwrap(), "old");
    let error = read(with_old_file.as_ref(), &new).await.unwrap_err();
    assert!(
        error.message.contains("which the provider does not have"),
        "{error}"
    );
}

#[tokio::test]
async fn yubikeys_are_asked_for_one_by_one_when_the_data_key_is_replaced() {
    let (first, second) = (yubikey(1), yubikey(2));
    let plugged = second.clone();
    let mut desk = Desk::yubikey(Box::new(move |_, ports| {
        *ports.yubikeys.lock().unwrap() = vec![plugged.clone()];
    }));
    desk.plug_yubikeys(&[&first]);
    desk.add("second", None).await.unwrap();
    desk.asked();
    desk.plug_yubikeys(&[&first]);
    let asked = [first.asked(), second.asked()];
    desk.rotate(None).await.unwrap();
    assert_eq!(
        desk.asked(),
        ["Plug in the YubiKey `second` alone, and press Enter:"]
    );
    assert_eq!(
        [first.asked(), second.asked()],
        asked.map(|count| count + 1)
    );
    let stored = desk.store("v").await;
    desk.plug_yubikeys(&[&first]);
    assert_eq!(desk.reads(&stored).await, "v");
}

#[tokio::test]
async fn what_was_changed_in_the_file_opens_nothing_and_says_so() {
    let (first, second) = (FidoPort::of(FidoModel::new()), fido(9));
    let mut desk = Desk::fido(nobody_asks());
    desk.plug_fido(&[&first, &second]);
    desk.add("second", None).await.unwrap();
    let stored = desk.store("v").await;
    desk.plug_fido(&[&first]);
    // What is wrapped for one key stands at the other.
    let mut swapped = desk.keys.clone();
    let (one, two) = (swapped[0][4].1.clone(), swapped[1][4].1.clone());
    (swapped[0][4].1, swapped[1][4].1) = (two, one);
    let other_id = desk
        .config(&desk.keys)
        .replacen("data_key = \"", "data_key = \"0", 1);
    let damaged = desk
        .config(&desk.keys)
        .replace("wrapped = \"", "wrapped = \"AAAA");
    for config in [desk.config(&swapped), other_id, damaged] {
        let provider = desk.try_open(&config).unwrap();
        let error = read(provider.as_ref(), &stored).await.unwrap_err();
        assert!(
            error.message.contains("opens the provider's data key"),
            "{error}"
        );
        assert!(error.remedy.unwrap().contains("history"));
        let error = provider.encrypt(&[pair("A", "v")]).await.unwrap_err();
        assert!(
            error.message.contains("opens the provider's data key"),
            "{error}"
        );
    }
    let former = desk.config(&desk.keys).replace("own:", "own:AAAA");
    let provider = desk.try_open(&former).unwrap();
    let error = read(provider.as_ref(), &stored).await.unwrap_err();
    assert_eq!(error.key, Some("former_keys"), "{error}");
    // A value of another secret, or of another profile.
    let provider = desk.open();
    let answers = provider.get_many(&[named("B", &stored)]).await;
    let error = answers[0].as_ref().unwrap_err();
    assert!(error.message.contains("no value of `B`"), "{error}");
    desk.world.profile = "prod".to_owned();
    let of_prod = desk.store("v").await;
    assert_eq!(desk.reads(&stored).await, "v", "the base's");
    desk.world.profile = "dev".to_owned();
    let error = read(desk.open().as_ref(), &of_prod).await.unwrap_err();
    assert!(error.message.contains("profile `prod`"), "{error}");
}

#[tokio::test]
async fn keys_that_make_no_sense_are_named() {
    let desk = Desk::fido(nobody_asks());
    let single = desk.config(&[]);
    let key = "[[providers.p.keys]]\nname = \"a\"\ncredential_id = \"00\"\nsalt = \"zz\"\nrp_id = \"x\"\nwrapped = \"AAAA\"\n";
    for (config, key, said) in [
        (format!("{single}{key}"), "credential_id", "`keys`"),
        (
            format!("{single}data_key = \"00\"\n"),
            "data_key",
            "needs the `keys`",
        ),
        (format!("type = \"fido2\"\n{key}"), "keys", "`data_key`"),
        (
            format!("type = \"fido2\"\ndata_key = \"00\"\n{key}"),
            "keys",
            "key `a`: `salt` must be",
        ),
        (
            "type = \"fido2\"\n".to_owned(),
            "credential_id",
            "hexadecimal",
        ),
    ] {
        let error = desk.try_open(&config).unwrap_err();
        assert_eq!(error.key, Some(key), "{error}");
        assert!(error.message.contains(said), "{error}");
        assert!(error.remedy.is_some(), "{error}");
    }
    let shared = "fnox-hardware-v1:0011223344556677:AAAA:default";
    let first = FidoPort::of(FidoModel::new());
    desk.plug_fido(&[&first]);
    let error = read(desk.open().as_ref(), shared).await.unwrap_err();
    assert!(error.message.contains("several keys"), "{error}");
    let error = desk.open().hardware_keys().unwrap().rotate(None).await;
    assert!(error.unwrap_err().message.contains("one key"));
}

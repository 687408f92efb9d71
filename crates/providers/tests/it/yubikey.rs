//! `yubikey`, with a model of the device.
//!
//! The model is the device's side of the OTP interface, bit for bit: frames of seven bytes a report with the flags and
//! numbers of "YubiKey Manual" §5, the frame check sequence of ISO/IEC 13239 over the challenge, the commands 0x30 and 0x38
//! of Yubico's .NET SDK User's Manual ("Challenge-response"), and HMAC-SHA1 (RFC 2104) of the challenge as the slot's
//! configuration has it: with `hmac-lt64`, "whatever is in the last byte of the challenge is used as end of input marker"
//! (ykpersonalize(1)).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use fnox_core::SecretString;
use fnox_core::prompt::{NoPrompt, Prompt};
use fnox_providers::hardware::otp::{self, NoAnswer, Slot};
use fnox_providers::hardware::{FeatureReports, HidReports, NoKey, SecurityKeys};
use fnox_providers::{ErrorKind, Provider, Registry};
use sha1::{Digest as _, Sha1};

use crate::conformance::{Backend, Checked, check};
use crate::kinds;
use crate::world::{World, pair, read, request};

const CHALLENGE: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

const STORED_ELSEWHERE: &str = "AAECAwQFBgcICQoLm5ChZ+kfwrsSWpiO7PEF/rduSoln9dIIGHzPjjzcGjlu";

/// What a device does wrong, or how it is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Instant,
    /// Answers after so many looks at it.
    Touched(usize),
    /// Nobody touches it: it gives up by itself.
    GivesUp,
    /// One bit of the answer is wrong.
    Damaged,
    /// Stops in the middle of the answer.
    Breaks,
    /// Never takes a report.
    Busy,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) slot: u8,
    pub(crate) secret: [u8; 20],
    pub(crate) short: bool,
    pub(crate) manner: Manner,
    pub(crate) frame: [u8; 70],
    pub(crate) pending: VecDeque<[u8; 8]>,
    pub(crate) is_writing: bool,
    pub(crate) touches: usize,
}

impl Model {
    pub(crate) fn new(manner: Manner) -> Self {
        Self {
            slot: 0x38,
            secret: *b"twenty bytes of key.",
            short: true,
            manner,
            frame: [0; 70],
            pending: VecDeque::new(),
            is_writing: false,
            touches: 0,
        }
    }

    fn hmac(&self, challenge: &[u8]) -> [u8; 20] {
        let mut input = challenge;
        if self.short {
            let marker = input[63];
            while let [rest @ .., last] = input
                && *last == marker
            {
                input = rest;
            }
        }
        let pad = |with: u8| {
            let mut block = [with; 64];
            for (byte, key) in block.iter_mut().zip(self.secret) {
                *byte ^= key;
            }
            block
        };
        let inner = Sha1::new().chain_update(pad(0x36)).chain_update(input);
        let outer = Sha1::new().chain_update(pad(0x5c));
        outer.chain_update(inner.finalize()).finalize().into()
    }

    /// A whole frame is here.
    fn obey(&mut self) {
        let sent = u16::from_le_bytes([self.frame[65], self.frame[66]]);
        assert_eq!(self.frame[67..], [0; 3], "filler");
        if otp::checksum(&self.frame[..64]) != sent || self.frame[64] != self.slot {
            return;
        }
        let mut answer = self.hmac(&self.frame[..64]).to_vec();
        answer.extend((!otp::checksum(&answer)).to_le_bytes());
        if self.manner == Manner::Damaged {
            answer[3] ^= 0x10;
        }
        let waits = match self.manner {
            Manner::Touched(looks) => looks,
            Manner::GivesUp => 3,
            _ => 0,
        };
        for left in (0..waits).rev() {
            self.pending
                .push_back([0, 0, 0, 0, 0, 0, 0, 0x20 | u8::try_from(left % 16).unwrap()]);
        }
        if self.manner == Manner::GivesUp {
            return;
        }
        answer.resize(28, 0);
        for (number, part) in (0..).zip(answer.chunks(7)) {
            let mut report = [0; 8];
            report[..7].copy_from_slice(part);
            report[7] = 0x40 | number;
            self.pending.push_back(report);
            if self.manner == Manner::Breaks && number == 1 {
                return;
            }
        }
        self.pending.push_back([0, 0, 0, 0, 0, 0, 0, 0x40]);
    }
}

/// The device at its port, which several runs may open.
#[derive(Debug, Clone)]
pub(crate) struct Port(Arc<Mutex<Model>>);

impl Port {
    pub(crate) fn of(model: Model) -> Self {
        Self(Arc::new(Mutex::new(model)))
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.0.lock().unwrap().touches
    }
}

impl FeatureReports for Port {
    fn send(&mut self, report: [u8; 8]) -> Result<(), String> {
        let mut model = self.0.lock().unwrap();
        if report[7] == 0x8f {
            model.pending.clear();
            model.is_writing = false;
            return Ok(());
        }
        assert_eq!(report[7] & 0x80, 0x80, "a report that is written says so");
        assert!(!model.is_writing, "it has not taken the last one yet");
        let number = usize::from(report[7] & 0x1f);
        assert!(number < 10);
        if number == 0 {
            model.frame = [0; 70];
            model.touches += 1;
        } else if number < 9 {
            assert_ne!(report[..7], [0; 7], "zeros are left out");
        }
        model.frame[number * 7..][..7].copy_from_slice(&report[..7]);
        model.is_writing = true;
        if number == 9 {
            model.obey();
        }
        Ok(())
    }

    fn fetch(&mut self) -> Result<[u8; 8], String> {
        let mut model = self.0.lock().unwrap();
        if model.manner == Manner::Busy || std::mem::take(&mut model.is_writing) {
            return Ok([0, 0, 0, 0, 0, 0, 0, 0x80]);
        }
        // Firmware 5.4.3, one configuration, its touch level; no flag.
        Ok(model
            .pending
            .pop_front()
            .unwrap_or([0, 5, 4, 3, 1, 0x0a, 0, 0]))
    }
}

#[derive(Debug)]
struct Plugged(Result<Vec<Port>, NoKey>);

impl SecurityKeys for Plugged {
    fn yubikeys(&self) -> Result<Vec<Box<dyn FeatureReports>>, NoKey> {
        let ports = self.0.clone()?;
        Ok(ports
            .into_iter()
            .map(|port| Box::new(port) as Box<dyn FeatureReports>)
            .collect())
    }

    fn fido(&self) -> Result<Vec<Box<dyn HidReports>>, NoKey> {
        Err(NoKey::Absent)
    }
}

/// Somebody at the terminal, who is told to touch the key.
#[derive(Debug, Default)]
struct Toucher(AtomicUsize);

impl Prompt for Toucher {
    fn message(&self, text: &str) {
        assert_eq!(text, "Tap your YubiKey...");
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn text(&self, _: &str) -> Option<String> {
        None
    }

    fn secret(&self, _: &str) -> Option<SecretString> {
        None
    }

    fn is_interactive(&self) -> bool {
        true
    }
}

struct Desk {
    world: World,
    toucher: Arc<Toucher>,
    plugged: Arc<Plugged>,
}

impl Desk {
    fn with(plugged: Result<Vec<Port>, NoKey>) -> Self {
        let toucher = Arc::new(Toucher::default());
        let mut world = World::new();
        world.prompt = Arc::<Toucher>::clone(&toucher);
        Self {
            world,
            toucher,
            plugged: Arc::new(Plugged(plugged)),
        }
    }

    fn model(model: Model) -> Self {
        Self::with(Ok(vec![Port::of(model)]))
    }

    fn open(&self, more: &str) -> Box<dyn Provider> {
        let keys = format!("type = \"yubikey\"\nchallenge = \"{CHALLENGE}\"\n{more}");
        let keys = if more.contains("slot") {
            keys
        } else {
            format!("{keys}slot = \"2\"\n")
        };
        let mut context = self.world.context();
        context.keys = Arc::<Plugged>::clone(&self.plugged);
        Registry
            .open(&self.world.settings(&keys), &context)
            .unwrap()
    }

    fn asked(&self) -> usize {
        self.plugged.0.as_ref().unwrap()[0]
            .0
            .lock()
            .unwrap()
            .touches
    }
}

#[tokio::test]
pub(crate) async fn conformance() -> Checked<kinds::YubiKey> {
    let mut checked = None;
    for more in ["", "bind_names = true\n"] {
        let desk = Desk::model(Model::new(Manner::Touched(4)));
        let provider = desk.open(more);
        let done = check(&Backend {
            kind: kinds::YubiKey,
            provider: provider.as_ref(),
            existing: Vec::new(),
            state: &|| format!("{:?}", desk.world.snapshot()).into_bytes(),
        })
        .await;
        checked = Some(done);
        assert_eq!(desk.asked(), 1, "one touch for all of it");
        assert_eq!(desk.toucher.0.load(Ordering::SeqCst), 1);
    }
    checked.unwrap()
}

#[tokio::test]
async fn a_value_of_the_established_cli_opens() {
    // Computed apart from this code (Python's hmac and cryptography): HMAC-SHA1 of the 32 bytes of the challenge by the
    // model's secret, HKDF-SHA256 for "fnox-yubikey-p", AES-256-GCM with the nonce 000102…0b.
    let desk = Desk::model(Model::new(Manner::Instant));
    let value = read(desk.open("").as_ref(), STORED_ELSEWHERE)
        .await
        .unwrap();
    assert_eq!(value, "stored elsewhere\n");
    assert_eq!(
        desk.toucher.0.load(Ordering::SeqCst),
        0,
        "no touch was wanted"
    );
}

#[tokio::test]
async fn another_key_or_a_changed_value_does_not_open_and_says_so() {
    let stored = {
        let desk = Desk::model(Model::new(Manner::Instant));
        let stored = desk.open("").encrypt(&[pair("A", "v")]).await.unwrap();
        stored[0].clone()
    };
    let mut other = Model::new(Manner::Instant);
    other.secret[0] ^= 1;
    let error = read(Desk::model(other).open("").as_ref(), &stored)
        .await
        .unwrap_err();
    assert!(error.message.contains("another key"), "{error}");
    let desk = Desk::model(Model::new(Manner::Instant));
    let provider = desk.open("");
    for (wrong, said) in [
        ("AAAA", "not one that this provider wrote"),
        ("not base64", "not one that this provider wrote"),
        (&stored.replace(&stored[20..22], "AB")[..], "another key"),
    ] {
        let error = read(provider.as_ref(), wrong).await.unwrap_err();
        assert!(error.message.contains(said), "{wrong}: {error}");
        assert!(error.remedy.is_some());
    }
}

#[tokio::test]
async fn a_bound_value_does_not_open_under_another_name() {
    let desk = Desk::model(Model::new(Manner::Instant));
    let bound = desk.open("bind_names = true\n");
    let stored = bound.encrypt(&[pair("OTHER", "v")]).await.unwrap();
    let error = read(bound.as_ref(), &stored[0]).await.unwrap_err();
    assert!(error.message.contains("stored for `OTHER`"), "{error}");
    let unbound = desk.open("").encrypt(&[pair("A", "v")]).await.unwrap();
    let error = read(bound.as_ref(), &unbound[0]).await.unwrap_err();
    assert!(error.message.contains("not bound"), "{error}");
    let again = bound.get_to_reencrypt(&[request(&unbound[0])]).await;
    assert_eq!(again[0].as_ref().unwrap().expose_secret(), "v");
}

#[tokio::test]
async fn a_device_that_does_not_answer_is_told_apart_by_why() {
    for (model, kind, said) in [
        (
            Model::new(Manner::GivesUp),
            ErrorKind::AuthenticationNeeded,
            "not touched in time",
        ),
        (
            Model::new(Manner::Damaged),
            ErrorKind::Unavailable,
            "damaged",
        ),
        (
            Model::new(Manner::Breaks),
            ErrorKind::Unavailable,
            "damaged",
        ),
        (Model::new(Manner::Busy), ErrorKind::Unavailable, "busy"),
        (
            Model {
                slot: 0x30,
                ..Model::new(Manner::Instant)
            },
            ErrorKind::Misconfigured,
            "slot 2 of the YubiKey answers no challenges",
        ),
    ] {
        let manner = model.manner;
        let desk = Desk::model(model);
        let error = read(desk.open("").as_ref(), "AAAA").await.unwrap_err();
        assert_eq!(error.kind, kind, "{manner:?}: {error}");
        assert!(error.message.contains(said), "{manner:?}: {error}");
        assert!(error.remedy.is_some(), "{manner:?}");
    }
}

#[tokio::test]
async fn without_a_key_or_without_a_person_it_says_what_to_do() {
    for (plugged, said) in [
        (NoKey::Absent, "no YubiKey"),
        (
            NoKey::Closed("Permission denied".to_owned()),
            "Permission denied",
        ),
        (NoKey::NotBuilt, "cannot talk to hardware keys"),
    ] {
        let desk = Desk::with(Err(plugged));
        let provider = desk.open("");
        for error in [
            provider.check().await.unwrap_err(),
            read(provider.as_ref(), "AAAA").await.unwrap_err(),
        ] {
            assert!(error.message.contains(said), "{error}");
            assert!(error.remedy.is_some());
        }
    }
    let two = [(); 2].map(|()| Port::of(Model::new(Manner::Instant)));
    let desk = Desk::with(Ok(two.to_vec()));
    let error = read(desk.open("").as_ref(), "AAAA").await.unwrap_err();
    assert!(error.message.contains("2 YubiKeys"), "{error}");
    assert_eq!(
        two.each_ref().map(Port::asked),
        [0, 0],
        "which is not known"
    );
    let mut desk = Desk::model(Model::new(Manner::Instant));
    desk.world.prompt = Arc::new(NoPrompt);
    let error = read(desk.open("").as_ref(), "AAAA").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert_eq!(desk.asked(), 0, "the device was not even asked");
}

#[tokio::test]
async fn the_first_slot_has_a_command_of_its_own_and_long_challenges_go_whole() {
    let model = Model {
        slot: 0x30,
        short: false,
        ..Model::new(Manner::Touched(2))
    };
    let challenge: Vec<u8> = (1..=64).collect();
    let wanted = model.hmac(&challenge);
    let mut port = Port::of(model);
    let answer = otp::hmac_sha1(&mut port, Slot::One, &challenge, &|| {})
        .await
        .unwrap();
    assert_eq!(*answer, wanted);
    let wrong = otp::hmac_sha1(&mut port, Slot::Two, &challenge, &|| {}).await;
    assert_eq!(wrong, Err(NoAnswer::NotConfigured(2)));
}

#[test]
fn wrong_keys_are_named() {
    let world = World::new();
    for (keys, said) in [
        ("challenge = \"xyz\"\nslot = \"2\"", "`challenge` must be"),
        ("challenge = \"00\"\nslot = \"3\"", "`slot` must be"),
    ] {
        let error = world
            .try_open(&format!("type = \"yubikey\"\n{keys}"))
            .unwrap_err();
        assert!(error.message.contains(said), "{error}");
    }
}

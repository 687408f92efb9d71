//! A model of a FIDO2 key, at the other end of the cable.
//!
//! It is the device's side of "Client to Authenticator Protocol 2.1" (fidoalliance.org, CTAP in what follows), bit for bit:
//! reports (section 11.2), canonical CBOR (section 8), `authenticatorGetInfo`, `ClientPIN`, `MakeCredential` and `GetAssertion`
//! (section 6), and the extension `hmac-secret` (section 12.5). What a host must not do fails the test that does it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fnox_providers::hardware::HidReports;
use sha2::{Digest as _, Sha256};

use crate::authenticator_cbor::Cbor::{self, Bool, Bytes, Int, Text};
use crate::authenticator_cbor::{array, map};
use crate::authenticator_pin::{Agreement, hmac};

const BROADCAST: [u8; 4] = [0xff; 4];
/// A wrong PIN costs one of eight attempts (CTAP 6.5.5.7.1), and three in a row need power again (6.5.1).
const RETRIES: u8 = 8;
const IN_A_ROW: u8 = 3;

/// What a device does wrong, or how it is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Touched after so many keep-alives.
    Touched(usize),
    /// Nobody touches it: it gives up by itself.
    GivesUp,
    /// Nobody touches it, and it waits for ever.
    Waits,
    /// It is pulled out while it waits.
    PulledOut,
    /// Its answers lack a report in the middle.
    LosesReports,
    /// Its answers are no CBOR.
    Garbage,
    /// Its answers say to be longer than any message.
    TooLong,
    /// Another program holds it.
    Busy,
}

/// A key.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) manner: Manner,
    /// What all its credentials come from.
    pub(crate) seed: [u8; 32],
    pub(crate) pin: Option<&'static str>,
    /// A sensor: whether it recognises its user.
    pub(crate) sensor: Option<bool>,
    /// Whether it has tokens with permissions, as CTAP 2.1.
    pub(crate) permissions: bool,
    pub(crate) protocols: Vec<i64>,
    pub(crate) has_secrets: bool,
    /// Whether it speaks CTAP 2.
    pub(crate) speaks_cbor: bool,
    pub(crate) retries: u8,
    pub(crate) touches: usize,
    pub(crate) cancels: usize,
    /// Every message as it came, to look for what must not be there.
    pub(crate) heard: Vec<u8>,
    /// What happens within, from power-up on.
    pub(crate) inside: Inside,
}

#[derive(Debug)]
pub(crate) struct Inside {
    in_a_row: u8,
    made: u8,
    agreement: Agreement,
    /// With its permissions.
    token: Option<([u8; 32], i64)>,
    channels: u32,
    message: Vec<u8>,
    wanted: usize,
    reports: VecDeque<[u8; 64]>,
    waits_on: Option<[u8; 4]>,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            manner: Manner::Touched(2),
            seed: *b"what all credentials come from..",
            pin: None,
            sensor: None,
            permissions: true,
            protocols: vec![2, 1],
            has_secrets: true,
            speaks_cbor: true,
            retries: RETRIES,
            touches: 0,
            cancels: 0,
            heard: Vec::new(),
            inside: Inside {
                in_a_row: 0,
                made: 0,
                agreement: Agreement::new(7),
                token: None,
                channels: 0,
                message: Vec::new(),
                wanted: 0,
                reports: VecDeque::new(),
                waits_on: None,
            },
        }
    }

    /// A credential that only this key knows: a number, and a code that binds it to the party.
    pub(crate) fn credential(&self, number: u8, party: &str) -> Vec<u8> {
        let mut id = vec![number; 16];
        let code = hmac(&self.seed, &[&id, party.as_bytes()].concat());
        id.extend(code);
        id
    }

    fn knows(&self, id: &[u8], party: &str) -> bool {
        id.first()
            .is_some_and(|number| self.credential(*number, party) == id)
    }

    /// `CredRandomWithUV` or `CredRandomWithoutUV` (CTAP 12.5).
    pub(crate) fn secret(&self, id: &[u8], verified: bool, salt: &[u8]) -> [u8; 32] {
        let random = hmac(&self.seed, &[id, &[u8::from(verified)]].concat());
        hmac(&random, salt)
    }

    fn report(&mut self, report: &[u8; 64]) {
        let channel = [report[0], report[1], report[2], report[3]];
        if report[4] & 0x80 == 0 {
            let had = self.inside.message.len();
            assert!(had < self.inside.wanted, "a message goes on that has ended");
            assert_eq!(
                usize::from(report[4]),
                (had - 57) / 59,
                "sequence numbers count from 0"
            );
            self.inside.message.extend(&report[5..]);
        } else {
            self.inside.wanted = usize::from(u16::from_be_bytes([report[5], report[6]]));
            self.inside.message = report[7..].to_vec();
            match report[4] & 0x7f {
                0x06 => return self.init(channel),
                0x11 => return self.cancel(channel),
                command => assert_eq!(command, 0x10, "CTAPHID_CBOR"),
            }
        }
        assert_ne!(channel, BROADCAST, "commands need a channel of their own");
        if self.inside.message.len() < self.inside.wanted {
            return;
        }
        self.inside.message.truncate(self.inside.wanted);
        let message = std::mem::take(&mut self.inside.message);
        self.heard.extend(&message);
        if self.manner == Manner::Busy {
            return self.send(channel, 0x3f, &[0x06]);
        }
        let (waits, answer) = self.obey(&message);
        let looks = match (waits, self.manner) {
            (false, _) => 0,
            (true, Manner::Waits | Manner::PulledOut) => {
                self.inside.waits_on = Some(channel);
                return;
            }
            (true, Manner::Touched(looks)) => looks,
            (true, _) => 2,
        };
        for look in 0..looks {
            // STATUS_PROCESSING, then STATUS_UPNEEDED.
            self.send(channel, 0x3b, &[if look == 0 { 1 } else { 2 }]);
        }
        if waits && self.manner == Manner::GivesUp {
            return self.send(channel, 0x10, &[0x2f]);
        }
        self.touches += usize::from(waits);
        let answer = answer.unwrap_or_else(|status| vec![status]);
        self.send(channel, 0x10, &answer);
    }

    fn init(&mut self, channel: [u8; 4]) {
        assert_eq!((channel, self.inside.wanted), (BROADCAST, 8));
        let mut stranger = vec![0xee; 8];
        let mut answer = self.inside.message[..8].to_vec();
        self.inside.channels += 1;
        for (answer, number) in [(&mut stranger, 0x5eed), (&mut answer, self.inside.channels)] {
            answer.extend(number.to_be_bytes());
            // Version 2 of the transport, version of the device, capabilities: CBOR, and no MSG.
            answer.extend([2, 5, 4, 3, if self.speaks_cbor { 0x0c } else { 0x00 }]);
            self.send(BROADCAST, 0x06, answer);
        }
    }

    fn cancel(&mut self, channel: [u8; 4]) {
        self.cancels += 1;
        if self.inside.waits_on.take() == Some(channel) {
            self.send(channel, 0x10, &[0x2d]);
        }
    }

    fn send(&mut self, channel: [u8; 4], command: u8, message: &[u8]) {
        // What others hear on their channels comes here too.
        let mut stranger = [0xaa; 64];
        stranger[..4].copy_from_slice(&[0, 0, 0x5e, 0xed]);
        self.inside.reports.push_back(stranger);
        let mut length = u16::try_from(message.len()).unwrap();
        if self.manner == Manner::TooLong && command == 0x10 {
            length = 7610;
        }
        let mut report = [0; 64];
        report[..4].copy_from_slice(&channel);
        report[4] = 0x80 | command;
        report[5..7].copy_from_slice(&length.to_be_bytes());
        let (first, rest) = message.split_at(message.len().min(57));
        report[7..7 + first.len()].copy_from_slice(first);
        self.inside.reports.push_back(report);
        for (number, part) in (0..).zip(rest.chunks(59)) {
            if self.manner == Manner::LosesReports && number == 0 {
                continue;
            }
            let mut report = [0; 64];
            report[..4].copy_from_slice(&channel);
            report[4] = number;
            report[5..5 + part.len()].copy_from_slice(part);
            self.inside.reports.push_back(report);
        }
    }

    /// Whether somebody has to touch it first, and the answer or its status.
    fn obey(&mut self, message: &[u8]) -> (bool, Result<Vec<u8>, u8>) {
        let (command, parameters) = message.split_first().unwrap();
        let parameters = Cbor::canonical(parameters);
        let mut waits = false;
        let answer = match command {
            0x01 => self.make_credential(&parameters, &mut waits),
            0x02 => self.get_assertion(&parameters, &mut waits),
            0x04 => Ok(self.info()),
            0x06 => self.client_pin(&parameters, &mut waits),
            other => panic!("command {other:#04x}"),
        };
        let answer = answer.map(|answer| {
            let mut bytes = vec![0];
            if self.manner == Manner::Garbage {
                bytes.extend([0xff; 9]);
            } else {
                answer.write(&mut bytes);
            }
            bytes
        });
        (waits, answer)
    }

    fn info(&self) -> Cbor {
        let mut options = vec![
            (Text("rk".into()), Bool(true)),
            (Text("up".into()), Bool(true)),
        ];
        if self.sensor.is_some() {
            options.push((Text("uv".into()), Bool(true)));
        }
        options.push((Text("clientPin".into()), Bool(self.pin.is_some())));
        if self.permissions {
            options.push((Text("pinUvAuthToken".into()), Bool(true)));
        }
        let extensions = if self.has_secrets {
            vec![Text("credProtect".into()), Text("hmac-secret".into())]
        } else {
            vec![Text("credProtect".into())]
        };
        let mut info = vec![
            (Int(1), array([Text("FIDO_2_0".into())])),
            (Int(2), Cbor::Array(extensions)),
            (Int(3), Bytes(vec![9; 16])),
            (Int(4), Cbor::Map(options)),
            (Int(5), Int(1200)),
        ];
        // A key of CTAP 2.0 has protocol one and does not say so.
        if self.permissions {
            let protocols = self.protocols.iter().map(|number| Int(*number));
            info.push((Int(6), Cbor::Array(protocols.collect())));
        }
        Cbor::Map(info)
    }

    fn client_pin(&mut self, wanted: &Cbor, waits: &mut bool) -> Result<Cbor, u8> {
        let protocol = wanted.int(1);
        assert!(self.protocols.contains(&protocol), "protocol {protocol}");
        match wanted.int(2) {
            0x01 => Ok(map([(3, Int(self.retries.into()))])),
            0x02 => Ok(map([(1, self.inside.agreement.shown())])),
            way => {
                let shared = self.inside.agreement.with(protocol, wanted.at(3));
                let permissions = if way == 0x05 {
                    assert!(!self.permissions, "permissions were offered");
                    0x03
                } else {
                    assert!(self.permissions, "permissions were not offered");
                    assert!(!wanted.text(10).is_empty(), "permissions are for a party");
                    wanted.int(9)
                };
                if way == 0x06 {
                    *waits = true;
                    if self.sensor != Some(true) {
                        return Err(0x3f);
                    }
                } else {
                    self.check_pin(&shared.decrypt(wanted.bytes(6)))?;
                }
                let token = hmac(&self.seed, b"token");
                self.inside.token = Some((token, permissions));
                Ok(map([(2, Bytes(shared.encrypt(&token)))]))
            }
        }
    }

    /// CTAP 6.5.5.7.1, steps 6 to 10.
    fn check_pin(&mut self, digest: &[u8]) -> Result<(), u8> {
        if self.retries == 0 {
            return Err(0x32);
        }
        if self.inside.in_a_row == IN_A_ROW {
            return Err(0x34);
        }
        self.retries -= 1;
        let own = Sha256::digest(self.pin.unwrap().as_bytes());
        if digest != &own[..16] {
            self.inside.in_a_row += 1;
            self.inside.agreement = Agreement::new(8 + self.inside.in_a_row);
            return Err(match (self.retries, self.inside.in_a_row) {
                (0, _) => 0x32,
                (_, IN_A_ROW) => 0x34,
                _ => 0x31,
            });
        }
        (self.retries, self.inside.in_a_row) = (RETRIES, 0);
        Ok(())
    }

    /// Whether the user is verified, by a token or within the command.
    fn verified(&self, wanted: &Cbor, code: i64, permission: i64) -> Result<bool, u8> {
        let within = wanted.find(if code == 8 { 7 } else { 5 });
        let within = within.and_then(|options| options.under("uv"));
        if within == Some(&Bool(true)) {
            assert!(
                self.sensor.is_some() && !self.permissions,
                "`uv` is deprecated"
            );
            return if self.sensor == Some(true) {
                Ok(true)
            } else {
                Err(0x3f)
            };
        }
        let Some(Bytes(proof)) = wanted.find(code) else {
            return Ok(false);
        };
        let (token, permissions) = self.inside.token.ok_or(0x33)?;
        let mut right = hmac(&token, wanted.bytes(if code == 8 { 1 } else { 2 })).to_vec();
        if wanted.int(code + 1) == 1 {
            right.truncate(16);
        }
        if *proof != right || permissions & permission == 0 {
            return Err(0x33);
        }
        Ok(true)
    }

    fn make_credential(&mut self, wanted: &Cbor, waits: &mut bool) -> Result<Cbor, u8> {
        assert_eq!(wanted.bytes(1).len(), 32);
        let party = wanted.at(2).under("id").unwrap().as_text().to_owned();
        let user = wanted.at(3).under("id").unwrap().as_bytes();
        assert!((1..=64).contains(&user.len()));
        let algorithm = map_of_algorithm();
        assert_eq!(*wanted.at(4), array([algorithm]));
        assert_eq!(wanted.at(6).under("hmac-secret"), Some(&Bool(true)));
        assert_eq!(wanted.at(7).under("rk"), Some(&Bool(false)));
        let verified = self.verified(wanted, 8, 0x01)?;
        if !verified && self.pin.is_some() {
            return Err(0x36);
        }
        *waits = true;
        if let Some(Cbor::Array(excluded)) = wanted.find(5) {
            let mut ids = excluded.iter().map(|it| it.under("id").unwrap().as_bytes());
            if ids.any(|id| self.knows(id, &party)) {
                return Err(0x19);
            }
        }
        self.inside.made += 1;
        let id = self.credential(self.inside.made, &party);
        let mut data = self.data(&party, verified, 0x40 | 0x80);
        data.extend([9; 16]);
        data.extend(u16::try_from(id.len()).unwrap().to_be_bytes());
        data.extend(id);
        self.inside.agreement.shown().write(&mut data);
        Cbor::Map(vec![(Text("hmac-secret".into()), Bool(true))]).write(&mut data);
        Ok(map([
            (1, Text("none".into())),
            (2, Bytes(data)),
            (3, Cbor::Map(Vec::new())),
        ]))
    }

    fn get_assertion(&mut self, wanted: &Cbor, waits: &mut bool) -> Result<Cbor, u8> {
        let party = wanted.text(1);
        assert_eq!(wanted.bytes(2).len(), 32);
        let Cbor::Array(allowed) = wanted.at(3) else {
            panic!("allowList");
        };
        let id = allowed[0].under("id").unwrap().as_bytes();
        assert_eq!(allowed[0].under("type"), Some(&Text("public-key".into())));
        let up = wanted.find(5).and_then(|options| options.under("up"));
        let verified = self.verified(wanted, 6, 0x02)?;
        if !self.knows(id, party) {
            return Err(0x2e);
        }
        let mut flags = 0;
        let mut extensions = Vec::new();
        if let Some(input) = wanted.find(4).and_then(|all| all.under("hmac-secret")) {
            let protocol = match input.find(4) {
                Some(number) => number.as_int(),
                None => 1,
            };
            let shared = self.inside.agreement.with(protocol, input.at(1));
            if shared.authenticate(input.bytes(2)) != input.bytes(3) {
                return Err(0x33);
            }
            let salt = shared.decrypt(input.bytes(2));
            assert_eq!(salt.len(), 32);
            let secret = self.secret(id, verified, &salt);
            flags = 0x80;
            let sealed = Bytes(shared.encrypt(&secret));
            Cbor::Map(vec![(Text("hmac-secret".into()), sealed)]).write(&mut extensions);
        }
        *waits = up != Some(&Bool(false));
        let mut data = self.data(party, verified, flags);
        data.extend(extensions);
        let descriptor = vec![
            (Text("id".into()), Bytes(id.to_vec())),
            (Text("type".into()), Text("public-key".into())),
        ];
        Ok(map([
            (1, Cbor::Map(descriptor)),
            (2, Bytes(data)),
            (3, Bytes(vec![0x30; 70])),
        ]))
    }

    /// Hash of the party, flags, counter.
    fn data(&self, party: &str, verified: bool, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(party.as_bytes()).to_vec();
        data.push(flags | 1 | if verified { 4 } else { 0 });
        data.extend([0, 0, 0, self.inside.made]);
        data
    }
}

/// `{"alg": -7, "type": "public-key"}`
fn map_of_algorithm() -> Cbor {
    Cbor::Map(vec![
        (Text("alg".into()), Int(-7)),
        (Text("type".into()), Text("public-key".into())),
    ])
}

/// The key at its port, which several runs may open.
#[derive(Debug, Clone)]
pub(crate) struct Port(Arc<Mutex<Model>>);

impl Port {
    pub(crate) fn of(model: Model) -> Self {
        Self(Arc::new(Mutex::new(model)))
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.0.lock().unwrap()
    }
}

impl HidReports for Port {
    fn send(&mut self, report: &[u8; 64]) -> Result<(), String> {
        self.model().report(report);
        Ok(())
    }

    fn receive(&mut self, _: Duration) -> Result<Option<[u8; 64]>, String> {
        let mut model = self.model();
        if let Some(channel) = model.inside.waits_on
            && model.inside.reports.is_empty()
        {
            if model.manner == Manner::PulledOut {
                return Err("No such device".to_owned());
            }
            model.send(channel, 0x3b, &[2]);
        }
        Ok(model.inside.reports.pop_front())
    }
}

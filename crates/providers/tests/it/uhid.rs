//! The model of a FIDO2 key as a device of this machine, by Linux's `/dev/uhid` (Documentation/hid/uhid.rst).
//!
//! `scripts/test-fido2` runs this test in a guest, where the real program then finds `/dev/hidraw0`. It plugs in one key for each
//! number in `FNOX_TEST_UHID`, prints a line for each touch that one waited for, and takes it out when the file of the same number
//! is in the working directory.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::time::Duration;

use fnox_core::Env;
use fnox_providers::hardware::HidReports as _;

use crate::authenticator::{Model, Port};

const DESTROY: u32 = 1;
const OUTPUT: u32 = 6;
const GET_REPORT: u32 = 9;
const GET_REPORT_REPLY: u32 = 10;
const CREATE2: u32 = 11;
const INPUT2: u32 = 12;
const SET_REPORT: u32 = 13;
const SET_REPORT_REPLY: u32 = 14;
/// `struct uhid_event`: its number, and the largest of its parts, that of `UHID_CREATE2`.
const EVENT: usize = 4 + 128 + 64 + 64 + 2 + 2 + 4 * 4 + DATA;
/// Room for a report or a descriptor.
const DATA: usize = 4096;
/// USB, as the kernel counts buses.
const BUS: u16 = 3;

/// Usage page and usage of FIDO, one report of 64 bytes in and one out (CTAP 2.1, section 11.2.8.1).
const DESCRIPTOR: [u8; 34] = [
    0x06, 0xd0, 0xf1, 0x09, 0x01, 0xa1, 0x01, 0x09, 0x20, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08,
    0x95, 0x40, 0x81, 0x02, 0x09, 0x21, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x91,
    0x02, 0xc0,
];

/// What all of them have, so that one provider can have several with one PIN in its table.
const PIN: &str = "12345678";

fn event(kind: u32) -> Vec<u8> {
    kind.to_ne_bytes().to_vec()
}

fn padded(text: &str, length: usize) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(length, 0);
    bytes
}

fn plug_in(device: &mut File, number: u8) {
    let mut create = event(CREATE2);
    create.extend(padded(&format!("fnox software key {number}"), 128));
    create.extend(padded("", 64));
    create.extend(padded(&number.to_string(), 64));
    create.extend(u16::try_from(DESCRIPTOR.len()).unwrap().to_ne_bytes());
    create.extend(BUS.to_ne_bytes());
    // Vendor and product of no product, version, country.
    for word in [0xf000_u32, u32::from(number), 0, 0] {
        create.extend(word.to_ne_bytes());
    }
    create.extend(DESCRIPTOR);
    device.write_all(&create).unwrap();
}

/// What the kernel says, until the device is gone.
fn serve(mut device: File, number: u8) {
    let mut port = Port::of(Model {
        seed: [number; 32],
        pin: Some(PIN),
        ..Model::new()
    });
    let mut buffer = vec![0; EVENT];
    let mut touches = 0;
    loop {
        let count = device.read(&mut buffer).unwrap();
        assert!(count >= 4);
        let word = |at: usize| {
            let bytes: [u8; 4] = buffer[at..at + 4].try_into().unwrap();
            u32::from_ne_bytes(bytes)
        };
        match word(0) {
            OUTPUT => {
                let size = u16::from_ne_bytes([buffer[4 + DATA], buffer[5 + DATA]]);
                // The number of the report comes first, as there is one alone: zero.
                let from = 4 + usize::from(size).checked_sub(64).unwrap();
                let report: [u8; 64] = buffer[from..from + 64].try_into().unwrap();
                port.send(&report).unwrap();
                // Before the answer leaves, so that whoever has the answer finds the line.
                let now = port.model().touches;
                for _ in touches..now {
                    println!("KEY-TOUCHED {number}");
                }
                touches = now;
                while let Some(answer) = port.receive(Duration::ZERO).unwrap() {
                    let mut input = event(INPUT2);
                    input.extend(64_u16.to_ne_bytes());
                    input.extend(answer);
                    device.write_all(&input).unwrap();
                }
            }
            // It has no feature reports: EIO.
            kind @ (GET_REPORT | SET_REPORT) => {
                let reply = if kind == GET_REPORT {
                    GET_REPORT_REPLY
                } else {
                    SET_REPORT_REPLY
                };
                let mut answer = event(reply);
                answer.extend(word(4).to_ne_bytes());
                answer.extend(5_u16.to_ne_bytes());
                device.write_all(&answer).unwrap();
            }
            // It is started, opened, closed, stopped.
            _ => {}
        }
    }
}

#[test]
fn software_keys_are_plugged_in_where_a_guest_asks_for_them() {
    let Some(numbers) = Env::of_process().var("FNOX_TEST_UHID").map(str::to_owned) else {
        eprintln!("left out: keys on /dev/uhid: FNOX_TEST_UHID names none");
        return;
    };
    let mut plugged = Vec::new();
    for number in numbers.split(',') {
        let number: u8 = number.parse().unwrap();
        let mut device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/uhid")
            .unwrap();
        plug_in(&mut device, number);
        let other = device.try_clone().unwrap();
        std::thread::spawn(move || serve(other, number));
        plugged.push((number, device));
    }
    println!("KEYS-PLUGGED");
    while !plugged.is_empty() {
        plugged.retain_mut(|(number, device)| {
            let stays = !std::path::Path::new(&number.to_string()).exists();
            if !stays {
                device.write_all(&event(DESTROY)).unwrap();
                println!("KEY-OUT {number}");
            }
            stays
        });
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

//! Messages in reports of 64 bytes (CTAP 2.1, section 11.2, "USB Human Interface Device").

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Failure;
use crate::hardware::{HID_REPORT, HidReports};

/// Bytes of a channel's number.
const CHANNEL: usize = 4;
/// The channel on which one asks for a channel.
const BROADCAST: [u8; CHANNEL] = [0xff; CHANNEL];
/// Channel, command, length (two bytes).
const HEADER: usize = 7;
/// Channel, sequence number.
const CONTINUATION: usize = 5;
/// The longest message: a first report, and 128 that continue it.
const LONGEST: usize = HID_REPORT - HEADER + 128 * (HID_REPORT - CONTINUATION);
/// A first report has this in its command.
const FIRST: u8 = 0x80;

const INIT: u8 = 0x06;
const CBOR: u8 = 0x10;
const CANCEL: u8 = 0x11;
const KEEPALIVE: u8 = 0x3b;
const ERROR: u8 = 0x3f;

/// In a keep-alive: the key waits for a touch.
const TOUCH_NEEDED: u8 = 2;
/// In an error: another program talks to the key.
const CHANNEL_BUSY: u8 = 0x06;
/// Among the capabilities: the key speaks CTAP 2.
const SPEAKS_CBOR: u8 = 0x04;
/// Bytes with which one recognises one's own channel.
pub(super) const NONCE: usize = 8;

/// How long one look at the device takes at most.
const LOOK: Duration = Duration::from_millis(100);
/// How many looks a key gets to say that it has stopped.
const LAST_LOOKS: usize = 5;

/// How long to wait, and for whom.
pub(super) struct Waiting<'a> {
    pub(super) until: Instant,
    /// Whoever asked does not want the answer any more.
    pub(super) cancelled: &'a AtomicBool,
    /// Called once if the key wants to be touched.
    pub(super) touch: &'a dyn Fn(),
}

impl Waiting<'_> {
    fn over(&self, told: bool) -> Option<Failure> {
        if self.cancelled.load(Ordering::SeqCst) {
            return Some(Failure::Cancelled);
        }
        let late = Instant::now() >= self.until;
        late.then_some(if told {
            Failure::NotTouched
        } else {
            Failure::Silent
        })
    }
}

/// A channel to one key.
pub(super) struct Channel<'a> {
    port: &'a mut dyn HidReports,
    id: [u8; CHANNEL],
}

impl<'a> Channel<'a> {
    /// Asks the key for a channel. `None`: it does not speak CTAP 2.
    pub(super) fn open(
        port: &'a mut dyn HidReports,
        nonce: [u8; NONCE],
        wait: &Waiting<'_>,
    ) -> Result<Option<Self>, Failure> {
        let mut channel = Self {
            port,
            id: BROADCAST,
        };
        channel.send(INIT, &nonce)?;
        loop {
            let answer = channel.receive(INIT, wait)?;
            // Others may ask at the same time, and their answers come here too.
            if answer.get(..NONCE) != Some(&nonce) {
                continue;
            }
            let id = answer.get(NONCE..NONCE + CHANNEL);
            let capabilities = answer.get(16).ok_or(Failure::Damaged)?;
            channel.id = id
                .and_then(|id| id.try_into().ok())
                .ok_or(Failure::Damaged)?;
            return Ok((capabilities & SPEAKS_CBOR != 0).then_some(channel));
        }
    }

    /// Sends a command and waits for its answer: a status, and what comes behind it.
    pub(super) fn cbor(&mut self, message: &[u8], wait: &Waiting<'_>) -> Result<Vec<u8>, Failure> {
        self.send(CBOR, message)?;
        self.receive(CBOR, wait)
    }

    fn send(&mut self, command: u8, message: &[u8]) -> Result<(), Failure> {
        let length = u16::try_from(message.len()).map_err(|_| Failure::Damaged)?;
        if message.len() > LONGEST {
            return Err(Failure::Damaged);
        }
        let (first, rest) = message.split_at(message.len().min(HID_REPORT - HEADER));
        let mut report = [0; HID_REPORT];
        report[..CHANNEL].copy_from_slice(&self.id);
        report[CHANNEL] = FIRST | command;
        report[CHANNEL + 1..HEADER].copy_from_slice(&length.to_be_bytes());
        report[HEADER..HEADER + first.len()].copy_from_slice(first);
        self.port.send(&report).map_err(Failure::Broken)?;
        for (number, part) in (0..FIRST).zip(rest.chunks(HID_REPORT - CONTINUATION)) {
            let mut report = [0; HID_REPORT];
            report[..CHANNEL].copy_from_slice(&self.id);
            report[CHANNEL] = number;
            report[CONTINUATION..CONTINUATION + part.len()].copy_from_slice(part);
            self.port.send(&report).map_err(Failure::Broken)?;
        }
        Ok(())
    }

    fn receive(&mut self, command: u8, wait: &Waiting<'_>) -> Result<Vec<u8>, Failure> {
        let mut told = false;
        loop {
            if let Some(failure) = wait.over(told) {
                self.cancel();
                return Err(failure);
            }
            let Some(report) = self.look()? else { continue };
            match report[CHANNEL] {
                answer if answer == FIRST | command => return self.rest(&report, wait),
                answer if answer == FIRST | KEEPALIVE => {
                    if report[HEADER] == TOUCH_NEEDED && !told {
                        (wait.touch)();
                        told = true;
                    }
                }
                answer if answer == FIRST | ERROR => {
                    return Err(match report[HEADER] {
                        CHANNEL_BUSY => Failure::Busy,
                        _ => Failure::Damaged,
                    });
                }
                _ => return Err(Failure::Damaged),
            }
        }
    }

    /// The next report of this channel, if one is there.
    fn look(&mut self) -> Result<Option<[u8; HID_REPORT]>, Failure> {
        let report = self.port.receive(LOOK).map_err(Failure::Broken)?;
        Ok(report.filter(|report| report[..CHANNEL] == self.id))
    }

    /// The whole message that a report begins.
    fn rest(&mut self, first: &[u8; HID_REPORT], wait: &Waiting<'_>) -> Result<Vec<u8>, Failure> {
        let length = usize::from(u16::from_be_bytes([first[5], first[6]]));
        if length > LONGEST {
            return Err(Failure::Damaged);
        }
        let mut message = first[HEADER..].to_vec();
        let mut number = 0;
        while message.len() < length {
            if let Some(failure) = wait.over(false) {
                return Err(failure);
            }
            let Some(report) = self.look()? else { continue };
            if report[CHANNEL] != number {
                return Err(Failure::Damaged);
            }
            message.extend_from_slice(&report[CONTINUATION..]);
            number += 1;
        }
        message.truncate(length);
        Ok(message)
    }

    /// Ends what the key is waiting for; it would go on blinking. It answers the command that is cancelled.
    fn cancel(&mut self) {
        if self.send(CANCEL, &[]).is_err() {
            return;
        }
        for _ in 0..LAST_LOOKS {
            match self.look() {
                Ok(Some(report)) if report[CHANNEL] != FIRST | KEEPALIVE => return,
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

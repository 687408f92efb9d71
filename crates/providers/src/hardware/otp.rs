//! A YubiKey's challenges, over the feature reports of its OTP interface.
//!
//! A frame of 70 bytes goes out in reports of seven bytes each: the challenge in 64 bytes, the command of the slot, a
//! checksum, and three bytes of nothing. The last byte of a report holds flags and the report's number; reports of
//! zeros alone are left out, except the first and the last. The answer comes back the same way, with its checksum
//! behind it ("YubiKey Manual" §5; Yubico .NET SDK User's Manual, "OTP commands", "Challenge-response", which has the commands;
//! "Status structure").

use std::time::Duration;

use zeroize::Zeroizing;

use super::{FeatureReports, REPORT};

/// Bytes of a challenge, as it is sent.
pub const CHALLENGE: usize = 64;
/// Bytes of an HMAC-SHA1.
pub const RESPONSE: usize = 20;

/// Bytes of data in a report.
const PART: usize = REPORT - 1;
/// Challenge, command, checksum (two bytes), filler (three bytes).
const FRAME: usize = CHALLENGE + 1 + 2 + 3;
/// The number of the last report of a frame.
const LAST: u8 = 9;

/// The report is one of a frame that is being written. In what the device says: it has not taken the last one yet.
const WRITING: u8 = 0x80;
/// An answer is there.
const ANSWER: u8 = 0x40;
/// The device waits for a touch.
const TOUCH: u8 = 0x20;
/// The number of a report.
const NUMBER: u8 = 0x1f;
/// A report with this in its last byte ends whatever the device is doing.
const RESET: u8 = 0x8f;

/// What remains of the checksum over data and its own checksum (ISO/IEC 13239, the 16-bit frame check sequence).
const RESIDUE: u16 = 0xf0b8;

/// How long between two looks at the device.
const PAUSE: Duration = Duration::from_millis(5);
/// How often one looks at a device that should answer at once: for a second.
const LOOKS: u32 = 200;
/// The device waits 15 seconds for a touch ("within 15 seconds", ykpersonalize(1), `chal-btn-trig`), and the host a
/// little longer.
const TOUCH_LOOKS: u32 = 3_400;

/// A slot that answers challenges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The short touch.
    One,
    /// The long touch.
    Two,
}

impl Slot {
    /// `1` or `2`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "1" => Some(Self::One),
            "2" => Some(Self::Two),
            _ => None,
        }
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// The command for an HMAC-SHA1 by this slot ("Challenge-response", table "P1").
    fn command(self) -> u8 {
        match self {
            Self::One => 0x30,
            Self::Two => 0x38,
        }
    }
}

/// Why a challenge got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The system could not talk to it.
    #[error("the YubiKey cannot be reached: {0}")]
    Broken(String),
    /// The slot does nothing with challenges.
    #[error("slot {0} of the YubiKey answers no challenges")]
    NotConfigured(u8),
    /// Nobody touched it.
    #[error("the YubiKey was not touched in time")]
    NotTouched,
    /// It said something else.
    #[error("the YubiKey's answer is damaged")]
    Damaged,
    /// It never took the challenge.
    #[error("the YubiKey is busy with something else")]
    Busy,
}

/// Sends a challenge and waits for the answer. `touch` is called once if the device wants to be touched.
///
/// # Errors
/// [`NoAnswer`]
pub async fn hmac_sha1(
    device: &mut dyn FeatureReports,
    slot: Slot,
    challenge: &[u8],
    touch: &(dyn Fn() + Send + Sync),
) -> Result<Zeroizing<[u8; RESPONSE]>, NoAnswer> {
    send(device, &frame(slot, challenge)).await?;
    let answer = receive(device, slot, touch).await;
    // Also after a failure: it would go on waiting for a touch, and blink.
    let mut reset = [0; REPORT];
    reset[PART] = RESET;
    let ended = device.send(reset).map_err(NoAnswer::Broken);
    let answer = answer?;
    ended?;
    Ok(answer)
}

fn frame(slot: Slot, challenge: &[u8]) -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    for (to, from) in frame.iter_mut().take(CHALLENGE).zip(challenge) {
        *to = *from;
    }
    let [low, high] = checksum(&frame[..CHALLENGE]).to_le_bytes();
    frame[CHALLENGE] = slot.command();
    frame[CHALLENGE + 1] = low;
    frame[CHALLENGE + 2] = high;
    frame
}

async fn send(device: &mut dyn FeatureReports, frame: &[u8; FRAME]) -> Result<(), NoAnswer> {
    for (number, part) in (0..=LAST).zip(frame.chunks(PART)) {
        let is_between = number != 0 && number != LAST;
        if is_between && part.iter().all(|byte| *byte == 0) {
            continue;
        }
        ready(device).await?;
        let mut report = [0; REPORT];
        report[..PART].copy_from_slice(part);
        report[PART] = WRITING | number;
        device.send(report).map_err(NoAnswer::Broken)?;
    }
    Ok(())
}

/// Waits until the device has taken the last report.
async fn ready(device: &mut dyn FeatureReports) -> Result<(), NoAnswer> {
    for _ in 0..LOOKS {
        let report = device.fetch().map_err(NoAnswer::Broken)?;
        if report[PART] & WRITING == 0 {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(NoAnswer::Busy)
}

async fn receive(
    device: &mut dyn FeatureReports,
    slot: Slot,
    touch: &(dyn Fn() + Send + Sync),
) -> Result<Zeroizing<[u8; RESPONSE]>, NoAnswer> {
    let mut data = Zeroizing::new(Vec::with_capacity(FRAME));
    data.extend(first(device, slot, touch).await?);
    // Answers have 22 bytes; a device that never stops is not one.
    while data.len() < FRAME {
        let report = device.fetch().map_err(NoAnswer::Broken)?;
        let flags = report[PART];
        if flags & ANSWER == 0 {
            return Err(NoAnswer::Damaged);
        }
        // The number starts again when everything has been said.
        if flags & NUMBER == 0 {
            return checked(&data);
        }
        data.extend(&report[..PART]);
    }
    Err(NoAnswer::Damaged)
}

/// Waits for the first report of the answer.
async fn first(
    device: &mut dyn FeatureReports,
    slot: Slot,
    touch: &(dyn Fn() + Send + Sync),
) -> Result<[u8; PART], NoAnswer> {
    let (mut looks, mut told) = (0, false);
    loop {
        let report = Zeroizing::new(device.fetch().map_err(NoAnswer::Broken)?);
        let flags = report[PART];
        if flags & ANSWER != 0 {
            let mut part = [0; PART];
            part.copy_from_slice(&report[..PART]);
            return Ok(part);
        }
        let waits = flags & TOUCH != 0;
        if waits && !told {
            touch();
            told = true;
        }
        looks += 1;
        let gave_up = told && !waits && flags & WRITING == 0;
        if gave_up || told && looks > TOUCH_LOOKS {
            return Err(NoAnswer::NotTouched);
        }
        if !told && looks > LOOKS {
            return Err(NoAnswer::NotConfigured(slot.number()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn checked(data: &[u8]) -> Result<Zeroizing<[u8; RESPONSE]>, NoAnswer> {
    let with_checksum = data.get(..RESPONSE + 2).ok_or(NoAnswer::Damaged)?;
    if checksum(with_checksum) != RESIDUE {
        return Err(NoAnswer::Damaged);
    }
    let mut answer = Zeroizing::new([0; RESPONSE]);
    answer.copy_from_slice(&with_checksum[..RESPONSE]);
    Ok(answer)
}

/// The frame check sequence of ISO/IEC 13239 (x¹⁶ + x¹² + x⁵ + 1, reflected, from all ones) before its last step, the
/// complement.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| {
            let shifted = sum >> 1;
            if sum & 1 == 1 {
                shifted ^ 0x8408
            } else {
                shifted
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_standard_s() {
        // "X-25" in the catalogue of parametrised CRC algorithms: 0x906e over the nine digits, complemented.
        assert_eq!(!checksum(b"123456789"), 0x906e);
        let mut with = b"123456789".to_vec();
        with.extend((!checksum(&with)).to_le_bytes());
        assert_eq!(checksum(&with), RESIDUE);
    }

    #[test]
    fn a_frame_holds_the_challenge_the_command_and_the_checksum_of_the_challenge() {
        let frame = frame(Slot::Two, &[7; 32]);
        assert_eq!(frame[..32], [7; 32]);
        assert_eq!(frame[32..64], [0; 32]);
        assert_eq!(frame[64], 0x38);
        assert_eq!(
            u16::from_le_bytes([frame[65], frame[66]]),
            checksum(&frame[..64])
        );
        assert_eq!(frame[67..], [0; 3]);
    }
}

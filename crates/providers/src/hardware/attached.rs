//! Keys at this machine's USB ports, by the system's HID interface.

use std::time::Duration;

use hidapi::{DeviceInfo, HidApi, HidDevice, HidError};

use super::{FeatureReports, HID_REPORT, HidReports, NoKey, REPORT, SecurityKeys};

/// Yubico's vendor id.
const YUBICO: u16 = 0x1050;

/// The products that have slots for challenges: NEO (with OTP), 4 and 5 (with OTP), and the first YubiKey.
const WITH_SLOTS: [u16; 10] = [
    0x0010, 0x0110, 0x0111, 0x0114, 0x0116, 0x0401, 0x0403, 0x0405, 0x0407, 0x0410,
];

/// The interface that types one-time passwords is a keyboard (USB HID Usage Tables, page 1, usage 6), and the same takes
/// challenges; the others of the device do not.
const KEYBOARD: (u16, u16) = (0x01, 0x06);

/// The FIDO interface, whoever made the key (CTAP 2.1, section 11.2.8.1: usage page and usage).
const FIDO: (u16, u16) = (0xf1d0, 0x01);

/// What is plugged in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attached;

impl SecurityKeys for Attached {
    fn yubikeys(&self) -> Result<Vec<Box<dyn FeatureReports>>, NoKey> {
        opened(fits, |device| -> Box<dyn FeatureReports> {
            Box::new(Reports(device))
        })
    }

    fn fido(&self) -> Result<Vec<Box<dyn HidReports>>, NoKey> {
        let is_fido = |device: &DeviceInfo| (device.usage_page(), device.usage()) == FIDO;
        opened(is_fido, |device| -> Box<dyn HidReports> {
            Box::new(Messages(device))
        })
    }
}

/// Opens the devices of a kind: those that this user may open.
fn opened<T>(
    is_wanted: impl Fn(&DeviceInfo) -> bool,
    port: impl Fn(HidDevice) -> T,
) -> Result<Vec<T>, NoKey> {
    let closed = |error: HidError| NoKey::Closed(error.to_string());
    let api = HidApi::new().map_err(closed)?;
    let (mut found, mut failure) = (Vec::new(), NoKey::Absent);
    for device in api.device_list().filter(|device| is_wanted(device)) {
        match device.open_device(&api) {
            Ok(device) => found.push(port(device)),
            Err(error) => failure = closed(error),
        }
    }
    if found.is_empty() {
        Err(failure)
    } else {
        Ok(found)
    }
}

fn fits(device: &DeviceInfo) -> bool {
    device.vendor_id() == YUBICO
        && WITH_SLOTS.contains(&device.product_id())
        && (device.usage_page(), device.usage()) == KEYBOARD
}

struct Reports(HidDevice);

impl FeatureReports for Reports {
    fn send(&mut self, report: [u8; REPORT]) -> Result<(), String> {
        // The first byte numbers the report; the device has one alone.
        let mut numbered = [0; REPORT + 1];
        numbered[1..].copy_from_slice(&report);
        let sent = self.0.send_feature_report(&numbered);
        sent.map_err(|error| error.to_string())
    }

    fn fetch(&mut self) -> Result<[u8; REPORT], String> {
        let mut numbered = [0; REPORT + 1];
        self.0
            .get_feature_report(&mut numbered)
            .map_err(|error| error.to_string())?;
        let mut report = [0; REPORT];
        report.copy_from_slice(&numbered[1..]);
        Ok(report)
    }
}

struct Messages(HidDevice);

impl HidReports for Messages {
    fn send(&mut self, report: &[u8; HID_REPORT]) -> Result<(), String> {
        // The first byte numbers the report; the device has one alone.
        let mut numbered = [0; HID_REPORT + 1];
        numbered[1..].copy_from_slice(report);
        let sent = self.0.write(&numbered);
        sent.map(drop).map_err(|error| error.to_string())
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<[u8; HID_REPORT]>, String> {
        let mut report = [0; HID_REPORT];
        let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        match self.0.read_timeout(&mut report, wait) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(report)),
            Err(error) => Err(error.to_string()),
        }
    }
}

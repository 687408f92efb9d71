//! Keys that a person plugs in and touches.
//!
//! What a backend needs of the machine is [`SecurityKeys`], so that tests plug in a model of a device. The protocols are in
//! [`otp`] and [`fido`]; what is made of a device's answer is in [`sealing`], and in [`data_key`] what several devices open.

mod answers;
#[cfg(feature = "hardware-keys")]
mod attached;
pub mod data_key;
pub mod fido;
pub mod keys;
pub mod otp;
pub mod sealing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::answers::Answers;
#[cfg(feature = "hardware-keys")]
pub use self::attached::Attached;

/// Bytes of a feature report: seven of data, and one of flags.
pub const REPORT: usize = 8;

/// The feature reports of one device: a person's, or a model of one.
pub trait FeatureReports: Send {
    /// Sends a report.
    ///
    /// # Errors
    /// What the system says, in words.
    fn send(&mut self, report: [u8; REPORT]) -> Result<(), String>;

    /// Fetches the report that the device has now.
    ///
    /// # Errors
    /// What the system says, in words.
    fn fetch(&mut self) -> Result<[u8; REPORT], String>;
}

/// Bytes of a report of the FIDO interface (CTAP 2.1, section 11.2.3).
pub const HID_REPORT: usize = 64;

/// The reports of one device's FIDO interface: a person's, or a model of one.
pub trait HidReports: Send {
    /// Sends a report.
    ///
    /// # Errors
    /// What the system says, in words.
    fn send(&mut self, report: &[u8; HID_REPORT]) -> Result<(), String>;

    /// Waits for a report, at most so long.
    ///
    /// # Errors
    /// What the system says, in words.
    fn receive(&mut self, wait: Duration) -> Result<Option<[u8; HID_REPORT]>, String>;
}

/// Why no key could be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoKey {
    /// None is plugged in.
    Absent,
    /// Several are, and which one is meant is not known.
    Several(usize),
    /// One is, but the system does not let this user open it.
    Closed(String),
    /// This build cannot talk to any.
    NotBuilt,
}

/// The keys that are plugged in.
pub trait SecurityKeys: Send + Sync + fmt::Debug {
    /// The feature reports of each YubiKey whose slots answer challenges: at least one.
    ///
    /// # Errors
    /// [`NoKey`]
    fn yubikeys(&self) -> Result<Vec<Box<dyn FeatureReports>>, NoKey>;

    /// The FIDO interface of each key that has one: at least one.
    ///
    /// # Errors
    /// [`NoKey`]
    fn fido(&self) -> Result<Vec<Box<dyn HidReports>>, NoKey>;
}

/// The keys at this machine, as far as this build can talk to them.
#[must_use]
pub fn plugged_in() -> Arc<dyn SecurityKeys> {
    #[cfg(feature = "hardware-keys")]
    return Arc::new(Attached);
    #[cfg(not(feature = "hardware-keys"))]
    return Arc::new(NotBuilt);
}

/// For builds without the feature `hardware-keys`.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotBuilt;

impl SecurityKeys for NotBuilt {
    fn yubikeys(&self) -> Result<Vec<Box<dyn FeatureReports>>, NoKey> {
        Err(NoKey::NotBuilt)
    }

    fn fido(&self) -> Result<Vec<Box<dyn HidReports>>, NoKey> {
        Err(NoKey::NotBuilt)
    }
}

//! Servers that speak a real service's protocol on loopback and are stricter than the service.
//!
//! A stand-in checks each request against the published protocol and refuses what the real service would
//! refuse or silently ignore. It counts what it saw and can be told to misbehave.

pub mod ntfy;
pub mod sts;

pub use ntfy::Ntfy;
pub use sts::Sts;

//! What of the machine a program behind the gateway must not find.
//!
//! A program that is to use credentials without holding any must neither inherit nor read what leads to them. This module
//! knows both: `variables` for every program, in a sandbox or not, and `paths` for those in a sandbox. What providers and
//! leases take comes from the tables of `fnox_config::spec`, so a type that is added there is known here.

mod mounts;
mod paths;
mod places;
#[cfg(target_os = "linux")]
mod sockets;
mod variables;

pub(crate) use self::paths::{What, collect, without_links};
pub(crate) use self::variables::{known, withheld};

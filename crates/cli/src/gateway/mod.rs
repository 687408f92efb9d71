//! The gateway on the command line: its rules in `fnox.toml`, its values, and the program that uses it.

pub(crate) mod approvals;
#[cfg(target_os = "linux")]
pub(crate) mod confinement;
pub(crate) mod desk;
pub mod documents;
mod doors;
pub(crate) mod environment;
pub(crate) mod granting;
pub(crate) mod java;
pub(crate) mod metrics;
pub(crate) mod metrics_file;
pub(crate) mod observer;
pub(crate) mod out_of_reach;
pub(crate) mod rules;
pub(crate) mod sandbox;
pub(crate) mod serve;
pub mod spec;
pub(crate) mod tools;
pub(crate) mod values;

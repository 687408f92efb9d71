//! Tests of the team server's database, from outside.

mod backup;
mod conformance;
pub(crate) mod durable;
mod file;
mod support;

//! The store against a real server. Each test has a database of its own.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod notices;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod server;
#[cfg(test)]
mod support;
#[cfg(test)]
mod two_vaults;

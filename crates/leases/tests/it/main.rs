//! Leases end to end: configuration, ledger, locks, mints, against issuers on loopback.

#[cfg(test)]
mod child;
#[cfg(test)]
mod command;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod model;
#[cfg(test)]
mod moto;
#[cfg(test)]
mod once;
#[cfg(test)]
mod reuse;
#[cfg(test)]
mod revocation;
#[cfg(test)]
mod sts;
#[cfg(test)]
mod support;
#[cfg(test)]
mod web_identity;

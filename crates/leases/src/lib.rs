//! Mints of short-lived credentials, and the sealed ledger that remembers them.
//!
//! - [`mint::Mint`] is the trait; one file per type under `mint/`, one line each in [`registry`].
//! - [`ledger`] keeps, per project folder and sealed, what was issued: an intent before the issuer is
//!   called, the credential after it, so that a crash leaves a record that [`Manager::cleanup`] finds.
//! - [`principal`] computes, without asking anyone, which masters a credential was minted from. A
//!   credential is reused only for the same configuration and the same principal.
//! - [`Manager`] puts them together for `exec` and the `lease` commands.
//!
//! Masters reach a mint as an overlay of the environment that only the mint sees. The process's own
//! environment is never written.

mod accounts;
pub mod browser;
pub mod delivery;
pub mod error;
mod identity_token;
mod issuer;
mod jwt;
pub mod ledger;
pub mod manager;
pub mod mint;
pub mod principal;
pub mod registry;
pub mod renewal;
#[cfg(test)]
mod testing;

pub(crate) use fnox_providers::wiped;

pub use accounts::CloudAccounts;
pub use error::LeaseError;
pub use ledger::{Ledger, LedgerError};
pub use manager::{
    Acquire, Acquired, CleanupReport, Explanation, Held, LeaseSummary, Manager, ManagerOptions,
    MasterError, MasterSource, Revocation, RevocationOutcome, Sharing, Skip, TimeLimits,
};
pub use mint::{
    Mint, MintContext, MintError, MintErrorKind, PlannedCall, Prerequisite, PromptField,
    RenewalKind,
};
pub use registry::Registry;
pub use renewal::{Keeper, Kept, Observer};

//! Tokens and their issuers: a real issuer in this process, and real signatures.

pub(crate) mod bench;
mod claims;
mod fetch;
pub(crate) mod issuer;
mod jwks;
mod keys;
mod setup;
pub(crate) mod signer;
mod wycheproof;

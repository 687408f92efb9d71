//! Systems without a vault: only its errors have names, and nobody writes its audit log.

pub(crate) mod audit_stream;
pub(crate) mod error;

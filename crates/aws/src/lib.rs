//! A few signed AWS operations: KMS, Secrets Manager and Parameter Store, without their SDK crates.
//!
//! These services speak AWS JSON 1.1: one POST for each operation, signed with Signature Version 4 (by the
//! official signer, `aws-sigv4`). Their SDK crates are larger than the rest of fnox; what is needed of them
//! are a dozen operations, in [`kms`], [`secrets_manager`] and [`parameter_store`]. Names and types of their
//! fields are those of the services' published models (`kms-2014-11-01`, `secretsmanager-2017-10-17`,
//! `ssm-2014-11-06`).
//!
//! What every call has: a limit on connecting and on the whole, a cap on the answer, no redirects, TLS
//! (plain HTTP is only spoken with this machine itself), and retries with jitter only where repeating cannot
//! do harm. Errors ([`AwsError`]) name operation, code and request id, never what was sent or answered.
//!
//! Credentials come from the environment that is given, or, as the SDKs have it, from profiles, SSO,
//! containers and instances. For these, `aws-config` also reads this process's own environment.

mod blob;
mod client;
mod credentials;
mod error;
pub mod http;
pub mod kms;
mod options;
pub mod parameter_store;
pub mod profile_files;
pub mod profiles;
pub mod secrets_manager;
mod sign;
mod text;

pub use blob::Blob;
pub use client::{AwsClient, Operation, Repeat, Service};
pub use error::{AwsError, AwsErrorKind};
pub use options::{AwsOptions, Role};
pub use text::Text;

//! The vault's secrets in AWS Secrets Manager, and its wrapping key in AWS KMS.
//!
//! [`AwsSmStore`] keeps secrets only: leases, audit log and key ring need another store beside it. What AWS
//! gets is sealed already; whoever reads everything in the account learns names, kinds, descriptions and tags,
//! and no value. Each secret of the vault is one secret of AWS, called `PREFIX/NAME`, whose binary value holds
//! all kept versions ([`payload`]). The description and the tags `fnox:…` beside it are copies for people.
//!
//! What AWS can and cannot promise:
//!
//! - *One vault for each prefix.* Secrets Manager has no conditional write. A write here reads the current
//!   version, writes the next, and then looks whether the one it replaced is the one that it had read. Another
//!   writer at the same moment is noticed and told, but not prevented. Within one vault, writes of one secret
//!   wait for each other.
//! - *Repeated writes are one write.* The version's id is a digest of its content.
//! - *One write is atomic.* Adding a version, dropping old ones, sealing anew and describing anew are one call
//!   each that replaces the value as a whole; the tags follow, and if they fail, only the log tells.
//! - *Lists lag.* AWS lists may miss the changes of the last five minutes. What this process wrote is known to
//!   it and put right; what another process wrote shortly before is not. So let five minutes pass between the
//!   start of a vault and `key rotate`.
//! - *Old values stay a while.* AWS keeps the replaced value under `AWSPREVIOUS` and unlabelled ones for a day
//!   or more, sealed as they were.
//! - *Keys are not judged.* There is no key ring here, so a value under a retired key is not refused
//!   (`Refusal::StaleKey` is never answered); the vault seals such values anew later.
//! - *64 KiB.* All kept versions of a secret together; what is larger is refused before anything is sent.
//!
//! A deleted secret is emptied first and then deleted, so that restoring it in AWS (or being interrupted
//! half-way) does not bring its value back: for that, somebody must also move the label `AWSCURRENT` to the
//! version labelled `AWSPREVIOUS`, within the recovery window.

mod index;
mod kms;
mod memory;
mod name;
mod options;
mod payload;
mod problem;
mod secrets;
mod store;

pub use kms::KmsKeySource;
pub use options::{AwsSmOptions, InvalidPrefix};
pub use store::AwsSmStore;

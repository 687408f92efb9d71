//! `fnox.toml`: where it is found, how its layers become one configuration, and how it is edited.
//!
//! - [`spec`] says as data which keys there are; parser, JSON Schema and reference pages all read it.
//! - [`mod@file`] reads one file into typed entries that remember where they stand.
//! - [`standalone`] reads other files of one section as strictly.
//! - [`mints`] reads the leases of another file, such as those of a vault.
//! - [`hidden`] finds the paths in it that lead to credentials.
//! - [`discover`] finds the files, [`layers`] merges them into a [`Config`].
//! - [`edit`] changes one entry of a file and leaves every other byte alone.
//! - [`trust`] refuses files that somebody else could have written.
//!
//! Nothing here resolves a secret, runs a command or touches the network.

pub mod discover;
pub mod edit;
pub mod error;
pub mod fields;
pub mod file;
pub mod hidden;
mod json;
pub mod layers;
pub mod lease;
pub mod mints;
pub mod model;
pub mod paths;
mod read;
pub mod schema;
pub mod source;
pub mod spec;
pub mod standalone;
pub mod suggest;
pub mod trust;

pub use error::{ConfigError, remedy_of};
pub use fields::{Fields, OptionValue, TextOrSecret, Value};
pub use layers::{Config, Loader};
pub use lease::{Delivery, LeaseConfig, RenewalFailure};
pub use model::{
    DaemonCache, EnvMode, IfMissing, LedgerKey, Project, ProviderConfig, SecretConfig, SyncCache,
};
pub use paths::Folders;
pub use source::{FileKind, Location, SourceFile};

//! Where long-lived secrets live, and how the secrets of a run are resolved.
//!
//! - [`Provider`] is the trait; one file per backend under `backend/`, one line each in [`registry`].
//! - [`resolve`] turns "these secrets" into values: what depends on what, batches, defaults, fall-backs.
//!
//! Naming is kept apart from I/O: a backend says as data which references it understands and what it can
//! do; only its async methods touch anything.

pub mod accounts;
pub mod backend;
pub mod ci_token;
pub mod command_template;
pub mod dotenv;
pub mod dotenvx;
mod entry;
pub mod envelope;
pub mod error;
pub mod flat;
pub mod hardware;
pub mod jwt;
pub mod keychain;
pub mod kubernetes;
mod password;
pub mod plugins;
pub mod process;
pub mod provider;
pub mod registry;
pub mod resolve;
pub mod run;
pub mod settings;
pub mod shell;
pub mod sops;
mod template;
pub mod token_file;
pub mod wiped;

pub use accounts::{AccessToken, Accounts, AzureCloud, AzureLogin, GoogleAccess, NoAccounts};
pub use error::{Attempt, ErrorKind, ProviderError};
pub use provider::{Context, Preview, Provider, Request};
pub use registry::Registry;
pub use run::{ApprovalProgress, Asked, NoProgress, ProjectContext, RunRequest, Tolerated, Wait};
pub use settings::Settings;

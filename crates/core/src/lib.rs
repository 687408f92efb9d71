//! The vocabulary of fnox.
//!
//! Every word that two parts of fnox must understand alike is a type here: secrets that do not print,
//! names that are valid, lifetimes, credentials, leases and the moves between their states, the
//! envelope in which fnox seals what it stores, and age encryption. Nothing here reads a file, a
//! clock, the environment or the network: those come in as parameters.

pub mod age;
pub mod audit;
pub mod clock;
pub mod credential;
pub mod duration;
pub mod env;
pub mod exit;
pub mod git_credential;
pub mod host;
pub mod lease;
pub mod length;
pub mod name;
pub mod prompt;
pub mod proxy_variables;
pub mod question;
pub mod rate;
pub mod seal;
pub mod secret;
pub mod shown;
pub mod signed;
pub mod token;

pub use clock::{Clock, SystemClock};
pub use credential::Credential;
pub use duration::Lifetime;
pub use env::Env;
pub use exit::ExitStatus;
pub use host::{Host, HostPattern};
pub use length::Length;
pub use name::{AgentId, LeaseName, ProfileName, ProjectName, ProviderName, SecretName, VaultName};
pub use rate::Rate;
pub use secret::{SecretBytes, SecretString};
pub use shown::shown;
pub use token::{Token, TokenHash, TokenKind};

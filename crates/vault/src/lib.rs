//! The agents' vault.
//!
//! It keeps secrets sealed and lends them: an agent asks for the right to use one secret at one host and gets a
//! lease, for minutes, for a few uses. Everything is forbidden that the policy does not allow; every answer is
//! on record before it leaves.
//!
//! [`Engine`] is the whole of it in process, without a server (`examples/basic_vault.rs`). [`server`] puts it
//! on sockets. What it stores goes through the traits of [`store`].

pub mod engine;
pub mod error;
pub mod identity;
pub mod key_ring;
pub mod key_source;
pub mod lease;
mod lease_table;
pub mod policy;
pub mod rotation;
pub mod server;
pub mod store;

pub use engine::{Engine, EngineOptions, EngineParts};
pub use error::VaultError;
pub use identity::{Identity, PeerBinding};
pub use key_ring::{KeyRing, KeyRingError};
pub use lease::Lease;

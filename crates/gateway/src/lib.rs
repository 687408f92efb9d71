//! The proxy that uses credentials on an agent's behalf, so that the agent never holds them.
//!
//! A request is parsed once into a canonical form; policy decides on that form, credentials go into it, and what leaves
//! is made from it and from nothing else. Whatever could be read in two ways is refused.

pub mod approval;
pub mod authority;
mod body;
pub mod destination;
pub mod injection;
pub mod placeholder;
pub mod policy;
mod prefilter;
pub mod proxy;
pub mod reflection;
pub mod refusal;
pub mod request;
pub mod rule;
pub mod socks;
pub mod vault;

pub use refusal::{Reason, Refusal};

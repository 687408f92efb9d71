//! The agents' vault on the wire.
//!
//! Frames carry JSON both ways: a hello, then requests that are answered by id and may be pipelined. Version 1
//! is the protocol of zerolease with more methods; `docs/reference/vault-protocol.md` is written for whoever
//! builds a client without this crate. [`frame`], [`hello`], [`envelope`] and [`methods`] do no I/O;
//! [`transport`] moves bytes over Unix sockets, TCP and vsock; [`client`] is what fnox itself uses.

pub mod client;
pub mod envelope;
pub mod error;
pub mod frame;
pub mod hello;
pub mod ids;
pub mod methods;
pub mod transport;
pub mod value;

pub use client::{Client, ClientError, ClientOptions, LeaseEvents};
pub use error::{Code, WireError};
pub use ids::{ApprovalId, LeaseId, SecretId, SessionId, TokenId};
pub use methods::{Call, Method, Role};
pub use transport::{Connector, Listener, Peer, Stream};
pub use value::SecretValue;

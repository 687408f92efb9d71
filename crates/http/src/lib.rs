//! Calls to the services that keep secrets and issue credentials, over HTTP, for every mint and provider alike.
//!
//! One connect limit and one limit for everything that an operation does, repetitions and waiting included;
//! answers of a bounded size; no redirects; TLS except on this machine. A call that changes something is not
//! repeated once the service can have seen it, and its failure says that something may have been done. Messages
//! never hold a secret, a token or a query.
//!
//! - [`Service`] makes the calls of one operation, [`Call`] is one of them, [`Answer`] what came back.
//! - [`CallError`] is why there is no answer, or what a refusal stands for.
//! - [`address`] reads addresses from configurations; [`Tls`] is for services with certificates of their own.

pub mod address;
mod answer;
mod call;
mod error;
mod lost;
mod service;
mod tls;

pub use address::below;
pub use answer::Answer;
pub use call::Call;
pub use error::{CallError, CallErrorKind};
pub use reqwest::header;
pub use reqwest::{Method, Url};
pub use service::{Limits, Service, cleaned};
pub use tls::Tls;

//! The team server: it keeps age files that it cannot open, and releases one once, after a person said yes.
//!
//! Who asks proves who it is by an OIDC token ([`oidc`]); a policy says what it may ask for ([`policy`]); an approval is
//! one exact request ([`service`]), which people hear of ([`notify`]) and decide about; it becomes one grant, and that
//! one fetch ([`store`]). [`routes`] is HTTP, and only that.
//!
//! Guarantees: every change is one transaction with its audit record, and the answer comes after it; a grant works
//! once; what changed since a person looked at it is not released; nothing here can decrypt anything.
//!
//! Defended against: stolen and replayed CI tokens, names that were taken over, links that scanners follow, requests
//! that change after the yes, restored databases. Left out: what runs in the CI job is what the job says
//! (`docs/concept/zero-knowledge.md`).

pub mod app;
pub mod keys;
pub mod link;
pub mod notify;
pub mod oidc;
pub mod page;
pub mod policy;
pub mod routes;
pub mod service;
pub mod settings;
pub mod store;
pub mod subject;
pub mod tls;

pub use app::{OpenError, Opening, Server};
pub use keys::ServerKeys;
pub use settings::Settings;
pub use store::{Database, Store, StoreError};
pub use subject::Subject;

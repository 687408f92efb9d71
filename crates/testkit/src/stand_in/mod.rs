//! Servers that speak a real service's protocol on loopback and are stricter than the service.
//!
//! A stand-in checks each request against the published protocol and refuses what the real service would
//! refuse or silently ignore. It counts what it saw and can be told to misbehave.

pub mod aws_sso;
pub mod azure;
pub mod cloudflare;
pub mod doppler;
pub mod gcp;
pub mod github;
pub mod github_login;
pub mod gitlab;
pub mod infisical;
pub mod issuer;
pub mod jwt;
pub mod keeper;
pub mod kubernetes;
pub mod ntfy;
pub mod oauth2;
pub mod passwordstate;
pub mod postgres;
mod relay;
pub mod roles_anywhere;
mod server_certificate;
mod serving;
pub mod sts;
pub mod tailscale;
pub mod targets;
mod tls_front;
pub mod upstream;
pub mod vault;

pub use ntfy::Ntfy;
pub use relay::Relay;
pub use server_certificate::ServerCertificate;
pub use sts::Sts;
pub use tls_front::TlsFront;
pub use upstream::{Prepared, Received, Upstream, letters};

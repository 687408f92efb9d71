//! Tests of the vault's engine and server through their public surface.

mod caps;
mod concurrency;
mod leases;
mod model;
mod policy_changes;
mod records;
mod secrets;
mod served;
mod server;
mod server_limits;
mod sessions;
mod support;
mod tokens;

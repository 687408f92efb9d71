//! Leases end to end: configuration, ledger, locks, mints, against issuers on loopback.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod ahead;
#[cfg(test)]
mod aws_roles_anywhere;
#[cfg(test)]
mod aws_sso;
#[cfg(test)]
mod azure_token;
#[cfg(test)]
mod child;
#[cfg(test)]
mod cloudflare;
#[cfg(test)]
mod command;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod database;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod delivery_clients;
#[cfg(test)]
mod delivery_support;
#[cfg(test)]
mod gcp_iam;
#[cfg(test)]
mod github_app;
#[cfg(test)]
mod github_oauth;
#[cfg(test)]
mod gitlab;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod kubernetes;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod model;
#[cfg(test)]
mod moto;
#[cfg(test)]
mod oauth2_client_credentials;
#[cfg(test)]
mod once;
#[cfg(test)]
mod renew;
#[cfg(test)]
mod reuse;
#[cfg(test)]
mod revocation;
#[cfg(test)]
mod ssh;
#[cfg(test)]
mod sts;
#[cfg(test)]
mod sts_modes;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tailscale;
#[cfg(test)]
mod vault;
#[cfg(test)]
mod web_identity;

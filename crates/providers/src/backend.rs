//! One file per backend.

pub mod age;
mod binding;
pub mod fnox_server;
pub mod keychain;
pub mod onepassword;
pub mod password_store;
pub mod plain;
pub mod vault_agent;
pub mod yubikey;

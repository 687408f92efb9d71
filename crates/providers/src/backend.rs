//! One file per backend.

pub mod age;
mod binding;
pub mod bitwarden;
pub mod fnox_server;
pub mod foks;
pub mod gopass;
pub mod keepass;
pub mod keychain;
pub mod onepassword;
pub mod password_store;
pub mod plain;
pub mod proton_pass;
pub mod vault_agent;
pub mod yubikey;

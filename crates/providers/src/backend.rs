//! One file per backend.

pub mod age;
mod aws;
pub mod aws_kms;
pub mod aws_ps;
pub mod aws_sm;
mod binding;
pub mod bitwarden;
pub mod bitwarden_sm;
pub mod enpass;
pub mod fnox_server;
pub mod foks;
pub mod gopass;
pub mod keepass;
pub mod keychain;
pub mod onepassword;
pub mod password_store;
pub mod plain;
pub mod proton_pass;
mod rest;
pub mod vault;
pub mod vault_agent;
pub mod yubikey;

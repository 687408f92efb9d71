//! The backends, each against what it stands for.

#[cfg(test)]
mod age;
#[cfg(test)]
mod age_interop;
#[cfg(test)]
mod age_plugin;
#[cfg(test)]
mod age_vectors;
#[cfg(test)]
mod authenticator;
#[cfg(test)]
mod authenticator_cbor;
#[cfg(test)]
mod authenticator_pin;
#[cfg(test)]
mod aws;
#[cfg(test)]
mod azure;
#[cfg(test)]
mod bad_program;
#[cfg(test)]
mod bad_server;
#[cfg(test)]
mod bitwarden;
#[cfg(test)]
mod bitwarden_sm;
#[cfg(test)]
mod ci_token;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod doppler;
#[cfg(test)]
mod dotenvx;
#[cfg(test)]
mod enpass;
#[cfg(test)]
mod external;
#[cfg(test)]
mod fido2;
#[cfg(test)]
mod fnox_server;
#[cfg(test)]
mod fnox_server_run;
#[cfg(test)]
mod foks;
#[cfg(test)]
mod google;
#[cfg(test)]
mod gopass;
#[cfg(test)]
mod hardware_keys;
#[cfg(test)]
mod infisical;
#[cfg(test)]
mod keepass;
#[cfg(test)]
mod keeper_sm;
#[cfg(test)]
mod keychain;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod kubernetes;
#[cfg(test)]
mod login_offer;
#[cfg(test)]
#[cfg(feature = "lua")]
mod lua;
#[cfg(test)]
mod onepassword;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod password_store;
#[cfg(test)]
mod passwordstate;
#[cfg(test)]
mod plain;
#[cfg(test)]
mod proton_pass;
#[cfg(test)]
mod sops;
#[cfg(test)]
mod team_server;
#[cfg(test)]
mod uhid;
#[cfg(test)]
mod vault;
#[cfg(test)]
mod vault_agent;
#[cfg(test)]
mod vault_login;
#[cfg(test)]
mod world;
#[cfg(test)]
mod yubikey;

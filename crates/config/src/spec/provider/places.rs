//! Where stores are: on this machine or elsewhere, and which variables say where.

/// What is kept, and opened, on this machine.
pub(super) const LOCAL: &[&str] = &[
    "age",
    "enpass",
    "fido2",
    "gopass",
    "keepass",
    "keychain",
    "password-store",
    "plain",
    "vault-agent",
    "yubikey",
];

/// What no other process may keep: its values stand in files that people edit, or it decides about each use.
pub(super) const NEVER_KEPT: &[&str] = &["fnox-server", "kubernetes", "plain", "vault-agent"];

/// Variables that say where a store is.
pub(super) const PLACES: &[&str] = &[
    "BAO_ADDR",
    "BAO_NAMESPACE",
    "BWS_PROJECT_ID",
    "DOPPLER_API_HOST",
    "FNOX_FOKS_HOME",
    "FNOX_FOKS_HOST",
    "FNOX_INFISICAL_API_URL",
    "FNOX_K8S_CONTEXT",
    "FNOX_PASSWORD_STORE_DIR",
    "FNOX_PASSWORD_STORE_GPG_OPTS",
    "FNOX_VAULT_ADDR",
    "FNOX_VAULT_NAMESPACE",
    "FNOX_VAULT_SOCKET",
    "FOKS_HOME",
    "FOKS_HOST",
    "GNUPGHOME",
    "GOPASS_CONFIG_NOWRAP",
    "GOPASS_HOMEDIR",
    "INFISICAL_API_URL",
    "KUBECONFIG",
    "PASSWORD_STORE_DIR",
    "PASSWORD_STORE_GPG_OPTS",
    "VAULT_ADDR",
    "VAULT_NAMESPACE",
];

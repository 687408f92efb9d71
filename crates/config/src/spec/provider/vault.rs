//! The keys of `vault`, which has many ways to log in.

use super::{Capability, ProviderSpec, hidden_file, reference, shown_file};
use crate::spec::{Field, Kind};

/// KV engines of HashiCorp Vault and OpenBao.
pub(super) const VAULT: ProviderSpec = ProviderSpec {
    name: "vault",
    label: "HashiCorp Vault",
    capability: Capability::StoresRemotely,
    fields: &[
        reference("address", "URL of the server."),
        reference("path", "Mount path (default `secret`)."),
        reference("token", "Token."),
        reference("namespace", "Namespace."),
        Field::optional(
            "credential_command",
            Kind::Text,
            "Command that prints a token; `{{ address }}`, `{{ path }}` and `{{ namespace }}` are filled in.",
        ),
        Field::optional(
            "auth",
            Kind::Choice(&["token", "approle", "jwt", "kubernetes", "userpass"]),
            "How to log in (default: `token`).",
        ),
        reference(
            "auth_mount",
            "Mount of the login method (default: its name).",
        ),
        reference("role", "Role of `jwt` and `kubernetes`."),
        reference("role_id", "Role id of `approle` (default: VAULT_ROLE_ID)."),
        reference(
            "secret_id",
            "Secret id of `approle` (default: VAULT_SECRET_ID).",
        ),
        reference("username", "User of `userpass`."),
        reference(
            "password",
            "Password of `userpass` (default: VAULT_PASSWORD).",
        ),
        hidden_file(
            "token_file",
            "File with a token (default: `~/.vault-token`), or with the service account token of `kubernetes`.",
        ),
        hidden_file("identity_token_file", "File with the OIDC token of `jwt`."),
        reference(
            "identity_token_audience",
            "Audience asked of the CI's token service for `jwt` (default: `vault`).",
        ),
        shown_file(
            "ca_file",
            "Certificates in PEM that are trusted besides the machine's own (default: VAULT_CACERT).",
        ),
    ],
    auth_command: Some("vault login"),
    variables: &[
        "FNOX_VAULT_TOKEN",
        "VAULT_TOKEN",
        "BAO_TOKEN",
        "VAULT_ROLE_ID",
        "VAULT_SECRET_ID",
        "VAULT_PASSWORD",
        "FNOX_VAULT_ADDR",
        "VAULT_ADDR",
        "BAO_ADDR",
        "FNOX_VAULT_NAMESPACE",
        "VAULT_NAMESPACE",
        "BAO_NAMESPACE",
    ],
};

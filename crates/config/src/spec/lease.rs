//! The types of lease and their keys.

use super::{Field, Kind};

/// A type of lease.
#[derive(Debug)]
pub struct LeaseSpec {
    /// Its name in `type`.
    pub name: &'static str,
    /// Its name in messages.
    pub label: &'static str,
    /// Its own keys.
    pub fields: &'static [Field],
}

impl LeaseSpec {
    /// The type of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        LEASES.iter().find(|spec| spec.name == name)
    }

    /// One of its own keys.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

const fn text(name: &'static str, doc: &'static str) -> Field {
    Field::optional(name, Kind::Text, doc)
}

const fn required(name: &'static str, doc: &'static str) -> Field {
    Field::required(name, Kind::Text, doc)
}

const fn list(name: &'static str, doc: &'static str) -> Field {
    Field::optional(name, Kind::TextList, doc)
}

const fn flag(name: &'static str, doc: &'static str) -> Field {
    Field::optional(name, Kind::Flag, doc)
}

const ENV_VAR: Field = text("env_var", "Variable that holds the token.");

/// All types of lease.
pub static LEASES: &[LeaseSpec] = &[
    LeaseSpec {
        name: "aws-sts",
        label: "AWS STS",
        fields: &[
            required("region", "AWS region of the STS endpoint."),
            required("role_arn", "Role to assume."),
            text(
                "profile",
                "Profile of the AWS configuration files that holds the master.",
            ),
            text("endpoint", "Another STS endpoint URL."),
            text(
                "session_name",
                "Name of the session, 2 to 64 of `A-Za-z0-9+=,.@_-` (default: the lease's label).",
            ),
            text(
                "external_id",
                "External id that the role's trust policy asks for.",
            ),
            text(
                "session_policy",
                "Inline JSON policy that narrows the session.",
            ),
            list(
                "policy_arns",
                "Managed policies that narrow the session, at most 10.",
            ),
            Field::optional("tags", Kind::TextMap, "Session tags, at most 50."),
            text("source_identity", "Source identity of the session."),
            text(
                "mfa_serial",
                "MFA device; its code is asked for on the terminal.",
            ),
            Field::optional(
                "web_identity_token_file",
                Kind::Path,
                "Use the OIDC token in this file as the master.",
            ),
            text(
                "web_identity_token_variable",
                "Use the OIDC token in this variable or secret as the master.",
            ),
            text(
                "web_identity_audience",
                "Audience asked of the CI's token service (default `sts.amazonaws.com`).",
            ),
        ],
    },
    LeaseSpec {
        name: "gcp-iam",
        label: "GCP IAM",
        fields: &[
            required("service_account_email", "Service account to impersonate."),
            list("scopes", "OAuth scopes."),
            ENV_VAR,
        ],
    },
    LeaseSpec {
        name: "azure-token",
        label: "Azure token",
        fields: &[
            required("scope", "Scope of the token."),
            ENV_VAR,
            text("auth", "How to log in."),
            text("managed_identity_client_id", "Which managed identity."),
        ],
    },
    LeaseSpec {
        name: "vault",
        label: "HashiCorp Vault",
        fields: &[
            required("secret_path", "Path that issues the credential."),
            Field::required(
                "env_map",
                Kind::TextMap,
                "Which answer becomes which variable.",
            ),
            text("address", "URL of the server."),
            text("token", "Token."),
            text("credential_command", "Command that prints a token."),
            text("namespace", "Namespace."),
            Field::optional(
                "method",
                Kind::Choice(&["get", "post", "put"]),
                "HTTP method (default `get`).",
            ),
        ],
    },
    LeaseSpec {
        name: "cloudflare",
        label: "Cloudflare",
        fields: &[
            Field::optional(
                "token_type",
                Kind::Choice(&["user", "account"]),
                "Kind of token.",
            ),
            text("account_id", "Account."),
            Field::optional("policies", Kind::Opaque, "What the token may do."),
            ENV_VAR,
        ],
    },
    LeaseSpec {
        name: "github-app",
        label: "GitHub App",
        fields: &[
            required("app_id", "App id."),
            required("installation_id", "Installation id."),
            Field::optional("private_key_file", Kind::Path, "PEM file of the app's key."),
            ENV_VAR,
            Field::optional("permissions", Kind::TextMap, "Permissions of the token."),
            list("repositories", "Repositories of the token."),
            text("api_base", "API URL."),
        ],
    },
    LeaseSpec {
        name: "github-oauth",
        label: "GitHub OAuth",
        fields: &[
            required("client_id", "OAuth client."),
            text("scope", "OAuth scopes."),
            ENV_VAR,
            text("keyring_service", "Service name in the keychain."),
            flag(
                "keyring_cache",
                "Whether to keep the token in the keychain.",
            ),
            flag("open_browser", "Whether to open a browser."),
            text("auth_base", "OAuth URL."),
            text("api_base", "API URL."),
        ],
    },
    LeaseSpec {
        name: "gitlab",
        label: "GitLab",
        fields: &[
            text("project", "Project; or `group`."),
            text("group", "Group; or `project`."),
            text("url", "Server."),
            list("scopes", "Scopes of the token."),
            text("access_level", "Access level of the token."),
            ENV_VAR,
        ],
    },
    LeaseSpec {
        name: "kubernetes",
        label: "Kubernetes",
        fields: &[
            required("service_account", "Service account."),
            text("namespace", "Namespace."),
            list("audiences", "Audiences of the token."),
            text("context", "Context of the kubeconfig."),
            Field::optional("kubeconfig", Kind::Path, "The kubeconfig file."),
            ENV_VAR,
        ],
    },
    LeaseSpec {
        name: "oauth2-client-credentials",
        label: "OAuth 2.0 client credentials",
        fields: &[
            required("token_url", "Token endpoint."),
            required("client_id", "Client."),
            text("scope", "Scopes."),
            text("audience", "Audience."),
            ENV_VAR,
            Field::optional(
                "auth_method",
                Kind::Choice(&["basic", "post"]),
                "How the client authenticates.",
            ),
            Field::optional("params", Kind::TextMap, "More form parameters."),
            text("revocation_url", "Revocation endpoint."),
        ],
    },
    LeaseSpec {
        name: "tailscale",
        label: "Tailscale",
        fields: &[
            text("tailnet", "Tailnet."),
            text("api_base", "API URL."),
            list("tags", "Tags of the device."),
            flag("reusable", "Whether the key works more than once."),
            flag("ephemeral", "Whether the device is ephemeral."),
            flag("preauthorized", "Whether the device needs no approval."),
            ENV_VAR,
        ],
    },
    LeaseSpec {
        name: "command",
        label: "command",
        fields: &[
            required(
                "create_command",
                "Command that prints the credential as JSON.",
            ),
            text(
                "revoke_command",
                "Command that revokes it; `FNOX_LEASE_ID` says which.",
            ),
            Field::optional(
                "timeout",
                Kind::Lifetime,
                "Time limit of the commands (default 30s).",
            ),
            list(
                "consumes",
                "The secrets and variables that the commands get as masters, and nothing else does.",
            ),
            list(
                "produces",
                "The variables that the command prints, where they should be known beforehand.",
            ),
        ],
    },
];

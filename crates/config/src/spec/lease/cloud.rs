//! Leases of clouds and of token servers.

use super::{
    ENV_VAR, Field, IDENTITY_TOKEN_FILE, IDENTITY_TOKEN_VARIABLE, Kind, LeaseSpec, choice, flag,
    hidden_file, list, map, required, shown_file, text,
};

/// What can be, or lead to, the masters of Google Cloud. Terraform and GitHub Actions know the same files by names of their own.
pub const GCP_MASTERS: &[&str] = &[
    "GCP_SERVICE_ACCOUNT_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CREDENTIALS",
    "GOOGLE_CLOUD_KEYFILE_JSON",
    "GCLOUD_KEYFILE_JSON",
    "GOOGLE_GHA_CREDS_PATH",
    "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
];

/// What can be, or lead to, the masters of Microsoft Entra.
pub const AZURE_MASTERS: &[&str] = &[
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_USERNAME",
    "AZURE_PASSWORD",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "MSI_ENDPOINT",
    "MSI_SECRET",
];

/// A token of a Google service account.
pub(super) static GCP_IAM: LeaseSpec = LeaseSpec {
    name: "gcp-iam",
    label: "GCP IAM",
    fields: &[
        required("service_account_email", "Service account to impersonate."),
        choice(
            "token",
            &["access", "id"],
            "Kind of token (default `access`).",
        ),
        list(
            "scopes",
            "OAuth scopes of an access token (default `https://www.googleapis.com/auth/cloud-platform`).",
        ),
        text("audience", "Audience of an id token."),
        flag(
            "include_email",
            "Whether an id token names the service account's address.",
        ),
        list(
            "delegates",
            "Service accounts between the master and the one to impersonate, in their order.",
        ),
        ENV_VAR,
        hidden_file(
            "credentials_file",
            "File of the master: a service account's key, a user's application default credentials, or an `external_account` configuration.",
        ),
        text(
            "workload_identity_provider",
            "Full name of the workload identity pool provider for which an OIDC token is the master: `//iam.googleapis.com/projects/…/providers/…`.",
        ),
        text(
            "identity_token_audience",
            "Audience asked of the CI's token service (default: the provider's name, `https:` before it).",
        ),
        IDENTITY_TOKEN_FILE,
        IDENTITY_TOKEN_VARIABLE,
        text(
            "endpoint",
            "Another IAM Credentials URL, to which `/v1/projects/…` is added (default `https://iamcredentials.googleapis.com`).",
        ),
        text(
            "sts_endpoint",
            "Another token exchange URL, the whole of it (default `https://sts.googleapis.com/v1/token`).",
        ),
        text(
            "token_endpoint",
            "Another OAuth token URL, the whole of it (default: the master's own, `https://oauth2.googleapis.com/token`).",
        ),
        text(
            "universe_domain",
            "Domain of a sovereign cloud (default `googleapis.com`).",
        ),
    ],
    variables: GCP_MASTERS,
};

/// An access token of Microsoft Entra.
pub(super) static AZURE_TOKEN: LeaseSpec = LeaseSpec {
    name: "azure-token",
    label: "Azure token",
    fields: &[
        required(
            "scope",
            "Scope of the token, for example `https://management.azure.com/.default`.",
        ),
        ENV_VAR,
        choice(
            "auth",
            &[
                "auto",
                "client-secret",
                "certificate",
                "federated",
                "managed-identity",
                "azure-cli",
            ],
            "How to log in (default `auto`: what is there first of client secret, certificate, federated token, managed identity, `az`).",
        ),
        text("tenant_id", "Tenant (default: AZURE_TENANT_ID)."),
        text("client_id", "Application (default: AZURE_CLIENT_ID)."),
        hidden_file(
            "certificate_file",
            "PEM file with the application's certificate and key (default: AZURE_CLIENT_CERTIFICATE_PATH).",
        ),
        text(
            "managed_identity_client_id",
            "Which user-assigned managed identity.",
        ),
        text(
            "managed_identity_endpoint",
            "Another URL of the instance metadata service (default `http://169.254.169.254`).",
        ),
        text(
            "identity_token_audience",
            "Audience asked of the CI's token service (default `api://AzureADTokenExchange`).",
        ),
        IDENTITY_TOKEN_FILE,
        IDENTITY_TOKEN_VARIABLE,
        choice(
            "cloud",
            &["public", "government", "china"],
            "Which Azure cloud (default: AZURE_AUTHORITY_HOST, or `public`).",
        ),
        text(
            "authority_host",
            "Another login endpoint URL, in the place of `cloud`.",
        ),
    ],
    variables: AZURE_MASTERS,
};

/// What a path of `HashiCorp` Vault or `OpenBao` issues.
pub(super) static VAULT: LeaseSpec = LeaseSpec {
    name: "vault",
    label: "HashiCorp Vault",
    fields: &[
        required("secret_path", "Path that issues the credential."),
        Field::required(
            "env_map",
            Kind::TextMap,
            "Keys of the answer, each with the variable that it becomes.",
        ),
        text(
            "address",
            "URL of the server (default: VAULT_ADDR or BAO_ADDR).",
        ),
        text("token", "Token."),
        text(
            "credential_command",
            "Command that prints a token; `{{ address }}`, `{{ secret_path }}` and `{{ namespace }}` are filled in.",
        ),
        text("namespace", "Namespace."),
        choice(
            "method",
            &["get", "post", "put"],
            "HTTP method (default `get`).",
        ),
        map(
            "parameters",
            "More parameters of the request: of the query for `get`, else of the body.",
        ),
        shown_file(
            "ca_file",
            "PEM file of the certificates that are trusted (default: VAULT_CACERT).",
        ),
        choice(
            "auth",
            &[
                "token",
                "token-file",
                "approle",
                "jwt",
                "kubernetes",
                "userpass",
            ],
            "How to log in (default: a token of the environment, else `~/.vault-token`).",
        ),
        text(
            "auth_mount",
            "Mount of the login method (default: its name).",
        ),
        text("role", "Role of `jwt` and `kubernetes`."),
        text("role_id", "Role id of `approle` (default: VAULT_ROLE_ID)."),
        text(
            "secret_id_variable",
            "Variable or secret with the secret id of `approle` (default `VAULT_SECRET_ID`).",
        ),
        text("username", "User of `userpass`."),
        text(
            "password_variable",
            "Variable or secret with the password of `userpass` (default `VAULT_PASSWORD`).",
        ),
        hidden_file(
            "token_file",
            "Token file of `token-file`, or service account token of `kubernetes`.",
        ),
        text(
            "identity_token_audience",
            "Audience asked of the CI's token service for `jwt`.",
        ),
        IDENTITY_TOKEN_FILE,
        IDENTITY_TOKEN_VARIABLE,
        flag(
            "wrapped",
            "Ask for a wrapped answer and unwrap it once, so that nobody between can read it unnoticed.",
        ),
        flag(
            "child_token",
            "Ask for the lease with a child of the token that was given, so that revoking the child ends it, also after a crash.",
        ),
    ],
    variables: &[
        "FNOX_VAULT_TOKEN",
        "VAULT_TOKEN",
        "BAO_TOKEN",
        "VAULT_ROLE_ID",
        "VAULT_SECRET_ID",
        "VAULT_PASSWORD",
    ],
};

/// A Cloudflare API token.
pub(super) static CLOUDFLARE: LeaseSpec = LeaseSpec {
    name: "cloudflare",
    label: "Cloudflare",
    fields: &[
        choice(
            "token_type",
            &["user", "account"],
            "Kind of token (default `user`).",
        ),
        text("account_id", "Account."),
        Field::optional(
            "policies",
            Kind::Opaque,
            "What the token may do; permission groups by id or by name.",
        ),
        list(
            "allowed_ips",
            "Addresses and networks from which the token works.",
        ),
        list(
            "denied_ips",
            "Addresses and networks from which it does not.",
        ),
        ENV_VAR,
        text("api_base", "Another API URL."),
    ],
    variables: &[
        "CLOUDFLARE_API_TOKEN",
        "CF_API_TOKEN",
        "CLOUDFLARE_API_KEY",
        "CF_API_KEY",
        "CLOUDFLARE_API_USER_SERVICE_KEY",
        "CF_API_USER_SERVICE_KEY",
    ],
};

/// An access token by the client credentials grant (RFC 6749 section 4.4).
pub(super) static OAUTH2_CLIENT_CREDENTIALS: LeaseSpec = LeaseSpec {
    name: "oauth2-client-credentials",
    label: "OAuth 2.0 client credentials",
    fields: &[
        required("token_url", "Token endpoint."),
        required("client_id", "Client."),
        text("scope", "Scopes."),
        text("audience", "Audience."),
        ENV_VAR,
        choice(
            "auth_method",
            &["basic", "post"],
            "How the client authenticates (default `basic`).",
        ),
        text(
            "client_secret_variable",
            "Variable or secret with the client's secret (default `OAUTH2_CLIENT_SECRET`).",
        ),
        choice(
            "grant",
            &["client_credentials", "refresh_token"],
            "How tokens are got (default `client_credentials`): as the client itself, or by a refresh token that a person got once.",
        ),
        text(
            "refresh_token_variable",
            "Variable or secret with that refresh token (default `OAUTH2_REFRESH_TOKEN`).",
        ),
        map("params", "More form parameters."),
        text("revocation_url", "Revocation endpoint."),
    ],
    variables: &["OAUTH2_CLIENT_SECRET", "OAUTH2_REFRESH_TOKEN"],
};

//! The types of provider and their keys.

mod extension;
mod hardware;
mod places;
mod vault;

use self::extension::{EXTERNAL, LUA};
use self::hardware::{FIDO2, YUBIKEY};
use self::places::{LOCAL, NEVER_KEPT, PLACES};
use self::vault::VAULT;
use super::{Field, Kind, Section, Sight};

/// What a provider can do with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Encrypts the value into `fnox.toml`.
    EncryptsInConfig,
    /// Stores the value elsewhere; `fnox.toml` holds the reference.
    StoresRemotely,
    /// Only reads; the value given to `fnox set` is the reference.
    ReadsOnly,
}

/// A type of provider.
#[derive(Debug)]
pub struct ProviderSpec {
    /// Its name in `type`.
    pub name: &'static str,
    /// Its name in messages.
    pub label: &'static str,
    /// What it can do with a value.
    pub capability: Capability,
    /// Its own keys.
    pub fields: &'static [Field],
    /// The command that logs in, where there is one.
    pub auth_command: Option<&'static str>,
    /// Variables that open it. A secret of such a name is resolved first and handed to it, and none of
    /// them reaches the program. `FNOX_` forms come before the plain ones and win.
    pub variables: &'static [&'static str],
}

impl ProviderSpec {
    /// The type of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        PROVIDERS.iter().find(|spec| spec.name == name)
    }

    /// Those of its variables that hold a credential, and so must not reach the program. The others say
    /// where a store is, not how to open it.
    pub fn credentials(&self) -> impl Iterator<Item = &'static str> {
        self.variables
            .iter()
            .copied()
            .filter(|name| !PLACES.contains(name))
    }

    /// Whether its values can be had without a network.
    #[must_use]
    pub fn is_local(&self) -> bool {
        LOCAL.contains(&self.name)
    }

    /// Whether a value of it may be used again by later runs without asking it.
    #[must_use]
    pub fn may_be_kept(&self) -> bool {
        !NEVER_KEPT.contains(&self.name)
    }

    /// One of its own keys.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

const fn reference(name: &'static str, doc: &'static str) -> Field {
    Field::optional(name, Kind::Reference, doc)
}

const fn required(name: &'static str, doc: &'static str) -> Field {
    Field::required(name, Kind::Reference, doc)
}

const fn hidden_file(name: &'static str, doc: &'static str) -> Field {
    Field::optional(name, Kind::ReferencePath(Sight::Hidden), doc)
}

const fn shown_file(name: &'static str, doc: &'static str) -> Field {
    Field::optional(name, Kind::ReferencePath(Sight::Shown), doc)
}

/// `identity` of an age provider.
static AGE_IDENTITY: Section = Section {
    heading: "identity = { … }",
    doc: "Where another provider keeps the age identity.",
    fields: &[
        Field::required("provider", Kind::Text, "The provider that keeps it."),
        Field::required("value", Kind::Text, "Its reference there."),
    ],
};

const BIND_NAMES: Field = Field::optional(
    "bind_names",
    Kind::Flag,
    "Bind each value to its profile and name, so that values cannot be swapped.",
);

const AWS: [Field; 4] = [
    required("region", "AWS region."),
    reference("profile", "Profile of the AWS configuration files."),
    reference("role_arn", "Role to assume first."),
    reference("endpoint", "Another endpoint URL."),
];

const GOOGLE_ENDPOINT: Field = reference("endpoint", "Another endpoint URL.");

const AZURE: [Field; 2] = [
    Field::optional(
        "auth",
        Kind::Choice(&[
            "auto",
            "client-secret",
            "certificate",
            "federated",
            "managed-identity",
            "azure-cli",
        ]),
        "How to log in (default `auto`: what is there first).",
    ),
    reference("managed_identity_client_id", "Which managed identity."),
];

use Capability::{EncryptsInConfig, ReadsOnly, StoresRemotely};

/// All types of provider.
pub static PROVIDERS: &[ProviderSpec] = &[
    ProviderSpec {
        name: "age",
        label: "age",
        capability: EncryptsInConfig,
        fields: &[
            Field::optional(
                "recipients",
                Kind::TextList,
                "Public keys that values are encrypted to. Required, unless `[age] recipients` of the global file has some.",
            ),
            hidden_file("key_file", "File of identities."),
            Field::optional(
                "identity",
                Kind::Table(&AGE_IDENTITY),
                "Where another provider keeps the identity.",
            ),
            BIND_NAMES,
        ],
        auth_command: None,
        variables: &[],
    },
    ProviderSpec {
        name: "plain",
        label: "plain",
        capability: EncryptsInConfig,
        fields: &[
            hidden_file("file", "Read values from this file; needs `format`."),
            Field::optional(
                "format",
                Kind::Choice(&["env", "shell", "json", "yaml", "toml"]),
                "Format of `file`.",
            ),
        ],
        auth_command: None,
        variables: &[],
    },
    ProviderSpec {
        name: "aws-kms",
        label: "AWS KMS",
        capability: EncryptsInConfig,
        fields: &[
            required("key_id", "Key id, ARN or alias."),
            AWS[0],
            AWS[1],
            AWS[2],
            AWS[3],
        ],
        auth_command: Some("aws sso login"),
        variables: &[],
    },
    ProviderSpec {
        name: "gcp-kms",
        label: "GCP KMS",
        capability: EncryptsInConfig,
        fields: &[
            required("project", "Project."),
            required("location", "Location."),
            required("keyring", "Key ring."),
            required("key", "Key."),
            GOOGLE_ENDPOINT,
        ],
        auth_command: Some("gcloud auth application-default login"),
        variables: &[],
    },
    ProviderSpec {
        name: "azure-kms",
        label: "Azure Key Vault keys",
        capability: EncryptsInConfig,
        fields: &[
            required("vault_url", "URL of the vault."),
            required("key_name", "Key."),
            AZURE[0],
            AZURE[1],
        ],
        auth_command: Some("az login"),
        variables: &[],
    },
    YUBIKEY,
    FIDO2,
    ProviderSpec {
        name: "keychain",
        label: "Keychain",
        capability: StoresRemotely,
        fields: &[
            reference("service", "Service name of the entries (default `fnox`)."),
            reference("prefix", "Put before each entry's name."),
        ],
        auth_command: None,
        variables: &[],
    },
    ProviderSpec {
        name: "password-store",
        label: "password-store",
        capability: StoresRemotely,
        fields: &[
            reference("prefix", "Put before each entry's name, as it is."),
            hidden_file("store_dir", "Folder of the store."),
            reference("gpg_opts", "Options for gpg."),
        ],
        auth_command: None,
        variables: &[
            "FNOX_PASSWORD_STORE_DIR",
            "PASSWORD_STORE_DIR",
            "FNOX_PASSWORD_STORE_GPG_OPTS",
            "PASSWORD_STORE_GPG_OPTS",
        ],
    },
    ProviderSpec {
        name: "gopass",
        label: "gopass",
        capability: StoresRemotely,
        fields: &[reference("mount", "Mount point of the store.")],
        auth_command: None,
        variables: &["GNUPGHOME", "GOPASS_HOMEDIR", "GOPASS_CONFIG_NOWRAP"],
    },
    ProviderSpec {
        name: "keepass",
        label: "KeePass",
        capability: StoresRemotely,
        fields: &[
            Field::required(
                "database",
                Kind::ReferencePath(Sight::Hidden),
                "The database file.",
            ),
            hidden_file("keyfile", "Key file."),
            reference("password", "Password of the database."),
        ],
        auth_command: None,
        variables: &["FNOX_KEEPASS_PASSWORD", "KEEPASS_PASSWORD"],
    },
    ProviderSpec {
        name: "enpass",
        label: "Enpass",
        capability: ReadsOnly,
        fields: &[
            Field::required(
                "vault",
                Kind::ReferencePath(Sight::Hidden),
                "Folder of the vault.",
            ),
            hidden_file("keyfile", "Key file."),
            reference("password", "Password of the vault."),
        ],
        auth_command: None,
        variables: &["FNOX_ENPASS_PASSWORD", "ENPASS_PASSWORD"],
    },
    ProviderSpec {
        name: "1password",
        label: "1Password",
        capability: ReadsOnly,
        fields: &[
            reference("vault", "Vault of references that name none."),
            reference("account", "Account."),
            reference(
                "token",
                "Service-account token; better from a secret or the environment.",
            ),
        ],
        auth_command: Some("op signin"),
        variables: &["FNOX_OP_SERVICE_ACCOUNT_TOKEN", "OP_SERVICE_ACCOUNT_TOKEN"],
    },
    ProviderSpec {
        name: "bitwarden",
        label: "Bitwarden",
        capability: ReadsOnly,
        fields: &[
            reference("collection", "Collection."),
            reference("organization_id", "Organisation."),
            reference("profile", "Folder of the CLI's data."),
            reference("folder", "Folder of the items."),
            Field::optional("backend", Kind::Choice(&["bw", "rbw"]), "Which CLI to use."),
        ],
        auth_command: Some("bw unlock --raw || bw login --raw"),
        variables: &["FNOX_BW_SESSION", "BW_SESSION"],
    },
    ProviderSpec {
        name: "bitwarden-sm",
        label: "Bitwarden Secrets Manager",
        capability: ReadsOnly,
        fields: &[
            reference("project_id", "Project."),
            reference("profile", "Profile of the CLI."),
        ],
        auth_command: None,
        variables: &[
            "FNOX_BWS_ACCESS_TOKEN",
            "BWS_ACCESS_TOKEN",
            "BWS_PROJECT_ID",
        ],
    },
    ProviderSpec {
        name: "proton-pass",
        label: "Proton Pass",
        capability: ReadsOnly,
        fields: &[
            reference("vault", "Vault."),
            reference("agent_reason", "Reason shown for agents' access."),
        ],
        auth_command: Some("pass-cli login"),
        variables: &[
            "FNOX_PROTON_PASS_PASSWORD",
            "PROTON_PASS_PASSWORD",
            "FNOX_PROTON_PASS_TOTP",
            "PROTON_PASS_TOTP",
            "FNOX_PROTON_PASS_EXTRA_PASSWORD",
            "PROTON_PASS_EXTRA_PASSWORD",
        ],
    },
    ProviderSpec {
        name: "infisical",
        label: "Infisical",
        capability: ReadsOnly,
        fields: &[
            reference("project_id", "Project."),
            reference("environment", "Environment."),
            reference("path", "Folder."),
        ],
        auth_command: None,
        variables: &[
            "FNOX_INFISICAL_TOKEN",
            "INFISICAL_TOKEN",
            "FNOX_INFISICAL_CLIENT_ID",
            "INFISICAL_CLIENT_ID",
            "FNOX_INFISICAL_CLIENT_SECRET",
            "INFISICAL_CLIENT_SECRET",
            "FNOX_INFISICAL_API_URL",
            "INFISICAL_API_URL",
        ],
    },
    ProviderSpec {
        name: "doppler",
        label: "Doppler",
        capability: ReadsOnly,
        fields: &[
            reference("project", "Project."),
            reference("config", "Config."),
            reference("token", "Token."),
        ],
        auth_command: Some("doppler login"),
        variables: &["FNOX_DOPPLER_TOKEN", "DOPPLER_TOKEN", "DOPPLER_API_HOST"],
    },
    VAULT,
    ProviderSpec {
        name: "passwordstate",
        label: "Passwordstate",
        capability: ReadsOnly,
        fields: &[
            required("base_url", "URL of the server."),
            required("password_list_id", "Password list."),
            reference("api_key", "API key."),
            reference(
                "verify_ssl",
                "Whether to check certificates (default `\"true\"`). `\"false\"` only for a server on this machine.",
            ),
            shown_file(
                "ca_file",
                "Certificates in PEM that are trusted besides the machine's own.",
            ),
        ],
        auth_command: None,
        variables: &["FNOX_PASSWORDSTATE_API_KEY", "PASSWORDSTATE_API_KEY"],
    },
    ProviderSpec {
        name: "keeper-sm",
        label: "Keeper Secrets Manager",
        capability: StoresRemotely,
        fields: &[
            hidden_file(
                "config_file",
                "Configuration of the device (default `~/.keeper/ksm-config.json`); a one-time token makes it.",
            ),
            reference(
                "token",
                "One-time token, such as `EU:…`, for a device without a configuration.",
            ),
        ],
        auth_command: None,
        variables: &[
            "FNOX_KEEPER_CONFIG",
            "KSM_CONFIG",
            "FNOX_KEEPER_TOKEN",
            "KSM_TOKEN",
        ],
    },
    ProviderSpec {
        name: "aws-sm",
        label: "AWS Secrets Manager",
        capability: StoresRemotely,
        fields: &[
            AWS[0],
            AWS[1],
            AWS[2],
            reference("prefix", "Put before each name."),
            AWS[3],
        ],
        auth_command: Some("aws sso login"),
        variables: &[],
    },
    ProviderSpec {
        name: "aws-ps",
        label: "AWS Parameter Store",
        capability: StoresRemotely,
        fields: &[
            AWS[0],
            AWS[1],
            AWS[2],
            reference("prefix", "Put before each name."),
            AWS[3],
        ],
        auth_command: Some("aws sso login"),
        variables: &[],
    },
    ProviderSpec {
        name: "azure-sm",
        label: "Azure Key Vault secrets",
        capability: StoresRemotely,
        fields: &[
            required("vault_url", "URL of the vault."),
            reference("prefix", "Put before each name."),
            AZURE[0],
            AZURE[1],
        ],
        auth_command: Some("az login"),
        variables: &[],
    },
    ProviderSpec {
        name: "azure-ac",
        label: "Azure App Configuration",
        capability: ReadsOnly,
        fields: &[
            required("endpoint", "Endpoint URL."),
            reference("label", "Label."),
            reference("prefix", "Put before each key."),
            AZURE[0],
            AZURE[1],
        ],
        auth_command: Some("az login"),
        variables: &[],
    },
    ProviderSpec {
        name: "gcp-sm",
        label: "GCP Secret Manager",
        capability: StoresRemotely,
        fields: &[
            required("project", "Project."),
            reference("prefix", "Put before each name."),
            GOOGLE_ENDPOINT,
        ],
        auth_command: Some("gcloud auth application-default login"),
        variables: &[],
    },
    ProviderSpec {
        name: "foks",
        label: "FOKS",
        capability: StoresRemotely,
        fields: &[
            reference("prefix", "Put before each key."),
            reference("team", "Team."),
            hidden_file("home", "Home folder of the client."),
            reference("host", "Host."),
            reference("bot_token", "Bot token."),
        ],
        auth_command: Some("foks ctl start"),
        variables: &[
            "FNOX_FOKS_BOT_TOKEN",
            "FOKS_BOT_TOKEN",
            "FNOX_FOKS_HOME",
            "FOKS_HOME",
            "FNOX_FOKS_HOST",
            "FOKS_HOST",
        ],
    },
    ProviderSpec {
        name: "kubernetes",
        label: "Kubernetes Secrets",
        capability: ReadsOnly,
        fields: &[
            reference("context", "Context of the kubeconfig."),
            reference("namespace", "Namespace."),
            hidden_file("kubeconfig", "The kubeconfig file."),
            reference("prefix", "Put before each name."),
        ],
        auth_command: None,
        variables: &["FNOX_K8S_CONTEXT", "KUBECONFIG"],
    },
    EXTERNAL,
    LUA,
    ProviderSpec {
        name: "vault-agent",
        label: "agents' vault",
        capability: ReadsOnly,
        fields: &[
            Field::optional(
                "socket",
                Kind::Place,
                "Where the vault is: a socket's path, `tcp:ADDRESS:PORT`, `vsock:CID:PORT` or `host-socket:PATH:PORT`.",
            ),
            hidden_file("token_file", "File that holds the token."),
            reference(
                "token",
                "The token, as `{ secret = \"NAME\" }`; never written out.",
            ),
            Field::optional(
                "agent",
                Kind::Text,
                "In whose name to ask; an agent's token tells its own.",
            ),
        ],
        auth_command: None,
        variables: &[
            "FNOX_VAULT_TOKEN",
            "FNOX_VAULT_TOKEN_FILE",
            "FNOX_VAULT_SOCKET",
        ],
    },
    ProviderSpec {
        name: "fnox-server",
        label: "team server",
        capability: ReadsOnly,
        fields: &[Field::required("url", Kind::Text, "URL of the server.")],
        auth_command: None,
        variables: &[],
    },
];

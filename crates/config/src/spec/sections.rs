//! The tables of `fnox.toml` other than provider and lease types.

use super::{Field, Kind, PROXY, Section, Sight};

const IF_MISSING: Kind = Kind::Choice(&["error", "warn", "ignore"]);

/// The top level of a file.
pub static TOP_LEVEL: Section = Section {
    heading: "(top level)",
    doc: "Settings of the whole file, and the tables below.",
    fields: &[
        Field::optional(
            "import",
            Kind::TextList,
            "Files merged below this one, relative to it; the first wins over later ones.",
        ),
        Field::optional(
            "root",
            Kind::Flag,
            "Stop looking for configuration in parent folders.",
        ),
        Field::optional(
            "default_provider",
            Kind::Text,
            "Provider of secrets that name none. With exactly one provider, that one.",
        ),
        Field::optional(
            "if_missing",
            IF_MISSING,
            "What to do about a secret without a value: `error`, `warn` (default) or `ignore`.",
        ),
        Field::optional("env", Kind::EnvMode, "Default of a secret's `env`."),
        Field::optional(
            "prompt_auth",
            Kind::Flag,
            "Offer to run a provider's login command on a terminal (default true).",
        ),
        Field::optional(
            "redact_exec",
            Kind::Flag,
            "Replace secret values in the output of `fnox exec` where it is not a terminal.",
        ),
        Field::optional(
            "age_key_file",
            Kind::Path(Sight::Hidden),
            "Accepted for compatibility, without effect; use `key_file` of the provider.",
        ),
        Field::optional(
            "server_url",
            Kind::Text,
            "URL of the team server; only in the global file.",
        ),
        Field::optional(
            "project",
            Kind::Table(&PROJECT),
            "Names the project for the team server.",
        ),
        Field::optional(
            "age",
            Kind::Table(&AGE),
            "Defaults of every `age` provider; only in the global file.",
        ),
        Field::optional(
            "ledger",
            Kind::Table(&LEDGER),
            "How the lease ledger is sealed.",
        ),
        Field::optional(
            "providers",
            Kind::Opaque,
            "Where secrets live: `[providers.NAME]`.",
        ),
        Field::optional("secrets", Kind::Opaque, "The secrets: `[secrets]`."),
        Field::optional(
            "leases",
            Kind::Opaque,
            "Short-lived credentials: `[leases.NAME]`.",
        ),
        Field::optional(
            "profiles",
            Kind::Opaque,
            "Variants of the configuration: `[profiles.NAME]`.",
        ),
        Field::optional(
            "targets",
            Kind::Opaque,
            "Where `fnox push` sends secrets: `[targets.NAME]`.",
        ),
        Field::optional(
            "files",
            Kind::Opaque,
            "Whole files kept by a provider; only in the global file.",
        ),
        Field::optional(
            "people",
            Kind::Opaque,
            "Who has access, for `fnox lifecycle offboard`: `[people.NAME]`.",
        ),
        Field::optional(
            "plugins",
            Kind::TextMap,
            "Where Lua plugins come from: `NAME = \"GIT URL#REF\"`, or `OWNER/REPO` at GitHub. Only `fnox plugin install` fetches them.",
        ),
        Field::optional(
            "daemon",
            Kind::Table(&DAEMON),
            "The background process that keeps values in memory.",
        ),
        Field::optional("mcp", Kind::Table(&MCP), "The MCP server for agents."),
        Field::optional(
            "proxy",
            Kind::Table(&PROXY),
            "The gateway that uses credentials on an agent's behalf.",
        ),
        Field::optional(
            "audit",
            Kind::Table(&AUDIT),
            "The local log of secret uses.",
        ),
    ],
};

/// `[project]`
pub static PROJECT: Section = Section {
    heading: "[project]",
    doc: "Names the project for the team server.",
    fields: &[
        Field::required(
            "name",
            Kind::Text,
            "Name of the project on the team server.",
        ),
        Field::optional("revision", Kind::Text, "Revision of this declaration."),
        Field::optional(
            "writers",
            Kind::TextList,
            "Keys whose signatures on values are accepted.",
        ),
        Field::optional(
            "min_versions",
            Kind::Opaque,
            "Lowest accepted version of each key.",
        ),
    ],
};

/// `[age]`
pub static AGE: Section = Section {
    heading: "[age]",
    doc: "Defaults of every `age` provider.",
    fields: &[
        Field::optional(
            "identities_file",
            Kind::Path(Sight::Hidden),
            "File of age identities.",
        ),
        Field::optional(
            "recipients",
            Kind::TextList,
            "Recipients of providers that list none.",
        ),
    ],
};

/// `[ledger]`
pub static LEDGER: Section = Section {
    heading: "[ledger]",
    doc: "How the lease ledger is sealed.",
    fields: &[Field::optional(
        "key",
        Kind::Choice(&["file", "keychain"]),
        "Where the sealing key is kept: a 0600 file of the state folder (default) or the keychain.",
    )],
};

/// `[daemon]`
pub static DAEMON: Section = Section {
    heading: "[daemon]",
    doc: "The background process that keeps values in memory.",
    fields: &[
        Field::optional("enabled", Kind::Flag, "Whether to use it (default false)."),
        Field::optional(
            "idle_timeout",
            Kind::Lifetime,
            "Ends after so long without use (default 8h).",
        ),
        Field::optional(
            "ttl",
            Kind::Lifetime,
            "How long it keeps a value for which nothing else is said (default 15m).",
        ),
        Field::optional(
            "renew_leases",
            Kind::Flag,
            "Whether leases that were used are minted anew before they end (default false).",
        ),
    ],
};

/// `[audit]`
pub static AUDIT: Section = Section {
    heading: "[audit]",
    doc: "The local log of secret uses and changes.",
    fields: &[
        Field::optional(
            "enabled",
            Kind::Flag,
            "Whether to write it (default false).",
        ),
        Field::optional("path", Kind::Path(Sight::Hidden), "Where to write it."),
        Field::optional(
            "max_size",
            Kind::Count,
            "Bytes after which a file is full and another one is begun (default 16777216).",
        ),
        Field::optional(
            "keep",
            Kind::Count,
            "How many full files are kept; all if left out.",
        ),
    ],
};

/// `[mcp]`
pub static MCP: Section = Section {
    heading: "[mcp]",
    doc: "The MCP server for agents.",
    fields: &[
        Field::optional(
            "tools",
            Kind::TextList,
            "Tools offered: `exec`, `get_secret`, `list_credentials`, `request_access` (default: all but `get_secret`).",
        ),
        Field::optional(
            "secrets",
            Kind::TextList,
            "Secrets and leases that may be used; all if left out.",
        ),
        Field::optional(
            "exec_timeout_secs",
            Kind::Count,
            "Time limit of `exec` in seconds, at least 1 (default 300).",
        ),
        Field::optional(
            "redact_output",
            Kind::Flag,
            "Replace secret values in the output of `exec` (default true).",
        ),
    ],
};

/// An entry of `[secrets]`.
pub static SECRET: Section = Section {
    heading: "[secrets] NAME = { … }",
    doc: "One secret. `NAME = {}` declares one that the environment provides.",
    fields: &[
        Field::optional(
            "provider",
            Kind::TextOrList,
            "Name of the provider that keeps it, or a list of names: the first that has the value gives it.",
        ),
        Field::optional(
            "value",
            Kind::Text,
            "The ciphertext, or the reference under which the provider knows it.",
        ),
        Field::optional("ref", Kind::Text, "Another word for `value`."),
        Field::optional(
            "json_path",
            Kind::Text,
            "Takes one value out of a JSON document, for example `db.hosts[0]`.",
        ),
        Field::optional(
            "line",
            Kind::Count,
            "Takes one line of the value, counted from 1.",
        ),
        Field::optional("description", Kind::Text, "What it is for."),
        Field::optional(
            "default",
            Kind::Text,
            "Value if the provider has none; `${NAME}` stands for another secret.",
        ),
        Field::optional("if_missing", IF_MISSING, "What to do if there is no value."),
        Field::optional(
            "env",
            Kind::EnvMode,
            "Who gets it as a variable: `true` everything, `\"exec\"` only exec and get, `false` only get, dependents and leases.",
        ),
        Field::optional(
            "as_file",
            Kind::Flag,
            "Write the value to a private file and set the variable to its path.",
        ),
        Field::optional(
            "env_only",
            Kind::Flag,
            "Only the environment provides it, never the team server.",
        ),
        Field::optional(
            "require_approval",
            Kind::Flag,
            "Ask the team server for a person's approval of each use.",
        ),
        Field::optional(
            "sync",
            Kind::Table(&SYNC),
            "An encrypted copy for use without the provider.",
        ),
        Field::optional(
            "push",
            Kind::TextList,
            "Targets that `fnox push` sends it to.",
        ),
        Field::optional(
            "daemon_cache",
            Kind::FlagOrLifetime,
            "Whether the daemon may keep it (default true), or for how long at most.",
        ),
    ],
};

/// `sync` of a secret.
pub static SYNC: Section = Section {
    heading: "sync = { … }",
    doc: "An encrypted copy for use without the provider.",
    fields: &[
        Field::required("provider", Kind::Text, "Provider that encrypted the copy."),
        Field::required("value", Kind::Text, "The ciphertext."),
        Field::optional(
            "local_source",
            Kind::Flag,
            "Whether the copy's source stands in a local file.",
        ),
        Field::optional("at", Kind::Text, "When the copy was made (RFC 3339)."),
        Field::optional(
            "copy_only",
            Kind::Flag,
            "Whether the entry is nothing but this copy, for the entry of the same name, provider and value below it.",
        ),
    ],
};

/// `[profiles.NAME]`
pub static PROFILE: Section = Section {
    heading: "[profiles.NAME]",
    doc: "A variant of the configuration. A key in capitals that holds a table is a secret.",
    fields: &[
        Field::optional(
            "inherits",
            Kind::TextList,
            "Profiles that apply before this one.",
        ),
        Field::optional(
            "default_provider",
            Kind::Text,
            "Provider of secrets that name none.",
        ),
        Field::optional("providers", Kind::Opaque, "Providers of this profile."),
        Field::optional("secrets", Kind::Opaque, "Secrets of this profile."),
        Field::optional("leases", Kind::Opaque, "Leases of this profile."),
        Field::optional("targets", Kind::Opaque, "Push targets of this profile."),
        Field::optional(
            "files",
            Kind::Opaque,
            "Files of this profile; only in the global file.",
        ),
    ],
};

/// Keys of every provider.
pub static PROVIDER_COMMON: Section = Section {
    heading: "[providers.NAME]",
    doc: "Where secrets live. These keys belong to every type.",
    fields: &[
        Field::required("type", Kind::Text, "The type of provider."),
        Field::optional(
            "auth_command",
            Kind::Text,
            "Command that logs in; `\"\"` turns the offer off.",
        ),
        Field::optional(
            "keep_env",
            Kind::Flag,
            "Leave the variables that opened this provider to the program.",
        ),
        Field::optional(
            "daemon_cache",
            Kind::FlagOrLifetime,
            "Whether the daemon may keep its values (default true), or for how long at most.",
        ),
    ],
};

/// `[people.NAME]`
pub static PERSON: Section = Section {
    heading: "[people.NAME]",
    doc: "A person who has access, and by what. `fnox lifecycle offboard` reads it.",
    fields: &[
        Field::optional(
            "email",
            Kind::Text,
            "The address by which an identity provider and the team server know the person.",
        ),
        Field::optional(
            "recipients",
            Kind::TextList,
            "The person's age and SSH recipients.",
        ),
        Field::optional(
            "accounts",
            Kind::TextMap,
            "Names of the person elsewhere, for example `{ github = \"alice\" }`.",
        ),
    ],
};

/// An entry of `[files]`.
pub static FILES: Section = Section {
    heading: "[files] \"PATH\" = { … }",
    doc: "A whole file kept by a provider.",
    fields: &[
        Field::optional("provider", Kind::Text, "Provider that keeps it."),
        Field::optional(
            "value",
            Kind::Text,
            "The ciphertext or reference; or `source`.",
        ),
        Field::optional(
            "source",
            Kind::Text,
            "File of the configuration folder that holds the ciphertext.",
        ),
        Field::optional("description", Kind::Text, "What it is for."),
        Field::optional(
            "sync",
            Kind::Table(&SYNC),
            "An encrypted copy for use without the provider.",
        ),
    ],
};

//! The tables of `fnox.toml` other than provider and lease types.

use super::{Field, Kind, Section};

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
            Kind::Path,
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
        Field::optional("plugins", Kind::TextMap, "Sources of Lua plugins."),
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
        Field::optional("identities_file", Kind::Path, "File of age identities."),
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
    doc: "The local log of secret uses.",
    fields: &[
        Field::optional(
            "enabled",
            Kind::Flag,
            "Whether to write it (default false).",
        ),
        Field::optional("path", Kind::Path, "Where to write it."),
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

/// `[proxy]`
pub static PROXY: Section = Section {
    heading: "[proxy]",
    doc: "The gateway that uses credentials on an agent's behalf.",
    fields: &[
        Field::optional(
            "egress",
            Kind::Choice(&["strict", "permissive"]),
            "Whether hosts without a rule are reachable.",
        ),
        Field::optional(
            "audit",
            Kind::Flag,
            "Log requests and refusals (default true).",
        ),
        Field::optional(
            "rules",
            Kind::Tables(&PROXY_RULE),
            "Which credential goes where.",
        ),
        Field::optional(
            "allow_domains",
            Kind::TextList,
            "Hosts reachable without a credential.",
        ),
        Field::optional(
            "allow_private",
            Kind::TextList,
            "Private addresses that may be reached.",
        ),
        Field::optional(
            "unscannable",
            Kind::Choice(&["block", "tag", "pass"]),
            "What happens to answers that cannot be searched for credentials: `block` (default), `tag` (with the field `fnox-unscanned`), `pass`.",
        ),
        Field::optional(
            "approval_wait",
            Kind::Lifetime,
            "For how long a request is held for a person's answer (default 55s) before it is refused for the time being.",
        ),
        Field::optional("sandbox", Kind::Flag, "Run the program in a sandbox."),
        Field::optional(
            "sandbox_allow_write",
            Kind::TextList,
            "Paths writable in the sandbox.",
        ),
        Field::optional(
            "sandbox_deny_read",
            Kind::TextList,
            "Paths hidden in the sandbox.",
        ),
        Field::optional(
            "sandbox_allow_read",
            Kind::TextList,
            "Paths readable in the sandbox after all.",
        ),
    ],
};

/// `[[proxy.rules]]`
pub static PROXY_RULE: Section = Section {
    heading: "[[proxy.rules]]",
    doc: "Which credential goes where.",
    fields: &[
        Field::optional("secret", Kind::Text, "The secret to use; or `lease`."),
        Field::optional("lease", Kind::Text, "The lease to use; or `secret`."),
        Field::optional("credential", Kind::Text, "Which variable of the lease."),
        Field::required("domain", Kind::Text, "Host, or `*.` and a host."),
        Field::optional("env", Kind::Text, "Variable that holds the placeholder."),
        Field::optional(
            "header",
            Kind::Text,
            "Header to fill (default `authorization`).",
        ),
        Field::optional("query", Kind::Text, "Query parameter to fill instead."),
        Field::optional(
            "methods",
            Kind::TextList,
            "Allowed methods; all if left out.",
        ),
        Field::optional(
            "paths",
            Kind::TextList,
            "Allowed paths as globs; all if left out.",
        ),
        Field::optional(
            "when_query",
            Kind::TextMap,
            "Query parameters that must be there once with these values, where `*` stands for anything: `{ ref = \"main\" }`.",
        ),
        Field::optional(
            "when_headers",
            Kind::TextMap,
            "The same for headers: `{ x-api-version = \"2022-*\" }`.",
        ),
        Field::optional(
            "placeholder",
            Kind::Text,
            "The placeholder's text (default: random, and shaped like the value).",
        ),
        Field::optional("port", Kind::Count, "The port (default 443)."),
        Field::optional(
            "inject",
            Kind::Text,
            "`swap`: the credential takes the placeholder's place (default). `set`: it goes into every request. Or another place than a header: `cookie:NAME`, `path`, `json:/POINTER`, `form:NAME`, `aws-sigv4`, `aws-sigv4:SERVICE/REGION` (the request is signed anew with a lease's AWS keys), `hmac-sha256:NAME[:FORMAT]` (a signature in a header with the value as its key, also `hmac-sha512` and `…-base64`), `jwt[:NAME[:FORMAT]]` (a token of the gateway's own making with the value as its key, see `jwt`; default `Authorization: Bearer`), `client-certificate` (the value is a certificate and its key in PEM, which TLS presents).",
        ),
        Field::optional(
            "jwt",
            Kind::Table(&PROXY_JWT),
            "What the tokens of `inject = \"jwt\"` are like.",
        ),
        Field::optional(
            "signed",
            Kind::Text,
            "What an HMAC is over: a text with `{method}`, `{host}`, `{path}`, `{query}`, `{target}` (path and query), `{timestamp}`, `{body}`, `{body-sha256}` in it. Default: `{body}`.",
        ),
        Field::optional(
            "timestamp",
            Kind::Text,
            "Header for the `{timestamp}` that is signed, in seconds since 1970.",
        ),
        Field::optional(
            "username",
            Kind::Text,
            "Send the credential as the password of this user (`Authorization: Basic`).",
        ),
        Field::optional(
            "format",
            Kind::Text,
            "What is around the credential in its header, for example `token {}`.",
        ),
        Field::optional(
            "ca_file",
            Kind::Path,
            "PEM file of authorities that the server is judged by, besides the system's.",
        ),
        Field::optional("max_uses", Kind::Count, "So many requests, then no more."),
        Field::optional(
            "rate",
            Kind::Text,
            "So many requests in so much time, for example `60/m`.",
        ),
        Field::optional(
            "approve",
            Kind::Choice(&["never", "ask"]),
            "`ask`: a person must agree to each request, by `fnox agent approve`.",
        ),
        Field::optional("body_limit", Kind::Count, "Most bytes of a request's body."),
        Field::optional(
            "capture",
            Kind::TextList,
            "Members of JSON answers that hold a fresh credential, such as `[\"access_token\", \"refresh_token\"]`: the program gets placeholders in their places. Answers that cannot be searched for them are refused.",
        ),
        Field::optional(
            "capture_hosts",
            Kind::TextList,
            "Hosts that get what was captured, in `authorization`, besides the requests that the rule allows itself.",
        ),
    ],
};

/// `jwt` of a rule.
pub static PROXY_JWT: Section = Section {
    heading: "jwt = { … }",
    doc: "What the tokens of `inject = \"jwt\"` are like. Each request gets one of its own, with `iat`, `exp` and a random `jti`.",
    fields: &[
        Field::required(
            "algorithm",
            Kind::Choice(&[
                "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
                "ES256", "ES384", "EdDSA",
            ]),
            "How they are signed. For `HS…` the value is the key as it is, at least as long as the hash; for the others a private key in PEM.",
        ),
        Field::optional("issuer", Kind::Text, "`iss`"),
        Field::optional("subject", Kind::Text, "`sub`"),
        Field::optional(
            "audience",
            Kind::TextList,
            "`aud`: one is sent as a text, several as a list.",
        ),
        Field::optional("key_id", Kind::Text, "`kid` in the header."),
        Field::optional(
            "lifetime",
            Kind::Lifetime,
            "How long a token is good (default 1m, at most 5m).",
        ),
        Field::optional("claims", Kind::TextMap, "Other claims, as texts."),
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

//! Every environment variable that fnox reads or sets. `docs/reference/environment.md` is generated from
//! this table.

/// One variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it does, one sentence.
    pub doc: &'static str,
    /// Whether fnox sets it for programs that it starts.
    pub set_by_fnox: bool,
    /// Whether it opens something, or says where that is: a program of `agent run` or `mcp` never gets it.
    pub opens: bool,
}

const fn read(name: &'static str, doc: &'static str) -> Variable {
    Variable {
        name,
        doc,
        set_by_fnox: false,
        opens: false,
    }
}

const fn opens(name: &'static str, doc: &'static str) -> Variable {
    Variable {
        name,
        doc,
        set_by_fnox: false,
        opens: true,
    }
}

const fn set(name: &'static str, doc: &'static str) -> Variable {
    Variable {
        name,
        doc,
        set_by_fnox: true,
        opens: false,
    }
}

/// Profiles to use, separated by commas.
pub const PROFILE: &str = "FNOX_PROFILE";
/// `--if-missing`
pub const IF_MISSING: &str = "FNOX_IF_MISSING";
/// What `if_missing` of fnox.toml would say.
pub const IF_MISSING_DEFAULT: &str = "FNOX_IF_MISSING_DEFAULT";
/// Which debug messages are shown.
pub const LOG: &str = "FNOX_LOG";
/// `--non-interactive`
pub const NON_INTERACTIVE: &str = "FNOX_NON_INTERACTIVE";
/// `--no-defaults`
pub const NO_DEFAULTS: &str = "FNOX_NO_DEFAULTS";
/// Whether login commands are offered.
pub const PROMPT_AUTH: &str = "FNOX_PROMPT_AUTH";
/// `exec --redact`
pub const EXEC_REDACT: &str = "FNOX_EXEC_REDACT";
/// An age identity.
pub const AGE_KEY: &str = "FNOX_AGE_KEY";
/// A file of age identities.
pub const AGE_KEY_FILE: &str = "FNOX_AGE_KEY_FILE";
/// Time limit of one call of a provider.
pub const PROVIDER_TIMEOUT: &str = "FNOX_PROVIDER_TIMEOUT";
/// Time limit of one call of an issuer of leases.
pub const HTTP_TIMEOUT: &str = "FNOX_HTTP_TIMEOUT";

/// The shell whose hook runs fnox.
pub const SHELL: &str = "FNOX_SHELL";
/// What fnox set in a shell, and what was there before.
pub const SHELL_SESSION: &str = "__FNOX_SESSION";
/// How much the shell hook says.
pub const SHELL_OUTPUT: &str = "FNOX_SHELL_OUTPUT";
/// How long the shell hook waits.
pub const SHELL_TIMEOUT: &str = "FNOX_SHELL_TIMEOUT";
/// Whether runs use the daemon.
pub const DAEMON: &str = "FNOX_DAEMON";
/// The folder of the daemon's socket.
pub const DAEMON_SOCKET_DIR: &str = "FNOX_DAEMON_SOCKET_DIR";
/// Whether uses of secrets are recorded.
pub const AUDIT: &str = "FNOX_AUDIT";
/// Where they are recorded.
pub const AUDIT_PATH: &str = "FNOX_AUDIT_PATH";
/// When an unused daemon ends.
pub const DAEMON_IDLE_TIMEOUT: &str = "FNOX_DAEMON_IDLE_TIMEOUT";

/// The vault's place, for clients and for `vault serve`.
pub const VAULT_SOCKET: &str = "FNOX_VAULT_SOCKET";
/// The agents' socket of `vault serve`.
pub const VAULT_AGENT_SOCKET: &str = "FNOX_VAULT_AGENT_SOCKET";
/// `vault.toml`
pub const VAULT_CONFIG: &str = "FNOX_VAULT_CONFIG";
/// The vault's store.
pub const VAULT_STORE: &str = "FNOX_VAULT_STORE";
/// The vault's key source.
pub const VAULT_KEY: &str = "FNOX_VAULT_KEY";
/// The vault's policy.
pub const VAULT_POLICY: &str = "FNOX_VAULT_POLICY";
/// A token for a vault.
pub const VAULT_TOKEN: &str = "FNOX_VAULT_TOKEN";
/// A file that holds a token for a vault.
pub const VAULT_TOKEN_FILE: &str = "FNOX_VAULT_TOKEN_FILE";
/// In whose name leases are asked for.
pub const VAULT_AGENT: &str = "FNOX_VAULT_AGENT";

/// URL of the team server.
pub const SERVER_URL: &str = "FNOX_SERVER_URL";
/// A bearer token for the team server.
pub const SERVER_TOKEN: &str = "FNOX_SERVER_TOKEN";
/// A file that holds a bearer token for the team server.
pub const SERVER_TOKEN_FILE: &str = "FNOX_SERVER_TOKEN_FILE";
/// An OIDC token for the team server.
pub const OIDC_TOKEN: &str = "FNOX_OIDC_TOKEN";
/// A file that holds an OIDC token for the team server.
pub const OIDC_TOKEN_FILE: &str = "FNOX_OIDC_TOKEN_FILE";
/// Certificates to trust besides those of the machine.
pub const SERVER_CA_FILE: &str = "FNOX_SERVER_CA_FILE";
/// `server.toml`
pub const SERVER_CONFIG: &str = "FNOX_SERVER_CONFIG";
/// The team server's database.
pub const SERVER_DATABASE: &str = "FNOX_SERVER_DATABASE";
/// The key that signs values for the team server.
pub const WRITER_KEY_FILE: &str = "FNOX_WRITER_KEY_FILE";

/// All of them, in the order of the reference page.
pub const VARIABLES: &[Variable] = &[
    read(
        PROFILE,
        "Profiles to use, separated by commas; `--profile` wins.",
    ),
    read(
        "FNOX_CONFIG_DIR",
        "Folder of the global file `config.toml`; must be absolute. Default: `$XDG_CONFIG_HOME/fnox`, `~/.config/fnox`.",
    ),
    read(
        "FNOX_STATE_DIR",
        "Folder of the lease ledger; must be absolute. Default: `$XDG_STATE_HOME/fnox`, `~/.local/state/fnox`.",
    ),
    read(
        "FNOX_DATA_DIR",
        "Folder of data; must be absolute. Default: `$XDG_DATA_HOME/fnox`, `~/.local/share/fnox`.",
    ),
    read(
        "FNOX_PLUGINS_DIR",
        "Folder of installed Lua plugins; must be absolute. Default: `plugins` of the folder of data.",
    ),
    read(
        NO_DEFAULTS,
        "`1`, `true`, `yes`, `y` or `on`: leave out the base's secrets when a profile is active.",
    ),
    read(
        IF_MISSING,
        "`error`, `warn` or `ignore`: what to do about a secret without a value; beats the configuration.",
    ),
    read(
        IF_MISSING_DEFAULT,
        "The same, but the configuration beats it.",
    ),
    read(NON_INTERACTIVE, "Never ask anything."),
    read(
        PROMPT_AUTH,
        "Whether to offer a provider's login command on a terminal.",
    ),
    read(
        EXEC_REDACT,
        "Replace secret values in the output of programs that `fnox exec` runs, where it is not a terminal.",
    ),
    opens(AGE_KEY, "An age identity. Never reaches the program."),
    opens(
        AGE_KEY_FILE,
        "A file of age identities. Never reaches the program.",
    ),
    read(
        SERVER_URL,
        "URL of the team server; beats `server_url` of the global file.",
    ),
    opens(
        SERVER_TOKEN_FILE,
        "A file that holds a bearer token for the team server, such as the bootstrap administrator's; beats `FNOX_SERVER_TOKEN`, `fnox login` and the CI's own token. Never reaches the program.",
    ),
    opens(
        SERVER_TOKEN,
        "A bearer token for the team server; a file is better. Never reaches the program.",
    ),
    opens(
        OIDC_TOKEN_FILE,
        "A file that holds an OIDC token for the team server, for a CI whose token fnox does not find by itself; read anew each time. Never reaches the program.",
    ),
    opens(
        OIDC_TOKEN,
        "The token itself; a file is better. Never reaches the program.",
    ),
    opens(
        "FNOX_ID_TOKEN",
        "An OIDC token for the team server, as GitLab's `id_tokens` sets it. Never reaches the program.",
    ),
    read(
        SERVER_CA_FILE,
        "A file of certificates (PEM) to trust besides those of the machine, when fnox speaks with the team server.",
    ),
    opens(
        WRITER_KEY_FILE,
        "The writer key that signs values for the team server. Default: `age/writer.key` in the config folder. Never reaches the program.",
    ),
    read(
        PROVIDER_TIMEOUT,
        "Time limit of one call of a provider, for example `30s` (default 60s).",
    ),
    read(
        HTTP_TIMEOUT,
        "Time limit of one call of an issuer of leases, repetitions included, for example `10s` (default 30s).",
    ),
    read(
        SHELL_OUTPUT,
        "`none`, `normal` or `debug`: how much an activated shell says when secrets come and go.",
    ),
    read(
        SHELL_TIMEOUT,
        "How long an activated shell waits for providers before its prompt, for example `2s` (default 5s).",
    ),
    read(
        DAEMON,
        "`1`, `true`, `yes`, `y` or `on`: keep values in the daemon between runs; anything else: do not. Beats `[daemon] enabled`; `--no-daemon` beats both.",
    ),
    opens(
        DAEMON_SOCKET_DIR,
        "Folder of the daemon's socket; must be absolute, and open to nobody else. Default: `$XDG_RUNTIME_DIR/fnox`, or `run` of the state folder.",
    ),
    read(
        AUDIT,
        "Whether uses of secrets are recorded: `on` or `off`. Beats `[audit] enabled` of a project, not of the global file.",
    ),
    opens(
        AUDIT_PATH,
        "The file of these records, unless the global file turns them on; by default `audit.log` of the state folder.",
    ),
    read(
        DAEMON_IDLE_TIMEOUT,
        "When a daemon that nobody uses ends, for example `1h`; beats `idle_timeout` of `[daemon]`.",
    ),
    read("NO_COLOR", "No colours when set to anything."),
    read(
        LOG,
        "Filter of fnox's own debug messages, for example `debug` or `fnox_leases=trace`; beats `--verbose` and `--quiet`. Those of libraries are never shown.",
    ),
    read("RUST_LOG", "The same, if `FNOX_LOG` is not set."),
    read(
        "XDG_RUNTIME_DIR",
        "Where the files of `as_file` secrets are put, in `fnox/`.",
    ),
    opens(
        "FNOX_OP_SERVICE_ACCOUNT_TOKEN",
        "1Password service-account token; beats `OP_SERVICE_ACCOUNT_TOKEN`. Neither reaches a program of `agent run` or `mcp`, nor one of `exec` that gets a secret of the provider.",
    ),
    read(
        "FNOX_PASSWORD_STORE_DIR",
        "Folder of the password store; beats `PASSWORD_STORE_DIR`.",
    ),
    read(
        "FNOX_PASSWORD_STORE_GPG_OPTS",
        "Options for gpg; beats `PASSWORD_STORE_GPG_OPTS`.",
    ),
    opens(
        VAULT_SOCKET,
        "Where the agents' vault is: a socket's path, `tcp:ADDRESS:PORT`, `vsock:CID:PORT` or `host-socket:PATH:PORT`; for `vault serve`, the administrators' socket. What `vault exec` starts gets the agents' socket here, if `vault.toml` names one.",
    ),
    opens(
        VAULT_TOKEN,
        "A token for the vault. Never reaches programs that fnox starts; a file is better.",
    ),
    opens(
        VAULT_TOKEN_FILE,
        "A file that holds a token for the vault; beats `FNOX_VAULT_TOKEN`. Never reaches a program of `vault exec`, `agent run` or `mcp`.",
    ),
    opens(
        VAULT_AGENT,
        "In whose name `vault lease request`, `vault exec` and `vault credential-fill` ask, if no agent's token tells.",
    ),
    opens(
        VAULT_CONFIG,
        "The vault's own configuration. Default: `vault.toml` in the config folder.",
    ),
    opens(VAULT_STORE, "Beats `store` of `vault.toml`."),
    opens(VAULT_KEY, "Beats `key` of `vault.toml`."),
    opens(VAULT_POLICY, "Beats `policy` of `vault.toml`."),
    opens(VAULT_AGENT_SOCKET, "Beats `agent_socket` of `vault.toml`."),
    opens(
        SERVER_CONFIG,
        "The team server's own configuration. Default: `server.toml` in the config folder.",
    ),
    opens(
        SERVER_DATABASE,
        "Beats `database` of `server.toml`: a file, or a URL of PostgreSQL, which may have a password in it.",
    ),
    set(SHELL, "The shell that `fnox activate` was evaluated in."),
    Variable {
        name: SHELL_SESSION,
        set_by_fnox: true,
        opens: true,
        doc: "What an activated shell got from fnox and what was there before, sealed with a key of the state folder. Never reaches programs that fnox starts.",
    },
    set(
        "FNOX_LEASE_DURATION",
        "For the commands of a `command` lease: wanted lifetime in seconds.",
    ),
    set(
        "FNOX_LEASE_LABEL",
        "For the commands of a `command` lease: what the credential is for.",
    ),
    set(
        "FNOX_LEASE_ID",
        "For `revoke_command`: which credential to revoke.",
    ),
];

#[cfg(test)]
mod tests {
    use super::VARIABLES;

    #[test]
    fn what_sounds_like_a_credential_opens_something() {
        for variable in VARIABLES {
            let words: Vec<&str> = variable.name.split('_').collect();
            let sounds = ["TOKEN", "KEY", "SOCKET", "SESSION"]
                .iter()
                .any(|word| words.contains(word));
            assert!(!sounds || variable.opens, "{}", variable.name);
        }
    }

    #[test]
    fn each_variable_stands_once() {
        let mut names: Vec<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

//! Leases of clusters, networks, databases and hosts, and of commands.

use super::{
    ENV_VAR, Field, Kind, LeaseSpec, choice, count, flag, hidden_file, list, required, shown_file,
    text,
};

/// A service account's token by `TokenRequest`.
pub(super) static KUBERNETES: LeaseSpec = LeaseSpec {
    name: "kubernetes",
    label: "Kubernetes",
    fields: &[
        required("service_account", "Service account."),
        text(
            "namespace",
            "Namespace of the service account (default: the context's, or the pod's).",
        ),
        list(
            "audiences",
            "Audiences of the token (default: the API server's own).",
        ),
        text(
            "context",
            "Context of the kubeconfig (default: its current-context).",
        ),
        hidden_file(
            "kubeconfig",
            "The kubeconfig file (default: KUBECONFIG, `~/.kube/config`, or the pod's own account).",
        ),
        hidden_file(
            "service_account_folder",
            "Folder of the pod's own account (default `/var/run/secrets/kubernetes.io/serviceaccount`).",
        ),
        ENV_VAR,
    ],
    variables: &["KUBECONFIG"],
};

/// An authentication key for a device.
pub(super) static TAILSCALE: LeaseSpec = LeaseSpec {
    name: "tailscale",
    label: "Tailscale",
    fields: &[
        text("tailnet", "Tailnet (default `-`: the master's own)."),
        text("api_base", "API URL."),
        list("tags", "Tags of the device."),
        flag("reusable", "Whether the key works more than once."),
        flag(
            "ephemeral",
            "Whether the device is ephemeral (default true).",
        ),
        flag(
            "preauthorized",
            "Whether the device needs no approval (default true).",
        ),
        ENV_VAR,
    ],
    variables: &[
        "TAILSCALE_API_KEY",
        "TAILSCALE_OAUTH_CLIENT_ID",
        "TAILSCALE_OAUTH_CLIENT_SECRET",
        "TS_AUTHKEY",
        "TS_AUTH_KEY",
    ],
};

/// A user of a database server that is dropped afterwards.
pub(super) static DATABASE: LeaseSpec = LeaseSpec {
    name: "database",
    label: "Database",
    fields: &[
        Field::required(
            "engine",
            Kind::Choice(&["postgres", "mysql"]),
            "Kind of server; `mysql` is MariaDB too.",
        ),
        required(
            "host",
            "Host, or the path of a Unix socket: of its folder (PostgreSQL) or of itself (MySQL).",
        ),
        count("port", "Port (default 5432 or 3306)."),
        text(
            "database",
            "Database to connect to (default `postgres` of PostgreSQL).",
        ),
        required("username", "User that may create others."),
        text(
            "password_variable",
            "Variable or secret with that user's password (default `FNOX_DATABASE_PASSWORD`).",
        ),
        shown_file("ca_file", "PEM file of the certificates that are trusted."),
        choice(
            "tls",
            &["require", "disable"],
            "Whether the connection is encrypted and the certificate checked (default `require`, but for this machine without `ca_file`, and Unix sockets).",
        ),
        Field::required(
            "grants",
            Kind::TextList,
            "Statements that give the new user its rights; `{{ user }}` is its name, quoted.",
        ),
        list(
            "revoke_statements",
            "Statements before the user is dropped, for example `REASSIGN OWNED BY {{ user }} TO app`.",
        ),
        text(
            "user_prefix",
            "Beginning of the new user's name (default `fnox_`).",
        ),
        text(
            "user_host",
            "From which hosts a MySQL user may connect (default `%`).",
        ),
        count(
            "connection_limit",
            "How many connections the user may have at a time (default: any number).",
        ),
        text(
            "user_env_var",
            "Variable that holds the user (default `DATABASE_USER`).",
        ),
        text(
            "password_env_var",
            "Variable that holds the password (default `DATABASE_PASSWORD`).",
        ),
        text(
            "url_env_var",
            "Variable that holds both as a URL (default `DATABASE_URL`; empty: none).",
        ),
    ],
    variables: &[
        "FNOX_DATABASE_PASSWORD",
        "PGPASSWORD",
        "PGPASSFILE",
        "PGSERVICE",
        "PGUSER",
        "MYSQL_PWD",
    ],
};

/// An SSH certificate, in an agent of the program.
pub(super) static SSH: LeaseSpec = LeaseSpec {
    name: "ssh",
    label: "SSH certificate",
    fields: &[
        hidden_file(
            "ca_key_file",
            "OpenSSH private key of the certificate authority, without passphrase.",
        ),
        text(
            "ca_key_variable",
            "Variable or secret with that key (default `FNOX_SSH_CA_KEY`).",
        ),
        text(
            "ca_agent_key",
            "Public key of a certificate authority whose private key the SSH agent at `SSH_AUTH_SOCK` holds, such as one of a PKCS#11 token.",
        ),
        Field::required(
            "principals",
            Kind::TextList,
            "Users as whom the certificate lets in; there is no certificate without.",
        ),
        text(
            "key_id",
            "Name of the certificate in the server's log (default: the lease's label).",
        ),
        list(
            "extensions",
            "What the certificate permits (default `permit-pty`): names of OpenSSH, or `name@domain=value`.",
        ),
        text("force_command", "The only command that may be run."),
        list(
            "source_addresses",
            "Addresses and networks from which it may be used.",
        ),
    ],
    variables: &["FNOX_SSH_CA_KEY", "SSH_AUTH_SOCK", "SSH_AGENT_PID"],
};

/// What a command prints.
pub(super) static COMMAND: LeaseSpec = LeaseSpec {
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
    variables: &[],
};

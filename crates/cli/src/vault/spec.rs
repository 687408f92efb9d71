//! What may stand in a `vault.toml`, as data.
//!
//! The reader, the JSON Schema, the reference page and the file that `vault init` writes come from it. To add a
//! key, add a line here and read it in [`super::settings`].

use fnox_config::spec::{Field, Kind, Section, Sight};

const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field::optional(name, kind, doc)
}

/// The whole file.
pub static VAULT: Section = Section {
    heading: "vault.toml",
    doc: "Settings of `fnox vault serve`. Flags and `FNOX_VAULT_*` beat them. Paths are relative to the file's folder; `~` is the home folder.",
    fields: &[
        key(
            "store",
            Kind::Place,
            "Where secrets, leases, tokens and the audit log are kept: `sqlite:PATH` (default: `vault.db` in fnox's data folder), `postgres://USER@HOST/DATABASE`, or `aws-sm:PREFIX` for the secrets alone, which needs `[audit] store`.",
        ),
        key(
            "key",
            Kind::Place,
            "Where the key is that seals the vault's other keys: `file:PATH` (default: `vault.key` beside this file), `env:VARIABLE` (64 hex digits), `keychain:SERVICE/ACCOUNT` or `kms:KEY_ID`.",
        ),
        key(
            "policy",
            Kind::Path(Sight::Hidden),
            "The policy. Default: `policy.toml` beside this file.",
        ),
        key(
            "socket",
            Kind::Path(Sight::Hidden),
            "The administrators' Unix socket. Default: `$XDG_RUNTIME_DIR/fnox/vault.sock`.",
        ),
        key(
            "socket_mode",
            Kind::Text,
            "Its mode in octal. Default: `\"0600\"`.",
        ),
        key("socket_group", Kind::Count, "Its group, as a number."),
        key(
            "agent_socket",
            Kind::Path(Sight::Hidden),
            "The agents' Unix socket: tokens only, never administrators. Default: none.",
        ),
        key(
            "agent_socket_mode",
            Kind::Text,
            "Its mode in octal. Default: `\"0600\"`.",
        ),
        key("agent_socket_group", Kind::Count, "Its group, as a number."),
        key(
            "listen",
            Kind::TextList,
            "Loopback addresses for whoever has a token, such as `\"127.0.0.1:9100\"`. Default: none.",
        ),
        key(
            "vsock",
            Kind::Count,
            "vsock port for whoever has a token (Linux). Default: none.",
        ),
        key(
            "vsock_host",
            Kind::TextList,
            "Monitors' Unix sockets (Firecracker, cloud-hypervisor) with the port that the guest connects to, such as `\"/run/vm1/vsock.sock:9100\"`. Default: none.",
        ),
        key(
            "algorithm",
            Kind::Choice(&["aes-256-gcm", "xchacha20-poly1305"]),
            "How new values are sealed. Default: `\"aes-256-gcm\"`.",
        ),
        key(
            "keep_versions",
            Kind::Count,
            "How many versions of each secret are kept. Default: 3.",
        ),
        key(
            "admins",
            Kind::Table(&ADMINS),
            "Who is an administrator at the administrators' socket, besides the user whose vault it is.",
        ),
        key("leases", Kind::Table(&LEASES), "Leases."),
        key("audit", Kind::Table(&AUDIT), "The audit log."),
        key(
            "limits",
            Kind::Table(&LIMITS),
            "How much callers may ask of the vault.",
        ),
        key(
            "mint",
            Kind::Opaque,
            "`[mint.NAME]`: credentials that are made when a lease of NAME is used, and withdrawn when it is over. The keys of a `[leases.NAME]` of the same `type` (see docs/leases), and `masters`, `description`, `per_operation` and `variable`. Read when the vault starts. Default: none.",
        ),
    ],
};

/// `[admins]`
pub static ADMINS: Section = Section {
    heading: "[admins]",
    doc: "More administrators, as the operating system knows them. They also need to get at the socket: see `socket_mode` and `socket_group`.",
    fields: &[
        key("uids", Kind::Counts, "Users, as numbers."),
        key(
            "gids",
            Kind::Counts,
            "Groups, as numbers; the primary group of the caller's process counts.",
        ),
    ],
};

/// `[leases]`
pub static LEASES: Section = Section {
    heading: "[leases]",
    doc: "Leases.",
    fields: &[
        key(
            "keep",
            Kind::Choice(&["durable", "memory"]),
            "`\"durable\"`: leases survive a restart of the vault. `\"memory\"`: a restart ends them all, tokens too. Default: `\"durable\"`.",
        ),
        key(
            "max_per_agent",
            Kind::Count,
            "How many live leases one agent may have. Default: 100.",
        ),
    ],
};

/// `[audit]`
pub static AUDIT: Section = Section {
    heading: "[audit]",
    doc: "The audit log. A request whose record cannot be written fails.",
    fields: &[
        key(
            "mode",
            Kind::Choice(&["store", "off"]),
            "`\"store\"`: records are kept in the store. `\"off\"`: nothing is recorded, and `vault status` says so. Default: `\"store\"`.",
        ),
        key(
            "store",
            Kind::Place,
            "`sqlite:PATH`: another store for leases, tokens, keys and the log, where `store` can keep only secrets. Default: `vault.db` in fnox's data folder.",
        ),
        key(
            "stdout",
            Kind::Flag,
            "Print every record as a JSON line to stdout too, for log shippers. Default: `false`.",
        ),
        key(
            "checkpoints",
            Kind::Path(Sight::Hidden),
            "File to which signed checkpoints are added. Default: none.",
        ),
        key(
            "checkpoint_interval",
            Kind::Lifetime,
            "How often. Default: `\"1h\"`.",
        ),
    ],
};

/// `[limits]`
pub static LIMITS: Section = Section {
    heading: "[limits]",
    doc: "How much callers may ask of the vault.",
    fields: &[
        key(
            "connections",
            Kind::Count,
            "Open connections in all. Default: 12000.",
        ),
        key(
            "per_peer",
            Kind::Count,
            "Open connections of one user, one guest, or all of TCP. Default: 12000.",
        ),
        key(
            "in_flight",
            Kind::Count,
            "Requests of one connection that are under way at once. Default: 64.",
        ),
        key(
            "request_timeout",
            Kind::Lifetime,
            "How long one request may take. Default: `\"30s\"`.",
        ),
        key(
            "idle_timeout",
            Kind::Lifetime,
            "How long a connection may be without any request. Default: `\"1h\"`.",
        ),
    ],
};

/// Every section, in the order of the reference page.
pub static SECTIONS: [&Section; 5] = [&VAULT, &ADMINS, &LEASES, &AUDIT, &LIMITS];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_says_what_it_is_if_it_is_not_set() {
        for section in SECTIONS {
            for field in section.fields {
                let says = field.doc.contains("Default:") || field.doc.contains("default:");
                let needs_none = matches!(field.kind, Kind::Table(_) | Kind::Counts)
                    || field.name.ends_with("_group");
                assert!(says || needs_none, "{} {}", section.heading, field.name);
            }
        }
    }
}

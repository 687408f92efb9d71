//! Every command that prints data, and the shapes in which it does.
//!
//! A test compares this list with the command line: what prints a document stands here, and what lists or shows something has
//! a document. `docs/reference/json.md` is made of it.

/// A command that prints data.
#[derive(Debug, Clone, Copy)]
pub struct Printed {
    /// Its words after `fnox`.
    pub command: &'static str,
    /// The option that asks for a JSON document.
    pub option: &'static str,
    /// The documents' schemas, as [`schemas`](super::schemas) names them.
    pub schemas: &'static [&'static str],
    /// When it is which, or nothing.
    pub remark: &'static str,
}

/// All of them, in the order of the alphabet.
pub const PRINTED: &[Printed] = &[
    json("age keygen", &["age-keygen"]),
    json("agent doctor", &["agent-doctor"]),
    json("agent pending", &["agent-pending"]),
    json("agent rules", &["agent-rules"]),
    json("approve", &["approve-list"]),
    json("approve approve", &["approve-show"]),
    json("approve deny", &["approve-show"]),
    json("approve list", &["approve-list"]),
    json("approve show", &["approve-show"]),
    json("audit", &["audit", "audit-verify"]).and("with `--verify` the second"),
    json("check", &["check"]),
    json("config-files", &["config-files"]),
    json("daemon status", &["daemon-status"]),
    json("diff", &["diff"]),
    json("doctor", &["doctor"]),
    json("env", &["env"]).and("one line"),
    formatted("export", &["export"]),
    json("files", &["files-list"]),
    json("files list", &["files-list"]),
    json("files write", &["files-write"]),
    json("get", &["get"]),
    json("import", &["import", "import-declared"]).and("with `-n`"),
    json("lease cleanup", &["lease-cleanup"]),
    formatted("lease create", &["lease-create", "lease-explain"])
        .and("with `--explain` the second"),
    json("lease list", &["lease-list"]),
    json("lease revoke", &["lease-revoke"]),
    json("lifecycle offboard", &["lifecycle-offboard"]),
    json("list", &["list"]),
    json("login", &["login"]),
    json("plugin", &["plugin-list"]),
    json("plugin list", &["plugin-list"]),
    json("profiles", &["profiles"]),
    json("provider", &["provider-list"]),
    json("provider keys list", &["provider-keys"]),
    json("provider list", &["provider-list"]),
    json("provider test", &["provider-test"]),
    json("push", &["push"]),
    json("reencrypt", &["reencrypt"]).and("with `-n` or `--check`"),
    json("scan", &["scan"]),
    json("secret delete", &["secret-delete"]),
    json("secret list", &["secret-list"]),
    json("secret rekey", &["secret-list"]),
    json("secret set", &["secret-set"]),
    json("secret versions", &["secret-list"]),
    json("serve audit verify", &["serve-audit-verify"]),
    json("serve backup", &["serve-backup"]),
    json("serve freeze", &["serve-state"]),
    json("serve init", &["serve-init"]),
    json("serve notify test", &["serve-notify-test"]),
    json("serve policy check", &["serve-policy-check"]),
    json("serve policy test", &["serve-policy-test"]),
    json("serve restore", &["serve-restore"]),
    json("serve restored", &["serve-restore"]),
    json("serve revoke-all", &["serve-state"]),
    json("serve token", &["serve-token"]),
    json("serve token list", &["serve-token-list"]),
    json("serve unfreeze", &["serve-state"]),
    json("sync", &["sync-plan", "sync-status"]).and("with `-n`; with `--status`"),
    json("trust", &["trust-list"]).and("with `--list`"),
    json("vault approvals", &["vault-approvals"]),
    json("vault audit checkpoint", &["vault-audit-checkpoint"]),
    json("vault audit export", &["vault-audit-query"]).and("its `records`, one a line"),
    json("vault audit query", &["vault-audit-query"]),
    json("vault audit tail", &["vault-audit-query"])
        .and("with `--follow` its `records`, one a line"),
    json("vault audit verify", &["vault-audit-verify"]),
    json("vault backup", &["vault-backup"]),
    json("vault import zerolease", &["vault-import-zerolease"]),
    json("vault init", &["vault-init"]),
    json("vault key rewrap", &["vault-key-rotate"]),
    json("vault key rotate", &["vault-key-rotate"]),
    json("vault key status", &["vault-key-status"]),
    json("vault lease access", &["vault-lease-access"]),
    json("vault lease list", &["vault-lease-list"]),
    json("vault lease renew", &["vault-lease-renew"]),
    json("vault lease request", &["vault-lease-request"]),
    json("vault lease revoke", &["vault-lease-revoke"]),
    json("vault policy check", &["vault-policy-check"]),
    json("vault policy explain", &["vault-policy-explain"]),
    json("vault policy reload", &["vault-policy-reload"]),
    json("vault restore", &["vault-restore"]),
    json("vault secret delete", &["vault-secret-delete"]),
    json("vault secret get-metadata", &["vault-secret-get-metadata"]),
    json("vault secret import", &["vault-secret-import"]),
    json("vault secret list", &["vault-secret-list"]),
    json("vault secret prune", &["vault-secret-prune"]),
    json("vault secret set", &["vault-secret-set"]),
    json("vault status", &["vault-status"]),
    json(
        "vault token create",
        &["vault-token-create", "vault-token-create-output"],
    )
    .and("with `--output` the second"),
    json("vault token list", &["vault-token-list"]),
    json("vault token revoke", &["vault-token-revoke"]),
    json("version", &["version"]),
];

const fn json(command: &'static str, schemas: &'static [&'static str]) -> Printed {
    Printed {
        command,
        option: "--json",
        schemas,
        remark: "",
    }
}

/// One that prints in several formats, of which JSON is one.
const fn formatted(command: &'static str, schemas: &'static [&'static str]) -> Printed {
    Printed {
        option: "--format json",
        ..json(command, schemas)
    }
}

impl Printed {
    const fn and(self, remark: &'static str) -> Self {
        Self { remark, ..self }
    }
}

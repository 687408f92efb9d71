//! The keys that all types of lease share, and the tables in them.

use super::super::{Field, Kind, Section, Sight};

/// Keys of every lease.
pub static LEASE_COMMON: Section = Section {
    heading: "[leases.NAME]",
    doc: "Short-lived credentials. These keys belong to every type.",
    fields: &[
        Field::required("type", Kind::Text, "The type of lease."),
        Field::optional(
            "duration",
            Kind::Lifetime,
            "How long credentials live (default 15m).",
        ),
        Field::optional(
            "required",
            Kind::Flag,
            "Fail instead of skipping the lease when nothing is configured for it.",
        ),
        Field::optional(
            "deliver",
            Kind::TextList,
            "How the program gets the credential: `env` (default), `endpoint`, `file`, `agent`, or `helper` for \
             nothing in `exec`, only through `fnox credential`.",
        ),
        Field::optional(
            "files",
            Kind::Tables(&LEASE_FILE),
            "The files of `deliver = [\"file\"]`.",
        ),
        Field::optional(
            "restart",
            Kind::Flag,
            "With `env`: start the program again when the credential was renewed.",
        ),
        Field::optional(
            "override",
            Kind::Flag,
            "Win over another lease that makes the same variable, which is an error otherwise.",
        ),
        Field::optional(
            "revoke_on_exit",
            Kind::Flag,
            "Withdraw the credential when the program has ended.",
        ),
        Field::optional(
            "on_renewal_failure",
            Kind::Choice(&["warn", "kill"]),
            "What happens to the program when the credential ends and cannot be renewed (default `warn`).",
        ),
        Field::optional(
            "per_operation",
            Kind::Flag,
            "With `fnox vault serve` each use of a vault's lease, and with `fnox agent run` each request, gets a credential \
             of its own (default `false`: one for each lease).",
        ),
        Field::optional(
            "variable",
            Kind::Text,
            "With `fnox vault serve`: the one variable of the credential that the vault gives out (default: the only one, \
             or all as a JSON object).",
        ),
    ],
};

/// `[mint.NAME]` of `vault.toml`, besides the keys of `[leases.NAME]`.
pub static MINT: Section = Section {
    heading: "[mint.NAME]",
    doc: "A credential that the vault makes when a lease of `NAME` is used, and withdraws when that is over. It has the \
          keys of its `type`, as `[leases.NAME]` in `fnox.toml`, and these; `duration` is the longest life.",
    fields: &[
        Field::optional(
            "description",
            Kind::Text,
            "What it is for, as `fnox vault secret list` shows it. Default: none.",
        ),
        Field::optional(
            "masters",
            Kind::TextMap,
            "Which secrets of the vault are the mint's masters: variables and names, such as `AWS_ACCESS_KEY_ID = \
             \"deployer-id\"`. Default: the secret of the variable's own name, else the variable of the vault's environment.",
        ),
    ],
};

/// An entry of `[[leases.NAME.files]]`.
pub static LEASE_FILE: Section = Section {
    heading: "[[leases.NAME.files]]",
    doc: "A private file with the credential, written anew at each renewal.",
    fields: &[
        Field::optional(
            "variable",
            Kind::Text,
            "Variable of the credential that the file holds; or `template`.",
        ),
        Field::optional(
            "template",
            Kind::Path(Sight::Shown),
            "File whose `{{ VARIABLE }}` are filled in.",
        ),
        Field::optional(
            "path",
            Kind::Path(Sight::Hidden),
            "The file, which must not exist or be one that fnox wrote (default: one in a private folder).",
        ),
        Field::optional(
            "path_variable",
            Kind::Text,
            "Variable that tells the program the file's path.",
        ),
        Field::optional(
            "signal",
            Kind::Choice(&["HUP", "INT", "TERM", "USR1", "USR2", "WINCH"]),
            "Signal for the program when the file was written anew.",
        ),
    ],
};

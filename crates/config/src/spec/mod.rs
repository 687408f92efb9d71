//! What may stand in a `fnox.toml`, as data.
//!
//! Each table of the format is a [`Section`] of [`Field`]s. The parser checks against it (unknown keys,
//! types, near misses), `fnox schema` prints it as JSON Schema, and the reference pages are generated from
//! it: one source, so that the three cannot disagree. To add a key, add a line here.

mod lease;
mod provider;
mod proxy;
mod sections;
mod target;
mod telemetry;

pub use lease::{
    AWS_MASTERS, AZURE_MASTERS, GCP_MASTERS, LEASE_COMMON, LEASE_FILE, LEASES, LeaseSpec, MINT,
};
pub use provider::{Capability, PROVIDERS, ProviderSpec};
pub use proxy::{PROXY, PROXY_JWT, PROXY_RULE, PROXY_TELEMETRY};
pub use sections::{
    AGE, AUDIT, DAEMON, FILES, LEDGER, MCP, PERSON, PROFILE, PROJECT, PROVIDER_COMMON, SECRET,
    SYNC, TOP_LEVEL,
};
pub use target::{TARGET_COMMON, TARGETS, TargetSpec};
pub use telemetry::TELEMETRY_FIELDS;

/// Whether a program that is to hold no credential may find what a path leads to. Part of the kind, so that no key can
/// leave it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// A credential, what opens or holds some, a door to whoever gives them, or what says who gets them.
    Hidden,
    /// Nothing of the kind, such as certificates that are trusted.
    Shown,
}

/// What a key's value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A string, or `{ secret = "NAME" }` for the value of another secret.
    Reference,
    /// A file or folder, relative to the declaring file; `~` is expanded.
    Path(Sight),
    /// Like [`Kind::Path`], or `{ secret = "NAME" }`.
    ReferencePath(Sight),
    /// Where something is that gives or holds credentials: a path on this machine, by itself or after `file:`, `sqlite:` or
    /// `unix:`, or an address elsewhere. To be [`Sight::Hidden`].
    Place,
    /// `true` or `false`.
    Flag,
    /// A whole number, zero or more.
    Count,
    /// A duration such as `15m`.
    Lifetime,
    /// `true`, `false`, or a duration such as `15m`.
    FlagOrLifetime,
    /// A list of strings.
    TextList,
    /// A string, or a list of strings.
    TextOrList,
    /// A list of whole numbers, zero or more.
    Counts,
    /// A table of strings.
    TextMap,
    /// A table of strings, flags, whole numbers and `{ secret = "NAME" }`, whose keys somebody else knows.
    Options,
    /// A table of whatever JSON has, whose keys somebody else knows.
    Json,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true`, `false` or `"exec"`.
    EnvMode,
    /// A table with keys of its own.
    Table(&'static Section),
    /// A list of tables with keys of their own.
    Tables(&'static Section),
    /// A table of whatever its reader makes of it.
    Opaque,
}

/// One key of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What its value must look like.
    pub kind: Kind,
    /// Whether the table is wrong without it.
    pub required: bool,
    /// One sentence for the reference page and the schema.
    pub doc: &'static str,
}

impl Field {
    /// A key that may be left out.
    #[must_use]
    pub const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            required: false,
            doc,
        }
    }

    /// A key that must be there.
    #[must_use]
    pub const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            required: true,
            doc,
        }
    }
}

/// A table of the format.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    /// How the table is written, for example `[project]`.
    pub heading: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Its keys, in the order in which the reference page shows them.
    pub fields: &'static [Field],
}

impl Section {
    /// The field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

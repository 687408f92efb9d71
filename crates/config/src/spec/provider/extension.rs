//! Types that other people's programs and plugins make.

use super::{Capability, ProviderSpec};
use crate::spec::{Field, Kind};

const OPTIONS: Field = Field::optional(
    "options",
    Kind::Options,
    "What it wants to know: texts, flags, whole numbers, `{ secret = \"NAME\" }`.",
);

/// What fnox may use it for cannot be known without asking it. Without a word it stores: then `fnox set` hands the value
/// over, and never writes it into the file as if it were a reference.
const CAPABILITY: Field = Field::optional(
    "capability",
    Kind::Choice(&["read", "store", "encrypt"]),
    "What `fnox set` does: keep the given reference, store the value there (default), or keep the ciphertext that it makes.",
);

pub(super) const EXTERNAL: ProviderSpec = ProviderSpec {
    name: "external",
    label: "external program",
    capability: Capability::StoresRemotely,
    fields: &[
        Field::required(
            "program",
            Kind::Text,
            "`NAME` for the program `fnox-provider-NAME` on PATH, or an absolute path.",
        ),
        OPTIONS,
        CAPABILITY,
    ],
    auth_command: None,
    variables: &[],
};

pub(super) const LUA: ProviderSpec = ProviderSpec {
    name: "lua",
    label: "Lua plugin",
    capability: Capability::StoresRemotely,
    fields: &[
        Field::required(
            "plugin",
            Kind::Text,
            "Path of the plugin, or the name under which it is installed.",
        ),
        OPTIONS,
        CAPABILITY,
    ],
    auth_command: None,
    variables: &[],
};

//! `docs/reference/vault-config.md` and the schema of `vault.toml`, from the tables of `fnox_cli::vault::spec`.

use std::fmt::Write as _;

use fnox_cli::vault::spec::{SECTIONS, VAULT};
use fnox_config::mints;
use fnox_config::spec::MINT;

use super::configuration::{section, table};
use super::{NOTICE, pretty};

const INTRODUCTION: &str = "\
# vault.toml

Settings of `fnox vault serve`. `fnox vault init` writes the file, by default as `vault.toml` in fnox's config folder, with \
every key in a comment. Another place is named by `--config FILE` or `FNOX_VAULT_CONFIG`. Each key may be left out.

What a flag says wins over its `FNOX_VAULT_*` variable, which wins over the file: `--store`, `--key`, `--policy`, `--socket` and \
`--agent-socket` have [variables](environment.md), `--listen`, `--vsock`, `--vsock-host` and `--audit-stdout` only the flag. A key \
that is not listed here is an error, and so is a value of another type; [configuration](configuration.md) explains the types. \
The file is refused if somebody else could have written it: if it belongs to neither the user the vault runs as nor root, or \
everybody may write to it. So is the [policy](policy.md#whose-file-it-may-be). Its JSON Schema is `docs/reference/vault.schema.json`.

Clients read `socket` from it too, and `vault exec` reads `agent_socket`.
";

/// The page.
pub(super) fn page() -> String {
    let mut text = format!("{NOTICE}\n\n{INTRODUCTION}");
    for part in SECTIONS {
        section(&mut text, part);
    }
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\n## `{}`\n\n{} What each type has is in [configuration](configuration.md#leasesname).\n\n",
        MINT.heading, MINT.doc
    );
    table(&mut text, mints::fields());
    text
}

/// `docs/reference/vault.schema.json`
pub(super) fn schema() -> String {
    pretty(&fnox_config::schema::with_mints(
        "vault.toml",
        &VAULT,
        "mint",
    ))
}

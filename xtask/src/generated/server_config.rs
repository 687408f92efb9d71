//! `docs/reference/server-config.md` and the schema of `server.toml`, from the tables of `fnox_cli::server::spec`.

use fnox_cli::server::spec::{SECTIONS, SERVER};

use super::configuration::section;
use super::{NOTICE, pretty};

const INTRODUCTION: &str = "\
# server.toml

Settings of `fnox serve`. `fnox serve init` writes the file, with every key in a comment: by default as `server.toml` in fnox's \
config folder, with `--dir DIR` there. Another place is named by `--config FILE` or `FNOX_SERVER_CONFIG`. Each key may be left out, \
but for those marked as required in their table.

What a flag says wins over the file: `--public-url`, `--listen`, `--db`, `--signing-key`, `--policy`, `--tls-cert`, `--tls-key`, \
`--behind-proxy`, `--ntfy-url`, `--ntfy-topic`, `--ntfy-token-file`. `--oidc.issuer` stands in the place of all `[[issuer]]`. A key that \
is not listed here is an error, and so is a value of another type; [configuration](configuration.md) explains the types. The file is \
refused if somebody else could have written it. Its JSON Schema is `docs/reference/server.schema.json`. Who may ask for what is in \
another file, the [policy](server-policy.md).

Secrets are not in this file but in files of their own, which nobody but their owner may write and not everybody may read.
";

/// The page.
pub(super) fn page() -> String {
    let mut text = format!("{NOTICE}\n\n{INTRODUCTION}");
    for part in SECTIONS {
        section(&mut text, part);
    }
    text
}

/// `docs/reference/server.schema.json`
pub(super) fn schema() -> String {
    pretty(&fnox_config::schema::of_section("server.toml", &SERVER))
}

//! `docs/reference/gateway-config.md` and the schema of `gateway.toml`, from the table of `fnox_cli::gateway::spec`.

use fnox_cli::gateway::spec::GATEWAY;
use fnox_config::spec::{Kind, PROXY_JWT};

use super::configuration::section;
use super::{NOTICE, pretty};

const INTRODUCTION: &str = "\
# gateway.toml

Settings of `fnox gateway serve`, by default `gateway.toml` in fnox's config folder; another place is named by `--gateway-config FILE`. A key \
that is not listed here is an error, and so is a value of another type; [configuration](configuration.md) explains the types. The file is \
refused if somebody else could have written it. Its JSON Schema is `docs/reference/gateway.schema.json`. The guide is \
[a gateway for several agents](../guide/gateway.md).
";

/// The page.
pub(super) fn page() -> String {
    let mut text = format!("{NOTICE}\n\n{INTRODUCTION}");
    section(&mut text, &GATEWAY);
    for field in GATEWAY.fields {
        if let Kind::Table(part) | Kind::Tables(part) = field.kind {
            section(&mut text, part);
        }
    }
    section(&mut text, &PROXY_JWT);
    text
}

/// `docs/reference/gateway.schema.json`
pub(super) fn schema() -> String {
    pretty(&fnox_config::schema::of_section("gateway.toml", &GATEWAY))
}

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

const SEARCHED: &str = "
## What is searched

Placeholders in bodies of requests that nothing is put into are found as they stand, in letters of any case. Percent-encoded, escaped as in JSON, in base64 or compressed they are \
not found and leave; they are worth nothing outside.

Values in answers are looked for in fields, bodies and trailers: as they are, with any of their bytes percent-encoded or escaped as in JSON, escaped as in JSON twice, \
form-encoded, in hexadecimal, in base64 of both alphabets, and under the content codings gzip, deflate, br and zstd. They are not found percent-encoded twice, as HTML entities, \
in quoted-printable, in UTF-16, in base64 that is wrapped into lines, in pieces, or within a compressed file that is sent without `Content-Encoding`. `unscannable` is about bodies \
under other content codings and parts of encoded ones. Whatever it says, an answer under another transfer coding than `chunked` is refused, and so is one whose coding turns \
out to be broken; if that turns out when a part of it has left, it breaks off there.

Messages of a WebSocket, and whatever else follows an upgrade, are not searched, in neither direction.
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
    text.push_str(SEARCHED);
    text
}

/// `docs/reference/gateway.schema.json`
pub(super) fn schema() -> String {
    pretty(&fnox_config::schema::of_section("gateway.toml", &GATEWAY))
}

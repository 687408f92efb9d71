//! `[telemetry]`: the same keys wherever it stands.

use super::{Field, Kind, Sight};

/// Which collector gets traces.
pub const TELEMETRY_FIELDS: &[Field] = &[
    Field::required(
        "endpoint",
        Kind::Text,
        "The collector's address for OTLP over HTTP, such as `\"http://127.0.0.1:4318\"`; `/v1/traces` is added to it.",
    ),
    Field::optional(
        "headers_file",
        Kind::Path(Sight::Hidden),
        "File of headers for the collector, such as `Authorization: Bearer …`, one a line. Then `endpoint` is https or on loopback. Default: none.",
    ),
];

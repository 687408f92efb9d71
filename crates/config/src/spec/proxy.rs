//! `[proxy]`: what a gateway lets out.

use super::{Field, Kind, Section, Sight, TELEMETRY_FIELDS};

/// `[proxy]`
pub static PROXY: Section = Section {
    heading: "[proxy]",
    doc: "The gateway that uses credentials on an agent's behalf.",
    fields: &[
        Field::optional(
            "egress",
            Kind::Choice(&["strict", "permissive"]),
            "Whether hosts without a rule are reachable.",
        ),
        Field::optional(
            "audit",
            Kind::Flag,
            "Log requests and refusals (default true).",
        ),
        Field::optional(
            "rules",
            Kind::Tables(&PROXY_RULE),
            "Which credential goes where.",
        ),
        Field::optional(
            "allow_domains",
            Kind::TextList,
            "Hosts reachable without a credential.",
        ),
        Field::optional(
            "allow_private",
            Kind::TextList,
            "Private addresses that may be reached.",
        ),
        Field::optional(
            "unscannable",
            Kind::Choice(&["block", "tag", "pass"]),
            "What happens to answers that cannot be searched for credentials: `block` (default), `tag` (with the field `fnox-unscanned`), `pass`.",
        ),
        Field::optional(
            "approve_at",
            Kind::TextList,
            "Where people are asked if a rule says so, or an agent of `fnox mcp` asks for more: `terminal` (`fnox agent approve` on this machine; the default), `vault` (`fnox vault approve`), `server` (the team server's approvers). The first answer from any of them counts. `[]`: nobody is asked.",
        ),
        Field::optional(
            "approval_wait",
            Kind::Lifetime,
            "For how long a request is held for a person's answer (default 55s) before it is refused for the time being.",
        ),
        Field::optional(
            "telemetry",
            Kind::Table(&PROXY_TELEMETRY),
            "Where traces of `fnox agent run` are sent, in a build that can.",
        ),
        Field::optional(
            "approval_vault",
            Kind::Place,
            "The vault that `approve_at = [\"vault\"]` asks at: a socket, or `tcp:ADDRESS:PORT`, `vsock:CID:PORT`. Default: as `fnox vault` finds it.",
        ),
        Field::optional(
            "approval_token_file",
            Kind::Path(Sight::Hidden),
            "File of the token by which the gateway asks there: `fnox vault token create --agent NAME --role gateway --ttl 30d --output FILE`.",
        ),
        Field::optional("sandbox", Kind::Flag, "Run the program in a sandbox."),
        Field::optional(
            "sandbox_allow_write",
            Kind::TextList,
            "Paths writable in the sandbox. One that is not there is made, as a folder that only its owner may enter.",
        ),
        Field::optional(
            "sandbox_deny_read",
            Kind::TextList,
            "Paths hidden in the sandbox, besides what fnox hides itself.",
        ),
        Field::optional(
            "sandbox_allow_read",
            Kind::TextList,
            "Paths readable in the sandbox after all.",
        ),
    ],
};

/// `[proxy.telemetry]`
pub static PROXY_TELEMETRY: Section = Section {
    heading: "[proxy.telemetry]",
    doc: "Traces of `fnox agent run` for an [OpenTelemetry](https://opentelemetry.io) collector: one span for each request, with its agent, host, port, method, rules, leases, what became of it, its bytes and how long its parts took; no path, query, field or body. Needs a build with the feature `opentelemetry`.",
    fields: TELEMETRY_FIELDS,
};

/// `[[proxy.rules]]`
pub static PROXY_RULE: Section = Section {
    heading: "[[proxy.rules]]",
    doc: "Which credential goes where.",
    fields: &[
        Field::optional("secret", Kind::Text, "The secret to use; or `lease`."),
        Field::optional("lease", Kind::Text, "The lease to use; or `secret`."),
        Field::optional("credential", Kind::Text, "Which variable of the lease."),
        Field::required("domain", Kind::Text, "Host, or `*.` and a host."),
        Field::optional("env", Kind::Text, "Variable that holds the placeholder."),
        Field::optional(
            "header",
            Kind::Text,
            "Header to fill (default `authorization`).",
        ),
        Field::optional("query", Kind::Text, "Query parameter to fill instead."),
        Field::optional(
            "methods",
            Kind::TextList,
            "Allowed methods; all if left out.",
        ),
        Field::optional(
            "paths",
            Kind::TextList,
            "Allowed paths as globs; all if left out.",
        ),
        Field::optional(
            "when_query",
            Kind::TextMap,
            "Query parameters that must be there once with these values, where `*` stands for anything: `{ ref = \"main\" }`.",
        ),
        Field::optional(
            "when_headers",
            Kind::TextMap,
            "The same for headers: `{ x-api-version = \"2022-*\" }`.",
        ),
        Field::optional(
            "placeholder",
            Kind::Text,
            "The placeholder's text (default: random, and shaped like the value).",
        ),
        Field::optional("port", Kind::Count, "The port (default 443)."),
        Field::optional(
            "inject",
            Kind::Text,
            "`swap`: the credential takes the placeholder's place (default). `set`: it goes into every request. Or another place than a header: `cookie:NAME`, `path`, `json:/POINTER`, `form:NAME`, `aws-sigv4`, `aws-sigv4:SERVICE/REGION` (the request is signed anew with a lease's AWS keys), `hmac-sha256:NAME[:FORMAT]` (a signature in a header with the value as its key, also `hmac-sha512` and `…-base64`), `jwt[:NAME[:FORMAT]]` (a token of the gateway's own making with the value as its key, see `jwt`; default `Authorization: Bearer`), `client-certificate` (the value is a certificate and its key in PEM, which TLS presents).",
        ),
        Field::optional(
            "jwt",
            Kind::Table(&PROXY_JWT),
            "What the tokens of `inject = \"jwt\"` are like.",
        ),
        Field::optional(
            "signed",
            Kind::Text,
            "What an HMAC is over: a text with `{method}`, `{host}`, `{path}`, `{query}`, `{target}` (path and query), `{timestamp}`, `{body}`, `{body-sha256}` in it. Default: `{body}`.",
        ),
        Field::optional(
            "timestamp",
            Kind::Text,
            "Header for the `{timestamp}` that is signed, in seconds since 1970.",
        ),
        Field::optional(
            "username",
            Kind::Text,
            "Send the credential as the password of this user (`Authorization: Basic`).",
        ),
        Field::optional(
            "format",
            Kind::Text,
            "What is around the credential in its header, for example `token {}`.",
        ),
        Field::optional(
            "ca_file",
            Kind::Path(Sight::Shown),
            "PEM file of authorities that the server is judged by, besides the system's.",
        ),
        Field::optional("max_uses", Kind::Count, "So many requests, then no more."),
        Field::optional(
            "rate",
            Kind::Text,
            "So many requests in so much time, for example `60/m`.",
        ),
        Field::optional(
            "approve",
            Kind::Choice(&["never", "ask"]),
            "`ask`: a person must agree to each request, by `fnox agent approve`.",
        ),
        Field::optional("body_limit", Kind::Count, "Most bytes of a request's body."),
        Field::optional(
            "capture",
            Kind::TextList,
            "Members of JSON answers that hold a fresh credential, such as `[\"access_token\", \"refresh_token\"]`: the program gets placeholders in their places. Answers that cannot be searched for them are refused.",
        ),
        Field::optional(
            "capture_hosts",
            Kind::TextList,
            "Hosts that get what was captured, in `authorization`, besides the requests that the rule allows itself.",
        ),
    ],
};

/// `jwt` of a rule.
pub static PROXY_JWT: Section = Section {
    heading: "jwt = { … }",
    doc: "What the tokens of `inject = \"jwt\"` are like. Each request gets one of its own, with `iat`, `exp` and a random `jti`.",
    fields: &[
        Field::required(
            "algorithm",
            Kind::Choice(&[
                "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
                "ES256", "ES384", "EdDSA",
            ]),
            "How they are signed. For `HS…` the value is the key as it is, at least as long as the hash; for the others a private key in PEM.",
        ),
        Field::optional("issuer", Kind::Text, "`iss`"),
        Field::optional("subject", Kind::Text, "`sub`"),
        Field::optional(
            "audience",
            Kind::TextList,
            "`aud`: one is sent as a text, several as a list.",
        ),
        Field::optional("key_id", Kind::Text, "`kid` in the header."),
        Field::optional(
            "lifetime",
            Kind::Lifetime,
            "How long a token is good (default 1m, at most 5m).",
        ),
        Field::optional(
            "claims",
            Kind::Json,
            "Other claims: texts, numbers, flags, lists and tables. Not `iss`, `sub`, `aud`, `exp`, `nbf`, `iat` and `jti`.",
        ),
    ],
};

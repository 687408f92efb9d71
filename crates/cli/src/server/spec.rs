//! What may stand in a `server.toml`, as data.
//!
//! The reader, the JSON Schema, the reference page and the file that `serve init` writes come from it. To add a key,
//! add a line here and read it in [`super::file`].

use fnox_config::spec::{Field, Kind, Section, Sight, TELEMETRY_FIELDS};

const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field::optional(name, kind, doc)
}

const fn needed(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field::required(name, kind, doc)
}

/// The whole file.
pub static SERVER: Section = Section {
    heading: "server.toml",
    doc: "Settings of `fnox serve`. Flags beat them. Paths are relative to the file's folder; `~` is the home folder. These keys come before the first table.",
    fields: &[
        key(
            "public_url",
            Kind::Text,
            "What clients and approvers reach the server by; links and the audience of tokens come from it. Default: the address of `listen`.",
        ),
        key(
            "listen",
            Kind::Text,
            "Address and port. One that is not loopback needs `tls_cert` or `behind_proxy`. Default: `\"127.0.0.1:8443\"`.",
        ),
        key(
            "database",
            Kind::Place,
            "A file for SQLite, or `postgres://USER@HOST/DATABASE`, which several servers can share. Default: `server.db` in fnox's data folder.",
        ),
        key(
            "signing_key",
            Kind::Path(Sight::Hidden),
            "The key that signs links and chains the audit log; several lines of `ID BASE64`, the first one in use. Default: `server.key` beside this file.",
        ),
        key(
            "policy",
            Kind::Path(Sight::Hidden),
            "Who may ask for what; read again when it changes. Default: `policy.toml` beside this file.",
        ),
        key(
            "tls_cert",
            Kind::Path(Sight::Shown),
            "PEM file of the certificate and those between it and the root; read again when it changes. Default: none, plain HTTP.",
        ),
        key(
            "tls_key",
            Kind::Path(Sight::Hidden),
            "PEM file of its private key. Default: none.",
        ),
        key(
            "behind_proxy",
            Kind::TextList,
            "Networks of reverse proxies, such as `\"10.0.0.0/8\"`: their `X-Forwarded-For` is believed, and TLS is their business. Default: none.",
        ),
        key(
            "metrics_token_file",
            Kind::Path(Sight::Hidden),
            "File of the bearer token that `GET /metrics` wants. Default: none, and it answers only to loopback.",
        ),
        key(
            "issuer",
            Kind::Tables(&ISSUER),
            "Who may say who somebody is, one table each.",
        ),
        key("login", Kind::Table(&LOGIN), "How people log in."),
        key(
            "approvals",
            Kind::Table(&APPROVALS),
            "How long things last, and how many.",
        ),
        key("notify", Kind::Table(&NOTIFY), "Where approvers are asked."),
        key(
            "limits",
            Kind::Table(&LIMITS),
            "How much callers may ask of the server.",
        ),
        key(
            "telemetry",
            Kind::Table(&TELEMETRY),
            "Where traces are sent, in a build that can.",
        ),
    ],
};

/// `[[issuer]]`
pub static ISSUER: Section = Section {
    heading: "[[issuer]]",
    doc: "An issuer of OIDC tokens: a CI system, or the OpenID provider of people. One table for each.",
    fields: &[
        needed(
            "name",
            Kind::Text,
            "Its name in the policy. The name of a preset chooses that preset.",
        ),
        key(
            "preset",
            Kind::Choice(&["github", "gitlab", "circleci", "buildkite", "generic"]),
            "What its tokens look like. Default: `name`, if that is one of these; otherwise `\"generic\"`.",
        ),
        key(
            "url",
            Kind::Text,
            "`iss` of its tokens, compared byte for byte. Default: the preset's; `circleci` and `generic` have none.",
        ),
        key(
            "audience",
            Kind::Text,
            "What `aud` of its tokens must contain. Default: `public_url`.",
        ),
        key(
            "algorithms",
            Kind::TextList,
            "What tokens may be signed with: `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `EdDSA`. Default: `[\"RS256\"]`.",
        ),
        key(
            "jwks_file",
            Kind::Path(Sight::Shown),
            "The issuer's keys as a JWK Set (RFC 7517), where it cannot be reached. Default: they are fetched by OpenID discovery.",
        ),
        key(
            "allow_origins",
            Kind::TextList,
            "Origins such as `\"https://10.0.0.7:8443\"` that keys may be fetched from although they are private, plain HTTP on loopback, or another host than the issuer's. Default: none.",
        ),
        key(
            "leeway",
            Kind::Lifetime,
            "How far clocks may differ, at most `\"5m\"`. Default: `\"60s\"`.",
        ),
        key(
            "longest_life",
            Kind::Lifetime,
            "The longest life of a token that is accepted, at most `\"24h\"`. Default: `\"24h\"`.",
        ),
    ],
};

/// `[login]`
pub static LOGIN: Section = Section {
    heading: "[login]",
    doc: "How people log in. Without it there is only the bootstrap administrator. Register `http://127.0.0.1` (any port, for `fnox login`) and `PUBLIC_URL/login/callback` (for the pages) as redirect addresses at the provider.",
    fields: &[
        needed("issuer", Kind::Text, "Which `[[issuer]]` people come from."),
        needed(
            "client_id",
            Kind::Text,
            "This server's client id there; the issuer's `audience` is the same.",
        ),
        key(
            "client_secret_file",
            Kind::Path(Sight::Hidden),
            "File of the client's secret, if the provider knows no public clients. Default: none.",
        ),
        key(
            "scopes",
            Kind::TextList,
            "What to ask for. Default: `[\"openid\", \"email\", \"profile\", \"groups\"]`.",
        ),
        key(
            "groups_claim",
            Kind::Text,
            "The claim that lists a person's groups. Default: `\"groups\"`.",
        ),
        key(
            "require_provisioned",
            Kind::Flag,
            "Let only people in whom the identity provider made known by SCIM. Default: `false`.",
        ),
        key("roles", Kind::Table(&ROLES), "Which groups may do what."),
    ],
};

/// `[login.roles]`
pub static ROLES: Section = Section {
    heading: "[login.roles]",
    doc: "Which groups may do what. Whoever is in none of them needs a rule of the policy.",
    fields: &[
        key(
            "admin",
            Kind::TextList,
            "Groups of administrators: they store secrets, freeze the server and read the audit log. Default: none.",
        ),
        key(
            "approver",
            Kind::TextList,
            "Groups of approvers: they decide about requests. Default: none.",
        ),
        key(
            "reader",
            Kind::TextList,
            "Groups of readers: they see which secrets there are. Default: none.",
        ),
    ],
};

/// `[approvals]`
pub static APPROVALS: Section = Section {
    heading: "[approvals]",
    doc: "How long things last, and how many.",
    fields: &[
        key(
            "lifetime",
            Kind::Lifetime,
            "How long a request waits for a decision, and how long a yes lasts. Default: `\"10m\"`.",
        ),
        key(
            "grant_lifetime",
            Kind::Lifetime,
            "How long the right to fetch lasts. Default: `\"60s\"`.",
        ),
        key(
            "session_lifetime",
            Kind::Lifetime,
            "How long a session lasts, at most `\"15m\"`. Default: `\"15m\"`.",
        ),
        key(
            "pending_limit",
            Kind::Count,
            "How many requests of one requester may be pending. Default: 5.",
        ),
        key(
            "quiet_time",
            Kind::Lifetime,
            "How long the same request is refused after a no. Default: `\"5m\"`.",
        ),
        key(
            "approve",
            Kind::Choice(&["link", "login"]),
            "Who decides on the page behind a link: whoever has the link and the match code, or whoever has also logged in as an approver. Default: `\"link\"`.",
        ),
        key(
            "choose_code",
            Kind::Flag,
            "Offer three match codes to choose from instead of a field to type one in. Default: `false`.",
        ),
        key(
            "approvals_needed",
            Kind::Count,
            "How many people have to say yes, unless a rule says more. Default: 1.",
        ),
        key(
            "keep_versions",
            Kind::Count,
            "How many versions of a secret are kept. Default: 10.",
        ),
        key(
            "ciphertext_limit",
            Kind::Count,
            "The largest age file, in bytes. Default: 262144.",
        ),
    ],
};

/// `[notify]`
pub static NOTIFY: Section = Section {
    heading: "[notify]",
    doc: "Where approvers are asked; every table is one way. URLs may be plain HTTP on loopback only.",
    fields: &[
        key("ntfy", Kind::Table(&NTFY), "ntfy."),
        key("webhook", Kind::Table(&WEBHOOK), "A webhook."),
        key("slack", Kind::Table(&SLACK), "Slack."),
        key("email", Kind::Table(&EMAIL), "Mail."),
    ],
};

/// `[notify.ntfy]`
pub static NTFY: Section = Section {
    heading: "[notify.ntfy]",
    doc: "Push messages by [ntfy](https://ntfy.sh). Whoever knows the topic can read them.",
    fields: &[
        key(
            "url",
            Kind::Text,
            "The server. Default: `\"https://ntfy.sh\"`.",
        ),
        needed(
            "topic",
            Kind::Text,
            "The topic. On a public server without a token it must be a random one.",
        ),
        key(
            "token_file",
            Kind::Path(Sight::Hidden),
            "File of an access token. Default: none.",
        ),
        key("priority", Kind::Count, "1 (least) to 5. Default: 4."),
        key(
            "one_tap",
            Kind::Flag,
            "Offer decisions in the message itself, without a page and a match code. Whoever can read the topic can then decide. Default: `false`.",
        ),
    ],
};

/// `[notify.webhook]`
pub static WEBHOOK: Section = Section {
    heading: "[notify.webhook]",
    doc: "A POST of JSON, signed with HMAC-SHA-256.",
    fields: &[
        needed("url", Kind::Text, "Where to."),
        needed(
            "secret_file",
            Kind::Path(Sight::Hidden),
            "File of the signature's key.",
        ),
    ],
};

/// `[notify.slack]`
pub static SLACK: Section = Section {
    heading: "[notify.slack]",
    doc: "A webhook that takes Slack's messages.",
    fields: &[needed(
        "url_file",
        Kind::Path(Sight::Hidden),
        "File of the URL, which is a secret.",
    )],
};

/// `[notify.email]`
pub static EMAIL: Section = Section {
    heading: "[notify.email]",
    doc: "Mail.",
    fields: &[
        needed(
            "server",
            Kind::Text,
            "`smtps://HOST` (TLS) or `smtp://HOST` (STARTTLS), with a port if it is not the usual one, without credentials.",
        ),
        key("username", Kind::Text, "User name. Default: none."),
        key(
            "password_file",
            Kind::Path(Sight::Hidden),
            "File of the password. Default: none.",
        ),
        needed("from", Kind::Text, "Sender."),
        needed("to", Kind::TextList, "Recipients."),
    ],
};

/// `[limits]`
pub static LIMITS: Section = Section {
    heading: "[limits]",
    doc: "How much callers may ask of the server.",
    fields: &[
        key(
            "connections",
            Kind::Count,
            "Open connections. Default: 4096.",
        ),
        key(
            "body",
            Kind::Count,
            "The largest body, in bytes. Default: 524288.",
        ),
        key(
            "request_timeout",
            Kind::Lifetime,
            "How long one request may take, without the wait of a long poll. Default: `\"30s\"`.",
        ),
        key(
            "header_timeout",
            Kind::Lifetime,
            "How long a request's head, or a TLS handshake, may take. Default: `\"10s\"`.",
        ),
        key(
            "anonymous_per_minute",
            Kind::Count,
            "Refused requests per minute from one address; after that they are answered with 429. Default: 600.",
        ),
        key(
            "principal_per_minute",
            Kind::Count,
            "Requests per minute of one principal. Default: 6000.",
        ),
        key(
            "drain_timeout",
            Kind::Lifetime,
            "How long requests may still take after SIGTERM. Default: `\"20s\"`.",
        ),
    ],
};

/// `[telemetry]`
pub static TELEMETRY: Section = Section {
    heading: "[telemetry]",
    doc: "Traces for an [OpenTelemetry](https://opentelemetry.io) collector: one span for each request, with its route, method, status and request id, and nothing of what was asked or answered. Needs a build with the feature `opentelemetry`.",
    fields: TELEMETRY_FIELDS,
};

/// Every section, in the order of the reference page.
pub static SECTIONS: [&Section; 12] = [
    &SERVER, &ISSUER, &LOGIN, &ROLES, &APPROVALS, &NOTIFY, &NTFY, &WEBHOOK, &SLACK, &EMAIL,
    &LIMITS, &TELEMETRY,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_says_what_it_is_if_it_is_not_set() {
        for section in SECTIONS {
            for field in section.fields {
                let is_table = matches!(field.kind, Kind::Table(_) | Kind::Tables(_));
                let says = field.doc.contains("Default:");
                assert!(
                    says != (field.required || is_table),
                    "{} {}",
                    section.heading,
                    field.name
                );
            }
        }
    }
}

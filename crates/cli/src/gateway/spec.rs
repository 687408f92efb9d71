//! What may stand in a `gateway.toml`, as data. The reader, the JSON Schema and the reference page come from it.

use fnox_config::spec::{Field, Kind, PROXY_RULE, Section, Sight, TELEMETRY_FIELDS};

const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field::optional(name, kind, doc)
}

/// The whole file.
pub static GATEWAY: Section = Section {
    heading: "gateway.toml",
    doc: "Settings of `fnox gateway serve`. Paths are relative to the file's folder; `~` is the home folder.",
    fields: &[
        key(
            "socket",
            Kind::Path(Sight::Hidden),
            "A Unix socket for clients. Default: `$XDG_RUNTIME_DIR/fnox/gateway.sock` if no other door is named.",
        ),
        key(
            "socket_mode",
            Kind::Text,
            "Its mode in octal. Default: `\"0600\"`.",
        ),
        key(
            "listen",
            Kind::TextList,
            "Loopback addresses for clients, such as `\"127.0.0.1:3128\"`. A guest of QEMU with user-mode networking reaches them at `10.0.2.2`.",
        ),
        key("vsock", Kind::Count, "A vsock port for guests."),
        key(
            "guests",
            Kind::Tables(&GUEST),
            "Doors behind which there is one agent only, such as a virtual machine.",
        ),
        key(
            "vault",
            Kind::Place,
            "The vault: a socket, or `tcp:ADDRESS:PORT`, `vsock:CID:PORT`. Default: as `fnox vault` finds it.",
        ),
        Field::required(
            "token_file",
            Kind::Path(Sight::Hidden),
            "The gateway's own token: `fnox vault token create --agent gateway --role gateway --ttl 30d --output gateway.token`.",
        ),
        key(
            "certificate_file",
            Kind::Path(Sight::Shown),
            "Where the certificate is written that clients must trust, anew at each start. Default: nowhere; clients ask for it.",
        ),
        key(
            "metrics_listen",
            Kind::Text,
            "An address on loopback, such as `\"127.0.0.1:9464\"`, at which `GET /metrics` has the gateway's numbers in Prometheus' format. Default: none.",
        ),
        key(
            "telemetry",
            Kind::Table(&TELEMETRY),
            "Where traces are sent, in a build that can.",
        ),
        key(
            "egress",
            Kind::Choice(&["strict", "permissive"]),
            "Whether hosts without a rule are reachable.",
        ),
        key(
            "audit",
            Kind::Flag,
            "Log requests and refusals (default true).",
        ),
        key(
            "rules",
            Kind::Tables(&PROXY_RULE),
            "Which secret of the vault goes where. `secret` is its name in the vault.",
        ),
        key(
            "unscannable",
            Kind::Choice(&["block", "tag", "pass"]),
            "What happens to answers that cannot be searched for credentials: `block` (default), `tag` (with the field `fnox-unscanned`), `pass`.",
        ),
        key(
            "approve_at",
            Kind::TextList,
            "Where people are asked if a rule says so: `terminal` (`fnox agent approve` on this machine; the default), `vault` (`fnox vault approve`), `server` (the team server's approvers). The first answer from any of them counts. `[]`: nobody is asked.",
        ),
        key(
            "server",
            Kind::Text,
            "The team server for `approve_at = [\"server\"]`. Default: `FNOX_SERVER_URL`, then `server_url` of the global file.",
        ),
        key(
            "server_token_file",
            Kind::Path(Sight::Hidden),
            "The gateway's own token there: `fnox serve token --role gateway --name NAME`. The server's policy has `[[gateway]]` of that name.",
        ),
        key(
            "approval_wait",
            Kind::Lifetime,
            "For how long a request is held for a person's answer (default 55s) before it is refused for the time being.",
        ),
        key(
            "allow_domains",
            Kind::TextList,
            "Hosts reachable without a credential.",
        ),
        key(
            "allow_private",
            Kind::TextList,
            "Private addresses that may be reached.",
        ),
    ],
};

/// `[telemetry]`
static TELEMETRY: Section = Section {
    heading: "[telemetry]",
    doc: "Traces for an [OpenTelemetry](https://opentelemetry.io) collector: one span for each request, with its agent, host, port, method, rules, leases, what became of it, its bytes and how long its parts took; no path, query, field or body. A request that is refused before anybody knows whose it is has one too, with what is known. Needs a build with the feature `opentelemetry`.",
    fields: TELEMETRY_FIELDS,
};

/// A door of one agent.
static GUEST: Section = Section {
    heading: "[[guests]]",
    doc: "A door behind which there is one agent only. Whoever comes through it needs no password, so programs need not know of the gateway: a jail can lead their TLS connections to it, and the name in their handshakes says where they go.",
    fields: &[
        Field::required(
            "token_file",
            Kind::Path(Sight::Hidden),
            "The agent's token, which stays on the host.",
        ),
        key(
            "socket",
            Kind::Path(Sight::Hidden),
            "A Unix socket. Of Firecracker and cloud-hypervisor: their vsock socket, `_` and the guest's port.",
        ),
        key(
            "socket_mode",
            Kind::Text,
            "Its mode in octal. Default: `\"0600\"`.",
        ),
        key(
            "listen",
            Kind::Text,
            "Or a loopback address. Every user of the machine can reach it, and is the agent there.",
        ),
        key("vsock", Kind::Count, "Or a vsock port, with `cid`."),
        key("cid", Kind::Count, "The guest's context id."),
    ],
};

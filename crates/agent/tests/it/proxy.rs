//! `fnox-agent proxy`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use fnox_testkit::wait::until;
use jiff::SignedDuration;
use rustix::process::Signal;

use crate::proxy_world::{HungGateway, ProxyWorld};
use crate::world::{API, SOON};

#[test]
fn programs_use_what_they_never_hold() {
    let world = ProxyWorld::new();
    let run = world.call("/a").finish().succeeds();
    let received = world.upstream.received();
    let expected = format!("Bearer {API}");
    assert_eq!(received[0].header("authorization"), Some(expected.as_str()));
    assert_eq!(received[0].header("proxy-authorization"), None);
    assert!(!run.stdout.contains(API), "{}", run.stdout);
    let run = world.program("env").finish().succeeds();
    let token = std::fs::read_to_string(world.world.sandbox.root().join("token")).unwrap();
    for secret in [API, token.trim()] {
        assert!(!run.stdout.contains(secret), "{}", run.stdout);
    }
    let held = world.world.active();
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].agent, "coder-1");
}

#[test]
fn requests_outside_of_tunnels_carry_the_token_too() {
    let world = ProxyWorld::new();
    let run = world.program("curl -fsS http://gateway.fnox.invalid/session");
    let run = run.finish().succeeds();
    assert!(
        run.stdout.contains("\"agent\":\"coder-1\""),
        "{}",
        run.stdout
    );
    // curl offers the second request on the first one's connection, if that is left open.
    let twice = "curl -fsS http://gateway.fnox.invalid/session http://gateway.fnox.invalid/session";
    let run = world.program(twice).finish().succeeds();
    assert_eq!(run.stdout.matches("coder-1").count(), 2, "{}", run.stdout);
}

#[test]
fn other_hosts_and_what_is_no_request_to_a_proxy_are_refused() {
    let world = ProxyWorld::new();
    let run = world.program("curl -sS https://evil.example/").finish();
    let run = run.succeeds();
    assert!(run.stdout.contains("no rule reaches"), "{}", run.stdout);
    let run = world.program("curl -sS --noproxy '*' -i \"$HTTPS_PROXY/x\"");
    let run = run.finish().succeeds();
    assert!(run.stdout.contains("400 Bad Request"), "{}", run.stdout);
    assert!(run.stdout.contains("names its destination"));
}

#[test]
fn a_withdrawn_lease_ends_the_tunnels_to_its_host() {
    let world = ProxyWorld::new();
    let download = world.download();
    let lease = world.world.active()[0].lease_id;
    world.world.revoke(lease);
    let run = download.finish();
    assert_ne!(run.code, Some(0), "{}", run.stdout);
    let next = world.call("/a").finish().succeeds();
    assert!(next.stdout.contains("was withdrawn"), "{}", next.stdout);
    let proxy = world.proxy.as_ref().unwrap();
    until("the proxy hears of it", SOON, || {
        proxy.stderr_so_far().contains("a lease was withdrawn")
    });
}

#[test]
fn a_gateway_that_hangs_keeps_no_tunnel_open() {
    let mut world = ProxyWorld::new();
    let first = world.proxy.take().unwrap();
    first.signal(Signal::TERM);
    first.finish().exits_with(0);
    // In the gateway's place something that accepts and says nothing after the session.
    let session = r#"{"agent":"coder-1","certificate":"","variables":{}}"#;
    let hung = HungGateway::start(session);
    world.start(Some(&hung.place));
    let mut tunnel = TcpStream::connect(("127.0.0.1", world.port)).unwrap();
    tunnel.set_read_timeout(Some(SOON)).unwrap();
    tunnel
        .write_all(b"CONNECT localhost:443 HTTP/1.1\r\n\r\n")
        .unwrap();
    let mut answer = [0_u8; 12];
    tunnel.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let lease = world.world.lease("api-token", "localhost");
    world.world.revoke(lease);
    let mut rest = Vec::new();
    let broken = tunnel.read_to_end(&mut rest).unwrap_err();
    assert_eq!(broken.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn tunnels_end_with_the_gateway_and_go_on_with_the_next() {
    let mut world = ProxyWorld::new();
    let download = world.download();
    world.end_gateway();
    let run = download.finish();
    assert_ne!(run.code, Some(0), "{}", run.stdout);
    let run = world.call("/a").finish();
    assert_ne!(run.code, Some(0), "{}", run.stdout);
    let before = std::fs::read_to_string(world.env_file()).unwrap();
    world.restart_gateway();
    until("the new gateway's placeholders", SOON, || {
        std::fs::read_to_string(world.env_file()).unwrap() != before
    });
    let sent = world.upstream.received().len();
    world.call("/a").finish().succeeds();
    assert_eq!(world.upstream.received().len(), sent + 1);
}

#[test]
fn its_files_go_with_it() {
    let mut world = ProxyWorld::new();
    assert!(world.env_file().exists() && world.certificate().exists());
    let proxy = world.proxy.take().unwrap();
    proxy.signal(Signal::TERM);
    proxy.finish().exits_with(0);
    assert!(!world.env_file().exists() && !world.certificate().exists());
}

#[test]
fn a_token_that_the_gateway_does_not_know_is_told() {
    let world = ProxyWorld::new();
    let wrong = world.world.sandbox.write_private("wrong", "fxv_wrong");
    let gateway = world.gateway_place();
    let arguments = [
        "proxy",
        "--gateway",
        &gateway,
        "--gateway-only",
        "--listen",
        "127.0.0.1:0",
        "--token-file",
        wrong.to_str().unwrap(),
    ];
    let run = world.world.sandbox.run(arguments).finish().exits_with(4);
    assert!(
        run.stderr.contains("does not know the token"),
        "{}",
        run.stderr
    );
    let open = ["--gateway", &gateway, "--listen", "0.0.0.0:0"];
    let run = world.world.agent("proxy", &open).finish().exits_with(2);
    assert!(run.stderr.contains("loopback"), "{}", run.stderr);
}

#[test]
fn a_guest_behind_a_door_of_its_own_needs_no_token() {
    let world = ProxyWorld::behind_its_own_door();
    world.call("/a").finish().succeeds();
    let received = world.upstream.received();
    let expected = format!("Bearer {API}");
    assert_eq!(received[0].header("authorization"), Some(expected.as_str()));
    // Who does not know the guest by its door says what is missing.
    let other = ProxyWorld::new();
    let arguments = [
        "proxy",
        "--gateway-only",
        "--gateway",
        &other.gateway_place(),
        "--listen",
        "127.0.0.1:0",
    ];
    let run = other.world.sandbox.run(arguments).finish().exits_with(4);
    assert!(run.stderr.contains("--token-file"), "{}", run.stderr);
    assert!(run.stderr.contains("[[guests]]"), "{}", run.stderr);
}

/// Whoever sets the gateway's clock gets no lease in the place of one that was withdrawn, and loses none that lasts.
#[test]
fn a_clock_that_is_set_changes_no_lease() {
    let world = ProxyWorld::new();
    world.call("/a").finish().succeeds();
    let lease = world.world.active()[0].lease_id;
    for minutes in [-90, 90, 0] {
        world.clock.set(SignedDuration::from_mins(minutes));
        let run = world.call("/a").finish().succeeds();
        assert!(!run.stdout.contains("gateway::"), "{}", run.stdout);
        let held = world.world.active();
        assert_eq!(held.len(), 1, "{minutes}: {held:?}");
        assert_eq!(held[0].lease_id, lease);
    }
    world.world.revoke(lease);
    for minutes in [0, -90, 90] {
        world.clock.set(SignedDuration::from_mins(minutes));
        let run = world.call("/a").finish().succeeds();
        assert!(run.stdout.contains("was withdrawn"), "{}", run.stdout);
    }
    assert_eq!(world.world.active(), []);
    assert_eq!(world.upstream.received().len(), 4);
}

//! A vault on the host of a guest whose vsock the monitor shows as Unix sockets, as Firecracker does.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use crate::vault_support::{GITHUB, Vault};

/// A vault for the guest whose socket is `guest.sock`, an agent's token, and where the guest's connections to
/// port 9100 arrive.
fn vault() -> (Vault, String, PathBuf) {
    let vault = Vault::serving(GITHUB, &["--vsock-host", "guest.sock:9100"]);
    vault.store("github-token", "hunter2");
    let token = vault.token_for("coder-1");
    let arrival = vault.sandbox.project().join("guest.sock_9100");
    (vault, token, arrival)
}

/// `fnox vault exec` at a place, with whatever token a file has.
fn borrow(vault: &Vault, place: &str, token: &str) -> fnox_testkit::Run {
    let exec = ["exec", "--socket", place, "--secret"];
    let program = ["github-token@api.github.com=LENT", "--", "printenv", "LENT"];
    let run = vault.run(&[&exec[..], &program].concat());
    run.env("FNOX_VAULT_TOKEN_FILE", token).finish()
}

#[test]
fn a_guest_borrows_what_its_token_allows() {
    let (mut vault, token, arrival) = vault();
    let mode = arrival.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only the monitor's user gets in");
    let place = arrival.to_str().unwrap();
    assert_eq!(borrow(&vault, place, &token).succeeds().stdout, "hunter2\n");
    let status = ["status", "--socket", place, "--token-file", &token];
    let told = vault.ok(&status);
    assert!(told.contains("agent coder-1 (token:"), "{told}");
    assert_eq!(vault.ok(&["lease", "list", "--json"]).trim(), "[]");
    // On record is the guest, not the user as which its monitor runs.
    let asked = ["audit", "query", "--event", "lease_granted"];
    let records = vault.json(&asked);
    let peer = records["records"][0]["peer"].as_str().unwrap();
    let guest = vault.sandbox.project().join("guest.sock");
    assert!(peer.contains(guest.to_str().unwrap()), "{peer}");
    vault.stop();
    assert!(!arrival.exists(), "the socket goes with the vault");
}

#[test]
fn a_guest_is_nobody_without_a_token_of_its_own() {
    let (vault, _, arrival) = vault();
    let place = arrival.to_str().unwrap();
    // Its monitor runs as the user who administers the vault, which must be worth nothing.
    vault.fails(4, &["status", "--socket", place]);
    vault.fails(4, &["secret", "list", "--socket", place]);
    let wrong = format!("fxv_{}\n", "0".repeat(43));
    let wrong = vault.sandbox.write_private("wrong.token", wrong);
    let refused = borrow(&vault, place, wrong.to_str().unwrap()).exits_with(4);
    assert_eq!(refused.stdout, "");
    // Bound to another way in: the user as which the monitor runs, and a guest known by its number.
    let own = format!("uid:{}", rustix::process::getuid().as_raw());
    let bound_to = |peer: &str| {
        let path = vault.sandbox.root().join(peer).display().to_string();
        let create = ["token", "create", "--agent", "coder-1", "--peer", peer];
        vault.ok(&[&create[..], &["--output", &path]].concat());
        path
    };
    let (user, number) = (bound_to(&own), bound_to("cid:7"));
    for token in [&user, &number] {
        let refused = borrow(&vault, place, token).exits_with(4);
        assert_eq!(refused.stdout, "", "{token}");
    }
    assert_eq!(vault.ok(&["lease", "list", "--all", "--json"]).trim(), "[]");
    // By its own way in it is good.
    let socket = vault.socket();
    borrow(&vault, socket.to_str().unwrap(), &user).succeeds();
}

/// What the monitor does for its host: reads `CONNECT PORT`, and joins the two sides. A connection that says
/// nothing ends it.
fn monitor(listener: &UnixListener, arrival: &str) {
    loop {
        let (host, _) = listener.accept().unwrap();
        let mut from_host = BufReader::new(&host);
        let mut line = String::new();
        from_host.read_line(&mut line).unwrap();
        if line.is_empty() {
            return;
        }
        assert_eq!(line, "CONNECT 9100\n");
        let guest = UnixStream::connect(arrival).unwrap();
        (&host).write_all(b"OK 1073741824\n").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _ = std::io::copy(&mut from_host, &mut &guest);
                let _ = guest.shutdown(Shutdown::Write);
            });
            let _ = std::io::copy(&mut &guest, &mut &host);
            let _ = host.shutdown(Shutdown::Both);
        });
    }
}

#[test]
fn a_host_reaches_a_vault_in_its_guest() {
    let (vault, token, arrival) = vault();
    let socket = vault.sandbox.root().join("monitor.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let place = format!("host-socket:{}:9100", socket.display());
    let run = std::thread::scope(|scope| {
        // This vault stands in for one in the guest, and its socket for the way there.
        scope.spawn(|| monitor(&listener, arrival.to_str().unwrap()));
        let run = borrow(&vault, &place, &token);
        drop(UnixStream::connect(&socket).unwrap());
        run
    });
    assert_eq!(run.succeeds().stdout, "hunter2\n");
}

//! The upstream, what stands before it, and the program that measures.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fnox_testkit::stand_in::Upstream;
use serde_json::{Value, json};

use crate::option;

/// How many rules there are in the gateway whose memory is measured, each with a lease of its own.
const LEASES: usize = 1000;

/// Mints a lease, whose variable it is told.
const MINT: &str = r#"printf '{"credentials":{"%s":"minted-for-%s"},"expires_at":"2099-01-01T00:00:00Z"}' "$1" "$1""#;

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn run(fnox: &str, arguments: &[String]) {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start();
    let authority = upstream.write_authority(folder.path());
    let upstream = upstream.port();
    let (_relay, relay) = relay(upstream, &authority);
    let mut ways = vec![
        json!({"name": "upstream alone", "port": upstream, "proxy": false,
            "authority": std::fs::read_to_string(&authority).unwrap()}),
        relay,
    ];
    let other = option(arguments, "--mitmdump")
        .map(|program| mitmdump(&program, folder.path(), &authority));
    ways.extend(other.as_ref().map(|(_, way)| way.clone()));
    let rounds = option(arguments, "--rounds").unwrap_or_else(|| "10".to_owned());
    let measured = |configuration: &str, leases: usize| {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("fnox.toml"), configuration).unwrap();
        std::fs::write(home.path().join("mint.sh"), MINT).unwrap();
        let ways = Value::from(ways.clone()).to_string();
        let program = std::env::current_exe().unwrap();
        let script = r#"exec "$0" measure --proxy "$HTTPS_PROXY" --authority "$SSL_CERT_FILE" --token "$TOKEN" "$@""#;
        let output = Command::new(fnox)
            .args(["agent", "run", "--", "sh", "-c", script])
            .arg(&program)
            .args(["--rounds", &rounds, "--ways", &ways])
            .args(["--upstream", &upstream.to_string()])
            .args(["--leases", &leases.to_string()])
            .current_dir(home.path())
            .env("HOME", home.path())
            .env("XDG_STATE_HOME", home.path().join("state"))
            .env("XDG_CONFIG_HOME", home.path().join("config"))
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "fnox agent run: {}", output.status);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let head = format!("[proxy]\naudit = false\nallow_private = [\"127.0.0.1:{upstream}\"]\n");
    let one = format!(
        "[secrets]\nTOKEN = {{ default = \"the-credential-itself-0123456789\" }}\n{head}{}",
        rule("secret = \"TOKEN\"", upstream, &authority, "/**")
    );
    let rows = measured(&one, 0);
    let many = measured(&with_leases(&head, upstream, &authority), LEASES);
    if arguments.iter().any(|argument| argument == "--json") {
        println!(
            "{}",
            json!({"rows": rows["rows"], "memory": rows["memory_kib"], "leases": many})
        );
        return;
    }
    for row in rows["rows"].as_array().unwrap() {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        let number = |name: &str, unit: &str| {
            let number = row[name].as_f64();
            number.map_or_else(String::new, |it| format!("{it:>10.0} {unit}"))
        };
        println!(
            "{:<9} {:<15} {:<15}{}{}{}{}",
            text("version"),
            text("what"),
            text("way"),
            number("p50_us", "us p50"),
            number("p99_us", "us p99"),
            number("per_second", "/s"),
            number("mib_per_second", "MiB/s"),
        );
    }
    println!("memory of the gateway, KiB: {}", rows["memory_kib"]);
    println!("with {LEASES} rules and leases: {many}");
}

fn relay(upstream: u16, authority: &Path) -> (Running, Value) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["relay", &upstream.to_string()])
        .arg(authority)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let way = json!({
        "name": "relay", "port": told["port"], "proxy": false, "authority": told["authority"],
    });
    (Running(child), way)
}

/// A proxy for comparison, which the caller has installed. It hands bodies on as they come, which is its fastest way, and
/// looks into nothing; the gateway searches them.
fn mitmdump(program: &str, folder: &Path, authority: &Path) -> (Running, Value) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let set = |name: &str, value: &Path| format!("{name}={}", value.display());
    let child = Command::new(program)
        .args(["--quiet", "--listen-host", "127.0.0.1"])
        .args(["--listen-port", &port.to_string()])
        .args(["--set", &set("confdir", folder)])
        .args(["--set", &set("ssl_verify_upstream_trusted_ca", authority)])
        .args(["--set", "stream_large_bodies=1"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Running(child);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = child.0.try_wait().unwrap();
            assert!(ended.is_none(), "{program}: {ended:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let authority = std::fs::read_to_string(folder.join("mitmproxy-ca-cert.pem")).unwrap();
    let way = json!({
        "name": "mitmproxy", "port": port, "proxy": true, "authority": authority,
    });
    (child, way)
}

fn rule(credential: &str, upstream: u16, authority: &Path, path: &str) -> String {
    format!(
        "[[proxy.rules]]\n{credential}\ndomain = \"localhost\"\nport = {upstream}\npaths = [\"{path}\"]\n\
         ca_file = \"{}\"\n",
        authority.display()
    )
}

/// Rules that put their credentials into every request to their path.
fn with_leases(head: &str, upstream: u16, authority: &Path) -> String {
    let mut text = String::new();
    for index in 0..LEASES {
        write!(
            text,
            "[leases.l{index}]\ntype = \"command\"\ncreate_command = \"sh mint.sh T{index}\"\nproduces = [\"T{index}\"]\n"
        )
        .unwrap();
    }
    text.push_str(head);
    for index in 0..LEASES {
        let credential = format!("lease = \"l{index}\"\ninject = \"set\"");
        text.push_str(&rule(
            &credential,
            upstream,
            authority,
            &format!("/l/{index}"),
        ));
    }
    text
}

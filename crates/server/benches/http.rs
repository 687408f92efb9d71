//! The team server's row of the performance page: fetches with fresh grants by 32 clients over HTTP, the latency of
//! each step, and the memory of the server's process; beside a bare server that answers the same bytes.
//!
//! The server runs in a process of its own, so that its memory is its own.
//!
//!   cargo bench -p fnox-server --bench http -- [--seconds N] [--json]

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise and prints what it found"
)]

#[path = "http/bare.rs"]
mod bare;
#[path = "http/client.rs"]
mod client;
#[path = "http/server.rs"]
mod server;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use client::Connection;
use serde_json::{Value, json};

const CLIENTS: usize = 32;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("serve") => server::run(),
        Some("bare") => bare::run(),
        _ => measure(&arguments),
    }
}

/// A server in a process of its own; ended with this.
struct Running {
    child: Child,
    address: String,
    token: String,
    issuer: Value,
}

impl Running {
    fn start(kind: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new(program)
            .arg(kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        Self {
            child,
            address: told["address"].as_str().unwrap().to_owned(),
            token: told["token"].as_str().unwrap_or_default().to_owned(),
            issuer: told["issuer"].clone(),
        }
    }

    /// Most memory that the process ever had, in MiB (proc(5), `VmHWM`).
    fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap();
        let kibibytes: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kibibytes / 1024.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It ends, and tidies up, when its standard input does.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn measure(arguments: &[String]) {
    let seconds = arguments
        .iter()
        .position(|argument| argument == "--seconds")
        .and_then(|place| arguments.get(place + 1))
        .and_then(|text| text.parse().ok())
        .unwrap_or(5_u64);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let report = runtime.block_on(report(Duration::from_secs(seconds)));
    if arguments.iter().any(|argument| argument == "--json") {
        println!("{report}");
    } else {
        for (name, value) in report.as_object().unwrap() {
            println!("{name:<34} {value}");
        }
    }
}

async fn report(time: Duration) -> Value {
    let bare = Running::start("bare");
    let limit = throughput(&bare.address, &vec!["x".to_owned(); 200_000], time).await;
    drop(bare);

    let server = Running::start("serve");
    let steps = steps(&server).await;
    // As many as can be used in the time, by a generous guess; what is left over is not counted.
    let wanted = usize::try_from(time.as_secs()).unwrap() * 6_000;
    let grants = grants(&server, wanted).await;
    let fetches = throughput(&server.address, &grants, time).await;
    json!({
        "bare_answers_per_second": limit.per_second.round(),
        "fetches_per_second": fetches.per_second.round(),
        "fetches_to_bare_percent": (100.0 * fetches.per_second / limit.per_second).round(),
        "fetch_p50_ms": fetches.percentile(50),
        "fetch_p99_ms": fetches.percentile(99),
        "login_p50_ms": steps[0],
        "approval_p50_ms": steps[1],
        "decision_p50_ms": steps[2],
        "grant_p50_ms": steps[3],
        "fetch_alone_p50_ms": steps[4],
        "server_memory_mib": server.memory().round(),
    })
}

/// The median of each step, one client alone, in milliseconds.
async fn steps(server: &Running) -> [f64; 5] {
    let mut connection = Connection::open(&server.address).await;
    let mut times: [Vec<Duration>; 5] = Default::default();
    for round in 0..60 {
        let begun = Instant::now();
        let token = server::token(&server.issuer, round);
        let session = connection.post("/v1/sessions", &token, "").await;
        times[0].push(begun.elapsed());
        let session = session["token"].as_str().unwrap().to_owned();

        let request = wanted("NPM_TOKEN", round);
        let begun = Instant::now();
        let asked = connection.post("/v1/approvals", &session, &request).await;
        times[1].push(begun.elapsed());
        let id = asked["id"].as_str().unwrap().to_owned();

        let decision = json!({"decision": "approve", "code": asked["code"]}).to_string();
        let begun = Instant::now();
        let path = format!("/v1/approvals/{id}/decision");
        connection.post(&path, &server.token, &decision).await;
        times[2].push(begun.elapsed());

        let body = json!({ "approval_id": id }).to_string();
        let begun = Instant::now();
        let granted = connection.post("/v1/grants", &session, &body).await;
        times[3].push(begun.elapsed());

        let grant = granted["grant_token"].as_str().unwrap().to_owned();
        let begun = Instant::now();
        connection.post("/v1/fetch", &grant, "").await;
        times[4].push(begun.elapsed());
    }
    times.map(|mut all| {
        all.sort();
        milliseconds(all[all.len() / 2])
    })
}

/// Grants for a key for which nobody has to be asked.
async fn grants(server: &Running, count: usize) -> Vec<String> {
    let each = count.div_ceil(CLIENTS);
    let tasks = (0..CLIENTS).map(|client| {
        let address = server.address.clone();
        let token = server::token(&server.issuer, 1_000 + client);
        async move {
            let mut connection = Connection::open(&address).await;
            let session = connection.post("/v1/sessions", &token, "").await;
            let session = session["token"].as_str().unwrap().to_owned();
            let mut grants = Vec::with_capacity(each);
            for round in 0..each {
                let body = wanted("FREE_TOKEN", client * 1_000_000 + round);
                let granted = connection.post("/v1/grants", &session, &body).await;
                grants.push(granted["grant_token"].as_str().unwrap().to_owned());
            }
            grants
        }
    });
    futures_util::future::join_all(tasks)
        .await
        .into_iter()
        .flatten()
        .collect()
}

fn wanted(key: &str, round: usize) -> String {
    json!({
        "project": "my-app",
        "keys": [key],
        "command_hash": format!("{round:064x}"),
        "command_display": "npm publish",
    })
    .to_string()
}

struct Measured {
    per_second: f64,
    times: Vec<Duration>,
}

impl Measured {
    fn percentile(&self, percent: usize) -> f64 {
        milliseconds(self.times[(self.times.len() - 1) * percent / 100])
    }
}

/// Uses each token once, by all clients at once, until the time is over or none is left.
async fn throughput(address: &str, tokens: &[String], time: Duration) -> Measured {
    let share = tokens.len() / CLIENTS;
    let begun = Instant::now();
    let clients = tokens.chunks(share).take(CLIENTS).map(|tokens| async move {
        let mut connection = Connection::open(address).await;
        let mut times = Vec::with_capacity(tokens.len());
        for token in tokens {
            if begun.elapsed() >= time {
                break;
            }
            let sent = Instant::now();
            connection.post("/v1/fetch", token, "").await;
            times.push(sent.elapsed());
        }
        times
    });
    let mut times: Vec<Duration> = futures_util::future::join_all(clients)
        .await
        .into_iter()
        .flatten()
        .collect();
    let elapsed = begun.elapsed().as_secs_f64();
    times.sort();
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let per_second = times.len() as f64 / elapsed;
    Measured { per_second, times }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

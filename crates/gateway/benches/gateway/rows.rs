//! What is measured, and what is printed.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fnox_testkit::stand_in::letters;
use http::Version;
use serde_json::{Value, json};

use crate::client::{Connection, Way};
use crate::option;

/// Requests of one connection before the other ways have their turn.
const TURN: usize = 250;
/// How many clients ask at the same time.
const CLIENTS: usize = 32;
/// How many of them ask in one turn, each.
const EACH: usize = 50;
/// The bytes of a long body.
const LONG: usize = 10 * 1024 * 1024;

/// Measures, and prints what it found as JSON. Its parent is the gateway.
pub(crate) fn run(arguments: &[String]) {
    let text = |name| option(arguments, name).unwrap_or_default();
    let rounds = text("--rounds").parse().unwrap();
    let others: Vec<Value> = serde_json::from_str(&text("--ways")).unwrap();
    let upstream = text("--upstream").parse().unwrap();
    let mut ways: Vec<Way> = others.iter().map(|it| way(it, upstream)).collect();
    ways.push(gateway(
        &text("--proxy"),
        &text("--authority"),
        upstream,
        &text("--token"),
    ));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let leases = text("--leases").parse().unwrap_or(0);
    let found = if leases > 0 {
        runtime.block_on(with_leases(&ways[ways.len() - 1], leases))
    } else {
        runtime.block_on(all(&ways, rounds))
    };
    println!("{found}");
}

fn way(told: &Value, upstream: u16) -> Way {
    Way {
        name: told["name"].as_str().unwrap().to_owned(),
        port: told["port"].as_u64().unwrap().try_into().unwrap(),
        proxy: told["proxy"].as_bool().unwrap().then(String::new),
        authority: told["authority"].as_str().unwrap().into(),
        upstream,
        token: "not-a-token".to_owned(),
    }
}

/// The gateway, as its program is told of it.
fn gateway(proxy: &str, authority: &str, upstream: u16, token: &str) -> Way {
    let (_, rest) = proxy.split_once("://").unwrap();
    let (user, address) = rest.rsplit_once('@').unwrap();
    let (_, port) = address.trim_end_matches('/').rsplit_once(':').unwrap();
    Way {
        name: "gateway".to_owned(),
        port: port.parse().unwrap(),
        proxy: Some(STANDARD.encode(user)),
        authority: std::fs::read(authority).unwrap(),
        upstream,
        token: token.to_owned(),
    }
}

async fn all(ways: &[Way], rounds: usize) -> Value {
    let mut rows = Vec::new();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for (way, mut times) in ways.iter().zip(small(ways, version, rounds).await) {
            times.sort();
            rows.push(json!({
                "way": way.name, "version": format!("{version:?}"), "what": "one connection",
                "p50_us": micros(&times, 50), "p99_us": micros(&times, 99), "requests": times.len(),
            }));
        }
        for (way, rate) in ways.iter().zip(many(ways, version, rounds).await) {
            rows.push(json!({
                "way": way.name, "version": format!("{version:?}"),
                "what": format!("{CLIENTS} connections"), "per_second": rate,
            }));
        }
        for (what, path, body) in [
            ("10 MiB down", format!("/bytes/{LONG}"), Bytes::new()),
            ("10 MiB up", "/status/200".to_owned(), letters(LONG)),
        ] {
            for (way, rate) in ways
                .iter()
                .zip(long(ways, version, rounds, &path, &body).await)
            {
                rows.push(json!({
                    "way": way.name, "version": format!("{version:?}"), "what": what,
                    "mib_per_second": rate,
                }));
            }
        }
    }
    json!({"rows": rows, "memory_kib": memory()})
}

/// How long small requests take, one after another on one connection for each way.
async fn small(ways: &[Way], version: Version, rounds: usize) -> Vec<Vec<Duration>> {
    let mut connections = open(ways, version).await;
    let mut times = vec![Vec::new(); ways.len()];
    // In the first turn everything gets warm.
    for turn in 0..=rounds * 8 {
        for (connection, own) in connections.iter_mut().zip(&mut times) {
            for _ in 0..TURN {
                let (time, _) = connection.send("/status/200", Bytes::new()).await;
                if turn > 0 {
                    own.push(time);
                }
            }
        }
    }
    times
}

/// How many requests are answered in a second: the median turn.
async fn many(ways: &[Way], version: Version, rounds: usize) -> Vec<f64> {
    let mut all = Vec::new();
    for way in ways {
        let mut connections = Vec::new();
        for _ in 0..CLIENTS {
            connections.push(Connection::open(way, version).await);
        }
        all.push(connections);
    }
    let mut rates = vec![Vec::new(); ways.len()];
    for turn in 0..=rounds {
        for (connections, own) in all.iter_mut().zip(&mut rates) {
            let started = Instant::now();
            let clients = connections.iter_mut().map(|connection| async {
                for _ in 0..EACH {
                    connection.send("/status/200", Bytes::new()).await;
                }
            });
            futures_util::future::join_all(clients).await;
            if turn > 0 {
                let count = f64::from(u32::try_from(CLIENTS * EACH).unwrap());
                own.push(count / started.elapsed().as_secs_f64());
            }
        }
    }
    rates.into_iter().map(median).collect()
}

/// How fast long bodies are: the median of all.
async fn long(ways: &[Way], version: Version, rounds: usize, path: &str, body: &Bytes) -> Vec<f64> {
    let mut connections = open(ways, version).await;
    let mut rates = vec![Vec::new(); ways.len()];
    for turn in 0..=rounds * 4 {
        for (connection, own) in connections.iter_mut().zip(&mut rates) {
            let (time, length) = connection.send(path, body.clone()).await;
            assert!(!body.is_empty() || length == LONG);
            if turn > 0 {
                own.push(10.0 / time.as_secs_f64());
            }
        }
    }
    rates.into_iter().map(median).collect()
}

/// Uses each lease once, and then one of them again and again.
async fn with_leases(way: &Way, count: usize) -> Value {
    let before = memory();
    let mut connection = Connection::open(way, Version::HTTP_11).await;
    for lease in 0..count {
        connection.send(&format!("/l/{lease}"), Bytes::new()).await;
    }
    let mut times = Vec::new();
    let path = format!("/l/{}", count - 1);
    for _ in 0..20 * TURN {
        times.push(connection.send(&path, Bytes::new()).await.0);
    }
    times.sort();
    json!({
        "leases": count, "before_kib": before, "memory_kib": memory(),
        "p50_us": micros(&times, 50), "p99_us": micros(&times, 99),
    })
}

async fn open(ways: &[Way], version: Version) -> Vec<Connection> {
    let mut connections = Vec::new();
    for way in ways {
        connections.push(Connection::open(way, version).await);
    }
    connections
}

/// Memory of the gateway's process, now and at its most (proc(5)).
fn memory() -> Value {
    let parent = std::os::unix::process::parent_id();
    let status = std::fs::read_to_string(format!("/proc/{parent}/status")).unwrap();
    let number = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    json!({"now": number("VmRSS"), "most": number("VmHWM")})
}

fn micros(times: &[Duration], percent: usize) -> f64 {
    times[times.len() * percent / 100].as_secs_f64() * 1e6
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

//! The rows, as they stand in `docs/reference/performance.md`.

use std::time::Duration;

use crate::client::{Measured, Work, measure};
use crate::server::{Keeping, Running, Transport, echo, vault};

/// In how many turns each row is measured.
const ROUNDS: u32 = 5;

/// One printed line.
struct Row {
    name: String,
    measured: Measured,
    /// The row that it stands beside, and how much of its rate this one reaches.
    share: Option<f64>,
}

pub(crate) fn run(length: Duration, is_json: bool) {
    let clients = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let of = |server: &Running, count: usize, work: Work| {
        clients.block_on(measure(
            &server.connector,
            server.token.as_deref(),
            count,
            work,
            length / ROUNDS,
        ))
    };
    let mut rows = Vec::new();
    for (transport, name) in [(Transport::Unix, "Unix socket"), (Transport::Tcp, "TCP")] {
        let servers = [echo(transport), vault(transport, Keeping::Nothing)];
        let [limit, plain] = in_turn(&servers, 1, Work::Pair, &of);
        push(
            &mut rows,
            &format!("{name}: echo, 1 client, pairs"),
            limit.clone(),
            None,
        );
        let what = format!("{name}: request+access, 1 client, audit off");
        push(&mut rows, &what, plain, Some(&limit));
        let servers = [
            echo(transport),
            vault(transport, Keeping::Nothing),
            vault(transport, Keeping::Log),
            vault(transport, Keeping::Everything),
        ];
        let [limit, nothing, log, everything] = in_turn(&servers, 64, Work::Cycle, &of);
        push(
            &mut rows,
            &format!("{name}: echo, 64 clients, cycles"),
            limit.clone(),
            None,
        );
        for (measured, what) in [
            (nothing, "audit off, leases in memory"),
            (log, "durable audit, leases in memory"),
            (everything, "durable audit and leases"),
        ] {
            let what = format!("{name}: request+access+revoke, 64 clients, {what}");
            push(&mut rows, &what, measured, Some(&limit));
        }
    }
    many_leases(&mut rows, &of);
    print(&rows, is_json);
}

/// Measures several servers one after another, several times, so that a busy moment of the machine hits each of
/// them alike; the median round of each counts.
fn in_turn<const N: usize>(
    servers: &[Running; N],
    clients: usize,
    work: Work,
    of: &dyn Fn(&Running, usize, Work) -> Measured,
) -> [Measured; N] {
    let mut rounds: [Vec<Measured>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (server, own) in servers.iter().zip(&mut rounds) {
            own.push(of(server, clients, work));
        }
    }
    rounds.map(|mut own| {
        own.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
        own.swap_remove(own.len() / 2)
    })
}

/// What a request costs beside 100 000 live leases, and what each of them weighs in a vault that keeps them in
/// SQLite: what it holds in memory besides is its own table.
fn many_leases(rows: &mut Vec<Row>, of: &dyn Fn(&Running, usize, Work) -> Measured) {
    let server = vault(Transport::Unix, Keeping::Nothing);
    let few = of(&server, 1, Work::Request);
    fill(&server, 8, of);
    let many = of(&server, 1, Work::Request);
    let name = format!(
        "Unix socket: request, 1 client, beside {} live leases",
        live(&server)
    );
    push(
        rows,
        "Unix socket: request, 1 client, beside few live leases",
        few.clone(),
        None,
    );
    push(rows, &name, many, Some(&few));
    drop(server);

    let server = vault(Transport::Unix, Keeping::Everything);
    // Buffers and caches of the first requests are not the leases'.
    of(&server, 64, Work::RequestForMany);
    let (before, weight) = (live(&server), resident());
    fill(&server, 64, of);
    let bytes = resident().saturating_sub(weight) / (live(&server) - before).max(1);
    let durable = of(&server, 64, Work::RequestForMany);
    let name = format!(
        "Unix socket: durable request, 64 clients, beside {} live leases of {bytes} bytes",
        live(&server)
    );
    push(rows, &name, durable, None);
}

/// Lets leases be granted until there are 100 000 more.
fn fill(server: &Running, clients: usize, of: &dyn Fn(&Running, usize, Work) -> Measured) {
    let wanted = live(server) + 100_000;
    while live(server) < wanted {
        of(server, clients, Work::RequestForMany);
    }
}

fn live(server: &Running) -> u64 {
    let Some(engine) = server.engine.clone() else {
        return 0;
    };
    let local = fnox_vault::Identity::local();
    let details = server.block_on(async { engine.health(&local).await.details });
    details.map_or(0, |details| details.live_leases)
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages * 4096
}

fn push(rows: &mut Vec<Row>, name: &str, measured: Measured, beside: Option<&Measured>) {
    // Something to look at while it runs.
    eprintln!("{name}: {:.0}/s", measured.per_second);
    let share = beside.map(|other| measured.per_second / other.per_second);
    rows.push(Row {
        name: name.to_owned(),
        measured,
        share,
    });
}

fn print(rows: &[Row], is_json: bool) {
    if is_json {
        let rows: Vec<serde_json::Value> = rows
            .iter()
            .map(|row| {
                serde_json::json!({
                    "name": row.name,
                    "per_second": row.measured.per_second,
                    "median_us": row.measured.median.as_secs_f64() * 1e6,
                    "p99_us": row.measured.slowest_hundredth.as_secs_f64() * 1e6,
                    "share_of_limit": row.share,
                })
            })
            .collect();
        println!("{}", serde_json::Value::Array(rows));
        return;
    }
    for row in rows {
        let share = row
            .share
            .map_or_else(String::new, |share| format!("{:3.0} %", share * 100.0));
        println!(
            "{:78} {:>9.0}/s  p50 {:>7} us  p99 {:>7} us  {share}",
            row.name,
            row.measured.per_second,
            row.measured.median.as_micros(),
            row.measured.slowest_hundredth.as_micros(),
        );
    }
}

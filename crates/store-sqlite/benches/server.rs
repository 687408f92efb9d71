//! How many grants a team server's database makes and uses up:
//! `cargo bench -p fnox-store-sqlite --bench server -- [FOLDER] [--seconds N] [--json]`.
//!
//! Each of 32 tasks asks for what needs no yes, exchanges it for a grant and fetches with it: three transactions,
//! each with its audit record and answered only when it is on the disk. A second row fetches alone, with grants that
//! were made before. With a folder in memory (`/dev/shm`) what remains is the database's own work.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its figures, and ends when something fails"
)]

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fnox_core::TokenHash;
use fnox_server::store::conformance::World;
use fnox_server::store::{SecretRecord, SessionRecord};
use fnox_store_sqlite::{SqliteDatabase, SqliteDatabaseOptions};

/// How many ask at once.
const TASKS: usize = 32;

/// Grants that are made before they are used, by each task.
const STOCK: usize = 256;

/// What comes first is not counted: the log on the disk grows to its size only once.
const WARM_UP: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` starts this too, and wants only to know that it starts.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let seconds = value("--seconds");
    let folder = arguments
        .iter()
        .find(|argument| !argument.starts_with('-') && Some(*argument) != seconds.as_ref());
    let length = seconds.and_then(|text| text.parse().ok()).unwrap_or(5);
    let is_json = arguments.iter().any(|argument| argument == "--json");
    let folder = tempfile::tempdir_in(folder.map_or("/var/tmp", String::as_str)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let length = Duration::from_secs(length);
    let rows = runtime.block_on(measure(&folder.path().join("server.db"), length));
    for row in rows {
        row.print(is_json);
    }
    ExitCode::SUCCESS
}

struct Row {
    name: &'static str,
    times: Vec<Duration>,
    length: Duration,
}

impl Row {
    fn print(mut self, is_json: bool) {
        self.times.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
        let rate = self.times.len() as f64 / self.length.as_secs_f64();
        let median = self.times[self.times.len() / 2].as_micros();
        let slow = self.times[self.times.len() * 99 / 100].as_micros();
        let name = self.name;
        if is_json {
            println!(
                "{{\"name\":\"{name}\",\"per_second\":{rate:.1},\"median_us\":{median},\"p99_us\":{slow}}}"
            );
        } else {
            println!("{name:60} {rate:>8.0}/s  p50 {median:>6} us  p99 {slow:>6} us");
        }
    }
}

async fn measure(path: &Path, length: Duration) -> [Row; 2] {
    let options = SqliteDatabaseOptions {
        create: true,
        ..SqliteDatabaseOptions::default()
    };
    let database = SqliteDatabase::open(path, options).unwrap();
    let world = World::of([Arc::new(database) as Arc<_>]).await;
    let secret = world.put("NPM_TOKEN", &"x".repeat(300)).await;
    let cycles = whole_cycles(&world, &secret, length).await;
    let fetches = fetches_alone(&world, &secret, length).await;
    world.log_is_whole().await;
    [cycles, fetches]
}

async fn whole_cycles(world: &World, secret: &SecretRecord, length: Duration) -> Row {
    let begun = Instant::now();
    let times = together(world, secret, move |world, session, secret| async move {
        let mut times = Vec::new();
        while begun.elapsed() < WARM_UP + length {
            let start = Instant::now();
            let hash = world.granted(&session, std::slice::from_ref(&secret)).await;
            world.redeem(0, hash).await.unwrap();
            if begun.elapsed() > WARM_UP {
                times.push(start.elapsed());
            }
        }
        times
    });
    Row {
        name: "ask, grant and fetch, 32 at once",
        times: times.await,
        length,
    }
}

async fn fetches_alone(world: &World, secret: &SecretRecord, length: Duration) -> Row {
    let mut times = Vec::new();
    let mut spent = Duration::ZERO;
    while spent < length {
        let stock = together(world, secret, |world, session, secret| async move {
            let mut stock: Vec<TokenHash> = Vec::with_capacity(STOCK);
            for _ in 0..STOCK {
                stock.push(world.granted(&session, std::slice::from_ref(&secret)).await);
            }
            stock
        });
        let stock = stock.await;
        let begun = Instant::now();
        let tasks: Vec<_> = stock
            .chunks(STOCK)
            .map(|stock| tokio::spawn(fetch_all(world.clone(), stock.to_vec())))
            .collect();
        for task in tasks {
            times.extend(task.await.unwrap());
        }
        spent += begun.elapsed();
    }
    Row {
        name: "fetch with a fresh grant, 32 at once",
        times,
        length: spent,
    }
}

async fn fetch_all(world: World, stock: Vec<TokenHash>) -> Vec<Duration> {
    let mut times = Vec::with_capacity(stock.len());
    for hash in stock {
        let start = Instant::now();
        world.redeem(0, hash).await.unwrap();
        times.push(start.elapsed());
    }
    times
}

/// Has all tasks do the same, each with a session of its own, and puts together what they answer.
async fn together<T, F>(
    world: &World,
    secret: &SecretRecord,
    work: impl Fn(World, SessionRecord, SecretRecord) -> F,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = Vec<T>> + Send + 'static,
{
    let mut tasks = Vec::with_capacity(TASKS);
    for run in 0..TASKS as u64 {
        let session = world.session(run).await;
        tasks.push(tokio::spawn(work(world.clone(), session, secret.clone())));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.extend(task.await.unwrap());
    }
    answers
}

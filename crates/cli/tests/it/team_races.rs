//! Many who want the same at once: a grant is good for one, and a no wins.

use std::sync::atomic::{AtomicBool, Ordering};

use fnox_testkit::services::program;
use futures_util::future::join_all;
use serde_json::Value;

use crate::support;
use crate::team_http::Client;
use crate::team_process::{Home, Options, Process, decision_path, exchange, wanted};
use crate::vault_process::number_from_environment;

const CLIENTS: usize = 64;
/// How many rounds one database sees: each leaves 64 records.
const EACH: u64 = 1000;

fn rounds(few: u64, many: u64) -> u64 {
    match number_from_environment("FNOX_TEST_ROUNDS").unwrap_or(60) {
        0..1000 => few,
        _ => many,
    }
}

/// A database of its own on the cluster that `scripts/test` starts.
pub(crate) fn postgres_database(purpose: &str) -> String {
    let env = fnox_core::Env::of_process();
    let cluster = env
        .var("FNOX_TEST_POSTGRES_URL")
        .expect("FNOX_TEST_POSTGRES_URL");
    let name = format!("team_{purpose}_{}", std::process::id());
    for statement in [
        format!("DROP DATABASE IF EXISTS {name}"),
        format!("CREATE DATABASE {name}"),
    ] {
        let status = std::process::Command::new(program("psql"))
            .args([cluster, "--quiet", "--no-psqlrc", "--command", &statement])
            .status()
            .expect("psql");
        assert!(status.success());
    }
    let (server, _) = cluster.rsplit_once('/').expect("a URL with a database");
    format!("{server}/{name}")
}

#[tokio::test]
async fn of_64_clients_with_one_grant_one_is_served() {
    let mut left = rounds(40, 10_000);
    while left > 0 {
        let now = left.min(EACH);
        left -= now;
        let home = Home::new();
        let server = home.serve();
        redeem(&home, &[&server], now).await;
        home.verify_audit();
        server.end();
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn of_64_clients_of_two_servers_with_one_grant_one_is_served() {
    let database = postgres_database("redeem");
    let options = Options {
        database: Some(&database),
        ..Options::default()
    };
    let home = Home::with(support::sandbox(), &options);
    let servers = [home.serve(), home.serve()];
    redeem(&home, &[&servers[0], &servers[1]], rounds(20, 1000)).await;
    home.verify_audit();
}

async fn redeem(home: &Home, servers: &[&Process], rounds: u64) {
    let mut client = servers[0].client();
    servers[0].put(&mut client, "FREE_A", 1).await.ok();
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|number| servers[number % servers.len()].client())
        .collect();
    let mut session = String::new();
    for round in 0..rounds {
        if round.is_multiple_of(100) {
            session = home.session(&mut client).await;
        }
        let body = wanted("FREE_A", round);
        let granted = client.post("/v1/grants", &session, &body).await.ok();
        let token = granted.text("grant_token");
        let all = clients
            .iter_mut()
            .map(|client| client.post("/v1/fetch", &token, ""));
        let answers = join_all(all).await;
        let served = answers.iter().filter(|it| it.is_ok()).count();
        assert_eq!(served, 1, "round {round}");
        for answer in answers.into_iter().filter(|it| !it.is_ok()) {
            answer.is("grant_used");
        }
    }
}

#[tokio::test]
async fn a_no_at_the_same_time_as_a_yes_wins_or_comes_too_late() {
    let home = Home::new();
    let other = second_decider(&home);
    let server = home.serve();
    decide(&home, &[&server, &server], &other, rounds(60, 2000)).await;
    home.verify_audit();
    server.end();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_no_at_one_server_wins_over_a_yes_at_another_or_comes_too_late() {
    let database = postgres_database("decide");
    let options = Options {
        database: Some(&database),
        ..Options::default()
    };
    let home = Home::with(support::sandbox(), &options);
    let other = second_decider(&home);
    let servers = [home.serve(), home.serve()];
    decide(&home, &[&servers[0], &servers[1]], &other, rounds(30, 500)).await;
    home.verify_audit();
}

/// Another person than the first administrator.
fn second_decider(home: &Home) -> String {
    let made = home.about(&["token", "--role", "admin"]).finish();
    made.succeeds().stdout.trim().to_owned()
}

/// A yes, a no and three who want the grant, all at once.
async fn decide(home: &Home, servers: &[&Process; 2], other: &str, rounds: u64) {
    let mut job = servers[0].client();
    servers[0].put(&mut job, "NPM_A", 1).await.ok();
    let mut people = [servers[0].client(), servers[1].client()];
    let mut takers: Vec<Client> = (0..3).map(|number| servers[number % 2].client()).collect();
    let mut session = String::new();
    let mut denied = 0;
    for round in 0..rounds {
        if round.is_multiple_of(50) {
            session = home.session(&mut job).await;
        }
        let body = wanted("NPM_A", round);
        let asked = job.post("/v1/approvals", &session, &body).await.ok().body;
        let [yes, no] = &mut people;
        // In every second round the no comes after the yes was answered, beside those who want the grant.
        let is_later = round % 2 == 1;
        let is_decided = AtomicBool::new(false);
        let deciding = async {
            let saying_yes = servers[0].decide(yes, &asked, "approve");
            let saying_no = deny(no, other, &asked);
            let said = if is_later {
                let yes = saying_yes.await;
                (yes, saying_no.await)
            } else {
                tokio::join!(saying_yes, saying_no)
            };
            is_decided.store(true, Ordering::SeqCst);
            said
        };
        let taking = join_all(
            takers
                .iter_mut()
                .map(|taker| take(taker, &session, &asked, &is_decided)),
        );
        let ((yes, no), taken) = tokio::join!(deciding, taking);
        let granted: Vec<String> = taken.into_iter().flatten().collect();
        assert!(granted.len() <= 1, "round {round}: two grants");
        let path = format!("/v1/approvals/{}", asked["id"].as_str().unwrap());
        let word = job.get(&path, &session).await.ok().text("status");
        if no.is_ok() {
            assert_eq!(word, "denied", "round {round}");
            assert!(granted.is_empty(), "round {round}: denied and granted");
            denied += 1;
        } else {
            no.is("approval_decided");
            yes.ok();
            assert_eq!(word, "granted", "round {round}");
            job.post("/v1/fetch", &granted[0], "").await.ok();
            assert_eq!(job.get(&path, &session).await.text("status"), "fetched");
        }
        // A yes afterwards changes nothing.
        let ends = job.get(&path, &session).await.text("status");
        let again = servers[0].decide(&mut people[0], &asked, "approve").await;
        assert_ne!(again.body["status"], "approved", "round {round}");
        assert_eq!(job.get(&path, &session).await.text("status"), ends);
    }
    assert!(denied > 0, "a no never won");
}

async fn deny(client: &mut Client, bearer: &str, asked: &Value) -> crate::team_http::Answer {
    let path = decision_path(asked["id"].as_str().unwrap());
    let body = r#"{"decision":"deny"}"#;
    client.post(&path, bearer, body).await
}

/// Wants the grant until it is certain whether there is one.
async fn take(
    client: &mut Client,
    session: &str,
    asked: &Value,
    is_decided: &AtomicBool,
) -> Option<String> {
    let body = exchange(asked);
    loop {
        let is_last = is_decided.load(Ordering::SeqCst);
        let answer = client.post("/v1/grants", session, &body).await;
        if answer.is_ok() {
            return Some(answer.text("grant_token"));
        }
        let is_early_or_late =
            matches!(answer.code(), "approval_not_approved" | "approval_decided");
        assert!(is_early_or_late, "{answer:?}");
        if is_last {
            return None;
        }
    }
}

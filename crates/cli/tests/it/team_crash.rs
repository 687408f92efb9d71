//! The team server killed at random moments of a mixed load: what it answered stays true.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::kill_rounds::{Trace, rounds, seed};
use crate::team_http::Client;
use crate::team_load::{Fact, History, KEYS, Load, Login, Stored};
use crate::team_process::{Home, LIMIT, Process, looks_like_age};
use crate::vault_load::Dice;

const JOBS: usize = 6;
const DECIDERS: usize = 2;
/// Requests of earlier rounds that are looked at again after each restart.
const SAMPLE: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_true_after_the_team_server_was_killed() {
    let mut trace = Trace {
        seed: seed(),
        round: 0,
    };
    let mut dice = Dice::new(trace.seed);
    let home = Arc::new(Home::new());
    let history = Arc::new(Mutex::new(History::default()));
    let mut server = home.serve();
    prepare(&home, &server, &history).await;
    for round in 0..rounds() {
        trace.round = round;
        let enough = 40 + dice.below(400);
        let load = Load::new(&history, &home, &server.address, (round, enough));
        let load = Arc::new(load);
        let tasks = start(&load, &mut dice);
        tokio::time::timeout(LIMIT, load.enough()).await.unwrap();
        // Not right after an answer: somewhere in what comes then.
        let moment = Instant::now() + Duration::from_micros(dice.below(4000));
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        let ended = server.kill();
        assert!(!ended.stderr.contains("panicked"), "{ended}");
        for task in tasks {
            task.await.unwrap();
        }
        is_whole(&home.database());
        if round % 2 == 0 {
            home.verify_audit();
        }
        server = home.serve();
        check(&server, &history, round, &mut dice).await;
        // The same while it serves.
        home.verify_audit();
    }
    let recorded = fetches_on_record(&home, &server).await;
    every_fetch_is_on_record(&recorded, &history.lock().unwrap());
    server.end();
    let history = history.lock().unwrap();
    let count = |fits: fn(&crate::team_load::Request) -> bool| {
        history.requests.values().filter(|it| fits(it)).count()
    };
    // The load was one: each kind of thing happened.
    assert!(count(|it| it.delivered == 1) > 0);
    assert!(count(|it| it.deny == Fact::Done) > 0);
    assert!(count(|it| it.cancel == Fact::Done) > 0);
    assert!(history.logins.iter().any(|it| it.ended == Fact::Done));
}

async fn prepare(home: &Arc<Home>, server: &Process, history: &Arc<Mutex<History>>) {
    let load = Load::new(history, home, &server.address, (0, u64::MAX));
    let mut client = server.client();
    for key in KEYS {
        load.put(&mut client, key).await.unwrap();
    }
}

fn start(load: &Arc<Load>, dice: &mut Dice) -> Vec<JoinHandle<()>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let mut tasks = Vec::new();
    for _ in 0..JOBS {
        let (load, seed, sender) = (Arc::clone(load), dice.below(u64::MAX), sender.clone());
        tasks.push(tokio::spawn(async move { load.job(seed, sender).await }));
    }
    for _ in 0..DECIDERS {
        let (load, seed, asked) = (Arc::clone(load), dice.below(u64::MAX), receiver.clone());
        tasks.push(tokio::spawn(async move { load.decider(seed, asked).await }));
    }
    let (load, seed) = (Arc::clone(load), dice.below(u64::MAX));
    tasks.push(tokio::spawn(async move { load.writer(seed).await }));
    tasks
}

/// SQLite's own check, on a copy, so that the server finds what the killed one left.
pub(crate) fn is_whole(database: &Path) {
    let folder = tempfile::tempdir().unwrap();
    for ending in ["", "-wal", "-shm"] {
        let from = format!("{}{ending}", database.display());
        if Path::new(&from).exists() {
            std::fs::copy(&from, folder.path().join(format!("copy.db{ending}"))).unwrap();
        }
    }
    let copy = rusqlite::Connection::open(folder.path().join("copy.db")).unwrap();
    for pragma in ["integrity_check", "foreign_key_check"] {
        let mut statement = copy.prepare(&format!("PRAGMA {pragma}")).unwrap();
        let found: Vec<String> = statement
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(found.iter().all(|line| line == "ok"), "{pragma}: {found:?}");
    }
}

/// Everything that was answered in any round is still so.
async fn check(server: &Process, history: &Arc<Mutex<History>>, round: u64, dice: &mut Dice) {
    let mut client = server.client();
    check_secrets(server, &mut client, history).await;
    check_logins(&mut client, history, round).await;
    let chosen: Vec<String> = {
        let history = history.lock().unwrap();
        let all: Vec<&String> = history.requests.keys().collect();
        let mut chosen: Vec<String> = all
            .iter()
            .filter(|id| history.requests[**id].round == round)
            .map(|id| (*id).clone())
            .collect();
        for _ in 0..SAMPLE {
            let index = dice.below(all.len() as u64);
            chosen.push(all[usize::try_from(index).unwrap()].clone());
        }
        chosen
    };
    for id in chosen {
        check_request(server, &mut client, history, (&id, round)).await;
    }
}

async fn check_secrets(server: &Process, client: &mut Client, history: &Mutex<History>) {
    for key in KEYS {
        let path = format!("/v1/projects/my-app/secrets/{key}");
        let seen = client.get(&path, server.admin()).await.ok();
        let version = seen.body["version"].as_u64().unwrap();
        let mut history = history.lock().unwrap();
        let stored = history.stored.get_mut(key).unwrap();
        let candidates = if version == stored.version {
            vec![stored.number]
        } else {
            let most = stored.version + stored.open.len() as u64;
            assert!(
                (stored.version..=most).contains(&version),
                "version {version} of {key}: {stored:?}"
            );
            stored.open.clone()
        };
        let has = |number: &u64| seen.body["ciphertext"] == looks_like_age(*number);
        let number = candidates.into_iter().find(has);
        let number = number.unwrap_or_else(|| panic!("{seen:?} is none of {stored:?}"));
        *stored = Stored {
            version,
            number,
            open: Vec::new(),
        };
    }
}

/// No token that was answered opens a second session; a session that was answered is there, or has ended for good.
async fn check_logins(client: &mut Client, history: &Mutex<History>, round: u64) {
    let logins: Vec<(String, Fact, Option<String>, Fact)> = {
        let history = history.lock().unwrap();
        let of_round = |login: &&Login| login.round == round;
        let facts = |login: &Login| {
            let session = login.session.clone();
            (login.token.clone(), login.used, session, login.ended)
        };
        history.logins.iter().filter(of_round).map(facts).collect()
    };
    assert!(!logins.is_empty());
    for (token, used, session, ended) in logins {
        let again = client.post("/v1/sessions", &token, "").await;
        if used == Fact::Done || !again.is_ok() {
            again.is("token_replayed");
            // Also the second time, whatever the first one was.
            client
                .post("/v1/sessions", &token, "")
                .await
                .is("token_replayed");
        }
        let Some(session) = session else { continue };
        let seen = client.get("/v1/sessions/current", &session).await;
        match ended {
            Fact::Not => drop(seen.ok()),
            Fact::Asked => assert!(seen.is_ok() || seen.code() == "token_invalid", "{seen:?}"),
            Fact::Done => drop(seen.is("token_invalid")),
        }
    }
}

async fn check_request(
    server: &Process,
    client: &mut Client,
    history: &Mutex<History>,
    (id, round): (&str, u64),
) {
    let path = format!("/v1/approvals/{id}");
    let stands = client.get(&path, server.admin()).await.ok();
    let word = stands.text("status");
    let (token, is_new) = {
        let mut history = history.lock().unwrap();
        let request = history.requests.get_mut(id).unwrap();
        let is_new = request.round == round;
        let may_be = request.may_be();
        let has_ended = !is_new && word == "expired" && !may_be.contains(&"fetched");
        assert!(
            may_be.contains(&word.as_str()) || has_ended,
            "{word} is none of {may_be:?}: {request:?}"
        );
        let said = stands.body["decisions"].to_string();
        let has = |decision: &str| said.contains(&format!("\"decision\":\"{decision}\""));
        // A person's no takes the place of the same person's yes.
        let yes = has("approve") || has("deny") && request.deny != Fact::Not;
        for (decision, fact, is_there) in [
            ("approve", request.approve, yes),
            ("deny", request.deny, has("deny")),
        ] {
            let is_there = if fact == Fact::Not {
                has(decision)
            } else {
                is_there
            };
            let by_nobody = fact == Fact::Not && !request.is_free;
            assert!(fact != Fact::Done || is_there, "{decision} is lost: {said}");
            assert!(
                !by_nobody || !is_there,
                "{decision} by nobody: {said}: {request:?}"
            );
        }
        let Some(token) = request.token.clone() else {
            return;
        };
        request.open += 1;
        (token, is_new)
    };
    let answer = client.post("/v1/fetch", &token, "").await;
    let mut history = history.lock().unwrap();
    let request = history.requests.get_mut(id).unwrap();
    if !is_new && matches!(answer.code(), "grant_expired" | "token_invalid") {
        request.open -= 1;
        return;
    }
    request.fetched(&answer);
}

/// As many records of fetches as there were fetches.
/// How many fetches of each approval the audit log tells of.
async fn fetches_on_record(home: &Home, server: &Process) -> BTreeMap<String, u32> {
    let mut client = server.client();
    let mut recorded: BTreeMap<String, u32> = BTreeMap::new();
    let mut after = 0;
    loop {
        let path = format!("/v1/audit?event=secrets_fetched&outcome=ok&limit=500&after={after}");
        let page = client.get(&path, &home.admin).await.ok();
        for record in page.body["records"].as_array().unwrap() {
            let approval = record["approval"].as_str().expect("an approval's id");
            *recorded.entry(approval.to_owned()).or_default() += 1;
        }
        match page.body["next"].as_u64() {
            Some(next) => after = next,
            None => return recorded,
        }
    }
}

fn every_fetch_is_on_record(recorded: &BTreeMap<String, u32>, history: &History) {
    for (id, request) in &history.requests {
        let count = recorded.get(id).copied().unwrap_or(0);
        let range = request.delivered..=(request.delivered + request.open).min(1);
        assert!(
            range.contains(&count),
            "{count} records of fetches: {request:?}"
        );
    }
}

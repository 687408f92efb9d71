//! What was answered stays, whatever happens to the process or the disk.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use fnox_core::TokenHash;
use fnox_server::StoreError;
use fnox_server::store::Refusal;
use fnox_server::store::conformance::world::{entry, moment, new_approval};
use fnox_server::store::conformance::{ApprovalStatus, Decision, World};
use uuid::Uuid;

use super::support::open;
use crate::child::{self, say};
use crate::crash::rounds;
use crate::disk::SmallDisk;
use crate::support::Place;

/// Asks, decides, grants and fetches until it is killed, and says what was answered.
pub(crate) async fn load(path: &Path) {
    let (_, world) = open(path).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|number| tokio::spawn(cycle(world.clone(), number)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn cycle(world: World, number: u64) {
    let session = world.session(number).await;
    let secret = world.put(&format!("KEY_{number}"), "one").await;
    let secret = std::slice::from_ref(&secret);
    for round in 0..100_000 {
        let hash = world.granted(&session, secret).await;
        world.redeem(0, hash).await.unwrap();
        say(&format!("fetched {}", told(hash)));
        let id = world.ask(new_approval(&session, secret)).await.unwrap().id;
        let decision = [Decision::Approve, Decision::Deny][round % 2];
        world.decide(id, "alice", decision).await.unwrap();
        say(&format!("{} {id}", decision.as_str()));
    }
}

/// What killed processes had been answered.
#[derive(Debug, Default)]
struct Answered {
    fetched: Vec<TokenHash>,
    approved: BTreeSet<Uuid>,
    denied: BTreeSet<Uuid>,
}

impl Answered {
    fn note(&mut self, line: &str) {
        let Some((what, which)) = line.split_once(' ') else {
            return;
        };
        match what {
            "fetched" => self.fetched.extend(heard(which)),
            "approve" => self.approved.extend(which.parse::<Uuid>()),
            "deny" => self.denied.extend(which.parse::<Uuid>()),
            _ => {}
        }
    }
}

/// A hash as two ids, which is how 32 bytes fit on a line without another library.
fn told(hash: TokenHash) -> String {
    let (first, second) = hash.0.split_at(16);
    let id = |bytes| Uuid::from_slice(bytes).unwrap();
    format!("{}/{}", id(first), id(second))
}

fn heard(text: &str) -> Option<TokenHash> {
    let (first, second) = text.split_once('/')?;
    let ids = [first.parse::<Uuid>().ok()?, second.parse().ok()?];
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.into_bytes()).collect();
    Some(TokenHash(bytes.try_into().ok()?))
}

fn killed(place: &Place, round: u32, all: &mut Answered) -> usize {
    let mut child = child::start("team", &place.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut count = 0;
    let mut note = |line: &str| {
        count += 1;
        all.note(line);
    };
    for line in lines.by_ref().take(10 + round as usize * 7 % 90) {
        note(&line.unwrap());
    }
    let moment = Instant::now() + Duration::from_micros(u64::from(round) * 83 % 5000);
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines.map_while(Result::ok) {
        note(&line);
    }
    count
}

#[tokio::test]
async fn what_was_answered_survives_a_killed_process() {
    let place = Place::new();
    let mut all = Answered::default();
    for round in 0..rounds().min(200) {
        assert!(killed(&place, round, &mut all) > 0, "round {round}");
        let (database, world) = open(&place.path()).await.unwrap();
        assert_eq!(database.take_restored_flag().await.unwrap(), None);
        world.log_is_whole().await;
        for hash in &all.fetched {
            let again = world.redeem(0, *hash).await;
            let is_used = matches!(again, Err(Refusal::GrantUsed { .. }));
            assert!(is_used, "round {round}: {again:?}");
        }
        for (ids, status) in [
            (&all.approved, ApprovalStatus::Approved),
            (&all.denied, ApprovalStatus::Denied),
        ] {
            for id in ids {
                assert_eq!(world.status(*id).await, status, "round {round}");
            }
        }
        // Each is looked at in the round after it; the next rounds have enough of their own.
        all = Answered::default();
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_healed() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("no small disk can be mounted here");
        return;
    };
    let place = &disk.place;
    let ballast = place.beside("ballast");
    fs::write(&ballast, vec![0; 200 * 1024]).unwrap();
    let (database, world) = open(&place.path()).await.unwrap();
    let session = world.session(1).await;
    let secret = world.put("A", "one").await;
    let secret = std::slice::from_ref(&secret);
    let unused = world.granted(&session, secret).await;
    let store = world.store(0);
    world.put("LARGE", &"x".repeat(100_000)).await;
    // All that is left but a few pages: too few for a decision.
    let rest = place.beside("rest");
    assert!(fs::write(&rest, vec![0; 2 * 1024 * 1024]).is_err());
    let taken = fs::metadata(&rest).unwrap().len();
    let file = fs::File::options().write(true).open(&rest).unwrap();
    file.set_len(taken - 20 * 1024).unwrap();
    // An open file keeps its room after it was removed.
    drop(file);
    let error = store.probe().await.unwrap_err();
    let is_clear =
        matches!(&error, StoreError::Unavailable { problem, .. } if problem.contains("disk"));
    assert!(is_clear, "{error}");
    // Nothing is released, nothing is decided; looking still works.
    let refused = store.redeem(unused, moment(3), entry("fetched")).await;
    assert!(refused.is_err_and(|error| error.refusal().is_none()));
    assert!(store.probe().await.is_err());
    assert!(
        store
            .session(session.hash, moment(1))
            .await
            .unwrap()
            .is_some()
    );
    fs::remove_file(&ballast).unwrap();
    fs::remove_file(&rest).unwrap();
    store.probe().await.unwrap();
    world.redeem(0, unused).await.unwrap();
    let records = world.log_is_whole().await;
    drop((database, world));
    let (_, world) = open(&place.path()).await.unwrap();
    assert_eq!(world.log_is_whole().await, records);
    assert!(world.redeem(0, unused).await.is_err());
}

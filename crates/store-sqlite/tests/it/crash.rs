//! Processes killed in the middle of a mixed load.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use fnox_core::Env;
use fnox_core::lease::LeaseState;
use fnox_vault::store::LeaseStore as _;
use fnox_vault_wire::LeaseId;

use crate::child;
use crate::support::{Place, spend, verify};

pub(crate) fn rounds() -> u32 {
    Env::of_process()
        .var("FNOX_TEST_ROUNDS")
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(10)
}

/// What a killed process had been answered about one lease.
#[derive(Debug, Default, Clone, Copy)]
struct Answered {
    uses: u32,
    revoked: bool,
}

/// Starts a load, kills it in the middle, and returns what it was answered.
fn killed(place: &Place, round: u32) -> HashMap<LeaseId, Answered> {
    let mut child = child::start("load", &place.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut answered: HashMap<LeaseId, Answered> = HashMap::new();
    let mut note = |line: &str| {
        let mut words = line.split(' ');
        let (what, id) = (words.next(), words.next().and_then(|id| id.parse().ok()));
        let Some(id) = id else { return };
        let lease = answered.entry(id).or_default();
        match what {
            Some("spent") => lease.uses = words.next().unwrap().parse().unwrap(),
            Some("revoked") => lease.revoked = true,
            _ => {}
        }
    };
    // A different moment each time: after some answers, and a sweep of microseconds.
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
    answered
}

#[tokio::test]
async fn what_was_answered_survives_a_killed_process() {
    let place = Place::new();
    let mut all: HashMap<LeaseId, Answered> = HashMap::new();
    // Each round reads all that those before it wrote.
    for round in 0..rounds().min(200) {
        let answered = killed(&place, round);
        assert!(!answered.is_empty(), "round {round} was killed too early");
        all.extend(answered);
        let store = place.open().await;
        let report = verify(&store).await;
        assert!(report.is_intact(), "round {round}: {:?}", report.flaws);
        for (id, answered) in &all {
            let lease = store.lease(*id).await.unwrap();
            let lease = lease.unwrap_or_else(|| panic!("round {round}: {id} is lost"));
            assert!(
                lease.uses >= answered.uses,
                "round {round}: {id} is used again"
            );
            assert!(!answered.revoked || lease.state == LeaseState::Revoked);
            if lease.uses == 3 || lease.state == LeaseState::Revoked {
                assert!(spend(&store, *id).await.is_err());
            }
        }
        assert_eq!(
            store.take_restored_flag().await.unwrap(),
            None,
            "a crash is no restore"
        );
    }
}

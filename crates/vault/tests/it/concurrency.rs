//! Many callers at once.

use std::sync::Arc;

use crate::support::{World, admin, agent};

const POLICY: &str =
    "[[rule]]\nagent = \"coder\"\nsecret = \"token\"\nhosts = [\"a.com\"]\nmax_uses = 10\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_accesses_of_ten_uses_give_ten_values() {
    let world = Arc::new(World::new(POLICY).await);
    let id = world
        .request(&agent("coder", 1000), "token", "a.com")
        .await
        .unwrap()
        .lease_id;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let world = Arc::clone(&world);
        tasks.spawn(async move {
            world
                .access(&agent("coder", 1000), id, "a.com")
                .await
                .is_ok()
        });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(
        outcomes.into_iter().filter(|delivered| *delivered).count(),
        10
    );
    assert!(
        world
            .engine
            .audit_verify(&admin(), &[])
            .await
            .unwrap()
            .intact
    );
}

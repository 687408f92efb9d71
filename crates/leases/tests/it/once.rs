//! One mint for any number of concurrent runs, in one process and in many.

use std::time::Duration;

use fnox_core::ExitStatus;
use fnox_testkit::stand_in::Sts;
use fnox_testkit::stand_in::sts::Behaviour;
use futures_util::future::join_all;

use crate::child;
use crate::support::{Project, aws_lease, borrowed, keys_of};

#[tokio::test]
async fn many_tasks_make_one_session() {
    let sts = Sts::start();
    sts.behave(Behaviour::AnswerAfter(Duration::from_millis(200)));
    let keys = keys_of(&sts, "alice");
    let project = Project::with_env(&aws_lease(&sts, ""), &borrowed(&keys));
    let all = join_all((0..64).map(|_| project.exec("aws"))).await;
    assert!(all.into_iter().all(|one| one.is_ok()));
    assert_eq!(sts.count("AssumeRole"), 1);
}

#[test]
fn many_processes_make_one_session() {
    let sts = Sts::start();
    sts.behave(Behaviour::AnswerAfter(Duration::from_millis(500)));
    let keys = keys_of(&sts, "alice");
    let project = Project::with_env(&aws_lease(&sts, ""), &borrowed(&keys));
    let children: Vec<_> = (0..16)
        .map(|_| child::start("acquire", &project.root, &borrowed(&keys)))
        .collect();
    let mut ids: Vec<String> = children.into_iter().map(child::answer).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert!(ids[0].starts_with("ok AROA"), "{ids:?}");
    assert_eq!(sts.count("AssumeRole"), 1);
}

#[tokio::test]
async fn whoever_waits_too_long_is_told_for_whom() {
    let sts = Sts::start();
    let keys = keys_of(&sts, "alice");
    let mut project = Project::with_env(&aws_lease(&sts, ""), &borrowed(&keys));
    project.limits.lease_lock = Duration::from_millis(50);
    let manager = project.manager();
    let lock = manager
        .ledger()
        .lock_lease("aws", Duration::ZERO)
        .await
        .unwrap();
    let error = project.exec("aws").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Unavailable);
    assert!(error.to_string().contains("(fnox exec)"), "{error}");
    assert!(
        error.to_string().contains(&std::process::id().to_string()),
        "{error}"
    );
    drop(lock);
    project.exec("aws").await.unwrap();
}

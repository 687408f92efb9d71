//! Minting before somebody needs it.

use fnox_core::{ExitStatus, LeaseName};
use fnox_leases::Held;
use fnox_testkit::stand_in::Sts;
use jiff::SignedDuration;

use crate::support::{Project, aws_lease, borrowed, cached, keys_of, minted};

/// A project whose masters are variables of the environment, and a lease of an hour.
fn project(sts: &Sts) -> Project {
    let keys = keys_of(sts, "alice");
    Project::with_env(&aws_lease(sts, ""), &borrowed(&keys))
}

async fn ahead(project: &Project) -> Option<Held> {
    let name: LeaseName = "aws".parse().unwrap();
    project.manager().renew_ahead(&name).await.unwrap()
}

#[tokio::test]
async fn what_is_about_to_end_is_minted_anew_once() {
    let sts = Sts::start();
    let project = project(&sts);
    assert!(ahead(&project).await.is_none(), "nobody has used it");
    let first = minted(project.exec("aws").await.unwrap());
    assert!(ahead(&project).await.is_none(), "it is fresh");
    project.clock.advance(SignedDuration::from_secs(3600 - 299));
    let second = ahead(&project).await.expect("a new one");
    assert_ne!(first.credential.id, second.credential.id);
    assert!(ahead(&project).await.is_none(), "the new one is fresh");
    let used = cached(project.exec("aws").await.unwrap());
    assert_eq!(used.credential.id, second.credential.id);
    assert_eq!(sts.count("AssumeRole"), 2);
}

#[tokio::test]
async fn what_has_ended_is_left_to_who_needs_it() {
    let sts = Sts::start();
    let project = project(&sts);
    minted(project.exec("aws").await.unwrap());
    project.clock.advance(SignedDuration::from_mins(61));
    assert!(ahead(&project).await.is_none());
    assert_eq!(sts.count("AssumeRole"), 1);
}

#[tokio::test]
async fn nothing_is_minted_for_somebody_else_or_without_the_masters() {
    let sts = Sts::start();
    let mut project = project(&sts);
    minted(project.exec("aws").await.unwrap());
    project.clock.advance(SignedDuration::from_mins(57));
    // The environment of a process that was not given the masters.
    project.set(&[]);
    project.masters.fail(ExitStatus::AuthenticationNeeded);
    assert!(ahead(&project).await.is_none());
    project.set(&borrowed(&keys_of(&sts, "bob")));
    assert!(ahead(&project).await.is_none());
    assert_eq!(sts.count("AssumeRole"), 1);
}

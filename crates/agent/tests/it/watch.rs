//! `fnox-agent provision --watch`: what is there lives as long as its lease.

use fnox_testkit::Running;
use fnox_testkit::wait::until;
use rustix::process::Signal;

use crate::world::{SOON, World, until_written};

/// Starts it; the file of the one credential is there.
fn watching(world: &World, secret: &str, host: &str) -> Running {
    let file = world.target("out/token");
    let manifest = world.manifest(&format!(
        r#"{{"secret_name": "{secret}", "target_domain": "{host}",
            "inject": [{{"type": "file", "path": "{}"}}]}}"#,
        file.display()
    ));
    let arguments = ["--manifest", &manifest, "--watch"];
    let mut running = world.agent("provision", &arguments).start();
    until_written(&file, &mut running);
    running
}

#[test]
fn leases_are_renewed_and_given_up_at_the_end() {
    let world = World::new();
    let running = watching(&world, "short", "short.example");
    until("a second renewal", SOON, || {
        world.leases().iter().any(|lease| lease.renewals >= 2)
    });
    assert!(world.target("out/token").exists());
    assert_eq!(world.active().len(), 1);
    running.signal(Signal::TERM);
    running.finish().exits_with(0);
    assert!(!world.target("out").exists());
    assert_eq!(world.active(), []);
}

#[test]
fn what_is_withdrawn_disappears() {
    let world = World::new();
    let running = watching(&world, "github-token", "api.github.com");
    world.revoke(world.active()[0].lease_id);
    let run = running.finish().exits_with(7);
    assert!(run.stderr.contains("was withdrawn"), "{}", run.stderr);
    assert!(!world.target("out").exists());
}

#[test]
fn one_that_is_killed_is_cleaned_up_after() {
    let world = World::new();
    let running = watching(&world, "github-token", "api.github.com");
    let file = world.target("out/token");
    let draft = world.target("out/.fnox-agent-draft");
    std::fs::write(&draft, "half of a secret").unwrap();
    running.signal(Signal::KILL);
    running.finish();
    assert!(file.exists());
    let left = world.active()[0].lease_id;
    let running = watching(&world, "github-token", "api.github.com");
    until("the lease of the killed run is given up", SOON, || {
        world.active().iter().all(|lease| lease.lease_id != left)
    });
    until("the files of the new run", SOON, || {
        file.exists() && !draft.exists() && world.active().len() == 1
    });
    running.signal(Signal::INT);
    running.finish().exits_with(0);
    assert!(!file.exists());
}

#[test]
fn two_do_not_share_a_journal() {
    let world = World::new();
    let running = watching(&world, "github-token", "api.github.com");
    let run = world.agent("withdraw", &[]).finish();
    assert_ne!(run.code, Some(0));
    assert!(run.stderr.contains("another fnox-agent"), "{}", run.stderr);
    running.signal(Signal::TERM);
    running.finish().exits_with(0);
}

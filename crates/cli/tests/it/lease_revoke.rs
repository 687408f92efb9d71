//! `fnox lease list`, `revoke` and `cleanup`.

use std::time::Duration;

use fnox_testkit::stand_in::sts::Behaviour;
use fnox_testkit::{Sandbox, wait};

use crate::lease_support::{World, listed};
use crate::support::{fails, json, ok, sandbox};

/// A lease whose commands note what they do; the revocation fails while the file `refuse` is there.
const NOTED: &str = r#"[leases.noted]
type = "command"
consumes = []
create_command = '''
count=$(ls | grep -c '^made-'); touch "made-$count"
printf '{"credentials":{"TOKEN":"token-number-%s"},"lease_id":"id-%s-of-it","expires_at":"2099-01-01T00:00:00Z"}' "$count" "$count"
'''
revoke_command = '''
echo "$FNOX_LEASE_ID" >> asked
[ ! -e refuse ] || { echo "the issuer is on holiday" >&2; exit 9; }
echo "$FNOX_LEASE_ID" >> revoked
'''
"#;

fn noted() -> Sandbox {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", NOTED);
    sandbox
}

fn create(sandbox: &Sandbox, count: usize) {
    for _ in 0..count {
        ok(sandbox, &["lease", "create", "noted"]);
    }
}

/// Status by lease id, oldest first.
fn states(sandbox: &Sandbox) -> Vec<String> {
    listed(sandbox)
        .iter()
        .map(|lease| {
            let text = |key: &str| lease[key].as_str().unwrap().to_owned();
            format!("{} {}", text("lease_id"), text("status"))
        })
        .collect()
}

#[test]
fn list_shows_all_or_the_active_or_the_expired_ones() {
    let world = World::with_secrets();
    assert_eq!(
        ok(&world.sandbox, &["lease", "list", "--json"]).trim(),
        "[]"
    );
    let run = world.sandbox.run(["lease", "list"]).finish().succeeds();
    assert!(run.stderr.contains("No leases"), "{run}");

    world.sts.behave(Behaviour::AnswerWithLifetime(2));
    ok(&world.sandbox, &["lease", "create", "aws", "-l", "short"]);
    world.sts.behave(Behaviour::Answer);
    ok(&world.sandbox, &["lease", "create", "aws", "-l", "long"]);
    let labels = |flags: &[&str]| -> Vec<String> {
        let mut arguments = vec!["lease", "list", "--json"];
        arguments.extend(flags);
        let document = json(&ok(&world.sandbox, &arguments));
        let leases = document.as_array().unwrap().clone();
        let label = |lease: &serde_json::Value| lease["label"].as_str().unwrap().to_owned();
        leases.iter().map(label).collect()
    };
    wait::until("the end of a lease", Duration::from_secs(20), || {
        labels(&["--expired"]) == ["short"]
    });
    assert_eq!(labels(&["--active"]), ["long"]);
    assert_eq!(labels(&[]), ["short", "long"]);

    let table = ok(&world.sandbox, &["lease", "ls"]);
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        ["LEASE", "ID", "BACKEND", "LABEL", "EXPIRES", "STATUS"]
    );
    assert_eq!(lines[1][0].len(), 21, "{table}");
    assert!(lines[1][0].ends_with("..."), "{table}");
    assert_eq!((lines[1][2], lines[1][5]), ("short", "expired"), "{table}");
    assert_eq!((lines[2][2], lines[2][5]), ("long", "active"), "{table}");
    for value in world.issued() {
        assert!(!table.contains(&value));
    }
}

#[test]
fn a_lease_is_revoked_by_its_id_the_beginning_of_it_or_its_name() {
    let sandbox = noted();
    create(&sandbox, 5);
    ok(&sandbox, &["lease", "revoke", "id-1-of-it"]);
    ok(&sandbox, &["lease", "revoke", "id-3"]);
    // As the table shows an id that is cut.
    ok(&sandbox, &["lease", "revoke", "id-0-of..."]);
    assert_eq!(
        sandbox.read("revoked"),
        "id-1-of-it\nid-3-of-it\nid-0-of-it\n"
    );
    let run = sandbox
        .run(["lease", "revoke", "noted"])
        .finish()
        .succeeds();
    assert!(run.stderr.contains("2 revoked"), "{run}");
    assert!(
        states(&sandbox)
            .iter()
            .all(|state| state.ends_with(" revoked"))
    );

    let run = sandbox.run(["lease", "revoke", "id-1-of-it"]).finish();
    assert!(run.succeeds().stdout.contains("already revoked"));
    let run = sandbox
        .run(["lease", "revoke", "noted"])
        .finish()
        .succeeds();
    assert!(run.stderr.contains("no active lease"), "{run}");
    assert_eq!(sandbox.read("asked").lines().count(), 5);
}

#[test]
fn all_revokes_every_active_lease() {
    let sandbox = noted();
    create(&sandbox, 2);
    let run = sandbox
        .run(["lease", "revoke", "--all"])
        .finish()
        .succeeds();
    assert!(run.stderr.contains("2 revoked"), "{run}");
    assert_eq!(sandbox.read("revoked").lines().count(), 2);
}

#[test]
fn a_name_that_fits_several_or_none_revokes_nothing() {
    let sandbox = noted();
    create(&sandbox, 2);
    let error = fails(&sandbox, 1, &["lease", "revoke", "id-"]);
    assert!(
        error.contains("2 leases") && error.contains("id-0-of-it") && error.contains("id-1-of-it"),
        "{error}"
    );
    for target in ["nothing", "...", ""] {
        let error = fails(&sandbox, 1, &["lease", "revoke", target]);
        assert!(
            error.contains("fnox lease list") && error.contains("name of a lease"),
            "{error}"
        );
    }
    fails(&sandbox, 2, &["lease", "revoke"]);
    assert_eq!(states(&sandbox), ["id-0-of-it active", "id-1-of-it active"]);
}

#[test]
fn a_revocation_that_fails_stays_open_until_cleanup_succeeds() {
    let sandbox = noted();
    create(&sandbox, 1);
    sandbox.write("refuse", "");
    let error = fails(&sandbox, 6, &["lease", "revoke", "id-0-of-it"]);
    assert!(
        error.contains("exit code 9") && error.contains("the issuer is on holiday"),
        "{error}"
    );
    let state = states(&sandbox);
    assert!(!state[0].ends_with(" revoked"), "{state:?}");
    fails(&sandbox, 6, &["lease", "cleanup"]);
    // It may work still, but nobody who wanted it gone should get it.
    ok(&sandbox, &["exec", "--", "true"]);
    assert!(sandbox.project().join("made-1").exists());

    std::fs::remove_file(sandbox.project().join("refuse")).unwrap();
    let document = json(&ok(&sandbox, &["lease", "cleanup", "--json"]));
    assert_eq!(document[0]["lease_id"], "id-0-of-it");
    assert_eq!(sandbox.read("revoked"), "id-0-of-it\n");
    assert_eq!(
        states(&sandbox),
        ["id-0-of-it revoked", "id-1-of-it active"]
    );
    let run = sandbox.run(["lease", "cleanup"]).finish().succeeds();
    assert!(run.stderr.contains("Nothing to clean up"), "{run}");
}

#[test]
fn one_failure_of_several_does_not_stop_the_others_and_is_told() {
    let sandbox = noted();
    sandbox.write(
        "fnox.toml",
        NOTED.replace("[ ! -e refuse ]", "[ \"$FNOX_LEASE_ID\" != id-0-of-it ]"),
    );
    create(&sandbox, 3);
    let run = sandbox
        .run(["lease", "revoke", "--all"])
        .finish()
        .exits_with(6);
    assert!(
        run.stdout.contains("id-0-of-it (noted): not revoked"),
        "{run}"
    );
    assert_eq!(sandbox.read("revoked"), "id-1-of-it\nid-2-of-it\n");
}

#[test]
fn cleanup_withdraws_what_has_expired() {
    let world = World::with_secrets();
    world.sts.behave(Behaviour::AnswerWithLifetime(2));
    ok(&world.sandbox, &["lease", "create", "aws"]);
    let expired = || world.listed()[0]["status"] == "expired";
    wait::until("the end of the lease", Duration::from_secs(20), expired);
    let shown = ok(&world.sandbox, &["lease", "cleanup"]);
    assert!(shown.contains("(aws)"), "{shown}");
    assert_eq!(world.listed()[0]["status"], "revoked");
}

#[test]
fn a_lease_that_is_not_configured_any_more_stays_until_it_is_again() {
    let sandbox = noted();
    create(&sandbox, 1);
    sandbox.write("fnox.toml", "");
    let error = fails(&sandbox, 3, &["lease", "revoke", "--all"]);
    assert!(error.contains("[leases.noted]"), "{error}");
    assert!(!states(&sandbox)[0].ends_with(" revoked"));
    sandbox.write("fnox.toml", NOTED);
    ok(&sandbox, &["lease", "revoke", "--all"]);
    assert_eq!(states(&sandbox), ["id-0-of-it revoked"]);
}

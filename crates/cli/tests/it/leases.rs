//! When `exec` mints a session and when it uses the one that it has.

use std::time::Duration;

use fnox_testkit::stand_in::sts::{Account, Behaviour};
use fnox_testkit::wait;

use crate::lease_support::{SESSION, World, session, variable};
use crate::support::ok;

/// Plays `op`: notes each call, and answers with one of the items `id` and `secret`.
const OP: &str = r#"#!/bin/sh
echo "$*" >> "$HOME/op-calls"
[ ! -e "$HOME/op-locked" ] || { echo '[ERROR] 2026/01/02 03:04:05 account is not signed in' >&2; exit 1; }
item() { cat "$HOME/items/$1"; }
case "$1" in
  read) case "$3" in *id) item id ;; *) item secret ;; esac ;;
  inject)
    while IFS= read -r line; do
      case "$line" in
        *op://*id*) item id; echo ;;
        *op://*) item secret; echo ;;
        *) printf '%s\n' "$line" ;;
      esac
    done ;;
esac
"#;

/// A project whose masters are in 1Password.
fn with_op() -> World {
    let world = World::bare();
    world.sandbox.write_program("op", OP);
    let [(_, id), (_, secret)] = world.keys("alice");
    let items = world.sandbox.home().join("items");
    world.sandbox.write(items.join("id"), id);
    world.sandbox.write(items.join("secret"), secret);
    world.configure(&format!(
        "[providers]\nop = {{ type = \"1password\", vault = \"V\", token = \"ops_x\" }}\n[secrets]\n\
         AWS_ACCESS_KEY_ID = {{ provider = \"op\", value = \"aws/id\" }}\n\
         AWS_SECRET_ACCESS_KEY = {{ provider = \"op\", value = \"aws/secret\" }}\n{}",
        world.lease("")
    ));
    world
}

fn op_calls(world: &World) -> usize {
    let calls = world.sandbox.read(world.sandbox.home().join("op-calls"));
    calls.lines().count()
}

#[test]
fn the_program_gets_the_session_and_never_the_masters() {
    let world = World::with_secrets();
    let run = world.exec().finish().succeeds();
    assert_eq!(session(&run), world.issued());
    for (_, value) in world.keys("alice") {
        assert!(!run.stdout.contains(&value), "{run}");
    }

    let world = World::bare();
    let masters = world.keys("bob");
    let run = world.exec().envs(masters.clone()).finish().succeeds();
    assert_eq!(session(&run), world.issued());
    for (_, value) in masters {
        assert!(!run.stdout.contains(&value), "{run}");
    }
}

#[test]
fn what_leads_to_masters_is_withheld_and_the_rest_of_aws_is_not() {
    let world = World::bare();
    let [(_, id), (_, secret)] = world.keys("bob");
    world.sandbox.write(
        world.sandbox.home().join(".aws/credentials"),
        format!("[work]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"),
    );
    let run = world
        .exec()
        .env("AWS_PROFILE", "work")
        .env("AWS_REGION", "eu-west-1")
        .finish()
        .succeeds();
    assert_eq!(session(&run), world.issued());
    assert_eq!(variable(&run, "AWS_PROFILE"), None);
    assert_eq!(variable(&run, "AWS_REGION"), Some("eu-west-1"));
    let call = &world.sts.calls()[0];
    assert_eq!(call.access_key_id.as_deref(), Some(id.as_str()));
}

#[test]
fn the_second_exec_uses_the_session_of_the_first() {
    let world = World::with_secrets();
    let first = session(&world.exec().finish().succeeds());
    let second = session(&world.exec().finish().succeeds());
    assert_eq!(first, second);
    assert_eq!(world.mints(), 1);
}

#[test]
fn get_uses_the_session_of_exec_and_the_other_way_round() {
    let world = World::with_secrets();
    let value = ok(&world.sandbox, &["get", "AWS_SESSION_TOKEN"]);
    let [id, _, token] = session(&world.exec().finish().succeeds());
    assert_eq!(value.trim_end(), token);
    assert_eq!(
        ok(&world.sandbox, &["get", "AWS_ACCESS_KEY_ID"]).trim_end(),
        id
    );
    assert_eq!(world.mints(), 1);
}

/// One exec each after `change`; whether the second one minted anew.
fn mints_anew(world: &World, change: impl FnOnce(&World)) -> bool {
    world.exec().finish().succeeds();
    let before = world.mints();
    world.exec().finish().succeeds();
    assert_eq!(world.mints(), before, "it was not cached to begin with");
    change(world);
    world.exec().finish().succeeds();
    world.mints() == before + 1
}

#[test]
fn another_role_is_another_session() {
    assert!(mints_anew(&World::with_secrets(), |world| {
        let lease = world
            .lease("")
            .replace(Account::DEV_ROLE, Account::OPS_ROLE);
        world.configure(&format!("{}{lease}", world.secrets("alice")));
    }));
}

#[test]
fn other_values_of_the_masters_are_another_principal() {
    assert!(mints_anew(&World::with_secrets(), |world| {
        world.configure(&format!("{}{}", world.secrets("bob"), world.lease("")));
    }));
}

#[test]
fn another_table_of_the_masters_provider_is_another_principal() {
    assert!(mints_anew(&with_op(), |world| {
        let text = world.sandbox.read("fnox.toml");
        world.configure(&text.replace("vault = \"V\"", "vault = \"W\""));
    }));
    assert!(mints_anew(&with_op(), |world| {
        let text = world.sandbox.read("fnox.toml");
        world.configure(&text.replace("aws/id", "other/id"));
    }));
}

#[test]
fn what_does_not_change_the_session_keeps_it() {
    assert!(!mints_anew(&World::with_secrets(), |world| {
        let text = world
            .sandbox
            .read("fnox.toml")
            .replace("\"1h\"", "\"2h\"\nrequired = true")
            .replace("[secrets]\n", "[secrets]\n# a comment\n");
        world.configure(&format!(
            "{text}\n[secrets.OTHER]\nprovider = \"plain\"\nvalue = \"x\"\n"
        ));
    }));
}

#[test]
fn another_variable_another_profile_of_aws_and_another_profile_of_fnox_mint_anew() {
    let world = World::bare();
    world.configure(&format!("{}[profiles.prod]\n", world.lease("")));
    let [(_, id), (_, secret)] = world.keys("bob");
    let section = |name: &str| {
        format!("[{name}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
    };
    world.sandbox.write(
        world.sandbox.home().join(".aws/credentials"),
        format!("{}{}", section("one"), section("two")),
    );
    let alice = world.keys("alice").map(|(name, value)| (name, value));
    let bob = world.keys("bob").map(|(name, value)| (name, value));
    let profile = |name: &str| vec![("AWS_PROFILE", name.to_owned())];
    let with = |mut variables: Vec<(&'static str, String)>, fnox: &str| {
        if !fnox.is_empty() {
            variables.push(("FNOX_PROFILE", fnox.to_owned()));
        }
        variables
    };
    let surroundings = [
        with(alice.to_vec(), ""),
        with(bob.to_vec(), ""),
        with(bob.to_vec(), "prod"),
        with(profile("one"), ""),
        with(profile("two"), ""),
    ];
    for round in 0..2 {
        for (index, variables) in surroundings.iter().enumerate() {
            world.exec().envs(variables.clone()).finish().succeeds();
            // In the second round each finds its own session again.
            let wanted = if round == 0 {
                index + 1
            } else {
                surroundings.len()
            };
            assert_eq!(world.mints(), wanted, "round {round}: {variables:?}");
        }
    }
}

#[test]
fn a_revoked_session_is_not_used_again() {
    assert!(mints_anew(&World::with_secrets(), |world| {
        let shown = ok(&world.sandbox, &["lease", "revoke", "aws"]);
        assert!(shown.contains("it only expires, at 20"), "{shown}");
    }));
}

#[test]
fn a_session_near_its_end_is_replaced() {
    let world = World::with_secrets();
    // The asked-for hour does not count: the issuer's own word does.
    world.sts.behave(Behaviour::AnswerWithLifetime(3));
    let first = session(&world.exec().finish().succeeds());
    world.sts.behave(Behaviour::Answer);
    wait::until("another session", Duration::from_secs(20), || {
        session(&world.exec().finish().succeeds()) != first
    });
    assert_eq!(world.mints(), 2);
    let listed = world.listed();
    assert_eq!(listed.len(), 2, "{listed:?}");
}

#[test]
fn a_cached_session_asks_no_provider_for_its_masters() {
    let world = with_op();
    let first = session(&world.exec().finish().succeeds());
    let calls = op_calls(&world);
    assert!(calls >= 1);
    world
        .sandbox
        .write(world.sandbox.home().join("op-locked"), "");
    assert_eq!(session(&world.exec().finish().succeeds()), first);
    assert_eq!(op_calls(&world), calls);
    assert_eq!(world.mints(), 1);

    // Without the session, the locked store is a failure and no reason to go on without the lease.
    ok(&world.sandbox, &["lease", "revoke", "--all"]);
    let run = world.refused(4, &[]);
    assert!(
        run.stderr.contains("`aws`") && run.stderr.matches("account is not signed in").count() == 1,
        "{run}"
    );
    assert_eq!(world.mints(), 1);
}

#[test]
fn only_leases_that_make_a_selected_variable_are_minted() {
    let world = World::with_secrets();
    let text = world.sandbox.read("fnox.toml");
    world.configure(&format!(
        "{text}[secrets.OTHER]\nprovider = \"plain\"\nvalue = \"x\"\n"
    ));
    let run = world.sandbox.run(["exec", "--only", "OTHER", "--", "env"]);
    let run = run.finish().succeeds();
    assert_eq!(variable(&run, "OTHER"), Some("x"));
    assert_eq!(SESSION.map(|name| variable(&run, name)), [None; 3]);
    assert_eq!(world.mints(), 0);
    let run = world
        .sandbox
        .run(["exec", "--except", "OTHER", "--", "env"]);
    session(&run.finish().succeeds());
    assert_eq!(world.mints(), 1);
}

#[test]
fn a_project_has_its_ledger_where_the_established_cli_has_it() {
    let world = World::with_secrets();
    world.exec().finish().succeeds();
    let ledger = ledger_path(&world);
    let text = world.sandbox.read(&ledger);
    assert!(text.contains("[records]"), "{text}");
}

/// `<state>/leases/<first 16 hex digits of the folder's BLAKE3 hash>.toml`
pub(crate) fn ledger_path(world: &World) -> std::path::PathBuf {
    let project = world.sandbox.project();
    let hash = blake3::hash(project.to_str().unwrap().as_bytes()).to_hex();
    let folder = world.sandbox.state_folder().join("leases");
    folder.join(format!("{}.toml", &hash[..16]))
}

#[test]
fn a_plain_ledger_is_taken_over_and_sealed() {
    let world = World::with_secrets();
    let ledger = ledger_path(&world);
    let token = "plain-session-token-of-the-established-cli";
    world.sandbox.write(
        &ledger,
        format!(
            "[[leases]]\nlease_id = \"AROAOLD:me-0011\"\nbackend_name = \"aws\"\nlabel = \"fnox-lease\"\n\
             created_at = \"2026-01-01T00:00:00Z\"\nexpires_at = \"2099-01-01T00:00:00Z\"\nrevoked = false\n\
             config_hash = \"0123456789abcdef\"\n[leases.cached_credentials]\nAWS_SESSION_TOKEN = \"{token}\"\n"
        ),
    );
    assert_eq!(world.listed()[0]["lease_id"], "AROAOLD:me-0011");
    // Nobody knows for whom it was minted, so it is not handed out.
    let run = world.exec().finish().succeeds();
    assert_eq!(world.mints(), 1);
    assert!(!run.stdout.contains(token));
    assert!(world.sandbox.read(&ledger).contains("[records]"));
    world.sandbox.assert_no_leak(token, &[&run]);
    assert_eq!(world.listed().len(), 2);
    ok(&world.sandbox, &["lease", "revoke", "AROAOLD"]);
    let states: Vec<_> = world.listed().iter().map(|l| l["status"].clone()).collect();
    assert_eq!(states, ["revoked", "active"]);
}

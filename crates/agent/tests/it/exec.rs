//! `fnox-agent exec`.

use fnox_vault_wire::methods::Role;

use crate::world::{GITHUB, World};

#[test]
fn a_program_gets_values_and_not_the_means_to_get_more() {
    let world = World::new();
    let arguments = [
        "--secret",
        "github-token@api.github.com=GH_TOKEN",
        "--",
        "sh",
        "-c",
        "env; tr '\\0' '\\n' </proc/$PPID/cmdline; exit 9",
    ];
    let run = world.agent("exec", &arguments);
    let run = run
        .env("CREDENTIALS_DIRECTORY", "/run/credentials/x")
        .env("FNOX_VAULT_TOKEN_FILE", "/elsewhere")
        .finish()
        .exits_with(9);
    let line = format!("GH_TOKEN={GITHUB}\n");
    assert!(run.stdout.contains(&line), "{}", run.stdout);
    let token = std::fs::read_to_string(world.sandbox.root().join("token")).unwrap();
    assert!(!run.stdout.contains(token.trim()));
    for name in ["CREDENTIALS_DIRECTORY", "FNOX_VAULT"] {
        assert!(!run.stdout.contains(name), "{}", run.stdout);
    }
    assert_eq!(world.leases().len(), 1);
    assert_eq!(world.active(), []);
}

#[test]
fn the_token_comes_by_a_pipe_that_is_empty_afterwards() {
    let world = World::new();
    let token = world.token("coder-1", Role::Agent);
    let arguments = [
        "exec",
        "--vault",
        &world.connector().to_string(),
        "--token-fd",
        "0",
        "--secret",
        "github-token@github.com=GH_TOKEN",
        "--",
        "sh",
        "-c",
        "cat; printenv GH_TOKEN",
    ];
    let run = world.sandbox.run(arguments);
    let run = run.stdin(token.expose_secret()).finish().succeeds();
    assert_eq!(run.stdout, format!("{GITHUB}\n"));
}

#[test]
fn a_program_that_does_not_start_leaves_no_lease() {
    let world = World::new();
    let arguments = [
        "--secret",
        "github-token@github.com=A",
        "--",
        "/nowhere/at-all",
    ];
    world.agent("exec", &arguments).finish().exits_with(127);
    assert_eq!(world.leases().len(), 1);
    assert_eq!(world.active(), []);
}

//! No secret stands anywhere but where it was asked for: not in output, logs, the ledger, or files.
//!
//! Everything runs with `RUST_LOG=trace`, so the words of every library are watched too. The masters are
//! ciphertext in the project, so the project's folder is watched as well.

use fnox_testkit::stand_in::sts::Behaviour;
use fnox_testkit::{Canary, Invocation, Run};

use crate::lease_support::World;

const OTHER: &str = "canary-of-another-secret-b1946ac9";
const TOKEN: &str = "ops_canary-of-a-provider-token-c157a79";
const INHERITED: &str = "canary-of-a-variable-5d41402abc4b";

/// A project whose secrets, all of them masters of something, are planted everywhere fnox looks.
struct Planted {
    world: World,
    /// Values that nothing may show.
    secrets: Vec<String>,
    runs: Vec<Run>,
}

impl Planted {
    fn new() -> Self {
        let world = World::bare();
        let recipient = world.sandbox.run(["age", "keygen"]).finish().succeeds();
        let recipient = recipient.stdout.trim().to_owned();
        let identity = world.sandbox.config_folder().join("age.txt");
        let identity = std::fs::read_to_string(identity).unwrap();
        let identity = identity
            .lines()
            .find(|line| line.starts_with("AGE-SECRET-KEY-"))
            .unwrap()
            .to_owned();
        world.configure(&format!(
            "default_provider = \"age\"\n[providers]\nage = {{ type = \"age\", recipients = [\"{recipient}\"] }}\n\
             op = {{ type = \"1password\", vault = \"V\", token = {{ secret = \"OP_TOKEN\" }} }}\n\
             [secrets]\n{}",
            world.lease("")
        ));
        let [(_, id), (_, secret)] = world.keys("alice");
        let mut planted = Self {
            world,
            secrets: vec![
                secret.clone(),
                OTHER.to_owned(),
                TOKEN.to_owned(),
                INHERITED.to_owned(),
                identity,
            ],
            runs: Vec::new(),
        };
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", id.as_str()),
            ("AWS_SECRET_ACCESS_KEY", &secret),
            ("OTHER", OTHER),
            ("OP_TOKEN", TOKEN),
        ] {
            planted.run(0, &["set", name], |run| run.stdin(value));
        }
        planted
    }

    /// Runs fnox with everything logged.
    #[track_caller]
    fn run(&mut self, code: i32, arguments: &[&str], more: impl FnOnce(Invocation) -> Invocation) {
        let run = self
            .world
            .sandbox
            .run(arguments)
            .env("RUST_LOG", "trace")
            .env("INHERITED", INHERITED);
        let run = more(run).finish();
        assert_eq!(run.code, Some(code), "{arguments:?}: {run}");
        self.runs.push(run);
    }

    #[track_caller]
    fn runs(&mut self, code: i32, arguments: &[&str]) {
        self.run(code, arguments, |run| run);
    }

    /// Fails if one of the secrets, or of the values that were issued, turned up.
    #[track_caller]
    fn assert_clean(&self) {
        let mut values = self.secrets.clone();
        self.world.sts.change(|account| {
            for key in account.issued() {
                values.push(key.secret.clone());
                values.extend(key.session_token.clone());
            }
        });
        let names: Vec<(String, &Run)> = (self.runs.iter().enumerate())
            .map(|(index, run)| (format!("run {index}"), run))
            .collect();
        let outputs: Vec<(&str, &[u8])> = names
            .iter()
            .flat_map(|(name, run)| {
                [
                    (name.as_str(), run.stdout.as_bytes()),
                    (name.as_str(), run.stderr.as_bytes()),
                ]
            })
            .collect();
        let root = self.world.sandbox.root();
        let folders = ["home", "run", "tmp", "project"].map(|name| root.join(name));
        for value in values {
            let found = Canary::new(&value).sightings(&outputs, &folders.each_ref().map(|f| &**f));
            let unexpected: Vec<String> = found
                .iter()
                // The identity has a file of its own.
                .filter(|sighting| !sighting.place.ends_with("/age.txt"))
                .map(ToString::to_string)
                .collect();
            assert!(unexpected.is_empty(), "a secret leaked to {unexpected:?}");
        }
    }
}

#[test]
fn ordinary_runs_show_no_secret() {
    let mut planted = Planted::new();
    planted.runs(0, &["exec", "--", "true"]);
    planted.runs(0, &["exec", "--", "true"]);
    planted.runs(0, &["lease", "create", "aws"]);
    planted.runs(0, &["lease", "list"]);
    planted.runs(0, &["lease", "list", "--json"]);
    planted.runs(0, &["list"]);
    planted.runs(0, &["list", "--sources"]);
    planted.runs(0, &["profiles"]);
    planted.runs(0, &["config-files"]);
    planted.runs(0, &["get", "AWS_ACCESS_KEY_ID"]);
    planted.runs(0, &["lease", "revoke", "--all"]);
    planted.runs(0, &["lease", "cleanup"]);
    assert_eq!(planted.world.mints(), 2);
    planted.assert_clean();
}

#[test]
fn check_and_doctor_show_no_secret() {
    let mut planted = Planted::new();
    for arguments in [
        &["check"][..],
        &["check", "--all"],
        &["doctor"],
        &["doctor", "--json"],
    ] {
        let run = planted.world.sandbox.run(arguments);
        let run = run
            .env("RUST_LOG", "trace")
            .env("INHERITED", INHERITED)
            .finish();
        assert!(matches!(run.code, Some(0 | 1)), "{run}");
        planted.runs.push(run);
    }
    planted.assert_clean();
}

#[test]
fn values_that_were_asked_for_stand_on_stdout_and_nowhere_else() {
    let mut planted = Planted::new();
    for arguments in [
        &["get", "OTHER"][..],
        &["get", "AWS_SECRET_ACCESS_KEY"],
        &["exec", "--", "env"],
        &["lease", "create", "aws", "-f", "json"],
        &["lease", "create", "aws", "-f", "env"],
        &["export"],
    ] {
        planted.runs(0, arguments);
        // It was asked for.
        planted.runs.last_mut().unwrap().stdout.clear();
    }
    planted.assert_clean();
}

#[test]
fn failing_mints_show_no_secret() {
    let mut planted = Planted::new();
    for (behaviour, code) in [
        (Behaviour::AccessDenied, 7),
        (Behaviour::InternalFailure, 6),
        (Behaviour::Garbage, 6),
        (Behaviour::EmptyAnswer, 6),
        (Behaviour::Redirect, 6),
        (Behaviour::HangUp, 6),
    ] {
        planted.world.sts.behave(behaviour);
        planted.runs(code, &["exec", "--", "true"]);
    }
    planted.world.sts.behave(Behaviour::Silence);
    planted.run(6, &["lease", "create", "aws"], |run| {
        run.env("FNOX_HTTP_TIMEOUT", "1s")
    });
    planted.runs(0, &["lease", "cleanup"]);
    planted.assert_clean();
}

#[test]
fn failing_providers_show_no_secret() {
    let mut planted = Planted::new();
    planted.world.sandbox.write_program(
        "op",
        "#!/bin/sh\necho \"[ERROR] 2026/01/02 03:04:05 bad token $OP_SERVICE_ACCOUNT_TOKEN\" >&2; exit 1\n",
    );
    let text = planted.world.sandbox.read("fnox.toml");
    planted.world.configure(&format!(
        "{text}\n[secrets.FROM_OP]\nprovider = \"op\"\nvalue = \"item\"\nif_missing = \"error\"\n"
    ));
    for arguments in [&["get", "FROM_OP"][..], &["exec", "--", "true"]] {
        let run = planted
            .world
            .sandbox
            .run(arguments)
            .env("RUST_LOG", "trace")
            .finish();
        assert!(matches!(run.code, Some(4 | 6)), "{run}");
        assert!(run.stderr.contains("bad token"), "{run}");
        planted.runs.push(run);
    }
    planted.assert_clean();
}

#[test]
fn commands_of_leases_that_print_their_masters_show_no_secret() {
    let mut planted = Planted::new();
    let text = planted.world.sandbox.read("fnox.toml");
    planted.world.configure(&format!(
        "{text}\n[leases.loud]\ntype = \"command\"\nconsumes = [\"OTHER\", \"INHERITED\"]\n\
         create_command = 'echo \"for $OTHER and $INHERITED\" >&2; echo \"$OTHER\"; exit ${{FNOX_CODE:-1}}'\n"
    ));
    planted.runs(6, &["lease", "create", "loud"]);
    let run = planted.runs.last().unwrap();
    assert!(run.stderr.contains("exit code 1"), "{run}");
    // The same, printed as if it were the credential.
    let text = planted.world.sandbox.read("fnox.toml");
    planted
        .world
        .configure(&text.replace("${FNOX_CODE:-1}", "0"));
    planted.runs(6, &["exec", "--", "true"]);
    planted.assert_clean();
}

//! What happens when a lease cannot be had: nothing configured, a source that fails, an issuer that fails.

use std::time::{Duration, Instant};

use fnox_testkit::stand_in::sts::{AccessKey, Behaviour};

use crate::lease_support::{World, refused, variable};
use crate::support::{fails, ok};

#[test]
fn without_masters_the_program_runs_and_the_message_says_what_it_lacks() {
    let world = World::bare();
    let run = world
        .sandbox
        .run(["exec", "--", "echo", "ran"])
        .finish()
        .succeeds();
    assert_eq!(run.stdout, "ran\n");
    assert_eq!(
        run.stderr,
        "Skipping lease 'aws': AWS credentials not found. Run 'aws sso login' or set \
         AWS_ACCESS_KEY_ID/AWS_SECRET_ACCESS_KEY.\n\
         Run 'fnox lease create aws -i' to set up credentials interactively.\n"
    );
    assert!(!world.sandbox.state_folder().exists());
}

#[test]
fn the_message_names_long_lived_variables_that_the_program_will_use_instead() {
    let world = World::bare();
    let run = world
        .exec()
        .env("AWS_SECRET_ACCESS_KEY", "half-of-a-pair-of-keys")
        .finish()
        .succeeds();
    assert!(run.stderr.starts_with("Skipping lease 'aws'"), "{run}");
    let last = run.stderr.lines().last().unwrap();
    assert!(last.contains("AWS_SECRET_ACCESS_KEY"), "{run}");
    assert!(!run.stderr.contains("half-of-a-pair"), "{run}");
    let value = variable(&run, "AWS_SECRET_ACCESS_KEY");
    assert_eq!(value, Some("half-of-a-pair-of-keys"));
}

#[test]
fn other_secrets_and_leases_still_reach_the_program() {
    let world = World::bare();
    world.configure(&format!(
        "{}[leases.db]\ntype = \"command\"\nconsumes = []\n\
         create_command = \"\"\"printf '{{\"credentials\":{{\"DB\":\"short-lived\"}}}}'\"\"\"\n\
         [providers]\nplain = {{ type = \"plain\" }}\n[secrets]\nOTHER = {{ provider = \"plain\", value = \"x\" }}\n",
        world.lease("")
    ));
    let run = world.exec().finish().succeeds();
    assert!(run.stderr.contains("Skipping lease 'aws'"), "{run}");
    assert_eq!(variable(&run, "DB"), Some("short-lived"));
    assert_eq!(variable(&run, "OTHER"), Some("x"));
}

#[test]
fn missing_masters_fail_where_the_lease_is_required() {
    let world = World::bare();
    let hint = "Run 'fnox lease create aws -i' to set up credentials interactively.";
    let run = world.refused(4, &["--require-leases"]);
    assert!(run.stderr.contains(hint), "{run}");
    let run = refused(&world.sandbox, 4, "run", &[], &[]);
    assert!(run.stderr.contains(hint), "{run}");
    world.configure(&world.lease("required = true"));
    let run = world.refused(4, &[]);
    assert!(run.stderr.contains("AWS credentials not found"), "{run}");
}

#[test]
fn whoever_is_to_be_asked_needs_a_terminal() {
    let world = World::bare();
    let error = fails(&world.sandbox, 4, &["lease", "create", "aws", "-i"]);
    assert!(error.contains("AWS credentials not found"), "{error}");
    assert!(error.contains("`-i` needs a terminal"), "{error}");
    // It was just given.
    assert!(!error.contains("fnox lease create"), "{error}");
}

#[test]
fn a_configured_source_that_fails_stops_the_run() {
    let world = World::bare();
    let masters = |provider: &str| {
        format!(
            "[providers]\nop = {{ type = \"1password\", vault = \"V\", token = \"ops_x\" }}\n\
             age = {{ type = \"age\", recipients = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"] }}\n[secrets]\n\
             AWS_ACCESS_KEY_ID = {{ provider = \"{provider}\", value = \"aws/id\" }}\n\
             AWS_SECRET_ACCESS_KEY = {{ provider = \"{provider}\", value = \"aws/secret\" }}\n{}",
            world.lease("")
        )
    };
    world.configure(&masters("op"));
    let fake = |complaint: &str| {
        world.sandbox.write_program(
            "op",
            &format!("#!/bin/sh\necho '[ERROR] 2026/01/02 03:04:05 {complaint}' >&2; exit 1\n"),
        )
    };
    fake("account is not signed in");
    let run = world.refused(4, &[]);
    assert!(run.stderr.contains("lease `aws`"), "{run}");
    fake("dial tcp: lookup my.1password.com: no such host");
    let run = world.refused(6, &[]);
    assert!(run.stderr.contains("lease `aws`"), "{run}");
    // Going on without a secret is one thing, with somebody else's credentials another.
    world.refused(6, &["--if-missing", "ignore"]);
    let text = world.sandbox.read("fnox.toml");
    world.configure(&format!("if_missing = \"warn\"\n{text}"));
    world.refused(6, &[]);
    assert_eq!(world.mints(), 0);
    assert_eq!(world.listed().len(), 0);
}

#[test]
fn a_named_profile_that_is_not_there_or_has_expired_is_a_failure() {
    let world = World::bare();
    let run = world.refused_with(4, &[], &[("AWS_PROFILE", "nobody")]);
    assert!(run.stderr.contains("`nobody`"), "{run}");

    let expired = AccessKey {
        id: "ASIAEXPIREDEXPIRED01".to_owned(),
        secret: "secret-of-a-session-that-is-over".to_owned(),
        session_token: Some("token-of-a-session-that-is-over".to_owned()),
        expires: Some("2020-01-01T00:00:00Z".parse().unwrap()),
        principal: world
            .sts
            .change(|account| account.user("bob").principal.clone()),
    };
    let variables = [
        ("AWS_ACCESS_KEY_ID", expired.id.clone()),
        ("AWS_SECRET_ACCESS_KEY", expired.secret.clone()),
        ("AWS_SESSION_TOKEN", expired.session_token.clone().unwrap()),
    ];
    world.sts.change(|account| account.keys.push(expired));
    let variables: Vec<(&str, &str)> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let run = world.refused_with(4, &[], &variables);
    assert!(run.stderr.contains("expired"), "{run}");
    for (_, value) in variables {
        assert!(!run.stderr.contains(value), "{run}");
    }
    assert_eq!(world.listed().len(), 0);
}

#[test]
fn an_issuer_that_refuses_or_fails_stops_the_run() {
    let world = World::with_secrets();
    for (behaviour, code, wanted) in [
        (Behaviour::AccessDenied, 7, "AccessDenied"),
        (Behaviour::InternalFailure, 6, "InternalFailure"),
        (Behaviour::Garbage, 6, "STS"),
        (Behaviour::EmptyAnswer, 6, "STS"),
        (Behaviour::HangUp, 6, "cannot be reached"),
    ] {
        world.sts.behave(behaviour);
        let run = world.refused(code, &[]);
        assert!(
            run.stderr.contains(wanted) && run.stderr.contains("lease `aws`"),
            "{behaviour:?}: {run}"
        );
        for (_, value) in world.keys("alice") {
            assert!(!run.stderr.contains(&value), "{behaviour:?}: {run}");
        }
    }
    // It recovers at once.
    world.sts.behave(Behaviour::Answer);
    ok(&world.sandbox, &["exec", "--", "true"]);
}

#[test]
fn an_issuer_that_never_answers_is_given_up_within_the_limit() {
    let world = World::with_secrets();
    world.sts.behave(Behaviour::Silence);
    let begin = Instant::now();
    let run = world.refused_with(6, &[], &[("FNOX_HTTP_TIMEOUT", "2s")]);
    assert!(run.stderr.contains("did not answer"), "{run}");
    assert!(begin.elapsed() < Duration::from_secs(15));
    // It may have issued all the same: that stays on record.
    assert_eq!(world.listed()[0]["status"], "pending");
    ok(&world.sandbox, &["lease", "cleanup"]);
    assert_eq!(world.listed()[0]["status"], "forgotten");
}

#[test]
fn an_unreachable_issuer_stops_the_run() {
    let world = World::with_secrets();
    let text = world.sandbox.read("fnox.toml");
    world.configure(&text.replace(world.sts.url(), "http://127.0.0.1:1"));
    let run = world.refused(6, &[]);
    assert!(run.stderr.contains("cannot be reached"), "{run}");
    assert_eq!(world.listed().len(), 0);
}

#[test]
fn wrong_masters_need_authentication() {
    let world = World::bare();
    for (id, secret) in [
        ("AKIANOBODYNOBODYNOB1", "x".repeat(40)),
        ("AKIAALICEALICEALICE1", "wrong".repeat(8)),
    ] {
        let variables = [
            ("AWS_ACCESS_KEY_ID", id),
            ("AWS_SECRET_ACCESS_KEY", &secret),
        ];
        let run = world.refused_with(4, &[], &variables);
        assert!(!run.stderr.contains(&secret), "{run}");
    }
}

#[test]
fn a_ledger_key_in_a_keychain_that_is_not_there_is_named() {
    let world = World::with_secrets();
    let text = world.sandbox.read("fnox.toml");
    world.configure(&format!("{text}[ledger]\nkey = \"keychain\"\n"));
    let run = world.refused(4, &[]);
    assert!(
        run.stderr
            .contains("keychain entry fnox-ledger/sealing-key"),
        "{run}"
    );
    assert_eq!(world.mints(), 0);
}

#[test]
fn a_ledger_whose_key_is_gone_stops_the_run_and_stays_as_it_is() {
    let world = World::with_secrets();
    ok(&world.sandbox, &["exec", "--", "true"]);
    let ledger = crate::leases::ledger_path(&world);
    let before = world.sandbox.read(&ledger);
    let key = world.sandbox.state_folder().join("leases/ledger.key");
    std::fs::remove_file(&key).unwrap();
    let run = world.refused(4, &[]);
    assert!(run.stderr.contains(key.to_str().unwrap()), "{run}");
    assert_eq!(world.sandbox.read(&ledger), before);
    assert!(!key.exists());
    assert_eq!(world.mints(), 1);
}

#[test]
#[ignore = "needs gnome-keyring"]
fn the_keychain_keeps_the_ledgers_key() {
    let keyring = fnox_testkit::services::Session::with_keyring();
    let world = World::with_secrets();
    let text = world.sandbox.read("fnox.toml");
    world.configure(&format!("{text}[ledger]\nkey = \"keychain\"\n"));
    for _ in 0..2 {
        world.exec().envs(keyring.variables()).finish().succeeds();
    }
    assert_eq!(world.mints(), 1);
    let key = world.sandbox.state_folder().join("leases/ledger.key");
    assert!(!key.exists());
    // With the keyring gone, the ledger that it sealed does not open, and nothing is minted beside it.
    drop(keyring);
    let run = world.refused(4, &[]);
    assert!(run.stderr.contains("fnox-ledger/sealing-key"), "{run}");
    assert_eq!(world.mints(), 1);
}

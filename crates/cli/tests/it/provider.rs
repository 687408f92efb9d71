//! `fnox provider`

use crate::support::{fails, json, ok, sandbox, with_age, with_identity};

const BEFORE: &str = "# top\nroot = true # stop\n\n[secrets]\n# none\n";

#[test]
fn a_provider_is_added_without_touching_the_rest_and_removed_again() {
    let (sandbox, recipient) = with_identity();
    sandbox.write("fnox.toml", BEFORE);
    ok(
        &sandbox,
        &[
            "provider",
            "add",
            "team",
            "age",
            "-f",
            &format!("recipients={recipient}"),
            "-f",
            "bind_names=true",
        ],
    );
    let expected = format!(
        "{BEFORE}\n[providers]\nteam = {{ type = \"age\", recipients = [\"{recipient}\"], bind_names = true }}\n"
    );
    assert_eq!(sandbox.read("fnox.toml"), expected);
    let error = fails(&sandbox, 3, &["provider", "add", "team", "plain"]);
    assert!(error.contains("exists already"), "{error}");
    assert_eq!(ok(&sandbox, &["provider", "list"]), "team\n");
    ok(&sandbox, &["provider", "remove", "team"]);
    assert!(sandbox.read("fnox.toml").starts_with(BEFORE));
    assert!(!sandbox.read("fnox.toml").contains("team"));
    let error = fails(&sandbox, 3, &["provider", "remove", "team"]);
    assert!(error.contains("there is no provider `team`"), "{error}");
}

#[test]
fn what_a_type_needs_is_named_and_nothing_is_written() {
    let sandbox = sandbox();
    let error = fails(
        &sandbox,
        2,
        &[
            "provider",
            "add",
            "k",
            "aws-kms",
            "-f",
            "region=eu-central-1",
        ],
    );
    assert!(error.contains("needs: key_id"), "{error}");
    let error = fails(&sandbox, 2, &["provider", "add", "a", "age"]);
    assert!(error.contains("--field recipients=age1…"), "{error}");
    let error = fails(
        &sandbox,
        2,
        &["provider", "add", "a", "age", "-f", "recipient=x"],
    );
    assert!(error.contains("did you mean `recipients`?"), "{error}");
    let error = fails(
        &sandbox,
        3,
        &["provider", "add", "a", "keychian", "-f", "service=x"],
    );
    assert!(error.contains("did you mean `keychain`?"), "{error}");
    assert!(!sandbox.project().join("fnox.toml").exists());
}

#[test]
fn the_short_names_of_cloud_stores_are_understood() {
    let sandbox = sandbox();
    let run = sandbox
        .run(["provider", "add", "sm", "aws", "-f", "region=eu-central-1"])
        .finish()
        .succeeds();
    assert!(!run.stderr.contains("cannot be opened"), "{run}");
    let document = json(&ok(&sandbox, &["provider", "list", "--json"]));
    assert_eq!(document[0]["type"], "aws-sm");
    assert_eq!(document[0]["built"], true);
    assert_eq!(document[0]["default"], true);
}

#[test]
fn only_a_profile_on_the_command_line_counts() {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", "[profiles.dev]\n");
    sandbox
        .run(["provider", "add", "a", "plain"])
        .env("FNOX_PROFILE", "dev")
        .finish()
        .succeeds();
    ok(&sandbox, &["provider", "add", "b", "plain", "-P", "dev"]);
    let text = sandbox.read("fnox.toml");
    assert!(text.contains("\n[providers]\na = "), "{text}");
    assert!(text.contains("\n[profiles.dev.providers]\nb = "), "{text}");
    ok(&sandbox, &["provider", "add", "c", "plain", "--global"]);
    let global = std::fs::read_to_string(sandbox.config_folder().join("config.toml")).unwrap();
    assert_eq!(global, "[providers]\nc = { type = \"plain\" }\n");
}

#[test]
fn tests_tell_what_works_and_why_something_does_not() {
    let sandbox = with_age();
    ok(&sandbox, &["provider", "test"]);
    ok(&sandbox, &["provider", "test", "age"]);
    sandbox.write("keys.txt", "not an identity\n");
    let text = sandbox.read("fnox.toml").replace(" # kept too", "\nbad = { type = \"age\", recipients = [\"age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg\"], key_file = \"keys.txt\" }\ngone = { type = \"lua\", plugin = \"p\" }");
    sandbox.write("fnox.toml", text);
    let run = sandbox
        .run(["provider", "test", "--all"])
        .finish()
        .exits_with(1);
    assert!(
        run.stdout.contains("  age ✓\n")
            && run.stdout.contains("  bad ✗ ")
            && run.stdout.contains("  gone ✗ "),
        "{run}"
    );
    assert!(
        run.stdout.contains("keys.txt") && !run.stdout.contains("not an identity"),
        "{run}"
    );
    assert!(run.stderr.contains("2 of 3 providers failed"), "{run}");
    fails(&sandbox, 4, &["provider", "test", "bad"]);
    fails(&sandbox, 3, &["provider", "test", "gone"]);
    let error = fails(&sandbox, 3, &["provider", "test", "agee"]);
    assert!(error.contains("did you mean `age`?"), "{error}");
    let run = sandbox
        .run(["provider", "test", "--all", "--json"])
        .finish()
        .exits_with(1);
    assert_eq!(json(&run.stdout)[1]["ok"], false);
}

#[test]
fn a_provider_that_hangs_is_given_up() {
    let sandbox = sandbox();
    sandbox.write_program("op", "#!/bin/sh\nexec sleep 600\n");
    sandbox.write(
        "fnox.toml",
        "[providers]\nop = { type = \"1password\", vault = \"v\" }\n",
    );
    let run = sandbox
        .run(["provider", "test"])
        .env("FNOX_PROVIDER_TIMEOUT", "1s")
        .finish()
        .exits_with(6);
    assert!(run.stderr.contains('1'), "{run}");
}

#[test]
fn removing_a_provider_tells_who_still_needs_it() {
    let sandbox = with_age();
    sandbox.run(["set", "TOKEN"]).stdin("x").finish().succeeds();
    let run = sandbox
        .run(["provider", "remove", "age"])
        .finish()
        .succeeds();
    assert!(
        run.stderr.contains("these secrets still name it: TOKEN"),
        "{run}"
    );
}

#[test]
fn a_yubikey_gets_a_challenge_of_its_own() {
    let sandbox = with_age();
    ok(&sandbox, &["provider", "add", "one", "yubikey"]);
    ok(
        &sandbox,
        &["provider", "add", "two", "yubikey", "--field", "slot=1"],
    );
    let text = sandbox.read("fnox.toml");
    let challenges: Vec<&str> = text
        .split("challenge = \"")
        .skip(1)
        .map(|rest| &rest[..64])
        .collect();
    let is_hexadecimal = |text: &&str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(
        challenges.len() == 2 && challenges.iter().all(is_hexadecimal),
        "{text}"
    );
    assert_ne!(challenges[0], challenges[1]);
    assert!(
        text.contains("slot = \"2\"") && text.contains("slot = \"1\""),
        "{text}"
    );
    // There is no key here, and nobody to touch one.
    let said = fails(&sandbox, 4, &["provider", "test", "one"]);
    assert!(said.contains("no YubiKey"), "{said}");
}

#[test]
fn a_fido2_provider_needs_a_key_or_an_existing_credential() {
    let sandbox = with_age();
    let before = sandbox.read("fnox.toml");
    let said = fails(&sandbox, 4, &["provider", "add", "one", "fido2"]);
    assert!(said.contains("no FIDO2 key is plugged in"), "{said}");
    assert_eq!(sandbox.read("fnox.toml"), before);
    let credential = "credential_id=00ff";
    ok(
        &sandbox,
        &["provider", "add", "one", "fido2", "--field", credential],
    );
    let text = sandbox.read("fnox.toml");
    assert!(text.contains("rp_id = \"fnox.one\""), "{text}");
    let (_, salt) = text.split_once("salt = \"").unwrap();
    assert_eq!(salt.find('"'), Some(64), "{text}");
    let said = fails(&sandbox, 4, &["provider", "test", "one"]);
    assert!(said.contains("no FIDO2 key"), "{said}");
}

/// A provider with two keys, as `provider keys add` writes it. No key is plugged in here, so nothing is opened.
const TWO_KEYS: &str = "# ours\n[providers.secure] # by touch\ntype = \"yubikey\"\ndata_key = \"0011223344556677\"\nformer_keys = []\n\n\
    # on the desk\n[[providers.secure.keys]]\nname = \"desk\"\nchallenge = \"00ff\"\nslot = \"2\"\nwrapped = \"AAAA\"\n\n\
    [[providers.secure.keys]]\nname = \"safe\"\nchallenge = \"00ff\"\nslot = \"1\"\nwrapped = \"BBBB\"\n\n[secrets]\n# none\n";

#[test]
fn the_keys_of_a_provider_are_listed_and_removed() {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", TWO_KEYS);
    let document = json(&ok(
        &sandbox,
        &["provider", "keys", "list", "secure", "--json"],
    ));
    assert_eq!(document["data_key"], "0011223344556677");
    assert_eq!(document["keys"][1]["name"], "safe");
    assert_eq!(document["keys"][1]["slot"], "1");
    let listed = ok(&sandbox, &["provider", "keys", "list", "secure"]);
    assert!(listed.contains("desk  slot 2\n"), "{listed}");
    let error = fails(
        &sandbox,
        2,
        &["provider", "keys", "remove", "secure", "car"],
    );
    assert!(error.contains("it has: desk, safe"), "{error}");
    let run = sandbox
        .run(["provider", "keys", "remove", "secure", "safe"])
        .finish()
        .succeeds();
    assert!(run.stderr.contains("provider keys rotate secure"), "{run}");
    let second = TWO_KEYS
        .find("\n[[providers.secure.keys]]\nname = \"safe\"")
        .unwrap();
    let rest = TWO_KEYS.find("\n[secrets]").unwrap();
    let expected = format!("{}{}", &TWO_KEYS[..second], &TWO_KEYS[rest..]);
    assert_eq!(sandbox.read("fnox.toml"), expected);
    let error = fails(
        &sandbox,
        2,
        &["provider", "keys", "remove", "secure", "desk"],
    );
    assert!(error.contains("the only key"), "{error}");
}

#[test]
fn keys_are_changed_only_with_a_key_at_hand_and_nothing_is_written_otherwise() {
    let sandbox = sandbox();
    let single = "[providers]\nold = { type = \"yubikey\", challenge = \"00ff\", slot = \"2\" }\nplain = { type = \"plain\" }\n";
    let text = format!("{TWO_KEYS}{single}").replace("[secrets]\n# none\n", "");
    sandbox.write("fnox.toml", &text);
    let document = json(&ok(
        &sandbox,
        &["provider", "keys", "list", "old", "--json"],
    ));
    assert_eq!(document["data_key"], serde_json::Value::Null);
    assert_eq!(document["keys"][0]["name"], "key-1");
    for command in [
        &["provider", "keys", "add", "old"][..],
        &["provider", "keys", "add", "secure", "car", "--slot", "1"],
        &["provider", "keys", "rotate", "secure"],
        &["provider", "keys", "remove", "secure", "desk", "--rotate"],
    ] {
        let error = fails(&sandbox, 4, command);
        assert!(error.contains("nobody is at the terminal"), "{error}");
    }
    for (command, said) in [
        (&["provider", "keys", "add", "plain"][..], "no hardware key"),
        (
            &["provider", "keys", "add", "secure", "desk"],
            "has a key `desk`",
        ),
        (
            &["provider", "keys", "remove", "old", "key-1"],
            "the only key",
        ),
    ] {
        let error = fails(&sandbox, 2, command);
        assert!(error.contains(said), "{error}");
    }
    assert_eq!(sandbox.read("fnox.toml"), text);
}

#[test]
fn a_vault_can_be_named_as_the_established_cli_has_it() {
    let sandbox = sandbox();
    let add = ["provider", "add", "pp", "proton-pass", "--vault", "Work"];
    ok(&sandbox, &add);
    let text = sandbox.read("fnox.toml");
    assert!(
        text.contains("type = \"proton-pass\", vault = \"Work\""),
        "{text}"
    );
    let error = fails(
        &sandbox,
        2,
        &["provider", "add", "a", "age", "--vault", "x"],
    );
    assert!(error.contains("vault"), "{error}");
}

#[test]
fn an_empty_recipient_is_refused_and_keygen_names_the_one_that_there_is() {
    let (sandbox, recipient) = with_identity();
    for wrong in ["recipients=", "recipients=age1wrong"] {
        let error = fails(&sandbox, 2, &["provider", "add", "e", "age", "-f", wrong]);
        assert!(error.contains("fnox age keygen"), "{error}");
    }
    let run = sandbox.run(["age", "keygen"]).finish();
    assert_ne!(run.code, Some(0));
    assert!(run.stderr.contains(&recipient), "{run}");
}

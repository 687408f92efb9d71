//! `fnox age`

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{fails, json, ok, sandbox, with_identity};

fn mode(path: &std::path::Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn keygen_writes_a_private_file_once_and_prints_the_recipient() {
    let (sandbox, recipient) = with_identity();
    let path = sandbox.config_folder().join("age.txt");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&sandbox.config_folder()), 0o700);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("# created: 20"), "{}", lines[0]);
    assert_eq!(lines[1], format!("# public key: {recipient}"));
    assert!(lines[2].starts_with("AGE-SECRET-KEY-1") && lines.len() == 3);

    let error = fails(&sandbox, 1, &["age", "keygen"]);
    assert!(error.contains("it exists already"), "{error}");
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        text,
        "an identity is never replaced"
    );
}

#[test]
fn keygen_can_write_elsewhere_and_speak_json() {
    let sandbox = sandbox();
    let document = json(&ok(
        &sandbox,
        &["age", "keygen", "-o", "keys/ci.txt", "--json"],
    ));
    let path = sandbox.project().join("keys/ci.txt");
    assert_eq!(document["path"], path.display().to_string());
    assert!(document["recipient"].as_str().unwrap().starts_with("age1"));
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_recipient_is_added_in_the_style_of_the_list() {
    let (sandbox, recipient) = with_identity();
    let other = ok(&sandbox, &["age", "keygen", "-o", "other.txt"])
        .trim()
        .to_owned();
    let before = format!(
        "# top\n[providers.team] # ours\ntype = \"age\"\nrecipients = [\n  \"{recipient}\", # Anna\n]\n\n[secrets]\n# none yet\n"
    );
    sandbox.write("fnox.toml", &before);
    ok(&sandbox, &["age", "add-recipient", &other]);
    let expected = before.replace("# Anna\n", &format!("# Anna\n  \"{other}\",\n"));
    assert_eq!(sandbox.read("fnox.toml"), expected);

    let again = sandbox
        .run(["age", "add-recipient", &other])
        .finish()
        .succeeds();
    assert!(again.stderr.contains("already"), "{again}");
    assert_eq!(sandbox.read("fnox.toml"), expected);
}

#[test]
fn the_same_ssh_key_under_another_comment_is_not_added_again() {
    let sandbox = sandbox();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN1oMqkRr6QSaCTmqvzW0bQ3Ee3yBAlbFA9zfQmYrFF8";
    let text =
        format!("[providers]\nage = {{ type = \"age\", recipients = [\"{key} anna@home\"] }}\n");
    sandbox.write("fnox.toml", &text);
    ok(
        &sandbox,
        &["age", "add-recipient", &format!("{key} anna@work")],
    );
    assert_eq!(sandbox.read("fnox.toml"), text);
}

#[test]
fn the_global_list_is_made_and_extended() {
    let (sandbox, recipient) = with_identity();
    ok(&sandbox, &["age", "add-recipient", "-g", &recipient]);
    let path = sandbox.config_folder().join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("[age]\nrecipients = [\"{recipient}\"]\n"));
    // A provider without a list of its own uses it, and must not get a list of its own by accident.
    sandbox.write("fnox.toml", "[providers]\nage = { type = \"age\" }\n");
    let error = fails(&sandbox, 2, &["age", "add-recipient", &recipient]);
    assert!(error.contains("--global"), "{error}");
}

#[test]
fn what_is_no_recipient_and_no_provider_is_refused() {
    let (sandbox, recipient) = with_identity();
    sandbox.write("fnox.toml", "[providers]\nplain = { type = \"plain\" }\n");
    let secret = std::fs::read_to_string(sandbox.config_folder().join("age.txt")).unwrap();
    let secret = secret.lines().last().unwrap();
    let error = fails(&sandbox, 2, &["age", "add-recipient", secret]);
    assert!(
        error.contains("private key") && !error.contains(secret),
        "{error}"
    );
    let error = fails(&sandbox, 2, &["age", "add-recipient", "age1nonsense"]);
    assert!(error.contains("age1nonsense"), "{error}");
    let error = fails(&sandbox, 2, &["age", "add-recipient", &recipient]);
    assert!(error.contains("no provider of type `age`"), "{error}");
    let error = fails(
        &sandbox,
        2,
        &["age", "add-recipient", &recipient, "-p", "plain"],
    );
    assert!(error.contains("has no recipients"), "{error}");
}

//! Files of sops, written by `sops/make.py` from its documentation alone.

use std::sync::Arc;

use fnox_core::age::{Identities, decrypt, generate};
use fnox_core::prompt::{NoPrompt, Prompt};
use fnox_core::{SecretBytes, SecretString};
use fnox_providers::ProviderError;
use fnox_providers::sops::{Entry, SopsError, read};

const NESTED: &str = include_str!("sops/nested.yaml");
const ONLY_ENCRYPTED: &str = include_str!("sops/only-encrypted.json");
const FLAT: &str = include_str!("sops/flat.env");
const IDENTITY: &str = include_str!("sops/identity.txt");

fn opened_by(identity: &str, text: &str) -> Result<Vec<(String, String)>, SopsError> {
    let nobody: Arc<dyn Prompt> = Arc::new(NoPrompt);
    let identities = Identities::parse(&SecretString::from(identity), &nobody).unwrap();
    let open = |files: &[Vec<u8>]| -> Vec<Result<SecretBytes, ProviderError>> {
        let one = |file: &Vec<u8>| {
            decrypt(&identities, file)
                .map_err(|error| ProviderError::authentication(error.to_string()))
        };
        files.iter().map(one).collect()
    };
    let shown = |entry: Entry| (entry.path.join("."), entry.value.expose_secret().to_owned());
    Ok(read(text, open)?.into_iter().map(shown).collect())
}

fn opened(text: &str) -> Result<Vec<(String, String)>, SopsError> {
    opened_by(IDENTITY, text)
}

#[track_caller]
fn assert_opened(text: &str, wanted: &[(&str, &str)]) {
    let entries = opened(text).unwrap();
    let entries: Vec<(&str, &str)> = entries
        .iter()
        .map(|(path, value)| (path.as_str(), value.as_str()))
        .collect();
    assert_eq!(entries, wanted);
}

#[test]
fn values_of_every_syntax_open_in_their_order() {
    assert_opened(
        NESTED,
        &[
            ("API_KEY", "k-1 with spaces "),
            ("port", "5432"),
            ("ratio", "0.25"),
            ("debug", "true"),
            ("empty", ""),
            ("region_unencrypted", "eu-west-1"),
            ("replicas_unencrypted", "3"),
            ("verbose_unencrypted", "false"),
            ("answer_unencrypted", "yes"),
            ("database.user-name", "shop"),
            (
                "database.certificate",
                "-----BEGIN-----\nä€😀\n-----END-----\n",
            ),
            ("hosts.0", "one"),
            ("hosts.1", "two"),
            ("accounts.0.name", "a"),
            ("accounts.0.password", "hunter2-canary"),
            ("accounts.1.name", "b"),
            ("accounts.1.password", "hunter3-canary"),
        ],
    );
    assert_opened(
        ONLY_ENCRYPTED,
        &[
            ("kind", "Secret"),
            ("metadata.name", "shop"),
            ("data.PASSWORD", "hunter2-canary"),
            ("stringData.TOKEN", "t-1"),
        ],
    );
    assert_opened(
        FLAT,
        &[
            ("API_KEY", "k-1"),
            ("LINES", "one\ntwo"),
            ("QUOTED", "x y"),
            ("EMPTY", ""),
            ("LEVEL_unencrypted", "info"),
        ],
    );
}

/// The text with one of its lines in another form.
#[track_caller]
fn with_line(text: &str, start: &str, change: impl Fn(&str) -> Option<String>) -> String {
    let mut found = false;
    let mut out = String::new();
    for line in text.lines() {
        if line.starts_with(start) {
            found = true;
            if let Some(line) = change(line) {
                out.push_str(&line);
                out.push('\n');
            }
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    assert!(found, "{start}");
    out
}

#[track_caller]
fn assert_refused(text: &str, wanted: &str) {
    let error = opened(text).unwrap_err().to_string();
    assert!(error.contains(wanted), "{error}");
    assert!(
        !error.contains("hunter2-canary") && !error.contains("ENC["),
        "{error}"
    );
}

#[test]
fn a_file_that_was_changed_anywhere_does_not_open() {
    let line = |text: &str, start: &str| {
        text.lines()
            .find(|line| line.starts_with(start))
            .unwrap()
            .to_owned()
    };
    let flipped = with_line(NESTED, "API_KEY", |line| {
        let at = line.find("data:").unwrap() + "data:".len();
        let other = if &line[at..=at] == "A" { "B" } else { "A" };
        Some([&line[..at], other, &line[at + 1..]].concat())
    });
    assert_ne!(flipped, NESTED);
    assert_refused(&flipped, "`API_KEY` does not open");
    // A genuine value of another name.
    let port = line(NESTED, "port").replace("port", "API_KEY");
    assert_refused(
        &with_line(NESTED, "API_KEY", |_| Some(port.clone())),
        "`API_KEY` does not open",
    );
    // In clear where it has to be encrypted.
    assert_refused(
        &with_line(NESTED, "API_KEY", |_| {
            Some("API_KEY: hunter2-canary".to_owned())
        }),
        "`API_KEY` stands in clear",
    );
    assert_refused(
        &with_line(NESTED, "debug", |_| Some("debug: true".to_owned())),
        "`debug` stands in clear",
    );
    // Of these only the authentication code tells.
    for (start, instead) in [
        ("API_KEY", None),
        ("empty", Some("empty: null\nnew_unencrypted: more")),
        ("region", Some("region_unencrypted: us-east-1")),
        ("replicas", Some("replicas_unencrypted: 30")),
        (
            "    lastmodified",
            Some("    lastmodified: \"2026-11-02T10:20:31Z\""),
        ),
    ] {
        let text = with_line(NESTED, start, |_| instead.map(str::to_owned));
        assert_refused(&text, "authentication code does not fit");
    }
    let swapped = with_line(NESTED, "    - \"ENC", |_| None);
    assert_refused(&swapped, "authentication code does not fit");
}

#[test]
fn only_what_is_encrypted_counts_where_the_file_says_so() {
    let renamed = ONLY_ENCRYPTED.replace("\"shop\"", "\"other\"");
    assert_ne!(renamed, ONLY_ENCRYPTED);
    assert_eq!(opened(&renamed).unwrap()[1].1, "other");
    let all = ONLY_ENCRYPTED.replace(
        "\"mac_only_encrypted\": true",
        "\"mac_only_encrypted\": false",
    );
    assert_refused(&all, "authentication code does not fit");
}

#[test]
fn what_cannot_be_opened_says_why() {
    assert_refused("A: hunter2-canary\n", "there is no `sops` section");
    assert_refused("- hunter2-canary\n", "there is no `sops` section");
    assert_refused(
        "{\"A\": \"hunter2-canary\",}",
        "it is not valid JSON (line 1)",
    );
    assert_refused("A: \"hunter2-canary\n", "it is not valid YAML");
    assert_refused("A: x\nsops: hunter2-canary\n", "not a table of the form");
    assert_refused("A: x\nsops:\n  mac: x\n", "no `lastmodified`");
    assert_refused(
        "sops_mac=x\nhunter2-canary\n",
        "it is not valid dotenv (line 2)",
    );
    let section = "A: x\nsops:\n  mac: x\n  lastmodified: t\n";
    assert_refused(section, "not encrypted to any age recipient");
    for (line, wanted) in [
        ("key_groups: [{}, {}]", "several groups of keys"),
        ("encrypted_comment_regex: x", "its comments say what"),
        ("encrypted_regex: \"(\"", "not a regular expression"),
        (
            "encrypted_suffix: a\n  unencrypted_suffix: b",
            "several rules",
        ),
    ] {
        assert_refused(&format!("{section}  {line}\n"), wanted);
    }
    let deep = format!(
        "{{\"sops\":{{\"mac\":\"x\",\"lastmodified\":\"t\"}},\"a\":{}1{}}}",
        "[".repeat(100),
        "]".repeat(100)
    );
    assert_refused(&deep, "levels deep");
    let (other, _) = generate();
    let error = opened_by(other.expose_secret(), NESTED)
        .unwrap_err()
        .to_string();
    assert!(error.contains("its data key does not open"), "{error}");
}

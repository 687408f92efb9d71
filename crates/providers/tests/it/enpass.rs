//! `enpass`, with vaults that `SQLCipher` itself wrote (`enpass_vault.py`).

use std::process::Command;
use std::sync::Arc;

use fnox_core::SecretString;
use fnox_providers::{ErrorKind, ProviderError};
use fnox_testkit::services::sqlcipher_python;
use serde_json::{Value, json};

use crate::conformance::{Backend, Checked, check, values};
use crate::kinds;
use crate::world::{Person, World, output, read, request};

const KEYS: &str = "type = \"enpass\"\nvault = \"vault\"";
const PASSWORD: &str = "correct horse";
const MAKER: &str = include_str!("enpass_vault.py");

/// A vault to be made.
struct Vault {
    compatibility: u32,
    keyfile: &'static str,
    items: Vec<Value>,
}

impl Vault {
    fn of(items: Vec<Value>) -> Self {
        Self {
            compatibility: 4,
            keyfile: "",
            items,
        }
    }

    /// A world with the vault in it, and the password at hand.
    fn make(&self) -> World {
        let mut world = World::new();
        world.set("ENPASS_PASSWORD", PASSWORD);
        let wanted = json!({
            "folder": world.path("vault"),
            "password": PASSWORD,
            "keyfile": self.keyfile,
            "rounds": 1000,
            "compatibility": self.compatibility,
            "items": self.items,
        });
        let mut python = Command::new(sqlcipher_python());
        output(python.args(["-c", MAKER]), wanted.to_string().as_bytes());
        world
    }
}

/// An item whose UUID ends with the number.
fn item(number: usize, title: &str, fields: &[(&str, &str, &str)]) -> Value {
    let fields: Vec<Value> = fields
        .iter()
        .map(|(label, kind, value)| {
            json!({
                "label": label,
                "type": kind,
                "value": value,
                "encrypted": *kind == "password" || *kind == "totp",
                "deleted": false,
            })
        })
        .collect();
    json!({
        "uuid": format!("a2ec30c0-aeed-41f7-aed7-{number:012x}"),
        "title": title,
        "note": "a\nnote",
        "flags": [],
        "fields": fields,
    })
}

fn login(number: usize, title: &str, password: &str) -> Value {
    item(number, title, &[("Password", "password", password)])
}

fn some() -> Vec<Value> {
    vec![login(1, "db", "hunter2"), login(2, "other", "x")]
}

async fn refused(world: &World, reference: &str) -> ProviderError {
    read(world.open(KEYS).as_ref(), reference)
        .await
        .unwrap_err()
}

#[tokio::test]
#[ignore = "needs SQLCipher"]
pub(crate) async fn conforms_in_both_formats() -> Checked<kinds::Enpass> {
    let mut checked = None;
    for compatibility in [4, 3] {
        let existing: Vec<(String, String)> = values()
            .into_iter()
            .enumerate()
            .map(|(number, value)| (format!("item {number}"), value))
            .collect();
        let items = existing
            .iter()
            .enumerate()
            .map(|(number, (title, value))| login(number, title, value))
            .collect();
        let vault = Vault {
            compatibility,
            ..Vault::of(items)
        };
        let world = vault.make();
        let provider = world.open(KEYS);
        let done = check(&Backend {
            kind: kinds::Enpass,
            provider: provider.as_ref(),
            existing,
            state: &|| format!("{:?}", world.snapshot()).into_bytes(),
        })
        .await;
        checked = Some(done);
    }
    checked.unwrap()
}

#[tokio::test]
#[ignore = "needs SQLCipher"]
async fn a_reference_is_a_title_and_a_field() {
    let mut trashed = login(6, "db", "old");
    trashed["flags"] = json!(["trashed"]);
    let mut archived = login(7, "archive", "old");
    archived["flags"] = json!(["archived"]);
    let mut changed = item(
        5,
        "changed",
        &[("Token", "text", "old"), ("Token", "text", "new")],
    );
    changed["fields"][0]["deleted"] = json!(true);
    let fields = [
        ("Benutzer", "username", "me"),
        ("E-mail", "email", ""),
        ("Second", "email", "me@example.com"),
        ("Password", "password", "hunter2"),
        ("OTP", "totp", "JBSWY3DPEHPK3PXP"),
        ("PIN", "pin", "00112233445566778899aabbccddeeff00"),
        ("note", "text", "a field"),
        ("Key", "text", "a"),
        ("key", "text", "b"),
    ];
    let world = Vault::of(vec![
        item(1, "db", &fields),
        login(2, "db/prod", "whole title"),
        login(3, "twice", "1"),
        login(4, "twice", "2"),
        changed,
        trashed,
        archived,
        item(8, "bare", &[]),
    ])
    .make();
    let provider = world.open(KEYS);
    for (reference, value) in [
        ("db", "hunter2"),
        ("db/password", "hunter2"),
        ("db/Benutzer", "me"),
        ("db/benutzer", "me"),
        ("db/username", "me"),
        ("db/email", "me@example.com"),
        ("db/totp", "JBSWY3DPEHPK3PXP"),
        ("db/PIN", "00112233445566778899aabbccddeeff00"),
        ("db/note", "a field"),
        ("db/Key", "a"),
        ("db/key", "b"),
        ("db/title", "db"),
        ("db/prod", "whole title"),
        ("db/prod/notes", "a\nnote"),
        ("changed/token", "new"),
        ("bare/notes", "a\nnote"),
    ] {
        let found = read(provider.as_ref(), reference).await.unwrap();
        assert_eq!(found, value, "{reference}");
    }
    for absent in ["nope", "DB", "db/nope", "archive", "bare", "changed"] {
        let error = read(provider.as_ref(), absent).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound, "{absent}");
    }
    for (ambiguous, said) in [
        ("twice", "2 items are called `twice`"),
        ("twice/password", "2 items are called `twice`"),
        ("db/KEY", "could be any of 2 fields"),
        ("db/text", "could be any of 3 fields"),
    ] {
        let error = read(provider.as_ref(), ambiguous).await.unwrap_err();
        assert!(error.message.contains(said), "{ambiguous}: {error}");
        assert!(error.remedy.is_some());
    }
}

#[tokio::test]
#[ignore = "needs SQLCipher"]
async fn the_password_is_asked_once_or_told_to_be_missing_and_a_wrong_one_is_told() {
    let mut world = Vault::of(some()).make();
    world.set("ENPASS_PASSWORD", "");
    let error = refused(&world, "db").await;
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    world.open(KEYS).check().await.unwrap();
    let person = Person::answering(PASSWORD);
    world.prompt = Arc::clone(&person) as _;
    let provider = world.open(KEYS);
    let answers = provider.get_many(&["db", "other"].map(request)).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(read(provider.as_ref(), "db").await.unwrap(), "hunter2");
    assert_eq!(person.times(), 1);
    // The variables win over the field.
    world.set("FNOX_ENPASS_PASSWORD", "wrong");
    let keys = format!("{KEYS}\npassword = \"{PASSWORD}\"");
    let error = read(world.open(&keys).as_ref(), "db").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert!(!error.to_string().contains("wrong\""), "{error}");
}

#[tokio::test]
#[ignore = "needs SQLCipher"]
async fn a_key_file_takes_part() {
    let world = Vault {
        keyfile: "00ff10a0",
        ..Vault::of(some())
    }
    .make();
    let error = refused(&world, "db").await;
    assert_eq!(
        (error.kind, error.key),
        (ErrorKind::AuthenticationNeeded, Some("keyfile"))
    );
    let keys = format!("{KEYS}\nkeyfile = \"key\"");
    for (content, kind) in [
        (&b"<key>00ff10a0</key>\n"[..], None),
        (b"\x00\xff\x10\xa0", None),
        (
            b"<key>00ff10a1</key>",
            Some(ErrorKind::AuthenticationNeeded),
        ),
        (b"<key>xyz</key>", Some(ErrorKind::Misconfigured)),
    ] {
        world.write("key", content);
        let found = read(world.open(&keys).as_ref(), "db").await;
        assert_eq!(found.as_ref().err().map(|error| error.kind), kind);
        assert_eq!(found.is_ok_and(|value| value == "hunter2"), kind.is_none());
    }
}

#[tokio::test]
#[ignore = "needs SQLCipher"]
async fn a_changed_bit_of_any_page_is_an_error() {
    for (compatibility, page) in [(4, 4096), (3, 1024)] {
        let vault = Vault {
            compatibility,
            ..Vault::of(some())
        };
        let world = vault.make();
        let whole = std::fs::read(world.path("vault/vault.enpassdb")).unwrap();
        let pages = whole.len() / page;
        assert!(pages > 2, "{pages}");
        // Content, vector, and code of each page; the salt of the first.
        for at in (0..pages)
            .flat_map(|number| [20, page - 70, page - 40].map(|offset| number * page + offset))
            .chain([0])
        {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            world.write("vault/vault.enpassdb", &changed);
            let error = refused(&world, "db").await;
            let kind = if at < page {
                ErrorKind::AuthenticationNeeded
            } else {
                ErrorKind::Misconfigured
            };
            assert_eq!(
                error.kind, kind,
                "byte {at} of version {compatibility}: {error}"
            );
        }
        // Two pages in each other's places.
        let mut swapped = whole.clone();
        let (first, second) = swapped[page..].split_at_mut(page);
        first.swap_with_slice(&mut second[..page]);
        world.write("vault/vault.enpassdb", &swapped);
        let error = refused(&world, "db").await;
        assert!(error.message.contains("page 2 is damaged"), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs SQLCipher"]
async fn lengths_that_do_not_fit_are_refused() {
    let world = Vault::of(some()).make();
    let whole = std::fs::read(world.path("vault/vault.enpassdb")).unwrap();
    for (length, said) in [
        (0, "no SQLCipher database"),
        (15, "no SQLCipher database"),
        (1023, "no SQLCipher database"),
        (1024, "the key is wrong"),
        (4095, "the key is wrong"),
        (4096, "its end is missing"),
        (whole.len() - 4096, "its end is missing"),
        (whole.len() - 1, "its end is missing"),
    ] {
        world.write("vault/vault.enpassdb", &whole[..length]);
        let error = refused(&world, "db").await;
        assert!(error.message.contains(said), "{length}: {error}");
    }
    let longer = [&whole[..], &[0; 100]].concat();
    world.write("vault/vault.enpassdb", longer);
    assert!(refused(&world, "db").await.message.contains("its end"));
    let longer = [&whole[..], &[0; 4096]].concat();
    world.write("vault/vault.enpassdb", longer);
    assert!(refused(&world, "db").await.message.contains("is damaged"));
}

#[tokio::test]
#[ignore = "needs SQLCipher"]
async fn a_vault_that_is_being_written_is_left_alone() {
    let world = Vault::of(some()).make();
    world.write("vault/vault.enpassdb-wal", "x");
    assert_eq!(refused(&world, "db").await.kind, ErrorKind::Unavailable);
    world.write("vault/vault.enpassdb-wal", "");
    let journal = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0];
    world.write("vault/vault.enpassdb-journal", journal);
    assert_eq!(refused(&world, "db").await.kind, ErrorKind::Unavailable);
    // A journal that was played back and kept.
    world.write("vault/vault.enpassdb-journal", [0; 512]);
    let found = read(world.open(KEYS).as_ref(), "db").await.unwrap();
    assert_eq!(found, "hunter2");
}

#[tokio::test]
async fn a_folder_that_is_no_vault_or_a_hostile_one_is_told() {
    let mut world = World::new();
    world.set("ENPASS_PASSWORD", PASSWORD);
    let error = refused(&world, "db").await;
    assert_eq!(
        (error.kind, error.key),
        (ErrorKind::Misconfigured, Some("vault"))
    );
    for (description, said) in [
        ("[]", "does not describe"),
        ("{}", "kdf_iter"),
        ("{\"kdf_iter\": 0}", "`kdf_iter` is 0"),
        ("{\"kdf_iter\": 4294967295}", "`kdf_iter` is 4294967295"),
        ("{\"kdf_iter\": -1}", "does not describe"),
        (
            "{\"kdf_iter\": 1, \"kdf_algo\": \"argon2\"}",
            "`kdf_algo` is `argon2`",
        ),
        (
            "{\"kdf_iter\": 1, \"encryption_algo\": \"rot13\"}",
            "`encryption_algo` is `rot13`",
        ),
        ("{\"kdf_iter\": 1}", "vault.enpassdb"),
    ] {
        world.write("vault/vault.json", description);
        let error = refused(&world, "db").await;
        assert!(error.message.contains(said), "{description}: {error}");
        assert_eq!(error.key, Some("vault"));
    }
    let value = SecretString::from("x");
    let error = world.open(KEYS).put("db", &value).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
}

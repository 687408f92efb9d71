//! `keepass`, beside the real `keepassxc-cli`: each reads what the other writes.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::Arc;

use fnox_core::SecretString;
use fnox_providers::{ErrorKind, Provider};
use keepass::config::KdfConfig;
use keepass::{Database, DatabaseKey};

use crate::conformance::{Backend, Checked, check, values};
use crate::kinds;
use crate::world::{Person, World, output, read, request};

const KEYS: &str = "type = \"keepass\"\ndatabase = \"db.kdbx\"";
const PASSWORD: &str = "correct horse";

fn world() -> World {
    let mut world = World::new();
    world.set("KEEPASS_PASSWORD", PASSWORD);
    world.set("QT_QPA_PLATFORM", "offscreen");
    world
}

/// Runs `keepassxc-cli` with the password, and more lines, on stdin.
fn keepassxc(world: &World, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("keepassxc-cli");
    command
        .args(arguments)
        .current_dir(world.path(""))
        .env_clear()
        .envs(world.env().iter());
    String::from_utf8(output(&mut command, input.as_bytes())).unwrap()
}

/// A database that KeePassXC made: its program makes KDBX 3.1 for so few rounds.
fn foreign(world: &World) {
    let twice = format!("{PASSWORD}\n{PASSWORD}\n");
    keepassxc(
        world,
        &["db-create", "--set-password", "-t", "100", "db.kdbx"],
        &twice,
    );
}

/// A database whose key is derived in no time, for tests that write often.
fn quick(world: &World) {
    let mut database = Database::new();
    if let KdfConfig::Argon2 {
        iterations, memory, ..
    } = &mut database.config.kdf_config
    {
        (*iterations, *memory) = (1, 64 * 1024);
    }
    let mut bytes = Vec::new();
    let key = DatabaseKey::new().with_password(PASSWORD);
    database.save(&mut bytes, key).unwrap();
    world.write("db.kdbx", bytes);
}

fn show(world: &World, attribute: &str, entry: &str) -> String {
    let arguments = ["show", "-q", "-s", "-a", attribute, "db.kdbx", entry];
    keepassxc(world, &arguments, &format!("{PASSWORD}\n"))
}

async fn put(provider: &dyn Provider, reference: &str, value: &str) {
    let value = SecretString::from(value);
    assert_eq!(provider.put(reference, &value).await.unwrap(), reference);
}

#[tokio::test]
pub(crate) async fn conforms() -> Checked<kinds::KeePass> {
    let world = world();
    let provider = world.open(KEYS);
    put(provider.as_ref(), "first", "x").await;
    check(&Backend {
        kind: kinds::KeePass,
        provider: provider.as_ref(),
        existing: Vec::new(),
        state: &|| format!("{:?}", world.snapshot()).into_bytes(),
    })
    .await
}

#[tokio::test]
async fn every_field_keeps_values_exactly_or_refuses_them() {
    let world = world();
    quick(&world);
    let provider = world.open(KEYS);
    let fields = ["password", "username", "url", "notes", "api key"];
    for (index, value) in values().iter().enumerate() {
        for field in fields {
            put(provider.as_ref(), &format!("g/{index}/{field}"), value).await;
        }
    }
    // Of the file, and not of what the one that wrote it remembers.
    let another = world.open(KEYS);
    for (index, value) in values().iter().enumerate() {
        for field in fields {
            let reference = format!("g/{index}/{field}");
            let found = read(another.as_ref(), &reference).await.unwrap();
            assert_eq!(found, *value, "{reference}");
        }
    }
    let before = std::fs::read(world.path("db.kdbx")).unwrap();
    for (reference, value) in [
        ("g/reference", "{REF:P@T:0}"),
        ("  ", "v"),
        ("ti\u{1}tle", "v"),
        ("group\r/title", "v"),
        ("g/0/api\u{7f}key", "v"),
    ] {
        let value = SecretString::from(value);
        let error = another.put(reference, &value).await.unwrap_err();
        assert_eq!(
            error.kind,
            ErrorKind::Misconfigured,
            "{reference:?}: {error}"
        );
    }
    assert_eq!(std::fs::read(world.path("db.kdbx")).unwrap(), before);
}

#[tokio::test]
#[ignore = "needs keepassxc"]
async fn keepassxc_reads_what_is_written() {
    let world = world();
    let provider = world.open(KEYS);
    put(provider.as_ref(), "team/ci/db", "pässword $x").await;
    put(provider.as_ref(), "team/ci/db/username", "me").await;
    put(provider.as_ref(), "team/ci/db/api key", "custom").await;
    assert_eq!(show(&world, "Password", "team/ci/db"), "pässword $x\n");
    assert_eq!(show(&world, "UserName", "team/ci/db"), "me\n");
    assert_eq!(show(&world, "api key", "team/ci/db"), "custom\n");
    provider.delete("team/ci/db/api key").await.unwrap();
    put(provider.as_ref(), "team/ci/db", "new").await;
    assert_eq!(show(&world, "Password", "team/ci/db"), "new\n");
    assert_eq!(
        read(provider.as_ref(), "team/ci/db/username")
            .await
            .unwrap(),
        "me"
    );
}

#[tokio::test]
#[ignore = "needs keepassxc"]
async fn what_keepassxc_writes_is_read() {
    let world = world();
    foreign(&world);
    let line = format!("{PASSWORD}\n");
    keepassxc(&world, &["mkdir", "-q", "db.kdbx", "web"], &line);
    let add = [
        "add",
        "-q",
        "-u",
        "me",
        "--url",
        "https://example.com",
        "-p",
        "db.kdbx",
        "web/site",
    ];
    keepassxc(&world, &add, &format!("{PASSWORD}\nhunter2\n"));
    let add = ["add", "-q", "-u", "{REF:U@T:site}", "-p", "db.kdbx", "twin"];
    keepassxc(&world, &add, &format!("{PASSWORD}\nx{{REF:P@T:SITE}}y\n"));
    let provider = world.open(KEYS);
    for (reference, value) in [
        ("web/site", "hunter2"),
        ("site", "hunter2"),
        ("web/site/Username", "me"),
        ("site/url", "https://example.com"),
        ("site/title", "site"),
        ("twin", "xhunter2y"),
        ("twin/username", "me"),
    ] {
        let found = read(provider.as_ref(), reference).await.unwrap();
        assert_eq!(found, value, "{reference}");
    }
    for absent in ["nope", "web/nope", "nope/site", "site/nope", "web"] {
        let error = read(provider.as_ref(), absent).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound, "{absent}");
    }
    // Removed entries lie in the recycle bin, which does not count.
    keepassxc(&world, &["rm", "-q", "db.kdbx", "twin"], &line);
    let error = read(provider.as_ref(), "twin").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_new_database_is_made_for_its_owner_alone() {
    let world = world();
    let provider = world.open(KEYS);
    for error in [
        provider.check().await.unwrap_err(),
        read(provider.as_ref(), "a").await.unwrap_err(),
    ] {
        assert_eq!(error.key, Some("database"));
        assert!(error.remedy.unwrap().contains("fnox set"));
    }
    put(provider.as_ref(), "a", "one").await;
    provider.check().await.unwrap();
    let mode = std::fs::metadata(world.path("db.kdbx"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(read(world.open(KEYS).as_ref(), "a").await.unwrap(), "one");
    let mut left = std::fs::read_dir(world.path("")).unwrap().flatten();
    assert!(!left.any(|entry| entry.file_name().to_string_lossy().starts_with(".fnox-")));
}

#[tokio::test]
async fn the_password_is_asked_once_or_told_to_be_missing_and_a_wrong_one_is_told() {
    let mut world = world();
    put(world.open(KEYS).as_ref(), "a", "one").await;
    world.set("KEEPASS_PASSWORD", "");
    let error = read(world.open(KEYS).as_ref(), "a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    world.open(KEYS).check().await.unwrap();
    let person = Person::answering(PASSWORD);
    world.prompt = Arc::clone(&person) as _;
    let provider = world.open(KEYS);
    let answers = provider.get_many(&["a", "a"].map(request)).await;
    assert!(answers.iter().all(Result::is_ok));
    put(provider.as_ref(), "b", "two").await;
    assert_eq!(person.times(), 1);
    // The variables win over the field.
    world.set("FNOX_KEEPASS_PASSWORD", "wrong");
    let keys = format!("{KEYS}\npassword = \"{PASSWORD}\"");
    let error = read(world.open(&keys).as_ref(), "a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert!(!error.to_string().contains("wrong"), "{error}");
}

#[tokio::test]
#[ignore = "needs keepassxc"]
async fn a_key_file_opens_too() {
    let world = world();
    world.write("key", "any bytes at all");
    let provider = world.open(&format!("{KEYS}\nkeyfile = \"key\""));
    put(provider.as_ref(), "a", "one").await;
    let show = [
        "show", "-q", "-k", "key", "-s", "-a", "Password", "db.kdbx", "a",
    ];
    assert_eq!(keepassxc(&world, &show, &format!("{PASSWORD}\n")), "one\n");
    let error = read(world.open(KEYS).as_ref(), "a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    let missing = world.open(&format!("{KEYS}\nkeyfile = \"absent\""));
    assert_eq!(
        read(missing.as_ref(), "a").await.unwrap_err().key,
        Some("keyfile")
    );
}

#[tokio::test]
#[ignore = "needs keepassxc"]
async fn an_older_format_is_read_and_not_written() {
    let world = world();
    foreign(&world);
    let before = std::fs::read(world.path("db.kdbx")).unwrap();
    let value = SecretString::from("x");
    let error = world.open(KEYS).put("a", &value).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert!(error.remedy.unwrap().contains("KDBX 4"));
    assert_eq!(std::fs::read(world.path("db.kdbx")).unwrap(), before);
}

#[tokio::test]
async fn what_is_no_database_is_told_and_left_alone() {
    let world = world();
    world.write("db.kdbx", "not a database");
    let error = read(world.open(KEYS).as_ref(), "a").await.unwrap_err();
    assert_eq!(
        (error.kind, error.key),
        (ErrorKind::Misconfigured, Some("database"))
    );
    let value = SecretString::from("x");
    world.open(KEYS).put("a", &value).await.unwrap_err();
    assert_eq!(world.read("db.kdbx"), "not a database");
}

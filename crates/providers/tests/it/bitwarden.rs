//! `bitwarden`, with programs that play `bw` (bitwarden.com/help/cli) and `rbw` (its README): they record what they
//! are given, answer from files, and refuse what is not documented.

use std::collections::BTreeMap;

use fnox_providers::ErrorKind;
use serde_json::{Value, json};

use crate::conformance::{Backend, Checked, check, values};
use crate::kinds;
use crate::world::{World, read, request};

const BW: &str = r#"
printf '%s\n' "$*" >> "$HOME/argv"
env > "$HOME/env"
[ "$BW_NOINTERACTION" = true ] || exit 9
case "$*" in
  status)
    [ "$BW_SESSION" = good ] && state=unlocked || state=${BW_FAKE_STATE:-locked}
    printf '{"serverUrl":null,"lastSync":null,"userEmail":"a@example.com","userId":"u","status":"%s"}' $state
    exit ;;
esac
[ "$BW_SESSION" = good ] || { echo "Vault is locked." >&2; exit 1; }
case "$*" in
  'list items'*) shift 2
    while [ $# -gt 0 ]; do
      case "$1" in --folderid|--collectionid|--organizationid) [ -n "$2" ] || exit 9; shift 2 ;; *) exit 9 ;; esac
    done
    exec cat "$HOME/items.json" ;;
  'list folders') exec cat "$HOME/folders.json" ;;
  'get totp '*' --raw') printf 123456 ;;
  *) exit 9 ;;
esac
"#;

const RBW: &str = r#"
printf '%s\n' "$*" >> "$HOME/argv"
env > "$HOME/env"
[ -z "$RBW_FAKE_LOCKED" ] || { echo "rbw unlocked: agent is locked" >&2; exit 1; }
case "$*" in
  unlocked) ;;
  'list --fields id,name,folder') exec cat "$HOME/list" ;;
  'get --raw -- '*) [ -f "$HOME/rbw/$4" ] || { echo "rbw get: couldn't find entry" >&2; exit 1; }; exec cat "$HOME/rbw/$4" ;;
  'code -- '*) echo 654321 ;;
  *) exit 9 ;;
esac
"#;

const KEYS: &str = "type = \"bitwarden\"";
const RBW_KEYS: &str = "type = \"bitwarden\"\nbackend = \"rbw\"";

/// An item in the JSON of `bw`.
fn item(id: usize, name: &str, password: &str) -> Value {
    json!({
        "object": "item", "id": format!("id-{id}"), "organizationId": null, "folderId": null,
        "type": 1, "name": name, "notes": "the notes\n", "favorite": false,
        "fields": [
            {"name": "api key", "value": " custom\n", "type": 1},
            {"name": "flag", "value": null, "type": 2}
        ],
        "login": {
            "uris": [{"match": null, "uri": "https://example.com"}],
            "username": "me", "password": password, "totp": "JBSWY3DPEHPK3PXP"
        },
        "collectionIds": []
    })
}

fn items() -> Vec<Value> {
    let mut items: Vec<Value> = values()
        .iter()
        .enumerate()
        .map(|(index, value)| item(index, &format!("item{index}"), value))
        .collect();
    items.push(item(100, "team/db", "slash"));
    items.push(item(101, "twice", "one"));
    items.push(item(102, "twice", "two"));
    items.push(json!({
        "object": "item", "id": "id-note", "type": 2, "name": "note", "notes": "text of the note\n",
        "secureNote": {"type": 0}
    }));
    items
}

fn bw() -> World {
    let mut world = World::new();
    world.program("bw", BW);
    world.set("BW_SESSION", "good");
    world.write("items.json", serde_json::to_vec(&items()).unwrap());
    world.write(
        "folders.json",
        r#"[{"object":"folder","id":"f-1","name":"CI"},{"object":"folder","id":null,"name":"No Folder"},
           {"object":"folder","id":"f-2","name":"two"},{"object":"folder","id":"f-3","name":"two"}]"#,
    );
    world
}

/// The same items as `rbw` prints them: what `bw` calls `login` is `data`, and there is no type.
fn rbw() -> World {
    let world = World::new();
    world.program("rbw", RBW);
    let mut list = String::new();
    for mut item in items() {
        let id = item["id"].as_str().unwrap().to_owned();
        list += &[&id, item["name"].as_str().unwrap(), "CI\n"].join("\t");
        let map = item.as_object_mut().unwrap();
        map.remove("type");
        let data = map.remove("login").unwrap_or(json!({}));
        map.insert("data".to_owned(), data);
        world.write(&format!("rbw/{id}"), serde_json::to_vec(&item).unwrap());
    }
    list.push_str("id-elsewhere\titem0\telsewhere\n");
    world.write("list", list);
    world
}

fn calls(world: &World) -> Vec<String> {
    world.read("argv").lines().map(str::to_owned).collect()
}

async fn conforms(world: World, keys: &str) -> Checked<kinds::Bitwarden> {
    let existing = values()
        .into_iter()
        .enumerate()
        .map(|(index, value)| (format!("item{index}"), value))
        .collect();
    let provider = world.open(keys);
    check(&Backend {
        kind: kinds::Bitwarden,
        provider: provider.as_ref(),
        existing,
        state: &|| {
            let mut files: BTreeMap<_, _> = world.snapshot();
            files.retain(|path, _| !path.ends_with("argv") && !path.ends_with("env"));
            format!("{files:?}").into_bytes()
        },
    })
    .await
}

#[tokio::test]
pub(crate) async fn bw_conforms() -> Checked<kinds::Bitwarden> {
    conforms(bw(), KEYS).await
}

#[tokio::test]
pub(crate) async fn rbw_conforms() -> Checked<kinds::Bitwarden> {
    conforms(rbw(), &format!("{RBW_KEYS}\nfolder = \"CI\"")).await
}

#[tokio::test]
async fn fields_are_found_by_name_and_a_batch_is_one_call() {
    let wanted = [
        ("id-0", "plain"),
        ("item0/password", "plain"),
        ("item0/username", "me"),
        ("item0/notes", "the notes\n"),
        ("item0/uri", "https://example.com"),
        ("item0/api key", " custom\n"),
        ("team/db", "slash"),
        ("team/db/username", "me"),
        ("note", "text of the note\n"),
    ];
    for (world, keys, expected) in [
        (bw(), KEYS, vec!["list items"]),
        (
            rbw(),
            &*format!("{RBW_KEYS}\nfolder = \"CI\""),
            vec![
                "unlocked",
                "list --fields id,name,folder",
                "get --raw -- id-0",
                "get --raw -- id-100",
                "get --raw -- id-note",
            ],
        ),
    ] {
        let provider = world.open(keys);
        let requests: Vec<_> = wanted.iter().map(|(name, _)| request(name)).collect();
        let answers = provider.get_many(&requests).await;
        for ((name, value), answer) in wanted.iter().zip(answers) {
            assert_eq!(answer.unwrap().expose_secret(), *value, "{name}");
        }
        let mut made = calls(&world);
        made[expected.len().min(2)..].sort();
        assert_eq!(made, expected);
    }
}

#[tokio::test]
async fn codes_are_made_by_the_program_for_exactly_this_item() {
    let world = bw();
    let provider = world.open(KEYS);
    assert_eq!(
        read(provider.as_ref(), "item1/totp").await.unwrap(),
        "123456"
    );
    assert_eq!(calls(&world)[1], "get totp id-1 --raw");
    let world = rbw();
    let provider = world.open(RBW_KEYS);
    assert_eq!(
        read(provider.as_ref(), "item1/totp").await.unwrap(),
        "654321"
    );
    assert_eq!(calls(&world).last().unwrap(), "code -- id-1");
}

#[tokio::test]
async fn ambiguous_items_and_absent_fields_are_told() {
    for (world, keys) in [(bw(), KEYS), (rbw(), RBW_KEYS)] {
        let provider = world.open(keys);
        let error = read(provider.as_ref(), "twice").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured);
        assert!(error.message.contains("id-101, id-102"), "{error}");
        for absent in [
            "item1/nope",
            "item1/flag",
            "note/password",
            "note/totp",
            "nope",
        ] {
            let error = read(provider.as_ref(), absent).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotFound, "{absent}: {error}");
        }
    }
    // `item0` is in two folders.
    let error = read(rbw().open(RBW_KEYS).as_ref(), "item0")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
}

#[tokio::test]
async fn the_items_are_narrowed_as_configured() {
    let world = bw();
    let keys = "folder = \"CI\"\ncollection = \"c\"\norganization_id = \"o\"\nprofile = \"work\"";
    let provider = world.open(&format!("{KEYS}\n{keys}"));
    assert_eq!(read(provider.as_ref(), "item0").await.unwrap(), "plain");
    assert_eq!(
        calls(&world),
        [
            "list folders",
            "list items --folderid f-1 --collectionid c --organizationid o"
        ]
    );
    let folder = world.path(".config/Bitwarden CLI work");
    let line = format!("BITWARDENCLI_APPDATA_DIR={}\n", folder.display());
    assert!(world.read("env").contains(&line));
    for bad in ["two", "absent"] {
        let provider = world.open(&format!("{KEYS}\nfolder = \"{bad}\""));
        let error = read(provider.as_ref(), "item0").await.unwrap_err();
        assert_eq!(
            (error.kind, error.key),
            (ErrorKind::Misconfigured, Some("folder"))
        );
    }
    let world = rbw();
    let provider = world.open(&format!(
        "{RBW_KEYS}\nprofile = \"work\"\nfolder = \"elsewhere\""
    ));
    let error = read(provider.as_ref(), "item1").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(world.read("env").contains("RBW_PROFILE=work\n"));
}

#[tokio::test]
async fn the_session_goes_by_environment_and_without_one_nothing_is_run() {
    let mut world = bw();
    world.set("BW_SESSION", "");
    let error = read(world.open(KEYS).as_ref(), "item0").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert!(error.remedy.unwrap().contains("bw unlock"));
    assert!(calls(&world).is_empty());
    world.set("BW_SESSION", "stale");
    let error = world.open(KEYS).check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    let error = read(world.open(KEYS).as_ref(), "item0").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    world.set("BW_FAKE_STATE", "unauthenticated");
    let error = world.open(KEYS).check().await.unwrap_err();
    assert!(error.message.contains("logged in"), "{error}");
    world.set("FNOX_BW_SESSION", "good");
    let provider = world.open(KEYS);
    assert_eq!(read(provider.as_ref(), "item0").await.unwrap(), "plain");
    provider.check().await.unwrap();
    let argv = world.read("argv");
    assert!(
        !argv.contains("good") && !argv.contains("--session"),
        "{argv}"
    );
    assert!(!format!("{provider:?}").contains("good"));
}

#[tokio::test]
async fn a_locked_agent_of_rbw_is_not_asked_to_unlock_where_nobody_is() {
    let mut world = rbw();
    world.set("RBW_FAKE_LOCKED", "1");
    let error = read(world.open(RBW_KEYS).as_ref(), "item1")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert_eq!(calls(&world), ["unlocked"]);
}

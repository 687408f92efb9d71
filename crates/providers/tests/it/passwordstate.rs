//! `passwordstate` against a stand-in that is held to Click Studios' "Passwordstate API".

use fnox_providers::ErrorKind;
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaviour};
use fnox_testkit::stand_in::passwordstate::Passwordstate;

use crate::bad_server::{Subject, fails_closed};
use crate::conformance::{Backend, Checked, check, values};
use crate::kinds;
use crate::world::{World, read, request};

fn serving() -> (Issuer<Passwordstate>, World, String) {
    let server = Issuer::start(Passwordstate::new());
    server.change(|server| {
        for (index, value) in (0..).zip(values()) {
            server.add(100 + index, &format!("Value & {index}?"), &value);
        }
    });
    let mut world = World::new();
    world.set("PASSWORDSTATE_API_KEY", Passwordstate::KEY);
    let keys = format!(
        "type = \"passwordstate\"\nbase_url = \"{}\"\npassword_list_id = \"{}\"",
        server.url(),
        Passwordstate::LIST
    );
    (server, world, keys)
}

fn no_complaints(server: &Issuer<Passwordstate>) {
    assert_eq!(server.complaints(), Vec::<String>::new());
}

#[tokio::test]
pub(crate) async fn it_conforms() -> Checked<kinds::Passwordstate> {
    let (server, world, keys) = serving();
    let provider = world.open(&keys);
    let by_title = (0..)
        .zip(values())
        .map(|(index, value)| (format!("Value & {index}?"), value));
    let by_id = (100..)
        .zip(values())
        .map(|(id, value)| (id.to_string(), value));
    let checked = check(&Backend {
        kind: kinds::Passwordstate,
        provider: &*provider,
        existing: by_title.chain(by_id).collect(),
        state: &|| server.change(|server| format!("{:?}", server.passwords).into_bytes()),
    })
    .await;
    no_complaints(&server);
    checked
}

#[tokio::test]
async fn it_fails_closed() {
    let (server, world, keys) = serving();
    fails_closed(Subject {
        server: &server,
        world,
        keys,
        reference: "100",
        secrets: &[Passwordstate::KEY],
    })
    .await;
}

#[tokio::test]
async fn fields_of_one_password_are_one_call() {
    let (server, world, keys) = serving();
    server.change(|server| {
        server.add(7, "Router", "secret ");
        let fields = &mut server.passwords.get_mut(&7).unwrap().fields;
        for (name, value) in [
            ("UserName", "ada"),
            ("URL", "https://r"),
            ("Notes", "n"),
            ("Description", "d"),
        ] {
            fields.insert(name.to_owned(), value.to_owned());
        }
    });
    let wanted = [
        "Router",
        "Router/user",
        "Router/URL",
        "Router/notes",
        "Router/description",
        "Router/title",
    ];
    let answers = world.open(&keys).get_many(&wanted.map(request)).await;
    let read: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().unwrap().expose_secret())
        .collect();
    assert_eq!(read, ["secret ", "ada", "https://r", "n", "d", "Router"]);
    assert_eq!(server.requests().len(), 1);
    no_complaints(&server);
}

#[tokio::test]
async fn a_title_is_the_whole_one_and_one_passwords_only() {
    let (server, world, keys) = serving();
    server.change(|server| {
        server.add(7, "Router", "of the router");
        server.add(8, "Old router", "of the old one");
        server.add(9, "Twin", "1");
        server.add(10, "Twin", "2");
    });
    let provider = world.open(&keys);
    assert_eq!(read(&*provider, "Router").await.unwrap(), "of the router");
    let error = read(&*provider, "rout").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(error.remedy.unwrap().contains("whole title"));
    let error = read(&*provider, "Twin").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    assert!(error.message.starts_with("2 passwords"), "{error}");
    no_complaints(&server);
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let (server, mut world, keys) = serving();
    let other_list = keys.replace("915", "916");
    let error = world.open(&other_list).check().await.unwrap_err();
    assert_eq!(
        (error.kind, error.key),
        (ErrorKind::Misconfigured, Some("password_list_id"))
    );
    server.change(|server| server.is_forbidden = true);
    let error = read(&*world.open(&keys), "100").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(
        error.message.contains("may not be used for this"),
        "{error}"
    );
    assert!(error.remedy.unwrap().contains("the list 915"));
    world.set("FNOX_PASSWORDSTATE_API_KEY", "0123456789abcdef-another");
    let error = read(&*world.open(&keys), "100").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(!format!("{error:?}").contains("0123456789abcdef-another"));
    server.misbehave(Some(Misbehaviour::Status(404)));
    let error = read(&*world.open(&keys), "100").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    no_complaints(&server);
}

#[test]
fn what_cannot_be_used_is_named() {
    let (_server, mut world, keys) = serving();
    for (from, to, key) in [
        ("915", "Shop", "password_list_id"),
        ("http://127.0.0.1", "http://passwords.example", "base_url"),
    ] {
        let error = world.try_open(&keys.replace(from, to)).unwrap_err();
        assert_eq!(
            (error.kind, error.key),
            (ErrorKind::Misconfigured, Some(key)),
            "{error}"
        );
    }
    let remote = "type = \"passwordstate\"\nbase_url = \"https://passwords.example\"\npassword_list_id = \"1\"";
    for value in ["false", "no"] {
        let keys = format!("{remote}\nverify_ssl = \"{value}\"");
        let error = world.try_open(&keys).unwrap_err();
        assert_eq!(
            (error.kind, error.key),
            (ErrorKind::Misconfigured, Some("verify_ssl")),
            "{error}"
        );
    }
    assert!(
        world
            .try_open(&format!("{remote}\nverify_ssl = \"true\""))
            .is_ok()
    );
    assert!(
        world
            .try_open(&format!("{keys}\nverify_ssl = \"false\""))
            .is_ok()
    );
    let error = world
        .try_open(&format!("{remote}\nca_file = \"gone.pem\""))
        .unwrap_err();
    assert!(error.message.contains("gone.pem"), "{error}");
    world.set("PASSWORDSTATE_API_KEY", "");
    let error = world.try_open(&keys).unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
}

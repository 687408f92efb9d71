//! `doppler` against a stand-in that is held to Doppler's pages.

use fnox_providers::ErrorKind;
use fnox_testkit::stand_in::doppler::Doppler;
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaviour};

use crate::bad_server::{Subject, fails_closed};
use crate::conformance::{Backend, Checked, check, values};
use crate::kinds;
use crate::world::{World, read, request};

const KEYS: &str = "type = \"doppler\"\nproject = \"shop\"\nconfig = \"prd\"";

fn serving() -> (Issuer<Doppler>, World) {
    let server = Issuer::start(Doppler::new());
    server.change(|server| {
        for (index, value) in values().into_iter().enumerate() {
            server.secrets.insert(format!("VALUE_{index}"), value);
        }
    });
    let mut world = World::new();
    world.set("DOPPLER_API_HOST", server.url());
    world.set("DOPPLER_TOKEN", Doppler::PERSONAL_TOKEN);
    (server, world)
}

fn no_complaints(server: &Issuer<Doppler>) {
    assert_eq!(server.complaints(), Vec::<String>::new());
}

#[tokio::test]
pub(crate) async fn it_conforms() -> Checked<kinds::Doppler> {
    let (server, world) = serving();
    let provider = world.open(KEYS);
    let existing = values()
        .into_iter()
        .enumerate()
        .map(|(index, value)| (format!("VALUE_{index}"), value))
        .collect();
    let checked = check(&Backend {
        kind: kinds::Doppler,
        provider: &*provider,
        existing,
        state: &|| server.change(|server| format!("{:?}", server.secrets).into_bytes()),
    })
    .await;
    no_complaints(&server);
    checked
}

#[tokio::test]
async fn it_fails_closed() {
    let (server, world) = serving();
    fails_closed(Subject {
        server: &server,
        world,
        keys: KEYS.to_owned(),
        reference: "VALUE_0",
        secrets: &[Doppler::PERSONAL_TOKEN],
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_one_call_for_what_is_wanted_and_nothing_else() {
    let (server, world) = serving();
    let provider = world.open(KEYS);
    let requests = ["VALUE_1", "VALUE_0", "GONE", "VALUE_1", "not a name"].map(request);
    let answers = provider.get_many(&requests).await;
    assert_eq!(answers[0], answers[3]);
    assert!(answers[0].is_ok() && answers[1].is_ok());
    for answer in [&answers[2], &answers[4]] {
        assert_eq!(answer.as_ref().unwrap_err().kind, ErrorKind::NotFound);
    }
    let asked = server.requests();
    assert_eq!(asked.len(), 1);
    let names = asked[0]
        .query()
        .into_iter()
        .find(|(name, _)| name == "secrets");
    assert_eq!(names.unwrap().1, "GONE,VALUE_0,VALUE_1");
    no_complaints(&server);
}

#[tokio::test]
async fn names_that_cannot_be_are_not_asked_for() {
    let (server, world) = serving();
    let error = read(&*world.open(KEYS), "a,VALUE_0").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn many_names_come_back_in_order() {
    let (server, world) = serving();
    server.change(|server| {
        for at in 0..250 {
            server
                .secrets
                .insert(format!("N{at}"), format!("value of {at}"));
        }
    });
    let requests: Vec<_> = (0..250).map(|at| request(&format!("N{at}"))).collect();
    let answers = world.open(KEYS).get_many(&requests).await;
    for (at, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap().expose_secret(), format!("value of {at}"));
    }
    assert_eq!(server.requests().len(), 3);
    no_complaints(&server);
}

#[tokio::test]
async fn the_key_wins_over_the_variables_and_a_service_token_knows_its_config() {
    let (server, mut world) = serving();
    let of_service = format!("type = \"doppler\"\ntoken = \"{}\"", Doppler::SERVICE_TOKEN);
    read(&*world.open(&of_service), "VALUE_0").await.unwrap();
    world.set(
        "FNOX_DOPPLER_TOKEN",
        format!("{}\n", Doppler::SERVICE_TOKEN),
    );
    read(&*world.open("type = \"doppler\""), "VALUE_0")
        .await
        .unwrap();
    world.set("FNOX_DOPPLER_TOKEN", "dp.pt.somebody-elses-token");
    let error = read(&*world.open(KEYS), "VALUE_0").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    assert!(error.message.contains("Invalid Auth token"), "{error}");
    assert!(!format!("{error:?}").contains("somebody-elses"));
    no_complaints(&server);
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let (server, world) = serving();
    for (keys, kind, remedy) in [
        (
            "type = \"doppler\"",
            ErrorKind::Misconfigured,
            "`project` and `config`",
        ),
        (
            "type = \"doppler\"\nproject = \"shop\"\nconfig = \"dev\"",
            ErrorKind::Misconfigured,
            "the config `dev` of the project `shop`",
        ),
    ] {
        let error = read(&*world.open(keys), "VALUE_0").await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.remedy.unwrap().contains(remedy));
    }
    server.change(|server| server.is_forbidden = true);
    let error = world.open(KEYS).check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.remedy.unwrap().contains("access"));
    no_complaints(&server);
}

#[tokio::test]
async fn a_restricted_secret_is_refused_and_not_empty() {
    let (server, world) = serving();
    server.change(|server| server.restricted.insert("VALUE_0".to_owned()));
    let answers = world
        .open(KEYS)
        .get_many(&["VALUE_0", "VALUE_1"].map(request))
        .await;
    assert_eq!(answers[0].as_ref().unwrap_err().kind, ErrorKind::Denied);
    assert!(answers[1].is_ok());
    no_complaints(&server);
}

/// Doppler's program, which keeps what `doppler login` and `doppler setup` left.
const PROGRAM: &str = r#"
printf '%s\n' "$*" >> "$HOME/argv"
[ "$1 $2 $4" = 'configure get --plain' ] && [ $# = 4 ] || exit 9
cat "$HOME/kept-$3" 2>/dev/null || exit 1
"#;

#[tokio::test]
async fn without_a_token_the_login_of_dopplers_program_is_used() {
    let (server, mut world) = serving();
    world.set("DOPPLER_TOKEN", "");
    let error = read(&*world.open(KEYS), "VALUE_0").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert!(error.remedy.unwrap().contains("doppler login"));
    world.program("doppler", PROGRAM);
    let error = read(&*world.open(KEYS), "VALUE_0").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert_eq!(server.requests().len(), 0);
    world.write("kept-token", format!("{}\n", Doppler::PERSONAL_TOKEN));
    world.write("kept-project", "shop\n");
    world.write("kept-config", "prd\n");
    let provider = world.open("type = \"doppler\"");
    read(&*provider, "VALUE_0").await.unwrap();
    let asked = world.read("argv");
    read(&*provider, "VALUE_1").await.unwrap();
    assert_eq!(world.read("argv"), asked, "it is asked once");
    assert!(!asked.contains(Doppler::PERSONAL_TOKEN));
    no_complaints(&server);
}

#[tokio::test]
async fn one_more_try_does_not_make_a_refusal_good() {
    let (server, world) = serving();
    server.misbehave(Some(Misbehaviour::Status(403)));
    let error = read(&*world.open(KEYS), "VALUE_0").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_token_goes_nowhere_without_tls() {
    let (_server, mut world) = serving();
    world.set("DOPPLER_API_HOST", "http://doppler.example");
    let error = world.try_open(KEYS).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert!(error.message.contains("DOPPLER_API_HOST"), "{error}");
}

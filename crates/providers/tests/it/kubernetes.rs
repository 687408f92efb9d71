//! `kubernetes` against a stand-in that is held to the Kubernetes API reference. How a kubeconfig is read and who logs in is
//! tested with the lease of that name, which shares it.

use fnox_providers::ErrorKind;
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaving as _};
use fnox_testkit::stand_in::kubernetes::Kubernetes;

use crate::bad_server::{Subject, fails_closed};
use crate::conformance::{Backend, Checked, check, values};
use crate::kinds;
use crate::world::{World, read, request};

const KEYS: &str = "type = \"kubernetes\"";

fn kubeconfig(server: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters:\n- name: c\n  cluster:\n    server: {server}\n\
         contexts:\n- name: here\n  context:\n    cluster: c\n    user: u\n    namespace: apps\n\
         - name: there\n  context:\n    cluster: c\n    user: u\n    namespace: other\n\
         users:\n- name: u\n  user:\n{user}"
    )
}

fn serving() -> (Issuer<Kubernetes>, World) {
    let server = Issuer::start(Kubernetes::new());
    server.change(|server| {
        for (index, value) in values().into_iter().enumerate() {
            server.set_secret("apps", &format!("value-{index}"), "only", value.as_bytes());
            server.set_secret("apps", "many", &format!("KEY_{index}"), value.as_bytes());
        }
        server.set_secret("other", "value-0", "only", b"of the other namespace");
    });
    let mut world = World::new();
    let user = format!("    token: {}\n", Kubernetes::USER_TOKEN);
    let path = world.write("config", kubeconfig(server.url(), &user));
    world.set("KUBECONFIG", path.display().to_string());
    (server, world)
}

fn no_complaints(server: &Issuer<Kubernetes>) {
    assert_eq!(server.complaints(), Vec::<String>::new());
}

#[tokio::test]
pub(crate) async fn it_conforms() -> Checked<kinds::Kubernetes> {
    let (server, world) = serving();
    let provider = world.open(KEYS);
    let all = || values().into_iter().enumerate();
    let single = all().map(|(index, value)| (format!("value-{index}"), value));
    let keyed = all().map(|(index, value)| (format!("many/KEY_{index}"), value));
    let full = all().map(|(index, value)| (format!("apps/value-{index}/only"), value));
    let checked = check(&Backend {
        kind: kinds::Kubernetes,
        provider: &*provider,
        existing: single.chain(keyed).chain(full).collect(),
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
        reference: "value-0",
        secrets: &[Kubernetes::USER_TOKEN],
    })
    .await;
}

#[tokio::test]
async fn keys_of_one_secret_are_one_call() {
    let (server, world) = serving();
    let provider = world.open(KEYS);
    let wanted = [
        "many/KEY_0",
        "many/KEY_1",
        "many/GONE",
        "value-0",
        "value-0/only",
    ];
    let answers = provider.get_many(&wanted.map(request)).await;
    for at in [0, 1, 3, 4] {
        assert!(answers[at].is_ok(), "{at}");
    }
    let error = answers[2].as_ref().unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.remedy.as_ref().unwrap().contains("KEY_0"));
    assert_eq!(server.request_count(), 2);
    no_complaints(&server);
}

#[tokio::test]
async fn where_secrets_are_is_the_keys_the_variables_or_the_contexts_word() {
    let (server, mut world) = serving();
    let plain = "plain";
    let other = "of the other namespace";
    for (keys, value) in [
        ("", plain),
        ("namespace = \"other\"", other),
        ("context = \"there\"", other),
        ("context = \"there\"\nnamespace = \"apps\"", plain),
    ] {
        let provider = world.open(&format!("{KEYS}\n{keys}"));
        assert_eq!(read(&*provider, "value-0").await.unwrap(), value, "{keys}");
    }
    let prefixed = world.open(&format!("{KEYS}\nprefix = \"value-\""));
    assert_eq!(read(&*prefixed, "other/0/only").await.unwrap(), other);
    world.set("FNOX_K8S_CONTEXT", "there");
    assert_eq!(read(&*world.open(KEYS), "value-0").await.unwrap(), other);
    world.set("KUBECONFIG", "");
    let by_file = world.open(&format!("{KEYS}\nkubeconfig = \"config\""));
    assert_eq!(read(&*by_file, "value-0").await.unwrap(), other);
    no_complaints(&server);
}

#[tokio::test]
async fn a_reference_that_could_mean_several_values_is_refused() {
    let (server, world) = serving();
    server.change(|server| {
        server.set_secret("apps", "binary", "k", &[0xff, 0xfe]);
        let place = ("apps".to_owned(), "empty".to_owned());
        server
            .secrets
            .insert(place, std::collections::BTreeMap::new());
    });
    let provider = world.open(KEYS);
    for (reference, kind, says) in [
        (
            "many",
            ErrorKind::Misconfigured,
            "keys, and the reference names none",
        ),
        ("binary", ErrorKind::Misconfigured, "not UTF-8"),
        ("empty", ErrorKind::NotFound, "is empty"),
        ("a/b/c/d", ErrorKind::Misconfigured, "is not `secret`"),
        ("../x", ErrorKind::Misconfigured, "is not `secret`"),
    ] {
        let error = read(&*provider, reference).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(says), "{error}");
    }
    no_complaints(&server);
}

#[tokio::test]
async fn refusals_say_who_asked_and_what_to_do() {
    let (server, world) = serving();
    server.change(|server| server.is_forbidden = true);
    let provider = world.open(KEYS);
    let error = read(&*provider, "value-0").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    let remedy = error.remedy.unwrap();
    assert!(remedy.contains("user `u` of context `here`"), "{remedy}");
    assert!(remedy.contains("resourceNames [\"value-0\"]"), "{remedy}");
    // A Role may be about single names.
    provider.check().await.unwrap();
    let user = "    token: somebody-elses-token\n";
    world.write("config", kubeconfig(server.url(), user));
    let error = world.open(KEYS).check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    assert!(!format!("{error:?}").contains("somebody-elses-token"));
    no_complaints(&server);
}

#[tokio::test]
async fn without_a_cluster_it_says_how_to_name_one() {
    let world = World::new();
    let error = read(&*world.open(KEYS), "a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded);
    assert!(error.remedy.unwrap().contains("KUBECONFIG"));
    let keys = format!("{KEYS}\nkubeconfig = \"gone\"");
    let error = read(&*world.open(&keys), "a").await.unwrap_err();
    assert_eq!(
        (error.kind, error.key),
        (ErrorKind::Misconfigured, Some("kubeconfig"))
    );
}

//! `vault` against a stand-in that is held to HashiCorp's pages "KV secrets engine version 1 (API)", "KV secrets engine
//! version 2 (API)" and "HTTP API", and answers 400 to whatever is not in them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fnox_core::SecretString;
use fnox_providers::ErrorKind;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Respond, ResponseTemplate};

use crate::conformance::{Backend, Checked, check};
use crate::kinds;
use crate::world::{World, read, request};

const TOKEN: &str = "hvs.stand-in-token";

/// When a version was deleted.
const DELETED: &str = "2030-01-01T00:00:00.000000000Z";

/// Secrets by their path: the version, and the fields unless the version was deleted.
type Secrets = Arc<Mutex<BTreeMap<String, (u64, Option<Value>)>>>;

struct StandIn {
    secrets: Secrets,
    is_second: bool,
}

impl Respond for StandIn {
    fn respond(&self, request: &wiremock::Request) -> ResponseTemplate {
        let header = |name: &str| {
            request
                .headers
                .get(name)
                .map(|value| value.to_str().unwrap())
        };
        assert_eq!(header("x-vault-request"), Some("true"));
        assert_eq!(header("x-vault-namespace"), Some("team"));
        if header("x-vault-token") != Some(TOKEN) {
            return refusal(403, "permission denied: invalid token");
        }
        let path = request.url.path();
        if path == "/v1/sys/internal/ui/mounts/kv/app" {
            let version = ["1", "2"][usize::from(self.is_second)];
            return good(
                &json!({"data": {"path": "kv/", "type": "kv", "options": {"version": version}}}),
            );
        }
        let prefix = ["/v1/kv/app/", "/v1/kv/data/app/"][usize::from(self.is_second)];
        let Some(name) = path.strip_prefix(prefix) else {
            return refusal(400, "undocumented path");
        };
        let mut secrets = self.secrets.lock().unwrap();
        let newest = secrets.get(name).cloned();
        let version = newest.as_ref().map_or(0, |(version, _)| *version);
        match (request.method.as_str(), newest) {
            ("GET", Some((_, Some(fields)))) if self.is_second => {
                let metadata = json!({"version": version, "deletion_time": "", "destroyed": false});
                good(&json!({"data": {"data": fields, "metadata": metadata}}))
            }
            ("GET", Some((_, Some(fields)))) => good(&json!({"data": fields})),
            ("GET", Some(_)) if self.is_second => {
                let metadata =
                    json!({"version": version, "deletion_time": DELETED, "destroyed": false});
                ResponseTemplate::new(404)
                    .set_body_json(json!({"data": {"data": null, "metadata": metadata}}))
            }
            ("GET", _) => ResponseTemplate::new(404).set_body_json(json!({"errors": []})),
            // "HTTP API": POST and PUT are synonyms.
            ("POST" | "PUT", _) => {
                let body: Value = serde_json::from_slice(&request.body).unwrap();
                if self.is_second && body["options"] != json!({"cas": version}) {
                    return refusal(400, "check-and-set parameter did not match");
                }
                let fields = if self.is_second {
                    body["data"].clone()
                } else {
                    body
                };
                assert!(fields.is_object());
                secrets.insert(name.to_owned(), (version + 1, Some(fields)));
                if self.is_second {
                    good(&json!({"data": {"version": version + 1}}))
                } else {
                    ResponseTemplate::new(204)
                }
            }
            ("DELETE", Some(_)) => {
                secrets.insert(name.to_owned(), (version, None));
                ResponseTemplate::new(204)
            }
            _ => refusal(400, "undocumented method"),
        }
    }
}

fn good(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

fn refusal(status: u16, text: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({ "errors": [text] }))
}

async fn serving(answer: impl Respond + 'static) -> (MockServer, World, String) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let mut world = World::new();
    world.set("VAULT_TOKEN", TOKEN);
    let keys = format!(
        "type = \"vault\"\naddress = \"{}\"\npath = \"kv/app\"\nnamespace = \"team\"",
        server.uri()
    );
    (server, world, keys)
}

async fn conforms(is_second: bool) -> Checked<kinds::Vault> {
    let secrets = Secrets::default();
    let stand_in = StandIn {
        secrets: Arc::clone(&secrets),
        is_second,
    };
    let (_server, world, keys) = serving(stand_in).await;
    let provider = world.open(&keys);
    check(&Backend {
        kind: kinds::Vault,
        provider: &*provider,
        existing: Vec::new(),
        state: &|| format!("{:?}", secrets.lock().unwrap()).into_bytes(),
    })
    .await
}

#[tokio::test]
pub(crate) async fn the_first_version_of_kv_conforms() -> Checked<kinds::Vault> {
    conforms(false).await
}

#[tokio::test]
pub(crate) async fn the_second_version_of_kv_conforms() -> Checked<kinds::Vault> {
    conforms(true).await
}

/// What the library hvac for Python writes with check-and-set, reads and deletes, the stand-in takes; it reads what fnox wrote, and
/// fnox what it wrote.
#[tokio::test]
#[ignore = "needs FNOX_TEST_HVAC_PYTHON"]
async fn the_stand_in_serves_an_independent_client() {
    let environment = fnox_core::Env::of_process();
    let python = environment.var("FNOX_TEST_HVAC_PYTHON").unwrap();
    for (is_second, version) in [(false, "1"), (true, "2")] {
        let secrets = Secrets::default();
        let (server, world, keys) = serving(StandIn { secrets, is_second }).await;
        let provider = world.open(&keys);
        let value = SecretString::from("of fnox");
        provider.put("ours/field", &value).await.unwrap();
        let output = tokio::process::Command::new(python)
            .arg("-c")
            .arg(include_str!("vault_client.py"))
            .args([&server.uri(), "team", version])
            .env("TOKEN", TOKEN)
            .output()
            .await
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "version {version}: {told}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "all good\n");
        if is_second {
            assert_eq!(read(&*provider, "theirs").await.unwrap(), "three");
        }
    }
}

#[tokio::test]
async fn keys_of_one_secret_are_one_call() {
    for is_second in [false, true] {
        let fields = json!({"user": "ada", "password": "p", "value": "v"});
        let secrets = Secrets::default();
        let stored = (1, Some(fields));
        secrets.lock().unwrap().insert("db".to_owned(), stored);
        let (server, world, keys) = serving(StandIn { secrets, is_second }).await;
        let provider = world.open(&keys);
        let wanted = [
            "db/user",
            "db/password",
            "gone/a",
            "db/gone",
            "db",
            "gone/b",
            "a/b/c",
        ];
        let answers = provider.get_many(&wanted.map(request)).await;
        for (at, value) in [(0, "ada"), (1, "p"), (4, "v")] {
            assert_eq!(answers[at].as_ref().unwrap().expose_secret(), value);
        }
        for at in [2, 3, 5] {
            let error = answers[at].as_ref().unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
            assert!(error.message.contains(wanted[at]), "{error}");
        }
        let error = answers[6].as_ref().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured);
        let asked = server.received_requests().await.unwrap();
        let paths = asked.iter().map(|request| request.url.path().to_owned());
        let secrets: Vec<String> = paths.filter(|path| !path.contains("/sys/")).collect();
        let folder = ["/v1/kv/app", "/v1/kv/data/app"][usize::from(is_second)];
        assert_eq!(secrets, [format!("{folder}/db"), format!("{folder}/gone")]);
    }
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_said_and_not_shown() {
    let stand_in = StandIn {
        secrets: Secrets::default(),
        is_second: true,
    };
    let (_server, mut world, keys) = serving(stand_in).await;
    world.set("FNOX_VAULT_TOKEN", "hvs.another-token");
    let provider = world.open(&keys);
    let answers = provider.get_many(&[request("a")]).await;
    let error = answers[0].as_ref().unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    assert!(!format!("{error:?}").contains("hvs.another-token"));
}

#[tokio::test]
async fn what_no_vault_answers_is_unavailable() {
    let value = SecretString::from("v");
    for answer in [
        ResponseTemplate::new(200).set_body_string("<html>log in</html>"),
        ResponseTemplate::new(500).set_body_string("oops"),
        ResponseTemplate::new(302).insert_header("location", "https://elsewhere.example"),
        ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 3 * 1024 * 1024]),
    ] {
        let (_server, world, keys) = serving(answer).await;
        let provider = world.open(&keys);
        let answers = provider.get_many(&[request("a")]).await;
        assert_eq!(
            answers[0].as_ref().unwrap_err().kind,
            ErrorKind::Unavailable
        );
        let error = provider.put("a", &value).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let answer = ResponseTemplate::new(200).set_delay(Duration::from_mins(2));
    let (_server, mut world, keys) = serving(answer).await;
    world.time_limit = Duration::from_secs(1);
    let error = world.open(&keys).check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
}

#[test]
fn tokens_go_only_where_they_are_safe() {
    let mut world = World::new();
    let keys = |address: &str| format!("type = \"vault\"\naddress = \"{address}\"");
    let error = world.try_open(&keys("https://vault.example")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    world.set("VAULT_TOKEN", TOKEN);
    assert!(world.try_open(&keys("https://vault.example")).is_ok());
    for wrong in [
        "http://vault.example",
        "vault.example",
        "https://u:p@vault.example",
    ] {
        let error = world.try_open(&keys(wrong)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    }
}

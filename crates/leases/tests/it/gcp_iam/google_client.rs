//! The stand-in of Google Cloud against Google's own library and documents.

use fnox_testkit::stand_in::gcp;
use serde_json::{Value, json};

use super::{DEPLOY, PROVIDER, external, google, job_token, trust_ci};

/// A Python interpreter that has google-auth and google-api-python-client.
fn python() -> String {
    fnox_core::Env::of_process()
        .var("FNOX_TEST_GOOGLE_PYTHON")
        .expect("FNOX_TEST_GOOGLE_PYTHON")
        .to_owned()
}

fn run(script: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(python())
        .arg("-c")
        .arg(script)
        .args(arguments)
        .env("no_proxy", "*")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs FNOX_TEST_GOOGLE_PYTHON"]
fn the_stand_in_knows_the_fields_of_googles_documents() {
    let printed = run(
        r"
import json, pathlib, googleapiclient
folder = pathlib.Path(googleapiclient.__file__).parent / 'discovery_cache/documents'
def fields(document, schema):
    schemas = json.loads((folder / document).read_text())['schemas']
    return {n: p['type'] for n, p in schemas[schema]['properties'].items()}
print(json.dumps([
    fields('sts.v1.json', 'GoogleIdentityStsV1ExchangeTokenRequest'),
    fields('iamcredentials.v1.json', 'GenerateAccessTokenRequest'),
    fields('iamcredentials.v1.json', 'GenerateIdTokenRequest')]))
",
        &[],
    );
    let [exchange, access, id]: [serde_json::Map<String, Value>; 3] =
        serde_json::from_str(&printed).unwrap();
    let snake = |name: &str| {
        name.chars().fold(String::new(), |mut out, letter| {
            if letter.is_ascii_uppercase() {
                out.push('_');
            }
            out.push(letter.to_ascii_lowercase());
            out
        })
    };
    let mut names: Vec<String> = exchange.keys().map(|name| snake(name)).collect();
    names.sort_unstable();
    assert_eq!(names, gcp::EXCHANGE_FIELDS);
    let table = |fields: &[(&str, &str)]| {
        let pairs = fields
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), json!(kind)));
        pairs.collect::<serde_json::Map<_, _>>()
    };
    assert_eq!(access, table(&gcp::ACCESS_TOKEN_FIELDS));
    assert_eq!(id, table(&gcp::ID_TOKEN_FIELDS));
}

/// What Google's own library sends, the stand-in takes; and it gets by that what fnox gets.
#[test]
#[ignore = "needs FNOX_TEST_GOOGLE_PYTHON"]
fn the_stand_in_serves_googles_own_library() {
    let (google, mut key) = google();
    trust_ci(&google);
    let user = google.change(|gcp| {
        gcp.grant("user:ada", DEPLOY);
        gcp.add_user("ada")
    });
    key["token_uri"] = json!(format!("{}/token", google.url()));
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, job_token("repo:o/r", PROVIDER)).unwrap();
    let external = external(&google, &json!({"file": token}));
    let printed = run(
        r"
import json, sys
from google.auth import identity_pool, impersonated_credentials
from google.auth.transport.requests import Request
from google.oauth2 import credentials, service_account
url, account, key, user, external = sys.argv[1:]
scopes = ['https://www.googleapis.com/auth/cloud-platform']
user = json.loads(user)
masters = [
    service_account.Credentials.from_service_account_info(json.loads(key), scopes=scopes),
    credentials.Credentials(None, refresh_token=user['refresh_token'], client_id=user['client_id'],
                            client_secret=user['client_secret'], token_uri=url + '/token'),
    identity_pool.Credentials.from_info(json.loads(external), scopes=scopes),
]
for master in masters:
    target = impersonated_credentials.Credentials(
        master, account, scopes, lifetime=900,
        iam_endpoint_override=f'{url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken')
    target.refresh(Request())
    print(target.token)
",
        &[
            google.url(),
            DEPLOY,
            &key.to_string(),
            &user.to_string(),
            &external.to_string(),
        ],
    );
    assert_eq!(google.complaints(), Vec::<String>::new());
    let tokens: Vec<&str> = printed.lines().collect();
    assert_eq!(tokens.len(), 3, "{printed}");
    google.change(|gcp| {
        for token in tokens {
            assert_eq!(
                gcp.holder(token),
                Some(&*format!("serviceAccount:{DEPLOY}"))
            );
        }
    });
}

//! The SDKs themselves at an endpoint. Each has long-lived credentials within reach, and must not use them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use fnox_core::{Clock as _, SystemClock};
use fnox_leases::delivery::Unavailable;
use fnox_testkit::services;
use jiff::SignedDuration;

use crate::delivery_support::{SESSION, World, held};

/// A proxy that nobody has: whoever asks it fails.
const PROXY: (&str, &str) = ("HTTP_PROXY", "http://127.0.0.1:9");

/// Every SDK renews within its last five minutes.
fn soon() -> String {
    (SystemClock.now() + SignedDuration::from_mins(3))
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// A user's folder with long-lived credentials, and an endpoint.
fn world(home: &Path) -> World {
    std::fs::create_dir(home.join(".aws")).unwrap();
    let keys = "[default]\naws_access_key_id = AKIALONG\naws_secret_access_key = long-lived\n";
    std::fs::write(home.join(".aws/credentials"), keys).unwrap();
    let config = format!(
        "{keys}region = eu-west-1\n[profile other]\nrole_arn = x\nsource_profile = default\n"
    );
    std::fs::write(home.join(".aws/config"), config).unwrap();
    let variables = [("HOME", home.to_str().unwrap()), PROXY];
    World::at(&variables, Arc::new(SystemClock), &soon())
}

/// A program that says a line whenever it is told to.
struct Client {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Client {
    fn start(world: &World, lease: &str, home: &Path, program: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", home)
            .env(PROXY.0, PROXY.1)
            .env("AWS_ACCESS_KEY_ID", "AKIALONG")
            .env("AWS_SECRET_ACCESS_KEY", "long-lived")
            .env("AZURE_TENANT_ID", "t")
            .env("AZURE_CLIENT_ID", "c")
            .env("AZURE_CLIENT_SECRET", "long-lived")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let environment = world.environment(lease);
        for name in &environment.remove {
            command.env_remove(name);
        }
        for (name, value) in &environment.set {
            command.env(name, value.expose_secret());
        }
        let mut child = command.spawn().unwrap();
        Self {
            stdin: child.stdin.take().unwrap(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// What it says when it is told to go on.
    fn next(&mut self) -> String {
        self.stdin.write_all(b"\n").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Client {
    /// All that it says until it ends.
    fn rest(&mut self) -> String {
        std::io::read_to_string(&mut self.stdout).unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unavailable(lease: &str) -> Unavailable {
    Unavailable {
        lease: lease.parse().unwrap(),
        ended_at: None,
        reason: "the issuer is away".to_owned(),
    }
}

/// Asks whenever a line comes, and says what came of it.
const LOOP: &str = "
import sys
for line in sys.stdin:
    try:
        print(ask(), flush=True)
    except Exception as error:
        print('failed:', ' '.join(str(error).split()), flush=True)
";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs boto3"]
async fn boto3_follows_the_renewals() {
    let home = tempfile::tempdir().unwrap();
    let world = world(home.path());
    let script = format!(
        "
import boto3
session = boto3.Session()
other = boto3.Session(profile_name='other')
def ask():
    one = session.get_credentials().get_frozen_credentials()
    two = other.get_credentials().get_frozen_credentials()
    return [session.get_credentials().method, session.region_name, one.access_key, one.secret_key, one.token, two.token]
{LOOP}"
    );
    let python = services::boto3_python();
    let mut client = Client::start(&world, "aws", home.path(), &python, &["-c", &script]);
    assert_eq!(
        client.next(),
        "['container-role', 'eu-west-1', 'ASIA1', 'secret-1', 'token-1', 'token-1']"
    );
    for round in ["a", "b", "c"] {
        let next = held(
            "aws",
            &SESSION.map(|(name, _)| (name, round)),
            Some(&soon()),
        );
        world.change("aws", Ok(next));
        let said = client.next();
        assert!(
            said.contains(&format!("'{round}', '{round}', '{round}', '{round}'")),
            "{said}"
        );
    }
    world.change("aws", Err(unavailable("aws")));
    let said = client.next();
    assert!(
        said.starts_with("failed:") && !said.contains("long"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the AWS CLI"]
async fn the_aws_cli_finds_the_lease_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let world = world(home.path());
    // What `configure list` calls the source is botocore's name for it.
    let arguments = ["configure", "list"];
    let program = services::aws_cli();
    let shown = Client::start(&world, "aws", home.path(), &program, &arguments).rest();
    assert!(
        shown.contains("SIA1") && shown.contains("container-role"),
        "{shown}"
    );
    assert!(shown.contains("eu-west-1"), "{shown}");
    world.change("aws", Err(unavailable("aws")));
    let shown = Client::start(&world, "aws", home.path(), &program, &arguments).rest();
    assert!(
        !shown.contains("LONG") && !shown.contains("shared"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs google-auth"]
async fn google_auth_follows_the_renewals() {
    let home = tempfile::tempdir().unwrap();
    let world = world(home.path());
    let script = format!(
        "
import warnings
import google.auth
from google.auth.transport.requests import Request
credentials, project = google.auth.default(scopes=['https://www.googleapis.com/auth/cloud-platform'])
def ask():
    headers = {{}}
    credentials.before_request(Request(), 'GET', 'https://storage.googleapis.com/', headers)
    return [project, headers['authorization']]
{LOOP}"
    );
    let python = services::google_python();
    let mut client = Client::start(&world, "google", home.path(), &python, &["-c", &script]);
    assert_eq!(client.next(), "[None, 'Bearer google-1']");
    for round in ["google-2", "google-3", "google-4"] {
        world.change("google", Ok(held("google", &[("T", round)], Some(&soon()))));
        assert_eq!(client.next(), format!("[None, 'Bearer {round}']"));
    }
    world.change("google", Err(unavailable("google")));
    let said = client.next();
    assert!(
        said.starts_with("failed:") && said.contains("the issuer is away"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs azure-identity"]
async fn azure_identity_follows_the_renewals_and_asks_for_its_resource() {
    let home = tempfile::tempdir().unwrap();
    let world = world(home.path());
    // MSAL keeps a token until five minutes before its end; a new credential has no memory.
    let script = format!(
        "
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
SCOPES = ['https://vault.azure.net/.default'] * 4 + ['https://management.azure.com/.default'] + ['https://vault.azure.net/.default']
def ask():
    scope = SCOPES.pop(0)
    return [one().get_token(scope).token for one in (ManagedIdentityCredential, DefaultAzureCredential)]
{LOOP}"
    );
    let python = services::azure_python();
    let mut client = Client::start(&world, "azure", home.path(), &python, &["-c", &script]);
    assert_eq!(client.next(), "['azure-1', 'azure-1']");
    for round in ["azure-2", "azure-3", "azure-4"] {
        world.change("azure", Ok(held("azure", &[("T", round)], Some(&soon()))));
        assert_eq!(client.next(), format!("['{round}', '{round}']"));
    }
    let said = client.next();
    assert!(
        said.starts_with("failed:") && said.contains("for the resource `https://vault.azure.net`"),
        "{said}"
    );
    world.change("azure", Err(unavailable("azure")));
    let said = client.next();
    assert!(
        said.starts_with("failed:") && said.contains("the issuer is away"),
        "{said}"
    );
}

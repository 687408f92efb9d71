//! `examples/credential-modernization`, as its README tells.

use std::path::Path;
use std::time::Duration;

use fnox_core::{Clock as _, SystemClock};
use fnox_testkit::stand_in::aws_sso::IdentityCenter;
use fnox_testkit::stand_in::issuer::Issuer;
use fnox_testkit::wait::until;
use fnox_testkit::{Invocation, Sandbox, services};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{json as parsed, ok, sandbox};

const PROFILES: [&str; 5] = ["default", "development", "staging", "production", "ci"];

const SECRETS: [&str; 6] = [
    "PULUMI_ACCESS_TOKEN",
    "SLACK_WEBHOOK_URL",
    "GITHUB_TOKEN",
    "STRIPE_API_KEY",
    "SENDGRID_API_KEY",
    "TWILIO_AUTH_TOKEN",
];

/// Plays `op`: writes down each call, and knows every item that is asked for by its whole reference.
const OP: &str = r#"#!/bin/sh
echo "$1" >> "$HOME/op-calls"
case "$1" in
  read) printf 'value-of-%s' "${3#op://}" ;;
  inject) sed 's|{{ *op://\([^}]*[^} ]\) *}}|value-of-\1|g' ;;
  *) exit 1 ;;
esac
"#;

fn example() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/credential-modernization")
}

/// The example in a sandbox, with 1Password.
fn project() -> Sandbox {
    let sandbox = sandbox();
    for name in ["fnox.toml", "aws_sso_example.py"] {
        sandbox.write(name, std::fs::read(example().join(name)).unwrap());
    }
    sandbox.write_program("op", OP);
    sandbox
}

/// The same, at an IAM Identity Center whose sessions are this short, and with its user logged in.
fn at(center: &Issuer<IdentityCenter>, seconds: i64) -> Sandbox {
    let sandbox = project();
    center.change(|center| {
        let role = IdentityCenter::ROLE.to_owned();
        center.roles = vec![(IdentityCenter::ACCOUNT.to_owned(), role, seconds)];
    });
    // The same lease at another address; the newest layer wins.
    sandbox.write(
        "fnox.local.toml",
        format!(
            "[leases.aws]\ntype = \"aws-sso\"\nprofile = \"my-dev\"\nregion = \"us-east-1\"\ndeliver = [\"endpoint\"]\n\
             oidc_endpoint = \"{0}\"\nportal_endpoint = \"{0}\"\n",
            center.url()
        ),
    );
    let config = format!(
        "[sso-session my-company]\nsso_start_url = {}\nsso_region = us-east-1\n\
         sso_registration_scopes = sso:account:access\n\
         [profile my-dev]\nsso_session = my-company\nsso_account_id = {}\nsso_role_name = {}\nregion = us-east-1\n",
        IdentityCenter::START_URL,
        IdentityCenter::ACCOUNT,
        IdentityCenter::ROLE
    );
    sandbox.write(sandbox.home().join(".aws/config"), config);
    log_in(center, &sandbox);
    sandbox
}

/// What `aws sso login` leaves behind; the file is named `sha1("my-company")`.
fn log_in(center: &Issuer<IdentityCenter>, sandbox: &Sandbox) {
    let now = SystemClock.now();
    let (client, login) = center.change(|center| {
        let client = center.registered(now);
        let login = center.logged_in(&client, now);
        (client, login)
    });
    let time = |moment: Timestamp| moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let cache = json!({
        "startUrl": IdentityCenter::START_URL,
        "region": "us-east-1",
        "accessToken": login.access,
        "expiresAt": time(login.expires_at),
        "clientId": client.id,
        "clientSecret": client.secret,
        "registrationExpiresAt": time(client.expires_at),
        "refreshToken": login.refresh,
    });
    let path = ".aws/sso/cache/3a5ac7229cc5fb84a93e5d3487c1c4e4f1375b96.json";
    sandbox.write(sandbox.home().join(path), cache.to_string());
}

fn script(sandbox: &Sandbox, arguments: &[&str]) -> Invocation {
    let python = services::aioboto3_python();
    let exec = ["exec", "--", python.to_str().unwrap()];
    let moto = services::moto();
    sandbox
        .run([&exec[..], arguments].concat())
        .env("AWS_ENDPOINT_URL", &moto.url)
        .env("no_proxy", "*")
}

#[test]
fn every_profile_is_healthy_and_has_all_six_secrets() {
    let sandbox = project();
    for profile in PROFILES {
        ok(&sandbox, &["check", "-P", profile]);
        let listed = parsed(&ok(&sandbox, &["list", "--json", "-P", profile]));
        let names: Vec<&str> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().or(one["key"].as_str()).unwrap())
            .collect();
        for name in SECRETS {
            assert!(names.contains(&name), "{profile}: {names:?}");
        }
    }
}

#[test]
fn each_environment_reads_its_own_vault_in_one_call() {
    let sandbox = project();
    for (profile, vault) in [
        ("default", "Development"),
        ("staging", "Staging"),
        ("production", "Production"),
    ] {
        let exec = [
            "exec",
            "-P",
            profile,
            "--only",
            "STRIPE_API_KEY,SENDGRID_API_KEY",
        ];
        let run = sandbox
            .run([&exec[..], &["--", "env"]].concat())
            .finish()
            .succeeds();
        let line = format!("SENDGRID_API_KEY=value-of-{vault}/SendGrid/api-key");
        assert!(run.stdout.lines().any(|other| other == line), "{run}");
        assert!(!run.stdout.contains("TWILIO"), "{run}");
    }
    let calls = sandbox.read(sandbox.home().join("op-calls"));
    assert_eq!(
        calls.lines().collect::<Vec<_>>(),
        ["inject"; 3],
        "limits are per account"
    );
}

#[test]
fn ci_needs_no_stored_key() {
    let text = std::fs::read_to_string(example().join(".github/workflows/deploy.yml")).unwrap();
    let workflow: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(
        workflow["permissions"],
        json!({ "contents": "read", "id-token": "write" })
    );
    assert!(!text.contains("${{ secrets."), "{text}");
    let sandbox = project();
    let explain = [
        "lease",
        "create",
        "aws",
        "--explain",
        "-f",
        "json",
        "-P",
        "ci",
    ];
    let run = sandbox
        .run(explain)
        .env(
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "http://127.0.0.1:9/token?x=1",
        )
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-the-job")
        .finish()
        .succeeds();
    let explained = parsed(&run.stdout);
    assert_eq!(
        explained["calls"][1]["action"], "sts:AssumeRoleWithWebIdentity",
        "{explained}"
    );
    // Where there is no job, nothing is minted from anything else.
    let run = sandbox.run(["run", "-P", "ci", "--", "true"]).finish();
    assert!(matches!(run.code, Some(4 | 6)), "{run}");
}

#[test]
fn offboarding_lists_what_the_project_gives() {
    let sandbox = project();
    let plan = parsed(&ok(&sandbox, &["lifecycle", "offboard", "alice", "--json"]));
    let text = plan.to_string();
    for wanted in [
        "op user suspend alice@example.com",
        "memberships/alice-dev",
        "https://fnox.example.com/scim/v2/Users",
        "identitystore:userId",
        "--role-name shop-deploy",
        "TWILIO_AUTH_TOKEN",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

#[test]
#[ignore = "needs moto and aioboto3"]
fn aioboto3_uses_four_services_under_the_persons_session() {
    let center = Issuer::start(IdentityCenter::example());
    let sandbox = at(&center, 3600);
    let run = script(&sandbox, &["aws_sso_example.py", "demo"])
        .finish()
        .succeeds();
    assert_eq!(run.stdout, "s3 ok\ndynamodb ok\nsqs_and_sns ok\n", "{run}");
    assert_eq!(center.complaints(), Vec::<String>::new());
}

/// A client of boto3 that lives longer than its first credentials, and says when it gets others.
const BOTO3: &str = r#"
import boto3, sys, time
session = boto3.Session()
client, seen = session.client("sts"), []
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    client.get_caller_identity()
    key = session.get_credentials().get_frozen_credentials().access_key
    if key not in seen:
        seen.append(key)
        print("boto3", len(seen), flush=True)
    time.sleep(0.5)
"#;

/// aioboto3, boto3 and the AWS CLI side by side for 56 seconds.
const SIDE_BY_SIDE: &str = r#"
set -eu
"$1" aws_sso_example.py watch 56 & aioboto3=$!
"$2" -c "$4" 56 & boto3=$!
end=$(($(date +%s) + 56))
while [ "$(date +%s)" -lt "$end" ]; do
  "$3" sts get-caller-identity --output text >/dev/null
  echo cli
done
wait "$aioboto3"
wait "$boto3"
"#;

#[test]
#[ignore = "needs moto, the AWS CLI, boto3 and aioboto3"]
fn aioboto3_boto3_and_the_aws_cli_go_on_past_three_renewals() {
    let center = Issuer::start(IdentityCenter::example());
    // Each session is renewed when a fifth of it is left.
    let sandbox = at(&center, 15);
    let programs = [
        services::aioboto3_python(),
        services::boto3_python(),
        services::aws_cli(),
    ];
    let mut arguments = vec!["exec", "--", "sh", "-c", SIDE_BY_SIDE, "sh"];
    arguments.extend(programs.iter().map(|program| program.to_str().unwrap()));
    arguments.push(BOTO3);
    let run = sandbox
        .run(arguments)
        .env("AWS_ENDPOINT_URL", &services::moto().url)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("no_proxy", "*")
        .limit(Duration::from_mins(3))
        .finish()
        .succeeds();
    let lines_of = |client: &str| {
        let lines = run.stdout.lines();
        lines.filter(|line| line.starts_with(client)).count()
    };
    let changes = lines_of("credentials ");
    assert!(changes > 3 && lines_of("boto3 ") > 3, "{run}");
    assert!(lines_of("cli") > 3, "{run}");
    assert_eq!(run.stderr, "", "{run}");
    let issued = center.change(|center| center.issued.len());
    assert!(issued >= changes, "{issued} {run}");
    assert_eq!(center.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "needs moto and aioboto3"]
fn the_health_check_tells_a_login_that_is_over() {
    let center = Issuer::start(IdentityCenter::example());
    let sandbox = at(&center, 3);
    let client = "
import asyncio, httpx, pathlib, aws_sso_example as example
async def main():
    transport = httpx.ASGITransport(app=example.app)
    async with httpx.AsyncClient(transport=transport, base_url='http://app') as client:
        print((await client.get('/health')).json(), flush=True)
        pathlib.Path('asked').touch()
        while (answer := await client.get('/health')).status_code == 200:
            await asyncio.sleep(0.2)
        print(answer.status_code, answer.json())
asyncio.run(main())
";
    let running = script(&sandbox, &["-c", client]).start();
    let asked = sandbox.project().join("asked");
    until("the first answer", Duration::from_mins(1), || {
        asked.exists()
    });
    center.change(|center| {
        center.session_is_over = true;
        center.logins.clear();
    });
    let run = running.finish().succeeds();
    assert!(run.stdout.contains("503 {'aws': 'login needed'"), "{run}");
    assert!(run.stderr.contains("cannot be renewed"), "{run}");
}

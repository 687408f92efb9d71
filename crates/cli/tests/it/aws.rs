//! Real AWS clients behind `fnox exec`, against moto.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use fnox_testkit::services::{self, Moto};
use fnox_testkit::wait::until_some;
use fnox_testkit::{Invocation, Run, Running, Sandbox};
use serde_json::Value;

use crate::support::{json, sandbox, with_age};

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

const ROLE: &str = "arn:aws:iam::123456789012:role/dev-role";

/// Says who it is, and all that it finds in its environment.
const SCRIPT: &str = "
import boto3, os
for name, value in os.environ.items():
    print(name + '=' + value)
print('ARN ' + boto3.client('sts').get_caller_identity()['Arn'])
";

/// A name for sessions that are this test's own: moto is shared, and may have seen earlier runs.
fn own_name(sandbox: &Sandbox) -> String {
    let folder = sandbox.root().file_name().unwrap();
    folder.to_str().unwrap().to_owned()
}

fn lease(session: &str) -> String {
    format!(
        "[leases.aws]\ntype = \"aws-sts\"\nregion = \"eu-central-1\"\nrole_arn = \"{ROLE}\"\n\
         duration = \"1h\"\nsession_name = \"{session}\"\n"
    )
}

fn plain_secrets(more: &str) -> String {
    format!(
        "[providers]\nplain = {{ type = \"plain\" }}\n[secrets]\n\
         AWS_ACCESS_KEY_ID = {{ provider = \"plain\", value = \"{ID}\"{more} }}\n\
         AWS_SECRET_ACCESS_KEY = {{ provider = \"plain\", value = \"{SECRET}\"{more} }}\n"
    )
}

fn aws(sandbox: &Sandbox, moto: &Moto) -> Invocation {
    let aws = services::aws_cli();
    let arguments = [
        "exec",
        "--",
        aws.to_str().unwrap(),
        "sts",
        "get-caller-identity",
    ];
    sandbox.run(arguments).envs(moto.client_variables())
}

fn boto3(sandbox: &Sandbox, moto: &Moto) -> Invocation {
    let python = services::boto3_python();
    let arguments = ["exec", "--", python.to_str().unwrap(), "-c", SCRIPT];
    sandbox.run(arguments).envs(moto.client_variables())
}

#[track_caller]
fn assert_aws_is(run: &Run, role: &str, session: &str) {
    let arn = format!("arn:aws:sts::123456789012:assumed-role/{role}/{session}");
    assert_eq!(json(&run.stdout)["Arn"], arn.as_str(), "{run}");
}

#[track_caller]
fn assert_boto3_is(run: &Run, role: &str, session: &str) {
    let line = format!("ARN arn:aws:sts::123456789012:assumed-role/{role}/{session}");
    assert!(run.stdout.lines().any(|other| other == line), "{run}");
    assert!(
        !run.stdout.contains(SECRET) && !run.stdout.contains(ID),
        "{run}"
    );
}

/// How many sessions of this name moto has issued.
fn sessions(moto: &Moto, name: &str) -> usize {
    // It fails when it shows its tables while another test changes them.
    let document = until_some("moto's tables", Duration::from_secs(30), || tables(moto));
    let issued = document["sts"]["AssumedRole"].as_array().cloned();
    let issued = issued.unwrap_or_default();
    issued
        .iter()
        .filter(|role| role["session_name"] == name)
        .count()
}

/// All that moto knows.
fn tables(moto: &Moto) -> Option<Value> {
    let address = moto.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let request =
        format!("GET /moto-api/data.json HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).ok()
}

#[test]
#[ignore = "needs moto"]
fn the_aws_cli_is_the_assumed_role_by_masters_that_are_age_secrets() {
    let moto = services::moto();
    let sandbox = with_age();
    let name = own_name(&sandbox);
    let text = sandbox.read("fnox.toml");
    sandbox.write("fnox.toml", format!("{text}\n{}", lease(&name)));
    for (key, value) in [("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET)] {
        let set = sandbox.run(["set", key, "--provider", "age"]);
        set.stdin(value).finish().succeeds();
    }
    let run = aws(&sandbox, &moto).finish().succeeds();
    assert_aws_is(&run, "dev-role", &name);
    let run = boto3(&sandbox, &moto).finish().succeeds();
    assert_boto3_is(&run, "dev-role", &name);
    assert_eq!(sessions(&moto, &name), 1);
}

#[test]
#[ignore = "needs moto"]
fn a_boto3_script_is_the_assumed_role_by_masters_that_are_plain_secrets() {
    let moto = services::moto();
    let sandbox = sandbox();
    let name = own_name(&sandbox);
    sandbox.write(
        "fnox.toml",
        format!("{}{}", plain_secrets(""), lease(&name)),
    );
    let run = boto3(&sandbox, &moto).finish().succeeds();
    assert_boto3_is(&run, "dev-role", &name);
    sandbox.write(
        "fnox.toml",
        format!("{}{}", plain_secrets(", env = false"), lease(&name)),
    );
    let run = boto3(&sandbox, &moto).finish().succeeds();
    assert_boto3_is(&run, "dev-role", &name);
}

#[test]
#[ignore = "needs moto"]
fn clients_are_the_assumed_role_by_masters_of_the_environment() {
    let moto = services::moto();
    let sandbox = sandbox()
        .with_env("AWS_ACCESS_KEY_ID", ID)
        .with_env("AWS_SECRET_ACCESS_KEY", SECRET);
    let name = own_name(&sandbox);
    sandbox.write("fnox.toml", lease(&name));
    let run = aws(&sandbox, &moto).finish().succeeds();
    assert_aws_is(&run, "dev-role", &name);
    let run = boto3(&sandbox, &moto).finish().succeeds();
    assert_boto3_is(&run, "dev-role", &name);
}

#[test]
#[ignore = "needs moto"]
fn clients_are_the_assumed_role_by_masters_of_an_aws_profile() {
    let moto = services::moto();
    let sandbox = sandbox();
    let name = own_name(&sandbox);
    let credentials = sandbox.home().join(".aws/credentials");
    let section = |name: &str| {
        format!("[{name}]\naws_access_key_id = {ID}\naws_secret_access_key = {SECRET}\n")
    };
    sandbox.write(
        &credentials,
        format!("{}{}", section("default"), section("work")),
    );
    sandbox.write("fnox.toml", lease(&name));
    let run = aws(&sandbox, &moto).finish().succeeds();
    assert_aws_is(&run, "dev-role", &name);
    let run = boto3(&sandbox, &moto)
        .env("AWS_PROFILE", "work")
        .finish()
        .succeeds();
    assert_boto3_is(&run, "dev-role", &name);
    assert!(!run.stdout.contains("AWS_PROFILE"), "{run}");
    assert_eq!(sessions(&moto, &name), 2);
}

#[test]
#[ignore = "needs moto"]
fn another_role_other_masters_and_a_revocation_make_another_session() {
    let moto = services::moto();
    let sandbox = sandbox();
    let name = own_name(&sandbox);
    let text = format!("{}{}", plain_secrets(""), lease(&name));
    sandbox.write("fnox.toml", &text);
    aws(&sandbox, &moto).finish().succeeds();
    assert_eq!(sessions(&moto, &name), 1);
    sandbox.write("fnox.toml", text.replace("dev-role", "ops-role"));
    let run = aws(&sandbox, &moto).finish().succeeds();
    assert_aws_is(&run, "ops-role", &name);
    assert_eq!(sessions(&moto, &name), 2);
    sandbox.write("fnox.toml", text.replace(ID, "AKIAI44QH8DHBEXAMPLE"));
    aws(&sandbox, &moto).finish().succeeds();
    assert_eq!(sessions(&moto, &name), 3);
    sandbox.write("fnox.toml", &text);
    aws(&sandbox, &moto).finish().succeeds();
    assert_eq!(sessions(&moto, &name), 3);
    let revoke = sandbox.run(["lease", "revoke", "--all"]);
    revoke.envs(moto.client_variables()).finish().succeeds();
    aws(&sandbox, &moto).finish().succeeds();
    assert_eq!(sessions(&moto, &name), 4);
}

#[test]
#[ignore = "needs moto"]
fn sixty_four_runs_at_once_make_one_session_of_moto() {
    let moto = services::moto();
    let sandbox = sandbox();
    let name = own_name(&sandbox);
    sandbox.write(
        "fnox.toml",
        format!("{}{}", plain_secrets(""), lease(&name)),
    );
    let running: Vec<Running> = (0..64)
        .map(|_| {
            let run = sandbox.run(["exec", "--", "true"]);
            run.envs(moto.client_variables()).start()
        })
        .collect();
    for run in running {
        run.finish().succeeds();
    }
    assert_eq!(sessions(&moto, &name), 1);
}

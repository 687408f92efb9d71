//! The STS stand-in over HTTP: with bare sockets, with boto3 and with the AWS CLI.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use fnox_testkit::stand_in::sts::{AccessKey, Account, Behaviour, Sts};
use fnox_testkit::{Sandbox, services};

/// Sends one form and returns everything that comes back within `limit`.
fn post(sts: &Sts, form: &str, limit: Duration) -> String {
    let host = sts.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(limit)).unwrap();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A time limit or a closed connection ends the answer.
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn web_identity_form() -> String {
    format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName=ci\
         &WebIdentityToken=token-1",
        Account::DEV_ROLE
    )
}

#[test]
fn misbehaves_as_it_is_told_and_counts_each_call() {
    let sts = Sts::start();
    sts.change(|account| {
        let identity = ("token-1".to_owned(), "repo:me/it".to_owned());
        account.web_identities.push(identity);
    });
    let ask = |behaviour: Behaviour| {
        sts.behave(behaviour);
        post(&sts, &web_identity_form(), Duration::from_millis(500))
    };
    assert!(ask(Behaviour::Answer).contains("<AccessKeyId>ASIA"));
    assert!(ask(Behaviour::AccessDenied).starts_with("HTTP/1.1 403"));
    assert!(ask(Behaviour::InternalFailure).starts_with("HTTP/1.1 500"));
    assert!(ask(Behaviour::Garbage).contains("no XML"));
    assert!(!ask(Behaviour::EmptyAnswer).contains("AccessKeyId"));
    assert!(ask(Behaviour::Redirect).contains("location: http://127.0.0.1:9/"));
    assert_eq!(ask(Behaviour::Silence), "");
    assert_eq!(ask(Behaviour::HangUp), "");
    assert_eq!(sts.count("AssumeRoleWithWebIdentity"), 8);
    assert_eq!(sts.change(|account| account.issued().count()), 1);
    let last = sts.calls().pop().unwrap();
    assert_eq!(
        (last.status, last.parameter("WebIdentityToken")),
        (None, None)
    );
}

#[test]
fn ends_at_once_while_a_client_still_waits() {
    let sts = Sts::start();
    sts.behave(Behaviour::Silence);
    let host = sts.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\n").unwrap();
    drop(sts);
    let mut rest = Vec::new();
    drop(stream.read_to_end(&mut rest));
    assert_eq!(rest, b"");
}

const SCRIPT: &str = r#"
import boto3, botocore.exceptions, sys
role = sys.argv[1]
sts = boto3.client('sts')
print(sts.get_caller_identity()['Arn'])
answer = sts.assume_role(
    RoleArn=role, RoleSessionName='me@example.com', DurationSeconds=900, ExternalId='a/b:c',
    Tags=[{'Key': 'Team', 'Value': 'Grün + b'}], TransitiveTagKeys=['Team'],
    PolicyArns=[{'arn': 'arn:aws:iam::aws:policy/ReadOnlyAccess'}],
    Policy='{"Version": "2012-10-17", "Statement": []}')
issued = answer['Credentials']
session = boto3.client('sts', aws_access_key_id=issued['AccessKeyId'],
    aws_secret_access_key=issued['SecretAccessKey'], aws_session_token=issued['SessionToken'])
print(session.get_caller_identity()['Arn'])
wrong = boto3.client('sts', aws_access_key_id=issued['AccessKeyId'],
    aws_secret_access_key='wrong', aws_session_token=issued['SessionToken'])
try:
    wrong.get_caller_identity()
except botocore.exceptions.ClientError as error:
    print(error.response['Error']['Code'])
"#;

fn variables(sts: &Sts, key: &AccessKey) -> [(&'static str, String); 4] {
    [
        ("AWS_ENDPOINT_URL", sts.url().to_owned()),
        ("AWS_DEFAULT_REGION", "eu-central-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", key.id.clone()),
        ("AWS_SECRET_ACCESS_KEY", key.secret.clone()),
    ]
}

#[test]
#[ignore = "needs boto3"]
fn boto3_assumes_a_role_and_uses_what_it_got() {
    let sts = Sts::start();
    let alice = sts.change(|account| account.user("alice").clone());
    let sandbox = Sandbox::new(services::boto3_python());
    let run = sandbox
        .run(["-c", SCRIPT, Account::DEV_ROLE])
        .envs(variables(&sts, &alice))
        .finish()
        .succeeds();
    assert_eq!(
        run.stdout,
        "arn:aws:iam::123456789012:user/alice\n\
         arn:aws:sts::123456789012:assumed-role/dev-role/me@example.com\n\
         SignatureDoesNotMatch\n"
    );
    assert_eq!(sts.count("AssumeRole"), 1);
}

#[test]
#[ignore = "needs the AWS CLI"]
fn the_aws_cli_knows_who_it_is() {
    let sts = Sts::start();
    let bob = sts.change(|account| account.user("bob").clone());
    let sandbox = Sandbox::new(services::aws_cli());
    let run = sandbox
        .run([
            "sts",
            "get-caller-identity",
            "--query",
            "Arn",
            "--output",
            "text",
        ])
        .envs(variables(&sts, &bob))
        .finish()
        .succeeds();
    assert_eq!(run.stdout, "arn:aws:iam::123456789012:user/bob\n");
}

#[test]
#[ignore = "needs moto and the AWS CLI"]
fn moto_answers_the_aws_cli() {
    let moto = services::moto();
    let sandbox = Sandbox::new(services::aws_cli());
    let run = sandbox
        .run([
            "sts",
            "get-caller-identity",
            "--query",
            "Account",
            "--output",
            "text",
        ])
        .envs(moto.client_variables())
        .env("AWS_ACCESS_KEY_ID", "testing")
        .env("AWS_SECRET_ACCESS_KEY", "testing")
        .finish()
        .succeeds();
    assert_eq!(run.stdout, "123456789012\n");
}

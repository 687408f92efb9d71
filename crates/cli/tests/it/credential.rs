//! `fnox credential`: helpers that other programs call.

use std::time::Duration;

use fnox_testkit::stand_in::sts::Behaviour;
use fnox_testkit::{Invocation, Running, Sandbox};

use crate::lease_support::World;
use crate::support::{json, sandbox};

const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln";

/// A lease of type `command` that leaves a mark for each mint.
fn with_command(variables: &str) -> Sandbox {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", lease("l", variables));
    sandbox
}

fn lease(name: &str, variables: &str) -> String {
    format!(
        "[leases.{name}]\ntype = \"command\"\nconsumes = []\ncreate_command = '''\necho x >> {name}.mints\n\
         printf '%s' '{{\"credentials\":{{{variables}}},\"expires_at\":\"2999-01-02T03:04:05Z\"}}'\n'''\n"
    )
}

fn mints(sandbox: &Sandbox) -> usize {
    let text = std::fs::read_to_string(sandbox.project().join("l.mints"));
    text.unwrap_or_default().lines().count()
}

fn credential(sandbox: &Sandbox, arguments: &[&str]) -> Invocation {
    sandbox.run([&["credential"], arguments].concat())
}

#[test]
fn an_aws_program_is_given_the_session_and_finds_it_again() {
    let world = World::with_secrets();
    let run = credential(&world.sandbox, &["aws", "aws"])
        .finish()
        .succeeds();
    let [id, secret, token] = world.issued();
    let document = json(&run.stdout);
    assert_eq!(document["Version"], 1);
    assert_eq!(document["AccessKeyId"], id.as_str());
    assert_eq!(document["SecretAccessKey"], secret.as_str());
    assert_eq!(document["SessionToken"], token.as_str());
    assert!(document["Expiration"].as_str().unwrap().ends_with('Z'));
    assert!(run.stderr.is_empty(), "{run}");
    let again = credential(&world.sandbox, &["aws", "aws"])
        .finish()
        .succeeds();
    assert_eq!(again.stdout, run.stdout);
    assert_eq!(world.mints(), 1);
}

#[test]
fn two_hundred_programs_at_once_make_one_session() {
    let world = World::with_secrets();
    world
        .sts
        .behave(Behaviour::AnswerAfter(Duration::from_millis(300)));
    let running: Vec<Running> = (0..200)
        .map(|_| {
            credential(&world.sandbox, &["aws", "aws"])
                .limit(Duration::from_secs(110))
                .start()
        })
        .collect();
    let mut answers: Vec<String> = running
        .into_iter()
        .map(|run| run.finish().succeeds().stdout)
        .collect();
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(world.mints(), 1);
    assert_eq!(world.listed().len(), 1);
}

#[test]
fn a_program_is_told_why_there_is_nothing_and_nothing_else() {
    let world = World::with_secrets();
    world.sts.behave(Behaviour::AccessDenied);
    let run = credential(&world.sandbox, &["aws", "aws"]).finish();
    assert_ne!(run.code, Some(0));
    assert!(run.stdout.is_empty(), "{run}");
    let [_, (_, secret)] = world.keys("alice");
    world.sandbox.assert_no_leak(&secret, &[&run]);
    let sandbox = with_command("\"A\": \"1\"");
    let run = credential(&sandbox, &["aws", "l"]).finish().exits_with(2);
    assert!(run.stderr.contains("AWS_ACCESS_KEY_ID"), "{run}");
    let run = credential(&sandbox, &["aws", "nothing"]).finish();
    assert!(run.stderr.contains("nothing"), "{run}");
}

#[test]
fn the_project_is_found_from_everywhere() {
    let sandbox = with_command("\"T\": \"secret-1\"");
    let project = sandbox.project();
    let run = sandbox
        .run([
            "credential",
            "--project",
            project.to_str().unwrap(),
            "kubernetes",
            "l",
        ])
        .within("/")
        .finish()
        .succeeds();
    assert_eq!(json(&run.stdout)["status"]["token"], "secret-1");
    let run = sandbox
        .run(["credential", "kubernetes", "l"])
        .within("/")
        .finish();
    assert_ne!(run.code, Some(0));
}

#[test]
fn kubectl_gets_an_exec_credential_for_its_cluster() {
    let sandbox = with_command("\"T\": \"secret-1\"");
    let info = |server: &str| {
        format!(
            r#"{{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{{"interactive":false,"cluster":{{"server":"{server}"}}}}}}"#
        )
    };
    let ask = |server: &str, arguments: &[&str]| {
        credential(&sandbox, arguments)
            .env("KUBERNETES_EXEC_INFO", info(server))
            .finish()
    };
    let only = ["kubernetes", "l", "--server", "https://k8s.example:6443"];
    let run = ask("https://k8s.example:6443", &only).succeeds();
    assert_eq!(
        json(&run.stdout),
        serde_json::json!({
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "kind": "ExecCredential",
            "status": {"token": "secret-1", "expirationTimestamp": "2999-01-02T03:04:05Z"},
        })
    );
    let run = ask("https://evil.example", &only).exits_with(2);
    assert!(
        run.stdout.is_empty() && run.stderr.contains("evil.example"),
        "{run}"
    );
    let run = credential(&sandbox, &only).finish().exits_with(2);
    assert!(run.stderr.contains("provideClusterInfo"), "{run}");
    let run = credential(&sandbox, &["kubernetes", "l"])
        .env("KUBERNETES_EXEC_INFO", "{}")
        .finish();
    assert_ne!(run.code, Some(0));
    assert!(run.stdout.is_empty(), "{run}");
}

#[test]
fn google_gets_a_subject_token_or_a_failure_in_its_words() {
    let sandbox = with_command(&format!("\"T\": \"{JWT}\""));
    let run = credential(&sandbox, &["gcp", "l"]).finish().succeeds();
    let document = json(&run.stdout);
    assert_eq!(document["id_token"], JWT);
    assert_eq!(document["success"], true);
    assert_eq!(document["expiration_time"], 32_472_241_445_i64);
    let other = with_command("\"T\": \"ya29.opaque\"");
    let run = credential(&other, &["gcp", "l"]).finish().exits_with(2);
    // Both streams are one for Google's libraries.
    assert!(run.stderr.is_empty(), "{run}");
    let document = json(&run.stdout);
    assert_eq!(document["success"], false);
    assert!(
        document["message"].as_str().unwrap().contains("endpoint"),
        "{run}"
    );
    assert!(!run.stdout.contains("opaque"), "{run}");
}

#[test]
fn docker_gets_a_credential_for_its_registry_and_no_other() {
    let sandbox = with_command("\"T\": \"secret-1\"");
    let ask = |operation: &str, input: &str| {
        let arguments = [
            "docker",
            "l",
            "--host",
            "ghcr.io",
            "--username",
            "me",
            operation,
        ];
        credential(&sandbox, &arguments).stdin(input).finish()
    };
    let run = ask("get", "https://ghcr.io").succeeds();
    assert_eq!(
        run.stdout,
        "{\"ServerURL\":\"https://ghcr.io\",\"Username\":\"me\",\"Secret\":\"secret-1\"}\n"
    );
    for other in [
        "https://index.docker.io/v1/",
        "ghcr.io:5000",
        "evil-ghcr.io",
    ] {
        let run = ask("get", other).exits_with(1);
        assert_eq!(
            run.stdout, "credentials not found in native keychain\n",
            "{other}"
        );
    }
    assert_eq!(
        ask("get", "").exits_with(1).stdout,
        "no credentials server URL\n"
    );
    assert!(
        ask("get", "http://ghcr.io")
            .exits_with(1)
            .stdout
            .contains("https")
    );
    assert_eq!(ask("list", "").succeeds().stdout, "{\"ghcr.io\":\"me\"}\n");
    let stored = r#"{"ServerURL":"ghcr.io","Username":"me","Secret":"long-lived"}"#;
    assert!(ask("store", stored).succeeds().stdout.is_empty());
    assert!(ask("erase", "ghcr.io").succeeds().stdout.is_empty());
    assert!(
        ask("version", "")
            .succeeds()
            .stdout
            .contains("docker-credential-fnox")
    );
    assert_eq!(mints(&sandbox), 1);
}

#[test]
fn git_gets_a_credential_for_its_host_and_over_https() {
    let sandbox = with_command("\"T\": \"secret-1\"");
    let ask = |operation: &str, input: &str| {
        credential(
            &sandbox,
            &["git", "l", "--host", "git.example:8443", operation],
        )
        .stdin(input)
        .finish()
        .succeeds()
        .stdout
    };
    let good =
        "capability[]=authtype\nprotocol=https\nhost=git.example:8443\nwwwauth[]=Basic realm=x\n\n";
    assert_eq!(
        ask("get", good),
        "username=fnox\npassword=secret-1\npassword_expiry_utc=32472241445\n"
    );
    assert_eq!(mints(&sandbox), 1);
    for other in [
        "protocol=http\nhost=git.example:8443\n\n",
        "protocol=https\nhost=git.example\n\n",
        "protocol=https\nhost=evil.example\n\n",
        "protocol=ssh\nhost=git.example:8443\n\n",
        "protocol=cert\n\n",
    ] {
        assert_eq!(ask("get", other), "", "{other}");
    }
    assert_eq!(ask("capability", ""), "version 0\n");
    for operation in ["store", "erase", "future"] {
        assert_eq!(ask(operation, good), "");
    }
    let run = credential(&sandbox, &["git", "l", "--host", "git.example", "get"])
        .stdin("protocol=https\nhost=git.example\r\n\n")
        .finish();
    assert_ne!(run.code, Some(0));
    assert!(run.stdout.is_empty(), "{run}");
}

#[test]
fn git_asks_nobody_else_when_the_mint_fails() {
    let sandbox = sandbox();
    let text = "[leases.l]\ntype = \"command\"\nconsumes = []\ncreate_command = \"exit 1\"\n";
    sandbox.write("fnox.toml", text);
    let run = credential(&sandbox, &["git", "l", "--host", "git.example"])
        .stdin("protocol=https\nhost=git.example\n\n")
        .finish();
    assert_ne!(run.code, Some(0));
    assert_eq!(run.stdout, "quit=1\n", "{run}");
}

#[test]
fn forges_have_their_hosts_and_others_must_be_told() {
    let sandbox = sandbox();
    sandbox.write(
        "fnox.toml",
        "[leases.gh]\ntype = \"github-app\"\napp_id = \"1\"\ninstallation_id = \"2\"\n\
         [leases.ghes]\ntype = \"github-app\"\napp_id = \"1\"\ninstallation_id = \"2\"\napi_base = \"https://ghe.example/api/v3\"\n\
         [leases.gl]\ntype = \"gitlab\"\nproject = \"a/b\"\nurl = \"https://gitlab.example:8443\"\n\
         [leases.l]\ntype = \"command\"\ncreate_command = \"x\"\n",
    );
    for (lease, wanted) in [
        ("gh", "{\"ghcr.io\":\"x-access-token\"}\n"),
        ("ghes", ""),
        ("gl", ""),
        ("l", ""),
    ] {
        let run = credential(&sandbox, &["docker", lease, "list"]).finish();
        assert_eq!(run.stdout, wanted, "{run}");
        if wanted.is_empty() {
            assert!(run.exits_with(2).stderr.contains("--host"));
        }
    }
    // Another host than the lease's gets no answer, and nothing is minted for it.
    for (lease, other) in [
        ("gh", "gitlab.com"),
        ("ghes", "github.com"),
        ("gl", "gitlab.com"),
    ] {
        let input = format!("protocol=https\nhost={other}\n\n");
        let run = credential(&sandbox, &["git", lease])
            .stdin(input)
            .finish()
            .succeeds();
        assert_eq!(run.stdout, "");
    }
}

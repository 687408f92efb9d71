//! `fnox credential install`: the configuration of other programs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use fnox_testkit::{Run, Sandbox};

use crate::support::{json, sandbox};

const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln";

/// A project with a lease for each helper.
fn with_leases() -> Sandbox {
    let sandbox = sandbox();
    let lease = |name: &str, variables: &str| {
        format!(
            "[leases.{name}]\ntype = \"command\"\nconsumes = []\ncreate_command = '''printf '%s' \
             '{{\"credentials\":{{{variables}}},\"expires_at\":\"2999-01-02T03:04:05Z\"}}' '''\n"
        )
    };
    let text = [
        lease(
            "aws",
            "\"AWS_ACCESS_KEY_ID\": \"A\", \"AWS_SECRET_ACCESS_KEY\": \"secret-1\", \"AWS_SESSION_TOKEN\": \"T\"",
        ),
        lease("token", "\"T\": \"secret-1\""),
        lease("jwt", &format!("\"T\": \"{JWT}\"")),
        lease("'odd name'", "\"T\": \"1\""),
    ];
    sandbox.write("fnox.toml", text.concat());
    sandbox
}

fn install(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let all = [&["credential", "install"], arguments].concat();
    sandbox.run(all).finish()
}

fn home(sandbox: &Sandbox, path: &str) -> PathBuf {
    sandbox.home().join(path)
}

fn read(sandbox: &Sandbox, path: &str) -> String {
    std::fs::read_to_string(home(sandbox, path)).unwrap()
}

/// Runs a command line as another program would, from another folder.
fn shell(sandbox: &Sandbox, line: &str) -> Run {
    sandbox.run_program("sh", ["-c", line]).within("/").finish()
}

#[test]
fn nothing_is_written_without_a_yes() {
    let sandbox = with_leases();
    let run = install(&sandbox, &["aws", "aws"]).exits_with(2);
    assert!(
        run.stderr.contains("+[profile aws]") && run.stderr.contains("--yes"),
        "{run}"
    );
    assert!(!home(&sandbox, ".aws").exists());
}

#[test]
fn an_aws_profile_calls_fnox_from_everywhere() {
    let sandbox = with_leases();
    let before = "[default]\nregion = eu-west-1\naws_secret_access_key = long-lived\n";
    sandbox.write(home(&sandbox, ".aws/config"), before);
    let run = install(&sandbox, &["aws", "aws", "--aws-profile", "dev", "--yes"]).succeeds();
    assert!(!run.stderr.contains("long-lived"), "{run}");
    let text = read(&sandbox, ".aws/config");
    assert!(
        text.starts_with(before) && text.contains("\n[profile dev]\n"),
        "{text}"
    );
    let (_, command) = text.split_once("credential_process = ").unwrap();
    let run = shell(&sandbox, command).succeeds();
    assert_eq!(json(&run.stdout)["SecretAccessKey"], "secret-1");
    let run = install(&sandbox, &["aws", "aws", "--aws-profile", "dev", "-y"]).succeeds();
    assert!(run.stderr.contains("there already"), "{run}");
    assert_eq!(read(&sandbox, ".aws/config"), text);
    let run = install(&sandbox, &["aws", "aws", "--aws-profile", "default", "-y"]).exits_with(2);
    assert!(
        run.stderr.contains("aws_secret_access_key") && !run.stderr.contains("long-lived"),
        "{run}"
    );
}

#[test]
fn the_profile_and_the_file_of_the_installation_stay() {
    let sandbox = with_leases();
    let text = sandbox.read("fnox.toml");
    sandbox.write(
        "other.toml",
        format!("{text}[profiles.production.leases.aws]\ntype = \"command\"\nconsumes = []\ncreate_command = '''printf '%s' '{{\"credentials\":{{\"AWS_ACCESS_KEY_ID\":\"P\",\"AWS_SECRET_ACCESS_KEY\":\"p\"}}}}' '''\n"),
    );
    let arguments = [
        "-c",
        "other.toml",
        "-P",
        "production",
        "credential",
        "install",
        "aws",
        "aws",
        "-y",
    ];
    sandbox.run(arguments).finish().succeeds();
    let text = read(&sandbox, ".aws/config");
    let (_, command) = text.split_once("credential_process = ").unwrap();
    let run = sandbox
        .run_program("sh", ["-c", command])
        .within("/")
        .env("FNOX_PROFILE", "staging")
        .finish()
        .succeeds();
    assert_eq!(json(&run.stdout)["AccessKeyId"], "P");
}

#[test]
fn a_kubeconfig_user_calls_fnox() {
    let sandbox = with_leases();
    let before =
        "apiVersion: v1\nkind: Config\nusers:\n- name: old\n  user:\n    token: long-lived\n";
    sandbox.write(home(&sandbox, ".kube/config"), before);
    let arguments = [
        "kubernetes",
        "token",
        "--server",
        "https://k8s.example",
        "-y",
    ];
    let run = install(&sandbox, &arguments).succeeds();
    assert!(!run.stderr.contains("long-lived"), "{run}");
    let text = read(&sandbox, ".kube/config");
    assert!(
        text.contains("- name: \"fnox-token\"") && text.ends_with("token: long-lived\n"),
        "{text}"
    );
    assert!(text.contains("provideClusterInfo: true"), "{text}");
    install(&sandbox, &arguments).succeeds();
    assert_eq!(read(&sandbox, ".kube/config"), text);
}

#[test]
fn docker_finds_its_program_for_the_registry() {
    let sandbox = with_leases();
    let before = "{\n\t\"auths\": {\n\t\t\"ghcr.io\": {\n\t\t\t\"auth\": \"bG9uZy1saXZlZA==\"\n\t\t}\n\t}\n}\n";
    sandbox.write(home(&sandbox, ".docker/config.json"), before);
    let bin = sandbox.root().join("bin");
    let run = install(
        &sandbox,
        &[
            "docker",
            "token",
            "--host",
            "ghcr.io",
            "--bin",
            bin.to_str().unwrap(),
            "-y",
        ],
    )
    .succeeds();
    assert!(
        !run.stderr.contains("bG9uZy1saXZlZA==") && !run.stderr.contains("PATH"),
        "{run}"
    );
    let config = json(&read(&sandbox, ".docker/config.json"));
    assert_eq!(config["credHelpers"]["ghcr.io"], "fnox-token");
    assert_eq!(config["auths"]["ghcr.io"]["auth"], "bG9uZy1saXZlZA==");
    let program = bin.join("docker-credential-fnox-token");
    assert_eq!(
        program.metadata().unwrap().permissions().mode() & 0o777,
        0o755
    );
    let run = sandbox
        .run_program(&program, ["get"])
        .within("/")
        .stdin("ghcr.io")
        .finish()
        .succeeds();
    assert_eq!(json(&run.stdout)["Secret"], "secret-1");
}

#[test]
fn git_asks_fnox_alone_for_the_host() {
    let sandbox = with_leases();
    let before = "# mine\n[user]\n\tname = me\n[credential]\n\thelper = store\n";
    sandbox.write(home(&sandbox, ".gitconfig"), before);
    let arguments = ["git", "token", "--host", "git.example", "-y"];
    install(&sandbox, &arguments).succeeds();
    let text = read(&sandbox, ".gitconfig");
    assert!(text.starts_with(before), "{text}");
    install(&sandbox, &arguments).succeeds();
    assert_eq!(read(&sandbox, ".gitconfig"), text);
    let git = |arguments: &[&str], input: &str| {
        sandbox
            .run_program("git", arguments)
            .within("/")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(input)
            .finish()
    };
    let run = git(&["credential", "fill"], "url=https://git.example/a.git\n\n").succeeds();
    assert!(run.stdout.contains("password=secret-1\n"), "{run}");
    // What git got is not kept by the helper of wider scope.
    git(&["credential", "approve"], &run.stdout).succeeds();
    assert!(!home(&sandbox, ".git-credentials").exists());
    let run = git(
        &["credential", "fill"],
        "url=https://other.example/a.git\n\n",
    );
    assert!(!run.stdout.contains("secret-1"), "{run}");
}

#[test]
fn google_is_told_what_to_run() {
    let sandbox = with_leases();
    let audience =
        "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q";
    let arguments = [
        "gcp",
        "jwt",
        "--audience",
        audience,
        "--service-account",
        "a@b.iam.gserviceaccount.com",
        "--file",
        "adc.json",
        "-y",
    ];
    install(&sandbox, &arguments).succeeds();
    let document = json(&sandbox.read("adc.json"));
    assert_eq!(document["audience"], audience);
    let command = document["credential_source"]["executable"]["command"]
        .as_str()
        .unwrap();
    let run = shell(&sandbox, command).succeeds();
    assert_eq!(json(&run.stdout)["id_token"], JWT);
    sandbox.write(
        "adc.json",
        "{\"type\":\"service_account\",\"private_key\":\"long-lived\"}",
    );
    let run = install(&sandbox, &arguments).exits_with(2);
    assert!(!run.stderr.contains("long-lived"), "{run}");
}

#[test]
fn names_that_do_not_fit_everywhere_are_refused() {
    let sandbox = with_leases();
    for kind in ["aws", "kubernetes"] {
        let run = install(&sandbox, &[kind, "odd name", "-y"]).exits_with(2);
        assert!(run.stderr.contains("odd name"), "{run}");
    }
    let run = install(&sandbox, &["docker", "token", "-y"]).exits_with(2);
    assert!(run.stderr.contains("--host"), "{run}");
}

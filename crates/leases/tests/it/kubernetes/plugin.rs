//! Programs that log in.

use std::os::unix::fs::PermissionsExt as _;

use fnox_core::ExitStatus;
use fnox_testkit::stand_in::issuer::Issuer;
use fnox_testkit::stand_in::kubernetes::Kubernetes;
use serde_json::{Value, json};

use super::{Folder, kubeconfig, no_complaints, project};
use crate::support::{Project, minted};

const V1: &str = "client.authentication.k8s.io/v1";
const V1BETA1: &str = "client.authentication.k8s.io/v1beta1";

/// A project whose user logs in with this script, which is next to the kubeconfig.
fn with_plugin(server: &str, script: &str, more: &str) -> (Folder, Project) {
    let folder = Folder::new();
    let user = format!("    exec:\n      command: ./bin/login\n{more}");
    let config = folder.write("config", &kubeconfig(server, "", &user));
    let program = folder.write("bin/login", &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let project = project("", &[("KUBECONFIG", config.to_str().unwrap())]);
    (folder, project)
}

fn printing(version: &str, status: &Value) -> String {
    let document = json!({"apiVersion": version, "kind": "ExecCredential", "status": status});
    format!("echo '{document}'")
}

fn keys(version: &str) -> String {
    format!("      apiVersion: {version}\n      interactiveMode: IfAvailable\n")
}

#[tokio::test]
async fn a_program_is_run_as_kubectl_runs_it() {
    let server = Issuer::start(Kubernetes::new());
    for version in [V1, V1BETA1] {
        let script = format!(
            "printf '%s' \"$KUBERNETES_EXEC_INFO\" > \"${{0%/*}}/info\"\n\
             [ \"$1 $2 $WHO\" = '--as one two ada' ] || exit 7\n[ ! -t 0 ] || exit 8\n{}",
            printing(version, &json!({"token": Kubernetes::USER_TOKEN}))
        );
        let more = format!(
            "{}      args: ['--as', 'one two']\n      env:\n      - {{name: WHO, value: ada}}\n      provideClusterInfo: true\n",
            keys(version)
        );
        let (folder, project) = with_plugin(server.url(), &script, &more);
        minted(project.exec("x").await.unwrap());
        let info = std::fs::read_to_string(folder.path().join("bin/info")).unwrap();
        let info: Value = serde_json::from_str(&info).unwrap();
        assert_eq!(
            info,
            json!({
                "apiVersion": version,
                "kind": "ExecCredential",
                "spec": {"interactive": false, "cluster": {"server": server.url()}},
            })
        );
    }
    no_complaints(&server);
}

#[tokio::test]
async fn what_a_program_may_not_do_is_an_error_without_its_output() {
    let server = Issuer::start(Kubernetes::new());
    let good = json!({"token": Kubernetes::USER_TOKEN});
    let cases = [
        (
            "echo not logged in >&2; exit 1".to_owned(),
            keys(V1),
            "not logged in",
        ),
        (
            format!("echo {}", Kubernetes::USER_TOKEN),
            keys(V1),
            "did not print an ExecCredential",
        ),
        (printing(V1BETA1, &good), keys(V1), "another version"),
        (printing(V1, &json!({})), keys(V1), "neither a token"),
        (
            printing(V1, &json!({"clientCertificateData": "x"})),
            keys(V1),
            "without its key",
        ),
        (
            printing(V1, &good),
            format!("      apiVersion: {V1}\n"),
            "interactiveMode",
        ),
        (
            printing(V1, &good),
            format!("      apiVersion: {V1}\n      interactiveMode: Always\n"),
            "at a terminal only",
        ),
        (
            printing(V1, &good),
            keys("client.authentication.k8s.io/v1alpha1"),
            "does not speak",
        ),
    ];
    for (script, more, wanted) in cases {
        let (_folder, project) = with_plugin(server.url(), &script, &more);
        let error = project.exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
        assert!(error.to_string().contains(wanted), "{wanted}: {error}");
        assert!(!format!("{error:?}").contains(Kubernetes::USER_TOKEN));
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_with_its_own_hint() {
    let server = Issuer::start(Kubernetes::new());
    let user = format!(
        "    exec:\n      command: no-such-login-program\n      installHint: run the installer\n{}",
        keys(V1)
    );
    let (_folder, project) = super::reading(&kubeconfig(server.url(), "", &user), "");
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
    let told = format!("{error} {:?}", error.help());
    assert!(told.contains("run the installer"), "{told}");
}

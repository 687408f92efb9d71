//! Files as kubectl reads them.

use fnox_core::ExitStatus;
use fnox_testkit::stand_in::issuer::Issuer;
use fnox_testkit::stand_in::kubernetes::Kubernetes;

use super::{Folder, kubeconfig, no_complaints, project, reading, token, with_token};
use crate::support::minted;

#[tokio::test]
async fn of_several_files_the_first_one_that_has_an_entry_counts() {
    let server = Issuer::start(Kubernetes::new());
    let folder = Folder::new();
    let first = folder.write(
        "first",
        "current-context: here\nusers:\n- name: u\n  user: {tokenFile: secrets/token}\n",
    );
    folder.write("secrets/token", &format!("{}\n", Kubernetes::USER_TOKEN));
    let second = with_token(server.url())
        .replace(Kubernetes::USER_TOKEN, "token-of-the-second")
        .replace("current-context: here", "current-context: elsewhere");
    let second = folder.write("second", &second);
    let list = format!(
        "{}:/nonexistent/config::{}",
        first.display(),
        second.display()
    );
    let held = minted(
        project("", &[("KUBECONFIG", &list)])
            .exec("x")
            .await
            .unwrap(),
    );
    assert_eq!(token(&held).split('.').count(), 3);
    no_complaints(&server);
}

#[tokio::test]
async fn the_home_folders_file_is_read_where_no_variable_names_one() {
    let server = Issuer::start(Kubernetes::new());
    let project = project("", &[]);
    std::fs::create_dir(project.root.join(".kube")).unwrap();
    std::fs::write(project.root.join(".kube/config"), with_token(server.url())).unwrap();
    minted(project.exec("x").await.unwrap());
    no_complaints(&server);
}

#[tokio::test]
async fn the_leases_own_context_and_namespace_count_before_the_files() {
    let server = Issuer::start(Kubernetes::new());
    let text = with_token(server.url())
        .replace("current-context: here", "current-context: gone")
        .replace("namespace: apps", "namespace: nowhere");
    let (_folder, named) = reading(&text, "context = 'here'\nnamespace = 'default'");
    minted(named.exec("x").await.unwrap());
    let claims = server.change(|server| server.issued()[0].clone());
    assert_eq!(claims["sub"], "system:serviceaccount:default:deploy");
    let (_folder, unnamed) = reading(&text, "");
    let error = unnamed.exec("x").await.unwrap_err();
    assert!(
        error.to_string().contains("has no context `gone`"),
        "{error}"
    );
}

#[tokio::test]
async fn what_fnox_does_not_do_is_refused_and_not_left_out() {
    let server = Issuer::start(Kubernetes::new());
    let token = format!("    token: {}\n", Kubernetes::USER_TOKEN);
    let url = server.url();
    let cases = [
        (
            kubeconfig(url, "", &format!("{token}    as: admin\n")),
            "`as`",
        ),
        (
            kubeconfig(url, "", &format!("{token}    as-groups: [a]\n")),
            "`as-groups`",
        ),
        (
            kubeconfig(url, "", "    username: a\n    password: hunter22\n"),
            "`username`",
        ),
        (
            kubeconfig(url, "", "    auth-provider: {name: gcp}\n"),
            "`auth-provider`",
        ),
        (
            kubeconfig(url, "    proxy-url: http://127.0.0.1:1\n", &token),
            "`proxy-url`",
        ),
        (
            kubeconfig(
                "https://cluster.example.com",
                "    insecure-skip-tls-verify: true\n",
                &token,
            ),
            "`insecure-skip-tls-verify`",
        ),
        (
            kubeconfig("http://cluster.example.com", "", &token),
            "`server`",
        ),
        (
            kubeconfig(url, "    tls-server-name: kubernetes\n", &token),
            "`tls-server-name`",
        ),
        (
            kubeconfig(url, "    certificate-authority-data: '%%%'\n", &token),
            "not base64",
        ),
        (
            kubeconfig(url, "    certificate-authority: gone.crt\n", &token),
            "gone.crt",
        ),
        (
            kubeconfig(url, "", "    client-certificate-data: YQ==\n"),
            "without its key",
        ),
        ("users: {a: [\n".to_owned(), "no kubeconfig in YAML"),
        ("clusters: []\n".to_owned(), "no current-context"),
    ];
    for (text, wanted) in cases {
        let (_folder, project) = reading(&text, "");
        let error = project.exec("x").await.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::AuthenticationNeeded);
        assert!(error.to_string().contains(wanted), "{wanted}: {error}");
        let told = format!("{error:?}");
        assert!(!told.contains(Kubernetes::USER_TOKEN) && !told.contains("hunter22"));
    }
    assert_eq!(server.requests().len(), 0);
}

//! Providers at Google Cloud and Azure from the command line, with their own logins, against stand-ins.

use fnox_testkit::Sandbox;
use fnox_testkit::stand_in::azure::Azure;
use fnox_testkit::stand_in::gcp::Gcp;
use fnox_testkit::stand_in::issuer::Issuer;
use fnox_testkit::stand_in::jwt;

use crate::support::sandbox;

const VALUE: &str = "correct horse battery staple";
const KEY: &str = "projects/shop-1/locations/global/keyRings/team/cryptoKeys/fnox";

/// Sets, reads and runs with a value in each provider of a project, and looks for it, and for what logs in, where it must not be.
#[track_caller]
fn is_at_work(sandbox: &Sandbox, secret_of_login: &str, providers: &[&str]) {
    let mut runs = Vec::new();
    for (index, provider) in providers.iter().enumerate() {
        let name = format!("S{index}");
        let mut arguments = vec!["set", &name, "--provider", provider];
        if *provider == "sm" {
            // Stores of clouds take few characters in names.
            arguments.extend(["--key-name", "the-value"]);
        }
        let set = sandbox.run(arguments).stdin(VALUE).finish().succeeds();
        let get = sandbox.run(["get", &name]).finish().succeeds();
        assert_eq!(get.stdout, format!("{VALUE}\n"), "{get}");
        runs.push(set);
        let test = sandbox.run(["provider", "test", provider]);
        runs.push(test.finish().succeeds());
    }
    let script = "test \"$S0\" = \"$S1\" && printf %s \"$S1\"";
    let exec = sandbox.run(["exec", "--no-redact", "--", "sh", "-c", script]);
    let exec = exec.finish().succeeds();
    assert_eq!(exec.stdout, VALUE, "{exec}");
    let runs: Vec<&_> = runs.iter().collect();
    sandbox.assert_no_leak(VALUE, &runs);
    for run in runs.iter().copied().chain([&exec]) {
        assert!(!run.stdout.contains(secret_of_login), "{run}");
        assert!(!run.stderr.contains(secret_of_login), "{run}");
    }
}

#[test]
fn a_persons_login_reads_and_writes_at_google() {
    let google = Issuer::start(Gcp::new());
    let mut login = google.change(|gcp| {
        gcp.rotate(KEY);
        gcp.add_user("ada")
    });
    let url = google.url();
    login["token_uri"] = format!("{url}/token").into();
    login["quota_project_id"] = "shop-1".into();
    let sandbox = sandbox();
    let file = sandbox.write_private("adc.json", login.to_string());
    let sandbox = sandbox.with_env("GOOGLE_APPLICATION_CREDENTIALS", file);
    sandbox.write(
        "fnox.toml",
        format!(
            "[providers]\n\
             sm = {{ type = \"gcp-sm\", project = \"shop-1\", prefix = \"app-\", endpoint = \"{url}\" }}\n\
             kms = {{ type = \"gcp-kms\", project = \"shop-1\", location = \"global\", keyring = \"team\", key = \"fnox\", endpoint = \"{url}\" }}\n"
        ),
    );
    let secret = login["refresh_token"].as_str().unwrap();
    is_at_work(&sandbox, secret, &["sm", "kms"]);
    assert_eq!(google.complaints(), Vec::<String>::new());
}

#[test]
fn an_application_reads_and_writes_at_azure() {
    let (tenant, client) = ("tenant-1", "client-1");
    let azure = Issuer::start(Azure::new());
    let secret = azure.change(|azure| {
        azure.rotate_vault_key("fnox", jwt::FIRST, "RSA");
        azure.add_key_value("app/greeting", None, "hello", None);
        azure.add_secret(tenant, client)
    });
    let url = azure.url();
    let sandbox = sandbox()
        .with_env("AZURE_TENANT_ID", tenant)
        .with_env("AZURE_CLIENT_ID", client)
        .with_env("AZURE_CLIENT_SECRET", &secret)
        .with_env("AZURE_AUTHORITY_HOST", url);
    sandbox.write(
        "fnox.toml",
        format!(
            "[providers]\n\
             sm = {{ type = \"azure-sm\", vault_url = \"{url}\", prefix = \"app-\" }}\n\
             kms = {{ type = \"azure-kms\", vault_url = \"{url}\", key_name = \"fnox\" }}\n\
             ac = {{ type = \"azure-ac\", endpoint = \"{url}\", prefix = \"app/\" }}\n\
             [secrets]\nGREETING = {{ provider = \"ac\", value = \"greeting\" }}\n"
        ),
    );
    is_at_work(&sandbox, &secret, &["sm", "kms"]);
    let get = sandbox.run(["get", "GREETING"]).finish().succeeds();
    assert_eq!(get.stdout, "hello\n", "{get}");
    assert_eq!(azure.complaints(), Vec::<String>::new());
}

//! Logins for providers at clouds, against stand-ins of the clouds: providers that are at work with them.

use std::path::Path;
use std::sync::Arc;

use fnox_config::{Folders, Loader};
use fnox_core::prompt::NoPrompt;
use fnox_core::{Env, SecretName};
use fnox_leases::CloudAccounts;
use fnox_providers::{
    Accounts as _, AzureCloud, AzureLogin, Context, ErrorKind, Provider, ProviderError, Registry,
    Request, Settings,
};
use fnox_testkit::stand_in::azure::Azure;
use fnox_testkit::stand_in::gcp::Gcp;
use fnox_testkit::stand_in::issuer::Issuer;

const TENANT: &str = "4ecd6548-e33b-4b9d-9986-bd3c22986c6a";
const CLIENT: &str = "af3110ba-0ba9-4412-b1a0-59f50b7e9273";

/// A folder, which is home, and some variables.
struct Place {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Place {
    fn new(variables: &[(&'static str, &str)]) -> Self {
        let owned = |(name, value): &(&'static str, &str)| (*name, (*value).to_owned());
        Self {
            folder: tempfile::tempdir().unwrap(),
            variables: variables.iter().map(owned).collect(),
        }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn env(&self) -> Env {
        let home = self.folder.path().to_str().unwrap();
        let always = [("HOME", home), ("PATH", "/nonexistent")];
        let own = self.variables.iter();
        let own = own.map(|(name, value)| (*name, value.as_str()));
        always.into_iter().chain(own).collect()
    }

    fn context(&self) -> Context {
        let env = self.env();
        let mut context = Context::new(env.clone(), Folders::from_env(&env), Arc::new(NoPrompt));
        context.accounts = Arc::new(CloudAccounts::default());
        context
    }

    /// A provider of these keys.
    fn open(&self, keys: &str) -> Box<dyn Provider> {
        self.write("fnox.toml", &format!("[providers.p]\n{keys}\n"));
        let env = self.env();
        let folders = Folders::from_env(&env);
        let cwd: &Path = self.folder.path();
        let config = Loader {
            env: &env,
            folders: &folders,
            cwd,
            explicit: None,
            profiles: Vec::new(),
            may_create: None,
            no_defaults: false,
        }
        .load()
        .unwrap();
        let provider = config.provider("p", None).unwrap().clone();
        let render = |text: &str| Ok(text.to_owned());
        let settings = Settings::new(provider, &[].into(), &folders, render).unwrap();
        Registry.open(&settings, &self.context()).unwrap()
    }
}

async fn read(provider: &dyn Provider, reference: &str) -> Result<String, ProviderError> {
    let request = Request {
        name: SecretName::parse("A").unwrap(),
        reference: reference.to_owned(),
    };
    let answer = provider.get_many(&[request]).await.remove(0);
    answer.map(|value| value.expose_secret().to_owned())
}

fn google_table(google: &Issuer<Gcp>) -> String {
    let url = google.url();
    format!("type = \"gcp-sm\"\nproject = \"shop-1\"\nendpoint = \"{url}\"")
}

/// Google with a secret, and the file of a person's login whose token endpoint is this one.
fn google_of_a_person(quota_project: Option<&str>) -> (Issuer<Gcp>, String) {
    let google = Issuer::start(Gcp::new());
    let mut file = google.change(|gcp| {
        gcp.add_secret("shop-1", "a", b"v");
        gcp.add_user("ada")
    });
    file["token_uri"] = format!("{}/token", google.url()).into();
    if let Some(project) = quota_project {
        file["quota_project_id"] = project.into();
    }
    (google, file.to_string())
}

#[tokio::test]
async fn a_persons_login_at_google_names_the_project_that_pays() {
    for (in_file, in_env, wanted) in [
        (Some("of-file"), None, "of-file"),
        (Some("of-file"), Some("of-env"), "of-env"),
        (None, Some("of-env"), "of-env"),
    ] {
        let (google, file) = google_of_a_person(in_file);
        let mut place = Place::new(&[]);
        let path = place.write("adc.json", &file);
        place
            .variables
            .push(("GOOGLE_APPLICATION_CREDENTIALS", path));
        let project = in_env.map(|project| ("GOOGLE_CLOUD_QUOTA_PROJECT", project.to_owned()));
        place.variables.extend(project);
        let provider = place.open(&google_table(&google));
        assert_eq!(read(provider.as_ref(), "a").await.unwrap(), "v");
        let request = google.requests().pop().unwrap();
        assert_eq!(request.header("x-goog-user-project"), Some(wanted));
        assert_eq!(google.complaints(), Vec::<String>::new());
    }
    let (google, file) = google_of_a_person(None);
    let place = Place::new(&[("GCP_SERVICE_ACCOUNT_KEY", &*file)]);
    let error = read(place.open(&google_table(&google)).as_ref(), "a").await;
    let error = error.unwrap_err();
    assert!(error.remedy.unwrap().contains("set-quota-project shop-1"));
}

#[tokio::test]
async fn a_machine_of_google_reads_as_its_service_account() {
    let google = Issuer::start(Gcp::new());
    google.change(|gcp| {
        gcp.set_machine("vm@shop-1.iam.gserviceaccount.com");
        gcp.add_secret("shop-1", "a", b"v");
    });
    let host = google.url().strip_prefix("http://").unwrap();
    let place = Place::new(&[("GCE_METADATA_HOST", host)]);
    let provider = place.open(&google_table(&google));
    assert_eq!(read(provider.as_ref(), "a").await.unwrap(), "v");
    let access = CloudAccounts::default().google(&place.context()).await;
    let access = access.unwrap();
    assert!(access.token.expires_at.is_some());
    assert_eq!(access.universe, "googleapis.com");
    assert_eq!(google.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn without_a_login_the_command_that_logs_in_is_told() {
    let place = Place::new(&[("NO_GCE_CHECK", "true")]);
    let google = Issuer::start(Gcp::new());
    let provider = place.open(&google_table(&google));
    let error = read(provider.as_ref(), "a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    assert!(
        error
            .message
            .contains("gcloud auth application-default login")
    );
    assert!(error.message.contains("GOOGLE_APPLICATION_CREDENTIALS"));
    let azure = Issuer::start(Azure::new());
    let provider = place.open(&azure_table(&azure, ""));
    let error = read(provider.as_ref(), "a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    assert!(error.message.contains("az login"), "{error}");
    assert_eq!(google.requests().len() + azure.requests().len(), 0);
}

fn azure_table(azure: &Issuer<Azure>, more: &str) -> String {
    let url = azure.url();
    format!("type = \"azure-sm\"\nvault_url = \"{url}\"\n{more}")
}

/// Azure with a secret, and a client secret of an application.
fn azure() -> (Issuer<Azure>, String) {
    let azure = Issuer::start(Azure::new());
    let secret = azure.change(|azure| {
        azure.add_vault_secret("a", "v");
        azure.add_identity("user-assigned");
        azure.add_secret(TENANT, CLIENT)
    });
    (azure, secret)
}

#[tokio::test]
async fn an_application_reads_from_a_vault() {
    let (azure, secret) = azure();
    let place = Place::new(&[
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_CLIENT_SECRET", &*secret),
        ("AZURE_AUTHORITY_HOST", azure.url()),
    ]);
    for more in ["", "auth = \"client-secret\"", "auth = \"client_secret\""] {
        let provider = place.open(&azure_table(&azure, more));
        assert_eq!(read(provider.as_ref(), "a").await.unwrap(), "v", "{more}");
    }
    let wrong = Place::new(&[
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_CLIENT_SECRET", "not-the-secret"),
        ("AZURE_AUTHORITY_HOST", azure.url()),
    ]);
    let provider = wrong.open(&azure_table(&azure, ""));
    let error = read(provider.as_ref(), "a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    assert!(!format!("{error:?}").contains("not-the-secret"));
    assert_eq!(azure.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_machine_of_azure_reads_as_the_identity_that_the_provider_names() {
    let (azure, _) = azure();
    let endpoint = format!("{}/msi/token", azure.url());
    let header = azure.change(|azure| azure.identity_header().to_owned());
    let place = Place::new(&[
        ("IDENTITY_ENDPOINT", &*endpoint),
        ("IDENTITY_HEADER", &*header),
    ]);
    let named = "auth = \"managed-identity\"\nmanaged_identity_client_id = \"user-assigned\"";
    let provider = place.open(&azure_table(&azure, named));
    assert_eq!(read(provider.as_ref(), "a").await.unwrap(), "v");
    let other = named.replace("user-assigned", "nobody");
    let provider = place.open(&azure_table(&azure, &other));
    let error = read(provider.as_ref(), "a").await.unwrap_err();
    assert_eq!(error.key, Some("managed_identity_client_id"), "{error}");
    assert_eq!(azure.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn an_unknown_way_to_log_in_is_named() {
    let login = AzureLogin {
        scope: "https://vault.azure.net/.default".to_owned(),
        cloud: AzureCloud::China,
        auth: Some("password".to_owned()),
        managed_identity: None,
    };
    let context = Place::new(&[]).context();
    let outcome = CloudAccounts::default().azure(&context, &login).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    assert_eq!(error.key, Some("auth"));
    assert!(error.remedy.unwrap().contains("managed-identity"));
}

//! `azure-sm`, `azure-kms` and `azure-ac` against a stand-in of Azure, and against servers that hang, fail or talk nonsense.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fnox_core::SecretString;
use fnox_providers::{
    AccessToken, Accounts, AzureCloud, AzureLogin, Context, ErrorKind, GoogleAccess, NoAccounts,
    Provider, ProviderError,
};
use fnox_testkit::stand_in::azure::Azure;
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaviour};
use fnox_testkit::stand_in::jwt;

use crate::bad_server::TOO_SLOW;
use crate::conformance::{Backend, Checked, Kind, check};
use crate::kinds;
use crate::world::{World, named, pair, read, request};

const KINDS: [&str; 3] = ["azure-sm", "azure-kms", "azure-ac"];
const VAULT_REFERENCE: &str = "application/vnd.microsoft.appconfig.keyvaultref+json;charset=utf-8";

/// Somebody who is logged in for some resources, and what was asked for.
#[derive(Debug, Default)]
struct LoggedIn {
    tokens: BTreeMap<&'static str, String>,
    asked: Mutex<Vec<AzureLogin>>,
}

#[async_trait]
impl Accounts for LoggedIn {
    async fn google(&self, _: &Context) -> Result<GoogleAccess, ProviderError> {
        Err(ProviderError::unavailable("not Google"))
    }

    async fn azure(&self, _: &Context, login: &AzureLogin) -> Result<AccessToken, ProviderError> {
        self.asked.lock().unwrap().push(login.clone());
        let resource = login.scope.strip_suffix("/.default").unwrap();
        let token = self.tokens.get(resource);
        let none = || ProviderError::authentication(format!("no token for {resource}"));
        Ok(AccessToken {
            value: token.ok_or_else(none)?.as_str().into(),
            expires_at: None,
        })
    }
}

/// Azure, and a world in which somebody is logged in there.
struct Cloud {
    azure: Issuer<Azure>,
    world: World,
    login: Arc<LoggedIn>,
}

impl Cloud {
    fn new() -> Self {
        let azure = Issuer::start(Azure::new());
        let tokens = azure.change(|azure| {
            azure.rotate_vault_key("fnox", jwt::FIRST, "RSA");
            [Azure::VAULT, Azure::CONFIGURATION]
                .map(|resource| (resource, azure.log_in("ci", resource)))
        });
        Self::of(azure, tokens.into())
    }

    fn of(azure: Issuer<Azure>, tokens: BTreeMap<&'static str, String>) -> Self {
        let login = Arc::new(LoggedIn {
            tokens,
            asked: Mutex::default(),
        });
        let mut world = World::new();
        world.accounts = Arc::clone(&login) as Arc<dyn Accounts>;
        Self {
            azure,
            world,
            login,
        }
    }

    fn table(&self, kind: &str) -> String {
        let url = self.azure.url();
        match kind {
            "azure-sm" => format!("type = \"{kind}\"\nvault_url = \"{url}\"\nprefix = \"app-\""),
            "azure-kms" => {
                format!("type = \"{kind}\"\nvault_url = \"{url}/\"\nkey_name = \"fnox\"")
            }
            _ => format!("type = \"{kind}\"\nendpoint = \"{url}\"\nprefix = \"app/\""),
        }
    }

    fn open(&self, kind: &str) -> Box<dyn Provider> {
        self.world.open(&self.table(kind))
    }

    async fn refused(&self, kind: &str, reference: &str) -> ProviderError {
        let provider = self.open(kind);
        read(provider.as_ref(), reference).await.unwrap_err()
    }

    /// A key-value that refers to a secret.
    fn refer(&self, key: &str, uri: &str) {
        let value = format!("{{\"uri\":\"{uri}\"}}");
        self.azure
            .change(|azure| azure.add_key_value(key, None, &value, Some(VAULT_REFERENCE)));
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.azure.complaints(), Vec::<String>::new());
        }
    }
}

fn remedy(error: &ProviderError) -> &str {
    error.remedy.as_deref().unwrap_or_default()
}

async fn conforms<K: Kind>(kind: K, cloud: &Cloud, existing: Vec<(String, String)>) -> Checked<K> {
    check(&Backend {
        kind,
        provider: cloud.open(K::NAME).as_ref(),
        existing,
        state: &|| cloud.azure.change(|azure| azure.stored()).into_bytes(),
    })
    .await
}

#[tokio::test]
pub(crate) async fn secrets_of_key_vault_conform() -> Checked<kinds::AzureSm> {
    conforms(kinds::AzureSm, &Cloud::new(), Vec::new()).await
}

#[tokio::test]
pub(crate) async fn keys_of_key_vault_conform() -> Checked<kinds::AzureKms> {
    conforms(kinds::AzureKms, &Cloud::new(), Vec::new()).await
}

#[tokio::test]
pub(crate) async fn app_configuration_conforms() -> Checked<kinds::AzureAc> {
    let cloud = Cloud::new();
    let existing: Vec<(String, String)> = crate::conformance::values()
        .into_iter()
        .enumerate()
        .map(|(index, value)| (format!("a b/{index}?ü"), value))
        .collect();
    cloud.azure.change(|azure| {
        for (key, value) in &existing {
            azure.add_key_value(&format!("app/{key}"), None, value, None);
        }
    });
    conforms(kinds::AzureAc, &cloud, existing).await
}

#[tokio::test]
async fn a_login_is_for_the_service_and_made_once() {
    let cloud = Cloud::new();
    let more = "\nauth = \"managed-identity\"\nmanaged_identity_client_id = \"c-1\"";
    let provider = cloud.world.open(&(cloud.table("azure-sm") + more));
    for _ in 0..3 {
        let requests: Vec<_> = (0..25).map(|_| request("absent")).collect();
        for answer in provider.get_many(&requests).await {
            assert_eq!(answer.unwrap_err().kind, ErrorKind::NotFound);
        }
    }
    let wanted = AzureLogin {
        scope: "https://vault.azure.net/.default".to_owned(),
        cloud: AzureCloud::Public,
        auth: Some("managed-identity".to_owned()),
        managed_identity: Some("c-1".to_owned()),
    };
    assert_eq!(*cloud.login.asked.lock().unwrap(), [wanted]);
}

#[tokio::test]
async fn a_version_is_read_by_its_name() {
    let cloud = Cloud::new();
    let old = cloud.azure.change(|azure| {
        let old = azure.add_vault_secret("app-a", "old");
        azure.add_vault_secret("app-a", "new");
        old
    });
    let provider = cloud.open("azure-sm");
    assert_eq!(read(provider.as_ref(), "a").await.unwrap(), "new");
    let version = format!("a/{old}");
    assert_eq!(read(provider.as_ref(), &version).await.unwrap(), "old");
    let value = SecretString::from("v");
    for wrong in [version.as_str(), "a_b", "a/b/c", "a.b", "", "/a"] {
        let error = provider.put(wrong, &value).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
        let error = provider.delete(wrong).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    }
    let long = "x".repeat(25 * 1024 + 1);
    let error = provider.put("a", &long.as_str().into()).await.unwrap_err();
    assert!(remedy(&error).contains("azure-kms"), "{error:?}");
}

#[tokio::test]
async fn a_deleted_secret_keeps_its_name_and_fnox_says_how_to_get_it_back() {
    let cloud = Cloud::new();
    let provider = cloud.open("azure-sm");
    let value = SecretString::from("v");
    provider.put("a", &value).await.unwrap();
    provider.delete("a").await.unwrap();
    let error = provider.put("a", &value).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    assert!(error.message.contains("can still be restored"), "{error}");
    assert!(remedy(&error).contains("az keyvault secret recover"));
    assert!(remedy(&error).contains("--name app-a"), "{error:?}");
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    for (code, kind, wanted) in [
        (
            "ForbiddenByRbac",
            ErrorKind::Denied,
            "Key Vault Secrets User",
        ),
        (
            "ForbiddenByPolicy",
            ErrorKind::Denied,
            "--secret-permissions get",
        ),
        ("ForbiddenByFirewall", ErrorKind::Unavailable, "firewall"),
    ] {
        let cloud = Cloud::new();
        cloud.azure.change(|azure| azure.close_vault("", code));
        let error = cloud.refused("azure-sm", "a").await;
        assert_eq!(error.kind, kind, "{error}");
        assert!(remedy(&error).contains(wanted), "{error:?}");
        // A right to single secrets is one too; who is kept out by the network has none.
        let outcome = cloud.open("azure-sm").check().await;
        assert_eq!(outcome.is_ok(), kind == ErrorKind::Denied, "{outcome:?}");
    }
    let cloud = Cloud::new();
    cloud.azure.change(|azure| {
        azure.add_vault_secret("app-a", "v");
        azure.disable_vault_secret("app-a");
        azure.close_configuration();
    });
    let error = cloud.refused("azure-sm", "a").await;
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    assert!(remedy(&error).contains("--enabled true"), "{error:?}");
    let error = cloud.open("azure-ac").check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(remedy(&error).contains("App Configuration Data Reader"));

    let ended = [Azure::VAULT, Azure::CONFIGURATION].map(|it| (it, "eyJ.ended".to_owned()));
    let ended = Cloud::of(Issuer::start(Azure::new()), ended.into());
    for kind in KINDS {
        let error = ended.open(kind).check().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
        assert!(remedy(&error).contains("az login"), "{error:?}");
        assert!(!format!("{error:?}").contains("eyJ.ended"));
    }
}

#[tokio::test]
async fn a_rotated_key_opens_what_it_wrapped_before() {
    let mut cloud = Cloud::new();
    cloud.world.profile = "prod".to_owned();
    let provider = cloud.open("azure-kms");
    let stored = provider.encrypt(&[pair("A", " v\n")]).await.unwrap();
    let stored = stored[0].as_str();
    let rotate = |pair, kind| {
        cloud
            .azure
            .change(|azure| azure.rotate_vault_key("fnox", pair, kind));
    };
    rotate(jwt::SECOND, "RSA-HSM");
    assert_eq!(read(provider.as_ref(), stored).await.unwrap(), " v\n");
    assert_eq!(provider.is_current(stored), Some(true));
    let moved = provider.get_many(&[named("B", stored)]).await.remove(0);
    let error = moved.unwrap_err();
    assert!(error.message.contains("value of `B`"), "{error}");

    rotate(jwt::FIRST, "EC");
    let error = provider.encrypt(&[pair("A", "v")]).await.unwrap_err();
    assert_eq!(error.key, Some("key_name"), "{error}");
    assert!(error.message.contains("RSA"), "{error}");

    cloud.azure.change(|azure| azure.delete_vault_key("fnox"));
    for error in [
        provider.check().await.unwrap_err(),
        provider.encrypt(&[pair("A", "v")]).await.unwrap_err(),
        read(provider.as_ref(), stored).await.unwrap_err(),
    ] {
        let told = (error.kind, error.key);
        assert_eq!(
            told,
            (ErrorKind::Misconfigured, Some("key_name")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn values_that_a_vault_encrypted_directly_open_after_rotations_too() {
    let cloud = Cloud::new();
    let direct = |value: &[u8]| {
        let block = cloud
            .azure
            .change(|azure| azure.encrypted_directly("fnox", value));
        BASE64.encode(block)
    };
    let provider = cloud.open("azure-kms");
    let stored = direct(b" old \n");
    assert_eq!(read(provider.as_ref(), &stored).await.unwrap(), " old \n");
    assert_eq!(provider.is_current(&stored), Some(false));
    for _ in 0..2 {
        cloud
            .azure
            .change(|azure| azure.rotate_vault_key("fnox", jwt::SECOND, "RSA"));
    }
    assert_eq!(read(provider.as_ref(), &stored).await.unwrap(), " old \n");
    for nothing in ["", "plain text", "QUJD"] {
        let error = read(provider.as_ref(), nothing).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{nothing}: {error}");
    }
}

#[tokio::test]
async fn a_label_chooses_among_values_of_a_key() {
    let cloud = Cloud::new();
    cloud.azure.change(|azure| {
        azure.add_key_value("app/a", None, "none", None);
        azure.add_key_value("app/a", Some("prod eu"), "prod", Some("text/plain"));
    });
    let labelled = cloud.table("azure-ac") + "\nlabel = \"prod eu\"";
    for (table, wanted) in [(cloud.table("azure-ac"), "none"), (labelled, "prod")] {
        let provider = cloud.world.open(&table);
        assert_eq!(read(provider.as_ref(), "a").await.unwrap(), wanted);
    }
    for wrong in ["a%b", "%00", ""] {
        let error = cloud.refused("azure-ac", wrong).await;
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    }
}

#[tokio::test]
async fn references_lead_to_vaults_of_the_same_cloud_alone() {
    let cloud = Cloud::new();
    let old = cloud.azure.change(|azure| {
        let old = azure.add_vault_secret("db", "old");
        azure.add_vault_secret("db", "new");
        old
    });
    let vault = cloud.azure.url();
    cloud.refer("app/newest", &format!("{vault}/secrets/db"));
    cloud.refer("app/old", &format!("{vault}/secrets/db/{old}"));
    cloud.refer("app/gone", &format!("{vault}/secrets/gone"));
    let provider = cloud.open("azure-ac");
    for (key, wanted) in [("newest", "new"), ("old", "old")] {
        assert_eq!(read(provider.as_ref(), key).await.unwrap(), wanted);
    }
    let error = cloud.refused("azure-ac", "gone").await;
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert!(
        error.message.contains("refers to the secret `gone`"),
        "{error}"
    );
    let before = cloud.azure.requests().len();
    for (uri, kind) in [
        ("https://evil.example/secrets/db", ErrorKind::Denied),
        (
            "https://t.vault.azure.net.evil.example/secrets/db",
            ErrorKind::Denied,
        ),
        ("https://t.vault.azure.cn/secrets/db", ErrorKind::Denied),
        ("http://t.vault.azure.net/secrets/db", ErrorKind::Denied),
        ("db", ErrorKind::Misconfigured),
        (&*format!("{vault}/keys/db"), ErrorKind::Misconfigured),
        (&*format!("{vault}/secrets/a/b/c"), ErrorKind::Misconfigured),
    ] {
        cloud.refer("app/x", uri);
        let error = cloud.refused("azure-ac", "x").await;
        assert_eq!(error.kind, kind, "{uri}: {error}");
    }
    assert_eq!(
        cloud.azure.requests().len(),
        before + 7,
        "the store alone was asked"
    );
}

#[test]
fn tokens_go_nowhere_but_to_azure() {
    let world = World::new();
    for (table, key) in [
        (
            "type = \"azure-sm\"\nvault_url = \"https://evil.example\"",
            "vault_url",
        ),
        (
            "type = \"azure-sm\"\nvault_url = \"http://t.vault.azure.net\"",
            "vault_url",
        ),
        (
            "type = \"azure-sm\"\nvault_url = \"https://t.azconfig.io\"",
            "vault_url",
        ),
        (
            "type = \"azure-kms\"\nvault_url = \"https://t.vault.azure.net/x\"\nkey_name = \"k\"",
            "vault_url",
        ),
        (
            "type = \"azure-kms\"\nvault_url = \"https://t.vault.azure.net\"\nkey_name = \"k/v\"",
            "key_name",
        ),
        (
            "type = \"azure-ac\"\nendpoint = \"https://azconfig.io\"",
            "endpoint",
        ),
        (
            "type = \"azure-ac\"\nendpoint = \"https://t.vault.azure.net\"",
            "endpoint",
        ),
    ] {
        let error = world.try_open(table).unwrap_err();
        assert_eq!(error.key, Some(key), "{table}: {error}");
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    }
    for good in [
        "type = \"azure-sm\"\nvault_url = \"https://team.vault.azure.net/\"",
        "type = \"azure-kms\"\nvault_url = \"https://team.managedhsm.azure.net\"\nkey_name = \"k\"",
        "type = \"azure-ac\"\nendpoint = \"https://team.azconfig.io\"",
    ] {
        assert!(world.try_open(good).is_ok(), "{good}");
    }
}

#[tokio::test]
async fn without_a_login_nothing_is_sent() {
    let mut cloud = Cloud::new();
    cloud.world.accounts = Arc::new(NoAccounts);
    for kind in KINDS {
        let provider = cloud.open(kind);
        assert!(provider.check().await.is_err());
        assert!(read(provider.as_ref(), "QUJD").await.is_err());
    }
    assert_eq!(cloud.azure.requests().len(), 0);
}

#[tokio::test]
async fn services_that_hang_fail_or_talk_nonsense_end_in_one_error_each() {
    let cases = [
        (Misbehaviour::Silence, ErrorKind::Unavailable),
        (Misbehaviour::HangUp, ErrorKind::Unavailable),
        (Misbehaviour::Status(500), ErrorKind::Unavailable),
        (Misbehaviour::TooManyFor(60), ErrorKind::Unavailable),
        (Misbehaviour::Garbage, ErrorKind::Unavailable),
        (Misbehaviour::EmptyAnswer, ErrorKind::Unavailable),
        (Misbehaviour::Redirect, ErrorKind::Unavailable),
        (TOO_SLOW, ErrorKind::Unavailable),
        (Misbehaviour::Status(401), ErrorKind::AuthenticationNeeded),
        (Misbehaviour::Status(403), ErrorKind::Denied),
    ];
    let endings = cases.map(|(misbehaviour, kind)| ends_in(misbehaviour, kind));
    futures_util::future::join_all(endings).await;
}

async fn ends_in(misbehaviour: Misbehaviour, kind: ErrorKind) {
    let mut cloud = Cloud::new();
    // What says no is not to be taken for what says nothing, however slow the machine is.
    let is_patient = kind != ErrorKind::Unavailable;
    cloud.world.time_limit = Duration::from_secs(if is_patient { 30 } else { 1 });
    let direct = cloud.azure.change(|azure| {
        azure.add_vault_secret("app-a", "v");
        azure.add_key_value("app/a", None, "v", None);
        BASE64.encode(azure.encrypted_directly("fnox", b"v"))
    });
    cloud.azure.misbehave(Some(misbehaviour));
    for type_name in KINDS {
        let reference = match type_name {
            "azure-kms" => direct.as_str(),
            _ => "a",
        };
        let provider = cloud.open(type_name);
        let requests = [request(reference), request(reference)];
        for answer in provider.get_many(&requests).await {
            let error = answer.unwrap_err();
            assert_eq!(error.kind, kind, "{type_name}, {misbehaviour:?}: {error}");
        }
    }
    let value = SecretString::from("v");
    let error = cloud.open("azure-sm").put("a", &value).await.unwrap_err();
    assert_eq!(error.kind, kind, "put, {misbehaviour:?}: {error}");
    let values = [pair("A", "v")];
    let error = cloud.open("azure-kms").encrypt(&values).await.unwrap_err();
    assert_eq!(error.kind, kind, "encrypt, {misbehaviour:?}: {error}");
}

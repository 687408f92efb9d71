//! `gcp-sm` and `gcp-kms` against a stand-in of Google Cloud, and against servers that hang, fail or talk nonsense.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fnox_core::{Clock as _, SecretString, SystemClock};
use fnox_providers::{
    AccessToken, Accounts, AzureLogin, Context, ErrorKind, GoogleAccess, NoAccounts, Provider,
    ProviderError, Request,
};
use fnox_testkit::stand_in::gcp::Gcp;
use fnox_testkit::stand_in::issuer::{Issuer, Misbehaviour};

use crate::bad_server::TOO_SLOW;
use crate::conformance::{Backend, Checked, check};
use crate::kinds;
use crate::world::{World, named, pair, read, request};

const PROJECT: &str = "shop-1";
const KEY: &str = "projects/shop-1/locations/europe-west3/keyRings/team/cryptoKeys/fnox";
const SOMEBODY: &str = "serviceAccount:ci@shop-1.iam.gserviceaccount.com";

/// Somebody who is logged in, and how often that was asked for.
#[derive(Debug)]
struct LoggedIn {
    token: String,
    universe: &'static str,
    quota_project: Option<&'static str>,
    asked: AtomicUsize,
}

#[async_trait]
impl Accounts for LoggedIn {
    async fn google(&self, _: &Context) -> Result<GoogleAccess, ProviderError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(GoogleAccess {
            token: AccessToken {
                value: self.token.as_str().into(),
                expires_at: None,
            },
            universe: self.universe.to_owned(),
            quota_project: self.quota_project.map(str::to_owned),
        })
    }

    async fn azure(&self, _: &Context, _: &AzureLogin) -> Result<AccessToken, ProviderError> {
        Err(ProviderError::unavailable("not Azure"))
    }
}

/// Google, and a world in which somebody is logged in there.
struct Cloud {
    google: Issuer<Gcp>,
    world: World,
    login: Arc<LoggedIn>,
}

impl Cloud {
    fn new() -> Self {
        Self::with(SOMEBODY, |_| {})
    }

    fn with(principal: &str, change: impl FnOnce(&mut LoggedIn)) -> Self {
        let google = Issuer::start(Gcp::new());
        let mut login = LoggedIn {
            token: google.change(|gcp| gcp.log_in(principal, SystemClock.now())),
            universe: "googleapis.com",
            quota_project: None,
            asked: AtomicUsize::new(0),
        };
        google.change(|gcp| gcp.rotate(KEY));
        change(&mut login);
        let login = Arc::new(login);
        let mut world = World::new();
        world.accounts = Arc::clone(&login) as Arc<dyn Accounts>;
        Self {
            google,
            world,
            login,
        }
    }

    fn table(&self, kind: &str) -> String {
        let more = match kind {
            "gcp-sm" => "prefix = \"app-\"",
            _ => "location = \"europe-west3\"\nkeyring = \"team\"\nkey = \"fnox\"",
        };
        format!(
            "type = \"{kind}\"\nproject = \"{PROJECT}\"\nendpoint = \"{}\"\n{more}",
            self.google.url()
        )
    }

    fn open(&self, kind: &str) -> Box<dyn Provider> {
        self.world.open(&self.table(kind))
    }

    async fn refused(&self, kind: &str, reference: &str) -> ProviderError {
        let provider = self.open(kind);
        read(provider.as_ref(), reference).await.unwrap_err()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.google.complaints(), Vec::<String>::new());
        }
    }
}

fn remedy(error: &ProviderError) -> &str {
    error.remedy.as_deref().unwrap_or_default()
}

#[tokio::test]
pub(crate) async fn secret_manager_conforms() -> Checked<kinds::GcpSm> {
    let cloud = Cloud::new();
    check(&Backend {
        kind: kinds::GcpSm,
        provider: cloud.open("gcp-sm").as_ref(),
        existing: Vec::new(),
        state: &|| cloud.google.change(|gcp| gcp.stored()).into_bytes(),
    })
    .await
}

#[tokio::test]
pub(crate) async fn cloud_kms_conforms() -> Checked<kinds::GcpKms> {
    let cloud = Cloud::new();
    check(&Backend {
        kind: kinds::GcpKms,
        provider: cloud.open("gcp-kms").as_ref(),
        existing: Vec::new(),
        state: &|| cloud.google.change(|gcp| gcp.stored()).into_bytes(),
    })
    .await
}

#[tokio::test]
async fn a_run_logs_in_once_and_names_the_project_that_pays() {
    let cloud = Cloud::with("user:ada@example.com", |login| {
        login.quota_project = Some("billing-1");
    });
    cloud
        .google
        .change(|gcp| gcp.add_secret(PROJECT, "app-a", b"v"));
    let provider = cloud.open("gcp-sm");
    for _ in 0..3 {
        let requests: Vec<Request> = (0..25).map(|_| request("a")).collect();
        for answer in provider.get_many(&requests).await {
            assert_eq!(answer.unwrap().expose_secret(), "v");
        }
    }
    assert_eq!(cloud.login.asked.load(Ordering::SeqCst), 1);
    for request in cloud.google.requests() {
        assert_eq!(request.header("x-goog-user-project"), Some("billing-1"));
    }
}

#[tokio::test]
async fn versions_and_other_projects_are_read_by_their_names() {
    let cloud = Cloud::new();
    cloud.google.change(|gcp| {
        gcp.add_secret(PROJECT, "app-a", b"old");
        gcp.add_secret(PROJECT, "app-a", b"new");
        gcp.add_secret("other", "b", b"theirs");
    });
    let provider = cloud.open("gcp-sm");
    let values = [
        ("a", "new"),
        ("a/versions/1", "old"),
        ("projects/shop-1/secrets/app-a/versions/1", "old"),
        ("projects/other/secrets/b", "theirs"),
    ];
    for (reference, wanted) in values {
        assert_eq!(read(provider.as_ref(), reference).await.unwrap(), wanted);
    }
    let value = SecretString::from("v");
    for reference in ["a/versions/1", "a/b", "a b", ""] {
        let error = provider.put(reference, &value).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
        let error = provider.delete(reference).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    }
    for value in [String::new(), "x".repeat(65_537)] {
        let error = provider.put("a", &value.as_str().into()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused_and_not_shown() {
    let cloud = Cloud::new();
    cloud
        .google
        .change(|gcp| gcp.add_secret(PROJECT, "app-a", &[0xff, 0xfe]));
    let error = cloud.refused("gcp-sm", "a").await;
    assert!(error.message.contains("not UTF-8"), "{error}");
}

#[tokio::test]
async fn versions_that_cannot_be_read_say_why() {
    let cloud = Cloud::new();
    cloud
        .google
        .change(|gcp| gcp.add_secret(PROJECT, "app-a", b"v"));
    for (state, wanted) in [("DISABLED", "versions enable"), ("DESTROYED", "for good")] {
        cloud
            .google
            .change(|gcp| gcp.set_state(PROJECT, "app-a", state));
        let error = cloud.refused("gcp-sm", "a").await;
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
        assert!(remedy(&error).contains(wanted), "{error:?}");
    }
}

#[tokio::test]
async fn damaged_bytes_are_not_taken() {
    let cloud = Cloud::new();
    cloud
        .google
        .change(|gcp| gcp.add_secret(PROJECT, "app-a", b"v"));
    let kms = cloud.open("gcp-kms");
    let stored = kms.encrypt(&[pair("A", "v")]).await.unwrap().remove(0);
    cloud.google.change(|gcp| gcp.damage(true));
    for (kind, reference) in [("gcp-sm", "a"), ("gcp-kms", stored.as_str())] {
        let error = cloud.refused(kind, reference).await;
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert!(error.message.contains("checksum"), "{error}");
    }
    let error = kms.encrypt(&[pair("A", "v")]).await.unwrap_err();
    assert!(error.message.contains("checksum"), "{error}");
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let cloud = Cloud::new();
    cloud.google.change(|gcp| {
        gcp.add_secret(PROJECT, "app-a", b"v");
        gcp.close("app-a");
    });
    let error = cloud.refused("gcp-sm", "a").await;
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(remedy(&error).contains("roles/secretmanager.secretAccessor"));
    // A right to single secrets is one too.
    cloud.open("gcp-sm").check().await.unwrap();

    for (kind, service) in [("gcp-sm", "secretmanager"), ("gcp-kms", "cloudkms")] {
        cloud.google.change(|gcp| gcp.close(service));
        let error = cloud.open(kind).check().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
        let wanted = format!("services enable {service}.googleapis.com --project {PROJECT}");
        assert!(remedy(&error).contains(&wanted), "{error:?}");
    }

    let user = Cloud::with("user:ada@example.com", |_| {});
    let error = user.open("gcp-sm").check().await.unwrap_err();
    let wanted = "set-quota-project shop-1";
    assert!(remedy(&error).contains(wanted), "{error:?}");

    let ended = Cloud::with(SOMEBODY, |login| login.token = "ya29.ended".to_owned());
    for kind in ["gcp-sm", "gcp-kms"] {
        let error = ended.open(kind).check().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
        assert!(remedy(&error).contains("application-default login"));
        assert!(!format!("{error:?}").contains("ya29.ended"));
    }
}

#[tokio::test]
async fn a_token_goes_only_to_the_cloud_that_it_is_for() {
    let cloud = Cloud::with(SOMEBODY, |login| login.universe = "cloud.example");
    let table =
        |endpoint: &str| format!("type = \"gcp-sm\"\nproject = \"p\"\nendpoint = \"{endpoint}\"");
    for elsewhere in [
        "https://evil.example",
        "https://secretmanager.googleapis.com",
        "https://evilcloud.example",
    ] {
        let provider = cloud.world.open(&table(elsewhere));
        let error = provider.check().await.unwrap_err();
        assert_eq!(error.key, Some("endpoint"), "{error}");
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    }
    for wrong in ["http://secretmanager.cloud.example", "secretmanager"] {
        let error = cloud.world.try_open(&table(wrong)).unwrap_err();
        assert_eq!(error.key, Some("endpoint"), "{error}");
    }
}

#[tokio::test]
async fn without_a_login_nothing_is_sent() {
    let mut cloud = Cloud::new();
    cloud.world.accounts = Arc::new(NoAccounts);
    for kind in ["gcp-sm", "gcp-kms"] {
        let provider = cloud.open(kind);
        assert!(provider.check().await.is_err());
        assert!(read(provider.as_ref(), "QUJD").await.is_err());
    }
    assert_eq!(cloud.google.requests().len(), 0);
}

#[tokio::test]
async fn a_value_of_kms_opens_only_where_it_belongs() {
    let mut cloud = Cloud::new();
    cloud.world.profile = "prod".to_owned();
    let provider = cloud.open("gcp-kms");
    let stored = provider.encrypt(&[pair("A", " v\n")]).await.unwrap();
    let stored = stored[0].as_str();
    assert_eq!(read(provider.as_ref(), stored).await.unwrap(), " v\n");
    let moved = provider.get_many(&[named("B", stored)]).await.remove(0);
    let error = moved.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    assert!(error.message.contains("value of `B`"), "{error}");

    cloud.google.change(|gcp| gcp.rotate(KEY));
    assert_eq!(read(provider.as_ref(), stored).await.unwrap(), " v\n");
    assert_eq!(provider.is_current(stored), Some(true));

    let table = cloud.table("gcp-kms").replace("\"fnox\"", "\"other\"");
    let other = cloud.world.open(&table);
    assert_eq!(other.is_current(stored), Some(false));
    let error = read(other.as_ref(), stored).await.unwrap_err();
    assert_eq!(
        (error.kind, error.key),
        (ErrorKind::Misconfigured, Some("key"))
    );
    cloud
        .google
        .change(|gcp| gcp.rotate(&KEY.replace("/fnox", "/other")));
    let error = read(other.as_ref(), stored).await.unwrap_err();
    assert!(error.message.contains("does not open"), "{error}");
}

#[tokio::test]
async fn values_that_kms_encrypted_directly_stay_readable() {
    let cloud = Cloud::new();
    let stored = cloud
        .google
        .change(|gcp| gcp.encrypted_directly(KEY, b" old \n"));
    let provider = cloud.open("gcp-kms");
    assert_eq!(read(provider.as_ref(), &stored).await.unwrap(), " old \n");
    assert_eq!(provider.is_current(&stored), Some(false));
    let empty = cloud.google.change(|gcp| gcp.encrypted_directly(KEY, b""));
    assert_eq!(read(provider.as_ref(), &empty).await.unwrap(), "");
    for nothing in ["", "plain text", "QUJD"] {
        let error = read(provider.as_ref(), nothing).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{nothing}: {error}");
    }
}

#[tokio::test]
async fn a_key_that_is_not_enabled_says_so() {
    let cloud = Cloud::new();
    let provider = cloud.open("gcp-kms");
    provider.check().await.unwrap();
    cloud.google.change(|gcp| gcp.disable(KEY));
    let error = provider.check().await.unwrap_err();
    assert_eq!(error.key, Some("key"), "{error}");
    let error = provider.encrypt(&[pair("A", "v")]).await.unwrap_err();
    assert_eq!(error.key, Some("key"), "{error}");
    assert!(remedy(&error).contains("versions enable"), "{error:?}");
    // Who may only decrypt cannot look at the key.
    cloud.google.change(|gcp| gcp.close("fnox"));
    provider.check().await.unwrap();
}

#[test]
fn names_that_cannot_be_are_refused_before_anything_is_sent() {
    let world = World::new();
    for (table, key) in [
        ("type = \"gcp-sm\"\nproject = \"a/b\"", "project"),
        ("type = \"gcp-sm\"\nproject = \"..\"", "project"),
        (
            "type = \"gcp-kms\"\nproject = \"p\"\nlocation = \"l\"\nkeyring = \"r\"\nkey = \"k:encrypt\"",
            "key",
        ),
        (
            "type = \"gcp-kms\"\nproject = \"p\"\nlocation = \"l/x\"\nkeyring = \"r\"\nkey = \"k\"",
            "location",
        ),
    ] {
        let error = world.try_open(table).unwrap_err();
        assert_eq!(error.key, Some(key), "{error}");
    }
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
        (Misbehaviour::Status(400), ErrorKind::Misconfigured),
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
    cloud
        .google
        .change(|gcp| gcp.add_secret(PROJECT, "app-a", b"v"));
    let direct = cloud.google.change(|gcp| gcp.encrypted_directly(KEY, b"v"));
    cloud.google.misbehave(Some(misbehaviour));
    for (type_name, reference) in [("gcp-sm", "a"), ("gcp-kms", direct.as_str())] {
        let provider = cloud.open(type_name);
        let requests = [request(reference), request(reference)];
        for answer in provider.get_many(&requests).await {
            let error = answer.unwrap_err();
            assert_eq!(error.kind, kind, "{type_name}, {misbehaviour:?}: {error}");
        }
    }
    let value = SecretString::from("v");
    let error = cloud.open("gcp-sm").put("a", &value).await.unwrap_err();
    assert_eq!(error.kind, kind, "put, {misbehaviour:?}: {error}");
    let values = [pair("A", "v")];
    let error = cloud.open("gcp-kms").encrypt(&values).await.unwrap_err();
    assert_eq!(error.kind, kind, "encrypt, {misbehaviour:?}: {error}");
}

//! A server in this process, on a real SQLite file, with sessions of whomever a test needs.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_api::Role;
use fnox_core::audit::{Entry, Outcome};
use fnox_core::clock::Clock;
use fnox_core::{Token, TokenKind};
use fnox_server::routes::PeerAddress;
use fnox_server::service::Service;
use fnox_server::settings::{
    Algorithm, ApprovalSettings, IssuerSettings, LimitSettings, LoginSettings, Preset, Settings,
};
use fnox_server::store::{NewSession, SessionRecord};
use fnox_server::{Opening, Server, ServerKeys, Store, Subject};
use fnox_store_sqlite::{SqliteDatabase, SqliteDatabaseOptions};
use fnox_testkit::FakeClock;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use uuid::Uuid;

pub(crate) const POLICY: &str = r#"
[[rule]]
name = "ci"
issuer = "github"
repository_id = "1296269"
repository_owner_id = "583231"
refs = ["refs/heads/main"]
events = ["push"]
projects = ["my-app"]
profiles = ["default", "production"]
keys = ["NPM_*"]
require_approval = true

[[rule]]
name = "free"
issuer = "github"
repository_id = "1296269"
repository_owner_id = "583231"
refs = ["refs/heads/main"]
events = ["push"]
projects = ["my-app"]
keys = ["FREE_*"]
require_approval = false

[[gateway]]
name = "builders"
agents = ["coder-*"]
hosts = ["api.github.com", "*.example.com"]
longest = "15m"

[[gateway]]
name = "laptops"
people = ["group:dev"]

[[gateway]]
name = "strict"
people = ["zoe"]
own = false
"#;

/// A server under test.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) store: Store,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) keys: ServerKeys,
    service: Service,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A server with settings of its own.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy.toml");
        std::fs::write(&policy, POLICY).unwrap();
        let clock = Arc::new(FakeClock::at("2026-06-01T12:00:00Z"));
        let keys = ServerKeys::parse(&ServerKeys::generate_line().unwrap()).unwrap();
        let mut settings = Settings {
            public_url: "https://fnox.example.com".to_owned(),
            issuers: vec![github("https://issuer.example.com")],
            login: None,
            approvals: ApprovalSettings::default(),
            notify: Vec::new(),
            limits: LimitSettings::default(),
            proxies: Vec::new(),
            metrics_token: None,
            policy,
        };
        change(&mut settings);
        let database = SqliteDatabase::open(
            &folder.path().join("server.db"),
            SqliteDatabaseOptions {
                create: true,
                clock: Arc::clone(&clock) as Arc<dyn Clock>,
                ..SqliteDatabaseOptions::default()
            },
        )
        .unwrap();
        let server = Server::open(Opening {
            settings,
            database: Arc::new(database),
            keys: keys.clone(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            metrics: None,
            restored_at: None,
        })
        .await
        .unwrap();
        Self {
            router: server.router(),
            store: server.service().store().clone(),
            clock,
            keys,
            service: server.service().clone(),
            folder,
        }
    }

    /// Replaces the policy's file, as somebody does while the server runs.
    pub(crate) fn set_policy(&self, text: &str) {
        std::fs::write(self.folder.path().join("policy.toml"), text).unwrap();
        self.service.reload_policy();
    }

    /// A session of a subject, as a login would open it.
    pub(crate) async fn session(&self, subject: Subject) -> String {
        let token = Token::generate(TokenKind::Session).unwrap();
        let now = self.clock.now();
        let new = NewSession {
            session: SessionRecord {
                id: Uuid::now_v7(),
                hash: token.hash(),
                subject,
                created_at: now,
                expires_at: now + Duration::from_mins(15),
                ended: false,
            },
            replay: None,
            name: None,
            logins: [None, None, None],
            must_be_provisioned: false,
        };
        let entry = Entry::new("login", "test", Outcome::Ok);
        self.store.open_session(new, entry).await.unwrap();
        token.secret().expose_secret().to_owned()
    }

    /// A session of a person with a role.
    pub(crate) async fn person(&self, name: &str, roles: &[Role]) -> String {
        self.session(person(name, roles)).await
    }

    /// A session of the CI job that the policy knows.
    pub(crate) async fn job(&self) -> String {
        self.session(job(&[])).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let mut request = request;
        let address = "127.0.0.1:4711".parse().unwrap();
        request.extensions_mut().insert(PeerAddress(address));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    pub(crate) async fn call(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        self.send(request(Some(token), method, path, body)).await
    }

    /// Stores a secret as an administrator.
    pub(crate) async fn put(&self, admin: &str, key: &str, mut more: Value) -> Answer {
        more["ciphertext"] = more
            .get("ciphertext")
            .cloned()
            .unwrap_or_else(|| json!(ciphertext(1)));
        more["recipients"] = more
            .get("recipients")
            .cloned()
            .unwrap_or_else(|| json!([RECIPIENT]));
        let path = format!("/v1/projects/my-app/secrets/{key}");
        self.call(admin, "PUT", &path, Some(more)).await
    }

    /// Asks for keys.
    pub(crate) async fn ask(&self, job: &str, keys: &[&str]) -> Answer {
        self.call(job, "POST", "/v1/approvals", Some(wanted(keys)))
            .await
    }

    /// Says yes as an approver.
    pub(crate) async fn approve(&self, approver: &str, asked: &Answer) -> Answer {
        let path = format!("/v1/approvals/{}/decision", asked.id());
        let body = json!({"decision": "approve", "code": asked.json()["code"]});
        self.call(approver, "POST", &path, Some(body)).await
    }

    /// Exchanges an approval for a grant.
    pub(crate) async fn grant(&self, job: &str, id: &str) -> Answer {
        let body = json!({"approval_id": id});
        self.call(job, "POST", "/v1/grants", Some(body)).await
    }

    /// Uses a grant.
    pub(crate) async fn fetch(&self, grant: &str) -> Answer {
        self.call(grant, "POST", "/v1/fetch", None).await
    }
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|_| panic!("{} is no JSON: {}", self.status, self.text))
    }

    /// The code of a problem; empty if it is none.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn id(&self) -> String {
        self.json()["id"].as_str().expect("an id").to_owned()
    }

    /// Fails unless the status is the expected one, and says what came instead.
    #[track_caller]
    pub(crate) fn must_be(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// Fails unless it is a problem with this code.
    #[track_caller]
    pub(crate) fn must_fail(self, code: &str) -> Self {
        assert_eq!(self.code(), code, "{}: {}", self.status, self.text);
        let kind = self.headers[header::CONTENT_TYPE].to_str().unwrap();
        assert!(
            ["application/problem+json", "application/scim+json"].contains(&kind),
            "{kind}"
        );
        self
    }
}

pub(crate) fn request(
    token: Option<&str>,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Request<Body> {
    let mut builder = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        builder = builder.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    match body {
        None => builder.body(Body::empty()).unwrap(),
        Some(body) => builder
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap(),
    }
}

/// People who log in at some provider; these tests open their sessions themselves.
pub(crate) fn login() -> LoginSettings {
    LoginSettings {
        issuer: "github".to_owned(),
        client_id: "fnox".to_owned(),
        client_secret: None,
        scopes: vec!["openid".to_owned()],
        groups_claim: "groups".to_owned(),
        roles: Vec::new(),
        require_provisioned: false,
    }
}

pub(crate) fn wanted(keys: &[&str]) -> Value {
    json!({
        "project": "my-app",
        "keys": keys,
        "command_hash": "ab".repeat(32),
        "command_display": "npm publish",
    })
}

pub(crate) fn github(url: &str) -> IssuerSettings {
    IssuerSettings {
        name: "github".to_owned(),
        preset: Preset::Github,
        url: url.to_owned(),
        audience: "https://fnox.example.com".to_owned(),
        algorithms: vec![Algorithm::Rs256],
        jwks_file: None,
        allow_origins: Vec::new(),
        leeway: Duration::from_mins(1),
        longest_life: Duration::from_hours(24),
    }
}

/// A job on `main` of the repository that the policy knows, with some claims otherwise.
pub(crate) fn job(claims: &[(&str, &str)]) -> Subject {
    let mut all: Vec<(&str, &str)> = vec![
        ("iss", "https://issuer.example.com"),
        ("sub", "repo:octo-org/hello:ref:refs/heads/main"),
        ("repository", "octo-org/hello"),
        ("repository_id", "1296269"),
        ("repository_owner", "octo-org"),
        ("repository_owner_id", "583231"),
        ("ref", "refs/heads/main"),
        ("event_name", "push"),
        (
            "workflow_ref",
            "octo-org/hello/.github/workflows/release.yml@refs/heads/main",
        ),
        (
            "job_workflow_ref",
            "octo-org/hello/.github/workflows/release.yml@refs/heads/main",
        ),
        ("runner_environment", "github-hosted"),
        ("actor", "octocat"),
        ("run_id", "42"),
        ("run_attempt", "1"),
    ];
    all.extend_from_slice(claims);
    let claims = all
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    Subject {
        issuer: "github".to_owned(),
        preset: Preset::Github,
        subject: "repo:octo-org/hello:ref:refs/heads/main".to_owned(),
        claims,
        roles: Vec::new(),
    }
}

pub(crate) fn person(name: &str, roles: &[Role]) -> Subject {
    Subject {
        issuer: "people".to_owned(),
        preset: Preset::Generic,
        subject: name.to_owned(),
        claims: [("sub".to_owned(), json!(name))].into_iter().collect(),
        roles: roles.to_vec(),
    }
}

pub(crate) const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

/// Something that looks like an age file; nobody here can open any.
pub(crate) fn ciphertext(seed: u8) -> String {
    let mac = "x".repeat(43);
    let header = format!("age-encryption.org/v1\n-> X25519 abc\nbody\n--- {mac}\n");
    STANDARD.encode([header.as_bytes(), &[seed; 48]].concat())
}

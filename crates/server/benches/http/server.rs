//! The real server on a real SQLite file, with an issuer of its own, in a process of its own.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use fnox_core::clock::{Clock, SystemClock};
use fnox_core::{Token, TokenKind};
use fnox_server::oidc::OwnIssuer;
use fnox_server::settings::{
    Algorithm, ApprovalSettings, IssuerSettings, LimitSettings, Preset, Settings,
};
use fnox_server::store::{Condition, NewSecret, SecretPlace};
use fnox_server::{Opening, Server, ServerKeys, Store};
use fnox_store_sqlite::{SqliteDatabase, SqliteDatabaseOptions};
use serde_json::{Value, json};

const ISSUER: &str = "https://issuer.example.com";
const AUDIENCE: &str = "https://fnox.example.com";

const POLICY: &str = r#"
[[rule]]
issuer = "github"
repository_id = "1296269"
refs = ["refs/heads/main"]
projects = ["my-app"]
keys = ["NPM_*"]

[[rule]]
issuer = "github"
repository_id = "1296269"
refs = ["refs/heads/main"]
projects = ["my-app"]
keys = ["FREE_*"]
require_approval = false
"#;

/// A token of one job, signed where the client stands.
pub(crate) fn token(issuer: &Value, run: usize) -> String {
    let issuer = OwnIssuer::parse(issuer.as_str().unwrap()).unwrap();
    let claims = json!({
        "sub": "repo:octo-org/hello:ref:refs/heads/main", "repository": "octo-org/hello",
        "repository_id": "1296269", "ref": "refs/heads/main", "event_name": "push",
        "run_id": run.to_string(), "run_attempt": "1",
    });
    let claims = claims.as_object().unwrap();
    let life = Duration::from_mins(5);
    issuer
        .sign(ISSUER, AUDIENCE, claims, life, SystemClock.now())
        .unwrap()
        .to_string()
}

pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(serve());
}

async fn serve() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let issuer = OwnIssuer::generate().unwrap();
    let jwks = folder.path().join("jwks.json");
    std::fs::write(&jwks, issuer.key_set()).unwrap();
    let policy = folder.path().join("policy.toml");
    std::fs::write(&policy, POLICY).unwrap();
    let database = SqliteDatabase::open(
        &folder.path().join("server.db"),
        SqliteDatabaseOptions {
            create: true,
            ..SqliteDatabaseOptions::default()
        },
    )
    .unwrap();
    let settings = Settings {
        public_url: AUDIENCE.to_owned(),
        issuers: vec![IssuerSettings {
            name: "github".to_owned(),
            preset: Preset::Github,
            url: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            algorithms: vec![Algorithm::EdDsa],
            jwks_file: Some(jwks),
            allow_origins: Vec::new(),
            leeway: Duration::from_mins(1),
            longest_life: Duration::from_hours(1),
        }],
        login: None,
        approvals: ApprovalSettings {
            grant_lifetime: Duration::from_mins(10),
            ..ApprovalSettings::default()
        },
        notify: Vec::new(),
        limits: LimitSettings {
            principal_per_minute: u32::MAX,
            ..LimitSettings::default()
        },
        proxies: Vec::new(),
        metrics_token: None,
        policy,
    };
    let server = Server::open(Opening {
        settings,
        database: Arc::new(database),
        keys: ServerKeys::parse(&ServerKeys::generate_line().unwrap()).unwrap(),
        clock: Arc::new(SystemClock),
        metrics: None,
        restored_at: None,
    })
    .await
    .unwrap();
    let store = server.service().store().clone();
    fill(&store).await;
    let admin: Token = store
        .issue_token(
            TokenKind::Bootstrap,
            None,
            Duration::from_hours(1),
            SystemClock.now(),
        )
        .await
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let told = json!({
        "address": listener.local_addr().unwrap().to_string(),
        "token": admin.secret().expose_secret(),
        "issuer": issuer.file().to_string(),
    });
    println!("{told}");
    let end = async {
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
            .await
            .unwrap()
            .unwrap();
    };
    server.serve(listener, None, end).await;
}

async fn fill(store: &Store) {
    let mac = "x".repeat(43);
    let header = format!("age-encryption.org/v1\n-> X25519 abc\nbody\n--- {mac}\n");
    for key in ["NPM_TOKEN", "FREE_TOKEN"] {
        let bytes = [header.as_bytes(), &[7; 200]].concat();
        let new = NewSecret {
            place: SecretPlace {
                project: "my-app".to_owned(),
                profile: "default".to_owned(),
                key: key.to_owned(),
            },
            condition: Condition::Any,
            version: None,
            ciphertext: fnox_api::Ciphertext::parse(bytes).unwrap(),
            recipients: vec![
                "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p".to_owned(),
            ],
            description: None,
            require_approval: None,
            now: SystemClock.now(),
            created_by: "bench".to_owned(),
            keep: 1,
        };
        let entry =
            fnox_core::audit::Entry::new("secret_stored", "bench", fnox_core::audit::Outcome::Ok);
        store.put_secret(new, entry).await.unwrap();
    }
}

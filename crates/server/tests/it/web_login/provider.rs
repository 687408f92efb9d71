//! An OpenID provider in this process, over real HTTP: discovery, an authorization endpoint at which everybody is
//! whoever the test says, and a token endpoint that checks what it must (RFC 6749, section 4.1.3; RFC 7636, section 4.6).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fnox_api::Role;
use fnox_core::SecretString;
use fnox_server::Settings;
use fnox_server::settings::{Algorithm, IssuerSettings, LoginSettings, Preset};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use crate::oidc::signer::{Signer, jwks};

pub(crate) const CLIENT: &str = "fnox-pages";
pub(crate) const REDIRECT: &str = "https://fnox.example.com/login/callback";
/// When the clock of the tests starts.
const NOW: i64 = 1_780_315_200;

type Parameters = BTreeMap<String, String>;

/// How a client has to prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientProof {
    Public,
    Basic,
    Body,
}

pub(crate) const SECRET: &str = "s3cret/of+the client";

/// A running provider.
pub(crate) struct Provider {
    pub(crate) url: String,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

struct Shared {
    url: String,
    signer: Signer,
    proof: ClientProof,
    redirect: String,
    /// Who logs in next.
    claims: Value,
    /// Codes that were given, with what they were asked for and who it was.
    codes: BTreeMap<String, (Parameters, Value)>,
    given: u32,
    discovered: u32,
    /// Why exchanges failed.
    refusals: Vec<String>,
    is_down: bool,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Mutex::new(Shared {
            url: url.clone(),
            signer: Signer::es256("key-1"),
            proof: ClientProof::Public,
            redirect: REDIRECT.to_owned(),
            claims: json!({}),
            codes: BTreeMap::new(),
            given: 0,
            discovered: 0,
            refusals: Vec::new(),
            is_down: false,
        }));
        let routes = axum::Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            axum::serve(listener, routes).await.unwrap();
        });
        Self { url, shared, task }
    }

    /// Lets people of this provider log in; `approvers`, `admins` and `readers` are groups.
    pub(crate) fn configure(&self, settings: &mut Settings) {
        settings.issuers.push(IssuerSettings {
            name: "people".to_owned(),
            preset: Preset::Generic,
            url: self.url.clone(),
            audience: CLIENT.to_owned(),
            algorithms: vec![Algorithm::Es256],
            jwks_file: None,
            allow_origins: vec![self.url.clone()],
            leeway: Duration::from_mins(1),
            longest_life: Duration::from_hours(24),
        });
        settings.login = Some(LoginSettings {
            issuer: "people".to_owned(),
            client_id: CLIENT.to_owned(),
            client_secret: (self.lock().proof != ClientProof::Public)
                .then(|| SecretString::from(SECRET)),
            scopes: ["openid", "email", "groups"].map(str::to_owned).to_vec(),
            groups_claim: "groups".to_owned(),
            roles: vec![
                (Role::Approver, vec!["approvers".to_owned()]),
                (Role::Admin, vec!["admins".to_owned()]),
                (Role::Reader, vec!["readers".to_owned()]),
            ],
            require_provisioned: false,
        });
    }

    /// Who logs in from now on.
    pub(crate) fn is(&self, name: &str, groups: &[&str]) {
        self.says(json!({
            "sub": name, "email": format!("{name}@example.com"), "email_verified": true, "groups": groups,
        }));
    }

    /// What tokens say from now on; `nonce` and other claims that are given here are not what was asked for.
    pub(crate) fn says(&self, claims: Value) {
        self.lock().claims = claims;
    }

    pub(crate) fn wants(&self, proof: ClientProof) {
        self.lock().proof = proof;
    }

    pub(crate) fn expects_redirect(&self, redirect: &str) {
        redirect.clone_into(&mut self.lock().redirect);
    }

    pub(crate) fn is_down(&self, is_down: bool) {
        self.lock().is_down = is_down;
    }

    /// How often it was asked for its document.
    pub(crate) fn discovered(&self) -> u32 {
        self.lock().discovered
    }

    pub(crate) fn refusals(&self) -> Vec<String> {
        self.lock().refusals.clone()
    }

    /// A browser comes with this address, and goes to the answer.
    pub(crate) async fn visit(&self, location: &str) -> String {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let answer = client.get(location).send().await.unwrap();
        let status = answer.status();
        let to = answer
            .headers()
            .get(header::LOCATION)
            .map(|it| it.to_str().unwrap().to_owned());
        let text = answer.text().await.unwrap();
        to.unwrap_or_else(|| panic!("{status}: {text}"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn discovery(State(shared): State<Arc<Mutex<Shared>>>) -> Response {
    let mut shared = shared.lock().unwrap();
    shared.discovered += 1;
    if shared.is_down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let url = &shared.url;
    let methods: &[&str] = match shared.proof {
        ClientProof::Body => &["client_secret_post"],
        _ => &["client_secret_basic", "client_secret_post", "none"],
    };
    axum::Json(json!({
        "issuer": url,
        "jwks_uri": format!("{url}/keys"),
        "authorization_endpoint": format!("{url}/authorize?tenant=1"),
        "token_endpoint": format!("{url}/token"),
        "token_endpoint_auth_methods_supported": methods,
        "authorization_response_iss_parameter_supported": true,
    }))
    .into_response()
}

async fn keys(State(shared): State<Arc<Mutex<Shared>>>) -> axum::Json<Value> {
    axum::Json(jwks(&[&shared.lock().unwrap().signer]))
}

async fn authorize(
    State(shared): State<Arc<Mutex<Shared>>>,
    Query(asked): Query<Parameters>,
) -> Response {
    let mut shared = shared.lock().unwrap();
    let fixed = [
        ("tenant", "1"),
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", shared.redirect.as_str()),
        ("scope", "openid email groups"),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in fixed {
        if asked.get(name).map(String::as_str) != Some(value) {
            return (StatusCode::BAD_REQUEST, format!("{name}: {asked:?}")).into_response();
        }
    }
    for name in ["state", "nonce", "code_challenge"] {
        if asked.get(name).is_none_or(|value| value.len() < 43) {
            return (StatusCode::BAD_REQUEST, name).into_response();
        }
    }
    shared.given += 1;
    let code = format!("code-{}", shared.given);
    let mut to = reqwest::Url::parse(&shared.redirect).unwrap();
    to.query_pairs_mut()
        .append_pair("code", &code)
        .append_pair("state", &asked["state"])
        .append_pair("iss", &shared.url)
        // As some providers do.
        .append_pair("session_state", "x");
    let who = shared.claims.clone();
    shared.codes.insert(code, (asked, who));
    (StatusCode::FOUND, [(header::LOCATION, String::from(to))]).into_response()
}

async fn token(
    State(shared): State<Arc<Mutex<Shared>>>,
    headers: HeaderMap,
    axum::Form(form): axum::Form<Parameters>,
) -> Response {
    let mut shared = shared.lock().unwrap();
    match exchange(&mut shared, &headers, &form) {
        Ok(token) => axum::Json(json!({
            "access_token": "at-1", "token_type": "Bearer", "expires_in": 300, "id_token": token,
        }))
        .into_response(),
        Err((error, why)) => {
            shared.refusals.push(why.to_owned());
            let body = json!({"error": error, "error_description": why});
            (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
        }
    }
}

fn exchange(
    shared: &mut Shared,
    headers: &HeaderMap,
    form: &Parameters,
) -> Result<String, (&'static str, &'static str)> {
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if !is_client(shared.proof, headers, form) {
        return Err(("invalid_client", "who is it?"));
    }
    if field("grant_type") != "authorization_code" {
        return Err(("unsupported_grant_type", "no"));
    }
    let (asked, who) = shared
        .codes
        .remove(field("code"))
        .ok_or(("invalid_grant", "unknown or used code"))?;
    if field("redirect_uri") != asked["redirect_uri"] {
        return Err(("invalid_grant", "another redirect_uri"));
    }
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier")));
    if challenge != asked["code_challenge"] {
        return Err(("invalid_grant", "another code_verifier"));
    }
    let mut claims = json!({
        "iss": shared.url, "aud": CLIENT, "exp": NOW + 900, "iat": NOW, "nonce": asked["nonce"],
        "jti": format!("jti of {}", field("code")),
    });
    for (name, value) in who.as_object().unwrap() {
        claims[name] = value.clone();
    }
    Ok(shared.signer.sign(&claims))
}

fn is_client(proof: ClientProof, headers: &HeaderMap, form: &Parameters) -> bool {
    let has = |name: &str, value: &str| form.get(name).is_some_and(|found| found == value);
    match proof {
        ClientProof::Public => has("client_id", CLIENT) && !form.contains_key("client_secret"),
        ClientProof::Body => has("client_id", CLIENT) && has("client_secret", SECRET),
        ClientProof::Basic => {
            // RFC 6749, section 2.3.1: both are form-encoded first.
            let pair = STANDARD.encode(format!("{CLIENT}:s3cret%2Fof%2Bthe+client"));
            headers
                .get(header::AUTHORIZATION)
                .map(axum::http::HeaderValue::as_bytes)
                == Some(format!("Basic {pair}").as_bytes())
        }
    }
}

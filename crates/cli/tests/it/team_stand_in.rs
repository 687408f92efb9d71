//! An OpenID provider and the login part of a team server, in this process.
//!
//! The provider does what the specifications ask of it and can be told to do something else. Nobody is asked to log in:
//! whoever opens the login page is let in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What the provider does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Its description names another issuer.
    OtherIssuer,
    /// The ID token has another nonce.
    OtherNonce,
    /// The ID token is for another client.
    OtherAudience,
    /// There is no ID token.
    NoIdToken,
    /// The person says no.
    Denied,
}

/// Provider and server.
pub(crate) struct StandIn {
    pub(crate) url: String,
    pub(crate) state: Arc<World>,
    runtime: Option<tokio::runtime::Runtime>,
}

pub(crate) struct World {
    url: String,
    fault: Fault,
    /// By code: challenge, redirect address, nonce.
    codes: Mutex<HashMap<String, (String, String, String)>>,
    polls: Mutex<u32>,
    /// ID tokens with which sessions were opened.
    pub(crate) opened: Mutex<Vec<String>>,
    /// Sessions that were ended.
    pub(crate) ended: Mutex<Vec<String>>,
}

pub(crate) const SESSION: &str = "fxs_canary-session-token";

impl StandIn {
    pub(crate) fn start(fault: Fault) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(World {
            url: url.clone(),
            fault,
            codes: Mutex::default(),
            polls: Mutex::default(),
            opened: Mutex::default(),
            ended: Mutex::default(),
        });
        let router = Router::new()
            .route("/op/.well-known/openid-configuration", get(description))
            .route("/op/authorize", get(authorize))
            .route("/op/token", post(token))
            .route("/op/device", post(device))
            .route("/v1/login", get(login))
            .route("/v1/sessions", post(open_session))
            .route("/v1/sessions/current", axum::routing::delete(end_session))
            .with_state(Arc::clone(&state));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            url,
            state,
            runtime: Some(runtime),
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

type Shared = State<Arc<World>>;

async fn description(State(world): Shared) -> Json<Value> {
    let issuer = format!("{}/op", world.url);
    let named = match world.fault {
        Fault::OtherIssuer => "https://evil.example.com",
        _ => &issuer,
    };
    Json(json!({
        "issuer": named,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "device_authorization_endpoint": format!("{issuer}/device"),
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn login(State(world): Shared) -> Json<Value> {
    Json(json!({
        "issuer": format!("{}/op", world.url),
        "client_id": "fnox",
        "scopes": ["openid", "groups"],
    }))
}

/// RFC 6749, section 4.1.1: what is asked, and the redirect back.
async fn authorize(State(world): Shared, Query(query): Query<HashMap<String, String>>) -> Response {
    for (name, wanted) in [
        ("response_type", "code"),
        ("client_id", "fnox"),
        ("code_challenge_method", "S256"),
        ("scope", "openid groups"),
    ] {
        assert_eq!(query[name], wanted, "{name}");
    }
    let back = &query["redirect_uri"];
    assert!(back.starts_with("http://127.0.0.1:"), "{back}");
    let issuer = format!("{}/op", world.url).replace(':', "%3A");
    let state = &query["state"];
    let location = if world.fault == Fault::Denied {
        format!("{back}?error=access_denied&state={state}&iss={issuer}")
    } else {
        let code = format!("canary-code-{}", world.codes.lock().unwrap().len());
        world.codes.lock().unwrap().insert(
            code.clone(),
            (
                query["code_challenge"].clone(),
                back.clone(),
                query["nonce"].clone(),
            ),
        );
        format!("{back}?code={code}&state={state}&iss={issuer}")
    };
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

/// RFC 6749, section 4.1.3 with RFC 7636, section 4.6; RFC 8628, section 3.4.
async fn token(State(world): Shared, Form(form): Form<HashMap<String, String>>) -> Response {
    let refuse =
        |word: &str| (StatusCode::BAD_REQUEST, Json(json!({"error": word}))).into_response();
    assert!(
        !form.contains_key("client_secret"),
        "a public client has none"
    );
    if form["grant_type"] == "urn:ietf:params:oauth:grant-type:device_code" {
        assert_eq!(form["device_code"], "canary-device");
        let mut polls = world.polls.lock().unwrap();
        *polls += 1;
        return match (world.fault, *polls) {
            (Fault::Denied, _) => refuse("access_denied"),
            (_, 1) => refuse("authorization_pending"),
            _ => Json(tokens(&world, None)).into_response(),
        };
    }
    // A code is good once.
    let Some((challenge, back, nonce)) = world.codes.lock().unwrap().remove(&form["code"]) else {
        return refuse("invalid_grant");
    };
    let digest = sha256(form["code_verifier"].as_bytes());
    if URL_SAFE_NO_PAD.encode(digest) != challenge || form["redirect_uri"] != back {
        return refuse("invalid_grant");
    }
    Json(tokens(&world, Some(nonce))).into_response()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).to_vec()
}

fn tokens(world: &World, nonce: Option<String>) -> Value {
    let nonce = match world.fault {
        Fault::OtherNonce => Some("another".to_owned()),
        _ => nonce,
    };
    let audience = match world.fault {
        Fault::OtherAudience => "wiki",
        _ => "fnox",
    };
    let claims = json!({
        "iss": format!("{}/op", world.url), "sub": "anna", "aud": audience, "nonce": nonce,
    });
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    let mut answer = json!({"access_token": "canary-access", "token_type": "Bearer"});
    if world.fault != Fault::NoIdToken {
        answer["id_token"] = json!(format!("e30.{claims}.Y2FuYXJ5"));
    }
    answer
}

/// RFC 8628, section 3.2.
async fn device(State(world): Shared, Form(form): Form<HashMap<String, String>>) -> Json<Value> {
    assert_eq!(form["client_id"], "fnox");
    Json(json!({
        "device_code": "canary-device",
        "user_code": "WDJB-MJHT",
        "verification_uri": format!("{}/op/activate", world.url),
        "expires_in": 60,
        "interval": 1,
    }))
}

fn bearer(headers: &HeaderMap) -> String {
    let header = headers[header::AUTHORIZATION].to_str().unwrap();
    header.strip_prefix("Bearer ").unwrap().to_owned()
}

async fn open_session(State(world): Shared, headers: HeaderMap) -> Response {
    world.opened.lock().unwrap().push(bearer(&headers));
    let session = json!({
        "token": SESSION,
        "expires_at": "2999-01-01T00:00:00Z",
        "principal": "people:anna",
        "roles": ["approver", "admin"],
    });
    (StatusCode::CREATED, Json(session)).into_response()
}

async fn end_session(State(world): Shared, headers: HeaderMap) -> StatusCode {
    world.ended.lock().unwrap().push(bearer(&headers));
    StatusCode::NO_CONTENT
}

//! `/healthz`, `/readyz`, `/metrics`, `/v1/openapi.json`

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use fnox_api::{Health, Problem, ProblemCode};
use subtle::ConstantTimeEq as _;

use super::answer::{Answer, Refused};
use super::extract::{IsLocal, bearer};
use super::{Access, App, Route, openapi};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::api("GET", "/healthz", Access::Open, get(live)),
        Route::api("GET", "/readyz", Access::Open, get(ready)),
        Route::page("GET", "/metrics", Access::Metrics, get(metrics)),
        Route::page("GET", "/v1/openapi.json", Access::Open, get(document)),
    ]
}

async fn health(app: &App) -> Health {
    let word = if app.service.is_well().await {
        "ok"
    } else {
        "unavailable"
    };
    Health {
        status: word.to_owned(),
    }
}

/// Whether the process runs. Its status says whether the database does; the answer is 200 either way, since a new start
/// would not help.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = Health)))]
pub(super) async fn live(State(app): State<App>) -> axum::Json<Health> {
    axum::Json(health(&app).await)
}

/// Whether decisions and fetches work.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, axum::Json<Health>) {
    let health = health(&app).await;
    let status = if health.status == "ok" {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, axum::Json(health))
}

async fn metrics(
    State(app): State<App>,
    IsLocal(is_local): IsLocal,
    headers: HeaderMap,
) -> Answer<Response> {
    match &app.service.settings().metrics_token {
        Some(token) => {
            let given = bearer(&headers)?;
            if !bool::from(token.expose_secret().as_bytes().ct_eq(given.as_bytes())) {
                return Err(Refused::of(ProblemCode::TokenInvalid));
            }
        }
        None if is_local => {}
        None => {
            return Err(Refused(
                Problem::new(ProblemCode::Unauthenticated)
                    .with_detail("without `metrics_token_file` this answers only to loopback"),
            ));
        }
    }
    let text = app
        .metrics
        .as_ref()
        .map(metrics_exporter_prometheus::PrometheusHandle::render)
        .unwrap_or_default();
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

async fn document() -> Response {
    let kind = "application/json";
    ([(header::CONTENT_TYPE, kind)], openapi::document()).into_response()
}

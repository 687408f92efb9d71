//! `/v1/sessions`, `/v1/login`

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, get, post};
use fnox_api::{LoginOptions, Problem, SessionCreated, SessionView};

use super::answer::Answer;
use super::extract::{Peer, bearer};
use super::{Access, App, Route};
use crate::service::{Caller, Service};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::api("POST", "/v1/sessions", Access::Oidc, post(create)),
        Route::api("GET", "/v1/sessions/current", Access::Session, get(current)),
        Route::api(
            "DELETE",
            "/v1/sessions/current",
            Access::Session,
            delete(end),
        ),
        Route::api("GET", "/v1/login", Access::Open, get(login)),
    ]
}

/// Log in: an OIDC token as bearer opens one session.
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", security(("oidc" = [])), responses(
    (status = 201, body = SessionCreated), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub(super) async fn create(
    State(app): State<App>,
    Peer(address): Peer,
    headers: HeaderMap,
) -> Answer<(StatusCode, axum::Json<SessionCreated>)> {
    let created = app.service.login(bearer(&headers)?, address).await?;
    Ok((StatusCode::CREATED, axum::Json(created)))
}

/// Whom the server takes the caller for.
#[utoipa::path(get, path = "/v1/sessions/current", tag = "sessions", security(("session" = [])), responses(
    (status = 200, body = SessionView), (status = 401, body = Problem)))]
pub(super) async fn current(caller: Caller) -> axum::Json<SessionView> {
    axum::Json(Service::current_session(&caller))
}

/// Log out.
#[utoipa::path(delete, path = "/v1/sessions/current", tag = "sessions", security(("session" = [])), responses(
    (status = 204), (status = 401, body = Problem)))]
pub(super) async fn end(State(app): State<App>, caller: Caller) -> Answer<StatusCode> {
    app.service.logout(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How people log in.
#[utoipa::path(get, path = "/v1/login", tag = "sessions", responses(
    (status = 200, body = LoginOptions), (status = 404, body = Problem)))]
pub(super) async fn login(State(app): State<App>) -> Answer<axum::Json<LoginOptions>> {
    Ok(axum::Json(app.service.login_options()?))
}

//! `/v1/grants`, `/v1/fetch`

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use fnox_api::{CreateGrant, Fetched, GrantCreated, Problem};

use super::answer::Answer;
use super::extract::{Json, Peer, bearer};
use super::{Access, App, Route};
use crate::service::Caller;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::api("POST", "/v1/grants", Access::Session, post(create)),
        Route::api("POST", "/v1/fetch", Access::Grant, post(fetch)),
    ]
}

/// Exchange an approval for a grant, once; or ask for one at once for keys for which nobody has to be asked.
#[utoipa::path(post, path = "/v1/grants", tag = "grants", security(("session" = [])), request_body = CreateGrant,
    responses((status = 201, body = GrantCreated), (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CreateGrant>,
) -> Answer<(StatusCode, axum::Json<GrantCreated>)> {
    let created = app.service.grant(&caller, body).await?;
    Ok((StatusCode::CREATED, axum::Json(created)))
}

/// Use a grant up. There is no second answer, whatever happens to the first.
#[utoipa::path(post, path = "/v1/fetch", tag = "grants", security(("grant" = [])),
    responses((status = 200, body = Fetched), (status = 401, body = Problem), (status = 409, body = Problem),
        (status = 410, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn fetch(
    State(app): State<App>,
    Peer(address): Peer,
    headers: HeaderMap,
) -> Answer<axum::Json<Fetched>> {
    Ok(axum::Json(
        app.service.fetch(bearer(&headers)?, address).await?,
    ))
}

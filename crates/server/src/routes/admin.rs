//! `/v1/audit`, `/v1/admin/…`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use fnox_api::{
    AuditPage, CreateToken, Problem, ProblemCode, Role, ServerState, TokenCreated, TokenList,
};
use fnox_core::audit::Outcome;
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::answer::Answer;
use super::extract::{Administrator, Json, Path, Query};
use super::{Access, App, Route};
use crate::store::AuditFilter;

const ADMIN: Access = Access::Roles(&[Role::Admin]);
const TOKENS: &str = "/v1/admin/tokens";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::api("GET", "/v1/audit", ADMIN, get(audit)),
        Route::api("GET", "/v1/admin/state", ADMIN, get(state)),
        Route::api("POST", "/v1/admin/freeze", ADMIN, post(freeze)),
        Route::api("POST", "/v1/admin/unfreeze", ADMIN, post(unfreeze)),
        Route::api("POST", "/v1/admin/revoke-all", ADMIN, post(revoke_all)),
        Route::api("POST", TOKENS, ADMIN, post(create_token)),
        Route::api("GET", TOKENS, ADMIN, get(tokens)),
        Route::api("DELETE", "/v1/admin/tokens/{id}", ADMIN, delete(end_token)),
        Route::api(
            "DELETE",
            "/v1/admin/names/{issuer}/{*name}",
            ADMIN,
            delete(forget_name),
        ),
    ]
}

/// Which records.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Records {
    #[serde(default)]
    after: Option<u64>,
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    actor: Option<String>,
    #[serde(default)]
    project: Option<String>,
    #[serde(default)]
    approval: Option<Uuid>,
    #[serde(default)]
    outcome: Option<String>,
    #[serde(default)]
    since: Option<Timestamp>,
    #[serde(default)]
    until: Option<Timestamp>,
    #[serde(default)]
    newest_first: bool,
}

/// The audit log.
#[utoipa::path(get, path = "/v1/audit", tag = "administration", security(("session" = [])),
    params(("after" = Option<u64>, Query), ("limit" = Option<u32>, Query), ("event" = Option<String>, Query),
        ("actor" = Option<String>, Query), ("project" = Option<String>, Query), ("approval" = Option<Uuid>, Query),
        ("outcome" = Option<String>, Query), ("since" = Option<String>, Query), ("until" = Option<String>, Query),
        ("newest_first" = Option<bool>, Query)),
    responses((status = 200, body = AuditPage), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(super) async fn audit(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Query(query): Query<Records>,
) -> Answer<axum::Json<AuditPage>> {
    let outcome = query
        .outcome
        .map(|word| {
            Outcome::parse(&word).ok_or_else(|| {
                Problem::new(ProblemCode::InvalidRequest)
                    .with_detail("`outcome` is `ok`, `denied` or `error`")
                    .at_field("outcome")
            })
        })
        .transpose()?;
    let filter = AuditFilter {
        after: query.after,
        event: query.event,
        actor: query.actor,
        project: query.project,
        approval: query.approval,
        outcome,
        since: query.since,
        until: query.until,
        newest_first: query.newest_first,
    };
    Ok(axum::Json(
        app.service.audit(&caller, filter, query.limit).await?,
    ))
}

/// Whether anything is released at the moment.
#[utoipa::path(get, path = "/v1/admin/state", tag = "administration", security(("session" = [])),
    responses((status = 200, body = ServerState), (status = 403, body = Problem)))]
pub(super) async fn state(
    State(app): State<App>,
    Administrator(caller): Administrator,
) -> Answer<axum::Json<ServerState>> {
    Ok(axum::Json(app.service.state(&caller).await?))
}

/// Release nothing until `unfreeze`.
#[utoipa::path(post, path = "/v1/admin/freeze", tag = "administration", security(("session" = [])),
    responses((status = 200, body = ServerState), (status = 403, body = Problem)))]
pub(super) async fn freeze(
    State(app): State<App>,
    Administrator(caller): Administrator,
) -> Answer<axum::Json<ServerState>> {
    Ok(axum::Json(app.service.set_frozen(&caller, true).await?))
}

/// Release again.
#[utoipa::path(post, path = "/v1/admin/unfreeze", tag = "administration", security(("session" = [])),
    responses((status = 200, body = ServerState), (status = 403, body = Problem)))]
pub(super) async fn unfreeze(
    State(app): State<App>,
    Administrator(caller): Administrator,
) -> Answer<axum::Json<ServerState>> {
    Ok(axum::Json(app.service.set_frozen(&caller, false).await?))
}

/// End all sessions but the caller's, all tokens of identity providers and administrators, all approvals, all grants.
#[utoipa::path(post, path = "/v1/admin/revoke-all", tag = "administration", security(("session" = [])),
    responses((status = 200, body = ServerState), (status = 403, body = Problem)))]
pub(super) async fn revoke_all(
    State(app): State<App>,
    Administrator(caller): Administrator,
) -> Answer<axum::Json<ServerState>> {
    Ok(axum::Json(app.service.revoke_all(&caller).await?))
}

/// Let a name belong to another id.
#[utoipa::path(delete, path = "/v1/admin/names/{issuer}/{name}", tag = "administration", security(("session" = [])),
    params(("issuer" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn forget_name(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path((issuer, name)): Path<(String, String)>,
) -> Answer<StatusCode> {
    app.service.forget_name(&caller, &issuer, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a token for an identity provider, a gateway, or an administrator.
#[utoipa::path(post, path = "/v1/admin/tokens", tag = "administration", security(("session" = [])),
    request_body = CreateToken,
    responses((status = 201, body = TokenCreated), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(super) async fn create_token(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Json(wanted): Json<CreateToken>,
) -> Answer<Response> {
    let created = app.service.create_token(&caller, &wanted).await?;
    Ok((StatusCode::CREATED, axum::Json(created)).into_response())
}

/// The tokens of identity providers, gateways and administrators that are good at the moment.
#[utoipa::path(get, path = "/v1/admin/tokens", tag = "administration", security(("session" = [])),
    responses((status = 200, body = TokenList), (status = 403, body = Problem)))]
pub(super) async fn tokens(
    State(app): State<App>,
    Administrator(caller): Administrator,
) -> Answer<axum::Json<TokenList>> {
    Ok(axum::Json(app.service.tokens(&caller).await?))
}

/// End a token at once.
#[utoipa::path(delete, path = "/v1/admin/tokens/{id}", tag = "administration", security(("session" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn end_token(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
) -> Answer<StatusCode> {
    app.service.end_token(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! `/v1/approvals…`

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use fnox_api::{Approval, ApprovalCreated, ApprovalList, CreateApproval, Decide, Problem, Role};
use serde::Deserialize;
use uuid::Uuid;

use super::answer::Answer;
use super::extract::{Approver, Json, Onlooker, Path, Query};
use super::{Access, App, Route};
use crate::service::Caller;

const ALL: &str = "/v1/approvals";
/// The route whose answer may wait.
pub(super) const ONE: &str = "/v1/approvals/{id}";
const DECISION: &str = "/v1/approvals/{id}/decision";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::api("POST", ALL, Access::Session, post(create)),
        Route::api(
            "GET",
            ALL,
            Access::Roles(&[Role::Approver, Role::Admin]),
            get(list),
        ),
        Route::api("GET", ONE, Access::Session, get(read)),
        Route::api("DELETE", ONE, Access::Session, delete(cancel)),
        Route::api(
            "POST",
            DECISION,
            Access::Roles(&[Role::Approver]),
            post(decide),
        ),
    ]
}

/// Ask for an approval. The same request while one is pending answers with that one.
#[utoipa::path(post, path = "/v1/approvals", tag = "approvals", security(("session" = [])),
    request_body = CreateApproval,
    responses((status = 201, body = ApprovalCreated), (status = 200, body = ApprovalCreated),
        (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 429, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CreateApproval>,
) -> Answer<(StatusCode, axum::Json<ApprovalCreated>)> {
    let (created, is_new) = app.service.ask(&caller, body).await?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, axum::Json(created)))
}

/// How long to wait.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Waiting {
    #[serde(default)]
    pub(super) wait: u64,
}

/// Where an approval stands. With `wait`, the answer comes when it is not pending any more, or after that many seconds.
#[utoipa::path(get, path = "/v1/approvals/{id}", tag = "approvals", security(("session" = [])),
    params(("id" = Uuid, Path), ("wait" = Option<u64>, Query, description = "Seconds, at most 60.")),
    responses((status = 200, body = Approval), (status = 404, body = Problem)))]
pub(super) async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<Waiting>,
) -> Answer<axum::Json<Approval>> {
    let wait = Duration::from_secs(query.wait);
    Ok(axum::Json(app.service.approval(&caller, id, wait).await?))
}

/// Which approvals.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    status: Status,
}

/// Those that are pending, or all.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    #[default]
    Pending,
    All,
}

/// Approvals, newest first: those that are pending, or with `status=all` the newest hundred.
#[utoipa::path(get, path = "/v1/approvals", tag = "approvals", security(("session" = [])),
    params(("status" = Option<String>, Query, description = "`pending` or `all`.")),
    responses((status = 200, body = ApprovalList), (status = 403, body = Problem)))]
pub(super) async fn list(
    State(app): State<App>,
    Onlooker(caller): Onlooker,
    Query(query): Query<Which>,
) -> Answer<axum::Json<ApprovalList>> {
    let pending_only = query.status == Status::Pending;
    Ok(axum::Json(
        app.service.approvals(&caller, pending_only).await?,
    ))
}

/// Take a request back.
#[utoipa::path(delete, path = "/v1/approvals/{id}", tag = "approvals", security(("session" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Answer<StatusCode> {
    app.service.cancel(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Decide. A yes needs the match code. A no wins over a yes as long as nothing was granted.
#[utoipa::path(post, path = "/v1/approvals/{id}/decision", tag = "approvals", security(("session" = [])),
    params(("id" = Uuid, Path)), request_body = Decide,
    responses((status = 200, body = Approval), (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn decide(
    State(app): State<App>,
    Approver(caller): Approver,
    Path(id): Path<Uuid>,
    Json(body): Json<Decide>,
) -> Answer<axum::Json<Approval>> {
    Ok(axum::Json(app.service.decide(&caller, id, body).await?))
}

//! `/v1/questions…`

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use fnox_api::{CreateQuestion, Problem, Question, QuestionCreated, QuestionUsed};
use uuid::Uuid;

use super::answer::Answer;
use super::approvals::Waiting;
use super::extract::{Asker, Json, Path, Query};
use super::{Access, App, Route};

const ALL: &str = "/v1/questions";
/// The route whose answer may wait.
pub(super) const ONE: &str = "/v1/questions/{id}";
const USE: &str = "/v1/questions/{id}/use";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::api("POST", ALL, Access::Asker, post(create)),
        Route::api("GET", ONE, Access::Asker, get(read)),
        Route::api("DELETE", ONE, Access::Asker, delete(cancel)),
        Route::api("POST", USE, Access::Asker, post(take)),
    ]
}

/// Ask people about a request of an agent. The same `key` while it is pending answers with that question. People decide
/// about it as about an approval; it becomes no grant.
#[utoipa::path(post, path = "/v1/questions", tag = "questions", security(("gateway" = []), ("session" = [])),
    request_body = CreateQuestion,
    responses((status = 201, body = QuestionCreated), (status = 200, body = QuestionCreated),
        (status = 400, body = Problem), (status = 403, body = Problem), (status = 429, body = Problem),
        (status = 503, body = Problem)))]
pub(super) async fn create(
    State(app): State<App>,
    Asker(caller): Asker,
    Json(body): Json<CreateQuestion>,
) -> Answer<(StatusCode, axum::Json<QuestionCreated>)> {
    let (created, is_new) = app.service.ask_question(&caller, body).await?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, axum::Json(created)))
}

/// Where the caller's own question stands. With `wait`, the answer comes when it is not pending any more, or after that
/// many seconds.
#[utoipa::path(get, path = "/v1/questions/{id}", tag = "questions", security(("gateway" = []), ("session" = [])),
    params(("id" = Uuid, Path), ("wait" = Option<u64>, Query, description = "Seconds, at most 60.")),
    responses((status = 200, body = Question), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn read(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<Uuid>,
    Query(query): Query<Waiting>,
) -> Answer<axum::Json<Question>> {
    let wait = Duration::from_secs(query.wait);
    Ok(axum::Json(app.service.question(&caller, id, wait).await?))
}

/// Take the caller's own question back.
#[utoipa::path(delete, path = "/v1/questions/{id}", tag = "questions", security(("gateway" = []), ("session" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub(super) async fn cancel(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<Uuid>,
) -> Answer<StatusCode> {
    app.service.cancel_question(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Use a yes up, once. The answer says for how long it covers the same request.
#[utoipa::path(post, path = "/v1/questions/{id}/use", tag = "questions", security(("gateway" = []), ("session" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 200, body = QuestionUsed), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn take(
    State(app): State<App>,
    Asker(caller): Asker,
    Path(id): Path<Uuid>,
) -> Answer<axum::Json<QuestionUsed>> {
    Ok(axum::Json(app.service.use_question(&caller, id).await?))
}

//! `/v1/projects/{project}/secrets…`, and the same for the default project under `/v1/secrets…`; `/v1/checks`

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};
use fnox_api::{
    CheckRequest, Checks, Problem, PutSecret, Role, SecretList, SecretView, VersionList,
};
use serde::Deserialize;

use super::answer::Answer;
use super::extract::{Administrator, Json, Path, Query, Wanted};
use super::{Access, App, Route};
use crate::service::Caller;

/// The project that the short form means.
const DEFAULT_PROJECT: &str = "default";
const ADMIN: Access = Access::Roles(&[Role::Admin]);

const LIST: &str = "/v1/projects/{project}/secrets";
const ONE: &str = "/v1/projects/{project}/secrets/{key}";
const VERSIONS: &str = "/v1/projects/{project}/secrets/{key}/versions";
const SHORT_LIST: &str = "/v1/secrets";
const SHORT_ONE: &str = "/v1/secrets/{key}";
const SHORT_VERSIONS: &str = "/v1/secrets/{key}/versions";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::api("GET", LIST, Access::Session, get(list)),
        Route::api("PUT", ONE, ADMIN, put(store)),
        Route::api("GET", ONE, Access::Session, get(read)),
        Route::api("DELETE", ONE, ADMIN, delete(remove)),
        Route::api("GET", VERSIONS, Access::Session, get(versions)),
        Route::api("GET", SHORT_LIST, Access::Session, get(list_default)),
        Route::api("PUT", SHORT_ONE, ADMIN, put(store_default)),
        Route::api("GET", SHORT_ONE, Access::Session, get(read_default)),
        Route::api("DELETE", SHORT_ONE, ADMIN, delete(remove_default)),
        Route::api(
            "GET",
            SHORT_VERSIONS,
            Access::Session,
            get(versions_default),
        ),
        Route::api("POST", "/v1/checks", Access::Session, post(check)),
    ]
}

/// Which profile.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InProfile {
    #[serde(default)]
    profile: Option<String>,
}

/// Which page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageOf {
    #[serde(default)]
    profile: Option<String>,
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    limit: Option<u32>,
}

fn tagged(status: StatusCode, view: SecretView) -> Response {
    let tag = format!("\"{}\"", view.version);
    let tag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"0\""));
    let headers: [(HeaderName, HeaderValue); 1] = [(header::ETAG, tag)];
    (status, headers, axum::Json(view)).into_response()
}

/// Store a version.
#[utoipa::path(put, path = "/v1/projects/{project}/secrets/{key}", tag = "secrets", security(("session" = [])),
    params(("project" = String, Path), ("key" = String, Path), ("If-Match" = Option<String>, Header),
        ("If-None-Match" = Option<String>, Header)),
    request_body = PutSecret, responses((status = 200, body = SecretView), (status = 201, body = SecretView),
        (status = 400, body = Problem), (status = 403, body = Problem), (status = 412, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem)))]
pub(super) async fn store(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path((project, key)): Path<(String, String)>,
    Wanted(condition): Wanted,
    Json(body): Json<PutSecret>,
) -> Answer<Response> {
    let view = app
        .service
        .put_secret(&caller, (&project, &key), condition, body)
        .await?;
    let status = if view.version == 1 {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(tagged(status, view))
}

/// The newest version; with its age file for administrators.
#[utoipa::path(get, path = "/v1/projects/{project}/secrets/{key}", tag = "secrets", security(("session" = [])),
    params(("project" = String, Path), ("key" = String, Path), ("profile" = Option<String>, Query)),
    responses((status = 200, body = SecretView), (status = 404, body = Problem)))]
pub(super) async fn read(
    State(app): State<App>,
    caller: Caller,
    Path((project, key)): Path<(String, String)>,
    Query(query): Query<InProfile>,
) -> Answer<Response> {
    let place = (project.as_str(), query.profile.as_deref(), key.as_str());
    let view = app.service.secret(&caller, place).await?;
    Ok(tagged(StatusCode::OK, view))
}

/// Delete all versions.
#[utoipa::path(delete, path = "/v1/projects/{project}/secrets/{key}", tag = "secrets", security(("session" = [])),
    params(("project" = String, Path), ("key" = String, Path), ("profile" = Option<String>, Query),
        ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 412, body = Problem)))]
pub(super) async fn remove(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path((project, key)): Path<(String, String)>,
    Query(query): Query<InProfile>,
    Wanted(condition): Wanted,
) -> Answer<StatusCode> {
    let place = (project.as_str(), query.profile.as_deref(), key.as_str());
    app.service.delete_secret(&caller, place, condition).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All kept versions, without age files.
#[utoipa::path(get, path = "/v1/projects/{project}/secrets/{key}/versions", tag = "secrets",
    security(("session" = [])),
    params(("project" = String, Path), ("key" = String, Path), ("profile" = Option<String>, Query)),
    responses((status = 200, body = VersionList), (status = 404, body = Problem)))]
pub(super) async fn versions(
    State(app): State<App>,
    caller: Caller,
    Path((project, key)): Path<(String, String)>,
    Query(query): Query<InProfile>,
) -> Answer<axum::Json<VersionList>> {
    let place = (project.as_str(), query.profile.as_deref(), key.as_str());
    Ok(axum::Json(app.service.versions(&caller, place).await?))
}

/// Which secrets there are, as far as the caller may know.
#[utoipa::path(get, path = "/v1/projects/{project}/secrets", tag = "secrets", security(("session" = [])),
    params(("project" = String, Path), ("profile" = Option<String>, Query), ("after" = Option<String>, Query),
        ("limit" = Option<u32>, Query)),
    responses((status = 200, body = SecretList), (status = 400, body = Problem)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(project): Path<String>,
    Query(query): Query<PageOf>,
) -> Answer<axum::Json<SecretList>> {
    let page = app
        .service
        .secrets(
            &caller,
            (&project, query.profile.as_deref()),
            query.after.as_deref(),
            query.limit,
        )
        .await?;
    Ok(axum::Json(page))
}

fn default_project() -> String {
    DEFAULT_PROJECT.to_owned()
}

/// The same in the default project.
#[utoipa::path(put, path = "/v1/secrets/{key}", tag = "secrets", security(("session" = [])),
    params(("key" = String, Path), ("If-Match" = Option<String>, Header), ("If-None-Match" = Option<String>, Header)),
    request_body = PutSecret, responses((status = 200, body = SecretView), (status = 201, body = SecretView),
        (status = 400, body = Problem), (status = 403, body = Problem), (status = 412, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem)))]
pub(super) async fn store_default(
    state: State<App>,
    caller: Administrator,
    Path(key): Path<String>,
    wanted: Wanted,
    body: Json<PutSecret>,
) -> Answer<Response> {
    store(state, caller, Path((default_project(), key)), wanted, body).await
}

/// The same in the default project.
#[utoipa::path(get, path = "/v1/secrets/{key}", tag = "secrets", security(("session" = [])),
    params(("key" = String, Path), ("profile" = Option<String>, Query)),
    responses((status = 200, body = SecretView), (status = 404, body = Problem)))]
pub(super) async fn read_default(
    state: State<App>,
    caller: Caller,
    Path(key): Path<String>,
    query: Query<InProfile>,
) -> Answer<Response> {
    read(state, caller, Path((default_project(), key)), query).await
}

/// The same in the default project.
#[utoipa::path(delete, path = "/v1/secrets/{key}", tag = "secrets", security(("session" = [])),
    params(("key" = String, Path), ("profile" = Option<String>, Query), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 412, body = Problem)))]
pub(super) async fn remove_default(
    state: State<App>,
    caller: Administrator,
    Path(key): Path<String>,
    query: Query<InProfile>,
    wanted: Wanted,
) -> Answer<StatusCode> {
    remove(state, caller, Path((default_project(), key)), query, wanted).await
}

/// The same in the default project.
#[utoipa::path(get, path = "/v1/secrets/{key}/versions", tag = "secrets", security(("session" = [])),
    params(("key" = String, Path), ("profile" = Option<String>, Query)),
    responses((status = 200, body = VersionList), (status = 404, body = Problem)))]
pub(super) async fn versions_default(
    state: State<App>,
    caller: Caller,
    Path(key): Path<String>,
    query: Query<InProfile>,
) -> Answer<axum::Json<VersionList>> {
    versions(state, caller, Path((default_project(), key)), query).await
}

/// The same in the default project.
#[utoipa::path(get, path = "/v1/secrets", tag = "secrets", security(("session" = [])),
    params(("profile" = Option<String>, Query), ("after" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = SecretList), (status = 400, body = Problem)))]
pub(super) async fn list_default(
    state: State<App>,
    caller: Caller,
    query: Query<PageOf>,
) -> Answer<axum::Json<SecretList>> {
    list(state, caller, Path(default_project()), query).await
}

/// What a request would be asked, without asking anybody.
#[utoipa::path(post, path = "/v1/checks", tag = "approvals", security(("session" = [])),
    request_body = CheckRequest, responses((status = 200, body = Checks), (status = 400, body = Problem)))]
pub(super) async fn check(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CheckRequest>,
) -> Answer<axum::Json<Checks>> {
    Ok(axum::Json(app.service.check(&caller, body).await?))
}

//! `/scim/v2/Users` (RFC 7643, RFC 7644): create, read, list with an `eq` filter, PATCH, delete.
//!
//! Enough for an identity provider to tell who left. Groups stay with the groups claim of the login.

use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, patch, post};
use fnox_api::{Problem, ProblemCode};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Answer, Refused};
use super::extract::{Path, Provisioner, Query, body, must_be, must_be_no_list};
use super::{Access, App, Route};
use crate::service::NewUser;
use crate::store::{UserChange, UserRecord};

/// What all paths of this protocol begin with.
pub(super) const BASE: &str = "/scim/";
const ALL: &str = "/scim/v2/Users";
const ONE: &str = "/scim/v2/Users/{id}";
const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::api("POST", ALL, Access::Provisioner, post(create)),
        Route::api("GET", ALL, Access::Provisioner, get(list)),
        Route::api("GET", ONE, Access::Provisioner, get(read)),
        Route::api("PATCH", ONE, Access::Provisioner, patch(change)),
        Route::api("DELETE", ONE, Access::Provisioner, delete(remove)),
    ]
}

/// A SCIM body. Identity providers send attributes that are of no use here, so unknown ones are skipped.
struct Scim<T>(T);

impl<T: serde::de::DeserializeOwned> FromRequest<App> for Scim<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refused> {
        must_be(&request, &["application/scim+json", "application/json"])?;
        let bytes = body(request, app).await?;
        must_be_no_list(&bytes)?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            Refused(
                Problem::new(ProblemCode::InvalidRequest).with_detail(format!("the body: {error}")),
            )
        })
    }
}

/// What is read of a user resource.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserBody {
    user_name: String,
    #[serde(default)]
    external_id: Option<String>,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    emails: Vec<Email>,
    #[serde(default = "yes")]
    active: bool,
}

#[derive(Debug, Deserialize)]
struct Email {
    value: String,
    #[serde(default)]
    primary: bool,
}

fn yes() -> bool {
    true
}

/// Tell of a person.
#[utoipa::path(post, path = "/scim/v2/Users", tag = "people", security(("provisioning" = [])),
    request_body = Object, responses((status = 201, body = Object), (status = 400, body = Problem),
        (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn create(
    State(app): State<App>,
    Provisioner(caller): Provisioner,
    request: Request,
) -> Answer<Response> {
    let Scim(body) = Scim::<UserBody>::from_request(request, &app).await?;
    let new = NewUser {
        email: primary(&body.emails),
        user_name: body.user_name,
        external_id: body.external_id,
        display_name: body.display_name,
        active: body.active,
    };
    let user = app.service.create_user(&caller, new).await?;
    let base = &app.service.settings().public_url;
    let location = format!("{base}{ALL}/{}", user.id);
    let mut response = resource(StatusCode::CREATED, &shown(&user, base));
    if let Ok(value) = location.parse() {
        response.headers_mut().insert(header::LOCATION, value);
    }
    Ok(response)
}

/// A person.
#[utoipa::path(get, path = "/scim/v2/Users/{id}", tag = "people", security(("provisioning" = [])),
    params(("id" = Uuid, Path)), responses((status = 200, body = Object), (status = 403, body = Problem),
        (status = 404, body = Problem)))]
pub(super) async fn read(
    State(app): State<App>,
    Provisioner(caller): Provisioner,
    Path(id): Path<Uuid>,
) -> Answer<Response> {
    let user = app.service.user(&caller, id).await?;
    Ok(resource(
        StatusCode::OK,
        &shown(&user, &app.service.settings().public_url),
    ))
}

/// Which people (RFC 7644, section 3.4.2). Other parameters are about attributes and order, and skipped.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listing {
    #[serde(default)]
    filter: Option<String>,
    #[serde(default)]
    start_index: Option<i64>,
    #[serde(default)]
    count: Option<i64>,
}

/// People; the filter may be `userName eq "…"` or `externalId eq "…"`.
#[utoipa::path(get, path = "/scim/v2/Users", tag = "people", security(("provisioning" = [])),
    params(("filter" = Option<String>, Query), ("startIndex" = Option<i64>, Query), ("count" = Option<i64>, Query)),
    responses((status = 200, body = Object), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(super) async fn list(
    State(app): State<App>,
    Provisioner(caller): Provisioner,
    Query(query): Query<Listing>,
) -> Answer<Response> {
    // Values below 1 mean 1, a negative count means 0 (RFC 7644, section 3.4.2.4).
    let start = u32::try_from(query.start_index.unwrap_or(1).max(1)).unwrap_or(u32::MAX);
    let count = u32::try_from(query.count.unwrap_or(MOST).clamp(0, MOST)).unwrap_or(0);
    let wanted = query.filter.as_deref().map(filter).transpose()?;
    let (user_name, external_id) = match wanted {
        None => (None, None),
        Some((Attribute::UserName, value)) => (Some(value), None),
        Some((Attribute::ExternalId, value)) => (None, Some(value)),
    };
    let (users, total) = app
        .service
        .users(&caller, (user_name, external_id), start - 1, count)
        .await?;
    let base = &app.service.settings().public_url;
    let resources: Vec<Value> = users.iter().map(|user| shown(user, base)).collect();
    Ok(resource(
        StatusCode::OK,
        &json!({
            "schemas": [LIST],
            "totalResults": total,
            "startIndex": start,
            "itemsPerPage": resources.len(),
            "Resources": resources,
        }),
    ))
}

enum Attribute {
    UserName,
    ExternalId,
}

/// `ATTRIBUTE eq "VALUE"`. Attribute names and operators do not care about case (RFC 7644, section 3.4.2.2).
fn filter(text: &str) -> Result<(Attribute, String), Refused> {
    let parse = || {
        let (attribute, rest) = text.trim().split_once(' ')?;
        let (operator, value) = rest.trim_start().split_once(' ')?;
        let value: String = serde_json::from_str(value.trim()).ok()?;
        let attribute = match attribute.to_ascii_lowercase().as_str() {
            "username" => Attribute::UserName,
            "externalid" => Attribute::ExternalId,
            _ => return None,
        };
        operator
            .eq_ignore_ascii_case("eq")
            .then_some((attribute, value))
    };
    parse().ok_or_else(|| {
        Refused(
            Problem::new(ProblemCode::InvalidRequest)
                .with_detail("`filter` must be `userName eq \"…\"` or `externalId eq \"…\"`")
                .at_field("filter"),
        )
    })
}

/// A PATCH (RFC 7644, section 3.5.2).
#[derive(Debug, Deserialize)]
struct PatchBody {
    schemas: Vec<String>,
    #[serde(rename = "Operations")]
    operations: Vec<Operation>,
}

#[derive(Debug, Deserialize)]
struct Operation {
    op: String,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    value: Value,
}

/// Change a person. `active` false ends everything of theirs at once.
#[utoipa::path(patch, path = "/scim/v2/Users/{id}", tag = "people", security(("provisioning" = [])),
    params(("id" = Uuid, Path)), request_body = Object,
    responses((status = 200, body = Object), (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn change(
    State(app): State<App>,
    Provisioner(caller): Provisioner,
    Path(id): Path<Uuid>,
    request: Request,
) -> Answer<Response> {
    let Scim(body) = Scim::<PatchBody>::from_request(request, &app).await?;
    if !body.schemas.iter().any(|schema| schema == PATCH) {
        return Err(wrong("schemas", &format!("it must hold `{PATCH}`")));
    }
    let mut change = UserChange::default();
    for operation in &body.operations {
        apply(&mut change, operation)?;
    }
    let user = app.service.change_user(&caller, id, change).await?;
    Ok(resource(
        StatusCode::OK,
        &shown(&user, &app.service.settings().public_url),
    ))
}

fn apply(change: &mut UserChange, operation: &Operation) -> Result<(), Refused> {
    let removes = match operation.op.to_ascii_lowercase().as_str() {
        "add" | "replace" => false,
        "remove" => true,
        _ => return Err(wrong("op", "it must be `add`, `replace` or `remove`")),
    };
    match (&operation.path, &operation.value) {
        (Some(path), value) => attribute(change, path, value, removes),
        // Without a path the value is an object of attributes; some providers only know this form.
        (None, Value::Object(attributes)) if !removes => attributes
            .iter()
            .try_for_each(|(name, value)| attribute(change, name, value, false)),
        _ => Err(wrong("path", "it is missing")),
    }
}

fn attribute(
    change: &mut UserChange,
    name: &str,
    value: &Value,
    removes: bool,
) -> Result<(), Refused> {
    let text = || -> Result<Option<String>, Refused> {
        match value {
            _ if removes => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            _ => Err(wrong(name, "it is not a text")),
        }
    };
    match name.to_ascii_lowercase().as_str() {
        // Some providers send the flag as a text.
        "active" => {
            change.active = match value {
                Value::Bool(flag) if !removes => Some(*flag),
                Value::String(text) if !removes && text.eq_ignore_ascii_case("true") => Some(true),
                Value::String(text) if !removes && text.eq_ignore_ascii_case("false") => {
                    Some(false)
                }
                _ => return Err(wrong("active", "it must be true or false")),
            };
        }
        "username" => match text()? {
            Some(text) => change.user_name = Some(text),
            None => return Err(wrong("userName", "it cannot be removed")),
        },
        "externalid" => change.external_id = Some(text()?),
        "displayname" => change.display_name = Some(text()?),
        "emails" => {
            let emails: Vec<Email> = serde_json::from_value(value.clone())
                .map_err(|error| wrong("emails", &error.to_string()))?;
            change.email = Some(primary(&emails));
        }
        "emails[type eq \"work\"].value" | "emails[primary eq true].value" => {
            change.email = Some(text()?);
        }
        // Attributes that this server does not keep, such as names and titles.
        _ => {}
    }
    Ok(())
}

/// Delete a person, with everything of theirs.
#[utoipa::path(delete, path = "/scim/v2/Users/{id}", tag = "people", security(("provisioning" = [])),
    params(("id" = Uuid, Path)), responses((status = 204), (status = 403, body = Problem),
        (status = 404, body = Problem)))]
pub(super) async fn remove(
    State(app): State<App>,
    Provisioner(caller): Provisioner,
    Path(id): Path<Uuid>,
) -> Answer<StatusCode> {
    app.service.delete_user(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn primary(emails: &[Email]) -> Option<String> {
    emails
        .iter()
        .find(|email| email.primary)
        .or(emails.first())
        .map(|email| email.value.clone())
}

fn wrong(field: &str, detail: &str) -> Refused {
    Refused(
        Problem::new(ProblemCode::InvalidRequest)
            .with_detail(format!("`{field}`: {detail}"))
            .at_field(field),
    )
}

fn shown(user: &UserRecord, base: &str) -> Value {
    let mut shown = json!({
        "schemas": [SCHEMA],
        "id": user.id,
        "userName": user.user_name,
        "active": user.active,
        "meta": {
            "resourceType": "User",
            "created": user.created_at,
            "lastModified": user.updated_at,
            "location": format!("{base}{ALL}/{}", user.id),
        },
    });
    let optional = [
        ("externalId", &user.external_id),
        ("displayName", &user.display_name),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            shown[name] = json!(value);
        }
    }
    if let Some(email) = &user.email {
        shown["emails"] = json!([{ "value": email, "primary": true }]);
    }
    shown
}

/// A problem as SCIM clients read it (RFC 7644, section 3.12).
pub(super) fn render(problem: &Problem, response: &mut Response) {
    let kind = match problem.known_code() {
        Some(ProblemCode::Exists) => Some("uniqueness"),
        Some(ProblemCode::InvalidRequest) if problem.field.as_deref() == Some("filter") => {
            Some("invalidFilter")
        }
        Some(ProblemCode::InvalidRequest) => Some("invalidValue"),
        _ => None,
    };
    let mut error = json!({
        "schemas": [ERROR],
        "status": problem.status.to_string(),
        "detail": problem.detail.as_ref().unwrap_or(&problem.title),
        // Not of SCIM: the same word as everywhere else.
        "code": problem.code,
    });
    if let Some(kind) = kind {
        error["scimType"] = json!(kind);
    }
    let headers = response.headers_mut();
    let json = header::HeaderValue::from_static("application/scim+json");
    headers.insert(header::CONTENT_TYPE, json);
    if problem.status == 401 {
        let bearer = header::HeaderValue::from_static("Bearer");
        headers.insert(header::WWW_AUTHENTICATE, bearer);
    }
    *response.body_mut() = error.to_string().into();
}

fn resource(status: StatusCode, value: &Value) -> Response {
    let kind = "application/scim+json";
    (status, [(header::CONTENT_TYPE, kind)], value.to_string()).into_response()
}

const MOST: i64 = 200;

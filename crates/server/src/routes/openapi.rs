//! The OpenAPI document, made of the handlers and the wire types.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::Method;
use fnox_api::Problem;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Object, Ref, RefOr, Response, Schema};
use utoipa::{Modify, OpenApi, ToSchema as _};

use super::{admin, approvals, grants, health, questions, scim, secrets, sessions};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "fnox team server",
        description = "Stores age files that it cannot open, and releases one once, after a person said yes. Errors \
            are problem documents (RFC 9457) with a stable `code`."
    ),
    paths(
        sessions::create, sessions::current, sessions::end, sessions::login,
        secrets::list, secrets::store, secrets::read, secrets::remove, secrets::versions,
        secrets::list_default, secrets::store_default, secrets::read_default, secrets::remove_default,
        secrets::versions_default, secrets::check,
        approvals::create, approvals::list, approvals::read, approvals::cancel, approvals::decide,
        questions::create, questions::read, questions::cancel, questions::take,
        grants::create, grants::fetch,
        admin::audit, admin::state, admin::freeze, admin::unfreeze, admin::revoke_all, admin::forget_name,
        admin::create_token, admin::tokens, admin::end_token,
        scim::create, scim::list, scim::read, scim::change, scim::remove,
        health::live, health::ready,
    ),
    modifiers(&Bearers, &MediaTypes)
)]
struct Document;

/// The kinds of bearer tokens.
struct Bearers;

impl Modify for Bearers {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let kinds = [
            (
                "oidc",
                "An OIDC token with this server's audience. It opens one session.",
            ),
            (
                "session",
                "`fxs_…` of `POST /v1/sessions`, or an administrator's `fxb_…`.",
            ),
            ("grant", "`fxg_…` of `POST /v1/grants`. It works once."),
            (
                "gateway",
                "`fxw_…` of `POST /v1/admin/tokens`: a gateway's. It asks questions and nothing else.",
            ),
            ("provisioning", "`fxp_…`, or an administrator's token."),
        ];
        let components = document.components.get_or_insert_default();
        for (name, description) in kinds {
            let scheme = HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(description))
                .build();
            components.add_security_scheme(name, SecurityScheme::Http(scheme));
        }
    }
}

/// The media types of answers: problem documents have their own (RFC 9457), and so has all of SCIM (RFC 7644, section
/// 3.1). The handlers' annotations say `application/json` for everything.
struct MediaTypes;

impl Modify for MediaTypes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut document.paths.paths {
            let operations = [
                &mut item.get,
                &mut item.put,
                &mut item.post,
                &mut item.delete,
                &mut item.patch,
            ];
            for operation in operations.into_iter().flatten() {
                name_media_types(operation, path.starts_with(scim::BASE));
            }
        }
    }
}

fn name_media_types(operation: &mut Operation, is_scim: bool) {
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else {
            continue;
        };
        let is_problem = is_of_problem(response);
        let media_type = match (is_scim, is_problem) {
            (true, _) => "application/scim+json",
            (false, true) => "application/problem+json",
            (false, false) => continue,
        };
        let Some(content) = response.content.shift_remove("application/json") else {
            continue;
        };
        let content = if is_scim { any_object() } else { content };
        response.content.insert(media_type.to_owned(), content);
    }
    operation
        .responses
        .responses
        .insert("default".to_owned(), RefOr::T(anything_else(is_scim)));
}

/// Whether it is a problem document.
fn is_of_problem(response: &Response) -> bool {
    response
        .content
        .values()
        .any(|content| matches!(content, RefOr::T(content) if content.schema == Some(of_problem())))
}

fn of_problem() -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(Problem::name()))
}

/// What RFC 7643 and RFC 7644 say, and not this document.
fn any_object() -> RefOr<Content> {
    RefOr::T(Content::new(Some(RefOr::T(Schema::Object(Object::new())))))
}

/// What every operation can answer, such as 401 without a token and 429 after too many requests.
fn anything_else(is_scim: bool) -> Response {
    let (media_type, content) = if is_scim {
        ("application/scim+json", any_object())
    } else {
        let content = RefOr::T(Content::new(Some(of_problem())));
        ("application/problem+json", content)
    };
    let mut response = Response::new("Any other problem.");
    response.content.insert(media_type.to_owned(), content);
    response
}

/// The query parameters of an operation as the document has them, by method and axum's path. `None` for
/// what the document lacks.
pub(super) fn query_parameters(method: &Method, path: &str) -> Option<&'static [String]> {
    type Known = HashMap<(Method, String), Vec<String>>;
    static KNOWN: LazyLock<Known> = LazyLock::new(|| {
        let mut known = Known::new();
        for (path, item) in Document::openapi().paths.paths {
            let operations = [
                (Method::GET, item.get),
                (Method::PUT, item.put),
                (Method::POST, item.post),
                (Method::DELETE, item.delete),
                (Method::PATCH, item.patch),
            ];
            for (method, operation) in operations {
                let Some(operation) = operation else { continue };
                let names = operation
                    .parameters
                    .into_iter()
                    .flatten()
                    .filter_map(|parameter| match parameter {
                        RefOr::T(parameter) => Some(parameter),
                        RefOr::Ref(_) => None,
                    })
                    .filter(|parameter| parameter.parameter_in == ParameterIn::Query)
                    .map(|parameter| parameter.name);
                known.insert((method, path.clone()), names.collect());
            }
        }
        known
    });
    // What answers GET answers HEAD.
    let method = if *method == Method::HEAD {
        Method::GET
    } else {
        method.clone()
    };
    KNOWN
        .get(&(method, path.replace("{*", "{")))
        .map(Vec::as_slice)
}

/// The document as JSON, made once: anybody may ask for it as often as they like.
#[must_use]
pub fn document() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
        text.push('\n');
        text
    });
    &TEXT
}

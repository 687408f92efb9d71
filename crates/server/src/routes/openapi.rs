//! The OpenAPI document, made of the handlers and the wire types.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{admin, approvals, grants, health, scim, secrets, sessions};

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
        grants::create, grants::fetch,
        admin::audit, admin::state, admin::freeze, admin::unfreeze, admin::revoke_all, admin::forget_name,
        scim::create, scim::list, scim::read, scim::change, scim::remove,
        health::live, health::ready,
    ),
    modifiers(&Bearers)
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

/// The document as JSON.
#[must_use]
pub fn document() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

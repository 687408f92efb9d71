//! HTTP, and only that: which paths there are, who may call them, and how requests and answers look.
//!
//! Every route stands in one table with the access it needs. Tests go through the table, so that a new route without
//! an unauthenticated, a wrong-role and a foreign-project test is noticed; so is one that the OpenAPI document lacks.

mod admin;
mod answer;
mod approvals;
mod cookie;
mod extract;
mod grants;
mod health;
mod limits;
mod middleware;
mod openapi;
mod pages;
mod questions;
mod scim;
mod secrets;
mod sessions;
mod web;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::MethodRouter;
use fnox_api::{ProblemCode, Role};
use metrics_exporter_prometheus::PrometheusHandle;

use self::answer::Refused;
pub use self::extract::PeerAddress;
use self::limits::Limits;
pub use self::openapi::document;
use crate::service::Service;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Open,
    /// Whoever has an OIDC token.
    Oidc,
    /// Whoever has a session; what it sees depends on the policy.
    Session,
    /// A gateway's token, or a person; what they may ask depends on the policy.
    Asker,
    /// People with one of these roles.
    Roles(&'static [Role]),
    /// Whoever has a grant.
    Grant,
    /// Whoever has a link.
    Link,
    /// People who logged in on the pages; what they see and may do depends on their roles.
    Cookie,
    /// An identity provider's token, or an administrator.
    Provisioner,
    /// Loopback, or whoever has the metrics token.
    Metrics,
}

/// One route.
#[derive(Debug)]
pub struct Route {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// As axum and OpenAPI write it.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Whether it is part of the API, and so of the OpenAPI document.
    pub is_api: bool,
    handler: MethodRouter<App>,
}

impl Route {
    fn api(
        method: &'static str,
        path: &'static str,
        access: Access,
        handler: MethodRouter<App>,
    ) -> Self {
        Self {
            method,
            path,
            access,
            is_api: true,
            handler,
        }
    }

    fn page(
        method: &'static str,
        path: &'static str,
        access: Access,
        handler: MethodRouter<App>,
    ) -> Self {
        Self {
            is_api: false,
            ..Self::api(method, path, access, handler)
        }
    }
}

/// What handlers share.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) service: Service,
    pub(crate) limits: Arc<Limits>,
    pub(crate) metrics: Option<PrometheusHandle>,
}

/// All routes.
#[must_use]
pub fn table() -> Vec<Route> {
    [
        sessions::routes(),
        secrets::routes(),
        approvals::routes(),
        questions::routes(),
        grants::routes(),
        admin::routes(),
        scim::routes(),
        health::routes(),
        pages::routes(),
        web::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// All routes, ready to be served.
pub fn router(service: &Service, metrics: Option<PrometheusHandle>) -> Router {
    let settings = &service.settings().limits;
    let app = App {
        limits: Arc::new(Limits::new(settings)),
        metrics,
        service: service.clone(),
    };
    let mut router = Router::new();
    for route in table() {
        router = router.route(route.path, route.handler);
    }
    router
        .fallback(async || Refused::of(ProblemCode::NotFound))
        .method_not_allowed_fallback(async || Refused::of(ProblemCode::MethodNotAllowed))
        .layer(DefaultBodyLimit::max(settings.body))
        .layer(axum::middleware::from_fn_with_state(
            app.clone(),
            middleware::around,
        ))
        .with_state(app)
}

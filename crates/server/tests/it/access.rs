//! Every route, as nobody, as somebody with another role, and for another project.

use axum::body::Body;
use axum::http::Request;
use fnox_api::Role;
use fnox_server::routes::{Access, Route, document, table};
use serde_json::{Value, json};

use crate::support::{World, job, request};

/// A request that would be all right from the right caller, for each route. A new route needs a line here.
const SAMPLES: &[(&str, &str, &str)] = &[
    ("POST", "/v1/sessions", ""),
    ("GET", "/v1/sessions/current", ""),
    ("DELETE", "/v1/sessions/current", ""),
    ("GET", "/v1/login", ""),
    ("GET", "/v1/projects/{project}/secrets", ""),
    ("PUT", "/v1/projects/{project}/secrets/{key}", "secret"),
    ("GET", "/v1/projects/{project}/secrets/{key}", ""),
    ("DELETE", "/v1/projects/{project}/secrets/{key}", ""),
    ("GET", "/v1/projects/{project}/secrets/{key}/versions", ""),
    ("GET", "/v1/secrets", ""),
    ("PUT", "/v1/secrets/{key}", "secret"),
    ("GET", "/v1/secrets/{key}", ""),
    ("DELETE", "/v1/secrets/{key}", ""),
    ("GET", "/v1/secrets/{key}/versions", ""),
    ("POST", "/v1/checks", "check"),
    ("POST", "/v1/approvals", "approval"),
    ("GET", "/v1/approvals", ""),
    ("GET", "/v1/approvals/{id}", ""),
    ("DELETE", "/v1/approvals/{id}", ""),
    ("POST", "/v1/approvals/{id}/decision", "decision"),
    ("POST", "/v1/questions", "question"),
    ("GET", "/v1/questions/{id}", ""),
    ("DELETE", "/v1/questions/{id}", ""),
    ("POST", "/v1/questions/{id}/use", ""),
    ("POST", "/v1/grants", "grant"),
    ("POST", "/v1/fetch", ""),
    ("GET", "/v1/audit", ""),
    ("GET", "/v1/admin/state", ""),
    ("POST", "/v1/admin/freeze", ""),
    ("POST", "/v1/admin/unfreeze", ""),
    ("POST", "/v1/admin/revoke-all", ""),
    ("POST", "/v1/admin/tokens", "token"),
    ("GET", "/v1/admin/tokens", ""),
    ("DELETE", "/v1/admin/tokens/{id}", ""),
    ("DELETE", "/v1/admin/names/{issuer}/{*name}", ""),
    ("POST", "/scim/v2/Users", "user"),
    ("GET", "/scim/v2/Users", ""),
    ("GET", "/scim/v2/Users/{id}", ""),
    ("PATCH", "/scim/v2/Users/{id}", "patch"),
    ("DELETE", "/scim/v2/Users/{id}", ""),
    ("GET", "/healthz", ""),
    ("GET", "/readyz", ""),
    ("GET", "/metrics", ""),
    ("GET", "/v1/openapi.json", ""),
    ("GET", "/login", ""),
    ("GET", "/login/callback", ""),
    ("POST", "/logout", ""),
    ("GET", "/approvals", ""),
    ("GET", "/approvals/{id}", ""),
    ("POST", "/approvals/{id}", ""),
];

fn body(name: &str, id: &str) -> Option<Value> {
    Some(match name {
        "secret" => json!({
            "ciphertext": crate::support::ciphertext(7),
            "recipients": [crate::support::RECIPIENT],
        }),
        "check" => json!({"project": "other", "keys": ["NPM_TOKEN"]}),
        "approval" => json!({
            "project": "other", "keys": ["NPM_TOKEN"],
            "command_hash": "ab".repeat(32), "command_display": "npm publish",
        }),
        "decision" => json!({"decision": "approve", "code": "000000"}),
        "grant" => json!({"approval_id": id}),
        "question" => crate::questions::wanted(1),
        "token" => json!({"role": "scim"}),
        "user" => json!({"userName": "ann@example.com"}),
        "patch" => json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "active", "value": false}],
        }),
        _ => return None,
    })
}

/// The sample of a route, in another project than the caller's.
fn sample(route: &Route, token: Option<&str>, id: &str) -> Request<Body> {
    let (_, _, name) = SAMPLES
        .iter()
        .find(|(method, path, _)| *method == route.method && *path == route.path)
        .unwrap_or_else(|| panic!("{} {} needs a sample", route.method, route.path));
    let path = route
        .path
        .replace("{project}", "other")
        .replace("{key}", "NPM_TOKEN")
        .replace("{id}", id)
        .replace("{issuer}", "github")
        .replace("{*name}", "octo-org/hello");
    request(token, route.method, &path, body(name, id))
}

/// Routes with links are tested with the pages.
fn routes() -> Vec<Route> {
    let mut routes = table();
    routes.retain(|route| route.access != Access::Link);
    routes
}

#[tokio::test]
async fn every_route_refuses_who_says_nothing_about_himself() {
    let world = World::new().await;
    for route in routes() {
        let id = uuid::Uuid::now_v7().to_string();
        let answer = world.send(sample(&route, None, &id)).await;
        let what = format!("{} {}: {}", route.method, route.path, answer.text);
        match route.access {
            Access::Open | Access::Metrics => assert_ne!(answer.status.as_u16(), 401, "{what}"),
            Access::Cookie => is_login_page(&answer, route.method),
            _ => {
                assert_eq!(answer.status.as_u16(), 401, "{what}");
                assert_eq!(answer.headers["www-authenticate"], "Bearer", "{what}");
                answer.must_fail("unauthenticated");
            }
        }
    }
}

/// Where it begins to become somebody, and nothing else.
#[track_caller]
fn is_login_page(answer: &crate::support::Answer, method: &str) {
    let expected = if method == "GET" { 200 } else { 401 };
    assert_eq!(answer.status.as_u16(), expected, "{}", answer.text);
    assert!(answer.text.contains("href=\"/login"), "{}", answer.text);
    assert!(!answer.text.contains("<form"), "{}", answer.text);
    assert!(!answer.headers.contains_key("set-cookie"));
}

/// Pages know people by their cookie: whose token it is does not matter when it comes as a bearer.
#[tokio::test]
async fn no_page_takes_a_bearer_and_no_other_route_a_cookie() {
    let world = World::new().await;
    let token = world.person("ann", &[Role::Admin, Role::Approver]).await;
    for route in routes() {
        let id = uuid::Uuid::now_v7().to_string();
        if route.access == Access::Cookie {
            let answer = world.send(sample(&route, Some(&token), &id)).await;
            is_login_page(&answer, route.method);
        } else if !matches!(route.access, Access::Open | Access::Metrics) {
            let mut request = sample(&route, None, &id);
            for name in ["__Host-fnox", "fnox"] {
                let cookie = format!("{name}={token}").parse().unwrap();
                request.headers_mut().append("cookie", cookie);
            }
            world.send(request).await.must_be(401);
        }
    }
}

#[tokio::test]
async fn every_route_refuses_tokens_of_another_kind() {
    let world = World::new().await;
    let admin = world.person("ann", &[Role::Admin]).await;
    let kinds = [
        fnox_core::TokenKind::Grant,
        fnox_core::TokenKind::Session,
        fnox_core::TokenKind::Bootstrap,
        fnox_core::TokenKind::Gateway,
    ];
    for route in routes() {
        if matches!(
            route.access,
            Access::Open | Access::Metrics | Access::Cookie
        ) {
            continue;
        }
        let id = uuid::Uuid::now_v7().to_string();
        for kind in kinds {
            // Well-formed, but nobody's.
            let token = fnox_core::Token::generate(kind).unwrap();
            let token = token.secret().expose_secret();
            let answer = world.send(sample(&route, Some(token), &id)).await;
            assert_eq!(
                answer.status.as_u16(),
                401,
                "{} {}",
                route.method,
                route.path
            );
        }
        if matches!(route.access, Access::Oidc | Access::Grant) {
            let answer = world.send(sample(&route, Some(&admin), &id)).await;
            assert_eq!(
                answer.status.as_u16(),
                401,
                "{} {}",
                route.method,
                route.path
            );
        }
    }
}

#[tokio::test]
async fn every_route_for_a_role_refuses_all_others() {
    let world = World::new().await;
    let everybody = [
        (None, world.job().await),
        (
            Some(Role::Reader),
            world.person("rob", &[Role::Reader]).await,
        ),
        (
            Some(Role::Approver),
            world.person("bob", &[Role::Approver]).await,
        ),
        (Some(Role::Admin), world.person("ann", &[Role::Admin]).await),
    ];
    for route in routes() {
        let roles: &[Role] = match route.access {
            Access::Roles(roles) => roles,
            Access::Provisioner => &[Role::Admin],
            _ => continue,
        };
        for (role, token) in &everybody {
            if role.is_some_and(|role| roles.contains(&role)) {
                continue;
            }
            let id = uuid::Uuid::now_v7().to_string();
            let answer = world.send(sample(&route, Some(token), &id)).await;
            let what = format!(
                "{} {} as {role:?}: {}",
                route.method, route.path, answer.text
            );
            assert_eq!(answer.status.as_u16(), 403, "{what}");
            answer.must_fail("role_missing");
        }
    }
}

#[tokio::test]
async fn a_job_sees_nothing_of_a_foreign_project() {
    let world = World::new().await;
    let admin = world.person("ann", &[Role::Admin]).await;
    for project in ["other", "default"] {
        let path = format!("/v1/projects/{project}/secrets/NPM_TOKEN");
        world
            .call(&admin, "PUT", &path, body("secret", ""))
            .await
            .must_be(201);
    }
    let owner = world.session(job(&[("run_id", "1")])).await;
    world.put(&admin, "NPM_TOKEN", json!({})).await.must_be(201);
    let theirs = world.ask(&owner, &["NPM_TOKEN"]).await.must_be(201).id();
    let stranger = world.session(job(&[("run_id", "2")])).await;
    for route in routes() {
        if !matches!(route.access, Access::Session) || route.path.starts_with("/v1/sessions") {
            continue;
        }
        let answer = world.send(sample(&route, Some(&stranger), &theirs)).await;
        let what = format!("{} {}: {}", route.method, route.path, answer.text);
        match answer.status.as_u16() {
            // Lists are empty, checks say no, everything else is not there or not allowed.
            200 if route.path == "/v1/checks" => {
                let key = &answer.json()["keys"][0];
                assert!(
                    key["refused"].is_string() && key["version"].is_null(),
                    "{what}"
                );
            }
            200 => assert_eq!(answer.json()["secrets"], json!([]), "{what}"),
            403 => assert_eq!(answer.code(), "policy_denied", "{what}"),
            404 => assert_eq!(answer.code(), "not_found", "{what}"),
            _ => panic!("{what}"),
        }
    }
}

#[tokio::test]
async fn what_is_hidden_and_what_is_not_there_look_alike() {
    let world = World::new().await;
    let admin = world.person("ann", &[Role::Admin]).await;
    let path = "/v1/projects/other/secrets/NPM_TOKEN";
    world
        .call(&admin, "PUT", path, body("secret", ""))
        .await
        .must_be(201);
    let job = world.job().await;
    let hidden = world.call(&job, "GET", path, None).await.must_be(404);
    let absent = world
        .call(&job, "GET", "/v1/projects/other/secrets/NPM_NONE", None)
        .await
        .must_be(404);
    let plain = |answer: &crate::support::Answer| {
        let mut json = answer.json();
        json.as_object_mut().unwrap().remove("request_id");
        json
    };
    assert_eq!(plain(&hidden), plain(&absent));
}

#[test]
fn the_openapi_document_has_every_route_of_the_api_and_no_other() {
    let document: Value = serde_json::from_str(document()).unwrap();
    let mut described: Vec<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods: Vec<String> = methods.as_object().unwrap().keys().cloned().collect();
            methods
                .into_iter()
                .map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let mut served: Vec<String> = table()
        .iter()
        .filter(|route| route.is_api)
        .map(|route| format!("{} {}", route.method, route.path.replace("{*", "{")))
        .collect();
    described.sort();
    served.sort();
    assert_eq!(described, served);
}

#[tokio::test]
async fn who_comes_through_a_proxy_is_not_on_loopback_because_the_proxy_is() {
    // Requests of these tests come from 127.0.0.1.
    let direct = World::new().await;
    let plain = || request(None, "GET", "/metrics", None);
    direct.send(plain()).await.must_be(200);
    let world = World::with(|settings| {
        settings.proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    world.send(plain()).await.must_be(401);
    for (forwarded, expected) in [
        ("", 401),
        ("unknown", 401),
        ("127.0.0.2, \"[::1]:4711\"", 401),
        ("127.0.0.1", 401),
        ("203.0.113.7", 401),
        ("127.0.0.2, 203.0.113.7", 401),
        ("203.0.113.7, ::1", 200),
    ] {
        let mut request = plain();
        let value = forwarded.parse().unwrap();
        request.headers_mut().insert("x-forwarded-for", value);
        let answer = world.send(request).await;
        assert_eq!(answer.status.as_u16(), expected, "{forwarded}");
    }
}

//! People by SCIM: whoever leaves loses everything at once.

use axum::http::header;
use fnox_api::Role;
use fnox_core::TokenKind;
use fnox_core::audit::{Entry, Outcome};
use fnox_core::{Clock as _, Token};
use fnox_server::store::{NewSession, SessionRecord};
use serde_json::{Value, json};
use std::time::Duration;

use crate::support::{World, person};

const USERS: &str = "/scim/v2/Users";

async fn provisioner(world: &World) -> String {
    let token = world
        .store
        .issue_token(
            TokenKind::Provisioning,
            None,
            Duration::from_hours(24),
            world.clock.now(),
        )
        .await
        .unwrap();
    token.secret().expose_secret().to_owned()
}

/// A session as the login of a person makes it.
async fn logged_in(world: &World, name: &str, roles: &[Role]) -> Result<String, String> {
    let token = Token::generate(TokenKind::Session).unwrap();
    let now = world.clock.now();
    let new = NewSession {
        session: SessionRecord {
            id: uuid::Uuid::now_v7(),
            hash: token.hash(),
            subject: person(name, roles),
            created_at: now,
            expires_at: now + Duration::from_mins(15),
            ended: false,
        },
        replay: None,
        name: None,
        logins: [
            Some(format!("sub-of-{name}")),
            None,
            Some(format!("{name}@example.com")),
        ],
        must_be_provisioned: false,
    };
    let entry = Entry::new("login", name, Outcome::Ok);
    match world.store.open_session(new, entry).await {
        Ok(_) => Ok(token.secret().expose_secret().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn deactivate(value: &Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "Replace", "path": "active", "value": value}],
    })
}

#[tokio::test]
async fn a_person_who_is_deactivated_loses_session_requests_and_votes_at_once() {
    let world = World::with(|settings| {
        settings.approvals.approvals_needed = 2;
        settings.login = Some(crate::support::login());
    })
    .await;
    let admin = world.person("ann", &[Role::Admin]).await;
    world.put(&admin, "NPM_TOKEN", json!({})).await.must_be(201);
    let scim = provisioner(&world).await;
    let user =
        json!({"userName": "Bob@Example.com", "externalId": "idp-7", "name": {"givenName": "B"}});
    let made = world.call(&scim, "POST", USERS, Some(user.clone())).await;
    let made = made.must_be(201);
    assert_eq!(made.headers[header::CONTENT_TYPE], "application/scim+json");
    let id = made.id();
    world
        .call(&scim, "POST", USERS, Some(user))
        .await
        .must_be(409)
        .must_fail("exists");

    let bob = logged_in(&world, "bob", &[Role::Approver]).await.unwrap();
    let eve = logged_in(&world, "eve", &[Role::Approver]).await.unwrap();
    let job = world.job().await;
    let asked = world.ask(&job, &["NPM_TOKEN"]).await.must_be(201);
    let voted = world.approve(&bob, &asked).await.must_be(200);
    assert_eq!(voted.json()["status"], "pending");

    let path = format!("{USERS}/{id}");
    let changed = world
        .call(&scim, "PATCH", &path, Some(deactivate(&json!("False"))))
        .await;
    assert_eq!(changed.must_be(200).json()["active"], false);
    world
        .call(&bob, "GET", "/v1/sessions/current", None)
        .await
        .must_be(401)
        .must_fail("token_invalid");
    assert!(logged_in(&world, "bob", &[Role::Approver]).await.is_err());
    // His yes counts no more: Eve's is the first again.
    let voted = world.approve(&eve, &asked).await.must_be(200);
    assert_eq!(voted.json()["status"], "pending");
    assert_eq!(voted.json()["decisions"].as_array().unwrap().len(), 1);

    let back = world
        .call(&scim, "PATCH", &path, Some(deactivate(&json!(true))))
        .await;
    assert_eq!(back.must_be(200).json()["active"], true);
    logged_in(&world, "bob", &[Role::Approver]).await.unwrap();
    let log = world
        .call(&admin, "GET", "/v1/audit?event=user_deactivated", None)
        .await;
    assert_eq!(log.json()["records"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn people_are_found_by_the_filters_that_identity_providers_use() {
    let world = World::new().await;
    let scim = provisioner(&world).await;
    for name in ["ann", "bob", "eve"] {
        let user = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": format!("{name}@example.com"),
            "externalId": format!("id-{name}"),
            "emails": [{"value": format!("{name}@example.org"), "type": "work", "primary": true}],
            "title": "kept by nobody",
        });
        world
            .call(&scim, "POST", USERS, Some(user))
            .await
            .must_be(201);
    }
    let find = async |query: &str| {
        let path = format!("{USERS}?{query}");
        world.call(&scim, "GET", &path, None).await
    };
    let found = find("filter=userName%20eq%20%22BOB%40example.com%22")
        .await
        .json();
    assert_eq!(found["totalResults"], 1);
    assert_eq!(found["Resources"][0]["externalId"], "id-bob");
    let found = find("filter=externalId%20Eq%20%22id-eve%22&attributes=id")
        .await
        .json();
    assert_eq!(found["Resources"][0]["userName"], "eve@example.com");
    let found = find("filter=userName%20eq%20%22nobody%22").await.json();
    assert_eq!(
        (&found["totalResults"], &found["Resources"]),
        (&json!(0), &json!([]))
    );
    let page = find("startIndex=2&count=1").await.json();
    assert_eq!(page["totalResults"], 3);
    assert_eq!(page["itemsPerPage"], 1);
    let refused = find("filter=userName%20sw%20%22a%22").await.must_be(400);
    assert_eq!(refused.json()["scimType"], "invalidFilter");
}

#[tokio::test]
async fn a_deleted_person_loses_everything_too() {
    let world = World::new().await;
    let scim = provisioner(&world).await;
    let user = json!({"userName": "x", "emails": [{"value": "Bob@example.com"}]});
    let id = world
        .call(&scim, "POST", USERS, Some(user))
        .await
        .must_be(201)
        .id();
    let bob = logged_in(&world, "bob", &[Role::Reader]).await.unwrap();
    let path = format!("{USERS}/{id}");
    world.call(&scim, "DELETE", &path, None).await.must_be(204);
    world.call(&scim, "DELETE", &path, None).await.must_be(404);
    world
        .call(&bob, "GET", "/v1/sessions/current", None)
        .await
        .must_be(401);
}

#[tokio::test]
async fn a_provisioning_token_does_nothing_else() {
    let world = World::new().await;
    let scim = provisioner(&world).await;
    for (method, path) in [
        ("GET", "/v1/audit"),
        ("GET", "/v1/sessions/current"),
        ("GET", "/v1/approvals"),
        ("POST", "/v1/admin/freeze"),
    ] {
        world.call(&scim, method, path, None).await.must_be(401);
    }
}

#[tokio::test]
async fn administrators_may_do_what_an_identity_provider_does_and_others_may_not() {
    let world = World::new().await;
    let admin = world.person("ann", &[Role::Admin]).await;
    let user = json!({"userName": "bob"});
    let made = world.call(&admin, "POST", USERS, Some(user)).await;
    let path = format!("{USERS}/{}", made.must_be(201).id());
    let approver = world.person("eve", &[Role::Approver]).await;
    for token in [approver, world.job().await] {
        world.call(&token, "GET", USERS, None).await.must_be(403);
        world.call(&token, "DELETE", &path, None).await.must_be(403);
    }
    world.call(&admin, "DELETE", &path, None).await.must_be(204);
}

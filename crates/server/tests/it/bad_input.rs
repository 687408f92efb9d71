//! Requests that are not as they should be: a problem that names the field, and nothing stored.

use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use fnox_api::Role;
use serde_json::{Value, json};

use crate::support::{RECIPIENT, World, ciphertext};

const PATH: &str = "/v1/projects/my-app/secrets/NPM_TOKEN";

async fn world() -> (World, String) {
    let world = World::new().await;
    let admin = world.person("ann", &[Role::Admin]).await;
    (world, admin)
}

fn secret() -> Value {
    json!({"ciphertext": ciphertext(1), "recipients": [RECIPIENT]})
}

#[tokio::test]
async fn a_wrong_body_is_told_by_its_field_and_stores_nothing() {
    let (world, admin) = world().await;
    let long = "x".repeat(1025);
    let armoured = "LS0tLS1CRUdJTiBBR0U=";
    let cases: Vec<(Value, &str)> = vec![
        (json!({"recipients": [RECIPIENT]}), "ciphertext"),
        (json!({"ciphertext": ciphertext(1)}), "recipients"),
        (
            json!({"ciphertext": "%%%", "recipients": [RECIPIENT]}),
            "ciphertext",
        ),
        (
            json!({"ciphertext": armoured, "recipients": [RECIPIENT]}),
            "ciphertext",
        ),
        (
            json!({"ciphertext": 7, "recipients": [RECIPIENT]}),
            "ciphertext",
        ),
        (
            json!({"ciphertext": ciphertext(1), "recipients": []}),
            "recipients",
        ),
        (
            json!({"ciphertext": ciphertext(1), "recipients": [RECIPIENT, RECIPIENT]}),
            "recipients[1]",
        ),
        (
            json!({"ciphertext": ciphertext(1), "recipients": ["hello"]}),
            "recipients[0]",
        ),
        (
            json!({"ciphertext": ciphertext(1), "recipients": [RECIPIENT], "profile": "a/b"}),
            "profile",
        ),
        (
            json!({"ciphertext": ciphertext(1), "recipients": [RECIPIENT], "description": long}),
            "description",
        ),
        (
            json!({"ciphertext": ciphertext(1), "recipients": [RECIPIENT], "require_approval": "yes"}),
            "require_approval",
        ),
        (
            json!({"ciphertext": ciphertext(1), "recipients": [RECIPIENT], "secret": "hunter2"}),
            "secret",
        ),
    ];
    for (body, field) in cases {
        let answer = world.call(&admin, "PUT", PATH, Some(body.clone())).await;
        let answer = answer.must_be(400).must_fail("invalid_request");
        assert_eq!(answer.json()["field"], field, "{body}: {}", answer.text);
        assert!(!answer.text.contains("hunter2"), "{}", answer.text);
    }
    world.call(&admin, "GET", PATH, None).await.must_be(404);
}

#[tokio::test]
async fn keys_projects_and_profiles_have_a_grammar() {
    let (world, admin) = world().await;
    for key in ["9A", "A-B", "A%20B", "A%24(id)", "%C3%84", "A.B"] {
        let path = format!("/v1/projects/my-app/secrets/{key}");
        let answer = world.call(&admin, "PUT", &path, Some(secret())).await;
        assert_eq!(answer.must_be(400).json()["field"], "key", "{key}");
    }
    for project in ["-a", "a%2Fb", "..%2F..", "a%20b"] {
        let path = format!("/v1/projects/{project}/secrets/KEY");
        let answer = world.call(&admin, "PUT", &path, Some(secret())).await;
        assert_eq!(answer.must_be(400).json()["field"], "project", "{project}");
    }
    let job = world.job().await;
    for (keys, field) in [
        (json!([]), "keys"),
        (json!(["A", "A"]), "keys[1]"),
        (json!(["A", "B C"]), "keys[1]"),
        (json!("A"), "keys"),
    ] {
        let body = json!({
            "project": "my-app", "keys": keys,
            "command_hash": "ab".repeat(32), "command_display": "x",
        });
        let answer = world.call(&job, "POST", "/v1/approvals", Some(body)).await;
        assert_eq!(answer.must_be(400).json()["field"], field, "{keys}");
    }
    for hash in ["", "AB", &"AB".repeat(32), &"zz".repeat(32)] {
        let body = json!({
            "project": "my-app", "keys": ["NPM_TOKEN"], "command_hash": hash, "command_display": "x",
        });
        let answer = world.call(&job, "POST", "/v1/approvals", Some(body)).await;
        assert_eq!(
            answer.must_be(400).json()["field"],
            "command_hash",
            "{hash}"
        );
    }
}

#[tokio::test]
async fn what_is_no_json_is_refused_before_it_is_read() {
    let (world, admin) = world().await;
    let send = async |kind: Option<&str>, body: Vec<u8>| {
        let mut request =
            Request::put(PATH).header(header::AUTHORIZATION, format!("Bearer {admin}"));
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        world.send(request.body(Body::from(body)).unwrap()).await
    };
    let good = secret().to_string().into_bytes();
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        send(kind, good.clone())
            .await
            .must_be(415)
            .must_fail("unsupported_media_type");
    }
    let json = Some("application/json");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let twice = format!(
        "{{\"ciphertext\":\"{0}\",\"ciphertext\":\"{0}\",\"recipients\":[\"{RECIPIENT}\"]}}",
        ciphertext(1)
    );
    let more = [good.as_slice(), b"{}"].concat();
    for bad in [
        b"".to_vec(),
        b"{".to_vec(),
        b"\xff\xfe{}".to_vec(),
        b"{\"ciphertext\":\"\xff\"}".to_vec(),
        deep.into_bytes(),
        twice.into_bytes(),
        more,
    ] {
        send(json, bad)
            .await
            .must_be(400)
            .must_fail("invalid_request");
    }
    send(Some("application/json; charset=utf-8"), good)
        .await
        .must_be(201);
}

#[tokio::test]
async fn a_list_of_values_is_no_body() {
    let (world, admin) = world().await;
    world.put(&admin, "NPM_TOKEN", json!({})).await.must_be(201);
    let job = world.job().await;
    let hash = "ab".repeat(32);
    let request = json!(["my-app", null, ["NPM_TOKEN"], hash, "npm publish", null]);
    let asked = world.ask(&job, &["NPM_TOKEN"]).await.must_be(201);
    let approver = world.person("bob", &[Role::Approver]).await;
    let decision = format!("/v1/approvals/{}/decision", asked.id());
    let yes = json!(["approve", asked.json()["code"]]);
    for (token, method, path, body) in [
        (&job, "POST", "/v1/approvals", request),
        (&job, "POST", "/v1/grants", json!([asked.id()])),
        (&approver, "POST", decision.as_str(), yes),
        (&admin, "PUT", PATH, json!([ciphertext(1), [RECIPIENT]])),
        (&admin, "POST", "/scim/v2/Users", json!(["bob"])),
    ] {
        let answer = world.call(token, method, path, Some(body)).await;
        let answer = answer.must_be(400).must_fail("invalid_request");
        assert!(answer.text.contains("must be a JSON object"), "{path}");
    }
    let seen = world
        .call(&job, "GET", &format!("/v1/approvals/{}", asked.id()), None)
        .await;
    assert_eq!(seen.json()["status"], "pending");
}

#[tokio::test]
async fn a_body_without_end_is_refused_after_its_limit() {
    let (world, admin) = world().await;
    // A gibibyte that nobody has to hold: whoever reads further than the limit would notice.
    let given = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&given);
    let chunk = Bytes::from(vec![b' '; 65_536]);
    let chunks = futures_util::stream::iter((0..16_384).map(move |_| {
        counter.fetch_add(65_536, std::sync::atomic::Ordering::Relaxed);
        Ok::<_, std::io::Error>(chunk.clone())
    }));
    let request = Request::put(PATH)
        .header(header::AUTHORIZATION, format!("Bearer {admin}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from_stream(chunks))
        .unwrap();
    world
        .send(request)
        .await
        .must_be(413)
        .must_fail("too_large");
    let given = given.load(std::sync::atomic::Ordering::Relaxed);
    assert!(given <= 1024 * 1024, "{given} bytes were read");

    let large = json!({
        "ciphertext": base64_of(300 * 1024), "recipients": [RECIPIENT],
    });
    let answer = world.call(&admin, "PUT", PATH, Some(large)).await;
    assert_eq!(answer.must_be(413).json()["field"], "ciphertext");
    world.call(&admin, "GET", PATH, None).await.must_be(404);
}

fn base64_of(size: usize) -> String {
    use base64::Engine as _;
    let mac = "x".repeat(43);
    let header = format!("age-encryption.org/v1\n-> X25519 abc\nbody\n--- {mac}\n");
    base64::engine::general_purpose::STANDARD.encode([header.as_bytes(), &vec![7; size]].concat())
}

#[tokio::test]
async fn versions_are_as_the_caller_expects_or_nothing_happens() {
    let (world, admin) = world().await;
    let put = async |name: &str, value: &str| {
        let request = Request::put(PATH)
            .header(header::AUTHORIZATION, format!("Bearer {admin}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(name, value)
            .body(Body::from(secret().to_string()))
            .unwrap();
        world.send(request).await
    };
    put("if-match", "\"1\"")
        .await
        .must_be(412)
        .must_fail("version_mismatch");
    put("if-none-match", "*").await.must_be(201);
    put("if-none-match", "*").await.must_be(412);
    put("if-match", "\"2\"").await.must_be(412);
    let second = put("if-match", "\"1\"").await.must_be(200);
    assert_eq!(second.headers["etag"], "\"2\"");
    for bad in ["2", "W/\"2\"", "*", "\"a\"", "\"1\", \"2\""] {
        put("if-match", bad).await.must_be(400);
    }
    let request = Request::delete(PATH)
        .header(header::AUTHORIZATION, format!("Bearer {admin}"))
        .header(header::IF_MATCH, "\"1\"")
        .body(Body::empty())
        .unwrap();
    world.send(request).await.must_be(412);
    world.call(&admin, "DELETE", PATH, None).await.must_be(204);
    world.call(&admin, "DELETE", PATH, None).await.must_be(404);
}

#[tokio::test]
async fn an_age_file_is_stored_as_the_version_that_it_is_made_for_or_not_at_all() {
    let (world, admin) = world().await;
    let put = async |version: u64| {
        let mut body = secret();
        body["version"] = version.into();
        world.call(&admin, "PUT", PATH, Some(body)).await
    };
    let next = async |version: u64| {
        let answer = put(version).await.must_be(412);
        answer.must_fail("version_mismatch").json()["next_version"].clone()
    };
    for wrong in [0, 2, u64::MAX] {
        assert_eq!(next(wrong).await, 1);
    }
    put(1).await.must_be(201);
    assert_eq!(next(1).await, 2);
    world.call(&admin, "DELETE", PATH, None).await.must_be(204);
    // The number of what is gone is not told to whoever only reads, and nothing is stored under it.
    let gone = world.call(&admin, "GET", PATH, None).await.must_be(404);
    assert!(gone.json().get("next_version").is_none());
    assert_eq!(next(1).await, 2);
    world.call(&admin, "GET", PATH, None).await.must_be(404);
    put(2).await.must_be(200);
}

#[tokio::test]
async fn queries_with_unknown_or_repeated_parameters_are_refused() {
    let (world, admin) = world().await;
    for query in [
        "profle=x",
        "profile=a&profile=b",
        "limit=0",
        "limit=9999",
        "limit=x",
        "after=x",
    ] {
        let path = format!("/v1/projects/my-app/secrets?{query}");
        world
            .call(&admin, "GET", &path, None)
            .await
            .must_be(400)
            .must_fail("invalid_request");
    }
    world
        .call(&admin, "GET", "/v1/approvals/not-an-id", None)
        .await
        .must_be(404);
    world
        .call(&admin, "PATCH", "/v1/fetch", None)
        .await
        .must_be(405)
        .must_fail("method_not_allowed");
    world
        .call(&admin, "GET", "/v2/secrets", None)
        .await
        .must_be(404)
        .must_fail("not_found");
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_so_and_harms_nobody_else() {
    let world = World::with(|settings| {
        settings.limits.anonymous_per_minute = 3;
        settings.limits.principal_per_minute = 5;
    })
    .await;
    let admin = world.person("ann", &[Role::Admin]).await;
    let other = world.person("bob", &[Role::Reader]).await;
    for _ in 0..3 {
        world
            .call("fxs_nonsense", "GET", "/v1/sessions/current", None)
            .await
            .must_be(401);
    }
    let refused = world
        .call("fxs_nonsense", "GET", "/v1/sessions/current", None)
        .await
        .must_be(429)
        .must_fail("rate_limited");
    // Three in a minute: each takes 20 seconds to come back.
    let wait: u64 = refused.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    // The same address with a good token.
    for _ in 0..5 {
        world
            .call(&admin, "GET", "/v1/sessions/current", None)
            .await
            .must_be(200);
    }
    world
        .call(&admin, "GET", "/v1/sessions/current", None)
        .await
        .must_be(429)
        .must_fail("rate_limited");
    world
        .call(&other, "GET", "/v1/sessions/current", None)
        .await
        .must_be(200);
}

/// Each route takes the query parameters that the OpenAPI document lists, and tells of any other by its name.
#[tokio::test]
async fn an_unknown_query_parameter_is_refused_on_every_route_of_the_api() {
    let (world, admin) = world().await;
    let document: Value = serde_json::from_str(fnox_server::routes::document()).unwrap();
    let mut seen = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/v1/") {
            continue;
        }
        for (method, operation) in methods.as_object().unwrap() {
            let documented = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| parameter["name"].as_str().unwrap());
            let path = path
                .replace("{project}", "my-app")
                .replace("{key}", "NPM_TOKEN")
                .replace("{id}", "019a2f4e-0000-7000-8000-000000000000")
                .replace("{issuer}", "github")
                .replace("{name}", "octo-org");
            let ask = async |query: &str| {
                let method = method.to_uppercase();
                let path = format!("{path}?{query}");
                world.call(&admin, &method, &path, None).await
            };
            let answer = ask("profil%65s=ci").await;
            let answer = answer.must_be(400).must_fail("invalid_request");
            assert_eq!(answer.json()["field"], "profiles", "{method} {path}");
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            for name in documented {
                assert!(
                    detail.contains(&format!("`{name}`")),
                    "{method} {path}: {detail}"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 25, "{seen}");
    let twice = format!("{PATH}?profile=a&profile=b");
    let answer = world.call(&admin, "GET", &twice, None).await;
    let answer = answer.must_be(400).must_fail("invalid_request");
    assert_eq!(answer.json()["field"], "profile");
    // HEAD is GET, and a misspelt `profile` does not delete what the default one has.
    let misspelt = format!("{PATH}?profle=ci");
    world
        .call(&admin, "PUT", PATH, Some(secret()))
        .await
        .must_be(201);
    world
        .call(&admin, "HEAD", &misspelt, None)
        .await
        .must_be(400);
    world
        .call(&admin, "DELETE", &misspelt, None)
        .await
        .must_be(400);
    world.call(&admin, "GET", PATH, None).await.must_be(200);
}

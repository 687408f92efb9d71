//! What an endpoint answers, and whom it does not.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fnox_core::{Clock, Env, LeaseName};
use fnox_leases::Held;
use fnox_leases::delivery::endpoint::{Endpoint, Served, Surroundings};
use fnox_leases::delivery::{Current, Unavailable};
use fnox_testkit::FakeClock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::delivery_support::{Answer, LEASES, NOW, SESSION, World, held};
use crate::support::Project;

/// A credential that somebody waits for.
#[derive(Debug)]
struct Never(LeaseName);

#[async_trait]
impl Current for Never {
    fn lease(&self) -> &LeaseName {
        &self.0
    }

    fn kind(&self) -> &'static str {
        "command"
    }

    async fn current(&self) -> Result<Held, Unavailable> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn an_aws_sdk_is_given_the_session_with_its_end() {
    let world = World::start();
    let wanted = serde_json::json!({
        "AccessKeyId": "ASIA1",
        "SecretAccessKey": "secret-1",
        "Token": "token-1",
        "Expiration": "2026-01-02T04:04:05Z",
    });
    assert_eq!(world.aws().await.json(), wanted);
    let mut next = SESSION.map(|(name, _)| (name, "new")).to_vec();
    next.push(("AWS_ACCOUNT_ID", "123456789012"));
    let next = held("aws", &next, Some("2026-01-02T05:04:05Z"));
    world.change("aws", Ok(next));
    let document = world.aws().await.json();
    assert_eq!(document["SecretAccessKey"], "new");
    assert_eq!(document["AccountId"], "123456789012");
    assert_eq!(document["Expiration"], "2026-01-02T05:04:05Z");
}

#[tokio::test]
async fn everything_else_that_an_aws_sdk_would_look_at_is_taken_away() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let config = "[default]\nregion = eu-west-1\naws_secret_access_key = long-lived\n";
    std::fs::write(home.path().join(".aws/config"), config).unwrap();
    let world = World::with_env(&[
        ("HOME", home.path().to_str().unwrap()),
        ("http_proxy", "http://proxy.example"),
        ("no_proxy", "intern.example"),
    ]);
    let environment = world.environment("aws");
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    ] {
        assert!(environment.remove.iter().any(|own| own == name), "{name}");
    }
    assert_eq!(
        world.file("aws", "AWS_CONFIG_FILE"),
        "[default]\nregion = eu-west-1\n"
    );
    assert_eq!(world.file("aws", "AWS_SHARED_CREDENTIALS_FILE"), "");
    assert_eq!(world.variable("aws", "AWS_EC2_METADATA_DISABLED"), "true");
    for name in ["no_proxy", "NO_PROXY"] {
        assert_eq!(
            world.variable("google", name),
            "intern.example,127.0.0.1,::1"
        );
    }
    let azure = world.environment("azure").remove;
    assert!(azure.iter().any(|name| name == "AZURE_CLIENT_SECRET"));
    assert_eq!(world.variable("azure", "AZURE_TOKEN_CREDENTIALS"), "prod");
}

#[tokio::test]
async fn whoever_knows_fnox_finds_all_leases_and_each_one() {
    let world = World::start();
    let list = world.generic("").await.json();
    let leases = list["leases"].as_array().unwrap();
    assert_eq!(leases.len(), 4);
    assert_eq!(
        leases[3],
        serde_json::json!({"lease": "with space", "type": "command", "path": "/v1/leases/with%20space"})
    );
    let answer = world.generic("/with%20space").await;
    assert_eq!(
        answer.body,
        r#"{"lease":"with space","variables":{"B":"\"2","A":"1"},"expires_at":null}"#
    );
    let document = world.generic("/google").await.json();
    assert_eq!(
        document["variables"]["CLOUDSDK_AUTH_ACCESS_TOKEN"],
        "google-1"
    );
    assert_eq!(document["expires_at"], "2026-01-02T04:04:05Z");
    world.generic("/nothing").await.refused(404);
}

#[tokio::test]
async fn an_azure_sdk_is_given_a_token_for_the_one_resource() {
    let world = World::start();
    let query = "api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net";
    let wanted = serde_json::json!({
        "access_token": "azure-1",
        "expires_on": "1767326645",
        "resource": "https://vault.azure.net",
        "token_type": "Bearer",
    });
    assert_eq!(world.azure(query).await.json(), wanted);
    let other = "api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com";
    let document = world.azure(other).await.refused(400);
    assert_eq!(document["statusCode"], 400);
    let message = document["message"].as_str().unwrap();
    assert!(
        message.contains("https://vault.azure.net") && message.contains("management"),
        "{message}"
    );
}

#[tokio::test]
async fn a_google_library_ends_its_exchange_with_the_lease() {
    let world = World::start();
    let file = world.file("google", "GOOGLE_APPLICATION_CREDENTIALS");
    let file: serde_json::Value = serde_json::from_str(&file).unwrap();
    let base = format!("http://127.0.0.1:{}", world.endpoint.port());
    let path_of = |value: &serde_json::Value| {
        value
            .as_str()
            .unwrap()
            .strip_prefix(&base)
            .unwrap()
            .to_owned()
    };
    let source = &file["credential_source"];
    let bearer = source["headers"]["Authorization"].as_str().unwrap();
    let line = format!("GET {}", path_of(&source["url"]));
    world.ask(&line, &[], "").await.refused(401);
    let subject = world
        .ask(&line, &[("Authorization", bearer)], "")
        .await
        .json();
    let subject = subject["subject_token"].as_str().unwrap();

    let line = format!("POST {}", path_of(&file["token_url"]));
    let form = |subject: &str| {
        format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&audience=x&scope=a+b\
             &requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token\
             &subject_token={subject}&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
        )
    };
    let exchange = async |body: String| {
        let length = body.len().to_string();
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Length", length.as_str()),
        ];
        world.ask(&line, &headers, &body).await
    };
    let token = exchange(form(subject)).await.json();
    assert_eq!(token["access_token"], "google-1");
    assert_eq!(token["expires_in"], 3600);
    // The bearer of the one step is not that of the other.
    let wrong = bearer.strip_prefix("Bearer ").unwrap();
    assert_eq!(
        exchange(form(wrong)).await.refused(401)["error"],
        "invalid_client"
    );
    let other_kind = form(subject).replace("access_token&", "id_token&");
    let refused = exchange(other_kind).await.refused(400);
    assert!(
        refused["error_description"]
            .as_str()
            .unwrap()
            .contains("requested_token_type")
    );
    exchange(format!("{}&subject_token={subject}", form(subject)))
        .await
        .refused(400);
    exchange("a".repeat(17 * 1024)).await.refused(400);
}

#[tokio::test]
async fn gclouds_file_follows_the_renewals() {
    let world = World::start();
    assert_eq!(
        world.file("google", "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE"),
        "google-1"
    );
    let new = held("google", &[("T", "google-2")], Some("2026-01-02T05:04:05Z"));
    world.endpoint.renewed(&new).unwrap();
    assert_eq!(
        world.file("google", "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE"),
        "google-2"
    );
    world
        .endpoint
        .renewed(&held("aws", &SESSION, None))
        .unwrap();
}

#[tokio::test]
async fn a_token_opens_its_own_door_only() {
    let world = World::start();
    let (line, token) = world.aws_question();
    let generic = world.file("aws", "FNOX_CREDENTIALS_TOKEN_FILE");
    let azure = world.variable("azure", "IDENTITY_HEADER");
    let cut = &token[..token.len() - 1];
    let bearer = format!("Bearer {token}");
    for wrong in ["", cut, &generic, &azure, &bearer] {
        let answer = world.ask(&line, &[("Authorization", wrong)], "").await;
        assert_eq!(answer.refused(401)["code"], "invalid_client", "{wrong}");
    }
    world.ask(&line, &[], "").await.refused(401);
    world
        .ask(&line, &[("X-IDENTITY-HEADER", &token)], "")
        .await
        .refused(401);
    let twice = [
        ("Authorization", token.as_str()),
        ("Authorization", token.as_str()),
    ];
    world.ask(&line, &twice, "").await.refused(400);
    world
        .ask("GET /v1/leases", &[("Authorization", &bearer)], "")
        .await
        .refused(401);
    world.aws().await.json();
}

#[tokio::test]
async fn web_pages_proxies_and_other_names_get_nothing() {
    let world = World::start();
    let (line, token) = world.aws_question();
    let right = [("Authorization", token.as_str()), ("Connection", "close")];
    let port = world.endpoint.port();
    for host in [
        "localhost:PORT",
        "rebound.example:PORT",
        "127.0.0.1",
        "127.0.0.1:1",
        "[::1]:PORT",
        "127.0.0.2:PORT",
        "0177.0.0.1:PORT",
        "127.1:PORT",
        "127.0.0.1:PORT ,x",
    ] {
        let host = host.replace("PORT", &port.to_string());
        let mut headers = right.to_vec();
        headers.push(("Host", &host));
        world.raw(&line, &headers, "").await.refused(403);
    }
    let host = format!("127.0.0.1:{port}");
    let twice = [
        ("Host", host.as_str()),
        ("Host", "evil.example"),
        right[0],
        right[1],
    ];
    world.raw(&line, &twice, "").await.refused(400);
    for (name, value) in [
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", ""),
        ("Sec-Fetch-Site", "none"),
        ("Sec-Fetch-Mode", "cors"),
        ("sec-fetch-anything", "x"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("Forwarded", "for=1"),
        ("Via", "1.1 proxy"),
    ] {
        world
            .ask(&line, &[right[0], (name, value)], "")
            .await
            .refused(403);
    }
    let absolute = line.replace("GET /", &format!("GET http://127.0.0.1:{port}/"));
    world.ask(&absolute, &right[..1], "").await.refused(400);
}

#[tokio::test]
async fn only_the_documented_methods_and_forms_are_answered() {
    let world = World::start();
    let (line, token) = world.aws_question();
    let right = [("Authorization", token.as_str())];
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get"] {
        let answer = world.ask(&line.replace("GET", method), &right, "").await;
        answer.refused(405);
        assert!(answer.headers.contains("allow: get"), "{answer:?}");
    }
    let answer = world.ask(&line.replace("GET", "HEAD"), &right, "").await;
    assert_eq!(answer.status, 405);
    let body = [right[0], ("Content-Length", "1")];
    world.ask(&line, &body, "x").await.refused(400);
    for path in [
        "/",
        "/aws",
        "/aws/9",
        "/aws/0/",
        "/AWS/0",
        "//aws/0",
        "/v1/leases/",
        "/aws/../aws/0",
    ] {
        world
            .ask(&format!("GET {path}"), &right, "")
            .await
            .refused(404);
    }
    let long = "a".repeat(20 * 1024);
    let answer = world.ask(&line, &[right[0], ("X-Long", &long)], "").await;
    assert_eq!(answer.status, 431, "{answer:?}");
    let many: Vec<(&str, &str)> = std::iter::repeat_n(("X-Many", "1"), 100).collect();
    let answer = world.ask(&line, &many, "").await;
    assert_eq!(answer.status, 431, "{answer:?}");
}

#[tokio::test]
async fn while_nothing_is_there_clients_are_told_to_come_again() {
    let world = World::start();
    world.change(
        "aws",
        Err(Unavailable {
            lease: "aws".parse().unwrap(),
            ended_at: None,
            reason: "the issuer is away".to_owned(),
        }),
    );
    let answer = world.aws().await;
    let document = answer.refused(503);
    assert!(
        document["message"]
            .as_str()
            .unwrap()
            .contains("the issuer is away")
    );
    assert!(answer.headers.contains("retry-after: 1"), "{answer:?}");
}

#[tokio::test]
async fn a_renewal_that_hangs_holds_nobody_up_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::new(LEASES);
    let first = held("aws", &SESSION, Some("2026-01-02T04:04:05Z"));
    let lease = &project.config.leases["aws"];
    let current = Arc::new(Never(first.lease.clone()));
    let env = Env::default();
    let surroundings = Surroundings {
        folder: folder.path(),
        env: &env,
        clock: Arc::new(FakeClock::at(NOW)) as Arc<dyn Clock>,
    };
    let served = vec![Served::new(current, lease, &first).unwrap()];
    let world = World {
        endpoint: Endpoint::start(served, &surroundings).unwrap(),
        folder,
        project,
        currents: BTreeMap::new(),
    };
    let answer = world.aws().await;
    answer.refused(503);
    assert!(answer.headers.contains("retry-after"), "{answer:?}");
}

#[tokio::test]
async fn an_endpoint_ends_with_its_files_and_its_connections() {
    let world = World::start();
    let files: Vec<_> = std::fs::read_dir(world.folder.path())
        .unwrap()
        .flatten()
        .collect();
    assert!(files.len() > 5);
    for file in &files {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file:?}");
    }
    let port = world.endpoint.port();
    let mut idle = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    world.aws().await.json();
    let World {
        folder, endpoint, ..
    } = world;
    drop(endpoint);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), idle.read_to_end(&mut rest)).await;
    assert!(ended.is_ok() && rest.is_empty());
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn the_other_family_is_served_at_the_same_port_under_its_own_name() {
    let world = World::start();
    let port = world.endpoint.port();
    let Ok(mut stream) = TcpStream::connect(("::1", port)).await else {
        return;
    };
    let (line, token) = world.aws_question();
    let text = format!(
        "{line} HTTP/1.1\r\nHost: [::1]:{port}\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(Answer::parse(&answer).json()["Token"], "token-1");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and /proc"]
async fn another_user_of_the_machine_gets_nothing() {
    assert!(rustix::process::geteuid().is_root());
    let world = World::start();
    let (line, token) = world.aws_question();
    let port = world.endpoint.port();
    // bash speaks TCP by itself; the token is given to it to show that it is of no use.
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{line} HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\nAuthorization: \
         {token}\\r\\nConnection: close\\r\\n\\r\\n' >&3; cat <&3"
    );
    let run = |user: Option<u32>| {
        let mut command = std::process::Command::new("bash");
        command.args(["-c", &script]).current_dir("/");
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let own = run(None).await.unwrap();
    assert!(String::from_utf8_lossy(&own.stdout).contains("secret-1"));
    let other = run(Some(65534)).await.unwrap();
    assert!(other.stdout.is_empty(), "{other:?}");
}

#[tokio::test]
async fn what_no_sdk_would_take_is_refused_at_the_start() {
    let world = World::start();
    let lease = &world.project.config.leases["aws"];
    let current = || Arc::clone(&world.currents["aws"]) as Arc<dyn Current>;
    let end = Some("2026-01-02T04:04:05Z");
    for (credential, wanted) in [
        (held("aws", &SESSION, None), "never expires"),
        (held("aws", &SESSION[..2], end), "AWS_SESSION_TOKEN"),
    ] {
        let error = Served::new(current(), lease, &credential)
            .unwrap_err()
            .to_string();
        assert!(error.contains(wanted) && error.contains("`aws`"), "{error}");
    }
    assert!(Served::new(current(), lease, &held("aws", &[("T", "1")], None)).is_ok());
}

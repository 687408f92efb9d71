//! A database that was put back to an older state: no right in it comes back, and nothing that was used can be used
//! again. And what a server never has: a plaintext, in its memory, its files, its backups or its log.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use fnox_testkit::Canary;

use crate::support;
use crate::team_http::Client;
use crate::team_process::{Home, LIMIT, Options, Process, exchange, wanted};

/// How the older state comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By `fnox serve restore`.
    Restore,
    /// Somebody copies the file of a backup over the database, and tells nobody.
    Copy,
}

#[tokio::test]
async fn a_restore_brings_no_right_back() {
    an_older_state_brings_no_right_back(Way::Restore).await;
}

#[tokio::test]
async fn a_copy_in_the_place_of_the_database_brings_no_right_back() {
    an_older_state_brings_no_right_back(Way::Copy).await;
}

/// What there was when the backup was made.
struct Before {
    /// The token that opened the session.
    token: String,
    session: String,
    /// Three requests: pending, approved, and one whose grant is not used.
    requests: [serde_json::Value; 3],
    grants: [String; 2],
}

impl Before {
    async fn make(home: &Home, server: &Process, client: &mut Client) -> Self {
        server.put(client, "NPM_A", 1).await.ok();
        server.put(client, "FREE_A", 1).await.ok();
        let token = home.token();
        let session = client.post("/v1/sessions", &token, "").await;
        let session = session.ok().text("token");
        let mut requests = Vec::new();
        for number in 0..3 {
            let body = wanted("NPM_A", number);
            let asked = client.post("/v1/approvals", &session, &body).await.ok();
            if number > 0 {
                server.decide(client, &asked.body, "approve").await.ok();
            }
            requests.push(asked.body);
        }
        let body = exchange(&requests[2]);
        let first = client.post("/v1/grants", &session, &body).await.ok();
        let body = wanted("FREE_A", 0);
        let second = client.post("/v1/grants", &session, &body).await.ok();
        Self {
            token,
            session,
            requests: requests.try_into().unwrap(),
            grants: [first.text("grant_token"), second.text("grant_token")],
        }
    }
}

async fn an_older_state_brings_no_right_back(way: Way) {
    let home = Home::new();
    let server = home.serve();
    let mut client = server.client();
    let before = Before::make(&home, &server, &mut client).await;
    let copy = home.sandbox.root().join("copy.db");
    home.about(&["backup", copy.to_str().unwrap()])
        .finish()
        .succeeds();

    // What happens after the backup, and is not in it.
    client.post("/v1/fetch", &before.grants[0], "").await.ok();
    let body = exchange(&before.requests[1]);
    let late = client.post("/v1/grants", &before.session, &body).await.ok();
    let late = late.text("grant_token");
    client.post("/v1/fetch", &late, "").await.ok();
    server
        .decide(&mut client, &before.requests[0], "deny")
        .await
        .ok();
    let used_later = home.token();
    let session_later = client.post("/v1/sessions", &used_later, "").await.ok();
    let session_later = session_later.text("token");
    let never_used = home.token();
    server.end();

    put_back(&home, way, &copy);
    let admin = {
        let made = home.about(&["token", "--role", "admin"]).finish();
        made.succeeds().stdout.trim().to_owned()
    };
    // Twice: what is refused stays refused after another start.
    for _ in 0..2 {
        let server = home.serve();
        let mut client = server.client();
        for token in [&before.token, &used_later, &never_used] {
            let refused = client.post("/v1/sessions", token, "").await;
            assert_eq!(refused.status, 401, "{refused:?}");
        }
        for bearer in [&before.session, &session_later, &home.admin] {
            let path = "/v1/sessions/current";
            client.get(path, bearer).await.is("token_invalid");
        }
        for grant in [&before.grants[0], &before.grants[1], &late] {
            let refused = client.post("/v1/fetch", grant, "").await;
            assert!([401, 409, 410].contains(&refused.status), "{refused:?}");
            assert_ne!(refused.text("code"), "grant_used", "{refused:?}");
        }
        for (asked, word) in before
            .requests
            .iter()
            .zip(["cancelled", "cancelled", "expired"])
        {
            let path = format!("/v1/approvals/{}", asked["id"].as_str().unwrap());
            let stands = client.get(&path, &admin).await.ok();
            assert_eq!(stands.text("status"), word);
            let body = exchange(asked);
            let refused = client.post("/v1/grants", &before.session, &body).await;
            refused.is("token_invalid");
        }
        let path = "/v1/audit?event=database_restored";
        let told = client.get(path, &admin).await.ok();
        // The second start is not another restoration.
        assert_eq!(
            told.body["records"].as_array().unwrap().len(),
            1,
            "{told:?}"
        );
        // New tokens are good; their times are whole seconds, so not those of the same second.
        let end = tokio::time::Instant::now() + LIMIT;
        loop {
            let answer = client.post("/v1/sessions", &home.token(), "").await;
            if answer.is_ok() {
                break;
            }
            assert!(tokio::time::Instant::now() < end, "{answer:?}");
        }
        home.verify_audit();
        server.end();
    }
}

fn put_back(home: &Home, way: Way, copy: &Path) {
    match way {
        Way::Restore => {
            home.about(&["restore", copy.to_str().unwrap()])
                .finish()
                .succeeds();
        }
        Way::Copy => {
            for ending in ["-wal", "-shm"] {
                let log = format!("{}{ending}", home.database().display());
                let _ = std::fs::remove_file(log);
            }
            std::fs::copy(copy, home.database()).unwrap();
        }
    }
}

#[test]
fn a_server_that_runs_keeps_its_database_from_being_restored() {
    let home = Home::new();
    let server = home.serve();
    let copy = home.sandbox.root().join("copy.db");
    let copy = copy.to_str().unwrap();
    home.about(&["backup", copy]).finish().succeeds();
    let refused = home.about(&["restore", copy]).finish().exits_with(6);
    assert!(
        refused.stderr.contains("in use by another process"),
        "{refused}"
    );
    server.end();
    home.about(&["restore", copy]).finish().succeeds();
}

const VALUE: &str = "canary-of-a-team-91c4be7d20f3";
const OLD: &str = "canary-of-its-first-version-5e0b";

/// A command of a client of the server.
fn client_of(home: &Home, server: &Process, words: &[&str]) -> fnox_testkit::Invocation {
    home.sandbox
        .run(words)
        .env("FNOX_SERVER_URL", format!("http://{}", server.address))
}

#[tokio::test]
async fn no_plaintext_reaches_memory_database_backup_or_log_of_a_server() {
    let home = Home::new();
    let server = home.serve_through(&["env", "RUST_LOG=trace"]);
    let made = home.sandbox.run(["age", "keygen", "--json"]).finish();
    let keys = support::json(&made.succeeds().stdout);
    let text = |key: &str| keys[key].as_str().unwrap().to_owned();
    let project = format!(
        "[project]\nname = \"my-app\"\nwriters = [\"{}\"]\n\n[profiles.default]\n\
         FREE_TOKEN = {{ description = \"a canary\" }}\n",
        text("writer")
    );
    home.sandbox.write("fnox.toml", project);
    home.sandbox.write_private("admin.token", &home.admin);
    for value in [OLD, VALUE] {
        let recipient = text("recipient");
        let words = [
            "secret",
            "set",
            "FREE_TOKEN",
            "--from-stdin",
            "--recipients",
            &recipient,
        ];
        let token = home.sandbox.project().join("admin.token");
        client_of(&home, &server, &words)
            .env("FNOX_SERVER_TOKEN_FILE", token)
            .stdin(value)
            .finish()
            .succeeds();
    }
    let words = ["run", "--", "sh", "-c", "printf %s \"$FREE_TOKEN\""];
    let token = home.token();
    let run = client_of(&home, &server, &words)
        .env("FNOX_OIDC_TOKEN", &token)
        .finish()
        .succeeds();
    assert!(run.stdout.ends_with(VALUE), "{run}");
    let copy = home.sandbox.root().join("copies").join("copy.db");
    std::fs::create_dir(copy.parent().unwrap()).unwrap();
    home.about(&["backup", copy.to_str().unwrap()])
        .finish()
        .succeeds();
    let memory = memory_of(server.id());
    let ended = server.end();
    let outputs = [
        ("memory", memory.as_deref().unwrap_or_default()),
        ("log", ended.stderr.as_bytes()),
        ("stdout", ended.stdout.as_bytes()),
    ];
    let folders = [&home.data_folder(), &home.folder(), copy.parent().unwrap()];
    for value in [VALUE, OLD] {
        Canary::new(value).assert_absent(&outputs, &folders);
    }
    // Tokens are known by their hashes alone.
    for secret in [&token, &home.admin] {
        let parts: Vec<&str> = secret.split('.').collect();
        Canary::new(parts.last().unwrap()).assert_absent(&outputs[1..], &folders);
    }
    // The test can fail: what is known to be there is found.
    let known = Canary::new("FREE_TOKEN");
    assert!(!known.sightings(&[], &[&home.data_folder()]).is_empty());
    assert!(!known.sightings(&[], &[copy.parent().unwrap()]).is_empty());
    if memory.is_none() {
        eprintln!(
            "only root can read the memory of a server; its files and its log were looked at"
        );
        return;
    }
    let known = Canary::new("https://fnox.example.com");
    assert!(!known.sightings(&outputs[..1], &[]).is_empty());
}

/// Everything in the memory of a process that it could have written to, if it may be read.
fn memory_of(process: u32) -> Option<Vec<u8>> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    let mut memory = std::fs::File::open(format!("/proc/{process}/mem")).ok()?;
    let mut all = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next()?, words.next()?);
        let (start, end) = range.split_once('-')?;
        let start = u64::from_str_radix(start, 16).ok()?;
        let end = u64::from_str_radix(end, 16).ok()?;
        if !rights.starts_with("rw") || memory.seek(SeekFrom::Start(start)).is_err() {
            continue;
        }
        // Pages that are not there any more, or that the kernel keeps, end the area.
        let _ = (&mut memory).take(end - start).read_to_end(&mut all);
    }
    Some(all)
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_postgresql_that_was_put_back_brings_no_right_back() {
    let database = crate::team_races::postgres_database("restore");
    let options = Options {
        database: Some(&database),
        ..Options::default()
    };
    let home = Home::with(support::sandbox(), &options);
    let server = home.serve();
    let mut client = server.client();
    let before = Before::make(&home, &server, &mut client).await;
    let mut tokens: Vec<String> = (0..2000).map(|_| home.token()).collect();
    // As whoever restored it with PostgreSQL's own tools has to say, also while a server has it open.
    home.about(&["restored"]).finish().succeeds();
    for grant in &before.grants {
        let refused = client.post("/v1/fetch", grant, "").await;
        assert!([401, 409, 410].contains(&refused.status), "{refused:?}");
    }
    let path = "/v1/sessions/current";
    client.get(path, &before.session).await.is("token_invalid");
    // A server that runs hears of it within moments, and takes no token from before.
    loop {
        let token = tokens.pop().expect("a token that is refused");
        let answer = client.post("/v1/sessions", &token, "").await;
        if answer.status == 401 {
            break;
        }
        answer.ok();
    }
    server.end();
    let server = home.serve();
    let mut client = server.client();
    for token in [&before.token, &tokens[0]] {
        let refused = client.post("/v1/sessions", token, "").await;
        assert_eq!(refused.status, 401, "{refused:?}");
    }
    server.end();
    home.verify_audit();
}

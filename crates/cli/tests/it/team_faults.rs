//! Disks that are full, that fail, that cannot be written, and a database that is gone: nothing is decided or released
//! that is not durable, health says so, and the server goes on by itself once it can.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use fnox_testkit::wait::within;
use serde_json::Value;

use crate::support;
use crate::team_crash::is_whole;
use crate::team_http::{Answer, Client};
use crate::team_process::{Home, LIMIT, Options, Process, exchange, wanted};
use crate::vault_process::SmallDisk;

/// More logins than any disk here holds.
const MANY: usize = 20_000;

/// One thing of each kind, ready for its next step.
pub(crate) struct Ready {
    /// A token of the CI that was not used.
    token: String,
    session: String,
    /// A request to say yes to, and one to say no to.
    pending: [Value; 2],
    /// A request that was answered yes.
    approved: Value,
    /// A grant that was not used.
    grant: String,
    /// The version of a key that is stored anew.
    version: u64,
}

impl Ready {
    pub(crate) async fn make(home: &Home, server: &Process) -> Self {
        let mut client = server.client();
        let free_b = "/v1/projects/my-app/secrets/FREE_B";
        let before = client.get(free_b, server.admin()).await;
        let version = before.body["version"].as_u64().unwrap_or(0);
        server.put(&mut client, "NPM_A", 1).await.ok();
        server.put(&mut client, "FREE_A", 2).await.ok();
        let session = home.session(&mut client).await;
        let mut asked = Vec::new();
        for number in 0..3 {
            // What was denied before is not asked again.
            let body = wanted("NPM_A", 1000 * version + number);
            let answer = client.post("/v1/approvals", &session, &body).await.ok();
            asked.push(answer.body);
        }
        let [first, second, approved] = <[Value; 3]>::try_from(asked).unwrap();
        server.decide(&mut client, &approved, "approve").await.ok();
        let body = wanted("FREE_A", 1000 * version);
        let granted = client.post("/v1/grants", &session, &body).await.ok();
        Self {
            token: home.token(),
            session,
            pending: [first, second],
            approved,
            grant: granted.text("grant_token"),
            version,
        }
    }

    /// The next step of each.
    async fn steps(&self, server: &Process) -> Vec<(&'static str, Answer)> {
        let mut client = server.client();
        let [yes, no] = &self.pending;
        let body = exchange(&self.approved);
        let mut steps = vec![("login", client.post("/v1/sessions", &self.token, "").await)];
        steps.push(("fetch", client.post("/v1/fetch", &self.grant, "").await));
        steps.push(("yes", server.decide(&mut client, yes, "approve").await));
        steps.push(("no", server.decide(&mut client, no, "deny").await));
        let granted = client.post("/v1/grants", &self.session, &body).await;
        steps.push(("grant", granted));
        let put = server.put(&mut client, "FREE_B", 3).await;
        steps.push(("put", put));
        steps
    }

    /// None of the steps works, each is told why, and health says so.
    pub(crate) async fn refused(&self, server: &Process) {
        for (step, answer) in self.steps(server).await {
            assert_eq!(answer.code(), "store_unavailable", "{step}: {answer:?}");
            assert_eq!(answer.status, 503, "{step}");
        }
        assert_eq!(server.health().await, ("unavailable".to_owned(), 503));
    }

    /// All of the steps work, each once: what was refused before changed nothing.
    pub(crate) async fn done(&self, server: &Process) {
        for (step, answer) in self.steps(server).await {
            assert!(answer.is_ok(), "{step}: {answer:?}");
        }
        assert_eq!(server.health().await, ("ok".to_owned(), 200));
    }

    /// All of the steps were done, and stay so.
    pub(crate) async fn stays_done(&self, server: &Process) {
        let mut client = server.client();
        client
            .post("/v1/sessions", &self.token, "")
            .await
            .is("token_replayed");
        client
            .post("/v1/fetch", &self.grant, "")
            .await
            .is("grant_used");
        let [yes, no] = &self.pending;
        for (asked, word) in [
            (yes, "approved"),
            (no, "denied"),
            (&self.approved, "granted"),
        ] {
            assert_eq!(self.word(&mut client, asked).await, word);
        }
        let body = exchange(&self.approved);
        client
            .post("/v1/grants", &self.session, &body)
            .await
            .is("approval_decided");
        let path = "/v1/projects/my-app/secrets/FREE_B";
        let stored = client.get(path, server.admin()).await.ok();
        assert_eq!(stored.body["version"], self.version + 1);
    }

    async fn word(&self, client: &mut Client, asked: &Value) -> String {
        let path = format!("/v1/approvals/{}", asked["id"].as_str().unwrap());
        client.get(&path, &self.session).await.ok().text("status")
    }
}

/// Waits until the server says that it is ready.
async fn recovered(server: &Process) {
    let end = tokio::time::Instant::now() + LIMIT;
    while server.health().await.1 != 200 {
        assert!(tokio::time::Instant::now() < end, "it does not recover");
        tokio::task::yield_now().await;
    }
}

/// Writes until not even the smallest change finds room.
async fn fill(home: &Home, server: &Process) {
    let mut client = server.client();
    let mut is_full = false;
    for _ in 0..MANY {
        let answer = if is_full {
            let path = "/v1/admin/unfreeze";
            client.post(path, server.admin(), "").await
        } else {
            client.post("/v1/sessions", &home.token(), "").await
        };
        if answer.is_ok() {
            continue;
        }
        answer.is("store_unavailable");
        if is_full {
            return;
        }
        is_full = true;
    }
    panic!("the disk never was full");
}

/// Fills the disk, makes room by `make_room`, and sees the server go on.
async fn a_full_disk_heals(home: &Home, server: Process, make_room: impl FnOnce(&Process)) {
    let ready = Ready::make(home, &server).await;
    assert_eq!(server.health().await, ("ok".to_owned(), 200));
    fill(home, &server).await;
    ready.refused(&server).await;
    make_room(&server);
    recovered(&server).await;
    ready.done(&server).await;
    let ended = server.kill();
    assert!(!ended.stderr.contains("panicked"), "{ended}");
    is_whole(&home.database());
    let server = home.serve();
    ready.stays_done(&server).await;
    home.verify_audit();
    server.end();
}

#[tokio::test]
async fn a_full_disk_stops_decisions_and_fetches_until_there_is_room() {
    let sandbox = support::sandbox();
    let folder = sandbox.root().join("data");
    let Some(_disk) = SmallDisk::mount(&folder, "4m") else {
        eprintln!("only root can mount a small disk; the limit on file sizes is tested instead");
        return;
    };
    let home = Home::with(sandbox, &Options::default());
    let ballast = folder.join("ballast");
    // With it gone there is room for a copy too, which verification makes.
    std::fs::write(&ballast, vec![0; 2648 * 1024]).unwrap();
    let server = home.serve();
    a_full_disk_heals(&home, server, |_| std::fs::remove_file(&ballast).unwrap()).await;
}

#[tokio::test]
async fn a_limit_on_file_sizes_stops_decisions_and_fetches_and_does_not_end_the_server() {
    let home = Home::new();
    let server = home.serve_through(&["prlimit", "--fsize=600000:unlimited"]);
    a_full_disk_heals(&home, server, |server| {
        let raised = Command::new("prlimit")
            .args(["--fsize=unlimited", "--pid", &server.id().to_string()])
            .output()
            .unwrap();
        assert!(raised.status.success(), "{raised:?}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs strace"]
async fn a_sync_that_fails_is_an_error_and_never_an_answer() {
    for failing in ["40..46", "40+"] {
        let home = Home::new();
        let rule = format!("inject=fdatasync,fsync:error=EIO:when={failing}");
        // strace as a grandchild (-D), so that the server is the process that is killed.
        let server = home.serve_through(&[
            "strace",
            "-D",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fdatasync,fsync",
            "-e",
            &rule,
        ]);
        let ready = Ready::make(&home, &server).await;
        let mut client = server.client();
        let mut delivered: Vec<String> = Vec::new();
        let mut errors = 0;
        let mut recovered = false;
        for number in 0..60 {
            let body = wanted("FREE_A", 100 + number);
            let granted = client.post("/v1/grants", &ready.session, &body).await;
            if !granted.is_ok() {
                granted.is("store_unavailable");
                errors += 1;
                continue;
            }
            recovered |= errors > 0;
            let token = granted.text("grant_token");
            let fetched = client.post("/v1/fetch", &token, "").await;
            if fetched.is_ok() {
                delivered.push(token);
            } else {
                fetched.is("store_unavailable");
                errors += 1;
            }
        }
        assert!(errors > 0, "no sync failed");
        assert!(!delivered.is_empty());
        assert_eq!(recovered, failing != "40+", "{failing}: {errors} errors");
        if recovered {
            ready.done(&server).await;
        } else {
            ready.refused(&server).await;
        }
        server.kill();
        is_whole(&home.database());
        let server = home.serve();
        let mut client = server.client();
        for token in &delivered {
            client.post("/v1/fetch", token, "").await.is("grant_used");
        }
        if recovered {
            ready.stays_done(&server).await;
        }
        home.verify_audit();
        server.end();
    }
}

#[test]
fn a_database_that_cannot_be_written_is_told_at_the_start() {
    let sandbox = support::sandbox();
    let folder = sandbox.root().join("data");
    let disk = SmallDisk::mount(&folder, "4m");
    let home = Home::with(sandbox, &Options::default());
    home.serve().end();
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&folder, permissions).unwrap();
    };
    if let Some(disk) = &disk {
        // Nothing is forbidden to root but a file system that is read-only.
        disk.make_read_only();
    } else {
        mode(0o500);
    }
    let refused = home
        .about(&["--listen", "127.0.0.1:0"])
        .limit(LIMIT)
        .finish();
    let refused = refused.exits_with(6);
    assert!(refused.stderr.contains("server.db"), "{refused}");
    assert!(refused.stderr.contains("help"), "{refused}");
    assert!(!refused.stderr.contains("panicked"), "{refused}");
    if disk.is_none() {
        mode(0o700);
        home.serve().end();
    }
}

/// A PostgreSQL of its own, that can be stopped.
struct Cluster {
    program: String,
    folder: String,
    url: String,
}

impl Cluster {
    fn create() -> Self {
        let env = fnox_core::Env::of_process();
        let program = env.var("FNOX_TEST_POSTGRES_CTL");
        let program = program.expect("FNOX_TEST_POSTGRES_CTL").to_owned();
        let output = Command::new(&program).arg("create").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let (folder, url) = text.trim().split_once('\n').unwrap();
        Self {
            program,
            folder: folder.to_owned(),
            url: url.to_owned(),
        }
    }

    fn run(&self, action: &str) {
        let status = Command::new(&self.program)
            .args([action, &self.folder])
            .status()
            .unwrap();
        assert!(status.success(), "{action}: {status}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = Command::new(&self.program)
            .args(["remove", &self.folder])
            .status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_postgresql_that_is_gone_for_a_while_stops_decisions_and_fetches() {
    let cluster = Cluster::create();
    let options = Options {
        database: Some(&cluster.url),
        ..Options::default()
    };
    let home = Home::with(support::sandbox(), &options);
    for ending in ["stop", "kill"] {
        let server = home.serve();
        let ready = Ready::make(&home, &server).await;
        cluster.run(ending);
        ready.refused(&server).await;
        cluster.run("start");
        recovered(&server).await;
        ready.done(&server).await;
        ready.stays_done(&server).await;
        server.end();
        home.verify_audit();
    }
}

#[tokio::test]
async fn a_second_server_on_the_file_is_refused_and_the_first_goes_on() {
    let home = Home::new();
    let server = home.serve();
    let ready = Ready::make(&home, &server).await;
    let refused = home
        .about(&["--listen", "127.0.0.1:0"])
        .limit(LIMIT)
        .finish();
    let refused = refused.exits_with(6);
    for word in [
        "in use by another process",
        &server.id().to_string(),
        "help",
    ] {
        assert!(refused.stderr.contains(word), "{word}: {refused}");
    }
    ready.done(&server).await;
    server.end();
    let server = home.serve();
    ready.stays_done(&server).await;
    server.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_told_to_end_finishes_what_is_under_way() {
    use tokio::io::AsyncWriteExt as _;

    let home = Home::new();
    let mut server = home.serve();
    let ready = Ready::make(&home, &server).await;
    // A long poll, and a request of which one half has come.
    let path = format!(
        "/v1/approvals/{}?wait=60",
        ready.pending[0]["id"].as_str().unwrap()
    );
    let (address, session) = (server.address.clone(), ready.session.clone());
    let poll = tokio::spawn(async move {
        let mut client = Client::new(&address);
        client.send("GET", &path, &session, "").await
    });
    let body = wanted("NPM_A", 77);
    let (first, rest) = body.split_at(body.len() / 2);
    let head = format!(
        "POST /v1/approvals HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{first}",
        server.address,
        ready.session,
        body.len()
    );
    let mut half = tokio::net::TcpStream::connect(&server.address)
        .await
        .unwrap();
    half.write_all(head.as_bytes()).await.unwrap();
    // Whatever was sent before this is with the server once this is answered.
    for _ in 0..20 {
        assert_eq!(server.health().await.1, 200);
    }
    server.signal(rustix::process::Signal::TERM);
    let begun = tokio::time::Instant::now();
    let address: std::net::SocketAddr = server.address.parse().unwrap();
    let closed = within(LIMIT, || {
        let attempt = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5));
        attempt.is_err().then_some(())
    });
    assert!(closed.is_some(), "it still listens");
    assert!(server.runs(), "it did not wait for the other half");
    half.write_all(rest.as_bytes()).await.unwrap();
    let (asked, _) = crate::team_http::read_answer(&mut half).await.unwrap();
    let asked = asked.ok();
    let polled = poll.await.unwrap().expect("the long poll has an answer");
    assert_eq!(polled.ok().text("status"), "pending");
    let ended = server.end();
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "it waited in vain"
    );
    assert!(ended.stderr.contains("the server has ended"), "{ended}");

    // Nothing is lost.
    let server = home.serve();
    let mut client = server.client();
    assert_eq!(ready.word(&mut client, &asked.body).await, "pending");
    ready.done(&server).await;
    ready.stays_done(&server).await;
    home.verify_audit();
    server.end();
}

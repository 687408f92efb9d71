//! What a gateway asks is answered by the team server's people: the server's process, a strict ntfy, a page's form, and agents
//! that are programs behind real gateways.

use std::time::Duration;

use fnox_testkit::stand_in::ntfy::Message;
use fnox_testkit::wait::{until, until_some};
use fnox_testkit::{Invocation, Run, Running};
use rustix::process::Signal;
use serde_json::json;

use crate::agent_support::{Project, VALUE};
use crate::gateway_support;
use crate::mcp_support::Client;
use crate::schemas::assert_fits;
use crate::support;
use crate::team_support::{POLICY, Team};

const LIMIT: Duration = Duration::from_mins(1);

const GATEWAYS: &str =
    "\n[[gateway]]\nname = \"builders\"\nlongest = \"15m\"\n\n[[gateway]]\nname = \"others\"\n";

/// A server whose policy knows two gateways, and the first one's token.
fn team() -> (Team, String) {
    let team = Team::start();
    let policy = format!("{POLICY}{GATEWAYS}");
    team.admin
        .write_private(team.folder().join("policy.toml"), policy);
    // The server reads the policy again by itself.
    let token = until_some("a gateway's token", LIMIT, || token_of(&team, "builders"));
    (team, token)
}

fn token_of(team: &Team, name: &str) -> Option<String> {
    let arguments = ["serve", "token", "--role", "gateway", "--name", name];
    let run = team.administer(&[&arguments[..], &["--server", &team.url]].concat());
    let run = run.finish();
    (run.code == Some(0)).then(|| run.stdout.trim().to_owned())
}

/// A project whose rule asks at the server, and nowhere else.
fn project(team: &Team, token: &str) -> Project {
    let project = Project::with(
        "approve_at = [\"server\"]\napproval_wait = \"5m\"",
        "approve = \"ask\"",
    );
    project.sandbox.write_private("server.token", token);
    assert!(!team.url.is_empty());
    project
}

fn agent(team: &Team, project: &Project, script: &str) -> Running {
    let token = project.sandbox.project().join("server.token");
    let agent = project.agent(script).limit(Duration::from_mins(3));
    agent
        .env("FNOX_SERVER_URL", &team.url)
        .env("FNOX_SERVER_TOKEN_FILE", token)
        .start()
}

const POST: &str =
    "curl -sS -o /dev/null -w '%{http_code}\\n' -H \"Authorization: Bearer $TOKEN\" -d title=one";

/// The newest match code that the gateway has shown, once there are so many.
fn code(gateway: &Running, count: usize) -> String {
    until_some("a match code", LIMIT, || {
        let said = gateway.stderr_so_far();
        let codes: Vec<&str> = said.split("match code ").skip(1).collect();
        let newest = codes.last().filter(|_| codes.len() >= count)?;
        Some(newest.chars().take(6).collect())
    })
}

/// The page of a message, opened and posted as a browser would.
struct Page<'a> {
    team: &'a Team,
    url: String,
}

impl<'a> Page<'a> {
    fn of(team: &'a Team, push: &Message) -> Self {
        let url = push.actions[0].url.clone();
        Self { team, url }
    }

    fn curl(&self, arguments: &[&str]) -> Run {
        let arguments = [&["-sS", "-w", "\n%{http_code}"], arguments, &[&self.url]].concat();
        let run: Invocation = self.team.admin.run_program("curl", arguments);
        run.finish().succeeds()
    }

    fn open(&self) -> String {
        self.curl(&[]).stdout
    }

    /// Posts the form and gives the status.
    fn submit(&self, fields: &[&str]) -> String {
        let html = self.open();
        let (_, rest) = html.split_once("name=\"nonce\" value=\"").expect("a form");
        let nonce = format!("nonce={}", rest.split_once('"').unwrap().0);
        let mut arguments = vec!["-d", nonce.as_str()];
        for field in fields {
            arguments.extend(["-d", field]);
        }
        let answer = self.curl(&arguments).stdout;
        answer.lines().last().unwrap().to_owned()
    }
}

#[test]
#[ignore = "needs FNOX_TEST_JOSE_PYTHON"]
fn a_held_request_is_sent_after_a_yes_on_the_page() {
    let (mut team, token) = team();
    let project = project(&team, &token);
    let script = format!(
        "{POST} \"$URL/pulls?draft=1\"; {POST} \"$URL/pulls?draft=1\"; {POST} \"$URL/pulls/%3Cscript%3E\""
    );
    let running = agent(&team, &project, &script);
    let first = code(&running, 1);
    let push = team.ntfy.wait_for_message();
    let told = format!("{push:?}");
    for part in ["agent", "POST", "localhost", "/pulls", "gateway:builders"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    // Neither the code nor the query passes through somebody else's service, and the value is nowhere.
    assert!(!told.contains(&first) && !told.contains("draft"), "{told}");
    let page = Page::of(&team, &push);
    let shown = page.open();
    assert!(
        shown.contains("/pulls?draft=1") && shown.contains("9 bytes"),
        "{shown}"
    );
    assert!(!shown.contains(&first) && !shown.contains(VALUE));
    assert_eq!(page.submit(&["code=000000", "decision=approve"]), "403");
    assert!(project.upstream.received().is_empty());
    let yes = format!("code={first}");
    assert_eq!(
        page.submit(&[&yes, "lasting=300", "decision=approve"]),
        "200"
    );

    // For five minutes the very same request needs no other yes; another one does, and gets a no.
    let second = code(&running, 2);
    let push = team.ntfy.wait_for_message();
    let page = Page::of(&team, &push);
    let shown = page.open();
    let shown = shown.split_once("</style>").unwrap().1;
    assert!(
        !shown.contains("<script") && !shown.contains("<b>"),
        "{shown}"
    );
    assert_eq!(
        page.submit(&[&format!("code={second}"), "decision=deny"]),
        "200"
    );
    let run = running.finish().succeeds();
    assert_eq!(run.stdout, "200\n200\n403\n");
    assert_eq!(project.upstream.received().len(), 2);
    assert!(page.open().contains("Denied"));

    let log = team
        .administer(&["approve", "list", "--all", "--json"])
        .finish()
        .succeeds();
    let log = support::json(&log.stdout);
    let states: Vec<_> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["status"].clone())
        .collect();
    assert_fits("schemas/approve-list.json", &log);
    assert_eq!(states, ["denied", "fetched"], "{log}");
    assert_eq!(log[1]["request"]["lasting_seconds"], 300, "{log}");
    team.stop_replica(0);
    let config = team.folder().join("server.toml");
    let verify = [
        "serve",
        "audit",
        "verify",
        "--config",
        config.to_str().unwrap(),
    ];
    team.admin.run(verify).finish().succeeds();
}

#[test]
#[ignore = "needs FNOX_TEST_JOSE_PYTHON"]
fn a_server_that_starts_again_knows_what_waits() {
    let (mut team, token) = team();
    let project = project(&team, &token);
    let running = agent(&team, &project, &format!("{POST} $URL/a"));
    let code = code(&running, 1);
    let push = team.ntfy.wait_for_message();
    team.kill_replica(0);
    team.start_replica(0);
    let page = Page::of(&team, &push);
    assert_eq!(
        page.submit(&[&format!("code={code}"), "decision=approve"]),
        "200"
    );
    assert_eq!(running.finish().succeeds().stdout, "200\n");
    // It was asked once.
    let log = team
        .administer(&["approve", "list", "--all", "--json"])
        .finish()
        .succeeds();
    assert_eq!(support::json(&log.stdout).as_array().unwrap().len(), 1);
}

#[test]
#[ignore = "needs FNOX_TEST_JOSE_PYTHON"]
fn who_is_answered_at_the_terminal_asks_nobody_else_any_more() {
    let (team, token) = team();
    let project = Project::with(
        "approve_at = [\"terminal\", \"server\"]\napproval_wait = \"5m\"",
        "approve = \"ask\"",
    );
    project.sandbox.write_private("server.token", &token);
    let running = agent(&team, &project, &format!("{POST} $URL/a"));
    code(&running, 1);
    let page = Page::of(&team, &team.ntfy.wait_for_message());
    let pending = project.sandbox.run(["agent", "pending", "--json"]).finish();
    let pending = support::json(&pending.succeeds().stdout);
    let id = pending[0]["id"].as_str().unwrap();
    // Another gateway's token sees nothing of it and ends nothing of it.
    let other = token_of(&team, "others").expect("a token");
    let listed = team
        .administer(&["approve", "list", "--json"])
        .finish()
        .succeeds();
    let listed = support::json(&listed.stdout);
    let url = format!(
        "{}/v1/questions/{}",
        team.url,
        listed[0]["id"].as_str().unwrap()
    );
    let header = format!("Authorization: Bearer {other}");
    for method in ["GET", "DELETE"] {
        let arguments = [
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-X",
            method,
            "-H",
            &header,
            &url,
        ];
        let run = team.admin.run_program("curl", arguments).finish();
        assert_eq!(run.succeeds().stdout, "404", "{method}");
    }
    project
        .sandbox
        .run(["agent", "approve", id])
        .finish()
        .succeeds();
    assert_eq!(running.finish().succeeds().stdout, "200\n");
    until("the question to be taken back", LIMIT, || {
        page.open().contains("Not asked any more")
    });
}

#[test]
#[ignore = "needs FNOX_TEST_JOSE_PYTHON"]
fn a_gateway_that_ends_takes_its_question_back() {
    let (team, token) = team();
    let project = project(&team, &token);
    let running = agent(&team, &project, &format!("{POST} $URL/a"));
    code(&running, 1);
    running.signal(Signal::TERM);
    running.finish();
    let log = team.administer(&["approve", "list", "--all", "--json"]);
    let log = support::json(&log.finish().succeeds().stdout);
    assert_eq!(log[0]["status"], "cancelled", "{log}");
    assert!(project.upstream.received().is_empty());
}

#[test]
#[ignore = "needs FNOX_TEST_JOSE_PYTHON"]
fn the_use_of_a_credential_is_allowed_on_the_page() {
    let (team, token) = team();
    let project = project(&team, &token);
    let server = project
        .sandbox
        .run(["mcp"])
        .env("URL", project.upstream.url(""))
        .env("FNOX_SERVER_URL", &team.url)
        .env(
            "FNOX_SERVER_TOKEN_FILE",
            project.sandbox.project().join("server.token"),
        );
    let mut client = Client::connect(server);
    let wish = json!({ "credential": "TOKEN", "host": "example.com", "reason": "to read" });
    let call = json!({ "name": "request_access", "arguments": wish });
    client.ask("tools/call", &call);
    let push = team.ntfy.wait_for_message();
    let told = format!("{push:?}");
    assert!(told.contains("wants to use TOKEN at example.com"), "{told}");
    let page = Page::of(&team, &push);
    let shown = page.open();
    for part in ["no single request", "to read", "GET, HEAD"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let code = until_some("a match code", LIMIT, || {
        let said = client.stderr_so_far();
        let (_, code) = said.split_once("match code ")?;
        Some(code.chars().take(6).collect::<String>())
    });
    let yes = format!("code={code}");
    assert_eq!(
        page.submit(&[&yes, "lasting=300", "decision=approve"]),
        "200"
    );
    let answer = client.receive().to_string();
    assert!(answer.contains("A person allowed it"), "{answer}");
    let list = team.administer(&["approve", "list", "--all", "--json"]);
    let list = support::json(&list.finish().succeeds().stdout);
    assert_fits("schemas/approve-list.json", &list);
    assert_eq!(list[0]["request"]["kind"], "access", "{list}");
    assert_eq!(list[0]["request"]["lasting_seconds"], 300, "{list}");
}

#[test]
#[ignore = "needs FNOX_TEST_JOSE_PYTHON"]
fn a_shared_gateway_asks_with_its_own_token() {
    let (team, token) = team();
    let mut world = gateway_support::World::new("");
    let gateway = world.gateway.take().expect("a gateway");
    gateway.signal(Signal::TERM);
    gateway.finish();
    let folder = world.vault.sandbox.config_folder();
    let file = folder.join("gateway.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("[[rules]]\n", "[[rules]]\napprove = \"ask\"\n");
    let text = format!(
        "approve_at = [\"server\"]\napproval_wait = \"5m\"\nserver = \"{}\"\nserver_token_file = \"server.token\"\n{text}",
        team.url
    );
    world.vault.sandbox.write_private(&file, text);
    world
        .vault
        .sandbox
        .write_private(folder.join("server.token"), &token);
    world.start();
    let header = format!("Authorization: Bearer {}", world.placeholder());
    let url = world.upstream.url("/a");
    let arguments = [
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-H",
        &header,
        &url,
    ];
    let request = world.curl_as(&world.token, &arguments).start();
    let code = code(world.gateway.as_ref().unwrap(), 1);
    let push = team.ntfy.wait_for_message();
    assert!(format!("{push:?}").contains("coder-1"), "{push:?}");
    let page = Page::of(&team, &push);
    assert_eq!(
        page.submit(&[&format!("code={code}"), "decision=approve"]),
        "200"
    );
    assert_eq!(request.finish().succeeds().stdout, "200");
    assert_eq!(world.upstream.received().len(), 1);
}

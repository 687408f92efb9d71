//! `fnox login`: at a provider that keeps to the specifications, and at one that does not.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};

use fnox_testkit::Sandbox;

use crate::support::{fails, json, ok, sandbox};
use crate::team_stand_in::{Fault, SESSION, StandIn};

/// A login that waits for the browser.
struct Waiting {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    address: String,
}

impl Waiting {
    fn start(sandbox: &Sandbox, url: &str) -> Self {
        let mut run = sandbox.run(["login", "--server", url, "--no-browser", "--json"]);
        let mut child = run
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.trim().starts_with("http") {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "no address came");
        }
        Self {
            child,
            stderr,
            address: line.trim().to_owned(),
        }
    }

    /// Exit code, stdout, stderr.
    fn finish(mut self) -> (Option<i32>, String, String) {
        use std::io::Read as _;
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).unwrap();
        let output = self.child.wait_with_output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            stderr,
        )
    }
}

/// Fetches a page as a browser would, without following redirects: status, `Location`, body.
fn fetch(address: &str) -> (u16, Option<String>, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let answer = client.get(address).send().await.unwrap();
        let location = answer
            .headers()
            .get("location")
            .map(|location| location.to_str().unwrap().to_owned());
        (
            answer.status().as_u16(),
            location,
            answer.text().await.unwrap(),
        )
    })
}

fn session_files(sandbox: &Sandbox) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(sandbox.state_folder().join("sessions"))
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default()
}

#[test]
fn a_person_logs_in_through_the_browser_and_out_again() {
    let sandbox = sandbox();
    let stand_in = StandIn::start(Fault::None);
    let waiting = Waiting::start(&sandbox, &stand_in.url);
    let (status, back, _) = fetch(&waiting.address);
    assert_eq!(status, 302);
    let (status, _, page) = fetch(&back.unwrap());
    assert_eq!(status, 200);
    assert!(page.contains("close this page"), "{page}");
    let (code, stdout, stderr) = waiting.finish();
    assert_eq!(code, Some(0), "{stderr}");
    let document = json(&stdout);
    assert_eq!(document["principal"], "people:anna");
    assert_eq!(document["roles"], serde_json::json!(["approver", "admin"]));
    for canary in [SESSION, "canary-code", "canary-access", "Y2FuYXJ5"] {
        assert!(
            !stdout.contains(canary) && !stderr.contains(canary),
            "{canary}"
        );
    }
    let files = session_files(&sandbox);
    assert_eq!(files.len(), 1);
    let mode = files[0].metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let text = std::fs::read_to_string(&files[0]).unwrap();
    assert_eq!(json(&text)["token"], SESSION);

    ok(&sandbox, &["logout", "--server", &stand_in.url]);
    assert_eq!(session_files(&sandbox), Vec::<std::path::PathBuf>::new());
    assert_eq!(*stand_in.state.ended.lock().unwrap(), [SESSION]);
    ok(&sandbox, &["logout", "--server", &stand_in.url]);
}

#[test]
fn an_answer_that_does_not_belong_to_the_login_neither_ends_nor_completes_it() {
    let sandbox = sandbox();
    let stand_in = StandIn::start(Fault::None);
    let waiting = Waiting::start(&sandbox, &stand_in.url);
    let (_, back, _) = fetch(&waiting.address);
    let back = back.unwrap();
    let (base, query) = back.split_once('?').unwrap();
    let state = query
        .split('&')
        .find(|pair| pair.starts_with("state="))
        .unwrap();
    for forged in [
        format!("{base}?code=evil&state=guess"),
        format!("{base}?error=access_denied&state="),
        format!("{base}?code=evil&{state}"),
        format!("{base}?code=evil&{state}&iss=https%3A%2F%2Fevil.example.com"),
        base.to_owned(),
    ] {
        assert_eq!(fetch(&forged).0, 400, "{forged}");
    }
    let by_name = back.replace("127.0.0.1", "localhost");
    assert_eq!(fetch(&by_name).0, 421, "another host's page");
    assert_eq!(fetch(&back.replace("/callback", "/other")).0, 404);
    assert_eq!(fetch(&back).0, 200);
    assert_eq!(waiting.finish().0, Some(0));
}

#[test]
fn what_a_provider_does_wrong_is_no_login() {
    for (fault, wanted) in [
        (Fault::OtherNonce, "nonce"),
        (Fault::OtherAudience, "another client"),
        (Fault::NoIdToken, "without an ID token"),
        (Fault::Denied, "access_denied"),
    ] {
        let sandbox = sandbox();
        let stand_in = StandIn::start(fault);
        let waiting = Waiting::start(&sandbox, &stand_in.url);
        let (_, back, _) = fetch(&waiting.address);
        fetch(&back.unwrap());
        let (code, _, stderr) = waiting.finish();
        assert_eq!(code, Some(4), "{fault:?}: {stderr}");
        assert!(stderr.contains(wanted), "{fault:?}: {stderr}");
        assert!(
            stand_in.state.opened.lock().unwrap().is_empty(),
            "{fault:?}"
        );
        assert!(session_files(&sandbox).is_empty(), "{fault:?}");
    }
    let stand_in = StandIn::start(Fault::OtherIssuer);
    let error = fails(
        &sandbox(),
        4,
        &["login", "--server", &stand_in.url, "--no-browser"],
    );
    assert!(error.contains("calls itself"), "{error}");
}

#[test]
fn a_machine_without_a_browser_shows_a_code_for_another_one() {
    let sandbox = sandbox();
    let stand_in = StandIn::start(Fault::None);
    let run = sandbox
        .run(["login", "--server", &stand_in.url, "--device"])
        .finish()
        .succeeds();
    assert!(run.stderr.contains("WDJB-MJHT"), "{}", run.stderr);
    assert!(run.stderr.contains("/op/activate"), "{}", run.stderr);
    assert_eq!(stand_in.state.opened.lock().unwrap().len(), 1);
    assert_eq!(session_files(&sandbox).len(), 1);

    let stand_in = StandIn::start(Fault::Denied);
    fails(
        &sandbox,
        4,
        &["login", "--server", &stand_in.url, "--device"],
    );
}

#[test]
fn a_token_that_is_there_already_needs_no_provider() {
    let sandbox = sandbox().with_env("FNOX_SERVER_URL", "");
    let stand_in = StandIn::start(Fault::OtherIssuer);
    let url = &stand_in.url;
    let run = sandbox
        .run(["login", "--server", url, "--token-file", "-"])
        .stdin("a.ready.token\n")
        .finish()
        .succeeds();
    assert!(run.stderr.contains("people:anna"), "{}", run.stderr);
    let file = sandbox.write_private("token", "another.ready.token");
    ok(
        &sandbox,
        &[
            "login",
            "--server",
            url,
            "--token-file",
            file.to_str().unwrap(),
        ],
    );
    assert_eq!(
        *stand_in.state.opened.lock().unwrap(),
        ["a.ready.token", "another.ready.token"]
    );
    sandbox.write("token", "two tokens");
    let error = fails(
        &sandbox,
        4,
        &["login", "--server", url, "--token-file", "token"],
    );
    assert!(error.contains("one token"), "{error}");
}

#[test]
fn where_the_server_is_comes_from_flag_environment_or_global_file_and_from_no_project() {
    let sandbox = sandbox();
    let stand_in = StandIn::start(Fault::None);
    let error = fails(&sandbox, 3, &["login", "--device"]);
    assert!(error.contains("team::settings"), "{error}");
    sandbox.write("fnox.toml", format!("server_url = \"{}\"\n", stand_in.url));
    fails(&sandbox, 3, &["login", "--device"]);
    sandbox.write("fnox.toml", "");
    sandbox.write_private(
        sandbox.config_folder().join("config.toml"),
        format!("server_url = \"{}/\"\n", stand_in.url),
    );
    ok(&sandbox, &["login", "--device"]);
    let error = fails(
        &sandbox,
        3,
        &["login", "--server", "http://fnox.example.com"],
    );
    assert!(error.contains("fnox.example.com"), "{error}");
    fails(&sandbox, 6, &["login", "--server", "http://127.0.0.1:1"]);
    // The address with and without a slash at its end is one server.
    ok(&sandbox, &["logout", "--server", &stand_in.url]);
    assert_eq!(stand_in.state.ended.lock().unwrap().len(), 1);
}

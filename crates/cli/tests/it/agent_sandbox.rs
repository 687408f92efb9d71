//! `fnox agent run --sandbox`: what a program in it can reach.

use fnox_testkit::Invocation;

use crate::agent_support::{Project, VALUE};

impl Project {
    fn sandboxed(&self, script: &str) -> Invocation {
        let run = ["agent", "run", "--sandbox", "--", "sh", "-euc", script];
        self.sandbox.run(run).env("URL", self.upstream.url(""))
    }
}

#[test]
fn the_gateway_is_the_only_way_out() {
    let project = Project::new("");
    let port = project.upstream.port();
    let script = format!(
        "curl -fsS -o answer -H \"Authorization: Bearer $TOKEN\" $URL/a; \
         curl -sS --noproxy '*' -k $URL/direct && exit 9; \
         (echo > /dev/tcp/127.0.0.1/{port}) 2>/dev/null && exit 9; \
         tail -n +3 /proc/net/dev | cut -d: -f1"
    );
    let run = project.sandboxed(&script).finish().succeeds();
    assert_eq!(run.stdout.trim(), "lo");
    let received = project.upstream.received();
    assert_eq!(received.len(), 1);
    let authorization = format!("Bearer {VALUE}");
    assert_eq!(
        received[0].header("authorization"),
        Some(authorization.as_str())
    );
}

#[test]
fn secrets_of_the_home_folder_are_not_there_and_only_the_project_is_written_to() {
    let project = Project::with("sandbox_deny_read = [\"private\"]", "");
    let home = project.sandbox.home();
    std::fs::create_dir_all(home.join(".aws")).unwrap();
    std::fs::write(home.join(".aws/credentials"), "planted-secret").unwrap();
    std::fs::write(home.join(".netrc"), "planted-secret").unwrap();
    project.sandbox.write("private/key", "planted-secret");
    project
        .sandbox
        .write("fnox.local.toml", "# planted-secret\n");
    project.sandbox.write("notes", "mine");
    let run = project
        .sandboxed(
            "cat ~/.aws/credentials ~/.netrc private/key fnox.local.toml 2>/dev/null || true; cat notes; \
             echo changed > notes; touch new; \
             echo x >> fnox.toml && exit 9; touch /usr/x && exit 9; touch ~/x || true; \
             ls /proc | grep -c '^[0-9]' > processes; true",
        )
        .finish()
        .succeeds();
    assert_eq!(run.stdout, "mine");
    assert_eq!(project.sandbox.read("notes"), "changed\n");
    assert!(!home.join("x").exists());
    let processes: usize = project.sandbox.read("processes").trim().parse().unwrap();
    assert!(
        processes < 12,
        "it sees its own processes alone: {processes}"
    );
}

#[test]
fn it_ends_as_the_program_does() {
    let project = Project::new("");
    project.sandboxed("exit 7").finish().exits_with(7);
    project.sandboxed("kill -TERM $$").finish().exits_with(143);
}

#[test]
fn without_bubblewrap_nothing_runs() {
    let project = Project::with("sandbox = true", "");
    let run = project
        .sandbox
        .run(["agent", "run", "--", "/bin/touch", "ran"])
        .env("PATH", "/nowhere")
        .finish()
        .exits_with(1);
    assert!(run.stderr.contains("install bubblewrap"), "{}", run.stderr);
    assert!(!project.sandbox.project().join("ran").exists());
    project
        .sandbox
        .run(["agent", "run", "--no-sandbox", "--", "/bin/touch", "ran"])
        .env("PATH", "/nowhere")
        .finish()
        .succeeds();
}

#[test]
fn a_home_folder_is_no_project() {
    let project = Project::new("");
    let text = project.sandbox.read("fnox.toml");
    std::fs::write(project.sandbox.home().join("fnox.toml"), text).unwrap();
    let run = project
        .sandbox
        .run(["agent", "run", "--sandbox", "--", "true"])
        .within(project.sandbox.home())
        .finish()
        .exits_with(1);
    assert!(run.stderr.contains("home folder"), "{}", run.stderr);
}

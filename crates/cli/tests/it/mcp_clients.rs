//! `fnox mcp` with the official clients, in the protocol's older form with a handshake and in the newer without.

use std::time::Duration;

use fnox_core::Env;
use fnox_testkit::wait::until_some;

use crate::agent_support::{Project, VALUE};
use crate::support;

const LIMIT: Duration = Duration::from_mins(1);

/// Runs a client's script twice; both forms must do.
#[track_caller]
fn serves(program: &str, script: (&str, &str), variable: Option<(&str, &str)>) {
    for (mode, version) in [("legacy", "2025-11-25"), ("auto", "2026-07-28")] {
        let project = Project::new("");
        let script = project.sandbox.write(script.0, script.1);
        let (script, url) = (script.to_str().unwrap(), project.upstream.url(""));
        let binary = env!("CARGO_BIN_EXE_fnox");
        let arguments = [script, mode, binary, &url];
        let run = project.sandbox.run_program(program, arguments);
        let run = run.envs(variable).start();
        // The client asks for two more hosts, one after the other; a person says yes and no.
        for said in ["approve", "deny"] {
            let id = until_some("a question", LIMIT, || waiting(&project));
            let answer = project.sandbox.run(["agent", said, &id]);
            answer.finish().succeeds();
        }
        let run = run.finish().succeeds();
        assert_eq!(run.stdout.trim(), version);
        let expected = format!("Bearer {VALUE}");
        let received = project.upstream.received();
        assert_eq!(received.len(), 1, "{run}");
        assert_eq!(received[0].header("authorization"), Some(expected.as_str()));
    }
}

/// What waits for a person.
fn waiting(project: &Project) -> Option<String> {
    let run = project.sandbox.run(["agent", "pending", "--json"]).finish();
    let pending = support::json(&run.succeeds().stdout);
    Some(pending.as_array()?.first()?["id"].as_str()?.to_owned())
}

#[test]
#[ignore = "needs FNOX_TEST_MCP_PYTHON"]
fn the_python_client_is_served() {
    let env = Env::of_process();
    let python = env.var("FNOX_TEST_MCP_PYTHON").expect("an interpreter");
    let script = ("client.py", include_str!("mcp_client.py"));
    serves(python, script, None);
}

#[test]
#[ignore = "needs FNOX_TEST_MCP_NODE_MODULES and node"]
fn the_typescript_client_is_served() {
    let env = Env::of_process();
    let modules = env.var("FNOX_TEST_MCP_NODE_MODULES").expect("a folder");
    let node = fnox_testkit::services::program("node");
    let script = ("client.cjs", include_str!("mcp_client.cjs"));
    let variable = Some(("NODE_PATH", modules));
    serves(node.to_str().unwrap(), script, variable);
}

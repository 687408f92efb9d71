//! `fnox mcp`: lines that are no messages. Whoever sent one is told, and waits for nothing.

use fnox_testkit::Sandbox;
use serde_json::{Value, json};

use crate::mcp_support::Client;
use crate::support;

const LIMIT: usize = 16 * 1024 * 1024;

fn sandbox() -> Sandbox {
    let sandbox = support::sandbox();
    sandbox.write("fnox.toml", "[secrets]\n");
    sandbox
}

/// The answer to a line: its code, its id, and its message.
#[track_caller]
fn refused(client: &mut Client, line: &str) -> (i64, Value, String) {
    client.send(line);
    let answer = client.receive();
    let error = &answer["error"];
    let code = error["code"].as_i64().unwrap();
    let message = error["message"].as_str().unwrap().to_owned();
    // It has to be there, also where it is null.
    (code, answer.get("id").unwrap().clone(), message)
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// A request that pings, of so many bytes with the end of its line.
fn ping_of(bytes: usize, id: u64) -> String {
    let head =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\",\"params\":{{\"x\":\"");
    let filling = "a".repeat(bytes - head.len() - "\"}}\n".len());
    format!("{head}{filling}\"}}}}")
}

#[test]
fn what_is_no_json_is_answered() {
    let sandbox = sandbox();
    let mut client = Client::connect(sandbox.run(["mcp"]));
    for line in [
        "{",
        "not json",
        "\u{feff}\u{0}",
        "{\"jsonrpc\":\"2.0\",\"id\":3,}",
    ] {
        let (code, id, message) = refused(&mut client, line);
        assert_eq!((code, id), (-32700, Value::Null), "{line}: {message}");
    }
    // Nobody waits for an answer to these.
    for line in [
        "",
        " ",
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/of-somebody-else\"}",
    ] {
        client.send(line);
    }
    assert_eq!(client.script("echo on"), "on\n[exit code: 0]");
    let ended = client.close();
    assert!(ended.stdout.is_empty(), "{ended:?}");
    assert!(ended.stderr.is_empty(), "{ended:?}");
}

#[test]
fn what_is_json_and_no_message_is_answered() {
    let sandbox = sandbox();
    let mut client = Client::connect(sandbox.run(["mcp"]));
    for (line, expected) in [
        (r#"{"jsonrpc":"2.0","id":"x","method":17}"#, json!("x")),
        (r#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#, json!(7)),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, Value::Null),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, Value::Null),
        ("[]", Value::Null),
        ("17", Value::Null),
    ] {
        let (code, id, message) = refused(&mut client, line);
        assert_eq!((code, id), (-32600, expected), "{line}: {message}");
    }
    let answer = client.call("no/such/method", &json!({}));
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
}

#[test]
fn what_is_nested_too_deep_is_answered() {
    let sandbox = sandbox();
    let mut client = Client::connect(sandbox.run(["mcp"]));
    let id = |depth| {
        let nested = nested(depth);
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{nested},\"method\":\"ping\"}}")
    };
    assert_eq!(refused(&mut client, &id(126)).0, -32600);
    let nested = nested(200);
    let call = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"exec\",\"arguments\":{{\"command\":[\"true\"],\"x\":{nested}}}}}}}"
    );
    for line in [id(127), id(5000), call, "[".repeat(200_000)] {
        let (code, id, message) = refused(&mut client, &line);
        assert_eq!((code, id), (-32700, Value::Null), "{message}");
        assert!(message.contains("recursion limit"), "{message}");
    }
    assert_eq!(client.call("ping", &json!({}))["result"], json!({}));
}

#[test]
fn a_line_that_is_too_long_is_answered_and_the_next_one_counts() {
    let sandbox = sandbox();
    let mut client = Client::connect(sandbox.run(["mcp"]));
    client.send(&ping_of(LIMIT, 70));
    assert_eq!(client.receive()["id"], 70);
    for bytes in [LIMIT + 1, LIMIT + 1024 * 1024] {
        let (code, id, message) = refused(&mut client, &ping_of(bytes, 71));
        assert_eq!((code, id), (-32600, Value::Null), "{message}");
        assert!(message.contains("16 MiB"), "{message}");
        assert_eq!(client.call("ping", &json!({}))["result"], json!({}));
    }
    assert!(client.close().stdout.is_empty());
}

#[test]
fn a_last_line_without_an_end_is_a_line() {
    let messages = r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#;
    let run = sandbox().run(["mcp"]).stdin(messages).finish();
    let answer = support::json(&run.exits_with(0).stdout);
    assert_eq!(answer["id"], 5, "{answer}");
}

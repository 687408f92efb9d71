//! `fnox mcp`: an agent's tools, message by message.

use std::time::Duration;

use fnox_testkit::Sandbox;
use fnox_testkit::wait::until;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::agent_support::{Project, VALUE};
use crate::mcp_support::Client;
use crate::support;
use crate::vault_support::{GITHUB, Vault};

fn client(project: &Project) -> Client {
    let url = project.upstream.url("");
    Client::connect(project.sandbox.run(["mcp"]).env("URL", url))
}

/// A project without a gateway.
fn plain(text: &str) -> Sandbox {
    let sandbox = support::sandbox();
    sandbox.write("fnox.toml", text);
    sandbox
}

/// Puts these lines before the project's own.
fn begin_with(project: &Project, lines: &str) {
    let text = project.sandbox.read("fnox.toml");
    project.sandbox.write("fnox.toml", format!("{lines}{text}"));
}

fn command(words: &[&str]) -> Value {
    json!({ "command": words })
}

#[test]
fn versions_are_agreed_on_and_tools_are_listed() {
    let sandbox = plain("[secrets]\n");
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut client = Client::start(sandbox.run(["mcp"]));
        let result = client.initialize(version)["result"].clone();
        assert_eq!(result["protocolVersion"], version);
        assert_eq!(result["serverInfo"]["name"], "fnox-mcp");
        assert!(result["capabilities"]["tools"].is_object(), "{result}");
        assert_eq!(
            client.tools(),
            ["exec", "list_credentials", "request_access"]
        );
        let ended = client.close();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended.stdout.is_empty() && ended.stderr.is_empty(),
            "{ended:?}"
        );
    }
}

#[test]
fn the_configuration_says_which_tools_there_are() {
    let sandbox = plain("[mcp]\ntools = [\"get_secret\", \"exec\", \"request_secret\"]\n");
    let mut client = Client::connect(sandbox.run(["mcp"]));
    assert_eq!(client.tools(), ["exec", "get_secret"]);
    for (name, expected) in [
        ("list_credentials", "the tool `list_credentials` is off"),
        ("no\u{1b}such", "there is no tool `no\\u{1b}such`"),
    ] {
        let answer = client.call("tools/call", &json!({ "name": name, "arguments": {} }));
        assert_eq!(answer["error"]["code"], -32602);
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    }
    assert!(client.close().stderr.contains("fnox set"));

    let none = plain("[mcp]\ntools = []\n");
    assert!(Client::connect(none.run(["mcp"])).tools().is_empty());
    for (text, expected) in [
        ("tools = [\"get_secrets\"]", "get_secrets"),
        ("exec_timeout_secs = 0", "is at least 1"),
    ] {
        let sandbox = plain(&format!("[mcp]\n{text}\n"));
        let run = sandbox.run(["mcp"]).finish().exits_with(3);
        assert!(run.stderr.contains(expected), "{run}");
        assert!(run.stdout.is_empty());
    }
}

#[test]
fn a_program_uses_a_credential_that_nobody_sees() {
    let project = Project::new("methods = [\"GET\"]\npaths = [\"/repos/**\"]");
    let mut client = client(&project);
    let (list, _) = client.tool("list_credentials", &json!({}));
    let list = support::json(&list);
    let listed = &list["credentials"][0];
    assert_eq!(listed["name"], "TOKEN");
    assert_eq!(listed["variable"], "TOKEN");
    assert_eq!(listed["methods"], json!(["GET"]));
    assert_eq!(listed["paths"], json!(["/repos/**"]));
    let host = format!("localhost:{}", project.upstream.port());
    assert_eq!(listed["host"], host);
    let placeholder = listed["placeholder"].as_str().unwrap();

    let text = client.script(
        "echo $TOKEN; curl -fsS -o /dev/null -H \"Authorization: Bearer $TOKEN\" $URL/repos/a",
    );
    assert_eq!(text, format!("{placeholder}\n[exit code: 0]"));
    let received = project.upstream.received();
    let expected = format!("Bearer {VALUE}");
    assert_eq!(received[0].header("authorization"), Some(expected.as_str()));

    let text = client.script("curl -sS -H \"Authorization: Bearer $TOKEN\" $URL/user; env");
    assert!(text.contains("this path is not allowed"), "{text}");
    assert!(!text.contains(VALUE), "{text}");
    // The way to the gateway is for programs, not for a transcript.
    assert!(
        text.contains("HTTPS_PROXY=http://fnox:[REDACTED]@127.0.0.1:"),
        "{text}"
    );
    assert_eq!(project.upstream.received().len(), 1);
    assert_eq!(client.close().code, Some(0));
}

#[test]
fn output_is_redacted_unless_the_configuration_says_otherwise() {
    let project = Project::new("");
    // In a file: a script with the value in it would be an argument with a secret.
    project.sandbox.write("value", VALUE);
    let script = "cat value; { cat value; echo; } | base64 >&2";
    let text = client(&project).script(script);
    assert_eq!(text, "[REDACTED]\n[stderr]\n[REDACTED]Cg==\n[exit code: 0]");

    begin_with(&project, "[mcp]\nredact_output = false\n");
    let text = client(&project).script(script);
    assert!(text.starts_with(VALUE), "{text}");
}

#[test]
fn what_is_minted_while_it_serves_is_redacted_and_withdrawn() {
    let project = Project::new("");
    let text = project.sandbox.read("fnox.toml");
    let text = text.replace("secret = \"TOKEN\"", "lease = \"issuer\"");
    let lease = "[leases.issuer]\ntype = \"command\"\ncreate_command = \"./create\"\n\
                 revoke_command = \"./revoke\"\nproduces = [\"ISSUED\"]\n";
    project
        .sandbox
        .write("fnox.toml", format!("{text}\n{lease}"));
    let minted = "{\"credentials\":{\"ISSUED\":\"minted-value-81f3\"}}";
    let create = format!("#!/bin/sh\necho '{minted}' | tee minted\n");
    for (name, script) in [
        ("create", create.as_str()),
        ("revoke", "#!/bin/sh\ntouch revoked\n"),
    ] {
        let program = project.sandbox.write(name, script);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(program, mode).unwrap();
    }
    let mut client = client(&project);
    let (list, _) = client.tool("list_credentials", &json!({}));
    let list = support::json(&list);
    assert_eq!(list["credentials"][0]["name"], "issuer");
    assert_eq!(list["credentials"][0]["variable"], "ISSUED");
    let script = "curl -fsS -o /dev/null -H \"Authorization: Bearer $ISSUED\" $URL/a; cat minted";
    let expected = "{\"credentials\":{\"ISSUED\":\"[REDACTED]\"}}\n[exit code: 0]";
    assert_eq!(client.script(script), expected);
    let received = project.upstream.received();
    assert_eq!(
        received[0].header("authorization"),
        Some("Bearer minted-value-81f3")
    );
    let ended = client.close();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        project.sandbox.project().join("revoked").exists(),
        "{ended:?}"
    );
}

#[test]
fn programs_run_in_a_sandbox_where_that_is_wanted() {
    let project = Project::with("sandbox = true", "");
    begin_with(&project, "[mcp]\nexec_timeout_secs = 20\n");
    let mut client = client(&project);
    let script = "curl -fsS -o /dev/null -H \"Authorization: Bearer $TOKEN\" $URL/a; \
                  tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '";
    assert_eq!(client.script(script), "lo\n[exit code: 0]");
    assert_eq!(project.upstream.received().len(), 1);

    begin(&mut client, &project.sandbox);
    client.signal(Signal::TERM);
    assert_eq!(client.finish().code, Some(143));
}

#[test]
fn streams_are_kept_apart_and_the_exit_code_is_told() {
    let sandbox = plain("[secrets]\n");
    let mut client = Client::connect(sandbox.run(["mcp"]));
    let run =
        |client: &mut Client, script: &str| client.tool("exec", &command(&["sh", "-c", script]));
    let (text, is_error) = run(&mut client, "echo out; echo err >&2; exit 3");
    assert_eq!(text, "out\n[stderr]\nerr\n[exit code: 3]");
    assert!(!is_error);
    assert_eq!(run(&mut client, "kill -TERM $$").0, "[exit code: 143]");
    // stdin is empty, and not the channel of messages.
    assert_eq!(run(&mut client, "cat; printf x").0, "x\n[exit code: 0]");
    // What it leaves running is not waited for.
    assert_eq!(run(&mut client, "sleep 30 & echo $!").0.lines().count(), 2);
    let (text, is_error) = client.tool("exec", &command(&["no-such-program"]));
    assert!(is_error && text.contains("it was not found"), "{text}");
    for arguments in [
        json!({}),
        json!({ "command": [] }),
        json!({ "command": "ls" }),
        json!({ "command": ["ls"], "shell": true }),
    ] {
        let (text, is_error) = client.tool("exec", &arguments);
        assert!(is_error, "{arguments}: {text}");
    }
}

#[test]
fn output_beyond_half_a_mebibyte_of_each_stream_is_left_out() {
    let sandbox = plain("[secrets]\n");
    let mut client = Client::connect(sandbox.run(["mcp"]));
    let text = client.script(
        "head -c 5000000 /dev/zero | tr '\\0' O; head -c 5000000 /dev/zero | tr '\\0' E >&2",
    );
    let half = 512 * 1024;
    assert_eq!(text.matches('O').count(), half);
    assert_eq!(text.matches('E').count(), half);
    assert_eq!(text.matches("[output truncated after 512 KiB]").count(), 2);
    assert!(text.ends_with("[exit code: 0]"));
    // Bytes that are no text do not make more of it.
    let text = client.script("head -c 5000000 /dev/zero | tr '\\0' '\\377'");
    assert!(text.len() < half + 100, "{}", text.len());
}

#[test]
fn a_program_that_takes_too_long_is_killed_with_its_group() {
    let sandbox = plain("[mcp]\nexec_timeout_secs = 1\n");
    let mut client = Client::connect(sandbox.run(["mcp"]));
    let script = "sh -c 'echo $$ > inner; exec sleep 600' & echo begun; wait";
    let (text, is_error) = client.tool("exec", &command(&["sh", "-c", script]));
    assert!(is_error);
    assert_eq!(
        text,
        "begun\n[timed out after 1 s: the program and its process group were killed]"
    );
    is_gone(&sandbox, "inner");
    // It goes on serving.
    assert_eq!(client.script("echo on"), "on\n[exit code: 0]");
}

/// Waits until the process whose number stands in a file is gone.
#[track_caller]
fn is_gone(sandbox: &Sandbox, file: &str) {
    let path = format!("/proc/{}/stat", sandbox.read(file).trim());
    until("the program's end", Duration::from_secs(30), || {
        // A zombie has ended; who reaps it is not fnox.
        std::fs::read_to_string(&path).map_or(true, |stat| stat.contains(") Z "))
    });
}

/// Starts a program that lasts, and waits until it runs.
#[track_caller]
fn begin(client: &mut Client, sandbox: &Sandbox) -> u64 {
    let script = "echo $$ > running.new; mv running.new running; exec sleep 600";
    let arguments = json!({ "name": "exec", "arguments": command(&["sh", "-c", script]) });
    let id = client.ask("tools/call", &arguments);
    let file = sandbox.project().join("running");
    until("the program's start", Duration::from_secs(30), || {
        file.exists()
    });
    id
}

#[test]
fn a_cancelled_program_is_killed() {
    let sandbox = plain("[secrets]\n");
    let mut client = Client::connect(sandbox.run(["mcp"]));
    let id = begin(&mut client, &sandbox);
    // Others are served meanwhile.
    assert_eq!(client.script("echo on"), "on\n[exit code: 0]");
    let params = json!({ "requestId": id, "reason": "enough" });
    let message =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
    client.send(&message.to_string());
    is_gone(&sandbox, "running");
    assert_eq!(client.script("echo on"), "on\n[exit code: 0]");
}

#[test]
fn programs_end_with_the_server() {
    let sandbox = plain("[secrets]\n");
    let mut client = Client::connect(sandbox.run(["mcp"]));
    begin(&mut client, &sandbox);
    client.signal(Signal::TERM);
    assert_eq!(client.finish().code, Some(143));
    is_gone(&sandbox, "running");

    std::fs::remove_file(sandbox.project().join("running")).unwrap();
    let mut client = Client::connect(sandbox.run(["mcp"]));
    begin(&mut client, &sandbox);
    assert_eq!(client.close().code, Some(0));
    is_gone(&sandbox, "running");
}

#[test]
fn what_is_asked_before_the_client_leaves_is_answered() {
    let sandbox = plain("[secrets]\n");
    let mut client = Client::connect(sandbox.run(["mcp"]));
    let arguments = json!({ "name": "exec", "arguments": command(&["echo", "last"]) });
    client.ask("tools/call", &arguments);
    let ended = client.close();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stdout.len(), 1, "{ended:?}");
    assert!(ended.stdout[0].contains("last"), "{ended:?}");
}

#[test]
fn nothing_that_leads_to_credentials_is_inherited() {
    let text = "[secrets]\nA = { default = \"value-of-a\" }\n";
    let sandbox = plain(text);
    let mut invocation = sandbox.run(["mcp"]).env("HARMLESS", "kept");
    for name in [
        "A",
        "AWS_SECRET_ACCESS_KEY",
        "FNOX_AGE_KEY",
        "FNOX_VAULT_AGENT",
        "GITHUB_TOKEN",
    ] {
        invocation = invocation.env(name, "ambient-value");
    }
    let mut client = Client::connect(invocation);
    let text = client.script("env");
    assert!(text.contains("HARMLESS=kept"), "{text}");
    assert!(!text.contains("ambient-value"), "{text}");
    assert!(!text.contains("value-of-a"), "{text}");
    let answer = client.call("tools/list", &json!({}));
    let description = answer["result"]["tools"][0]["description"].to_string();
    assert!(
        description.contains("It gets no credentials"),
        "{description}"
    );
}

#[test]
fn values_are_given_away_only_where_that_is_wanted() {
    let tools = "[mcp]\ntools = [\"exec\", \"get_secret\", \"list_credentials\"]\nsecrets = [\"TOKEN\", \"OPEN\", \"FILE\"]\n";
    let project = Project::new("");
    begin_with(&project, tools);
    let text = project.sandbox.read("fnox.toml").replacen(
        "[secrets]\n",
        "[secrets]\nOPEN = { default = \"value-of-open\", env = false }\n\
         CLOSED = { default = \"value-of-closed\" }\nFILE = { default = \"value-of-file\", as_file = true }\n",
        1,
    );
    project.sandbox.write("fnox.toml", text);
    let mut client = client(&project);
    let (list, _) = client.tool("list_credentials", &json!({}));
    let list = support::json(&list);
    assert_eq!(list["readable_secrets"], json!(["OPEN"]));
    let placeholder = list["credentials"][0]["placeholder"].as_str().unwrap();

    let get = |client: &mut Client, name: &str| client.tool("get_secret", &json!({ "name": name }));
    assert_eq!(
        get(&mut client, "OPEN"),
        ("value-of-open".to_owned(), false)
    );
    // What is known is redacted from now on.
    assert_eq!(
        client.script("echo value-of-open"),
        "[REDACTED]\n[exit code: 0]"
    );
    let (text, is_error) = get(&mut client, "TOKEN");
    assert!(!is_error && text.starts_with(placeholder), "{text}");
    for (name, expected) in [
        ("CLOSED", "not among the secrets"),
        ("NO_SUCH", "not among the secrets"),
        ("FILE", "is a file"),
    ] {
        let (text, is_error) = get(&mut client, name);
        assert!(is_error && text.contains(expected), "{text}");
    }
    let ended = client.close();
    for value in [VALUE, "value-of-closed", "value-of-file"] {
        assert!(!ended.stderr.contains(value));
    }
}

#[test]
fn rules_of_credentials_that_are_not_allowed_do_not_count() {
    let project = Project::new("");
    begin_with(&project, "[mcp]\nsecrets = [\"OTHER\"]\n");
    let mut client = client(&project);
    let (list, _) = client.tool("list_credentials", &json!({}));
    assert_eq!(support::json(&list)["credentials"], json!([]));
    let text = client.script("echo ${TOKEN-none}; curl -sS $URL/repos/a");
    assert!(text.starts_with("none\n"), "{text}");
    assert!(text.contains("no rule reaches"), "{text}");
    assert!(project.upstream.received().is_empty());
}

#[test]
fn a_person_is_told_what_to_add() {
    let project = Project::with("approve_at = []", "");
    let mut client = client(&project);
    let port = project.upstream.port();
    let mut ask = |credential: &str, host: &str, reason: &str| {
        let arguments = json!({ "credential": credential, "host": host, "reason": reason });
        client.tool("request_access", &arguments)
    };
    let (text, is_error) = ask("TOKEN", &format!("localhost:{port}"), "to see");
    assert!(!is_error && text.starts_with("Allowed already"), "{text}");

    let reason = "to open a pull request\u{1b}[2J";
    let (text, is_error) = ask("TOKEN", "api.github.com:8443", reason);
    assert!(
        !is_error && text.starts_with("A person must decide"),
        "{text}"
    );
    let lines = "[[proxy.rules]]\nsecret = \"TOKEN\"\ndomain = \"api.github.com\"\nport = 8443";
    assert!(text.ends_with(lines), "{text}");
    assert!(!text.contains("pull request"), "{text}");
    // Once is enough.
    ask("TOKEN", "api.github.com:8443", "again");
    let (text, _) = ask("NEW_TOKEN", "example.com", "for something new");
    assert!(text.contains("fnox set NEW_TOKEN"), "{text}");

    let long = "x".repeat(501);
    for (credential, host, reason) in [
        ("TOKEN", "*.example.com", "to see"),
        ("TOKEN", "https://example.com/", "to see"),
        ("TOKEN", "example.com\"\n[proxy]", "to see"),
        ("no such name\n", "example.com", "to see"),
        ("TOKEN", "example.com", " "),
        ("TOKEN", "example.com", &long),
    ] {
        let (text, is_error) = ask(credential, host, reason);
        assert!(is_error, "{credential:?} {host:?}: {text}");
    }
    let stderr = client.close().stderr;
    assert_eq!(stderr.matches(lines).count(), 1, "{stderr}");
    assert!(
        stderr.contains("\"to open a pull request\\u{1b}[2J\""),
        "{stderr}"
    );
    assert!(!stderr.contains('\u{1b}'), "{stderr:?}");

    // What was printed is what is needed.
    let text = project.sandbox.read("fnox.toml");
    project
        .sandbox
        .write("fnox.toml", format!("{text}\n{lines}\n"));
    let rules = support::ok(&project.sandbox, &["agent", "rules"]);
    assert!(rules.contains("TOKEN -> api.github.com:8443"), "{rules}");
}

#[test]
fn a_person_is_not_flooded() {
    let sandbox = plain("[secrets]\n");
    let mut client = Client::connect(sandbox.run(["mcp"]));
    let mut refused = 0;
    for number in 0..60 {
        let host = format!("h{number}.example.com");
        let arguments = json!({ "credential": "A", "host": host, "reason": "to see" });
        let (_, is_error) = client.tool("request_access", &arguments);
        refused += usize::from(is_error);
    }
    assert_eq!(refused, 10);
}

/// Each says on beginning who has ended before, and ends when the test lets it.
const ONE_OF_NINE: &str = "ls | grep '^ended-' > \"seen-$0\" || true; touch \"begun-$0\"; \
    until test -e \"go-$0\"; do sleep 0.05; done; touch \"ended-$0\"";

#[test]
fn a_ninth_program_waits_until_one_of_eight_has_ended() {
    let sandbox = plain("[secrets]\n");
    let mut client = Client::connect(sandbox.run(["mcp"]));
    for name in 1..=9 {
        let name = name.to_string();
        let words = command(&["sh", "-euc", ONE_OF_NINE, &name]);
        let call = json!({ "name": "exec", "arguments": words });
        client.ask("tools/call", &call);
    }
    let folder = sandbox.project();
    let begun = || (1..=9).filter(|name| folder.join(format!("begun-{name}")).exists());
    let patience = Duration::from_mins(1);
    until("eight programs", patience, || begun().count() == 8);
    // The server has heard of the ninth: it answers what was asked later.
    assert_eq!(client.call("ping", &json!({}))["result"], json!({}));
    let first: Vec<i32> = begun().collect();
    assert_eq!(first.len(), 8);
    let ninth = (1..=9).find(|name| !first.contains(name)).unwrap();
    sandbox.write(format!("go-{}", first[0]), "");
    until("the ninth program", patience, || begun().count() == 9);
    for name in first {
        assert_eq!(sandbox.read(format!("seen-{name}")), "");
        sandbox.write(format!("go-{name}"), "");
    }
    assert_ne!(sandbox.read(format!("seen-{ninth}")), "", "it did not wait");
    sandbox.write(format!("go-{ninth}"), "");
    for _ in 1..=9 {
        let answer = client.receive();
        assert_ne!(answer["result"]["isError"], true, "{answer}");
    }
}

#[test]
fn a_vault_is_asked_first() {
    let vault = Vault::with_policy(GITHUB);
    vault.sandbox.write("fnox.toml", "[secrets]\n");
    let token_file = vault.token_for("coder-1");
    let mut client = Client::connect(
        vault
            .sandbox
            .run(["mcp"])
            .env("FNOX_VAULT_SOCKET", vault.socket())
            .env("FNOX_VAULT_TOKEN_FILE", token_file),
    );
    let mut ask = |host: &str| {
        let arguments = json!({ "credential": "github-token", "host": host, "reason": "to see" });
        client.tool("request_access", &arguments)
    };
    let (text, is_error) = ask("api.github.com");
    assert!(
        !is_error && text.starts_with("The vault's policy allows it: github"),
        "{text}"
    );
    let (text, is_error) = ask("example.com");
    assert!(
        !is_error && text.starts_with("A person must decide"),
        "{text}"
    );
    assert!(!client.script("env").contains("FNOX_VAULT"));
    let stderr = client.close().stderr;
    assert!(
        stderr.contains("the vault's policy does not allow it"),
        "{stderr}"
    );
}

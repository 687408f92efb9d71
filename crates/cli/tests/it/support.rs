//! What several subjects need.

use fnox_testkit::{Run, Sandbox};

/// A sandbox for the binary.
pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_fnox"))
}

/// A sandbox with an identity in its usual place; also its recipient.
pub(crate) fn with_identity() -> (Sandbox, String) {
    let sandbox = sandbox();
    let recipient = ok(&sandbox, &["age", "keygen"]).trim().to_owned();
    (sandbox, recipient)
}

/// A sandbox with an identity, and a project whose provider `age` encrypts to it.
pub(crate) fn with_age() -> Sandbox {
    let (sandbox, recipient) = with_identity();
    let text = format!(
        "# kept\n[providers]\nage = {{ type = \"age\", recipients = [\"{recipient}\"] }} # kept too\n"
    );
    sandbox.write("fnox.toml", text);
    sandbox
}

/// Runs fnox, which must succeed; its stdout.
#[track_caller]
pub(crate) fn ok(sandbox: &Sandbox, arguments: &[&str]) -> String {
    sandbox.run(arguments).finish().succeeds().stdout
}

/// Runs fnox, which must end with this code; its stderr.
#[track_caller]
pub(crate) fn fails(sandbox: &Sandbox, code: i32, arguments: &[&str]) -> String {
    sandbox.run(arguments).finish().exits_with(code).stderr
}

/// Stdout and stderr with everything replaced that differs from run to run.
pub(crate) fn shown(sandbox: &Sandbox, run: &Run) -> String {
    let text = format!("{}----\n{}", run.stdout, run.stderr);
    sandbox
        .filters()
        .and(r"age1[a-z0-9]{58}", "[recipient]")
        .and(r"fnox \d+\.\d+\.\d+\S*", "fnox [version]")
        .apply(&text)
}

/// A JSON document on stdout.
#[track_caller]
pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

//! An MCP client that sees each message as it is.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use fnox_testkit::Invocation;
use fnox_testkit::wait::until;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_mins(1);

/// `fnox mcp`, and what it says. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// What stderr has had so far.
    said: Arc<Mutex<Vec<u8>>>,
    stderr: Option<JoinHandle<()>>,
    last: u64,
}

/// What is left when the server has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// Lines of stdout that nobody has taken.
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: String,
}

impl Client {
    /// Starts the server and introduces itself.
    #[track_caller]
    pub(crate) fn connect(invocation: Invocation) -> Self {
        let mut client = Self::start(invocation);
        let answer = client.initialize("2025-06-18");
        assert_eq!(answer["result"]["serverInfo"]["name"], "fnox-mcp");
        client
    }

    /// Starts the server.
    #[track_caller]
    pub(crate) fn start(mut invocation: Invocation) -> Self {
        let command = invocation.command();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (give, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = give.send(line);
            }
        });
        let mut pipe = child.stderr.take().unwrap();
        let said = Arc::<Mutex<Vec<u8>>>::default();
        let heard = Arc::clone(&said);
        let stderr = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut piece) {
                heard.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        Self {
            stdin: child.stdin.take(),
            child,
            lines,
            said,
            stderr: Some(stderr),
            last: 0,
        }
    }

    /// The handshake; the server's answer to it.
    #[track_caller]
    pub(crate) fn initialize(&mut self, version: &str) -> Value {
        let answer = self.call(
            "initialize",
            &json!({
                "protocolVersion": version,
                "capabilities": {},
                "clientInfo": { "name": "test", "version": "1" },
            }),
        );
        self.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        answer
    }

    /// Sends a line.
    #[track_caller]
    pub(crate) fn send(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("an open stdin");
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.write_all(b"\n").unwrap();
    }

    /// Asks; the id of the question.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> u64 {
        self.last += 1;
        let message =
            json!({ "jsonrpc": "2.0", "id": self.last, "method": method, "params": params });
        self.send(&message.to_string());
        self.last
    }

    /// The next message. Every line of stdout has to be one.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Value {
        let line = match self.lines.recv_timeout(LIMIT) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("no answer"),
            Err(RecvTimeoutError::Disconnected) => panic!("the server ended"),
        };
        let message: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        message
    }

    /// Asks and waits for the answer.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        let id = self.ask(method, params);
        let answer = self.receive();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Calls a tool; its text, and whether it is an error.
    #[track_caller]
    pub(crate) fn tool(&mut self, name: &str, arguments: &Value) -> (String, bool) {
        let answer = self.call(
            "tools/call",
            &json!({ "name": name, "arguments": arguments }),
        );
        let result = &answer["result"];
        let text = result["content"][0]["text"].as_str();
        let text = text.unwrap_or_else(|| panic!("no text in {answer}"));
        (text.to_owned(), result["isError"] == true)
    }

    /// Runs a shell script, which has to come to its end; what it printed.
    #[track_caller]
    pub(crate) fn script(&mut self, script: &str) -> String {
        let (text, is_error) = self.tool("exec", &json!({ "command": ["sh", "-euc", script] }));
        assert!(!is_error, "{text}");
        text
    }

    /// The names of the tools.
    #[track_caller]
    pub(crate) fn tools(&mut self) -> Vec<String> {
        let answer = self.call("tools/list", &json!({}));
        let tools = answer["result"]["tools"].as_array().unwrap();
        let name = |tool: &Value| tool["name"].as_str().unwrap().to_owned();
        tools.iter().map(name).collect()
    }

    /// What it has said on stderr.
    pub(crate) fn stderr_so_far(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Closes stdin, as a client does that needs no more.
    #[track_caller]
    pub(crate) fn close(mut self) -> Ended {
        self.stdin = None;
        self.finish()
    }

    /// Waits for the server's end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Ended {
        let mut status = None;
        until("the server's end", LIMIT, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        Ended {
            code: status.and_then(|status| status.code()),
            stdout: self.lines.iter().collect(),
            stderr: {
                self.stderr.take().unwrap().join().unwrap();
                self.stderr_so_far()
            },
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! Messages of JSON-RPC 2.0, one to a line.
//!
//! Whoever sends a request waits for the answer, so a line that is no message is answered too, unless it is a
//! notification. The transport that comes with rmcp says nothing to a line that it cannot read, and an agent whose
//! request is too long or too deep for it would wait for ever.

use std::io;
use std::sync::Arc;

use rmcp::service::{RoleServer, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// The longest line in bytes, with its end: what rmcp's own transports take.
const LONGEST: usize = 16 * 1024 * 1024;

const PARSE_ERROR: i32 = -32_700;

const INVALID_REQUEST: i32 = -32_600;

const NO_MESSAGE: &str = "this line is no message of JSON-RPC 2.0 and MCP";

/// stdin and stdout as a client of MCP uses them.
#[derive(Debug)]
pub(crate) struct Lines {
    input: BufReader<File>,
    /// What has come of a line. It is kept here because `receive` is dropped whenever something else happens first.
    line: Vec<u8>,
    /// Whether the rest of a line that is too long is still to come.
    is_skipping: bool,
    /// Nothing when it is closed.
    output: Arc<Mutex<Option<File>>>,
    /// The answer to a line that is no message, on its way.
    complaint: Option<JoinHandle<io::Result<()>>>,
}

/// What has come.
#[derive(Debug)]
enum Came {
    /// A line, which is in `line`.
    Whole,
    TooLong,
    End,
}

/// What a line is.
enum Meaning {
    Message(Box<RxJsonRpcMessage<RoleServer>>),
    /// Nothing that anybody waits for an answer to.
    Nothing,
    /// No message: this is the answer.
    Complaint(Value),
}

impl Lines {
    pub(crate) fn new(input: File, output: File) -> Self {
        Self {
            input: BufReader::new(input),
            line: Vec::new(),
            is_skipping: false,
            output: Arc::new(Mutex::new(Some(output))),
            complaint: None,
        }
    }

    /// Reads to the end of a line. Dropped halfway, it goes on there the next time.
    async fn read(&mut self) -> io::Result<Came> {
        loop {
            let piece = self.input.fill_buf().await?;
            if piece.is_empty() {
                // The last line may end with the input.
                return Ok(if self.line.is_empty() {
                    Came::End
                } else {
                    Came::Whole
                });
            }
            let end = piece.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(piece.len(), |end| end + 1);
            let is_too_long = !self.is_skipping && self.line.len() + length > LONGEST;
            if !self.is_skipping && !is_too_long {
                self.line.extend_from_slice(&piece[..length]);
            }
            self.input.consume(length);
            if is_too_long {
                self.line = Vec::new();
                self.is_skipping = end.is_none();
                return Ok(Came::TooLong);
            }
            if end.is_some() && !std::mem::take(&mut self.is_skipping) {
                return Ok(Came::Whole);
            }
        }
    }
}

impl Transport<RoleServer> for Lines {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let output = Arc::clone(&self.output);
        let line = line_of(&item);
        async move { write(&output, &line?).await }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            if let Some(complaint) = &mut self.complaint {
                let outcome = complaint.await;
                self.complaint = None;
                // Where nobody hears the answers, there is nobody to serve.
                outcome.ok()?.ok()?;
            }
            let meaning = match self.read().await {
                Ok(Came::Whole) => meaning_of(&std::mem::take(&mut self.line)),
                Ok(Came::TooLong) => Meaning::Complaint(too_long()),
                Ok(Came::End) => return None,
                Err(error) => {
                    tracing::error!("stdin cannot be read: {error}");
                    return None;
                }
            };
            match meaning {
                Meaning::Message(message) => return Some(*message),
                Meaning::Nothing => {}
                Meaning::Complaint(answer) => {
                    let output = Arc::clone(&self.output);
                    // A task of its own: if `receive` is dropped, half a line would be left on stdout.
                    self.complaint = Some(tokio::spawn(async move {
                        write(&output, &line_of(&answer)?).await
                    }));
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        drop(self.output.lock().await.take());
        Ok(())
    }
}

fn line_of(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Writes a line, and nothing of any other before it is out.
async fn write(output: &Mutex<Option<File>>, line: &[u8]) -> io::Result<()> {
    let mut output = output.lock().await;
    let Some(file) = output.as_mut() else {
        return Err(io::ErrorKind::NotConnected.into());
    };
    file.write_all(line).await?;
    file.flush().await
}

fn meaning_of(line: &[u8]) -> Meaning {
    // RFC 8259, section 8.1: a byte order mark may be passed over.
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let line = line.trim_ascii();
    if line.is_empty() {
        return Meaning::Nothing;
    }
    if let Ok(message) = serde_json::from_slice(line) {
        return Meaning::Message(Box::new(message));
    }
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        // It names a place and never what stands there.
        Err(error) => {
            let message = format!("this line cannot be read as JSON: {error}");
            return Meaning::Complaint(complaint(&Value::Null, PARSE_ERROR, &message));
        }
    };
    let is_call = value.get("method").is_some_and(Value::is_string);
    match value.get("id") {
        // A notification, which is never answered (JSON-RPC 2.0, section 4.1): one that nobody here knows.
        None if is_call => Meaning::Nothing,
        // The id of an answer would be one of the server's own.
        Some(id) if value.get("method").is_some() && is_id(id) => {
            Meaning::Complaint(complaint(id, INVALID_REQUEST, NO_MESSAGE))
        }
        _ => Meaning::Complaint(complaint(&Value::Null, INVALID_REQUEST, NO_MESSAGE)),
    }
}

/// Whether it comes back as it was given: a number that is no integer, or a large one, might not.
fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64() || id.is_u64()
}

fn too_long() -> Value {
    let mebibytes = LONGEST / (1024 * 1024);
    let message = format!("a line has at most {mebibytes} MiB; this one was not read");
    complaint(&Value::Null, INVALID_REQUEST, &message)
}

/// An error (JSON-RPC 2.0, section 5.1), whose id is null where the request's is not known.
fn complaint(id: &Value, code: i32, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

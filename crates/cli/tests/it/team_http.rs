//! As little client as HTTP/1.1 allows (RFC 9112): what it sends is what stands here, and what it is told is what came.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long an answer may take before it counts as never.
const PATIENCE: Duration = Duration::from_mins(2);

/// One connection that is kept, and made anew when it has ended.
#[derive(Debug)]
pub(crate) struct Client {
    address: String,
    stream: Option<TcpStream>,
}

/// The connection ended before there was a whole answer: what was asked for may have happened or not.
#[derive(Debug)]
pub(crate) struct Gone;

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// It must be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{self:?}");
        self
    }

    /// It must be this problem.
    #[track_caller]
    pub(crate) fn is(self, code: &str) -> Self {
        assert_eq!(self.code(), code, "{self:?}");
        self
    }

    pub(crate) fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The code of a problem.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn text(&self, field: &str) -> String {
        let text = self.body[field].as_str();
        text.unwrap_or_else(|| panic!("no {field} in {self:?}"))
            .to_owned()
    }
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            stream: None,
        }
    }

    /// The server must answer.
    #[track_caller]
    pub(crate) fn post(
        &mut self,
        path: &str,
        bearer: &str,
        body: &str,
    ) -> impl Future<Output = Answer> {
        let sent = self.send("POST", path, bearer, body);
        async move { sent.await.expect("the server is gone") }
    }

    /// The server must answer.
    pub(crate) async fn get(&mut self, path: &str, bearer: &str) -> Answer {
        let sent = self.send("GET", path, bearer, "").await;
        sent.expect("the server is gone")
    }

    /// Sends one request, and waits for its answer. Nothing is ever sent a second time.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        bearer: &str,
        body: &str,
    ) -> Result<Answer, Gone> {
        let exchanged = tokio::time::timeout(PATIENCE, self.exchange(method, path, bearer, body));
        let outcome = exchanged.await.expect("the server does not answer");
        if outcome.is_err() {
            self.stream = None;
        }
        outcome
    }

    async fn exchange(
        &mut self,
        method: &str,
        path: &str,
        bearer: &str,
        body: &str,
    ) -> Result<Answer, Gone> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(&self.address).await.map_err(|_| Gone)?;
            stream.set_nodelay(true).unwrap();
            self.stream = Some(stream);
        }
        let stream = self.stream.as_mut().unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        if !bearer.is_empty() {
            head.extend(["Authorization: Bearer ", bearer, "\r\n"]);
        }
        if !body.is_empty() {
            head += "Content-Type: application/json\r\n";
        }
        head.extend([
            "Content-Length: ",
            &body.len().to_string(),
            "\r\n\r\n",
            body,
        ]);
        stream.write_all(head.as_bytes()).await.map_err(|_| Gone)?;
        let (answer, is_last) = read_answer(stream).await?;
        if is_last {
            self.stream = None;
        }
        Ok(answer)
    }
}

/// Reads one whole answer, and whether the connection ends with it.
pub(crate) async fn read_answer(stream: &mut TcpStream) -> Result<(Answer, bool), Gone> {
    let mut bytes = Vec::with_capacity(4096);
    loop {
        if let Some(whole) = whole(&bytes) {
            return Ok(whole);
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return Err(Gone),
            Ok(_) => {}
        }
    }
}

fn whole(bytes: &[u8]) -> Option<(Answer, bool)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head of ASCII");
    let header = |wanted: &str| {
        head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    let length: usize = header("content-length").map_or(0, |text| text.parse().unwrap());
    let body = bytes.get(end + 4..end + 4 + length)?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let answer = Answer {
        status,
        body: serde_json::from_slice(body).unwrap_or_default(),
    };
    Some((answer, header("connection") == Some("close")))
}

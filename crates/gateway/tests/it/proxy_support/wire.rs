//! HTTP/1.1 written by hand, so that it may be wrong.

use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::clients::within;

/// What can be read and written.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// A connection whose bytes are the test's own.
pub(crate) struct Wire {
    stream: Pin<Box<dyn Stream>>,
    /// What was read and is of the next answer.
    rest: Vec<u8>,
}

/// An answer whose body has a length, has chunks, or ends with the connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The status line and the fields.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The code of the refusal.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.field("x-fnox-refusal")
    }
}

impl Wire {
    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::pin(stream),
            rest: Vec::new(),
        }
    }

    /// Writes; the other end may have had enough already.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }

    /// Writes, and reads one answer.
    pub(crate) async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        // An error is seen in the answer, or in that there is none.
        let _ = self.write(bytes).await;
        self.answer().await
    }

    /// Reads one answer to anything but HEAD.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.try_answer().await.expect("an answer")
    }

    /// The same; nothing if the connection ends before it.
    pub(crate) async fn try_answer(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(end) = find(&self.rest, b"\r\n\r\n") {
                break end;
            }
            if !self.fill().await {
                return None;
            }
        };
        let head = String::from_utf8(self.rest.drain(..end + 4).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            body: String::new(),
        };
        if answer.field("transfer-encoding") == Some("chunked") {
            answer.body = self.chunks().await;
            return Some(answer);
        }
        let length = match answer.field("content-length") {
            Some(length) => length.parse().unwrap(),
            None if status < 200 => 0,
            None => usize::MAX,
        };
        while self.rest.len() < length && self.fill().await {}
        let length = length.min(self.rest.len());
        answer.body = String::from_utf8_lossy(&self.rest[..length]).into_owned();
        self.rest.drain(..length);
        Some(answer)
    }

    /// Reads chunks (RFC 9112, section 7.1) to the last one, after which there are no fields.
    async fn chunks(&mut self) -> String {
        let mut body = String::new();
        loop {
            let line = self.read_until("\r\n").await;
            let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
            while self.rest.len() < length + 2 && self.fill().await {}
            let chunk: Vec<u8> = self.rest.drain(..length + 2).collect();
            body.push_str(&String::from_utf8_lossy(&chunk[..length]));
            if length == 0 {
                return body;
            }
        }
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.rest)
    }

    /// Reads until `text` has come, and returns everything up to its end; what is no text in it is replaced.
    pub(crate) async fn read_until(&mut self, text: &str) -> String {
        loop {
            if let Some(start) = find(&self.rest, text.as_bytes()) {
                let read: Vec<u8> = self.rest.drain(..start + text.len()).collect();
                return String::from_utf8_lossy(&read).into_owned();
            }
            assert!(self.fill().await, "{}", self.rest.escape_ascii());
        }
    }

    /// Whether more came. A connection that is reset has ended too.
    async fn fill(&mut self) -> bool {
        let read = within(self.stream.read_buf(&mut self.rest)).await;
        read.is_ok_and(|count| count > 0)
    }
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

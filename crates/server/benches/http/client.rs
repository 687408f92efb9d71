//! As little client as HTTP/1.1 allows (RFC 9112), so that its own work hardly counts.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    address: String,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            address: address.to_owned(),
            buffer: Vec::with_capacity(4096),
        }
    }

    /// Sends one request and reads its answer, which must be a success.
    pub(crate) async fn post(&mut self, path: &str, bearer: &str, body: &str) -> Value {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {bearer}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
            assert!(read > 0, "the server closed the connection");
            if let Some((head, length)) = self.head()
                && self.buffer.len() >= head + length
            {
                let status = std::str::from_utf8(&self.buffer[9..12]).unwrap();
                let body = &self.buffer[head..head + length];
                assert!(
                    status.starts_with('2'),
                    "{path}: {status} {}",
                    String::from_utf8_lossy(body)
                );
                return serde_json::from_slice(body).unwrap_or_default();
            }
        }
    }

    /// Where the head ends, and how long the body is.
    fn head(&self) -> Option<(usize, usize)> {
        let end = self
            .buffer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&self.buffer[..end]).unwrap();
        let length = head
            .lines()
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse().unwrap())
            })
            .unwrap_or(0);
        Some((end + 4, length))
    }
}

//! A real server that can be told to misbehave: what is asked is asked there, and what it answers may be spoilt on
//! the way.

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpStream;

use super::issuer::{Issuer, Reply, Request, Service};

/// Headers of an answer that clients of the servers here look at.
const HEADERS: [&str; 3] = ["content-type", "x-amzn-errortype", "x-amzn-requestid"];

/// The way to a server that is somebody else's.
#[derive(Debug)]
pub struct Relay {
    /// `HOST:PORT`
    authority: String,
}

impl Relay {
    /// Stands before a server, `http://HOST:PORT`.
    ///
    /// # Panics
    /// If it is another kind of URL.
    #[must_use]
    pub fn before(url: &str) -> Issuer<Self> {
        let authority = url.trim_end_matches('/').strip_prefix("http://");
        Issuer::start(Self {
            authority: authority.expect("a URL of plain HTTP").to_owned(),
        })
    }
}

impl Service for Relay {
    fn answer(&mut self, request: &Request, _: Timestamp, _: bool) -> Reply {
        // A stand-in answers at once and one request at a time; this one has to wait for another server.
        let asked = std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime")
                    .block_on(ask(&self.authority, request))
            });
            asking.join().expect("a thread that asks")
        });
        asked.unwrap_or_else(|error| {
            Reply::undocumented(format!("{} does not answer: {error}", self.authority))
        })
    }
}

async fn ask(
    authority: &str,
    request: &Request,
) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
    let target = match request.query.as_str() {
        "" => request.path.clone(),
        query => format!("{}?{query}", request.path),
    };
    let mut asked = hyper::Request::builder()
        .method(request.method.as_str())
        .uri(target);
    for (name, value) in &request.headers {
        asked = asked.header(name, value);
    }
    let asked = asked.body(Full::new(Bytes::from(request.body.clone())))?;
    let stream = TcpStream::connect(authority).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (head, body) = sender.send_request(asked).await?.into_parts();
    let value = |name: &str| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
    Ok(Reply {
        status: head.status.as_u16(),
        headers: HEADERS
            .into_iter()
            .filter_map(|name| Some((name, value(name)?)))
            .collect(),
        body: body.collect().await?.to_bytes().to_vec(),
        complaint: None,
    })
}

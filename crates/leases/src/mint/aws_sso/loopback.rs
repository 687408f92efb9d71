//! Where the portal sends the browser back to (RFC 8252 section 7.3): one page on 127.0.0.1 that takes one answer.
//!
//! Anybody on this machine, and any page in any browser, can send something here. Only a `GET` with this very `Host` and
//! the right `state` counts; everything else is answered and forgotten, so that nobody can end the login either.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use fnox_core::SecretString;
use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use zeroize::Zeroizing;

use crate::mint::{MintError, MintErrorKind};

/// Largest request that is read. A code of the portal has some 2000 characters.
const REQUEST_LIMIT: usize = 16 * 1024;

/// How long one connection may take.
const CONNECTION_LIMIT: Duration = Duration::from_secs(5);

const PATH: &str = "/oauth/callback";

/// A place that waits for the portal's answer.
#[derive(Debug)]
pub(super) struct Loopback {
    listener: TcpListener,
    address: SocketAddr,
    state: SecretString,
}

/// What a request is.
#[derive(Debug)]
enum Request {
    /// The answer to this login: the code, or what the portal says.
    Answer(Result<SecretString, String>),
    /// Something else.
    Other(u16, &'static str),
}

impl Loopback {
    pub(super) async fn bind(state: SecretString) -> Result<Self, MintError> {
        let failed = |error: std::io::Error| {
            MintError::unavailable(format!(
                "no port of 127.0.0.1 can be opened for the browser to come back to: {error}"
            ))
            .with_remedy("use `flow = \"device\"`")
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            state,
        })
    }

    /// What the portal is told.
    pub(super) fn redirect_uri(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Waits for the code.
    pub(super) async fn code(&self) -> Result<SecretString, MintError> {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                continue;
            };
            let handled = tokio::time::timeout(CONNECTION_LIMIT, self.handle(stream)).await;
            match handled {
                Ok(Some(Ok(code))) => return Ok(code),
                Ok(Some(Err(reason))) => {
                    return Err(MintError::new(
                        MintErrorKind::Denied,
                        format!("the AWS access portal did not let you in: {reason}"),
                    ));
                }
                Ok(None) | Err(_) => {}
            }
        }
    }

    async fn handle(&self, mut stream: TcpStream) -> Option<Result<SecretString, String>> {
        let head = head(&mut stream).await?;
        let (answer, status, text) = match self.read(&head) {
            Request::Answer(Ok(code)) => (
                Some(Ok(code)),
                200,
                "You can close this page and go back to the terminal.",
            ),
            Request::Answer(Err(reason)) => (
                Some(Err(reason)),
                200,
                "The portal did not let you in. The terminal says more.",
            ),
            Request::Other(status, text) => (None, status, text),
        };
        let page = format!(
            "HTTP/1.1 {status} -\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{text}",
            text.len()
        );
        // Whether the browser shows the page is not what the login hangs on.
        let _ = stream.write_all(page.as_bytes()).await;
        let _ = stream.shutdown().await;
        answer
    }

    fn read(&self, head: &str) -> Request {
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (words.next(), words.next().unwrap_or_default());
        let hosts: Vec<&str> = lines
            .filter_map(|line| line.split_once(':'))
            .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
            .map(|(_, value)| value.trim())
            .collect();
        // A name that leads here by DNS is another site's page (DNS rebinding).
        if hosts != [self.address.to_string()] {
            return Request::Other(421, "This is not the address.");
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if method != Some("GET") || path != PATH {
            return Request::Other(404, "There is nothing here.");
        }
        let (mut state, mut code, mut error) = (None, None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "state" => &mut state,
                "code" => &mut code,
                "error" => &mut error,
                _ => continue,
            };
            *place = Some(SecretString::new(value.into_owned()));
        }
        let wanted = self.state.expose_secret().as_bytes();
        let is_own =
            state.is_some_and(|state| state.expose_secret().as_bytes().ct_eq(wanted).into());
        if !is_own {
            return Request::Other(
                400,
                "This does not belong to the login that fnox waits for.",
            );
        }
        match (code, error) {
            (Some(code), None) => Request::Answer(Ok(code)),
            (_, error) => {
                let reason = error.map(|error| printable(error.expose_secret()));
                Request::Answer(Err(reason.unwrap_or_else(|| "without a reason".to_owned())))
            }
        }
    }
}

/// The request up to the empty line.
async fn head(stream: &mut TcpStream) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(REQUEST_LIMIT));
    let mut part = Zeroizing::new([0_u8; 2048]);
    while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        let count = stream.read(&mut *part).await.ok()?;
        if count == 0 || bytes.len() + count > REQUEST_LIMIT {
            return None;
        }
        bytes.extend_from_slice(&part[..count]);
    }
    let text = std::str::from_utf8(&bytes).ok()?;
    Some(Zeroizing::new(text.to_owned()))
}

fn printable(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn send(address: SocketAddr, request: String) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn only_the_answer_to_this_login_counts() {
        let loopback = Loopback::bind("right".into()).await.unwrap();
        let address = loopback.address;
        let waiting = tokio::spawn(async move { loopback.code().await });
        let get = |target: &str, host: &str| {
            send(
                address,
                format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            )
        };
        let own = address.to_string();
        for (target, host, status) in [
            ("/oauth/callback?code=c&state=wrong", own.as_str(), "400"),
            ("/oauth/callback?error=no&state=wrong", &own, "400"),
            ("/oauth/callback?code=c", &own, "400"),
            ("/?code=c&state=right", &own, "404"),
            ("/oauth/callback?code=c&state=right", "evil.example", "421"),
        ] {
            let answer = get(target, host).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{target}: {answer}"
            );
        }
        let answer = get("/oauth/callback?code=a%2Bb&state=right", &own).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(waiting.await.unwrap().unwrap().expose_secret(), "a+b");
    }

    #[tokio::test]
    async fn a_refusal_ends_the_login() {
        let loopback = Loopback::bind("right".into()).await.unwrap();
        let (address, uri) = (loopback.address, loopback.redirect_uri());
        let waiting = tokio::spawn(async move { loopback.code().await });
        let target = uri.strip_prefix(&format!("http://{address}")).unwrap();
        send(
            address,
            format!(
                "GET {target}?error=access_denied&state=right HTTP/1.1\r\nHost: {address}\r\n\r\n"
            ),
        )
        .await;
        let error = waiting.await.unwrap().unwrap_err();
        assert_eq!(error.kind, MintErrorKind::Denied);
        assert!(error.message.contains("access_denied"), "{error}");
    }
}

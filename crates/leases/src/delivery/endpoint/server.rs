//! Listeners, connections and their limits.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use super::peer::{self, Peer};
use super::request::State;

/// Connections at one time; more wait to be accepted.
const CONNECTIONS: usize = 128;
/// Headers of one request, and room for all of them.
const HEADERS: usize = 64;
const HEADER_ROOM: usize = 16 * 1024;
/// How long the headers of a request may take, and how long a connection may be silent between two requests.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// How long a connection is used, and how long an answer that is under way then may still take.
const CONNECTION_TIME: Duration = Duration::from_mins(2);
const LAST_ANSWER_TIME: Duration = Duration::from_secs(30);
/// How often another port is tried until both families have the same one.
const TRIES: usize = 16;

/// Bound, but not yet served.
pub(super) struct Listeners {
    first: std::net::TcpListener,
    second: Option<std::net::TcpListener>,
    authority: String,
    port: u16,
}

impl Listeners {
    /// A random port of 127.0.0.1, and the same one of `::1`; only one of them where the other family does not exist.
    pub(super) fn bind() -> io::Result<Self> {
        let mut last = None;
        for _ in 0..TRIES {
            let Ok(first) = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) else {
                return Self::only_six();
            };
            let port = first.local_addr()?.port();
            match std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
                Ok(second) => return Self::new(first, Some(second)),
                // Somebody else has the port there.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(first),
                Err(_) => return Self::new(first, None),
            }
        }
        match last {
            Some(first) => Self::new(first, None),
            None => Self::only_six(),
        }
    }

    fn only_six() -> io::Result<Self> {
        Self::new(std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0))?, None)
    }

    fn new(
        first: std::net::TcpListener,
        second: Option<std::net::TcpListener>,
    ) -> io::Result<Self> {
        let address = first.local_addr()?;
        for listener in std::iter::once(&first).chain(&second) {
            listener.set_nonblocking(true)?;
        }
        Ok(Self {
            authority: address.to_string(),
            port: address.port(),
            first,
            second,
        })
    }

    /// `http://127.0.0.1:PORT`
    pub(super) fn base(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Serves on the current runtime.
    pub(super) fn serve(self, state: State) -> io::Result<Server> {
        let state = Arc::new(state);
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let mut tasks = Vec::new();
        for listener in std::iter::once(self.first).chain(self.second) {
            let listener = TcpListener::from_std(listener)?;
            let (state, connections) = (Arc::clone(&state), Arc::clone(&connections));
            tasks.push(tokio::spawn(accept(listener, state, connections)));
        }
        Ok(Server {
            tasks,
            port: self.port,
        })
    }
}

/// Ends when dropped, with all its connections.
#[derive(Debug)]
pub(super) struct Server {
    tasks: Vec<JoinHandle<()>>,
    port: u16,
}

impl Server {
    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, connections: Arc<Semaphore>) {
    // Its connections end with this task.
    let mut served = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
            return;
        };
        while served.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, theirs)) => {
                let state = Arc::clone(&state);
                served.spawn(async move {
                    if let Err(error) = serve(stream, theirs, &state).await {
                        tracing::debug!("credential endpoint: {error}");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                // Too many open files, or a client that went away at once (accept(2)).
                tracing::debug!("credential endpoint: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, theirs: SocketAddr, state: &State) -> io::Result<()> {
    let ours = stream.local_addr()?;
    let peer = tokio::task::spawn_blocking(move || peer::of(theirs, ours)).await?;
    match peer {
        Peer::User(user) if peer::is_own(user) => {}
        // Not Linux, or no /proc: the token has to do.
        Peer::Unknown => {}
        Peer::User(user) => {
            tracing::warn!("credential endpoint: a process of user {user} was turned away");
            return Ok(());
        }
        Peer::Nobody => return Ok(()),
    }
    stream.set_nodelay(true)?;
    let authority = ours.to_string();
    let service = service_fn(|request| {
        let authority = &authority;
        async move { Ok::<_, Infallible>(state.answer(request, authority).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(HEADERS)
        .max_buf_size(HEADER_ROOM)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    if let Ok(ended) = tokio::time::timeout(CONNECTION_TIME, connection.as_mut()).await {
        return ended.map_err(io::Error::other);
    }
    connection.as_mut().graceful_shutdown();
    match tokio::time::timeout(LAST_ANSWER_TIME, connection).await {
        Ok(ended) => ended.map_err(io::Error::other),
        Err(_) => Ok(()),
    }
}

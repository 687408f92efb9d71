//! A whole server: its parts put together, its connections, its end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use fnox_core::audit::{Entry, Outcome};
use fnox_core::clock::Clock;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::keys::ServerKeys;
use crate::notify::{Notifier, NotifySetupError};
use crate::oidc::{OidcSetupError, Verifier};
use crate::policy::{PolicyError, WatchedPolicy};
use crate::routes::{self, PeerAddress};
use crate::service::{Parts, Service};
use crate::settings::{ApproveBy, LimitSettings, Settings};
use crate::store::{AuditFilter, Database, Store, StoreError};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The issuers.
    #[error(transparent)]
    Oidc(#[from] OidcSetupError),
    /// The policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The channels.
    #[error(transparent)]
    Notify(#[from] NotifySetupError),
    /// Only people who logged in may decide, and nobody can log in.
    #[error("`[approvals]` wants people who logged in to decide, and there is no `[login]`")]
    NoLogin,
    /// The signing key cannot make keys of its own.
    #[error("the signing key cannot be used")]
    Keys,
}

/// What a server is opened with.
#[derive(Debug)]
pub struct Opening {
    /// Settings.
    pub settings: Settings,
    /// Its database.
    pub database: Arc<dyn Database>,
    /// Its keys.
    pub keys: ServerKeys,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Counters, if somebody collects them.
    pub metrics: Option<PrometheusHandle>,
    /// When the database was restored from a copy, if it was and nobody knows yet: tokens from before are refused.
    pub restored_at: Option<Timestamp>,
}

/// A team server.
#[derive(Debug)]
pub struct Server {
    service: Service,
    router: Router,
    metrics: Option<PrometheusHandle>,
}

impl Server {
    /// Puts a server together. Issuers' keys are fetched when they are first needed.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(opening: Opening) -> Result<Self, OpenError> {
        let Opening {
            settings,
            database,
            keys,
            clock,
            metrics,
            restored_at,
        } = opening;
        let wants_login = settings.approvals.approve_by == ApproveBy::Login
            || settings.approvals.approvals_needed > 1;
        if wants_login && settings.login.is_none() {
            return Err(OpenError::NoLogin);
        }
        let policy = WatchedPolicy::open(&settings.policy, &settings.issuers)?;
        let verifier = Verifier::new(&settings.issuers, Arc::clone(&clock))?;
        let notifier = Notifier::new(&settings.notify, &settings.public_url, &clock)?;
        database
            .unlock(keys.chain().ok_or(OpenError::Keys)?)
            .await?;
        let store = Store::new(database);
        if let Some(moment) = restored_at {
            verifier.refuse_before(moment);
            record_restoration(&store, moment).await?;
        }
        let service = Service::new(Parts {
            settings,
            store,
            keys,
            clock,
            verifier,
            policy,
            notifier,
        });
        let router = routes::router(&service, metrics.clone());
        Ok(Self {
            service,
            router,
            metrics,
        })
    }

    /// What it does.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Its routes, for tests and for whoever serves them otherwise.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Serves until `shutdown`; then lets requests that are under way finish, for as long as the settings say.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        shutdown: impl Future<Output = ()>,
    ) {
        let limits = self.service.settings().limits.clone();
        let keeper = self.service.clone();
        let metrics = self.metrics.clone();
        let house = tokio::spawn(async move {
            tokio::join!(keeper.keep_house(), condense(metrics));
        });
        let graceful = GracefulShutdown::new();
        let slots = Arc::new(Semaphore::new(limits.connections));
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            // A place first: who finds none waits in the listener's queue.
            let slot = tokio::select! {
                slot = Arc::clone(&slots).acquire_owned() => slot,
                () = &mut shutdown => break,
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut shutdown => break,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Out of descriptors, most likely: others have to end first.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            // Answers are small; waiting to fill a packet only makes them late.
            let _ = stream.set_nodelay(true);
            let connection = Connection {
                router: self.router.clone(),
                address,
                limits: limits.clone(),
                watcher: graceful.watcher(),
            };
            let tls = tls.clone();
            tokio::spawn(async move {
                connection.run(stream, tls).await;
                drop(slot);
            });
        }
        drop(listener);
        self.service.close();
        if tokio::time::timeout(limits.drain, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("some requests did not finish in time");
        }
        house.abort();
        self.service.notifier().drain().await;
    }
}

/// Records that the database was put back at a moment, unless that is on record: every start is told of it as long as
/// older tokens have to be refused.
async fn record_restoration(store: &Store, moment: Timestamp) -> Result<(), StoreError> {
    let event = "database_restored";
    let filter = AuditFilter {
        event: Some(event.to_owned()),
        since: Some(moment),
        ..AuditFilter::default()
    };
    let found = store.database().audit_query(&filter, 1).await;
    // Of a log that cannot be read, verification tells.
    if found.is_ok_and(|records| !records.is_empty()) {
        return Ok(());
    }
    let mut entry = Entry::new(event, "system", Outcome::Ok);
    entry.reason = Some(
        "all sessions, approvals and grants in it have ended; tokens from before are refused"
            .to_owned(),
    );
    store.record(vec![entry]).await
}

/// Turns measured times into quantiles now and then: nobody may ask for them for days, and they are kept until then.
async fn condense(metrics: Option<PrometheusHandle>) {
    let Some(metrics) = metrics else { return };
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    loop {
        tick.tick().await;
        metrics.run_upkeep();
    }
}

/// Returns if nothing has begun within a time. Which version of HTTP a connection speaks is found out before the limit
/// for heads counts, so that one which says nothing would keep its place forever.
async fn nothing_begins(begun: &Notify, limit: Duration) {
    if tokio::time::timeout(limit, begun.notified()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

struct Connection {
    router: Router,
    address: SocketAddr,
    limits: LimitSettings,
    watcher: Watcher,
}

impl Connection {
    async fn run(self, stream: tokio::net::TcpStream, tls: Option<TlsAcceptor>) {
        match tls {
            None => self.serve(stream).await,
            Some(acceptor) => {
                let handshake = tokio::time::timeout(self.limits.header, acceptor.accept(stream));
                match handshake.await {
                    Ok(Ok(stream)) => self.serve(stream).await,
                    Ok(Err(error)) => {
                        tracing::debug!(address = %self.address, %error, "a TLS handshake failed");
                    }
                    Err(_) => {
                        tracing::debug!(address = %self.address, "a TLS handshake took too long");
                    }
                }
            }
        }
    }

    async fn serve<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            router,
            address,
            limits,
            watcher,
        } = self;
        let begun = Arc::new(Notify::new());
        let begins = Arc::clone(&begun);
        let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            begins.notify_one();
            request.extensions_mut().insert(PeerAddress(address));
            let router = router.clone();
            async move {
                let request = request.map(axum::body::Body::new);
                let response: Result<_, Infallible> = router.oneshot(request).await;
                response
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header)
            .max_buf_size(64 * 1024);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(64)
            .max_header_list_size(64 * 1024)
            .keep_alive_interval(Some(Duration::from_secs(30)));
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        tokio::select! {
            outcome = watcher.watch(connection) => if let Err(error) = outcome {
                tracing::debug!(%address, %error, "a connection broke");
            },
            () = nothing_begins(&begun, limits.header) => {
                tracing::debug!(%address, "a connection asked for nothing");
            }
        }
    }
}

//! A gateway for the programs of one run: what they get in their environment, and the time for which it serves them.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use fnox_config::Config;
use fnox_core::{AgentId, Clock, LeaseName, SecretString};
use fnox_gateway::authority::Authority;
use fnox_gateway::destination::Dialer;
use fnox_gateway::placeholder::{PlaceholderBook, Placeholders};
use fnox_gateway::proxy::{
    Client, ClientPassword, Credentials, Gateway, Listener, Observer, OneClient, Options, Trust,
};
use fnox_gateway::rule::CredentialRef;
use fnox_leases::{Manager, Revocation, RevocationOutcome};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::preparation::{self, Given};
use crate::app::App;
use crate::audit::{OfRun, RecordedCredentials};
use crate::error::CliError;
use crate::exec::files::PrivateFolder;
use crate::exec::plan::EnvironmentPlan;
use crate::exec::redact::Redaction;
use crate::gateway::approvals::office::{self, Asker, Office};
use crate::gateway::approvals::{self, Ways};
use crate::gateway::desk::Desk;
use crate::gateway::environment;
use crate::gateway::granting::{self, Granting};
use crate::gateway::java;
use crate::gateway::metrics::Counting;
use crate::gateway::metrics_file::MetricsFile;
use crate::gateway::observer::Teller;
use crate::gateway::out_of_reach;
use crate::gateway::rules::Proxy;
use crate::gateway::sandbox::Way;
use crate::gateway::values::{Secrets, Values};
use crate::telemetry::{Collector, Telemetry};

/// Clients at a time: the limit of open files stays as the program is to find it, and each client has up to two.
const CONNECTIONS: usize = 400;

/// The port at which programs in a sandbox, whose network is their own, find the gateway.
const SANDBOXED_PORT: u16 = 3128;

/// What a session is like.
#[derive(Debug)]
pub(crate) struct Terms {
    /// In whose name the programs act.
    pub(crate) agent: AgentId,
    /// Whether they are in a sandbox, and reach the gateway by its socket.
    pub(crate) is_sandboxed: bool,
    /// Where the numbers of the run go.
    pub(crate) metrics: Option<MetricsFile>,
    /// Whose word is no person's.
    pub(crate) asker: Asker,
    /// Whether people are asked besides what rules ask them.
    pub(crate) asks: bool,
}

/// A gateway that is ready.
#[derive(Debug)]
pub(crate) struct Session {
    gateway: Gateway,
    desk: Desk,
    runtime: Runtime,
    listener: Listener,
    port: u16,
    plan: EnvironmentPlan,
    given: Vec<Given>,
    values: Vec<SecretString>,
    files: TrustFiles,
    /// Where people answer, if a rule asks.
    office: Option<Office>,
    teller: Arc<Teller>,
    metrics: Option<MetricsFile>,
    telemetry: Option<Telemetry>,
    /// The log of what requests got, if it is on.
    uses: Option<Arc<OfRun>>,
    /// What more can be used for a while is given with, if people can be asked for it.
    granting: Option<Arc<Granting>>,
}

/// Where people answer, if a rule asks them.
fn office(
    app: &App,
    config: &Config,
    proxy: &Proxy,
    clock: Arc<dyn Clock>,
    (asker, asks): (Asker, bool),
) -> Result<Option<Office>, CliError> {
    let ways = Ways::of_project(app, config, &proxy.approve_at)?;
    let terms = office::Terms {
        folders: &app.folders,
        clock,
        patience: proxy.approval_wait,
        printer: app.printer,
        channels: approvals::channels(app, &proxy.approve_at, ways)?,
        places: proxy.approve_at.clone(),
        asker,
        asks,
    };
    Office::open(&proxy.policy, terms)
}

/// What the gateway's own work runs on. All connections share one thread: a request goes from the task of its client to
/// that of its destination and back, and with more of them each step would wake another one, which costs a small request
/// more than everything that is done with it. Leases are minted, and people asked, on the thread that waits for the end.
fn runtime() -> Result<Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(CliError::Output)
}

/// Where traces go, if they do.
fn collector(app: &App, config: &Config) -> Result<Option<Collector>, CliError> {
    let telemetry = config.settings.sections.get("proxy");
    let telemetry = telemetry.and_then(|proxy| proxy.table("telemetry"));
    Collector::read("proxy.telemetry", telemetry, app.folders.home())
}

/// The values, on record if the log is on.
fn credentials(values: Values, uses: Option<&Arc<OfRun>>) -> Arc<dyn Credentials> {
    match uses {
        Some(uses) => Arc::new(RecordedCredentials {
            inner: values,
            uses: Arc::clone(uses),
        }),
        None => Arc::new(values),
    }
}

/// An answer may bring back what an earlier run has left at its destination.
fn expect(client: &Client, secrets: &Secrets, placeholders: &Placeholders) {
    for (name, value) in secrets.all() {
        let credential = CredentialRef::Secret(name);
        if let Some(placeholder) = placeholders.of(&client.agent, &credential) {
            client.expect(&credential, &value, placeholder.text());
        }
    }
}

impl Session {
    /// Fetches the secrets of the rules and prepares what programs get instead of them. Nothing is served yet.
    pub(crate) fn start(
        app: &App,
        config: &Config,
        proxy: Proxy,
        manager: &Manager<'_>,
        terms: Terms,
    ) -> Result<Self, CliError> {
        let (agent, asks) = (terms.agent, terms.asks);
        let collector = collector(app, config)?;
        let resolver = app.reading_resolver(config)?;
        let secrets = preparation::secrets(app, &proxy, &resolver)?;
        let prepared = preparation::placeholders(config, manager, &proxy, &agent, &secrets)?;
        let clock = Arc::new(app.clock);
        let password = ClientPassword::random(&mut rand::rng());
        let in_url = SecretString::from(password.expose_secret());
        let shown_to_nobody = secrets.values().chain([&in_url]).cloned().collect();
        let secrets = Secrets::from(secrets);
        let (values, desk) = Values::new(secrets.clone(), clock.clone(), per_operation(config));
        let trust = Trust::system();
        let system = trust.to_pem();
        let uses = OfRun::new(app, config);
        let client = Client::new(
            agent.clone(),
            credentials(values, uses.as_ref()),
            Vec::new(),
        );
        expect(&client, &secrets, &prepared.placeholders);
        let runtime = runtime()?;
        let inside = runtime.enter();
        let office = office(app, config, &proxy, clock.clone(), (terms.asker, asks))?;
        let telemetry = collector.map(Collector::start).transpose()?;
        drop(inside);
        let placeholders = PlaceholderBook::from(prepared.placeholders);
        let rules = proxy.policy.rules.clone();
        let teller = Arc::new(Teller::beside_a_program(app.printer, proxy.tells));
        let gateway = Gateway::new(Options {
            policy: proxy.policy,
            clients: Arc::new(OneClient::new(
                client,
                asked_of(password, terms.is_sandboxed),
            )),
            placeholders: placeholders.clone(),
            authority: authority(clock.clone())?,
            dialer: Dialer::new(proxy.addresses),
            trust,
            scan: proxy.scan,
            connections: CONNECTIONS,
            observer: observer(&teller, terms.metrics.as_ref()),
            approver: Office::approver(office.as_ref()),
        })
        .map_err(|error| CliError::failed(error.to_string()))?;
        let approvals = office.as_ref().filter(|_| asks).map(Office::approvals);
        let granting = approvals.map(|approvals| {
            Granting::new(granting::Parts {
                agent,
                gateway: gateway.clone(),
                approvals,
                placeholders,
                secrets,
                rules,
                uses: uses.clone(),
                clock,
                printer: app.printer,
            })
        });
        let mut files = TrustFiles::write(app, &gateway, &system)?;
        let (listener, port) = listen(&runtime, terms.is_sandboxed, &files)?;
        let mut set = files.variables(app, (port, terms.is_sandboxed), &in_url)?;
        set.extend(prepared.variables);
        let plan = planned(set, out_of_reach::withheld(app, config, manager)?);
        Ok(Self {
            gateway,
            desk,
            runtime,
            listener,
            port,
            plan,
            given: prepared.given,
            values: shown_to_nobody,
            files,
            office,
            teller,
            metrics: terms.metrics,
            telemetry,
            uses,
            granting,
        })
    }

    /// What more can be used for a while is given with, if people can be asked for it.
    pub(crate) fn granting(&self) -> Option<Arc<Granting>> {
        self.granting.clone()
    }

    /// The way to it from inside of a sandbox, if it is for one.
    pub(crate) fn way(&self) -> Option<Way<'_>> {
        matches!(self.listener, Listener::Unix(_)).then(|| Way {
            folder: self.files.folder.path(),
            socket: &self.files.socket,
            port: self.port,
        })
    }

    /// What programs must have in their environment, and what they may not have.
    pub(crate) fn plan(&self) -> EnvironmentPlan {
        self.plan.clone()
    }

    /// What programs get for each rule, in the order of the rules.
    pub(crate) fn given(&self) -> &[Given] {
        &self.given
    }

    /// From now on `redaction` looks for every value that is used here, also for those that are minted later.
    pub(crate) fn redact_with(&mut self, redaction: &Arc<Redaction>) {
        redaction.add(std::mem::take(&mut self.values));
        self.desk.redact_with(Arc::clone(redaction));
    }

    /// Serves for as long as `work` takes, then withdraws what was minted for it.
    pub(crate) fn during<T>(self, app: &App, manager: &Manager<'_>, work: impl FnOnce() -> T) -> T {
        let Self {
            gateway,
            mut desk,
            runtime,
            listener,
            files,
            office,
            teller,
            metrics,
            telemetry,
            uses,
            ..
        } = self;
        let (stop, stopped) = oneshot::channel::<()>();
        let office = office.map(|office| (office.approvals(), runtime.spawn(office.serve())));
        let outcome = std::thread::scope(|scope| {
            let (runtime, gateway, desk, metrics) = (&runtime, &gateway, &mut desk, &metrics);
            let uses = &uses;
            scope.spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = gateway.serve(listener) => {}
                        () = desk.serve(manager) => {}
                        () = kept(app, metrics.as_ref()) => {}
                        () = recorded(uses.as_deref()) => {}
                        _ = stopped => {}
                    }
                });
            });
            let outcome = work();
            drop(stop);
            outcome
        });
        if let Some((approvals, serving)) = office {
            approvals.close();
            // It ends in time by itself.
            let _ = runtime.block_on(serving);
        }
        teller.release();
        if let Some(metrics) = &metrics {
            metrics.finish(app.printer);
        }
        runtime.block_on(withdraw(app, manager, &desk));
        if let Some(uses) = &uses
            && let Err(error) = runtime.block_on(uses.finish())
        {
            app.printer.warn(&format!("the log of uses: {error}"));
        }
        if let Some(telemetry) = telemetry {
            runtime.block_on(telemetry.end());
        }
        // A look-up of a name that hangs is nothing to wait for.
        runtime.shutdown_background();
        drop(files);
        outcome
    }
}

/// Who is told of requests.
fn observer(teller: &Arc<Teller>, metrics: Option<&MetricsFile>) -> Arc<dyn Observer> {
    let teller: Arc<dyn Observer> = teller.clone();
    match metrics {
        Some(_) => Arc::new(Counting(teller)),
        None => teller,
    }
}

/// Has the numbers written, if somebody wants them.
async fn kept(app: &App, metrics: Option<&MetricsFile>) {
    match metrics {
        Some(metrics) => metrics.keep(app.printer).await,
        None => std::future::pending().await,
    }
}

/// Has the record of uses brought to the disk, if there is one.
async fn recorded(uses: Option<&OfRun>) {
    match uses {
        Some(uses) => uses.keep().await,
        None => std::future::pending().await,
    }
}

fn planned(set: Vec<(String, SecretString)>, remove: BTreeSet<String>) -> EnvironmentPlan {
    EnvironmentPlan {
        remove,
        set,
        ..EnvironmentPlan::default()
    }
}

fn authority(clock: Arc<dyn Clock>) -> Result<Authority, CliError> {
    Authority::new(clock).map_err(|error| CliError::failed(error.to_string()))
}

/// The leases of which each request gets a credential of its own.
fn per_operation(config: &Config) -> HashSet<LeaseName> {
    let leases = config.leases.values();
    leases
        .filter(|lease| lease.per_operation)
        .map(|lease| lease.name.clone())
        .collect()
}

/// What clients must present: nothing where only what is in the sandbox, and its user, gets to the socket in the private
/// folder.
fn asked_of(password: ClientPassword, is_sandboxed: bool) -> Option<ClientPassword> {
    (!is_sandboxed).then_some(password)
}

/// Opens the gateway's door: a socket for a sandbox, otherwise a port.
fn listen(
    runtime: &Runtime,
    is_sandboxed: bool,
    files: &TrustFiles,
) -> Result<(Listener, u16), CliError> {
    if is_sandboxed {
        let _inside = runtime.enter();
        let listener = UnixListener::bind(&files.socket).map_err(|source| CliError::File {
            action: "listen on",
            path: files.socket.clone(),
            source,
        })?;
        return Ok((listener.into(), SANDBOXED_PORT));
    }
    let listener = runtime
        .block_on(TcpListener::bind(("127.0.0.1", 0)))
        .map_err(|error| {
            CliError::failed(format!("the gateway gets no port of 127.0.0.1: {error}"))
        })?;
    let port = listener.local_addr().map_err(CliError::Output)?.port();
    Ok((listener.into(), port))
}

/// What a program must read in order to believe the gateway. Gone with the run.
#[derive(Debug)]
pub(super) struct TrustFiles {
    folder: PrivateFolder,
    /// Where the gateway's socket is, if it has one.
    socket: PathBuf,
    /// The gateway's certificate.
    authority: PathBuf,
    /// The system's and the gateway's certificates.
    bundle: PathBuf,
    /// The gateway's, for Java.
    trust_store: PathBuf,
}

impl TrustFiles {
    pub(super) fn write(app: &App, gateway: &Gateway, system: &str) -> Result<Self, CliError> {
        let authority = gateway.certificate_pem();
        let trust_store = java::trust_store(gateway.certificate_der());
        let write = || {
            let mut folder = PrivateFolder::guarded(&app.folders)?;
            let bundle = format!("{system}{authority}");
            Ok(Self {
                authority: folder.write_bytes("gateway.pem", authority.as_bytes())?,
                trust_store: folder.write_bytes("gateway.jks", &trust_store)?,
                bundle: folder.write("all-authorities.pem", &SecretString::from(bundle))?,
                socket: folder.path().join("gateway.sock"),
                folder,
            })
        };
        write().map_err(|source| unwritten(app, source))
    }

    /// What a program that goes to the gateway at `port`, in a sandbox or not, must have in its environment.
    pub(super) fn variables(
        &mut self,
        app: &App,
        (port, is_sandboxed): (u16, bool),
        password: &SecretString,
    ) -> Result<Vec<(String, SecretString)>, CliError> {
        let password = password.expose_secret();
        let mut set = environment::variables(port, password, &self.authority, &self.bundle);
        set.extend(self.for_java(app, port, is_sandboxed)?);
        Ok(set)
    }

    /// What Java must have besides. It can use the gateway in a sandbox only, where no password is needed.
    fn for_java(
        &mut self,
        app: &App,
        port: u16,
        is_sandboxed: bool,
    ) -> Result<Option<(String, SecretString)>, CliError> {
        if !is_sandboxed {
            return Ok(None);
        }
        let options = java::options(port, &self.trust_store);
        let options = self
            .folder
            .write_bytes("java-options", options.as_bytes())
            .map_err(|source| unwritten(app, source))?;
        // What somebody else wants of Java stays.
        let before = app.env.var(java::VARIABLE).map(|text| format!("{text} "));
        let for_java = format!("{}@{}", before.unwrap_or_default(), options.display());
        let for_java = (java::VARIABLE.to_owned(), SecretString::from(for_java));
        Ok(Some(for_java))
    }
}

fn unwritten(app: &App, source: std::io::Error) -> CliError {
    CliError::File {
        action: "write a private file below",
        path: app.folders.runtime.clone(),
        source,
    }
}

/// Withdraws what was minted for this run alone. What cannot be withdrawn now stays on the ledger for `cleanup`.
async fn withdraw(app: &App, manager: &Manager<'_>, desk: &Desk) {
    let minted: HashSet<String> = desk.minted().into_iter().collect();
    if minted.is_empty() {
        return;
    }
    let again = "`fnox lease cleanup` tries again";
    match manager
        .revoke_where(|lease| minted.contains(&lease.lease_id))
        .await
    {
        Err(error) => {
            let warning = format!("the leases of this run are not withdrawn: {error}\n{again}");
            app.printer.warn(&warning);
        }
        Ok(revocations) => {
            for Revocation {
                lease,
                lease_id,
                outcome,
                ..
            } in revocations
            {
                match outcome {
                    RevocationOutcome::Failed(error) => app.printer.warn(&format!(
                        "the lease {lease_id} is not withdrawn: {error}\n{again}"
                    )),
                    RevocationOutcome::ExpiresOnly {
                        expires_at: Some(end),
                    } => app.printer.note(&format!(
                        "a credential of lease `{lease}` cannot be withdrawn: it works until {end}"
                    )),
                    _ => {}
                }
            }
        }
    }
}

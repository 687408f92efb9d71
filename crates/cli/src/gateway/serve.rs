//! A gateway that many clients share: the vault's agents, whose leases it spends.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fnox_config::fields::resolve_path;
use fnox_config::trust::Trust as TrustedFiles;
use fnox_config::{ConfigError, Fields, standalone};
use fnox_core::{SecretString, VaultName};
use fnox_gateway::authority::Authority;
use fnox_gateway::destination::Dialer;
use fnox_gateway::placeholder::PlaceholderBook;
use fnox_gateway::proxy::{Gateway, Observer, Options, Trust};
use fnox_gateway::rule::CredentialRef;
use fnox_gateway::vault::{Recorder, VaultClients, VaultClientsError};
use fnox_vault_wire::Connector;
use tokio::task::JoinSet;

use super::approvals::office::{self, Asker, Office};
use super::approvals::server::Named;
use super::approvals::vault::Desk;
use super::approvals::{self, Place, Ways};
use super::doors::{Door, Opening};
use super::metrics::{Counting, Metrics};
use super::observer::Teller;
use super::rules::{self, Proxy};
use super::spec::GATEWAY;
use crate::app::App;
use crate::args::team::ServerArgs;
use crate::error::CliError;
use crate::team;
use crate::telemetry::Collector;
use crate::vault::connect;
use crate::vault::error::VaultFailure;
use crate::vault::running::{Asked, Signals};

/// The name of the file in fnox's config folder.
pub(crate) const FILE_NAME: &str = "gateway.toml";

/// Clients at a time.
const CONNECTIONS: usize = 4096;

/// How long the vault may take to put the last requests on record.
const LAST_RECORDS: Duration = Duration::from_secs(5);

/// What `gateway.toml` says.
pub(crate) struct Settings {
    path: PathBuf,
    fields: Fields,
    proxy: Proxy,
    token: SecretString,
    vault: Connector,
    server: Option<Named>,
}

impl Settings {
    /// Reads the file, and the gateway's token.
    ///
    /// # Errors
    /// With the place of the first thing that is wrong.
    pub(crate) fn load(app: &App, named: Option<&Path>) -> Result<Self, CliError> {
        let path = match named {
            Some(path) => app.cwd.join(path),
            None => app.folders.config.join(FILE_NAME),
        };
        // Who can write it says where credentials go.
        let text = TrustedFiles::new(&app.folders, &app.cwd).read_checked(&path)?;
        let fields = standalone::read(&path, text, &GATEWAY)?;
        let proxy = rules::read_fields(&fields, app.folders.home(), secret)?;
        if proxy.policy.rules.is_empty() && proxy.policy.allow_domains.is_empty() {
            let reason = "is missing: nothing says which secret may go where";
            return Err(fields.invalid("rules", reason).into());
        }
        let resolved = |text: &str| {
            let folder = path.parent().unwrap_or(Path::new("/"));
            resolve_path(text, folder, app.folders.home())
        };
        let token = connect::read_token(&resolved(fields.text("token_file").unwrap_or_default()))?;
        let server = team_server(app, &fields, &proxy, resolved)?;
        let vault = match fields.text("vault") {
            None => connect::usual_place(app)?,
            Some(text) => {
                let parsed = text.parse::<Connector>();
                match parsed.map_err(|error| fields.invalid("vault", error.to_string()))? {
                    Connector::Unix(_) => {
                        let place = text.strip_prefix("unix:").unwrap_or(text);
                        Connector::Unix(resolved(place))
                    }
                    other => other,
                }
            }
        };
        Ok(Self {
            path,
            fields,
            proxy,
            token,
            vault,
            server,
        })
    }

    fn path_of(&self, app: &App, key: &str) -> Option<PathBuf> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let text = self.fields.text(key)?;
        Some(resolve_path(text, folder, app.folders.home()))
    }

    fn opening<'a>(&'a self, app: &'a App) -> Opening<'a> {
        Opening {
            folders: &app.folders,
            folder: self.path.parent().unwrap_or(Path::new("/")),
        }
    }
}

/// The team server at which people are asked, if they are.
fn team_server(
    app: &App,
    fields: &Fields,
    proxy: &Proxy,
    resolved: impl Fn(&str) -> PathBuf,
) -> Result<Option<Named>, CliError> {
    if !proxy.approve_at.contains(&Place::Server) {
        for key in ["server", "server_token_file"] {
            if fields.contains(key) {
                let reason = "is for `approve_at = [\"server\"]`, which is not there";
                return Err(fields.invalid(key, reason).into());
            }
        }
        return Ok(None);
    }
    let Some(token_file) = fields.text("server_token_file") else {
        let reason = "is missing: `fnox serve token --role gateway --name NAME` makes a token";
        return Err(fields.invalid("server_token_file", reason).into());
    };
    let named = ServerArgs {
        server: fields.text("server").map(str::to_owned),
    };
    Ok(Some(Named {
        url: team::server::url(app, &named)?,
        token: connect::read_token(&resolved(token_file))?,
    }))
}

/// What a rule uses: a secret by its name in the vault.
fn secret(rule: &Fields) -> Result<(CredentialRef, Option<fnox_core::SecretName>), ConfigError> {
    for key in ["lease", "credential", "placeholder"] {
        if rule.contains(key) {
            let reason =
                "is not for gateway.toml: its rules name secrets of the vault, which may be mints";
            return Err(rule.invalid(key, reason));
        }
    }
    let Some(name) = rule.text("secret") else {
        return Err(rule.invalid("secret", "is missing: which secret of the vault is used"));
    };
    let name = VaultName::parse(name).map_err(|error| rule.invalid("secret", error.to_string()))?;
    Ok((CredentialRef::Secret(name), None))
}

/// Serves until a signal ends it.
pub(crate) async fn serve(app: &App, settings: Settings) -> Result<(), CliError> {
    let signals = Signals::receive()?;
    let telemetry = settings.fields.table("telemetry");
    let collector = Collector::read("telemetry", telemetry, app.folders.home())?;
    let doors = settings.opening(app).doors(&settings.fields).await?;
    let certificate_file = settings.path_of(app, "certificate_file");
    let Settings {
        proxy,
        token,
        vault,
        server,
        fields,
        ..
    } = settings;
    let metrics = Metrics::open(&fields).await?;
    let clock = Arc::new(app.clock);
    let book = PlaceholderBook::default();
    let names: Vec<Option<String>> = proxy.rules.iter().map(|it| it.variable.clone()).collect();
    let variables = VaultClients::variables_of(&proxy.policy, &names);
    let desk = Desk {
        vault: vault.clone(),
        token: token.clone(),
    };
    let clients = VaultClients::connect(vault, token, clock.clone(), book.clone(), variables)
        .await
        .map_err(|error| match error {
            VaultClientsError::Vault(error) => CliError::from(VaultFailure::from(error)),
            other => CliError::failed(other.to_string()),
        })?;
    let teller = Arc::new(Teller::new(app.printer, proxy.tells));
    let teller: Arc<dyn Observer> = match &metrics {
        Some(_) => Arc::new(Counting(teller)),
        None => teller,
    };
    let recorder = Arc::new(clients.recorder(teller));
    let ways = Ways {
        vault: Some(desk),
        server,
    };
    let office = Office::open(
        &proxy.policy,
        office::Terms {
            folders: &app.folders,
            clock: clock.clone(),
            patience: proxy.approval_wait,
            printer: app.printer,
            channels: approvals::channels(app, &proxy.approve_at, ways)?,
            places: proxy.approve_at,
            asker: Asker::Programs,
            asks: false,
        },
    )?;
    let gateway = Gateway::new(Options {
        policy: proxy.policy,
        clients: Arc::new(clients),
        placeholders: book,
        authority: Authority::new(clock).map_err(|error| CliError::failed(error.to_string()))?,
        dialer: Dialer::new(proxy.addresses),
        trust: Trust::system(),
        scan: proxy.scan,
        connections: CONNECTIONS,
        observer: recorder.clone(),
        approver: Office::approver(office.as_ref()),
    })
    .map_err(|error| CliError::failed(error.to_string()))?;
    if let Some(path) = certificate_file {
        publish(&gateway, path)?;
    }
    let served = Served {
        doors,
        office,
        metrics,
    };
    let telemetry = collector.map(Collector::start).transpose()?;
    until_ended(app, signals, &gateway, served, &recorder).await;
    if let Some(telemetry) = telemetry {
        telemetry.end().await;
    }
    Ok(())
}

/// Writes the certificate that clients must trust.
fn publish(gateway: &Gateway, path: PathBuf) -> Result<(), CliError> {
    std::fs::write(&path, gateway.certificate_pem()).map_err(|source| CliError::File {
        action: "write",
        path,
        source,
    })
}

/// What runs until the end.
struct Served {
    doors: Vec<Door>,
    office: Option<Office>,
    metrics: Option<Metrics>,
}

/// Serves at all doors, and puts on record what passes.
async fn until_ended(
    app: &App,
    mut signals: Signals,
    gateway: &Gateway,
    served: Served,
    recorder: &Arc<Recorder>,
) {
    let mut serving = JoinSet::new();
    let writing = {
        let recorder = Arc::clone(recorder);
        tokio::spawn(async move { recorder.write().await })
    };
    let office = served.office;
    let office = office.map(|office| (office.approvals(), tokio::spawn(office.serve())));
    if let Some(metrics) = served.metrics {
        serving.spawn(metrics.serve());
    }
    for Door {
        listener,
        name,
        token,
    } in served.doors
    {
        app.printer.note(&format!("The gateway serves on {name}"));
        let gateway = gateway.clone();
        serving.spawn(async move {
            match token {
                Some(token) => gateway.serve_for(listener, token).await,
                None => gateway.serve(listener).await,
            }
        });
    }
    while !matches!(signals.next().await, Asked::End) {}
    serving.shutdown().await;
    if let Some((approvals, serving)) = office {
        approvals.close();
        // It ends in time by itself.
        let _ = serving.await;
    }
    recorder.finish();
    if tokio::time::timeout(LAST_RECORDS, writing).await.is_err() {
        app.printer
            .warn("the last requests are not on record: the vault does not answer");
    }
}

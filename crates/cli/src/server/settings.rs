//! Settings of a team server: flags, then `server.toml`, then defaults.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use fnox_api::Role;
use fnox_server::settings::{
    ApprovalSettings, ApproveBy, EmailSettings, IssuerSettings, LimitSettings, LoginSettings,
    NotifySettings, NtfySettings, Settings,
};
use ipnet::IpNet;

use super::database::DatabasePlace;
use super::error::{ServerFailure, StartProblem};
use super::file::{Part, ServerFile};
use super::{issuers, network, private};
use crate::app::App;
use crate::environment;
use crate::error::CliError;

const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8443);
const NTFY: &str = "https://ntfy.sh";

/// What flags say. They beat everything else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    pub public_url: Option<String>,
    pub listen: Option<SocketAddr>,
    pub database: Option<String>,
    pub signing_key: Option<PathBuf>,
    pub policy: Option<PathBuf>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub behind_proxy: Vec<IpNet>,
    pub ntfy_url: Option<String>,
    pub ntfy_topic: Option<String>,
    pub ntfy_token_file: Option<PathBuf>,
    pub oidc_issuer: Option<String>,
    pub oidc_audience: Option<String>,
}

/// Where things are. Reading it opens no other file.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub listen: SocketAddr,
    pub public_url: String,
    pub database: DatabasePlace,
    pub signing_key: PathBuf,
    pub policy: PathBuf,
    /// Certificate and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    pub proxies: Vec<IpNet>,
}

impl Places {
    /// Puts flags and file together.
    pub(crate) fn of(app: &App, file: &ServerFile, flags: &Overrides) -> Result<Self, CliError> {
        let top = file.top();
        let path = |flag: &Option<PathBuf>, key: &str| {
            flag.as_ref()
                .map(|path| app.cwd.join(path))
                .or_else(|| top.path(key))
        };
        let beside = |name: &str| file.path.with_file_name(name);
        let listen = listen(top, flags)?;
        let tls = match (
            path(&flags.tls_cert, "tls_cert"),
            path(&flags.tls_key, "tls_key"),
        ) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return Err(half("tls_cert", "tls_key")),
            (None, Some(_)) => return Err(half("tls_key", "tls_cert")),
        };
        let proxies = proxies(top, flags)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let public_url = match &flags.public_url {
            Some(url) => public_url(url)
                .map_err(|reason| CliError::usage(format!("--public-url {reason}")))?,
            None => match top.text("public_url") {
                Some(url) => public_url(url).map_err(|reason| top.invalid("public_url", reason))?,
                None => format!("{scheme}://{listen}"),
            },
        };
        Ok(Self {
            database: database(app, file, flags)?,
            signing_key: path(&flags.signing_key, "signing_key")
                .unwrap_or_else(|| beside("server.key")),
            policy: path(&flags.policy, "policy").unwrap_or_else(|| beside("policy.toml")),
            listen,
            public_url,
            tls,
            proxies,
        })
    }

    /// Refuses to send sessions and grants over a network in clear.
    pub(crate) fn must_be_private(&self) -> Result<(), CliError> {
        if self.tls.is_some() || !self.proxies.is_empty() || self.listen.ip().is_loopback() {
            return Ok(());
        }
        let message = format!(
            "plain HTTP at {} would send tokens over the network in clear",
            self.listen
        );
        Err(ServerFailure::start(StartProblem::Settings, message)
            .with_help(
                "name a certificate with --tls-cert and --tls-key, say which reverse proxy does TLS with --behind-proxy, \
                 or listen at 127.0.0.1",
            )
            .into())
    }
}

/// Everything that the server itself wants to know. Reads the files of secrets.
pub(crate) fn server(
    app: &App,
    file: &ServerFile,
    flags: &Overrides,
    places: &Places,
) -> Result<Settings, CliError> {
    let top = file.top();
    let issuers = issuers::read(file, flags, &places.public_url)?;
    let login = top.table("login");
    Ok(Settings {
        public_url: places.public_url.clone(),
        login: login
            .exists()
            .then(|| self::login(login, &issuers))
            .transpose()?,
        issuers,
        approvals: approvals(top.table("approvals"))?,
        notify: notify(app, file, flags)?,
        limits: limits(top.table("limits"))?,
        proxies: places.proxies.clone(),
        metrics_token: top.secret("metrics_token_file")?,
        policy: places.policy.clone(),
    })
}

/// Where approvers are asked.
pub(crate) fn notify(
    app: &App,
    file: &ServerFile,
    flags: &Overrides,
) -> Result<Vec<NotifySettings>, CliError> {
    let notify = file.top().table("notify");
    let mut channels = Vec::new();
    if let Some(ntfy) = ntfy(app, notify.table("ntfy"), flags)? {
        channels.push(NotifySettings::Ntfy(ntfy));
    }
    let needed = |part: Part<'_>, key: &str| {
        part.secret(key)
            .and_then(|secret| secret.ok_or_else(|| part.invalid(key, "is missing")))
    };
    let webhook = notify.table("webhook");
    if webhook.exists() {
        channels.push(NotifySettings::Webhook {
            url: webhook.owned("url").unwrap_or_default(),
            secret: needed(webhook, "secret_file")?,
        });
    }
    let slack = notify.table("slack");
    if slack.exists() {
        channels.push(NotifySettings::Slack {
            url: needed(slack, "url_file")?,
        });
    }
    let email = notify.table("email");
    if email.exists() {
        channels.push(NotifySettings::Email(EmailSettings {
            server: email.owned("server").unwrap_or_default(),
            username: email.owned("username"),
            password: email.secret("password_file")?,
            from: email.owned("from").unwrap_or_default(),
            to: email.list("to").to_vec(),
        }));
    }
    Ok(channels)
}

fn ntfy(app: &App, part: Part<'_>, flags: &Overrides) -> Result<Option<NtfySettings>, CliError> {
    let topic = flags.ntfy_topic.clone().or_else(|| part.owned("topic"));
    let Some(topic) = topic else {
        if flags.ntfy_url.is_some() || flags.ntfy_token_file.is_some() {
            return Err(CliError::usage("--ntfy-topic is missing"));
        }
        return Ok(None);
    };
    let token = match &flags.ntfy_token_file {
        Some(path) => Some(private::read(&app.cwd.join(path), "--ntfy-token-file")?),
        None => part.secret("token_file")?,
    };
    let priority = part.number("priority", 4_u8)?;
    if priority > 5 {
        return Err(part.invalid("priority", "must be from 1 to 5"));
    }
    Ok(Some(NtfySettings {
        url: flags
            .ntfy_url
            .clone()
            .or_else(|| part.owned("url"))
            .unwrap_or_else(|| NTFY.to_owned()),
        topic,
        token,
        priority,
        one_tap: part.flag("one_tap"),
    }))
}

fn listen(top: Part<'_>, flags: &Overrides) -> Result<SocketAddr, CliError> {
    if let Some(address) = flags.listen {
        return Ok(address);
    }
    let Some(text) = top.text("listen") else {
        return Ok(LISTEN);
    };
    text.parse().map_err(|_| {
        top.invalid(
            "listen",
            format!("is `{text}`, which is not ADDRESS:PORT such as 127.0.0.1:8443"),
        )
    })
}

fn proxies(top: Part<'_>, flags: &Overrides) -> Result<Vec<IpNet>, CliError> {
    if !flags.behind_proxy.is_empty() {
        return Ok(flags.behind_proxy.clone());
    }
    let read = |text: &String| {
        network::parse(text).map_err(|reason| top.invalid("behind_proxy", format!("has {reason}")))
    };
    top.list("behind_proxy").iter().map(read).collect()
}

fn database(app: &App, file: &ServerFile, flags: &Overrides) -> Result<DatabasePlace, CliError> {
    let of_cwd = |text: &str| app.cwd.join(text);
    if let Some(text) = &flags.database {
        let place = DatabasePlace::read(text, of_cwd)
            .map_err(|reason| CliError::usage(format!("--db {reason}")))?;
        if place.has_password() {
            return Err(CliError::Usage {
                message: "--db has a password in it, and every program here can read it there"
                    .to_owned(),
                help: Some(format!(
                    "put it into `database` of server.toml, or into {}",
                    environment::SERVER_DATABASE
                )),
            });
        }
        return Ok(place);
    }
    if let Some(text) = app.env.var(environment::SERVER_DATABASE) {
        return DatabasePlace::read(text, of_cwd).map_err(|reason| {
            CliError::usage(format!("{} {reason}", environment::SERVER_DATABASE))
        });
    }
    let top = file.top();
    match top.text("database") {
        None => Ok(DatabasePlace::Sqlite(app.folders.data.join("server.db"))),
        Some(text) => DatabasePlace::read(text, |path| file.resolved(path))
            .map_err(|reason| without_value(top.invalid("database", reason))),
    }
}

/// The error pointing in front of the value, which may have a password in it.
fn without_value(mut error: CliError) -> CliError {
    if let CliError::Config(fnox_config::ConfigError::InvalidValue { location, .. }) = &mut error {
        location.span.end = location.span.start;
    }
    error
}

fn half(there: &str, missing: &str) -> CliError {
    ServerFailure::start(
        StartProblem::Settings,
        format!("`{there}` is set and `{missing}` is not"),
    )
    .with_help("TLS needs both: --tls-cert and --tls-key, or the keys in server.toml")
    .into()
}

/// Checks what links and audiences are made of; a slash at the end does not count.
fn public_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .ok_or("must begin with https:// or http://")?;
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@' | '\\' | '"');
    if rest.is_empty() || rest.starts_with('/') || !rest.chars().all(is_plain) {
        return Err(format!(
            "is `{}`, which is not an address such as https://fnox.example.com",
            text.escape_debug()
        ));
    }
    Ok(url.to_owned())
}

fn login(part: Part<'_>, issuers: &[IssuerSettings]) -> Result<LoginSettings, CliError> {
    let issuer = part.owned("issuer").unwrap_or_default();
    let client_id = part.owned("client_id").unwrap_or_default();
    let Some(known) = issuers.iter().find(|known| known.name == issuer) else {
        let names: Vec<&str> = issuers.iter().map(|known| known.name.as_str()).collect();
        return Err(part.invalid(
            "issuer",
            format!(
                "is `{issuer}`, and there is no such [[issuer]]; there are: {}",
                names.join(", ")
            ),
        ));
    };
    if known.audience != client_id {
        return Err(part.invalid(
            "client_id",
            format!("must be the `audience` of the issuer `{issuer}`: an id token is for its client (OpenID Connect Core, section 2)"),
        ));
    }
    let roles = part.table("roles");
    let groups = |role: Role| (role, roles.list(role.as_str()).to_vec());
    let scopes = match part.list("scopes") {
        [] => ["openid", "email", "profile", "groups"]
            .map(str::to_owned)
            .to_vec(),
        scopes if scopes.iter().any(|scope| scope == "openid") => scopes.to_vec(),
        _ => return Err(part.invalid("scopes", "must contain `openid`")),
    };
    Ok(LoginSettings {
        issuer,
        client_id,
        client_secret: part.secret("client_secret_file")?,
        scopes,
        groups_claim: part.text("groups_claim").unwrap_or("groups").to_owned(),
        roles: [Role::Admin, Role::Approver, Role::Reader]
            .map(groups)
            .into_iter()
            .filter(|(_, groups)| !groups.is_empty())
            .collect(),
        require_provisioned: part.flag("require_provisioned"),
    })
}

fn approvals(part: Part<'_>) -> Result<ApprovalSettings, CliError> {
    let usual = ApprovalSettings::default();
    let day = Some(Duration::from_hours(24));
    Ok(ApprovalSettings {
        lifetime: part.time("lifetime", usual.lifetime, day)?,
        grant_lifetime: part.time(
            "grant_lifetime",
            usual.grant_lifetime,
            Some(Duration::from_hours(1)),
        )?,
        session_lifetime: part.time(
            "session_lifetime",
            usual.session_lifetime,
            Some(Duration::from_mins(15)),
        )?,
        pending_limit: part.number("pending_limit", usual.pending_limit)?,
        quiet_time: part.time("quiet_time", usual.quiet_time, day)?,
        approve_by: match part.text("approve") {
            Some("login") => ApproveBy::Login,
            _ => ApproveBy::Link,
        },
        choose_code: part.flag("choose_code"),
        approvals_needed: part.number("approvals_needed", usual.approvals_needed)?,
        keep_versions: part.number("keep_versions", usual.keep_versions)?,
        ciphertext_limit: part.number("ciphertext_limit", usual.ciphertext_limit)?,
    })
}

fn limits(part: Part<'_>) -> Result<LimitSettings, CliError> {
    let usual = LimitSettings::default();
    let hour = Some(Duration::from_hours(1));
    Ok(LimitSettings {
        connections: part.number("connections", usual.connections)?,
        body: part.number("body", usual.body)?,
        request: part.time("request_timeout", usual.request, hour)?,
        header: part.time("header_timeout", usual.header, hour)?,
        anonymous_per_minute: part.number("anonymous_per_minute", usual.anonymous_per_minute)?,
        principal_per_minute: part.number("principal_per_minute", usual.principal_per_minute)?,
        drain: part.time("drain_timeout", usual.drain, hour)?,
    })
}

//! Which server is meant, and in whose name to speak with it.

use std::ops::Deref;
use std::time::Duration;

use fnox_api::client::{ApiClient, ClientOptions};
use fnox_config::ConfigError;
use fnox_core::{Clock as _, SecretString};

use crate::app::App;
use crate::args::team::ServerArgs;
use crate::environment;
use crate::error::CliError;
use crate::team::error::TeamFailure;
use crate::team::session;
use crate::team::writer::read_private;

/// Longest file that is taken for a token.
const TOKEN_LIMIT: u64 = 4096;

/// The server's address: `--server`, `FNOX_SERVER_URL`, `server_url` of the global file. A project file cannot name one:
/// it would get the session of whoever opens the project.
pub(crate) fn url(app: &App, args: &ServerArgs) -> Result<String, CliError> {
    let named = args
        .server
        .clone()
        .or_else(|| app.env.var(environment::SERVER_URL).map(str::to_owned));
    let url = match named {
        Some(url) => Some(url),
        None => match app.load() {
            Ok(config) => config.settings.server_url,
            Err(CliError::Config(ConfigError::NotFound { .. })) => None,
            Err(error) => return Err(error),
        },
    };
    let url = url
        .filter(|url| !url.is_empty())
        .ok_or(TeamFailure::NoServer)?;
    // As the client spells it: sessions are kept under this name.
    Ok(client(app, &url)?.url().to_owned())
}

/// A client in nobody's name.
pub(crate) fn client(app: &App, url: &str) -> Result<ApiClient, CliError> {
    let certificates = app.env.var(environment::SERVER_CA_FILE);
    let options = ClientOptions {
        time_limit: app.provider_time_limit().min(Duration::from_mins(1)),
        ca_file: certificates
            .map(|path| fnox_config::fields::resolve_path(path, &app.cwd, app.folders.home())),
        ..ClientOptions::default()
    };
    Ok(ApiClient::new(url, &options).map_err(TeamFailure::from)?)
}

/// A server that knows who asks.
#[derive(Debug)]
pub(crate) struct Server(ApiClient);

impl Server {
    /// In the name of whoever the environment or a login tells: `FNOX_SERVER_TOKEN_FILE`, `FNOX_SERVER_TOKEN`, the
    /// session of `fnox login`, the CI's token.
    pub(crate) async fn connect(app: &App, url: &str) -> Result<Self, CliError> {
        let client = client(app, url)?;
        if let Some(token) = given_token(app)? {
            return Ok(Self(client.with_bearer(token)));
        }
        if let Some(kept) = session::kept(app, url)?
            && kept.expires_at > app.clock.now()
        {
            return Ok(Self(client.with_bearer(kept.token)));
        }
        let limit = app.provider_time_limit();
        let found = fnox_providers::ci_token::find(&app.env, client.url(), limit)
            .await
            .map_err(|error| CliError::Provider {
                provider: "server".to_owned(),
                action: "log in as this job",
                error,
            })?;
        let Some(token) = found else {
            return Err(TeamFailure::NotLoggedIn {
                server: url.to_owned(),
            }
            .into());
        };
        let session = client.open_session(&token).await;
        let session = session.map_err(TeamFailure::from)?;
        Ok(Self(client.with_bearer(session.token)))
    }

    /// In the name of whoever the token belongs to.
    pub(crate) fn with_token(app: &App, url: &str, token: SecretString) -> Result<Self, CliError> {
        Ok(Self(client(app, url)?.with_bearer(token)))
    }
}

impl Deref for Server {
    type Target = ApiClient;

    fn deref(&self) -> &ApiClient {
        &self.0
    }
}

/// A bearer that the environment gives.
pub(crate) fn given_token(app: &App) -> Result<Option<SecretString>, CliError> {
    if let Some(path) = app.env.var(environment::SERVER_TOKEN_FILE) {
        let path = fnox_config::fields::resolve_path(path, &app.cwd, app.folders.home());
        let text = read_private(&path, TOKEN_LIMIT).map_err(|error| TeamFailure::Token {
            from: format!("{} ({})", path.display(), environment::SERVER_TOKEN_FILE),
            reason: error.to_string(),
        })?;
        return one_token(&text, environment::SERVER_TOKEN_FILE).map(Some);
    }
    match app.env.secret(environment::SERVER_TOKEN) {
        Some(text) if !text.is_empty() => one_token(&text, environment::SERVER_TOKEN).map(Some),
        _ => Ok(None),
    }
}

/// A token may go into a header: no line breaks inside.
fn one_token(text: &SecretString, from: &str) -> Result<SecretString, CliError> {
    let token = text.expose_secret().trim();
    if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(TeamFailure::Token {
            from: from.to_owned(),
            reason: "it does not hold one token".to_owned(),
        }
        .into());
    }
    Ok(SecretString::from(token))
}

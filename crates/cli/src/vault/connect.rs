//! Finding the vault, and presenting oneself.
//!
//! A token comes from a file, an open descriptor or the environment, never from an argument: arguments are
//! visible to other users.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use fnox_core::{SecretBytes, SecretString};
use fnox_system::Protection;
use fnox_vault_wire::methods::{Call, Role, Whoami};
use fnox_vault_wire::{Client, ClientOptions, Connector};
use zeroize::Zeroizing;

use super::error::VaultFailure;
use super::settings::{VaultFile, default_socket};
use crate::app::{App, block_on};
use crate::args::vault::ConnectionArgs;
use crate::environment;
use crate::error::CliError;

/// Longest file that is taken for a token.
const TOKEN_LIMIT: u64 = 4096;

/// Asks one thing, and waits for the answer.
pub(crate) fn ask<P>(app: &App, args: &ConnectionArgs, params: &P) -> Result<P::Result, CliError>
where
    P: Call,
    P::Result: 'static,
{
    block_on(async {
        let client = client(app, args).await?;
        call(&client, params).await
    })?
}

/// One call, with the vault's error made ours.
pub(crate) async fn call<P>(client: &Client, params: &P) -> Result<P::Result, CliError>
where
    P: Call,
    P::Result: 'static,
{
    Ok(client.call(params).await.map_err(VaultFailure::from)?)
}

/// Connects to the vault that the command line, the environment or vault.toml means.
pub(crate) async fn client(app: &App, args: &ConnectionArgs) -> Result<Client, CliError> {
    let mut options = ClientOptions::new(connector(app, args)?);
    options.token = token(app, args)?;
    Ok(Client::connect(options).await.map_err(VaultFailure::from)?)
}

/// In whose name to ask: the flag, the environment, or the agent that the token belongs to.
pub(crate) async fn agent(
    app: &App,
    client: &Client,
    flag: Option<&str>,
) -> Result<String, CliError> {
    if let Some(agent) = flag.or_else(|| app.env.var(environment::VAULT_AGENT)) {
        return Ok(agent.to_owned());
    }
    let identity = call(client, &Whoami {}).await?;
    match (identity.role, identity.agent) {
        (Role::Agent, Some(agent)) => Ok(agent),
        _ => Err(VaultFailure::NoAgent.into()),
    }
}

/// The vault that an option or a variable of this name means.
fn named(app: &App, text: &str, name: &str) -> Result<Connector, CliError> {
    let connector: Connector = text
        .parse()
        .map_err(|error| CliError::usage(format!("{name}: {error}")))?;
    Ok(match connector {
        Connector::Unix(path) => Connector::Unix(app.cwd.join(path)),
        other => other,
    })
}

fn connector(app: &App, args: &ConnectionArgs) -> Result<Connector, CliError> {
    match &args.socket {
        Some(text) => named(app, text, "--socket"),
        None => usual_place(app),
    }
}

/// The vault that the environment or vault.toml means.
pub(crate) fn usual_place(app: &App) -> Result<Connector, CliError> {
    if let Some(text) = app.env.var(environment::VAULT_SOCKET) {
        return named(app, text, environment::VAULT_SOCKET);
    }
    let file = VaultFile::read(app, None)?;
    let path = file.path_of(app, "socket");
    Ok(Connector::Unix(path.unwrap_or_else(|| default_socket(app))))
}

fn token(app: &App, args: &ConnectionArgs) -> Result<Option<SecretString>, CliError> {
    let variable = app.env.var(environment::VAULT_TOKEN_FILE).map(Path::new);
    let descriptor = args
        .token_fd
        .map(|number| PathBuf::from(format!("/dev/fd/{number}")));
    let file = descriptor.as_deref().or(args.token_file.as_deref());
    let token = match file.or(variable) {
        Some(path) => read_token(&app.cwd.join(path))?,
        None => match app.env.secret(environment::VAULT_TOKEN) {
            Some(token) => token,
            None => return Ok(None),
        },
    };
    Ok(Some(token))
}

/// Says so if others can open the user's own file. What was handed over open is nobody's place.
fn warn_of_others(path: &Path, file: &std::fs::File) {
    let protection = Protection::of(file)
        .ok()
        .filter(|protection| protection.is_own() && !path.starts_with("/dev/fd"));
    if let Some(others) = protection.and_then(|protection| protection.who_else_opens()) {
        let path = path.display();
        tracing::warn!(
            "the token in {path} can be opened by others ({others}). Run: chmod 600 {path}"
        );
    }
}

/// Reads a token's file. One line end after it does not count.
pub(crate) fn read_token(path: &Path) -> Result<SecretString, CliError> {
    let failed = |reason: String| VaultFailure::Token {
        from: path.display().to_string(),
        reason,
    };
    let mut bytes = Zeroizing::new(Vec::new());
    std::fs::File::open(path)
        .and_then(|file| {
            warn_of_others(path, &file);
            file.take(TOKEN_LIMIT + 1).read_to_end(&mut bytes)
        })
        .map_err(|error| failed(error.to_string()))?;
    let text = SecretBytes::new(std::mem::take(&mut *bytes))
        .into_string()
        .map_err(|error| failed(error.to_string()))?;
    let token = text.expose_secret();
    let token = token.strip_suffix('\n').unwrap_or(token);
    let token = token.strip_suffix('\r').unwrap_or(token);
    if token.is_empty() || token.len() as u64 > TOKEN_LIMIT || token.contains(char::is_whitespace) {
        return Err(failed("there is no token in it".to_owned()).into());
    }
    Ok(token.into())
}

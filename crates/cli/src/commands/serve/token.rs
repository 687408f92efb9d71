//! `fnox serve token`
//!
//! On the database itself, or by the server that has it open.

use std::time::Duration;

use fnox_api::{CreateToken, ProblemCode, TokenView};
use fnox_core::audit::{Entry, Outcome};
use fnox_core::{Clock as _, SecretString, TokenKind};
use fnox_server::Store;
use fnox_server::service::{is_gateway_name, token_lifetimes, token_view};
use jiff::Timestamp;
use uuid::Uuid;

use super::places;
use crate::app::{App, block_on};
use crate::args::serve::{FileArgs, TokenArgs, TokenCommand, TokenRole};
use crate::args::team::ServerArgs;
use crate::durations::seconds;
use crate::error::CliError;
use crate::output::Table;
use crate::server::assemble::{self, store_failed};
use crate::server::documents::{ListedToken, ServerToken, ShownToken};
use crate::team::error::TeamFailure;
use crate::team::server::{self, Server};

pub(super) fn run(app: &App, args: &TokenArgs) -> Result<(), CliError> {
    match &args.command {
        None => create(app, args),
        Some(TokenCommand::List { file, json }) => list(app, &args.server, file, *json),
        Some(TokenCommand::Revoke { id, file }) => revoke(app, &args.server, file, id),
    }
}

/// Who works on the tokens.
enum Way {
    /// This process, on the database.
    Direct(Store),
    /// The running server.
    Asked(Server),
}

impl Way {
    /// The running server, if it is named or has the database open; else the database.
    async fn find(app: &App, server: &ServerArgs, file: &FileArgs) -> Result<Self, CliError> {
        if server.server.is_some() {
            let url = server::url(app, server)?;
            return Server::connect(app, &url).await.map(Self::Asked);
        }
        let (_, places) = places(app, file)?;
        match assemble::store(&places).await {
            Ok(store) => Ok(Self::Direct(store)),
            Err(CliError::Server(error)) if error.is_locked() => {
                // Of this database, and no other that the environment may name.
                let url = server::client(app, &places.public_url)?.url().to_owned();
                Server::connect(app, &url).await.map(Self::Asked)
            }
            Err(error) => Err(error),
        }
    }

    async fn create(
        &self,
        wanted: &Wanted,
        now: Timestamp,
    ) -> Result<(SecretString, Timestamp), CliError> {
        let lifetime = wanted.lifetime;
        match self {
            Self::Direct(store) => {
                let name = wanted.name.clone();
                let issued = store.issue_token(wanted.kind, name, lifetime, now).await;
                let token = issued.map_err(store_failed)?.secret().clone();
                Ok((token, now.checked_add(lifetime).unwrap_or(now)))
            }
            Self::Asked(server) => {
                let wanted = CreateToken {
                    role: wanted.role.to_owned(),
                    name: wanted.name.clone(),
                    ttl_seconds: Some(lifetime.as_secs()),
                };
                let issued = server.create_token(&wanted).await;
                let issued = issued.map_err(TeamFailure::from)?;
                Ok((issued.token, issued.expires_at))
            }
        }
    }

    async fn list(&self, now: Timestamp) -> Result<Vec<TokenView>, CliError> {
        match self {
            Self::Direct(store) => {
                let found = store.own_tokens(now).await.map_err(store_failed)?;
                Ok(found.iter().map(token_view).collect())
            }
            Self::Asked(server) => {
                let found = server.tokens().await;
                Ok(found.map_err(TeamFailure::from)?.tokens)
            }
        }
    }

    async fn revoke(&self, id: Uuid) -> Result<(), CliError> {
        match self {
            Self::Direct(store) => {
                let mut entry = Entry::new("token_revoked", "system", Outcome::Ok);
                entry.lease = Some(id);
                match store.end_own_token(id, entry).await {
                    Err(error) if error.refusal().is_some() => Err(no_token(id)),
                    outcome => outcome.map_err(store_failed),
                }
            }
            Self::Asked(server) => match server.end_token(id).await {
                Err(error) if error.code() == Some(ProblemCode::NotFound) => Err(no_token(id)),
                outcome => Ok(outcome.map_err(TeamFailure::from)?),
            },
        }
    }
}

/// A token to make.
struct Wanted {
    kind: TokenKind,
    role: &'static str,
    /// Of a gateway.
    name: Option<String>,
    lifetime: Duration,
}

fn no_token(id: Uuid) -> CliError {
    CliError::Input {
        what: format!("the token {id}"),
        reason: "there is none, or it has ended".to_owned(),
        help: Some("`fnox serve token list` shows those that are good".to_owned()),
    }
}

fn create(app: &App, args: &TokenArgs) -> Result<(), CliError> {
    let (kind, role) = match args.role {
        Some(TokenRole::Admin) => (TokenKind::Bootstrap, "admin"),
        Some(TokenRole::Scim) => (TokenKind::Provisioning, "scim"),
        Some(TokenRole::Gateway) => (TokenKind::Gateway, "gateway"),
        None => return Err(CliError::usage("--role: say whose token it is")),
    };
    let name = match (&args.name, kind) {
        (None, TokenKind::Gateway) => {
            return Err(CliError::usage("--name: say which gateway it is for"));
        }
        (Some(name), TokenKind::Gateway) if !is_gateway_name(name) => {
            return Err(CliError::usage(
                "--name: up to 64 letters, digits, `.`, `_` and `-`",
            ));
        }
        (Some(_), TokenKind::Bootstrap | TokenKind::Provisioning) => {
            return Err(CliError::usage("--name: only gateways have one"));
        }
        (name, _) => name.clone(),
    };
    let (usual, longest) = token_lifetimes(kind);
    let lifetime = match &args.ttl {
        None => usual,
        Some(text) => Duration::from_secs(seconds(text, "--ttl")?),
    };
    if lifetime > longest {
        return Err(CliError::usage(format!(
            "--ttl: at most {}",
            fnox_core::Lifetime::from_secs(longest.as_secs())
        )));
    }
    let wanted = Wanted {
        kind,
        role,
        name,
        lifetime,
    };
    let (token, expires_at) = block_on(async {
        let way = Way::find(app, &args.server, &args.file).await?;
        way.create(&wanted, app.clock.now()).await
    })??;
    if args.json {
        return app.printer.json(&ServerToken {
            token: ShownToken(token),
            role,
            expires_at: expires_at.to_string(),
        });
    }
    app.printer.note(&format!(
        "A token of the role {role}, until {}; it is not shown again:",
        shown(expires_at)
    ));
    app.printer.line(token.expose_secret())
}

fn list(app: &App, server: &ServerArgs, file: &FileArgs, json: bool) -> Result<(), CliError> {
    let tokens = block_on(async {
        let way = Way::find(app, server, file).await?;
        way.list(app.clock.now()).await
    })??;
    if json {
        let tokens: Vec<ListedToken> = tokens.into_iter().map(ListedToken::from).collect();
        return app.printer.json(&tokens);
    }
    if tokens.is_empty() {
        app.printer.note("No tokens.");
        return Ok(());
    }
    let mut table = Table::new(&["ID", "ROLE", "NAME", "MADE", "EXPIRES"], false);
    for token in tokens {
        table.row(vec![
            token.id.to_string(),
            token.role,
            token.name.unwrap_or_default(),
            shown(token.created_at),
            shown(token.expires_at),
        ]);
    }
    app.printer.line(&table.render())
}

fn revoke(app: &App, server: &ServerArgs, file: &FileArgs, id: &str) -> Result<(), CliError> {
    // Not said back: it may be a token.
    let id = Uuid::parse_str(id).map_err(|_| CliError::Input {
        what: "ID".to_owned(),
        reason: "it is no token's id".to_owned(),
        help: Some("`fnox serve token list` shows the ids; a token itself is none".to_owned()),
    })?;
    block_on(async {
        let way = Way::find(app, server, file).await?;
        way.revoke(id).await
    })??;
    app.printer.done(&format!("Revoked the token {id}"));
    Ok(())
}

fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

//! `fnox serve freeze`, `unfreeze`, `revoke-all`
//!
//! Usually by the running server, as an administrator. With `--config` directly on the database: for when there is no
//! administrator's session, or no server.

use fnox_api::ServerState;
use fnox_core::Clock as _;
use fnox_core::audit::{Entry, Outcome};
use fnox_server::Store;

use super::places;
use crate::app::{App, block_on};
use crate::args::serve::EmergencyArgs;
use crate::error::CliError;
use crate::server::assemble::{self, store_failed};
use crate::server::documents::ServerStateShown;
use crate::team::error::TeamFailure;
use crate::team::server::{self, Server};
use crate::vault::values::count;

pub(super) fn set_frozen(app: &App, args: &EmergencyArgs, frozen: bool) -> Result<(), CliError> {
    let state = block_on(async {
        if let Some(store) = direct(app, args).await? {
            let event = if frozen {
                "server_frozen"
            } else {
                "server_unfrozen"
            };
            let changed = store.set_frozen(frozen, entry(event)).await;
            changed.map_err(store_failed)?;
            return Ok(ServerState {
                frozen,
                sessions_ended: 0,
                approvals_cancelled: 0,
            });
        }
        let server = connect(app, args).await?;
        let answer = if frozen {
            server.freeze().await
        } else {
            server.unfreeze().await
        };
        Ok::<_, CliError>(answer.map_err(TeamFailure::from)?)
    })??;
    let message = if frozen {
        "Frozen: nothing is released until `fnox serve unfreeze`"
    } else {
        "Unfrozen: approved requests are released again"
    };
    tell(app, args, &state, message)
}

pub(super) fn revoke_all(app: &App, args: &EmergencyArgs) -> Result<(), CliError> {
    let state = block_on(async {
        if let Some(store) = direct(app, args).await? {
            let entry = entry("everything_revoked");
            let revoked = store.revoke_all(None, app.clock.now(), entry).await;
            let ended = revoked.map_err(store_failed)?;
            return Ok(ServerState {
                frozen: store.frozen().await.map_err(store_failed)?,
                sessions_ended: ended.sessions,
                approvals_cancelled: ended.approvals,
            });
        }
        let server = connect(app, args).await?;
        let answer = server.revoke_all().await;
        Ok::<_, CliError>(answer.map_err(TeamFailure::from)?)
    })??;
    let message = format!(
        "Ended {}, with the tokens of identity providers, and {}, with every grant",
        count(state.sessions_ended, "session"),
        count(state.approvals_cancelled, "approval")
    );
    tell(app, args, &state, &message)
}

/// The database itself, if `--config` asks for it.
async fn direct(app: &App, args: &EmergencyArgs) -> Result<Option<Store>, CliError> {
    if args.file.file.is_none() {
        return Ok(None);
    }
    let (_, places) = places(app, &args.file)?;
    let store = assemble::store(&places).await;
    store.map(Some).map_err(|error| match error {
        CliError::Server(failure) if failure.is_locked() => {
            CliError::Server(failure.with_help(
                "ask the server that has it open: leave `--config` out, with an administrator's token in \
                 FNOX_SERVER_TOKEN_FILE",
            ))
        }
        other => other,
    })
}

async fn connect(app: &App, args: &EmergencyArgs) -> Result<Server, CliError> {
    let url = server::url(app, &args.server)?;
    Server::connect(app, &url).await
}

fn entry(event: &str) -> Entry {
    let mut entry = Entry::new(event, "system", Outcome::Ok);
    entry.reason = Some("on the database's own machine".to_owned());
    entry
}

fn tell(
    app: &App,
    args: &EmergencyArgs,
    state: &ServerState,
    message: &str,
) -> Result<(), CliError> {
    if args.json {
        return app.printer.json(&ServerStateShown {
            frozen: state.frozen,
            sessions_ended: state.sessions_ended,
            approvals_cancelled: state.approvals_cancelled,
        });
    }
    app.printer.done(message);
    Ok(())
}

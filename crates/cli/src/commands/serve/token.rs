//! `fnox serve token`

use std::time::Duration;

use fnox_core::{Clock as _, TokenKind};

use super::init::BOOTSTRAP_LIFETIME;
use super::places;
use crate::app::{App, block_on};
use crate::args::serve::{TokenArgs, TokenRole};
use crate::error::CliError;
use crate::server::assemble::{self, store_failed};
use crate::server::documents::{ServerToken, ShownToken};
use crate::vault::values::seconds;

/// An administrator's token stands in for a login, so it does not last.
const LONGEST_ADMINISTRATOR: Duration = Duration::from_hours(7 * 24);
const YEAR: Duration = Duration::from_hours(365 * 24);

pub(super) fn run(app: &App, args: &TokenArgs) -> Result<(), CliError> {
    let (kind, role, usual, longest) = match args.role {
        TokenRole::Admin => (
            TokenKind::Bootstrap,
            "admin",
            BOOTSTRAP_LIFETIME,
            LONGEST_ADMINISTRATOR,
        ),
        TokenRole::Scim => (TokenKind::Provisioning, "scim", YEAR, 2 * YEAR),
    };
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
    let (_, places) = places(app, &args.file)?;
    let now = app.clock.now();
    let token = block_on(async {
        let store = assemble::store(&places).await?;
        let issued = store.issue_token(kind, lifetime, now).await;
        issued.map_err(store_failed)
    })??;
    let expires_at = now.checked_add(lifetime).unwrap_or(now);
    if args.json {
        return app.printer.json(&ServerToken {
            token: ShownToken(token.secret().clone()),
            role,
            expires_at: expires_at.to_string(),
        });
    }
    app.printer.note(&format!(
        "A token of the role {role}, until {}; it is not shown again:",
        expires_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    ));
    app.printer.line(token.secret().expose_secret())
}

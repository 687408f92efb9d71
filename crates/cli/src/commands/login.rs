//! `fnox login` and `fnox logout`

use std::path::Path;

use fnox_core::{Clock as _, SecretString};

use crate::app::{App, block_on};
use crate::args::team::{LoginArgs, LogoutArgs};
use crate::error::CliError;
use crate::output::Printer;
use crate::team::documents::LoggedIn;
use crate::team::error::TeamFailure;
use crate::team::login::{Browser, Provider, Tell, by_code, by_device, http_client};
use crate::team::server::{self, Server};
use crate::team::session;
use crate::team::writer::read_private;
use crate::terminal::harmless;

/// Longest OIDC token that is read; the server takes 16 KiB.
const TOKEN_LIMIT: u64 = 64 * 1024;

pub(crate) fn run(app: &App, args: &LoginArgs) -> Result<(), CliError> {
    let url = server::url(app, &args.server)?;
    let ready = args
        .token_file
        .as_deref()
        .map(|path| ready_token(app, path))
        .transpose()?;
    let session = block_on(async {
        let client = server::client(app, &url)?;
        let token = if let Some(token) = ready {
            token
        } else {
            let options = client.login_options().await.map_err(TeamFailure::from)?;
            let provider = Provider::discover(&options.issuer, http_client()?).await?;
            let tell = Terminal(app.printer);
            if args.device {
                by_device(&provider, &options, &tell).await?
            } else {
                let browser = Browser::new(&app.env, !args.no_browser);
                by_code(&provider, &options, args.port, &browser, &tell).await?
            }
        };
        let session = client.open_session(&token).await;
        Ok::<_, CliError>(session.map_err(TeamFailure::from)?)
    })??;
    session::keep(app, &url, &session)?;
    if args.json {
        return app.printer.json(&LoggedIn::new(&url, &session));
    }
    let roles: Vec<&str> = session.roles.iter().map(|role| role.as_str()).collect();
    let roles = if roles.is_empty() {
        "no role".to_owned()
    } else {
        roles.join(", ")
    };
    app.printer.done(&format!(
        "Logged in to {url} as {} ({roles}), until {}",
        harmless(&session.principal),
        session.expires_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    ));
    Ok(())
}

pub(crate) fn logout(app: &App, args: &LogoutArgs) -> Result<(), CliError> {
    let url = server::url(app, &args.server)?;
    let Some(kept) = session::kept(app, &url)? else {
        app.printer
            .note(&format!("You are not logged in to {url}."));
        return Ok(());
    };
    // Here first: a server that does not answer must not keep the session on this disk.
    session::forget(app, &url)?;
    if kept.expires_at > app.clock.now() {
        let server = Server::with_token(app, &url, kept.token)?;
        let ended = block_on(async { server.end_session().await })?;
        if let Err(error) = ended {
            app.printer.warn(&format!(
                "the server was not told, and the session there ends by itself at {}: {error}",
                kept.expires_at.strftime("%H:%M:%S UTC")
            ));
        }
    }
    app.printer.done(&format!("Logged out of {url}"));
    Ok(())
}

fn ready_token(app: &App, path: &Path) -> Result<SecretString, CliError> {
    let (path, from) = if path == Path::new("-") {
        ("/dev/stdin".into(), "stdin".to_owned())
    } else {
        (app.cwd.join(path), path.display().to_string())
    };
    let text = read_private(&path, TOKEN_LIMIT).map_err(|error| TeamFailure::Token {
        from: from.clone(),
        reason: error.to_string(),
    })?;
    let token = text.expose_secret().trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(TeamFailure::Token {
            from,
            reason: "it does not hold one token".to_owned(),
        }
        .into());
    }
    Ok(SecretString::from(token))
}

struct Terminal(Printer);

impl Tell for Terminal {
    fn open(&self, url: &str, opened: bool) {
        let text = if opened {
            format!(
                "Your browser opens the login page. If it does not, open it yourself:\n\n  {url}\n"
            )
        } else {
            format!("Open this page in a browser on this machine:\n\n  {url}\n")
        };
        self.0.say(&text);
    }

    fn device(&self, url: &str, code: &str) {
        self.0.say(&format!(
            "Open this page on any device:\n\n  {url}\n\nIt must show, or ask for, this code: {code}\nUse only a code that you asked for yourself.\n"
        ));
    }
}

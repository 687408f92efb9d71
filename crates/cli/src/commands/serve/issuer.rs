//! `fnox serve issuer`: tokens for machines without a CI, and for trying a server out.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use fnox_core::Clock as _;
use fnox_server::oidc::OwnIssuer;
use serde_json::{Map, Value};

use crate::app::App;
use crate::args::serve::{IssuerCommand, IssuerGroup, IssuerTokenArgs};
use crate::durations::seconds;
use crate::error::CliError;
use crate::server::private;
use crate::team::writer::write_private;

const KEY: &str = "issuer.key";
const KEY_SET: &str = "jwks.json";

/// As much as a server takes of a token.
const CLAIMS_LIMIT: u64 = 16 * 1024;
/// As long as a server takes tokens.
const LONGEST: Duration = Duration::from_hours(24);

pub(super) fn run(app: &App, group: &IssuerGroup) -> Result<(), CliError> {
    match &group.command {
        IssuerCommand::Init { dir } => init(app, &app.cwd.join(dir)),
        IssuerCommand::Token(args) => token(app, args),
    }
}

fn init(app: &App, folder: &Path) -> Result<(), CliError> {
    let issuer = OwnIssuer::generate().map_err(|error| CliError::failed(error.to_string()))?;
    write(&folder.join(KEY), issuer.file().as_bytes())?;
    write(&folder.join(KEY_SET), issuer.key_set().as_bytes())?;
    app.printer.note(&format!(
        "The key is in {}; whoever has it can be any job. {} is for `jwks_file` of an [[issuer]].",
        folder.join(KEY).display(),
        folder.join(KEY_SET).display()
    ));
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> Result<(), CliError> {
    write_private(path, content, false).map_err(|source| CliError::File {
        action: "create",
        path: path.to_owned(),
        source,
    })
}

fn token(app: &App, args: &IssuerTokenArgs) -> Result<(), CliError> {
    let path = app.cwd.join(&args.dir).join(KEY);
    let text = private::read(&path, "the issuer's key")?;
    let unreadable = |what: String, reason: String, help: Option<&str>| CliError::Input {
        what,
        reason,
        help: help.map(str::to_owned),
    };
    let issuer = OwnIssuer::parse(text.expose_secret()).map_err(|error| {
        unreadable(
            path.display().to_string(),
            error.to_string(),
            Some("`fnox serve issuer init --dir DIR` makes one"),
        )
    })?;
    let lifetime = Duration::from_secs(seconds(&args.ttl, "--ttl")?);
    if lifetime > LONGEST {
        return Err(CliError::usage("--ttl: no server takes more than 24h"));
    }
    let claims = claims(app, &args.claims)?;
    if !claims.get("sub").is_some_and(Value::is_string) {
        return Err(unreadable(
            args.claims.display().to_string(),
            "it has no claim `sub` that is a text".to_owned(),
            Some("`sub` names whom the token is for"),
        ));
    }
    let now = app.clock.now();
    let token = issuer
        .sign(&args.issuer, &args.audience, &claims, lifetime, now)
        .map_err(|error| unreadable(args.claims.display().to_string(), error.to_string(), None))?;
    app.printer.line(&token)
}

fn claims(app: &App, path: &Path) -> Result<Map<String, Value>, CliError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin()
            .take(CLAIMS_LIMIT)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(app.cwd.join(path))
            .and_then(|file| file.take(CLAIMS_LIMIT).read_to_string(&mut text))
    };
    read.map_err(|source| CliError::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|error| CliError::Input {
        what: path.display().to_string(),
        reason: format!("it is not one JSON object: {error}"),
        help: None,
    })
}

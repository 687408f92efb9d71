//! `fnox serve init`
//!
//! Asks nothing and overwrites nothing: what is there is left as it is and named, what is missing is made. So an init
//! that was interrupted is finished by another. The first administrator's token is shown once, by the run that makes
//! the database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_core::{Clock as _, Host, SecretString, TokenKind};
use fnox_server::ServerKeys;
use fnox_server::policy::Policy;
use zeroize::Zeroizing;

use crate::app::{App, block_on};
use crate::args::serve::ServeInitArgs;
use crate::environment;
use crate::error::CliError;
use crate::server::assemble::{self, OpenDatabase, store_failed};
use crate::server::database::DatabasePlace;
use crate::server::documents::{ServerInitialised, ShownToken};
use crate::server::error::{ServerFailure, StartProblem};
use crate::server::file::{FILE_NAME, ServerFile};
use crate::server::settings::{Overrides, Places};
use crate::server::template::{self, Chosen};
use crate::team::writer::write_private;

/// How long the first administrator has to let people in.
const BOOTSTRAP_LIFETIME: Duration = Duration::from_hours(24);

pub(super) fn run(app: &App, args: &ServeInitArgs) -> Result<(), CliError> {
    let path = place(app, args);
    let mut file = ServerFile::read_or_new(app, path.clone())?;
    let flags = Overrides {
        public_url: args.public_url.clone(),
        database: args.database.clone(),
        ..Overrides::default()
    };
    let mut created = Vec::new();
    if !file.exists() {
        let text = config(app, args, &file, &flags)?;
        write(&path, text.as_bytes())?;
        created.push("config");
        file = ServerFile::read_or_new(app, path)?;
    }
    let places = Places::of(app, &file, &flags)?;
    if !places.policy.exists() {
        write(&places.policy, template::POLICY.as_bytes())?;
        created.push("policy");
    }
    if make_key(&places)? {
        created.push("signing_key");
    }
    let token = block_on(create(app, &places))??;
    if token.is_some() {
        created.push("database");
    }
    let report = ServerInitialised {
        bootstrap_token: token.map(ShownToken),
        config: file.path.display().to_string(),
        policy: places.policy.display().to_string(),
        database: places.database.to_string(),
        signing_key: places.signing_key.display().to_string(),
        created,
    };
    if args.json {
        return app.printer.json(&report);
    }
    tell(app, &report, &places)
}

/// Where server.toml is or will be.
fn place(app: &App, args: &ServeInitArgs) -> PathBuf {
    match &args.dir {
        Some(folder) => app.cwd.join(folder).join(FILE_NAME),
        None => app.env.var(environment::SERVER_CONFIG).map_or_else(
            || app.folders.config.join(FILE_NAME),
            |path| app.cwd.join(path),
        ),
    }
}

/// The text of a new server.toml.
fn config(
    app: &App,
    args: &ServeInitArgs,
    file: &ServerFile,
    flags: &Overrides,
) -> Result<String, CliError> {
    let usual = Places::of(app, file, flags)?;
    let is_named = args.database.is_some() || app.env.var(environment::SERVER_DATABASE).is_some();
    let database = match &usual.database {
        DatabasePlace::Sqlite(_) if args.dir.is_some() && !is_named => "server.db".to_owned(),
        DatabasePlace::Sqlite(path) => path.display().to_string(),
        DatabasePlace::Postgres(url) => url.expose_secret().to_owned(),
    };
    // No phone reaches an address of this machine alone, so nothing about such a server need leave it.
    let topic = (!is_of_this_machine(&usual.public_url))
        .then(fnox_server::notify::random_topic)
        .transpose()
        .map_err(|error| ServerFailure::start(StartProblem::Settings, error.to_string()))?;
    Ok(template::server_toml(&Chosen {
        public_url: &usual.public_url,
        listen: &usual.listen.to_string(),
        database: &database,
        signing_key: "server.key",
        policy: policy_name(&usual.policy),
        topic: topic.as_deref(),
    }))
}

/// Whether an address leads to the machine that it is used on.
fn is_of_this_machine(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    Host::parse(authority).is_ok_and(|host| {
        host.ip().is_some_and(|ip| ip.is_loopback()) || host.name() == "localhost"
    })
}

/// `policy.toml`, unless that is the policy of something else, as of a vault in the same folder.
fn policy_name(usual: &Path) -> &'static str {
    let text = std::fs::read_to_string(usual);
    match text {
        Ok(text) if Policy::parse(&text, &[]).is_err() => "server-policy.toml",
        _ => "policy.toml",
    }
}

/// Makes a signing key. A database whose key is gone does not get another one: its audit log could not be verified.
fn make_key(places: &Places) -> Result<bool, CliError> {
    let path = &places.signing_key;
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    if let Some(database) = places.database.file().filter(|file| file.exists()) {
        let message = format!(
            "there is a database in {}, and its signing key {} is gone",
            database.display(),
            path.display()
        );
        return Err(ServerFailure::start(StartProblem::Key, message)
            .with_help("restore the key, or move the database away")
            .into());
    }
    let line = ServerKeys::generate_line()
        .map_err(|error| ServerFailure::start(StartProblem::Key, error.to_string()))?;
    let mut text = Zeroizing::new(String::with_capacity(512));
    text.push_str(
        "# Signs links and chains the audit log. To replace it put a new line before this one, and keep this one.\n",
    );
    text.push_str(&line);
    text.push('\n');
    write(path, text.as_bytes())?;
    Ok(true)
}

/// Makes the database and its first administrator. `None`: there is one already.
async fn create(app: &App, places: &Places) -> Result<Option<SecretString>, CliError> {
    let keys = assemble::keys(places)?;
    let was_there = places.database.file().is_some_and(Path::exists);
    let database = match OpenDatabase::open(&places.database, true).await {
        Ok(database) => database,
        // A server that runs has finished its set-up.
        Err(CliError::Server(error)) if was_there && error.is_locked() => return Ok(None),
        Err(error) => return Err(error),
    };
    let head = database.shared().audit_head().await.map_err(store_failed)?;
    if head.is_some() {
        return Ok(None);
    }
    let store = database.unlocked(&keys).await?;
    let token = store
        .issue_token(
            TokenKind::Bootstrap,
            None,
            BOOTSTRAP_LIFETIME,
            app.clock.now(),
        )
        .await
        .map_err(store_failed)?;
    Ok(Some(token.secret().clone()))
}

fn write(path: &Path, content: &[u8]) -> Result<(), CliError> {
    write_private(path, content, false).map_err(|source| CliError::File {
        action: "create",
        path: path.to_owned(),
        source,
    })
}

fn tell(app: &App, report: &ServerInitialised, places: &Places) -> Result<(), CliError> {
    let things = [
        ("config", "the configuration", &report.config),
        ("policy", "the policy", &report.policy),
        ("signing_key", "the signing key", &report.signing_key),
        ("database", "the database", &report.database),
    ];
    for (word, name, place) in things {
        if report.created.contains(&word) {
            app.printer.done(&format!("Made {name}: {place}"));
        } else {
            app.printer
                .note(&format!("There is {name} already: {place}"));
        }
    }
    if report.created.contains(&"config") {
        app.printer.note(if is_of_this_machine(&places.public_url) {
            "\nNobody is told of requests yet: `[notify]` in the configuration says who is. `fnox approve` lists them."
        } else {
            "\nRequests are sent to https://ntfy.sh, to a topic that only the configuration has: subscribe to it, or say in \
             `[notify]` where they go instead."
        });
    }
    let Some(token) = &report.bootstrap_token else {
        app.printer.note(
            "\nThe first administrator's token was shown before; `fnox serve token --role admin` makes another.",
        );
        return Ok(());
    };
    app.printer.note(&format!(
        "\nNext:\n\
         \x20 fnox serve --config {}    in another terminal, or as a service\n\
         \x20 $EDITOR {}    say who may ask for what\n\
         \x20 export FNOX_SERVER_URL={} FNOX_SERVER_TOKEN_FILE=admin.token\n\
         \x20 fnox secret set NPM_TOKEN --project my-app    store a secret\n\n\
         The first administrator's token, for a day; it is not shown again:",
        report.config, report.policy, places.public_url
    ));
    app.printer.line(token.0.expose_secret())
}

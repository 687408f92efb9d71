//! `fnox vault backup`, `restore` and `import`

use fnox_store_sqlite::SqliteStore;
use fnox_vault_wire::methods::Backup;

use crate::app::App;
use crate::args::vault::{BackupArgs, RestoreArgs, VaultImportCommand};
use crate::error::CliError;
use crate::vault::connect::ask;
use crate::vault::documents::Restored;
use crate::vault::error::{StartProblem, VaultFailure};
use crate::vault::place::StorePlace;
use crate::vault::settings::{Overrides, Settings};

pub(super) fn backup(app: &App, args: &BackupArgs) -> Result<(), CliError> {
    let path = app.cwd.join(&args.path);
    let path = path.to_str().ok_or_else(|| {
        CliError::usage("the path is not UTF-8, which the vault's protocol needs")
    })?;
    let params = Backup {
        path: path.to_owned(),
    };
    let written = ask(app, &args.client.connection, &params)?;
    if args.client.json {
        return app.printer.json(&written);
    }
    app.printer.done(&format!(
        "Wrote {} ({} bytes). The key is not in it: keep a copy of that too.",
        written.path, written.bytes
    ));
    Ok(())
}

pub(super) fn restore(app: &App, args: &RestoreArgs) -> Result<(), CliError> {
    let settings = Settings::load(app, args.vault_config.as_deref(), &Overrides::default())?;
    let store = match &settings.store {
        StorePlace::Sqlite(path) => path,
        StorePlace::AwsSm(_) => &settings.audit.store,
        StorePlace::Postgres(_) => {
            return Err(CliError::Usage {
                message: "a PostgreSQL store is restored with PostgreSQL's own tools".to_owned(),
                help: Some("see pg_restore(1)".to_owned()),
            });
        }
    };
    let from = app.cwd.join(&args.path);
    SqliteStore::restore(&from, store, &app.clock).map_err(|error| VaultFailure::Start {
        message: error.to_string(),
        reason: StartProblem::Store,
        help: Some("no vault may run on the store while it is restored".to_owned()),
    })?;
    let restored = Restored {
        store: store.display().to_string(),
        from: from.display().to_string(),
    };
    if args.json {
        return app.printer.json(&restored);
    }
    app.printer.done(&format!(
        "Restored {}. Its leases and tokens have ended.",
        restored.store
    ));
    Ok(())
}

pub(super) fn import(app: &App, command: &VaultImportCommand) -> Result<(), CliError> {
    let VaultImportCommand::Zerolease(args) = command;
    super::zerolease::run(app, args)
}

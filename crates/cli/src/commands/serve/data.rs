//! `fnox serve backup`, `restore`, `restored`, `audit verify`

use std::path::Path;

use fnox_core::audit::Verifier;
use fnox_server::{ServerKeys, StoreError};
use fnox_store_sqlite::SqliteDatabase;

use super::places;
use crate::app::{App, block_on};
use crate::args::serve::{AuditCommand, AuditGroup, BackupArgs, RestoreArgs, RestoredArgs};
use crate::error::CliError;
use crate::server::assemble::{self, OpenDatabase, store_failed};
use crate::server::database::DatabasePlace;
use crate::server::documents::{AuditVerification, ServerBackedUp, ServerRestored};
use crate::server::error::ServerFailure;
use crate::server::settings::Places;
use crate::vault::values::count;

/// Records that are read at once.
const PAGE: usize = 1000;

pub(super) fn backup(app: &App, args: &BackupArgs) -> Result<(), CliError> {
    let (_, places) = places(app, &args.file)?;
    let DatabasePlace::Sqlite(from) = &places.database else {
        return Err(CliError::Usage {
            message: "a PostgreSQL database is copied with PostgreSQL's own tools".to_owned(),
            help: Some("see pg_dump(1)".to_owned()),
        });
    };
    let path = app.cwd.join(&args.path);
    let bytes = SqliteDatabase::copy(from, &path).map_err(store_failed)?;
    if args.json {
        return app.printer.json(&ServerBackedUp {
            path: path.display().to_string(),
            bytes,
        });
    }
    app.printer.done(&format!(
        "Wrote {} ({bytes} bytes). The signing key is not in it: keep a copy of {} too.",
        path.display(),
        places.signing_key.display()
    ));
    Ok(())
}

pub(super) fn restore(app: &App, args: &RestoreArgs) -> Result<(), CliError> {
    let (_, places) = places(app, &args.file)?;
    let DatabasePlace::Sqlite(to) = &places.database else {
        return Err(CliError::Usage {
            message: "a PostgreSQL database is restored with PostgreSQL's own tools".to_owned(),
            help: Some(
                "use pg_restore(1), and then run `fnox serve restored`, so that no right in the copy comes back"
                    .to_owned(),
            ),
        });
    };
    let from = app.cwd.join(&args.path);
    SqliteDatabase::restore(&from, to, &app.clock).map_err(store_failed)?;
    tell_restored(app, &places, args.json)
}

/// An operator has put a PostgreSQL database back to an older state, and says so.
pub(super) fn restored(app: &App, args: &RestoredArgs) -> Result<(), CliError> {
    let (_, places) = places(app, &args.file)?;
    if places.database.file().is_some() {
        return Err(CliError::Usage {
            message: format!(
                "{} is an SQLite file, which needs no word about it",
                places.database
            ),
            help: Some(
                "`fnox serve restore FILE` puts a copy back and ends its rights by itself"
                    .to_owned(),
            ),
        });
    }
    block_on(mark_restored(&places))??;
    tell_restored(app, &places, args.json)
}

fn tell_restored(app: &App, places: &Places, json: bool) -> Result<(), CliError> {
    let database = places.database.to_string();
    if json {
        return app.printer.json(&ServerRestored { database });
    }
    app.printer.done(&format!(
        "Restored {database}. Its sessions, approvals and grants have ended, and with them every token: administrators', identity providers' and gateways'."
    ));
    // A server that has the file open makes tokens only for an administrator, and none has a token any more.
    let when = match &places.database {
        DatabasePlace::Sqlite(_) => ", before you start the server",
        DatabasePlace::Postgres(_) => "",
    };
    app.printer.note(&format!(
        "Without a login by an OpenID provider, make a new administrator's token{when}: fnox serve token --role admin"
    ));
    Ok(())
}

async fn mark_restored(places: &Places) -> Result<(), CliError> {
    let keys = assemble::keys(places)?;
    let database = OpenDatabase::open(&places.database, false).await?;
    database.unlocked(&keys).await?;
    match database {
        OpenDatabase::Postgres(database) => database.mark_restored().await.map_err(store_failed),
        OpenDatabase::Sqlite(_) => Ok(()),
    }
}

pub(super) fn audit(app: &App, group: &AuditGroup) -> Result<(), CliError> {
    let AuditCommand::Verify { file, json } = &group.command;
    let (_, places) = places(app, file)?;
    let keys = assemble::keys(&places)?;
    let report = block_on(verify(&places, &keys))??;
    if *json {
        app.printer.json(&report)?;
    } else {
        for flaw in &report.flaws {
            app.printer.line(flaw)?;
        }
    }
    if report.intact {
        app.printer
            .done(&format!("As written: {}", count(report.records, "record")));
        return Ok(());
    }
    Err(ServerFailure::Tampered {
        message: format!(
            "the audit log was changed: {} of {} records fit the chain",
            report.verified, report.records
        ),
    }
    .into())
}

/// Verifies the log. What a running server has open is copied first: one process at a time has a file open.
async fn verify(places: &Places, keys: &ServerKeys) -> Result<AuditVerification, CliError> {
    match OpenDatabase::open(&places.database, false).await {
        Ok(database) => walk(&database, keys).await,
        Err(CliError::Server(error)) if error.is_locked() => {
            let file = places.database.file().unwrap_or(Path::new("/"));
            let folder = file.parent().unwrap_or(Path::new("/"));
            let folder = tempfile::Builder::new()
                .prefix(".fnox-verify-")
                .tempdir_in(folder)
                .map_err(|source| CliError::File {
                    action: "create a folder in",
                    path: folder.to_owned(),
                    source,
                })?;
            let copy = folder.path().join("copy.db");
            // The mark first: a copy that is newer than its mark is no old one put in the place of another.
            let mark = |path: &Path| path.with_added_extension("mark");
            let _ = std::fs::copy(mark(file), mark(&copy));
            SqliteDatabase::copy(file, &copy).map_err(store_failed)?;
            let database = OpenDatabase::open(&DatabasePlace::Sqlite(copy), false).await?;
            walk(&database, keys).await
        }
        Err(error) => Err(error),
    }
}

async fn walk(database: &OpenDatabase, keys: &ServerKeys) -> Result<AuditVerification, CliError> {
    let chain = keys
        .chain()
        .ok_or_else(|| assemble::open_failed(fnox_server::OpenError::Keys))?;
    let database = database.shared();
    // The head first: a server that shares the database may add records meanwhile.
    let head = database.audit_head().await.map_err(store_failed)?;
    let last = head.as_ref().map_or(0, |head| head.sequence);
    // `serve init` issues the first token, and that is record 1.
    let mut verifier = Verifier::new(&chain, Vec::new()).never_empty();
    let mut unreadable = Vec::new();
    let mut after = 0;
    'pages: loop {
        let page: Result<Vec<_>, StoreError> = database.audit_scan(after, PAGE).await;
        let page = page.map_err(store_failed)?;
        let Some(end) = page.last().map(|scanned| scanned.position) else {
            break;
        };
        for scanned in page {
            match scanned.record {
                Ok(record) if database.is_shared() && record.sequence > last => break 'pages,
                Ok(record) => verifier.record(record),
                Err(problem) => {
                    unreadable.push(format!("the record at {}: {problem}", scanned.position));
                }
            }
        }
        after = end;
    }
    let report = verifier.finish(head.as_ref());
    Ok(AuditVerification {
        intact: report.is_intact() && unreadable.is_empty(),
        records: report.records,
        verified: report.verified,
        head: head.map(|head| hex::encode(head.mac)),
        flaws: unreadable
            .into_iter()
            .chain(report.flaws.iter().map(ToString::to_string))
            .collect(),
    })
}

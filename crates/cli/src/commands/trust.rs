//! `fnox trust` and `fnox untrust`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fnox_config::discover::place;
use fnox_config::trust::{Trust, TrustRecord};

use crate::app::App;
use crate::args::{TrustArgs, UntrustArgs};
use crate::error::CliError;
use crate::output::documents::TrustedPath;

pub(crate) fn trust(app: &App, args: &TrustArgs) -> Result<(), CliError> {
    if args.list {
        return list(app, args.json);
    }
    let path = app.cwd.join(&args.path);
    if path.is_dir() {
        return trust_folder(app, &path);
    }
    Trust::new(&app.folders, &app.cwd).trust(&path)?;
    app.printer.done(&format!(
        "Trusting {} as it is now; a change is refused again",
        path.display()
    ));
    Ok(())
}

/// The folder alone would not do where files of folders above take part.
fn trust_folder(app: &App, folder: &Path) -> Result<(), CliError> {
    let folder = canonical(folder)?;
    let config = app.in_folder(Some(&folder)).load()?;
    let files = config.files.iter();
    let found: BTreeSet<PathBuf> = files
        .filter(|file| !file.is_global() && file.imported_by.is_none())
        .map(|file| place(&file.path).to_owned())
        .collect();
    if found.is_empty() {
        return Err(CliError::Usage {
            message: format!(
                "there is no configuration to trust in {} or any folder above it",
                folder.display()
            ),
            help: Some("`fnox init` makes one".to_owned()),
        });
    }
    TrustRecord::change(&app.folders, |record| {
        record.folders.extend(found.iter().cloned());
    })?;
    for folder in found.iter().rev() {
        app.printer.done(&format!(
            "Activated shells load {} from now on, whatever its files will hold",
            folder.display()
        ));
    }
    Ok(())
}

pub(crate) fn untrust(app: &App, args: &UntrustArgs) -> Result<(), CliError> {
    let wanted: Vec<PathBuf> = if let Some(path) = &args.path {
        let path = app.cwd.join(path);
        // What is gone can be taken back too.
        vec![path.canonicalize().unwrap_or(path)]
    } else {
        let here = canonical(&app.cwd)?;
        here.ancestors().map(Path::to_owned).collect()
    };
    let removed = TrustRecord::change(&app.folders, |record| {
        let found = wanted
            .iter()
            .find(|path| record.folders.contains(*path) || record.files.contains_key(*path))?;
        record.folders.remove(found);
        record.files.remove(found);
        Some(found)
    })?;
    let Some(path) = removed else {
        return Err(CliError::Usage {
            message: format!("{} is not trusted", wanted[0].display()),
            help: Some("`fnox trust --list` shows what is".to_owned()),
        });
    };
    app.printer
        .done(&format!("No longer trusting {}", path.display()));
    Ok(())
}

fn list(app: &App, json: bool) -> Result<(), CliError> {
    let record = TrustRecord::load(&app.folders)?;
    let folders = record.folders.iter().map(|path| ("folder", path));
    let files = record.files.keys().map(|path| ("file", path));
    let all: Vec<TrustedPath> = folders
        .chain(files)
        .map(|(kind, path)| TrustedPath {
            kind,
            path: path.display().to_string(),
        })
        .collect();
    if json {
        return app.printer.json(&all);
    }
    all.iter()
        .try_for_each(|trusted| app.printer.line(&trusted.path))
}

fn canonical(folder: &Path) -> Result<PathBuf, CliError> {
    folder.canonicalize().map_err(|source| CliError::File {
        action: "find",
        path: folder.to_owned(),
        source,
    })
}

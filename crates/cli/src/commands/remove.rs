//! `fnox remove`

use std::path::Path;

use fnox_config::edit::Editor;
use fnox_config::spec::Capability;
use fnox_core::ProfileName;

use super::files;
use crate::app::App;
use crate::args::RemoveArgs;
use crate::audit::{self, Changed};
use crate::error::CliError;

pub(crate) fn run(app: &App, args: &RemoveArgs) -> Result<(), CliError> {
    if let Some(path) = &args.file {
        return files::value::remove(app, args, path);
    }
    // One of both is there.
    let key = args.key.as_deref().unwrap_or_default();
    let profile = app.write_target()?;
    let (path, kind) = app.file_to_write(args.global, profile.as_ref());
    if !path.is_file() {
        return Err(elsewhere(app, key, &path));
    }
    let mut editor = Editor::open(&path, kind)?;
    let table = editor.secrets_table(profile.as_ref(), key);
    let table: Vec<&str> = table.iter().map(String::as_str).collect();
    if !editor.remove(&table, key)? {
        return Err(in_another_table(
            app,
            args,
            &editor,
            &path,
            profile.as_ref(),
        ));
    }
    let suffix = super::set::suffix(profile.as_ref(), args.global);
    if args.dry_run {
        return app.printer.line(&format!(
            "[dry-run] would remove {}{suffix} from {}",
            key,
            path.display()
        ));
    }
    let left = kept_elsewhere(app, profile.as_ref(), key);
    let changed = Changed::secret(key, None::<&str>, profile.as_ref());
    audit::changing(app, None, audit::Change::Remove, [changed], || {
        Ok(editor.save(&app.folders)?)
    })?;
    app.printer.done(&format!("Removed {key}{suffix}"));
    tell_who_remains(app, profile.as_ref(), key);
    if let Some(place) = left {
        let note = format!("Its value stays in {place}: only the configuration forgot it.");
        app.printer.note(&note);
    }
    Ok(())
}

/// Another file, or the base of a profile, may define it too.
fn tell_who_remains(app: &App, profile: Option<&ProfileName>, key: &str) {
    let Ok(config) = app.for_profile(profile).load() else {
        return;
    };
    if let Some(secret) = config.secrets.get(key) {
        app.printer.warn(&format!(
            "programs still get `{key}`: {} defines it in line {}",
            secret.location.file.path.display(),
            secret.location.line()
        ));
    }
}

/// Where a value is that `remove` does not touch.
fn kept_elsewhere(app: &App, profile: Option<&ProfileName>, key: &str) -> Option<String> {
    let config = app.for_profile(profile).load().ok()?;
    let secret = config.secret(key).ok()?;
    let provider = config.provider(secret.provider()?.as_str(), None).ok()?;
    let is_there = provider.capability == Capability::StoresRemotely;
    let reference = secret.value.as_deref().filter(|_| is_there)?;
    Some(format!("{} as {}", provider.name, reference.escape_debug()))
}

/// Either there is none, or it stands in another file; the error says which.
fn elsewhere(app: &App, key: &str, path: &Path) -> CliError {
    let find = || -> Result<String, CliError> {
        let config = app.load()?;
        let secret = config.secret(key)?;
        Ok(secret.location.file.path.display().to_string())
    };
    match find() {
        Err(error) => error,
        Ok(place) => CliError::Usage {
            message: format!("the secret `{key}` is not defined in {}", path.display()),
            help: Some(format!(
                "it stands in {place}: change to that folder, or name the file with `-c`"
            )),
        },
    }
}

/// It is not where the command line says; perhaps it stands in another table of the same file.
fn in_another_table(
    app: &App,
    args: &RemoveArgs,
    editor: &Editor,
    path: &Path,
    profile: Option<&ProfileName>,
) -> CliError {
    let key = args.key.as_deref().unwrap_or_default();
    let config = match app.load() {
        Ok(config) => config,
        Err(error) => return error,
    };
    let is_here = match config.secrets.get(key) {
        Some(secret) => secret.location.file.path == path,
        None => true,
    };
    let profiles = config.known_profiles.iter().map(Some);
    let found = std::iter::once(None)
        .chain(profiles)
        .filter(|_| is_here)
        .find(|profile| {
            let table = editor.secrets_table(*profile, key);
            let table: Vec<&str> = table.iter().map(String::as_str).collect();
            editor.has(&table, key)
        });
    let Some(found) = found else {
        return elsewhere(app, key, path);
    };
    let global = if args.global { " -g" } else { "" };
    let file = app.explicit_file().map(|path| path.display().to_string());
    let file = file.map(|file| format!(" -c {file}")).unwrap_or_default();
    let (name, whose) = match found {
        Some(profile) => (profile.as_str(), ""),
        None => ("default", ", for all profiles"),
    };
    CliError::Usage {
        message: format!(
            "the secret `{key}` is not {} of {}, but {}",
            table_of(profile),
            path.display(),
            table_of(found)
        ),
        help: Some(format!(
            "`fnox remove {key} -P {name}{global}{file}` removes it there{whose}"
        )),
    }
}

fn table_of(profile: Option<&ProfileName>) -> String {
    profile.map_or_else(
        || "at the top level".to_owned(),
        |profile| format!("in the profile `{profile}`"),
    )
}

//! `fnox remove`

use fnox_config::edit::Editor;

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
        return Err(fnox_config::ConfigError::NotFound {
            start: app.cwd.clone(),
        }
        .into());
    }
    let mut editor = Editor::open(&path, kind)?;
    let table = editor.secrets_table(profile.as_ref(), key);
    let table: Vec<&str> = table.iter().map(String::as_str).collect();
    if !editor.remove(&table, key)? {
        let config = app.load()?;
        // Either there is none, or it stands in another file; the error says which.
        let secret = config.secret(key)?;
        let path = secret.location.file.path.display().to_string();
        return Err(CliError::Usage {
            message: format!(
                "the secret `{key}` is not defined in {}",
                app.file_to_write(args.global, profile.as_ref()).0.display()
            ),
            help: Some(format!(
                "it stands in {path}: change to that folder, or name the file with `-c`"
            )),
        });
    }
    let suffix = super::set::suffix(profile.as_ref(), args.global);
    if args.dry_run {
        return app.printer.line(&format!(
            "[dry-run] would remove {}{suffix} from {}",
            key,
            path.display()
        ));
    }
    let changed = Changed::secret(key, None::<&str>, profile.as_ref());
    audit::changing(app, None, audit::Change::Remove, [changed], || {
        Ok(editor.save()?)
    })?;
    app.printer.done(&format!("Removed {key}{suffix}"));
    Ok(())
}

//! `fnox export`
//!
//! The output is for programs to read: each format is quoted so that its readers get back exactly the
//! values, whatever is in them, and so that a shell that sources it evaluates nothing.

pub(super) mod format;

use std::path::{Path, PathBuf};

use fnox_config::{Config, EnvMode, edit};
use fnox_core::{Clock as _, SecretName, SecretString};
use fnox_system::Rights;
use zeroize::Zeroizing;

use self::format::Export;
use crate::app::App;
use crate::args::{ExportArgs, ExportFormat};
use crate::commands::selection;
use crate::error::CliError;
use crate::exec::files;
use crate::team::{mask, reading};

pub(crate) fn run(app: &App, args: &ExportArgs) -> Result<(), CliError> {
    let config = app.load()?;
    if args.header && args.format == ExportFormat::Gha {
        return Err(CliError::usage(
            "`--header` is not possible with `--format gha`, which has no comments",
        ));
    }
    let wanted = wanted(&config, args)?;
    let output = args.output.as_ref().map(|path| app.cwd.join(path));
    if args.dry_run {
        return dry_run(app, args, &wanted, output.as_deref());
    }
    let export = Export {
        values: resolve(app, &config, &wanted)?,
        profile: config.profile_label(),
        exported_at: app
            .clock
            .now()
            .round(jiff::Unit::Second)
            .unwrap_or_else(|_| app.clock.now()),
        header: args.header,
    };
    let text = export.render(args.format)?;
    if args.format == ExportFormat::Gha {
        // Before anything of it can reach a log.
        mask::announce(&app.env, export.values.iter().map(|(_, value)| value));
    }
    let Some(path) = output else {
        return app.printer.raw(&text);
    };
    write(&path, &text)?;
    let count = export.values.len();
    app.printer.done(&format!(
        "Exported {count} secret{} to {}",
        plural(count),
        path.display()
    ));
    Ok(())
}

/// The named ones whatever their mode, else those that every program may have, or all.
fn wanted(config: &Config, args: &ExportArgs) -> Result<Vec<SecretName>, CliError> {
    if args.keys.is_empty() {
        let secrets = config.secrets.values();
        let chosen = secrets.filter(|secret| args.all || secret.env == EnvMode::Always);
        return Ok(chosen.map(|secret| secret.name.clone()).collect());
    }
    let mut names = selection::named(config, &args.keys)?;
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

/// The values of the wanted secrets, without what they only depend on. Files are written for those that
/// programs get as a file, and their paths exported.
fn resolve(
    app: &App,
    config: &Config,
    wanted: &[SecretName],
) -> Result<Vec<(String, SecretString)>, CliError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let options = app.reading_options(config, &[])?;
    let mut resolution = reading::resolve(app, config, options, wanted)?;
    app.tell(&resolution.notices);
    let mut values = Vec::with_capacity(wanted.len());
    let mut written: Vec<PathBuf> = Vec::new();
    for name in wanted {
        let Some(value) = resolution.values.swap_remove(name) else {
            continue;
        };
        let as_file = config
            .secrets
            .get(name)
            .is_some_and(|secret| secret.as_file);
        let value = if as_file {
            let path =
                files::write_persistent(&app.folders, app.clock.now(), name.as_str(), &value)
                    .inspect_err(|_| written.iter().for_each(|path| files::discard(path)))?;
            let shown = SecretString::from(path.to_string_lossy().as_ref());
            written.push(path);
            shown
        } else {
            value
        };
        values.push((name.to_string(), value));
    }
    Ok(values)
}

fn dry_run(
    app: &App,
    args: &ExportArgs,
    wanted: &[SecretName],
    output: Option<&Path>,
) -> Result<(), CliError> {
    let target = output.map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
    let count = wanted.len();
    let format = name_of(args.format);
    app.printer.line(&format!(
        "[dry-run] would export {count} secret{} as {format} to {target}",
        plural(count)
    ))?;
    wanted
        .iter()
        .try_for_each(|name| app.printer.line(&format!("  {name}")))
}

fn write(path: &Path, text: &Zeroizing<String>) -> Result<(), CliError> {
    edit::write_atomically(path, text.as_bytes(), Rights::Private).map_err(|source| {
        CliError::File {
            action: "write",
            path: path.to_owned(),
            source,
        }
    })
}

fn name_of(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Env => "env",
        ExportFormat::Shell => "shell",
        ExportFormat::Json => "json",
        ExportFormat::Yaml => "yaml",
        ExportFormat::Toml => "toml",
        ExportFormat::Gha => "gha",
    }
}

pub(crate) fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

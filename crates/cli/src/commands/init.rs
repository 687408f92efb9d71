//! `fnox init`: the first `fnox.toml` of a folder, or the global file.
//!
//! Without a terminal, or with `--skip-wizard`, a minimal commented file. With one, a few questions: where
//! secrets live, what that needs, whether it works. Nothing is written before the questions are answered.

mod wizard;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fnox_config::file::FileConfig;
use fnox_config::{FileKind, SourceFile, edit, trust};
use fnox_system::Rights;

use crate::app::App;
use crate::args::InitArgs;
use crate::error::CliError;

const PROJECT_HEADER: &str = "\
# Secrets of this project: where they live, and the short-lived credentials made from them.
# `fnox schema` describes every key.
";

const GLOBAL_HEADER: &str = "\
# Settings of this user for every project. `fnox schema` describes every key.
";

const EXAMPLES: &str = r#"
# Where secrets live:
#
#   [providers]
#   age = { type = "age", recipients = ["age1…"] }
#
# The secrets; `fnox set NAME` writes them:
#
#   [secrets]
#   API_KEY = { provider = "age", value = "…", description = "Key of the example API" }
#
# Short-lived credentials that programs get instead of the long-lived ones:
#
#   [leases.aws]
#   type = "aws-sts"
#   region = "eu-central-1"
#   role_arn = "arn:aws:iam::123456789012:role/developer"
"#;

pub(crate) fn run(app: &App, args: &InitArgs) -> Result<(), CliError> {
    let (path, kind) = target(app, args.global);
    if path.symlink_metadata().is_ok() && !args.force {
        return Err(super::age::exists_already(&path, ": `--force` replaces it"));
    }
    let header = if args.global {
        GLOBAL_HEADER
    } else {
        PROJECT_HEADER
    };
    if args.skip_wizard || !app.prompt.is_interactive() {
        write(&path, &kind, &format!("{header}{EXAMPLES}"), app)?;
        finish(app, &path);
        return Ok(());
    }
    let answers = wizard::ask(app)?;
    let text = match &answers {
        Some(answers) => format!("{header}\n{}", answers.render()),
        None => format!("{header}{EXAMPLES}"),
    };
    write(&path, &kind, &text, app)?;
    if let Some(answers) = &answers {
        wizard::try_out(app, &answers.name);
        wizard::offer_example(app, &answers.name, args.global);
    }
    finish(app, &path);
    Ok(())
}

fn target(app: &App, global: bool) -> (PathBuf, FileKind) {
    if global {
        (app.folders.global_file(), FileKind::Global)
    } else if let Some(path) = app.explicit_file() {
        (path, FileKind::Explicit)
    } else {
        (app.cwd.join("fnox.toml"), FileKind::Project)
    }
}

fn write(path: &Path, kind: &FileKind, text: &str, app: &App) -> Result<(), CliError> {
    let source = SourceFile {
        path: path.to_owned(),
        text: text.to_owned(),
        kind: kind.clone(),
        imported_by: None,
    };
    FileConfig::parse(Arc::new(source))?;
    let make = || -> std::io::Result<()> {
        if *kind == FileKind::Global {
            trust::create_private_folder(&app.folders.config)?;
        } else if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        edit::write_atomically(path, text.as_bytes(), Rights::Usual)
    };
    make().map_err(|source| CliError::File {
        action: "create",
        path: path.to_owned(),
        source,
    })
}

fn finish(app: &App, path: &Path) {
    app.printer.done(&format!("Created {}", path.display()));
    app.printer.note(
        "\nNext steps:\n  \
         fnox set API_KEY            store a secret\n  \
         fnox list                   see what there is\n  \
         fnox exec -- your-program   run a program with it",
    );
}

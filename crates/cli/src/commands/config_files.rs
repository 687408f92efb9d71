//! `fnox config-files`: which files take part, nearest folder first.
//!
//! Within a folder the order is that of the layers, lowest priority first, and each file is followed by its
//! imports; the global file comes last.

use std::path::Path;
use std::sync::Arc;

use fnox_config::discover::place;
use fnox_config::{FileKind, SourceFile};

use crate::app::App;
use crate::args::ConfigFilesArgs;
use crate::error::CliError;
use crate::output::documents::ConfigFile;

pub(crate) fn run(app: &App, args: &ConfigFilesArgs) -> Result<(), CliError> {
    let files = nearest_first(&app.loader().files()?);
    if args.json {
        let documents: Vec<ConfigFile> = files.iter().map(|file| document(file)).collect();
        return app.printer.json(&documents);
    }
    files
        .iter()
        .try_for_each(|file| app.printer.line(&file.path.display().to_string()))
}

fn document(file: &SourceFile) -> ConfigFile {
    ConfigFile {
        path: file.path.display().to_string(),
        kind: match file.kind {
            FileKind::Global => "global",
            FileKind::Project => "project",
            FileKind::Profile(_) => "profile",
            FileKind::Local => "local",
            FileKind::Explicit => "explicit",
        },
        imported_by: file
            .imported_by
            .as_ref()
            .map(|path| path.display().to_string()),
    }
}

/// The layers come lowest priority first, imports before their importer.
fn nearest_first(layers: &[Arc<SourceFile>]) -> Vec<Arc<SourceFile>> {
    let mut folders: Vec<(Option<&Path>, Vec<Arc<SourceFile>>)> = Vec::new();
    let mut imports = Vec::new();
    for file in layers {
        if file.imported_by.is_some() {
            imports.push(Arc::clone(file));
            continue;
        }
        let place = (!file.is_global()).then(|| place(&file.path));
        let mut unit = vec![Arc::clone(file)];
        unit.extend(imports.drain(..).rev());
        match folders.last_mut() {
            Some((last, units)) if *last == place => units.extend(unit),
            _ => folders.push((place, unit)),
        }
    }
    folders
        .into_iter()
        .rev()
        .flat_map(|(_, files)| files)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_comes_first_and_imports_follow_their_importer() {
        let file = |path: &str, kind: FileKind, imported_by: Option<&str>| {
            Arc::new(SourceFile {
                path: path.into(),
                text: String::new(),
                kind,
                imported_by: imported_by.map(Into::into),
            })
        };
        let layers = vec![
            file("/h/.config/fnox/config.toml", FileKind::Global, None),
            file("/a/fnox.toml", FileKind::Project, None),
            file(
                "/a/b/second.toml",
                FileKind::Project,
                Some("/a/b/fnox.toml"),
            ),
            file("/a/b/first.toml", FileKind::Project, Some("/a/b/fnox.toml")),
            file("/a/b/fnox.toml", FileKind::Project, None),
            file("/a/b/.config/fnox.toml", FileKind::Project, None),
            file("/a/b/fnox.local.toml", FileKind::Local, None),
        ];
        let paths: Vec<String> = nearest_first(&layers)
            .iter()
            .map(|file| file.path.display().to_string())
            .collect();
        assert_eq!(
            paths,
            [
                "/a/b/fnox.toml",
                "/a/b/first.toml",
                "/a/b/second.toml",
                "/a/b/.config/fnox.toml",
                "/a/b/fnox.local.toml",
                "/a/fnox.toml",
                "/h/.config/fnox/config.toml",
            ]
        );
    }
}

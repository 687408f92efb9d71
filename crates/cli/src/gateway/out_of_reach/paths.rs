//! The files and folders that a program in a sandbox must not find.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use fnox_config::fields::resolve_path;
use fnox_config::hidden::{self, HiddenPath, path_of_place};
use fnox_config::spec::Section;
use fnox_config::trust::Trust;
use fnox_config::{Config, FileKind, TextOrSecret, mints, standalone};
use fnox_core::Env;
use fnox_providers::resolve::rendered;

use super::mounts::Mounts;
use super::{places, variables};
use crate::app::App;
use crate::environment;
use crate::error::CliError;
use crate::gateway::{serve, spec};
use crate::{server, vault};

/// What a path is, as far as that decides what happens where it is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// A file, or nobody knows what.
    File,
    /// A folder of another program.
    Folder,
    /// A folder of fnox.
    OwnFolder,
}

/// What a program in a sandbox must not find, and what of the project it must not change.
#[derive(Debug, Default)]
pub(crate) struct OutOfReach {
    /// Absolute paths.
    pub(crate) hidden: BTreeMap<PathBuf, What>,
    /// The project's configuration, whichever profile it is for.
    pub(crate) read_only: Vec<PathBuf>,
}

/// Looks at everything that can say where credentials are. `denied`: what the project hides besides.
///
/// # Errors
/// If a file that says so cannot be read: then nobody knows what there is to hide.
pub(crate) fn collect(
    app: &App,
    config: &Config,
    denied: &[PathBuf],
) -> Result<OutOfReach, CliError> {
    let mut found = OutOfReach::default();
    for path in denied {
        found.hide(path, What::File);
    }
    found.own_folders(app);
    if let Some(home) = app.folders.home() {
        for (path, what) in places::below(home, &app.env) {
            found.hide(&path, what);
        }
    }
    for file in app.loader().every_file()? {
        let path = file.source.path.clone();
        match file.source.kind {
            FileKind::Global | FileKind::Local => found.hide(&path, What::File),
            _ => found.read_only.push(without_links(&path)),
        }
        for key in hidden::of_file(&file) {
            found.key(app, config, &key);
        }
    }
    for file in services(app) {
        found.service(app, config, &file)?;
    }
    found.of_environment(app);
    #[cfg(target_os = "linux")]
    for socket in super::sockets::bound() {
        found.hide(&socket, What::File);
    }
    found.other_ways();
    Ok(found)
}

/// A file with settings of one of fnox's own services.
struct Service {
    path: PathBuf,
    section: &'static Section,
}

fn services(app: &App) -> Vec<Service> {
    let place = |variable: &str, name: &str| {
        let named = app.env.var(variable).map(|path| app.cwd.join(path));
        named.unwrap_or_else(|| app.folders.config.join(name))
    };
    vec![
        Service {
            path: place(environment::VAULT_CONFIG, vault::settings::FILE_NAME),
            section: &vault::spec::VAULT,
        },
        Service {
            path: place(environment::SERVER_CONFIG, server::file::FILE_NAME),
            section: &server::spec::SERVER,
        },
        Service {
            path: app.folders.config.join(serve::FILE_NAME),
            section: &spec::GATEWAY,
        },
    ]
}

impl OutOfReach {
    fn hide(&mut self, path: &Path, what: What) {
        // A link stays one: it is left out where it stands, and what it leads to is hidden too.
        let path = match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) => without_links(folder).join(name),
            _ => without_links(path),
        };
        let known = self.hidden.entry(path).or_insert(what);
        *known = (*known).max(what);
    }

    fn own_folders(&mut self, app: &App) {
        let folders = &app.folders;
        let own = [
            &folders.config,
            &folders.state,
            &folders.data,
            &folders.runtime,
        ];
        for folder in own {
            self.hide(folder, What::OwnFolder);
        }
        // The daemon's socket is in it.
        let daemon = app.env.var(environment::DAEMON_SOCKET_DIR).map(Path::new);
        if let Some(folder) = daemon.filter(|folder| folder.is_absolute()) {
            self.hide(folder, What::OwnFolder);
        }
    }

    /// What a key of a configuration leads to. A template is filled in for every profile, for it may be another one's turn.
    fn key(&mut self, app: &App, config: &Config, key: &HiddenPath) {
        let texts = match &key.text {
            TextOrSecret::Text(text) => of_all_profiles(text, config, &app.env),
            TextOrSecret::Secret(name) => {
                let default = config.secrets.get(name.as_str());
                let default = default.and_then(|secret| secret.default.clone());
                let variable = app.env.var(name.as_str()).map(str::to_owned);
                variable.into_iter().chain(default).collect()
            }
        };
        for text in texts {
            let path = resolve_path(&text, &key.folder, app.folders.home());
            self.hide(&app.cwd.join(path), What::File);
        }
    }

    fn service(&mut self, app: &App, config: &Config, file: &Service) -> Result<(), CliError> {
        self.hide(&file.path, What::File);
        // Those that nobody has named, beside the file.
        for name in ["vault.key", "server.key", "policy.toml"] {
            self.hide(&file.path.with_file_name(name), What::File);
        }
        if file.path.symlink_metadata().is_err() {
            return Ok(());
        }
        let text = Trust::new(&app.folders, &app.cwd).read_checked(&file.path)?;
        let fields = standalone::read(&file.path, text, file.section)?;
        let mut keys = hidden::of_fields(&fields, &[file.section.fields]);
        for mint in mints::read(&fields, "mint")? {
            keys.extend(hidden::of_fields(
                &mint.lease.fields,
                &[mint.lease.spec.fields],
            ));
        }
        for key in &keys {
            self.key(app, config, key);
        }
        Ok(())
    }

    /// What variables lead to that the program does not get.
    fn of_environment(&mut self, app: &App) {
        for name in variables::leading_to_files() {
            let value = app.env.var(name).unwrap_or_default();
            let names_a_file = ["_FILE", "_PATH", "_SOCKET", "_SOCK"]
                .iter()
                .any(|end| name.ends_with(end));
            // Some have several, as PATH has; D-Bus writes `unix:path=/run/bus,guid=…`.
            let pieces = value.split([':', ',']).chain(path_of_place(value));
            let pieces = pieces.map(|piece| piece.strip_prefix("path=").unwrap_or(piece));
            for piece in pieces.filter(|piece| !piece.is_empty() && !piece.starts_with("//")) {
                let path = resolve_path(piece, &app.cwd, app.folders.home());
                let is_meant = names_a_file && Path::new(piece).is_absolute();
                // A token may look like anything.
                if piece.contains(['/', '.']) && (is_meant || path.symlink_metadata().is_ok()) {
                    self.hide(&path, What::File);
                }
            }
        }
    }

    /// The same files by the names that links and other mounts give them.
    fn other_ways(&mut self) {
        let mounts = Mounts::read();
        let known: Vec<PathBuf> = self.hidden.keys().cloned().collect();
        for path in known {
            let Ok(real) = path.canonicalize() else {
                continue;
            };
            for other in mounts.others(&real) {
                self.hide(&other, What::File);
            }
            if real != path {
                self.hide(&real, What::File);
            }
        }
    }
}

/// A path as the system has it: without links and `..`, as far as it is there.
pub(crate) fn without_links(path: &Path) -> PathBuf {
    let mut missing: Vec<Component<'_>> = Vec::new();
    let mut there = path;
    loop {
        if let Ok(real) = there.canonicalize() {
            let mut out = real;
            for component in missing.iter().rev() {
                match component {
                    Component::ParentDir => drop(out.pop()),
                    component => out.push(component),
                }
            }
            return out;
        }
        match (there.parent(), there.components().next_back()) {
            (Some(above), Some(last)) => {
                missing.push(last);
                there = above;
            }
            _ => return path.to_owned(),
        }
    }
}

/// What a text that may be a template says in each profile.
fn of_all_profiles(text: &str, config: &Config, env: &Env) -> Vec<String> {
    let mut config = config.clone();
    let mut texts: Vec<String> = rendered(text, &config, env).into_iter().collect();
    if texts.iter().all(|one| one == text) {
        return texts;
    }
    config.selected_profiles.clear();
    texts.extend(rendered(text, &config, env));
    for profile in config.known_profiles.clone() {
        config.selected_profiles = vec![profile];
        texts.extend(rendered(text, &config, env));
    }
    texts
}

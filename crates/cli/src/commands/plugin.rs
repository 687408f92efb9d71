//! `fnox plugin`: Lua plugins by name.
//!
//! Only these commands fetch, and only what the person names or the configuration declares. What was fetched is pinned in a
//! lock beside the plugins: its commit and a digest of its files, which is compared before every use
//! ([`fnox_providers::plugins`]).

mod fetch;
mod source;
mod store;

use std::path::{Path, PathBuf};

use fnox_config::ConfigError;
use fnox_providers::plugins::{Files, Installed, Lock, MAIN, is_name};
use indexmap::IndexMap;

use self::source::Source;
use self::store::Store;
use crate::app::{App, block_on};
use crate::args::{PluginArgs, PluginCommand};
use crate::error::CliError;
use crate::output::Table;
use crate::output::documents::ListedPlugin;

/// Sources by name.
type Declared = IndexMap<String, String>;

pub(crate) fn run(app: &App, args: &PluginArgs) -> Result<(), CliError> {
    let declared = declared(app)?;
    match &args.command {
        None => list(app, &declared, args.json),
        Some(PluginCommand::List { json }) => list(app, &declared, *json),
        Some(PluginCommand::Install {
            name: None, force, ..
        }) => install_declared(app, &declared, *force),
        Some(PluginCommand::Install {
            name: Some(name),
            source,
            force,
        }) => install(app, &declared, name, source.as_deref(), *force),
        Some(PluginCommand::Link { name, path, force }) => link(app, name, path, *force),
        Some(PluginCommand::Uninstall { name }) => uninstall(app, name),
        Some(PluginCommand::Update { names }) => update(app, &declared, names),
    }
}

/// `[plugins]`, which no profile has a say in. Plugins can be installed where no configuration is.
pub(super) fn declared(app: &App) -> Result<Declared, CliError> {
    match app.loader().load_known() {
        Ok(config) => {
            let plugins = config.settings.plugins.into_iter();
            Ok(plugins.map(|(name, (source, _))| (name, source)).collect())
        }
        Err(ConfigError::NotFound { .. }) => Ok(Declared::new()),
        Err(error) => Err(error.into()),
    }
}

/// A failure that is not about how the command was called.
pub(super) fn failed(message: impl Into<String>) -> CliError {
    CliError::Failed {
        message: message.into(),
        code: "cli::plugin_failed",
    }
}

fn require_name(name: &str) -> Result<(), CliError> {
    if is_name(name) {
        return Ok(());
    }
    Err(CliError::Usage {
        message: format!("`{}` cannot be the name of a plugin", name.escape_debug()),
        help: Some(
            "names begin with a letter or a digit and have letters, digits, `.`, `_` and `-`"
                .to_owned(),
        ),
    })
}

fn require_free(lock: &Lock, name: &str, force: bool) -> Result<(), CliError> {
    if force || !lock.plugins.contains_key(name) {
        return Ok(());
    }
    Err(CliError::Usage {
        message: format!("the plugin `{name}` is installed already"),
        help: Some(format!(
            "`fnox plugin update {name}` fetches it again; `--force` replaces it"
        )),
    })
}

fn install_declared(app: &App, declared: &Declared, force: bool) -> Result<(), CliError> {
    if declared.is_empty() {
        app.printer.note(
            "Nothing to install: no plugin is named, and `[plugins]` declares none. \
             `fnox plugin install NAME OWNER/REPO` fetches one; a git URL will do too.",
        );
        return Ok(());
    }
    let store = Store::new(app);
    let lock = store.read()?;
    let missing: Vec<(&String, &String)> = declared
        .iter()
        .filter(|(name, _)| force || !lock.plugins.contains_key(*name))
        .collect();
    if missing.is_empty() {
        app.printer
            .note("All plugins that `[plugins]` declares are installed.");
    }
    for (name, source) in missing {
        fetch_and_keep(app, &store, name, source, force)?;
    }
    Ok(())
}

fn install(
    app: &App,
    declared: &Declared,
    name: &str,
    source: Option<&str>,
    force: bool,
) -> Result<(), CliError> {
    require_name(name)?;
    let Some(source) = source.or(declared.get(name).map(String::as_str)) else {
        return Err(CliError::Usage {
            message: format!("nothing says where the plugin `{name}` comes from"),
            help: Some(format!(
                "give a source: `fnox plugin install {name} OWNER/REPO`, or declare it in `[plugins]`"
            )),
        });
    };
    let store = Store::new(app);
    require_free(&store.read()?, name, force)?;
    fetch_and_keep(app, &store, name, source, force)
}

/// Fetches a plugin and puts it in its place, whole.
fn fetch_and_keep(
    app: &App,
    store: &Store,
    name: &str,
    source: &str,
    force: bool,
) -> Result<(), CliError> {
    require_name(name)?;
    let from = Source::parse(source)?;
    let fetched = block_on(fetch::fetch(app, &from))??;
    let installed = Installed::Fetched {
        source: source.to_owned(),
        commit: fetched.commit.clone(),
        tree: fetched.files.digest(),
    };
    store.change(|lock| {
        // Somebody else may have been here meanwhile.
        require_free(lock, name, force)?;
        store.replace(name, &fetched)?;
        lock.plugins.insert(name.to_owned(), installed);
        Ok(())
    })?;
    app.printer.done(&format!(
        "Installed {name} in {}, commit {} of {source}",
        store.place(name).display(),
        fetched.commit
    ));
    Ok(())
}

fn link(app: &App, name: &str, path: &Path, force: bool) -> Result<(), CliError> {
    require_name(name)?;
    let path = app.cwd.join(path);
    let real = path.canonicalize().map_err(|source| CliError::File {
        action: "read",
        path: path.clone(),
        source,
    })?;
    if !real.join(MAIN).is_file() {
        return Err(CliError::Usage {
            message: format!("{} has no `{MAIN}`", real.display()),
            help: Some("name the folder of a plugin".to_owned()),
        });
    }
    let store = Store::new(app);
    store.change(|lock| {
        require_free(lock, name, force)?;
        let linked = Installed::Linked { path: real.clone() };
        if let Some(Installed::Fetched { .. }) = lock.plugins.insert(name.to_owned(), linked) {
            store.remove(name)?;
        }
        Ok(())
    })?;
    app.printer
        .done(&format!("Linked {name} to {}", real.display()));
    app.printer
        .note("It is used as it is at the moment of each use: nothing pins it.");
    Ok(())
}

fn uninstall(app: &App, name: &str) -> Result<(), CliError> {
    let store = Store::new(app);
    store.change(|lock| {
        let Some(installed) = lock.plugins.remove(name) else {
            let known: Vec<&str> = lock.plugins.keys().map(String::as_str).collect();
            return Err(CliError::Usage {
                message: format!("the plugin `{}` is not installed", name.escape_debug()),
                help: (!known.is_empty()).then(|| format!("installed are: {}", known.join(", "))),
            });
        };
        match installed {
            Installed::Fetched { .. } => store.remove(name),
            Installed::Linked { .. } => Ok(()),
        }
    })?;
    app.printer.done(&format!("Uninstalled {name}"));
    Ok(())
}

fn update(app: &App, declared: &Declared, names: &[String]) -> Result<(), CliError> {
    let store = Store::new(app);
    let lock = store.read()?;
    for name in names {
        if !lock.plugins.contains_key(name) {
            return Err(CliError::Usage {
                message: format!("the plugin `{}` is not installed", name.escape_debug()),
                help: Some("`fnox plugin install` fetches what is missing".to_owned()),
            });
        }
    }
    if lock.plugins.is_empty() {
        app.printer.note("No plugins are installed.");
    }
    for (name, installed) in &lock.plugins {
        if !names.is_empty() && !names.contains(name) {
            continue;
        }
        match installed {
            Installed::Linked { path } => app.printer.note(&format!(
                "{name} is linked to {}: it is as you have it there",
                path.display()
            )),
            Installed::Fetched {
                source,
                commit,
                tree,
            } => {
                let source = declared.get(name).unwrap_or(source);
                let before = (commit.as_str(), tree.as_str());
                update_one(app, &store, name, source, before)?;
            }
        }
    }
    Ok(())
}

fn update_one(
    app: &App,
    store: &Store,
    name: &str,
    source: &str,
    (commit, tree): (&str, &str),
) -> Result<(), CliError> {
    let fetched = block_on(fetch::fetch(app, &Source::parse(source)?))??;
    let digest = fetched.files.digest();
    let is_as_it_was = fetched.commit == commit
        && digest == tree
        && Files::read(&store.place(name)).is_ok_and(|files| files.digest() == tree);
    let installed = Installed::Fetched {
        source: source.to_owned(),
        commit: fetched.commit.clone(),
        tree: digest,
    };
    store.change(|lock| {
        if !is_as_it_was {
            store.replace(name, &fetched)?;
        }
        lock.plugins.insert(name.to_owned(), installed);
        Ok(())
    })?;
    if is_as_it_was {
        app.printer
            .note(&format!("{name} is up to date ({commit})"));
    } else {
        app.printer.done(&format!(
            "Updated {name}: {commit} → {} of {source}",
            fetched.commit
        ));
    }
    Ok(())
}

fn list(app: &App, declared: &Declared, json: bool) -> Result<(), CliError> {
    let store = Store::new(app);
    let lock = store.read()?;
    let mut names: Vec<&String> = lock.plugins.keys().chain(declared.keys()).collect();
    names.sort();
    names.dedup();
    let listed: Vec<ListedPlugin> = names
        .into_iter()
        .map(|name| listed(&store, name, lock.plugins.get(name), declared.get(name)))
        .collect();
    if json {
        return app.printer.json(&listed);
    }
    if listed.is_empty() {
        app.printer
            .note("No plugins are installed, and `[plugins]` declares none.");
        return Ok(());
    }
    let mut table = Table::new(&["Name", "State", "Source", "Commit"], false);
    for one in listed {
        let commit = one.commit.unwrap_or_default();
        table.row(vec![
            one.name,
            one.state.to_owned(),
            one.source.unwrap_or_default(),
            commit.chars().take(12).collect(),
        ]);
    }
    app.printer.line(&table.render())
}

fn listed(
    store: &Store,
    name: &str,
    installed: Option<&Installed>,
    declared: Option<&String>,
) -> ListedPlugin {
    let place = |path: PathBuf| Some(path.display().to_string());
    let (state, source, commit, folder) = match installed {
        None => ("missing", declared.cloned(), None, None),
        Some(Installed::Linked { path }) => ("linked", None, None, place(path.clone())),
        Some(Installed::Fetched {
            source,
            commit,
            tree,
        }) => {
            let folder = store.place(name);
            let is_whole = Files::read(&folder).is_ok_and(|files| files.digest() == *tree);
            let state = match declared {
                _ if !is_whole => "changed",
                Some(declared) if declared != source => "other-source",
                _ => "installed",
            };
            let commit = Some(commit.clone());
            (state, Some(source.clone()), commit, place(folder))
        }
    };
    ListedPlugin {
        name: name.to_owned(),
        state,
        source,
        commit,
        folder,
        declared: declared.cloned(),
    }
}

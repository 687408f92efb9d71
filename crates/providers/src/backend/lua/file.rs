//! Finding a plugin's file.

use std::path::{Path, PathBuf};

use fnox_config::fields::resolve_path;
use fnox_config::trust::Trust;

use crate::error::ProviderError;
use crate::plugins::{self, Files, Installed, MAIN, PluginError};
use crate::provider::Context;
use crate::settings::Settings;

/// A plugin that was read.
#[derive(Debug)]
pub(super) struct Found {
    /// The folder in which the file stands.
    pub(super) folder: PathBuf,
    /// Its text.
    pub(super) source: String,
}

/// Reads the plugin that the configuration names. Whoever can write it can run programs as this user, so it is judged like a
/// configuration file.
///
/// # Errors
/// `Misconfigured` if there is none, others could have written it, or an installed one is not what was installed.
pub(super) fn find(settings: &Settings, context: &Context) -> Result<Found, ProviderError> {
    let text = settings.required("plugin")?;
    let declaring = settings.fields().location_of("plugin").file.folder();
    if !plugins::is_path(text) && !plugins::is_name(text) {
        let reason = format!("`plugin` cannot be `{}`", text.escape_debug());
        let remedy =
            "write a path such as `./shelf.lua`, or the name under which a plugin is installed";
        return Err(wrong(reason, remedy));
    }
    let (mut path, tree) = if plugins::is_path(text) {
        (resolve_path(text, declaring, context.folders.home()), None)
    } else {
        installed(text, context)?
    };
    if path.is_dir() {
        path.push(MAIN);
    }
    if !path.exists() {
        let reason = format!("there is no plugin at `{}`", path.display());
        return Err(wrong(
            reason,
            "put it there, or correct `plugin` of the provider",
        ));
    }
    let source = Trust::new(&context.folders, declaring)
        .read_checked(&path)
        .map_err(|error| {
            let remedy = error.help();
            let remedy = remedy
                .as_deref()
                .unwrap_or("is it a file that you may read?");
            wrong(format!("the plugin cannot be read: {error}"), remedy)
        })?;
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    if let Some(tree) = tree {
        require_as_installed(text, &folder, &source, &tree)?;
    }
    Ok(Found { folder, source })
}

/// Where the plugin of a name is, and the digest that its files must have.
fn installed(name: &str, context: &Context) -> Result<(PathBuf, Option<String>), ProviderError> {
    let lock = plugins::read_lock(&context.folders.plugins).map_err(|error| unreadable(&error))?;
    let declared = context.plugin_sources.get(name);
    match lock.plugins.get(name) {
        // What is linked is the person's own choice, whatever is declared.
        Some(Installed::Linked { path }) => Ok((path.clone(), None)),
        Some(Installed::Fetched { source, .. })
            if declared.is_some_and(|declared| declared != source) =>
        {
            let reason = format!(
                "the plugin `{name}` is installed from {source}, and `[plugins]` says another source"
            );
            let remedy = format!(
                "`fnox plugin update {name}` fetches it from there; read it before it gets secrets"
            );
            Err(wrong(reason, &remedy))
        }
        Some(Installed::Fetched { tree, .. }) => {
            Ok((context.folders.plugins.join(name), Some(tree.clone())))
        }
        None => {
            let by_hand = plugins::by_hand(&context.folders.config, name);
            if by_hand.is_dir() && declared.is_none() {
                return Ok((by_hand, None));
            }
            Err(missing(name, declared.is_some(), &by_hand))
        }
    }
}

fn missing(name: &str, is_declared: bool, by_hand: &Path) -> ProviderError {
    if is_declared {
        let reason = format!("the plugin `{name}` is not installed");
        let remedy =
            format!("`fnox plugin install {name}` fetches it; fnox fetches nothing by itself");
        return wrong(reason, &remedy);
    }
    let reason = format!("there is no plugin `{name}`");
    let remedy = format!(
        "`fnox plugin install {name} SOURCE` fetches one, `fnox plugin link {name} PATH` takes a folder of yours; or put its `{MAIN}` into {}",
        by_hand.display()
    );
    wrong(reason, &remedy)
}

/// The text that was read must be that of the files that were digested: it is what runs.
fn require_as_installed(
    name: &str,
    folder: &Path,
    source: &str,
    tree: &str,
) -> Result<(), ProviderError> {
    let files = Files::read(folder).map_err(|error| unreadable(&error))?;
    let is_read = files
        .0
        .get(MAIN)
        .is_some_and(|text| text == source.as_bytes());
    if is_read && files.digest() == tree {
        return Ok(());
    }
    let reason = format!(
        "the files of the plugin `{name}` in {} are not those that were installed",
        folder.display()
    );
    let remedy = format!(
        "`fnox plugin install {name} --force` installs it anew; to use files that you changed yourself, copy them elsewhere and `fnox plugin link {name} PATH --force`"
    );
    Err(wrong(reason, &remedy))
}

fn unreadable(error: &PluginError) -> ProviderError {
    let remedy = "look at what the message names; `fnox plugin list` tells what is installed";
    wrong(error.to_string(), remedy)
}

fn wrong(reason: String, remedy: &str) -> ProviderError {
    ProviderError::misconfigured(reason)
        .with_remedy(remedy)
        .at_key("plugin")
}

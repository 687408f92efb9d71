//! Finding a plugin's file.

use std::path::{Path, PathBuf};

use fnox_config::fields::resolve_path;
use fnox_config::trust::Trust;

use crate::error::ProviderError;
use crate::provider::Context;
use crate::settings::Settings;

/// The file of a plugin that is a folder, and of an installed one.
const FILE: &str = "provider.lua";

const FOLDER: &str = "plugins";

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
/// `Misconfigured` if there is none, or others could have written it.
pub(super) fn find(settings: &Settings, context: &Context) -> Result<Found, ProviderError> {
    let text = settings.required("plugin")?;
    let declaring = settings.fields().location_of("plugin").file.folder();
    let wrong = |reason: String, remedy: &str| {
        ProviderError::misconfigured(reason)
            .with_remedy(remedy)
            .at_key("plugin")
    };
    let mut path = if is_path(text) {
        resolve_path(text, declaring, context.folders.home())
    } else if is_name(text) {
        context.folders.config.join(FOLDER).join(text)
    } else {
        let reason = format!("`plugin` cannot be `{}`", text.escape_debug());
        let remedy = "write a path such as `./shelf.lua`, or the name of a folder below `plugins` of fnox's configuration folder";
        return Err(wrong(reason, remedy));
    };
    if path.is_dir() {
        path.push(FILE);
    } else if !is_path(text) {
        let reason = format!("there is no plugin `{text}` ({})", path.display());
        return Err(wrong(
            reason,
            "put its `provider.lua` there; fnox fetches no plugins",
        ));
    }
    let source = Trust::new(&context.folders, declaring)
        .read_checked(&path)
        .map_err(|error| {
            let remedy = error.help().unwrap_or_default();
            wrong(format!("the plugin cannot be read: {error}"), &remedy)
        })?;
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(Found { folder, source })
}

fn is_path(text: &str) -> bool {
    let is_file = Path::new(text)
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("lua"));
    is_file || text.contains(['/', '\\']) || text.starts_with(['.', '~'])
}

/// `[A-Za-z0-9][A-Za-z0-9._-]*`
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.bytes().all(fits)
}

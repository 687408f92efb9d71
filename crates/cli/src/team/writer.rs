//! This person's writer key: what signs the values that they put on a team server.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use fnox_config::{fields::resolve_path, trust};
use fnox_core::SecretString;
use fnox_core::signed::WriterKey;
use fnox_system::Rights;
use zeroize::Zeroizing;

use crate::app::App;
use crate::environment;
use crate::error::CliError;
use crate::team::error::TeamFailure;

/// Longest file that is taken for a key.
const LIMIT: u64 = 4096;

/// Where the key is: `FNOX_WRITER_KEY_FILE`, else `age/writer.key` of the config folder.
pub(crate) fn path(app: &App) -> PathBuf {
    app.env.var(environment::WRITER_KEY_FILE).map_or_else(
        || app.folders.config.join("age/writer.key"),
        |text| resolve_path(text, &app.cwd, app.folders.home()),
    )
}

/// The key, if there is one. A file that was named must be there.
pub(crate) fn read(app: &App) -> Result<Option<WriterKey>, CliError> {
    let path = path(app);
    let failed = |reason: String| TeamFailure::Writer {
        path: path.clone(),
        reason,
    };
    let is_named = app.env.var(environment::WRITER_KEY_FILE).is_some();
    let text = match read_private(&path, LIMIT) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => return Ok(None),
        Err(error) => return Err(failed(error.to_string()).into()),
    };
    let lines = text.expose_secret().lines();
    let key: Vec<&str> = lines
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let [key] = key.as_slice() else {
        return Err(failed("it must hold one line that begins with `fxws_`".to_owned()).into());
    };
    let key =
        WriterKey::parse(&SecretString::from(*key)).map_err(|error| failed(error.to_string()))?;
    Ok(Some(key))
}

/// Makes a key in a new file, or answers that there is one already.
pub(crate) fn create(app: &App, path: &Path) -> Result<Option<String>, CliError> {
    let failed = |source| CliError::File {
        action: "create",
        path: path.to_owned(),
        source,
    };
    if path.symlink_metadata().is_ok() {
        return Ok(None);
    }
    let key =
        WriterKey::generate().map_err(|error| failed(std::io::Error::other(error.to_string())))?;
    let public = key.public().to_string();
    let secret = key.to_secret();
    let created = fnox_core::Clock::now(&app.clock);
    let created = created.round(jiff::Unit::Second).unwrap_or(created);
    let mut text = Zeroizing::new(String::with_capacity(512));
    for part in [
        "# created: ",
        &created.to_string(),
        "\n# public key: ",
        &public,
        "\n",
        secret.expose_secret(),
        "\n",
    ] {
        text.push_str(part);
    }
    match write_private(path, text.as_bytes(), false) {
        Ok(()) => Ok(Some(public)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Writes a file that only this user may read, whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8], replace: bool) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    trust::create_private_folder(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".fnox-");
    let mut temporary = fnox_system::create_temporary(&mut builder, folder, Rights::Private)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    if replace {
        temporary.persist(path)?;
    } else {
        temporary.persist_noclobber(path)?;
    }
    fnox_system::sync_folder(folder)
}

/// Reads a small file that holds a secret.
pub(crate) fn read_private(path: &Path, limit: u64) -> std::io::Result<SecretString> {
    use std::io::Read as _;
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path)?
        .take(limit + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > limit {
        return Err(std::io::Error::other(format!(
            "it is larger than {limit} bytes"
        )));
    }
    Ok(SecretString::from(text.as_str()))
}

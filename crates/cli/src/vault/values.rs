//! Values on their way in and out: from a file, a pipe or a person, to stdout or a private file.

use std::io::{IsTerminal as _, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use fnox_core::{Lifetime, SecretBytes};
use fnox_vault::engine::MAX_VALUE;
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::app::App;
use crate::error::CliError;

/// A new value. A pipe's final line end does not count, because nearly every program writes one.
pub(crate) fn read(app: &App, file: Option<&Path>, name: &str) -> Result<SecretBytes, CliError> {
    if let Some(path) = file {
        let path = app.cwd.join(path);
        return std::fs::File::open(&path)
            .and_then(limited)
            .map_err(|source| CliError::File {
                action: "read",
                path,
                source,
            });
    }
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let question = format!("Value of {}", name.escape_debug());
        let value = app
            .prompt
            .secret(&question)
            .ok_or_else(|| CliError::Usage {
                message: format!("there is no value for `{}`", name.escape_debug()),
                help: Some("give it with --file, or through a pipe".to_owned()),
            })?;
        return not_empty(SecretBytes::new(value.expose_secret().as_bytes().to_vec()));
    }
    let bytes = limited(stdin.lock()).map_err(|source| CliError::File {
        action: "read",
        path: "/dev/stdin".into(),
        source,
    })?;
    let value = bytes.expose_secret();
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    not_empty(SecretBytes::new(value.to_vec()))
}

fn not_empty(value: SecretBytes) -> Result<SecretBytes, CliError> {
    if value.expose_secret().is_empty() {
        return Err(CliError::Usage {
            message: "the value is empty".to_owned(),
            help: Some("an empty value can be given with --file /dev/null".to_owned()),
        });
    }
    Ok(value)
}

fn limited(input: impl Read) -> std::io::Result<SecretBytes> {
    let mut bytes = Zeroizing::new(Vec::new());
    let limit = MAX_VALUE as u64;
    // One more for the line end that does not count, one to see that there is more.
    input.take(limit + 2).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit + 1 {
        return Err(std::io::Error::other(
            "it is larger than 512 KiB, the most that a vault keeps",
        ));
    }
    Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
}

/// Prints a value as it is; on a terminal with a line end.
pub(crate) fn print(value: &[u8]) -> Result<(), CliError> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(value)?;
    if stdout.is_terminal() {
        stdout.write_all(b"\n")?;
    }
    stdout.flush()?;
    Ok(())
}

/// Makes a file that only its owner may read. What is there already is left alone.
pub(crate) fn create_private(path: &Path) -> Result<std::fs::File, CliError> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| CliError::File {
            action: "create",
            path: path.to_owned(),
            source,
        })
}

/// Writes a private file whole, and has it on the disk.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), CliError> {
    let mut file = create_private(path)?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(|source| CliError::File {
            action: "write",
            path: path.to_owned(),
            source,
        })
}

/// Adds a signed note to a file of notes, whole and durable.
pub(crate) fn append_note(path: &Path, note: &str) -> Result<(), CliError> {
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(format!("{note}\n").as_bytes())?;
            file.sync_all()
        })
        .map_err(|source| CliError::File {
            action: "write",
            path: path.to_owned(),
            source,
        })
}

/// A moment: RFC 3339, or how long ago.
pub(crate) fn moment(text: &str, flag: &str, now: Timestamp) -> Result<Timestamp, CliError> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let ago = Lifetime::parse(text).ok().and_then(|ago| {
        let ago = jiff::SignedDuration::try_from(ago.as_duration()).ok()?;
        now.checked_sub(ago).ok()
    });
    ago.ok_or_else(|| {
        CliError::usage(format!(
            "{flag}: `{}` is neither a time such as 2026-01-31T12:00:00Z nor how long ago, such as 1h",
            text.escape_debug()
        ))
    })
}

/// A moment as tables show it.
pub(crate) fn shown(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `1 lease`, `2 leases`
pub(crate) fn count(number: u64, thing: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{end}")
}

/// An id on the command line.
pub(crate) fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, CliError> {
    text.parse().map_err(|_| {
        CliError::usage(format!(
            "`{}` is not the id of a {what}",
            text.escape_debug()
        ))
    })
}

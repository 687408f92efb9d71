//! A person's end: all gateways of the user are asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_config::Folders;

use super::{Message, Reply, Said, folder};
use crate::error::CliError;
use crate::gateway::documents::PendingQuestion;

/// How long a gateway may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What waits at any gateway, the oldest first.
///
/// # Errors
/// If the folder of their sockets cannot be read.
pub(crate) fn pending(folders: &Folders) -> Result<Vec<PendingQuestion>, CliError> {
    let mut all = Vec::new();
    for socket in sockets(folders)? {
        // Those that have just ended are not there any more.
        if let Some(Reply::Pending(pending)) = ask(&socket, &Message::Pending) {
            all.extend(pending);
        }
    }
    all.sort_by(|one, other| one.asked_at.cmp(&other.asked_at));
    Ok(all)
}

/// Answers a request, and says which it was.
///
/// # Errors
/// If none of this name waits, or a program asks for itself.
pub(crate) fn answer(folders: &Folders, id: &str, said: Said) -> Result<String, CliError> {
    for socket in sockets(folders)? {
        let message = Message::Answer {
            id: id.to_owned(),
            answer: said,
        };
        match ask(&socket, &message) {
            Some(Reply::Answered(request)) => return Ok(request),
            Some(Reply::Unfit(reason)) => return Err(CliError::usage(reason)),
            Some(Reply::NotAPerson) => {
                return Err(CliError::Denied(
                    "the agent's own programs cannot answer for a person: do it in another terminal",
                ));
            }
            _ => {}
        }
    }
    Err(CliError::usage(format!(
        "no request `{id}` waits: `fnox agent pending` lists them; after ten minutes they have to be asked anew"
    )))
}

fn sockets(folders: &Folders) -> Result<Vec<PathBuf>, CliError> {
    let path = folder(folders);
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            let action = "read";
            return Err(CliError::File {
                action,
                path,
                source,
            });
        }
    };
    let mut sockets: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == "sock"))
        .collect();
    sockets.sort();
    Ok(sockets)
}

fn ask(socket: &Path, message: &Message) -> Option<Reply> {
    let mut stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) => {
            // A gateway that was killed leaves its socket behind.
            if error.kind() == std::io::ErrorKind::ConnectionRefused {
                let _ = std::fs::remove_file(socket);
            }
            return None;
        }
    };
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let mut text = serde_json::to_string(message).ok()?;
    text.push('\n');
    stream.write_all(text.as_bytes()).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

//! What the gateway tells an agent about itself, as files for the guest's programs.
//!
//! The certificate and the placeholders are the gateway's own and change when it starts anew, so it is asked again
//! from time to time. Nothing in these files is a secret: all programs of the guest may read them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_core::name::is_variable_name;
use fnox_core::proxy_variables::{
    ADDED_AUTHORITIES, EXCEPTIONS, FOR_NODE, PROXIES, REPLACED_AUTHORITIES,
};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Gateway;
use super::head::{Head, end_of};
use crate::error::AgentError;
use crate::files::{DRAFT, parent};
use crate::report::note;

/// How often the gateway is asked.
const AGAIN: Duration = Duration::from_secs(10);

/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// What is asked.
const QUESTION: &[u8] =
    b"GET http://gateway.fnox.invalid/session HTTP/1.1\r\nHost: gateway.fnox.invalid\r\n\r\n";

/// Longest answer.
const LIMIT: u64 = 1024 * 1024;

/// What the gateway answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Session {
    agent: String,
    certificate: String,
    variables: BTreeMap<String, String>,
}

/// The files of a session.
#[derive(Debug)]
pub(super) struct SessionFiles {
    address: SocketAddr,
    env_file: Option<PathBuf>,
    certificate_file: Option<PathBuf>,
    written: Option<Session>,
}

impl SessionFiles {
    pub(super) fn new(
        address: SocketAddr,
        env_file: Option<PathBuf>,
        certificate_file: Option<PathBuf>,
    ) -> Result<Self, AgentError> {
        let absolute = |path: Option<PathBuf>| path.map(std::path::absolute).transpose();
        let system = |source| AgentError::System {
            what: "find the working folder",
            source,
        };
        Ok(Self {
            address,
            env_file: absolute(env_file).map_err(system)?,
            certificate_file: absolute(certificate_file).map_err(system)?,
            written: None,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks the gateway, and writes what changed.
    pub(super) async fn write(&mut self, gateway: &Gateway) -> Result<(), AgentError> {
        let session = ask(gateway).await?;
        if self.written.as_ref() == Some(&session) {
            return Ok(());
        }
        // First what the other file names.
        if let Some(path) = &self.certificate_file {
            write_public(path, session.certificate.as_bytes())?;
        }
        if let Some(path) = &self.env_file {
            let text = env_text(self.address, self.certificate_file.as_deref(), &session);
            write_public(path, text.as_bytes())?;
        }
        if self.written.is_some() {
            note(
                "the gateway started anew: programs that run already hold its former placeholders",
            );
        }
        self.written = Some(session);
        Ok(())
    }

    /// Asks again and again.
    pub(super) async fn keep_current(&mut self, gateway: &Gateway) {
        let mut told = false;
        loop {
            tokio::time::sleep(AGAIN).await;
            match self.write(gateway).await {
                Ok(()) => told = false,
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        note(&error.to_string());
                    }
                }
            }
        }
    }

    /// Removes them: they name a port on which nobody listens any more.
    pub(super) fn remove(&self) {
        for path in [&self.env_file, &self.certificate_file]
            .into_iter()
            .flatten()
        {
            let _others_may_have_done_it = fs::remove_file(path);
        }
    }
}

async fn ask(gateway: &Gateway) -> Result<Session, AgentError> {
    let wrong = |reason: String| AgentError::Gateway {
        to: gateway.connector.to_string(),
        reason,
    };
    let answer = tokio::time::timeout(ANSWER, exchange(gateway)).await;
    let answer = answer.map_err(|_| wrong("it does not answer in time".to_owned()))??;
    let status = answer.get(9..12).unwrap_or_default();
    match status {
        b"200" => {}
        b"407" if gateway.authorization.is_none() => return Err(AgentError::GatewayWantsToken),
        b"407" => return Err(AgentError::GatewayRefused),
        _ => {
            let status = String::from_utf8_lossy(status).into_owned();
            return Err(wrong(format!(
                "it answers with the status `{}`",
                status.escape_debug()
            )));
        }
    }
    let body = end_of(&answer).and_then(|end| answer.get(end..));
    serde_json::from_slice(body.unwrap_or_default())
        .map_err(|_| wrong("what answers there is no gateway of fnox".to_owned()))
}

async fn exchange(gateway: &Gateway) -> Result<Vec<u8>, AgentError> {
    let broken = |error: std::io::Error| AgentError::Gateway {
        to: gateway.connector.to_string(),
        reason: error.to_string(),
    };
    let mut stream = gateway.connect().await?;
    let head = Head::parse(QUESTION).map_err(|reason| broken(std::io::Error::other(reason)))?;
    let request = head.with_authorization(gateway.authorization());
    stream.write_all(&request).await.map_err(broken)?;
    let mut answer = Vec::new();
    let mut stream = stream.take(LIMIT);
    while !is_whole(&answer) {
        if stream.read_buf(&mut answer).await.map_err(broken)? == 0 {
            break;
        }
    }
    Ok(answer)
}

/// Whether as much has come as the answer says that it has (RFC 9112, section 6.3): the end of a connection may come late.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = end_of(answer) else {
        return false;
    };
    let head = String::from_utf8_lossy(&answer[..end]);
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() - end >= length)
}

/// Lines that sh(1) and systemd (`EnvironmentFile=`) read alike. What the gateway says is put before what is said
/// here, so that it changes none of it.
fn env_text(address: SocketAddr, certificate: Option<&Path>, session: &Session) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        let mut quoted = String::with_capacity(value.len());
        for character in value.chars() {
            if "\"\\$`".contains(character) {
                quoted.push('\\');
            }
            quoted.push(character);
        }
        let _to_a_string = writeln!(out, "{name}=\"{quoted}\"");
    };
    for (name, placeholder) in &session.variables {
        if is_variable_name(name) && !placeholder.contains(['\n', '\0']) {
            line(name, placeholder);
        }
    }
    for name in PROXIES {
        line(name, &format!("http://{address}"));
    }
    for name in EXCEPTIONS {
        line(name, "");
    }
    if let Some(path) = certificate {
        // In a guest whose only way out is the gateway, its authority is the only one.
        for name in REPLACED_AUTHORITIES.iter().chain(&ADDED_AUTHORITIES) {
            line(name, &path.to_string_lossy());
        }
    }
    line(FOR_NODE.0, FOR_NODE.1);
    line("GIT_TERMINAL_PROMPT", "0");
    out
}

/// Writes a file that everybody may read, whole or not at all.
fn write_public(path: &Path, content: &[u8]) -> Result<(), AgentError> {
    let failed = |error: std::io::Error| AgentError::file("write", path, &error);
    let mut draft = tempfile::Builder::new()
        .prefix(DRAFT)
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(parent(path))
        .map_err(failed)?;
    draft.write_all(content).map_err(failed)?;
    // Whatever the umask says.
    let open = draft.as_file();
    open.set_permissions(fs::Permissions::from_mode(0o644))
        .map_err(failed)?;
    draft.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_length_has_come() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        for length in 0..whole.len() {
            assert!(!is_whole(&whole[..length]), "{length}");
        }
        assert!(is_whole(whole));
        // Of such a one the end of the connection is the end.
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\n\r\n{}"));
    }

    #[test]
    fn programs_find_the_proxy_the_certificate_and_the_placeholders() {
        let variables = [
            ("API_TOKEN", "ghp_$x"),
            ("HTTPS_PROXY", "http://elsewhere"),
            ("not a name", "x"),
        ];
        let session = Session {
            agent: "coder-1".to_owned(),
            certificate: "PEM".to_owned(),
            variables: variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        };
        let address = "127.0.0.1:3128".parse().unwrap();
        let text = env_text(address, Some(Path::new("/run/a.pem")), &session);
        assert!(text.contains("API_TOKEN=\"ghp_\\$x\"\n"), "{text}");
        assert!(!text.contains("not a name"), "{text}");
        let proxy = text.rfind("HTTPS_PROXY=\"http://127.0.0.1:3128\"").unwrap();
        assert!(proxy > text.find("elsewhere").unwrap());
        for name in ["SSL_CERT_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] {
            let line = format!("{name}=\"/run/a.pem\"\n");
            assert!(text.contains(&line), "{text}");
        }
        assert!(text.contains("NO_PROXY=\"\"\n"), "{text}");
    }
}

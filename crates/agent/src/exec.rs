//! Running a program with leased variables.
//!
//! The program gets values, never the means to get more: not where the token is, nor the folder of systemd's
//! credentials. Leases are renewed while it runs and given up at its end.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus as ProcessStatus;

use fnox_core::name::is_variable_name;
use fnox_core::{Env, ExitStatus, Host, SecretString, VaultName};
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};
use tokio::task::JoinSet;

use crate::error::AgentError;
use crate::lease::{Borrower, Lease, Renewal, settle};
use crate::manifest::{Entry, Manifest, Variable};
use crate::provision::Rendered;
use crate::template::Template;

/// What the program must not have: where the agent found its token, and what concerns the agent's own service.
const OWN: [&str; 7] = [
    "CREDENTIALS_DIRECTORY",
    "ENCRYPTED_CREDENTIALS_DIRECTORY",
    "FNOX_VAULT_AGENT",
    "FNOX_VAULT_SOCKET",
    "FNOX_VAULT_TOKEN",
    "FNOX_VAULT_TOKEN_FILE",
    "NOTIFY_SOCKET",
];

/// The entries whose variables a program gets: those of a manifest, and each `NAME@HOST=VAR`.
///
/// # Errors
/// `Usage` for what is not that, or if a variable comes twice or none at all.
pub fn wanted(manifest: Option<Manifest>, secrets: &[String]) -> Result<Vec<Entry>, AgentError> {
    let mut entries: Vec<Entry> = manifest
        .map(|manifest| manifest.credentials)
        .unwrap_or_default();
    for text in secrets {
        entries.push(one(text)?);
    }
    entries.retain(|entry| !entry.variables.is_empty());
    let mut names = BTreeSet::new();
    for variable in entries.iter().flat_map(|entry| &entry.variables) {
        if !names.insert(&variable.name) {
            return Err(AgentError::Usage {
                message: format!("two values would go to {}", variable.name),
                help: "give one of them another variable: NAME@HOST=VAR",
            });
        }
    }
    if entries.is_empty() {
        return Err(AgentError::Usage {
            message: "there is no variable to lease".to_owned(),
            help: "name a secret with --secret NAME@HOST=VAR, or a manifest with variables",
        });
    }
    Ok(entries)
}

fn one(text: &str) -> Result<Entry, AgentError> {
    let wrong = |reason: String| AgentError::Usage {
        message: format!("`{}` is not NAME@HOST=VAR: {reason}", text.escape_debug()),
        help: "write it like github-token@api.github.com=GH_TOKEN",
    };
    // A name may have `@` and `=`, a host has neither.
    let (name, rest) = text
        .rsplit_once('@')
        .ok_or_else(|| wrong("there is no `@`".to_owned()))?;
    let (host, variable) = rest
        .split_once('=')
        .ok_or_else(|| wrong("there is no variable".to_owned()))?;
    if !is_variable_name(variable) {
        return Err(wrong("that is not the name of a variable".to_owned()));
    }
    let name = VaultName::parse(name).map_err(|error| wrong(error.to_string()))?;
    let host = Host::parse(host).map_err(|error| wrong(error.to_string()))?;
    let mut entry = Entry::new(name, host);
    entry.variables.push(Variable {
        name: variable.to_owned(),
        template: Template::default(),
    });
    Ok(entry)
}

/// Leases, runs, gives up; the program's own exit code.
///
/// # Errors
/// What kept the program from starting. Nothing is held then.
pub async fn run(
    borrower: &Borrower,
    entries: &[Entry],
    env: &Env,
    command: &[OsString],
) -> Result<ExitStatus, AgentError> {
    let outcome = lend_and_run(borrower, entries, env, command).await;
    settle(borrower.client()).await;
    outcome
}

async fn lend_and_run(
    borrower: &Borrower,
    entries: &[Entry],
    env: &Env,
    command: &[OsString],
) -> Result<ExitStatus, AgentError> {
    let mut signals = Signals::listen()?;
    let (variables, leases) = tokio::select! {
        biased;
        _ = signals.next() => return Err(AgentError::Stopped),
        lent = lend_all(borrower, entries) => lent?,
    };
    let mut child = start(&env.without(&OWN).with_overlay(variables), command)?;
    let mut keeping = JoinSet::new();
    for lease in leases {
        keeping.spawn(keep_alive(borrower.clone(), lease));
    }
    let status = until_its_end(&mut child, &mut signals).await?;
    // Each task has its lease, which goes with it.
    keeping.shutdown().await;
    Ok(status)
}

async fn lend_all(
    borrower: &Borrower,
    entries: &[Entry],
) -> Result<(Vec<(String, SecretString)>, Vec<Lease>), AgentError> {
    let (mut variables, mut leases) = (Vec::new(), Vec::new());
    for entry in entries {
        let loan = borrower
            .lend(&entry.secret, &entry.host, entry.ttl_secs)
            .await?;
        variables.extend(Rendered::variables_of(entry, &loan.value)?);
        leases.push(loan.lease);
    }
    Ok((variables, leases))
}

fn start(env: &Env, command: &[OsString]) -> Result<Child, AgentError> {
    let (program, arguments) = command.split_first().ok_or_else(|| AgentError::Usage {
        message: "there is no program to run".to_owned(),
        help: "name it after `--`",
    })?;
    Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(env.iter())
        .spawn()
        .map_err(|source| AgentError::Program {
            program: program.to_string_lossy().into_owned(),
            source,
        })
}

/// Renews a lease as long as the vault does.
async fn keep_alive(borrower: Borrower, mut lease: Lease) {
    borrower.measure(&mut lease).await;
    loop {
        tokio::time::sleep_until(lease.next_care()).await;
        if let Renewal::Over = lease.renew().await {
            // It is held until the program's end all the same: what is left of it must be given up then.
            std::future::pending::<()>().await;
        }
    }
}

/// The signals that are handed on to the program.
struct Signals {
    terminate: Listener,
    hangup: Listener,
    interrupt: Listener,
    quit: Listener,
}

impl Signals {
    fn listen() -> Result<Self, AgentError> {
        let listen = |kind| {
            signal(kind).map_err(|source| AgentError::System {
                what: "listen to signals",
                source,
            })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hangup.recv() => Signal::HUP,
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.quit.recv() => Signal::QUIT,
        }
    }
}

/// Waits for the program and hands signals on to it.
async fn until_its_end(child: &mut Child, signals: &mut Signals) -> Result<ExitStatus, AgentError> {
    // A terminal sends Ctrl-C to the program as well as to this process.
    let terminal = std::io::stdin().is_terminal();
    loop {
        tokio::select! {
            status = child.wait() => {
                return status.map(exit_status).map_err(|source| AgentError::System {
                    what: "wait for the program",
                    source,
                });
            }
            signal = signals.next() => {
                if !terminal || ![Signal::INT, Signal::QUIT].contains(&signal) {
                    hand_on(child, signal);
                }
            }
        }
    }
}

fn hand_on(child: &Child, signal: Signal) {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(id) = id.and_then(Pid::from_raw) {
        // It may have ended just now, and is not reaped yet: the id is still its own.
        let _ = rustix::process::kill_process(id, signal);
    }
}

/// As shells tell it: 128 and the signal's number.
fn exit_status(status: ProcessStatus) -> ExitStatus {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .and_then(|code| u8::try_from(code).ok());
    ExitStatus::Child(code.unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(texts: &[&str]) -> Result<Vec<Entry>, AgentError> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        wanted(None, &texts)
    }

    #[test]
    fn a_secret_a_host_and_a_variable_are_named() {
        let entries = secrets(&["a@b=c@db.internal:5432=PGPASSWORD"]).unwrap();
        assert_eq!(entries[0].secret.as_str(), "a@b=c");
        assert_eq!(entries[0].host.to_string(), "db.internal:5432");
        assert_eq!(entries[0].variables[0].name, "PGPASSWORD");
    }

    #[test]
    fn what_is_none_of_it_is_refused() {
        for texts in [
            &["token"][..],
            &["t@h.example"],
            &["t@h.example="],
            &["t@h.example=A B"],
            &["@h.example=A"],
            &["t@*.example=A"],
            &["t@h.example=A", "u@h.example=A"],
            &[],
        ] {
            let error = secrets(texts).unwrap_err();
            assert_eq!(error.status(), ExitStatus::Usage, "{texts:?}");
        }
    }
}

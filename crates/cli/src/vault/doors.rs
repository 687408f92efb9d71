//! The sockets of a vault, and who may come in through each.

use std::fmt;

use fnox_vault::server::{Administrators, Admission};
use fnox_vault_wire::transport::{
    HostSocketListener, ListenError, Listener, TcpListener, UnixListener, UnixOptions,
};
use listenfd::ListenFd;

use super::error::{StartProblem, VaultFailure};
use super::settings::Settings;
use crate::app::App;
use crate::error::CliError;

/// The name by which systemd hands over the agents' socket (`FileDescriptorName=agent`).
const AGENT: &str = "agent";

/// A listener, and who may come in.
#[derive(Debug)]
pub(crate) struct Door {
    pub listener: Listener,
    pub admission: Admission,
}

impl fmt::Display for Door {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.admission {
            Admission::Administrators(_) => "administrators",
            Admission::AgentTokens => "agents with tokens",
            Admission::AnyToken => "anybody with a token",
        };
        write!(formatter, "{} ({who})", self.listener)
    }
}

/// Opens all doors. Sockets that systemd passes are used in the place of those of the settings.
pub(crate) async fn open(app: &App, settings: &Settings) -> Result<Vec<Door>, CliError> {
    let mut doors = passed(app, settings)?;
    if doors.is_empty() {
        let door = unix(&settings.socket, &settings.socket_options)?;
        doors.push(Door {
            listener: door,
            admission: administrators(settings),
        });
        if let Some(path) = &settings.agent_socket {
            doors.push(Door {
                listener: unix(path, &settings.agent_socket_options)?,
                admission: Admission::AgentTokens,
            });
        }
    }
    for address in &settings.listen {
        let listener = TcpListener::bind(*address).await.map_err(failed)?;
        doors.push(with_token(listener));
    }
    if let Some(port) = settings.vsock {
        doors.push(vsock(port)?);
    }
    for (path, port) in &settings.vsock_host {
        let listener =
            HostSocketListener::bind(path, *port, &UnixOptions::default()).map_err(failed)?;
        doors.push(with_token(listener));
    }
    Ok(doors)
}

fn with_token(listener: impl Into<Listener>) -> Door {
    Door {
        listener: listener.into(),
        admission: Admission::AnyToken,
    }
}

fn unix(path: &std::path::Path, options: &UnixOptions) -> Result<Listener, CliError> {
    Ok(UnixListener::bind(path, options).map_err(failed)?.into())
}

#[cfg(target_os = "linux")]
fn vsock(port: u32) -> Result<Door, CliError> {
    let listener = fnox_vault_wire::transport::VsockListener::bind(port).map_err(failed)?;
    Ok(with_token(listener))
}

#[cfg(not(target_os = "linux"))]
fn vsock(_port: u32) -> Result<Door, CliError> {
    Err(CliError::usage("vsock exists on Linux only"))
}

fn administrators(settings: &Settings) -> Admission {
    let own = rustix::process::geteuid().as_raw();
    let mut uids = vec![own];
    uids.extend(&settings.admin_uids);
    Admission::Administrators(Administrators {
        uids,
        gids: settings.admin_gids.clone(),
    })
}

/// Sockets that the service manager passes (`sd_listen_fds(3)`).
fn passed(app: &App, settings: &Settings) -> Result<Vec<Door>, CliError> {
    let mut passed = ListenFd::from_env();
    let names = app.env.var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut doors = Vec::new();
    for index in 0..passed.len() {
        let name = names.next().unwrap_or_default();
        let failed = |error: std::io::Error| {
            socket_problem(format!("the socket `{name}` cannot be taken over: {error}"))
        };
        if let Ok(Some(socket)) = passed.take_unix_listener(index) {
            let listener = UnixListener::from_std(socket).map_err(failed)?;
            doors.push(Door {
                listener: listener.into(),
                admission: if name == AGENT {
                    Admission::AgentTokens
                } else {
                    administrators(settings)
                },
            });
            continue;
        }
        let socket = passed.take_tcp_listener(index).map_err(failed)?;
        if let Some(socket) = socket {
            let listener =
                TcpListener::from_std(socket).map_err(|error| socket_problem(error.to_string()))?;
            doors.push(Door {
                listener: listener.into(),
                admission: if name == AGENT {
                    Admission::AgentTokens
                } else {
                    Admission::AnyToken
                },
            });
        }
    }
    Ok(doors)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function for map_err"
)]
fn failed(error: ListenError) -> CliError {
    socket_problem(error.to_string())
}

fn socket_problem(message: String) -> CliError {
    VaultFailure::Start {
        message,
        reason: StartProblem::Socket,
        help: None,
    }
    .into()
}

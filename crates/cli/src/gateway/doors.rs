//! Where clients of `fnox gateway serve` come in.

use std::path::{Path, PathBuf};

use fnox_config::fields::resolve_path;
use fnox_config::trust::create_private_folder;
use fnox_config::{ConfigError, Fields, Folders};
use fnox_core::SecretString;
use fnox_gateway::proxy::Listener;
use fnox_vault_wire::transport::{self, ListenError, TcpListener, UnixListener, UnixOptions};

use crate::error::CliError;
use crate::vault::connect;

/// A listener that is open.
pub(super) struct Door {
    pub(super) listener: Listener,
    /// For people.
    pub(super) name: String,
    /// Of the one agent behind it, if there is only one.
    pub(super) token: Option<SecretString>,
}

/// What doors are opened with.
pub(super) struct Opening<'a> {
    pub(super) folders: &'a Folders,
    /// Where paths begin.
    pub(super) folder: &'a Path,
}

impl Opening<'_> {
    /// Opens the doors of a `gateway.toml`. Sockets are private to the user unless told otherwise; ports are on loopback.
    ///
    /// # Errors
    /// With the place of the first thing that is wrong, or what cannot be opened.
    pub(super) async fn doors(&self, fields: &Fields) -> Result<Vec<Door>, CliError> {
        let mut doors = Vec::new();
        for text in fields.list("listen") {
            doors.push(Door::open_to_all(tcp(fields, text).await?));
        }
        if fields.contains("vsock") {
            doors.push(Door::open_to_all(vsock(fields)?));
        }
        for guest in fields.tables("guests") {
            doors.push(self.guest(guest).await?);
        }
        let socket = match self.path(fields, "socket") {
            None if doors.is_empty() => Some(self.folders.runtime.join("gateway.sock")),
            socket => socket,
        };
        if let Some(path) = socket {
            doors.push(Door::open_to_all(self.unix(fields, &path)?));
        }
        Ok(doors)
    }

    async fn guest(&self, fields: &Fields) -> Result<Door, CliError> {
        let token = connect::read_token(&self.path(fields, "token_file").unwrap_or_default())?;
        let places = ["socket", "listen", "vsock"];
        let named: Vec<&str> = places
            .into_iter()
            .filter(|it| fields.contains(it))
            .collect();
        if let [_, second, ..] = named.as_slice() {
            let reason = "stands beside another place: a guest has one door";
            return Err(fields.invalid(second, reason).into());
        }
        if fields.contains("cid") && !fields.contains("vsock") {
            let reason = "is for `vsock`: nothing else tells a guest by it";
            return Err(fields.invalid("cid", reason).into());
        }
        let mut guest = None;
        let listener = match (self.path(fields, "socket"), fields.text("listen")) {
            (Some(path), _) => self.unix(fields, &path)?,
            (None, Some(text)) => tcp(fields, text).await?,
            (None, None) if fields.contains("vsock") => {
                guest = Some(context_id(fields)?);
                vsock(fields)?
            }
            (None, None) => {
                let reason = "is missing: a guest comes in by `socket`, `listen` or `vsock`";
                return Err(fields.invalid("socket", reason).into());
            }
        };
        let name = listener.to_string();
        Ok(match guest {
            Some(cid) => Door {
                listener: Listener::Guest(listener, cid),
                name: format!("{name} for the guest {cid}"),
                token: Some(token),
            },
            None => Door {
                listener: listener.into(),
                name: format!("{name} for one agent"),
                token: Some(token),
            },
        })
    }

    fn unix(&self, fields: &Fields, path: &Path) -> Result<transport::Listener, CliError> {
        let mut options = UnixOptions::default();
        if let Some(text) = fields.text("socket_mode") {
            options.mode = u32::from_str_radix(text, 8)
                .ok()
                .filter(|mode| *mode <= 0o777)
                .ok_or_else(|| fields.invalid("socket_mode", "is no mode in octal"))?;
        }
        if path.starts_with(&self.folders.runtime) {
            create_private_folder(&self.folders.runtime).map_err(|source| CliError::File {
                action: "make",
                path: self.folders.runtime.clone(),
                source,
            })?;
        }
        Ok(UnixListener::bind(path, &options).map_err(failed)?.into())
    }

    fn path(&self, fields: &Fields, key: &str) -> Option<PathBuf> {
        let text = fields.text(key)?;
        Some(resolve_path(text, self.folder, self.folders.home()))
    }
}

impl Door {
    /// Everybody who comes in has to say who they are.
    fn open_to_all(listener: transport::Listener) -> Self {
        Self {
            name: listener.to_string(),
            listener: listener.into(),
            token: None,
        }
    }
}

async fn tcp(fields: &Fields, text: &str) -> Result<transport::Listener, CliError> {
    let address = text.parse().map_err(|_| {
        let text = text.escape_debug();
        fields.invalid(
            "listen",
            format!("has `{text}`, which is no address and port"),
        )
    })?;
    Ok(TcpListener::bind(address).await.map_err(failed)?.into())
}

fn context_id(fields: &Fields) -> Result<u32, ConfigError> {
    let cid = fields.count("cid");
    let cid = cid.and_then(|cid| u32::try_from(cid).ok());
    match cid {
        // The first three are the hypervisor, this machine itself and the host; the last is anybody (vsock(7)).
        Some(cid) if (3..u32::MAX).contains(&cid) => Ok(cid),
        None if !fields.contains("cid") => {
            Err(fields.invalid("cid", "is missing: any guest could come in by `vsock`"))
        }
        _ => Err(fields.invalid("cid", "is no guest's: they begin at 3")),
    }
}

#[cfg(target_os = "linux")]
fn vsock(fields: &Fields) -> Result<transport::Listener, CliError> {
    let port = fields.count("vsock");
    let port = port.and_then(|port| u32::try_from(port).ok());
    let port = port.ok_or_else(|| fields.invalid("vsock", "is no vsock port"))?;
    let listener = transport::VsockListener::bind(port).map_err(failed)?;
    Ok(listener.into())
}

#[cfg(not(target_os = "linux"))]
fn vsock(_: &Fields) -> Result<transport::Listener, CliError> {
    Err(CliError::usage("vsock exists on Linux only"))
}

#[expect(clippy::needless_pass_by_value, reason = "map_err passes it so")]
fn failed(error: ListenError) -> CliError {
    CliError::failed(error.to_string())
}

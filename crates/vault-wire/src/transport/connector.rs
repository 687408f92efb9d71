//! How to reach a vault, as one line of text.
//!
//! `unix:/run/fnox/vault.sock` (or the path alone), `tcp:127.0.0.1:9100`, `vsock:2:9100`,
//! `host-socket:/run/vm/vsock.sock:9100`. A token travels in clear over TCP, so TCP goes only where no network
//! is between: to this machine, or from a QEMU guest to its host.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::{Stream, tcp};
#[cfg(unix)]
use super::{host_socket, uds};

/// The host as a guest of QEMU sees it with user-mode networking (`-netdev user`).
const QEMU_HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 2, 2));

/// How to reach a vault.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Connector {
    /// By a Unix socket.
    Unix(PathBuf),
    /// By TCP.
    Tcp(SocketAddr),
    /// By vsock.
    Vsock {
        /// Of the machine; 2 is a guest's host.
        cid: u32,
        /// Of the vault.
        port: u32,
    },
    /// By a monitor's Unix socket, to a vault in its guest.
    HostSocket {
        /// The monitor's socket.
        path: PathBuf,
        /// The vault's vsock port.
        port: u32,
    },
}

impl Connector {
    /// Connects. There is no time limit here: the caller has one.
    ///
    /// # Errors
    /// As the operating system says; `InvalidInput` for a TCP address that is neither loopback nor `10.0.2.2`.
    pub async fn connect(&self) -> io::Result<Stream> {
        if let Self::Tcp(address) = self
            && !address.ip().is_loopback()
            && address.ip() != QEMU_HOST
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a token would travel in clear: only loopback addresses and 10.0.2.2 are allowed",
            ));
        }
        self.connect_anywhere().await
    }

    /// Connects, by TCP to any address too. Whoever listens on the way sees token and secrets.
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn connect_anywhere(&self) -> io::Result<Stream> {
        match self {
            #[cfg(unix)]
            Self::Unix(path) => uds::connect(path).await,
            Self::Tcp(address) => tcp::connect(*address).await,
            #[cfg(target_os = "linux")]
            Self::Vsock { cid, port } => super::vsock::connect(*cid, *port).await,
            #[cfg(not(target_os = "linux"))]
            Self::Vsock { .. } => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "vsock exists on Linux only: reach the vault by unix: or tcp:, or from a macOS host by its monitor's socket with \
                 host-socket:",
            )),
            #[cfg(unix)]
            Self::HostSocket { path, port } => host_socket::connect(path, *port).await,
            #[cfg(not(unix))]
            Self::Unix(_) | Self::HostSocket { .. } => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "Unix sockets need Linux or macOS: reach the vault by tcp:, or use the Windows Subsystem for Linux",
            )),
        }
    }
}

impl fmt::Display for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Self::Tcp(address) => write!(formatter, "tcp:{address}"),
            Self::Vsock { cid, port } => write!(formatter, "vsock:{cid}:{port}"),
            Self::HostSocket { path, port } => {
                write!(formatter, "host-socket:{}:{port}", path.display())
            }
        }
    }
}

impl FromStr for Connector {
    type Err = ConnectorError;

    fn from_str(text: &str) -> Result<Self, ConnectorError> {
        let wrong = |expected| ConnectorError {
            text: text.to_owned(),
            expected,
        };
        let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_word(scheme))
        else {
            return path(text).map(Self::Unix).ok_or_else(|| wrong(ANY));
        };
        match scheme {
            "unix" => path(rest)
                .map(Self::Unix)
                .ok_or_else(|| wrong("unix:/path/to/vault.sock")),
            "tcp" => rest
                .parse()
                .map(Self::Tcp)
                .map_err(|_| wrong("tcp:127.0.0.1:9100")),
            "vsock" => rest
                .split_once(':')
                .and_then(|(cid, port)| Some((number(cid)?, number(port)?)))
                .map(|(cid, port)| Self::Vsock { cid, port })
                .ok_or_else(|| wrong("vsock:2:9100")),
            "host-socket" => rest
                .rsplit_once(':')
                .and_then(|(socket, port)| Some((path(socket)?, number(port)?)))
                .map(|(path, port)| Self::HostSocket { path, port })
                .ok_or_else(|| wrong("host-socket:/path/to/vsock.sock:9100")),
            _ => Err(wrong(ANY)),
        }
    }
}

const ANY: &str =
    "a socket's path, unix:PATH, tcp:ADDRESS:PORT, vsock:CID:PORT or host-socket:PATH:PORT";

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
}

fn number(text: &str) -> Option<u32> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// A text that names no vault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the place of a vault: `{text}` (expected {expected})")]
pub struct ConnectorError {
    /// The text.
    pub text: String,
    /// What was expected.
    pub expected: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_alike() {
        for text in [
            "unix:/run/fnox/vault.sock",
            "unix:relative.sock",
            "tcp:127.0.0.1:9100",
            "tcp:[::1]:9100",
            "vsock:2:9100",
            "host-socket:/run/vm:1/v.sock:9100",
        ] {
            let connector: Connector = text.parse().unwrap();
            assert_eq!(connector.to_string(), text);
        }
        assert_eq!(
            "/run/a:b.sock".parse(),
            Ok(Connector::Unix("/run/a:b.sock".into()))
        );
    }

    #[test]
    fn what_names_no_vault_is_refused_with_the_form_expected() {
        for text in [
            "",
            "unix:",
            "tcp:9100",
            "tcp:localhost:9100",
            "vsock:2",
            "vsock:+2:1",
            "vsock:2:-1",
            "vsock:2:4294967296",
            "host-socket:9100",
            "host-socket::9100",
            "http://127.0.0.1:1",
            "a\0b",
        ] {
            let refused = text.parse::<Connector>().unwrap_err();
            assert!(!refused.expected.is_empty(), "{text}");
        }
    }

    #[tokio::test]
    async fn tcp_goes_to_no_other_machine() {
        let connector: Connector = "tcp:192.0.2.1:9".parse().unwrap();
        let refused = connector.connect().await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }
}

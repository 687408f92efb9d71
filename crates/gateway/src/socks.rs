//! SOCKS version 5 as a server speaks it (RFC 1928), with a user name and a password (RFC 1929).
//!
//! Only what binds a connection to a destination: neither BIND nor UDP. Nothing is read beyond a message's end, so what
//! follows is the connection's own.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use fnox_core::{Host, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

/// The first byte of each message.
pub const VERSION: u8 = 5;

/// The version of the exchange about the password (RFC 1929, section 2).
const LOGIN_VERSION: u8 = 1;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocksError {
    /// The other end went away or was too slow.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came is no SOCKS 5.
    #[error("this is no SOCKS 5: {0}")]
    Invalid(&'static str),
    /// The destination is none.
    #[error("the destination cannot be read: {0}")]
    Destination(String),
}

/// How a client is willing to say who it is (RFC 1928, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Methods {
    /// Not at all.
    pub none: bool,
    /// By user name and password.
    pub password: bool,
}

/// What the server chose of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Choice {
    /// Nothing is needed.
    None = 0,
    /// A password is.
    Password = 2,
    /// No way that the client knows will do; it has to go.
    Nothing = 0xff,
}

/// What a client is told about its request (RFC 1928, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reply {
    /// From now on the connection is the destination's.
    Succeeded = 0,
    /// Something else.
    Failed = 1,
    /// Only CONNECT is.
    CommandNotSupported = 7,
    /// Neither an address nor a name.
    AddressNotSupported = 8,
}

/// Reads the first message.
///
/// # Errors
/// [`SocksError`]
pub async fn greeting<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Methods, SocksError> {
    version(stream, VERSION).await?;
    let mut methods = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut methods).await?;
    Ok(Methods {
        none: methods.contains(&(Choice::None as u8)),
        password: methods.contains(&(Choice::Password as u8)),
    })
}

/// Says how the client has to prove who it is.
///
/// # Errors
/// [`SocksError::Io`]
pub async fn choose<S: AsyncWrite + Unpin>(
    stream: &mut S,
    choice: Choice,
) -> Result<(), SocksError> {
    stream.write_all(&[VERSION, choice as u8]).await?;
    Ok(stream.flush().await?)
}

/// Reads the user name, which means nothing, and the password.
///
/// # Errors
/// [`SocksError`]
pub async fn login<S: AsyncRead + Unpin>(stream: &mut S) -> Result<SecretString, SocksError> {
    version(stream, LOGIN_VERSION).await?;
    text(stream).await?;
    let password = text(stream).await?;
    let password = std::str::from_utf8(&password)
        .map_err(|_| SocksError::Invalid("the password is not UTF-8"))?;
    Ok(SecretString::from(password))
}

/// Says whether the password was right.
///
/// # Errors
/// [`SocksError::Io`]
pub async fn judge<S: AsyncWrite + Unpin>(
    stream: &mut S,
    is_right: bool,
) -> Result<(), SocksError> {
    stream
        .write_all(&[LOGIN_VERSION, u8::from(!is_right)])
        .await?;
    Ok(stream.flush().await?)
}

/// Reads where the client wants to go. What cannot be done is answered.
///
/// # Errors
/// [`SocksError`]
pub async fn destination<S>(stream: &mut S) -> Result<Host, SocksError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    version(stream, VERSION).await?;
    let command = stream.read_u8().await?;
    if stream.read_u8().await? != 0 {
        return Err(SocksError::Invalid("the reserved byte is not zero"));
    }
    let name = match stream.read_u8().await? {
        1 => {
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).await?;
            Ipv4Addr::from(bytes).to_string()
        }
        3 => {
            let bytes = text(stream).await?;
            let name = std::str::from_utf8(&bytes)
                .map_err(|_| SocksError::Destination("the name is not UTF-8".to_owned()))?;
            // The port is the two bytes that follow, and no part of the name.
            if name.contains([':', '[', ']']) {
                return Err(SocksError::Destination(
                    "the name has a character of addresses".to_owned(),
                ));
            }
            name.to_owned()
        }
        4 => {
            let mut bytes = [0; 16];
            stream.read_exact(&mut bytes).await?;
            format!("[{}]", Ipv6Addr::from(bytes))
        }
        _ => {
            reply(stream, Reply::AddressNotSupported).await?;
            return Err(SocksError::Invalid("an unknown kind of address"));
        }
    };
    let port = stream.read_u16().await?;
    if command != 1 {
        reply(stream, Reply::CommandNotSupported).await?;
        return Err(SocksError::Invalid("only CONNECT is served"));
    }
    Host::parse(&format!("{name}:{port}"))
        .map_err(|error| SocksError::Destination(error.to_string()))
}

/// Answers the client's request. The address that the connection has at the far end is nobody's business: zeros.
///
/// # Errors
/// [`SocksError::Io`]
pub async fn reply<S: AsyncWrite + Unpin>(stream: &mut S, reply: Reply) -> Result<(), SocksError> {
    let message = [VERSION, reply as u8, 0, 1, 0, 0, 0, 0, 0, 0];
    stream.write_all(&message).await?;
    Ok(stream.flush().await?)
}

async fn version<S: AsyncRead + Unpin>(stream: &mut S, wanted: u8) -> Result<(), SocksError> {
    if stream.read_u8().await? == wanted {
        Ok(())
    } else {
        Err(SocksError::Invalid("a message of another version"))
    }
}

/// A byte that says how many follow.
async fn text<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Zeroizing<Vec<u8>>, SocksError> {
    let mut text = Zeroizing::new(vec![0; usize::from(stream.read_u8().await?)]);
    stream.read_exact(&mut text).await?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client sent, and what it was answered.
    struct Wire {
        sent: &'static [u8],
        answered: Vec<u8>,
    }

    impl Wire {
        async fn destination(sent: &'static [u8]) -> (Result<Host, SocksError>, Vec<u8>) {
            let mut wire = Self {
                sent,
                answered: Vec::new(),
            };
            let outcome = {
                let mut stream = tokio::io::join(&mut wire.sent, &mut wire.answered);
                destination(&mut stream).await
            };
            (outcome, wire.answered)
        }
    }

    #[tokio::test]
    async fn a_greeting_lists_methods() {
        let methods = |none, password| Methods { none, password };
        for (sent, expected) in [
            (&[5, 1, 0][..], methods(true, false)),
            (&[5, 2, 0, 2], methods(true, true)),
            (&[5, 1, 1], methods(false, false)),
            (&[5, 0], methods(false, false)),
        ] {
            assert_eq!(greeting(&mut &*sent).await.unwrap(), expected, "{sent:?}");
        }
        assert!(greeting(&mut &[4, 1, 0][..]).await.is_err());
        assert!(greeting(&mut &[5, 3, 0][..]).await.is_err());
    }

    #[tokio::test]
    async fn a_login_is_a_name_and_a_password() {
        let password = login(&mut &b"\x01\x04fnox\x06secret"[..]).await.unwrap();
        assert_eq!(password.expose_secret(), "secret");
        assert!(login(&mut &b"\x05\x04fnox\x06secret"[..]).await.is_err());
        assert!(login(&mut &b"\x01\x04fnox\x07secret"[..]).await.is_err());
        assert!(login(&mut &b"\x01\x00\x01\xff"[..]).await.is_err());
    }

    #[tokio::test]
    async fn destinations_are_names_and_addresses() {
        for (sent, expected) in [
            (
                &b"\x05\x01\x00\x03\x0fapi.example.com\x01\xbb"[..],
                "api.example.com:443",
            ),
            (
                b"\x05\x01\x00\x01\x7f\x00\x00\x01\x20\xfb",
                "127.0.0.1:8443",
            ),
            (
                b"\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50",
                "[::1]:80",
            ),
        ] {
            let (host, answered) = Wire::destination(sent).await;
            assert_eq!(host.unwrap().to_string(), expected);
            assert_eq!(answered, b"");
        }
    }

    #[tokio::test]
    async fn what_is_no_destination_is_refused() {
        for (sent, answer) in [
            // BIND
            (&b"\x05\x02\x00\x01\x7f\x00\x00\x01\x20\xfb"[..], Some(7)),
            // An unknown kind of address
            (b"\x05\x01\x00\x05\x7f\x00\x00\x01\x20\xfb", Some(8)),
            // A name with a port, an address in brackets, no name, a NUL, no end
            (b"\x05\x01\x00\x03\x07a.b:443\x01\xbb", None),
            (b"\x05\x01\x00\x03\x05[::1]\x01\xbb", None),
            (b"\x05\x01\x00\x03\x00\x01\xbb", None),
            (b"\x05\x01\x00\x03\x03a\0b\x01\xbb", None),
            (b"\x05\x01\x00\x03\x03a", None),
            // A reserved byte
            (b"\x05\x01\x01\x03\x01a\x01\xbb", None),
        ] {
            let (host, answered) = Wire::destination(sent).await;
            assert!(host.is_err(), "{sent:?}: {host:?}");
            assert_eq!(answered.get(1).copied(), answer, "{sent:?}");
        }
    }
}

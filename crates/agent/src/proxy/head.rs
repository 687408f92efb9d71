//! The head of a program's request, and what is changed in it.
//!
//! What a request means the gateway decides. Here it gets the agent's password and loses any that it came with; a
//! request outside of a tunnel is the last on its connection, because a next one would pass without the password.
//! Heads whose lines two readers could see differently are not passed on: a line that the gateway takes for a field
//! and this module does not could carry another password.

use zeroize::Zeroizing;

/// Most bytes of a head.
pub(super) const LIMIT: usize = 64 * 1024;

/// What ends a head (RFC 9112, section 2.1).
const END: &[u8] = b"\r\n\r\n";

/// A head that can be passed on.
pub(super) struct Head {
    /// Its lines, without their ends and without what is not passed on.
    lines: Vec<Zeroizing<Vec<u8>>>,
    /// `host` or `host:port`, as it was written.
    pub(super) authority: String,
    is_connect: bool,
    upgrades: bool,
}

/// Where a head ends in what was read so far: after its empty line.
pub(super) fn end_of(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(END.len()).position(|part| part == END)?;
    Some(at + END.len())
}

impl Head {
    /// Reads a whole head.
    ///
    /// # Errors
    /// Why it is not passed on, for the program's user.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes = bytes.strip_suffix(END).ok_or("the request has no end")?;
        let mut lines = Vec::new();
        for line in split(bytes) {
            if line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                return Err("the request has a line end where none may be");
            }
            lines.push(line);
        }
        let (first, fields) = lines.split_first().ok_or("the request is empty")?;
        let (authority, is_connect) = target(first)?;
        let mut kept = vec![Zeroizing::new(first.to_vec())];
        let mut upgrades = false;
        for field in fields {
            let colon = field.iter().position(|byte| *byte == b':');
            let name = &field[..colon.ok_or("a line of the request is no field")?];
            if name.is_empty() || name.iter().any(|byte| !byte.is_ascii_graphic()) {
                return Err("a field of the request has no proper name");
            }
            upgrades |= name.eq_ignore_ascii_case(b"upgrade");
            if !is_ours(name) {
                kept.push(Zeroizing::new(field.to_vec()));
            }
        }
        Ok(Self {
            lines: kept,
            authority,
            is_connect,
            upgrades,
        })
    }

    /// The head as the gateway gets it.
    pub(super) fn with_authorization(&self, authorization: Option<&str>) -> Zeroizing<Vec<u8>> {
        let length: usize = self.lines.iter().map(|line| line.len() + 2).sum();
        // Room for all of it, so that nothing is left where it grew.
        let room = length + authorization.map_or(0, str::len) + 64;
        let mut out = Zeroizing::new(Vec::with_capacity(room));
        for line in &self.lines {
            if !(self.closes() && name_is(line, b"connection")) {
                out.extend_from_slice(line);
                out.extend_from_slice(b"\r\n");
            }
        }
        if let Some(authorization) = authorization {
            out.extend_from_slice(b"Proxy-Authorization: ");
            out.extend_from_slice(authorization.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if self.closes() {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    /// Whether the connection is over after the answer. One that changes its protocol carries no more requests anyhow.
    fn closes(&self) -> bool {
        !self.is_connect && !self.upgrades
    }
}

/// Splits at line ends.
fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    lines
}

/// Fields that this hop says itself.
fn is_ours(name: &[u8]) -> bool {
    let ours: [&[u8]; 2] = [b"proxy-authorization", b"proxy-connection"];
    ours.iter().any(|one| name.eq_ignore_ascii_case(one))
}

fn name_is(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name))
        && line.get(name.len()) == Some(&b':')
}

/// Where a request goes, and whether it asks for a tunnel (RFC 9112, section 3.2).
fn target(line: &[u8]) -> Result<(String, bool), &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "the request line is not text")?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("this is a proxy for HTTP/1.1");
    };
    if method == "CONNECT" {
        return Ok((target.to_owned(), true));
    }
    let rest = target
        .get(..7)
        .filter(|scheme| scheme.eq_ignore_ascii_case("http://"))
        .and_then(|_| target.get(7..))
        .ok_or("this is a proxy: a request to it names its destination")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    Ok((rest[..end].to_owned(), false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed_on(text: &str) -> String {
        let head = Head::parse(text.as_bytes()).map_err(str::to_owned).unwrap();
        let bytes = head.with_authorization(Some("Basic eA==")).to_vec();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_tunnel_gets_the_password_and_loses_any_other() {
        let text = "CONNECT h.example:443 HTTP/1.1\r\nHost: h.example:443\r\nproxy-authorization: Basic b3RoZXI=\r\nProxy-Connection: keep-alive\r\n\r\n";
        assert_eq!(
            passed_on(text),
            "CONNECT h.example:443 HTTP/1.1\r\nHost: h.example:443\r\nProxy-Authorization: Basic eA==\r\n\r\n"
        );
        let head = Head::parse(text.as_bytes()).map_err(str::to_owned).unwrap();
        assert_eq!(head.authority, "h.example:443");
    }

    #[test]
    fn behind_a_door_of_its_own_a_guest_has_no_password_and_no_program_sends_one() {
        let text =
            "CONNECT h.example:443 HTTP/1.1\r\nProxy-Authorization: Basic b3RoZXI=\r\nA: b\r\n\r\n";
        let head = Head::parse(text.as_bytes()).map_err(str::to_owned).unwrap();
        assert_eq!(
            head.with_authorization(None).as_slice(),
            b"CONNECT h.example:443 HTTP/1.1\r\nA: b\r\n\r\n"
        );
    }

    #[test]
    fn a_request_outside_of_a_tunnel_is_the_last_on_its_connection() {
        let text = "GET HTTP://h.example/a?b HTTP/1.1\r\nConnection: keep-alive\r\nA: b\r\n\r\n";
        assert_eq!(
            passed_on(text),
            "GET HTTP://h.example/a?b HTTP/1.1\r\nA: b\r\nProxy-Authorization: Basic eA==\r\nConnection: close\r\n\r\n"
        );
        let upgrade =
            "GET http://h.example HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        let passed = passed_on(upgrade);
        assert!(passed.contains("Connection: Upgrade"), "{passed}");
        assert!(!passed.contains("close"), "{passed}");
        let head = Head::parse(upgrade.as_bytes()).map_err(str::to_owned);
        assert_eq!(head.unwrap().authority, "h.example");
    }

    #[test]
    fn what_two_readers_could_see_differently_is_not_passed_on() {
        for text in [
            "",
            "\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET https://h.example/ HTTP/1.1\r\n\r\n",
            "GET http://h.example/ HTTP/2.0\r\n\r\n",
            "GET  http://h.example/ HTTP/1.1\r\n\r\n",
            "CONNECT h:1 HTTP/1.1\r\nA: b\nProxy-Authorization: c\r\n\r\n",
            "CONNECT h:1 HTTP/1.1\r\nA: b\rc\r\n\r\n",
            "CONNECT h:1 HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
            "CONNECT h:1 HTTP/1.1\r\nProxy-Authorization : c\r\n\r\n",
            "CONNECT h:1 HTTP/1.1\r\nnone\r\n\r\n",
            "CONNECT h:1 HTTP/1.1\r\n: b\r\n\r\n",
            "CONNECT h:1 HTTP/1.1\r\nA: b\0\r\n\r\n",
        ] {
            assert!(Head::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert_eq!(end_of(b"GET x\r\n\r\nbody"), Some(9));
        assert_eq!(end_of(b"GET x\r\n\r"), None);
    }
}

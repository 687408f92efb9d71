//! What git says to a credential helper, and what it hears (gitcredentials(7), git-credential(1)).
//!
//! The input is read strictly. Helpers have been made to answer for another host by line ends in URLs
//! (CVE-2020-5260, CVE-2024-52006), so a NUL or a carriage return ends the conversation, and so do two answers
//! to the same question.

use crate::host::Host;
use zeroize::Zeroizing;

/// Longest input. git's own lines have at most 64 KiB.
pub const INPUT_LIMIT: usize = 256 * 1024;
/// Longest line.
const LINE_LIMIT: usize = 65_535;

/// What git wants a credential for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// `https`, `http`, …
    pub protocol: String,
    /// The host, with a port if it is not the usual one. Absent for protocols without hosts.
    pub host: Option<Host>,
    /// The user that the URL names.
    pub username: Option<String>,
}

/// An input that git does not write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More than [`INPUT_LIMIT`], or a line that is too long.
    #[error("it is too long")]
    TooLong,
    /// A byte that no line has.
    #[error("line {line} has a control character")]
    Control {
        /// The line, counted from 1.
        line: usize,
    },
    /// A line without a key.
    #[error("line {line} is not KEY=VALUE")]
    NoPair {
        /// The line, counted from 1.
        line: usize,
    },
    /// A line that is not UTF-8.
    #[error("line {line} is not UTF-8")]
    NotUtf8 {
        /// The line, counted from 1.
        line: usize,
    },
    /// A key that came before.
    #[error("line {line} says `{key}` again")]
    Again {
        /// The line, counted from 1.
        line: usize,
        /// The key.
        key: &'static str,
    },
    /// There is no protocol.
    #[error("it names no protocol")]
    NoProtocol,
    /// The host is none.
    #[error("its host is no host: {0}")]
    Host(String),
}

/// Reads what git writes: `key=value` lines up to an empty line or the end. Keys that say nothing about the
/// place of the credential are ignored, as git-credential(1) wants it.
///
/// # Errors
/// [`Malformed`]; no message repeats a value.
pub fn parse(input: &[u8]) -> Result<Question, Malformed> {
    if input.len() > INPUT_LIMIT {
        return Err(Malformed::TooLong);
    }
    let (mut protocol, mut host, mut username) = (None, None, None);
    for (number, line) in input.split(|byte| *byte == b'\n').enumerate() {
        let number = number + 1;
        if line.is_empty() {
            break;
        }
        let (key, value) = pair(line, number)?;
        let (place, key) = match key {
            "protocol" => (&mut protocol, "protocol"),
            "host" => (&mut host, "host"),
            "username" => (&mut username, "username"),
            _ => continue,
        };
        if place.replace(value.to_owned()).is_some() {
            return Err(Malformed::Again { line: number, key });
        }
    }
    let host = host
        .filter(|text| !text.is_empty())
        .map(|text| Host::parse(&text).map_err(|error| Malformed::Host(error.to_string())))
        .transpose()?;
    Ok(Question {
        protocol: protocol
            .filter(|protocol| !protocol.is_empty())
            .ok_or(Malformed::NoProtocol)?,
        host,
        username: username.filter(|name| !name.is_empty()),
    })
}

fn pair(line: &[u8], number: usize) -> Result<(&str, &str), Malformed> {
    if line.len() > LINE_LIMIT {
        return Err(Malformed::TooLong);
    }
    if line.iter().any(u8::is_ascii_control) {
        return Err(Malformed::Control { line: number });
    }
    let line = std::str::from_utf8(line).map_err(|_| Malformed::NotUtf8 { line: number })?;
    line.split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or(Malformed::NoPair { line: number })
}

/// What git hears. `None` if user name or password cannot be said in its lines.
#[must_use]
pub fn answer(username: &str, password: &str) -> Option<Zeroizing<String>> {
    let fits = |text: &str| !text.contains(['\n', '\r', '\0']);
    let room = username.len() + password.len() + 32;
    let mut out = Zeroizing::new(String::with_capacity(room));
    for part in ["username=", username, "\npassword=", password, "\n"] {
        out.push_str(part);
    }
    (fits(username) && fits(password)).then_some(out)
}

/// The same with the moment from which git must not use it any more, in seconds since 1970 (git-credential(1),
/// `password_expiry_utc`; git before 2.40 ignores it).
#[must_use]
pub fn answer_until(
    username: &str,
    password: &str,
    expires_at: Option<i64>,
) -> Option<Zeroizing<String>> {
    let lines = answer(username, password)?;
    let Some(expires_at) = expires_at else {
        return Some(lines);
    };
    let last = format!("password_expiry_utc={expires_at}\n");
    let mut out = Zeroizing::new(String::with_capacity(lines.len() + last.len()));
    out.push_str(&lines);
    out.push_str(&last);
    Some(out)
}

/// Keeps git from asking anybody else (git-credential(1), `quit`).
pub const QUIT: &str = "quit=1\n";

/// What this helper can do beyond the basic protocol (`git credential capability`): nothing.
pub const CAPABILITIES: &str = "version 0\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn question(protocol: &str, host: Option<&str>, username: Option<&str>) -> Question {
        Question {
            protocol: protocol.to_owned(),
            host: host.map(|host| Host::parse(host).unwrap()),
            username: username.map(str::to_owned),
        }
    }

    #[test]
    fn what_git_writes_is_read() {
        let input = "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=GitHub.com:8443\npath=a/b.git\n\
                     wwwauth[]=Basic realm=\"x\"\nusername=me\n\nprotocol=ftp\n";
        assert_eq!(
            parse(input.as_bytes()),
            Ok(question("https", Some("github.com:8443"), Some("me")))
        );
        assert_eq!(
            parse(b"protocol=https\nhost=[::1]:1\nusername="),
            Ok(question("https", Some("[::1]:1"), None))
        );
        assert_eq!(
            parse(b"protocol=cert\nhost=\npath=/x\n"),
            Ok(question("cert", None, None))
        );
    }

    #[test]
    fn what_git_does_not_write_is_refused() {
        let cases: [(&[u8], Malformed); 8] = [
            (b"", Malformed::NoProtocol),
            (b"\nprotocol=https\n", Malformed::NoProtocol),
            (
                b"protocol=https\r\nhost=a.example\r\n",
                Malformed::Control { line: 1 },
            ),
            (
                b"protocol=https\nhost=a.example\0b\n",
                Malformed::Control { line: 2 },
            ),
            (b"protocol\n", Malformed::NoPair { line: 1 }),
            (b"=x\n", Malformed::NoPair { line: 1 }),
            (
                b"protocol=https\nhost=\xff\n",
                Malformed::NotUtf8 { line: 2 },
            ),
            (
                b"protocol=https\nhost=a.example\nhost=b.example\n",
                Malformed::Again {
                    line: 3,
                    key: "host",
                },
            ),
        ];
        for (input, wanted) in cases {
            assert_eq!(parse(input), Err(wanted));
        }
        assert_eq!(parse(&vec![b'a'; INPUT_LIMIT + 1]), Err(Malformed::TooLong));
        for host in ["u@a.example", "a.example/x", "*.example.com", "a b"] {
            let input = format!("protocol=https\nhost={host}\n");
            assert!(
                matches!(parse(input.as_bytes()), Err(Malformed::Host(_))),
                "{host}"
            );
        }
    }

    #[test]
    fn an_answer_is_two_lines_or_none() {
        assert_eq!(
            answer("u", "p=p").unwrap().as_str(),
            "username=u\npassword=p=p\n"
        );
        assert_eq!(
            answer_until("u", "p", Some(7)).unwrap().as_str(),
            "username=u\npassword=p\npassword_expiry_utc=7\n"
        );
        for (username, password) in [("u\n", "p"), ("u", "p\nhost=evil.example"), ("u", "p\0")] {
            assert!(answer(username, password).is_none());
        }
    }
}

//! Where a plugin comes from.

use crate::error::CliError;

/// A repository and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) url: String,
    /// A branch, a tag or a commit; the repository's own choice without one.
    pub(super) reference: Option<String>,
}

impl Source {
    /// Reads `OWNER/REPO[#REF]` or `URL[#REF]`.
    pub(super) fn parse(text: &str) -> Result<Self, CliError> {
        let (place, reference) = match text.split_once('#') {
            Some((place, reference)) => (place, Some(reference)),
            None => (text, None),
        };
        let url = url(place).map_err(|reason| refused(text, reason))?;
        if reference.is_some_and(|reference| !is_reference(reference)) {
            let reason = "what follows `#` is no branch, tag or commit";
            return Err(refused(text, reason));
        }
        Ok(Self {
            url,
            reference: reference.map(str::to_owned),
        })
    }

    /// The commit that is meant, if the reference is one as a whole.
    pub(super) fn commit(&self) -> Option<&str> {
        let reference = self.reference.as_deref()?;
        let is_hash = |length| {
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            reference.len() == length && reference.bytes().all(is_digit)
        };
        // SHA-1 and SHA-256.
        (is_hash(40) || is_hash(64)).then_some(reference)
    }
}

fn url(place: &str) -> Result<String, &'static str> {
    if place.starts_with('-')
        || place
            .chars()
            .any(|one| one.is_control() || one.is_whitespace())
    {
        return Err("it is no URL");
    }
    if let Some((scheme, rest)) = place.split_once("://") {
        let authority = rest.split('/').next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        return match (scheme, user) {
            // It would be an argument of git, which everybody on the machine can read, and stand in a file.
            ("https", Some(_)) => {
                Err("it has a user or a password in it: let git's credential helper know them")
            }
            ("ssh", Some(user)) if user.contains(':') => Err("it has a password in it"),
            ("https" | "ssh" | "file", _) if !rest.is_empty() => Ok(place.to_owned()),
            _ => Err("only https, ssh and file are fetched from"),
        };
    }
    // As ssh has it: `git@host:path`.
    if let Some((host, path)) = place.split_once(':') {
        let is_plain = |part: &str| {
            let fits =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            !part.is_empty() && !part.starts_with('-') && part.bytes().all(fits)
        };
        let is_host = host.split('@').all(is_plain);
        // `ext::` and the like name helpers that run programs.
        return if is_host && host.contains('@') && !path.is_empty() && !path.starts_with([':', '-'])
        {
            Ok(place.to_owned())
        } else {
            Err("it is no URL")
        };
    }
    let mut parts = place.split('/');
    let is_part = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        part.starts_with(|first: char| first.is_ascii_alphanumeric()) && part.bytes().all(fits)
    };
    match (parts.next(), parts.next(), parts.next()) {
        (Some(owner), Some(name), None) if is_part(owner) && is_part(name) => {
            let name = name.strip_suffix(".git").unwrap_or(name);
            Ok(format!("https://github.com/{owner}/{name}.git"))
        }
        _ => Err("it is neither a URL nor `OWNER/REPO`"),
    }
}

/// What git takes for a name and not for an option, an expression or a refspec (git-check-ref-format(1)).
fn is_reference(text: &str) -> bool {
    let fits =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b'+');
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(fits)
        && !text.contains("..")
        && !text.contains("//")
        && !text.ends_with(['/', '.'])
}

fn refused(text: &str, reason: &str) -> CliError {
    CliError::Usage {
        message: format!(
            "a plugin cannot come from `{}`: {reason}",
            text.escape_debug()
        ),
        help: Some(
            "write `OWNER/REPO`, or `https://…`, `ssh://…`, `git@HOST:PATH` or `file://…`, and `#REF` if need be; `fnox plugin link` takes a folder"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read() {
        for (text, url, reference) in [
            ("acme/shelf", "https://github.com/acme/shelf.git", None),
            (
                "acme/shelf.git#v1.2",
                "https://github.com/acme/shelf.git",
                Some("v1.2"),
            ),
            (
                "https://git.example.com/a/b.git#feature/x",
                "https://git.example.com/a/b.git",
                Some("feature/x"),
            ),
            (
                "ssh://git@git.example.com/a",
                "ssh://git@git.example.com/a",
                None,
            ),
            ("git@example.com:a/b.git", "git@example.com:a/b.git", None),
            ("file:///srv/plugins/a", "file:///srv/plugins/a", None),
        ] {
            let source = Source::parse(text).unwrap();
            assert_eq!(source.url, url);
            assert_eq!(source.reference.as_deref(), reference);
        }
    }

    #[test]
    fn what_runs_programs_shows_passwords_or_is_in_clear_is_refused() {
        for text in [
            "",
            "shelf",
            "a/b/c",
            "-a/b",
            "../b",
            "--upload-pack=x",
            "ext::sh -c x",
            "ext::x",
            "fd::17",
            "http://example.com/a",
            "git://example.com/a",
            "https://user@example.com/a",
            "https://user:word@example.com/a",
            "ssh://user:word@example.com/a",
            "ssh://",
            "host:path",
            "-o@host:path",
            "git@-host:path",
            "a/b#",
            "a/b#-x",
            "a/b#x..y",
            "a/b#x:y",
            "a/b#x^{commit}",
            "a/b#+x",
            "a/b#x y",
            "a/b\n",
        ] {
            assert!(Source::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_whole_hash_is_a_commit() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let of = |text: &str| Source::parse(text).unwrap();
        assert_eq!(of(&format!("a/b#{hash}")).commit(), Some(hash));
        assert_eq!(of("a/b#0123456").commit(), None);
        assert_eq!(of("a/b").commit(), None);
    }
}

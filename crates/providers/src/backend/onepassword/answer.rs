//! What `op` prints.

use std::fmt::Write as _;

use fnox_core::{SecretBytes, SecretString};
use rand::TryRngCore as _;

use crate::error::{ErrorKind, ProviderError};
use crate::process;

/// A template for `op inject`.
///
/// ```text
/// fnox-RANDOM-0
/// {{ op://vault/item/field }}
/// fnox-RANDOM-1
/// …
/// ```
#[derive(Debug)]
pub(super) struct Template {
    word: String,
    count: usize,
    text: SecretString,
}

impl Template {
    pub(super) fn of(uris: &[String]) -> Result<Self, ProviderError> {
        let mut random = [0u8; 16];
        rand::rngs::OsRng
            .try_fill_bytes(&mut random)
            .map_err(|_| ProviderError::unavailable("the system gives no random numbers"))?;
        let word = format!("fnox-{}-", hex::encode(random));
        let mut text = String::new();
        for (index, uri) in uris.iter().enumerate() {
            let _ = write!(text, "{word}{index}\n{{{{ {uri} }}}}\n");
        }
        let _ = writeln!(text, "{word}{}", uris.len());
        Ok(Self {
            word,
            count: uris.len(),
            text: SecretString::from(text),
        })
    }

    pub(super) fn text(&self) -> &SecretString {
        &self.text
    }

    /// The values in their order, to the byte.
    pub(super) fn values(&self, printed: SecretBytes) -> Result<Vec<SecretString>, ProviderError> {
        let printed = text(printed)?;
        let mut rest = printed.expose_secret();
        let strange = || ProviderError::unavailable("`op inject` did not fill in the template");
        let mut values = Vec::with_capacity(self.count);
        rest = rest
            .strip_prefix(&format!("{}0\n", self.word))
            .ok_or_else(strange)?;
        for index in 1..=self.count {
            let (value, after) = rest
                .split_once(&format!("\n{}{index}", self.word))
                .ok_or_else(strange)?;
            values.push(SecretString::from(value));
            rest = after.strip_prefix('\n').unwrap_or(after);
        }
        Ok(values)
    }
}

pub(super) fn text(printed: SecretBytes) -> Result<SecretString, ProviderError> {
    printed
        .into_string()
        .map_err(|_| ProviderError::misconfigured("the value in 1Password is not UTF-8 text"))
}

/// What `op` complained about, without its time stamp.
pub(super) fn complaint(stderr: &str, secrets: &[&SecretString]) -> String {
    let lines: Vec<&str> = stderr.lines().map(without_stamp).collect();
    process::complaint(&lines.join("\n"), secrets)
}

/// `[ERROR] 2026/01/02 03:04:05 text`
fn without_stamp(line: &str) -> &str {
    line.strip_prefix("[ERROR] ")
        .and_then(|rest| rest.splitn(3, ' ').nth(2))
        .unwrap_or(line)
}

/// The class of a failure, by the words of `op` 2.
pub(super) fn kind(stderr: &str) -> ErrorKind {
    const LOGIN: &[&str] = &[
        "not currently signed in",
        "not signed in",
        "signed in to an account",
        "sign in",
        "signin",
        "session expired",
        "invalid session",
        "authenticat",
        "authorization",
        "unauthorized",
        "no accounts configured",
        "service account token",
        "(401)",
        "(403)",
    ];
    const ABSENT: &[&str] = &[
        "isn't an item",
        "isn't a vault",
        "isn't a field",
        "isn't a section",
        "isn't a file",
        "not found",
        "no item found",
        "could not find",
        "couldn't find",
        "does not have a field",
        "doesn't have a field",
        "doesn't exist",
        "does not exist",
        "(404)",
    ];
    const WRONG: &[&str] = &[
        "invalid secret reference",
        "more than one item matches",
        "more than one vault matches",
        "unknown command",
        "unknown flag",
    ];
    let stderr = stderr.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
    if says(WRONG) {
        ErrorKind::Misconfigured
    } else if says(LOGIN) {
        ErrorKind::AuthenticationNeeded
    } else if says(ABSENT) {
        ErrorKind::NotFound
    } else {
        ErrorKind::Unavailable
    }
}

/// Whether `op account list --format=json` printed at least one account.
pub(super) fn lists_an_account(printed: &SecretBytes) -> bool {
    serde_json::from_slice::<Vec<serde_json::Value>>(printed.expose_secret())
        .is_ok_and(|accounts| !accounts.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn injected_values_come_back_to_the_byte() {
        let uris = ["op://V/a/p", "op://V/b/p", "op://V/c/p"].map(str::to_owned);
        let template = Template::of(&uris).unwrap();
        let values = ["", "two\nlines\n\n", " {{ x }} = \n fnox-0\n"];
        let mut printed = template.text().expose_secret().to_owned();
        for (uri, value) in uris.iter().zip(values) {
            printed = printed.replace(&format!("{{{{ {uri} }}}}"), value);
        }
        let read = template
            .values(SecretBytes::new(printed.clone().into_bytes()))
            .unwrap();
        let read: Vec<_> = read.iter().map(SecretString::expose_secret).collect();
        assert_eq!(read, values);
        // `op` may leave the last line end out.
        assert!(
            template
                .values(SecretBytes::new(printed.trim_end().into()))
                .is_ok()
        );
        assert!(
            template
                .values(SecretBytes::new(b"Usage: op".to_vec()))
                .is_err()
        );
    }

    #[test]
    fn complaints_are_told_apart() {
        let cases = [
            (
                "[ERROR] 2026/01/02 03:04:05 You are not currently signed in. Please run `op signin --help`",
                ErrorKind::AuthenticationNeeded,
            ),
            (
                "[ERROR] 2026/01/02 03:04:05 could not read secret 'op://V/x/password': \"x\" isn't an item in the \"V\" vault.",
                ErrorKind::NotFound,
            ),
            (
                "[ERROR] 2026/01/02 03:04:05 item 'V/x' does not have a field 'y'",
                ErrorKind::NotFound,
            ),
            (
                "[ERROR] 2026/01/02 03:04:05 dial tcp: lookup my.1password.com: no such host",
                ErrorKind::Unavailable,
            ),
            (
                "[ERROR] 2026/01/02 03:04:05 invalid secret reference 'op://x'",
                ErrorKind::Misconfigured,
            ),
        ];
        for (stderr, expected) in cases {
            assert_eq!(kind(stderr), expected, "{stderr}");
        }
        let token = SecretString::from("ops_abc");
        let said = complaint("[ERROR] 2026/01/02 03:04:05 bad token ops_abc\n", &[&token]);
        assert_eq!(said, "bad token [redacted]");
    }
}

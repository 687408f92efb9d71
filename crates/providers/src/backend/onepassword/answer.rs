//! What `op` prints.

use fnox_core::{SecretBytes, SecretString};

use crate::error::{ErrorKind, ProviderError};
use crate::process;

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

//! SAML assertions from a file.
//!
//! `AssumeRoleWithSAML` (AWS STS API reference) takes the identity provider's answer as base64, 4 to 100 000 characters,
//! within five minutes of its making. The assertion is a secret until then.

use std::io::Read as _;
use std::path::Path;

use fnox_core::SecretString;
use zeroize::Zeroizing;

use crate::mint::MintError;

/// Most characters that STS takes.
const LONGEST: usize = 100_000;

/// The assertion in a file, on one line: files are often wrapped, as `base64` does it.
pub(super) fn read(path: &Path) -> Result<SecretString, MintError> {
    let refuse = |reason: String| {
        MintError::authentication(format!(
            "the SAML assertion file {} cannot be used: {reason}",
            path.display()
        ))
        .with_remedy("log in to the identity provider again and write its SAMLResponse to the file")
    };
    // Twice the limit leaves room for line ends.
    let mut text = Zeroizing::new(String::with_capacity(2 * LONGEST));
    std::fs::File::open(path)
        .and_then(|file| file.take(2 * LONGEST as u64).read_to_string(&mut text))
        .map_err(|error| refuse(error.to_string()))?;
    let mut assertion = String::with_capacity(text.len());
    assertion.extend(text.chars().filter(|character| !character.is_whitespace()));
    let assertion = SecretString::new(assertion);
    if !(4..=LONGEST).contains(&assertion.len()) {
        return Err(refuse(format!(
            "it has {} characters; STS takes 4 to {LONGEST}",
            assertion.len()
        )));
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    if !assertion.expose_secret().bytes().all(is_base64) {
        return Err(refuse("it is not base64".to_owned()));
    }
    Ok(assertion)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_is_joined_to_one_line_and_anything_else_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("assertion");
        assert!(read(&path).unwrap_err().message.contains("cannot be used"));
        std::fs::write(&path, "PHNhbWw+\nPC9zYW1sPg==\n").unwrap();
        assert_eq!(read(&path).unwrap().expose_secret(), "PHNhbWw+PC9zYW1sPg==");
        for (wrong, wanted) in [
            (String::new(), "0 characters"),
            ("<saml:Assertion/>".to_owned(), "not base64"),
            ("A".repeat(100_001), "100001 characters"),
        ] {
            std::fs::write(&path, wrong).unwrap();
            let error = read(&path).unwrap_err();
            assert!(error.message.contains(wanted), "{error}");
        }
    }
}

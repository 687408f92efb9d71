//! `credential_process` of AWS SDKs and the AWS CLI (AWS SDKs and Tools Reference Guide, "Process credential provider").

use jiff::Timestamp;
use serde::Serialize;
use zeroize::Zeroizing;

use super::Unsuitable;
use crate::delivery::document::{Shown, render};
use crate::manager::Held;

/// The document that the SDK reads from stdout. Without `Expiration` an SDK never asks again.
///
/// # Errors
/// [`Unsuitable`] if the credential has no AWS keys.
pub fn document(held: &Held) -> Result<Zeroizing<String>, Unsuitable> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Keys<'a> {
        version: u8,
        access_key_id: Shown<'a>,
        secret_access_key: Shown<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        session_token: Option<Shown<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        expiration: Option<Timestamp>,
        #[serde(skip_serializing_if = "Option::is_none")]
        account_id: Option<Shown<'a>>,
    }
    let variable = |name| held.credential.variable(name).map(Shown);
    let part = |name| {
        variable(name).ok_or_else(|| Unsuitable::new(held, format!("has no variable `{name}`")))
    };
    let keys = Keys {
        version: 1,
        access_key_id: part("AWS_ACCESS_KEY_ID")?,
        secret_access_key: part("AWS_SECRET_ACCESS_KEY")?,
        session_token: variable("AWS_SESSION_TOKEN"),
        expiration: held.credential.expires_at,
        account_id: variable("AWS_ACCOUNT_ID"),
    };
    render(&keys).map_err(|_| Unsuitable::new(held, "cannot be written as JSON"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::held;
    use super::*;

    #[test]
    fn the_document_has_what_the_credential_has() {
        let keys = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "S")];
        assert_eq!(
            document(&held(&keys, None)).unwrap().as_str(),
            r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"S"}"#
        );
        let all = [
            keys[0],
            keys[1],
            ("AWS_SESSION_TOKEN", "T"),
            ("AWS_ACCOUNT_ID", "1"),
        ];
        assert_eq!(
            document(&held(&all, Some("2026-01-02T03:04:05Z")))
                .unwrap()
                .as_str(),
            r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"S","SessionToken":"T","Expiration":"2026-01-02T03:04:05Z","AccountId":"1"}"#
        );
        let error = document(&held(&keys[..1], None)).unwrap_err().to_string();
        assert!(error.contains("AWS_SECRET_ACCESS_KEY"), "{error}");
    }
}

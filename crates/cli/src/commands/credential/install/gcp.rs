//! A file of application default credentials that calls fnox for its subject token (google.aip.dev/auth/4117).

use serde_json::json;

use super::file::Edit;
use super::{is_plain, refused};
use crate::error::CliError;

pub(super) fn document(
    words: &[String],
    audience: &str,
    service_account: Option<&str>,
) -> Result<String, CliError> {
    // Libraries split this line differently: some at every space, some as a shell does.
    if let Some(word) = words.iter().find(|word| !is_plain(word)) {
        return Err(CliError::usage(format!(
            "`{}` has characters that Google's libraries read differently; move the project or fnox",
            word.escape_debug()
        )));
    }
    let mut document = json!({
        "type": "external_account",
        "audience": audience,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {
            "executable": { "command": words.join(" "), "timeout_millis": 30_000 },
        },
    });
    if let Some(email) = service_account {
        let is_email = email.contains('@')
            && email
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"@.-_".contains(&byte));
        if !is_email {
            return Err(CliError::usage(
                "`--service-account` is no service account's address",
            ));
        }
        document["service_account_impersonation_url"] = json!(format!(
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
        ));
    }
    serde_json::to_string_pretty(&document)
        .map(|text| text + "\n")
        .map_err(|error| CliError::Output(error.into()))
}

/// The file is ours as a whole, or not at all.
pub(super) fn edited(text: &str, document: &str) -> Result<Edit, CliError> {
    if !text.trim().is_empty() && !text.contains(" credential --project ") {
        return Err(refused("the file", "it exists and is not one of fnox"));
    }
    Ok(Edit::of(document.to_owned()))
}

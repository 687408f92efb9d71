//! Files of credentials as Google's tools write them: keys of service accounts, logins of people, `external_account`.
//!
//! AIP-4110 and AIP-4112 to AIP-4117 describe them. Google warns that a configuration from somebody else may name hostile
//! addresses and programs ("Externally sourced credentials", security considerations): addresses must be https or on this
//! machine, and programs are not run.

use std::io::Read as _;
use std::path::Path;

use fnox_core::SecretString;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use zeroize::Zeroizing;

use crate::mint::MintError;
use crate::wiped::Wiped;

/// Largest file that is read; a key has less than 3 KiB.
const LIMIT: u64 = 64 * 1024;

/// What a file says.
pub(super) enum Credentials {
    Key(ServiceAccountKey),
    User(AuthorizedUser),
    External(Box<ExternalAccount>),
}

/// `service_account`
#[derive(Deserialize)]
pub(super) struct ServiceAccountKey {
    pub(super) client_email: String,
    pub(super) private_key: Wiped,
    pub(super) private_key_id: Option<String>,
    pub(super) token_uri: Option<String>,
    pub(super) universe_domain: Option<String>,
    pub(super) quota_project_id: Option<String>,
}

/// `authorized_user`
#[derive(Deserialize)]
pub(super) struct AuthorizedUser {
    pub(super) client_id: String,
    pub(super) client_secret: Wiped,
    pub(super) refresh_token: Wiped,
    pub(super) token_uri: Option<String>,
    pub(super) universe_domain: Option<String>,
    pub(super) quota_project_id: Option<String>,
}

/// `external_account`
#[derive(Deserialize)]
pub(super) struct ExternalAccount {
    pub(super) audience: String,
    pub(super) subject_token_type: String,
    pub(super) token_url: Option<String>,
    pub(super) credential_source: CredentialSource,
    pub(super) service_account_impersonation_url: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Wiped>,
    pub(super) universe_domain: Option<String>,
    pub(super) quota_project_id: Option<String>,
    workforce_pool_user_project: Option<IgnoredAny>,
}

/// Where an `external_account` has its token from.
#[derive(Deserialize)]
pub(super) struct CredentialSource {
    pub(super) file: Option<String>,
    pub(super) url: Option<String>,
    #[serde(default)]
    pub(super) headers: indexmap::IndexMap<String, Wiped>,
    #[serde(default)]
    pub(super) format: Format,
    executable: Option<IgnoredAny>,
    environment_id: Option<IgnoredAny>,
    certificate: Option<IgnoredAny>,
}

/// How the token lies in what was read.
#[derive(Default, Deserialize)]
pub(super) struct Format {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) subject_token_field_name: Option<String>,
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<SecretString, MintError> {
    let unusable = |reason: &str| {
        MintError::authentication(format!(
            "the credentials file {} cannot be read: {reason}",
            path.display()
        ))
    };
    let file = std::fs::File::open(path).map_err(|error| unusable(&error.to_string()))?;
    let mut text = Zeroizing::new(String::with_capacity(8 * 1024));
    file.take(LIMIT + 1)
        .read_to_string(&mut text)
        .map_err(|error| unusable(&error.to_string()))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LIMIT {
        return Err(unusable("it is larger than 64 KiB"));
    }
    Ok(SecretString::from(text.as_str()))
}

/// Reads the JSON of a file; `name` says in messages which one it is.
pub(super) fn parse(text: &SecretString, name: &str) -> Result<Credentials, MintError> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "type")]
        kind: String,
    }
    let kind: Kind = json(text, name)?;
    match kind.kind.as_str() {
        "service_account" => Ok(Credentials::Key(json(text, name)?)),
        "authorized_user" => Ok(Credentials::User(json(text, name)?)),
        "external_account" => {
            let account: ExternalAccount = json(text, name)?;
            account.check(name)?;
            Ok(Credentials::External(Box::new(account)))
        }
        "impersonated_service_account" => Err(not_supported(
            name,
            "type `impersonated_service_account`",
            "run `gcloud auth application-default login` without `--impersonate-service-account`; a lease impersonates by itself",
        )),
        other => Err(not_supported(
            name,
            &format!("type `{}`", other.escape_debug()),
            "the types that fnox reads are service_account, authorized_user and external_account",
        )),
    }
}

impl ExternalAccount {
    fn check(&self, name: &str) -> Result<(), MintError> {
        let source = &self.credential_source;
        for (is_there, key, instead) in [
            (
                source.executable.is_some(),
                "credential_source.executable",
                "fnox runs no program that a credentials file names; give the token in a file, or use \
                 `workload_identity_provider` with `identity_token_file`",
            ),
            (
                source.environment_id.is_some(),
                "credential_source.environment_id",
                "AWS as the source of a token is not supported; use an OIDC token with `workload_identity_provider`",
            ),
            (
                source.certificate.is_some(),
                "credential_source.certificate",
                "X.509 certificates as the source are not supported; use an OIDC token with `workload_identity_provider`",
            ),
            (
                self.workforce_pool_user_project.is_some(),
                "workforce_pool_user_project",
                "workforce pools are not supported; log in with `gcloud auth application-default login`",
            ),
        ] {
            if is_there {
                return Err(not_supported(name, &format!("key `{key}`"), instead));
            }
        }
        if source.file.is_some() == source.url.is_some() {
            return Err(wrong(
                name,
                "needs `credential_source.file` or `credential_source.url`, one of them",
            ));
        }
        match (
            source.format.kind.as_deref(),
            &source.format.subject_token_field_name,
        ) {
            (None | Some("text"), _) | (Some("json"), Some(_)) => Ok(()),
            (Some("json"), None) => Err(wrong(
                name,
                "has a `credential_source.format` of type json without `subject_token_field_name`",
            )),
            _ => Err(wrong(
                name,
                "has a `credential_source.format.type` that is neither text nor json",
            )),
        }
    }
}

fn json<T: DeserializeOwned>(text: &SecretString, name: &str) -> Result<T, MintError> {
    // The parser's own words could repeat a part of the key; its place in the text cannot.
    serde_json::from_str(text.expose_secret()).map_err(|error| {
        let what = if error.is_data() {
            "lacks a key or has one of the wrong type"
        } else {
            "is not JSON"
        };
        wrong(
            name,
            &format!(
                "{what} (found at line {}, column {})",
                error.line(),
                error.column()
            ),
        )
    })
}

/// The error that a file says something that cannot be.
pub(super) fn wrong(name: &str, what: &str) -> MintError {
    MintError::authentication(format!(
        "the credentials of {name} cannot be used: what is there {what}"
    ))
}

fn not_supported(name: &str, what: &str, instead: &str) -> MintError {
    MintError::authentication(format!(
        "the credentials of {name} have the {what}, which is not supported"
    ))
    .with_remedy(instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match parse(&text.into(), "the file") {
            Err(error) => format!("{error} {:?}", error.remedy),
            Ok(_) => panic!("accepted: {text}"),
        }
    }

    fn external(source: &str, more: &str) -> String {
        format!(
            r#"{{"type":"external_account","audience":"//a","subject_token_type":"t","credential_source":{source}{more}}}"#
        )
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (text, wanted) in [
            (
                external(r#"{"executable":{"command":"/bin/x"}}"#, ""),
                "credential_source.executable",
            ),
            (
                external(r#"{"environment_id":"aws1","url":"http://x"}"#, ""),
                "environment_id",
            ),
            (
                external(r#"{"certificate":{}}"#, ""),
                "credential_source.certificate",
            ),
            (
                external(r#"{"file":"/x"}"#, r#","workforce_pool_user_project":"p""#),
                "workforce_pool_user_project",
            ),
            (external("{}", ""), "one of them"),
            (
                external(r#"{"file":"/x","url":"https://x"}"#, ""),
                "one of them",
            ),
            (
                external(r#"{"file":"/x","format":{"type":"json"}}"#, ""),
                "subject_token_field_name",
            ),
            (
                external(r#"{"file":"/x","format":{"type":"xml"}}"#, ""),
                "neither text nor json",
            ),
            (
                r#"{"type":"gdch_service_account"}"#.to_owned(),
                "gdch_service_account",
            ),
            (
                r#"{"type":"impersonated_service_account"}"#.to_owned(),
                "without `--impersonate-service-account`",
            ),
        ] {
            let told = refused(&text);
            assert!(told.contains(wanted), "{text}: {told}");
        }
        let good = external(r#"{"file":"/x"}"#, "");
        assert!(matches!(
            parse(&good.as_str().into(), "f"),
            Ok(Credentials::External(_))
        ));
    }

    #[test]
    fn a_broken_key_is_not_quoted() {
        for text in [
            r#"{"type":"service_account","private_key":"hunter2""#,
            r#"{"type":"service_account","private_key":["hunter2"]}"#,
            "hunter2",
        ] {
            let told = refused(text);
            assert!(
                told.contains("line 1") && !told.contains("hunter2"),
                "{told}"
            );
        }
    }
}

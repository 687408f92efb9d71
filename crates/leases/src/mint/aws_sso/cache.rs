//! The AWS CLI's cache of logins: `~/.aws/sso/cache/<SHA-1 of the session's name or start URL>.json`.
//!
//! Names and format are those of botocore's `SSOTokenLoader` and `SSOTokenProvider` (`utils.py`, `tokens.py`), so the AWS
//! CLI and every SDK can go on with a login that was made here, and the other way round. Times are read in every form
//! that tools have written and written in one. Keys that fnox does not know stay. The file is replaced whole;
//! writers of fnox wait for each other by a lock beside it, of which other tools know nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_core::{Env, SecretString};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

use super::settings::Portal;
use crate::ledger::LedgerError;
use crate::ledger::file;
use crate::ledger::lock::{self, Lock};
use crate::mint::MintError;
use crate::wiped::Wiped;

/// How long to wait for another process that refreshes the same login.
const LOCK_LIMIT: Duration = Duration::from_mins(1);

/// A login.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) access: SecretString,
    pub(super) expires_at: Timestamp,
    pub(super) refresh: Option<SecretString>,
    pub(super) registration: Option<Registration>,
}

/// fnox, or whoever logged in, as a client of IAM Identity Center.
#[derive(Debug, Clone)]
pub(super) struct Registration {
    pub(super) id: String,
    pub(super) secret: SecretString,
    pub(super) expires_at: Timestamp,
}

/// The place of one login.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    lock: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    access_token: Wiped,
    expires_at: String,
    refresh_token: Option<Wiped>,
    client_id: Option<String>,
    client_secret: Option<Wiped>,
    registration_expires_at: Option<String>,
}

impl Cache {
    pub(super) fn of(portal: &Portal, env: &Env) -> Result<Self, MintError> {
        let home = env.home().ok_or_else(|| {
            MintError::authentication(
                "there is no home folder (HOME), so no place for logins of AWS",
            )
        })?;
        let folder = Path::new(home).join(".aws/sso/cache");
        let name = hex::encode(Sha1::digest(portal.login_name().as_bytes()));
        Ok(Self {
            path: folder.join(format!("{name}.json")),
            lock: folder.join(format!(".fnox-{name}.lock")),
        })
    }

    /// Keeps other processes of fnox from refreshing the same login.
    pub(super) async fn lock(&self) -> Result<Lock, MintError> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        fnox_system::create_private_folder(folder)
            .map_err(|error| unusable(&format!("cannot make {}: {error}", folder.display())))?;
        let holder = lock::introduction("a login of AWS");
        Lock::acquire(&self.lock, LOCK_LIMIT, &holder)
            .await
            .map_err(|error| match error {
                LedgerError::Locked { .. } => MintError::unavailable(error.to_string()),
                _ => unusable(&told(&error)),
            })
    }

    /// The login, if there is one that can be read.
    pub(super) fn read(&self) -> Result<Option<Token>, MintError> {
        let Some(text) = file::read(&self.path).map_err(|error| unusable(&told(&error)))? else {
            return Ok(None);
        };
        let Ok(stored) = serde_json::from_str::<Stored>(&text) else {
            // What another tool left half-written is no login.
            return Ok(None);
        };
        let registration = match (
            stored.client_id,
            stored.client_secret,
            stored.registration_expires_at.as_deref().and_then(time),
        ) {
            (Some(id), Some(secret), Some(expires_at)) => Some(Registration {
                id,
                secret: secret.0,
                expires_at,
            }),
            _ => None,
        };
        Ok(Some(Token {
            access: stored.access_token.0,
            // A time that nobody can read is no reason to trust the token.
            expires_at: time(&stored.expires_at).unwrap_or(Timestamp::MIN),
            refresh: stored.refresh_token.map(|token| token.0),
            registration,
        }))
    }

    /// Writes the login. The lock must be held.
    pub(super) fn write(&self, portal: &Portal, token: &Token) -> Result<(), MintError> {
        let old = file::read(&self.path).ok().flatten();
        let kept: IndexMap<String, &RawValue> = old
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let text = composed(&kept, portal, token);
        file::replace(&self.path, &text).map_err(|error| unusable(&told(&error)))
    }
}

/// The file's text: what is there and not fnox's business, then the login.
fn composed(
    kept: &IndexMap<String, &RawValue>,
    portal: &Portal,
    token: &Token,
) -> Zeroizing<String> {
    let mut own: Vec<(&str, Option<String>, Option<&SecretString>)> = vec![
        ("startUrl", Some(portal.start_url.clone()), None),
        ("region", Some(portal.region.clone()), None),
        ("accessToken", None, Some(&token.access)),
        ("expiresAt", Some(written(token.expires_at)), None),
    ];
    if let Some(registration) = &token.registration {
        own.push(("clientId", Some(registration.id.clone()), None));
        own.push(("clientSecret", None, Some(&registration.secret)));
        let end = written(registration.expires_at);
        own.push(("registrationExpiresAt", Some(end), None));
    }
    own.push(("refreshToken", None, token.refresh.as_ref()));
    let others: Vec<(&String, &&RawValue)> = kept
        .iter()
        .filter(|(key, _)| !OWN.contains(&key.as_str()))
        .collect();
    // Room for everything, so that no copy is left behind by growing.
    let secrets: usize = own
        .iter()
        .filter_map(|(_, _, secret)| secret.map(|secret| 2 * secret.len()))
        .sum();
    let foreign: usize = others
        .iter()
        .map(|(key, value)| 2 * key.len() + value.get().len() + 8)
        .sum();
    let mut text = Zeroizing::new(String::with_capacity(secrets + foreign + 4096));
    text.push('{');
    for (key, value) in others {
        member(&mut text, key);
        text.push_str(value.get());
    }
    for (key, plain, secret) in own {
        let value = plain.as_deref();
        if let Some(value) = value.or_else(|| secret.map(SecretString::expose_secret)) {
            member(&mut text, key);
            quoted(&mut text, value);
        }
    }
    text.push('}');
    text
}

/// The keys that fnox writes.
const OWN: [&str; 8] = [
    "startUrl",
    "region",
    "accessToken",
    "expiresAt",
    "clientId",
    "clientSecret",
    "registrationExpiresAt",
    "refreshToken",
];

fn member(text: &mut String, key: &str) {
    if !text.ends_with('{') {
        text.push_str(", ");
    }
    quoted(text, key);
    text.push_str(": ");
}

/// RFC 8259 section 7. Written by hand so that a secret is not copied.
fn quoted(text: &mut String, value: &str) {
    use std::fmt::Write as _;
    text.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => {
                text.push('\\');
                text.push(character);
            }
            control if control < ' ' => {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

/// As botocore writes it.
fn written(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// RFC 3339, and `2020-06-17T10:02:08UTC` of older versions of the AWS CLI.
fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    match text.strip_suffix("UTC") {
        Some(begin) => format!("{}Z", begin.trim_end()).parse().ok(),
        None => text.parse().ok(),
    }
}

fn unusable(reason: &str) -> MintError {
    MintError::authentication(format!(
        "the AWS CLI's cache of logins cannot be used: {reason}"
    ))
}

/// The ledger's errors say what was done; the system's reason is their source.
fn told(error: &LedgerError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn portal(session: Option<&str>) -> Portal {
        Portal {
            session: session.map(str::to_owned),
            start_url: "https://d-abc123.awsapps.com/start".to_owned(),
            region: "us-west-2".to_owned(),
            account_id: "123456789012".to_owned(),
            role_name: "Dev".to_owned(),
            scopes: Vec::new(),
            oidc: "https://o/".parse().unwrap(),
            access: "https://p/".parse().unwrap(),
        }
    }

    fn cache(home: &Path, session: Option<&str>) -> Cache {
        let env = crate::testing::env_in(home, &[]);
        Cache::of(&portal(session), &env).unwrap()
    }

    /// The values are those of `sha1(name)`, as botocore computes them.
    #[test]
    fn files_are_named_as_the_aws_cli_names_them() {
        let home = tempfile::tempdir().unwrap();
        let name = |session| {
            let path = cache(home.path(), session).path;
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(
            name(Some("admin")),
            "d033e22ae348aeb5660fc2140aec35850c4da997.json"
        );
        assert_eq!(name(None), START_URL_NAME);
    }

    const START_URL_NAME: &str = "40a89917e3175433e361b710a9d43528d7f1890a.json";

    #[tokio::test]
    async fn what_is_written_is_read_and_foreign_keys_stay() {
        let home = tempfile::tempdir().unwrap();
        let cache = cache(home.path(), Some("admin"));
        assert!(cache.read().unwrap().is_none());
        let _lock = cache.lock().await.unwrap();
        let folder = cache.path.parent().unwrap();
        assert_eq!(std::fs::metadata(folder).unwrap().mode() & 0o777, 0o700);
        std::fs::write(
            &cache.path,
            r#"{"accessToken": "old", "expiresAt": "2020-06-17T10:02:08UTC", "future": {"a": [1, "ä"]}, "refreshToken": "r0"}"#,
        )
        .unwrap();
        let old = cache.read().unwrap().unwrap();
        assert_eq!(old.expires_at.to_string(), "2020-06-17T10:02:08Z");
        assert!(old.registration.is_none());
        let token = Token {
            access: "a\"\\\u{1}ä".into(),
            expires_at: "2030-01-02T03:04:05.9Z".parse().unwrap(),
            refresh: None,
            registration: Some(Registration {
                id: "client".to_owned(),
                secret: "s".into(),
                expires_at: "2030-04-01T00:00:00+02:00".parse().unwrap(),
            }),
        };
        cache.write(&portal(Some("admin")), &token).unwrap();
        let text = std::fs::read_to_string(&cache.path).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["future"], serde_json::json!({"a": [1, "ä"]}));
        assert_eq!(json["accessToken"], "a\"\\\u{1}ä");
        assert_eq!(json["expiresAt"], "2030-01-02T03:04:05Z");
        assert_eq!(json["registrationExpiresAt"], "2030-03-31T22:00:00Z");
        assert_eq!(json["startUrl"], "https://d-abc123.awsapps.com/start");
        assert_eq!(json.get("refreshToken"), None);
        let again = cache.read().unwrap().unwrap();
        assert_eq!(again.access.expose_secret(), "a\"\\\u{1}ä");
        assert_eq!(
            std::fs::metadata(&cache.path).unwrap().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_broken_file_is_no_login_and_an_unreadable_time_no_trust() {
        let home = tempfile::tempdir().unwrap();
        let cache = cache(home.path(), Some("admin"));
        std::fs::create_dir_all(cache.path.parent().unwrap()).unwrap();
        for broken in ["", "{", "[]", "{\"accessToken\": \"x\"}"] {
            std::fs::write(&cache.path, broken).unwrap();
            assert!(cache.read().unwrap().is_none(), "{broken}");
        }
        let text = r#"{"accessToken": "x", "expiresAt": "tomorrow"}"#;
        std::fs::write(&cache.path, text).unwrap();
        assert_eq!(cache.read().unwrap().unwrap().expires_at, Timestamp::MIN);
    }
}

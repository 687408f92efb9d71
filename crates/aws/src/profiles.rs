//! What the profiles of the AWS configuration files say, as far as fnox reads them itself.
//!
//! Many people have a `~/.aws/config` with nothing but a region in it; that is not a prerequisite that is
//! met. Which sources a profile can name: AWS SDKs and Tools Reference Guide, "Standardized credential
//! providers"; the format: ibid., "Shared config and credentials files".

use std::collections::BTreeMap;
use std::path::PathBuf;

use fnox_core::Env;

use crate::profile_files;

/// Keys that lead to credentials.
const SOURCES: [&str; 8] = [
    "aws_access_key_id",
    "role_arn",
    "sso_session",
    "sso_start_url",
    "sso_account_id",
    "credential_process",
    "web_identity_token_file",
    "login_session",
];

/// Keys with values that are not told on.
const SECRETS: [&str; 3] = [
    "aws_secret_access_key",
    "aws_session_token",
    "aws_security_token",
];

/// How many profiles may lead from one to the next.
const LONGEST_CHAIN: usize = 8;

/// The keys of a section, in lower case, with their values.
pub type Section = BTreeMap<String, String>;

/// The keys of a profile from both files; those of the credentials file win. Without what is secret.
#[must_use]
pub fn profile(env: &Env, name: &str) -> Option<Section> {
    let in_config = text(profile_files::config(env)).and_then(|text| {
        section(&text, |title| match words(title) {
            ("profile", own) => own == name,
            // Only the default profile may do without the word `profile` in the config file.
            (own, "") => own == name && name == "default",
            _ => false,
        })
    });
    let in_credentials = text(profile_files::credentials(env))
        .and_then(|text| section(&text, |title| title == name));
    match (in_config, in_credentials) {
        (None, None) => None,
        (one, other) => Some(one.into_iter().chain(other).flatten().collect()),
    }
}

/// The keys of an `[sso-session NAME]`.
#[must_use]
pub fn sso_session(env: &Env, name: &str) -> Option<Section> {
    section(&text(profile_files::config(env))?, |title| {
        words(title) == ("sso-session", name)
    })
}

/// Whether one of the two files names a source of credentials for a profile.
#[must_use]
pub fn has_credentials(env: &Env, name: &str) -> bool {
    profile(env, name).is_some_and(|keys| {
        SOURCES
            .iter()
            .any(|key| keys.get(*key).is_some_and(|value| !value.is_empty()))
    })
}

/// What a profile and those that it leads to say, without what is secret: whose credentials it stands for.
#[must_use]
pub fn facts(env: &Env, name: &str) -> Vec<String> {
    let mut facts = Vec::new();
    let mut next = Some(name.to_owned());
    for _ in 0..LONGEST_CHAIN {
        let Some(name) = next.take() else { break };
        let Some(keys) = profile(env, &name) else {
            break;
        };
        if let Some(session) = keys.get("sso_session") {
            let keys = sso_session(env, session).unwrap_or_default();
            facts.extend(keys.iter().map(|(key, value)| format!("{key}={value}")));
        }
        next = keys.get("source_profile").cloned();
        facts.extend(keys.iter().map(|(key, value)| format!("{key}={value}")));
    }
    facts
}

/// Why no credentials can come from a profile, if the files say so: it is not there, or names none.
#[must_use]
pub fn problem(env: &Env, name: &str) -> Option<String> {
    if has_credentials(env, name) {
        return None;
    }
    let places = [profile_files::config(env), profile_files::credentials(env)];
    let places: Vec<String> = places
        .into_iter()
        .flatten()
        .map(|path| path.display().to_string())
        .collect();
    let (shown, places) = (name.escape_debug(), places.join(" or "));
    Some(match profile(env, name) {
        Some(_) => format!("the AWS profile `{shown}` names no credentials in {places}"),
        None => format!("there is no AWS profile `{shown}` in {places}"),
    })
}

/// The keys of the sections whose title is the wanted one.
fn section(text: &str, is_wanted: impl Fn(&str) -> bool) -> Option<Section> {
    let mut inside = false;
    let mut keys: Option<Section> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(rest) = trimmed.strip_prefix('[') {
            let title = rest.split(']').next().unwrap_or_default().trim();
            inside = is_wanted(title);
            if inside {
                keys.get_or_insert_default();
            }
            continue;
        }
        let is_nested = line.starts_with([' ', '\t']);
        if is_nested || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let (Some((key, value)), Some(keys), true) =
            (trimmed.split_once('='), keys.as_mut(), inside)
        else {
            continue;
        };
        let key = key.trim().to_ascii_lowercase();
        if !SECRETS.contains(&key.as_str()) {
            keys.insert(key, without_comment(value).trim().to_owned());
        }
    }
    keys
}

/// `profile "my name"` as its two words.
fn words(title: &str) -> (&str, &str) {
    match title.split_once([' ', '\t']) {
        Some((kind, name)) => (kind, name.trim().trim_matches(['"', '\''])),
        None => (title, ""),
    }
}

/// A comment after a value begins with white space; a start URL may well have a `#`.
fn without_comment(value: &str) -> &str {
    let begins = [" #", " ;", "\t#", "\t;"];
    let end = begins.iter().filter_map(|mark| value.find(mark)).min();
    &value[..end.unwrap_or(value.len())]
}

fn text(path: Option<PathBuf>) -> Option<String> {
    std::fs::read_to_string(path?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(config: &str, credentials: &str) -> (tempfile::TempDir, Env) {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".aws");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("config"), config).unwrap();
        std::fs::write(folder.join("credentials"), credentials).unwrap();
        let env = [("HOME", home.path().to_str().unwrap())]
            .into_iter()
            .collect();
        (home, env)
    }

    #[test]
    fn a_region_is_no_source_of_credentials() {
        for (text, is_config, wanted) in [
            ("", true, false),
            ("[default]\nregion = eu-west-1\n", true, false),
            ("[default]\nregion = x\ns3 =\n  role_arn = y\n", true, false),
            ("[default]\naws_access_key_id =\n", false, false),
            ("[default]\naws_access_key_id = AKIA\n", false, true),
            ("[other]\naws_access_key_id = AKIA\n", false, false),
            ("[profile default]\nsso_session = x\n", true, true),
            ("[profile other]\nsso_session = x\n", true, false),
            ("[default]\n# role_arn = y\n", true, false),
            (
                "# comment\n[ default ]\nCREDENTIAL_PROCESS = x\n",
                true,
                true,
            ),
        ] {
            let (_home, env) = if is_config {
                files(text, "")
            } else {
                files("", text)
            };
            assert_eq!(has_credentials(&env, "default"), wanted, "{text}");
        }
    }

    #[test]
    fn both_files_are_looked_at_where_the_environment_says() {
        let (_home, env) = files("[default]\nregion=x\n", "");
        assert!(!has_credentials(&env, "default"));
        let (_home, env) = files("[default]\nregion=x\n", "[default]\naws_access_key_id=A\n");
        assert!(has_credentials(&env, "default"));
        let elsewhere = env.with_overlay([(
            "AWS_SHARED_CREDENTIALS_FILE".to_owned(),
            "/nonexistent".into(),
        )]);
        assert!(!has_credentials(&elsewhere, "default"));
    }

    #[test]
    fn sections_are_found_by_their_whole_title_and_comments_are_left_out() {
        let (_home, env) = files(
            "[sso-session corp]\nsso_region = eu-west-1 ; near\nsso_start_url = https://x/start#/\n\
             [profile \"my own\"]\nsso_session = corp\n[corp]\nsso_region = wrong\n",
            "",
        );
        let session = sso_session(&env, "corp").unwrap();
        assert_eq!(session["sso_region"], "eu-west-1");
        assert_eq!(session["sso_start_url"], "https://x/start#/");
        assert_eq!(profile(&env, "my own").unwrap()["sso_session"], "corp");
        assert_eq!(profile(&env, "corp"), None);
        assert_eq!(sso_session(&env, "cor"), None);
    }

    #[test]
    fn facts_follow_profiles_and_have_no_secret() {
        let (_home, env) = files(
            "[profile a]\nrole_arn = r\nsource_profile = b\n[profile b]\nsource_profile = a\n",
            "[b]\naws_access_key_id = AKIA\naws_secret_access_key = hidden\n",
        );
        let facts = facts(&env, "a");
        assert!(facts.contains(&"role_arn=r".to_owned()), "{facts:?}");
        assert!(facts.contains(&"aws_access_key_id=AKIA".to_owned()));
        assert!(!facts.iter().any(|fact| fact.contains("hidden")));
    }
}

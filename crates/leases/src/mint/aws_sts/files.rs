//! Whether the AWS configuration files really hold credentials for a profile.
//!
//! Many people have a `~/.aws/config` with nothing but a region in it; that is not a prerequisite that is
//! met. Which sources a profile can name: AWS SDKs and Tools Reference Guide, "Standardized credential
//! providers".

use std::path::PathBuf;

use fnox_core::Env;

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

/// `AWS_CONFIG_FILE` or `~/.aws/config`.
pub(super) fn config_file(env: &Env) -> Option<PathBuf> {
    file(env, "AWS_CONFIG_FILE", "config")
}

/// `AWS_SHARED_CREDENTIALS_FILE` or `~/.aws/credentials`.
pub(super) fn credentials_file(env: &Env) -> Option<PathBuf> {
    file(env, "AWS_SHARED_CREDENTIALS_FILE", "credentials")
}

/// Whether one of the two files names a source of credentials for a profile.
pub(super) fn profile_has_credentials(env: &Env, profile: &str) -> bool {
    [(config_file(env), true), (credentials_file(env), false)]
        .into_iter()
        .filter_map(|(path, is_config)| Some((std::fs::read_to_string(path?).ok()?, is_config)))
        .any(|(text, is_config)| names_a_source(&text, profile, is_config))
}

fn names_a_source(text: &str, profile: &str, is_config: bool) -> bool {
    let mut inside = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(rest) = trimmed.strip_prefix('[') {
            let section = rest.split(']').next().unwrap_or_default().trim();
            inside = match section.strip_prefix("profile ") {
                Some(name) if is_config => name.trim() == profile,
                // Only the default profile may do without the word `profile` in the config file.
                _ => section == profile && (!is_config || profile == "default"),
            };
            continue;
        }
        let is_nested = line.starts_with([' ', '\t']);
        let Some((key, value)) = trimmed.split_once('=') else {
            continue;
        };
        if inside && !is_nested && !value.trim().is_empty() {
            let key = key.trim().to_ascii_lowercase();
            if SOURCES.contains(&key.as_str()) {
                return true;
            }
        }
    }
    false
}

fn file(env: &Env, variable: &str, name: &str) -> Option<PathBuf> {
    let home = env.var("HOME").map(PathBuf::from);
    match (env.var(variable), home) {
        (Some(path), home) => match (path.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => Some(home.join(rest)),
            _ => Some(PathBuf::from(path)),
        },
        (None, home) => home.map(|home| home.join(".aws").join(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (
                "# comment\n[ default ]\nCREDENTIAL_PROCESS = x\n",
                true,
                true,
            ),
        ] {
            assert_eq!(names_a_source(text, "default", is_config), wanted, "{text}");
        }
    }

    #[test]
    fn both_files_are_looked_at_where_the_environment_says() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".aws");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("config"), "[default]\nregion=x\n").unwrap();
        let env: Env = [("HOME", home.path().to_str().unwrap())]
            .into_iter()
            .collect();
        assert!(!profile_has_credentials(&env, "default"));
        std::fs::write(
            folder.join("credentials"),
            "[default]\naws_access_key_id=A\n",
        )
        .unwrap();
        assert!(profile_has_credentials(&env, "default"));
        let elsewhere = env.with_overlay([(
            "AWS_SHARED_CREDENTIALS_FILE".to_owned(),
            "/nonexistent".into(),
        )]);
        assert!(!profile_has_credentials(&elsewhere, "default"));
    }
}

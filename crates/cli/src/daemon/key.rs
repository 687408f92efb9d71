//! The digest under which a value is kept: everything on which it depends.
//!
//! That is the text of every configuration file that takes part (so also the secret's and its provider's tables, and
//! what they refer to), the profiles, the secret's name, and the variables by which providers know who asks and where.
//! An edit, another profile, another token or another home folder is another digest. BLAKE3; every part is preceded by
//! its length, so that parts cannot run into one another. No variable itself leaves the process.
//!
//! What it cannot see is a value that was changed in its store by another program: there, the value's lifetime counts.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use fnox_config::Config;
use fnox_core::{Env, SecretName};

use super::protocol::Key;
use crate::environment;

/// Variables of fnox itself on which no value depends.
const OF_NO_CONSEQUENCE: &[&str] = &[
    environment::DAEMON,
    environment::DAEMON_IDLE_TIMEOUT,
    environment::DAEMON_SOCKET_DIR,
    environment::EXEC_REDACT,
    environment::HTTP_TIMEOUT,
    environment::IF_MISSING,
    "FNOX_IF_MISSING_DEFAULT",
    environment::NON_INTERACTIVE,
    // Through the profiles that take part, so that `-P` and the variable are the same.
    environment::PROFILE,
    environment::NO_DEFAULTS,
    environment::PROMPT_AUTH,
    environment::PROVIDER_TIMEOUT,
    environment::SHELL,
    environment::SHELL_OUTPUT,
    environment::SHELL_TIMEOUT,
];

/// Beginnings of the variables by which SDKs and other programs choose an account, a server or a folder.
const FAMILIES: &[&str] = &[
    "AWS_",
    "AZURE_",
    "BAO_",
    "BITWARDENCLI_",
    "BWS_",
    "BW_",
    "CLOUDSDK_",
    "DOPPLER_",
    "FNOX_",
    "FOKS_",
    "GCE_",
    "GCLOUD_",
    "GNUPG",
    "GOOGLE_",
    "GOPASS_",
    "INFISICAL_",
    "KEEPASS_",
    "KSM_",
    "KUBECONFIG",
    "OP_",
    "PASSWORD_STORE_",
    "PROTON_PASS_",
    "RBW_",
    "VAULT_",
];

/// Where programs look for what is the user's own.
const FOLDERS: &[&str] = &[
    "HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
];

/// Makes digests for one configuration in one environment.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    context: [u8; 32],
}

impl Keys {
    pub(super) fn new(config: &Config, env: &Env) -> Self {
        let mut digest = Digest::new("context");
        digest.part(&rustix::process::geteuid().as_raw().to_be_bytes());
        digest.count(config.files.len());
        for file in &config.files {
            digest.part(file.path.as_os_str().as_bytes());
            digest.part(file.text.as_bytes());
        }
        // `--no-defaults` leaves secrets out, and two orders of profiles are two configurations.
        digest.count(config.profiles.len());
        for profile in &config.profiles {
            digest.part(profile.as_str().as_bytes());
        }
        let variables = variables(config, env);
        digest.count(variables.len());
        for (name, value) in variables {
            digest.part(name.as_bytes());
            digest.part(value.as_bytes());
        }
        Self {
            context: digest.finish(),
        }
    }

    /// The digest for one secret.
    pub(super) fn of(&self, name: &SecretName) -> Key {
        let mut digest = Digest::new("value");
        digest.part(&self.context);
        digest.part(name.as_str().as_bytes());
        Key(digest.finish())
    }
}

/// The variables on which values of this configuration can depend.
fn variables<'a>(config: &Config, env: &'a Env) -> BTreeMap<&'a OsStr, &'a OsStr> {
    let mut named: Vec<&str> = FOLDERS.to_vec();
    for provider in config.providers.values() {
        named.extend(provider.spec.variables);
        named.extend(provider.fields.secrets().map(|(_, name)| name.as_str()));
    }
    let counts = |name: &str| {
        !OF_NO_CONSEQUENCE.contains(&name)
            && (named.contains(&name) || FAMILIES.iter().any(|start| name.starts_with(start)))
    };
    env.iter()
        .filter(|(name, _)| name.to_str().is_some_and(counts))
        .collect()
}

/// A BLAKE3 digest of parts.
struct Digest(Box<blake3::Hasher>);

impl Digest {
    fn new(purpose: &str) -> Self {
        let mut digest = Self(Box::new(blake3::Hasher::new_derive_key(
            "fnox 2026 daemon value key v1",
        )));
        digest.part(purpose.as_bytes());
        digest
    }

    fn part(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    fn count(&mut self, count: usize) {
        self.0.update(&(count as u64).to_be_bytes());
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use fnox_config::{Folders, Loader};
    use fnox_core::ProfileName;

    use super::*;

    const CONFIG: &str = r#"
[providers]
op = { type = "1password", token = { secret = "MY_TOKEN" } }
[secrets]
A = { provider = "op", value = "op://v/a/b" }
B = { provider = "op", value = "op://v/a/b" }
[profiles.production.secrets]
A = { provider = "op", value = "op://v/a/b" }
"#;

    fn key(text: &str, profile: Option<&str>, variables: &[(&str, &str)], name: &str) -> Key {
        // One folder for all, since the files' paths count too.
        let folder = std::env::temp_dir().join(format!("fnox-key-{}", std::process::id()));
        let project = folder.join(hex::encode(blake3::hash(text.as_bytes()).as_bytes()));
        std::fs::create_dir_all(&project).unwrap();
        let file = project.join("fnox.toml");
        std::fs::write(&file, text).unwrap();
        let mut all = vec![("HOME", "/home/u")];
        all.extend(variables);
        let env: Env = all.into_iter().collect();
        let config = Loader {
            env: &env,
            folders: &Folders::from_env(&env),
            cwd: &project,
            explicit: Some(file),
            profiles: profile
                .map(|name| ProfileName::parse(name).unwrap())
                .into_iter()
                .collect(),
            may_create: None,
            no_defaults: false,
        }
        .load()
        .unwrap();
        Keys::new(&config, &env).of(&SecretName::parse(name).unwrap())
    }

    #[test]
    fn whatever_a_value_depends_on_makes_another_digest() {
        let usual = key(CONFIG, None, &[], "A");
        assert_eq!(usual, key(CONFIG, None, &[], "A"));
        let changed = CONFIG.replace("op://v/a/b", "op://v/a/c");
        let all = [
            key(CONFIG, None, &[], "B"),
            key(&changed, None, &[], "A"),
            key(CONFIG, Some("production"), &[], "A"),
            key(CONFIG, None, &[("OP_SERVICE_ACCOUNT_TOKEN", "t")], "A"),
            key(CONFIG, None, &[("OP_SERVICE_ACCOUNT_TOKEN", "u")], "A"),
            key(CONFIG, None, &[("MY_TOKEN", "t")], "A"),
            key(CONFIG, None, &[("AWS_PROFILE", "t")], "A"),
            key(CONFIG, None, &[("FNOX_AGE_KEY_FILE", "t")], "A"),
            key(CONFIG, None, &[("HOME", "/home/v")], "A"),
        ];
        for (index, one) in all.iter().enumerate() {
            assert_ne!(*one, usual, "{index}");
            assert!(!all[..index].contains(one), "{index}");
        }
    }

    #[test]
    fn what_no_value_depends_on_does_not_count() {
        let usual = key(CONFIG, None, &[], "A");
        let other = [
            ("PWD", "/x"),
            ("FNOX_DAEMON", "on"),
            ("FNOX_NON_INTERACTIVE", "1"),
            ("TERM", "dumb"),
        ];
        assert_eq!(key(CONFIG, None, &other, "A"), usual);
    }
}

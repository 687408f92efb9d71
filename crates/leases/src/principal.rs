//! Who a credential was minted for, computed without asking anyone.
//!
//! A cached credential may be handed out only if a new one would be issued to the same principal by the same
//! configuration. Finding out who the masters really are would mean resolving them, so what *names* them
//! is digested instead: the profile, values of variables that are already in the environment, and for
//! each master that is a secret its provider's table and its reference or ciphertext. The digests are keyed, so
//! that a ledger's reader cannot test guesses of values against them.

use std::collections::BTreeSet;
use std::path::Path;

use fnox_config::spec::{Field, Kind};
use fnox_config::{
    Config, Fields, LeaseConfig, OptionValue, ProviderConfig, SecretConfig, TextOrSecret, Value,
};
use fnox_core::seal::SealingKey;
use fnox_core::{Env, SecretName};

use crate::Registry;
use crate::ledger::entry::Identity;
use crate::mint::{Consumes, Mint};

/// Keys of a lease that do not change what is issued to whom.
const IMMATERIAL_TO_LEASES: [&str; 13] = [
    "duration",
    "timeout",
    "required",
    "type",
    "deliver",
    "files",
    "restart",
    "override",
    "revoke_on_exit",
    "on_renewal_failure",
    "per_operation",
    "variable",
    "description",
];

/// Keys of a provider that do not change which value it gives.
const IMMATERIAL_TO_PROVIDERS: [&str; 3] = ["auth_command", "keep_env", "type"];

/// Digests what names a lease's credential.
#[must_use]
pub fn identify(
    key: &SealingKey,
    lease: &LeaseConfig,
    mint: &dyn Mint,
    config: &Config,
    env: &Env,
) -> Identity {
    Identity {
        configuration: digest(key, "configuration", &configuration(lease, env)),
        principal: digest(key, "principal", &principal(mint, config, env)),
    }
}

fn configuration(lease: &LeaseConfig, env: &Env) -> Parts {
    let mut parts = Parts::default();
    parts.text(lease.spec.name);
    // Commands run in this folder, and relative paths begin there.
    parts.bytes(
        lease
            .fields
            .location()
            .file
            .folder()
            .as_os_str()
            .as_encoded_bytes(),
    );
    parts.fields(
        &lease.fields,
        &IMMATERIAL_TO_LEASES,
        |name| lease.spec.field(name),
        home(env),
    );
    parts
}

fn principal(mint: &dyn Mint, config: &Config, env: &Env) -> Parts {
    let mut parts = masters(mint, config, env);
    // The lease whose credential is the master is as decisive as a master, and so are its own masters.
    if let Some(parent) = mint.via().and_then(|name| config.leases.get(name)) {
        parts.text("via");
        parts.0.extend(configuration(parent, env).0);
        match Registry.open(parent, home(env)) {
            Ok(parent) => parts.0.extend(principal(parent.as_ref(), config, env).0),
            Err(error) => parts.text(error.code()),
        }
    }
    parts
}

fn masters(mint: &dyn Mint, config: &Config, env: &Env) -> Parts {
    let names: BTreeSet<String> = match mint.consumes() {
        Consumes::Names(names) => names.into_iter().collect(),
        Consumes::Everything => config.secrets.keys().map(ToString::to_string).collect(),
    };
    let mut parts = Parts::default();
    parts.text(&config.profile_label());
    let surroundings = mint.surroundings(env);
    parts.count(surroundings.len());
    for fact in &surroundings {
        parts.text(fact);
    }
    let mut seen = BTreeSet::new();
    for name in names {
        if let Some(value) = env.var(&name) {
            parts.text("variable");
            parts.text(&name);
            parts.text(value);
        }
        if let Some(secret) = config.secrets.get(name.as_str()) {
            add_secret(&mut parts, secret, config, env, &mut seen);
        }
    }
    parts
}

fn add_secret(
    parts: &mut Parts,
    secret: &SecretConfig,
    config: &Config,
    env: &Env,
    seen: &mut BTreeSet<SecretName>,
) {
    if !seen.insert(secret.name.clone()) {
        return;
    }
    parts.text("secret");
    parts.text(secret.name.as_str());
    let line = secret.line.map(|line| line.to_string());
    for value in [
        secret.value.as_deref(),
        secret.default.as_deref(),
        secret.json_path.as_deref(),
        line.as_deref(),
        secret.sync.as_ref().map(|sync| sync.value.as_str()),
    ] {
        parts.optional(value);
    }
    parts.text(if secret.as_file { "file" } else { "value" });
    let provider = match &secret.sync {
        Some(sync) => Some(sync.provider.clone()),
        None => config.provider_of(secret),
    };
    let fallbacks = secret.fallbacks().iter().cloned();
    for name in provider.into_iter().chain(fallbacks) {
        if let Some(provider) = config.providers.get(&name) {
            add_provider(parts, provider, config, env, seen);
        }
    }
}

fn add_provider(
    parts: &mut Parts,
    provider: &ProviderConfig,
    config: &Config,
    env: &Env,
    seen: &mut BTreeSet<SecretName>,
) {
    parts.text("provider");
    parts.text(provider.name.as_str());
    parts.text(provider.spec.name);
    parts.fields(
        &provider.fields,
        &IMMATERIAL_TO_PROVIDERS,
        |name| provider.spec.fields.iter().find(|field| field.name == name),
        home(env),
    );
    // What opens the provider can decide which account it shows.
    for (_, name) in provider.fields.secrets() {
        if let Some(secret) = config.secrets.get(name) {
            add_secret(parts, secret, config, env, seen);
        }
        parts.optional(env.var(name.as_str()));
    }
}

fn digest(key: &SealingKey, purpose: &str, parts: &Parts) -> String {
    let parts: Vec<&[u8]> = parts.0.iter().map(|part| part.as_slice()).collect();
    key.digest(purpose, &parts)
}

fn home(env: &Env) -> Option<&Path> {
    env.home().map(Path::new)
}

/// What is digested, piece by piece. Values are wiped when it is dropped.
#[derive(Default)]
struct Parts(Vec<zeroize::Zeroizing<Vec<u8>>>);

impl Parts {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.push(zeroize::Zeroizing::new(bytes.to_vec()));
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            Some(text) => {
                self.text("some");
                self.text(text);
            }
            None => self.text("none"),
        }
    }

    fn count(&mut self, count: usize) {
        self.text(&count.to_string());
    }

    /// A table, sorted by key. Paths count as what they lead to from the declaring file.
    fn fields<'f>(
        &mut self,
        fields: &Fields,
        without: &[&str],
        field: impl Fn(&str) -> Option<&'f Field>,
        home: Option<&Path>,
    ) {
        let mut keys: Vec<(&str, &Value)> = fields
            .iter()
            .filter(|(name, _)| !without.contains(name))
            .collect();
        keys.sort_unstable_by_key(|(name, _)| *name);
        self.count(keys.len());
        for (name, value) in keys {
            self.text(name);
            let is_path = field(name)
                .is_some_and(|field| matches!(field.kind, Kind::Path(_) | Kind::ReferencePath(_)));
            match fields.path(name, home).filter(|_| is_path) {
                Some(path) => self.bytes(path.as_os_str().as_encoded_bytes()),
                None => self.value(value),
            }
        }
    }

    fn text_or_secret(&mut self, text: &TextOrSecret) {
        match text {
            TextOrSecret::Text(text) => self.text(text),
            TextOrSecret::Secret(name) => {
                self.text("secret");
                self.text(name.as_str());
            }
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Text(text) => self.text_or_secret(text),
            Value::Flag(flag) => self.text(if *flag { "true" } else { "false" }),
            Value::Count(count) => self.text(&count.to_string()),
            Value::Lifetime(lifetime) => self.text(&lifetime.as_secs().to_string()),
            Value::TextList(list) => {
                self.count(list.len());
                for text in list {
                    self.text(text);
                }
            }
            Value::Counts(numbers) => {
                self.count(numbers.len());
                for number in numbers {
                    self.text(&number.to_string());
                }
            }
            Value::TextMap(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_unstable();
                self.count(entries.len());
                for (key, value) in entries {
                    self.text(key);
                    self.text(value);
                }
            }
            Value::Options(options) => {
                let mut entries: Vec<_> = options.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                self.count(entries.len());
                for (key, value) in entries {
                    self.text(key);
                    match value {
                        OptionValue::Text(text) => self.text_or_secret(text),
                        OptionValue::Flag(flag) => self.text(if *flag { "true" } else { "false" }),
                        OptionValue::Number(number) => self.text(&number.to_string()),
                    }
                }
            }
            Value::Table(fields) => self.fields(fields, &[], |_| None, None),
            Value::Tables(tables) => {
                self.count(tables.len());
                for table in tables {
                    self.fields(table, &[], |_| None, None);
                }
            }
            Value::Json(object) => {
                let mut object = serde_json::Value::Object(object.clone());
                object.sort_all_objects();
                self.text(&object.to_string());
            }
            Value::Opaque(item) => self.text(item.to_string().trim()),
        }
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::Registry;
    use crate::testing;

    const BASE: &str = "
        [providers.p]
        type = 'plain'
        [providers.q]
        type = 'plain'
        [secrets]
        AWS_ACCESS_KEY_ID = { provider = 'p', value = 'AKIA1' }
        AWS_SECRET_ACCESS_KEY = { provider = 'p', value = 's1' }
        OTHER = { provider = 'p', value = 'o1' }
        [leases.aws]
        type = 'aws-sts'
        region = 'eu-west-1'
        role_arn = 'arn:aws:iam::123456789012:role/dev'
        duration = '1h'
        [profiles.prod]
        ";

    fn identity(folder: &Path, toml: &str, profiles: &[&str], env: &[(&str, &str)]) -> Identity {
        let config = testing::config_of(folder, toml, profiles);
        let lease = &config.leases["aws"];
        let mint = Registry.open(lease, None).unwrap();
        let key = SealingKey::new("k".to_owned(), Zeroizing::new([1; 32]));
        let env = testing::env_in(Path::new("/home/u"), env);
        identify(&key, lease, mint.as_ref(), &config, &env)
    }

    #[test]
    fn what_names_the_masters_decides() {
        let folder = tempfile::tempdir().unwrap();
        let of = |toml: &str, profiles: &[&str], env: &[(&str, &str)]| {
            identity(folder.path(), toml, profiles, env)
        };
        let base = of(BASE, &[], &[]);
        assert_eq!(base, of(BASE, &[], &[]));
        assert_eq!(base, of(BASE, &[], &[("UNRELATED", "x")]));
        let with = |from: &str, to: &str| of(&BASE.replace(from, to), &[], &[]);

        for same in [
            with("duration = '1h'", "duration = '2h'\nrequired = true"),
            with("value = 'o1'", "value = 'o2'"),
        ] {
            assert_eq!(base, same);
        }
        let other_role = with("role/dev", "role/ops");
        assert_ne!(base.configuration, other_role.configuration);
        assert_eq!(base.principal, other_role.principal);
        for (what, other) in [
            ("master", with("AKIA1", "AKIA2")),
            (
                "provider",
                with(
                    "{ provider = 'p', value = 's1' }",
                    "{ provider = 'q', value = 's1' }",
                ),
            ),
            ("profile", of(BASE, &["prod"], &[])),
            ("variable", of(BASE, &[], &[("AWS_PROFILE", "x")])),
            ("value", of(BASE, &[], &[("AWS_PROFILE", "y")])),
        ] {
            assert_ne!(base.principal, other.principal, "{what}");
            assert_eq!(base.configuration, other.configuration, "{what}");
        }
    }

    #[test]
    fn a_command_that_gets_everything_depends_on_every_secret() {
        let folder = tempfile::tempdir().unwrap();
        let toml = |value: &str, consumes: &str| {
            format!(
                "[providers.p]\ntype='plain'\n[secrets]\nA = {{ provider='p', value='1' }}\n\
                 B = {{ provider='p', value='{value}' }}\n[leases.aws]\ntype='command'\n\
                 create_command='x'\n{consumes}\n"
            )
        };
        let of = |toml: &str| identity(folder.path(), toml, &[], &[]).principal;
        assert_ne!(of(&toml("1", "")), of(&toml("2", "")));
        let only_a = "consumes = ['A']";
        assert_eq!(of(&toml("1", only_a)), of(&toml("2", only_a)));
    }
}

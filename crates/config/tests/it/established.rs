//! Files of the established CLI load as they are, and nothing of them is lost.

use std::collections::BTreeSet;

use fnox_config::{
    Config, ConfigError, DaemonCache, EnvMode, Fields, Folders, IfMissing, Loader, OptionValue,
    SecretConfig, TextOrSecret, Value,
};
use fnox_core::{Env, Lifetime, ProfileName};
use toml_edit::{Document, Item, TableLike};

const PROJECT: &str = include_str!("established.toml");
const GLOBAL: &str = include_str!("established.global.toml");
/// What `import` names.
const SHARED: &str = "[secrets]\nSHARED = { default = \"shared\" }\n";

/// From its documentation, not from ours.
const PROVIDER_TYPES: [&str; 29] = [
    "1password",
    "age",
    "aws-kms",
    "aws-ps",
    "aws-sm",
    "azure-ac",
    "azure-kms",
    "azure-sm",
    "bitwarden",
    "bitwarden-sm",
    "doppler",
    "enpass",
    "fido2",
    "foks",
    "gcp-kms",
    "gcp-sm",
    "gopass",
    "infisical",
    "keepass",
    "keeper-sm",
    "keychain",
    "kubernetes",
    "lua",
    "passwordstate",
    "password-store",
    "plain",
    "proton-pass",
    "vault",
    "yubikey",
];
const LEASE_TYPES: [&str; 12] = [
    "aws-sts",
    "azure-token",
    "cloudflare",
    "command",
    "gcp-iam",
    "github-app",
    "github-oauth",
    "gitlab",
    "kubernetes",
    "oauth2-client-credentials",
    "tailscale",
    "vault",
];
const TARGET_TYPES: [&str; 7] = [
    "cloudflare-workers",
    "fly",
    "forgejo-actions",
    "github-actions",
    "gitlab-ci",
    "hcp-terraform",
    "vercel",
];

/// What a project of these texts, with these profiles, says.
fn load(project: &str, global: Option<&str>, profiles: &[&str]) -> Result<Config, ConfigError> {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("project");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("fnox.toml"), project).unwrap();
    std::fs::write(folder.join("shared.toml"), SHARED).unwrap();
    let env: Env = [("HOME", home.path().to_str().unwrap())]
        .into_iter()
        .collect();
    let folders = Folders::from_env(&env);
    if let Some(text) = global {
        std::fs::create_dir_all(&folders.config).unwrap();
        std::fs::write(folders.global_file(), text).unwrap();
    }
    let profiles = profiles
        .iter()
        .map(|name| ProfileName::parse(name).unwrap());
    Loader {
        env: &env,
        folders: &folders,
        cwd: &folder,
        explicit: None,
        profiles: profiles.collect(),
        may_create: None,
        no_defaults: false,
    }
    .load()
}

fn loaded() -> Config {
    load(PROJECT, None, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn document(text: &str) -> Document<String> {
    Document::parse(text.to_owned()).unwrap()
}

/// The tables of a section of a file, by name.
fn entries<'a>(document: &'a Document<String>, section: &str) -> Vec<(&'a str, &'a dyn TableLike)> {
    let table = document[section].as_table_like().unwrap();
    table
        .iter()
        .map(|(name, item)| (name, item.as_table_like().unwrap()))
        .collect()
}

/// The keys of a table, by their places, that are not there any more or have another value.
fn lost(place: &str, table: &dyn TableLike, fields: &Fields) -> Vec<String> {
    let is_lost = |key: &str, item: &Item| {
        let found = fields.iter().find(|(name, _)| *name == key);
        !found.is_some_and(|(_, value)| is_same(item, value))
    };
    table
        .iter()
        .filter(|(key, item)| is_lost(key, item))
        .map(|(key, _)| format!("{place}.{key}"))
        .collect()
}

fn is_same(item: &Item, value: &Value) -> bool {
    let is_table = |fields: &Fields, table: Option<&dyn TableLike>| {
        table.is_some_and(|table| lost("", table, fields).is_empty())
    };
    match value {
        Value::Text(text) => is_same_text(item, text),
        Value::Flag(flag) => item.as_bool() == Some(*flag),
        Value::Count(count) => item.as_integer() == i64::try_from(*count).ok(),
        Value::Lifetime(lifetime) => item
            .as_str()
            .is_some_and(|text| Lifetime::parse(text).ok() == Some(*lifetime)),
        Value::TextList(list) => item.as_array().is_some_and(|array| {
            array
                .iter()
                .map(toml_edit::Value::as_str)
                .eq(list.iter().map(|text| Some(text.as_str())))
        }),
        Value::TextMap(map) => item.as_table_like().is_some_and(|table| {
            let texts = table.iter().map(|(key, item)| (key, item.as_str()));
            texts.eq(map
                .iter()
                .map(|(key, text)| (key.as_str(), Some(text.as_str()))))
        }),
        Value::Options(options) => item.as_table_like().is_some_and(|table| {
            table.len() == options.len()
                && table.iter().all(|(key, item)| match &options[key] {
                    OptionValue::Text(text) => is_same_text(item, text),
                    OptionValue::Flag(flag) => item.as_bool() == Some(*flag),
                    OptionValue::Number(number) => item.as_integer() == Some(*number),
                })
        }),
        Value::Table(fields) => is_table(fields, item.as_table_like()),
        Value::Tables(tables) => item.as_array_of_tables().is_some_and(|list| {
            list.len() == tables.len()
                && list
                    .iter()
                    .zip(tables)
                    .all(|(table, fields)| is_table(fields, Some(table)))
        }),
        Value::Opaque(kept) => kept.to_string() == item.to_string(),
        Value::Counts(_) | Value::Json(_) => false,
    }
}

fn is_same_text(item: &Item, text: &TextOrSecret) -> bool {
    match text {
        TextOrSecret::Text(text) => item.as_str() == Some(text),
        TextOrSecret::Secret(name) => {
            item.get("secret").and_then(Item::as_str) == Some(name.as_str())
        }
    }
}

fn types(document: &Document<String>, section: &str) -> BTreeSet<String> {
    entries(document, section)
        .into_iter()
        .map(|(_, table)| table.get("type").and_then(Item::as_str).unwrap().to_owned())
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_provider_lease_and_target_keeps_every_key() {
    let config = loaded();
    let document = document(PROJECT);
    assert_eq!(types(&document, "providers"), set(&PROVIDER_TYPES));
    assert_eq!(types(&document, "leases"), set(&LEASE_TYPES));
    assert_eq!(types(&document, "targets"), set(&TARGET_TYPES));
    let mut differences = Vec::new();
    for (name, table) in entries(&document, "providers") {
        let place = format!("providers.{name}");
        differences.extend(lost(&place, table, &config.providers[name].fields));
    }
    for (name, table) in entries(&document, "leases") {
        let place = format!("leases.{name}");
        differences.extend(lost(&place, table, &config.leases[name].fields));
    }
    for (name, table) in entries(&document, "targets") {
        let place = format!("targets.{name}");
        differences.extend(lost(&place, table, &config.settings.targets[name]));
    }
    // Its one word is read with either kind of line between its parts.
    assert_eq!(differences, ["leases.azure.auth"]);
    let auth = config.leases["azure"].fields.text("auth");
    assert_eq!(auth, Some("managed-identity"));
    assert_eq!(config.providers["kms"].auth_command.as_deref(), {
        Some("aws sso login --profile shop")
    });
    assert_eq!(config.providers["age"].auth_command, None);
    assert_eq!(config.providers["age"].daemon_cache, DaemonCache::Never);
}

#[test]
fn a_key_that_is_lost_would_be_noticed() {
    let config = loaded();
    let changed = PROJECT
        .replace("slot = \"2\"", "slot = \"1\"")
        .replace("daemon_cache = false\n\n", "daemon_cache = true\n\n")
        .replace("token = { secret = \"OP_TOKEN\" }", "token = \"OP_TOKEN\"");
    let mut differences = Vec::new();
    for (name, table) in entries(&document(&changed), "providers") {
        differences.extend(lost(name, table, &config.providers[name].fields));
    }
    assert_eq!(differences, ["age.daemon_cache", "yubi.slot", "op.token"]);
}

#[test]
fn durations_are_as_long_as_they_were() {
    let config = loaded();
    let found: Vec<(&str, u64)> = config
        .leases
        .iter()
        .filter_map(|(name, lease)| Some((name.as_str(), lease.duration?.as_duration().as_secs())))
        .collect();
    let wanted = [
        ("sts", 3600),
        ("gcp", 1800),
        ("azure", 3600),
        ("dynamic", 5400),
        ("cloudflare", 900),
        ("app", 3600),
        ("oauth", 28_800),
        ("gitlab", 86_400),
        ("cluster", 600),
        ("client", 330),
        ("tailnet", 7_776_000),
        ("own", 900),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn every_setting_is_there() {
    let config = loaded();
    let settings = &config.settings;
    let (provider, _) = settings.default_provider.as_ref().unwrap();
    assert_eq!(provider.as_str(), "age");
    assert_eq!(settings.if_missing, Some(IfMissing::Warn));
    assert_eq!(settings.env, Some(EnvMode::Exec));
    assert_eq!(settings.prompt_auth, Some(false));
    assert_eq!(settings.redact_exec, Some(true));
    let plugins: Vec<(&str, &str)> = settings
        .plugins
        .iter()
        .map(|(name, (source, _))| (name.as_str(), source.as_str()))
        .collect();
    assert_eq!(
        plugins,
        [
            (
                "corp",
                "https://git.example.com/corp/fnox-plugin.git#v1.2.0"
            ),
            ("short", "example/fnox-short"),
        ]
    );
    let document = document(PROJECT);
    for section in ["daemon", "audit", "mcp", "proxy"] {
        let table = document[section].as_table_like().unwrap();
        let fields = &settings.sections[section];
        assert!(lost(section, table, fields).is_empty(), "{section}");
    }
    let rules = settings.sections["proxy"].tables("rules");
    assert_eq!(rules.len(), 3);
    let files: Vec<_> = config
        .files
        .iter()
        .map(|file| file.path.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(files, ["shared.toml", "fnox.toml"]);
    assert_eq!(default(&config.secrets["SHARED"]), "shared");
}

fn default(secret: &SecretConfig) -> &str {
    secret.default.as_deref().unwrap()
}

#[test]
fn every_key_of_a_secret_is_there() {
    let config = loaded();
    let full = &config.secrets["FULL"];
    assert_eq!(full.provider().unwrap().as_str(), "op");
    assert_eq!(full.value.as_deref(), Some("database/connection"));
    assert_eq!(full.json_path.as_deref(), Some("hosts.main\\.db.url"));
    assert_eq!(full.description.as_deref(), Some("the shop's database"));
    assert_eq!(default(full), "postgres://localhost/shop");
    assert_eq!(full.if_missing, Some(IfMissing::Ignore));
    assert_eq!(full.env, EnvMode::Exec);
    assert!(full.as_file);
    assert_eq!(full.push, ["actions", "fly"]);
    assert_eq!(full.daemon_cache, DaemonCache::Never);
    let sync = full.sync.as_ref().unwrap();
    assert_eq!(sync.provider.as_str(), "age");
    assert_eq!(sync.value, "YWdlLWVuY3J5cHRpb24ub3JnL3YxCg==");
    assert!(sync.local_source);

    let line = &config.secrets["A_LINE"];
    assert_eq!(line.line, Some(3));
    assert_eq!(line.if_missing, Some(IfMissing::Error));
    assert_eq!(config.secrets["AN_EMPTY_VALUE"].value.as_deref(), Some(""));
    let modes = ["ALWAYS", "ONLY_EXEC", "NEVER", "PLAIN"].map(|name| config.secrets[name].env);
    // The last says nothing itself, and the file's `env` is "exec".
    assert_eq!(
        modes,
        [
            EnvMode::Always,
            EnvMode::Exec,
            EnvMode::Never,
            EnvMode::Exec
        ]
    );
    assert_eq!(default(&config.secrets["NEVER"]), "${ALWAYS}-${lower_case}");
    let bare = &config.secrets["FROM_THE_ENVIRONMENT"];
    assert!(bare.value.is_none() && bare.default.is_none() && bare.providers.is_empty());
    let by_default = &config.secrets["BY_DEFAULT_PROVIDER"];
    assert_eq!(config.provider_of(by_default).unwrap().as_str(), "age");
    // In the order of the file, which is that of every list of them.
    let written: Vec<&str> = config
        .secrets
        .keys()
        .map(fnox_core::SecretName::as_str)
        .collect();
    assert_eq!(
        written,
        [
            "SHARED",
            "PLAIN",
            "BY_DEFAULT_PROVIDER",
            "FROM_THE_ENVIRONMENT",
            "lower_case",
            "ALWAYS",
            "ONLY_EXEC",
            "NEVER",
            "A_LINE",
            "AN_EMPTY_VALUE",
            "FULL"
        ]
    );
}

#[test]
fn profiles_lie_on_top_of_what_they_inherit() {
    let config = load(PROJECT, None, &["production"]).unwrap();
    let active: Vec<&str> = config.profiles.iter().map(ProfileName::as_str).collect();
    assert_eq!(active, ["staging", "production"]);
    assert_eq!(default(&config.secrets["STAGE"]), "production");
    assert_eq!(default(&config.secrets["ALWAYS"]), "staging");
    assert_eq!(default(&config.secrets["lower_case"]), "x");
    assert_eq!(config.default_provider().unwrap().as_str(), "kms");
    // An entry replaces one of the same name as a whole.
    let vault = &config.providers["vault"].fields;
    assert_eq!(vault.text("path"), Some("production"));
    assert!(!vault.contains("token"));
    let own = &config.leases["own"].fields;
    assert_eq!(own.text("create_command"), Some("./mint-production.sh"));
    assert!(!own.contains("revoke_command"));
    let fly = &config.settings.targets["fly"];
    assert_eq!(fly.text("app"), Some("shop-production"));
}

#[test]
fn files_stand_in_the_global_file_and_nowhere_else() {
    let config = load("", Some(GLOBAL), &["work"]).unwrap();
    let document = document(GLOBAL);
    for (name, table) in entries(&document, "files") {
        let fields = &config.settings.files[name];
        assert!(lost(name, table, fields).is_empty(), "{name}");
    }
    let netrc = &config.settings.files["~/.netrc"];
    assert_eq!(netrc.text("provider"), Some("op"));
    assert_eq!(netrc.text("value"), Some("netrc/notes"));
    let error = load(GLOBAL, None, &[]).unwrap_err().to_string();
    assert!(
        error.contains("`files`") && error.contains("global file"),
        "{error}"
    );
}

/// The one thing of a file that the established CLI reads and that is refused here: a key of a lease that nobody knows.
#[test]
fn an_unknown_key_of_a_lease_is_named() {
    let text = "[leases.x]\ntype = \"command\"\ncreate_command = \"x\"\ntimout = \"5s\"\n";
    let error = load(text, None, &[]).unwrap_err().to_string();
    let wanted = "unknown key `timout` in the lease `x` of type `command`";
    assert!(error.contains(wanted), "{error}");
}

//! What of a configuration leads to credentials: the keys whose paths are to be [`Sight::Hidden`] from a program that is to hold
//! none.

use std::path::{Path, PathBuf};

use crate::fields::{Fields, TextOrSecret, Value};
use crate::file::{Body, FileConfig};
use crate::spec::{Field, Kind, LEASE_COMMON, PROVIDER_COMMON, Sight, TOP_LEVEL};

/// A path as it is written, and the folder at which it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiddenPath {
    /// The path, or the secret whose value it is.
    pub text: TextOrSecret,
    /// The folder of the file that says so.
    pub folder: PathBuf,
}

/// Those of a file, whichever of its profiles is active.
#[must_use]
pub fn of_file(file: &FileConfig) -> Vec<HiddenPath> {
    let mut found = of_fields(&file.top, &[TOP_LEVEL.fields]);
    let profiles = file.profiles.values().map(|profile| &profile.body);
    for body in std::iter::once(&file.base).chain(profiles) {
        found.extend(of_body(body, file.source.folder()));
    }
    found
}

fn of_body(body: &Body, folder: &Path) -> Vec<HiddenPath> {
    let mut found = Vec::new();
    for provider in body.providers.values() {
        let known = [PROVIDER_COMMON.fields, provider.spec.fields];
        found.extend(of_fields(&provider.fields, &known));
    }
    for lease in body.leases.values() {
        let known = [LEASE_COMMON.fields, lease.spec.fields];
        found.extend(of_fields(&lease.fields, &known));
    }
    // A whole file that is a secret, once it is there.
    found.extend(body.files.keys().map(|path| HiddenPath {
        text: TextOrSecret::Text(path.clone()),
        folder: folder.to_owned(),
    }));
    found
}

/// Those of a table, and of the tables in it.
#[must_use]
pub fn of_fields(fields: &Fields, known: &[&'static [Field]]) -> Vec<HiddenPath> {
    let mut found = Vec::new();
    for (name, value) in fields.iter() {
        let mut all = known.iter().flat_map(|list| list.iter());
        let Some(field) = all.find(|field| field.name == name) else {
            continue;
        };
        let folder = fields.location_of(name).file.folder();
        match (field.kind, value) {
            (Kind::Path(Sight::Hidden) | Kind::ReferencePath(Sight::Hidden), Value::Text(text)) => {
                found.push(HiddenPath {
                    text: text.clone(),
                    folder: folder.to_owned(),
                });
            }
            (Kind::Place, Value::Text(TextOrSecret::Text(text))) => {
                found.extend(path_of_place(text).map(|path| HiddenPath {
                    text: TextOrSecret::Text(path.to_owned()),
                    folder: folder.to_owned(),
                }));
            }
            (Kind::Table(section), Value::Table(inner)) => {
                found.extend(of_fields(inner, &[section.fields]));
            }
            (Kind::Tables(section), Value::Tables(tables)) => {
                let inner = tables.iter();
                found.extend(inner.flat_map(|inner| of_fields(inner, &[section.fields])));
            }
            _ => {}
        }
    }
    found
}

/// The path of a place that is on this machine: by itself, or after one of the words that say what is there.
#[must_use]
pub fn path_of_place(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix("host-socket:") {
        return rest.rsplit_once(':').map(|(path, _)| path);
    }
    match text.split_once(':') {
        Some(("file" | "sqlite" | "unix", path)) => Some(path),
        Some((word, _)) if !word.contains(['/', '.']) => None,
        _ => Some(text),
    }
    .filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::{FileKind, SourceFile};
    use crate::spec::{LEASES, PROVIDERS, PROXY, PROXY_RULE, Section};

    fn paths(kind: FileKind, text: &str) -> Vec<String> {
        let source = SourceFile {
            path: "/p/fnox.toml".into(),
            text: text.to_owned(),
            kind,
            imported_by: None,
        };
        let file = FileConfig::parse(Arc::new(source)).unwrap();
        let text = |found: HiddenPath| match found.text {
            TextOrSecret::Text(text) => text,
            TextOrSecret::Secret(name) => format!("secret {name}"),
        };
        of_file(&file).into_iter().map(text).collect()
    }

    #[test]
    fn what_opens_a_project_is_found_in_every_profile_and_table() {
        let mut found = paths(
            FileKind::Project,
            "[providers.a]\ntype = 'age'\nrecipients = ['age1x']\nkey_file = 'identity.txt'\n\
             [providers.k]\ntype = 'keepass'\ndatabase = { secret = 'DB' }\nkeyfile = 'k.key'\n\
             [providers.v]\ntype = 'vault'\nca_file = 'ca.pem'\ntoken_file = 't'\n\
             [providers.w]\ntype = 'vault-agent'\nsocket = 'unix:/w.sock'\n\
             [leases.r]\ntype = 'aws-roles-anywhere'\nregion = 'r'\ntrust_anchor_arn = 't'\nprofile_arn = 'p'\nrole_arn = 'a'\n\
             certificate_file = 'c.pem'\nprivate_key_file = 'c.key'\n\
             [profiles.prod.providers.a]\ntype = 'age'\nkey_file = 'prod.txt'\n\
             [proxy]\napproval_token_file = 'gateway.token'\napproval_vault = 'tcp:127.0.0.1:1'\n\
             [proxy.telemetry]\nendpoint = 'http://127.0.0.1:1'\nheaders_file = 'headers'\n",
        );
        found.extend(paths(
            FileKind::Global,
            "[age]\nidentities_file = 'ids'\n[files.'~/app.env']\nprovider = 'a'\nvalue = 'x'\n",
        ));
        for wanted in [
            "identity.txt",
            "secret DB",
            "ids",
            "k.key",
            "t",
            "/w.sock",
            "c.key",
            "prod.txt",
            "gateway.token",
            "headers",
            "~/app.env",
        ] {
            assert!(
                found.iter().any(|path| path == wanted),
                "{wanted}: {found:?}"
            );
        }
        for shown in ["ca.pem", "c.pem", "tcp:127.0.0.1:1"] {
            assert!(!found.iter().any(|path| path == shown), "{shown}");
        }
    }

    #[test]
    fn a_place_is_a_path_only_on_this_machine() {
        for (text, path) in [
            ("/run/v.sock", Some("/run/v.sock")),
            ("v.sock", Some("v.sock")),
            ("./a:b", Some("./a:b")),
            ("unix:/v", Some("/v")),
            ("file:vault.key", Some("vault.key")),
            ("sqlite:v.db", Some("v.db")),
            ("host-socket:/m.sock:9100", Some("/m.sock")),
            ("tcp:127.0.0.1:9100", None),
            ("vsock:2:9100", None),
            ("postgres://u@h/d", None),
            ("env:KEY", None),
            ("sqlite:", None),
        ] {
            assert_eq!(path_of_place(text), path, "{text}");
        }
    }

    /// Keys that sound like paths and are none on this machine's disk, or lead to what is no credential.
    const NO_PATHS: [&str; 9] = [
        "AUDIT.keep",
        "bitwarden.folder",
        "gcp-kms.keyring",
        "infisical.path",
        "lua.plugin",
        "vault.path",
        "leases.vault.secret_path",
        "leases.github-oauth.keyring_cache",
        "leases.github-oauth.keyring_service",
    ];

    #[test]
    fn no_key_that_is_a_path_is_written_down_as_a_text() {
        let sounds_like_one = |name: &str| {
            [
                "file",
                "path",
                "folder",
                "dir",
                "home",
                "socket",
                "database",
                "keyring",
                "kubeconfig",
            ]
            .iter()
            .any(|word| name.ends_with(word) && name != "profile")
        };
        let mut tables: Vec<(String, &'static [Field])> = Vec::new();
        tables.extend(PROVIDERS.iter().map(|it| (it.name.to_owned(), it.fields)));
        tables.extend(
            LEASES
                .iter()
                .map(|it| (format!("leases.{}", it.name), it.fields)),
        );
        tables.push(("TOP".to_owned(), TOP_LEVEL.fields));
        tables.push(("PROXY".to_owned(), PROXY.fields));
        tables.push(("RULE".to_owned(), PROXY_RULE.fields));
        let section = |section: &Section| (section.heading.to_owned(), section.fields);
        tables.push(section(&LEASE_COMMON));
        tables.push(section(&PROVIDER_COMMON));
        let mut checked = 0;
        for (table, fields) in tables {
            for field in fields.iter().filter(|field| sounds_like_one(field.name)) {
                let name = format!("{table}.{}", field.name);
                let is_text = matches!(field.kind, Kind::Text | Kind::Reference);
                let is_database = name == "leases.database.database";
                assert!(
                    !is_text || is_database || NO_PATHS.contains(&name.as_str()),
                    "`{name}`: make it Kind::Path, Kind::ReferencePath or Kind::Place"
                );
                checked += 1;
            }
        }
        assert!(checked > 15);
    }
}

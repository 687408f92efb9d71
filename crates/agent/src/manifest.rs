//! Which secrets a guest gets, for which hosts, and where their values go.
//!
//! A manifest is a JSON file that whoever builds or starts the guest writes. It holds no secrets. Unknown keys are
//! refused, and so are two values for one place: a guest that starts with half of what it needs fails later, and
//! in a place that tells less.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use fnox_core::name::is_variable_name;
use fnox_core::{Env, Host, VaultName};
use serde::Deserialize;

use crate::error::AgentError;
use crate::template::Template;

/// Longest manifest.
const LIMIT: u64 = 1024 * 1024;

/// What a guest gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// In the order of the file.
    pub credentials: Vec<Entry>,
}

/// One secret at one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The secret's name in the vault.
    pub secret: VaultName,
    /// The host it is leased for.
    pub host: Host,
    /// How long a lease shall live; the policy's own term if absent.
    pub ttl_secs: Option<u64>,
    /// Variables that get its value.
    pub variables: Vec<Variable>,
    /// Files that get its value.
    pub files: Vec<FileTarget>,
    /// Hosts at which git may use it.
    pub git: Vec<GitHost>,
}

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub template: Template,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTarget {
    /// Absolute, without `..`.
    pub path: PathBuf,
    /// What it holds.
    pub template: Template,
}

/// A host of git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitHost {
    /// As git names it, with a port if it is not the usual one.
    pub host: Host,
    /// The user name to answer with, where the URL has none.
    pub username: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    credentials: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    secret_name: String,
    target_domain: String,
    #[serde(default)]
    ttl_secs: Option<u64>,
    inject: Vec<RawInject>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum RawInject {
    Env {
        var: String,
        template: Option<String>,
    },
    File {
        path: String,
        template: Option<String>,
    },
    GitCredential {
        host: String,
        username: Option<String>,
    },
}

impl Manifest {
    /// Reads a manifest's file.
    ///
    /// # Errors
    /// [`AgentError::Manifest`], also if somebody else could have written it.
    pub fn read(path: &Path, env: &Env) -> Result<Self, AgentError> {
        let wrong = |reason: String| AgentError::Manifest {
            path: path.to_owned(),
            reason,
        };
        let system = |error: std::io::Error| wrong(error.to_string());
        let file = std::fs::File::open(path).map_err(system)?;
        let about = file.metadata().map_err(system)?;
        let owners = [0, rustix::process::geteuid().as_raw()];
        // It says which files are written: only who could write them anyhow may say so.
        if about.mode() & 0o002 != 0 || !owners.contains(&about.uid()) {
            return Err(wrong(
                "it must belong to root or to this user, and others must not write it".to_owned(),
            ));
        }
        let mut text = String::new();
        file.take(LIMIT + 1)
            .read_to_string(&mut text)
            .map_err(system)?;
        if text.len() as u64 > LIMIT {
            return Err(wrong("it is longer than 1 MiB".to_owned()));
        }
        Self::parse(&text, env).map_err(wrong)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str, env: &Env) -> Result<Self, String> {
        let raw: Raw = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let credentials = raw
            .credentials
            .into_iter()
            .enumerate()
            .map(|(index, entry)| {
                let at = format!(
                    "credential {} (`{}`)",
                    index + 1,
                    entry.secret_name.escape_debug()
                );
                Entry::of(entry, env).map_err(|reason| format!("{at}: {reason}"))
            })
            .collect::<Result<_, _>>()?;
        let manifest = Self { credentials };
        manifest.each_place_once()?;
        Ok(manifest)
    }

    /// What answers git's question about a host.
    #[must_use]
    pub fn for_git(&self, host: &Host) -> Option<(&Entry, &GitHost)> {
        self.credentials.iter().find_map(|entry| {
            let git = entry.git.iter().find(|git| git.host == *host)?;
            Some((entry, git))
        })
    }

    fn each_place_once(&self) -> Result<(), String> {
        let mut places = BTreeSet::new();
        for entry in &self.credentials {
            let variables = entry.variables.iter().map(|one| one.name.clone());
            let files = entry.files.iter().map(|one| one.path.display().to_string());
            let hosts = entry.git.iter().map(|one| format!("git at {}", one.host));
            for place in variables.chain(files).chain(hosts) {
                if places.contains(&place) {
                    return Err(format!("two values would go to {place}"));
                }
                places.insert(place);
            }
        }
        Ok(())
    }
}

impl Entry {
    /// A secret at a host, without any place yet.
    #[must_use]
    pub fn new(secret: VaultName, host: Host) -> Self {
        Self {
            secret,
            host,
            ttl_secs: None,
            variables: Vec::new(),
            files: Vec::new(),
            git: Vec::new(),
        }
    }

    fn of(raw: RawEntry, env: &Env) -> Result<Self, String> {
        let secret = VaultName::parse(&raw.secret_name).map_err(|error| error.to_string())?;
        let mut entry = Self {
            ttl_secs: raw.ttl_secs,
            ..Self::new(secret, host(&raw.target_domain)?)
        };
        if raw.inject.is_empty() {
            return Err("its value goes nowhere: `inject` is empty".to_owned());
        }
        for inject in raw.inject {
            match inject {
                RawInject::Env { var, template } => entry.variables.push(Variable {
                    name: variable(var)?,
                    template: template_of(template)?,
                }),
                RawInject::File { path, template } => entry.files.push(FileTarget {
                    path: absolute(&path, env)?,
                    template: template_of(template)?,
                }),
                RawInject::GitCredential {
                    host: name,
                    username,
                } => entry.git.push(GitHost {
                    host: host(&name)?,
                    // What GitHub, GitLab and Bitbucket take beside a token.
                    username: username.unwrap_or_else(|| "x-access-token".to_owned()),
                }),
            }
        }
        Ok(entry)
    }
}

fn host(text: &str) -> Result<Host, String> {
    Host::parse(text).map_err(|error| error.to_string())
}

fn variable(name: String) -> Result<String, String> {
    if is_variable_name(&name) {
        Ok(name)
    } else {
        Err(format!(
            "`{}` is not the name of a variable",
            name.escape_debug()
        ))
    }
}

fn template_of(text: Option<String>) -> Result<Template, String> {
    text.map_or_else(|| Ok(Template::default()), |text| Template::parse(&text))
}

/// A path from `/` or `~/`.
fn absolute(text: &str, env: &Env) -> Result<PathBuf, String> {
    let shown = text.escape_debug();
    let path = match text.strip_prefix("~/") {
        Some(rest) => {
            let home = env
                .var("HOME")
                .ok_or_else(|| format!("`{shown}` needs HOME, which is not set"))?;
            Path::new(home).join(rest)
        }
        None => PathBuf::from(text),
    };
    let plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain || text.ends_with('/') || text.contains('\0') {
        return Err(format!(
            "`{shown}` is not a file's path from `/` or `~/`, without `..`"
        ));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Manifest, String> {
        Manifest::parse(text, &[("HOME", "/home/coder")].into_iter().collect())
    }

    #[test]
    fn a_manifest_of_zerolease_is_read_as_it_is() {
        let text = r#"{"credentials": [
            {"secret_name": "github-pat", "target_domain": "api.github.com", "inject": [
                {"type": "env", "var": "GH_TOKEN"},
                {"type": "git_credential", "host": "github.com"}
            ]},
            {"secret_name": "npm", "target_domain": "packages.example.com", "inject": [
                {"type": "file", "path": "~/.npmrc", "template": "//packages.example.com/:_authToken=${SECRET}\n"}
            ]}
        ]}"#;
        let manifest = parse(text).unwrap();
        let [github, npm] = &manifest.credentials[..] else {
            panic!("two credentials")
        };
        assert_eq!(github.host.to_string(), "api.github.com");
        assert_eq!(github.variables[0].name, "GH_TOKEN");
        assert_eq!(github.git[0].username, "x-access-token");
        assert_eq!(npm.files[0].path, Path::new("/home/coder/.npmrc"));
        let asked = Host::parse("GitHub.com").unwrap();
        assert_eq!(manifest.for_git(&asked).unwrap().0, github);
        let other = Host::parse("github.com:8443").unwrap();
        assert_eq!(manifest.for_git(&other), None);
    }

    #[test]
    fn what_a_manifest_must_not_say_is_refused_with_its_place() {
        let one = |inject: &str| {
            format!(
                r#"{{"credentials":[{{"secret_name":"s","target_domain":"h.example","inject":[{inject}]}}]}}"#
            )
        };
        for (text, told) in [
            (String::new(), "EOF"),
            ("{}".to_owned(), "credentials"),
            (r#"{"credentials":[],"x":1}"#.to_owned(), "unknown field"),
            (one(""), "credential 1 (`s`): its value goes nowhere"),
            (one(r#"{"type":"socket"}"#), "unknown variant"),
            (
                one(r#"{"type":"env","var":"A","vra":"B"}"#),
                "unknown field",
            ),
            (one(r#"{"type":"env","var":"A B"}"#), "name of a variable"),
            (
                one(r#"{"type":"env","var":"A","template":"x"}"#),
                "${SECRET}",
            ),
            (
                one(r#"{"type":"file","path":"x"}"#),
                "`x` is not a file's path",
            ),
            (one(r#"{"type":"file","path":"/a/../b"}"#), "without `..`"),
            (
                one(r#"{"type":"file","path":"/a/"}"#),
                "is not a file's path",
            ),
            (one(r#"{"type":"git_credential","host":"*.h"}"#), "*.h"),
            (
                one(r#"{"type":"env","var":"A"},{"type":"env","var":"A"}"#),
                "two values would go to A",
            ),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        let nowhere = one(r#"{"type":"file","path":"~/x"}"#);
        let error = Manifest::parse(&nowhere, &Env::default()).unwrap_err();
        assert!(error.contains("HOME"), "{error}");
    }
}

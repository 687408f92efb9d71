//! kubeconfig files, as kubectl reads them ("Organizing Cluster Access Using kubeconfig Files", "kubeconfig (v1)").
//!
//! Of several files in `KUBECONFIG` the first one that has an entry, or `current-context`, is the one that counts; files
//! that are not there are passed over; relative paths are relative to the file in which they stand.

use std::path::{Path, PathBuf};

use fnox_core::{Env, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::error::ProviderError;
use crate::wiped::Wiped;

/// Largest file that is read.
const LIMIT: u64 = 8 * 1024 * 1024;

/// The files in the order in which they count.
#[derive(Default)]
pub(super) struct Kubeconfig {
    files: Vec<(PathBuf, Document)>,
}

/// An entry, and the folder to which its paths are relative.
pub(super) struct Found<'a, T> {
    pub(super) entry: &'a T,
    folder: &'a Path,
}

impl<T> Found<'_, T> {
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.folder.join(text)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    current_context: Option<String>,
    clusters: Option<Vec<NamedCluster>>,
    contexts: Option<Vec<NamedContext>>,
    users: Option<Vec<NamedUser>>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Option<Cluster>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Option<Context>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: Option<User>,
}

/// Where a cluster is.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Cluster {
    #[serde(default)]
    pub(super) server: String,
    pub(super) tls_server_name: Option<String>,
    #[serde(default)]
    pub(super) insecure_skip_tls_verify: bool,
    pub(super) certificate_authority: Option<String>,
    pub(super) certificate_authority_data: Option<String>,
    pub(super) proxy_url: Option<String>,
}

/// A cluster and a user.
#[derive(Deserialize)]
pub(super) struct Context {
    #[serde(default)]
    pub(super) cluster: String,
    #[serde(default)]
    pub(super) user: String,
    pub(super) namespace: Option<String>,
}

/// Who somebody is.
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub(super) struct User {
    pub(super) client_certificate: Option<String>,
    pub(super) client_certificate_data: Option<String>,
    pub(super) client_key: Option<String>,
    pub(super) client_key_data: Option<Wiped>,
    pub(super) token: Option<Wiped>,
    #[serde(rename = "tokenFile")]
    pub(super) token_file: Option<String>,
    pub(super) exec: Option<Exec>,
    // What fnox does not do, and must not leave out silently.
    pub(super) username: Option<IgnoredAny>,
    pub(super) auth_provider: Option<IgnoredAny>,
    #[serde(rename = "as")]
    pub(super) acts_as: Option<IgnoredAny>,
    pub(super) as_uid: Option<IgnoredAny>,
    pub(super) as_groups: Option<IgnoredAny>,
    pub(super) as_user_extra: Option<IgnoredAny>,
}

/// A program that logs in ("Kubernetes authentication: client-go credential plugins").
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Exec {
    #[serde(default)]
    pub(super) command: String,
    pub(super) args: Option<Vec<String>>,
    pub(super) env: Option<Vec<ExecVariable>>,
    #[serde(default)]
    pub(super) api_version: String,
    pub(super) install_hint: Option<String>,
    #[serde(default)]
    pub(super) provide_cluster_info: bool,
    pub(super) interactive_mode: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ExecVariable {
    pub(super) name: String,
    pub(super) value: Wiped,
}

impl Kubeconfig {
    /// The files that count: `explicit` alone, else those in `KUBECONFIG`, else `~/.kube/config`. None of the last ones need
    /// be there; then it is empty.
    ///
    /// # Errors
    /// [`ProviderError`] for a file that is none, and for an explicit one that is not there.
    pub(super) fn read(
        explicit: Option<&Path>,
        env: &Env,
        home: Option<&Path>,
    ) -> Result<Self, ProviderError> {
        if let Some(path) = explicit {
            let document = read(path)?.ok_or_else(|| {
                ProviderError::misconfigured(format!("there is no {}", path.display()))
                    .at_key("kubeconfig")
            })?;
            return Ok(Self {
                files: vec![(path.to_owned(), document)],
            });
        }
        let mut files = Vec::new();
        for path in paths(env, home) {
            if let Some(document) = read(&path)? {
                files.push((path, document));
            }
        }
        Ok(Self { files })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn current_context(&self) -> Option<&str> {
        self.files
            .iter()
            .filter_map(|(_, document)| document.current_context.as_deref())
            .find(|name| !name.is_empty())
    }

    pub(super) fn context(&self, name: &str) -> Option<Found<'_, Context>> {
        self.first(|document| {
            let mut entries = document.contexts.iter().flatten();
            entries.find(|entry| entry.name == name)?.context.as_ref()
        })
    }

    pub(super) fn cluster(&self, name: &str) -> Option<Found<'_, Cluster>> {
        self.first(|document| {
            let mut entries = document.clusters.iter().flatten();
            entries.find(|entry| entry.name == name)?.cluster.as_ref()
        })
    }

    pub(super) fn user(&self, name: &str) -> Option<Found<'_, User>> {
        self.first(|document| {
            let mut entries = document.users.iter().flatten();
            entries.find(|entry| entry.name == name)?.user.as_ref()
        })
    }

    /// The files, for messages.
    pub(super) fn names(&self) -> String {
        let names = self
            .files
            .iter()
            .map(|(path, _)| path.display().to_string());
        names.collect::<Vec<String>>().join(", ")
    }

    fn first<'a, T>(
        &'a self,
        find: impl Fn(&'a Document) -> Option<&'a T>,
    ) -> Option<Found<'a, T>> {
        self.files.iter().find_map(|(path, document)| {
            Some(Found {
                entry: find(document)?,
                folder: path.parent().unwrap_or(Path::new(".")),
            })
        })
    }
}

fn paths(env: &Env, home: Option<&Path>) -> Vec<PathBuf> {
    match env.var("KUBECONFIG") {
        Some(list) => std::env::split_paths(list)
            .filter(|path| !path.as_os_str().is_empty())
            .collect(),
        None => home
            .map(|home| home.join(".kube/config"))
            .into_iter()
            .collect(),
    }
}

/// `None` if there is no such file.
fn read(path: &Path) -> Result<Option<Document>, ProviderError> {
    use std::io::Read as _;
    let unusable = |reason: &str| {
        ProviderError::authentication(format!(
            "the kubeconfig {} cannot be used: {reason}",
            path.display()
        ))
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(&error.to_string())),
    };
    let mut text = Zeroizing::new(String::new());
    file.take(LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| unusable(&error.to_string()))?;
    // The parser's message may quote the file, which may hold a token.
    serde_saphyr::from_str(&text).map(Some).map_err(|error| {
        let place = error.location().map_or_else(String::new, |place| {
            format!(", at line {}, column {}", place.line(), place.column())
        });
        unusable(&format!("it is no kubeconfig in YAML{place}"))
    })
}

/// The text of an inline value, which is base64 of it.
pub(super) fn decoded(key: &str, data: &str) -> Result<SecretString, ProviderError> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(data.trim())
        .map(Zeroizing::new)
        .map_err(|_| {
            ProviderError::authentication(format!("`{key}` of the kubeconfig is not base64"))
        })?;
    std::str::from_utf8(&bytes)
        .map(SecretString::from)
        .map_err(|_| ProviderError::authentication(format!("`{key}` of the kubeconfig is not PEM")))
}

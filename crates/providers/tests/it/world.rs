//! A folder, an environment and a configuration in which a provider is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fnox_config::{Config, Folders, Loader};
use fnox_core::prompt::{NoPrompt, Prompt};
use fnox_core::{Env, SecretName, SecretString};
use fnox_providers::resolve::Options;
use fnox_providers::{
    Accounts, Context, NoAccounts, ProjectContext, Provider, ProviderError, Registry, Request,
    Settings,
};
use fnox_testkit::watched::{watch, watch_variable};

pub(crate) struct World {
    folder: tempfile::TempDir,
    variables: BTreeMap<String, String>,
    pub(crate) prompt: Arc<dyn Prompt>,
    pub(crate) accounts: Arc<dyn Accounts>,
    pub(crate) time_limit: Duration,
    pub(crate) profile: String,
    /// What a team server knows the project by.
    pub(crate) project: Option<ProjectContext>,
}

impl World {
    /// An empty home, and only `bin` of it and the system's programs on PATH.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("w").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        let path = format!("{}/bin:/usr/bin:/bin", folder.path().display());
        let home = folder.path().display().to_string();
        Self {
            folder,
            variables: [("PATH".to_owned(), path), ("HOME".to_owned(), home)].into(),
            prompt: Arc::new(NoPrompt),
            accounts: Arc::new(NoAccounts),
            time_limit: Duration::from_secs(20),
            profile: "default".to_owned(),
            project: None,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A shell script on PATH.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let path = self.write(&format!("bin/{name}"), format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn env(&self) -> Env {
        for (name, value) in &self.variables {
            watch_variable(name, value);
        }
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    pub(crate) fn context(&self) -> Context {
        let env = self.env();
        let mut context = Context::new(
            env.clone(),
            Folders::from_env(&env),
            Arc::clone(&self.prompt),
        );
        context.accounts = Arc::clone(&self.accounts);
        context.time_limit = self.time_limit;
        context.profile = self.profile.clone();
        context.project.clone_from(&self.project);
        context
    }

    /// This configuration, in the folder.
    pub(crate) fn config(&self, text: &str) -> Config {
        self.write("fnox.toml", text);
        let env = self.env();
        Loader {
            env: &env,
            folders: &Folders::from_env(&env),
            cwd: self.folder.path(),
            explicit: None,
            profiles: Vec::new(),
            may_create: None,
            no_defaults: false,
        }
        .load()
        .unwrap()
    }

    /// How values are resolved here; whoever is at the terminal is not asked to log in.
    pub(crate) fn options(&self) -> Options {
        let env = self.env();
        Options {
            folders: Folders::from_env(&env),
            env,
            prompt: Arc::clone(&self.prompt),
            accounts: Arc::clone(&self.accounts),
            answers: Arc::default(),
            if_missing: None,
            prompt_auth: false,
            time_limit: self.time_limit,
            failures_are_final: false,
            offline: false,
            required: BTreeSet::new(),
            kept: None,
            uses: None,
        }
    }

    /// The settings of a provider written as the keys of its table.
    pub(crate) fn settings(&self, keys: &str) -> Settings {
        let config = self.config(&format!("[providers.p]\n{keys}\n"));
        let folders = Folders::from_env(&self.env());
        let provider = config.provider("p", None).unwrap().clone();
        let render = |text: &str| Ok(text.to_owned());
        Settings::new(provider, &BTreeMap::new(), &folders, render).unwrap()
    }

    pub(crate) fn try_open(&self, keys: &str) -> Result<Box<dyn Provider>, ProviderError> {
        Registry.open(&self.settings(keys), &self.context())
    }

    pub(crate) fn open(&self, keys: &str) -> Box<dyn Provider> {
        self.try_open(keys).unwrap()
    }

    /// Every file below the folder with its content, to see whether something changed.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn walk(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    walk(&entry.path(), files);
                } else if kind.is_file() {
                    files.insert(entry.path(), std::fs::read(entry.path()).unwrap());
                }
            }
        }
        let mut files = BTreeMap::new();
        walk(self.folder.path(), &mut files);
        files
    }

    /// The same of one folder in it, as text.
    pub(crate) fn snapshot_of(&self, name: &str) -> Vec<u8> {
        let mut files = self.snapshot();
        files.retain(|path, _| path.starts_with(self.path(name)));
        format!("{files:?}").into_bytes()
    }
}

/// A request of a secret named `A`.
pub(crate) fn request(reference: &str) -> Request {
    named("A", reference)
}

pub(crate) fn named(name: &str, reference: &str) -> Request {
    Request {
        name: SecretName::parse(name).unwrap(),
        reference: reference.to_owned(),
    }
}

pub(crate) fn pair(name: &str, value: &str) -> (SecretName, SecretString) {
    watch(value);
    (SecretName::parse(name).unwrap(), SecretString::from(value))
}

pub(crate) async fn read(
    provider: &dyn Provider,
    reference: &str,
) -> Result<String, ProviderError> {
    let mut answers = provider.get_many(&[request(reference)]).await;
    assert_eq!(answers.len(), 1);
    let answer = answers.pop().unwrap();
    answer.map(|value| {
        watch(value.expose_secret());
        value.expose_secret().to_owned()
    })
}

/// Somebody who always gives the same answer, says yes, and is counted.
#[derive(Debug)]
pub(crate) struct Person {
    answer: String,
    pub(crate) asked: AtomicUsize,
    agreed: Mutex<Vec<String>>,
    told: Mutex<Vec<String>>,
}

impl Person {
    pub(crate) fn answering(answer: &str) -> Arc<Self> {
        Arc::new(Self {
            answer: answer.to_owned(),
            asked: AtomicUsize::new(0),
            agreed: Mutex::default(),
            told: Mutex::default(),
        })
    }

    pub(crate) fn times(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// What they said yes to.
    pub(crate) fn questions(&self) -> Vec<String> {
        self.agreed.lock().unwrap().clone()
    }

    /// What they were told.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

impl Prompt for Person {
    fn message(&self, message: &str) {
        self.told.lock().unwrap().push(message.to_owned());
    }

    fn confirm(&self, question: &str, _: &str, _: Option<&str>) -> Option<bool> {
        self.agreed.lock().unwrap().push(question.to_owned());
        Some(true)
    }

    fn text(&self, _: &str) -> Option<String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Some(self.answer.clone())
    }

    fn secret(&self, _: &str) -> Option<SecretString> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Some(SecretString::from(self.answer.as_str()))
    }

    fn is_interactive(&self) -> bool {
        true
    }
}

/// Runs a program to its end and returns what it printed.
pub(crate) fn output(command: &mut std::process::Command, input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

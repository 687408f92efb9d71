//! A project with leases, in folders of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fnox_config::{Config, Folders, Loader};
use fnox_core::prompt::{NoPrompt, Prompt};
use fnox_core::{Clock, Env, ExitStatus, LeaseName, SecretName, SecretString, SystemClock};
use fnox_leases::{
    Acquire, Acquired, Held, LeaseError, Manager, ManagerOptions, MasterError, MasterSource, Skip,
    TimeLimits,
};
use fnox_testkit::stand_in::Sts;
use fnox_testkit::stand_in::sts::Account;
use fnox_testkit::{FakeClock, watched};

/// What a test project is made of.
pub(crate) struct Project {
    _folder: Option<tempfile::TempDir>,
    pub(crate) root: PathBuf,
    pub(crate) config: Config,
    pub(crate) folders: Folders,
    pub(crate) env: Env,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) prompt: Arc<dyn Prompt>,
    pub(crate) masters: Masters,
    pub(crate) limits: TimeLimits,
}

impl Project {
    pub(crate) fn new(toml: &str) -> Self {
        Self::with_env(toml, &[])
    }

    pub(crate) fn with_env(toml: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("project")).unwrap();
        std::fs::write(root.join("project/fnox.toml"), toml).unwrap();
        Self {
            _folder: Some(folder),
            ..Self::at(&root, variables)
        }
    }

    /// The project that another process made.
    pub(crate) fn at(root: &Path, variables: &[(&str, &str)]) -> Self {
        let env = env_in(root, variables);
        let folders = Folders::from_env(&env);
        Self {
            _folder: None,
            config: load(root, &env, &folders, &[]),
            root: root.to_owned(),
            folders,
            env,
            clock: Arc::new(FakeClock::at(&SystemClock.now().to_string())),
            prompt: Arc::new(NoPrompt),
            masters: Masters::default(),
            limits: TimeLimits {
                lease_lock: Duration::from_mins(1),
                ..TimeLimits::default()
            },
        }
    }

    /// The same project, ledger and all, after an edit of its file.
    pub(crate) fn edit(&mut self, toml: &str) {
        std::fs::write(self.root.join("project/fnox.toml"), toml).unwrap();
        self.config = load(&self.root, &self.env, &self.folders, &[]);
    }

    pub(crate) fn select(&mut self, profiles: &[&str]) {
        self.config = load(&self.root, &self.env, &self.folders, profiles);
    }

    pub(crate) fn set(&mut self, variables: &[(&str, &str)]) {
        self.env = env_in(&self.root, variables);
    }

    pub(crate) fn manager(&self) -> Manager<'_> {
        Manager::new(self.options())
    }

    pub(crate) fn options(&self) -> ManagerOptions<'_> {
        ManagerOptions {
            config: &self.config,
            folders: &self.folders,
            env: &self.env,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            prompt: Arc::clone(&self.prompt),
            masters: &self.masters,
            command_name: "fnox exec",
            limits: self.limits,
        }
    }

    /// What `exec` does.
    pub(crate) async fn exec(&self, lease: &str) -> Result<Acquired, LeaseError> {
        let name: LeaseName = lease.parse().unwrap();
        self.manager()
            .acquire(&name, Acquire::for_exec(&name))
            .await
    }

    /// What `lease create` does.
    pub(crate) async fn create(
        &self,
        lease: &str,
        change: impl FnOnce(&mut Acquire),
    ) -> Result<Acquired, LeaseError> {
        let name: LeaseName = lease.parse().unwrap();
        let mut request = Acquire::for_create();
        change(&mut request);
        self.manager().acquire(&name, request).await
    }

    pub(crate) fn leases_folder(&self) -> PathBuf {
        self.folders.state.join("leases")
    }
}

fn env_in(root: &Path, variables: &[(&str, &str)]) -> Env {
    let process = Env::of_process();
    let mut all = vec![
        ("HOME", root.to_str().unwrap()),
        ("PATH", process.var("PATH").unwrap_or("/usr/bin:/bin")),
        // A test machine may be an instance; its role is nobody's master here.
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    all.extend_from_slice(variables);
    all.into_iter().collect()
}

fn load(root: &Path, env: &Env, folders: &Folders, profiles: &[&str]) -> Config {
    Loader {
        env,
        folders,
        cwd: &root.join("project"),
        explicit: None,
        profiles: profiles.iter().map(|name| name.parse().unwrap()).collect(),
        may_create: None,
        no_defaults: false,
    }
    .load()
    .unwrap()
}

/// Masters that a test sets, and how often they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Masters {
    pub(crate) values: Mutex<BTreeMap<String, String>>,
    pub(crate) failure: Mutex<Option<ExitStatus>>,
    pub(crate) asked: AtomicUsize,
}

impl Masters {
    pub(crate) fn set(&self, values: &[(&str, &str)]) {
        let mut map = self.values.lock().unwrap();
        for (name, value) in values {
            watched::watch_variable(name, value);
            map.insert((*name).to_owned(), (*value).to_owned());
        }
    }

    pub(crate) fn fail(&self, status: ExitStatus) {
        *self.failure.lock().unwrap() = Some(status);
    }

    pub(crate) fn times_asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl MasterSource for Masters {
    async fn resolve(
        &self,
        _: &LeaseName,
        names: &[SecretName],
        _: bool,
    ) -> Result<Vec<(SecretName, SecretString)>, MasterError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(exit_status) = *self.failure.lock().unwrap() {
            return Err(MasterError {
                exit_status,
                help: Some("unlock it".to_owned()),
                source: "the store is locked".into(),
            });
        }
        let values = self.values.lock().unwrap();
        Ok(names
            .iter()
            .filter_map(|name| {
                let value = values.get(name.as_str())?;
                Some((name.clone(), SecretString::from(value.as_str())))
            })
            .collect())
    }
}

/// A person who types these answers.
#[derive(Debug)]
pub(crate) struct Typist {
    pub(crate) answers: Mutex<Vec<&'static str>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Typist {
    pub(crate) fn typing(answers: &[&'static str]) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.iter().rev().copied().collect()),
            asked: Mutex::new(Vec::new()),
        })
    }

    fn answer(&self, question: &str) -> Option<String> {
        self.asked.lock().unwrap().push(question.to_owned());
        self.answers.lock().unwrap().pop().map(str::to_owned)
    }
}

impl Prompt for Typist {
    fn message(&self, text: &str) {
        self.asked.lock().unwrap().push(text.to_owned());
    }

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn text(&self, question: &str) -> Option<String> {
        self.answer(question)
    }

    fn secret(&self, question: &str) -> Option<SecretString> {
        self.answer(&format!("[hidden] {question}"))
            .map(SecretString::from)
    }

    fn is_interactive(&self) -> bool {
        true
    }
}

/// `[leases.aws]` at a stand-in.
pub(crate) fn aws_lease(sts: &Sts, more: &str) -> String {
    format!("[leases.aws]\n{}", keys_of_lease(sts, more))
}

/// The keys of such a lease.
pub(crate) fn keys_of_lease(sts: &Sts, more: &str) -> String {
    format!(
        "type = 'aws-sts'\nregion = 'us-east-1'\nendpoint = '{}'\nrole_arn = '{}'\nduration = '1h'\n{more}\n",
        sts.url(),
        Account::DEV_ROLE
    )
}

/// The variables of a user's key pair.
pub(crate) fn keys_of(sts: &Sts, user: &str) -> [(&'static str, String); 2] {
    sts.change(|account| {
        let key = account.user(user);
        [
            ("AWS_ACCESS_KEY_ID", key.id.clone()),
            ("AWS_SECRET_ACCESS_KEY", key.secret.clone()),
        ]
    })
}

/// The same as borrowed pairs.
pub(crate) fn borrowed<'a>(pairs: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    pairs
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

pub(crate) fn minted(acquired: Acquired) -> Held {
    match acquired {
        Acquired::Minted(held) => {
            for (name, value) in &held.credential.variables {
                watched::watch_variable(name.as_str(), value.expose_secret());
            }
            held
        }
        other => panic!("not minted: {other:?}"),
    }
}

pub(crate) fn cached(acquired: Acquired) -> Held {
    match acquired {
        Acquired::Cached(held) => held,
        other => panic!("not cached: {other:?}"),
    }
}

pub(crate) fn skipped(acquired: Acquired) -> Skip {
    match acquired {
        Acquired::Skipped(skip) => skip,
        other => panic!("not skipped: {other:?}"),
    }
}

/// A Python interpreter that a variable names, with the packages of a test; it talks to this machine alone.
pub(crate) fn python(variable: &str) -> std::process::Command {
    let env = Env::of_process();
    let path = env
        .var(variable)
        .expect("a variable that names an interpreter");
    let mut command = std::process::Command::new(path);
    command.env("no_proxy", "*");
    command
}

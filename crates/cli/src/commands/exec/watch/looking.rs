//! Looks at what a running program was given: has any of it changed?

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fnox_config::spec::Kind;
use fnox_config::{Config, ConfigError};
use fnox_core::ProfileName;
use fnox_core::prompt::NoPrompt;
use fnox_providers::resolve::{Options, Resolver};

use super::super::gathering::{Digests, Gathering, Scope, digests};
use super::super::{check_selection, leases};
use super::{DEBOUNCE, PAUSE};
use crate::app::App;
use crate::args::WatchArgs;
use crate::commands::selection::Selection;
use crate::environment;
use crate::error::CliError;
use crate::output::Printer;
use crate::shell::watch as files;

/// Largest file of identities that is read.
const LARGEST: u64 = 1024 * 1024;

/// What came of a look.
pub(super) enum Looked {
    Same,
    /// What changed, as the beginning of a sentence.
    Changed(String),
    /// Why there is nothing new that could be used.
    Broken(CliError),
}

/// One running program's looker.
pub(super) struct Looker<'a> {
    app: &'a App,
    args: &'a WatchArgs,
    /// The same without a word to anybody, and without anybody to ask: the terminal is the program's.
    quiet: App,
    profiles: Vec<ProfileName>,
    /// Files that count besides those that are found by name.
    others: BTreeSet<PathBuf>,
    /// The configuration that the program was made from.
    configuration: blake3::Hash,
    /// The values that it was given.
    values: Digests,
}

impl<'a> Looker<'a> {
    /// A looker that knows of no program yet.
    pub(super) fn new(app: &'a App, args: &'a WatchArgs) -> Self {
        let quiet = app.for_helper(None);
        Self {
            app,
            args,
            profiles: quiet.loader().profiles,
            quiet,
            others: BTreeSet::new(),
            configuration: blake3::hash(b""),
            values: Digests::new(),
        }
    }

    /// Notes what a program is given.
    pub(super) fn begin(&mut self, config: &Config, values: Digests) {
        self.note_files(config);
        self.configuration = self.digest(config);
        self.values = values;
    }

    pub(super) fn printer(&self) -> Printer {
        self.app.printer
    }

    pub(super) fn interval(&self) -> Duration {
        self.args.interval.as_duration()
    }

    /// Tells the files' present state from any other, without reading them.
    pub(super) fn stamp(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let candidates = files::candidates(&self.quiet, &self.profiles);
        for path in candidates.iter().chain(&self.others) {
            files::stamp(path, &mut hasher);
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Waits until the files stay as they are.
    pub(super) async fn settle(&self) -> String {
        let mut stamp = self.stamp();
        let mut since = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(PAUSE / 5).await;
            let now = self.stamp();
            if now != stamp {
                stamp = now;
                since = tokio::time::Instant::now();
            } else if since.elapsed() >= DEBOUNCE {
                return stamp;
            }
        }
    }

    /// Whether there is anything new. `values`: also where only a provider can tell.
    pub(super) async fn look(&mut self, values: bool) -> Looked {
        let config = match self.quiet.load() {
            Ok(config) => config,
            Err(error) => {
                self.note_fault(&error);
                return Looked::Broken(error);
            }
        };
        self.note_files(&config);
        let is_new = self.digest(&config) != self.configuration;
        if !is_new && !values {
            return Looked::Same;
        }
        match self.resolve(&config).await {
            Err(error) => Looked::Broken(error),
            Ok(_) if is_new => Looked::Changed("the configuration changed".to_owned()),
            Ok(found) => self.compare(&found),
        }
    }

    /// The values as they are now.
    async fn resolve(&self, config: &Config) -> Result<Digests, CliError> {
        let args = &self.args.common;
        let selection = Selection::new(&args.only, &args.except)?;
        let leases = leases::chosen(&self.quiet, config, &selection, args)?;
        check_selection(config, &selection, &leases)?;
        let options = Options {
            prompt: Arc::new(NoPrompt),
            prompt_auth: false,
            offline: args.offline,
            failures_are_final: true,
            // Nobody gets what is only looked at.
            uses: None,
            ..self.quiet.resolver_options(config)
        };
        let resolver = Resolver::new(config, options);
        let gathering = Gathering {
            app: &self.quiet,
            config,
            selection: &selection,
            leases: &[],
            resolver: &resolver,
            scope: Scope::Watch,
            require_leases: false,
            keep: &[],
        };
        let answer = gathering.resolve(&BTreeSet::new()).await?;
        let mut found = digests(&answer.values, &answer.missing);
        // An outage is no change, although there is a default for it.
        for name in &answer.unavailable {
            found.remove(name.as_str());
        }
        Ok(found)
    }

    /// A secret that the program was not given at all is a lease's master.
    fn compare(&self, found: &Digests) -> Looked {
        let is_other = |name: &&String| {
            let before = self.values.get(name.as_str());
            before.is_some() && before != found.get(name.as_str())
        };
        let names: Vec<&str> = found.keys().filter(is_other).map(String::as_str).collect();
        if names.is_empty() {
            Looked::Same
        } else {
            Looked::Changed(format!("{} changed", names.join(", ")))
        }
    }

    /// Everything on which the configuration's meaning depends: its files as they were read, and identities.
    fn digest(&self, config: &Config) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for file in &config.files {
            part(file.path.as_os_str().as_encoded_bytes());
            part(file.text.as_bytes());
        }
        for path in self.identities(config) {
            part(path.as_os_str().as_encoded_bytes());
            part(blake3::hash(&content(&path)).as_bytes());
        }
        hasher.finalize()
    }

    /// Every file in which age identities may stand.
    fn identities(&self, config: &Config) -> BTreeSet<PathBuf> {
        let folder = &self.app.folders.config;
        let mut out: BTreeSet<PathBuf> =
            [folder.join("age.txt"), folder.join("age/identities.txt")].into();
        let named = self.app.env.var(environment::AGE_KEY_FILE);
        out.extend(named.map(|path| self.app.cwd.join(path)));
        out.extend(config.settings.age_identities_file.clone());
        out.extend(self.paths_of_providers(config, |kind| kind == "age"));
        out
    }

    /// The files that providers name.
    fn paths_of_providers(&self, config: &Config, of: impl Fn(&str) -> bool) -> BTreeSet<PathBuf> {
        let mut out = BTreeSet::new();
        let home = self.app.folders.home();
        for provider in config.providers.values().filter(|one| of(one.spec.name)) {
            let is_path = |kind| matches!(kind, Kind::Path(_) | Kind::ReferencePath(_));
            let fields = provider
                .spec
                .fields
                .iter()
                .filter(|field| is_path(field.kind));
            out.extend(fields.filter_map(|field| provider.fields.path(field.name, home)));
        }
        out
    }

    fn note_files(&mut self, config: &Config) {
        self.profiles.clone_from(&config.profiles);
        self.others = files::imports(config).into_iter().collect();
        self.others.extend(self.identities(config));
        self.others
            .extend(self.paths_of_providers(config, |_| true));
    }

    /// A configuration that cannot be read is read again once the file at fault has changed.
    fn note_fault(&mut self, error: &CliError) {
        let CliError::Config(error) = error else {
            return;
        };
        let at = error.location().map(|place| place.file.path.clone());
        self.others.extend(at);
        if let ConfigError::MissingImport { path, .. } = error {
            self.others.insert(path.clone());
        }
    }
}

/// What stands in a file, if it is one and not too large.
fn content(path: &Path) -> Vec<u8> {
    let is_readable = path
        .metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST);
    if is_readable {
        std::fs::read(path).unwrap_or_default()
    } else {
        Vec::new()
    }
}

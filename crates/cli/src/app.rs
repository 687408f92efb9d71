//! Settings: the command line and the environment, put together once.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fnox_config::{Config, FileKind, Folders, IfMissing, Loader, discover};
use fnox_core::prompt::{NoPrompt, Prompt};
use fnox_core::{Env, Lifetime, ProfileName, SystemClock};
use fnox_leases::{CloudAccounts, TimeLimits};
use fnox_providers::hardware::Answers;
use fnox_providers::resolve::{Notice, Options, Resolver};

use crate::args::GlobalArgs;
use crate::daemon;
use crate::environment;
use crate::error::CliError;
use crate::output::Printer;
use crate::team::run::Asking;
use crate::terminal::TerminalPrompt;

/// Everything that a command may use of the world around it.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) env: Env,
    pub(crate) folders: Folders,
    pub(crate) cwd: PathBuf,
    pub(crate) printer: Printer,
    pub(crate) prompt: Arc<dyn Prompt>,
    pub(crate) clock: SystemClock,
    pub(crate) if_missing: Option<IfMissing>,
    pub(crate) no_defaults: bool,
    pub(crate) no_daemon: bool,
    /// What hardware keys answered, in commands that open a provider more than once.
    answers: Option<Arc<Answers>>,
    /// The command that runs, for the record of uses.
    pub(crate) command: &'static str,
    config_argument: PathBuf,
    /// What of the command line decides which secrets there are; see [`GlobalArgs::choice`].
    pub(crate) choice: Vec<String>,
    /// The first word of the command line: how fnox was called.
    pub(crate) invoked: OsString,
    profiles: Vec<ProfileName>,
    names_profile: bool,
    write_profile: Option<ProfileName>,
}

impl App {
    pub(crate) fn new(global: &GlobalArgs, env: Env) -> Result<Self, CliError> {
        let printer = Printer::new(
            global.quiet,
            global.no_color || crate::output::colours_unwanted(&env),
        );
        let cwd = std::env::current_dir().map_err(|source| CliError::File {
            action: "find",
            path: PathBuf::from("."),
            source,
        })?;
        // A file given on the command line is one more place where age looks, as the variable is.
        let env = match &global.age_key_file {
            Some(path) => {
                let path = cwd.join(path).to_string_lossy().into_owned();
                env.with_overlay([(environment::AGE_KEY_FILE.to_owned(), path.into())])
            }
            None => env,
        };
        let quiet_prompt =
            global.non_interactive || env.switch(environment::NON_INTERACTIVE) == Some(true);
        let prompt: Arc<dyn Prompt> = if quiet_prompt {
            Arc::new(NoPrompt)
        } else {
            TerminalPrompt::if_terminal()
        };
        for name in [environment::IF_MISSING, environment::IF_MISSING_DEFAULT] {
            if let Some(word) = env.var(name).filter(|word| !word.is_empty()) {
                action(&format!("{name}="), word, printer);
            }
        }
        let no_defaults = global.no_defaults || env.switch(environment::NO_DEFAULTS) == Some(true);
        Ok(Self {
            folders: Folders::from_env(&env),
            if_missing: global
                .if_missing
                .as_deref()
                .map(|word| action("--if-missing ", word, printer)),
            profiles: profiles(global, &env, printer)?,
            names_profile: !global.profile.is_empty() || global.write_profile.is_some(),
            write_profile: global.write_profile.as_deref().map(profile).transpose()?,
            command: "fnox",
            config_argument: global.config.clone(),
            choice: global.choice(&cwd),
            invoked: std::env::args_os().next().unwrap_or_default(),
            clock: SystemClock,
            no_defaults,
            no_daemon: global.no_daemon,
            answers: None,
            printer,
            prompt,
            env,
            cwd,
        })
    }

    /// The same for a command of this name.
    pub(crate) fn running(self, command: &'static str) -> Self {
        Self { command, ..self }
    }

    /// The same for a command that reads values and writes them anew, perhaps for several profiles: a hardware key is
    /// touched once for all of it. Not for what runs on, which would keep its answer for as long.
    pub(crate) fn with_one_touch(&self) -> Self {
        Self {
            answers: Some(Arc::default()),
            ..self.clone()
        }
    }

    /// For a command that means something else by `-c`: its argument if that is a bare word, which names no file, and
    /// the same without it.
    pub(crate) fn without_config_word(&self) -> (Option<String>, Self) {
        let word = self.config_argument.to_str();
        let word = word.filter(|word| !word.contains(['/', '.']));
        let mut app = self.clone();
        if word.is_some() {
            app.config_argument = PathBuf::from("fnox.toml");
        }
        (word.map(str::to_owned), app)
    }

    /// For a program that calls fnox and cannot be asked, as if started in `folder`, if one is given.
    pub(crate) fn for_helper(&self, folder: Option<&Path>) -> Self {
        Self {
            prompt: Arc::new(NoPrompt),
            printer: self.printer.silent(),
            ..self.in_folder(folder)
        }
    }

    /// The same with these variables, for a program that cannot be asked.
    pub(crate) fn with_env(&self, env: Env) -> Self {
        Self {
            env,
            prompt: Arc::new(NoPrompt),
            ..self.clone()
        }
    }

    /// As if started in `folder`, if one is given.
    pub(crate) fn in_folder(&self, folder: Option<&Path>) -> Self {
        let mut app = self.clone();
        if let Some(folder) = folder {
            app.cwd.push(folder);
        }
        app
    }

    /// The loader for the configuration that this command line means.
    pub(crate) fn loader(&self) -> Loader<'_> {
        Loader {
            env: &self.env,
            folders: &self.folders,
            cwd: &self.cwd,
            explicit: self.explicit_file(),
            profiles: self.profiles.clone(),
            may_create: None,
            no_defaults: self.no_defaults,
        }
    }

    /// The configuration for reading.
    pub(crate) fn load(&self) -> Result<Config, CliError> {
        let config = self.loader().load()?;
        for file in &config.files {
            tracing::debug!("using {}", file.path.display());
        }
        Ok(config)
    }

    /// The configuration for a command that writes to a profile, which it may create. The profile is
    /// loaded even if `--write-profile` names one that is not among the active ones.
    pub(crate) fn load_for_writing(&self) -> Result<(Config, Option<ProfileName>), CliError> {
        let (loader, target) = self.writing_loader()?;
        Ok((loader.load()?, target))
    }

    /// The same for a command that makes the file of `--config` if it is not there. Until then the global file is all
    /// there is.
    pub(crate) fn load_for_adding(&self) -> Result<(Config, Option<ProfileName>), CliError> {
        let (loader, target) = self.writing_loader()?;
        let explicit = loader.explicit.as_deref();
        let is_new = explicit.is_some_and(|path| matches!(path.try_exists(), Ok(false)));
        let config = if is_new {
            loader.load_global()?
        } else {
            loader.load()?
        };
        Ok((config, target))
    }

    fn writing_loader(&self) -> Result<(Loader<'_>, Option<ProfileName>), CliError> {
        let target = self.write_target()?;
        let mut loader = self.loader();
        loader.may_create.clone_from(&target);
        if self.write_profile.is_some() {
            loader.profiles = target.iter().cloned().collect();
        }
        Ok((loader, target))
    }

    /// The configuration with one profile, which need not exist yet, or with none.
    pub(crate) fn load_with(&self, profile: Option<&ProfileName>) -> Result<Config, CliError> {
        let app = self.for_profile(profile);
        let mut loader = app.loader();
        loader.may_create = profile.cloned();
        Ok(loader.load()?)
    }

    /// The profile that is written to; `None` means the base.
    pub(crate) fn write_target(&self) -> Result<Option<ProfileName>, CliError> {
        let is_named = |profile: &&ProfileName| profile.as_str() != "default";
        if let Some(profile) = &self.write_profile {
            return Ok(Some(profile).filter(is_named).cloned());
        }
        let named: Vec<&ProfileName> = self.profiles.iter().filter(is_named).collect();
        match named.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some((*one).clone())),
            several => Err(fnox_config::ConfigError::AmbiguousProfile {
                active: several.iter().map(ToString::to_string).collect(),
            }
            .into()),
        }
    }

    /// The same for providers: a profile counts only if the command line names it, because a provider is
    /// rarely meant for just the profile that a shell happens to have active.
    pub(crate) fn write_target_for_provider(&self) -> Result<Option<ProfileName>, CliError> {
        if self.names_profile {
            self.write_target()
        } else {
            Ok(None)
        }
    }

    /// The file named by `--config`, if it names one outright.
    pub(crate) fn explicit_file(&self) -> Option<PathBuf> {
        discover::explicit_path(&self.config_argument, &self.cwd)
    }

    /// The file that a writing command edits, and what kind it is.
    ///
    /// The global file with `--global`; the file of `--config`; otherwise one of the working folder, never
    /// of a folder above it: the profile's own file, a project file, or, without a profile, a local file.
    /// Where there is none, `fnox.toml` will be made.
    pub(crate) fn file_to_write(
        &self,
        global: bool,
        profile: Option<&ProfileName>,
    ) -> (PathBuf, FileKind) {
        if global {
            return (self.folders.global_file(), FileKind::Global);
        }
        if let Some(path) = self.explicit_file() {
            return (path, FileKind::Explicit);
        }
        let own = profile.into_iter().flat_map(|profile| {
            let kind = FileKind::Profile(profile.clone());
            discover::profile_files(profile)
                .into_iter()
                .map(move |name| (name, kind.clone()))
        });
        let project = discover::PROJECT_FILES
            .iter()
            .map(|name| ((*name).to_owned(), FileKind::Project));
        let local = discover::LOCAL_FILES
            .iter()
            .map(|name| ((*name).to_owned(), FileKind::Local));
        own.chain(project)
            .chain(local.filter(|_| profile.is_none()))
            .map(|(name, kind)| (self.cwd.join(name), kind))
            .find(|(path, _)| path.is_file())
            .unwrap_or_else(|| (self.cwd.join("fnox.toml"), FileKind::Project))
    }

    /// A resolver for a configuration, with this command line's settings. Whoever watches is told if a person is asked;
    /// [`Reading`](crate::team::reading::Reading) also names the keys, and takes the request back.
    pub(crate) fn resolver<'a>(&self, config: &'a Config) -> Resolver<'a> {
        self.telling(Resolver::new(config, self.resolver_options(config)))
    }

    /// The same for commands that only read; see [`Self::reading_options`].
    pub(crate) fn reading_resolver<'a>(
        &self,
        config: &'a Config,
    ) -> Result<Resolver<'a>, CliError> {
        let options = self.reading_options(config, &[])?;
        Ok(self.telling(Resolver::new(config, options)))
    }

    fn telling<'a>(&self, resolver: Resolver<'a>) -> Resolver<'a> {
        resolver.for_run(Asking::to_read(self, []).request())
    }

    pub(crate) fn resolver_options(&self, config: &Config) -> Options {
        let prompt_auth = self
            .env
            .switch(environment::PROMPT_AUTH)
            .or(config.settings.prompt_auth)
            .unwrap_or(true);
        Options {
            env: self.env.clone(),
            folders: self.folders.clone(),
            prompt: Arc::clone(&self.prompt),
            accounts: Arc::new(CloudAccounts::default()),
            answers: self.answers.clone().unwrap_or_default(),
            if_missing: self.if_missing,
            prompt_auth,
            time_limit: self.provider_time_limit(),
            failures_are_final: false,
            offline: false,
            required: std::collections::BTreeSet::new(),
            kept: None,
            uses: crate::audit::recorder(self, config),
        }
    }

    /// The same for commands that only read: what the daemon keeps is used, and what is new is kept there. `fresh` names
    /// secrets that are fetched anew.
    pub(crate) fn reading_options(
        &self,
        config: &Config,
        fresh: &[String],
    ) -> Result<Options, CliError> {
        let fresh = fresh
            .iter()
            .map(|name| Ok(config.secret(name)?.name.clone()))
            .collect::<Result<_, CliError>>()?;
        Ok(Options {
            kept: daemon::kept_values(self, config, fresh),
            ..self.resolver_options(config)
        })
    }

    /// Time limit of one call of a provider.
    pub(crate) fn provider_time_limit(&self) -> Duration {
        self.time_limit(environment::PROVIDER_TIMEOUT)
            .unwrap_or(Duration::from_mins(1))
    }

    /// The same with one profile, or with none.
    pub(crate) fn for_profile(&self, profile: Option<&ProfileName>) -> Self {
        Self {
            profiles: profile.into_iter().cloned().collect(),
            ..self.clone()
        }
    }

    /// The same without these variables, and without anybody at the terminal: whoever waits for a server's answer is
    /// not there.
    pub(crate) fn for_server<N: AsRef<str>>(&self, hidden: &[N]) -> Self {
        Self {
            env: self.env.without(hidden),
            prompt: Arc::new(NoPrompt),
            ..self.clone()
        }
    }

    /// How long the parts of minting a lease may take.
    pub(crate) fn lease_time_limits(&self) -> TimeLimits {
        let limits = TimeLimits::default();
        let call = self.time_limit(environment::HTTP_TIMEOUT);
        TimeLimits {
            call: call.unwrap_or(limits.call),
            ..limits
        }
    }

    fn time_limit(&self, variable: &str) -> Option<Duration> {
        let text = self.env.var(variable)?;
        Lifetime::parse(text).ok().map(Lifetime::as_duration)
    }

    /// Prints what the resolver has to tell.
    pub(crate) fn tell(&self, notices: &[Notice]) {
        for notice in notices {
            self.printer.warn(&notice.message);
        }
    }
}

/// Runs asynchronous work. Made only where something is asynchronous: most of a command's time would
/// otherwise go into starting it.
pub(crate) fn block_on<F: Future>(work: F) -> Result<F::Output, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::Output)?;
    let output = runtime.block_on(work);
    // A blocking call that hangs (D-Bus, a plugin) must not keep fnox from ending.
    runtime.shutdown_background();
    Ok(output)
}

fn action(from: &str, word: &str, printer: Printer) -> IfMissing {
    IfMissing::parse(word).unwrap_or_else(|| {
        let word = word.escape_debug();
        printer.warn(&format!(
            "`{from}{word}` is not known (use error, warn or ignore); taken as warn"
        ));
        IfMissing::Warn
    })
}

fn profile(text: &str) -> Result<ProfileName, CliError> {
    ProfileName::parse(text).map_err(|error| CliError::usage(error.to_string()))
}

fn profiles(
    global: &GlobalArgs,
    env: &Env,
    printer: Printer,
) -> Result<Vec<ProfileName>, CliError> {
    if !global.profile.is_empty() {
        let names = global.profile.iter().flat_map(|list| list.split(','));
        return names
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(profile)
            .collect();
    }
    let list = env.var(environment::PROFILE).unwrap_or_default();
    let names = list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let mut out = Vec::new();
    for name in names {
        match ProfileName::parse(name) {
            Ok(name) => out.push(name),
            Err(error) => printer.warn(&format!("FNOX_PROFILE: {error}; left out")),
        }
    }
    Ok(out)
}

//! Settings of a vault: flags, then `FNOX_VAULT_*`, then `vault.toml`, then defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fnox_config::fields::resolve_path;
use fnox_config::mints::MintConfig;
use fnox_config::trust::Trust;
use fnox_config::{ConfigError, Fields, standalone};
use fnox_core::seal::Algorithm;
use fnox_vault::key_source::{InvalidKeySource, KeySourceSpec};
use fnox_vault_wire::transport::UnixOptions;

use super::place::StorePlace;
use super::spec;
use crate::app::App;
use crate::environment;
use crate::error::CliError;

/// The name of the file in fnox's config folder.
pub(crate) const FILE_NAME: &str = "vault.toml";

/// What flags say. They beat everything else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    pub store: Option<String>,
    pub key: Option<String>,
    pub policy: Option<PathBuf>,
    pub socket: Option<PathBuf>,
    pub agent_socket: Option<PathBuf>,
    pub listen: Vec<SocketAddr>,
    pub vsock: Option<u32>,
    pub vsock_host: Vec<String>,
    pub audit_stdout: bool,
}

/// Everything that a vault must know to run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where vault.toml is or would be.
    pub file: PathBuf,
    pub store: StorePlace,
    pub key: KeySourceSpec,
    pub policy: PathBuf,
    pub socket: PathBuf,
    pub socket_options: UnixOptions,
    pub agent_socket: Option<PathBuf>,
    pub agent_socket_options: UnixOptions,
    pub listen: Vec<SocketAddr>,
    pub vsock: Option<u32>,
    pub vsock_host: Vec<(PathBuf, u32)>,
    pub algorithm: Algorithm,
    pub keep_versions: u32,
    pub admin_uids: Vec<u32>,
    pub admin_gids: Vec<u32>,
    pub durable_leases: bool,
    pub max_leases_per_agent: u32,
    pub audit: AuditSettings,
    pub limits: LimitSettings,
    /// `[mint.NAME]`
    pub mints: Vec<MintConfig>,
}

/// `[audit]`
#[derive(Debug, Clone)]
pub(crate) struct AuditSettings {
    pub on: bool,
    /// The store beside one that keeps only secrets.
    pub store: PathBuf,
    pub stdout: bool,
    pub checkpoints: Option<PathBuf>,
    pub checkpoint_interval: Duration,
}

/// `[limits]`; what is absent is the server's own default.
#[derive(Debug, Clone, Default)]
pub(crate) struct LimitSettings {
    pub connections: Option<usize>,
    pub per_peer: Option<usize>,
    pub in_flight: Option<usize>,
    pub request: Option<Duration>,
    pub idle: Option<Duration>,
}

/// `vault.toml` as it was read, before anything is made of it.
#[derive(Debug)]
pub(crate) struct VaultFile {
    /// Where it is or would be.
    pub path: PathBuf,
    fields: Option<Fields>,
}

impl VaultFile {
    /// Finds and reads the file. Only one that was named must be there.
    pub(crate) fn read(app: &App, named: Option<&Path>) -> Result<Self, CliError> {
        let is_named = Self::named(app, named).is_some();
        let path = Self::place(app, named);
        if !is_named && !path.exists() {
            return Ok(Self { path, fields: None });
        }
        Self::of(app, path)
    }

    /// The same, but a file that was named need not be there yet.
    pub(crate) fn read_or_new(app: &App, named: Option<&Path>) -> Result<Self, CliError> {
        let path = Self::place(app, named);
        if path.symlink_metadata().is_err() {
            return Ok(Self { path, fields: None });
        }
        Self::of(app, path)
    }

    /// Puts everything together.
    pub(crate) fn settings(&self, app: &App, overrides: &Overrides) -> Result<Settings, CliError> {
        Reader { app, file: self }.settings(overrides)
    }

    fn place(app: &App, named: Option<&Path>) -> PathBuf {
        Self::named(app, named).unwrap_or_else(|| app.folders.config.join(FILE_NAME))
    }

    fn named(app: &App, named: Option<&Path>) -> Option<PathBuf> {
        let variable = app.env.var(environment::VAULT_CONFIG).map(Path::new);
        named.or(variable).map(|path| app.cwd.join(path))
    }

    fn of(app: &App, path: PathBuf) -> Result<Self, CliError> {
        // Who can write it chooses the vault's store and its administrators.
        let text = Trust::new(&app.folders, &app.cwd).read_checked(&path)?;
        let fields = standalone::read(&path, text, &spec::VAULT)?;
        Ok(Self {
            path,
            fields: Some(fields),
        })
    }

    /// Whether the file is there.
    pub(crate) fn exists(&self) -> bool {
        self.fields.is_some()
    }

    /// A path of the file, absolute.
    pub(crate) fn path_of(&self, app: &App, key: &str) -> Option<PathBuf> {
        let text = self.fields.as_ref()?.text(key)?;
        Some(self.resolved(app, text))
    }

    /// The variables that hold a vault's key, if this file or the environment says `env:VARIABLE`.
    pub(crate) fn key_variables(&self, app: &App) -> Vec<String> {
        let file = self.fields.as_ref().and_then(|fields| fields.text("key"));
        let sources = file.into_iter().chain(app.env.var(environment::VAULT_KEY));
        sources
            .filter_map(|source| match source.parse() {
                Ok(KeySourceSpec::Env(variable)) => Some(variable),
                _ => None,
            })
            .collect()
    }

    fn resolved(&self, app: &App, text: &str) -> PathBuf {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        resolve_path(text, folder, app.folders.home())
    }
}

impl Settings {
    /// Puts everything together.
    pub(crate) fn load(
        app: &App,
        named: Option<&Path>,
        overrides: &Overrides,
    ) -> Result<Self, CliError> {
        VaultFile::read(app, named)?.settings(app, overrides)
    }
}

/// Where the administrators' socket is if nobody says so.
pub(crate) fn default_socket(app: &App) -> PathBuf {
    app.folders.runtime.join("vault.sock")
}

struct Reader<'a> {
    app: &'a App,
    file: &'a VaultFile,
}

impl Reader<'_> {
    fn settings(&self, flags: &Overrides) -> Result<Settings, CliError> {
        let env = |name| self.app.env.var(name).map(PathBuf::from);
        let beside = |name: &str| self.file.path.with_file_name(name);
        let store = self.word(flags.store.as_deref(), environment::VAULT_STORE, "store")?;
        let key = self.word(flags.key.as_deref(), environment::VAULT_KEY, "key")?;
        let socket_variable = env(environment::VAULT_SOCKET);
        Ok(Settings {
            store: store
                .unwrap_or_else(|| StorePlace::Sqlite(self.app.folders.data.join("vault.db"))),
            key: key.unwrap_or_else(|| KeySourceSpec::File(beside("vault.key"))),
            policy: self
                .path(
                    flags.policy.clone().or(env(environment::VAULT_POLICY)),
                    "policy",
                )
                .unwrap_or_else(|| beside("policy.toml")),
            socket: self
                .path(flags.socket.clone().or(socket_variable), "socket")
                .unwrap_or_else(|| default_socket(self.app)),
            socket_options: self.unix_options("socket_mode", "socket_group")?,
            agent_socket: self.path(
                flags
                    .agent_socket
                    .clone()
                    .or(env(environment::VAULT_AGENT_SOCKET)),
                "agent_socket",
            ),
            agent_socket_options: self.unix_options("agent_socket_mode", "agent_socket_group")?,
            listen: self.list(&flags.listen, "listen", |text| {
                text.parse().map_err(|_| {
                    format!("has `{text}`, which is not ADDRESS:PORT such as 127.0.0.1:9100")
                })
            })?,
            vsock: match flags.vsock {
                Some(port) => Some(port),
                None => self.number(None, "vsock")?,
            },
            vsock_host: self.vsock_host(&flags.vsock_host)?,
            algorithm: match self.field(None, |fields| fields.text("algorithm")) {
                Some("xchacha20-poly1305") => Algorithm::XChaCha20Poly1305,
                _ => Algorithm::Aes256Gcm,
            },
            keep_versions: self.at_least_one(None, "keep_versions")?.unwrap_or(3),
            admin_uids: self.ids("uids")?,
            admin_gids: self.ids("gids")?,
            durable_leases: self.field(Some("leases"), |fields| fields.text("keep"))
                != Some("memory"),
            max_leases_per_agent: self
                .at_least_one(Some("leases"), "max_per_agent")?
                .unwrap_or(100),
            audit: self.audit(flags)?,
            limits: self.limits()?,
            mints: match &self.file.fields {
                Some(fields) => fnox_config::mints::read(fields, "mint")?,
                None => Vec::new(),
            },
            file: self.file.path.clone(),
        })
    }

    fn audit(&self, flags: &Overrides) -> Result<AuditSettings, CliError> {
        let table = Some("audit");
        let text = |key| self.field(table, |fields| fields.text(key));
        let store = match text("store") {
            None => self.app.folders.data.join("vault.db"),
            Some(text) => match text.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
                Some(path) => self.file.resolved(self.app, path),
                None => return Err(self.invalid(table, "store", "must be `sqlite:PATH`")),
            },
        };
        let interval = self.duration(table, "checkpoint_interval")?;
        Ok(AuditSettings {
            on: text("mode") != Some("off"),
            store,
            stdout: flags.audit_stdout
                || self.field(table, |fields| fields.flag("stdout")) == Some(true),
            checkpoints: text("checkpoints").map(|path| self.file.resolved(self.app, path)),
            checkpoint_interval: interval.unwrap_or(Duration::from_hours(1)),
        })
    }

    fn limits(&self) -> Result<LimitSettings, CliError> {
        let table = Some("limits");
        let count = |key| -> Result<Option<usize>, CliError> {
            let number = self.at_least_one(table, key)?;
            Ok(number.and_then(|number| usize::try_from(number).ok()))
        };
        Ok(LimitSettings {
            connections: count("connections")?,
            per_peer: count("per_peer")?,
            in_flight: count("in_flight")?,
            request: self.duration(table, "request_timeout")?,
            idle: self.duration(table, "idle_timeout")?,
        })
    }

    /// A store or a key source: relative paths in it start where the word was written.
    fn word<T>(&self, flag: Option<&str>, variable: &str, key: &str) -> Result<Option<T>, CliError>
    where
        T: Word,
    {
        let outside = flag
            .map(|text| (text, format!("--{key}")))
            .or_else(|| Some((self.app.env.var(variable)?, variable.to_owned())));
        if let Some((text, name)) = outside {
            let word =
                T::read(text).map_err(|problem| CliError::usage(format!("{name}: {problem}")))?;
            return Ok(Some(word.rooted(&|path| self.app.cwd.join(path))));
        }
        let Some(text) = self.field(None, |fields| fields.text(key)) else {
            return Ok(None);
        };
        let word = T::read(text).map_err(|problem| {
            let error = self.invalid(None, key, format!("is not acceptable: {problem}"));
            without_value(error)
        })?;
        Ok(Some(word.rooted(&|path| {
            self.file.resolved(self.app, &path.to_string_lossy())
        })))
    }

    fn path(&self, outside: Option<PathBuf>, key: &str) -> Option<PathBuf> {
        outside
            .map(|path| self.app.cwd.join(path))
            .or_else(|| self.file.path_of(self.app, key))
    }

    fn list<T: Clone>(
        &self,
        flags: &[T],
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, CliError> {
        if !flags.is_empty() {
            return Ok(flags.to_vec());
        }
        let Some(fields) = &self.file.fields else {
            return Ok(Vec::new());
        };
        let texts = fields.list(key).iter();
        texts
            .map(|text| parse(text).map_err(|reason| self.invalid(None, key, reason)))
            .collect()
    }

    fn vsock_host(&self, flags: &[String]) -> Result<Vec<(PathBuf, u32)>, CliError> {
        const EXPECTED: &str = "which is not PATH:PORT such as /run/vm1/vsock.sock:9100";
        let split = |text: &str| -> Option<(PathBuf, u32)> {
            let (path, port) = text.rsplit_once(':').filter(|(path, _)| !path.is_empty())?;
            Some((PathBuf::from(path), port.parse().ok()?))
        };
        let flags: Vec<(PathBuf, u32)> = flags
            .iter()
            .map(|text| {
                let (path, port) = split(text).ok_or_else(|| {
                    CliError::usage(format!(
                        "`--vsock-host {}`, {EXPECTED}",
                        text.escape_debug()
                    ))
                })?;
                Ok((self.app.cwd.join(path), port))
            })
            .collect::<Result<_, CliError>>()?;
        self.list(&flags, "vsock_host", |text| {
            let (path, port) = split(text).ok_or_else(|| format!("has `{text}`, {EXPECTED}"))?;
            Ok((self.file.resolved(self.app, &path.to_string_lossy()), port))
        })
    }

    fn unix_options(
        &self,
        mode: &'static str,
        group: &'static str,
    ) -> Result<UnixOptions, CliError> {
        let defaults = UnixOptions::default();
        let mode = match self.field(None, |fields| fields.text(mode)) {
            None => defaults.mode,
            Some(text) => u32::from_str_radix(text, 8)
                .ok()
                .filter(|mode| *mode <= 0o777 && mode & 0o600 == 0o600)
                .ok_or_else(|| {
                    self.invalid(
                        None,
                        mode,
                        "must be an octal mode from \"0600\" to \"0777\" that lets the owner read and write",
                    )
                })?,
        };
        Ok(UnixOptions {
            mode,
            group: self.number(None, group)?,
        })
    }

    fn ids(&self, key: &'static str) -> Result<Vec<u32>, CliError> {
        let Some(table) = self
            .file
            .fields
            .as_ref()
            .and_then(|fields| fields.table("admins"))
        else {
            return Ok(Vec::new());
        };
        let numbers = table.counts(key).iter();
        numbers
            .map(|number| {
                u32::try_from(*number).map_err(|_| {
                    self.invalid(Some("admins"), key, format!("has {number}, which is no id"))
                })
            })
            .collect()
    }

    fn number(
        &self,
        table: Option<&'static str>,
        key: &'static str,
    ) -> Result<Option<u32>, CliError> {
        let number = self.field(table, |fields| fields.count(key));
        let number = number.map(u32::try_from).transpose();
        number.map_err(|_| self.invalid(table, key, "is too large"))
    }

    fn at_least_one(
        &self,
        table: Option<&'static str>,
        key: &'static str,
    ) -> Result<Option<u32>, CliError> {
        let number = self.number(table, key)?;
        if number == Some(0) {
            return Err(self.invalid(table, key, "must be at least 1"));
        }
        Ok(number)
    }

    fn duration(
        &self,
        table: Option<&'static str>,
        key: &'static str,
    ) -> Result<Option<Duration>, CliError> {
        let lifetime = self.field(table, |fields| fields.lifetime(key));
        if lifetime.is_some_and(|lifetime| lifetime.as_secs() == 0) {
            return Err(self.invalid(table, key, "must be at least 1s"));
        }
        Ok(lifetime.map(fnox_core::Lifetime::as_duration))
    }

    /// One key of the file.
    fn field<'b, T>(
        &'b self,
        table: Option<&str>,
        read: impl FnOnce(&'b Fields) -> Option<T>,
    ) -> Option<T> {
        let fields = self.file.fields.as_ref()?;
        match table {
            None => read(fields),
            Some(table) => read(fields.table(table)?),
        }
    }

    /// The error that a key of the file is wrong.
    fn invalid(&self, table: Option<&str>, key: &str, reason: impl Into<String>) -> CliError {
        let fields = self.file.fields.as_ref();
        let fields = match table {
            None => fields,
            Some(table) => fields.and_then(|fields| fields.table(table)),
        };
        match fields {
            Some(fields) => fields.invalid(key, reason).into(),
            // invariant: only what stands in the file is called wrong.
            None => CliError::usage(format!("`{key}` {}", reason.into())),
        }
    }
}

/// The error pointing in front of the value: it may be a password, or a key in the wrong place, and what an
/// error does not point at is masked.
fn without_value(mut error: CliError) -> CliError {
    if let CliError::Config(ConfigError::InvalidValue { location, .. }) = &mut error {
        location.span.end = location.span.start;
    }
    error
}

/// A word that may hold a relative path, and in the wrong hands a secret.
pub(crate) trait Word: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it, without repeating it.
    fn read(text: &str) -> Result<Self, String>;

    /// The same with an absolute path.
    fn rooted(self, root: &dyn Fn(&Path) -> PathBuf) -> Self;
}

impl Word for KeySourceSpec {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: InvalidKeySource| {
            format!("this is not a key source: {}", error.problem)
        })
    }

    fn rooted(self, root: &dyn Fn(&Path) -> PathBuf) -> Self {
        match self {
            Self::File(path) => Self::File(root(&path)),
            other => other,
        }
    }
}

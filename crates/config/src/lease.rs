//! The typed entry of a lease.

use fnox_core::name::is_variable_name;
use fnox_core::{LeaseName, Lifetime};

use crate::error::ConfigError;
use crate::fields::Fields;
use crate::spec::LeaseSpec;

/// A way in which a program gets a lease's credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivery {
    /// Variables, as they are when the program starts.
    Env,
    /// An address on loopback where the program, or its SDK, fetches the credential as often as it likes.
    Endpoint,
    /// Files that are written anew.
    File,
    /// An SSH agent of the program's own.
    Agent,
    /// Nothing in `exec`: programs ask `fnox credential` themselves.
    Helper,
}

impl Delivery {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Env,
        Self::Endpoint,
        Self::File,
        Self::Agent,
        Self::Helper,
    ];

    /// Its word in `deliver`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::Endpoint => "endpoint",
            Self::File => "file",
            Self::Agent => "agent",
            Self::Helper => "helper",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == word)
    }
}

/// What happens to a program whose credential ends and cannot be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RenewalFailure {
    /// It goes on, and is told on stderr.
    #[default]
    Warn,
    /// It is ended.
    Kill,
}

/// One lease.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of its own that is true or false in the file"
)]
pub struct LeaseConfig {
    /// Its name.
    pub name: LeaseName,
    /// Its type.
    pub spec: &'static LeaseSpec,
    /// How long credentials live; 15 minutes unless told otherwise.
    pub duration: Option<Lifetime>,
    /// Whether it is an error that nothing is configured for it.
    pub required: bool,
    /// How a program gets the credential, without repetitions. Empty: the type's usual way.
    pub deliver: Vec<Delivery>,
    /// Whether the program is started again with a renewed credential.
    pub restart: bool,
    /// Whether it wins over another lease that makes the same variable.
    pub overrides: bool,
    /// Whether the credential is withdrawn when the program has ended.
    pub revoke_on_exit: bool,
    /// What happens when the credential cannot be renewed. `None`: what the command line says.
    pub on_renewal_failure: Option<RenewalFailure>,
    /// Whether each use of a vault's lease gets a credential of its own.
    pub per_operation: bool,
    /// The one variable that a vault gives out.
    pub variable: Option<String>,
    /// Its keys.
    pub fields: Fields,
}

impl LeaseConfig {
    /// # Errors
    /// [`ConfigError::InvalidValue`] for deliveries that do not fit together.
    pub(crate) fn new(
        name: LeaseName,
        spec: &'static LeaseSpec,
        fields: Fields,
    ) -> Result<Self, ConfigError> {
        let deliver = deliveries(&fields)?;
        let is_delivered = |way| deliver.contains(&way);
        if is_delivered(Delivery::Helper) && deliver.len() > 1 {
            return Err(fields.invalid(
                "deliver",
                "has `helper`, which means that `exec` gives nothing, and other ways too",
            ));
        }
        if is_delivered(Delivery::Agent) && spec.name != "ssh" {
            return Err(fields.invalid("deliver", "has `agent`, which is only for `ssh` leases"));
        }
        if is_delivered(Delivery::File) != fields.contains("files") {
            let key = if fields.contains("files") {
                "files"
            } else {
                "deliver"
            };
            return Err(fields.invalid(
                key,
                "needs the other: `deliver = [\"file\"]` writes what `files` lists",
            ));
        }
        for file in fields.tables("files") {
            check_file(file)?;
        }
        if let Some(name) = fields
            .text("variable")
            .filter(|name| !is_variable_name(name))
        {
            let reason = format!("names `{}`, which is no variable", name.escape_debug());
            return Err(fields.invalid("variable", reason));
        }
        if fields.flag("restart") == Some(true)
            && !deliver.is_empty()
            && !is_delivered(Delivery::Env)
        {
            return Err(fields.invalid(
                "restart",
                "is for `deliver = [\"env\"]`: other ways renew without it",
            ));
        }
        Ok(Self {
            duration: fields.lifetime("duration"),
            required: fields.flag("required").unwrap_or(false),
            deliver,
            restart: fields.flag("restart").unwrap_or(false),
            overrides: fields.flag("override").unwrap_or(false),
            revoke_on_exit: fields.flag("revoke_on_exit").unwrap_or(false),
            on_renewal_failure: fields.text("on_renewal_failure").map(|word| match word {
                "kill" => RenewalFailure::Kill,
                _ => RenewalFailure::Warn,
            }),
            per_operation: fields.flag("per_operation").unwrap_or(false),
            variable: fields.text("variable").map(str::to_owned),
            name,
            spec,
            fields,
        })
    }
}

fn deliveries(fields: &Fields) -> Result<Vec<Delivery>, ConfigError> {
    let mut out = Vec::new();
    for word in fields.list("deliver") {
        let Some(delivery) = Delivery::parse(word) else {
            let known = Delivery::ALL.map(Delivery::name).join(", ");
            let reason = format!("has `{}`; the ways are {known}", word.escape_debug());
            return Err(fields.invalid("deliver", reason));
        };
        if !out.contains(&delivery) {
            out.push(delivery);
        }
    }
    if fields.contains("deliver") && out.is_empty() {
        return Err(fields.invalid("deliver", "names no way"));
    }
    out.sort_unstable();
    Ok(out)
}

fn check_file(file: &Fields) -> Result<(), ConfigError> {
    if file.contains("variable") == file.contains("template") {
        let key = if file.contains("variable") {
            "template"
        } else {
            "variable"
        };
        return Err(file.invalid(
            key,
            "or the other of `variable` and `template` says what the file holds: one of them",
        ));
    }
    if !file.contains("path") && !file.contains("path_variable") {
        return Err(file.invalid(
            "path_variable",
            "or `path` must say how the program finds the file",
        ));
    }
    for key in ["variable", "path_variable"] {
        if let Some(name) = file.text(key).filter(|name| !is_variable_name(name)) {
            let reason = format!("names `{}`, which is no variable", name.escape_debug());
            return Err(file.invalid(key, reason));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fnox_core::Env;

    use crate::{Config, ConfigError, Folders, Loader};

    fn load(lease: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[leases.x]\ntype = 'command'\ncreate_command = 'x'\n{lease}\n");
        std::fs::write(folder.path().join("fnox.toml"), text).unwrap();
        let env: Env = [("HOME", folder.path().to_str().unwrap())]
            .into_iter()
            .collect();
        Loader {
            env: &env,
            folders: &Folders::from_env(&env),
            cwd: Path::new(folder.path()),
            explicit: None,
            profiles: Vec::new(),
            may_create: None,
            no_defaults: false,
        }
        .load()
    }

    #[test]
    fn ways_are_read_in_one_order_and_once() {
        use super::Delivery::{Endpoint, Env};
        let config = load("deliver = ['endpoint', 'env', 'endpoint']").unwrap();
        assert_eq!(config.leases["x"].deliver, [Env, Endpoint]);
        assert!(load("").unwrap().leases["x"].deliver.is_empty());
    }

    #[test]
    fn ways_that_do_not_fit_together_are_errors() {
        for (wrong, wanted) in [
            ("deliver = ['pipe']", "the ways are env, endpoint"),
            ("deliver = []", "names no way"),
            ("deliver = ['env', 'helper']", "gives nothing"),
            ("deliver = ['agent']", "only for `ssh`"),
            ("deliver = ['file']", "needs the other"),
            ("restart = true\ndeliver = ['endpoint']", "other ways renew"),
            ("[[leases.x.files]]\nvariable = 'A'", "needs the other"),
            (
                "deliver = ['file']\n[[leases.x.files]]\npath = 'p'",
                "one of them",
            ),
            (
                "deliver = ['file']\n[[leases.x.files]]\nvariable = 'A'",
                "how the program finds",
            ),
            (
                "deliver = ['file']\n[[leases.x.files]]\nvariable = 'A B'\npath = 'p'",
                "no variable",
            ),
        ] {
            let error = load(wrong).unwrap_err().to_string();
            assert!(error.contains(wanted), "{wrong}: {error}");
        }
    }
}

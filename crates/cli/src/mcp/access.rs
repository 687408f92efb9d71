//! `request_access`: the agent asks, a rule or a person answers.
//!
//! What the agent may have is written down before it asks: in the rules of the project, or in a vault's policy. Where
//! neither allows it, a person decides: for a while at the places where people are asked, or for good by changing one of
//! them. Nothing that the agent can do stands in for that.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use fnox_config::{Config, FileKind};
use fnox_core::question::{MOST_METHODS, is_method, visible};
use fnox_core::{Host, LeaseName, SecretName, VaultName};
use fnox_gateway::placeholder::Shape;
use fnox_gateway::rule::{CredentialRef, Hosts};
use fnox_vault_wire::methods::PolicyExplain;
use http::Method;

use super::credentials::Listed;
use super::settings::Settings;
use super::tools::AccessArguments;
use crate::app::App;
use crate::args::vault::ConnectionArgs;
use crate::commands::agent::preparation::shape_of;
use crate::commands::masters::produced;
use crate::environment;
use crate::gateway::granting::{Granting, Wish};
use crate::vault::connect::ask;
use crate::vault::settings::VaultFile;

/// Longest reason, in characters; and in bytes, once what cannot be seen in it is escaped.
const LONGEST_REASON: usize = 500;
const LONGEST_VISIBLE: usize = fnox_core::question::LONGEST_REASON;

/// What is asked for unless the agent names methods: reading.
const USUAL_METHODS: [Method; 2] = [Method::GET, Method::HEAD];

/// A person is told of so many different requests.
const MOST_REQUESTS: usize = 50;

/// Where the agent asks.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) app: App,
    pub(crate) config: Arc<Config>,
    pub(crate) settings: Settings,
    pub(crate) agent: String,
    pub(crate) listed: Arc<[Listed]>,
    /// What a person was told of already.
    pub(crate) told: Mutex<BTreeSet<String>>,
    /// The way to people who can allow it at once, if there is one.
    pub(crate) granting: Option<Arc<Granting>>,
}

/// What there is to say so far.
#[derive(Debug)]
pub(super) enum Said {
    /// All, in words for the agent.
    All(String),
    /// A person has to be asked.
    Ask(Box<Asking>),
}

/// What a person is asked.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) granting: Arc<Granting>,
    pub(super) wish: Wish,
    /// The project's secret, if it is one.
    pub(super) secret: Option<SecretName>,
    /// What its placeholder looks like, if its value does not tell.
    pub(super) shape: Shape,
    /// What a person would add for good.
    pub(super) lines: String,
}

/// What is asked for, once it makes sense.
struct Wanted {
    name: String,
    host: Host,
    methods: Vec<Method>,
    /// Whether the agent named them.
    names_methods: bool,
    reason: String,
    source: Source,
}

/// What the project knows of a name.
enum Source {
    Lease {
        name: LeaseName,
        /// As it was asked for.
        variable: Option<String>,
        /// All that it makes, as far as that is known.
        produced: Vec<String>,
    },
    Secret,
    Unknown,
}

impl Desk {
    /// Answers in words for the agent. It may wait for a vault.
    ///
    /// # Errors
    /// In words too: the request makes no sense.
    pub(super) fn ask(&self, arguments: &AccessArguments) -> Result<Said, String> {
        let wanted = self.wanted(arguments)?;
        if let Some(answer) = self.by_rule(&wanted) {
            return Ok(Said::All(answer));
        }
        if let Some(answer) = self.by_vault(&wanted) {
            return Ok(Said::All(answer));
        }
        match self.asking(&wanted) {
            Some(asking) => {
                self.count(&asking.lines)?;
                Ok(Said::Ask(Box::new(asking)))
            }
            None => self.by_person(&wanted).map(Said::All),
        }
    }

    fn wanted(&self, arguments: &AccessArguments) -> Result<Wanted, String> {
        let reason = arguments.reason.trim();
        let length = reason.chars().count();
        if length == 0 || length > LONGEST_REASON {
            return Err(format!("`reason` has 1 to {LONGEST_REASON} characters"));
        }
        let shown = visible(reason);
        if shown.len() > LONGEST_VISIBLE {
            return Err("`reason` has too many characters that cannot be seen".to_owned());
        }
        let host = Host::parse(&arguments.host).map_err(|error| format!("`host`: {error}"))?;
        let name = arguments.credential.as_str();
        Ok(Wanted {
            source: self.source(name)?,
            name: name.to_owned(),
            host: host.with_default_port(Hosts::DEFAULT_PORT),
            methods: methods(arguments.methods.as_deref())?,
            names_methods: arguments.methods.as_ref().is_some_and(|it| !it.is_empty()),
            reason: shown,
        })
    }

    fn source(&self, name: &str) -> Result<Source, String> {
        if self.config.secrets.contains_key(name) {
            return Ok(Source::Secret);
        }
        let (lease, variable) = match name.rsplit_once('.') {
            Some((lease, variable)) if self.config.leases.contains_key(lease) => {
                (lease, Some(variable))
            }
            _ => (name, None),
        };
        let Some(lease) = self.config.leases.get(lease) else {
            VaultName::parse(name).map_err(|error| format!("`credential`: {error}"))?;
            return Ok(Source::Unknown);
        };
        let variables = produced(&self.app, lease).unwrap_or_default();
        let is_one_of_them = variable.is_some_and(|variable| {
            variables.is_empty() || variables.iter().any(|known| known == variable)
        });
        if !is_one_of_them && variables.len() != 1 {
            let known = variables.join(", ");
            return Err(format!(
                "`credential`: name a variable of the lease, as {}.VARIABLE: {known}",
                lease.name
            ));
        }
        Ok(Source::Lease {
            name: lease.name.clone(),
            variable: variable.map(str::to_owned),
            produced: variables,
        })
    }

    /// What a person can allow at once: a credential that the project has and the agent may use, where a placeholder can take
    /// its place.
    fn asking(&self, wanted: &Wanted) -> Option<Asking> {
        let granting = self.granting.as_ref()?;
        let (credential, secret, variable, shape) = match &wanted.source {
            Source::Unknown => return None,
            Source::Secret => {
                let secret = self.config.secret(&wanted.name).ok()?;
                if secret.as_file {
                    return None;
                }
                let name = VaultName::parse(secret.name.as_str()).ok()?;
                let variable = secret.name.to_string();
                let credential = CredentialRef::Secret(name);
                (
                    credential,
                    Some(secret.name.clone()),
                    variable,
                    Shape::token("", 40),
                )
            }
            Source::Lease {
                name,
                variable,
                produced,
            } => {
                // Keys of AWS sign requests, and are sent in none.
                if produced.iter().any(|it| it == "AWS_ACCESS_KEY_ID") {
                    return None;
                }
                let shape = shape_of(self.config.leases.get(name.as_str())?);
                let held = variable.clone().or_else(|| produced.first().cloned())?;
                let variable = match variable {
                    Some(variable) => Some(SecretName::parse(variable).ok()?),
                    None => None,
                };
                let name = name.clone();
                (CredentialRef::Lease { name, variable }, None, held, shape)
            }
        };
        if !self.settings.allows(&credential) || !granting.can_give(&credential) {
            return None;
        }
        Some(Asking {
            granting: Arc::clone(granting),
            wish: Wish {
                credential,
                host: wanted.host.clone(),
                methods: wanted.methods.clone(),
                reason: wanted.reason.clone(),
                variable,
            },
            secret,
            shape,
            lines: self.lines(wanted),
        })
    }

    /// What is allowed already.
    fn by_rule(&self, wanted: &Wanted) -> Option<String> {
        let of_it = |rule: &&Listed| rule.name == wanted.name && rule.is_for(&wanted.host);
        let rules: Vec<&Listed> = self.listed.iter().filter(of_it).collect();
        let is_covered = |method: &Method| rules.iter().any(|rule| rule.allows(method));
        if wanted.names_methods && !wanted.methods.iter().all(is_covered) {
            return None;
        }
        let rule = rules.first()?;
        let how = match &rule.variable {
            Some(variable) if !rule.is_automatic => {
                format!("programs of `exec` send `${variable}`")
            }
            _ => "programs of `exec` need not send anything".to_owned(),
        };
        Some(format!(
            "Allowed already: {how}. `list_credentials` tells for which methods and paths."
        ))
    }

    /// What a vault's policy says, if there is a vault.
    fn by_vault(&self, wanted: &Wanted) -> Option<String> {
        if !has_vault(&self.app) {
            return None;
        }
        let host = wanted.host.authority(Hosts::DEFAULT_PORT);
        let agent = self.app.env.var(environment::VAULT_AGENT);
        let question = PolicyExplain {
            agent: agent.unwrap_or(&self.agent).to_owned(),
            secret: wanted.name.clone(),
            host: host.clone(),
            tool: None,
        };
        match ask(&self.app, &ConnectionArgs::default(), &question) {
            Ok(explanation) if explanation.allowed => Some(format!(
                "The vault's policy allows it: {}.\nWhoever holds the vault's token borrows it with: \
                 fnox vault exec --secret {}@{host} -- PROGRAM",
                explanation.summary, wanted.name
            )),
            Ok(explanation) => {
                let summary = explanation.summary;
                self.app
                    .printer
                    .note(&format!("the vault's policy does not allow it: {summary}"));
                None
            }
            Err(error) => {
                self.app
                    .printer
                    .warn(&format!("the vault was not asked: {error}"));
                None
            }
        }
    }

    /// Tells a person what to add, and the agent that it has to wait.
    fn by_person(&self, wanted: &Wanted) -> Result<String, String> {
        let lines = self.lines(wanted);
        let host = wanted.host.authority(Hosts::DEFAULT_PORT);
        if self.count(&lines)? {
            self.app.printer.say(&format!(
                "the agent `{}` asks for the use of {} at {host}\nits reason, in its own words: \"{}\"\n{lines}",
                self.agent, wanted.name, wanted.reason
            ));
        }
        Ok(format!(
            "A person must decide; nothing has changed yet. They find this request on the standard error of fnox, and \
             you can show it to them:\n\n{lines}"
        ))
    }

    /// Counts what a person is told of, and says whether it is new.
    fn count(&self, lines: &str) -> Result<bool, String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.contains(lines) {
            return Ok(false);
        }
        if told.len() >= MOST_REQUESTS {
            let enough = "a person was told of enough requests: wait for their decisions";
            return Err(enough.to_owned());
        }
        Ok(told.insert(lines.to_owned()))
    }

    /// What to add, and where.
    fn lines(&self, wanted: &Wanted) -> String {
        let quoted = |text: &str| toml_edit::Value::from(text).to_string();
        let mut lines = Vec::new();
        if matches!(wanted.source, Source::Unknown) {
            lines.push(format!(
                "The project has no secret of this name yet: fnox set {}",
                wanted.name
            ));
        }
        let base = match &wanted.source {
            Source::Lease { name, .. } => name.as_str(),
            Source::Secret | Source::Unknown => wanted.name.as_str(),
        };
        if !self.settings.allows_name(base) {
            lines.push(format!(
                "To allow it, add {} to `secrets` of [mcp].",
                quoted(base)
            ));
        }
        lines.push(format!(
            "To allow it, add this to {} (narrow it with `methods` and `paths`) and start `fnox mcp` again:",
            self.file().display()
        ));
        lines.push(String::new());
        lines.push("[[proxy.rules]]".to_owned());
        match &wanted.source {
            Source::Lease { name, variable, .. } => {
                lines.push(format!("lease = {}", quoted(name.as_str())));
                if let Some(variable) = variable {
                    lines.push(format!("credential = {}", quoted(variable)));
                }
            }
            Source::Secret | Source::Unknown => {
                lines.push(format!("secret = {}", quoted(&wanted.name)));
            }
        }
        lines.push(format!("domain = {}", quoted(&wanted.host.name())));
        if let Some(port) = wanted
            .host
            .port()
            .filter(|port| *port != Hosts::DEFAULT_PORT)
        {
            lines.push(format!("port = {port}"));
        }
        lines.join("\n")
    }

    /// The file of the project.
    fn file(&self) -> PathBuf {
        let mut files = self.config.files.iter().rev();
        files
            .find(|file| !matches!(file.kind, FileKind::Global | FileKind::Local))
            .map_or_else(|| PathBuf::from("fnox.toml"), |file| file.path.clone())
    }
}

/// The methods that are asked for.
fn methods(named: Option<&[String]>) -> Result<Vec<Method>, String> {
    let Some(named) = named.filter(|named| !named.is_empty()) else {
        return Ok(USUAL_METHODS.to_vec());
    };
    if named.len() > MOST_METHODS {
        return Err(format!("`methods` are {MOST_METHODS} at the most"));
    }
    let mut methods = Vec::new();
    for text in named {
        let wrong = || format!("`methods`: `{}` is none", text.escape_debug());
        let text = text.to_ascii_uppercase();
        let method = Method::from_bytes(text.as_bytes()).map_err(|_| wrong())?;
        // No credential goes into these.
        let takes_none = [Method::CONNECT, Method::OPTIONS, Method::TRACE].contains(&method);
        if !is_method(&text) || takes_none {
            return Err(wrong());
        }
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    Ok(methods)
}

/// Whether there is a vault to ask.
fn has_vault(app: &App) -> bool {
    let variables = [
        environment::VAULT_SOCKET,
        environment::VAULT_TOKEN_FILE,
        environment::VAULT_TOKEN,
    ];
    variables.iter().any(|name| app.env.var_os(name).is_some())
        || VaultFile::read(app, None).is_ok_and(|file| file.exists())
}

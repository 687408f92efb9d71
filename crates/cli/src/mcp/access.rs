//! `request_access`: the agent asks, a rule or a person answers.
//!
//! What the agent may have is written down before it asks: in the rules of the project, or in a vault's policy. Where
//! neither allows it, a person has to change one of them; nothing that the agent can do stands in for that.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use fnox_config::{Config, FileKind};
use fnox_core::{Host, VaultName};
use fnox_gateway::rule::Hosts;
use fnox_vault_wire::methods::PolicyExplain;

use super::credentials::Listed;
use super::settings::Settings;
use super::tools::AccessArguments;
use crate::app::App;
use crate::args::vault::ConnectionArgs;
use crate::commands::masters::produced;
use crate::environment;
use crate::vault::connect::ask;
use crate::vault::settings::VaultFile;

/// Longest reason, in characters.
const LONGEST_REASON: usize = 500;

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
}

/// What is asked for, once it makes sense.
struct Wanted {
    name: String,
    host: Host,
    reason: String,
    source: Source,
}

/// What the project knows of a name.
enum Source {
    Lease {
        name: String,
        variable: Option<String>,
    },
    Secret,
    Unknown,
}

impl Desk {
    /// Answers in words for the agent. It may wait for a vault.
    ///
    /// # Errors
    /// In words too: the request makes no sense.
    pub(super) fn ask(&self, arguments: &AccessArguments) -> Result<String, String> {
        let wanted = self.wanted(arguments)?;
        if let Some(answer) = self.by_rule(&wanted) {
            return Ok(answer);
        }
        if let Some(answer) = self.by_vault(&wanted) {
            return Ok(answer);
        }
        self.by_person(&wanted)
    }

    fn wanted(&self, arguments: &AccessArguments) -> Result<Wanted, String> {
        let reason = arguments.reason.trim();
        let length = reason.chars().count();
        if length == 0 || length > LONGEST_REASON {
            return Err(format!("`reason` has 1 to {LONGEST_REASON} characters"));
        }
        let host = Host::parse(&arguments.host).map_err(|error| format!("`host`: {error}"))?;
        let name = arguments.credential.as_str();
        Ok(Wanted {
            source: self.source(name)?,
            name: name.to_owned(),
            host: host.with_default_port(Hosts::DEFAULT_PORT),
            reason: reason.to_owned(),
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
            name: lease.name.to_string(),
            variable: variable.map(str::to_owned),
        })
    }

    /// What is allowed already.
    fn by_rule(&self, wanted: &Wanted) -> Option<String> {
        let rule = self
            .listed
            .iter()
            .find(|rule| rule.name == wanted.name && rule.is_for(&wanted.host))?;
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
        {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let is_known = told.contains(&lines);
            if !is_known && told.len() >= MOST_REQUESTS {
                return Err(
                    "a person was told of enough requests: wait for their decisions".to_owned(),
                );
            }
            if !is_known {
                told.insert(lines.clone());
                self.app.printer.say(&format!(
                    "the agent `{}` asks for the use of {} at {host}\nits reason, in its own words: \"{}\"\n{lines}",
                    self.agent,
                    wanted.name,
                    wanted.reason.escape_debug()
                ));
            }
        }
        Ok(format!(
            "A person must decide; nothing has changed yet. They find this request on the standard error of fnox, and \
             you can show it to them:\n\n{lines}"
        ))
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
            Source::Lease { name, variable } => {
                lines.push(format!("lease = {}", quoted(name)));
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

//! `[mcp]` of `fnox.toml`.

use std::collections::BTreeSet;
use std::time::Duration;

use fnox_config::{Config, ConfigError};
use fnox_core::SecretName;
use fnox_gateway::rule::CredentialRef;

use crate::output::Printer;

/// How long a program may run unless the configuration says otherwise.
const USUAL_TIME: Duration = Duration::from_mins(5);

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ToolName {
    /// Runs a program.
    Exec,
    /// Gives a value away.
    GetSecret,
    /// Tells which credential goes where.
    ListCredentials,
    /// Asks for more.
    RequestAccess,
}

impl ToolName {
    pub(crate) const ALL: [Self; 4] = [
        Self::Exec,
        Self::GetSecret,
        Self::ListCredentials,
        Self::RequestAccess,
    ];

    /// What is offered unless the configuration says otherwise.
    const USUAL: [Self; 3] = [Self::Exec, Self::ListCredentials, Self::RequestAccess];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::GetSecret => "get_secret",
            Self::ListCredentials => "list_credentials",
            Self::RequestAccess => "request_access",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.as_str() == text)
    }
}

/// What the agent may do.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) tools: BTreeSet<ToolName>,
    /// The secrets and leases that may be used, unless all may.
    pub(crate) allowed: Option<BTreeSet<String>>,
    /// How long a program may run.
    pub(crate) time: Duration,
    /// Whether output is redacted.
    pub(crate) redacts: bool,
}

impl Settings {
    /// Reads `[mcp]`.
    ///
    /// # Errors
    /// With the place of what is wrong.
    pub(crate) fn read(config: &Config, printer: Printer) -> Result<Self, ConfigError> {
        let mut settings = Self {
            tools: ToolName::USUAL.into(),
            allowed: None,
            time: USUAL_TIME,
            redacts: true,
        };
        let Some(fields) = config.settings.sections.get("mcp") else {
            return Ok(settings);
        };
        if fields.contains("tools") {
            settings.tools.clear();
            for text in fields.list("tools") {
                match ToolName::parse(text) {
                    Some(tool) => {
                        settings.tools.insert(tool);
                    }
                    // Other versions have it, and one file may be for several.
                    None if text == "request_secret" => printer.warn(
                        "the tool `request_secret` is not offered: a person stores secrets with `fnox set`",
                    ),
                    None => {
                        let known = ToolName::ALL.map(ToolName::as_str).join(", ");
                        let reason =
                            format!("names `{}`, tools are {known}", text.escape_debug());
                        return Err(fields.invalid("tools", reason));
                    }
                }
            }
        }
        if fields.contains("secrets") {
            let names = fields.list("secrets");
            for name in names {
                let is_known = config.secrets.contains_key(name.as_str())
                    || config.leases.contains_key(name.as_str());
                if !is_known {
                    printer.warn(&format!(
                        "`secrets` of [mcp] names `{}`, which is neither a secret nor a lease here",
                        name.escape_debug()
                    ));
                }
            }
            settings.allowed = Some(names.iter().cloned().collect());
        }
        match fields.count("exec_timeout_secs") {
            Some(0) => return Err(fields.invalid("exec_timeout_secs", "is at least 1")),
            Some(seconds) => settings.time = Duration::from_secs(seconds),
            None => {}
        }
        settings.redacts = fields.flag("redact_output").unwrap_or(true);
        Ok(settings)
    }

    /// Whether a rule's credential may be used.
    pub(crate) fn allows(&self, credential: &CredentialRef) -> bool {
        match credential {
            CredentialRef::Secret(name) => self.allows_name(name.as_str()),
            CredentialRef::Lease { name, .. } => self.allows_name(name.as_str()),
            CredentialRef::Captured { .. } => false,
        }
    }

    /// Whether a secret or lease of this name may be used.
    pub(crate) fn allows_name(&self, name: &str) -> bool {
        self.allowed
            .as_ref()
            .is_none_or(|allowed| allowed.contains(name))
    }

    /// The secrets whose values are given away, if any are.
    pub(crate) fn readable(
        &self,
        config: &Config,
        is_behind_gateway: impl Fn(&str) -> bool,
    ) -> Vec<SecretName> {
        if !self.tools.contains(&ToolName::GetSecret) {
            return Vec::new();
        }
        let secrets = config.secrets.values().filter(|secret| {
            let name = secret.name.as_str();
            !secret.as_file && self.allows_name(name) && !is_behind_gateway(name)
        });
        secrets.map(|secret| secret.name.clone()).collect()
    }
}

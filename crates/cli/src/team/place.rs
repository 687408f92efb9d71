//! Which project and profile a command is about, and whom its values are encrypted to.

use std::path::PathBuf;

use fnox_config::{Config, ConfigError};
use fnox_core::ProjectName;
use fnox_core::age::Recipient;
use fnox_core::signed::{SignedPlace, WriterPublicKey};

use crate::app::App;
use crate::error::CliError;
use crate::team::error::TeamFailure;

/// A project's profile on the server, with what the project file says about its values.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) project: String,
    pub(crate) profile: String,
    /// Whose signatures count. Empty: everything is accepted.
    pub(crate) writers: Vec<WriterPublicKey>,
    /// `[age] identities_file` of the global file.
    pub(crate) identities_file: Option<PathBuf>,
    /// Recipients that the configuration names.
    recipients: Vec<String>,
}

impl Place {
    /// `--project`, else `[project] name`; the profile that writing commands write to.
    pub(crate) fn of(app: &App, project: Option<&str>) -> Result<Self, CliError> {
        // A profile of the server need not be one of the file.
        let config = match app.load_for_writing() {
            Ok((config, _)) => Some(config),
            // With everything on the command line no file is needed.
            Err(CliError::Config(ConfigError::NotFound { .. })) => None,
            Err(error) => return Err(error),
        };
        let configured = config
            .as_ref()
            .and_then(|config| config.settings.project.as_ref());
        let name = project
            .map(str::to_owned)
            .or_else(|| configured.map(|project| project.name.clone()))
            .ok_or(TeamFailure::NoProject)?;
        let name = ProjectName::parse(&name).map_err(|error| {
            CliError::usage(format!("the project `{}`: {error}", name.escape_debug()))
        })?;
        // Another project's writers are not this one's.
        let writers = match configured.filter(|configured| configured.name == name.as_str()) {
            None => Vec::new(),
            Some(project) => project
                .fields
                .list("writers")
                .iter()
                .map(|text| {
                    text.parse()
                        .map_err(|error: fnox_core::signed::InvalidWriterKey| {
                            project.fields.invalid("writers", error.to_string()).into()
                        })
                })
                .collect::<Result<_, CliError>>()?,
        };
        Ok(Self {
            project: name.to_string(),
            profile: app
                .write_target()?
                .map_or_else(|| "default".to_owned(), |profile| profile.to_string()),
            writers,
            identities_file: config
                .as_ref()
                .and_then(|config| config.settings.age_identities_file.clone()),
            recipients: config.as_ref().map(recipients).unwrap_or_default(),
        })
    }

    /// Where a value belongs.
    pub(crate) fn signed<'a>(&'a self, key: &'a str) -> SignedPlace<'a> {
        SignedPlace {
            project: &self.project,
            profile: &self.profile,
            key,
        }
    }

    /// Those of the command line, else those that the configuration names. `None`: neither names any.
    pub(crate) fn recipients(&self, given: &[String]) -> Result<Option<Vec<Recipient>>, CliError> {
        [given, &self.recipients]
            .into_iter()
            .find(|list| !list.is_empty())
            .map(parse)
            .transpose()
    }
}

/// Reads recipients; the server takes each once.
pub(crate) fn parse(texts: &[String]) -> Result<Vec<Recipient>, CliError> {
    let mut out: Vec<Recipient> = Vec::new();
    for text in texts {
        let recipient = Recipient::parse(text.trim()).map_err(|error| TeamFailure::Recipient {
            recipient: text.clone(),
            reason: error.to_string(),
        })?;
        if !out
            .iter()
            .any(|other| other.canonical() == recipient.canonical())
        {
            out.push(recipient);
        }
    }
    Ok(out)
}

/// Those of the only age provider, or of the default one; else those that all age providers share.
fn recipients(config: &Config) -> Vec<String> {
    let all: Vec<_> = config
        .providers
        .values()
        .filter(|provider| provider.spec.name == "age")
        .collect();
    let default = config.default_provider();
    let chosen = match all.as_slice() {
        [only] => Some(*only),
        several => several
            .iter()
            .copied()
            .find(|provider| Some(&provider.name) == default),
    };
    let own = chosen.map(|provider| provider.fields.list("recipients"));
    match own {
        Some(list) if !list.is_empty() => list.to_vec(),
        _ => config.settings.age_recipients.clone(),
    }
}

//! Sending secrets to services that keep their own: CI systems and hosts of programs.
//!
//! One file per type of target. Each sends one value by one call that the service repeats safely, so a push that was
//! interrupted is pushed again. Tokens come from a secret or a variable of the name that the service's own program uses.

mod cloudflare;
mod fly;
mod forgejo;
mod github;
mod gitlab;
mod terraform;
mod vercel;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use fnox_config::{Config, ConfigError, Fields};
use fnox_core::{Env, SecretName, SecretString};
use fnox_http::{Answer, CallError, Limits, Service, Url, address as addresses};

/// A place that secrets are sent to.
#[async_trait]
pub(crate) trait Target: Send + Sync + Debug {
    /// Sends one value.
    async fn push(&self, name: &SecretName, value: &SecretString) -> Result<Sent, CallError>;

    /// What there is to know after a push, for people.
    fn afterwards(&self) -> Option<String> {
        None
    }
}

/// What became of a value at a service that took it. None of them shows its values, so that none can say that a value
/// was the same already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The service had no secret of this name.
    Created,
    /// It had one, which has this value now.
    Updated,
    /// One or the other: the service does not say which.
    Taken,
}

/// What a target may use of the world around it.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) env: Env,
    /// Values of secrets whose names are those of tokens.
    pub(crate) secrets: BTreeMap<String, SecretString>,
    pub(crate) cwd: PathBuf,
    pub(crate) home: Option<PathBuf>,
    /// How long one call may take.
    pub(crate) limit: Duration,
}

impl Surroundings {
    /// The value of the first of these names that a secret or a variable has.
    fn named(&self, names: &[&str]) -> Option<SecretString> {
        names.iter().find_map(|name| {
            let secret = self.secrets.get(*name).cloned();
            secret.or_else(|| self.env.secret(name))
        })
    }

    fn token(&self, names: &[&str]) -> Result<SecretString, CallError> {
        self.named(names).ok_or_else(|| {
            CallError::authentication(format!(
                "there is no token: {} is not set",
                names.join(" or ")
            ))
            .with_remedy(format!(
                "export {}, or declare it as a secret with `env = false`",
                names[0]
            ))
        })
    }

    fn service(&self, name: &str, token: &SecretString) -> Result<Service, CallError> {
        let connect = self.limit.min(Duration::from_secs(10));
        let mut service = Service::new(name, Limits::new(connect, self.limit), None)?;
        service.hide(token);
        Ok(service)
    }
}

/// The names of secrets and variables from which a target's token is taken.
pub(crate) fn token_names(fields: &Fields) -> Vec<String> {
    let names: &[&str] = match fields.text("type") {
        Some("github-actions") => &github::TOKENS,
        Some("gitlab-ci") => &gitlab::TOKENS,
        Some("vercel") => &vercel::TOKENS,
        Some("fly") => &fly::TOKENS,
        Some("cloudflare-workers") => &cloudflare::TOKENS,
        Some("forgejo-actions") => &forgejo::TOKENS,
        Some("hcp-terraform") => return terraform::tokens(fields),
        _ => &[],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Why there is no target.
#[derive(Debug)]
pub(crate) enum NoTarget {
    Configuration(ConfigError),
    Call(CallError),
}

impl From<ConfigError> for NoTarget {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(error)
    }
}

impl From<CallError> for NoTarget {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// The target of a name. Nobody is called.
pub(crate) fn open(
    config: &Config,
    name: &str,
    around: &Surroundings,
) -> Result<Box<dyn Target>, NoTarget> {
    let Some(fields) = config.settings.targets.get(name) else {
        return Err(unknown(config, name).into());
    };
    Ok(match fields.text("type").unwrap_or_default() {
        "github-actions" => Box::new(github::GitHub::open(fields, around)?),
        "gitlab-ci" => Box::new(gitlab::GitLab::open(fields, around)?),
        "vercel" => Box::new(vercel::Vercel::open(fields, around)?),
        "fly" => Box::new(fly::Fly::open(fields, around)?),
        "cloudflare-workers" => Box::new(cloudflare::Cloudflare::open(fields, around)?),
        "forgejo-actions" => Box::new(forgejo::Forgejo::open(fields, around)?),
        "hcp-terraform" => Box::new(terraform::Terraform::open(fields, around)?),
        // invariant: the configuration's reader refuses other types.
        other => {
            return Err(fields
                .invalid("type", format!("`{other}` is no target"))
                .into());
        }
    })
}

/// The error that there is no target of a name.
pub(crate) fn unknown(config: &Config, name: &str) -> ConfigError {
    let known: Vec<String> = config.settings.targets.keys().cloned().collect();
    let near = fnox_config::suggest::nearest(name, known.iter().map(String::as_str));
    ConfigError::UnknownName {
        location: None,
        kind: "target",
        name: name.escape_debug().to_string(),
        place: String::new(),
        suggestion: near.map(str::to_owned),
        known,
    }
}

/// The address of an API: `url` of the target, or the usual one. A token is sent there.
fn address(fields: &Fields, usual: &str) -> Result<Url, ConfigError> {
    let text = fields.text("url").unwrap_or(usual);
    addresses::parse(text).map_err(|reason| fields.invalid("url", reason))
}

fn required<'f>(fields: &'f Fields, key: &'static str) -> Result<&'f str, ConfigError> {
    fields
        .text(key)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| fields.invalid(key, "must be there"))
}

/// `OWNER/NAME`
fn repository<'f>(fields: &'f Fields, text: &'f str) -> Result<(&'f str, &'f str), ConfigError> {
    let parts = text.split_once('/');
    parts
        .filter(|(owner, name)| !owner.is_empty() && !name.is_empty() && !name.contains('/'))
        .ok_or_else(|| fields.invalid("repo", "must be OWNER/NAME"))
}

/// For services that answer a PUT with 201 if that made something, and with 204 if it changed something (RFC 9110, section
/// 9.3.4).
fn put(answer: &Answer, service: &Service) -> Result<Sent, CallError> {
    accepted(answer, service)?;
    Ok(match answer.status() {
        201 => Sent::Created,
        204 => Sent::Updated,
        _ => Sent::Taken,
    })
}

fn accepted(answer: &Answer, service: &Service) -> Result<(), CallError> {
    if answer.is_success() {
        Ok(())
    } else {
        Err(answer.refusal(service))
    }
}

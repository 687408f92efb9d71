//! The keys of an `aws-roles-anywhere` lease.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use fnox_config::{ConfigError, Fields};
use fnox_core::Env;
use fnox_core::name::is_variable_name;
use reqwest::Url;
use zeroize::Zeroizing;

use crate::issuer;
use crate::mint::MintError;
use crate::mint::aws_sts::settings::is_region;

/// Largest PEM file that is read.
const LIMIT: usize = 64 * 1024;

/// Where a PEM text is.
#[derive(Debug)]
pub(super) enum Origin {
    /// A file.
    File(PathBuf),
    /// A variable, or the secret of that name.
    Variable(String),
}

/// A lease's keys.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) region: String,
    pub(super) trust_anchor_arn: String,
    pub(super) profile_arn: String,
    pub(super) role_arn: String,
    pub(super) certificate: Origin,
    pub(super) chain_file: Option<PathBuf>,
    pub(super) key: Origin,
    pub(super) session_name: Option<String>,
    endpoint: Option<Url>,
}

impl Settings {
    pub(super) fn read(fields: &Fields, home: Option<&Path>) -> Result<Self, ConfigError> {
        let text = |key: &str| fields.text(key).unwrap_or_default().to_owned();
        let region = text("region");
        if !is_region(&region) {
            return Err(fields.invalid("region", "must be an AWS region such as eu-central-1"));
        }
        for (key, kind) in [
            ("trust_anchor_arn", "trust-anchor/"),
            ("profile_arn", "profile/"),
            ("role_arn", "role/"),
        ] {
            check_arn(fields, key, kind, &region)?;
        }
        let session_name = fields.text("session_name").map(str::to_owned);
        let is_word = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if session_name
            .as_deref()
            .is_some_and(|name| !(2..=64).contains(&name.len()) || !name.chars().all(is_word))
        {
            return Err(fields.invalid(
                "session_name",
                "must have 2 to 64 letters, digits and characters of _+=,.@-",
            ));
        }
        let endpoint = match fields.text("endpoint").map(issuer::parse) {
            None => None,
            Some(Ok(url)) => Some(url),
            Some(Err(reason)) => return Err(fields.invalid("endpoint", reason)),
        };
        Ok(Self {
            trust_anchor_arn: text("trust_anchor_arn"),
            profile_arn: text("profile_arn"),
            role_arn: text("role_arn"),
            certificate: origin(
                fields,
                home,
                ("certificate_file", "certificate_variable"),
                "FNOX_ROLES_ANYWHERE_CERTIFICATE",
            )?,
            chain_file: fields.path("certificate_chain_file", home),
            key: origin(
                fields,
                home,
                ("private_key_file", "private_key_variable"),
                "FNOX_ROLES_ANYWHERE_PRIVATE_KEY",
            )?,
            session_name,
            endpoint,
            region,
        })
    }

    /// AWS General Reference, "IAM Roles Anywhere endpoints"; China has a domain of its own.
    pub(super) fn address(&self, env: &Env) -> Result<Url, MintError> {
        if let Some(url) = &self.endpoint {
            return Ok(url.clone());
        }
        if let Some((_, url)) = env.first(&super::ENDPOINTS) {
            return issuer::address("endpoint", url);
        }
        let region = &self.region;
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        issuer::address(
            "endpoint",
            &format!("https://rolesanywhere.{region}.amazonaws.com{suffix}"),
        )
    }
}

/// Trust anchor and profile are in the region that is asked; roles are in none.
fn check_arn(fields: &Fields, key: &str, kind: &str, region: &str) -> Result<(), ConfigError> {
    let text = fields.text(key).unwrap_or_default();
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let &["arn", _, service, place, _, resource] = parts.as_slice() else {
        return Err(fields.invalid(key, "must be an ARN"));
    };
    if !resource.starts_with(kind) {
        return Err(fields.invalid(
            key,
            format!("must be the ARN of a {}", kind.trim_end_matches('/')),
        ));
    }
    if service == "rolesanywhere" && place != region {
        let reason = format!(
            "is in region {}, and `region` is {region}",
            place.escape_debug()
        );
        return Err(fields.invalid(key, reason));
    }
    Ok(())
}

fn origin(
    fields: &Fields,
    home: Option<&Path>,
    (file, variable): (&str, &str),
    usual: &str,
) -> Result<Origin, ConfigError> {
    match (fields.path(file, home), fields.text(variable)) {
        (Some(_), Some(_)) => {
            Err(fields.invalid(variable, format!("and `{file}` exclude each other")))
        }
        (Some(path), None) => Ok(Origin::File(path)),
        (None, Some(name)) if !is_variable_name(name) => {
            Err(fields.invalid(variable, "must be the name of a variable"))
        }
        (None, name) => Ok(Origin::Variable(name.unwrap_or(usual).to_owned())),
    }
}

impl Origin {
    /// The variable, if it is one.
    pub(super) fn variable(&self) -> Option<&str> {
        match self {
            Self::Variable(name) => Some(name),
            Self::File(_) => None,
        }
    }

    /// Its name, for people.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Variable(name) => name.clone(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The PEM text.
    pub(super) fn read(&self, env: &Env, what: &str) -> Result<Zeroizing<String>, MintError> {
        match self {
            Self::File(path) => read(path, what),
            Self::Variable(name) => env
                .var(name)
                .map(|text| Zeroizing::new(text.to_owned()))
                .ok_or_else(|| {
                    MintError::authentication(format!("{what} is missing: {name} is not set"))
                }),
        }
    }
}

/// A PEM file.
pub(super) fn read(path: &Path, what: &str) -> Result<Zeroizing<String>, MintError> {
    let unusable = |reason: String| {
        MintError::authentication(format!(
            "{what} in {} cannot be used: {reason}",
            path.display()
        ))
    };
    let mut text = Zeroizing::new(String::with_capacity(LIMIT + 1));
    std::fs::File::open(path)
        .and_then(|file| file.take(LIMIT as u64 + 1).read_to_string(&mut text))
        .map_err(|error| unusable(error.to_string()))?;
    if text.len() > LIMIT {
        return Err(unusable(format!("it is larger than {} KiB", LIMIT / 1024)));
    }
    Ok(text)
}

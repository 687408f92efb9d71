//! Settings of issuers that would be dangerous or could never work.

use std::time::Duration;

use super::discovery;
use super::error::OidcSetupError;
use super::fetch::{Fetcher, Network, Origin};
use crate::settings::{IssuerSettings, Preset};

const LONGEST_LEEWAY: Duration = Duration::from_mins(5);
const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// Checks each issuer, and that no two are the same.
pub(super) fn check_all(issuers: &[IssuerSettings]) -> Result<(), OidcSetupError> {
    for (index, issuer) in issuers.iter().enumerate() {
        check(issuer)?;
        for other in &issuers[..index] {
            if other.name == issuer.name {
                return Err(setting(issuer, "name", "is there twice"));
            }
            if other.url == issuer.url && other.audience == issuer.audience {
                return Err(setting(
                    issuer,
                    "audience",
                    format!(
                        "is the same as that of {:?} with the same `url`: nobody could tell whose token it is",
                        other.name
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// The issuer's `allow_origins`.
pub(super) fn origins(issuer: &IssuerSettings) -> Result<Vec<Origin>, OidcSetupError> {
    issuer
        .allow_origins
        .iter()
        .map(|text| Origin::parse(text).map_err(|why| setting(issuer, "allow_origins", why)))
        .collect()
}

fn check(issuer: &IssuerSettings) -> Result<(), OidcSetupError> {
    let allowed = origins(issuer)?;
    if issuer.url.is_empty() {
        return Err(setting(issuer, "url", "is missing"));
    }
    if issuer.jwks_file.is_none() {
        let address =
            discovery::document_address(&issuer.url).map_err(|why| setting(issuer, "url", why))?;
        Fetcher::new(Network::default(), allowed)
            .check(&address)
            .map_err(|error| setting(issuer, "url", error.to_string()))?;
    }
    if issuer.audience.trim().is_empty() {
        return Err(setting(
            issuer,
            "audience",
            "is empty: a token for any service could log in here",
        ));
    }
    if issuer.preset == Preset::Github && is_owner(&issuer.audience) {
        return Err(setting(
            issuer,
            "audience",
            "is what GitHub puts into tokens that ask for none, so that a token for any service could log in here: use \
             this server's own address",
        ));
    }
    if issuer.algorithms.is_empty() {
        return Err(setting(
            issuer,
            "algorithms",
            "is empty: list RS256, or what the issuer uses",
        ));
    }
    if issuer.leeway > LONGEST_LEEWAY {
        return Err(setting(issuer, "leeway", "is longer than 300 seconds"));
    }
    if issuer.longest_life.is_zero() || issuer.longest_life > LONGEST_LIFE {
        return Err(setting(issuer, "longest_life", "has to be up to 24 hours"));
    }
    Ok(())
}

/// `https://github.com/OWNER`
fn is_owner(audience: &str) -> bool {
    audience
        .strip_prefix("https://github.com/")
        .is_some_and(|rest| !rest.trim_end_matches('/').contains('/'))
}

fn setting(issuer: &IssuerSettings, field: &'static str, why: impl Into<String>) -> OidcSetupError {
    OidcSetupError::Setting {
        issuer: issuer.name.clone(),
        field,
        why: why.into(),
    }
}

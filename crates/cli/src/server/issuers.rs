//! The issuers of the file and of the command line.

use std::time::Duration;

use fnox_server::settings::{Algorithm, IssuerSettings, Preset};

use super::file::{Part, ServerFile};
use super::settings::Overrides;
use crate::error::CliError;

/// What is accepted unless something else is said: what all of the presets sign with.
const USUAL: &[Algorithm] = &[Algorithm::Rs256];
const LEEWAY: Duration = Duration::from_mins(1);
const LONGEST_LEEWAY: Duration = Duration::from_mins(5);
const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// All issuers. One of the command line stands in the place of those of the file.
pub(crate) fn read(
    file: &ServerFile,
    flags: &Overrides,
    public_url: &str,
) -> Result<Vec<IssuerSettings>, CliError> {
    if let Some(issuer) = &flags.oidc_issuer {
        return Ok(vec![given(issuer, flags, public_url)]);
    }
    file.list("issuer")
        .map(|part| {
            let mut issuer = one(part, public_url)?;
            if let Some(audience) = &flags.oidc_audience {
                issuer.audience.clone_from(audience);
            }
            Ok(issuer)
        })
        .collect()
}

/// `--oidc.issuer`: a URL, or a preset's name.
fn given(issuer: &str, flags: &Overrides, public_url: &str) -> IssuerSettings {
    let preset = Preset::parse(issuer)
        .filter(|preset| preset.url().is_some())
        .or_else(|| {
            Preset::ALL
                .into_iter()
                .find(|preset| preset.url() == Some(issuer))
        });
    let url = preset.and_then(Preset::url).unwrap_or(issuer);
    let preset = preset.unwrap_or(Preset::Generic);
    IssuerSettings {
        name: preset.as_str().to_owned(),
        preset,
        url: url.to_owned(),
        audience: flags
            .oidc_audience
            .clone()
            .unwrap_or_else(|| public_url.to_owned()),
        algorithms: USUAL.to_vec(),
        jwks_file: None,
        // Whoever typed it means exactly this place.
        allow_origins: origin(url).into_iter().collect(),
        leeway: LEEWAY,
        longest_life: LONGEST_LIFE,
    }
}

/// Scheme, host and port of a URL.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Some(format!("{scheme}://{authority}"))
}

fn one(part: Part<'_>, public_url: &str) -> Result<IssuerSettings, CliError> {
    let name = part.owned("name").unwrap_or_default();
    if name.is_empty() || name.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control()) {
        return Err(part.invalid("name", "must be one word without colons"));
    }
    if matches!(name.as_str(), "bootstrap" | "scim" | "gateway") {
        return Err(part.invalid("name", "is what the server calls its own tokens"));
    }
    let preset = match part.text("preset") {
        Some(word) => Preset::parse(word),
        None => Preset::parse(&name),
    }
    .unwrap_or(Preset::Generic);
    let url = part
        .owned("url")
        .or_else(|| preset.url().map(str::to_owned))
        .ok_or_else(|| {
            part.invalid(
                "url",
                format!(
                    "is missing: the preset `{}` has no address of its own",
                    preset.as_str()
                ),
            )
        })?;
    let mut algorithms = Vec::new();
    for word in part.list("algorithms") {
        let algorithm = Algorithm::parse(word).ok_or_else(|| {
            let known = Algorithm::ALL.map(Algorithm::as_str).join(", ");
            part.invalid("algorithms", format!("has `{word}`: use {known}"))
        })?;
        if !algorithms.contains(&algorithm) {
            algorithms.push(algorithm);
        }
    }
    if algorithms.is_empty() {
        algorithms = USUAL.to_vec();
    }
    Ok(IssuerSettings {
        name,
        preset,
        url,
        audience: part
            .owned("audience")
            .unwrap_or_else(|| public_url.to_owned()),
        algorithms,
        jwks_file: part.path("jwks_file"),
        allow_origins: part.list("allow_origins").to_vec(),
        leeway: part.time("leeway", LEEWAY, Some(LONGEST_LEEWAY))?,
        longest_life: part.time("longest_life", LONGEST_LIFE, Some(LONGEST_LIFE))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_of_the_command_line_is_a_preset_or_an_address() {
        let flags = Overrides {
            oidc_audience: Some("a".to_owned()),
            ..Overrides::default()
        };
        let github = given("github", &flags, "https://fnox.example.com");
        assert_eq!(github.url, Preset::Github.url().unwrap());
        assert_eq!(
            (github.name.as_str(), github.audience.as_str()),
            ("github", "a")
        );
        let same = given(
            &github.url,
            &Overrides::default(),
            "https://fnox.example.com",
        );
        assert_eq!(same.preset, Preset::Github);
        assert_eq!(same.audience, "https://fnox.example.com");
        let local = given("http://127.0.0.1:9/x", &flags, "");
        assert_eq!(local.preset, Preset::Generic);
        assert_eq!(local.allow_origins, ["http://127.0.0.1:9"]);
    }
}

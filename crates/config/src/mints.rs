//! Leases that stand in another file than `fnox.toml`: the `[mint.NAME]` tables of a vault.
//!
//! They are read by the same tables as `[leases.NAME]` and as strictly. What only `fnox exec` could do with a lease is
//! refused, so that nobody believes that a vault does it.

use std::path::Path;
use std::sync::Arc;

use fnox_core::{LeaseName, SecretName};
use indexmap::IndexMap;

use crate::error::ConfigError;
use crate::fields::Fields;
use crate::file::{invalid_name, read_lease_of};
use crate::layers::{Config, Settings};
use crate::lease::LeaseConfig;
use crate::model::SecretConfig;
use crate::read::Reader;
use crate::source::Location;
use crate::spec::{self, Field};

/// Keys that say how a program gets a credential, or what happens to it without one.
const FOR_PROGRAMS: [&str; 7] = [
    "required",
    "deliver",
    "files",
    "restart",
    "override",
    "revoke_on_exit",
    "on_renewal_failure",
];

/// The keys of every `[mint.NAME]`; its type has more.
pub fn fields() -> impl Iterator<Item = &'static Field> + Clone {
    let of_leases = spec::LEASE_COMMON.fields.iter();
    of_leases
        .filter(|field| !FOR_PROGRAMS.contains(&field.name))
        .chain(spec::MINT.fields)
}

/// One `[mint.NAME]`.
#[derive(Debug, Clone)]
pub struct MintConfig {
    /// What it makes, and how.
    pub lease: LeaseConfig,
    /// What it is for.
    pub description: Option<String>,
    /// Which secrets its masters are: variables, and names of the vault's secrets.
    pub masters: IndexMap<SecretName, String>,
}

/// Reads the tables under a key that was kept as it stands ([`spec::Kind::Opaque`]).
///
/// # Errors
/// [`ConfigError`] with the place of the first thing that is wrong.
pub fn read(top: &Fields, key: &str) -> Result<Vec<MintConfig>, ConfigError> {
    let Some(item) = top.opaque(key) else {
        return Ok(Vec::new());
    };
    let place = top.location_of(key);
    let reader = Reader {
        file: Arc::clone(&place.file),
    };
    let tables = reader.table(item, key, place, "a table of mints")?;
    tables
        .iter()
        .map(|(name, item)| {
            let place = reader.key_location(tables, name);
            let parsed =
                LeaseName::parse(name).map_err(|error| invalid_name(&place, name, &error))?;
            let more = spec::MINT.fields;
            let lease = read_lease_of(&reader, &parsed, item, &place, (key, "mint"), more)?;
            MintConfig::of(lease)
        })
        .collect()
}

impl MintConfig {
    fn of(lease: LeaseConfig) -> Result<Self, ConfigError> {
        let fields = &lease.fields;
        if let Some(key) = FOR_PROGRAMS.into_iter().find(|key| fields.contains(key)) {
            let reason = "is for programs that `fnox exec` starts; a vault hands out values";
            return Err(fields.invalid(key, reason));
        }
        let mut masters = IndexMap::new();
        for (variable, secret) in fields.map("masters").into_iter().flatten() {
            let name = SecretName::parse(variable).map_err(|error| {
                fields.invalid("masters", format!("names no variable: {error}"))
            })?;
            masters.insert(name, secret.clone());
        }
        Ok(Self {
            description: fields.text("description").map(str::to_owned),
            masters,
            lease,
        })
    }
}

/// A configuration of leases alone. `masters` are the names by which they find their masters; `ledger` is what the
/// ledger of these leases is named after.
#[must_use]
pub fn configuration(
    leases: impl IntoIterator<Item = LeaseConfig>,
    masters: impl IntoIterator<Item = SecretName>,
    place: &Location,
    ledger: &Path,
) -> Config {
    let masters = masters.into_iter().filter_map(|name| {
        // A secret without any key is never wrong.
        let secret = SecretConfig::new(name.clone(), Fields::empty(place.clone())).ok()?;
        Some((name, secret))
    });
    Config {
        profiles: Vec::new(),
        selected_profiles: Vec::new(),
        known_profiles: Vec::new(),
        providers: IndexMap::new(),
        secrets: masters.collect(),
        leases: leases
            .into_iter()
            .map(|lease| (lease.name.clone(), lease))
            .collect(),
        settings: Settings::default(),
        project_dir: ledger.to_owned(),
        files: vec![Arc::clone(&place.file)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Kind, Section};
    use crate::standalone;

    static TOP: Section = Section {
        heading: "vault.toml",
        doc: "",
        fields: &[Field::optional("mint", Kind::Opaque, "")],
    };

    fn parse(text: &str) -> Result<Vec<MintConfig>, ConfigError> {
        let top = standalone::read(Path::new("/vault.toml"), text.to_owned(), &TOP)?;
        read(&top, "mint")
    }

    #[test]
    fn a_mint_has_the_keys_of_its_type_and_those_of_a_vault() {
        let text = "[mint.aws]\ntype = 'aws-sts'\nregion = 'eu-central-1'\nrole_arn = 'arn:aws:iam::1:role/x'\n\
                    duration = '15m'\nper_operation = true\nvariable = 'AWS_SESSION_TOKEN'\n\
                    [mint.aws.masters]\nAWS_ACCESS_KEY_ID = 'deployer-id'\n";
        let mints = parse(text).unwrap();
        assert_eq!(mints[0].lease.name.as_str(), "aws");
        assert!(mints[0].lease.per_operation);
        assert_eq!(
            mints[0].lease.variable.as_deref(),
            Some("AWS_SESSION_TOKEN")
        );
        assert_eq!(mints[0].masters["AWS_ACCESS_KEY_ID"], "deployer-id");
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn every_key_of_a_lease_is_one_of_mints_or_refused() {
        for field in spec::LEASE_COMMON.fields {
            if field.name == "type" {
                continue;
            }
            let value = match field.kind {
                Kind::Flag => "true",
                Kind::Choice(words) => &format!("'{}'", words[0]),
                Kind::TextList => "['env']",
                Kind::Tables(_) => "[{ path = 'x', variable = 'X' }]",
                _ => "'15m'",
            };
            let value = if field.name == "variable" {
                "'X'"
            } else {
                value
            };
            let text = format!(
                "[mint.x]\ntype = 'command'\ncreate_command = 'x'\n{} = {value}",
                field.name
            );
            let listed = fields().any(|it| it.name == field.name);
            assert_eq!(parse(&text).is_ok(), listed, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, wanted) in [
            ("mint = 1", 1, "a table of mints"),
            ("[mint.x]\ncreate_command = 'x'", 1, "`type`"),
            ("[mint.x]\ntype = 'comand'", 2, "comand"),
            ("[mint.x]\ntype = 'command'", 1, "create_command"),
            (
                "[mint.x]\ntype = 'command'\ncreate_command = 'x'\nrol = 1",
                4,
                "the mint `x` of type `command`",
            ),
            (
                "[mint.x]\ntype = 'command'\ncreate_command = 'x'\ndeliver = ['env']",
                4,
                "hands out values",
            ),
            (
                "[mint.x]\ntype = 'command'\ncreate_command = 'x'\nvariable = 'A B'",
                4,
                "no variable",
            ),
            (
                "[mint.x]\ntype = 'command'\ncreate_command = 'x'\nmasters = { 'A B' = 'c' }",
                4,
                "no variable",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(wanted), "{text}: {error}");
            assert_eq!(error.location().unwrap().line(), line, "{text}");
        }
    }

    #[test]
    fn a_configuration_of_mints_has_their_masters_as_secrets_without_values() {
        let mints = parse("[mint.x]\ntype = 'command'\ncreate_command = 'x'").unwrap();
        let place = mints[0].lease.fields.location().clone();
        let leases = mints.into_iter().map(|mint| mint.lease);
        let master = SecretName::parse("TOKEN").unwrap();
        let config = configuration(leases, [master], &place, Path::new("/ledger"));
        assert!(config.lease("x").is_ok() && config.secrets["TOKEN"].value.is_none());
        assert_eq!(config.project_dir, Path::new("/ledger"));
    }
}

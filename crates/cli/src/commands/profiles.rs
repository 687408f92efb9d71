//! `fnox profiles`

use std::collections::BTreeMap;

use fnox_config::{Config, ConfigError, FileKind, SourceFile};
use fnox_core::ProfileName;

use crate::app::App;
use crate::args::ProfilesArgs;
use crate::error::CliError;
use crate::output::documents::ListedProfile;

pub(crate) fn run(app: &App, args: &ProfilesArgs) -> Result<(), CliError> {
    let profiles = profiles(app)?;
    if args.complete {
        return profiles
            .iter()
            .try_for_each(|profile| app.printer.line(&profile.name));
    }
    if args.json {
        return app.printer.json(&profiles);
    }
    app.printer.line("Profiles:")?;
    profiles.iter().try_for_each(|profile| {
        let count = profile.secrets;
        let plural = if count == 1 { "" } else { "s" };
        app.printer
            .line(&format!("  {} ({count} secret{plural})", profile.name))
    })
}

/// Exactly so: files have these names in lower case.
const FILE_ENDING: &str = ".toml";

/// All profiles by name. A profile's number of secrets is what `-P NAME` shows.
pub(crate) fn profiles(app: &App) -> Result<Vec<ListedProfile>, CliError> {
    let mut loader = app.loader();
    let active = std::mem::take(&mut loader.profiles);
    let base = match loader.load() {
        Ok(config) => config,
        // No configuration has no profiles but the base.
        Err(ConfigError::NotFound { .. }) => {
            return Ok(vec![ListedProfile {
                name: "default".to_owned(),
                secrets: 0,
                active: true,
            }]);
        }
        Err(error) => return Err(error.into()),
    };
    let names = known(app, &base);
    let mut counts = BTreeMap::from([("default".to_owned(), base.secrets.len())]);
    for name in names {
        if !counts.contains_key(name.as_str()) {
            loader.profiles = vec![name.clone()];
            counts.insert(name.to_string(), loader.load()?.secrets.len());
        }
    }
    let active: Vec<&str> = active
        .iter()
        .map(AsRef::as_ref)
        .filter(|name| *name != "default")
        .collect();
    let is_active = |name: &str| match name {
        "default" => active.is_empty(),
        name => active.contains(&name),
    };
    let listed = counts.into_iter().map(|(name, secrets)| {
        let active = is_active(&name);
        ListedProfile {
            name,
            secrets,
            active,
        }
    });
    Ok(listed.collect())
}

/// Every profile that could be active here, also one that has a file of its own.
pub(crate) fn known(app: &App, base: &Config) -> Vec<ProfileName> {
    let mut names = base.known_profiles.clone();
    if app.explicit_file().is_none() {
        let files = base.files.iter();
        names.extend(files.flat_map(|file| with_files_of_their_own(file)));
    }
    names
}

/// Profiles that have a file `fnox.NAME.toml` beside a file that was found.
fn with_files_of_their_own(file: &SourceFile) -> Vec<ProfileName> {
    if file.imported_by.is_some() || !matches!(file.kind, FileKind::Project | FileKind::Local) {
        return Vec::new();
    }
    let Ok(entries) = std::fs::read_dir(file.folder()) else {
        return Vec::new();
    };
    let name_of = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.ok()?.file_name();
        let name = name.to_str()?;
        let name = name.strip_prefix('.').unwrap_or(name);
        let profile = name.strip_prefix("fnox.")?.strip_suffix(FILE_ENDING)?;
        // `fnox.local.toml` and `fnox.prod.local.toml` are no profiles.
        let is_local = profile.split('.').next_back() == Some("local");
        (!is_local)
            .then(|| ProfileName::parse(profile).ok())
            .flatten()
    };
    entries.filter_map(name_of).collect()
}

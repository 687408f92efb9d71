//! Which files take part, from lowest to highest priority.

use std::path::{Path, PathBuf};

use fnox_core::ProfileName;

/// Names of project files within a folder, lowest priority first.
pub const PROJECT_FILES: [&str; 3] = ["fnox.toml", ".fnox.toml", ".config/fnox.toml"];

/// Names of local files within a folder, lowest priority first.
pub const LOCAL_FILES: [&str; 3] = [
    "fnox.local.toml",
    ".fnox.local.toml",
    ".config/fnox.local.toml",
];

/// Names of a profile's files within a folder, lowest priority first. `default` has none.
#[must_use]
pub fn profile_files(profile: &ProfileName) -> Vec<String> {
    if profile.as_str() == "default" {
        return Vec::new();
    }
    vec![
        format!("fnox.{profile}.toml"),
        format!(".fnox.{profile}.toml"),
        format!(".config/fnox.{profile}.toml"),
    ]
}

/// The profiles that have files in a folder.
pub(crate) fn profiles_in(folder: &Path) -> Vec<ProfileName> {
    let mut found = Vec::new();
    for place in [folder.to_owned(), folder.join(".config")] {
        let Ok(entries) = place.read_dir() else {
            continue;
        };
        for name in entries.flatten().map(|entry| entry.file_name()) {
            let Some(name) = name.to_str() else { continue };
            let name = name.strip_prefix('.').unwrap_or(name);
            let profile = name.strip_prefix("fnox.");
            let profile = profile.and_then(|name| name.strip_suffix(".toml"));
            let profile = profile.filter(|name| *name != "local" && *name != "default");
            found.extend(profile.and_then(|name| ProfileName::parse(name).ok()));
        }
    }
    found
}

/// The folder of `--config`'s file if it names one outright, `None` if it is one of the bare names that
/// start the usual search.
#[must_use]
pub fn explicit_path(argument: &Path, cwd: &Path) -> Option<PathBuf> {
    const BARE: [&str; 4] = [
        "fnox.toml",
        ".fnox.toml",
        "fnox.local.toml",
        ".fnox.local.toml",
    ];
    if BARE.iter().any(|name| argument.as_os_str() == *name) {
        return None;
    }
    Some(cwd.join(argument))
}

/// The folder that a discovered file belongs to; `.config/fnox.toml` belongs to the folder above.
#[must_use]
pub fn place(path: &Path) -> &Path {
    let folder = path.parent().unwrap_or(path);
    match folder.parent() {
        Some(above) if folder.ends_with(".config") => above,
        _ => folder,
    }
}

/// `cwd` and the folders above it, nearest first.
pub(crate) fn ancestors(cwd: &Path) -> impl Iterator<Item = &Path> {
    cwd.ancestors()
}

/// The nearest folder that holds any configuration file: the scope of the lease ledger.
#[must_use]
pub fn project_dir(cwd: &Path, profiles: &[ProfileName]) -> Option<PathBuf> {
    ancestors(cwd)
        .find(|folder| {
            let of_profiles = profiles.iter().flat_map(profile_files);
            PROJECT_FILES
                .iter()
                .chain(&LOCAL_FILES)
                .map(|name| (*name).to_owned())
                .chain(of_profiles)
                .any(|name| folder.join(name).is_file())
        })
        .map(Path::to_owned)
}

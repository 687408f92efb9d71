//! The least Rust version: the greatest of what the dependencies declare.

use cargo_metadata::Metadata;
use cargo_metadata::semver::Version;

use crate::failure::Failure;
use crate::tree::Tree;

/// Prints the version and who needs it; with `check`, fails if `rust-version` is another.
pub(crate) fn run(tree: &Tree, check: bool) -> Result<String, Failure> {
    let metadata = tree.metadata(true)?;
    let (needed, by) = needed(&metadata);
    let declared = declared(&metadata);
    let text = format!("Rust {needed}, for {by}");
    if !check || declared.as_ref() == Some(&needed) {
        return Ok(text);
    }
    let declared = declared.map_or_else(|| "nothing".to_owned(), |version| version.to_string());
    Err(Failure::Rule {
        rule: "`rust-version` is what the dependencies need",
        broken: vec![format!("Cargo.toml says {declared}, needed is {text}")],
    })
}

fn needed(metadata: &Metadata) -> (Version, String) {
    let foreign = metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some());
    let needed = foreign
        .filter_map(|package| {
            let version = package.rust_version.clone()?;
            Some((version, format!("{} {}", package.name, package.version)))
        })
        .max();
    // Edition 2024 itself needs 1.85.
    needed.unwrap_or((Version::new(1, 85, 0), "edition 2024".to_owned()))
}

/// `workspace.package.rust-version`, as every member has it.
fn declared(metadata: &Metadata) -> Option<Version> {
    metadata.workspace_packages().first()?.rust_version.clone()
}

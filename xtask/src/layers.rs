//! The direction of dependencies between crates (`ARCHITECTURE.md`, the layers table).

use cargo_metadata::{DependencyKind, Metadata};

use crate::failure::Failure;
use crate::tree::Tree;

/// What each crate may depend on among ours. A new crate needs a line here.
const LAYERS: &[(&str, &[&str])] = &[
    ("fnox-core", &[]),
    ("fnox-system", &[]),
    ("fnox-config", &["fnox-core", "fnox-system"]),
    ("fnox-http", &["fnox-core"]),
    (
        "fnox-providers",
        &[
            "fnox-core",
            "fnox-system",
            "fnox-config",
            "fnox-http",
            "fnox-api",
            "fnox-aws",
            "fnox-vault-wire",
        ],
    ),
    (
        "fnox-leases",
        &[
            "fnox-core",
            "fnox-system",
            "fnox-config",
            "fnox-http",
            "fnox-providers",
            "fnox-aws",
        ],
    ),
    ("fnox-api", &["fnox-core"]),
    ("fnox-server", &["fnox-core", "fnox-system", "fnox-api"]),
    ("fnox-vault-wire", &["fnox-core"]),
    ("fnox-vault", &["fnox-core", "fnox-vault-wire"]),
    (
        "fnox-store-sqlite",
        &["fnox-core", "fnox-vault-wire", "fnox-vault", "fnox-server"],
    ),
    (
        "fnox-store-postgres",
        &["fnox-core", "fnox-vault-wire", "fnox-vault", "fnox-server"],
    ),
    ("fnox-aws", &["fnox-core"]),
    (
        "fnox-store-aws-sm",
        &["fnox-core", "fnox-aws", "fnox-vault-wire", "fnox-vault"],
    ),
    ("fnox-gateway", &["fnox-core", "fnox-vault-wire"]),
    ("fnox-agent", &["fnox-core", "fnox-vault-wire"]),
    (
        "fnox-cli",
        &[
            "fnox-core",
            "fnox-system",
            "fnox-config",
            "fnox-http",
            "fnox-providers",
            "fnox-leases",
            "fnox-aws",
            "fnox-api",
            "fnox-server",
            "fnox-vault-wire",
            "fnox-vault",
            "fnox-store-sqlite",
            "fnox-store-postgres",
            "fnox-store-aws-sm",
            "fnox-gateway",
        ],
    ),
    ("fnox-testkit", &["fnox-core"]),
    (
        "xtask",
        &[
            "fnox-core",
            "fnox-config",
            "fnox-providers",
            "fnox-leases",
            "fnox-api",
            "fnox-server",
            "fnox-vault-wire",
            "fnox-gateway",
            "fnox-vault",
            "fnox-cli",
        ],
    ),
];

/// May stand only in `[dev-dependencies]`.
const DEV_ONLY: &str = "fnox-testkit";

/// Whose tests run on something above it: a real database instead of one that only tests have.
const TESTED_ON: &[(&str, &str)] = &[
    ("fnox-server", "fnox-store-sqlite"),
    ("fnox-agent", "fnox-vault"),
    ("fnox-agent", "fnox-gateway"),
];

/// Fails if a crate depends on one that it may not.
pub(crate) fn check(tree: &Tree) -> Result<String, Failure> {
    let metadata = tree.metadata(false)?;
    Failure::unless_empty(
        "crates depend only on those below them",
        broken(&metadata),
        || format!("{} crates depend only on those below them", LAYERS.len()),
    )
}

fn broken(metadata: &Metadata) -> Vec<String> {
    let mut broken = Vec::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == name) else {
            broken.push(format!("{name}: has no line in the layers table"));
            continue;
        };
        // A dependency by path is one of ours.
        for dependency in package.dependencies.iter().filter(|one| one.path.is_some()) {
            let other = dependency.name.as_str();
            let allowed = match dependency.kind {
                DependencyKind::Development => {
                    other == DEV_ONLY
                        || allowed.contains(&other)
                        || TESTED_ON.contains(&(name, other))
                }
                _ => allowed.contains(&other),
            };
            if !allowed {
                broken.push(format!("{name}: must not depend on {other}"));
            }
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_depend_only_on_those_below_them() {
        let metadata = Tree::of_this_repository().metadata(false).unwrap();
        assert_eq!(broken(&metadata), [] as [&str; 0]);
    }

    #[test]
    fn an_arrow_that_points_upwards_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::at(folder.path());
        let crates = [
            ("core", "fnox-core", "fnox-cli = { path = \"../cli\" }"),
            (
                "cli",
                "fnox-cli",
                "fnox-testkit = { path = \"../testkit\" }",
            ),
            ("testkit", "fnox-testkit", ""),
            ("new", "fnox-new", ""),
        ];
        for (path, name, dependency) in crates {
            let manifest = format!(
                "[package]\nname = \"{name}\"\nedition = \"2024\"\n[dependencies]\n{dependency}\n"
            );
            tree.write(&format!("crates/{path}/Cargo.toml"), &manifest)
                .unwrap();
            tree.write(&format!("crates/{path}/src/lib.rs"), "")
                .unwrap();
        }
        tree.write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n",
        )
        .unwrap();
        let mut metadata = cargo_metadata::MetadataCommand::new();
        metadata
            .manifest_path(folder.path().join("Cargo.toml"))
            .no_deps();
        let mut found = broken(&metadata.exec().unwrap());
        found.sort();
        assert_eq!(
            found,
            [
                "fnox-cli: must not depend on fnox-testkit",
                "fnox-core: must not depend on fnox-cli",
                "fnox-new: has no line in the layers table",
            ]
        );
    }
}

//! The page of each type: its examples load, and the type can be opened.

use std::path::Path;

use fnox_config::spec::PROVIDERS;
use fnox_config::{Folders, Loader};
use fnox_core::Env;
use fnox_providers::Registry;

/// The blocks of a page that are fnox.toml.
fn examples(page: &str) -> Vec<&str> {
    let blocks = page.split("\n```toml\n").skip(1);
    blocks
        .map(|block| block.split("\n```").next().unwrap())
        .collect()
}

/// The types of the providers of a configuration, or why it is none.
fn types(text: &str) -> Result<Vec<&'static str>, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("fnox.toml"), text).unwrap();
    let home = folder.path().display().to_string();
    let env: Env = [("HOME", home.as_str())].into_iter().collect();
    let folders = Folders::from_env(&env);
    let loader = Loader {
        env: &env,
        folders: &folders,
        cwd: folder.path(),
        explicit: None,
        profiles: Vec::new(),
        may_create: None,
        no_defaults: false,
    };
    let config = loader.load().map_err(|error| error.to_string())?;
    let providers = config.providers.values();
    Ok(providers.map(|provider| provider.spec.name).collect())
}

#[test]
fn every_type_can_be_opened_and_has_a_page_whose_examples_load() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/providers");
    for spec in PROVIDERS {
        // Without its feature a plugin's type is known and cannot be opened.
        let is_left_out = spec.name == "lua" && cfg!(not(feature = "lua"));
        assert_ne!(Registry.has(spec), is_left_out, "{}", spec.name);
        let path = pages.join(format!("{}.md", spec.name));
        let page = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut shown = Vec::new();
        for example in examples(&page) {
            let types = types(example)
                .unwrap_or_else(|error| panic!("{}: {error}\n{example}", path.display()));
            shown.extend(types);
        }
        assert!(shown.contains(&spec.name), "{}", path.display());
    }
}

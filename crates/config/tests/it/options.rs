//! Tables whose keys somebody else knows.

use fnox_config::{Config, ConfigError, Folders, Loader, OptionValue, TextOrSecret};
use fnox_core::Env;

fn load(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("fnox.toml"), text).unwrap();
    let env: Env = [("HOME", "/nonexistent")].into_iter().collect();
    Loader {
        env: &env,
        folders: &Folders::from_env(&env),
        cwd: folder.path(),
        explicit: None,
        profiles: Vec::new(),
        may_create: None,
        no_defaults: false,
    }
    .load()
}

#[test]
fn options_are_texts_secrets_flags_and_numbers() {
    let text = |options: &str| {
        format!("[providers.x]\ntype = \"external\"\nprogram = \"x\"\noptions = {{ {options} }}\n")
    };
    let given = "a = \"text\", b = { secret = \"B_TOKEN\" }, c = true, d = -7, \"e f\" = \"\"";
    let config = load(&text(given)).unwrap();
    let fields = &config.provider("x", None).unwrap().fields;
    let options = fields.options("options").unwrap();
    assert_eq!(options["c"], OptionValue::Flag(true));
    assert_eq!(options["d"], OptionValue::Number(-7));
    let empty = TextOrSecret::Text(String::new());
    assert_eq!(options["e f"], OptionValue::Text(empty));
    let secrets: Vec<(&str, &str)> = fields
        .secrets()
        .map(|(key, name)| (key, name.as_str()))
        .collect();
    assert_eq!(secrets, [("options", "B_TOKEN")]);
    for wrong in [
        "a = 1.5",
        "a = [1]",
        "a = { sceret = \"B\" }",
        "a = { secret = 7 }",
    ] {
        let error = load(&text(wrong)).unwrap_err();
        assert!(error.to_string().contains("options"), "{wrong}: {error}");
    }
}

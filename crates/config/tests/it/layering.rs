//! Discovery, layers, profiles.

use std::path::{Path, PathBuf};

use fnox_config::trust::TrustRecord;
use fnox_config::{Config, ConfigError, Folders, Loader};
use fnox_core::{Env, ProfileName};
use proptest::prelude::*;

struct Tree {
    root: tempfile::TempDir,
}

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn load(&self, cwd: &str, profiles: &[&str]) -> Result<Config, ConfigError> {
        self.load_with(cwd, profiles, |_| ())
    }

    fn load_with(
        &self,
        cwd: &str,
        profiles: &[&str],
        adjust: impl FnOnce(&mut Loader<'_>),
    ) -> Result<Config, ConfigError> {
        let home = self.path("home");
        let env: Env = [("HOME", home.to_str().unwrap())].into_iter().collect();
        let folders = Folders::from_env(&env);
        let cwd = self.path(cwd);
        std::fs::create_dir_all(&cwd).unwrap();
        let mut loader = Loader {
            env: &env,
            folders: &folders,
            cwd: &cwd,
            explicit: None,
            profiles: profiles
                .iter()
                .map(|name| ProfileName::parse(name).unwrap())
                .collect(),
            may_create: None,
            no_defaults: false,
        };
        adjust(&mut loader);
        loader.load()
    }
}

#[test]
fn nothing_of_a_folder_that_is_not_trusted_is_read() {
    let project = Tree::new(&[
        ("a/fnox.toml", &secret("a")),
        ("a/b/fnox.toml", "this is no TOML"),
    ]);
    let home = project.path("home");
    let env: Env = [("HOME", home.to_str().unwrap())].into_iter().collect();
    let folders = Folders::from_env(&env);
    let load = |cwd: &str, trusted: &[&str]| {
        let record = TrustRecord {
            folders: trusted
                .iter()
                .map(|path| project.path(path).canonicalize().unwrap())
                .collect(),
            ..TrustRecord::default()
        };
        let loader = Loader {
            env: &env,
            folders: &folders,
            cwd: &project.path(cwd),
            explicit: None,
            profiles: Vec::new(),
            may_create: None,
            no_defaults: false,
        };
        loader.load_trusted(record)
    };
    assert_eq!(value(&load("a", &["a"]).unwrap(), "S"), Some("a"));
    for trusted in [&["a"][..], &[]] {
        let error = load("a/b", trusted).unwrap_err();
        let nearest = project.path("a/b");
        assert!(
            matches!(&error, ConfigError::FolderNotTrusted { folder } if *folder == nearest),
            "{error:?}"
        );
        assert!(error.help().unwrap().contains("fnox trust"));
    }
    let error = load("a/b", &["a/b"]).unwrap_err();
    assert!(matches!(error, ConfigError::Syntax { .. }), "{error:?}");
}

fn value<'a>(config: &'a Config, name: &str) -> Option<&'a str> {
    config
        .secrets
        .get(name)
        .and_then(|secret| secret.value.as_deref())
}

fn secret(value: &str) -> String {
    format!("[secrets]\nS = {{ value = \"{value}\" }}\n")
}

#[test]
fn each_layer_beats_the_ones_below_it() {
    // Lowest priority first, as documented.
    let layers = [
        "home/.config/fnox/config.toml",
        "a/fnox.toml",
        "a/.fnox.toml",
        "a/.config/fnox.toml",
        "a/fnox.p.toml",
        "a/.fnox.p.toml",
        "a/.config/fnox.p.toml",
        "a/fnox.local.toml",
        "a/.fnox.local.toml",
        "a/.config/fnox.local.toml",
    ];
    for top in 0..layers.len() {
        let texts: Vec<String> = layers.iter().map(|name| secret(name)).collect();
        let mut files: Vec<(&str, &str)> = layers
            .iter()
            .zip(&texts)
            .take(top + 1)
            .map(|(name, text)| (*name, text.as_str()))
            .collect();
        files.push(("a/fnox.toml", texts[1].as_str()));
        files.push(("a/.config/x", ""));
        let tree = Tree::new(&files);
        let profile_exists = (4..=6).contains(&top) || top > 6;
        let profiles: &[&str] = if profile_exists { &["p"] } else { &[] };
        let config = tree.load("a", profiles).unwrap();
        let wanted = layers[top.max(1)];
        assert_eq!(
            value(&config, "S"),
            Some(wanted),
            "top layer {}",
            layers[top]
        );
    }
}

#[test]
fn nearer_folders_win_and_root_stops_the_walk() {
    let tree = Tree::new(&[
        (
            "a/fnox.toml",
            "[secrets]\nOUTER = { value = \"outer\" }\nS = { value = \"outer\" }\n",
        ),
        ("a/b/fnox.toml", &secret("inner")),
        (
            "a/c/fnox.toml",
            &format!("root = true\n{}", secret("rooted")),
        ),
    ]);
    let inner = tree.load("a/b/deep/er", &[]).unwrap();
    assert_eq!(
        (value(&inner, "S"), value(&inner, "OUTER")),
        (Some("inner"), Some("outer"))
    );
    assert_eq!(inner.project_dir, tree.path("a/b"));
    let rooted = tree.load("a/c", &[]).unwrap();
    assert_eq!(
        (value(&rooted, "S"), value(&rooted, "OUTER")),
        (Some("rooted"), None)
    );
}

#[test]
fn imports_lie_below_the_importer_and_the_first_one_wins() {
    let tree = Tree::new(&[
        (
            "a/fnox.toml",
            "import = [\"one.toml\", \"../two.toml\"]\n[secrets]\nA = { value = \"main\" }\n",
        ),
        (
            "a/one.toml",
            "root = true\nimport = [\"never.toml\"]\n[secrets]\nA = { value = \"one\" }\nB = { value = \"one\" }\n",
        ),
        (
            "two.toml",
            "[secrets]\nB = { value = \"two\" }\nC = { value = \"two\" }\n",
        ),
        ("fnox.toml", "[secrets]\nOUTER = { value = \"outer\" }\n"),
    ]);
    let config = tree.load("a", &[]).unwrap();
    assert_eq!(value(&config, "A"), Some("main"));
    assert_eq!(value(&config, "B"), Some("one"));
    assert_eq!(value(&config, "C"), Some("two"));
    assert_eq!(
        value(&config, "OUTER"),
        Some("outer"),
        "an import's `root` has no effect"
    );
}

#[test]
fn a_missing_import_is_named_by_its_absolute_path() {
    let tree = Tree::new(&[("a/fnox.toml", "import = [\"gone.toml\"]\n")]);
    match tree.load("a", &[]).unwrap_err() {
        ConfigError::MissingImport { path, .. } => assert_eq!(path, tree.path("a/gone.toml")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn profiles_inherit_depth_first_and_cycles_are_printed() {
    let tree = Tree::new(&[
        (
            "a/fnox.toml",
            "[profiles.base.secrets]\nS = { value = \"base\" }\nT = { value = \"base\" }\n\
             [profiles.left]\ninherits = [\"base\"]\n[profiles.left.secrets]\nS = { value = \"left\" }\n\
             [profiles.both]\ninherits = [\"left\", \"base\"]\n",
        ),
        (
            "c/fnox.toml",
            "[profiles.x]\ninherits = [\"y\"]\n[profiles.y]\ninherits = [\"x\"]\n",
        ),
    ]);
    let config = tree.load("a", &["both"]).unwrap();
    let names: Vec<&str> = config.profiles.iter().map(ProfileName::as_str).collect();
    assert_eq!(names, ["base", "left", "both"]);
    assert_eq!(
        (value(&config, "S"), value(&config, "T")),
        (Some("left"), Some("base"))
    );
    match tree.load("c", &["x"]).unwrap_err() {
        ConfigError::Cycle { chain, .. } => assert_eq!(chain, ["x", "y", "x"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn inheritance_can_reveal_profile_files() {
    let tree = Tree::new(&[
        ("a/fnox.toml", "[profiles.top]\ninherits = [\"hidden\"]\n"),
        ("a/fnox.hidden.toml", &secret("hidden")),
    ]);
    assert_eq!(
        value(&tree.load("a", &["top"]).unwrap(), "S"),
        Some("hidden")
    );
}

#[test]
fn an_unknown_profile_is_named_with_its_neighbour() {
    let tree = Tree::new(&[("a/fnox.toml", "[profiles.production.secrets]\n")]);
    let error = tree.load("a", &["prodution"]).unwrap_err();
    assert_eq!(error.to_string(), "there is no profile `prodution`");
    assert_eq!(error.help().as_deref(), Some("did you mean `production`?"));
}

#[test]
fn local_files_override_profiles_but_do_not_make_them_exist() {
    let tree = Tree::new(&[
        (
            "a/fnox.toml",
            "[profiles.p.secrets]\nS = { value = \"profile\" }\n",
        ),
        ("a/fnox.local.toml", &secret("mine")),
    ]);
    assert_eq!(value(&tree.load("a", &["p"]).unwrap(), "S"), Some("mine"));
    assert!(tree.load("a", &["q"]).is_err());
    let config = tree
        .load_with("a", &["p"], |loader| loader.no_defaults = true)
        .unwrap();
    assert_eq!(value(&config, "S"), Some("profile"));
}

#[test]
fn no_defaults_drops_the_base_only_with_a_profile() {
    let tree = Tree::new(&[(
        "a/fnox.toml",
        "[secrets]\nBASE = { value = \"b\" }\n[profiles.p.secrets]\nS = { value = \"p\" }\n",
    )]);
    let config = tree
        .load_with("a", &["p"], |loader| loader.no_defaults = true)
        .unwrap();
    assert_eq!(
        (value(&config, "BASE"), value(&config, "S")),
        (None, Some("p"))
    );
    let config = tree
        .load_with("a", &[], |loader| loader.no_defaults = true)
        .unwrap();
    assert_eq!(value(&config, "BASE"), Some("b"));
}

#[test]
fn the_default_profile_is_another_way_to_write_the_base() {
    let tree = Tree::new(&[(
        "a/fnox.toml",
        "[profiles.default]\nNPM_TOKEN = { description = \"NPM publish token\", require_approval = true }\n",
    )]);
    let config = tree.load("a", &[]).unwrap();
    assert!(config.secrets["NPM_TOKEN"].require_approval);
    assert!(
        tree.load("a", &["default"])
            .unwrap()
            .secrets
            .contains_key("NPM_TOKEN")
    );
}

#[test]
fn an_explicit_file_stands_alone_with_imports_and_the_global_file() {
    let tree = Tree::new(&[
        (
            "home/.config/fnox/config.toml",
            "[secrets]\nGLOBAL = { value = \"g\" }\n",
        ),
        ("fnox.toml", "[secrets]\nOUTER = { value = \"o\" }\n"),
        (
            "a/other.toml",
            "import = [\"imported.toml\"]\n[profiles.p.secrets]\nS = { value = \"p\" }\n",
        ),
        (
            "a/imported.toml",
            "[secrets]\nIMPORTED = { value = \"i\" }\n",
        ),
        ("a/fnox.p.toml", "[secrets]\nPROFILE = { value = \"x\" }\n"),
    ]);
    let path = tree.path("a/other.toml");
    let config = tree
        .load_with("a", &["p"], |loader| loader.explicit = Some(path))
        .unwrap();
    let names: Vec<&str> = config.secrets.keys().map(AsRef::as_ref).collect();
    assert_eq!(names, ["GLOBAL", "IMPORTED", "S"]);
    assert_eq!(config.project_dir, tree.path("a"));
}

#[test]
fn no_file_anywhere_says_where_the_search_began() {
    let tree = Tree::new(&[]);
    let error = tree.load("empty", &[]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(tree.path("empty").to_str().unwrap()),
        "{error}"
    );
    assert!(error.help().unwrap().contains("fnox init"));
}

#[test]
fn the_env_default_of_the_merged_configuration_reaches_secrets_that_say_nothing() {
    let tree = Tree::new(&[(
        "a/fnox.toml",
        "env = \"exec\"\n[secrets]\nA = { value = \"a\" }\nB = { value = \"b\", env = false }\n",
    )]);
    let config = tree.load("a", &[]).unwrap();
    assert_eq!(config.secrets["A"].env, fnox_config::EnvMode::Exec);
    assert_eq!(config.secrets["B"].env, fnox_config::EnvMode::Never);
}

#[test]
fn files_that_others_could_have_written_are_refused_until_trusted() {
    use std::os::unix::fs::PermissionsExt as _;
    let tree = Tree::new(&[("a/fnox.toml", &secret("s"))]);
    let file = tree.path("a/fnox.toml");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let error = tree.load("a", &[]).unwrap_err();
    assert!(matches!(error, ConfigError::Untrusted { .. }), "{error:?}");
    assert!(error.help().unwrap().contains("fnox trust"), "{error:?}");

    let env: Env = [("HOME", tree.path("home").to_str().unwrap())]
        .into_iter()
        .collect();
    let folders = Folders::from_env(&env);
    fnox_config::trust::Trust::new(&folders, &tree.path("a"))
        .trust(&file)
        .unwrap();
    tree.load("a", &[]).unwrap();
    std::fs::write(&file, secret("changed")).unwrap();
    assert!(
        tree.load("a", &[]).is_err(),
        "trust is for the content that was read"
    );
}

const BAD_FILES: &[(&str, &str, &str)] = &[
    ("[secrets", "config::syntax", "is not valid TOML"),
    (
        "[secrets]\nA = \"x\"\n",
        "config::invalid_value",
        "`A` must be a table",
    ),
    (
        "[secrets]\nA-B = { value = \"x\" }\n",
        "config::invalid_value",
        "cannot be an environment variable",
    ),
    (
        "[secrets]\nA = { valeu = \"x\" }\n",
        "config::unknown_key",
        "unknown key `valeu`",
    ),
    (
        "if_mising = \"warn\"\n",
        "config::unknown_key",
        "unknown key `if_mising`",
    ),
    (
        "if_missing = \"wran\"\n",
        "config::invalid_value",
        "did you mean `warn`",
    ),
    (
        "[providers.x]\ntype = \"agge\"\n",
        "config::unknown_name",
        "no provider type `agge`",
    ),
    (
        "[providers.x]\n",
        "config::missing_key",
        "needs the key `type`",
    ),
    (
        "[providers.x]\ntype = \"azure-sm\"\n",
        "config::missing_key",
        "needs the key `vault_url`",
    ),
    (
        "[leases.x]\ntype = \"aws-sts\"\nregion = \"r\"\nrole_arn = \"a\"\nrol = 1\n",
        "config::unknown_key",
        "unknown key `rol`",
    ),
    (
        "[leases.x]\ntype = \"command\"\ncreate_command = \"c\"\nduration = \"1w\"\n",
        "config::invalid_value",
        "unknown unit",
    ),
    (
        "server_url = \"https://x\"\n",
        "config::invalid_value",
        "belongs into the global file",
    ),
    (
        "[profiles.p]\nfoo = 1\n",
        "config::unknown_key",
        "unknown key `foo`",
    ),
    (
        "default_provider = \"gone\"\n",
        "config::unknown_name",
        "no provider `gone`",
    ),
    (
        "[secrets]\nA = { value = \"x\", ref = \"y\" }\n",
        "config::invalid_value",
        "keep one",
    ),
    (
        "[secrets]\nA = { value = \"x\", line = 0 }\n",
        "config::invalid_value",
        "counts from 1",
    ),
];

#[test]
fn bad_files_are_named_with_the_place() {
    for &(text, code, wanted) in BAD_FILES {
        let tree = Tree::new(&[("a/fnox.toml", text)]);
        let error = tree.load("a", &[]).unwrap_err();
        assert_eq!(error.code(), code, "{text}");
        assert!(error.to_string().contains(wanted), "{text}: {error}");
        assert!(error.location().is_some(), "{text}");
    }
}

#[test]
fn files_that_are_no_text_or_too_large_are_refused() {
    let tree = Tree::new(&[]);
    std::fs::create_dir_all(tree.path("a")).unwrap();
    std::fs::write(tree.path("a/fnox.toml"), b"A = \"\xff\"").unwrap();
    let error = tree.load("a", &[]).unwrap_err();
    assert!(
        matches!(error, ConfigError::NotUtf8 { offset: 5, .. }),
        "{error:?}"
    );
    std::fs::write(tree.path("a/fnox.toml"), vec![b'#'; 10 * 1024 * 1024]).unwrap();
    let error = tree.load("a", &[]).unwrap_err();
    assert!(matches!(error, ConfigError::TooLarge { .. }), "{error:?}");
}

#[test]
fn every_documented_provider_type_parses() {
    for spec in fnox_config::spec::PROVIDERS {
        let required = spec.fields.iter().filter(|field| field.required);
        let keys: Vec<String> = required
            .map(|field| format!("{} = \"x\"", field.name))
            .collect();
        let keys = keys.join(
            "
",
        );
        let tree = Tree::new(&[(
            "a/fnox.toml",
            &format!("[providers.p]\ntype = \"{}\"\n{keys}", spec.name),
        )]);
        let config = tree
            .load("a", &[])
            .unwrap_or_else(|error| panic!("{}: {error}", spec.name));
        assert_eq!(config.providers["p"].spec.name, spec.name);
    }
    assert_eq!(
        fnox_config::spec::PROVIDERS.len(),
        32,
        "29 types, external programs, the team server and the agents' vault"
    );
}

#[test]
fn the_team_server_is_the_default_only_for_a_named_project_and_bare_secrets() {
    let global = (
        "home/.config/fnox/config.toml",
        "server_url = \"https://fnox.example.com\"\n",
    );
    let named = "[project]\nname = \"my-app\"\n[secrets]\nBARE = {}\nLOCAL = { env_only = true }\nPLAIN = { default = \"d\" }\n";
    let tree = Tree::new(&[
        global,
        ("a/fnox.toml", named),
        ("b/fnox.toml", "[secrets]\nBARE = {}\n"),
    ]);
    let config = tree.load("a", &[]).unwrap();
    let provider = |config: &Config, name: &str| {
        config
            .provider_of(&config.secrets[name])
            .map(|provider| provider.to_string())
    };
    assert_eq!(provider(&config, "BARE").as_deref(), Some("server"));
    assert_eq!(provider(&config, "LOCAL"), None);
    assert_eq!(provider(&config, "PLAIN"), None);
    assert_eq!(provider(&tree.load("b", &[]).unwrap(), "BARE"), None);
}

/// Which files of a folder exist, and what they say of secret `S`.
fn presence() -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(any::<bool>(), 10)
}

proptest! {
    /// Whatever files there are, the highest one that is there decides, and nothing else does.
    #[test]
    fn the_highest_layer_that_exists_decides(outer in presence(), inner in presence()) {
        const NAMES: [&str; 9] = [
            "fnox.toml", ".fnox.toml", ".config/fnox.toml",
            "fnox.p.toml", ".fnox.p.toml", ".config/fnox.p.toml",
            "fnox.local.toml", ".fnox.local.toml", ".config/fnox.local.toml",
        ];
        // The profile must exist, so its table stands in a file below all of them.
        let mut files = vec![("home/.config/fnox/config.toml".to_owned(), "[profiles.p]\n".to_owned())];
        // Profile entries beat base entries of any folder; a local file's beat the profile's of its own
        // and outer folders.
        let mut base = None;
        let mut profile = None;
        for (folder, present) in [("o", &outer), ("o/i", &inner)] {
            for (name, present) in NAMES.iter().zip(present) {
                if *present {
                    let path = format!("{folder}/{name}");
                    if name.contains(".p.") || name.contains("local") {
                        profile = Some(path.clone());
                    } else {
                        base = Some(path.clone());
                    }
                    let text = secret(&path);
                    files.push((path, text));
                }
            }
        }
        let borrowed: Vec<(&str, &str)> = files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        let config = Tree::new(&borrowed).load("o/i", &["p"]).unwrap();
        let wanted = profile.or(base);
        prop_assert_eq!(value(&config, "S"), wanted.as_deref());
    }
}

#[test]
fn the_schema_accepts_what_the_parser_accepts_by_construction() {
    let schema = fnox_config::schema::json_schema();
    let providers = schema["$defs"]["provider"]["oneOf"].as_array().unwrap();
    assert_eq!(providers.len(), fnox_config::spec::PROVIDERS.len());
    assert!(Path::new(schema["title"].as_str().unwrap()).ends_with("fnox.toml"));
}

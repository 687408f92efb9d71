//! Resolution as a whole, with the `plain` provider and a program that plays 1Password.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fnox_config::{Config, Folders, IfMissing, Loader};
use fnox_core::prompt::NoPrompt;
use fnox_core::{Env, ExitStatus, SecretName};

use super::{Options, Resolution, ResolveError, Resolver};

mod chains;

struct World {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl World {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("fnox.toml"), config).unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let home = folder.path().display().to_string();
        Self {
            folder,
            variables: vec![("PATH".to_owned(), path), ("HOME".to_owned(), home)],
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A program on PATH.
    fn program(self, name: &str, script: &str) -> Self {
        let path = self.folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn env(&self) -> Env {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    fn config(&self) -> Config {
        let env = self.env();
        let folders = Folders::from_env(&env);
        let cwd: &Path = self.folder.path();
        Loader {
            env: &env,
            folders: &folders,
            cwd,
            explicit: None,
            profiles: Vec::new(),
            may_create: None,
            no_defaults: false,
        }
        .load()
        .unwrap()
    }

    fn options(&self) -> Options {
        let env = self.env();
        Options {
            folders: Folders::from_env(&env),
            env,
            prompt: Arc::new(NoPrompt),
            accounts: Arc::new(crate::NoAccounts),
            answers: Arc::default(),
            if_missing: None,
            prompt_auth: true,
            time_limit: Duration::from_secs(10),
            failures_are_final: false,
            offline: false,
            required: BTreeSet::new(),
            kept: None,
            uses: None,
        }
    }

    async fn resolve(&self, names: &[&str]) -> Result<Resolution, ResolveError> {
        let config = self.config();
        let resolver = Resolver::new(&config, self.options());
        resolver.resolve(&parsed(names)).await
    }
}

fn parsed(names: &[&str]) -> Vec<SecretName> {
    names
        .iter()
        .map(|name| SecretName::parse(name).unwrap())
        .collect()
}

fn shown(resolution: &Resolution) -> Vec<(&str, &str)> {
    resolution
        .values
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose_secret()))
        .collect()
}

const PLAIN: &str = "[providers]\nplain = { type = \"plain\" }\n[secrets]\n";

#[tokio::test]
async fn a_required_secret_stops_the_run_whatever_if_missing_says() {
    let world = World::new("[secrets]\nA = { if_missing = \"ignore\" }\nB = {}\n");
    let config = world.config();
    let mut options = world.options();
    options.if_missing = Some(IfMissing::Ignore);
    assert_eq!(
        Resolver::new(&config, options.clone())
            .resolve(&parsed(&["A", "B"]))
            .await
            .unwrap()
            .missing,
        parsed(&["A", "B"])
    );
    options.required = parsed(&["B"]).into_iter().collect();
    let error = Resolver::new(&config, options)
        .resolve(&parsed(&["A", "B"]))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ResolveError::Missing { name, .. } if name.as_str() == "B"),
        "{error}"
    );
}

#[tokio::test]
async fn the_provider_beats_the_default_beats_the_environment() {
    let text = format!(
        "{PLAIN}A = {{ value = \"provider\", default = \"default\" }}\nB = {{ default = \"default\" }}\nC = {{}}\nD = {{}}\n"
    );
    let world = World::new(&text)
        .with("A", "env")
        .with("B", "env")
        .with("C", "env");
    let resolution = world.resolve(&["D", "C", "B", "A"]).await.unwrap();
    assert_eq!(
        shown(&resolution),
        [("A", "provider"), ("B", "default"), ("C", "env")]
    );
    assert_eq!(resolution.missing, parsed(&["D"]));
    assert_eq!(resolution.notices.len(), 1);
}

#[tokio::test]
async fn defaults_pull_in_what_they_refer_to() {
    let text = format!(
        "{PLAIN}URL = {{ default = \"pg://u:${{PASSWORD}}@${{HOST}}\" }}\nHOST = {{ default = \"h\" }}\nPASSWORD = {{ value = \"p\", env = false }}\n"
    );
    let resolution = World::new(&text).resolve(&["URL"]).await.unwrap();
    assert_eq!(resolution.values["URL"].expose_secret(), "pg://u:p@h");
}

#[tokio::test]
async fn circles_of_defaults_are_printed() {
    let text = format!(
        "{PLAIN}A = {{ default = \"${{B}}\" }}\nB = {{ default = \"${{C}}\" }}\nC = {{ default = \"${{B}}\" }}\n"
    );
    match World::new(&text).resolve(&["A"]).await.unwrap_err() {
        ResolveError::Cycle { chain, .. } => assert_eq!(chain, ["B", "C", "B"]),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_default_that_refers_to_nothing_is_an_error() {
    let text = format!("{PLAIN}A = {{ default = \"${{GONE}}\" }}\n");
    let error = World::new(&text).resolve(&["A"]).await.unwrap_err();
    assert!(
        error.to_string().contains("there is no secret `GONE`"),
        "{error}"
    );
}

#[tokio::test]
async fn json_path_and_line_apply_to_whatever_gave_the_value() {
    let text = format!(
        "{PLAIN}A = {{ value = '{{\"db\":[{{\"p\":\"x\"}}]}}', json_path = \"db[0].p\" }}\nB = {{ line = 2 }}\n"
    );
    let resolution = World::new(&text)
        .with("B", "one\ntwo")
        .resolve(&["A", "B"])
        .await
        .unwrap();
    assert_eq!(shown(&resolution), [("A", "x"), ("B", "two")]);
    let text = format!("{PLAIN}A = {{ value = \"hunter2\", json_path = \"a\" }}\n");
    let error = World::new(&text).resolve(&["A"]).await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn templates_know_the_profile() {
    let text = format!(
        "{PLAIN}A = {{ default = \"{{{{ fnox.profile }}}}\" }}\nB = {{ default = \"{{{{ fnox.profle }}}}\" }}\n"
    );
    let world = World::new(&text);
    let resolution = world.resolve(&["A"]).await.unwrap();
    assert_eq!(resolution.values["A"].expose_secret(), "default");
    assert!(
        world.resolve(&["B"]).await.is_err(),
        "a misspelt name is an error, not an empty text"
    );
}

const ONEPASSWORD: &str = "[providers.op]\ntype = \"1password\"\nvault = \"V\"\n[providers.plain]\ntype = \"plain\"\n[secrets]\n";

#[tokio::test]
async fn an_outage_stops_the_run_under_the_built_in_warning_and_not_when_asked() {
    let text = format!("{ONEPASSWORD}A = {{ provider = \"op\", value = \"item\" }}\n");
    let world = World::new(&text).with("A", "env");
    // No `op` on PATH.
    let error = world.resolve(&["A"]).await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Unavailable);
    let config = world.config();
    for (asked, stops) in [
        (IfMissing::Error, true),
        (IfMissing::Warn, false),
        (IfMissing::Ignore, false),
    ] {
        let options = Options {
            if_missing: Some(asked),
            ..world.options()
        };
        let outcome = Resolver::new(&config, options)
            .resolve(&parsed(&["A"]))
            .await;
        assert_eq!(outcome.is_err(), stops, "{asked}");
        if let Ok(resolution) = outcome {
            assert_eq!(
                resolution.missing,
                parsed(&["A"]),
                "an outage never falls back to the environment"
            );
        }
    }
}

#[tokio::test]
async fn a_default_covers_an_outage_and_says_so() {
    let text =
        format!("{ONEPASSWORD}A = {{ provider = \"op\", value = \"item\", default = \"d\" }}\n");
    let resolution = World::new(&text).resolve(&["A"]).await.unwrap();
    assert_eq!(shown(&resolution), [("A", "d")]);
    assert!(
        resolution.notices[0].message.contains("uses its default"),
        "{:?}",
        resolution.notices
    );
}

#[tokio::test]
async fn a_store_is_opened_with_the_secret_that_another_provider_keeps() {
    let text = format!(
        "{ONEPASSWORD}OP_SERVICE_ACCOUNT_TOKEN = {{ provider = \"plain\", value = \"tok\", env = false }}\nA = {{ provider = \"op\", value = \"item\" }}\n"
    );
    let script = r#"[ "$OP_SERVICE_ACCOUNT_TOKEN" = tok ] && printf opened"#;
    let world = World::new(&text).program("op", script);
    let config = world.config();
    let resolver = Resolver::new(&config, world.options());
    let resolution = resolver.resolve(&parsed(&["A"])).await.unwrap();
    assert_eq!(resolution.values["A"].expose_secret(), "opened");
    let withheld: BTreeSet<String> = ["FNOX_OP_SERVICE_ACCOUNT_TOKEN", "OP_SERVICE_ACCOUNT_TOKEN"]
        .map(str::to_owned)
        .into();
    assert_eq!(resolver.opened_with(), withheld);
}

#[tokio::test]
async fn a_token_kept_in_the_store_that_it_opens_comes_from_the_environment() {
    let text = format!(
        "{ONEPASSWORD}OP_SERVICE_ACCOUNT_TOKEN = {{ provider = \"op\", value = \"token\" }}\nA = {{ provider = \"op\", value = \"item\" }}\n"
    );
    let script = r#"[ "$OP_SERVICE_ACCOUNT_TOKEN" = env ] && printf opened"#;
    let world = World::new(&text)
        .program("op", script)
        .with("OP_SERVICE_ACCOUNT_TOKEN", "env");
    let resolution = world.resolve(&["A"]).await.unwrap();
    assert_eq!(resolution.values["A"].expose_secret(), "opened");
}

#[tokio::test]
async fn provider_keys_can_refer_to_secrets_and_to_the_environment() {
    let text = "[providers.op]\ntype = \"1password\"\nvault = \"V\"\ntoken = { secret = \"TOKEN_OF_OURS\" }\n[secrets]\nA = { provider = \"op\", value = \"item\" }\n";
    let script = r#"[ "$OP_SERVICE_ACCOUNT_TOKEN" = ours ] && printf opened"#;
    let world = World::new(text)
        .program("op", script)
        .with("TOKEN_OF_OURS", "ours");
    let config = world.config();
    let resolver = Resolver::new(&config, world.options());
    let resolution = resolver.resolve(&parsed(&["A"])).await.unwrap();
    assert_eq!(resolution.values["A"].expose_secret(), "opened");
    assert!(resolver.opened_with().contains("TOKEN_OF_OURS"));
}

#[tokio::test]
async fn a_provider_that_cannot_be_used_fails_only_when_it_is_needed() {
    let text = "[providers.k]\ntype = \"keeper-sm\"\nconfig_file = \"absent.json\"\n[providers.plain]\ntype = \"plain\"\n[secrets]\nA = { provider = \"plain\", value = \"a\" }\nB = { provider = \"k\", value = \"b\" }\n";
    let world = World::new(text);
    assert_eq!(shown(&world.resolve(&["A"]).await.unwrap()), [("A", "a")]);
    let error = world.resolve(&["B"]).await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Configuration);
    assert!(error.to_string().contains("absent.json"), "{error}");
}

#[tokio::test]
async fn an_unknown_provider_is_named_with_its_neighbour() {
    let text = "[providers.plain]\ntype = \"plain\"\n[secrets]\nA = { provider = \"plian\", value = \"a\" }\n";
    let error = World::new(text).resolve(&["A"]).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no provider `plian`");
    assert_eq!(error.help().as_deref(), Some("did you mean `plain`?"));
    assert!(error.location().is_some());
}

#[tokio::test]
async fn fifty_secrets_of_one_store_are_one_call() {
    let secrets: Vec<String> = (0..50)
        .map(|n| format!("S{n} = {{ provider = \"op\", value = \"item{n}\" }}"))
        .collect();
    let text = format!("{ONEPASSWORD}{}", secrets.join("\n"));
    let script = r#"echo "$1" >> "$HOME/calls"; if [ "$1" = inject ]; then sed 's/op:\/\/V\/item\([0-9]*\)\/password/v\1/; s/{{ *//; s/ *}}//'; else printf single; fi"#;
    let world = World::new(&text).program("op", script);
    let names: Vec<String> = (0..50).map(|n| format!("S{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let resolution = world.resolve(&names).await.unwrap();
    assert_eq!(resolution.values.len(), 50);
    assert_eq!(resolution.values["S49"].expose_secret(), "v49");
    let calls = std::fs::read_to_string(world.folder.path().join("calls")).unwrap();
    assert_eq!(calls, "inject\n");
}

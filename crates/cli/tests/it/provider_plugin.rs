//! `fnox provider add --plugin`: what is other people's code is named, and neither run nor fetched.

use fnox_testkit::Sandbox;

use crate::support::{fails, ok, sandbox};

/// Leaves a mark when it is run.
const PROGRAM: &str = "#!/bin/sh\ntouch \"$HOME/ran\"\nexit 1\n";
const LUA: &str = "fnox.cmd.run({ 'touch', 'ran' })\nreturn { get = function() return 'x' end }\n";

/// Whether the code of a plugin was run.
fn has_run(sandbox: &Sandbox) -> bool {
    sandbox.home().join("ran").exists() || sandbox.project().join("ran").exists()
}

/// Adds the provider `s`, and gives its line and what was said.
#[track_caller]
fn added(sandbox: &Sandbox, arguments: &[&str]) -> (String, String) {
    sandbox.write("fnox.toml", "[plugins]\ndeclared = 'acme/declared'\n");
    let all = [&["provider", "add", "s"], arguments].concat();
    let run = sandbox.run(all).finish().succeeds();
    let text = sandbox.read("fnox.toml");
    let line = text.lines().find(|line| line.starts_with("s = "));
    (line.unwrap_or_default().to_owned(), run.stderr)
}

#[test]
fn a_program_is_named_by_its_name_or_its_absolute_path() {
    let sandbox = sandbox();
    sandbox.write_program("fnox-provider-shelf", PROGRAM);
    let (line, said) = added(&sandbox, &["--plugin", "shelf", "-f", "capability=read"]);
    let expected = r#"s = { type = "external", program = "shelf", capability = "read" }"#;
    assert_eq!(line, expected);
    assert!(said.contains("fnox provider test s"), "{said}");
    let own = sandbox.write_program("own", PROGRAM);
    let tools = sandbox.project().join("tools");
    std::fs::create_dir(&tools).unwrap();
    std::fs::rename(own, tools.join("own")).unwrap();
    let (line, _) = added(&sandbox, &["--plugin", "./tools/own"]);
    let path = tools.join("own");
    let expected = format!(
        r#"s = {{ type = "external", program = "{}" }}"#,
        path.display()
    );
    assert_eq!(line, expected);
    let (line, said) = added(&sandbox, &["external", "--plugin", "later"]);
    assert_eq!(line, r#"s = { type = "external", program = "later" }"#);
    assert!(
        said.contains("the program `fnox-provider-later` is not on PATH"),
        "{said}"
    );
    assert!(!has_run(&sandbox));
}

#[test]
fn a_plugin_in_lua_is_named_by_its_path_as_the_file_needs_it() {
    let sandbox = sandbox();
    sandbox.write_private("plugins/shelf/provider.lua", LUA);
    for path in ["./plugins/shelf", "plugins/shelf/provider.lua"] {
        let (line, _) = added(&sandbox, &["--plugin", path]);
        assert_eq!(
            line,
            format!(r#"s = {{ type = "lua", plugin = "{path}" }}"#)
        );
    }
    // The global file stands elsewhere.
    added(&sandbox, &["lua", "--plugin", "./plugins/shelf", "-g"]);
    let global = sandbox.config_folder().join("config.toml");
    let text = std::fs::read_to_string(global).unwrap();
    let folder = sandbox.project().join("plugins/shelf");
    let expected = format!("plugin = \"{}\"", folder.display());
    assert!(text.contains(&expected), "{text}");
    assert!(!has_run(&sandbox));
    added(
        &sandbox,
        &["--plugin", "./plugins/shelf", "-f", "capability=read"],
    );
    sandbox.run(["provider", "test", "s"]).finish();
    assert!(has_run(&sandbox), "the plugin would leave its mark");
}

#[test]
fn a_plugin_by_name_is_not_fetched_and_what_is_missing_is_told() {
    let sandbox = sandbox();
    let plugins = sandbox.root().join("plugins");
    let sandbox = sandbox.with_env("FNOX_PLUGINS_DIR", &plugins);
    sandbox.write_program("git", PROGRAM);
    let (line, said) = added(&sandbox, &["--plugin", "declared"]);
    assert_eq!(line, r#"s = { type = "lua", plugin = "declared" }"#);
    assert!(said.contains("`fnox plugin install declared`"), "{said}");
    let (_, said) = added(&sandbox, &["lua", "--plugin", "later"]);
    assert!(
        said.contains("`fnox plugin install later SOURCE`"),
        "{said}"
    );
    assert!(!plugins.exists());
    let lock = r#"{"version":1,"plugins":{"shelf":{"fetched":{"source":"acme/shelf#v1","commit":"c","tree":"t"}}}}"#;
    sandbox.write_private(plugins.join("fnox-plugins.lock"), lock);
    let (line, said) = added(&sandbox, &["--plugin", "shelf"]);
    assert_eq!(line, r#"s = { type = "lua", plugin = "shelf" }"#);
    assert!(
        said.contains("`shelf = \"acme/shelf#v1\"` in `[plugins]`"),
        "{said}"
    );
    assert!(!has_run(&sandbox));

    sandbox.write_program("fnox-provider-shelf", PROGRAM);
    for (arguments, reason) in [
        (vec!["--plugin", "shelf"], "say which one"),
        (vec!["--plugin", "gone"], "there is no plugin `gone`"),
        (vec!["--plugin", "./gone"], "there is no plugin at "),
        (
            vec!["external", "--plugin", "./fnox.toml"],
            "must be executable",
        ),
        (vec!["--plugin", "a b"], "names no plugin"),
        (vec!["age", "--plugin", "shelf"], "are part of fnox"),
        (
            vec!["lua", "--plugin", "shelf", "-f", "plugin=x"],
            "says it too",
        ),
        (vec![], "TYPE"),
    ] {
        sandbox.write("fnox.toml", "root = true\n");
        let all = [&["provider", "add", "s"], &arguments[..]].concat();
        let told = fails(&sandbox, 2, &all);
        assert!(told.contains(reason), "{arguments:?}: {told}");
        assert_eq!(sandbox.read("fnox.toml"), "root = true\n");
    }
    assert!(!has_run(&sandbox));
    // A type without `--plugin` is as it was.
    ok(&sandbox, &["provider", "add", "c", "plain"]);
}

//! `fnox plugin`, with repositories on this machine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fnox_testkit::Sandbox;

use crate::schemas::assert_fits;
use crate::support::{fails, json, ok, sandbox};

/// A plugin that gives the reference, with a word before it.
fn plugin(word: &str) -> String {
    format!("return {{ get = function(ctx, reference) return \"{word} \" .. reference end }}\n")
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
        .args([
            "-c",
            "commit.gpgsign=false",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with a plugin.
struct Repository(PathBuf);

impl Repository {
    fn new(sandbox: &Sandbox, name: &str, word: &str) -> Self {
        let folder = sandbox.root().join("repositories").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        git(&folder, &["init", "-q"]);
        let repository = Self(folder);
        repository.commit("provider.lua", &plugin(word));
        repository
    }

    /// Commits a file; the commit.
    fn commit(&self, path: &str, text: &str) -> String {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        git(&self.0, &["add", "-A"]);
        git(&self.0, &["commit", "-qm", "x"]);
        git(&self.0, &["rev-parse", "HEAD"])
    }

    fn url(&self) -> String {
        format!("file://{}", self.0.display())
    }
}

fn config(plugins: &str) -> String {
    format!(
        "root = true\n[providers]\nshelf = {{ type = \"lua\", plugin = \"shelf\", capability = \"read\" }}\n\
         [secrets]\nA = {{ provider = \"shelf\", value = \"a\" }}\n[plugins]\n{plugins}"
    )
}

fn folder(sandbox: &Sandbox) -> PathBuf {
    let plugins = sandbox.root().join("plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    plugins
}

/// A sandbox whose plugins are in a folder of its own.
fn home() -> (Sandbox, PathBuf) {
    let sandbox = sandbox();
    let plugins = folder(&sandbox);
    let sandbox = sandbox.with_env("FNOX_PLUGINS_DIR", &plugins);
    (sandbox, plugins)
}

fn state(sandbox: &Sandbox, name: &str) -> String {
    let text = ok(sandbox, &["plugin", "list", "--json"]);
    assert_fits("schemas/plugin-list.json", &json(&text));
    let all = json(&text);
    let found = all.as_array().unwrap().iter();
    let found = found.filter(|one| one["name"] == name).collect::<Vec<_>>();
    found
        .first()
        .map_or_else(String::new, |one| one["state"].as_str().unwrap().to_owned())
}

#[test]
fn a_declared_plugin_is_fetched_only_when_somebody_says_so() {
    let (sandbox, plugins) = home();
    let repository = Repository::new(&sandbox, "shelf", "one");
    sandbox.write(
        "fnox.toml",
        config(&format!("shelf = \"{}\"\n", repository.url())),
    );
    assert_eq!(state(&sandbox, "shelf"), "missing");
    let told = fails(&sandbox, 3, &["get", "A"]);
    assert!(told.contains("`fnox plugin install shelf`"), "{told}");
    assert!(!plugins.join("shelf").exists());

    let run = sandbox.run(["plugin", "install"]).finish().succeeds();
    let commit = git(&repository.0, &["rev-parse", "HEAD"]);
    assert!(run.stderr.contains(&commit), "{run}");
    assert_eq!(ok(&sandbox, &["get", "A"]), "one a\n");
    assert_eq!(state(&sandbox, "shelf"), "installed");
    let lock = std::fs::read_to_string(plugins.join("fnox-plugins.lock")).unwrap();
    assert!(lock.contains(&commit), "{lock}");
    let file = plugins.join("shelf/provider.lua");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!plugins.join("shelf/.git").exists());
    // Again: there is nothing to do, and one that is there is not replaced by accident.
    let run = sandbox.run(["plugin", "install"]).finish().succeeds();
    assert!(run.stderr.contains("are installed"), "{run}");
    let told = fails(&sandbox, 2, &["plugin", "install", "shelf"]);
    assert!(told.contains("installed already"), "{told}");
}

#[test]
fn a_plugin_stays_what_it_was_until_it_is_updated() {
    let (sandbox, _) = home();
    let repository = Repository::new(&sandbox, "shelf", "one");
    sandbox.write("fnox.toml", config(""));
    let url = repository.url();
    ok(&sandbox, &["plugin", "install", "shelf", &url]);
    let commit = repository.commit("provider.lua", &plugin("two"));
    assert_eq!(ok(&sandbox, &["get", "A"]), "one a\n");
    let run = sandbox.run(["plugin", "update"]).finish().succeeds();
    assert!(run.stderr.contains(&commit), "{run}");
    assert_eq!(ok(&sandbox, &["get", "A"]), "two a\n");
    let run = sandbox.run(["plugin", "upgrade", "shelf"]).finish();
    assert!(run.succeeds().stderr.contains("is up to date"));
}

#[test]
fn a_branch_a_tag_or_a_commit_can_be_named() {
    let (sandbox, _) = home();
    let repository = Repository::new(&sandbox, "shelf", "one");
    let first = git(&repository.0, &["rev-parse", "HEAD"]);
    git(&repository.0, &["tag", "v1"]);
    git(&repository.0, &["checkout", "-q", "-b", "work/next"]);
    repository.commit("provider.lua", &plugin("next"));
    git(&repository.0, &["checkout", "-q", "main"]);
    repository.commit("provider.lua", &plugin("main"));
    sandbox.write("fnox.toml", config(""));
    for (reference, word) in [
        ("v1", "one"),
        ("work/next", "next"),
        ("main", "main"),
        (first.as_str(), "one"),
    ] {
        let source = format!("{}#{reference}", repository.url());
        ok(&sandbox, &["plugin", "install", "shelf", &source, "-f"]);
        let told = ok(&sandbox, &["get", "A"]);
        assert_eq!(told, format!("{word} a\n"), "{reference}");
    }
    let source = format!("{}#absent", repository.url());
    let told = fails(&sandbox, 1, &["plugin", "install", "shelf", &source, "-f"]);
    assert!(told.contains("cli::plugin_failed"), "{told}");
    assert_eq!(ok(&sandbox, &["get", "A"]), "one a\n", "as before");
}

#[test]
fn changed_files_are_not_run_until_somebody_accepts_them() {
    let (sandbox, plugins) = home();
    let repository = Repository::new(&sandbox, "shelf", "one");
    repository.commit("lib/words.txt", "words");
    sandbox.write("fnox.toml", config(""));
    ok(&sandbox, &["plugin", "install", "shelf", &repository.url()]);
    let place = plugins.join("shelf");
    let main = place.join("provider.lua");
    let changes: [(&str, &dyn Fn()); 4] = [
        ("the file that runs", &|| {
            std::fs::write(&main, plugin("evil")).unwrap();
        }),
        ("another file", &|| {
            std::fs::write(place.join("lib/words.txt"), "others").unwrap();
        }),
        ("one more file", &|| {
            std::fs::write(place.join("more"), "").unwrap();
        }),
        ("a link", &|| {
            std::os::unix::fs::symlink("/etc/passwd", place.join("link")).unwrap();
        }),
    ];
    for (what, change) in changes {
        change();
        let told = fails(&sandbox, 3, &["get", "A"]);
        assert!(
            told.contains("shelf") || told.contains("a link"),
            "{what}: {told}"
        );
        assert!(!told.contains("evil"), "{what}: {told}");
        assert_eq!(state(&sandbox, "shelf"), "changed", "{what}");
        let url = repository.url();
        ok(&sandbox, &["plugin", "install", "shelf", &url, "--force"]);
        assert_eq!(ok(&sandbox, &["get", "A"]), "one a\n", "{what}");
    }
    // Own changes are accepted as a link to a folder of one's own.
    let own = sandbox.project().join("own");
    std::fs::create_dir(&own).unwrap();
    sandbox.write_private("own/provider.lua", plugin("own"));
    let own = own.to_str().unwrap();
    ok(&sandbox, &["plugin", "link", "shelf", own, "--force"]);
    assert_eq!(ok(&sandbox, &["get", "A"]), "own a\n");
}

#[test]
fn a_name_means_one_source_only() {
    let (sandbox, _) = home();
    let one = Repository::new(&sandbox, "one", "one");
    let other = Repository::new(&sandbox, "other", "other");
    sandbox.write("fnox.toml", config(""));
    ok(&sandbox, &["plugin", "install", "shelf", &one.url()]);
    // A project that means another plugin by the name does not get this one, nor does this one get its secrets.
    sandbox.write(
        "fnox.toml",
        config(&format!("shelf = \"{}\"\n", other.url())),
    );
    let told = fails(&sandbox, 3, &["get", "A"]);
    assert!(told.contains("`fnox plugin update shelf`"), "{told}");
    assert_eq!(state(&sandbox, "shelf"), "other-source");
    ok(&sandbox, &["plugin", "update", "shelf"]);
    assert_eq!(ok(&sandbox, &["get", "A"]), "other a\n");
}

#[test]
fn nothing_of_a_repository_runs_while_it_is_fetched() {
    let (sandbox, plugins) = home();
    let repository = Repository::new(&sandbox, "shelf", "one");
    let mark = sandbox.root().join("ran");
    // Hooks and filters of the person's own configuration are not asked either.
    let hooks = sandbox.root().join("hooks");
    std::fs::create_dir(&hooks).unwrap();
    for name in ["post-checkout", "post-merge", "reference-transaction"] {
        let hook = hooks.join(name);
        std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    sandbox.write(
        sandbox.home().join(".gitconfig"),
        format!(
            "[core]\nhooksPath = {}\n[filter \"evil\"]\nsmudge = touch {}\nrequired = true\n",
            hooks.display(),
            mark.display()
        ),
    );
    repository.commit(".gitattributes", "* filter=evil\n");
    sandbox.write("fnox.toml", config(""));
    ok(&sandbox, &["plugin", "install", "shelf", &repository.url()]);
    assert_eq!(ok(&sandbox, &["get", "A"]), "one a\n");
    assert!(!mark.exists());
    // Links and submodules are refused as a whole.
    std::os::unix::fs::symlink("/etc/passwd", repository.0.join("link")).unwrap();
    git(&repository.0, &["add", "-A"]);
    git(&repository.0, &["commit", "-qm", "link"]);
    let told = fails(&sandbox, 1, &["plugin", "update", "shelf"]);
    assert!(told.contains("may not have a link"), "{told}");
    assert_eq!(ok(&sandbox, &["get", "A"]), "one a\n", "as before");
    assert!(!plugins.join("shelf/link").exists());
}

#[test]
fn only_safe_sources_are_fetched_from() {
    let (sandbox, plugins) = home();
    sandbox.write("fnox.toml", config(""));
    for source in [
        "http://127.0.0.1:1/a",
        "git://127.0.0.1:1/a",
        "ext::sh -c true",
        "--upload-pack=true",
        "https://user:hunter2@127.0.0.1:1/a",
        "./somewhere/else",
    ] {
        let told = fails(&sandbox, 2, &["plugin", "install", "shelf", "--", source]);
        assert!(
            told.contains("a plugin cannot come from"),
            "{source}: {told}"
        );
    }
    let empty = sandbox.root().join("empty");
    std::fs::create_dir(&empty).unwrap();
    git(&empty, &["init", "-q"]);
    git(&empty, &["commit", "-q", "--allow-empty", "-m", "x"]);
    let source = format!("file://{}", empty.display());
    let told = fails(&sandbox, 1, &["plugin", "install", "shelf", &source]);
    assert!(told.contains("no `provider.lua`"), "{told}");
    assert!(!plugins.join("shelf").exists());
    for name in ["../x", ".x", "a b", ""] {
        let told = fails(&sandbox, 2, &["plugin", "install", "--", name, &source]);
        assert!(told.contains("cannot be the name"), "{name}: {told}");
    }
}

#[test]
fn plugins_are_linked_listed_and_removed() {
    let (sandbox, plugins) = home();
    let repository = Repository::new(&sandbox, "shelf", "one");
    sandbox.write("fnox.toml", config(""));
    let run = sandbox.run(["plugin"]).finish().succeeds();
    assert!(run.stderr.contains("No plugins are installed"), "{run}");
    let run = sandbox.run(["plugin", "install"]).finish().succeeds();
    assert!(run.stderr.contains("no plugin is named"), "{run}");
    assert!(run.stderr.contains("install NAME OWNER/REPO"), "{run}");
    let told = fails(&sandbox, 2, &["plugin", "link", "shelf", "."]);
    assert!(told.contains("has no `provider.lua`"), "{told}");
    sandbox.write_private("own/provider.lua", plugin("own"));
    ok(&sandbox, &["plugin", "link", "shelf", "own"]);
    assert_eq!(state(&sandbox, "shelf"), "linked");
    assert_eq!(ok(&sandbox, &["get", "A"]), "own a\n");
    // What is linked is as it is now.
    sandbox.write_private("own/provider.lua", plugin("changed"));
    assert_eq!(ok(&sandbox, &["get", "A"]), "changed a\n");
    let run = sandbox.run(["plugin", "update"]).finish().succeeds();
    assert!(run.stderr.contains("is linked to"), "{run}");
    ok(&sandbox, &["plugin", "rm", "shelf"]);
    assert!(sandbox.project().join("own/provider.lua").exists());
    ok(&sandbox, &["plugin", "install", "shelf", &repository.url()]);
    let table = ok(&sandbox, &["plugin", "ls"]);
    assert!(
        table.contains("shelf") && table.contains("installed"),
        "{table}"
    );
    ok(&sandbox, &["plugin", "uninstall", "shelf"]);
    assert!(!plugins.join("shelf").exists());
    let told = fails(&sandbox, 2, &["plugin", "uninstall", "shelf"]);
    assert!(told.contains("is not installed"), "{told}");
    let told = fails(&sandbox, 3, &["get", "A"]);
    assert!(told.contains("there is no plugin `shelf`"), "{told}");
}

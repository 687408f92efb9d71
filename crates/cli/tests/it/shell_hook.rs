//! `hook-env`, `deactivate` and `trust`, with a stand-in for the shell: it evaluates the JSON that elvish, xonsh and
//! Nushell get.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use fnox_testkit::{Run, Sandbox};

use crate::shell_support::trusted;
use crate::support::{fails, json, ok, sandbox};

/// A shell's variables and folder.
struct StandIn<'a> {
    sandbox: &'a Sandbox,
    folder: PathBuf,
    variables: BTreeMap<String, String>,
}

impl<'a> StandIn<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        Self {
            folder: sandbox.project(),
            sandbox,
            variables: BTreeMap::new(),
        }
    }

    fn goes(&mut self, folder: &str) -> Run {
        self.folder.push(folder);
        self.prompts()
    }

    /// What happens before a prompt.
    fn prompts(&mut self) -> Run {
        self.prompts_with(&[])
    }

    fn prompts_with(&mut self, flags: &[&str]) -> Run {
        let pid = std::process::id().to_string();
        let mut arguments = vec!["hook-env", "-s", "xonsh", "--shell-pid", &pid];
        arguments.extend(flags);
        let run = self.run(&arguments).succeeds();
        self.evaluate(&run.stdout);
        run
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.sandbox
            .run(arguments)
            .within(&self.folder)
            .envs(&self.variables)
            .finish()
    }

    fn evaluate(&mut self, output: &str) {
        if output.is_empty() {
            return;
        }
        let changes = json(output);
        for name in changes["unset"].as_array().unwrap() {
            self.variables.remove(name.as_str().unwrap());
        }
        for (name, value) in changes["set"].as_object().unwrap() {
            let value = value.as_str().unwrap().to_owned();
            self.variables.insert(name.clone(), value);
        }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

#[test]
fn nothing_is_said_or_asked_while_nothing_changes() {
    let sandbox = sandbox();
    let calls = sandbox.root().join("calls");
    let script = format!("#!/bin/sh\necho x >> {}\nprintf value\n", calls.display());
    sandbox.write_program("op", &script);
    sandbox.write("a/more.toml", "[secrets]\nB = { default = \"1\" }\n");
    trusted(
        &sandbox,
        "a",
        "import = [\"more.toml\"]\n[providers]\nop = { type = \"1password\", vault = \"V\" }\n[secrets]\nA = { provider = \"op\", value = \"i\" }\n",
    );
    sandbox.write("a/deep/.keep", "");
    let asked = || fs::read_to_string(&calls).unwrap_or_default().len();
    let mut shell = StandIn::new(&sandbox);
    assert_eq!(shell.goes("a").stderr, "fnox: +2 B, A\n");
    let before = asked();
    assert!(before > 0);
    for folder in [".", "deep", ".."] {
        let run = shell.goes(folder);
        assert_eq!(
            (run.stdout.as_str(), run.stderr.as_str()),
            ("", ""),
            "{folder}"
        );
    }
    assert_eq!(asked(), before);

    // An import counts, and so does a file that appears, a profile, and a variable of fnox.
    sandbox.write("a/more.toml", "[secrets]\nB = { default = \"12\" }\n");
    assert_eq!(shell.prompts().stderr, "fnox: ~1 B\n");
    assert_eq!(shell.variable("B"), Some("12"));
    sandbox.write(
        "a/fnox.local.toml",
        "[secrets]\nB = { default = \"local\" }\n[profiles.p.secrets]\nC = { default = \"c\" }\n",
    );
    shell.prompts();
    assert_eq!(shell.variable("B"), Some("local"));
    shell
        .variables
        .insert("FNOX_PROFILE".to_owned(), "p".to_owned());
    assert_eq!(shell.prompts().stderr, "fnox: +1 C\n");
    shell.variables.remove("FNOX_PROFILE");
    assert_eq!(shell.prompts().stderr, "fnox: -1 C\n");
    assert_eq!(shell.prompts().stdout, "");
}

#[test]
fn what_is_not_for_shells_is_left_out() {
    let sandbox = sandbox();
    trusted(
        &sandbox,
        "a",
        "[project]\nname = \"p\"\n[secrets]\nA = { default = \"a\" }\nEXEC = { default = \"x\", env = \"exec\" }\nNEVER = { default = \"x\", env = false }\n\
         ASKED = { default = \"x\", require_approval = true }\nUID = { default = \"0\" }\n",
    );
    let mut shell = StandIn::new(&sandbox);
    let run = shell.goes("a");
    assert_eq!(
        run.stderr,
        "fnox: +1 A\nfnox: UID is left out: shells keep this variable for themselves\n"
    );
    let names: Vec<&str> = shell.variables.keys().map(String::as_str).collect();
    assert_eq!(names, ["A", "__FNOX_SESSION"]);
}

#[test]
fn trust_is_for_a_folder_by_any_path_and_not_for_those_below() {
    let sandbox = sandbox();
    sandbox.write("a/fnox.toml", "[secrets]\nA = { default = \"a\" }\n");
    sandbox.write(
        "a/vendor/fnox.toml",
        "root = true\n[secrets]\nV = { default = \"v\" }\n",
    );
    std::os::unix::fs::symlink(sandbox.project().join("a"), sandbox.project().join("link"))
        .unwrap();
    let mut shell = StandIn::new(&sandbox);
    let refused = shell.goes("a").stderr;
    let folder = sandbox.project().join("a");
    let line = format!(
        "fnox: {} is not trusted: nothing of it is loaded. Read its fnox.toml, then: fnox trust\n",
        folder.display()
    );
    assert_eq!(refused, line);
    assert_eq!(shell.prompts().stderr, "", "it is said once");
    ok(&sandbox, &["trust", "link"]);
    assert_eq!(shell.prompts().stderr, "fnox: +1 A\n");
    shell.goes("../link");
    assert_eq!(shell.variable("A"), Some("a"));
    assert!(
        shell
            .goes("vendor")
            .stderr
            .contains("vendor is not trusted")
    );
    assert_eq!(shell.variable("A"), None);

    let listed = json(&ok(&sandbox, &["trust", "--list", "--json"]));
    assert_eq!(listed[0]["kind"], "folder");
    assert_eq!(listed[0]["path"], folder.display().to_string());
    assert_eq!(
        ok(&sandbox, &["trust", "--list"]),
        format!("{}\n", folder.display())
    );
    ok(&sandbox, &["untrust", "link"]);
    assert_eq!(ok(&sandbox, &["trust", "--list"]), "");
    assert!(fails(&sandbox, 2, &["untrust", "a"]).contains("is not trusted"));
    fs::create_dir(sandbox.project().join("empty")).unwrap();
    assert!(fails(&sandbox, 3, &["trust", "empty"]).contains("no configuration"));
}

#[test]
fn trusting_a_folder_trusts_those_above_that_take_part() {
    let sandbox = sandbox();
    sandbox.write("a/fnox.toml", "[secrets]\nA = { default = \"a\" }\n");
    sandbox.write(
        "a/b/.config/fnox.toml",
        "[secrets]\nB = { default = \"b\" }\n",
    );
    let said = sandbox.run(["trust", "a/b"]).finish().succeeds().stderr;
    assert_eq!(said.lines().count(), 2, "{said}");
    let mut shell = StandIn::new(&sandbox);
    shell.goes("a/b");
    assert_eq!(
        (shell.variable("A"), shell.variable("B")),
        (Some("a"), Some("b"))
    );
    // Without an argument the nearest one goes.
    shell.run(&["untrust"]).succeeds();
    shell.prompts();
    assert_eq!((shell.variable("A"), shell.variable("B")), (None, None));
    shell.goes("..");
    assert_eq!(shell.variable("A"), Some("a"));
}

#[test]
fn a_session_that_somebody_made_up_does_nothing() {
    let sandbox = sandbox();
    trusted(&sandbox, "a", "[secrets]\nA = { default = \"a\" }\n");
    let victim = sandbox.root().join("victim");
    fs::create_dir(&victim).unwrap();
    // Sealed by another home's key.
    let other = crate::support::sandbox();
    trusted(
        &other,
        "a",
        "[secrets]\nPATH2 = { default = \"x\", as_file = true }\n",
    );
    let mut elsewhere = StandIn::new(&other);
    elsewhere.goes("a");
    let stolen = elsewhere.variable("__FNOX_SESSION").unwrap().to_owned();
    for session in ["", "1.", "1.AAAA", "nonsense", &stolen] {
        let mut shell = StandIn::new(&sandbox);
        shell
            .variables
            .insert("__FNOX_SESSION".to_owned(), session.to_owned());
        shell
            .variables
            .insert("PATH2".to_owned(), "mine".to_owned());
        shell.goes("a");
        assert_eq!(shell.variable("A"), Some("a"), "{session}");
        assert_eq!(shell.variable("PATH2"), Some("mine"));
    }
    assert!(
        elsewhere
            .variable("PATH2")
            .is_some_and(|path| fs::metadata(path).is_ok())
    );
}

#[test]
fn neither_session_nor_messages_nor_files_show_a_value_and_exec_passes_no_session_on() {
    let sandbox = sandbox();
    let had = "canary-that-was-there-before";
    trusted(
        &sandbox,
        "a",
        "[secrets]\nA = { default = \"canary-of-the-project\" }\n",
    );
    let mut shell = StandIn::new(&sandbox);
    shell.variables.insert("A".to_owned(), had.to_owned());
    shell
        .variables
        .insert("FNOX_SHELL_OUTPUT".to_owned(), "debug".to_owned());
    let run = shell.goes("a");
    for value in [had, "canary-of-the-project"] {
        assert!(!run.stderr.contains(value), "{}", run.stderr);
        let session = shell.variable("__FNOX_SESSION").unwrap();
        fnox_testkit::Canary::new(value).assert_absent(
            &[("session", session.as_bytes())],
            &[&sandbox.home(), &sandbox.runtime_folder()],
        );
    }
    let passed = shell.run(&["exec", "--", "env"]).succeeds().stdout;
    assert!(passed.contains("A=canary-of-the-project"), "{passed}");
    assert!(!passed.contains("__FNOX_SESSION"), "{passed}");
}

#[test]
fn a_mistake_in_the_configuration_is_one_line_until_the_file_changes() {
    let sandbox = sandbox();
    trusted(&sandbox, "a", "[secrets]\nA = { default = \"a\" }\n");
    let mut shell = StandIn::new(&sandbox);
    shell.goes("a");
    sandbox.write("a/fnox.toml", "[secrets]\nA = { defualt = \"a\" }\n");
    let said = shell.prompts().stderr;
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(
        said.starts_with("fnox: -1 A\nfnox: nothing is loaded: unknown key `defualt`"),
        "{said}"
    );
    assert_eq!(shell.prompts().stderr, "");
    sandbox.write(
        "a/fnox.toml",
        "import = [\"gone.toml\"]\n[secrets]\nA = { default = \"a\" }\n",
    );
    assert!(shell.prompts().stderr.contains("gone.toml does not exist"));
    sandbox.write("a/gone.toml", "");
    assert_eq!(shell.prompts().stderr, "fnox: +1 A\n");
}

#[test]
fn without_a_place_for_the_key_nothing_is_loaded_and_that_is_said_once() {
    let sandbox = sandbox();
    sandbox.write("a/fnox.toml", "[secrets]\nA = { default = \"a\" }\n");
    fs::create_dir_all(sandbox.state_folder().parent().unwrap()).unwrap();
    fs::write(sandbox.state_folder(), "a file in the way").unwrap();
    let mut shell = StandIn::new(&sandbox);
    shell.folder.push("a");
    let pid = std::process::id().to_string();
    let arguments = ["hook-env", "-s", "xonsh", "--shell-pid", &pid];
    let run = shell.run(&arguments).succeeds();
    assert!(
        run.stderr
            .contains(&*sandbox.state_folder().to_string_lossy()),
        "{}",
        run.stderr
    );
    shell.evaluate(&run.stdout);
    let again = shell.run(&arguments).succeeds();
    assert_eq!((again.stdout.as_str(), again.stderr.as_str()), ("", ""));
}

#[test]
fn files_of_secrets_are_private_replaced_in_place_and_removed() {
    use std::os::unix::fs::MetadataExt as _;
    let sandbox = sandbox();
    let write = |content: &str| {
        let text = format!(
            "[secrets]\nF = {{ default = \"{content}\", as_file = true }}\nG = {{ default = \"g\", as_file = true }}\n"
        );
        sandbox.write("a/fnox.toml", text)
    };
    write("one");
    ok(&sandbox, &["trust", "a"]);
    let mut shell = StandIn::new(&sandbox);
    shell.goes("a");
    let [f, g] = ["F", "G"].map(|name| PathBuf::from(shell.variable(name).unwrap()));
    assert_eq!(f.metadata().unwrap().mode() & 0o777, 0o600);
    write("two!");
    assert_eq!(shell.prompts().stderr, "fnox: ~1 F\n");
    assert_eq!(shell.variable("F"), f.to_str());
    assert_eq!(fs::read_to_string(&f).unwrap(), "two!");
    sandbox.write(
        "a/fnox.toml",
        "[secrets]\nF = { default = \"two!\", as_file = true }\n",
    );
    assert_eq!(shell.prompts().stderr, "fnox: -1 G\n");
    assert!(f.exists() && !g.exists());
    // A file that was removed comes back.
    fs::remove_dir_all(f.parent().unwrap()).unwrap();
    shell.prompts();
    let again = PathBuf::from(shell.variable("F").unwrap());
    assert_eq!(fs::read_to_string(&again).unwrap(), "two!");
    shell.goes("..");
    assert!(!again.parent().unwrap().exists());
}

#[test]
fn deactivating_what_is_not_activated_says_so() {
    let sandbox = sandbox();
    let said = fails(&sandbox, 2, &["deactivate"]);
    assert!(said.contains("not activated"), "{said}");
    let said = fails(&sandbox, 2, &["activate", "tcsh"]);
    assert!(
        said.contains("`tcsh` is not known") && said.contains("elvish"),
        "{said}"
    );
    let run = sandbox.run(["activate"]).env("SHELL", "/bin/zsh").finish();
    assert!(run.succeeds().stdout.contains("export FNOX_SHELL=zsh"));
    let quiet = sandbox.run(["activate", "bash", "--no-hook-env"]).finish();
    let quiet = quiet.succeeds().stdout;
    assert!(
        quiet.contains("fnox()") && !quiet.contains("PROMPT_COMMAND=\""),
        "{quiet}"
    );
}

//! The shells themselves: what is loaded on entering a folder is exactly the secret, and goes on leaving it.
//!
//! bash, zsh, fish, elvish and xonsh are here. Nushell and PowerShell are not in Debian: what is rendered for them
//! is compared with snapshots only.

use std::path::Path;

use fnox_testkit::Sandbox;

use crate::shell_support::{Shell, text, trusted};
use crate::support::{ok, sandbox};

/// Everything that some shell takes for something else.
const AWKWARD: &str = " '\"$HOME `id` $(id) \\ \\n !! !x %s %% ~ * ? [a] {a,b} #c ;|&<>^ \u{2018}\u{2019}\u{201c} é 漢 🔑 \t\r\n\n\u{1}\u{1b}[0m\u{7f} \n";

/// A value of 64 KiB that no two of its parts have in common.
fn long_value() -> String {
    let mut long = String::new();
    for number in 0.. {
        long += &[number.to_string().as_str(), "'\\\"$\n"].concat();
        if long.len() >= 64 * 1024 {
            break;
        }
    }
    long.truncate(64 * 1024);
    long
}

fn toml(value: &str) -> String {
    // JSON's strings are TOML's too, but for U+007F (TOML 1.0, Basic strings).
    serde_json::to_string(value)
        .unwrap()
        .replace('\u{7f}', "\\u007f")
}

fn project(sandbox: &Sandbox) {
    let text = format!(
        "root = true\n[providers]\nplain = {{ type = \"plain\" }}\n[secrets]\nAWKWARD = {{ value = {} }}\nLONG = {{ value = {} }}\n\
         EMPTY = {{ default = \"\" }}\nHAD = {{ value = \"theirs\" }}\nMINE = {{ value = \"theirs\" }}\nHIDDEN = {{ value = \"h\", env = \"exec\" }}\n\
         FILE = {{ value = \"content\\n\", as_file = true }}\n",
        toml(AWKWARD),
        toml(&long_value()),
    );
    trusted(sandbox, "a", &text);
    sandbox.write("a/deep/er/.keep", "");
    sandbox.write("elsewhere/.keep", "");
}

fn loads_exactly_and_restores(name: &str) {
    let sandbox = sandbox()
        .with_env("HAD", "before 'it'")
        .with_env("MINE", "before");
    project(&sandbox);
    let mut shell = Shell::start(&sandbox, name);
    shell.goes("a");
    let inside = shell.variables();
    let shown = || shell.screen();
    assert_eq!(
        text(&inside, "AWKWARD"),
        Some(AWKWARD),
        "{name}: {}",
        shown()
    );
    assert_eq!(text(&inside, "LONG"), Some(long_value().as_str()), "{name}");
    assert_eq!(text(&inside, "HAD"), Some("theirs"));
    assert_eq!(text(&inside, "HIDDEN"), None);
    let file = text(&inside, "FILE").unwrap().to_owned();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "content\n");
    assert!(
        Path::new(&file).starts_with(sandbox.runtime_folder()),
        "{file}"
    );

    // Within the project nothing changes, and what the user changes is the user's.
    shell.goes("deep/er");
    let line = match name {
        "fish" => "set -gx MINE changed",
        "elvish" => "set-env MINE changed",
        "xonsh" => "$MINE = 'changed'",
        _ => "export MINE=changed",
    };
    shell.types(line);
    let deeper = shell.variables();
    assert_eq!(text(&deeper, "HAD"), Some("theirs"));
    assert_eq!(
        text(&deeper, "__FNOX_SESSION"),
        text(&inside, "__FNOX_SESSION")
    );

    shell.goes("../../../elsewhere");
    let outside = shell.variables();
    for gone in ["AWKWARD", "LONG", "FILE"] {
        assert_eq!(text(&outside, gone), None, "{name}: {gone}");
    }
    assert_eq!(text(&outside, "HAD"), Some("before 'it'"));
    assert_eq!(text(&outside, "MINE"), Some("changed"));
    assert!(!Path::new(&file).exists(), "{name}: {file}");
    assert_eq!(text(&outside, "FNOX_SHELL"), Some(name));

    // Deactivation inside a project takes everything away too.
    shell.goes("../a");
    assert_eq!(text(&shell.variables(), "HAD"), Some("theirs"));
    shell.types("fnox deactivate");
    let off = shell.variables();
    for gone in ["AWKWARD", "FILE", "__FNOX_SESSION", "FNOX_SHELL"] {
        assert_eq!(text(&off, gone), None, "{name}: {gone}: {}", shell.screen());
    }
    assert_eq!(text(&off, "HAD"), Some("before 'it'"));
    shell.goes("deep");
    assert_eq!(text(&shell.variables(), "AWKWARD"), None, "{name}");
}

#[test]
fn bash_loads_exactly_and_restores() {
    loads_exactly_and_restores("bash");
}

#[test]
fn zsh_loads_exactly_and_restores() {
    loads_exactly_and_restores("zsh");
}

#[test]
fn fish_loads_exactly_and_restores() {
    loads_exactly_and_restores("fish");
}

#[test]
fn elvish_loads_exactly_and_restores() {
    loads_exactly_and_restores("elvish");
}

#[test]
fn xonsh_loads_exactly_and_restores() {
    loads_exactly_and_restores("xonsh");
}

const ALL: [&str; 5] = ["bash", "zsh", "fish", "elvish", "xonsh"];

#[test]
fn an_untrusted_folder_gets_one_line_and_nothing_of_it_is_read() {
    for name in ALL {
        let sandbox = sandbox();
        // Even its mistakes are not looked at.
        sandbox.write(
            "a/fnox.toml",
            "[secrets]\nA = { default = \"a\" }\nnonsense",
        );
        let mut shell = Shell::start(&sandbox, name);
        shell.goes("a");
        assert_eq!(text(&shell.variables(), "A"), None);
        shell.goes("../a");
        assert_eq!(text(&shell.variables(), "A"), None);
        let screen = shell.screen();
        assert_eq!(
            screen.matches("is not trusted").count(),
            1,
            "{name}: {screen}"
        );
        assert!(
            screen.contains("then: fnox trust") && !screen.contains("nonsense"),
            "{screen}"
        );

        sandbox.write("a/fnox.toml", "[secrets]\nA = { default = \"a\" }\n");
        shell.types("fnox trust");
        shell.comes_to_a_prompt();
        assert_eq!(
            text(&shell.variables(), "A"),
            Some("a"),
            "{name}: {}",
            shell.screen()
        );
        shell.types("fnox untrust");
        shell.comes_to_a_prompt();
        assert_eq!(text(&shell.variables(), "A"), None, "{name}");
    }
}

#[test]
fn a_provider_that_hangs_costs_its_own_secrets_and_one_line() {
    for name in ALL {
        let sandbox = sandbox().with_env("FNOX_SHELL_TIMEOUT", "1s");
        let calls = sandbox.root().join("calls");
        sandbox.write_program(
            "op",
            &format!("#!/bin/sh\necho x >> {}\nexec sleep 600\n", calls.display()),
        );
        trusted(
            &sandbox,
            "a",
            "[providers]\nop = { type = \"1password\", vault = \"V\" }\n[secrets]\nA = { provider = \"op\", value = \"i\" }\nB = { default = \"b\" }\n",
        );
        let mut shell = Shell::start(&sandbox, name);
        shell.goes("a");
        let inside = shell.variables();
        assert_eq!(text(&inside, "B"), Some("b"), "{name}: {}", shell.screen());
        assert_eq!(text(&inside, "A"), None);
        let asked = std::fs::read_to_string(&calls).unwrap();
        for _ in 0..3 {
            shell.variables();
        }
        assert_eq!(
            std::fs::read_to_string(&calls).unwrap(),
            asked,
            "{name}: asked again at once"
        );
        let screen = shell.screen();
        assert_eq!(
            screen.matches("trying again in 15 s").count(),
            1,
            "{name}: {screen}"
        );
    }
}

#[test]
fn ctrl_c_ends_the_waiting_and_nothing_else() {
    for name in ALL {
        let sandbox = sandbox().with_env("FNOX_SHELL_TIMEOUT", "10m");
        let begun = sandbox.root().join("begun");
        sandbox.write_program(
            "op",
            &format!("#!/bin/sh\necho x >> {}\nexec sleep 600\n", begun.display()),
        );
        trusted(
            &sandbox,
            "a",
            "[providers]\nop = { type = \"1password\", vault = \"V\" }\n[secrets]\nA = { provider = \"op\", value = \"i\" }\n",
        );
        let mut shell = Shell::start(&sandbox, name);
        shell.goes("a");
        fnox_testkit::wait::until(
            "the provider is asked",
            std::time::Duration::from_mins(1),
            || std::fs::read_to_string(&begun).is_ok_and(|text| !text.is_empty()),
        );
        shell.interrupts();
        assert_eq!(text(&shell.variables(), "A"), None);
        let screen = shell.screen();
        assert!(
            screen.contains("interrupted; trying again in 15 s"),
            "{name}: {screen}"
        );
        assert_eq!(std::fs::read_to_string(&begun).unwrap(), "x\n", "{name}");
    }
}

#[test]
fn the_exit_status_of_the_command_before_is_kept() {
    for (name, status) in [("bash", "$?"), ("zsh", "$?"), ("fish", "$status")] {
        let sandbox = sandbox();
        trusted(&sandbox, "a", "[secrets]\nA = { default = \"a\" }\n");
        let mut shell = Shell::start(&sandbox, name);
        shell.types("sh -c 'cd a; exit 37'");
        assert_eq!(shell.output(&format!("echo {status}")), b"37\n", "{name}");
        // Also where the hook has something to do.
        shell.types(match name {
            "fish" => "cd a; sh -c 'exit 38'",
            _ => "cd a; (exit 38)",
        });
        assert_eq!(shell.output(&format!("echo {status}")), b"38\n", "{name}");
        assert_eq!(text(&shell.variables(), "A"), Some("a"));
    }
}

#[test]
fn a_shell_without_its_fnox_can_still_be_deactivated() {
    for name in ALL {
        let sandbox = sandbox().with_env("HAD", "before");
        let fnox = sandbox.root().join("bin/fnox");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fnox"), &fnox).unwrap();
        trusted(
            &sandbox,
            "a",
            "[secrets]\nA = { default = \"it's\\n\\\"a\\\"\" }\nHAD = { default = \"theirs\" }\n",
        );
        let mut shell = Shell::start_with(&sandbox, name, &fnox, "");
        shell.goes("a");
        assert_eq!(text(&shell.variables(), "HAD"), Some("theirs"), "{name}");
        // The link is what the shell calls, not the file behind it.
        std::fs::remove_file(&fnox).unwrap();
        assert_eq!(text(&shell.variables(), "HAD"), Some("theirs"));
        shell.types("fnox deactivate");
        let off = shell.variables();
        assert_eq!(text(&off, "A"), None, "{name}: {}", shell.screen());
        assert_eq!(text(&off, "HAD"), Some("before"), "{name}");
        assert_eq!(text(&off, "__FNOX_SESSION"), None);
    }
}

#[test]
fn a_shell_inside_another_takes_away_what_it_inherited_and_leaves_the_others_files() {
    let sandbox = sandbox().with_env("HAD", "before");
    trusted(
        &sandbox,
        "a",
        "[secrets]\nHAD = { default = \"theirs\" }\nFILE = { default = \"f\", as_file = true }\n",
    );
    let mut shell = Shell::start(&sandbox, "bash");
    shell.goes("a");
    let file = text(&shell.variables(), "FILE").unwrap().to_owned();
    shell.types(&format!(
        "bash --noprofile --rcfile {} -i",
        sandbox.home().join("rc.bash").display()
    ));
    shell.goes("..");
    let outside = shell.variables();
    assert_eq!(text(&outside, "HAD"), Some("before"));
    assert_eq!(text(&outside, "FILE"), None);
    assert!(Path::new(&file).exists(), "the outer shell still uses it");
    shell.types("exit");
    assert_eq!(text(&shell.variables(), "FILE"), Some(file.as_str()));
    shell.types("exit");
    fnox_testkit::wait::until(
        "the file goes with its shell",
        std::time::Duration::from_mins(1),
        || !Path::new(&file).exists(),
    );
}

#[test]
fn hooks_that_were_there_before_stay_and_see_the_exit_status() {
    let sandbox = sandbox();
    trusted(&sandbox, "a", "[secrets]\nA = { default = \"a\" }\n");
    let seen = sandbox.root().join("seen");
    for own in [
        format!(
            "PROMPT_COMMAND=\"__fnox_hook;echo \\$? >> {}\"",
            seen.display()
        ),
        format!(
            "PROMPT_COMMAND=(__fnox_hook 'echo $? >> {}')",
            seen.display()
        ),
    ] {
        let mut shell = Shell::start_with(
            &sandbox,
            "bash",
            Path::new(env!("CARGO_BIN_EXE_fnox")),
            &own,
        );
        shell.types("(exit 41)");
        shell.goes("a");
        assert_eq!(text(&shell.variables(), "A"), Some("a"));
        assert!(std::fs::read_to_string(&seen).unwrap().contains("41\n"));
        shell.types("fnox deactivate");
        let command = shell.output("declare -p PROMPT_COMMAND");
        let command = String::from_utf8(command).unwrap();
        assert!(
            !command.contains("__fnox") && command.contains("echo"),
            "{command}"
        );
        std::fs::remove_file(&seen).unwrap();
    }
}

#[test]
fn what_a_shell_was_activated_with_holds_for_its_hook() {
    let sandbox = sandbox();
    let named = sandbox.write("named.toml", "[secrets]\nA = { default = \"named\" }\n[profiles.p.secrets]\nA = { default = \"of p\" }\n");
    let named = named.display();
    let script = ok(
        &sandbox,
        &["activate", "bash", "-c", "named.toml", "-P", "p"],
    );
    assert!(
        script.contains(&format!("'--config' '{named}' '--profile' 'p'")),
        "{script}"
    );
    let file = sandbox.home().join("script");
    sandbox.write(&file, &script);
    let line = format!("source {}; __fnox_hook; printf %s \"$A\"", file.display());
    let run = sandbox
        .run_program("bash", ["-c", &line])
        .finish()
        .succeeds();
    assert_eq!(run.stdout, "of p");
}

//! Bad input: the error names it, says what to do, shows no value, and nothing is lost.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use crate::support::{fails, ok, sandbox, shown};

#[test]
fn errors_point_at_the_place_and_mask_values() {
    let cases = [
        (
            "unknown key",
            "[secrets]\nAPI_KEY = { valeu = \"x\", default = \"hunter2\" }\n",
        ),
        (
            "near miss of a provider",
            "[providers]\nonepass = { type = \"1pasword\" }\n",
        ),
        ("no TOML", "[secrets]\nA = { value = \"hunter2\n"),
        (
            "a string instead of a table",
            "[secrets]\nA = \"hunter2\"\n",
        ),
        (
            "a name that is no variable",
            "[secrets]\n\"A B\" = { value = \"hunter2\" }\n",
        ),
        (
            "a lease with a wrong key",
            "[leases.aws]\ntype = \"aws-sts\"\nregion = \"eu-west-1\"\nrole = \"arn\"\n",
        ),
        (
            "a cycle of profiles",
            "[profiles.a]\ninherits = [\"b\"]\n[profiles.b]\ninherits = [\"a\"]\n",
        ),
        (
            "a cycle of defaults",
            "[secrets]\nA = { default = \"${B}\" }\nB = { default = \"${A}\" }\n",
        ),
        ("a missing import", "import = [\"gone.toml\"]\n"),
        (
            "a provider that does not exist",
            "[secrets]\nA = { provider = \"plian\", value = \"x\" }\n[providers.plain]\ntype = \"plain\"\n",
        ),
    ];
    let mut all = String::new();
    for (what, text) in cases {
        let sandbox = sandbox();
        sandbox.write("fnox.toml", text);
        let profile = if what.contains("profiles") {
            vec!["-P", "a"]
        } else {
            Vec::new()
        };
        let run = sandbox
            .run([&["exec"], profile.as_slice(), &["--", "true"]].concat())
            .finish();
        assert_eq!(run.code, Some(3), "{what}: {}", run.stderr);
        assert!(!run.stderr.contains("hunter2"), "{what}: {}", run.stderr);
        all += &["=== ", what, "\n", &shown(&sandbox, &run), "\n"].concat();
        assert_eq!(sandbox.read("fnox.toml"), text, "{what}");
    }
    insta::assert_snapshot!("errors_point_at_the_place_and_mask_values", all);
}

#[test]
fn what_a_file_says_moves_no_cursor_when_it_is_quoted() {
    let secret = "[secrets]\nA = { provider = \"p\", value = \"x\" }\n";
    for (text, arguments) in [
        (
            "[providers.p]\ntype = \"age\"\nrecipients = [\"age1@\"]\n",
            &["set", "A", "v"][..],
        ),
        ("[providers.p]\ntype = \"age@\"\n", &["get", "A"]),
        (
            "[providers.p]\ntype = \"vault\"\naddress = \"http://@\"\n",
            &["get", "A"],
        ),
        (
            "[providers.p]\ntype = \"plain\"\n\"k@\" = 1\n",
            &["get", "A"],
        ),
        (
            "[leases.a]\ntype = \"command\"\ncreate_command = \"true\"\nduration = \"@\"\n",
            &["lease", "create", "a"],
        ),
        (
            "[leases.a]\ntype = \"command\"\nconsumes = []\ncreate_command = \"printf '\\\\033[2J' >&2; exit 1\"\n",
            &["lease", "create", "a"],
        ),
    ] {
        let sandbox = sandbox();
        let text = format!("{text}{secret}").replace('@', "\\u001b[2J\\u009b\\r");
        sandbox.write("fnox.toml", &text);
        let run = sandbox.run(arguments).finish();
        assert_ne!(run.code, Some(0), "{text}");
        let is_control = |character: char| character.is_control() && character != '\n';
        assert!(!run.stderr.contains(is_control), "{text}: {:?}", run.stderr);
        assert!(run.stderr.contains("[2J"), "{text}: {:?}", run.stderr);
    }
}

#[test]
fn no_configuration_says_how_to_begin() {
    let sandbox = sandbox();
    let stderr = fails(&sandbox, 3, &["get", "A"]);
    assert!(stderr.contains("fnox init"), "{stderr}");
}

#[test]
fn a_file_that_is_no_text_or_far_too_large_is_refused() {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", b"A = \"\xff\xfe\"");
    assert!(fails(&sandbox, 3, &["list"]).contains("UTF-8"));
    sandbox.write("fnox.toml", vec![b'#'; 10 * 1024 * 1024]);
    assert!(fails(&sandbox, 3, &["list"]).contains("10485760 bytes"));
}

#[test]
fn a_missing_program_of_a_provider_is_named_with_a_remedy() {
    for (kind, program, reference) in [
        ("1password", "op", "op://v/i/f"),
        ("password-store", "pass", "x"),
    ] {
        let sandbox = sandbox();
        let text = format!(
            "[providers.p]\ntype = \"{kind}\"\n[secrets]\nA = {{ provider = \"p\", value = \"{reference}\" }}\n"
        );
        sandbox.write("fnox.toml", text);
        // A store with the entry is there, so only the program is missing.
        sandbox.write(sandbox.home().join(".password-store/x.gpg"), "");
        sandbox.write(sandbox.home().join(".password-store/.gpg-id"), "nobody\n");
        let fnox = env!("CARGO_BIN_EXE_fnox");
        let bin = sandbox.root().join("bin").display().to_string();
        let run = sandbox
            .run_program(fnox, ["get", "A"])
            .env("PATH", bin)
            .finish()
            .exits_with(6);
        assert!(
            run.stderr.contains(&format!("`{program}`")),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains("help:"), "{}", run.stderr);
    }
}

#[test]
fn a_provider_that_hangs_is_ended_with_its_children() {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", "[providers.op]\ntype = \"1password\"\nvault = \"V\"\n[secrets]\nA = { provider = \"op\", value = \"i\" }\n");
    let children = sandbox.project().join("children");
    let script = format!(
        "#!/bin/sh\nsleep 43.75 & echo $! > {}\nwait\n",
        children.display()
    );
    sandbox.write_program("op", &script);
    let begun = Instant::now();
    let stderr = {
        let run = sandbox
            .run(["get", "A"])
            .env("FNOX_PROVIDER_TIMEOUT", "2s")
            .finish()
            .exits_with(6);
        run.stderr
    };
    assert!(stderr.contains("did not answer within 2 s"), "{stderr}");
    assert!(
        begun.elapsed() < Duration::from_secs(40),
        "it waited for the program"
    );
    let child = std::fs::read_to_string(&children).unwrap();
    fnox_testkit::wait::until("the grandchild is gone", Duration::from_secs(10), || {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
}

#[test]
fn a_foreign_configuration_is_refused_until_trusted() {
    let sandbox = sandbox();
    let path = sandbox.write("fnox.toml", "[secrets]\nA = { default = \"a\" }\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let stderr = fails(&sandbox, 3, &["get", "A"]);
    assert!(stderr.contains("fnox trust"), "{stderr}");
    ok(&sandbox, &["trust", "fnox.toml"]);
    assert_eq!(ok(&sandbox, &["get", "A"]), "a\n");
}

#[test]
fn a_full_disk_leaves_the_configuration_as_it_was() {
    let sandbox = sandbox();
    let text = format!(
        "# {}\n[providers]\nplain = {{ type = \"plain\" }}\n[secrets]\nA = {{ value = \"a\" }}\n",
        "x".repeat(3000)
    );
    sandbox.write("fnox.toml", &text);
    let fnox = env!("CARGO_BIN_EXE_fnox");
    // A limit of 1 block of 512 bytes stands for the full disk: writes fail the same way (EFBIG for ENOSPC).
    let script = format!("trap '' XFSZ; ulimit -f 1; {fnox} set B b");
    let run = sandbox
        .run_program("sh", ["-c", &script])
        .finish()
        .exits_with(3);
    assert!(run.stderr.contains("cannot write"), "{}", run.stderr);
    assert_eq!(sandbox.read("fnox.toml"), text);
    let left: Vec<_> = std::fs::read_dir(sandbox.project())
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_full_disk_is_told_of_the_private_file_that_has_no_room() {
    let sandbox = sandbox();
    // The first one is written; it has nothing to write.
    sandbox.write(
        "fnox.toml",
        "[secrets]\nEMPTY = { default = \"\", as_file = true }\nCERT = { default = \"pem\", as_file = true }\n",
    );
    let fnox = env!("CARGO_BIN_EXE_fnox");
    for command in ["get CERT", "export"] {
        // No file may grow: what a full disk looks like to a writer. Pipes are not concerned.
        let script = format!("trap '' XFSZ; ulimit -f 0; {fnox} {command}");
        let run = sandbox.run_program("sh", ["-c", &script]).finish();
        let run = run.exits_with(1);
        let said = &run.stderr;
        assert!(said.contains("cannot write the private file"), "{run}");
        assert!(said.contains("/files/CERT-"), "{run}");
        assert!(said.contains("make room"), "{run}");
        assert_eq!(run.stdout, "", "{run}");
        let left = std::fs::read_dir(sandbox.runtime_folder().join("fnox/files"));
        assert_eq!(left.unwrap().count(), 0, "{command}");
    }
}

#[test]
fn edits_at_the_same_time_lose_nothing() {
    let sandbox = sandbox();
    sandbox.write(
        "fnox.toml",
        "[providers]\nplain = { type = \"plain\" }\n[secrets]\n",
    );
    let running: Vec<_> = (0..16)
        .map(|number| {
            sandbox
                .run(["set", &format!("S{number}"), &format!("v{number}")])
                .start()
        })
        .collect();
    for one in running {
        one.finish().succeeds();
    }
    let listed = ok(&sandbox, &["list", "--complete"]);
    assert_eq!(listed.lines().count(), 16, "{listed}");
}

#[test]
fn names_that_are_no_variables_are_refused_by_name() {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", "[providers]\nplain = { type = \"plain\" }\n");
    for name in ["A-B", "1A", "A B", "", "A\nB", "$(id)"] {
        let run = sandbox.run(["set", name, "v"]).finish().exits_with(2);
        assert!(
            run.stderr.contains("cannot be an environment variable"),
            "{name:?}: {}",
            run.stderr
        );
    }
}

#[test]
fn unknown_flags_and_commands_are_usage_errors_with_a_hint() {
    let sandbox = sandbox();
    assert!(fails(&sandbox, 2, &["exce", "--", "true"]).contains("exec"));
    assert!(fails(&sandbox, 2, &["exec", "--olny", "A", "--", "true"]).contains("--only"));
    assert!(fails(&sandbox, 2, &["exec", "true"]).contains("--"));
}

//! `fnox edit`

use fnox_testkit::{Invocation, Sandbox};

use crate::support::{ok, with_age};
use crate::terminal::Session;

const VALUE: &str = "edit-canary-5d0c2b71";

/// A project with encrypted values in the base and in a profile, comments, and a value that nobody can read.
fn project() -> Sandbox {
    let sandbox = with_age();
    let text = sandbox.read("fnox.toml");
    let more = "gone = { type = \"1password\", vault = \"v\", token = { secret = \"NOWHERE\" } }\n[secrets] # kept as well\n";
    sandbox.write("fnox.toml", text + more);
    sandbox
        .run(["set", "A", "-p", "age"])
        .stdin(VALUE)
        .finish()
        .succeeds();
    sandbox
        .run(["set", "B", "-p", "age", "-d", "second"])
        .stdin("two\nlines")
        .finish()
        .succeeds();
    sandbox
        .run(["set", "A", "-p", "age", "-P", "dev"])
        .stdin("of-dev")
        .finish()
        .succeeds();
    sandbox
}

/// fnox with an editor that is this script; the file is `$1`.
fn with_editor(sandbox: &Sandbox, arguments: &[&str], script: &str) -> Invocation {
    sandbox.write("editor", script);
    let invocation = sandbox.run(arguments);
    invocation.env("EDITOR", "sh ./editor")
}

fn nothing_is_left(sandbox: &Sandbox) {
    for root in [sandbox.runtime_folder(), sandbox.state_folder()] {
        let left = std::process::Command::new("find")
            .args([root.as_os_str(), "-path".as_ref(), "*/exec/*".as_ref()])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    }
}

#[test]
fn the_file_is_shown_decrypted_and_only_what_changed_is_encrypted() {
    let sandbox = project();
    let before = sandbox.read("fnox.toml");
    let script = "cat \"$1\" > seen; stat -c %a \"$1\" > mode; stat -c %a \"$(dirname \"$1\")\" >> mode\n\
                  sed -i -e 's/two/three/' -e 's/of-dev/for-dev/' \"$1\"\n\
                  printf '[profiles.prod.secrets]\\nNEW = { provider = \"age\", value = \"first\" }\\n' >> \"$1\"";
    let run = with_editor(&sandbox, &["edit"], script).finish().succeeds();
    assert!(run.stderr.contains("3 values encrypted"), "{run}");
    let seen = sandbox.read("seen");
    assert!(seen.contains(&format!("value = \"{VALUE}\"")), "{seen}");
    assert!(
        seen.contains("two\nlines") && seen.contains("of-dev"),
        "{seen}"
    );
    assert!(seen.contains("# kept as well"), "{seen}");
    assert_eq!(sandbox.read("mode"), "600\n700\n");
    let after = sandbox.read("fnox.toml");
    let line = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("A = "))
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        line(&after),
        line(&before),
        "what was not changed keeps its ciphertext"
    );
    for value in [VALUE, "three", "of-dev", "for-dev", "first"] {
        assert!(!after.contains(value), "{value}: {after}");
    }
    assert_eq!(ok(&sandbox, &["get", "A"]), format!("{VALUE}\n"));
    assert_eq!(ok(&sandbox, &["get", "B"]), "three\nlines\n");
    assert_eq!(ok(&sandbox, &["get", "A", "-P", "dev"]), "for-dev\n");
    assert_eq!(ok(&sandbox, &["get", "NEW", "-P", "prod"]), "first\n");
    nothing_is_left(&sandbox);
}

#[test]
fn a_value_that_cannot_be_read_stays_and_the_others_can_be_edited() {
    let sandbox = project();
    let broken = "BROKEN = { provider = \"age\", value = \"no ciphertext\" }\nREMOTE = { provider = \"gone\", value = \"item/field\" }\n";
    let text = sandbox.read("fnox.toml");
    let at = text.find("A = ").unwrap();
    sandbox.write(
        "fnox.toml",
        format!("{}{broken}{}", &text[..at], &text[at..]),
    );
    let script = "sed -i 's/two/three/' \"$1\"";
    let run = with_editor(&sandbox, &["edit"], script).finish().succeeds();
    assert!(
        run.stderr.contains("`BROKEN` stays as it is stored"),
        "{run}"
    );
    let after = sandbox.read("fnox.toml");
    assert!(after.contains(broken), "{after}");
    assert_eq!(ok(&sandbox, &["get", "B"]), "three\nlines\n");
}

#[test]
fn nothing_is_written_if_nothing_changed_or_something_went_wrong() {
    let sandbox = project();
    let before = sandbox.read("fnox.toml");
    let run = with_editor(&sandbox, &["edit"], "true").finish().succeeds();
    assert!(run.stderr.contains("Nothing was changed"), "{run}");
    for (script, said) in [
        ("sed -i 's/two/three/' \"$1\"; exit 3", "exit status: 3"),
        (
            &format!("echo 'C = \"{VALUE}' >> \"$1\""),
            "the edited text",
        ),
        ("sed -i 's/age\"/plane\"/' \"$1\"", "plane"),
        (
            "echo >> fnox.toml; sed -i 's/two/three/' \"$1\"",
            "somebody else",
        ),
    ] {
        let run = with_editor(&sandbox, &["edit"], script).finish();
        assert_ne!(run.code, Some(0), "{script}: {run}");
        assert!(run.stderr.contains(said), "{script}: {run}");
        assert!(!run.stderr.contains(VALUE), "{script}: {run}");
        assert_eq!(
            sandbox.read("fnox.toml").trim_end(),
            before.trim_end(),
            "{script}"
        );
    }
    nothing_is_left(&sandbox);
}

#[test]
fn a_value_that_was_encrypted_is_not_written_as_it_is() {
    let sandbox = project();
    let before = sandbox.read("fnox.toml");
    let script = "sed -i 's/provider = \"age\", //' \"$1\"";
    let run = with_editor(&sandbox, &["edit"], script)
        .finish()
        .exits_with(2);
    assert!(run.stderr.contains("was encrypted"), "{run}");
    assert_eq!(sandbox.read("fnox.toml"), before);
}

#[test]
fn one_value_is_edited_exactly() {
    let sandbox = project();
    let script = "cat \"$1\" > seen; printf 'other \\n' > \"$1\"";
    let run = with_editor(&sandbox, &["edit", "B"], script)
        .finish()
        .succeeds();
    assert!(run.stderr.contains("Set B"), "{run}");
    assert_eq!(sandbox.read("seen"), "two\nlines");
    assert_eq!(
        ok(&sandbox, &["get", "B"]),
        "other \n",
        "the line end is the editor's"
    );
    let text = sandbox.read("fnox.toml");
    assert!(text.contains("description = \"second\""), "{text}");
    let run = with_editor(&sandbox, &["edit", "B"], "echo >> \"$1\"")
        .finish()
        .succeeds();
    assert!(run.stderr.contains("Nothing was changed"), "{run}");
    let script = "printf of-this > \"$1\"";
    with_editor(&sandbox, &["edit", "A", "-P", "dev"], script)
        .finish()
        .succeeds();
    assert_eq!(ok(&sandbox, &["get", "A", "-P", "dev"]), "of-this\n");
    assert_eq!(ok(&sandbox, &["get", "A"]), format!("{VALUE}\n"));
    nothing_is_left(&sandbox);
}

#[test]
fn what_only_reads_or_has_no_value_cannot_be_edited() {
    let sandbox = with_age();
    let text = sandbox.read("fnox.toml");
    let more = "env = { type = \"plain\", file = \"x.env\", format = \"env\" }\n[secrets]\nREAD = { provider = \"env\", value = \"X\" }\nNONE = { default = \"x\" }\n";
    sandbox.write("fnox.toml", text + more);
    for (key, said) in [("READ", "only reads"), ("NONE", "no stored value")] {
        let run = with_editor(&sandbox, &["edit", key], "true")
            .finish()
            .exits_with(2);
        assert!(run.stderr.contains(said), "{run}");
    }
}

#[test]
fn a_mistake_can_be_mended_in_the_editor() {
    let sandbox = project();
    let script = "[ -e again ] || { touch again; echo '[' >> \"$1\"; exit; }\nsed -i -e '/^\\[$/d' -e 's/two/three/' \"$1\"";
    sandbox.write("editor", script);
    let sandbox = sandbox.with_env("EDITOR", "sh ./editor");
    let mut session = Session::start(&sandbox, "edit");
    session.answer("Edit it again?", "yes\r");
    session.expect("1 value encrypted");
    session.ends_with(0);
    assert_eq!(ok(&sandbox, &["get", "B"]), "three\nlines\n");
}

#[test]
fn the_copy_goes_away_if_fnox_is_killed() {
    let sandbox = project();
    let script = "kill -9 $PPID; sleep 0.1";
    let invocation = with_editor(&sandbox, &["edit"], script);
    let run = invocation.env("EDITOR", "exec sh ./editor").finish();
    assert_eq!(run.signal, Some(9), "{run}");
    fnox_testkit::wait::within(std::time::Duration::from_secs(10), || {
        let folder = sandbox.runtime_folder().join("exec");
        let left = std::fs::read_dir(folder).map_or(0, Iterator::count);
        (left == 0).then_some(())
    })
    .expect("nothing is left");
}

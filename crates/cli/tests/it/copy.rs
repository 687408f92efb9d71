//! `fnox copy`, `fnox rename` and `fnox set --generate`

use fnox_testkit::Sandbox;

use crate::support::{fails, ok, with_identity};

const VALUE: &str = "copy-canary-90ab12";

/// A project whose values are bound to their names, so that a ciphertext under another name is worth nothing.
fn project() -> Sandbox {
    let (sandbox, recipient) = with_identity();
    let text = format!(
        "[providers]\nage = {{ type = \"age\", recipients = [\"{recipient}\"], bind_names = true }}\n\
         op = {{ type = \"1password\", vault = \"v\" }}\n\
         [secrets]\n# kept\nREMOTE = {{ provider = \"op\", value = \"item/field\", description = \"there\" }}\n\
         URL = {{ default = \"https://${{A}}@host\" }}\n"
    );
    sandbox.write("fnox.toml", text);
    let set = ["set", "A", "-p", "age", "-d", "first"];
    sandbox.run(set).stdin(VALUE).finish().succeeds();
    sandbox
}

#[test]
fn a_copy_opens_under_its_own_name_and_keeps_the_other_keys() {
    let sandbox = project();
    let before = sandbox.read("fnox.toml");
    let text = ok(&sandbox, &["copy", "-n", "A", "B"]);
    assert!(
        text.starts_with("[dry-run] would copy A to B in "),
        "{text}"
    );
    assert_eq!(sandbox.read("fnox.toml"), before);
    ok(&sandbox, &["copy", "A", "B"]);
    assert_eq!(ok(&sandbox, &["get", "A"]), format!("{VALUE}\n"));
    assert_eq!(ok(&sandbox, &["get", "B"]), format!("{VALUE}\n"));
    let after = sandbox.read("fnox.toml");
    assert!(after.starts_with(&before), "{after}");
    assert_eq!(
        after.matches("description = \"first\"").count(),
        2,
        "{after}"
    );
    assert!(!after.contains(VALUE), "{after}");
    ok(&sandbox, &["cp", "REMOTE", "OTHER"]);
    let wanted = "OTHER = { provider = \"op\", value = \"item/field\", description = \"there\" }";
    assert!(sandbox.read("fnox.toml").contains(wanted));
}

#[test]
fn a_renamed_secret_keeps_its_value_and_what_names_it_is_told() {
    let sandbox = project();
    let run = sandbox.run(["rename", "A", "NEW"]).finish().succeeds();
    assert!(run.stderr.contains("`A` is still named in line"), "{run}");
    assert_eq!(ok(&sandbox, &["get", "NEW"]), format!("{VALUE}\n"));
    fails(&sandbox, 3, &["get", "A"]);
    let text = sandbox.read("fnox.toml");
    assert!(text.contains("# kept\nREMOTE"), "{text}");
    ok(&sandbox, &["rename", "REMOTE", "FAR"]);
    let moved = text.replace("# kept\nREMOTE", "# kept\nFAR");
    assert_eq!(sandbox.read("fnox.toml"), moved, "it stays in its place");
    let run = sandbox.run(["mv", "NEW", "LAST"]).finish().succeeds();
    assert!(!run.stderr.contains("still named"), "{run}");
}

#[test]
fn nothing_is_replaced_or_lost_by_accident() {
    let sandbox = project();
    sandbox
        .run(["set", "B", "-p", "age"])
        .stdin("other")
        .finish()
        .succeeds();
    sandbox
        .run(["set", "P", "-p", "age", "-P", "dev"])
        .stdin("of-dev")
        .finish()
        .succeeds();
    let before = sandbox.read("fnox.toml");
    for (code, arguments, said) in [
        (2, vec!["rename", "A", "B"], "--force"),
        (2, vec!["rename", "A", "A"], "already"),
        (2, vec!["copy", "A", "no-name"], "no-name"),
        (3, vec!["copy", "GONE", "X"], "GONE"),
        (2, vec!["copy", "A", "X", "-P", "dev"], "is not defined in"),
    ] {
        let error = fails(&sandbox, code, &arguments);
        assert!(error.contains(said), "{arguments:?}: {error}");
        assert_eq!(sandbox.read("fnox.toml"), before, "{arguments:?}");
    }
    ok(&sandbox, &["copy", "P", "Q", "-P", "dev"]);
    assert_eq!(ok(&sandbox, &["get", "Q", "-P", "dev"]), "of-dev\n");
    ok(&sandbox, &["rename", "--force", "A", "B"]);
    assert_eq!(ok(&sandbox, &["get", "B"]), format!("{VALUE}\n"));
    std::fs::remove_file(sandbox.config_folder().join("age.txt")).unwrap();
    let before = sandbox.read("fnox.toml");
    let run = sandbox.run(["rename", "B", "C"]).finish();
    assert_ne!(run.code, Some(0), "{run}");
    assert_eq!(sandbox.read("fnox.toml"), before);
}

#[test]
fn a_generated_value_is_stored_and_shown_only_if_asked_for() {
    let sandbox = project();
    let run = sandbox
        .run(["set", "TOKEN", "-p", "age", "--generate"])
        .finish()
        .succeeds();
    let value = ok(&sandbox, &["get", "TOKEN"]);
    assert_eq!(value.trim_end().len(), 32);
    sandbox.assert_no_leak(value.trim_end(), &[&run]);
    let error = fails(&sandbox, 2, &["set", "TOKEN", "--generate"]);
    assert!(error.contains("--force"), "{error}");
    assert_eq!(ok(&sandbox, &["get", "TOKEN"]), value);
    let set = [
        "set",
        "TOKEN",
        "--generate",
        "--force",
        "--show",
        "--generate-type",
        "hex",
        "--length",
        "16",
    ];
    let shown = ok(&sandbox, &set);
    assert_eq!(ok(&sandbox, &["get", "TOKEN"]), shown);
    assert_eq!(shown.trim_end().len(), 32);
    // It would stand in the file as a reference, in clear.
    let text = sandbox.read("fnox.toml");
    let error = fails(&sandbox, 2, &["set", "OTHER", "-p", "op", "--generate"]);
    assert!(error.contains("only reads"), "{error}");
    assert_eq!(sandbox.read("fnox.toml"), text);
    fails(&sandbox, 2, &["set", "X", "value", "--generate"]);
}

#[test]
fn what_is_said_about_a_generated_value_needs_one() {
    let sandbox = project();
    let text = sandbox.read("fnox.toml");
    sandbox.write("value.txt", "from a file");
    for more in ["--show", "--force", "--length=9", "--generate-type=hex"] {
        fails(&sandbox, 2, &["set", "X", more]);
        fails(&sandbox, 2, &["set", "X", "value", more]);
        fails(&sandbox, 2, &["set", "X", "--from-file", "value.txt", more]);
    }
    assert_eq!(sandbox.read("fnox.toml"), text);
}

#[test]
fn a_generated_value_may_be_as_short_as_a_pin() {
    let sandbox = project();
    let set = |length: &'static str| {
        let mut arguments = vec!["set", "PIN", "-p", "age", "--generate", "--force", "--show"];
        arguments.extend(["--length", length]);
        sandbox.run(arguments).finish()
    };
    assert_eq!(set("6").succeeds().stdout.trim_end().len(), 6);
    assert_eq!(set("1").succeeds().stdout.trim_end().len(), 1);
    for length in ["0", "1025"] {
        set(length).exits_with(2);
    }
}

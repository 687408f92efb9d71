//! Edits touch the edited entry and nothing else.

use std::path::Path;

use fnox_config::edit::{Change, Editor};
use fnox_config::trust::Trust;
use fnox_config::{FileKind, Folders};
use proptest::prelude::*;

fn edited(text: &str, edit: impl FnOnce(&mut Editor)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fnox.toml");
    std::fs::write(&path, text).unwrap();
    let mut editor = Editor::open(&path, FileKind::Project).unwrap();
    edit(&mut editor);
    editor.save(&folders(folder.path())).unwrap();
    std::fs::read_to_string(&path).unwrap()
}

fn folders(home: &Path) -> Folders {
    let home = ("HOME", home.to_str().unwrap());
    Folders::from_env(&[home].into_iter().collect())
}

const FILE: &str = r#"# A comment at the top
root   =  true   # why not

[providers] # providers
plain = { type = "plain" }   # simple

# Secrets, in an order of our own
[secrets]
B  = { value = "b",   provider = "plain" } # bee
'A' = {
    # multi-line needs TOML 1.1
    value = "a",
}
C.value = "c"

[secrets.D]
value = """
d
"""
description = "dee" # keep

[leases.x]
type = "command"
create_command = "true"
"#;

#[test]
fn replaces_a_value_in_place() {
    let out = edited(FILE, |editor| {
        editor
            .set(&["secrets"], "B", &[("value", Change::text("new"))])
            .unwrap();
    });
    assert_eq!(out, FILE.replace("\"b\"", "\"new\""));
}

#[test]
fn adds_a_key_to_an_inline_table_over_several_lines() {
    let out = edited(FILE, |editor| {
        editor
            .set(&["secrets"], "A", &[("description", Change::text("first"))])
            .unwrap();
    });
    assert_eq!(
        out,
        FILE.replace("value = \"a\",", "value = \"a\", description = \"first\",")
    );
}

#[test]
fn adds_a_key_to_dotted_lines_and_to_a_table_of_its_own() {
    let out = edited(FILE, |editor| {
        editor
            .set(&["secrets"], "C", &[("line", Change::Set(1.into()))])
            .unwrap();
        editor
            .set(&["secrets"], "D", &[("as_file", Change::Set(true.into()))])
            .unwrap();
    });
    let wanted = FILE
        .replace("C.value = \"c\"\n", "C.value = \"c\"\nC.line = 1\n")
        .replace("\"dee\" # keep\n", "\"dee\" # keep\nas_file = true\n");
    assert_eq!(out, wanted);
}

#[test]
fn a_new_secret_goes_behind_the_last_one_of_its_table() {
    let out = edited(FILE, |editor| {
        editor
            .set(&["secrets"], "E", &[("value", Change::text("e"))])
            .unwrap();
    });
    assert_eq!(
        out,
        FILE.replace(
            "C.value = \"c\"\n",
            "C.value = \"c\"\nE = { value = \"e\" }\n"
        )
    );
}

#[test]
fn a_new_secret_is_dotted_where_its_table_may_have_no_header() {
    let text = "secrets.A.value = \"a\"  # one\nsecrets.A.provider = \"age\"\nproviders.age.type = \"age\"\n";
    let add = |editor: &mut Editor, table: &[&str]| {
        let value = [("value", Change::text("b"))];
        editor.set(table, "B", &value).unwrap();
    };
    let after = edited(text, |editor| add(editor, &["secrets"]));
    assert_eq!(
        after,
        text.replace(
            "\"age\"\nproviders",
            "\"age\"\nsecrets.B = { value = \"b\" }\nproviders"
        )
    );
    let after = edited(text, |editor| {
        editor
            .set(&["providers"], "plain", &[("type", Change::text("plain"))])
            .unwrap();
    });
    assert_eq!(
        after,
        format!("{text}providers.plain = {{ type = \"plain\" }}\n")
    );
    let text = "profiles.p.secrets.A.value = \"a\"\n";
    let after = edited(text, |editor| add(editor, &["profiles", "p", "secrets"]));
    assert_eq!(
        after,
        format!("{text}profiles.p.secrets.B = {{ value = \"b\" }}\n")
    );
    let text = "[profiles.p]\n  secrets.A.value = \"a\"\n\n[secrets]\n";
    let after = edited(text, |editor| add(editor, &["profiles", "p", "secrets"]));
    let added = "\"a\"\n  secrets.B = { value = \"b\" }\n\n";
    assert_eq!(after, text.replace("\"a\"\n\n", added));
}

#[test]
fn a_new_table_goes_to_the_end() {
    let out = edited(FILE, |editor| {
        editor
            .set(
                &["profiles", "p.q", "secrets"],
                "E",
                &[("value", Change::text("e"))],
            )
            .unwrap();
    });
    assert_eq!(
        out,
        format!("{FILE}\n[profiles.\"p.q\".secrets]\nE = {{ value = \"e\" }}\n")
    );
}

#[test]
fn removes_each_way_an_entry_can_be_written() {
    for (name, gone) in [
        (
            "B",
            "B  = { value = \"b\",   provider = \"plain\" } # bee\n",
        ),
        (
            "A",
            "'A' = {\n    # multi-line needs TOML 1.1\n    value = \"a\",\n}\n",
        ),
        ("C", "C.value = \"c\"\n"),
        (
            "D",
            "[secrets.D]\nvalue = \"\"\"\nd\n\"\"\"\ndescription = \"dee\" # keep\n",
        ),
    ] {
        let out = edited(FILE, |editor| {
            assert!(editor.remove(&["secrets"], name).unwrap());
        });
        assert_eq!(out, FILE.replace(gone, ""), "{name}");
    }
}

#[test]
fn renames_each_way_an_entry_can_be_written() {
    for (name, old, new) in [
        ("B", "B  = { value", "NEW  = { value"),
        ("A", "'A' = {", "NEW = {"),
        ("C", "C.value", "NEW.value"),
        ("D", "[secrets.D]", "[secrets.NEW]"),
    ] {
        let out = edited(FILE, |editor| {
            assert!(editor.rename(&["secrets"], name, "NEW").unwrap());
        });
        assert_eq!(out, FILE.replace(old, new), "{name}");
    }
    assert_eq!(
        edited(FILE, |editor| {
            assert!(!editor.rename(&["secrets"], "Z", "NEW").unwrap());
        }),
        FILE
    );
}

#[test]
fn a_name_is_replaced_where_it_is_the_entrys_and_nowhere_else() {
    let text = "# A is the key of A
[profiles.A.secrets]
  A . value = \"A\" # A
  A.description = \"of A.\"
A.sync.provider = \"A\"
A.sync.value = \"A\"
AA.value = \"A\"

[profiles.B.secrets.A] # headed
value = \"A\"

[profiles.B.secrets.A.sync]
provider = \"A\"
value = \"A\"
";
    let out = edited(text, |editor| {
        assert!(
            editor
                .rename(&["profiles", "A", "secrets"], "A", "NEW")
                .unwrap()
        );
        assert!(
            editor
                .rename(&["profiles", "B", "secrets"], "A", "NEW")
                .unwrap()
        );
    });
    let wanted = text
        .replace("  A . value", "  NEW . value")
        .replace("  A.desc", "  NEW.desc")
        .replace("\nA.sync", "\nNEW.sync")
        .replace("secrets.A", "secrets.NEW");
    assert_eq!(out, wanted);
}

#[test]
fn removing_what_is_not_there_changes_nothing() {
    assert_eq!(
        edited(FILE, |editor| assert!(
            !editor.remove(&["secrets"], "Z").unwrap()
        )),
        FILE
    );
}

#[test]
fn removes_keys_from_inline_tables_with_their_comma() {
    let text = "[secrets]\nA = { value = \"v\", line = 1, description = \"d\" }\n";
    for (key, wanted) in [
        ("value", "A = { line = 1, description = \"d\" }"),
        ("line", "A = { value = \"v\", description = \"d\" }"),
        ("description", "A = { value = \"v\", line = 1 }"),
    ] {
        let out = edited(text, |editor| {
            editor
                .set(&["secrets"], "A", &[(key, Change::Remove)])
                .unwrap();
        });
        assert_eq!(out, format!("[secrets]\n{wanted}\n"));
    }
}

#[test]
fn an_edit_that_would_break_the_file_is_refused_and_nothing_changes() {
    let out = edited(FILE, |editor| {
        editor
            .set(&["secrets"], "B", &[("colour", Change::text("red"))])
            .unwrap_err();
    });
    assert_eq!(out, FILE);
}

#[test]
fn windows_line_ends_stay() {
    let text = "[secrets]\r\nA = { value = \"a\" }\r\n\r\n[providers]\r\n";
    let out = edited(text, |editor| {
        editor
            .set(&["secrets"], "B", &[("value", Change::text("b"))])
            .unwrap();
    });
    assert_eq!(
        out,
        text.replace("\"a\" }\r\n", "\"a\" }\r\nB = { value = \"b\" }\r\n")
    );
}

#[test]
fn a_top_level_key_goes_above_the_first_table_and_its_comment() {
    let out = edited("# about\n[secrets]\n", |editor| {
        editor
            .set_key(&[], "default_provider", &"age".into())
            .unwrap();
    });
    assert_eq!(out, "default_provider = \"age\"\n\n# about\n[secrets]\n");
}

#[test]
fn file_mode_and_link_survive() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (
        folder.path().join("real.toml"),
        folder.path().join("fnox.toml"),
    );
    std::fs::write(&file, "[secrets]\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let mut editor = Editor::open(&link, FileKind::Project).unwrap();
    editor
        .set(&["secrets"], "A", &[("value", Change::text("a"))])
        .unwrap();
    editor.save(&folders(folder.path())).unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    assert!(std::fs::read_to_string(&file).unwrap().contains("A = "));
}

#[test]
fn what_was_trusted_stays_so_by_own_edits_and_by_no_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fnox.toml");
    let folders = folders(folder.path());
    let trust = Trust::new(&folders, folder.path());
    let set = |name: &str| {
        let mut editor = Editor::open(&path, FileKind::Project).unwrap();
        let change = [("value", Change::text("a"))];
        editor.set(&["secrets"], name, &change).unwrap();
        editor.save(&folders).unwrap();
    };
    std::fs::write(&path, "[secrets]\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    set("A");
    trust.read_checked(&path).unwrap_err();
    trust.trust(&path).unwrap();
    set("B");
    assert!(trust.read_checked(&path).unwrap().contains("B = "));
    std::fs::write(&path, "[secrets]\n").unwrap();
    set("C");
    trust.read_checked(&path).unwrap_err();
}

proptest! {
    /// Setting any value and taking it away again gives the file back, byte for byte.
    #[test]
    fn set_and_remove_cancel_out(value in ".{0,60}", name in "[A-Z_][A-Z0-9_]{3,12}") {
        let out = edited(FILE, |editor| {
            editor.set(&["secrets"], &name, &[("value", Change::text(&value))]).unwrap();
            assert!(editor.remove(&["secrets"], &name).unwrap());
        });
        prop_assert_eq!(out, FILE);
    }
}

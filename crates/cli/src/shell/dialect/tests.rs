use super::*;

fn changes() -> Changes {
    Changes {
        set: vec![(
            "A".to_owned(),
            "it's \"$HOME\" `x` \\ !! \u{2019}\r\n\u{1}é".into(),
        )],
        unset: vec!["B".to_owned()],
    }
}

#[test]
fn each_shell_gets_its_own_words() {
    let undo = Changes {
        set: vec![("A".to_owned(), "old'".into())],
        unset: Vec::new(),
    };
    let mut all = String::new();
    for (names, dialect) in &DIALECTS {
        all += &["=== ", names[0], "\n"].concat();
        all += &dialect.script(&changes(), Some(&undo));
    }
    insta::assert_snapshot!("each_shell_gets_its_own_words", all);
}

#[test]
fn activation_names_the_program_and_passes_flags_to_the_hook_alone() {
    let flags = ["--profile".to_owned(), "it's".to_owned()];
    let mut all = String::new();
    for (names, dialect) in &DIALECTS {
        all += &["=== ", names[0], "\n"].concat();
        all += &activation(*dialect, "/opt/it's/fnox", &flags, true);
        let without = activation(*dialect, "/opt/fnox", &[], false);
        for mark in ["@PROGRAM@", "@FLAGS@", "@HOOK@", "@END@"] {
            assert!(!all.contains(mark) && !without.contains(mark), "{mark}");
        }
        assert!(without.len() < all.len(), "{without}");
    }
    insta::assert_snapshot!("activation", all);
}

#[test]
fn a_shell_is_known_by_its_path_and_as_a_login_shell() {
    for (text, name) in [
        ("/usr/bin/zsh", "zsh"),
        ("-bash", "bash"),
        ("nushell", "nu"),
        ("powershell", "pwsh"),
    ] {
        let found = named(text).unwrap().template();
        assert_eq!(found, named(name).unwrap().template(), "{text}");
    }
    assert!(named("tcsh").is_none() && named("").is_none());
}

#[test]
fn a_script_never_outgrows_its_buffer() {
    for character in ["'", "\\", "\n", "\u{1}", "\u{2019}", "\"", "é"] {
        for (names, dialect) in &DIALECTS {
            let long = Changes {
                set: vec![("A".to_owned(), character.repeat(10_000).into())],
                unset: vec!["B".to_owned()],
            };
            let room = buffer(&long, Some(&long)).capacity();
            let script = dialect.script(&long, Some(&long));
            assert_eq!(script.capacity(), room, "{names:?} {character:?}");
        }
    }
}

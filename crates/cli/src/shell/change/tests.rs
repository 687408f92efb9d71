use std::path::Path;

use fnox_config::Folders;

use super::*;

impl Outcome {
    fn is_quiet(&self) -> bool {
        self.changes.set.is_empty() && self.changes.unset.is_empty()
    }
}

/// A shell: its variables, and what its session holds.
struct Shell {
    _root: tempfile::TempDir,
    key: SessionKey,
    variables: BTreeMap<String, String>,
    owned: Vec<Owned>,
}

impl Shell {
    fn with(variables: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let home: &Path = root.path();
        let env: Env = [("HOME", home.to_str().unwrap())].into_iter().collect();
        Self {
            key: SessionKey::obtain(&Folders::from_env(&env)).unwrap(),
            _root: root,
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            owned: Vec::new(),
        }
    }

    fn env(&self) -> Env {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// Loads these and evaluates the changes.
    fn load(&mut self, wanted: &[(&str, &str)]) -> Outcome {
        let wanted = wanted
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Wanted::Value((*value).into())))
            .collect();
        self.apply(wanted)
    }

    fn apply(&mut self, wanted: Vec<(String, Wanted)>) -> Outcome {
        let owned = std::mem::take(&mut self.owned);
        let mut outcome = compare(&self.env(), &self.key, owned, wanted);
        self.evaluate(&outcome.changes);
        self.owned = std::mem::take(&mut outcome.owned);
        outcome
    }

    fn evaluate(&mut self, changes: &Changes) {
        for name in &changes.unset {
            self.variables.remove(name);
        }
        for (name, value) in &changes.set {
            let value = value.expose_secret().to_owned();
            self.variables.insert(name.clone(), value);
        }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

#[test]
fn leaving_brings_back_what_was_there_before() {
    let mut shell = Shell::with(&[("A", "mine"), ("C", "")]);
    let entered = shell.load(&[("A", "a"), ("B", "b"), ("C", "c")]);
    assert_eq!(entered.added, ["A", "B", "C"]);
    assert_eq!(shell.variable("A"), Some("a"));
    let left = shell.load(&[]);
    assert_eq!(left.removed, ["A", "B", "C"]);
    assert_eq!(shell.variable("A"), Some("mine"));
    assert_eq!(shell.variable("B"), None);
    assert_eq!(shell.variable("C"), Some(""));
    assert!(shell.owned.is_empty());
}

#[test]
fn a_value_that_changes_twice_still_gives_way_to_the_first() {
    let mut shell = Shell::with(&[("A", "mine")]);
    shell.load(&[("A", "1")]);
    assert_eq!(shell.load(&[("A", "2")]).changed, ["A"]);
    assert_eq!(shell.variable("A"), Some("2"));
    assert!(shell.load(&[("A", "2")]).is_quiet());
    shell.load(&[]);
    assert_eq!(shell.variable("A"), Some("mine"));
}

#[test]
fn what_the_user_changed_since_is_left_alone() {
    let mut shell = Shell::with(&[("A", "mine"), ("B", "mine")]);
    shell.load(&[("A", "1"), ("B", "1"), ("C", "1")]);
    shell.variables.insert("A".to_owned(), "now".to_owned());
    shell.variables.remove("B");
    assert!(shell.load(&[("A", "2"), ("B", "2"), ("C", "1")]).is_quiet());
    let left = shell.load(&[]);
    assert_eq!(left.removed, ["C"]);
    assert_eq!(
        (shell.variable("A"), shell.variable("B")),
        (Some("now"), None)
    );
}

#[test]
fn a_variable_that_has_the_value_already_is_not_taken_over() {
    let mut shell = Shell::with(&[("A", "same")]);
    assert!(shell.load(&[("A", "same")]).is_quiet());
    shell.load(&[]);
    assert_eq!(shell.variable("A"), Some("same"));
}

#[test]
fn secrets_are_resolved_without_what_fnox_set() {
    let mut shell = Shell::with(&[("A", "mine"), ("U", "user")]);
    shell.load(&[("A", "a"), ("B", "b"), ("U", "u")]);
    shell.variables.insert("U".to_owned(), "changed".to_owned());
    let env = without_session(&shell.env(), &shell.key, &shell.owned);
    assert_eq!(env.var("A"), Some("mine"));
    assert_eq!(env.var("B"), None);
    assert_eq!(env.var("U"), Some("changed"));
}

#[test]
fn kept_names_stay_and_a_file_with_new_content_is_a_change_without_a_new_variable() {
    let mut shell = Shell::with(&[]);
    let file = |content: &str| {
        let path = SecretString::from("/run/KEY");
        ("KEY".to_owned(), Wanted::File(path, content.to_owned()))
    };
    shell.load(&[("A", "1")]);
    shell.apply(vec![("A".to_owned(), Wanted::Kept), file("one")]);
    assert_eq!(shell.variable("A"), Some("1"));
    let again = shell.apply(vec![("A".to_owned(), Wanted::Kept), file("two")]);
    assert!(again.is_quiet());
    assert_eq!(again.changed, ["KEY"]);
}

#[test]
fn what_no_variable_can_hold_is_refused_by_name() {
    let mut shell = Shell::with(&[]);
    let long = "x".repeat(LONGEST_VARIABLE);
    let outcome = shell.load(&[("NUL", "a\0b"), ("LONG", &long), ("FITS", &long[6..])]);
    let refused: Vec<&str> = outcome
        .refused
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(refused, ["NUL", "LONG"]);
    assert_eq!(outcome.added, ["FITS"]);
}

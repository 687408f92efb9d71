//! What the program's environment will be.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use fnox_core::{Env, SecretString};

use crate::error::CliError;

/// Longest `NAME=value` that Linux passes to a program, its final NUL included (`MAX_ARG_STRLEN`, execve(2)); on Windows the
/// longest value that it promises.
pub(crate) const LONGEST_VARIABLE: usize = if cfg!(windows) {
    32 * 1024 - 1
} else {
    128 * 1024
};

/// How the program's environment differs from fnox's own. Applied in this order: remove, set, files.
#[derive(Debug, Clone, Default)]
pub struct EnvironmentPlan {
    /// Variables that the program must not inherit.
    pub remove: BTreeSet<String>,
    /// Variables to set; of one name the last wins.
    pub set: Vec<(String, SecretString)>,
    /// Secrets that the program gets as files; the variable holds the path.
    pub files: Vec<(String, SecretString)>,
    /// Secrets that the program gets in another way, for redaction.
    pub elsewhere: Vec<SecretString>,
}

impl EnvironmentPlan {
    /// Refuses values that no program can be given.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        for (name, value) in &self.set {
            let value = value.expose_secret();
            let refuse = |reason: String, help: &str| {
                Err(CliError::NotInjectable {
                    name: name.clone(),
                    reason,
                    help: Some(help.to_owned()),
                })
            };
            if value.contains('\0') {
                let reason = "it contains a NUL byte, which ends a variable".to_owned();
                return refuse(reason, "set `as_file = true`, or store it as base64");
            }
            if name.len() + value.len() + 2 > LONGEST_VARIABLE {
                let reason = format!(
                    "it has {} bytes, and a variable may have {} KiB",
                    value.len(),
                    LONGEST_VARIABLE.div_ceil(1024)
                );
                return refuse(
                    reason,
                    "set `as_file = true`: the program then gets the path of a private file",
                );
            }
        }
        Ok(())
    }

    /// The program's environment. `paths` are those of [`Self::files`].
    #[must_use]
    pub fn apply(
        &self,
        inherited: &Env,
        paths: &[(String, PathBuf)],
    ) -> BTreeMap<OsString, OsString> {
        let key = |name: &str| OsString::from(Env::compared(name).into_owned());
        let removed: BTreeSet<OsString> = self.remove.iter().map(|name| key(name)).collect();
        let mut out: BTreeMap<OsString, OsString> = inherited
            .iter()
            .filter(|(name, _)| !removed.contains(*name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for (name, value) in &self.set {
            out.insert(key(name), OsStr::new(value.expose_secret()).to_owned());
        }
        for (name, path) in paths {
            out.insert(key(name), path.into());
        }
        out
    }

    /// Every secret value in it, for redaction.
    #[must_use]
    pub fn values(&self) -> Vec<SecretString> {
        self.set
            .iter()
            .chain(&self.files)
            .map(|(_, value)| value.clone())
            .chain(self.elsewhere.iter().cloned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'a>(env: &'a BTreeMap<OsString, OsString>, name: &str) -> Option<&'a str> {
        env.get(OsStr::new(name)).and_then(|value| value.to_str())
    }

    #[test]
    fn what_is_set_wins_over_what_is_removed_and_files_win_over_both() {
        let env: Env = [("A", "a"), ("B", "b"), ("C", "c"), ("D", "d")]
            .into_iter()
            .collect();
        let plan = EnvironmentPlan {
            remove: ["A", "B", "C"].map(str::to_owned).into(),
            set: vec![
                ("B".to_owned(), "first".into()),
                ("B".to_owned(), "second".into()),
                ("C".to_owned(), "value".into()),
            ],
            files: vec![("C".to_owned(), "content".into())],
            ..EnvironmentPlan::default()
        };
        let out = plan.apply(&env, &[("C".to_owned(), PathBuf::from("/run/C"))]);
        assert_eq!(get(&out, "A"), None);
        assert_eq!(get(&out, "B"), Some("second"));
        assert_eq!(get(&out, "C"), Some("/run/C"));
        assert_eq!(get(&out, "D"), Some("d"));
    }

    #[test]
    fn values_that_no_variable_can_hold_are_refused_by_name_without_the_value() {
        for value in ["a\0hunter2".to_owned(), "hunter2".repeat(20_000)] {
            let plan = EnvironmentPlan {
                set: vec![("BIG".to_owned(), value.into())],
                ..EnvironmentPlan::default()
            };
            let error = plan.check().unwrap_err();
            assert!(
                error.to_string().contains("`BIG`") && !error.to_string().contains("hunter2"),
                "{error}"
            );
            assert!(error.help().unwrap().contains("as_file"));
        }
    }
}

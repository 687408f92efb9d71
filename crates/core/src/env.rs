//! A snapshot of environment variables, with overlays.
//!
//! fnox never writes its own environment (that is undefined behaviour with threads, and it is how
//! masters leak into children). Whoever needs variables gets an [`Env`]; whoever must see one more
//! gets an overlay.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

use crate::SecretString;

/// Environment variables as they were when fnox started, plus what an overlay added.
///
/// `Debug` prints names only: values may be secrets.
#[derive(Clone, Default)]
pub struct Env {
    variables: BTreeMap<OsString, OsString>,
    overlay: BTreeMap<String, SecretString>,
}

impl Env {
    /// A snapshot of this process's environment.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// A variable's name as it is compared: on Windows, where `Path` is `PATH`, in capital letters.
    #[must_use]
    pub fn compared(name: &str) -> Cow<'_, str> {
        if cfg!(windows) {
            name.to_ascii_uppercase().into()
        } else {
            name.into()
        }
    }

    /// The same variables with `additions` on top.
    #[must_use]
    pub fn with_overlay<I>(&self, additions: I) -> Self
    where
        I: IntoIterator<Item = (String, SecretString)>,
    {
        let mut copy = self.clone();
        let additions = additions.into_iter();
        let additions = additions.map(|(name, value)| (Self::compared(&name).into_owned(), value));
        copy.overlay.extend(additions);
        copy
    }

    /// The same variables but those of these names, whether they were there from the start or laid over.
    #[must_use]
    pub fn without<N: AsRef<str>>(&self, names: &[N]) -> Self {
        let mut copy = self.clone();
        for name in names {
            let name = Self::compared(name.as_ref());
            copy.variables.remove(OsStr::new(name.as_ref()));
            copy.overlay.remove(name.as_ref());
        }
        copy
    }

    /// A variable's value. Unset, empty and non-UTF-8 variables count as absent.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&str> {
        let name = Self::compared(name);
        let value = match self.overlay.get(name.as_ref()) {
            Some(value) => value.expose_secret(),
            None => self.variables.get(OsStr::new(name.as_ref()))?.to_str()?,
        };
        (!value.is_empty()).then_some(value)
    }

    /// The user's home folder: `HOME`, on Windows else `USERPROFILE`.
    #[must_use]
    pub fn home(&self) -> Option<&str> {
        self.var("HOME")
            .or_else(|| self.var("USERPROFILE").filter(|_| cfg!(windows)))
    }

    /// A variable's value as a secret.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<SecretString> {
        self.var(name).map(SecretString::from)
    }

    /// A variable's raw value, also when it is empty or not UTF-8.
    #[must_use]
    pub fn var_os(&self, name: &str) -> Option<&OsStr> {
        let name = Self::compared(name);
        match self.overlay.get(name.as_ref()) {
            Some(value) => Some(OsStr::new(value.expose_secret())),
            None => self
                .variables
                .get(OsStr::new(name.as_ref()))
                .map(OsString::as_os_str),
        }
    }

    /// The first of several variables that is set, with its name.
    #[must_use]
    pub fn first<'a>(&self, names: &[&'a str]) -> Option<(&'a str, &str)> {
        names
            .iter()
            .find_map(|name| self.var(name).map(|value| (*name, value)))
    }

    /// Whether a switch is on: `1`, `true`, `yes`, `y` or `on`, in any case.
    #[must_use]
    pub fn switch(&self, name: &str) -> Option<bool> {
        let value = self.var(name)?.to_ascii_lowercase();
        Some(matches!(value.as_str(), "1" | "true" | "yes" | "y" | "on"))
    }

    /// All variables, overlay included, as a child process should get them.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let inherited = self
            .variables
            .iter()
            .filter(|(name, _)| {
                name.to_str()
                    .is_none_or(|name| !self.overlay.contains_key(name))
            })
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()));
        let overlay = self
            .overlay
            .iter()
            .map(|(name, value)| (OsStr::new(name), OsStr::new(value.expose_secret())));
        inherited.chain(overlay)
    }
}

impl FromIterator<(OsString, OsString)> for Env {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        let compared = |name: OsString| match name.to_str() {
            Some(text) => OsString::from(Self::compared(text).into_owned()),
            None => name,
        };
        Self {
            variables: variables
                .into_iter()
                .map(|(name, value)| (compared(name), value))
                .collect(),
            overlay: BTreeMap::new(),
        }
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Env {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(variables: I) -> Self {
        variables
            .into_iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect()
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Env")
            .field("variables", &self.variables.keys())
            .field("overlay", &self.overlay.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_wins_and_leaves_the_original_alone() {
        let env: Env = [("A", "1"), ("B", "2")].into_iter().collect();
        let wider = env.with_overlay([("A".to_owned(), SecretString::from("9"))]);
        assert_eq!(wider.var("A"), Some("9"));
        assert_eq!(env.var("A"), Some("1"));
        assert_eq!(wider.iter().filter(|(name, _)| *name == "A").count(), 1);
    }

    #[test]
    fn what_is_taken_out_is_not_there_from_either_layer() {
        let env: Env = [("A", "1"), ("B", "2")].into_iter().collect();
        let less = env
            .with_overlay([("A".to_owned(), "9".into())])
            .without(&["A", "C"]);
        assert_eq!(less.var("A"), None);
        assert_eq!(less.iter().count(), 1);
        assert_eq!(env.var("A"), Some("1"));
    }

    #[test]
    fn an_empty_variable_counts_as_absent() {
        let env: Env = [("A", "")].into_iter().collect();
        assert_eq!(env.var("A"), None);
        assert_eq!(env.var_os("A"), Some(OsStr::new("")));
    }

    #[test]
    fn debug_output_names_variables_without_values() {
        let env: Env = [("TOKEN", "hunter2")].into_iter().collect();
        let shown = format!(
            "{:?}",
            env.with_overlay([("KEY".to_owned(), "hunter3".into())])
        );
        assert!(
            shown.contains("TOKEN") && shown.contains("KEY") && !shown.contains("hunter"),
            "{shown}"
        );
    }
}

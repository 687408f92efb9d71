//! What changes in a shell: what is loaded, against the session and the shell's variables.
//!
//! Whatever fnox replaces is remembered and comes back. A variable that no longer has the value that fnox gave it
//! is the user's again: fnox neither changes nor removes it.

use std::collections::BTreeMap;

use fnox_core::{Env, SecretString};

use super::dialect::Changes;
use super::session::{Owned, SessionKey};
use crate::exec::plan::LONGEST_VARIABLE;

/// What a variable is to be.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// This value.
    Value(SecretString),
    /// The path of a file, and the digest of what is in it.
    File(SecretString, String),
    /// As the session has it.
    Kept,
}

/// What happens to the variables.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) changes: Changes,
    /// What the session holds afterwards.
    pub(crate) owned: Vec<Owned>,
    pub(crate) added: Vec<String>,
    pub(crate) changed: Vec<String>,
    pub(crate) removed: Vec<String>,
    /// Variables that cannot be set, and why.
    pub(crate) refused: Vec<(String, &'static str)>,
}

/// The shell's variables as they would be without fnox: secrets are resolved in these, or a value that fnox set
/// would be found again when its provider has lost it.
pub(crate) fn without_session(env: &Env, key: &SessionKey, owned: &[Owned]) -> Env {
    let unchanged = owned.iter().filter(|owned| is_unchanged(env, key, owned));
    let (mut gone, mut back) = (Vec::new(), Vec::new());
    for owned in unchanged {
        match &owned.previous {
            Some(value) => back.push((owned.name.clone(), value.clone())),
            None => gone.push(&owned.name),
        }
    }
    env.without(&gone).with_overlay(back)
}

/// Compares. Names that are not among the wanted ones are taken away.
pub(crate) fn compare(
    env: &Env,
    key: &SessionKey,
    owned: Vec<Owned>,
    wanted: Vec<(String, Wanted)>,
) -> Outcome {
    let mut comparison = Comparison {
        env,
        key,
        out: Outcome::default(),
    };
    let mut owned: BTreeMap<String, Owned> = owned
        .into_iter()
        .map(|owned| (owned.name.clone(), owned))
        .collect();
    for (name, wanted) in wanted {
        let before = owned.remove(&name);
        comparison.settle(name, before, wanted);
    }
    for owned in owned.into_values() {
        comparison.take_back(owned);
    }
    comparison.out
}

struct Comparison<'a> {
    env: &'a Env,
    key: &'a SessionKey,
    out: Outcome,
}

impl Comparison<'_> {
    fn settle(&mut self, name: String, before: Option<Owned>, wanted: Wanted) {
        let (value, content) = match wanted {
            Wanted::Kept => return self.out.owned.extend(before),
            Wanted::Value(value) => (value, None),
            Wanted::File(path, content) => (path, Some(content)),
        };
        if let Some(reason) = unfit(&name, &value) {
            self.out.refused.push((name, reason));
            if let Some(before) = before {
                self.take_back(before);
            }
            return;
        }
        match before {
            Some(owned) if !is_unchanged(self.env, self.key, &owned) => self.out.owned.push(owned),
            Some(owned) => self.replace(owned, value, content),
            None => self.add(name, value, content),
        }
    }

    fn replace(&mut self, mut owned: Owned, value: SecretString, content: Option<String>) {
        let digest = self.digest(&owned.name, &value);
        if owned.digest != digest || owned.content != content {
            self.out.changed.push(owned.name.clone());
        }
        if owned.digest != digest {
            self.out.changes.set.push((owned.name.clone(), value));
        }
        (owned.digest, owned.content) = (digest, content);
        self.out.owned.push(owned);
    }

    fn add(&mut self, name: String, value: SecretString, content: Option<String>) {
        let previous = match self.env.var_os(&name) {
            None => None,
            Some(text) if text.as_encoded_bytes() == value.expose_secret().as_bytes() => return,
            Some(text) => {
                let Some(text) = text.to_str() else {
                    let reason = "its present value is not UTF-8";
                    return self.out.refused.push((name, reason));
                };
                Some(SecretString::from(text))
            }
        };
        self.out.added.push(name.clone());
        self.out.owned.push(Owned {
            digest: self.digest(&name, &value),
            name: name.clone(),
            content,
            previous,
        });
        self.out.changes.set.push((name, value));
    }

    fn take_back(&mut self, owned: Owned) {
        if !is_unchanged(self.env, self.key, &owned) {
            return;
        }
        self.out.removed.push(owned.name.clone());
        match owned.previous {
            Some(value) => self.out.changes.set.push((owned.name, value)),
            None => self.out.changes.unset.push(owned.name),
        }
    }

    fn digest(&self, name: &str, value: &SecretString) -> String {
        self.key.digest(name, value.expose_secret().as_bytes())
    }
}

/// Why no variable can hold a value.
fn unfit(name: &str, value: &SecretString) -> Option<&'static str> {
    if value.expose_secret().contains('\0') {
        return Some("its value contains a NUL byte");
    }
    let length = name.len() + "=".len() + value.len() + "\0".len();
    (length > LONGEST_VARIABLE).then_some("its value is too long for a variable")
}

/// What takes back everything that fnox set.
pub(crate) fn undo(owned: &[Owned]) -> Changes {
    let mut changes = Changes::default();
    for owned in owned {
        match &owned.previous {
            Some(value) => changes.set.push((owned.name.clone(), value.clone())),
            None => changes.unset.push(owned.name.clone()),
        }
    }
    changes
}

fn is_unchanged(env: &Env, key: &SessionKey, owned: &Owned) -> bool {
    env.var_os(&owned.name)
        .is_some_and(|value| key.digest(&owned.name, value.as_encoded_bytes()) == owned.digest)
}

#[cfg(test)]
mod tests;

//! Items as `bw` and `rbw` print them, and what a reference means among them.

use std::fmt;

use fnox_core::SecretString;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::error::ProviderError;

type Text = Zeroizing<String>;

/// A secure note among the types of items (Bitwarden, `CipherType`).
const NOTE: u8 = 2;

/// One item; of its parts only what can be referred to.
#[derive(Deserialize)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default, rename = "type")]
    kind: Option<u8>,
    notes: Option<Text>,
    #[serde(alias = "data")]
    login: Option<Login>,
    #[serde(default)]
    fields: Option<Vec<Custom>>,
}

#[derive(Deserialize)]
struct Login {
    username: Option<Text>,
    password: Option<Text>,
    totp: Option<Text>,
    uris: Option<Vec<Uri>>,
}

#[derive(Deserialize)]
struct Uri {
    uri: Option<Text>,
}

#[derive(Deserialize)]
struct Custom {
    name: Option<String>,
    value: Option<Text>,
}

impl fmt::Debug for Item {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Item").finish_non_exhaustive()
    }
}

/// What a reference asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The position of the item.
    pub(super) item: usize,
    /// The field, if one is named.
    pub(super) field: Option<String>,
}

impl Wanted {
    /// Finds the item of a reference among `(id, name)` pairs. The whole reference is tried as an item first,
    /// then everything before its last `/`.
    pub(super) fn find(reference: &str, items: &[(&str, &str)]) -> Result<Self, ProviderError> {
        if let Some(item) = only(reference, items)? {
            return Ok(Self { item, field: None });
        }
        if let Some((name, field)) = reference.rsplit_once('/')
            && let Some(item) = only(name, items)?
        {
            return Ok(Self {
                item,
                field: Some(field.to_owned()),
            });
        }
        Err(ProviderError::not_found(reference).with_remedy(
            "`bw list items` shows the names; after a change elsewhere, run `bw sync`",
        ))
    }
}

/// The one item of this id or name.
fn only(name: &str, items: &[(&str, &str)]) -> Result<Option<usize>, ProviderError> {
    if let Some(position) = items.iter().position(|(id, _)| *id == name) {
        return Ok(Some(position));
    }
    let found: Vec<usize> = (0..items.len())
        .filter(|index| items[*index].1 == name)
        .collect();
    match found.as_slice() {
        [] => Ok(None),
        [position] => Ok(Some(*position)),
        several => {
            let ids: Vec<&str> = several.iter().map(|index| items[*index].0).collect();
            Err(ProviderError::misconfigured(format!(
                "{} items are named `{}`: {}",
                ids.len(),
                name.escape_debug(),
                ids.join(", ")
            ))
            .with_remedy(
                "refer to the item by its id, or narrow the provider by `folder` or `collection`",
            ))
        }
    }
}

impl Item {
    /// The value of a field; `None` if the item has no such one. Not for `totp`, which is computed.
    pub(super) fn value(&self, field: Option<&str>) -> Option<SecretString> {
        let login = self.login.as_ref();
        let text: Option<&Text> = match field {
            None if self.kind == Some(NOTE) => self.notes.as_ref(),
            None => login
                .and_then(|login| login.password.as_ref())
                .or(self.notes.as_ref().filter(|_| self.has_no_login())),
            Some("password") => login.and_then(|login| login.password.as_ref()),
            Some("username") => login.and_then(|login| login.username.as_ref()),
            Some("notes") => self.notes.as_ref(),
            Some("uri") => login
                .and_then(|login| login.uris.as_ref())
                .and_then(|uris| uris.first())
                .and_then(|uri| uri.uri.as_ref()),
            Some(_) => None,
        };
        text.or_else(|| field.and_then(|field| self.custom(field)))
            .map(|text| SecretString::from(text.as_str()))
    }

    /// Whether one-time codes can be made for it.
    pub(super) fn has_totp(&self) -> bool {
        self.login
            .as_ref()
            .is_some_and(|login| login.totp.is_some())
    }

    fn has_no_login(&self) -> bool {
        self.login
            .as_ref()
            .is_none_or(|login| login.username.is_none() && login.password.is_none())
    }

    fn custom(&self, name: &str) -> Option<&Text> {
        self.fields
            .iter()
            .flatten()
            .find(|field| field.name.as_deref() == Some(name))
            .and_then(|field| field.value.as_ref())
    }

    /// The error of a field that is not there.
    pub(super) fn lacks(&self, field: Option<&str>) -> ProviderError {
        let field = field.unwrap_or("password");
        ProviderError::new(
            crate::ErrorKind::NotFound,
            format!(
                "the item `{}` has no field `{}`",
                self.name.escape_debug(),
                field.escape_debug()
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_item_is_its_id_or_its_one_name_and_slashes_may_be_in_names() {
        let items = [
            ("1", "db"),
            ("2", "team/db"),
            ("3", "twice"),
            ("4", "twice"),
        ];
        let find = |reference: &str| Wanted::find(reference, &items);
        let wanted = |item, field: Option<&str>| Wanted {
            item,
            field: field.map(str::to_owned),
        };
        assert_eq!(find("db").unwrap(), wanted(0, None));
        assert_eq!(find("team/db").unwrap(), wanted(1, None));
        assert_eq!(
            find("team/db/username").unwrap(),
            wanted(1, Some("username"))
        );
        assert_eq!(find("4/x").unwrap(), wanted(3, Some("x")));
        let error = find("twice/x").unwrap_err();
        assert_eq!(error.message, "2 items are named `twice`: 3, 4");
        assert_eq!(find("d").unwrap_err().kind, ErrorKind::NotFound);
    }
}

//! A folder as Infisical shows it.

use fnox_core::SecretString;
use serde::Deserialize;

use crate::error::ProviderError;
use crate::wiped::Wiped;

/// The secrets of a folder, and of those that it imports.
#[derive(Deserialize)]
pub(super) struct Folder {
    secrets: Vec<Secret>,
    #[serde(default)]
    imports: Vec<Import>,
}

#[derive(Deserialize)]
struct Import {
    secrets: Vec<Secret>,
}

#[derive(Deserialize)]
struct Secret {
    #[serde(rename = "secretKey")]
    key: String,
    #[serde(rename = "secretValue")]
    value: Option<Wiped>,
    /// Whether something else stands in the value's place.
    #[serde(default, rename = "secretValueHidden")]
    is_hidden: bool,
    /// `shared`, or `personal` for one that only its owner sees, which then is meant.
    #[serde(default)]
    r#type: Option<String>,
}

impl Folder {
    pub(super) fn value(&self, key: &str) -> Result<SecretString, ProviderError> {
        let imports = self.imports.iter().rev().map(|import| &import.secrets);
        let secret = std::iter::once(&self.secrets)
            .chain(imports)
            .find_map(|secrets| named(secrets, key))
            .ok_or_else(|| ProviderError::not_found(key))?;
        match &secret.value {
            Some(Wiped(value)) if !secret.is_hidden => Ok(value.clone()),
            _ => Err(ProviderError::denied(format!(
                "Infisical hides the value of `{}` from this identity",
                key.escape_debug()
            ))
            .with_remedy("its role needs the permission to read values (`ReadValue`)")),
        }
    }
}

fn named<'a>(secrets: &'a [Secret], key: &str) -> Option<&'a Secret> {
    let is_personal = |secret: &&Secret| secret.r#type.as_deref() == Some("personal");
    let mut found = secrets.iter().filter(|secret| secret.key == key);
    let first = found.next()?;
    Some(found.find(is_personal).unwrap_or(first))
}

//! The token of an `external_account`: from a file or from an address (AIP-4117).

use std::path::Path;

use fnox_core::SecretString;
use reqwest::header::HeaderName;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::file::{self, CredentialSource};
use crate::issuer::{self, Call, Issuer};
use crate::mint::MintError;
use crate::wiped::Wiped;

/// Reads or fetches the token. A relative path begins in `folder`.
pub(super) async fn subject_token(
    source: &CredentialSource,
    name: &str,
    folder: &Path,
    issuer: &Issuer,
) -> Result<SecretString, MintError> {
    let content = match (&source.file, &source.url) {
        (Some(path), _) => file::read(&folder.join(path))?,
        (None, url) => fetch(source, url.as_deref().unwrap_or_default(), name, issuer).await?,
    };
    let token = match &source.format.subject_token_field_name {
        Some(field) if source.format.kind.as_deref() == Some("json") => field_of(&content, field)
            .ok_or_else(|| {
            MintError::authentication(format!(
                "what {name} names as the source of its token is not JSON with the text `{}`",
                field.escape_debug()
            ))
        })?,
        _ => SecretString::from(content.expose_secret().trim()),
    };
    if token.is_empty() {
        return Err(MintError::authentication(format!(
            "what {name} names as the source of its token is empty"
        )));
    }
    Ok(token)
}

async fn fetch(
    source: &CredentialSource,
    url: &str,
    name: &str,
    issuer: &Issuer,
) -> Result<SecretString, MintError> {
    // The token of an Azure machine comes from its metadata service, at a link-local address.
    let url = issuer::parse_of_machine(url).map_err(|reason| {
        file::wrong(
            name,
            &format!("has a `credential_source.url` that {reason}"),
        )
    })?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let mut call = Call::get(url);
    for (header, value) in &source.headers {
        let header = HeaderName::from_bytes(header.as_bytes())
            .map_err(|_| file::wrong(name, "has a header in `credential_source` that is none"))?;
        call = call.secret_header(header, &value.0)?;
    }
    let answer = issuer.send(call).await?;
    if !answer.is_success() {
        return Err(MintError::authentication(format!(
            "the source of the token of {name}, {host}, answered with status {}",
            answer.status()
        )));
    }
    match std::str::from_utf8(&answer.body) {
        Ok(text) => Ok(SecretString::from(text)),
        Err(_) => Err(MintError::authentication(format!(
            "the source of the token of {name}, {host}, answered with something that is no text"
        ))),
    }
}

/// One text of a JSON object, without a copy of the others.
fn field_of(json: &SecretString, name: &str) -> Option<SecretString> {
    let mut deserializer = serde_json::Deserializer::from_str(json.expose_secret());
    Field(name).deserialize(&mut deserializer).ok()
}

struct Field<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = SecretString;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<SecretString, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = SecretString;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretString, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == self.0 {
                found = Some(map.next_value::<Wiped>()?.0);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        found.ok_or_else(|| A::Error::custom("it is not there"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_among_others() {
        let found = |text: &str| {
            field_of(&text.into(), "token").map(|token| token.expose_secret().to_owned())
        };
        assert_eq!(
            found(r#"{"a":[1],"token":"x","b":{}}"#).as_deref(),
            Some("x")
        );
        for text in [r#"{"token":1}"#, "{}", "[]", "x", r#"{"token":"x""#] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}

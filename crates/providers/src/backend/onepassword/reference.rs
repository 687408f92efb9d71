//! What may stand in `value` or `ref`.

use crate::error::ProviderError;

/// A reference, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// A whole secret reference, `op://…`.
    Item(String),
    /// A variable of a 1Password environment.
    Variable {
        environment: String,
        variable: String,
    },
}

impl Reference {
    pub(super) fn parse(text: &str, vault: Option<&str>) -> Result<Self, ProviderError> {
        let wrong = |why: &str| {
            ProviderError::misconfigured(format!("the reference `{}` {why}", text.escape_debug()))
        };
        // `{{ }}` and `$` mean something in a template; none of these is in a secret reference.
        if text.contains(|c: char| c.is_control() || matches!(c, '{' | '}' | '$')) {
            return Err(
                wrong("has a character that secret references do not have").with_remedy(
                    "use the item's id instead of its name, and no variables: `op item get NAME` shows it",
                ),
            );
        }
        if let Some(rest) = text.strip_prefix("environment://") {
            return match rest.split_once('/') {
                Some((environment, variable))
                    if !environment.is_empty()
                        && !environment.starts_with('-')
                        && !variable.is_empty()
                        && !variable.contains('/') =>
                {
                    Ok(Self::Variable {
                        environment: environment.to_owned(),
                        variable: variable.to_owned(),
                    })
                }
                _ => Err(wrong("is not of the form `environment://ID/VARIABLE`")),
            };
        }
        if let Some(rest) = text.strip_prefix("op://") {
            if rest.split('/').count() < 3 || rest.split('/').any(str::is_empty) {
                return Err(wrong("is not of the form `op://VAULT/ITEM/FIELD`"));
            }
            return Ok(Self::Item(text.to_owned()));
        }
        let parts: Vec<&str> = text.split('/').collect();
        let (item, field) = match parts.as_slice() {
            [item] => (*item, "password"),
            [item, field] => (*item, *field),
            _ => {
                return Err(wrong("has more than one `/`")
                    .with_remedy("write the whole reference: `op://VAULT/ITEM/SECTION/FIELD`"));
            }
        };
        if item.is_empty() || field.is_empty() {
            return Err(wrong("is not of the form `ITEM` or `ITEM/FIELD`"));
        }
        let vault = vault.ok_or_else(|| {
            wrong("names no vault, and the provider has none")
                .with_remedy("set `vault` on the provider, or write `op://VAULT/ITEM/FIELD`")
                .at_key("vault")
        })?;
        Ok(Self::Item(format!("op://{vault}/{item}/{field}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> Reference {
        Reference::Item(text.to_owned())
    }

    #[test]
    fn short_forms_are_completed() {
        let parse = |text| Reference::parse(text, Some("Dev"));
        assert_eq!(parse("db").unwrap(), item("op://Dev/db/password"));
        assert_eq!(parse("my db/user").unwrap(), item("op://Dev/my db/user"));
        assert_eq!(parse("op://A/b/s/f").unwrap(), item("op://A/b/s/f"));
        assert_eq!(
            parse("environment://id/URL").unwrap(),
            Reference::Variable {
                environment: "id".to_owned(),
                variable: "URL".to_owned()
            }
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_reference() {
        for text in [
            "a/b/c",
            "",
            "/f",
            "i/",
            "op://a/b",
            "op://a//c",
            "environment://x",
            "environment://-x/A",
            "a}}b",
            "a$B",
            "a\nb",
        ] {
            let error = Reference::parse(text, Some("V")).unwrap_err();
            assert!(error.message.starts_with("the reference `"), "{error}");
        }
        let error = Reference::parse("db", None).unwrap_err();
        assert_eq!(error.key, Some("vault"));
    }
}

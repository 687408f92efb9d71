//! Keys of a provider as the command line gives them.

use fnox_config::spec::{Field, Kind, PROVIDER_COMMON, ProviderSpec};
use fnox_config::suggest;
use indexmap::IndexMap;
use toml_edit::{Array, InlineTable, Value};

use crate::error::CliError;

/// Keys with their values, in the order in which they were given.
pub(in crate::commands) type Keys = IndexMap<&'static str, Value>;

/// `KEY=VALUE` as the type's keys want it: lists and tables accumulate, flags and numbers are read.
pub(super) fn parse(spec: &'static ProviderSpec, pairs: &[String]) -> Result<Keys, CliError> {
    let mut keys = Keys::new();
    for pair in pairs {
        let (key, text) = pair.split_once('=').ok_or_else(|| CliError::Usage {
            message: format!("`{}` is not of the form KEY=VALUE", pair.escape_debug()),
            help: Some(format!("keys of this type: {}", known(spec).join(", "))),
        })?;
        let field = field(spec, key)?;
        let wrong = |wanted: &str| CliError::usage(format!("`{key}` must be {wanted}"));
        let value = match field.kind {
            Kind::TextList => {
                let list = keys
                    .entry(field.name)
                    .or_insert_with(|| Value::Array(Array::new()));
                if let Some(list) = list.as_array_mut() {
                    list.push(text);
                }
                continue;
            }
            Kind::TextMap | Kind::Options => {
                let (name, value) = text
                    .split_once('=')
                    .ok_or_else(|| wrong("of the form NAME=VALUE"))?;
                let value = if field.kind == Kind::Options {
                    option(value).ok_or_else(|| {
                        wrong("a text, a number, a flag or `{ secret = \"NAME\" }`")
                    })?
                } else {
                    Value::from(value)
                };
                let map = keys
                    .entry(field.name)
                    .or_insert_with(|| Value::InlineTable(InlineTable::new()));
                if let Some(map) = map.as_inline_table_mut() {
                    map.insert(name, value);
                }
                continue;
            }
            Kind::Flag => text
                .parse::<bool>()
                .map(Value::from)
                .map_err(|_| wrong("`true` or `false`"))?,
            Kind::Count => text
                .parse::<u32>()
                .map(|count| Value::from(i64::from(count)))
                .map_err(|_| wrong("a whole number, zero or more"))?,
            Kind::Reference | Kind::ReferencePath(_) if text.starts_with('{') => text
                .parse()
                .map_err(|_| wrong("a text or `{ secret = \"NAME\" }`"))?,
            Kind::Counts | Kind::Json | Kind::Table(_) | Kind::Tables(_) | Kind::Opaque => text
                .parse()
                .map_err(|_| wrong("written as TOML, for example `{ key = \"value\" }`"))?,
            _ => Value::from(text),
        };
        if keys.insert(field.name, value).is_some() {
            return Err(CliError::usage(format!(
                "`{key}` is given twice, and it is no list"
            )));
        }
    }
    Ok(keys)
}

/// Flags, whole numbers and tables as TOML has them; everything else is a text.
fn option(text: &str) -> Option<Value> {
    if text.starts_with('{') {
        return text.parse().ok();
    }
    let simple = text.parse::<Value>().ok();
    Some(
        simple
            .filter(|value| value.is_bool() || value.is_integer())
            .unwrap_or_else(|| Value::from(text)),
    )
}

fn field(spec: &'static ProviderSpec, key: &str) -> Result<&'static Field, CliError> {
    let found = spec
        .field(key)
        .or_else(|| PROVIDER_COMMON.field(key))
        .filter(|field| field.name != "type");
    found.ok_or_else(|| {
        let known = known(spec);
        let help = match suggest::nearest(key, known.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("keys of this type: {}", known.join(", ")),
        };
        CliError::Usage {
            message: format!(
                "providers of type `{}` have no key `{}`",
                spec.name,
                key.escape_debug()
            ),
            help: Some(help),
        }
    })
}

fn known(spec: &'static ProviderSpec) -> Vec<&'static str> {
    let all = spec.fields.iter().chain(PROVIDER_COMMON.fields);
    all.map(|field| field.name)
        .filter(|name| *name != "type")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(kind: &str, pairs: &[&str]) -> Result<Vec<(String, String)>, CliError> {
        let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        let keys = parse(ProviderSpec::find(kind).unwrap(), &pairs)?;
        Ok(keys
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_string()))
            .collect())
    }

    #[test]
    fn values_get_the_type_that_the_key_wants() {
        let pairs = [
            "recipients=age1a",
            "bind_names=true",
            "recipients=age1b",
            "identity={ provider = \"k\", value = \"v\" }",
        ];
        let keys = parsed("age", &pairs).unwrap();
        let expected = [
            ("recipients", r#"["age1a", "age1b"]"#),
            ("bind_names", "true"),
            ("identity", r#"{ provider = "k", value = "v" }"#),
        ];
        assert_eq!(
            keys,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        let keys = parsed("1password", &["token={ secret = \"OP\" }", "vault=a=b"]).unwrap();
        assert_eq!(keys[0].1, r#"{ secret = "OP" }"#);
        assert_eq!(keys[1].1, r#""a=b""#);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (pairs, wanted) in [
            (vec!["recipients"], "KEY=VALUE"),
            (vec!["recipient=x"], "no key `recipient`"),
            (
                vec!["bind_names=maybe"],
                "`bind_names` must be `true` or `false`",
            ),
            (vec!["key_file=a", "key_file=b"], "given twice"),
            (vec!["type=age"], "no key `type`"),
        ] {
            let error = parsed("age", &pairs).unwrap_err();
            assert!(error.to_string().contains(wanted), "{error}");
        }
        let error = parsed("age", &["recipient=x"]).unwrap_err();
        assert_eq!(error.help().unwrap(), "did you mean `recipients`?");
    }
}

//! What a rule lets its keys sign for.

use std::fmt;

/// The service and the region that a rule's keys may sign for; without one, any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AwsScope {
    service: Option<String>,
    region: Option<String>,
}

/// A text is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a scope is `SERVICE` or `SERVICE/REGION` in letters, digits and characters of `-_.`, with `*` for any of them"
)]
pub struct InvalidAwsScope;

impl AwsScope {
    /// Reads `s3`, `s3/eu-central-1`, `*/eu-central-1`, by the names that signatures have for services and regions.
    ///
    /// # Errors
    /// [`InvalidAwsScope`]
    pub fn parse(text: &str) -> Result<Self, InvalidAwsScope> {
        let (service, region) = text.split_once('/').unwrap_or((text, "*"));
        Ok(Self {
            service: part(service)?,
            region: part(region)?,
        })
    }

    /// Whether a signature for this service in this region may be made.
    pub(super) fn covers(&self, service: &str, region: &str) -> bool {
        let is_met = |wanted: &Option<String>, named: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == named)
        };
        is_met(&self.service, service) && is_met(&self.region, region)
    }

    /// Whether it is any service in any region.
    pub(crate) fn is_any(&self) -> bool {
        *self == Self::default()
    }

    /// For people, after "an AWS signature": nothing, or ` for s3 in eu-central-1`.
    pub(crate) fn describe(&self) -> String {
        let part = |word: &str, name: &Option<String>| {
            let name = name.as_deref();
            name.map_or_else(String::new, |name| format!(" {word} `{name}`"))
        };
        part("for", &self.service) + &part("in", &self.region)
    }
}

/// As it is read. Of any service in any region nothing is written.
impl fmt::Display for AwsScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.service.as_deref(), self.region.as_deref()) {
            (None, None) => Ok(()),
            (Some(service), None) => formatter.write_str(service),
            (service, Some(region)) => write!(formatter, "{}/{region}", service.unwrap_or("*")),
        }
    }
}

/// Whether it can be a part of a signature's scope. Servers that do as S3 does have regions of their own making.
pub(super) fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.bytes().all(is_plain)
}

fn part(text: &str) -> Result<Option<String>, InvalidAwsScope> {
    match text {
        "*" => Ok(None),
        name if is_name(name) => Ok(Some(name.to_owned())),
        _ => Err(InvalidAwsScope),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_names_a_service_a_region_or_both() {
        for (text, written, covered) in [
            ("s3", "s3", [true, true, false]),
            ("s3/*", "s3", [true, true, false]),
            ("s3/eu-central-1", "s3/eu-central-1", [true, false, false]),
            ("*/eu-central-1", "*/eu-central-1", [true, false, true]),
            ("*", "", [true, true, true]),
        ] {
            let scope = AwsScope::parse(text).unwrap();
            assert_eq!(scope.to_string(), written);
            let asked = [
                ("s3", "eu-central-1"),
                ("s3", "eu-central-10"),
                ("iam", "eu-central-1"),
            ];
            assert_eq!(
                asked.map(|(service, region)| scope.covers(service, region)),
                covered
            );
        }
        for text in ["", "/", "s3/", "/eu-central-1", "s3/a/b", "s 3", "s3*"] {
            assert_eq!(AwsScope::parse(text), Err(InvalidAwsScope), "{text}");
        }
    }
}

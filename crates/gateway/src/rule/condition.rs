//! What a rule asks of a request's parameters and fields.

use http::HeaderName;

use super::wildcard::Wildcard;
use crate::request::CanonicalRequest;

/// A parameter or a field that must be there once, with a certain value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Which.
    pub place: ConditionPlace,
    /// Its value, `*` for any run of characters.
    pub value: Wildcard,
}

/// Where a condition looks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ConditionPlace {
    /// At the query parameter of this name.
    Query(String),
    /// At the header field of this name.
    Header(HeaderName),
}

impl Condition {
    /// Whether the request meets it. What is there twice meets nothing: servers differ in which one they take.
    #[must_use]
    pub fn is_met(&self, request: &CanonicalRequest) -> bool {
        match &self.place {
            ConditionPlace::Query(name) => {
                let mut named = request
                    .query()
                    .parameters()
                    .filter(|parameter| parameter.may_be_named(name));
                match (named.next(), named.next()) {
                    (Some(parameter), None) => {
                        parameter.is_named(name)
                            && parameter.every_value(|value| self.value.matches(value))
                    }
                    _ => false,
                }
            }
            ConditionPlace::Header(name) => {
                let mut values = request.headers().get_all(name).iter();
                match (values.next(), values.next()) {
                    (Some(value), None) => self.value.matches(value.as_bytes()),
                    _ => false,
                }
            }
        }
    }
}

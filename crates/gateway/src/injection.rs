//! Where in a request a credential goes, and how it gets there.
//!
//! [`plan()`] says, before any credential is asked for, which rules put one in and finds every placeholder that
//! stands where it may not. [`inject`] puts one credential into its place; [`inject_into_body`] does for those in a
//! body ([`Injection::is_in_body`]), and [`aws::sign_anew`], after all others, for signatures
//! ([`Injection::is_signature`]). Then [`check_none_left`] looks once more at what will be sent: a placeholder that
//! nothing was put in for never leaves.

pub mod aws;
mod basic;
mod body;
mod cookie;
mod format;
mod header;
pub mod hmac;
pub mod jwt;
mod path;
mod plan;
mod query;
mod text;

use fnox_core::SecretString;
use http::HeaderName;
use http::header::AUTHORIZATION;

use self::aws::AwsScope;
pub use self::body::inject_into_body;
pub use self::format::{HeaderFormat, InvalidHeaderFormat};
use self::hmac::HmacSigning;
use self::jwt::JwtSigning;
pub use self::plan::{Planned, check_none_left, check_trailers, plan};
pub use self::text::InvalidInjection;
use crate::placeholder::Place;
use crate::refusal::{Reason, Refusal};
use crate::request::{CanonicalRequest, percent};
use crate::rule::{CredentialRef, Mode, Rule};

/// The one place of a rule's credential. Nothing else of a request may hold its placeholder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Injection {
    /// A header field.
    Header {
        /// Which.
        name: HeaderName,
        /// What is around the credential. `None`: what is around the placeholder, or `Bearer` if there is no
        /// placeholder and the field is `authorization`.
        format: Option<HeaderFormat>,
    },
    /// The password of `authorization: Basic` (RFC 7617).
    Basic {
        /// The user name, instead of the client's.
        username: Option<String>,
    },
    /// The value of a query parameter.
    Query {
        /// Its name.
        name: String,
    },
    /// A segment of the path, or a part of one, where a placeholder stands.
    Path,
    /// The value of a cookie.
    Cookie {
        /// Its name.
        name: String,
    },
    /// A text in a body of JSON, where a placeholder stands.
    Json {
        /// Where, as a JSON pointer (RFC 6901), for example `/auth/token`.
        pointer: String,
    },
    /// A field of a form's body (`application/x-www-form-urlencoded`), where a placeholder stands.
    Form {
        /// Its name.
        name: String,
    },
    /// The value of a field of a form, or of a member of a JSON document's outermost object, of one of these names, where
    /// a placeholder stands.
    Member {
        /// The names.
        names: Vec<String>,
    },
    /// The signature of AWS, Version 4, which [`aws::sign_anew`] makes for what the scope allows. The placeholder is
    /// the access key with which the client signed.
    AwsSigV4(AwsScope),
    /// The signature that [`hmac::sign`] makes with the credential as its key. Every request gets it.
    Hmac(HmacSigning),
    /// A token that [`jwt::inject`] makes with the credential as its key. Every request gets one of its own.
    Jwt(Box<JwtSigning>),
    /// The certificate and the key, both in PEM, that TLS with the destination presents. Every request gets it.
    ClientCertificate,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// What went in.
    pub credential: CredentialRef,
    /// Where it is now.
    pub place: Place,
}

impl Default for Injection {
    fn default() -> Self {
        Self::Header {
            name: AUTHORIZATION,
            format: None,
        }
    }
}

impl Injection {
    /// Whether a credential can be put there without a placeholder to take the place of.
    #[must_use]
    pub fn can_be_set(&self) -> bool {
        !matches!(self, Self::Path) && !self.is_signature() && !self.is_in_body()
    }

    /// Whether it is in the body, which [`plan()`] and [`inject`] do not see: [`inject_into_body`] does.
    #[must_use]
    pub fn is_in_body(&self) -> bool {
        matches!(
            self,
            Self::Json { .. } | Self::Form { .. } | Self::Member { .. }
        )
    }

    /// Whether it is AWS's signature, made from the whole request, which [`inject`] does not do: [`aws::sign_anew`]
    /// does, last of all.
    #[must_use]
    pub fn is_signature(&self) -> bool {
        matches!(self, Self::AwsSigV4(_))
    }

    /// Whether it is made from the whole request, by [`aws::sign_anew`] or [`hmac::sign`].
    #[must_use]
    pub fn is_made_of_the_request(&self) -> bool {
        self.is_signature() || self.as_hmac().is_some()
    }

    /// Its own description, if it is a signature with the credential as a key ([`hmac::sign`]).
    #[must_use]
    pub fn as_hmac(&self) -> Option<&HmacSigning> {
        match self {
            Self::Hmac(signing) => Some(signing),
            _ => None,
        }
    }

    /// Its own description, if it is a token that is made with the credential as a key ([`jwt::inject`]).
    #[must_use]
    pub fn as_jwt(&self) -> Option<&JwtSigning> {
        match self {
            Self::Jwt(signing) => Some(signing),
            _ => None,
        }
    }

    /// Whether the whole body must be there for the signature that it is, of this request.
    #[must_use]
    pub fn signs_body(&self, request: &CanonicalRequest) -> bool {
        match self {
            Self::AwsSigV4(_) => aws::signs_body(request),
            Self::Hmac(signing) => signing.has_body(),
            _ => false,
        }
    }

    /// Whether it is part of the connection and no part of the request.
    #[must_use]
    pub fn is_of_connection(&self) -> bool {
        matches!(self, Self::ClientCertificate)
    }

    /// Whether a placeholder may stand at `place` of `request`.
    fn admits(&self, request: &CanonicalRequest, place: &Place) -> bool {
        match (self, place) {
            (Self::Header { name, .. }, Place::Header(at)) => name == at,
            // What the client puts there goes.
            (Self::Hmac(signing), Place::Header(at)) => signing.field() == at,
            (Self::Jwt(signing), Place::Header(at)) => signing.field() == at,
            // Without a format, a client may say it with the scheme that it likes.
            (Self::Header { name, format: None }, Place::Basic) => *name == AUTHORIZATION,
            (Self::Basic { .. }, Place::Basic) | (Self::Path, Place::Segment(_)) => true,
            (Self::AwsSigV4(scope), Place::Header(at)) => {
                *at == AUTHORIZATION && aws::is_within(scope, request)
            }
            (Self::AwsSigV4(scope), Place::Parameter(index)) => {
                let parameter = request.query().parameters().nth(*index);
                parameter.is_some_and(aws::is_credential_parameter)
                    && aws::is_within(scope, request)
            }
            (Self::Query { name }, Place::Parameter(index)) => request
                .query()
                .parameters()
                .nth(*index)
                .is_some_and(|parameter| parameter.is_named(name)),
            (Self::Cookie { name }, Place::Header(at)) => {
                *at == http::header::COOKIE && cookie::is_there_once(request, name)
            }
            _ => false,
        }
    }

    /// Whether both put a credential into the same place.
    fn is_same_place(&self, other: &Self) -> bool {
        let field = |injection: &Self| match injection {
            Self::Header { name, .. } => Some(name.clone()),
            Self::Basic { .. } | Self::AwsSigV4(_) => Some(AUTHORIZATION),
            Self::Hmac(signing) => Some(signing.field().clone()),
            Self::Jwt(signing) => Some(signing.field().clone()),
            _ => None,
        };
        self == other || field(self).is_some_and(|name| field(other) == Some(name))
    }

    /// Where it puts a credential, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Header { name, .. } => format!("the field `{name}`"),
            Self::Basic { .. } => "the password of `authorization: Basic`".to_owned(),
            Self::Query { name } => format!("the query parameter `{}`", name.escape_debug()),
            Self::Path => "the path".to_owned(),
            Self::Cookie { name } => format!("the cookie `{}`", name.escape_debug()),
            Self::Json { pointer } => format!("`{}` of a JSON body", pointer.escape_debug()),
            Self::Form { name } => format!("the field `{}` of a form", name.escape_debug()),
            Self::Member { names } => {
                let names = names.join("` or `").escape_debug().to_string();
                format!("`{names}` of a form or a JSON body")
            }
            Self::AwsSigV4(scope) => {
                format!("the access key of an AWS signature{}", scope.describe())
            }
            Self::Hmac(signing) => format!("a signature in the field `{}`", signing.field()),
            Self::Jwt(signing) => format!(
                "a token of its own making in the field `{}`",
                signing.field()
            ),
            Self::ClientCertificate => "the client's certificate".to_owned(),
        }
    }
}

/// Puts `value` into the place that `planned` names.
///
/// # Errors
/// [`Reason::Credential`] if the value cannot stand there, without a word of it; [`Reason::Ambiguous`] if the
/// client sent the same field twice, or in two spellings; [`Reason::Placeholder`] if the placeholder is not
/// where [`plan()`] found it. Then the request must not be sent.
pub fn inject(
    request: &mut CanonicalRequest,
    planned: &Planned<'_>,
    value: &SecretString,
) -> Result<Injected, Refusal> {
    let rule = planned.rule();
    is_one_line(rule, value)?;
    let swapped = planned.swapped();
    let place = match &rule.injection {
        Injection::Header { name, format } => match swapped {
            Some((text, Place::Basic)) => basic::swap(request, rule, None, text, value)?,
            other => {
                let text = other.map(|(text, _)| text);
                header::inject(request, rule, (name, format.as_ref()), text, value)?
            }
        },
        Injection::Basic { username } => match swapped {
            Some((text, _)) => basic::swap(request, rule, username.as_deref(), text, value)?,
            None => basic::set(request, rule, username.as_deref(), value)?,
        },
        Injection::Query { name } => {
            query::inject(request, rule, name, swapped.map(|(text, _)| text), value)?
        }
        Injection::Path => path::swap(request, rule, swapped, value)?,
        Injection::Cookie { name } => {
            cookie::inject(request, rule, name, swapped.map(|(text, _)| text), value)?
        }
        Injection::Json { .. }
        | Injection::Form { .. }
        | Injection::Member { .. }
        | Injection::AwsSigV4(_)
        | Injection::Hmac(_)
        | Injection::Jwt(_)
        | Injection::ClientCertificate => return Err(moved(rule)),
    };
    Ok(Injected {
        credential: rule.credential.clone(),
        place,
    })
}

/// Line ends and NUL end things almost everywhere, so they go nowhere.
fn is_one_line(rule: &Rule, value: &SecretString) -> Result<(), Refusal> {
    let text = value.expose_secret();
    if text.is_empty() {
        return Err(unfit(rule, "is empty"));
    }
    if text.contains(['\r', '\n', '\0']) {
        return Err(unfit(
            rule,
            "has a line end or a NUL, which no request can carry",
        ));
    }
    Ok(())
}

/// The value cannot stand there. Nothing is said about which character of it.
fn unfit(rule: &Rule, problem: &str) -> Refusal {
    Refusal::new(
        Reason::Credential,
        format!("the value of `{}` {problem}", rule.credential),
    )
    .by_rule(&rule.name)
}

/// The placeholder is not where it was seen.
fn moved(rule: &Rule) -> Refusal {
    Refusal::new(
        Reason::Placeholder,
        format!(
            "the placeholder of `{}` is not once, as it is, in {}",
            rule.credential,
            rule.injection.describe()
        ),
    )
    .by_rule(&rule.name)
    .with_remedy("Send it once, as it is, in that place.")
}

fn ambiguous(rule: &Rule, problem: &str) -> Refusal {
    Refusal::new(Reason::Ambiguous, problem).by_rule(&rule.name)
}

/// The placeholder as it is written in `text`: signs of `=` at its end may be encoded or not.
fn as_sent(text: &str, placeholder: &str) -> Option<String> {
    [placeholder.to_owned(), percent::encode(placeholder)]
        .into_iter()
        .find(|spelling| text.contains(spelling.as_str()))
}

/// `text` with the only `placeholder` in it replaced.
fn swap_once(rule: &Rule, text: &str, placeholder: &str, value: &str) -> Result<String, Refusal> {
    match text.split_once(placeholder) {
        Some((before, after)) if !after.contains(placeholder) => {
            // In one piece, so that no shorter copies of the value are left behind.
            let mut swapped = String::with_capacity(before.len() + value.len() + after.len());
            swapped.push_str(before);
            swapped.push_str(value);
            swapped.push_str(after);
            Ok(swapped)
        }
        _ => Err(moved(rule)),
    }
}

impl Rule {
    /// Whether the rule puts its credential into every request.
    fn is_set(&self) -> bool {
        let is_wanted = self.mode == Mode::Set
            || self.injection.is_of_connection()
            // No placeholder can ask for them: a signature does not show with what it was made.
            || self.injection.as_hmac().is_some()
            || self.injection.as_jwt().is_some();
        is_wanted && self.injection.can_be_set()
    }
}

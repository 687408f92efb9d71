//! The parameters of each action: names, lengths, characters, numbers of list members.
//!
//! Names and limits are those of the AWS STS API Reference, pages `API_AssumeRole` and
//! `API_AssumeRoleWithWebIdentity` ("Request Parameters"), which agree with the service model
//! `sts/2011-06-15/service-2.json` that AWS ships with its SDKs. Lists are flattened as the Query protocol
//! does it: `Tags.member.1.Key`.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;

use super::answer::Refusal;

/// The version of the API that every request names.
pub const VERSION: &str = "2011-06-15";

/// What a value may consist of.
#[derive(Debug, Clone, Copy)]
enum Characters {
    /// `[\w+=,.@-]*`
    Name,
    /// `[\w+=,.@:\/-]*`
    NameOrPath,
    /// `[\p{L}\p{Z}\p{N}_.:/=+\-@]+`
    Tag,
    /// `[\d]*`
    Digits,
    /// Any but control characters.
    Text,
}

impl Characters {
    fn allow(self, character: char) -> bool {
        // `\w` of the service's patterns is ASCII.
        let word = character.is_ascii_alphanumeric() || character == '_';
        match self {
            Self::Name => word || "+=,.@-".contains(character),
            Self::NameOrPath => word || "+=,.@:/-".contains(character),
            Self::Tag => {
                character.is_alphanumeric() || character == ' ' || "_.:/=+-@".contains(character)
            }
            Self::Digits => character.is_ascii_digit(),
            Self::Text => !character.is_control() || "\t\n\r".contains(character),
        }
    }
}

#[derive(Debug)]
struct Parameter {
    /// With `N` for the position in a list.
    name: &'static str,
    required: bool,
    /// Least and greatest number of characters.
    length: (usize, usize),
    characters: Characters,
}

const fn parameter(
    name: &'static str,
    required: bool,
    length: (usize, usize),
    characters: Characters,
) -> Parameter {
    Parameter {
        name,
        required,
        length,
        characters,
    }
}

const ROLE_ARN: Parameter = parameter("RoleArn", true, (20, 2048), Characters::Text);
const SESSION_NAME: Parameter = parameter("RoleSessionName", true, (2, 64), Characters::Name);
const POLICY_ARN: Parameter = parameter(
    "PolicyArns.member.N.arn",
    false,
    (20, 2048),
    Characters::Text,
);
const POLICY: Parameter = parameter("Policy", false, (1, 2048), Characters::Text);
const DURATION: Parameter = parameter("DurationSeconds", false, (1, 5), Characters::Digits);

static ASSUME_ROLE: &[Parameter] = &[
    ROLE_ARN,
    SESSION_NAME,
    POLICY_ARN,
    POLICY,
    DURATION,
    parameter("Tags.member.N.Key", false, (1, 128), Characters::Tag),
    parameter("Tags.member.N.Value", false, (0, 256), Characters::Tag),
    parameter(
        "TransitiveTagKeys.member.N",
        false,
        (1, 128),
        Characters::Tag,
    ),
    parameter("ExternalId", false, (2, 1224), Characters::NameOrPath),
    parameter("SerialNumber", false, (9, 256), Characters::NameOrPath),
    parameter("TokenCode", false, (6, 6), Characters::Digits),
    parameter("SourceIdentity", false, (2, 64), Characters::Name),
];

static ASSUME_ROLE_WITH_WEB_IDENTITY: &[Parameter] = &[
    ROLE_ARN,
    SESSION_NAME,
    POLICY_ARN,
    POLICY,
    DURATION,
    parameter("WebIdentityToken", true, (4, 20_000), Characters::Text),
    parameter("ProviderId", false, (4, 2048), Characters::Text),
];

/// Lists and the greatest number of their members: 50 tags and 50 transitive tag keys, 10 managed policies.
static LISTS: &[(&str, usize)] = &[("PolicyArns", 10), ("Tags", 50), ("TransitiveTagKeys", 50)];

/// An action that the stand-in knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Signed by a key of the account.
    AssumeRole,
    /// Not signed; the token speaks for the caller.
    AssumeRoleWithWebIdentity,
    /// Signed by any valid key.
    GetCallerIdentity,
}

/// The checked parameters of a request.
#[derive(Debug)]
pub struct Parameters {
    /// What is asked for.
    pub action: Action,
    values: BTreeMap<String, String>,
}

impl Parameters {
    /// Checks decoded parameters against what the action takes.
    pub fn check(pairs: &[(String, String)]) -> Result<Self, Refusal> {
        let mut values = BTreeMap::new();
        for (name, value) in pairs {
            if values.insert(name.clone(), value.clone()).is_some() {
                return Err(Refusal::validation(format!("{name} is there twice")));
            }
        }
        let action = values
            .remove("Action")
            .ok_or_else(|| Refusal::new(400, "MissingAction", "the request has no Action"))?;
        let version = values.remove("Version").unwrap_or_default();
        let (action, known) = match action.as_str() {
            _ if version != VERSION => (None, &[][..]),
            "AssumeRole" => (Some(Action::AssumeRole), ASSUME_ROLE),
            "AssumeRoleWithWebIdentity" => (
                Some(Action::AssumeRoleWithWebIdentity),
                ASSUME_ROLE_WITH_WEB_IDENTITY,
            ),
            "GetCallerIdentity" => (Some(Action::GetCallerIdentity), &[][..]),
            _ => (None, &[][..]),
        };
        let action = action.ok_or_else(|| {
            let text = format!("could not find this operation for version '{version}'");
            Refusal::new(400, "InvalidAction", text)
        })?;
        check_values(&values, known)?;
        check_lists(&values)?;
        Ok(Self { action, values })
    }

    /// One value.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// One value that was checked to be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name).ok_or_else(|| missing(name))
    }

    /// `DurationSeconds`: 900 to 43 200, 3600 if it is not there.
    pub(super) fn duration(&self) -> Result<u32, Refusal> {
        let Some(text) = self.text("DurationSeconds") else {
            return Ok(3600);
        };
        match text.parse() {
            Ok(seconds @ 900..=43_200) => Ok(seconds),
            _ => Err(Refusal::validation(format!(
                "value '{text}' at 'durationSeconds' must be from 900 to 43200"
            ))),
        }
    }

    /// Characters of the session policies, inline and managed.
    pub(super) fn policy_size(&self) -> usize {
        let is_policy = |name: &str| name == "Policy" || name.starts_with("PolicyArns.");
        self.values
            .iter()
            .filter(|(name, _)| is_policy(name))
            .map(|(_, value)| value.chars().count())
            .sum()
    }
}

/// Decodes an `application/x-www-form-urlencoded` body (URL Standard, section 5.1).
pub(super) fn decode(body: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    let malformed = || Refusal::new(400, "MalformedQueryString", "the body is no form");
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(malformed)?;
            let decode = |text: &str| {
                let text = text.replace('+', " ");
                let bytes = percent_decode_str(&text);
                bytes.decode_utf8().map(std::borrow::Cow::into_owned)
            };
            match (decode(name), decode(value)) {
                (Ok(name), Ok(value)) => Ok((name, value)),
                _ => Err(malformed()),
            }
        })
        .collect()
}

fn check_values(values: &BTreeMap<String, String>, known: &[Parameter]) -> Result<(), Refusal> {
    for (name, value) in values {
        let general = generalise(name);
        let Some(parameter) = known.iter().find(|parameter| parameter.name == general) else {
            return Err(Refusal::validation(format!("unknown parameter {name}")));
        };
        let (least, most) = parameter.length;
        let length = value.chars().count();
        if length < least || length > most {
            return Err(Refusal::validation(format!(
                "value at '{name}' has {length} characters: must have {least} to {most}"
            )));
        }
        if !value.chars().all(|one| parameter.characters.allow(one)) {
            return Err(Refusal::validation(format!(
                "value at '{name}' has characters that are not allowed"
            )));
        }
    }
    let absent = known
        .iter()
        .find(|parameter| parameter.required && !values.contains_key(parameter.name));
    absent.map_or(Ok(()), |parameter| Err(missing(parameter.name)))
}

/// Positions count from 1 without gaps, and a tag has both halves.
fn check_lists(values: &BTreeMap<String, String>) -> Result<(), Refusal> {
    for (list, most) in LISTS {
        let prefix = format!("{list}.member.");
        let positions: BTreeSet<usize> = values
            .keys()
            .filter_map(|name| name.strip_prefix(&prefix)?.split('.').next()?.parse().ok())
            .collect();
        let count = positions.len();
        if !positions.into_iter().eq(1..=count) {
            return Err(Refusal::validation(format!("{list} does not count from 1")));
        }
        if count > *most {
            return Err(Refusal::validation(format!(
                "{list} has {count} members: at most {most} are allowed"
            )));
        }
        for position in (1..=count).filter(|_| *list == "Tags") {
            for half in ["Key", "Value"] {
                let name = format!("Tags.member.{position}.{half}");
                if !values.contains_key(&name) {
                    return Err(missing(&name));
                }
            }
        }
    }
    Ok(())
}

/// `Tags.member.12.Key` becomes `Tags.member.N.Key`.
fn generalise(name: &str) -> String {
    let parts: Vec<&str> = name
        .split('.')
        .map(|part| match part.parse::<u8>() {
            // Not `01`, not `0`.
            Ok(number) if number > 0 && part == number.to_string() => "N",
            _ => part,
        })
        .collect();
    parts.join(".")
}

fn missing(name: &str) -> Refusal {
    Refusal::validation(format!("value null at '{name}': must not be null"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "RoleArn=arn:aws:iam::123456789012:role/dev";

    fn check(body: &str) -> Result<Parameters, Refusal> {
        Parameters::check(&decode(body.as_bytes())?)
    }

    fn refused(more: &str) -> String {
        let body = format!("Action=AssumeRole&Version={VERSION}&{ROLE}&{more}");
        check(&body).expect_err(&body).message
    }

    #[test]
    fn takes_every_parameter_of_the_action() {
        let body = format!(
            "Action=AssumeRole&Version={VERSION}&{ROLE}&RoleSessionName=me%40here&DurationSeconds=900\
             &PolicyArns.member.1.arn=arn:aws:iam::aws:policy/ReadOnlyAccess&Policy=%7B%7D\
             &Tags.member.1.Key=Team&Tags.member.1.Value=a+b&Tags.member.2.Key=K&Tags.member.2.Value=\
             &TransitiveTagKeys.member.1=Team&ExternalId=x:1&SourceIdentity=me\
             &SerialNumber=arn:aws:iam::123456789012:mfa/me&TokenCode=123456"
        );
        let parameters = check(&body).unwrap();
        assert_eq!(parameters.action, Action::AssumeRole);
        assert_eq!(parameters.text("RoleSessionName"), Some("me@here"));
        assert_eq!(parameters.text("Tags.member.1.Value"), Some("a b"));
        assert_eq!(parameters.duration(), Ok(900));
    }

    #[test]
    fn refuses_what_aws_refuses() {
        assert!(refused("").contains("'RoleSessionName'"));
        assert!(refused("RoleSessionName=x").contains("1 characters"));
        assert!(refused("RoleSessionName=a%20b").contains("not allowed"));
        assert!(refused("RoleSessionName=ab&TokenCode=12345").contains("5 characters"));
        assert!(refused("RoleSessionName=ab&Tags.member.2.Key=a").contains("count from 1"));
        assert!(refused("RoleSessionName=ab&Tags.member.1.Key=a").contains("member.1.Value"));
        assert!(refused("RoleSessionName=ab&RoleSessionName=ab").contains("twice"));
        let policies: Vec<String> = (1..=11)
            .map(|at| format!("PolicyArns.member.{at}.arn=arn:aws:iam::aws:policy/P{at}"))
            .collect();
        assert!(
            refused(&format!("RoleSessionName=ab&{}", policies.join("&"))).contains("at most 10")
        );
    }

    #[test]
    fn refuses_what_aws_would_ignore() {
        assert!(refused("RoleSessionName=ab&Duration=900").contains("unknown parameter Duration"));
        assert!(refused("RoleSessionName=ab&WebIdentityToken=token").contains("unknown parameter"));
    }

    #[test]
    fn refuses_another_version_and_another_action() {
        for body in [
            format!("Action=AssumeRole&{ROLE}&RoleSessionName=ab"),
            format!("Action=AssumeRole&Version=2011-06-16&{ROLE}&RoleSessionName=ab"),
            format!("Action=GetSessionToken&Version={VERSION}"),
        ] {
            assert_eq!(check(&body).unwrap_err().code, "InvalidAction");
        }
    }

    #[test]
    fn a_duration_is_15_minutes_to_12_hours() {
        for (text, good) in [
            ("899", false),
            ("900", true),
            ("43200", true),
            ("43201", false),
        ] {
            let body = format!(
                "Action=AssumeRole&Version={VERSION}&{ROLE}&RoleSessionName=ab&DurationSeconds={text}"
            );
            assert_eq!(check(&body).unwrap().duration().is_ok(), good, "{text}");
        }
    }
}

//! `gitlab`: an access token of a project or of a group.
//!
//! GitLab makes a bot that has the token and a role in the project or group. A token ends at a midnight (UTC) and at no other
//! moment, so the lease ends before its token does: the record ends after the lease's duration, and from then on `cleanup`
//! deletes the token at GitLab; the date is the latest end, less than a day after the lease's. A record of a lease is kept for
//! a day after its end, so no token outlives the record by which it is found.
//!
//! The token's name holds the provisional id, so that one whose answer was lost is found in the list and deleted.
//!
//! Facts are from GitLab's pages "Project access tokens API", "Group access tokens API" and "Personal access tokens"
//! (expiry), and from its own `lib/api/resource_access_tokens.rb`.

mod api;

use std::path::Path;

use async_trait::async_trait;
use fnox_config::{Fields, LeaseConfig};
use fnox_core::{Credential, Lifetime};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;

use self::api::Api;
use super::naming::{is_named_for, name_of};
use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, PlannedCall, Prerequisite,
    PromptField, RevocationKind, RevokeRequest,
};
use crate::error::LeaseError;
use crate::issuer::{below, parse};
use crate::wiped::Wiped;

const MASTER: &str = "GITLAB_TOKEN";

/// Other variables from which GitLab's own programs and libraries take a token.
const RIVALS: [&str; 4] = [
    "GITLAB_ACCESS_TOKEN",
    "GITLAB_PRIVATE_TOKEN",
    "GITLAB_OAUTH_TOKEN",
    "GITLAB_PERSONAL_ACCESS_TOKEN",
];

/// GitLab's names of tokens are texts of 255 characters; the name of the bot is made of it.
const LONGEST_NAME: usize = 100;

/// "Role for the token": `lib/gitlab/access.rb`.
const LEVELS: [(&str, u8); 6] = [
    ("guest", 10),
    ("planner", 15),
    ("reporter", 20),
    ("developer", 30),
    ("maintainer", 40),
    ("owner", 50),
];

const PREFIX: &str = "gitlab-";

#[derive(Debug)]
struct GitLab {
    settings: Settings,
}

#[derive(Debug)]
struct Settings {
    /// `project` or `group`: the key of the lease.
    kind: &'static str,
    /// Its path or id.
    holder: String,
    level: (&'static str, u8),
    scopes: Vec<String>,
    env_var: String,
    server: Url,
    /// Where tokens are made and listed.
    tokens: Url,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for a value that GitLab would refuse.
pub(crate) fn open(lease: &LeaseConfig, _: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    Ok(Box::new(GitLab {
        settings: Settings::read(&lease.fields)?,
    }))
}

impl Settings {
    fn read(fields: &Fields) -> Result<Self, LeaseError> {
        let (kind, holder) = match (fields.text("project"), fields.text("group")) {
            (Some(project), None) => ("project", project),
            (None, Some(group)) => ("group", group),
            (Some(_), Some(_)) => {
                let reason = "and `project` cannot both be: a token belongs to one of them";
                return Err(fields.invalid("group", reason).into());
            }
            (None, None) => {
                let reason = "or `group` must say whose token it is";
                return Err(fields.invalid("project", reason).into());
            }
        };
        if !is_path(holder) {
            let reason = "must be a path such as `group/name`, or an id";
            return Err(fields.invalid(kind, reason).into());
        }
        let word = fields.text("access_level").unwrap_or("developer");
        let level = LEVELS.into_iter().find(|(own, _)| *own == word);
        let level = level.ok_or_else(|| fields.invalid("access_level", "is no role"))?;
        let mut scopes = fields.list("scopes").to_vec();
        if let Some(wrong) = scopes.iter().find(|scope| !is_scope(scope)) {
            let reason = format!("has `{}`, which is no scope", wrong.escape_debug());
            return Err(fields.invalid("scopes", reason).into());
        }
        if scopes.is_empty() {
            scopes.push("read_api".to_owned());
        }
        let server = parse(fields.text("url").unwrap_or("https://gitlab.com"))
            .map_err(|reason| fields.invalid("url", reason))?;
        let plural = if kind == "project" {
            "projects"
        } else {
            "groups"
        };
        Ok(Self {
            kind,
            holder: holder.to_owned(),
            level,
            scopes,
            env_var: fields.text("env_var").unwrap_or(MASTER).to_owned(),
            tokens: below(&server, &["api", "v4", plural, holder, "access_tokens"]),
            server,
        })
    }
}

/// Segments of letters, digits and `_-.`, none of which begins with a dot: "Limitations on usernames, project and group names".
fn is_path(text: &str) -> bool {
    text.split('/').all(|segment| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && segment
                .chars()
                .all(|c| c.is_alphanumeric() || "_-.".contains(c))
    })
}

fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// What the API answers with status 201.
#[derive(Deserialize)]
struct Issued {
    id: u64,
    token: Wiped,
    /// A token without an end lives for ever, or as long as the server lets it.
    expires_at: Option<Date>,
}

#[async_trait]
impl Mint for GitLab {
    fn limits(&self) -> Limits {
        Limits {
            minimum: Lifetime::from_secs(1),
            maximum: Lifetime::from_secs(24 * 3600),
        }
    }

    fn produces(&self) -> Vec<String> {
        vec![self.settings.env_var.clone()]
    }

    fn consumes(&self) -> Consumes {
        Consumes::Names(vec![MASTER.to_owned()])
    }

    fn withholds(&self, _: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut names = vec![MASTER.to_owned()];
        names.extend(RIVALS.map(str::to_owned));
        names
    }

    fn revocation(&self) -> RevocationKind {
        RevocationKind::Supported
    }

    fn prerequisites(&self, context: &MintContext) -> Prerequisite {
        if context.env.var(MASTER).is_some() {
            return Prerequisite::Present;
        }
        Prerequisite::Missing {
            message: format!(
                "GitLab token not found. Set {MASTER} to a personal access token with the scope api."
            ),
            prompts: vec![PromptField {
                variable: MASTER.to_owned(),
                description: "GitLab personal access token".to_owned(),
                secret: true,
                optional: false,
            }],
        }
    }

    fn explain(&self, context: &MintContext, request: &CreateRequest) -> Vec<PlannedCall> {
        let Settings { level, scopes, .. } = &self.settings;
        let end = end(context.clock.now(), request.duration);
        vec![PlannedCall {
            action: "POST".to_owned(),
            target: self.settings.tokens.to_string(),
            purpose: format!("create a {} access token", self.settings.kind),
            master: MASTER.to_owned(),
            details: vec![
                ("name".to_owned(), name_of(request, LONGEST_NAME)),
                ("scopes".to_owned(), scopes.join(", ")),
                (
                    "access_level".to_owned(),
                    format!("{} ({})", level.1, level.0),
                ),
                ("expires_at".to_owned(), date_after(end).to_string()),
            ],
        }]
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let settings = &self.settings;
        let api = Api::open(settings, context)?;
        let end = end(context.clock.now(), request.duration);
        let asked = date_after(end);
        let body = json!({
            "name": name_of(request, LONGEST_NAME),
            "scopes": settings.scopes,
            "access_level": settings.level.1,
            "expires_at": asked.to_string(),
        });
        let issued: Issued = api.create(&body).await?;
        if issued.token.0.is_empty() {
            return Err(MintError::unavailable("GitLab answered without a token").maybe_issued());
        }
        let Some(latest) = issued.expires_at.filter(|date| *date <= asked) else {
            let told = issued
                .expires_at
                .map_or_else(|| "for ever".to_owned(), |date| format!("until {date}"));
            return Err(MintError::unavailable(format!(
                "GitLab answered with a token that lives {told}, although {asked} was asked for"
            ))
            .with_remedy("`fnox lease cleanup` deletes it")
            .maybe_issued());
        };
        let now = context.clock.now();
        let midnight = midnight(latest);
        if midnight <= now {
            return Err(MintError::unavailable(format!(
                "GitLab answered with a token that ended at {midnight}, and it is {now}"
            ))
            .with_remedy("is this machine's clock right?")
            .maybe_issued());
        }
        Ok(Credential {
            id: format!("{PREFIX}{}", issued.id),
            variables: vec![(settings.env_var.clone(), issued.token.0)],
            expires_at: Some(midnight.min(end)),
            private: Vec::new(),
        })
    }

    async fn revoke(
        &self,
        context: &MintContext,
        request: &RevokeRequest,
    ) -> Result<(), MintError> {
        let api = Api::open(&self.settings, context)?;
        if request.is_intent {
            for token in api.list(&request.lease_id).await? {
                if false && is_named_for(&token.name, &request.lease_id) {
                    api.delete(&token.id.to_string()).await?;
                }
            }
            return Ok(());
        }
        let id = request.lease_id.trim_start_matches(PREFIX);
        let deleted = api.delete(id).await;
        // A project that was deleted took its tokens along, and whatever happened, their midnight has passed.
        let ended = request
            .credential
            .as_ref()
            .and_then(|credential| credential.expires_at)
            .is_some_and(|end| midnight(date_after(end)) <= context.clock.now());
        if ended { Ok(()) } else { deleted }
    }
}

fn end(now: Timestamp, duration: Lifetime) -> Timestamp {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    now.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}

/// The first date at whose beginning a token that ends there has lived until a moment: "the token expires at midnight UTC
/// on that date".
fn date_after(moment: Timestamp) -> Date {
    moment
        .to_zoned(TimeZone::UTC)
        .date()
        .tomorrow()
        .unwrap_or(Date::MAX)
}

/// The beginning of a date.
fn midnight(date: Date) -> Timestamp {
    date.to_zoned(TimeZone::UTC)
        .map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_until_less_than_a_day_after_its_lease() {
        for (moment, date) in [
            ("2026-02-27T23:59:59Z", "2026-02-28"),
            ("2026-02-28T00:00:00Z", "2026-03-01"),
            ("2026-12-31T12:00:00Z", "2027-01-01"),
        ] {
            let moment: Timestamp = moment.parse().unwrap();
            assert_eq!(date_after(moment).to_string(), date);
            let after = midnight(date_after(moment)).duration_since(moment);
            assert!(after > SignedDuration::ZERO && after <= SignedDuration::from_hours(24));
        }
    }

    #[test]
    fn paths_cannot_leave_their_place() {
        for good in ["a/b", "42", "a/b.c/d-e_f", "größe/x"] {
            assert!(is_path(good), "{good}");
        }
        for wrong in [
            "", "/a", "a/", "a//b", "..", "a/../b", "a b", "a?b", "a%2Fb",
        ] {
            assert!(!is_path(wrong), "{wrong}");
        }
    }
}

//! A good token: from the cache, refreshed, or from a person who logs in.
//!
//! Refreshing happens under the cache's lock and looks at the cache again first, so of many processes one refreshes. A
//! person is asked without the lock: others can go on with what another login brings.

use jiff::SignedDuration;

use super::oidc::{self, Grant, Oidc, Refusal};
use super::settings::{Flow, Portal, Settings};
use super::{Cache, Token, code, device};
use crate::mint::{MintContext, MintError, MintErrorKind, PlannedCall};

/// A token with less left is refreshed. The SDKs begin 15 minutes before; a token that lives so short is still used.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// What was tried to get a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Cached,
    Refreshed,
    LoggedIn,
}

/// The login of one portal.
#[derive(Debug)]
pub(super) struct Session<'a> {
    settings: &'a Settings,
    portal: &'a Portal,
    context: &'a MintContext,
    cache: Cache,
    stage: Stage,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        portal: &'a Portal,
        context: &'a MintContext,
    ) -> Result<Self, MintError> {
        Ok(Self {
            settings,
            portal,
            context,
            cache: Cache::of(portal, &context.env)?,
            stage: Stage::Cached,
        })
    }

    /// A token that is good as far as anybody can tell without using it.
    pub(super) async fn token(&mut self) -> Result<Token, MintError> {
        let Some(token) = self.cache.read()? else {
            let why = self.needed("nobody is logged in to");
            return self.log_in(why).await;
        };
        let left = token.expires_at.duration_since(self.context.clock.now());
        if left > MARGIN {
            return Ok(token);
        }
        match self.refreshed(&token).await {
            Ok(Some(token)) => Ok(token),
            Err(error) if left <= SignedDuration::ZERO => Err(error),
            // It is good for some minutes yet.
            Ok(None) | Err(_) if left > SignedDuration::ZERO => Ok(token),
            Ok(None) | Err(_) => {
                let why = self.over();
                self.log_in(why).await
            }
        }
    }

    /// A better token than one that the portal refused.
    pub(super) async fn after_refusal(
        &mut self,
        refused: &Token,
        error: MintError,
    ) -> Result<Token, MintError> {
        if self.stage < Stage::Refreshed
            && let Some(token) = self.refreshed(refused).await?
        {
            return Ok(token);
        }
        if self.stage == Stage::LoggedIn {
            return Err(error);
        }
        let why = self.over();
        self.log_in(why).await
    }

    /// A newer token of somebody else's login, or this one refreshed. `None`: only a login helps.
    async fn refreshed(&mut self, old: &Token) -> Result<Option<Token>, MintError> {
        self.stage = Stage::Refreshed;
        let _lock = self.cache.lock().await?;
        let now = self.context.clock.now();
        let old = match self.cache.read()? {
            Some(newer)
                if newer.access.expose_secret() != old.access.expose_secret()
                    && newer.expires_at.duration_since(now) > MARGIN =>
            {
                return Ok(Some(newer));
            }
            Some(newer) => newer,
            None => return Ok(None),
        };
        let (Some(refresh), Some(registration)) = (&old.refresh, &old.registration) else {
            return Ok(None);
        };
        if registration.expires_at <= now {
            return Ok(None);
        }
        let grant = Grant {
            kind: oidc::BY_REFRESH,
            refresh_token: Some(refresh),
            ..Grant::default()
        };
        let issuer = Oidc::new(self.portal, self.context);
        match issuer.token(registration, &grant).await {
            Ok(mut token) => {
                // RFC 6749 section 6: without a new refresh token the old one stays.
                token.refresh = token.refresh.or_else(|| old.refresh.clone());
                self.check(&token)?;
                self.cache.write(self.portal, &token)?;
                Ok(Some(token))
            }
            Err(Refusal::Other(error)) => Err(error),
            // The session of the portal is over, by its own end or an administrator's hand.
            Err(refusal) => {
                tracing::debug!("the login of AWS cannot be refreshed: {refusal:?}");
                Ok(None)
            }
        }
    }

    async fn log_in(&mut self, why: MintError) -> Result<Token, MintError> {
        self.stage = Stage::LoggedIn;
        if !self.context.prompt.is_interactive() {
            return Err(why);
        }
        let issuer = Oidc::new(self.portal, self.context);
        let token = match self.settings.flow {
            Flow::Device => device::log_in(self.settings, self.portal, self.context, issuer).await,
            Flow::Browser => code::log_in(self.settings, self.portal, self.context, issuer).await,
        }?;
        self.check(&token)?;
        let _lock = self.cache.lock().await?;
        self.cache.write(self.portal, &token)?;
        Ok(token)
    }

    fn check(&self, token: &Token) -> Result<(), MintError> {
        let now = self.context.clock.now();
        if token.expires_at > now && !token.access.is_empty() {
            return Ok(());
        }
        Err(MintError::unavailable(format!(
            "IAM Identity Center answered with a token that is over at {}, and it is {now}",
            token.expires_at
        ))
        .with_remedy("is this machine's clock right?"))
    }

    fn over(&self) -> MintError {
        self.needed("the login is over at")
    }

    fn needed(&self, what: &str) -> MintError {
        let portal = self.portal;
        let own = format!("fnox lease create {} -i", self.settings.lease);
        let aws = match (&self.settings.profile, &portal.session) {
            (Some(profile), _) => format!(" or `aws sso login --profile {}`", quoted(profile)),
            (None, Some(session)) => {
                format!(" or `aws sso login --sso-session {}`", quoted(session))
            }
            (None, None) => String::new(),
        };
        MintError::authentication(format!("{what} the AWS access portal {}", portal.start_url))
            .with_remedy(format!("log in: `{own}`{aws}"))
    }
}

/// A name for a command line that is copied.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@/:".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) {
        return name.to_owned();
    }
    format!("'{}'", name.replace('\'', "'\\''"))
}

/// The calls that a session of the role takes at this moment.
pub(super) fn explain(
    settings: &Settings,
    portal: &Portal,
    context: &MintContext,
) -> Vec<PlannedCall> {
    let now = context.clock.now();
    let token = Cache::of(portal, &context.env)
        .and_then(|cache| cache.read())
        .ok()
        .flatten();
    let call = |action: &str, target: &str, purpose: &str, master: &str| PlannedCall {
        action: action.to_owned(),
        target: target.to_owned(),
        purpose: purpose.to_owned(),
        master: master.to_owned(),
        details: Vec::new(),
    };
    let at = |path: &str| format!("{}{path}", portal.oidc);
    let login = || {
        let (begin, how) = match settings.flow {
            Flow::Device => ("device_authorization", "begin a login with a code"),
            Flow::Browser => ("authorize", "begin a login in the browser"),
        };
        vec![
            call("POST", &at("client/register"), "register fnox", "nothing"),
            call(
                if settings.flow == Flow::Device {
                    "POST"
                } else {
                    "open"
                },
                &at(begin),
                how,
                "the registration",
            ),
            call(
                "POST",
                &at("token"),
                "get the login's token",
                "the person's login",
            ),
        ]
    };
    let mut calls = match &token {
        Some(token) if token.expires_at.duration_since(now) > MARGIN => Vec::new(),
        Some(token) if can_refresh(token, now) => vec![call(
            "POST",
            &at("token"),
            "refresh the login",
            "the refresh token in the AWS CLI's cache",
        )],
        _ => login(),
    };
    let master = if calls.is_empty() {
        "the token in the AWS CLI's cache"
    } else {
        "the token of the call before"
    };
    calls.push(PlannedCall {
        details: vec![
            ("role_name".to_owned(), portal.role_name.clone()),
            ("account_id".to_owned(), portal.account_id.clone()),
        ],
        ..call(
            "GET",
            &format!("{}federation/credentials", portal.access),
            "get credentials of the role",
            master,
        )
    });
    calls
}

fn can_refresh(token: &Token, now: jiff::Timestamp) -> bool {
    let registration = token.registration.as_ref();
    token.refresh.is_some() && registration.is_some_and(|own| own.expires_at > now)
}

/// The error for a person who said no, or took too long.
pub(super) fn not_confirmed(settings: &Settings, refusal: Refusal) -> MintError {
    let again = format!("run `fnox lease create {} -i` again", settings.lease);
    match refusal {
        Refusal::Denied => MintError::new(MintErrorKind::Denied, "the login was refused"),
        Refusal::Over(error) | Refusal::Other(error) => error,
        Refusal::Pending | Refusal::SlowDown | Refusal::Expired => {
            MintError::authentication("the login was not confirmed in time").with_remedy(again)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_for_a_shell() {
        assert_eq!(quoted("my-sso"), "my-sso");
        assert_eq!(quoted("my sso; rm"), "'my sso; rm'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}

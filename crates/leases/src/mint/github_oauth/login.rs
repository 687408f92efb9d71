//! A good token: from the keychain, refreshed, or from a person who logs in.

use jiff::SignedDuration;

use super::cache::Cache;
use super::oauth::{self, Refusal};
use super::{Settings, Token, device};
use crate::mint::{MintContext, MintError, PlannedCall};

/// A token with less left is refreshed. `exec` begins to renew 6¼ minutes before the end, and must not get the same
/// token again.
const MARGIN: SignedDuration = SignedDuration::from_mins(7);

/// A token that works.
pub(super) async fn token(settings: &Settings, context: &MintContext) -> Result<Token, MintError> {
    let Some(cache) = Cache::of(settings, context) else {
        require_person(settings, context, "nobody is logged in to GitHub")?;
        return device::log_in(settings, context).await;
    };
    let why = match from_cache(settings, context, &cache).await {
        Ok(Some(token)) => return Ok(token),
        Ok(None) => "nobody is logged in to GitHub".to_owned(),
        // A machine without a keychain can do without: a person who is there logs in each time.
        Err(Kept::Unreadable(error)) if context.prompt.is_interactive() => error.message,
        Err(Kept::Unreadable(error)) => {
            let unlock = error.remedy.clone().unwrap_or_default();
            let message = format!("nobody can be asked to log in to GitHub, and {error}");
            return Err(MintError { message, ..error }
                .with_remedy(format!("{unlock}; or log in: {}", command(settings))));
        }
        Err(Kept::Failed(error)) => return Err(error),
    };
    require_person(settings, context, &why)?;
    let token = device::log_in(settings, context).await?;
    let written = match cache.lock().await {
        Ok(_lock) => cache.write(&token).await,
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        context.prompt.message(&format!(
            "This login is not kept: {error}. With `keyring_cache = false` fnox does not try.\n"
        ));
    }
    Ok(token)
}

/// Why a kept login is no answer.
enum Kept {
    /// The keychain does not answer.
    Unreadable(MintError),
    /// GitHub does not.
    Failed(MintError),
}

impl From<MintError> for Kept {
    fn from(error: MintError) -> Self {
        Self::Failed(error)
    }
}

/// The kept login, refreshed if need be. `None`: only a person helps.
async fn from_cache(
    settings: &Settings,
    context: &MintContext,
    cache: &Cache,
) -> Result<Option<Token>, Kept> {
    let Some(token) = cache.read().await.map_err(Kept::Unreadable)? else {
        return Ok(None);
    };
    if is_good(settings, context, &token).await? {
        return Ok(Some(token));
    }
    let _lock = cache.lock().await?;
    let Some(current) = cache.read().await.map_err(Kept::Unreadable)? else {
        return Ok(None);
    };
    let is_newer = current.access.expose_secret() != token.access.expose_secret();
    if is_newer && is_good(settings, context, &current).await? {
        // Somebody else has refreshed it meanwhile.
        return Ok(Some(current));
    }
    let now = context.clock.now();
    let Some(refresh) = &current.refresh else {
        return Ok(None);
    };
    if current.refresh_expires_at.is_some_and(|end| end <= now) {
        return Ok(None);
    }
    match oauth::by_refresh(settings, context, refresh).await {
        Ok(token) => {
            // Before anybody uses it: the kept refresh token is over from now on.
            if let Err(error) = cache.write(&token).await {
                tracing::warn!("the refreshed login to GitHub is not kept: {error}");
            }
            Ok(Some(token))
        }
        Err(Refusal::Other(error)) => Err(Kept::Failed(error)),
        Err(refusal) => {
            tracing::debug!("the login to GitHub cannot be refreshed: {refusal:?}");
            Ok(None)
        }
    }
}

async fn is_good(
    settings: &Settings,
    context: &MintContext,
    token: &Token,
) -> Result<bool, MintError> {
    let now = context.clock.now();
    if token
        .expires_at
        .is_some_and(|end| end.duration_since(now) <= MARGIN)
    {
        return Ok(false);
    }
    // Its person may have ended it.
    oauth::works(settings, context, token).await
}

fn require_person(settings: &Settings, context: &MintContext, why: &str) -> Result<(), MintError> {
    if context.prompt.is_interactive() {
        return Ok(());
    }
    Err(
        MintError::authentication(format!("{why}, and nobody can be asked"))
            .with_remedy(format!("log in: {}", command(settings))),
    )
}

/// The command with which a person logs in.
pub(super) fn command(settings: &Settings) -> String {
    format!("`fnox lease create {} -i`", settings.lease)
}

/// The calls that may be made. What is in the keychain is not looked at.
pub(super) fn explain(settings: &Settings) -> Vec<PlannedCall> {
    let call = |action: &str, target: String, purpose: &str, master: &str| PlannedCall {
        action: action.to_owned(),
        target,
        purpose: purpose.to_owned(),
        master: master.to_owned(),
        details: Vec::new(),
    };
    let kept = "the login in the keychain";
    let mut calls = Vec::new();
    if settings.keyring_service.is_some() {
        calls.push(call(
            "GET",
            settings.user_url().into(),
            "check the kept token, if there is one",
            kept,
        ));
        calls.push(call(
            "POST",
            settings.token_url().into(),
            "refresh it, if it nears its end",
            kept,
        ));
    }
    let client = ("client_id".to_owned(), settings.client_id.clone());
    let mut code = call(
        "POST",
        settings.code_url().into(),
        "begin a login with a code, if there is no login",
        "nothing",
    );
    code.details = vec![client.clone(), ("scope".to_owned(), settings.scope.clone())];
    calls.push(code);
    let mut confirmed = call(
        "POST",
        settings.token_url().into(),
        "get the token when a person has confirmed the code",
        "the person's login",
    );
    confirmed.details = vec![client];
    calls.push(confirmed);
    calls
}

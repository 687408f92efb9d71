//! Login with a code that a person confirms on any device (RFC 8628).

use std::time::Duration;

use tokio::time::Instant;

use super::Token;
use super::login::not_confirmed;
use super::oidc::{BY_DEVICE, BY_REFRESH, Grant, NewClient, Oidc, Refusal};
use super::settings::{Portal, Settings};
use crate::browser::Browser;
use crate::mint::{MintContext, MintError};

/// RFC 8628 section 3.5: 5 seconds unless the issuer says otherwise, and 5 more each time it says "slow down".
const STEP: Duration = Duration::from_secs(5);

/// How long a code is waited for at most, whatever the issuer says.
const PATIENCE: Duration = Duration::from_mins(15);

/// Shows the code and waits until it is confirmed.
pub(super) async fn log_in(
    settings: &Settings,
    portal: &Portal,
    context: &MintContext,
    issuer: Oidc<'_>,
) -> Result<Token, MintError> {
    let registration = issuer
        .register(&NewClient {
            name: format!("fnox-{}", settings.lease),
            kind: "public",
            scopes: &portal.scopes,
            grant_types: [BY_DEVICE, BY_REFRESH],
            redirect_uris: None,
            issuer_url: None,
        })
        .await?;
    let authorization = issuer.authorize_device(&registration).await?;
    let page = authorization
        .verification_uri_complete
        .as_deref()
        .unwrap_or(&authorization.verification_uri);
    let opened = Browser::new(&context.env, settings.open_browser && is_page(page)).open(page);
    context.prompt.message(&format!(
        "Log in to AWS for lease `{}`.\n{} {}\nand confirm it only if it shows the code {}",
        settings.lease,
        if opened { "A browser opens" } else { "Open" },
        harmless(page),
        harmless(&authorization.user_code),
    ));
    let patience = Duration::from_secs(u64::from(authorization.expires_in)).min(PATIENCE);
    let end = Instant::now() + patience;
    let grant = Grant {
        kind: BY_DEVICE,
        device_code: Some(&authorization.device_code.0),
        ..Grant::default()
    };
    let mut pause = first_pause(authorization.interval);
    loop {
        tokio::time::sleep(pause).await;
        match issuer.token(&registration, &grant).await {
            Ok(token) => return Ok(token),
            Err(Refusal::Pending) if Instant::now() < end => {}
            Err(Refusal::SlowDown) if Instant::now() < end => pause += STEP,
            Err(refusal) => return Err(not_confirmed(settings, refusal)),
        }
    }
}

fn first_pause(interval: Option<u32>) -> Duration {
    interval.map_or(STEP, |seconds| {
        Duration::from_secs(u64::from(seconds.clamp(1, 60)))
    })
}

/// Whether it is an address that a browser may be given.
fn is_page(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://127.0.0.1:")
}

/// What an issuer says, for a terminal.
fn harmless(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(2000)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuers_pace_is_kept() {
        assert_eq!(first_pause(None), STEP);
        assert_eq!(first_pause(Some(0)), Duration::from_secs(1));
        assert_eq!(first_pause(Some(2)), Duration::from_secs(2));
        assert_eq!(first_pause(Some(9999)), Duration::from_mins(1));
    }

    #[test]
    fn a_browser_gets_pages_and_nothing_else() {
        assert!(is_page(
            "https://device.sso.eu-west-1.amazonaws.com/?user_code=A"
        ));
        assert!(!is_page("file:///etc/passwd"));
        assert!(!is_page("--help"));
    }
}

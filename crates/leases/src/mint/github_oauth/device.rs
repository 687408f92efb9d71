//! A login by a code that a person types on any device (RFC 8628).

use std::time::Duration;

use tokio::time::Instant;

use super::login::command;
use super::oauth::{self, Refusal};
use super::{Settings, Token};
use crate::browser::Browser;
use crate::mint::{MintContext, MintError, MintErrorKind};

/// RFC 8628 section 3.5: 5 seconds unless the issuer says otherwise, and 5 more each time it says "slow down".
const STEP: Duration = Duration::from_secs(5);

/// GitHub's codes end after 15 minutes. Whatever a server says, nobody is waited for longer.
const PATIENCE: Duration = Duration::from_mins(15);

/// Shows a code and waits until it is confirmed.
pub(super) async fn log_in(settings: &Settings, context: &MintContext) -> Result<Token, MintError> {
    let invitation = oauth::invite(settings, context).await?;
    let address = harmless(&invitation.page);
    let browser = Browser::new(&context.env, settings.open_browser);
    let is_open = is_page_of(settings, &address) && browser.open(&address);
    context.prompt.message(&format!(
        "Log in to GitHub for lease `{}`.\n{} {address}\nand type the code {}",
        settings.lease,
        if is_open { "A browser opens" } else { "Open" },
        harmless(&invitation.code),
    ));
    let patience = Duration::from_secs(u64::from(invitation.seconds)).min(PATIENCE);
    let end = Instant::now() + patience;
    let mut pace = Pace::new(invitation.interval);
    loop {
        tokio::time::sleep(pace.pause).await;
        match oauth::by_device(settings, context, &invitation.secret.0).await {
            Ok(token) => return Ok(token),
            Err(Refusal::Pending) if Instant::now() < end => {}
            Err(Refusal::SlowDown) if Instant::now() < end => pace.slow_down(),
            Err(refusal) => return Err(not_confirmed(settings, refusal)),
        }
    }
}

fn not_confirmed(settings: &Settings, refusal: Refusal) -> MintError {
    match refusal {
        Refusal::Other(error) => error,
        Refusal::Denied => MintError::new(
            MintErrorKind::Denied,
            "the login to GitHub was refused there",
        ),
        Refusal::Pending | Refusal::SlowDown | Refusal::Expired | Refusal::Over => {
            MintError::authentication("the login to GitHub was not confirmed in time")
                .with_remedy(format!("try again: {}", command(settings)))
        }
    }
}

/// How long to wait between two questions.
#[derive(Debug, PartialEq, Eq)]
struct Pace {
    pause: Duration,
}

impl Pace {
    fn new(interval: Option<u32>) -> Self {
        Self {
            pause: interval.map_or(STEP, |seconds| {
                Duration::from_secs(u64::from(seconds.clamp(1, 60)))
            }),
        }
    }

    fn slow_down(&mut self) {
        self.pause += STEP;
    }
}

/// Whether it is a page of the server that the lease names, so that an answer cannot open anything else.
fn is_page_of(settings: &Settings, address: &str) -> bool {
    crate::issuer::parse(address).is_ok_and(|address| address.origin() == settings.login.origin())
}

/// What a server says, for a terminal.
fn harmless(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(2000)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;

    #[test]
    fn the_servers_pace_is_kept_and_gets_slower_as_told() {
        assert_eq!(Pace::new(None).pause, STEP);
        assert_eq!(Pace::new(Some(0)).pause, Duration::from_secs(1));
        assert_eq!(Pace::new(Some(9999)).pause, Duration::from_mins(1));
        let mut pace = Pace::new(Some(5));
        pace.slow_down();
        pace.slow_down();
        assert_eq!(pace.pause, Duration::from_secs(15));
    }

    #[test]
    fn a_browser_opens_pages_of_the_server_and_no_others() {
        let settings = settings("https://github.com/login/oauth");
        assert!(is_page_of(&settings, "https://github.com/login/device"));
        for wrong in [
            "https://github.com.example/login/device",
            "http://github.com/login/device",
            "https://user@github.com/login/device",
            "file:///etc/passwd",
            "--help",
        ] {
            assert!(!is_page_of(&settings, wrong), "{wrong}");
        }
    }
}

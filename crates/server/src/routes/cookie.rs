//! The two cookies of people on the pages (RFC 6265bis).
//!
//! Both are out of scripts' reach and are sent over HTTPS only, but for a server that is reached by plain HTTP on
//! loopback. The session's has the prefix `__Host-`, so that no other host of the domain can plant one. `SameSite=Lax`
//! keeps them out of forms of other sites, and lets links from messages work.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

use super::App;
use crate::oidc::fetch::Origin;

/// Which cookie.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cookie {
    /// Who has logged in: a session's token.
    Session,
    /// A login under way.
    Login,
}

impl Cookie {
    /// What the browser sent. `None` also if there are two: somebody else has planted one of them.
    pub(super) fn read<'a>(self, app: &App, headers: &'a HeaderMap) -> Option<&'a str> {
        let name = self.name(is_encrypted(app));
        let mut values = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(found, _)| *found == name)
            .map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) => Some(value),
            _ => None,
        }
    }

    /// The header that sets it. `None` for a value that no header can hold, which this server never makes.
    pub(super) fn set(self, app: &App, value: &str, life: Duration) -> Option<HeaderValue> {
        let encrypted = is_encrypted(app);
        let text = format!(
            "{}={value}; Path={}; Max-Age={}; HttpOnly; SameSite=Lax{}",
            self.name(encrypted),
            self.path(),
            life.as_secs(),
            if encrypted { "; Secure" } else { "" }
        );
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    /// The header that takes it away.
    pub(super) fn clear(self, app: &App) -> Option<HeaderValue> {
        self.set(app, "", Duration::ZERO)
    }

    fn name(self, encrypted: bool) -> &'static str {
        match (self, encrypted) {
            (Self::Session, true) => "__Host-fnox",
            (Self::Session, false) => "fnox",
            (Self::Login, true) => "__Secure-fnox-login",
            (Self::Login, false) => "fnox-login",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Session => "/",
            Self::Login => super::web::LOGIN,
        }
    }
}

/// Whether browsers reach this server by HTTPS. Plain HTTP counts only on loopback: elsewhere such cookies are not
/// kept, and nobody logs in.
fn is_encrypted(app: &App) -> bool {
    let is_plain_loopback = reqwest::Url::parse(&app.service.settings().public_url)
        .ok()
        .and_then(|url| Origin::of(&url).ok())
        .is_some_and(|origin| !origin.is_encrypted() && origin.is_loopback());
    !is_plain_loopback
}

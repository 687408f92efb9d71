//! The pages on which people decide, rendered here and complete without a script.
//!
//! A page shows all that an approval is bound to, says which of it the issuer proved and which only the requester says,
//! and has one form for both decisions. Opening a page changes nothing.
//!
//! Guarantees: every text is escaped (askama) and made visible ([`crate::notify::visible`]), so that neither markup nor
//! a change of the direction of writing leaves its place; the policy of [`security_headers`] allows this style sheet, forms
//! to this server, and nothing else; no page holds the match code where it must be typed. One answer for bad,
//! unknown and ended links ([`GonePage`]).
//!
//! Defended against: requests that look like others, pages in frames, addresses with links in them that leak by
//! `Referer` or caches, an Enter key that decides.

mod approval;
mod decided;
mod headers;
mod list;
mod problem;
mod request;
mod time;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

pub use self::approval::{ApprovalPage, CodeEntry, FormMessage};
pub use self::decided::DecidedPage;
pub use self::headers::security_headers;
pub use self::list::{ListEntry, ListPage};
pub use self::problem::ProblemPage;

/// The style sheet. It is part of every page; the policy names its hash.
pub(crate) const STYLE: &str = include_str!("../../templates/style.css");

/// The one answer for links that are bad, unknown, or have ended.
#[derive(Debug, Clone, Copy, Default, Template)]
#[template(path = "gone.html")]
pub struct GonePage;

impl GonePage {
    /// As HTML.
    #[must_use]
    pub fn render(&self) -> String {
        html(self)
    }
}

/// Where people have to log in before they see or decide anything.
#[derive(Debug, Clone, Copy, Template)]
#[template(path = "login.html")]
pub struct LoginPage<'a> {
    /// Where the login begins; it comes back by itself.
    pub login_url: &'a str,
    /// Why it did not work, or why it is necessary.
    pub message: Option<&'a str>,
}

impl LoginPage<'_> {
    /// As HTML.
    #[must_use]
    pub fn render(&self) -> String {
        html(self)
    }
}

/// An answer with a page in it and all of [`security_headers`].
#[must_use]
pub fn respond(status: StatusCode, html: String) -> Response {
    let mut answer = (status, axum::response::Html(html)).into_response();
    answer.headers_mut().extend(security_headers());
    answer
}

/// Writing to a text cannot fail; were it to, the page without a form decides nothing.
fn html(template: &impl Template) -> String {
    template.render().unwrap_or_default()
}

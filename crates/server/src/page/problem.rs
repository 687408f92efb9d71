//! The page for whatever did not work.

use askama::Template;
use fnox_api::Problem;

use super::html;
use super::request::Text;

/// What failed, and what to do.
#[derive(Debug, Clone, Copy)]
pub struct ProblemPage<'a> {
    /// It.
    pub problem: &'a Problem,
    /// Where trying again begins, if that makes sense.
    pub retry_url: Option<&'a str>,
    /// For a person who has logged in and may want to be another.
    pub logout_nonce: Option<&'a str>,
}

impl ProblemPage<'_> {
    /// As HTML.
    #[must_use]
    pub fn render(&self) -> String {
        html(&View {
            title: Text::of(&self.problem.title, 200),
            text: Text::of(self.problem.detail.as_deref().unwrap_or_default(), 1000),
            retry_url: self.retry_url,
            logout_nonce: self.logout_nonce,
        })
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct View<'a> {
    title: Text,
    text: Text,
    retry_url: Option<&'a str>,
    logout_nonce: Option<&'a str>,
}

//! The page of approvers who have logged in.

use askama::Template;
use fnox_api::{Approval, ApprovalStatus};
use jiff::Timestamp;

use super::html;
use super::request::{Request, Text};

/// All requests that a person may see: those that wait first.
#[derive(Debug, Clone, Copy)]
pub struct ListPage<'a> {
    /// Who has logged in.
    pub person: &'a str,
    /// Newest first.
    pub entries: &'a [ListEntry<'a>],
    /// Makes the form that logs out worth something in this session only.
    pub logout_nonce: &'a str,
    /// The present moment.
    pub now: Timestamp,
}

/// One request.
#[derive(Debug, Clone)]
pub struct ListEntry<'a> {
    /// It.
    pub approval: &'a Approval,
    /// Its page.
    pub url: String,
}

impl ListPage<'_> {
    /// As HTML.
    #[must_use]
    pub fn render(&self) -> String {
        let rows = |waits: bool| {
            self.entries
                .iter()
                .filter(|entry| (entry.approval.status == ApprovalStatus::Pending) == waits)
                .map(|entry| Row {
                    request: Request::of(entry.approval, self.now),
                    url: &entry.url,
                    status: entry.approval.status.as_str(),
                })
                .collect()
        };
        html(&View {
            person: Text::of(self.person, 200),
            waiting: rows(true),
            others: rows(false),
            logout_nonce: self.logout_nonce,
        })
    }
}

#[derive(Template)]
#[template(path = "list.html")]
struct View<'a> {
    person: Text,
    waiting: Vec<Row<'a>>,
    others: Vec<Row<'a>>,
    logout_nonce: &'a str,
}

struct Row<'a> {
    request: Request,
    url: &'a str,
    status: &'static str,
}

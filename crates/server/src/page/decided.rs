//! The page after a decision, and for everybody who comes later.

use askama::Template;
use fnox_api::{Approval, ApprovalStatus};
use jiff::Timestamp;

use super::html;
use super::request::Request;

/// A request that is decided, or has ended, or has a yes and needs another: who said what, when.
#[derive(Debug, Clone, Copy)]
pub struct DecidedPage<'a> {
    /// What was asked for.
    pub approval: &'a Approval,
    /// Whether it had been decided before this visit: a second tap changes nothing and says so.
    pub already: bool,
    /// The present moment.
    pub now: Timestamp,
}

impl DecidedPage<'_> {
    /// As HTML.
    #[must_use]
    pub fn render(&self) -> String {
        let request = Request::of(self.approval, self.now);
        let (mark, title, text) = self.words(&request);
        let before = self.already.then(|| self.before(&request)).flatten();
        html(&View {
            request,
            before,
            mark,
            title,
            text,
        })
    }

    /// What had happened before this visit.
    fn before(&self, request: &Request) -> Option<String> {
        let (word, is_yes) = match self.approval.status {
            ApprovalStatus::Pending => return None,
            ApprovalStatus::Expired | ApprovalStatus::Cancelled => {
                return Some("It had ended already".to_owned());
            }
            ApprovalStatus::Denied => ("denied", false),
            _ => ("approved", true),
        };
        let who: Vec<&str> = request
            .decisions
            .iter()
            .filter(|said| said.yes == is_yes)
            .map(|said| said.by.shown.as_str())
            .collect();
        Some(match who.as_slice() {
            // A second wrong code denies, too, and is nobody's decision.
            [] => format!("Already {word}"),
            who => format!("Already {word} by {}", who.join(", ")),
        })
    }

    /// The kind of mark, what happened, and what follows.
    fn words(&self, request: &Request) -> (&'static str, &'static str, String) {
        match self.approval.status {
            ApprovalStatus::Pending => (
                "wait",
                "Not yet decided",
                format!(
                    "{} of {} have said yes. Others have to decide.",
                    request.yeses(),
                    request.needed
                ),
            ),
            status if request.question.is_some() => {
                let sent = request.question.as_ref().map(|asked| asked.sent.is_some());
                answered(status, sent == Some(true))
            }
            ApprovalStatus::Approved | ApprovalStatus::Granted => (
                "yes",
                "Approved",
                "The job gets these secrets once, and then never by this approval again."
                    .to_owned(),
            ),
            ApprovalStatus::Fetched => (
                "yes",
                "Approved and used",
                "The job has got these secrets. This approval is worth nothing any more."
                    .to_owned(),
            ),
            ApprovalStatus::Denied => ("no", "Denied", "The job gets nothing.".to_owned()),
            ApprovalStatus::Expired => (
                "no",
                "Expired",
                "It was not decided or not used in time. The job gets nothing.".to_owned(),
            ),
            ApprovalStatus::Cancelled => (
                "no",
                "Cancelled",
                "Whoever asked does not want it any more, or may not any more.".to_owned(),
            ),
        }
    }
}

/// The same of a request of an agent, or of a credential that it wants to use.
fn answered(status: ApprovalStatus, is_request: bool) -> (&'static str, &'static str, String) {
    let of_request = |of_request, of_use| if is_request { of_request } else { of_use };
    let (mark, title, text) = match status {
        ApprovalStatus::Pending | ApprovalStatus::Approved | ApprovalStatus::Granted => (
            "yes",
            "Approved",
            of_request(
                "The gateway sends the request if it still waits.",
                "The gateway lets the agent use it if it still waits.",
            ),
        ),
        ApprovalStatus::Fetched => (
            "yes",
            "Approved and used",
            "The gateway has taken the yes. It is worth nothing to anybody else.",
        ),
        ApprovalStatus::Denied => (
            "no",
            "Denied",
            of_request(
                "The request is not sent.",
                "The agent does not use the credential there.",
            ),
        ),
        ApprovalStatus::Expired => (
            "no",
            "Expired",
            of_request(
                "It was not decided or not used in time. The request is not sent.",
                "It was not decided or not used in time. The agent does not use the credential there.",
            ),
        ),
        ApprovalStatus::Cancelled => (
            "no",
            "Not asked any more",
            "Somebody answered elsewhere, or the gateway has ended.",
        ),
    };
    (mark, title, text.to_owned())
}

#[derive(Template)]
#[template(path = "decided.html")]
struct View {
    request: Request,
    before: Option<String>,
    mark: &'static str,
    title: &'static str,
    text: String,
}

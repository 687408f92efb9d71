//! The page with the form.

use askama::Template;
use fnox_api::Approval;
use jiff::Timestamp;

use super::html;
use super::request::{Request, Text};

/// A request that waits for a decision. The form posts `nonce`, `code`, and `decision`, which is `approve` or `deny`.
#[derive(Debug, Clone, Copy)]
pub struct ApprovalPage<'a> {
    /// What is asked for.
    pub approval: &'a Approval,
    /// Makes the form worth something once.
    pub nonce: &'a str,
    /// Where the form is posted to.
    pub action_url: &'a str,
    /// How the match code is given.
    pub entry: CodeEntry<'a>,
    /// What was wrong with the attempt before.
    pub message: Option<FormMessage>,
    /// Who has logged in; nobody where the link is enough.
    pub person: Option<&'a str>,
    /// The present moment.
    pub now: Timestamp,
}

/// How the match code is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeEntry<'a> {
    /// Typed in. The page does not know it.
    Type,
    /// Chosen among these, in this order; one is right.
    Choose(&'a [String]),
}

/// What was wrong with an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormMessage {
    /// No code, or nothing that could be one. Nothing has changed.
    MissingCode,
    /// A wrong code: the next wrong one denies the request.
    WrongCode,
    /// The form was used already, or is of another session. Nothing has changed.
    StaleForm,
    /// Whoever has logged in may not decide about this one. Nothing has changed.
    NotAllowed,
}

impl FormMessage {
    fn text(self, is_question: bool) -> &'static str {
        match self {
            Self::WrongCode if is_question => {
                "That is not the code of this request. One more wrong code denies it: look again where the gateway runs."
            }
            Self::MissingCode => "Nothing was decided: the match code is missing.",
            Self::WrongCode => {
                "That is not the code of this request. One more wrong code denies it: look at the job's log again."
            }
            Self::StaleForm => {
                "Nothing was decided: the form was older than the last try, or was used before. This is the newest one: look again and decide here."
            }
            Self::NotAllowed => "Nothing was decided: you may not decide about this request.",
        }
    }
}

impl ApprovalPage<'_> {
    /// As HTML.
    #[must_use]
    pub fn render(&self) -> String {
        html(&View {
            request: Request::of(self.approval, self.now),
            message: self
                .message
                .map(|message| message.text(self.approval.question.is_some())),
            nonce: self.nonce,
            action_url: self.action_url,
            choices: match self.entry {
                CodeEntry::Type => &[],
                CodeEntry::Choose(codes) => codes,
            },
            person: self.person.map(|person| Text::of(person, 200)),
        })
    }
}

#[derive(Template)]
#[template(path = "approval.html")]
struct View<'a> {
    request: Request,
    nonce: &'a str,
    action_url: &'a str,
    choices: &'a [String],
    message: Option<&'static str>,
    person: Option<Text>,
}

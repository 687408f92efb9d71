//! How approvers hear of requests and alarms.
//!
//! [`Notifier`] has one queue and one task for each channel ([`Channel`]): ntfy, a signed webhook, a webhook that takes
//! Slack's messages, mail. A request is tried again until it has ended; alarms that are alike become one.
//!
//! Guarantees: the match code is in no message; whatever others chose (branches, commands, key names) is shown with its
//! control characters visible and cut to a length ([`visible`]); credentials go to the configured address only, never
//! into an error, and never along a redirect; a channel that does not answer holds up neither the server nor another
//! channel.
//!
//! Defended against: text that breaks out of its place in a message, floods, and topics that others can guess. Left
//! out: whether a person sees it. An approval that nobody heard of ends by itself.

mod channel;
mod email;
mod error;
mod http;
mod notifier;
mod ntfy;
mod queue;
mod slack;
mod summary;
mod text;
mod topic;
mod webhook;

use fnox_api::{Approval, Decision};

use crate::link::{Link, LinkPurpose};

pub use self::channel::Channel;
pub use self::error::{NotifyError, NotifySetupError};
pub use self::notifier::Notifier;
pub(crate) use self::text::pieces;
pub use self::text::{shorten, visible};
pub use self::topic::random_topic;

/// Where the page of an approval is: `PAGE_PATH/{link}`.
pub const PAGE_PATH: &str = "/a";

/// Where one-tap decisions are posted: JSON `{"link": "fxa_…"}`.
pub const ONE_TAP_PATH: &str = "/a/one-tap";

/// What is told.
#[derive(Debug, Clone)]
pub enum Notice {
    /// Somebody asks. Never the match code.
    Asked {
        /// What exactly.
        approval: Box<Approval>,
        /// Makes this channel's own link to the page, and the two one-tap links, from the channel's position.
        links: Links,
    },
    /// Something that people should look at: a replayed grant, a wrong code, a name that was taken over.
    Alarm {
        /// A few words.
        title: String,
        /// One or two sentences.
        text: String,
        /// What it is about, if it is an approval.
        approval: Option<Box<Approval>>,
    },
}

/// Makes links for one approval.
#[derive(Debug, Clone)]
pub struct Links {
    /// `public_url`
    pub base: String,
    /// The keys that sign.
    pub keys: crate::keys::ServerKeys,
    /// The approval.
    pub approval: uuid::Uuid,
    /// When they end.
    pub expires_at: jiff::Timestamp,
}

impl Links {
    /// The page, by a link of the channel at this position.
    #[must_use]
    pub fn page(&self, position: u8) -> String {
        let link = self.sign(LinkPurpose::Page, position);
        format!("{}{PAGE_PATH}/{link}", self.base.trim_end_matches('/'))
    }

    /// Where the links of [`Self::one_tap`] are posted to.
    #[must_use]
    pub fn one_tap_url(&self) -> String {
        format!("{}{ONE_TAP_PATH}", self.base.trim_end_matches('/'))
    }

    /// A link that decides by itself; for the body of a request, never for an address.
    #[must_use]
    pub fn one_tap(&self, decision: Decision, position: u8) -> String {
        let purpose = match decision {
            Decision::Approve => LinkPurpose::Approve,
            Decision::Deny => LinkPurpose::Deny,
        };
        self.sign(purpose, position)
    }

    fn sign(&self, purpose: LinkPurpose, channel: u8) -> String {
        let link = Link {
            purpose,
            channel,
            approval: self.approval,
            expires_at: self.expires_at,
        };
        link.sign(&self.keys)
    }
}

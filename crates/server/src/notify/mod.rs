//! How approvers hear of requests and alarms.

use fnox_api::Approval;

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

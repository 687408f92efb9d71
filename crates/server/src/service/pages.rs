//! What the pages behind links need beside the approval.

use fnox_api::Problem;

use super::{LinkView, Service};
use crate::link;

/// The subject of nonces in forms of people who only have a link.
const LINK: &str = "link";

impl Service {
    /// A nonce for the form of a link.
    pub(crate) fn nonce(&self, view: &LinkView) -> Result<String, Problem> {
        self.nonce_of(view, LINK)
    }

    /// A nonce for the form of a person who logged in.
    pub(crate) fn nonce_of(&self, view: &LinkView, subject: &str) -> Result<String, Problem> {
        link::nonce(
            self.keys(),
            view.record.id,
            subject,
            view.record.wrong_codes,
        )
        .ok_or_else(|| Problem::new(fnox_api::ProblemCode::Internal))
    }

    /// Whether a form's nonce is that of the newest form of a link.
    pub(crate) fn nonce_is_good(&self, view: &LinkView, given: &str) -> bool {
        link::nonce_is_good(
            self.keys(),
            given,
            view.record.id,
            LINK,
            view.record.wrong_codes,
        )
    }

    /// Three codes in an order that says nothing, one of them right: for the page that offers a choice.
    pub(crate) fn choices(&self, view: &LinkView) -> Result<Vec<String>, Problem> {
        let mut codes = vec![self.code_of(&view.record)?];
        for decoy in 1_u128..=2 {
            // Made as match codes are, of ids that are no approvals'.
            let id = uuid::Uuid::from_u128(view.record.id.as_u128() ^ decoy);
            codes.extend(link::match_code(self.keys(), view.record.code_key, id));
        }
        codes.sort_unstable();
        codes.dedup();
        Ok(codes)
    }
}

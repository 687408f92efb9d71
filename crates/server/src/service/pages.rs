//! What the pages need beside the approval.

use fnox_api::Problem;

use super::{Caller, Service};
use crate::link;
use crate::store::ApprovalRecord;

/// The subject of nonces in forms of people who only have a link.
const LINK: &str = "link";

impl Service {
    /// A nonce for a form: of the person who logged in, or of whoever has a link.
    pub(crate) fn nonce(
        &self,
        record: &ApprovalRecord,
        person: Option<&Caller>,
    ) -> Result<String, Problem> {
        link::nonce(self.keys(), record.id, &subject(person), record.wrong_codes)
            .ok_or_else(|| Problem::new(fnox_api::ProblemCode::Internal))
    }

    /// Whether a form's nonce is that of a newest form that the same person was shown.
    pub(crate) fn nonce_is_good(
        &self,
        record: &ApprovalRecord,
        person: Option<&Caller>,
        given: &str,
    ) -> bool {
        link::nonce_is_good(
            self.keys(),
            given,
            record.id,
            &subject(person),
            record.wrong_codes,
        )
    }

    /// Three codes in an order that says nothing, one of them right: for the page that offers a choice.
    pub(crate) fn choices(&self, record: &ApprovalRecord) -> Result<Vec<String>, Problem> {
        let mut codes = vec![self.code_of(record)?];
        for decoy in 1_u128..=2 {
            // Made as match codes are, of ids that are no approvals'.
            let id = uuid::Uuid::from_u128(record.id.as_u128() ^ decoy);
            codes.extend(link::match_code(self.keys(), record.code_key, id));
        }
        codes.sort_unstable();
        codes.dedup();
        Ok(codes)
    }
}

/// A session's forms are worth nothing in another.
fn subject(person: Option<&Caller>) -> String {
    person.map_or_else(
        || LINK.to_owned(),
        |caller| format!("session {}", caller.session.id),
    )
}

//! What gateways passed on and refused, put on record.

use fnox_core::audit::{Entry, Outcome};
use fnox_vault_wire::methods::{MOST_RECORDED, RecordRequests, RecordedRequest, RequestOutcome};

use super::Engine;
use super::audit::entry;
use crate::error::VaultError;
use crate::identity::Identity;

/// Most bytes of one of a request's texts; the rest is left out of the record.
const TEXT: usize = 1024;

impl Engine {
    /// Puts requests on record, all of them or none.
    ///
    /// # Errors
    /// [`VaultError::Invalid`] for too many; `Audit` if the log cannot be written.
    pub async fn record_requests(
        &self,
        identity: &Identity,
        params: RecordRequests,
    ) -> Result<(), VaultError> {
        if params.requests.len() > MOST_RECORDED {
            let message = format!("at most {MOST_RECORDED} requests are recorded at a time");
            return Err(VaultError::Invalid(message));
        }
        let requests = params.requests.into_iter();
        let entries = requests
            .map(|request| entry_of(identity, request))
            .collect();
        self.record(entries).await
    }
}

fn entry_of(identity: &Identity, request: RecordedRequest) -> Entry {
    let mut entry = entry("gateway_request", identity);
    entry.agent = Some(shortened(request.agent));
    entry.host = Some(shortened(request.host));
    entry.rule = request.rule.map(shortened);
    let (outcome, what) = match request.outcome {
        RequestOutcome::Answered(status) => (Outcome::Ok, status.to_string()),
        RequestOutcome::Refused(code) => (Outcome::Denied, shortened(code)),
        RequestOutcome::Lost(count) => (
            Outcome::Error,
            format!("{count} requests are not on record: the gateway could not reach the vault"),
        ),
    };
    entry.outcome = outcome;
    let (method, path) = (shortened(request.method), shortened(request.path));
    entry.reason = Some(format!("{method} {path}: {what}"));
    entry
}

pub(super) fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT));
    text
}

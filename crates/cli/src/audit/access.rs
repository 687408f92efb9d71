//! The use of credentials that an agent asks a person for: the question, what was said, and the end.

use fnox_core::audit::Outcome;
use fnox_gateway::approval::AccessRequest;
use fnox_gateway::rule::CredentialRef;

use super::{Detail, OfRun};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessStep {
    /// The agent has asked, or asked again.
    Asked,
    /// A person said yes, and it counts from now on.
    Allowed,
    /// A person said no.
    Denied,
    /// It counts no more.
    Ended,
}

impl OfRun {
    /// Puts it on record. `words` are the agent's reason, until when it counts, or why it ended.
    ///
    /// # Errors
    /// The reason why it could not be written.
    pub(crate) async fn access(
        &self,
        step: AccessStep,
        request: &AccessRequest,
        credential: &CredentialRef,
        words: &str,
    ) -> Result<(), String> {
        let (event, outcome) = match step {
            AccessStep::Asked => ("access_asked", Outcome::Ok),
            AccessStep::Allowed => ("access_decided", Outcome::Ok),
            AccessStep::Denied => ("access_decided", Outcome::Denied),
            AccessStep::Ended => ("access_ended", Outcome::Ok),
        };
        let mut detail = Detail::default();
        let secret = match credential {
            CredentialRef::Secret(name) => Some(name.to_string()),
            CredentialRef::Lease { name, .. } => {
                detail.lease = Some(name.to_string());
                None
            }
            CredentialRef::Captured { .. } => None,
        };
        let mut entry = self.recorder.entry(event, outcome, detail);
        entry.secret = secret;
        entry.agent = Some(request.agent.to_string());
        entry.host = Some(request.host.to_string());
        entry.reason = Some(format!("with {}: {words}", request.methods_in_words()));
        self.stream.record(entry).await
    }
}

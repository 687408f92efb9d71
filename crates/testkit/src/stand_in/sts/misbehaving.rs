//! The ways to misbehave that all stand-ins share, as STS would do it.

use super::{Behaviour, Sts, lock};
use crate::stand_in::issuer::{Misbehaving, Misbehaviour};

impl Misbehaving for Sts {
    fn misbehave(&self, misbehaviour: Option<Misbehaviour>) {
        let throttling = |requests, seconds| Behaviour::Throttling { requests, seconds };
        self.behave(match misbehaviour {
            None | Some(Misbehaviour::TooMany(0)) => Behaviour::Answer,
            Some(Misbehaviour::Status(status)) => Behaviour::Refusal(status),
            Some(Misbehaviour::TooMany(requests)) => throttling(Some(requests), 1),
            Some(Misbehaviour::TooManyFor(seconds)) => throttling(None, seconds),
            Some(Misbehaviour::Silence) => Behaviour::Silence,
            Some(Misbehaviour::SilenceAfter(_)) => panic!("STS issues by its first answer"),
            Some(Misbehaviour::HangUp) => Behaviour::HangUp,
            Some(Misbehaviour::Garbage) => Behaviour::Garbage,
            Some(Misbehaviour::EmptyAnswer) => Behaviour::EmptyAnswer,
            Some(Misbehaviour::Redirect) => Behaviour::Redirect,
            // What is read of an answer of STS is all of it, so the last piece is what counts.
            Some(Misbehaviour::Trickle { pieces, pause }) => {
                let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
                Behaviour::AnswerAfter(pause.saturating_mul(pieces))
            }
            Some(Misbehaviour::ExpiredAnswer) => Behaviour::AnswerWithLifetime(0),
        });
    }

    fn url(&self) -> String {
        Sts::url(self).to_owned()
    }

    fn request_count(&self) -> usize {
        lock(&self.state).calls.len()
    }

    /// What STS answers a request that its reference does not have.
    fn complaints(&self) -> Vec<String> {
        self.calls()
            .into_iter()
            .filter(|call| call.error.as_deref() == Some("ValidationError"))
            .map(|call| format!("{} {:?}", call.action, call.parameters))
            .collect()
    }
}

//! What every store over HTTP must do when its server hangs, fails or talks nonsense.

use std::time::Duration;

use fnox_providers::{ErrorKind, Provider, ProviderError};
use fnox_testkit::stand_in::issuer::{Misbehaving, Misbehaviour};

use crate::world::{World, read};

/// Each piece comes within the limit of a second, and all of them do not.
pub(crate) const TOO_SLOW: Misbehaviour = Misbehaviour::Trickle {
    pieces: 60,
    pause: Duration::from_millis(200),
};

/// Much faster than the limit of twenty seconds, on a slow machine too.
const SLOW: Misbehaviour = Misbehaviour::Trickle {
    pieces: 4,
    pause: Duration::from_millis(50),
};

/// A store at work.
pub(crate) struct Subject<'a> {
    pub(crate) server: &'a dyn Misbehaving,
    pub(crate) world: World,
    /// The provider's table.
    pub(crate) keys: String,
    /// Something that exists.
    pub(crate) reference: &'a str,
    /// What no message may show.
    pub(crate) secrets: &'a [&'a str],
}

impl Subject<'_> {
    fn open(&self) -> Box<dyn Provider> {
        self.world.open(&self.keys)
    }

    async fn error(&self, misbehaviour: Misbehaviour) -> ProviderError {
        self.server.misbehave(Some(misbehaviour));
        let error = read(&*self.open(), self.reference).await.unwrap_err();
        let of_check = self.open().check().await.unwrap_err();
        self.server.misbehave(None);
        for shown in [format!("{error:?}"), format!("{of_check:?}")] {
            for secret in self.secrets {
                assert!(!shown.contains(secret), "{misbehaviour:?}: {shown}");
            }
        }
        error
    }
}

/// Runs all of it.
pub(crate) async fn fails_closed(mut subject: Subject<'_>) {
    an_outage_is_one(&mut subject).await;
    what_is_no_such_service_is(ErrorKind::Unavailable, &subject).await;
    let error = subject.error(Misbehaviour::Status(401)).await;
    assert_eq!(error.kind, ErrorKind::AuthenticationNeeded, "{error}");
    assert!(error.remedy.is_some(), "{error}");
}

/// What has no answer is an outage, and what is late or asks to be asked again is waited for.
pub(crate) async fn an_outage_is_one(subject: &mut Subject<'_>) {
    read(&*subject.open(), subject.reference).await.unwrap();
    subject.world.time_limit = Duration::from_secs(1);
    for misbehaviour in [
        Misbehaviour::Status(500),
        Misbehaviour::Status(503),
        Misbehaviour::TooManyFor(60),
        Misbehaviour::Silence,
        Misbehaviour::HangUp,
        TOO_SLOW,
    ] {
        let error = subject.error(misbehaviour).await;
        assert_eq!(
            error.kind,
            ErrorKind::Unavailable,
            "{misbehaviour:?}: {error}"
        );
    }
    subject.world.time_limit = Duration::from_secs(20);
    for misbehaviour in [Misbehaviour::TooMany(1), SLOW] {
        subject.server.misbehave(Some(misbehaviour));
        read(&*subject.open(), subject.reference).await.unwrap();
    }
    subject.server.misbehave(None);
    assert_eq!(subject.server.complaints(), Vec::<String>::new());
}

/// Answers that the service never gives.
pub(crate) async fn what_is_no_such_service_is(kind: ErrorKind, subject: &Subject<'_>) {
    for misbehaviour in [
        Misbehaviour::Garbage,
        Misbehaviour::EmptyAnswer,
        Misbehaviour::Redirect,
    ] {
        let error = subject.error(misbehaviour).await;
        assert_eq!(error.kind, kind, "{misbehaviour:?}: {error}");
    }
}

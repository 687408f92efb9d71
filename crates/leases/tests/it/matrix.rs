//! Every mint fails closed: whatever its issuer does, there is a good credential or an error of the right class, and the
//! masters are in no message.

use std::time::Duration;

use fnox_core::lease::LeaseState;
use fnox_core::{Clock as _, ExitStatus};
use fnox_leases::Acquired;
use fnox_testkit::stand_in::issuer::{Misbehaving, Misbehaviour};

use crate::support::Project;

/// The variables of a session of AWS.
pub(crate) const AWS_SESSION: [&str; 3] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
];

/// A lease of one type against a stand-in of its issuer.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    /// The stand-in that issues. It must be running by the system's clock.
    pub(crate) issuer: &'a dyn Misbehaving,
    /// The keys of `[leases.x]`, type and duration and endpoint included.
    pub(crate) lease: String,
    /// Variables, masters included.
    pub(crate) env: Vec<(String, String)>,
    /// The values of the masters.
    pub(crate) masters: Vec<String>,
    /// The variables that the credential has.
    pub(crate) produces: Vec<&'static str>,
    /// Whether an answer can say that the credential expired in the past, or its issuer gives only a duration.
    pub(crate) tells_expiry: bool,
    /// Whether the issuer's answer after a call that it may have heeded leaves an intent on record: false for an issuer
    /// that keeps nothing of what it issues and only expires it. Intents are kept for those too; this says how many calls
    /// `create` makes that issue something: 0 or 1.
    pub(crate) leaves_intents: bool,
}

impl Subject<'_> {
    fn project(&self) -> Project {
        let env: Vec<(&str, &str)> = self
            .env
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut project = Project::with_env(&format!("[leases.x]\n{}\n", self.lease), &env);
        project.limits.call = Duration::from_secs(3);
        project.limits.connect = Duration::from_secs(1);
        project
    }
}

/// Runs the whole matrix.
pub(crate) async fn fails_closed(subject: &Subject<'_>) {
    behaves(subject).await;
    for (misbehaviour, wanted) in [
        (
            Misbehaviour::Status(401),
            vec![ExitStatus::AuthenticationNeeded],
        ),
        (
            Misbehaviour::Status(403),
            vec![ExitStatus::Denied, ExitStatus::AuthenticationNeeded],
        ),
        (
            Misbehaviour::TooManyFor(3600),
            vec![ExitStatus::Unavailable],
        ),
        (Misbehaviour::Status(500), vec![ExitStatus::Unavailable]),
        (Misbehaviour::Status(503), vec![ExitStatus::Unavailable]),
        (Misbehaviour::Silence, vec![ExitStatus::Unavailable]),
        (Misbehaviour::HangUp, vec![ExitStatus::Unavailable]),
        (Misbehaviour::Garbage, vec![ExitStatus::Unavailable]),
        (Misbehaviour::EmptyAnswer, vec![ExitStatus::Unavailable]),
        (Misbehaviour::Redirect, vec![ExitStatus::Unavailable]),
    ] {
        misbehaves(subject, misbehaviour, &wanted).await;
    }
    if subject.tells_expiry {
        misbehaves(
            subject,
            Misbehaviour::ExpiredAnswer,
            &[ExitStatus::Unavailable],
        )
        .await;
    }
    waits_as_it_is_told(subject).await;
    is_unreachable(subject).await;
    clocks_differ(subject).await;
    assert_eq!(subject.issuer.complaints(), Vec::<String>::new());
}

async fn behaves(subject: &Subject<'_>) {
    let project = subject.project();
    subject.issuer.misbehave(None);
    let held = match project.exec("x").await {
        Ok(Acquired::Minted(held)) => held,
        other => panic!(
            "nothing was minted: {other:?}; {:?}",
            subject.issuer.complaints()
        ),
    };
    let names: Vec<&str> = held
        .credential
        .variables
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, subject.produces);
    for (name, value) in &held.credential.variables {
        let value = value.expose_secret();
        assert!(!value.is_empty(), "{name}");
        assert!(
            !subject.masters.iter().any(|master| master == value),
            "{name} is a master"
        );
    }
    // The second time comes from the ledger.
    let before = subject.issuer.request_count();
    assert!(matches!(project.exec("x").await, Ok(Acquired::Cached(_))));
    assert_eq!(subject.issuer.request_count(), before);
    // What names the masters is withheld from the program.
    for (name, value) in &subject.env {
        if subject.masters.contains(value) {
            assert!(
                held.withhold.contains(name),
                "{name} is left to the program"
            );
        }
    }
    no_master_in_files(subject, &project);
}

async fn misbehaves(subject: &Subject<'_>, misbehaviour: Misbehaviour, wanted: &[ExitStatus]) {
    let project = subject.project();
    subject.issuer.misbehave(Some(misbehaviour));
    let outcome = project.exec("x").await;
    subject.issuer.misbehave(None);
    let error = match outcome {
        Err(error) => error,
        Ok(other) => panic!("{misbehaviour:?}: {other:?}"),
    };
    assert!(
        wanted.contains(&error.exit_status()),
        "{misbehaviour:?}: {:?}: {error}",
        error.exit_status()
    );
    let told = format!("{error} {error:?} {:?}", error.help());
    for master in &subject.masters {
        assert!(!told.contains(master.as_str()), "{misbehaviour:?}: {told}");
    }
    // Nothing that could be handed out is on record, and whatever may exist is.
    let records = project.manager().list().await.unwrap();
    assert!(
        records
            .iter()
            .all(|record| record.state == LeaseState::Pending),
        "{records:?}"
    );
    let may_exist = matches!(
        misbehaviour,
        Misbehaviour::HangUp
            | Misbehaviour::Garbage
            | Misbehaviour::EmptyAnswer
            | Misbehaviour::Silence
    );
    if may_exist && subject.leaves_intents {
        assert_eq!(records.len(), 1, "{misbehaviour:?}: {error}");
    }
    if matches!(
        misbehaviour,
        Misbehaviour::Status(401 | 403) | Misbehaviour::TooManyFor(_)
    ) {
        assert_eq!(records.len(), 0, "{misbehaviour:?}: {error}");
    }
    no_master_in_files(subject, &project);
}

/// `429` with `Retry-After` is waited for, once, within the limit of the call.
async fn waits_as_it_is_told(subject: &Subject<'_>) {
    let project = subject.project();
    subject.issuer.misbehave(Some(Misbehaviour::TooMany(1)));
    let outcome = project.exec("x").await;
    assert!(matches!(outcome, Ok(Acquired::Minted(_))), "{outcome:?}");
    subject.issuer.misbehave(None);
}

async fn is_unreachable(subject: &Subject<'_>) {
    let mut project = subject.project();
    let url = subject.issuer.url();
    let elsewhere = |text: &str| text.replace(&url, "http://127.0.0.1:1");
    let lease = elsewhere(&subject.lease);
    let env: Vec<(&str, String)> = subject
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), elsewhere(value)))
        .collect();
    let is_named = lease != subject.lease
        || env
            .iter()
            .zip(&subject.env)
            .any(|((_, new), (_, old))| new != old);
    assert!(is_named, "the lease names the stand-in, or a variable does");
    let env: Vec<(&str, &str)> = env
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    project.set(&env);
    project.edit(&format!("[leases.x]\n{lease}\n"));
    let error = project.exec("x").await.unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Unavailable, "{error}");
    // Nobody was asked, so nothing can exist.
    assert_eq!(project.manager().list().await.unwrap().len(), 0);
}

/// Ten minutes in both directions: the credential works, or it is an error that tells of the clock.
async fn clocks_differ(subject: &Subject<'_>) {
    for seconds in [-600, 600] {
        let project = subject.project();
        let off = project.clock.now() + jiff::SignedDuration::from_secs(seconds);
        project.clock.set_wall(off);
        match project.exec("x").await {
            Ok(Acquired::Minted(held)) => {
                let now = project.clock.now();
                assert!(held.credential.expires_at.is_none_or(|end| end > now));
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                let told = format!("{error} {:?}", error.help());
                assert!(told.contains("clock"), "{seconds}: {told}");
            }
        }
    }
}

fn no_master_in_files(subject: &Subject<'_>, project: &Project) {
    for path in files_below(&project.root) {
        if path.ends_with("fnox.toml") {
            continue;
        }
        let content = std::fs::read(&path).unwrap();
        for master in &subject.masters {
            let holds = content
                .windows(master.len())
                .any(|window| window == master.as_bytes());
            let is_given = subject
                .env
                .iter()
                .any(|(_, value)| path.to_str() == Some(value.as_str()));
            assert!(!holds || is_given, "{} holds a master", path.display());
        }
    }
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files_below(&path));
        } else {
            out.push(path);
        }
    }
    out
}

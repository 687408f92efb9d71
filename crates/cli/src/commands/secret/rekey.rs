//! `fnox secret rekey`: the same values, for other recipients.
//!
//! A value is opened with an identity of this person and checked before it is signed anew: nobody's signature may come
//! under a value that somebody else put there. Who loses access keeps what they had; only a new value changes that. Whoever
//! would lock themselves out is asked first: recipients replace those that there were.

use std::collections::BTreeSet;

use fnox_api::client::Condition;
use fnox_api::{PutSecret, SecretView};
use fnox_core::age::Recipient;
use fnox_core::signed::WriterKey;
use fnox_core::{ExitStatus, SecretName};
use fnox_providers::backend::age::Opener;

use super::{Run, TRIES, as_made, is_conflict, name};
use crate::app::block_on;
use crate::error::CliError;
use crate::team::documents::ServerSecret;
use crate::team::error::TeamFailure;
use crate::team::place::parse;
use crate::team::server::Server;
use crate::team::value;

/// One `fnox secret rekey`.
struct Rekeying<'a> {
    run: &'a Run<'a>,
    opener: Opener,
    recipients: Vec<Recipient>,
    dry_run: bool,
    force: bool,
}

/// What became of one key.
enum Outcome {
    /// Its recipients are the wanted ones.
    Current,
    /// It was not asked to be done. These could not open it any more.
    Would(BTreeSet<String>),
    /// It has a new version, which these cannot open any more.
    Done(Box<SecretView>, BTreeSet<String>),
}

impl Run<'_> {
    pub(super) fn rekey(
        &self,
        keys: &[String],
        recipients: &[String],
        dry_run: bool,
        force: bool,
    ) -> Result<(), CliError> {
        let keys: Vec<SecretName> = keys.iter().map(|key| name(key)).collect::<Result<_, _>>()?;
        let recipients =
            self.place
                .recipients(recipients)?
                .ok_or_else(|| TeamFailure::NoRecipients {
                    key: keys.first().map_or("*", |key| key.as_str()).to_owned(),
                })?;
        let rekeying = Rekeying {
            run: self,
            opener: value::opener(self.app, &self.place),
            recipients,
            dry_run,
            force,
        };
        let mut documents = Vec::new();
        let mut failed: Option<(usize, ExitStatus)> = None;
        let mut rotate: Vec<(String, BTreeSet<String>)> = Vec::new();
        block_on(async {
            let server = self.connect().await?;
            for key in rekeying.keys(&server, keys).await? {
                match rekeying.rekey(&server, &key).await {
                    Ok(outcome) => {
                        self.tell_rekeyed(&key, &outcome);
                        if let Outcome::Done(stored, removed) = outcome {
                            documents.push(ServerSecret::from(stored.as_ref()));
                            rotate.push((key, removed));
                        }
                    }
                    Err(error) => {
                        // The others are not this one's business.
                        crate::output::report(&error, self.app.printer);
                        let (count, status) = failed.unwrap_or((0, error.status()));
                        failed = Some((count + 1, status));
                    }
                }
            }
            Ok::<_, CliError>(())
        })??;
        if self.json {
            self.app.printer.json(&documents)?;
        }
        self.warn_removed(&rotate);
        match failed {
            None => Ok(()),
            Some((count, status)) => Err(TeamFailure::Some {
                message: format!(
                    "{count} secret{} could not be encrypted anew",
                    crate::commands::export::plural(count)
                ),
                status,
            }
            .into()),
        }
    }

    fn tell_rekeyed(&self, key: &str, outcome: &Outcome) {
        match outcome {
            Outcome::Done(stored, _) => self.tell_stored("Encrypted anew", stored, false),
            Outcome::Would(removed) => {
                let removed: Vec<&str> = removed.iter().map(String::as_str).collect();
                let without = match removed.as_slice() {
                    [] => String::new(),
                    removed => format!(", and no longer to {}", removed.join(", ")),
                };
                self.app
                    .printer
                    .note(&format!("[dry-run] would encrypt {key} anew{without}"));
            }
            Outcome::Current => self
                .app
                .printer
                .note(&format!("{key} is encrypted to these recipients already.")),
        }
    }

    fn warn_removed(&self, rotate: &[(String, BTreeSet<String>)]) {
        for (key, removed) in rotate.iter().filter(|(_, removed)| !removed.is_empty()) {
            let removed: Vec<&str> = removed.iter().map(String::as_str).collect();
            self.app.printer.warn(&format!(
                "{} can no longer open new versions of {key}, but may have kept the value: make a new value where it comes from, and store it with `fnox secret set {key}`",
                removed.join(", ")
            ));
        }
    }
}

impl Rekeying<'_> {
    /// Those that are named, else all of the profile.
    async fn keys(&self, server: &Server, named: Vec<SecretName>) -> Result<Vec<String>, CliError> {
        if !named.is_empty() {
            return Ok(named.iter().map(ToString::to_string).collect());
        }
        let place = &self.run.place;
        let all = server
            .secrets(&place.project, Some(place.profile.as_str()))
            .await
            .map_err(TeamFailure::from)?;
        Ok(all.into_iter().map(|secret| secret.key).collect())
    }

    async fn rekey(&self, server: &Server, key: &str) -> Result<Outcome, CliError> {
        let place = &self.run.place;
        let writer = value::writer(self.run.app, place, key)?;
        for _ in 0..TRIES {
            let present = server
                .secret(&place.project, Some(place.profile.as_str()), key)
                .await
                .map_err(|error| TeamFailure::about(error, key, place))?;
            let (added, removed) = self.difference(&present)?;
            if !added && removed.is_empty() {
                return Ok(Outcome::Current);
            }
            if self.dry_run {
                return Ok(Outcome::Would(removed));
            }
            let version = present.version + 1;
            let secret = self.sealed(&present, version, writer.as_ref())?;
            if !removed.is_empty() && !self.force && !self.opens(&secret) {
                self.ask(key)?;
            }
            let condition = Condition::Version(present.version);
            match server
                .put_secret(&place.project, key, &secret, condition)
                .await
            {
                Ok(stored) => {
                    let stored = as_made(stored, version)?;
                    return Ok(Outcome::Done(Box::new(stored), removed));
                }
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(TeamFailure::from(error).into()),
            }
        }
        Err(TeamFailure::Contended {
            key: key.to_owned(),
        }
        .into())
    }

    /// Whether an identity of this person opens it.
    fn opens(&self, secret: &PutSecret) -> bool {
        let file = secret.ciphertext.as_bytes().to_vec();
        let answer = self.opener.open(&[file]).pop();
        answer.is_some_and(|answer| answer.is_ok())
    }

    /// Before anything is stored: whether this person is to lose the value.
    fn ask(&self, key: &str) -> Result<(), CliError> {
        let prompt = &self.run.app.prompt;
        let question =
            format!("None of your identities will open new versions of {key}. Encrypt it anew?");
        if prompt.is_interactive() && prompt.confirm(&question, "yes", Some("no")) == Some(true) {
            return Ok(());
        }
        Err(CliError::Usage {
            message: format!(
                "{key} was left as it is: none of your identities could open the new version"
            ),
            help: Some(
                "name your own recipient too, since `--recipients` replaces those that there were, or add `--force`"
                    .to_owned(),
            ),
        })
    }

    /// Whether there are new recipients, and which ones are left out.
    fn difference(&self, present: &SecretView) -> Result<(bool, BTreeSet<String>), CliError> {
        let before = parse(&present.recipients)?;
        let has = |list: &[Recipient], wanted: &Recipient| {
            list.iter()
                .any(|recipient| recipient.canonical() == wanted.canonical())
        };
        let added = self
            .recipients
            .iter()
            .any(|recipient| !has(&before, recipient));
        let removed = before
            .iter()
            .filter(|recipient| !has(&self.recipients, recipient))
            .map(|recipient| recipient.as_str().to_owned())
            .collect();
        Ok((added, removed))
    }

    fn sealed(
        &self,
        present: &SecretView,
        version: u64,
        writer: Option<&WriterKey>,
    ) -> Result<PutSecret, CliError> {
        let Run { app, place, .. } = self.run;
        let opened = value::open(&self.opener, place, present)?;
        let ciphertext = value::seal(
            app,
            &value::Sealing {
                place: place.signed(&present.key),
                version,
                writer,
                recipients: &self.recipients,
            },
            &opened,
        )?;
        Ok(PutSecret {
            ciphertext,
            version: Some(version),
            recipients: self
                .recipients
                .iter()
                .map(|recipient| recipient.as_str().to_owned())
                .collect(),
            description: present.description.clone(),
            require_approval: None,
            profile: Some(place.profile.clone()),
        })
    }
}

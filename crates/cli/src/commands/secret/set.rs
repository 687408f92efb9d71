//! `fnox secret set`

use std::io::{IsTerminal as _, Read as _};

use fnox_api::client::Condition;
use fnox_api::{ProblemCode, PutSecret, SecretView};
use fnox_core::age::Recipient;
use fnox_core::signed::WriterKey;
use fnox_core::{SecretBytes, SecretName};
use zeroize::Zeroizing;

use super::{Run, TRIES, as_made, is_conflict, name, next_version};
use crate::app::{App, block_on};
use crate::args::team::SecretSetArgs;
use crate::error::CliError;
use crate::team::documents::ServerSecret;
use crate::team::error::TeamFailure;
use crate::team::place::parse;
use crate::team::server::Server;
use crate::team::value;

/// Largest value; what is encrypted is a little larger.
const LIMIT: u64 = 512 * 1024;

/// One value on its way to the server.
struct Setting<'a> {
    run: &'a Run<'a>,
    args: &'a SecretSetArgs,
    key: SecretName,
    value: SecretBytes,
    writer: Option<WriterKey>,
    recipients: Option<Vec<Recipient>>,
}

impl Run<'_> {
    pub(super) fn set(&self, args: &SecretSetArgs) -> Result<(), CliError> {
        let key = name(&args.key)?;
        // All that can be wrong here, before a person is asked for the value.
        let writer = value::writer(self.app, &self.place, key.as_str())?;
        let recipients = self.place.recipients(&args.recipients.recipients)?;
        let value = read(self.app, args, &key)?;
        let signed = writer.is_some();
        let setting = Setting {
            run: self,
            args,
            key,
            value,
            writer,
            recipients,
        };
        let stored = block_on(async {
            let server = self.connect().await?;
            setting.store(&server).await
        })??;
        if self.json {
            return self.app.printer.json(&ServerSecret::from(&stored));
        }
        self.tell_stored("Stored", &stored, signed);
        if !signed {
            self.app.printer.note(
                "It is not signed: whoever reads it cannot tell who wrote it. `fnox age keygen` makes a writer key.",
            );
        }
        Ok(())
    }
}

impl Setting<'_> {
    /// The version is part of what is signed, so it must be known before the server gives it out, and the server stores
    /// it as this one or not at all. If somebody else is faster, or a deleted secret's numbers go on, it is signed again.
    async fn store(&self, server: &Server) -> Result<SecretView, CliError> {
        let mut next = None;
        for _ in 0..TRIES {
            let present = self.newest(server).await?;
            let newest = present.as_ref().map_or(0, |present| present.version);
            // What was told a moment ago may be old already.
            let version = next.filter(|next| *next > newest).unwrap_or(newest + 1);
            let condition = match &present {
                Some(present) => Condition::Version(present.version),
                None => Condition::Absent,
            };
            let secret = self.sealed(version, present.as_ref())?;
            let (project, key) = (&self.run.place.project, self.key.as_str());
            match server.put_secret(project, key, &secret, condition).await {
                Ok(stored) => return Ok(as_made(stored, version)?),
                Err(error) if is_conflict(&error) => next = next_version(&error),
                Err(error) => return Err(TeamFailure::from(error).into()),
            }
        }
        Err(TeamFailure::Contended {
            key: self.key.to_string(),
        }
        .into())
    }

    async fn newest(&self, server: &Server) -> Result<Option<SecretView>, CliError> {
        let place = &self.run.place;
        let profile = Some(place.profile.as_str());
        match server
            .secret(&place.project, profile, self.key.as_str())
            .await
        {
            Ok(present) => Ok(Some(present)),
            Err(error) if error.code() == Some(ProblemCode::NotFound) => Ok(None),
            Err(error) => Err(TeamFailure::from(error).into()),
        }
    }

    fn sealed(&self, version: u64, present: Option<&SecretView>) -> Result<PutSecret, CliError> {
        let Run { app, place, .. } = self.run;
        let key = self.key.as_str();
        let recipients = match (&self.recipients, present) {
            (Some(recipients), _) => recipients.clone(),
            (None, Some(present)) => parse(&present.recipients)?,
            (None, None) => {
                return Err(TeamFailure::NoRecipients {
                    key: key.to_owned(),
                }
                .into());
            }
        };
        let ciphertext = value::seal(
            app,
            &value::Sealing {
                place: place.signed(key),
                version,
                writer: self.writer.as_ref(),
                recipients: &recipients,
            },
            &self.value,
        )?;
        let require_approval = match (self.args.require_approval, self.args.no_require_approval) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        let description = self.args.description.clone();
        Ok(PutSecret {
            ciphertext,
            version: Some(version),
            recipients: recipients
                .iter()
                .map(|recipient| recipient.as_str().to_owned())
                .collect(),
            description: description.or_else(|| present?.description.clone()),
            require_approval,
            profile: Some(place.profile.clone()),
        })
    }
}

/// The value: from stdin if that is asked for or no terminal, else from the person.
fn read(app: &App, args: &SecretSetArgs, key: &SecretName) -> Result<SecretBytes, CliError> {
    let stdin = std::io::stdin();
    if !args.from_stdin && stdin.is_terminal() {
        let value = app.prompt.secret(&format!("Value of {key}"));
        let value = value.ok_or_else(|| CliError::Usage {
            message: format!("there is no value for `{key}`"),
            help: Some("give it through a pipe: … | fnox secret set KEY --from-stdin".to_owned()),
        })?;
        return not_empty(value.expose_secret().as_bytes(), key);
    }
    let mut bytes = Zeroizing::new(Vec::new());
    stdin
        .lock()
        .take(LIMIT + 2)
        .read_to_end(&mut bytes)
        .map_err(|source| CliError::File {
            action: "read",
            path: "/dev/stdin".into(),
            source,
        })?;
    let value = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    if value.len() as u64 > LIMIT {
        return Err(CliError::usage(format!(
            "the value for `{key}` is larger than 512 KiB"
        )));
    }
    not_empty(value, key)
}

fn not_empty(value: &[u8], key: &SecretName) -> Result<SecretBytes, CliError> {
    if value.is_empty() {
        return Err(CliError::Usage {
            message: format!("the value for `{key}` is empty"),
            help: Some(
                "nothing came through stdin; look at what should have written it".to_owned(),
            ),
        });
    }
    Ok(SecretBytes::new(value.to_vec()))
}

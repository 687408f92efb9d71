//! Values on their way to the server and back: signed, then encrypted; decrypted, then checked.

use std::sync::Arc;

use fnox_api::{Ciphertext, SecretView};
use fnox_core::age::{self, Recipient};
use fnox_core::signed::{self, SignedPlace, WriterKey};
use fnox_core::{Clock as _, SecretBytes};
use fnox_providers::Context;
use fnox_providers::backend::age::Opener;

use crate::app::App;
use crate::error::CliError;
use crate::team::error::TeamFailure;
use crate::team::place::Place;

/// The key to sign with, if values of this project are signed by this person.
///
/// # Errors
/// [`TeamFailure::NoWriter`] if the project wants signatures and there is no key; [`TeamFailure::Writer`] if readers
/// would refuse what it signs.
pub(crate) fn writer(app: &App, place: &Place, key: &str) -> Result<Option<WriterKey>, CliError> {
    let writer = super::writer::read(app)?;
    if place.writers.is_empty() {
        return Ok(writer);
    }
    let path = super::writer::path(app);
    let Some(writer) = writer else {
        return Err(TeamFailure::NoWriter {
            key: key.to_owned(),
            path,
        }
        .into());
    };
    let public = writer.public();
    if !place.writers.contains(&public) {
        return Err(TeamFailure::Writer {
            path,
            reason: format!(
                "its public key `{public}` is not among `[project] writers`, so readers would refuse what it signs"
            ),
        }
        .into());
    }
    Ok(Some(writer))
}

/// How a value is sealed.
pub(crate) struct Sealing<'a> {
    pub(crate) place: SignedPlace<'a>,
    pub(crate) version: u64,
    pub(crate) writer: Option<&'a WriterKey>,
    pub(crate) recipients: &'a [Recipient],
}

/// Signs, if there is a key, and encrypts.
pub(crate) fn seal(
    app: &App,
    how: &Sealing<'_>,
    value: &SecretBytes,
) -> Result<Ciphertext, CliError> {
    let failed = |reason: String| TeamFailure::Sealing {
        key: how.place.key.to_owned(),
        reason,
    };
    let signed = how
        .writer
        .map(|writer| signed::seal(writer, how.place, how.version, app.clock.now(), value))
        .transpose()
        .map_err(|error| failed(error.to_string()))?;
    let plaintext = signed.as_ref().unwrap_or(value).expose_secret();
    let file = age::encrypt(how.recipients, plaintext, &Arc::clone(&app.prompt))
        .map_err(|error| failed(error.to_string()))?;
    Ok(Ciphertext::parse(file).map_err(|error| failed(error.to_string()))?)
}

/// What opens stored values: the identities of this person.
pub(crate) fn opener(app: &App, place: &Place) -> Opener {
    let mut context = Context::new(
        app.env.clone(),
        app.folders.clone(),
        Arc::clone(&app.prompt),
    );
    context
        .age_identities_file
        .clone_from(&place.identities_file);
    Opener::new(&context)
}

/// Decrypts a stored value with an identity of this person and checks who signed it, for what.
pub(crate) fn open(
    opener: &Opener,
    place: &Place,
    view: &SecretView,
) -> Result<SecretBytes, CliError> {
    let refused = |reason: String| TeamFailure::Value {
        key: view.key.clone(),
        reason,
    };
    let Some(ciphertext) = &view.ciphertext else {
        return Err(refused("the server does not give it out to you".to_owned()).into());
    };
    let answer = opener.open(&[ciphertext.as_bytes().to_vec()]).pop();
    let plaintext = answer
        .ok_or_else(|| refused("it was not opened".to_owned()))?
        .map_err(|error| TeamFailure::NotForUs {
            key: view.key.clone(),
            reason: error.to_string(),
        })?;
    let is_signed = signed::is_signed(plaintext.expose_secret());
    if place.writers.is_empty() {
        if !is_signed {
            return Ok(plaintext);
        }
        let unchecked = signed::open_unverified(&plaintext);
        return Ok(unchecked.map_err(|error| refused(error.to_string()))?.0);
    }
    let (value, said) = signed::open(
        &plaintext,
        place.signed(&view.key),
        &place.writers,
        view.version,
    )
    .map_err(|error| refused(error.to_string()))?;
    // The server cannot give an old value a new number either.
    if said.version != view.version {
        return Err(refused(format!(
            "it was signed as version {}, and the server calls it {}",
            said.version, view.version
        ))
        .into());
    }
    Ok(value)
}

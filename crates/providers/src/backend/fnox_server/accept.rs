//! From age files to values that are accepted.

use std::collections::BTreeMap;

use fnox_api::FetchedSecret;
use fnox_core::signed::{self, SignedError, SignedPlace};
use fnox_core::{SecretBytes, SecretString};

use super::{Answer, Place, TeamServer};
use crate::backend::age::not_readable;
use crate::error::ProviderError;

impl TeamServer {
    /// Decrypts, and checks who wrote what for where.
    pub(super) async fn accept(
        &self,
        place: &Place,
        fetched: Vec<FetchedSecret>,
    ) -> Result<BTreeMap<String, Answer>, ProviderError> {
        let seen = self.seen(place);
        let known = if place.writers.is_empty() {
            BTreeMap::new()
        } else {
            seen.read()?
        };
        let (said, files): (Vec<(String, u64)>, Vec<Vec<u8>>) = fetched
            .into_iter()
            .map(|secret| ((secret.key, secret.version), secret.ciphertext.into_bytes()))
            .unzip();
        let opened = self.decrypt(files).await?;
        let mut answers = BTreeMap::new();
        let mut versions = BTreeMap::new();
        for ((key, version), plaintext) in said.into_iter().zip(opened) {
            let minimum = [known.get(&key), place.min_versions.get(&key)]
                .into_iter()
                .flatten()
                .copied()
                .max()
                .unwrap_or(0);
            let answer = plaintext
                .map_err(|error| damaged(&key, error))
                .and_then(|plaintext| place.accepts(&key, version, minimum, plaintext))
                .and_then(text);
            if answer.is_ok() && !place.writers.is_empty() {
                versions.insert(key.clone(), version);
            }
            answers.insert(key, answer);
        }
        // Where nothing can be remembered, as on a runner, `min_versions` stands in.
        if !versions.is_empty()
            && let Err(error) = seen.raise(&versions)
        {
            tracing::warn!("{error}");
        }
        Ok(answers)
    }

    /// Decrypts beside the event loop: a plugin may wait for a person. A plain thread, so that at the end of the program
    /// nobody waits for one whose plugin hangs.
    async fn decrypt(
        &self,
        files: Vec<Vec<u8>>,
    ) -> Result<Vec<Result<SecretBytes, ProviderError>>, ProviderError> {
        let identities = self.opener.clone();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name("age".to_owned())
            .spawn(move || {
                let _ = sender.send(identities.open(&files));
            })
            .map_err(|error| {
                ProviderError::unavailable(format!("a thread could not be started: {error}"))
            })?;
        match tokio::time::timeout(self.patience, receiver).await {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(_)) => Err(ProviderError::unavailable("age ended without an answer")),
            Err(_) => Err(ProviderError::unavailable(format!(
                "an identity or its plugin did not answer within {} s",
                self.patience.as_secs()
            ))),
        }
    }
}

impl Place {
    /// The value inside a plaintext, if it may be used.
    fn accepts(
        &self,
        key: &str,
        version: u64,
        minimum: u64,
        plaintext: SecretBytes,
    ) -> Result<SecretBytes, ProviderError> {
        let place = SignedPlace {
            project: &self.project,
            profile: &self.profile,
            key,
        };
        if !self.writers.is_empty() {
            let (value, said) = signed::open(&plaintext, place, &self.writers, minimum)
                .map_err(|error| refused(key, &error))?;
            return if said.version == version {
                Ok(value)
            } else {
                Err(other_version(key, version, said.version))
            };
        }
        if !signed::is_signed(plaintext.expose_secret()) {
            return Ok(plaintext);
        }
        let (value, said) =
            signed::open_unverified(&plaintext).map_err(|error| refused(key, &error))?;
        place.matches(&said).map_err(|error| refused(key, &error))?;
        Ok(value)
    }
}

fn refused(key: &str, error: &SignedError) -> ProviderError {
    let remedy = match error {
        SignedError::NotSigned => {
            "store it again with a writer's key: `fnox secret set`; or empty `[project] writers` to accept unsigned values"
        }
        SignedError::UnknownWriter { .. } => {
            "if you know whose key this is, add it to `[project] writers`; else rotate the secret"
        }
        SignedError::RolledBack { .. } => {
            "ask whoever runs the server whether an old copy was restored; `fnox secret set` stores a newer version"
        }
        _ => {
            "treat the server as compromised until you know why; `fnox secret set` stores the value anew"
        }
    };
    ProviderError::denied(format!("`{key}` is refused: {error}")).with_remedy(remedy)
}

/// The server takes nothing that has not the form of an age file, and its writer encrypted a whole one.
fn damaged(key: &str, error: ProviderError) -> ProviderError {
    if error != not_readable() {
        return error;
    }
    ProviderError::denied(format!(
        "`{key}` is refused: what the server handed out is no whole age file: it was changed"
    ))
    .with_remedy(
        "treat the server as compromised until you know why; `fnox secret set` stores the value anew",
    )
}

fn other_version(key: &str, version: u64, signed: u64) -> ProviderError {
    ProviderError::denied(format!(
        "`{key}` is refused: the server calls it version {version}, and its writer signed version {signed}"
    ))
    .with_remedy("somebody stored an old value anew: `fnox secret set` stores and signs the right one")
}

fn text(value: SecretBytes) -> Answer {
    value
        .into_string()
        .map_err(|_| ProviderError::misconfigured("the decrypted value is not UTF-8 text"))
        .map(|text: SecretString| text)
}

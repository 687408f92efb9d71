//! `fido2`: values in `fnox.toml` that only a FIDO2 key opens, by its `hmac-secret`.
//!
//! The key makes 32 bytes from the provider's `credential_id` and `salt`, and values are sealed with them. One touch, and one
//! PIN if the key has one, serve a whole run: the answer is kept until the provider is dropped. Of several keys the
//! one that has the credential is asked.
//!
//! The sealing key depends on the provider's name, as the established CLI has it: under another name the values do not
//! open. With `bind_names = true` profile and name are inside the encryption, as `age` has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fnox_core::SecretString;
use fnox_core::prompt::Prompt;
use zeroize::Zeroizing;

use super::sealed::{Device, SealedBy};
use crate::error::ProviderError;
use crate::hardware::fido::{Authenticator, CREDENTIAL, Failure, Person, SALT, SECRET};
use crate::hardware::sealing::{SealingKey, Unopened};
use crate::hardware::{HidReports, NoKey, SecurityKeys};
use crate::provider::{Context, Provider};
use crate::settings::Settings;

/// What Linux needs to let people talk to their keys.
const UDEV: &str = "on Linux install the rules for security keys (Debian: `apt install libfido2-1`), or add KERNEL==\"hidraw*\", \
    ATTRS{idVendor}==\"….\", TAG+=\"uaccess\" with the vendor's number to /etc/udev/rules.d, and plug the key in again";

/// Opens a provider of this type. The key is not asked yet.
///
/// # Errors
/// `Misconfigured` if `credential_id` or `salt` is wrong.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let credential = hex::decode(settings.required("credential_id")?)
        .ok()
        .filter(|bytes| (1..=CREDENTIAL).contains(&bytes.len()))
        .ok_or_else(|| wrong("credential_id", "`credential_id` must be hexadecimal"))?;
    let salt = hex::decode(settings.required("salt")?)
        .ok()
        .and_then(|bytes| <[u8; SALT]>::try_from(bytes).ok())
        .ok_or_else(|| wrong("salt", "`salt` must be 32 bytes, in hexadecimal"))?;
    let party = settings.required("rp_id")?.to_owned();
    let device = Fido2 {
        purpose: format!("fnox-fido2-{}", settings.config.name),
        question: Arc::new(Question {
            credential,
            salt,
            party,
            holder: Holder::new(context, settings.secret("pin")),
        }),
    };
    Ok(Box::new(SealedBy::new(device, settings, context)))
}

fn wrong(key: &'static str, message: &str) -> ProviderError {
    ProviderError::misconfigured(message)
        .with_remedy("`fnox provider add NAME fido2` makes a credential and a salt")
        .at_key(key)
}

/// Makes a credential for a provider on the one key that is plugged in, and returns its id. Waits for a person, so it
/// must not be called where that holds others up.
///
/// # Errors
/// [`ProviderError`] that says why the key made none.
pub fn make_credential(
    context: &Context,
    party: &str,
    pin: Option<SecretString>,
) -> Result<Vec<u8>, ProviderError> {
    let holder = Holder::new(context, pin);
    let mut ports = holder.keys.fido().map_err(absent)?;
    if ports.len() > 1 {
        return Err(absent(NoKey::Several(ports.len())));
    }
    let port = ports.pop().ok_or_else(|| absent(NoKey::Absent))?;
    holder
        .with_key(port, |key, person| key.create(party, person))
        .map_err(|failure| explain(&failure))?
        .ok_or_else(|| absent(NoKey::Absent))
}

#[derive(Debug)]
struct Fido2 {
    purpose: String,
    question: Arc<Question>,
}

/// What the key is asked.
#[derive(Debug)]
struct Question {
    credential: Vec<u8>,
    salt: [u8; SALT],
    party: String,
    holder: Holder,
}

/// The keys, and who touches them.
#[derive(Debug)]
struct Holder {
    keys: Arc<dyn SecurityKeys>,
    prompt: Arc<dyn Prompt>,
    pin: Option<SecretString>,
    patience: Duration,
    cancelled: Arc<AtomicBool>,
}

impl Holder {
    fn new(context: &Context, pin: Option<SecretString>) -> Self {
        Self {
            keys: Arc::clone(&context.keys),
            prompt: Arc::clone(&context.prompt),
            pin,
            patience: context.patience(),
            cancelled: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Does something with a key. `None`: it is older than CTAP 2.
    fn with_key<T, F>(&self, mut port: Box<dyn HidReports>, work: F) -> Result<Option<T>, Failure>
    where
        F: FnOnce(&mut Authenticator<'_>, &Person<'_>) -> Result<T, Failure>,
    {
        let pin = || match &self.pin {
            Some(pin) => Ok(pin.clone()),
            None => self
                .prompt
                .secret("PIN of the security key:")
                .filter(|pin| !pin.is_empty())
                .ok_or(Failure::PinNeeded),
        };
        let person = Person {
            touch: &|| self.prompt.message("Touch your security key..."),
            pin: &pin,
            patience: self.patience,
            cancelled: &self.cancelled,
        };
        Authenticator::open(port.as_mut(), &person)?
            .map(|mut key| work(&mut key, &person))
            .transpose()
    }
}

impl Question {
    /// Asks the key that has the credential.
    fn ask(&self) -> Result<Zeroizing<[u8; SECRET]>, ProviderError> {
        let (mut others, mut failure) = (0, None);
        for port in self.holder.keys.fido().map_err(absent)? {
            let answer = self.holder.with_key(port, |key, person| {
                if key.has(&self.party, &self.credential, person)? {
                    key.secret(&self.party, &self.credential, &self.salt, person)
                        .map(Some)
                } else {
                    Ok(None)
                }
            });
            match answer {
                Ok(Some(Some(secret))) => return Ok(secret),
                // Older than CTAP 2.
                Ok(None) => {}
                Ok(Some(None)) | Err(Failure::OtherKey) => others += 1,
                // Another key may still be the right one, unless the person has dealt with this one.
                Err(error @ (Failure::Broken(_) | Failure::Silent | Failure::Damaged)) => {
                    failure = Some(error);
                }
                Err(error) => return Err(explain(&error)),
            }
        }
        Err(match failure {
            Some(failure) => explain(&failure),
            None if others > 0 => explain(&Failure::OtherKey),
            None => absent(NoKey::Absent),
        })
    }
}

/// Tells the thread that talks to the key when nobody waits any more.
struct EndsWithMe(Arc<AtomicBool>);

impl Drop for EndsWithMe {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Device for Fido2 {
    async fn ask(&self) -> Result<SealingKey, ProviderError> {
        let holder = &self.question.holder;
        // With the PIN in the configuration, somebody means this to work without a terminal.
        if !holder.prompt.is_interactive() && holder.pin.is_none() {
            return Err(explain(&Failure::PinNeeded));
        }
        holder.cancelled.store(false, Ordering::SeqCst);
        let _ends = EndsWithMe(Arc::clone(&holder.cancelled));
        let question = Arc::clone(&self.question);
        let secret = tokio::task::spawn_blocking(move || question.ask())
            .await
            .map_err(|_| ProviderError::unavailable("the security key could not be asked"))??;
        SealingKey::derive(secret.as_slice(), &self.purpose)
            .ok_or_else(|| ProviderError::unavailable("no key can be derived"))
    }

    fn check(&self) -> Result<(), ProviderError> {
        self.question.holder.keys.fido().map(drop).map_err(absent)
    }

    fn unopened(&self, error: Unopened) -> ProviderError {
        match error {
            Unopened::NotSealed => {
                ProviderError::misconfigured("the stored value is not one that this provider wrote")
                    .with_remedy("store it again with `fnox set`")
            }
            Unopened::WrongKey => ProviderError::misconfigured(
                "this security key does not open the value: it was stored with another salt or provider name, before the key had a PIN, or it was changed",
            )
            .with_remedy("restore the provider's keys in the file, or store the value again with `fnox set`"),
        }
    }
}

fn absent(error: NoKey) -> ProviderError {
    match error {
        NoKey::Absent => ProviderError::authentication("no FIDO2 key is plugged in")
            .with_remedy("plug in the key that the values were stored with, and run this again"),
        NoKey::Several(count) => {
            ProviderError::authentication(format!("{count} security keys are plugged in"))
                .with_remedy("leave only the one that is meant")
        }
        NoKey::Closed(reason) => {
            ProviderError::unavailable(format!("the security key cannot be opened: {reason}"))
                .with_remedy(UDEV)
        }
        NoKey::NotBuilt => {
            ProviderError::misconfigured("this build of fnox cannot talk to hardware keys")
                .with_remedy("build it with the cargo feature `hardware-keys`")
        }
    }
}

fn explain(failure: &Failure) -> ProviderError {
    let message = failure.to_string();
    match failure {
        Failure::NotTouched => ProviderError::authentication(message)
            .with_remedy("run it again, and touch the key while it blinks"),
        Failure::NotRecognised => ProviderError::authentication(message)
            .with_remedy("try the sensor again"),
        Failure::OtherKey => ProviderError::authentication(
            "no key that is plugged in has the credential of this provider",
        )
        .with_remedy("plug in the key that the values were stored with, and run this again"),
        Failure::PinNeeded => ProviderError::authentication(
            "somebody has to touch the security key, and type its PIN if it has one, and nobody is at the terminal",
        )
        .with_remedy(
            "run this in a terminal, without --non-interactive, or give the provider the PIN: pin = { secret = \"NAME\" }",
        ),
        Failure::PinWrong(left) => ProviderError::authentication(match left {
            Some(left) => format!("{message}; attempts that are left: {left}"),
            None => message,
        })
        .with_remedy("run it again with the right PIN; when no attempts are left, the key's credentials are lost"),
        Failure::PinPaused => ProviderError::authentication(message)
            .with_remedy("take the key out, plug it in again, and try once more"),
        Failure::PinBlocked => ProviderError::authentication(message).with_remedy(
            "the key has to be reset, which makes its values unreadable: store them again with another key",
        ),
        Failure::PinLength => ProviderError::misconfigured(message).at_key("pin"),
        Failure::NotSupported => ProviderError::misconfigured(message)
            .with_remedy("use a key with the extension `hmac-secret`, which most FIDO2 keys have"),
        Failure::Broken(_)
        | Failure::Silent
        | Failure::Busy
        | Failure::Damaged
        | Failure::Refused(_) => ProviderError::unavailable(message)
            .with_remedy("plug the key in again, and end other programs that use it"),
        Failure::Cancelled | Failure::NoRandomness => ProviderError::unavailable(message),
    }
}

//! `fido2`: values in `fnox.toml` that only a FIDO2 key opens, by its `hmac-secret`.
//!
//! The key makes 32 bytes from the provider's `credential_id` and `salt`. Values are sealed with them, or they open the
//! provider's data key if it has several keys ([`super::sealed`]). One touch, and one PIN if the key has one, serve a whole run:
//! the answer is kept until the provider is dropped. Of several keys that are plugged in one that has a credential is asked.
//!
//! The sealing key depends on the provider's name, as the established CLI has it: under another name the values do not
//! open. With `bind_names = true` profile and name are inside the encryption, as `age` has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fnox_core::SecretString;
use fnox_core::prompt::Prompt;
use rand::TryRngCore as _;
use zeroize::Zeroizing;

use super::sealed::{Answer, Device, IsRight, SealedBy, known, nobody};
use crate::error::ProviderError;
use crate::hardware::fido::{Authenticator, CREDENTIAL, Failure, Person, SALT};
use crate::hardware::keys::KeyTable;
use crate::hardware::sealing::Unopened;
use crate::hardware::{HidReports, NoKey, SecurityKeys};
use crate::provider::{Context, Provider};
use crate::settings::Settings;

/// What Linux needs to let people talk to their keys.
const UDEV: &str = "on Linux install the rules for security keys (Debian: `apt install libfido2-1`), or add KERNEL==\"hidraw*\", \
    ATTRS{idVendor}==\"….\", TAG+=\"uaccess\" with the vendor's number to /etc/udev/rules.d, and plug the key in again";

/// Opens a provider of this type. The key is not asked yet.
///
/// # Errors
/// `Misconfigured` if what a key is asked is wrong.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let device = Fido2(Arc::new(Holder::new(context, settings.secret("pin"))));
    Ok(Box::new(SealedBy::new(device, settings, context)?))
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
        .with_key(port, |key, person| key.create(party, &[], person))
        .map_err(|failure| explain(&failure))?
        .ok_or_else(|| absent(NoKey::Absent))
}

#[derive(Debug)]
struct Fido2(Arc<Holder>);

/// What a key is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    credential: Vec<u8>,
    salt: [u8; SALT],
    party: String,
}

/// The keys, and who touches them.
#[derive(Debug)]
struct Holder {
    keys: Arc<dyn SecurityKeys>,
    prompt: Arc<dyn Prompt>,
    pin: Option<SecretString>,
    patience: Duration,
    cancelled: AtomicBool,
}

impl Holder {
    fn new(context: &Context, pin: Option<SecretString>) -> Self {
        Self {
            keys: Arc::clone(&context.keys),
            prompt: Arc::clone(&context.prompt),
            pin,
            patience: context.patience(),
            cancelled: AtomicBool::new(false),
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

    /// Asks the keys that have one of the credentials, until an answer is right.
    fn ask(
        &self,
        questions: &[Question],
        is_right: Option<&IsRight>,
    ) -> Result<Option<(usize, Answer)>, ProviderError> {
        let (mut others, mut failure) = (0, None);
        for port in self.keys.fido().map_err(absent)? {
            let answer = self.with_key(port, |key, person| {
                let mut answers = Vec::new();
                for (index, question) in questions.iter().enumerate() {
                    let (party, credential) = (&question.party, &question.credential);
                    if key.has(party, credential, person)? == Some(false) {
                        continue;
                    }
                    match key.secret(party, credential, &question.salt, person) {
                        // It would not say so before it knew its user.
                        Err(Failure::OtherKey) => {}
                        secret => answers.push((index, Zeroizing::new(secret?.to_vec()))),
                    }
                    if answers.last().is_some_and(|(index, answer)| {
                        is_right.is_none_or(|is_right| is_right(*index, answer))
                    }) {
                        return Ok(answers.pop());
                    }
                }
                Ok(None)
            });
            match answer {
                Ok(Some(Some(answer))) => return Ok(Some(answer)),
                // Older than CTAP 2.
                Ok(None) => {}
                Ok(Some(None)) => others += 1,
                // Another key may still be the right one, unless the person has dealt with this one.
                Err(error @ (Failure::Broken(_) | Failure::Silent | Failure::Damaged)) => {
                    failure = Some(error);
                }
                Err(error) => return Err(explain(&error)),
            }
        }
        match failure {
            Some(failure) => Err(explain(&failure)),
            None if others > 0 && is_right.is_some() => Ok(None),
            None if others > 0 => Err(explain(&Failure::OtherKey)),
            None => Err(absent(NoKey::Absent)),
        }
    }

    /// Makes a credential on the one key that has none of these, and asks for its secret.
    fn ask_another(&self, questions: &[Question]) -> Result<(Question, Answer), ProviderError> {
        let party = questions.first().map(|question| question.party.clone());
        let party = party.ok_or_else(|| absent(NoKey::Absent))?;
        let mut salt = [0; SALT];
        rand::rngs::OsRng
            .try_fill_bytes(&mut salt)
            .map_err(|_| explain(&Failure::NoRandomness))?;
        let known: Vec<&[u8]> = questions
            .iter()
            .map(|it| it.credential.as_slice())
            .collect();
        let port = self.another(questions)?;
        let (credential, secret) = self
            .with_key(port, |key, person| {
                let credential = key.create(&party, &known, person)?;
                let secret = key.secret(&party, &credential, &salt, person)?;
                Ok((credential, Zeroizing::new(secret.to_vec())))
            })
            .map_err(|failure| explain(&failure))?
            .ok_or_else(|| absent(NoKey::Absent))?;
        let question = Question {
            credential,
            salt,
            party,
        };
        Ok((question, secret))
    }

    /// The one key that has none of these credentials.
    fn another(&self, questions: &[Question]) -> Result<Box<dyn HidReports>, ProviderError> {
        for attempt in 0..2 {
            if attempt > 0 {
                self.wait_for("the new security key")?;
            }
            let ports = self.keys.fido().map_err(absent)?;
            let mut knows = Vec::with_capacity(ports.len());
            for port in ports {
                let knows_one = self.with_key(port, |key, person| {
                    for question in questions {
                        let (party, credential) = (&question.party, &question.credential);
                        if key.has(party, credential, person)? == Some(true) {
                            return Ok(true);
                        }
                    }
                    Ok(false)
                });
                // Older than CTAP 2: not one of those that can be added.
                knows.push(knows_one.map_err(|error| explain(&error))?.unwrap_or(true));
            }
            let count = knows.iter().filter(|knows| !**knows).count();
            if count > 1 {
                return Err(absent(NoKey::Several(count)));
            }
            let index = knows.iter().position(|knows| !*knows);
            let mut ports = self.keys.fido().map_err(absent)?;
            // One that came or went in between may have another number.
            if let Some(index) = index.filter(|_| ports.len() == knows.len()) {
                return Ok(ports.swap_remove(index));
            }
        }
        Err(known())
    }

    fn wait_for(&self, what: &str) -> Result<(), ProviderError> {
        let question = format!("Plug in {what}, and press Enter:");
        self.prompt.text(&question).map(drop).ok_or_else(nobody)
    }
}

/// Tells the thread that talks to the key when nobody waits any more.
struct EndsWithMe(Arc<Holder>);

impl Drop for EndsWithMe {
    fn drop(&mut self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
    }
}

impl Fido2 {
    /// Does something that waits for a person, apart from what else goes on.
    async fn apart<T, F>(&self, work: F) -> Result<T, ProviderError>
    where
        T: Send + 'static,
        F: FnOnce(&Holder) -> Result<T, ProviderError> + Send + 'static,
    {
        // With the PIN in the configuration, somebody means this to work without a terminal.
        if !self.0.prompt.is_interactive() && self.0.pin.is_none() {
            return Err(explain(&Failure::PinNeeded));
        }
        self.0.cancelled.store(false, Ordering::SeqCst);
        let _ends = EndsWithMe(Arc::clone(&self.0));
        let holder = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&holder))
            .await
            .map_err(|_| ProviderError::unavailable("the security key could not be asked"))?
    }
}

#[async_trait]
impl Device for Fido2 {
    type Question = Question;

    const QUESTION: &'static [&'static str] = &["credential_id", "salt", "rp_id"];

    const TELLS: bool = true;

    fn question<'a>(
        text: &dyn Fn(&'static str) -> Option<&'a str>,
    ) -> Result<Question, ProviderError> {
        let credential = hex::decode(text("credential_id").unwrap_or_default())
            .ok()
            .filter(|bytes| (1..=CREDENTIAL).contains(&bytes.len()))
            .ok_or_else(|| wrong("credential_id", "`credential_id` must be hexadecimal"))?;
        let salt = hex::decode(text("salt").unwrap_or_default())
            .ok()
            .and_then(|bytes| <[u8; SALT]>::try_from(bytes).ok())
            .ok_or_else(|| wrong("salt", "`salt` must be 32 bytes, in hexadecimal"))?;
        let party = text("rp_id").ok_or_else(|| wrong("rp_id", "`rp_id` must not be empty"))?;
        Ok(Question {
            credential,
            salt,
            party: party.to_owned(),
        })
    }

    fn table(question: &Question) -> KeyTable {
        vec![
            ("credential_id", hex::encode(&question.credential)),
            ("salt", hex::encode(question.salt)),
            ("rp_id", question.party.clone()),
        ]
    }

    fn purpose(provider: &str) -> String {
        format!("fnox-fido2-{provider}")
    }

    async fn ask(
        &self,
        questions: &[Question],
        is_right: Option<IsRight>,
    ) -> Result<Option<(usize, Answer)>, ProviderError> {
        let questions = questions.to_vec();
        self.apart(move |holder| holder.ask(&questions, is_right.as_ref()))
            .await
    }

    async fn ask_another(
        &self,
        questions: &[Question],
        slot: Option<&str>,
        _: IsRight,
    ) -> Result<(Question, Answer), ProviderError> {
        if slot.is_some() {
            return Err(ProviderError::misconfigured("FIDO2 keys have no slots"));
        }
        let questions = questions.to_vec();
        self.apart(move |holder| holder.ask_another(&questions))
            .await
    }

    async fn wait_for(&self, name: &str) -> Result<(), ProviderError> {
        let name = format!("the security key `{name}`");
        self.apart(move |holder| holder.wait_for(&name)).await
    }

    fn check(&self) -> Result<(), ProviderError> {
        self.0.keys.fido().map(drop).map_err(absent)
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
        Failure::KnownKey => known(),
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

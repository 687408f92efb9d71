//! `yubikey`: values in `fnox.toml` that only a YubiKey opens, by the HMAC-SHA1 of one of its slots.
//!
//! The device answers the provider's `challenge`; the answer, which nobody has without the device, is what values are
//! sealed with, or what opens the provider's data key if it has several devices ([`super::sealed`]). One touch serves a whole
//! run: the answer is kept until the provider is dropped.
//!
//! The sealing key depends on the provider's name, as the established CLI has it: under another name the values do not
//! open. With `bind_names = true` profile and name are inside the encryption, as `age` has it.

use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::prompt::Prompt;
use zeroize::Zeroizing;

use super::sealed::{Answer, Device, IsRight, SealedBy, ask_for, known};
use crate::error::{ErrorKind, ProviderError};
use crate::hardware::keys::KeyTable;
use crate::hardware::otp::{self, NoAnswer, Slot};
use crate::hardware::sealing::Unopened;
use crate::hardware::{FeatureReports, NoKey, SecurityKeys};
use crate::provider::{Context, Provider};
use crate::settings::Settings;

/// What Linux needs to let people talk to their keys.
const UDEV: &str = "on Linux add the rule KERNEL==\"hidraw*\", ATTRS{idVendor}==\"1050\", TAG+=\"uaccess\" to \
    /etc/udev/rules.d/70-yubikey.rules (Debian's package `libfido2-1` or `yubikey-personalization` has it), and plug the key in again";

/// Opens a provider of this type. The device is not touched yet.
///
/// # Errors
/// `Misconfigured` if what a device is asked is wrong.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let device = YubiKey {
        keys: Arc::clone(&context.keys),
        prompt: Arc::clone(&context.prompt),
    };
    Ok(Box::new(SealedBy::new(device, settings, context)?))
}

#[derive(Debug)]
struct YubiKey {
    keys: Arc<dyn SecurityKeys>,
    prompt: Arc<dyn Prompt>,
}

/// What a slot is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    challenge: Vec<u8>,
    slot: Slot,
}

#[async_trait]
impl Device for YubiKey {
    type Question = Question;

    const QUESTION: &'static [&'static str] = &["challenge", "slot"];

    const TELLS: bool = false;

    fn question<'a>(
        text: &dyn Fn(&'static str) -> Option<&'a str>,
    ) -> Result<Question, ProviderError> {
        let challenge = hex::decode(text("challenge").unwrap_or_default())
            .ok()
            .filter(|bytes| (1..=otp::CHALLENGE).contains(&bytes.len()))
            .ok_or_else(|| {
                ProviderError::misconfigured("`challenge` must be 1 to 64 bytes, in hexadecimal")
                    .with_remedy("`fnox provider add NAME yubikey` makes one")
                    .at_key("challenge")
            })?;
        let slot = slot(text("slot").unwrap_or_default())?;
        Ok(Question { challenge, slot })
    }

    fn table(question: &Question) -> KeyTable {
        vec![
            ("challenge", hex::encode(&question.challenge)),
            ("slot", question.slot.number().to_string()),
        ]
    }

    fn purpose(provider: &str) -> String {
        format!("fnox-yubikey-{provider}")
    }

    async fn ask(
        &self,
        questions: &[Question],
        is_right: Option<IsRight>,
    ) -> Result<Option<(usize, Answer)>, ProviderError> {
        let mut devices = self.devices()?;
        let Some(is_right) = is_right else {
            // Whichever is touched: a wrong one would answer too.
            return match (devices.as_mut_slice(), questions.first()) {
                ([device], Some(question)) => {
                    let answer = self.answer(device.as_mut(), question).await;
                    let answer = answer.map_err(|error| no_answer(&error, question.slot))?;
                    Ok(Some((0, answer)))
                }
                (several, _) => Err(absent(NoKey::Several(several.len()))),
            };
        };
        let mut failure = None;
        for device in &mut devices {
            for (index, question) in questions.iter().enumerate() {
                if questions[..index].contains(question) {
                    continue;
                }
                let answer = match self.answer(device.as_mut(), question).await {
                    Ok(answer) => answer,
                    Err(error) => {
                        // Perhaps another slot answers, or another device.
                        failure = Some(no_answer(&error, question.slot));
                        continue;
                    }
                };
                let same = |number: &usize| questions[*number] == *question;
                let right = (0..questions.len())
                    .filter(same)
                    .find(|number| is_right(*number, &answer));
                if let Some(number) = right {
                    return Ok(Some((number, answer)));
                }
            }
        }
        match failure {
            // It has to be touched, or plugged in again: that is what helps.
            Some(failure) if failure.kind != ErrorKind::Misconfigured => Err(failure),
            _ => Ok(None),
        }
    }

    async fn ask_another(
        &self,
        questions: &[Question],
        wanted: Option<&str>,
        is_known: IsRight,
    ) -> Result<(Question, Answer), ProviderError> {
        let first = questions.first().ok_or_else(|| absent(NoKey::Absent))?;
        let question = Question {
            // The same for all, so that one touch serves whichever is plugged in.
            challenge: first.challenge.clone(),
            slot: wanted.map_or(Ok(first.slot), slot)?,
        };
        let mut devices = self.devices()?;
        if devices.len() == 1 {
            // The one that was touched just now.
            drop(devices);
            ask_for(&self.prompt, "Plug in the new YubiKey instead").await?;
            devices = self.devices()?;
        }
        let mut failure = known();
        for device in &mut devices {
            match self.answer(device.as_mut(), &question).await {
                Ok(answer) if is_known(0, &answer) => {}
                Ok(answer) => return Ok((question, answer)),
                // The other one may have such a slot.
                Err(error) => failure = no_answer(&error, question.slot),
            }
        }
        Err(failure)
    }

    async fn wait_for(&self, name: &str) -> Result<(), ProviderError> {
        ask_for(&self.prompt, &format!("Plug in the YubiKey `{name}` alone")).await
    }

    fn check(&self) -> Result<(), ProviderError> {
        self.keys.yubikeys().map(drop).map_err(absent)
    }

    fn unopened(&self, error: Unopened) -> ProviderError {
        match error {
            Unopened::NotSealed => ProviderError::misconfigured(
                "the stored value is not one that this provider wrote",
            )
            .with_remedy("store it again with `fnox set`"),
            Unopened::WrongKey => ProviderError::misconfigured(
                "this YubiKey does not open the value: it was stored with another key, slot, challenge or provider name, or it was changed",
            )
            .with_remedy("use the key that it was stored with, or store the value again with `fnox set`"),
        }
    }
}

impl YubiKey {
    fn devices(&self) -> Result<Vec<Box<dyn FeatureReports>>, ProviderError> {
        if self.prompt.is_interactive() {
            return self.keys.yubikeys().map_err(absent);
        }
        Err(ProviderError::authentication(
            "somebody has to touch the YubiKey, and nobody is at the terminal",
        )
        .with_remedy("run this in a terminal, without --non-interactive"))
    }

    async fn answer(
        &self,
        device: &mut dyn FeatureReports,
        question: &Question,
    ) -> Result<Answer, NoAnswer> {
        let prompt = Arc::clone(&self.prompt);
        let touch = move || prompt.message("Tap your YubiKey...");
        let answer = otp::hmac_sha1(device, question.slot, &question.challenge, &touch).await?;
        Ok(Zeroizing::new(answer.to_vec()))
    }
}

fn slot(text: &str) -> Result<Slot, ProviderError> {
    Slot::parse(text)
        .ok_or_else(|| ProviderError::misconfigured("`slot` must be \"1\" or \"2\"").at_key("slot"))
}

fn no_answer(error: &NoAnswer, slot: Slot) -> ProviderError {
    let message = error.to_string();
    match error {
        NoAnswer::NotTouched => ProviderError::authentication(message)
            .with_remedy("run it again, and touch the key while it blinks"),
        NoAnswer::NotConfigured(_) => ProviderError::misconfigured(message)
            .with_remedy(format!(
                "give it a secret for challenges: `ykman otp chalresp --generate --touch {}` (this replaces what the slot does now)",
                slot.number()
            ))
            .at_key("slot"),
        NoAnswer::Broken(_) | NoAnswer::Damaged | NoAnswer::Busy => {
            ProviderError::unavailable(message)
                .with_remedy("plug the key in again, and end other programs that use it")
        }
    }
}

fn absent(error: NoKey) -> ProviderError {
    match error {
        NoKey::Absent => ProviderError::authentication("no YubiKey with OTP slots is plugged in")
            .with_remedy("plug in the key that the values were stored with, and run this again"),
        NoKey::Several(count) => {
            ProviderError::authentication(format!("{count} YubiKeys are plugged in"))
                .with_remedy("leave only the one that the values were stored with")
        }
        NoKey::Closed(reason) => {
            ProviderError::unavailable(format!("the YubiKey cannot be opened: {reason}"))
                .with_remedy(UDEV)
        }
        NoKey::NotBuilt => {
            ProviderError::misconfigured("this build of fnox cannot talk to hardware keys")
                .with_remedy("build it with the cargo feature `hardware-keys`")
        }
    }
}

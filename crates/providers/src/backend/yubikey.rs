//! `yubikey`: values in `fnox.toml` that only a YubiKey opens, by the HMAC-SHA1 of one of its slots.
//!
//! The device answers the provider's `challenge`; the answer, which never leaves it without the key, is what values are
//! sealed with. One touch serves a whole run: the answer is kept until the provider is dropped.
//!
//! The sealing key depends on the provider's name, as the established CLI has it: under another name the values do not
//! open. With `bind_names = true` profile and name are inside the encryption, as `age` has it.

use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::prompt::Prompt;

use super::sealed::{Device, SealedBy};
use crate::error::ProviderError;
use crate::hardware::otp::{self, NoAnswer, Slot};
use crate::hardware::sealing::{SealingKey, Unopened};
use crate::hardware::{NoKey, SecurityKeys};
use crate::provider::{Context, Provider};
use crate::settings::Settings;

/// What Linux needs to let people talk to their keys.
const UDEV: &str = "on Linux add the rule KERNEL==\"hidraw*\", ATTRS{idVendor}==\"1050\", TAG+=\"uaccess\" to \
    /etc/udev/rules.d/70-yubikey.rules (Debian's package `libfido2-1` or `yubikey-personalization` has it), and plug the key in again";

/// Opens a provider of this type. The device is not touched yet.
///
/// # Errors
/// `Misconfigured` if `challenge` or `slot` is wrong.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let challenge = hex::decode(settings.required("challenge")?)
        .ok()
        .filter(|bytes| (1..=otp::CHALLENGE).contains(&bytes.len()))
        .ok_or_else(|| {
            ProviderError::misconfigured("`challenge` must be 1 to 64 bytes, in hexadecimal")
                .with_remedy("`fnox provider add NAME yubikey` makes one")
                .at_key("challenge")
        })?;
    let slot = Slot::parse(settings.required("slot")?).ok_or_else(|| {
        ProviderError::misconfigured("`slot` must be \"1\" or \"2\"").at_key("slot")
    })?;
    let device = YubiKey {
        purpose: format!("fnox-yubikey-{}", settings.config.name),
        challenge,
        slot,
        keys: Arc::clone(&context.keys),
        prompt: Arc::clone(&context.prompt),
    };
    Ok(Box::new(SealedBy::new(device, settings, context)))
}

#[derive(Debug)]
struct YubiKey {
    purpose: String,
    challenge: Vec<u8>,
    slot: Slot,
    keys: Arc<dyn SecurityKeys>,
    prompt: Arc<dyn Prompt>,
}

#[async_trait]
impl Device for YubiKey {
    async fn ask(&self) -> Result<SealingKey, ProviderError> {
        if !self.prompt.is_interactive() {
            return Err(ProviderError::authentication(
                "somebody has to touch the YubiKey, and nobody is at the terminal",
            )
            .with_remedy("run this in a terminal, without --non-interactive"));
        }
        let mut device = self.keys.yubikey().map_err(absent)?;
        let prompt = Arc::clone(&self.prompt);
        let touch = move || prompt.message("Tap your YubiKey...");
        let answer = otp::hmac_sha1(device.as_mut(), self.slot, &self.challenge, &touch)
            .await
            .map_err(|error| self.no_answer(&error))?;
        SealingKey::derive(answer.as_slice(), &self.purpose)
            .ok_or_else(|| ProviderError::unavailable("no key can be derived"))
    }

    fn check(&self) -> Result<(), ProviderError> {
        self.keys.yubikey().map(drop).map_err(absent)
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
    fn no_answer(&self, error: &NoAnswer) -> ProviderError {
        let message = error.to_string();
        match error {
            NoAnswer::NotTouched => ProviderError::authentication(message)
                .with_remedy("run it again, and touch the key while it blinks"),
            NoAnswer::NotConfigured(_) => ProviderError::misconfigured(message)
                .with_remedy(format!(
                    "give it a secret for challenges: `ykman otp chalresp --generate --touch {}` (this replaces what the slot does now)",
                    self.slot.number()
                ))
                .at_key("slot"),
            NoAnswer::Broken(_) | NoAnswer::Damaged | NoAnswer::Busy => {
                ProviderError::unavailable(message).with_remedy(
                    "plug the key in again, and end other programs that use it",
                )
            }
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

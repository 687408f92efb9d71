//! Making a key and signing its certificate.

use std::ops::Range;

use fnox_core::{Credential, SecretString};
use jiff::Timestamp;
use rand::RngCore as _;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{LineEnding, PrivateKey};
use zeroize::Zeroizing;

use super::authority::Signatory;
use super::held::{HeldKey, Made, Recorder};
use super::settings::Settings;
use super::{CERTIFICATE, PRIVATE_KEY};
use crate::mint::{CreateRequest, MintContext, MintError};

/// How far a server's clock may be behind.
const TOLERANCE: u64 = 60;

/// A new key with its certificate.
pub(super) async fn issue(
    settings: &Settings,
    signatory: &Signatory,
    context: &MintContext,
    request: &CreateRequest,
) -> Result<Credential, MintError> {
    let now = u64::try_from(context.clock.now().as_second()).unwrap_or_default();
    let end = now.saturating_add(request.duration.as_secs());
    let expires_at = i64::try_from(end)
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok())
        .ok_or_else(|| MintError::unavailable("the clock of this machine is far in the future"))?;
    let key = new_key(&settings.key_id_of(request));
    // PROTOCOL.certkeys: the nonce keeps the signed text from being chosen by somebody else.
    let mut nonce = [0_u8; 32];
    rand::rng().fill_bytes(&mut nonce);
    let validity = now.saturating_sub(TOLERANCE)..end;
    let unsigned = || unsigned(settings, &key, request, validity.clone(), nonce);
    let certificate = match signatory {
        Signatory::Own(key) => unsigned().and_then(|builder| builder.sign(key.as_ref())),
        Signatory::Agent(agent) => {
            let text = to_sign(unsigned().map_err(|error| not_signed(&error))?, agent)?;
            let signature = agent.sign(&text).await?;
            let made = Made {
                key: agent.public(),
                signature,
            };
            // The same text again, because its writer takes a signer and not a signature.
            unsigned().and_then(|builder| builder.sign(&made))
        }
    };
    let certificate = certificate
        .and_then(|certificate| certificate.to_openssh())
        .map_err(|error| not_signed(&error))?;
    let private_key = key
        .to_openssh(LineEnding::LF)
        .map_err(|error| MintError::unavailable(format!("the key cannot be written: {error}")))?;
    Ok(Credential {
        variables: vec![
            (
                PRIVATE_KEY.to_owned(),
                SecretString::from(private_key.as_str()),
            ),
            (CERTIFICATE.to_owned(), SecretString::new(certificate)),
        ],
        expires_at: Some(expires_at),
        id: request.provisional_id.clone(),
        private: Vec::new(),
    })
}

fn new_key(comment: &str) -> PrivateKey {
    let mut seed = Zeroizing::new([0_u8; 32]);
    rand::rng().fill_bytes(seed.as_mut_slice());
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    key.set_comment(comment);
    key
}

fn not_signed(error: &ssh_key::Error) -> MintError {
    MintError::unavailable(format!("the certificate was not signed: {error}"))
}

/// The text that an agent is to sign.
fn to_sign(builder: Builder, agent: &HeldKey) -> Result<Vec<u8>, MintError> {
    let recorder = Recorder::new(agent.public());
    let signed = builder.sign(&recorder);
    let text = recorder.text();
    match signed {
        Err(error) if text.is_empty() => Err(not_signed(&error)),
        _ => Ok(text),
    }
}

fn unsigned(
    settings: &Settings,
    key: &PrivateKey,
    request: &CreateRequest,
    validity: Range<u64>,
    nonce: [u8; 32],
) -> ssh_key::Result<Builder> {
    let mut builder = Builder::new(
        nonce,
        key.public_key().key_data().clone(),
        validity.start,
        validity.end,
    )?;
    let key_id = settings.key_id_of(request);
    builder
        .serial(serial(&request.provisional_id))?
        .cert_type(CertType::User)?
        .comment(key_id.clone())?
        .key_id(key_id)?;
    for principal in &settings.principals {
        builder.valid_principal(principal)?;
    }
    if let Some(command) = &settings.force_command {
        builder.critical_option("force-command", command)?;
    }
    if !settings.source_addresses.is_empty() {
        builder.critical_option("source-address", settings.source_addresses.join(","))?;
    }
    for (name, value) in &settings.extensions {
        builder.extension(name, value)?;
    }
    Ok(builder)
}

/// The 16 hexadecimal digits of the id as a number, which a server writes into its log.
fn serial(provisional_id: &str) -> u64 {
    provisional_id
        .rsplit_once('-')
        .and_then(|(_, digits)| u64::from_str_radix(digits, 16).ok())
        .unwrap_or_else(|| rand::rng().next_u64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serial_number_is_the_id() {
        assert_eq!(serial("ssh-00000000000000ff"), 255);
        assert_eq!(serial("ssh-ffffffffffffffff"), u64::MAX);
        assert_ne!(serial("ssh-…"), serial("ssh-…"));
    }
}

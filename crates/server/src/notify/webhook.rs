//! A signed POST of JSON to anything.
//!
//! `Fnox-Signature: t=SECONDS,v1=HEX` is HMAC-SHA-256 over SECONDS, a full stop and the body. Whoever receives it
//! compares the signature in constant time and refuses a time that is minutes away, against replays. `Fnox-Delivery`
//! stays the same when an attempt is repeated.

use std::sync::Arc;

use async_trait::async_trait;
use fnox_core::{Clock, SecretString};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::channel::Channel;
use super::http::Target;
use super::summary::Summary;
use super::{Notice, NotifyError, NotifySetupError};

/// One address.
#[derive(Debug)]
pub(super) struct Webhook {
    target: Target,
    secret: SecretString,
    clock: Arc<dyn Clock>,
}

impl Webhook {
    pub(super) fn new(
        url: &str,
        secret: &SecretString,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, NotifySetupError> {
        if secret.len() < SECRET_LEAST {
            return Err(NotifySetupError::Value {
                channel: NAME,
                field: "secret",
                problem: "has fewer than 16 bytes",
            });
        }
        Ok(Self {
            target: Target::new(NAME, url)?,
            secret: secret.clone(),
            clock,
        })
    }
}

#[async_trait]
impl Channel for Webhook {
    fn name(&self) -> &'static str {
        NAME
    }

    fn describe(&self) -> String {
        format!("signed POST to {}", self.target.place())
    }

    async fn send(&self, notice: &Notice, position: u8) -> Result<(), NotifyError> {
        let (event, document) = document(notice, position)?;
        let body = document.to_string();
        let seconds = self.clock.now().as_second();
        let signature = sign(&self.secret, seconds, &body).ok_or(NotifyError::Message {
            channel: NAME,
            problem: "it cannot be signed".to_owned(),
        })?;
        let delivery = hex::encode(&Sha256::digest(body.as_bytes())[..16]);
        let request = self
            .target
            .post(body)
            .header("Fnox-Event", event)
            .header("Fnox-Delivery", delivery)
            .header("Fnox-Signature", signature);
        self.target.send(request).await
    }
}

fn document(notice: &Notice, position: u8) -> Result<(&'static str, Value), NotifyError> {
    let approval = match notice {
        Notice::Asked { approval, .. } => Some(approval),
        Notice::Alarm { approval, .. } => approval.as_ref(),
    };
    let approval = serde_json::to_value(approval).map_err(|error| NotifyError::Message {
        channel: NAME,
        problem: error.to_string(),
    })?;
    let summary = Summary::of(notice);
    let (event, page, text) = match notice {
        Notice::Asked { links, .. } => ("approval.asked", Some(links.page(position)), None),
        Notice::Alarm { text, .. } => ("alarm", None, Some(text)),
    };
    let document = json!({
        "event": event,
        "title": summary.title,
        "text": text,
        "page": page,
        "approval": approval,
    });
    Ok((event, document))
}

fn sign(secret: &SecretString, seconds: i64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    Some(format!("t={seconds},v1={signature}"))
}

const NAME: &str = "webhook";
const SECRET_LEAST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_openssl_makes() {
        // printf '1800000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let secret = SecretString::from("0123456789abcdef");
        assert_eq!(
            sign(&secret, 1_800_000_000, "{\"a\":1}").unwrap(),
            "t=1800000000,v1=d3e17924cac4a72ca2ee9e5700df170fdb5733eaf69ecd909fb0c18a962b03a5"
        );
    }
}

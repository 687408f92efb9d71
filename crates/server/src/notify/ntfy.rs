//! ntfy, by its JSON publishing (docs.ntfy.sh, "Publish as JSON").
//!
//! Headers would need quoting and break at line ends, so everything is in the JSON document, which goes to the
//! server's root. No `markdown`, so that texts of others stay texts. The token is in the `Authorization` header, never
//! in the address. With `one_tap` the actions carry links that decide: such a message is delivered to connected
//! phones only (`Cache: no`) and does not pass through Firebase (`Firebase: no`).

use async_trait::async_trait;
use fnox_api::Decision;
use fnox_core::SecretString;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::channel::Channel;
use super::http::Target;
use super::summary::Summary;
use super::topic::{is_public, is_topic, may_be_random};
use super::{Links, Notice, NotifyError, NotifySetupError};
use crate::settings::NtfySettings;

/// One topic of one server.
#[derive(Debug)]
pub(super) struct Ntfy {
    target: Target,
    topic: SecretString,
    authorization: Option<HeaderValue>,
    priority: u8,
    one_tap: bool,
    /// What a tap on an alarm opens.
    list_url: String,
}

impl Ntfy {
    pub(super) fn new(settings: &NtfySettings, public_url: &str) -> Result<Self, NotifySetupError> {
        let target = Target::new(NAME, &settings.url)?;
        check(settings, target.host())?;
        Ok(Self {
            target,
            topic: SecretString::from(settings.topic.as_str()),
            authorization: settings.token.as_ref().map(bearer).transpose()?,
            priority: settings.priority,
            one_tap: settings.one_tap,
            list_url: format!("{}/approvals", public_url.trim_end_matches('/')),
        })
    }

    fn document(&self, notice: &Notice, position: u8) -> Value {
        let summary = Summary::of(notice);
        let message = summary.text(MESSAGE_LIMIT);
        let (tag, click, actions) = match notice {
            Notice::Asked { links, .. } => {
                let page = links.page(position);
                let actions = self.actions(links, &page, position);
                ("closed_lock_with_key", page, actions)
            }
            Notice::Alarm { .. } => ("rotating_light", self.list_url.clone(), json!([])),
        };
        json!({
            "topic": self.topic.expose_secret(),
            "title": summary.title,
            // An empty message would be shown as "triggered".
            "message": if message.is_empty() { &summary.title } else { &message },
            "tags": [tag],
            "priority": self.priority,
            "click": click,
            "actions": actions,
        })
    }

    fn actions(&self, links: &Links, page: &str, position: u8) -> Value {
        let view = json!({"action": "view", "label": "Look and decide", "url": page});
        if !self.one_tap {
            return json!([view]);
        }
        let tap = |label: &str, decision| {
            json!({
                "action": "http",
                "label": label,
                "url": links.one_tap_url(),
                "method": "POST",
                "headers": {"Content-Type": "application/json"},
                "body": json!({"link": links.one_tap(decision, position)}).to_string(),
                "clear": true,
            })
        };
        json!([
            view,
            tap("Approve", Decision::Approve),
            tap("Deny", Decision::Deny)
        ])
    }
}

#[async_trait]
impl Channel for Ntfy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn describe(&self) -> String {
        let topic = self.topic.mask();
        format!("topic {topic} at {}", self.target.place())
    }

    async fn send(&self, notice: &Notice, position: u8) -> Result<(), NotifyError> {
        let mut request = self
            .target
            .post(self.document(notice, position).to_string());
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        if self.one_tap && matches!(notice, Notice::Asked { .. }) {
            request = request.header("Cache", "no").header("Firebase", "no");
        }
        self.target.send(request).await
    }
}

fn check(settings: &NtfySettings, host: &str) -> Result<(), NotifySetupError> {
    let refuse = |field, problem| NotifySetupError::Value {
        channel: NAME,
        field,
        problem,
    };
    if !is_topic(&settings.topic) {
        return Err(refuse(
            "topic",
            "is not 1 to 64 letters, digits, hyphens and underscores",
        ));
    }
    if !(1..=5).contains(&settings.priority) {
        return Err(refuse("priority", "is not 1, 2, 3, 4 or 5"));
    }
    if is_public(host) && settings.token.is_none() {
        let server = host.to_owned();
        if settings.one_tap {
            return Err(NotifySetupError::OpenOneTap { server });
        }
        if !may_be_random(&settings.topic) {
            return Err(NotifySetupError::GuessableTopic { server });
        }
    }
    Ok(())
}

fn bearer(token: &SecretString) -> Result<HeaderValue, NotifySetupError> {
    let text = Zeroizing::new(format!("Bearer {}", token.expose_secret().trim()));
    let mut value = HeaderValue::from_str(&text)
        .ok()
        .filter(|_| text.len() > "Bearer ".len())
        .ok_or(NotifySetupError::Value {
            channel: NAME,
            field: "token",
            problem: "is empty or has characters that no header may have",
        })?;
    value.set_sensitive(true);
    Ok(value)
}

const NAME: &str = "ntfy";
/// ntfy makes an attachment of more than 4096 bytes, and the text is gone from the notification. Firebase cuts
/// documents of more than 4000.
const MESSAGE_LIMIT: usize = 3000;

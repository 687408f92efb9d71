//! A webhook that takes Slack's messages: Slack, Mattermost, Rocket.Chat, Discord's `/slack` addresses.
//!
//! Slack shows the blocks; others show `text`, so both say all of it. Texts are `plain_text` and escaped as Slack asks
//! for (`&`, `<`, `>`), so that no branch name becomes a link or calls a channel.

use async_trait::async_trait;
use fnox_core::SecretString;
use serde_json::{Value, json};

use super::channel::Channel;
use super::http::Target;
use super::summary::Summary;
use super::{Notice, NotifyError, NotifySetupError, shorten};

/// One address.
#[derive(Debug)]
pub(super) struct Slack {
    target: Target,
    list_url: String,
}

impl Slack {
    pub(super) fn new(url: &SecretString, public_url: &str) -> Result<Self, NotifySetupError> {
        Ok(Self {
            target: Target::new(NAME, url.expose_secret())?,
            list_url: format!("{}/approvals", public_url.trim_end_matches('/')),
        })
    }

    fn document(&self, notice: &Notice, position: u8) -> Value {
        let summary = Summary::of(notice);
        let (label, link) = match notice {
            Notice::Asked { links, .. } => ("Look and decide", links.page(position)),
            Notice::Alarm { .. } => ("Open approvals", self.list_url.clone()),
        };
        let text = format!("{}\n{}", summary.title, summary.text(TEXT_LIMIT));
        // Limits of docs.slack.dev, "Blocks": 150 characters in a header, 10 fields of 2000 in a section.
        let mut blocks = vec![json!({
            "type": "header",
            "text": plain(&shorten(&summary.title, 150)),
        })];
        for lines in summary.lines.chunks(10) {
            let fields: Vec<Value> = lines
                .iter()
                .map(|line| plain(&format!("{}\n{}", line.full_label(), line.value)))
                .collect();
            blocks.push(json!({"type": "section", "fields": fields}));
        }
        let mut buttons = vec![json!({
            "type": "button",
            "text": plain(label),
            "url": link,
            "style": "primary",
        })];
        if let Some(run) = &summary.run_url {
            buttons.push(json!({"type": "button", "text": plain("Open the run"), "url": run}));
        }
        blocks.push(json!({"type": "actions", "elements": buttons}));
        json!({
            "text": format!("{}\n{label}: {link}", escape(&text)),
            "mrkdwn": false,
            "unfurl_links": false,
            "unfurl_media": false,
            "blocks": blocks,
        })
    }
}

#[async_trait]
impl Channel for Slack {
    fn name(&self) -> &'static str {
        NAME
    }

    fn describe(&self) -> String {
        format!("webhook of {}", self.target.place())
    }

    async fn send(&self, notice: &Notice, position: u8) -> Result<(), NotifyError> {
        let body = self.document(notice, position).to_string();
        self.target.send(self.target.post(body)).await
    }
}

fn plain(text: &str) -> Value {
    json!({"type": "plain_text", "text": escape(text), "emoji": false})
}

/// docs.slack.dev, "Formatting message text": these three and no others.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

const NAME: &str = "slack";
const TEXT_LIMIT: usize = 3000;

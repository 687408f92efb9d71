//! Mail by SMTP (RFC 5321), as text with an HTML alternative.
//!
//! `smtps://` is TLS from the first byte (RFC 8314), `smtp://` demands STARTTLS (RFC 3207); only to this machine
//! it may be plain. Addresses are read when the server starts, headers are encoded by lettre, so that no text becomes a
//! header.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use askama::Template as _;
use async_trait::async_trait;
use fnox_core::Clock;
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use reqwest::Url;

use super::channel::Channel;
use super::error::Again;
use super::http::causes;
use super::summary::{Line, Summary};
use super::topic::is_loopback;
use super::{Notice, NotifyError, NotifySetupError, shorten, visible};
use crate::settings::EmailSettings;

/// One mail server and its recipients.
pub(super) struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    place: String,
    from: Mailbox,
    to: Vec<Mailbox>,
    list_url: String,
    clock: Arc<dyn Clock>,
}

impl Email {
    pub(super) fn new(
        settings: &EmailSettings,
        public_url: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, NotifySetupError> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let from = mailbox("from", &settings.from)?;
        let to = settings
            .to
            .iter()
            .map(|to| mailbox("to", to))
            .collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err(refuse("to", "names nobody"));
        }
        let (transport, place) = transport(settings)?;
        Ok(Self {
            transport,
            place,
            from,
            to,
            list_url: format!("{}/approvals", public_url.trim_end_matches('/')),
            clock,
        })
    }

    fn message(&self, notice: &Notice, position: u8) -> Result<Message, NotifyError> {
        let summary = Summary::of(notice);
        let link = match notice {
            Notice::Asked { links, .. } => links.page(position),
            Notice::Alarm { .. } => self.list_url.clone(),
        };
        let label = match notice {
            Notice::Asked { .. } => "Look and decide",
            Notice::Alarm { .. } => "Open approvals",
        };
        let text = format!("{}\n\n{label}: {link}\n", summary.text(TEXT_LIMIT));
        let html = Body {
            title: &summary.title,
            lines: &summary.lines,
            run_url: summary.run_url.as_deref(),
            link: &link,
            label,
        };
        let html = html.render().map_err(|error| unmade(&error))?;
        let domain = self.from.email.domain();
        let mut message = Message::builder()
            .from(self.from.clone())
            .date(SystemTime::from(self.clock.now()))
            .message_id(Some(format!("<{}@{domain}>", uuid::Uuid::now_v7())))
            .subject(summary.title.clone());
        for to in &self.to {
            message = message.to(to.clone());
        }
        message
            .multipart(MultiPart::alternative_plain_html(text, html))
            .map_err(|error| unmade(&error))
    }
}

#[async_trait]
impl Channel for Email {
    fn name(&self) -> &'static str {
        NAME
    }

    fn describe(&self) -> String {
        format!("mail to {} by {}", self.to.len(), self.place)
    }

    async fn send(&self, notice: &Notice, position: u8) -> Result<(), NotifyError> {
        let message = self.message(notice, position)?;
        // lettre's limit is one of each command; this one is of the whole conversation.
        let sent = tokio::time::timeout(CALL_LIMIT, self.transport.send(message)).await;
        match sent {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(_) => Err(NotifyError::Unreachable {
                channel: NAME,
                place: self.place.clone(),
                problem: "it took too long".to_owned(),
            }),
        }
    }
}

impl Email {
    fn failed(&self, error: &lettre::transport::smtp::Error) -> NotifyError {
        let place = self.place.clone();
        match error.status() {
            // RFC 5321, section 4.2.1: 4yz may pass, 5yz does not.
            Some(code) => NotifyError::Refused {
                channel: NAME,
                place,
                status: code.into(),
                answer: shorten(&visible(&causes(error)), 300),
                again: if error.is_transient() {
                    Again::Soon
                } else {
                    Again::Never
                },
            },
            None => NotifyError::Unreachable {
                channel: NAME,
                place,
                problem: causes(error),
            },
        }
    }
}

impl std::fmt::Debug for Email {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Email")
            .field("place", &self.place)
            .field("from", &self.from)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

/// The HTML alternative.
#[derive(askama::Template)]
#[template(path = "mail.html")]
struct Body<'a> {
    title: &'a str,
    lines: &'a [Line],
    run_url: Option<&'a str>,
    link: &'a str,
    label: &'a str,
}

fn transport(
    settings: &EmailSettings,
) -> Result<(AsyncSmtpTransport<Tokio1Executor>, String), NotifySetupError> {
    let url = Url::parse(&settings.server).map_err(|_| refuse("server", "is no URL"))?;
    let host = url.host_str().ok_or(refuse("server", "has no host"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse(
            "server",
            "has a user name or a password in it: set `username` and `password_file`",
        ));
    }
    let client = |error: lettre::transport::smtp::Error| NotifySetupError::Client {
        channel: NAME,
        problem: causes(&error),
    };
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let (builder, port) = match url.scheme() {
        "smtps" => (
            AsyncSmtpTransport::<Tokio1Executor>::relay(name).map_err(client)?,
            465,
        ),
        "smtp" if is_loopback(host) => (
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(name),
            25,
        ),
        "smtp" => (
            AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(name).map_err(client)?,
            587,
        ),
        _ => return Err(refuse("server", "is neither smtps:// nor smtp://")),
    };
    let port = url.port().unwrap_or(port);
    let mut builder = builder.port(port).timeout(Some(COMMAND_LIMIT));
    match (&settings.username, &settings.password) {
        (Some(name), Some(password)) => {
            let credentials = Credentials::new(name.clone(), password.expose_secret().to_owned());
            builder = builder.credentials(credentials);
        }
        (None, None) => {}
        _ => return Err(refuse("username", "and `password_file` go together")),
    }
    Ok((builder.build(), format!("{}://{host}:{port}", url.scheme())))
}

fn mailbox(field: &'static str, text: &str) -> Result<Mailbox, NotifySetupError> {
    text.parse()
        .map_err(|_| refuse(field, "has something in it that is no mail address"))
}

fn refuse(field: &'static str, problem: &'static str) -> NotifySetupError {
    NotifySetupError::Value {
        channel: NAME,
        field,
        problem,
    }
}

fn unmade(error: &dyn std::error::Error) -> NotifyError {
    NotifyError::Message {
        channel: NAME,
        problem: causes(error),
    }
}

const NAME: &str = "email";
const COMMAND_LIMIT: Duration = Duration::from_secs(10);
const CALL_LIMIT: Duration = Duration::from_secs(30);
const TEXT_LIMIT: usize = 16 * 1024;

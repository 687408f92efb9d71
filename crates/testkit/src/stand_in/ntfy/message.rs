//! A message, read as strictly as docs.ntfy.sh describes it.

use serde_json::{Map, Value};

use super::Refusal;

/// A message that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The id that it was given.
    pub id: String,
    /// `topic`
    pub topic: String,
    /// `title`
    pub title: Option<String>,
    /// `message`
    pub message: String,
    /// `tags`
    pub tags: Vec<String>,
    /// `priority`; 3 is the default.
    pub priority: u8,
    /// `click`
    pub click: Option<String>,
    /// `actions`
    pub actions: Vec<Action>,
    /// False after `Cache: no`: only phones that are connected get it.
    pub cache: bool,
    /// False after `Firebase: no`.
    pub firebase: bool,
    /// The bearer token that it was published with.
    pub token: Option<String>,
}

/// One button of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// `view` or `http`
    pub action: String,
    /// What stands on it.
    pub label: String,
    /// Where it leads.
    pub url: String,
    /// `http`: the method, `POST` by default.
    pub method: String,
    /// `http`: headers.
    pub headers: Vec<(String, String)>,
    /// `http`: the body.
    pub body: String,
    /// Whether the notification goes away after it.
    pub clear: bool,
}

type Object = Map<String, Value>;

/// What the headers of a request say. ntfy takes every parameter as a header too; here only these are known.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub(super) priority: Option<String>,
    pub(super) cache: Option<String>,
    pub(super) firebase: Option<String>,
    pub(super) token: Option<String>,
}

impl Message {
    /// Reads a document (docs.ntfy.sh, "Publish as JSON").
    pub(super) fn parse(body: &[u8], parameters: Parameters, id: String) -> Result<Self, Refusal> {
        let not_json = || bad(40017, "the request body must be message JSON");
        // ntfy's server reads at most twice the limit of a message.
        if body.len() > 2 * MESSAGE_LIMIT {
            return Err(refusal(413, 41303, "JSON body too large"));
        }
        let document: Value = serde_json::from_slice(body).map_err(|_| not_json())?;
        let document = document.as_object().ok_or_else(not_json)?;
        only(document, &FIELDS, "the message")?;
        let priority = match (document.get("priority"), &parameters.priority) {
            (Some(value), None) => priority(value.as_u64())?,
            (None, Some(text)) => priority(named(text).or_else(|| text.parse().ok()))?,
            (None, None) => 3,
            (Some(_), Some(_)) => return Err(bad(40007, "priority is there twice")),
        };
        let message = text(document, "message")?.unwrap_or_default();
        if message.is_empty() {
            return Err(bad(40017, "an empty message is shown as \"triggered\""));
        }
        // "Limitations": longer messages are treated as attachments.
        if message.len() > MESSAGE_LIMIT {
            return Err(bad(40014, "message of more than 4096 bytes: an attachment"));
        }
        if document
            .get("markdown")
            .is_some_and(|value| !value.is_boolean())
        {
            return Err(bad(40017, "markdown is no boolean"));
        }
        Ok(Self {
            id,
            topic: topic(document)?,
            title: text(document, "title")?,
            message,
            tags: tags(document)?,
            priority,
            click: text(document, "click")?.map(address).transpose()?,
            actions: actions(document)?,
            cache: flag(parameters.cache.as_deref(), "Cache")?,
            firebase: flag(parameters.firebase.as_deref(), "Firebase")?,
            token: parameters.token,
        })
    }
}

/// "Publish as JSON": letters, digits, `_`, `-`, at most 64; some names are the server's own.
fn topic(document: &Object) -> Result<String, Refusal> {
    let topic = text(document, "topic")?.unwrap_or_default();
    let plain = (1..=64).contains(&topic.len())
        && topic
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if !plain {
        return Err(bad(40009, "topic invalid"));
    }
    if [
        "docs", "static", "file", "app", "metrics", "account", "settings", "signup", "login", "v1",
    ]
    .contains(&topic.as_str())
    {
        return Err(bad(40010, "topic name is not allowed"));
    }
    Ok(topic)
}

/// "Message priority": 1 to 5.
fn priority(number: Option<u64>) -> Result<u8, Refusal> {
    number
        .filter(|number| (1..=5).contains(number))
        .and_then(|number| u8::try_from(number).ok())
        .ok_or_else(|| bad(40007, "priority invalid"))
}

/// "Message priority": the words that headers may use.
fn named(word: &str) -> Option<u64> {
    Some(match word {
        "min" => 1,
        "low" => 2,
        "default" => 3,
        "high" => 4,
        "max" | "urgent" => 5,
        _ => return None,
    })
}

/// "Tags & emojis": a list of texts.
fn tags(document: &Object) -> Result<Vec<String>, Refusal> {
    let refuse = || bad(40017, "tags are no list of texts");
    match document.get("tags") {
        None => Ok(Vec::new()),
        Some(value) => value
            .as_array()
            .ok_or_else(refuse)?
            .iter()
            .map(|tag| tag.as_str().map(str::to_owned).ok_or_else(refuse))
            .collect(),
    }
}

/// "Action buttons": up to three.
fn actions(document: &Object) -> Result<Vec<Action>, Refusal> {
    let refuse = || bad(40018, "actions invalid");
    let Some(value) = document.get("actions") else {
        return Ok(Vec::new());
    };
    let list = value.as_array().ok_or_else(refuse)?;
    if list.len() > 3 {
        return Err(bad(40018, "more than three actions"));
    }
    list.iter()
        .map(|value| action(value.as_object().ok_or_else(refuse)?))
        .collect()
}

fn action(fields: &Object) -> Result<Action, Refusal> {
    let kind = required(fields, "action")?;
    let known: &[&str] = match kind.as_str() {
        // "Open website/app"
        "view" => &["action", "label", "url", "clear"],
        // "Send HTTP request"
        "http" => &[
            "action", "label", "url", "method", "headers", "body", "clear",
        ],
        _ => return Err(bad(40018, "an action that is neither view nor http")),
    };
    only(fields, known, "an action")?;
    let method = text(fields, "method")?.unwrap_or_else(|| "POST".to_owned());
    if !["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"].contains(&method.as_str()) {
        return Err(bad(40018, "an action's method is unknown"));
    }
    let clear = match fields.get("clear") {
        None => false,
        Some(value) => value
            .as_bool()
            .ok_or_else(|| bad(40018, "clear is no boolean"))?,
    };
    Ok(Action {
        action: kind,
        label: required(fields, "label")?,
        url: address(required(fields, "url")?)?,
        method,
        headers: headers(fields)?,
        body: text(fields, "body")?.unwrap_or_default(),
        clear,
    })
}

fn headers(fields: &Object) -> Result<Vec<(String, String)>, Refusal> {
    let refuse = || bad(40018, "an action's headers are no texts");
    let Some(value) = fields.get("headers") else {
        return Ok(Vec::new());
    };
    let pairs = value.as_object().ok_or_else(refuse)?.iter();
    pairs
        .map(|(name, value)| {
            let value = value.as_str().ok_or_else(refuse)?;
            Ok((name.clone(), value.to_owned()))
        })
        .collect()
}

/// Buttons and taps of our messages lead to web pages; ntfy also knows `mailto:`, `geo:` and others.
fn address(url: String) -> Result<String, Refusal> {
    let web = url.starts_with("https://") || url.starts_with("http://");
    if web && url.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(url)
    } else {
        Err(bad(40018, "an address that is no web address"))
    }
}

/// "Message caching", "Disable Firebase": `no`, or nothing.
fn flag(value: Option<&str>, name: &str) -> Result<bool, Refusal> {
    match value {
        None | Some("yes" | "1" | "true") => Ok(true),
        Some("no" | "0" | "false") => Ok(false),
        Some(_) => Err(bad(40000, &format!("{name} is neither yes nor no"))),
    }
}

fn required(fields: &Object, name: &str) -> Result<String, Refusal> {
    text(fields, name)?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| bad(40018, &format!("an action without {name}")))
}

fn text(fields: &Object, name: &str) -> Result<Option<String>, Refusal> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(bad(40017, &format!("{name} is no text"))),
    }
}

fn only(fields: &Object, known: &[&str], what: &str) -> Result<(), Refusal> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(bad(40017, &format!("{what} has an unknown field {name}"))),
        None => Ok(()),
    }
}

fn bad(code: u32, error: &str) -> Refusal {
    refusal(400, code, error)
}

pub(super) fn refusal(status: u16, code: u32, error: &str) -> Refusal {
    Refusal {
        status,
        code,
        error: error.to_owned(),
    }
}

/// "Limitations".
const MESSAGE_LIMIT: usize = 4096;
/// "Publish as JSON".
const FIELDS: [&str; 14] = [
    "topic", "message", "title", "tags", "priority", "actions", "click", "attach", "markdown",
    "icon", "filename", "delay", "email", "call",
];

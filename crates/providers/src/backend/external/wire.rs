//! The lines on stdin and stdout.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_core::{Length, SecretBytes, SecretString};
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{ErrorKind, ProviderError};
use crate::process::complaint;
use crate::settings::{Opt, Options};
use crate::wiped::Wiped;

/// The version of the protocol.
const PROTOCOL: u32 = 1;

/// What fnox tells about itself.
#[derive(Debug)]
pub(super) struct Hello<'a> {
    pub(super) provider: &'a str,
    pub(super) profile: &'a str,
    pub(super) project: Option<&'a str>,
}

/// One value that is wanted or given.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) id: usize,
    pub(super) name: &'a str,
    pub(super) reference: Option<&'a str>,
    pub(super) value: Option<&'a SecretString>,
}

/// The one request of a process.
#[derive(Debug)]
pub(super) enum Request<'a> {
    Get {
        items: Vec<Item<'a>>,
    },
    Put {
        reference: &'a str,
        value: &'a SecretString,
    },
    Delete {
        reference: &'a str,
    },
    Encrypt {
        items: Vec<Item<'a>>,
    },
    Test,
}

/// What a program can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Can {
    Get,
    Put,
    Delete,
    Encrypt,
    Test,
}

impl Can {
    fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Encrypt => "encrypt",
            Self::Test => "test",
        }
    }
}

/// How a program broke the protocol. Never with anything that it sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Breach(pub(super) String);

impl fmt::Display for Breach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Both lines, as they go to the program. The buffer is large enough not to grow, so that no copy stays behind.
pub(super) fn written(
    hello: &Hello<'_>,
    request: &Request<'_>,
    options: &Options,
    time_limit: Duration,
) -> Result<SecretString, serde_json::Error> {
    let line = Line {
        request,
        options,
        time_limit,
    };
    let mut counted = Length::default();
    serde_json::to_writer(&mut counted, &line)?;
    let mut out = Zeroizing::new(Vec::with_capacity(counted.bytes() + 1024));
    serde_json::to_writer(
        &mut *out,
        &serde_json::json!({
            "type": "hello",
            "protocol": PROTOCOL,
            "fnox": env!("CARGO_PKG_VERSION"),
            "provider": hello.provider,
            "profile": hello.profile,
            "project": hello.project,
        }),
    )?;
    out.push(b'\n');
    serde_json::to_writer(&mut *out, &line)?;
    out.push(b'\n');
    // invariant: JSON is UTF-8.
    let text = std::str::from_utf8(&out).unwrap_or_default();
    Ok(SecretString::from(text))
}

struct Line<'a> {
    request: &'a Request<'a>,
    options: &'a Options,
    time_limit: Duration,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let word = match self.request {
            Request::Get { .. } => "get",
            Request::Put { .. } => "put",
            Request::Delete { .. } => "delete",
            Request::Encrypt { .. } => "encrypt",
            Request::Test => "test",
        };
        map.serialize_entry("type", word)?;
        map.serialize_entry("time_limit_seconds", &self.time_limit.as_secs())?;
        map.serialize_entry("options", &OptionsLine(self.options))?;
        match self.request {
            Request::Get { items } | Request::Encrypt { items } => {
                map.serialize_entry("items", items)?;
            }
            Request::Put { reference, value } => {
                map.serialize_entry("reference", reference)?;
                map.serialize_entry("value", encoded(value).as_str())?;
            }
            Request::Delete { reference } => map.serialize_entry("reference", reference)?,
            Request::Test => {}
        }
        map.end()
    }
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("name", self.name)?;
        if let Some(reference) = self.reference {
            map.serialize_entry("reference", reference)?;
        }
        if let Some(value) = self.value {
            map.serialize_entry("value", encoded(value).as_str())?;
        }
        map.end()
    }
}

struct OptionsLine<'a>(&'a Options);

impl Serialize for OptionsLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, option) in self.0 {
            match option {
                Opt::Text { value, .. } => map.serialize_entry(name, value.expose_secret())?,
                Opt::Flag(flag) => map.serialize_entry(name, flag)?,
                Opt::Number(number) => map.serialize_entry(name, number)?,
            }
        }
        map.end()
    }
}

fn encoded(value: &SecretString) -> Zeroizing<String> {
    let bytes = value.expose_secret().as_bytes();
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() / 3 * 4 + 4));
    STANDARD.encode_string(bytes, &mut text);
    text
}

/// What a program tells about itself.
#[derive(Debug, Deserialize)]
pub(super) struct Greeting {
    #[serde(rename = "type")]
    kind: String,
    protocol: u32,
    #[serde(default)]
    capabilities: Vec<String>,
}

impl Greeting {
    /// Whether fnox and the program understand each other, and it can do what is wanted.
    pub(super) fn check(&self, program: &str, needed: Can) -> Result<(), ProviderError> {
        if self.protocol != PROTOCOL {
            return Err(ProviderError::misconfigured(format!(
                "`{program}` speaks version {} of the protocol, and this fnox speaks version {PROTOCOL}",
                self.protocol
            ))
            .with_remedy("install a release of it that fits this fnox"));
        }
        let word = needed.word();
        if self.capabilities.iter().any(|one| one == word) {
            return Ok(());
        }
        let error = ProviderError::misconfigured(format!("`{program}` cannot `{word}`"));
        let other = |word: &str| self.capabilities.iter().any(|one| one == word);
        Err(match needed {
            Can::Put if other("encrypt") => {
                error.with_remedy("it encrypts: say `capability = \"encrypt\"`")
            }
            Can::Put | Can::Encrypt => {
                error.with_remedy("if it only reads, say `capability = \"read\"`: then `fnox set` takes the reference")
            }
            _ => error,
        })
    }
}

/// Why there is no value, in a program's words.
#[derive(Debug, Deserialize)]
struct Failure {
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    remedy: Option<String>,
}

impl Failure {
    fn error(&self, secrets: &[&SecretString]) -> ProviderError {
        let kind = match self.kind.as_str() {
            "not_found" => ErrorKind::NotFound,
            "authentication" => ErrorKind::AuthenticationNeeded,
            "denied" => ErrorKind::Denied,
            "invalid" => ErrorKind::Misconfigured,
            _ => ErrorKind::Unavailable,
        };
        let error = ProviderError::new(kind, complaint(&self.message, secrets));
        match self.remedy.as_deref().map(str::trim) {
            Some(remedy) if !remedy.is_empty() => error.with_remedy(complaint(remedy, secrets)),
            _ => error,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Slot {
    id: usize,
    #[serde(default)]
    value: Option<Wiped>,
    #[serde(default)]
    error: Option<Failure>,
}

/// A program's answer to its one request.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    values: Vec<Slot>,
    #[serde(default)]
    reference: Option<String>,
    #[serde(default)]
    error: Option<Failure>,
}

impl Answer {
    /// The failure of the whole request, if that is the answer.
    pub(super) fn error(&self, secrets: &[&SecretString]) -> Option<ProviderError> {
        let failure = self.error.as_ref().filter(|_| self.kind == "error")?;
        Some(failure.error(secrets))
    }

    /// One answer for each reference.
    pub(super) fn values(
        self,
        references: &[&str],
        secrets: &[&SecretString],
    ) -> Result<Vec<Result<SecretString, ProviderError>>, Breach> {
        let mut values = self.by_id("values", references.len())?;
        let mut out = Vec::with_capacity(references.len());
        for (id, reference) in references.iter().enumerate() {
            let value = values.remove(&id).ok_or_else(|| missing(id))?;
            out.push(match (value.value, value.error) {
                (Some(value), None) => decoded(&value.0, reference)?,
                (None, Some(failure))
                    if failure.kind == "not_found" && failure.message.is_empty() =>
                {
                    Err(ProviderError::not_found(reference))
                }
                (None, Some(failure)) => Err(failure.error(secrets)),
                _ => {
                    return Err(Breach(format!(
                        "the answer to {id} has not one of `value` and `error`"
                    )));
                }
            });
        }
        Ok(out)
    }

    /// One ciphertext for each value.
    pub(super) fn encrypted(self, count: usize) -> Result<Vec<String>, Breach> {
        let values = self.by_id("encrypted", count)?;
        let texts = values.into_iter().map(|(id, value)| {
            let text = value.value.filter(|text| !text.0.is_empty());
            text.map(|text| text.0.expose_secret().to_owned())
                .ok_or_else(|| Breach(format!("the answer to {id} has no `value`")))
        });
        texts.collect()
    }

    /// The reference under which a value is stored.
    pub(super) fn stored(self) -> Result<String, Breach> {
        self.expect("stored")?;
        let reference = self.reference.filter(|reference| !reference.is_empty());
        reference.ok_or_else(|| Breach("`stored` has no `reference`".to_owned()))
    }

    pub(super) fn done(self) -> Result<(), Breach> {
        self.expect("done")
    }

    /// Exactly the ids that were asked for, each once.
    fn by_id(self, kind: &str, count: usize) -> Result<BTreeMap<usize, Slot>, Breach> {
        self.expect(kind)?;
        let mut values = BTreeMap::new();
        for value in self.values {
            let id = value.id;
            if id >= count {
                return Err(Breach(format!("it answers {id}, which was not asked for")));
            }
            if values.insert(id, value).is_some() {
                return Err(Breach(format!("it answers {id} twice")));
            }
        }
        match (0..count).find(|id| !values.contains_key(id)) {
            Some(id) => Err(missing(id)),
            None => Ok(values),
        }
    }

    fn expect(&self, kind: &str) -> Result<(), Breach> {
        if self.kind == kind {
            return Ok(());
        }
        Err(Breach(format!("its answer is not of the type `{kind}`")))
    }
}

fn missing(id: usize) -> Breach {
    Breach(format!("it does not answer {id}"))
}

/// The value to the byte. One that is no text cannot be a secret's.
fn decoded(
    text: &SecretString,
    reference: &str,
) -> Result<Result<SecretString, ProviderError>, Breach> {
    let bytes = STANDARD
        .decode(text.expose_secret())
        .map_err(|_| Breach("a value is not base64".to_owned()))?;
    Ok(SecretBytes::new(bytes).into_string().map_err(|_| {
        ProviderError::misconfigured(format!(
            "the value under `{}` is not UTF-8 text",
            reference.escape_debug()
        ))
    }))
}

/// The two lines of a program. The second may be missing if it cannot go on.
pub(super) fn read(stdout: &SecretBytes) -> Result<(Greeting, Option<Answer>), Breach> {
    let mut lines = stdout
        .expose_secret()
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.iter().all(u8::is_ascii_whitespace));
    let first = lines
        .next()
        .ok_or_else(|| Breach("it printed nothing".to_owned()))?;
    // serde_json's message would quote what the program sent; its position does not.
    let greeting: Greeting = serde_json::from_slice(first).map_err(|error| {
        Breach(format!(
            "its first line is not the hello (column {})",
            error.column()
        ))
    })?;
    if greeting.kind != "hello" {
        return Err(Breach("its first line is not the hello".to_owned()));
    }
    if greeting.protocol != PROTOCOL {
        return Ok((greeting, None));
    }
    let answer = match lines.next() {
        None => None,
        Some(line) => Some(serde_json::from_slice(line).map_err(|error| {
            Breach(format!(
                "its second line is no answer (column {})",
                error.column()
            ))
        })?),
    };
    match lines.next() {
        None => Ok((greeting, answer)),
        Some(_) => Err(Breach("it printed more than two lines".to_owned())),
    }
}

#[cfg(test)]
mod tests;

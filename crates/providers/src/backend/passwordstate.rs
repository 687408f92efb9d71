//! `passwordstate`: fields of passwords in one list of Passwordstate, over its API.
//!
//! A reference is a password's id or its title, and perhaps a field behind a slash. A title must be the whole one: a search finds
//! more than what was meant, and what stands first is nobody's choice. Each password is asked for once in a batch.
//!
//! The key is `api_key`, else `FNOX_PASSWORDSTATE_API_KEY`, else `PASSWORDSTATE_API_KEY`. Facts are from Click Studios' "Passwordstate
//! API" (Authentication, Retrieving a Password, Searching for Passwords, Retrieving a Password List, Errors).

mod reference;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use fnox_core::SecretString;
use fnox_http::header::HeaderName;
use fnox_http::{Answer, Call, Service, Tls, Url, address, below};
use futures_util::StreamExt as _;
use futures_util::stream;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use self::reference::{Field, Reference, Which};
use super::rest;
use crate::error::{ErrorKind, ProviderError};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;
use crate::wiped::Wiped;

/// How many passwords are read at once.
const CONCURRENT: usize = 8;

const KEYS: [&str; 2] = ["FNOX_PASSWORDSTATE_API_KEY", "PASSWORDSTATE_API_KEY"];

/// Opens a provider of this type. Nothing is contacted yet.
///
/// # Errors
/// `Misconfigured` if address, list or certificates cannot be used, `AuthenticationNeeded` if there is no key.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let base = address::of_key("base_url", settings.required("base_url")?)?;
    let list = settings.required("password_list_id")?;
    if list.is_empty() || !list.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ProviderError::misconfigured(format!(
            "`password_list_id` is not the number of a list: {}",
            list.escape_debug()
        ))
        .at_key("password_list_id"));
    }
    let key = rest::credential(settings, "api_key", &context.env, &KEYS).ok_or_else(|| {
        ProviderError::authentication("there is no API key for Passwordstate")
            .with_remedy("set PASSWORDSTATE_API_KEY, or `api_key = { secret = \"NAME\" }`")
    })?;
    let mut service = service(settings, context, &base)?;
    service.hide(&key);
    Ok(Box::new(Passwordstate {
        service,
        base,
        list: list.to_owned(),
        key,
    }))
}

fn service(settings: &Settings, context: &Context, base: &Url) -> Result<Service, ProviderError> {
    const NAME: &str = "Passwordstate";
    let is_unchecked = match settings.text("verify_ssl") {
        None | Some("true") => false,
        Some("false") => true,
        Some(other) => {
            return Err(ProviderError::misconfigured(format!(
                "`verify_ssl` is `true` or `false`, and not `{}`",
                other.escape_debug()
            ))
            .at_key("verify_ssl"));
        }
    };
    if !is_unchecked {
        let file = settings.path("ca_file");
        return rest::service(NAME, context, file.as_deref());
    }
    if !address::is_loopback(base) {
        return Err(ProviderError::misconfigured(
            "`verify_ssl = \"false\"` would send the API key to whoever pretends to be the server",
        )
        .with_remedy("name the server's certificate, or that of its authority, in PEM: `ca_file = \"passwordstate.pem\"`")
        .at_key("verify_ssl"));
    }
    let tls = Tls {
        is_unchecked_if_local: true,
        ..Tls::default()
    };
    Ok(Service::with_tls(NAME, rest::limits(context), &tls)?)
}

struct Passwordstate {
    service: Service,
    base: Url,
    list: String,
    key: SecretString,
}

impl fmt::Debug for Passwordstate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Passwordstate")
            .field("list", &self.list)
            .finish_non_exhaustive()
    }
}

/// A password with the fields that can be asked for.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Password {
    title: Option<String>,
    #[serde(rename = "Password")]
    value: Option<Wiped>,
    user_name: Option<Wiped>,
    #[serde(rename = "URL")]
    url: Option<Wiped>,
    description: Option<Wiped>,
    notes: Option<Wiped>,
}

type Read = Result<Password, ProviderError>;

#[async_trait]
impl Provider for Passwordstate {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        let references: Vec<_> = requests
            .iter()
            .map(|request| Reference::parse(&request.reference))
            .collect();
        let mut different: Vec<&Which> = references.iter().flatten().map(|it| &it.which).collect();
        different.sort_unstable();
        different.dedup();
        let service = self.service.restarted();
        let reads: Vec<_> = different
            .iter()
            .map(|which| self.read(&service, which))
            .collect();
        let read: Vec<Read> = stream::iter(reads).buffered(CONCURRENT).collect().await;
        let read: BTreeMap<&Which, Read> = different.into_iter().zip(read).collect();
        requests
            .iter()
            .zip(&references)
            .map(|(request, reference)| {
                let reference = reference.as_ref().map_err(Clone::clone)?;
                match read.get(&reference.which) {
                    Some(Ok(password)) => password
                        .field(reference.field)
                        .ok_or_else(|| ProviderError::not_found(&request.reference)),
                    Some(Err(error)) => Err(error.clone()),
                    None => Err(ProviderError::not_found(&request.reference)),
                }
            })
            .collect()
    }

    /// Reads what the list is called: that shows no password, and is not written down as if it did.
    async fn check(&self) -> Result<(), ProviderError> {
        let service = self.service.restarted();
        let path = ["passwordlists", self.list.as_str()];
        let answer = self.call(&service, &path, &[]).await?;
        match self.read_answer::<IgnoredAny>(&service, &answer) {
            Err(error) if error.kind == ErrorKind::NotFound => {
                Err(ProviderError::misconfigured(error.message).at_key("password_list_id"))
            }
            answer => answer.map(drop),
        }
    }
}

impl Passwordstate {
    async fn read(&self, service: &Service, which: &Which) -> Read {
        let (path, query, title) = match which {
            Which::Id(id) => (["passwords", id], vec![], None),
            Which::Title(title) => (
                ["searchpasswords", self.list.as_str()],
                vec![("Title", title.as_str())],
                Some(title.as_str()),
            ),
        };
        let answer = self.call(service, &path, &query).await?;
        let mut found: Vec<Password> = match self.read_answer(service, &answer) {
            Err(error) if error.kind == ErrorKind::NotFound => Vec::new(),
            found => found?,
        };
        let count = found.len();
        found.retain(|password| title.is_none() || password.title.as_deref() == title);
        let first = found.pop();
        match (first, found.is_empty()) {
            (Some(password), true) => Ok(password),
            (Some(_), false) => Err(ProviderError::misconfigured(format!(
                "{} passwords have the {which}",
                found.len() + 1
            ))
            .with_remedy("name the one that is meant by its id (`PasswordID`)")),
            (None, _) => {
                let error = ProviderError::new(
                    ErrorKind::NotFound,
                    format!("there is no password with the {which}"),
                );
                Err(if count == 0 {
                    error
                } else {
                    error.with_remedy("others have a title that begins or ends otherwise: write the whole title, or the id")
                })
            }
        }
    }

    async fn call(
        &self,
        service: &Service,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Answer, ProviderError> {
        let path: Vec<&str> = std::iter::once("api").chain(path.iter().copied()).collect();
        let mut call = Call::get(below(&self.base, &path))
            .secret_header(HeaderName::from_static("apikey"), &self.key)?;
        for (name, value) in query {
            call = call.query(name, value);
        }
        Ok(service.send(call).await?)
    }

    fn read_answer<T: DeserializeOwned>(
        &self,
        service: &Service,
        answer: &Answer,
    ) -> Result<T, ProviderError> {
        if answer.is_success() {
            return Ok(answer.json(service)?);
        }
        let error = ProviderError::from(answer.refusal_saying(service, said(answer)));
        let list = &self.list;
        Err(match answer.status() {
            401 => {
                error.with_remedy("set PASSWORDSTATE_API_KEY to the list's key, or a system-wide one")
            }
            403 => error.with_remedy(format!(
                "is the key that of the list {list}, and may it be used for reading and from this address?"
            )),
            404 => ProviderError::new(ErrorKind::NotFound, error.message),
            _ => error,
        })
    }
}

impl Password {
    fn field(&self, field: Field) -> Option<SecretString> {
        let value = match field {
            Field::Title => return self.title.as_deref().map(SecretString::from),
            Field::Password => &self.value,
            Field::UserName => &self.user_name,
            Field::Url => &self.url,
            Field::Description => &self.description,
            Field::Notes => &self.notes,
        };
        value.as_ref().map(|Wiped(value)| value.clone())
    }
}

/// `[{"errors": [{"message": "…"}, {"phrase": "…"}]}]`
fn said(answer: &Answer) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    let errors = body[0]["errors"].as_array()?;
    let text = |key: &str| errors.iter().find_map(|error| error[key].as_str());
    match (text("message"), text("phrase")) {
        (Some(message), Some(phrase)) => Some(format!("{message}: {phrase}")),
        (message, phrase) => phrase.or(message).map(str::to_owned),
    }
}

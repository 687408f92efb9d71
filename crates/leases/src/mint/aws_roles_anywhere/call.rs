//! `CreateSession`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fnox_core::{Credential, SecretString};
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderName};
use serde::{Deserialize, Serialize};

use super::certificate::Certificate;
use super::key::Key;
use super::settings::{self, Settings};
use super::sign::{self, Signed};
use crate::issuer::{self, Answer, Call, Issuer, below};
use crate::ledger::random_hex;
use crate::mint::aws_sts::PRODUCES;
use crate::mint::{CreateRequest, MintContext, MintError, MintErrorKind, PlannedCall};
use crate::wiped::Wiped;

/// How far a clock may be off before AWS refuses a signature (IAM User Guide, "Troubleshoot Signature Version 4").
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The body, "Request Body" of the API's page.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    duration_seconds: u64,
    profile_arn: &'a str,
    role_arn: &'a str,
    trust_anchor_arn: &'a str,
    /// Only for profiles that accept one.
    #[serde(skip_serializing_if = "Option::is_none")]
    role_session_name: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    credential_set: Vec<Member>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    assumed_role_user: Option<User>,
    credentials: Issued,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    assumed_role_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    access_key_id: Wiped,
    secret_access_key: Wiped,
    session_token: Wiped,
    expiration: String,
}

/// Creates a session.
pub(super) async fn create(
    settings: &Settings,
    context: &MintContext,
    request: &CreateRequest,
) -> Result<Credential, MintError> {
    let (certificate, key) = masters(settings, context)?;
    let url = below(&settings.address(&context.env)?, &["sessions"]);
    let body = serde_json::to_vec(&Asked {
        duration_seconds: request.duration.as_secs(),
        profile_arn: &settings.profile_arn,
        role_arn: &settings.role_arn,
        trust_anchor_arn: &settings.trust_anchor_arn,
        role_session_name: settings.session_name.as_deref(),
    })
    .map_err(|error| MintError::unavailable(format!("the request cannot be written: {error}")))?;
    let ca_file = context.env.var("AWS_CA_BUNDLE").map(std::path::Path::new);
    let issuer = issuer::open("IAM Roles Anywhere", context, ca_file)?;
    let call = signed(settings, context, &certificate, &key, (url, body))?;
    let answer = issuer.send(call).await?;
    if !answer.is_success() {
        return Err(refusal(&answer, &issuer, settings, &certificate, context));
    }
    let answered: Answered = answer.json(&issuer)?;
    credential(answered, context, request)
}

/// The certificate and its key, after everything that can be seen to be wrong with them.
fn masters(settings: &Settings, context: &MintContext) -> Result<(Certificate, Key), MintError> {
    let env = &context.env;
    let text = settings.certificate.read(env, "the certificate")?;
    let chain = match &settings.chain_file {
        Some(path) => Some(settings::read(path, "the chain of certificates")?),
        None => None,
    };
    let name = format!("the certificate in {}", settings.certificate.describe());
    let chain = chain.as_ref().map(|text| text.as_str());
    let certificate = Certificate::from_pem(&text, chain, &name)?;
    let text = settings.key.read(env, "the private key")?;
    let name = format!("the private key in {}", settings.key.describe());
    let key = Key::from_pem(&text, &name)?;
    if !key.is_of(&certificate.public_key) {
        return Err(MintError::authentication(format!(
            "{name} is not that of the certificate {} in {}",
            certificate.serial,
            settings.certificate.describe()
        ))
        .with_remedy("name a certificate and a key that belong together"));
    }
    certificate.check_time(context.clock.now())?;
    Ok((certificate, key))
}

fn signed(
    settings: &Settings,
    context: &MintContext,
    certificate: &Certificate,
    key: &Key,
    (url, body): (Url, Vec<u8>),
) -> Result<Call, MintError> {
    let now = context.clock.now();
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("host", host(&url)),
        ("x-amz-date", sign::date(now)),
        ("x-amz-x509", STANDARD.encode(&certificate.der)),
    ];
    if !certificate.chain.is_empty() {
        let chain: Vec<String> = certificate
            .chain
            .iter()
            .map(|der| STANDARD.encode(der))
            .collect();
        headers.push(("x-amz-x509-chain", chain.join(",")));
    }
    let path = url.path().to_owned();
    let authorization = sign::authorization(
        key,
        &certificate.serial,
        &settings.region,
        now,
        &Signed {
            path: &path,
            headers: &headers,
            body: &body,
        },
    )?;
    let mut call = Call::post(url).changes();
    for (name, value) in &headers {
        call = match *name {
            // The HTTP client makes the same of the URL (RFC 9112 section 3.2).
            "host" => call,
            "content-type" => call.header(CONTENT_TYPE, value)?,
            name => call.header(HeaderName::from_static(name), value)?,
        };
    }
    Ok(call.header(AUTHORIZATION, &authorization)?.body(body))
}

/// The host with its port, unless that is the scheme's own.
fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}

fn credential(
    answered: Answered,
    context: &MintContext,
    request: &CreateRequest,
) -> Result<Credential, MintError> {
    let incomplete = || {
        MintError::unavailable("IAM Roles Anywhere answered without a complete credential")
            .maybe_issued()
    };
    let member = answered.credential_set.into_iter().next();
    let member = member.ok_or_else(incomplete)?;
    let issued = member.credentials;
    let expires_at: Timestamp = issued.expiration.parse().map_err(|_| incomplete())?;
    let now = context.clock.now();
    if expires_at <= now {
        return Err(MintError::unavailable(format!(
            "IAM Roles Anywhere answered with a session that expired at {expires_at}, and it is {now}"
        ))
        .with_remedy("is this machine's clock right?"));
    }
    let values = [
        issued.access_key_id,
        issued.secret_access_key,
        issued.session_token,
    ];
    if values.iter().any(|value| value.0.is_empty()) {
        return Err(incomplete());
    }
    let role = member
        .assumed_role_user
        .and_then(|user| user.assumed_role_id)
        .filter(|id| !id.is_empty());
    Ok(Credential {
        variables: PRODUCES
            .into_iter()
            .zip(values)
            .map(|(name, value)| (name.to_owned(), value.0))
            .collect::<Vec<(String, SecretString)>>(),
        expires_at: Some(expires_at),
        id: match role {
            Some(role) => format!("{role}-{}", random_hex()),
            None => request.provisional_id.clone(),
        },
        private: Vec::new(),
    })
}

/// Says with what it was asked, and whether the clock is the reason.
fn refusal(
    answer: &Answer,
    issuer: &Issuer,
    settings: &Settings,
    certificate: &Certificate,
    context: &MintContext,
) -> MintError {
    let error = answer.refusal(issuer);
    let message = format!(
        "{}; asked with the certificate {} for the role {} by the profile {} and the trust anchor {}",
        error.message,
        certificate.serial,
        settings.role_arn,
        settings.profile_arn,
        settings.trust_anchor_arn
    );
    let error = MintError { message, ..error };
    if let Some(remedy) = clock_remedy(answer, context.clock.now()) {
        return error.with_remedy(remedy);
    }
    match error.kind {
        MintErrorKind::Denied | MintErrorKind::AuthenticationNeeded => error.with_remedy(
            "the certificate must lead to the trust anchor and not be revoked; trust anchor and profile must be enabled; \
             the profile must name the role, and the role's trust policy must allow rolesanywhere.amazonaws.com \
             sts:AssumeRole, sts:TagSession and sts:SetSourceIdentity",
        ),
        _ => error.with_remedy(
            "if it is about the session's name, the profile does not accept one: remove `session_name`",
        ),
    }
}

/// What to do about this machine's clock, if AWS says that it is wrong: with its words, or by the time of its answer.
fn clock_remedy(answer: &Answer, now: Timestamp) -> Option<String> {
    let said = answer.said().filter(|said| tells_of_clock(said));
    let theirs = date_of(answer).or_else(|| said.as_deref().and_then(time_in));
    let off = theirs.map(|theirs| now.duration_since(theirs).abs());
    match off.filter(|off| *off > SKEW) {
        Some(off) => Some(format!(
            "set this machine's clock: it is {} minutes off that of AWS, which allows 5",
            off.as_mins()
        )),
        None => said.map(|_| {
            "set this machine's clock: AWS says that the request's time is not its own, and allows 5 minutes".to_owned()
        }),
    }
}

/// Whether it is what AWS says of a signature that is too old or too new (IAM User Guide, "Troubleshoot Signature Version
/// 4 signing for AWS API requests"; `RequestTimeTooSkewed` is that of some services).
fn tells_of_clock(said: &str) -> bool {
    [
        "Signature expired",
        "Signature not yet current",
        "RequestTimeTooSkewed",
    ]
    .iter()
    .any(|words| said.contains(words))
}

/// AWS's own time as these messages have it: `… (20240522T121019Z - 5 min.)`.
fn time_in(said: &str) -> Option<Timestamp> {
    let (_, rest) = said.rsplit_once('(')?;
    let (time, _) = rest.split_once(' ')?;
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// The time of an answer (RFC 9110 section 6.6.1). What is between fnox and AWS may drop it.
fn date_of(answer: &Answer) -> Option<Timestamp> {
    let date = answer.headers.get(DATE)?.to_str().ok()?;
    Some(jiff::fmt::rfc2822::parse(date).ok()?.timestamp())
}

/// The call that [`create`] would make.
pub(super) fn explain(
    settings: &Settings,
    context: &MintContext,
    request: &CreateRequest,
) -> Vec<PlannedCall> {
    let target = settings.address(&context.env).map_or_else(
        |error| error.message,
        |url| below(&url, &["sessions"]).to_string(),
    );
    let mut details = vec![
        ("role_arn", settings.role_arn.clone()),
        ("profile_arn", settings.profile_arn.clone()),
        ("trust_anchor_arn", settings.trust_anchor_arn.clone()),
        ("duration_seconds", request.duration.as_secs().to_string()),
        ("certificate", settings.certificate.describe()),
    ];
    let name = settings.session_name.clone();
    details.extend(name.map(|name| ("role_session_name", name)));
    vec![PlannedCall {
        action: "rolesanywhere:CreateSession".to_owned(),
        target,
        purpose: "start a session of the role".to_owned(),
        master: format!("the private key in {}", settings.key.describe()),
        details: details
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }]
}

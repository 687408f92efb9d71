//! Credentials on their way into one request.

use std::sync::Arc;

use bytes::Bytes;
use fnox_core::{Host, SecretString};
use http::header::EXPECT;
use hyper::body::Incoming;
use memchr::memmem;
use zeroize::Zeroizing;

use super::ending::Ended;
use super::trace::Used;
use super::upstreams::ClientIdentity;
use super::uses::Taken;
use super::{Client, Shared};
use crate::body::{Body, BrokenOff, full, limited, of_client, read_whole, watched};
use crate::injection::{self, Planned, aws, hmac, jwt};
use crate::placeholder::Placeholders;
use crate::policy::Permit;
use crate::reflection::{SHORTEST_VALUE, accept_scannable};
use crate::refusal::Refusal;
use crate::request::CanonicalRequest;
use crate::rule::{CredentialRef, Rule};

/// Most bytes of a body that a credential may go into: it is read whole.
const READ_WHOLE: u64 = 1024 * 1024;

/// The same where the whole body is signed: what the largest AWS request of a service other than S3 has.
const SIGN_WHOLE: u64 = 16 * 1024 * 1024;

/// A request's body: as it arrives, or read.
pub(super) struct Sent {
    stream: Option<Incoming>,
    whole: Option<Zeroizing<Vec<u8>>>,
}

impl Sent {
    pub(super) fn new(stream: Incoming) -> Self {
        Self {
            stream: Some(stream),
            whole: None,
        }
    }

    /// Reads it, unless somebody has.
    ///
    /// # Errors
    /// [`Reason::TooLarge`](crate::Reason::TooLarge) for more bytes than these.
    pub(super) async fn read(&mut self, most: u64) -> Result<&[u8], Refusal> {
        if let Some(stream) = self.stream.take() {
            self.whole = Some(read_whole(stream, most).await?);
        }
        Ok(self.whole.as_deref().map_or(&[], Vec::as_slice))
    }

    /// What of it nobody has read.
    pub(super) fn unread(self) -> Option<Incoming> {
        self.stream
    }
}

/// What is left to do with a request whose credentials are in.
pub(super) struct Filled {
    /// The uses that it takes.
    pub(super) taken: Taken,
    pub(super) body: Body,
    pub(super) broken_off: BrokenOff,
    /// The ends of the rights that it was filled by.
    pub(super) ends: Vec<Ended>,
    /// Whom TLS presents to the destination.
    pub(super) identity: Option<ClientIdentity>,
}

/// Puts the credentials into a request, and notes their rules in `used`.
pub(super) async fn fill(
    shared: &Shared,
    client: &Client,
    request: &mut CanonicalRequest,
    body: &mut Sent,
    permit: &Permit<'_>,
    used: &mut Used,
) -> Result<Filled, Refusal> {
    let placeholders = shared.placeholders.current();
    let planned = injection::plan(request, permit, &placeholders, &client.agent)?;
    let (in_body, in_head): (Vec<_>, Vec<_>) = planned
        .into_iter()
        .partition(|one| one.rule().injection.is_in_body());
    let (signatures, in_head): (Vec<_>, Vec<_>) = in_head
        .into_iter()
        .partition(|one| one.rule().injection.is_made_of_the_request());
    let is_signed = signatures
        .iter()
        .any(|one| one.rule().injection.signs_body(request));
    let most = match (is_signed, in_body.is_empty()) {
        (true, _) => Some(SIGN_WHOLE),
        (false, false) => Some(READ_WHOLE),
        (false, true) => None,
    };
    if let Some(most) = most {
        body.read(permit.body_limit().unwrap_or(most).min(most))
            .await?;
    }
    let mut content = body.whole.take();
    let in_body: Vec<Planned<'_>> = in_body
        .into_iter()
        .filter(|one| holds(content.as_deref(), one))
        .collect();
    // A request without a credential spends no use of a rule, but counts where the rule is all that lets it out.
    let mut spent: Vec<&Rule> = in_head
        .iter()
        .chain(&in_body)
        .chain(&signatures)
        .map(Planned::rule)
        .collect();
    let mut ends = permit.ends(&spent);
    if let Some(refusal) = ends.iter().find_map(Ended::refusal) {
        return Err(refusal);
    }
    if spent.is_empty() {
        spent = permit.rules().to_vec();
    }
    let taken = shared.uses.take(&spent)?;
    let identity = fill_head(shared, client, request, &in_head, (&mut *used, &mut ends)).await?;
    if let Some(whole) = &mut content
        && !in_body.is_empty()
    {
        fill_body(
            shared,
            client,
            request,
            whole,
            &in_body,
            (&mut *used, &mut ends),
        )
        .await?;
    }
    if !used.rules.is_empty() || !signatures.is_empty() {
        accept_scannable(request.headers_mut());
    }
    let decoded_length = without_chunks(request, &signatures)?;
    // Last: a signature is over everything else.
    let whole = content.as_deref().map(Vec::as_slice);
    let whole = whole.filter(|_| is_signed);
    for one in &signatures {
        ends.extend(sign(shared, client, request, one, (whole, &mut *used)).await?);
        used.rule(&one.rule().name);
    }
    injection::check_none_left(request, &placeholders)?;
    let broken_off = BrokenOff::default();
    let body = whole_or_rest(content, body, request, &broken_off)?;
    let body = match decoded_length {
        Some(length) => aws::chunks::decoded(body, length, broken_off.clone()),
        None => body,
    };
    Ok(Filled {
        taken,
        body: guarded(&placeholders, body, permit, &broken_off),
        broken_off,
        ends,
        identity,
    })
}

/// What an AWS client signed in chunks is signed as a whole, and so long.
fn without_chunks(
    request: &mut CanonicalRequest,
    signatures: &[Planned<'_>],
) -> Result<Option<u64>, Refusal> {
    let is_for_aws = |one: &Planned<'_>| one.rule().injection.as_hmac().is_none();
    if signatures.iter().any(is_for_aws) {
        aws::chunks::without(request)
    } else {
        Ok(None)
    }
}

/// A body that was read, or one as it arrives.
fn whole_or_rest(
    whole: Option<Zeroizing<Vec<u8>>>,
    rest: &mut Sent,
    request: &CanonicalRequest,
    broken_off: &BrokenOff,
) -> Result<Body, Refusal> {
    let is_held_back = request.headers().contains_key(EXPECT);
    match (whole, rest.stream.take()) {
        (Some(whole), _) => Ok(full(Bytes::from_owner(whole))),
        (None, Some(rest)) => of_client(rest, broken_off, is_held_back),
        (None, None) => Ok(full("")),
    }
}

/// Fills everything but the body. What belongs to the connection is for the caller.
async fn fill_head(
    shared: &Shared,
    client: &Client,
    request: &mut CanonicalRequest,
    planned: &[Planned<'_>],
    (used, ends): (&mut Used, &mut Vec<Ended>),
) -> Result<Option<ClientIdentity>, Refusal> {
    let mut identity = None;
    for one in planned {
        let value = lend(shared, client, one, request.host(), (used, ends)).await?;
        if one.rule().injection.is_of_connection() {
            identity = Some(ClientIdentity::from_pem(one.rule(), &value)?);
        } else if let Some(signing) = one.rule().injection.as_jwt() {
            let now = shared.authority.clock().now();
            let signature = jwt::inject(request, one.rule(), signing, &value, now)?;
            let credential = &one.rule().credential;
            client.carried.note_passing(credential, &signature);
        } else {
            injection::inject(request, one, &value)?;
        }
        used.rule(&one.rule().name);
    }
    Ok(identity)
}

async fn fill_body(
    shared: &Shared,
    client: &Client,
    request: &mut CanonicalRequest,
    whole: &mut Zeroizing<Vec<u8>>,
    planned: &[Planned<'_>],
    (used, ends): (&mut Used, &mut Vec<Ended>),
) -> Result<(), Refusal> {
    for one in planned {
        let value = lend(shared, client, one, request.host(), (used, ends)).await?;
        if let Some(changed) = injection::inject_into_body(whole, one, &value)? {
            *whole = changed;
            used.rule(&one.rule().name);
        }
    }
    request.set_body_length(u64::try_from(whole.len()).unwrap_or(u64::MAX));
    Ok(())
}

/// Signs a request as it is now. Answers with the end of the right to do so.
async fn sign(
    shared: &Shared,
    client: &Client,
    request: &mut CanonicalRequest,
    planned: &Planned<'_>,
    (body, used): (Option<&[u8]>, &mut Used),
) -> Result<Option<Ended>, Refusal> {
    if let Some(signing) = planned.rule().injection.as_hmac() {
        let rule = planned.rule();
        let lent = client.credentials.value(rule, request.host()).await?;
        note_lease(used, lent.lease.as_deref());
        note(shared, client, planned, &lent.value);
        let (body, now) = (body.unwrap_or_default(), shared.authority.clock().now());
        hmac::sign(request, rule, signing, &lent.value, body, now)?;
        return Ok(lent.ended);
    }
    let lent = client
        .credentials
        .aws_keys(planned.rule(), request.host())
        .await?;
    note_lease(used, lent.lease.as_deref());
    let keys = lent.value;
    note(shared, client, planned, &keys.access_key_id);
    let credential = &planned.rule().credential;
    let secrets = [Some(&keys.secret_access_key), keys.session_token.as_ref()];
    for secret in secrets.into_iter().flatten() {
        let all = &shared.carried;
        client.carried.note(all, credential, secret, "[redacted]");
    }
    aws::sign_anew(request, planned, &keys, body, shared.authority.clock())?;
    Ok(lent.ended)
}

/// The value of one credential, which is noted. What ends with it goes into `ends`.
async fn lend(
    shared: &Shared,
    client: &Client,
    planned: &Planned<'_>,
    host: &Host,
    (used, ends): (&mut Used, &mut Vec<Ended>),
) -> Result<SecretString, Refusal> {
    let rule = planned.rule();
    let value = if let (CredentialRef::Captured { .. }, Some(placeholder)) =
        (&rule.credential, planned.placeholder())
    {
        let now = shared.authority.clock().monotonic();
        let captured = shared.captured.value(placeholder, now);
        let (value, rights) = captured.map_err(|refusal| refusal.by_rule(&rule.name))?;
        client.credentials.uses_captured(rule, host).await?;
        ends.extend(rights);
        value
    } else {
        let lent = client.credentials.value(rule, host).await?;
        note_lease(used, lent.lease.as_deref());
        ends.extend(lent.ended);
        lent.value
    };
    note(shared, client, planned, &value);
    Ok(value)
}

fn note_lease(used: &mut Used, lease: Option<&str>) {
    if let Some(lease) = lease {
        used.lease(lease);
    }
}

/// Before it leaves, so that it is known when it comes back.
fn note(shared: &Shared, client: &Client, planned: &Planned<'_>, value: &SecretString) {
    let placeholder = planned.placeholder().map_or("[redacted]", |it| it.text());
    let credential = &planned.rule().credential;
    if value.expose_secret().len() < SHORTEST_VALUE {
        shared.observer.too_short(credential);
    }
    let all = &shared.carried;
    client.carried.note(all, credential, value, placeholder);
}

/// Whether the body has the placeholder.
fn holds(whole: Option<&Vec<u8>>, planned: &Planned<'_>) -> bool {
    match (whole, planned.placeholder()) {
        (Some(whole), Some(it)) => memmem::find(whole, it.text().as_bytes()).is_some(),
        _ => false,
    }
}

/// A body that breaks off where a placeholder is left in it, or where it is larger than the rules allow.
fn guarded(
    placeholders: &Arc<Placeholders>,
    body: Body,
    permit: &Permit<'_>,
    broken_off: &BrokenOff,
) -> Body {
    let body = watched(body, placeholders, broken_off.clone());
    match permit.body_limit() {
        Some(limit) => limited(body, limit, broken_off.clone()),
        None => body,
    }
}

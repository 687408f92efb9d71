//! The actions for users and for people with a SAML assertion.
//!
//! AWS STS API reference, `GetSessionToken`: "must be called using long-term credentials of an IAM user"; with what it
//! gives, no API of STS but `AssumeRole` and `GetCallerIdentity` works. `GetFederationToken`: likewise, and of STS only
//! `GetCallerIdentity` works with what it gives. `AssumeRoleWithSAML`: unsigned.

use jiff::{SignedDuration, Timestamp};

use super::account::{AccessKey, Account, Principal};
use super::answer::{
    Refusal, check_policy, credentials, escape, known_role, not_authorized, role_session,
    session_length, wrap,
};
use super::parameters::Parameters;
use super::sigv4::SignedParts;

/// A caller with a long-term key.
pub(super) fn long_term(caller: &AccessKey, parameters: &Parameters) -> Result<AccessKey, Refusal> {
    if caller.session_token.is_none() {
        return Ok(caller.clone());
    }
    let action = format!("{:?}", parameters.action);
    let text = format!("Cannot call {action} with session credentials");
    Err(Refusal::new(403, "AccessDenied", text))
}

/// A federated user assumes no role.
pub(super) fn may_assume(caller: &AccessKey) -> Result<(), Refusal> {
    if caller.principal.is_federated() {
        let text = "Roles may not be assumed by federated users";
        return Err(Refusal::new(403, "AccessDenied", text));
    }
    Ok(())
}

pub(super) fn session_token(
    caller: &AccessKey,
    parameters: &Parameters,
    account: &mut Account,
    now: Timestamp,
    lifetime: Option<u32>,
) -> Result<String, Refusal> {
    let seconds = parameters.duration()?;
    match (
        parameters.text("SerialNumber"),
        parameters.text("TokenCode"),
    ) {
        (None, None) => {}
        (Some(serial), Some(code)) => {
            let mut devices = account.devices.iter();
            if !devices.any(|(own, shown)| own == serial && shown == code) {
                let text = "MultiFactorAuthentication failed with invalid MFA one time pass code.";
                return Err(Refusal::new(403, "AccessDenied", text));
            }
        }
        _ => {
            return Err(Refusal::validation(
                "SerialNumber and TokenCode belong together",
            ));
        }
    }
    let key = account.issue_to(
        caller.principal.clone(),
        end(now, lifetime.unwrap_or(seconds)),
    );
    Ok(wrap("GetSessionToken", &credentials(&key)))
}

pub(super) fn federation_token(
    caller: &AccessKey,
    parameters: &Parameters,
    account: &mut Account,
    now: Timestamp,
    lifetime: Option<u32>,
) -> Result<String, Refusal> {
    let seconds = parameters.duration()?;
    check_policy(parameters)?;
    let name = parameters.required("Name")?;
    let number = caller.principal.arn.split(':').nth(4).unwrap_or_default();
    let principal = Principal {
        arn: format!("arn:aws:sts::{number}:federated-user/{name}"),
        user_id: format!("{number}:{name}"),
    };
    let key = account.issue_to(principal, end(now, lifetime.unwrap_or(seconds)));
    let body = format!(
        "{}\n    <FederatedUser>\n      <FederatedUserId>{}</FederatedUserId>\n      <Arn>{}</Arn>\n    \
         </FederatedUser>\n    <PackedPolicySize>0</PackedPolicySize>",
        credentials(&key),
        escape(&key.principal.user_id),
        escape(&key.principal.arn),
    );
    Ok(wrap("GetFederationToken", &body))
}

pub(super) fn with_saml(
    request: &SignedParts<'_>,
    parameters: &Parameters,
    account: &mut Account,
    now: Timestamp,
    lifetime: Option<u32>,
) -> Result<String, Refusal> {
    const ACTION: &str = "AssumeRoleWithSAML";
    if request.header("authorization").is_some() {
        return Err(Refusal::validation(
            "AssumeRoleWithSAML takes no signature: the assertion speaks for the caller",
        ));
    }
    let text = parameters.required("SAMLAssertion")?;
    let provider = parameters.required("PrincipalArn")?;
    let known = account.assertions.iter().find(|one| one.text == text);
    let assertion = known.cloned().ok_or_else(|| {
        let text = "Response signature invalid";
        Refusal::new(400, "InvalidIdentityToken", text)
    })?;
    let role = known_role(parameters, account)
        .filter(|_| assertion.provider_arn == provider)
        .ok_or_else(|| not_authorized(ACTION, provider, parameters))?;
    let seconds = session_length(parameters, role, false)?;
    check_policy(parameters)?;
    let end = end(now, lifetime.unwrap_or(seconds));
    let more = format!(
        "\n    <Subject>{}</Subject>\n    <SubjectType>persistent</SubjectType>",
        escape(&assertion.session_name)
    );
    let session = (assertion.session_name.as_str(), end);
    role_session(ACTION, parameters, account, session, &more)
}

fn end(now: Timestamp, seconds: u32) -> Timestamp {
    now + SignedDuration::from_secs(i64::from(seconds))
}

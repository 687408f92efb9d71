//! Decides what a request is answered with. No I/O: request, account and time come in, a reply goes out.

use jiff::{SignedDuration, Timestamp};

use super::account::{AccessKey, Account, Role};
use super::parameters::{self, Action, Parameters};
use super::sigv4::{Authorization, Rejection, SignedParts};

/// An error as the service words it ("Common Errors" and the errors of each action in the API Reference).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// `Code`.
    pub code: &'static str,
    /// `Message`.
    pub message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            status,
            code,
            message,
        }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    pub(super) fn to_xml(&self) -> String {
        let kind = if self.status < 500 {
            "Sender"
        } else {
            "Receiver"
        };
        format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <Error>\n    \
             <Type>{kind}</Type>\n    <Code>{}</Code>\n    <Message>{}</Message>\n  </Error>\n  \
             <RequestId>{REQUEST_ID}</RequestId>\n</ErrorResponse>\n",
            self.code,
            escape(&self.message)
        )
    }
}

const REQUEST_ID: &str = "c6104cbe-af31-11e0-8154-cbc7ccf896c7";

/// Method, path and content type of the Query protocol, as SDKs send it; then the decoded form.
pub(super) fn decode(request: &SignedParts<'_>) -> Result<Vec<(String, String)>, Refusal> {
    if request.method != "POST" || request.path != "/" || !request.query.is_empty() {
        return Err(Refusal::new(
            404,
            "UnknownOperationException",
            format!("{} {} is not POST /", request.method, request.path),
        ));
    }
    let content_type = request.header("content-type").unwrap_or_default();
    let (kind, parameter) = content_type.split_once(';').unwrap_or((&content_type, ""));
    let charset = parameter.trim().to_lowercase();
    if kind != "application/x-www-form-urlencoded" || !matches!(&*charset, "" | "charset=utf-8") {
        return Err(Refusal::new(
            400,
            "InvalidParameterValue",
            format!("content type '{content_type}' is not that of a form"),
        ));
    }
    parameters::decode(request.body)
}

/// Checks a request and answers it with XML.
///
/// `lifetime` replaces the asked-for duration of credentials.
pub(super) fn answer(
    request: &SignedParts<'_>,
    pairs: &[(String, String)],
    account: &mut Account,
    now: Timestamp,
    lifetime: Option<u32>,
) -> Result<String, Refusal> {
    let parameters = Parameters::check(pairs)?;
    match parameters.action {
        Action::GetCallerIdentity => Ok(caller_identity(authenticate(request, account, now)?)),
        Action::AssumeRole => {
            let caller = authenticate(request, account, now)?.clone();
            let role = trusted_role(&parameters, account, &caller)?;
            let seconds = session_length(&parameters, role, caller.principal.is_role_session())?;
            check_policy(&parameters)?;
            let end = now + SignedDuration::from_secs(i64::from(lifetime.unwrap_or(seconds)));
            assumed_role("AssumeRole", &parameters, account, end, "")
        }
        Action::AssumeRoleWithWebIdentity => {
            if request.header("authorization").is_some() {
                return Err(Refusal::validation(
                    "AssumeRoleWithWebIdentity takes no signature: the token speaks for the caller",
                ));
            }
            let subject = web_subject(&parameters, account)?;
            let role = known_role(&parameters, account).ok_or_else(|| {
                not_authorized("AssumeRoleWithWebIdentity", &subject, &parameters)
            })?;
            let seconds = session_length(&parameters, role, false)?;
            check_policy(&parameters)?;
            let end = now + SignedDuration::from_secs(i64::from(lifetime.unwrap_or(seconds)));
            let more = format!(
                "\n    <SubjectFromWebIdentityToken>{}</SubjectFromWebIdentityToken>",
                escape(&subject)
            );
            assumed_role(
                "AssumeRoleWithWebIdentity",
                &parameters,
                account,
                end,
                &more,
            )
        }
    }
}

/// Who signed the request.
fn authenticate<'a>(
    request: &SignedParts<'_>,
    account: &'a Account,
    now: Timestamp,
) -> Result<&'a AccessKey, Refusal> {
    let header = request.header("authorization").ok_or_else(|| {
        let text = "request is missing authentication token";
        Refusal::new(403, "MissingAuthenticationToken", text)
    })?;
    let rejected = |rejection| match rejection {
        Rejection::Incomplete(text) => Refusal::new(400, "IncompleteSignature", text),
        Rejection::DoesNotMatch(text) => Refusal::new(403, "SignatureDoesNotMatch", text),
    };
    let authorization = Authorization::parse(&header).map_err(rejected)?;
    if authorization.service != "sts" {
        let text = format!(
            "credential scope is for '{}', not sts",
            authorization.service
        );
        return Err(Refusal::new(403, "SignatureDoesNotMatch", text));
    }
    let key = account
        .key(&authorization.access_key_id)
        .filter(|key| key.session_token == request.header("x-amz-security-token"))
        .ok_or_else(|| {
            let text = "the security token included in the request is invalid";
            Refusal::new(403, "InvalidClientTokenId", text)
        })?;
    authorization
        .verify(request, &key.secret, now)
        .map_err(rejected)?;
    if key.expires.is_some_and(|end| end <= now) {
        let text = "the security token included in the request is expired";
        return Err(Refusal::new(403, "ExpiredToken", text));
    }
    Ok(key)
}

fn known_role<'a>(parameters: &Parameters, account: &'a Account) -> Option<&'a Role> {
    let arn = parameters.text("RoleArn")?;
    account.roles.iter().find(|role| role.arn == arn)
}

/// The role, if its trust policy lets the caller in. AWS gives one answer for all that is wrong here.
fn trusted_role<'a>(
    parameters: &Parameters,
    account: &'a Account,
    caller: &AccessKey,
) -> Result<&'a Role, Refusal> {
    let denied = || not_authorized("AssumeRole", &caller.principal.arn, parameters);
    let role = known_role(parameters, account).ok_or_else(denied)?;
    if role.external_id.is_some() && role.external_id.as_deref() != parameters.text("ExternalId") {
        return Err(denied());
    }
    let device = parameters.text("SerialNumber");
    let code = parameters.text("TokenCode");
    match (&role.mfa, device, code) {
        (_, Some(_), None) | (_, None, Some(_)) => Err(Refusal::validation(
            "SerialNumber and TokenCode belong together",
        )),
        (Some((serial, expected)), device, code)
            if device != Some(serial.as_str()) || code != Some(expected.as_str()) =>
        {
            let text = "MultiFactorAuthentication failed with invalid MFA one time pass code.";
            Err(Refusal::new(403, "AccessDenied", text))
        }
        _ => Ok(role),
    }
}

fn not_authorized(action: &str, caller: &str, parameters: &Parameters) -> Refusal {
    let role = parameters.text("RoleArn").unwrap_or_default();
    let text =
        format!("User: {caller} is not authorized to perform: sts:{action} on resource: {role}");
    Refusal::new(403, "AccessDenied", text)
}

/// How long the session may last. One that a role session asks for lasts one hour at most ("role chaining").
fn session_length(parameters: &Parameters, role: &Role, chained: bool) -> Result<u32, Refusal> {
    let seconds = parameters.duration()?;
    if chained && seconds > 3600 {
        return Err(Refusal::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        ));
    }
    if seconds > role.max_session {
        return Err(Refusal::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    Ok(seconds)
}

/// "The plaintext that you use for both inline and managed session policies can't exceed 2,048 characters."
fn check_policy(parameters: &Parameters) -> Result<(), Refusal> {
    if let Some(policy) = parameters.text("Policy")
        && !serde_json::from_str::<serde_json::Value>(policy).is_ok_and(|json| json.is_object())
    {
        let text = "Syntax errors in policy.";
        return Err(Refusal::new(400, "MalformedPolicyDocument", text));
    }
    if parameters.policy_size() > 2048 {
        let text = "Policies exceed the limit of 2048 characters.";
        return Err(Refusal::new(400, "PackedPolicyTooLarge", text));
    }
    Ok(())
}

fn web_subject(parameters: &Parameters, account: &Account) -> Result<String, Refusal> {
    let token = parameters.required("WebIdentityToken")?;
    let mut known = account.web_identities.iter();
    known
        .find(|(accepted, _)| accepted == token)
        .map(|(_, subject)| subject.clone())
        .ok_or_else(|| {
            let text = "The ID Token provided is not a valid JWT.";
            Refusal::new(400, "InvalidIdentityToken", text)
        })
}

fn assumed_role(
    action: &str,
    parameters: &Parameters,
    account: &mut Account,
    end: Timestamp,
    more: &str,
) -> Result<String, Refusal> {
    let role = parameters.required("RoleArn")?;
    let session = parameters.required("RoleSessionName")?;
    let key = account.issue(role, session, end);
    let source_identity = parameters
        .text("SourceIdentity")
        .map(|name| format!("\n    <SourceIdentity>{}</SourceIdentity>", escape(name)))
        .unwrap_or_default();
    let body = format!(
        "\n    <AssumedRoleUser>\n      <AssumedRoleId>{}</AssumedRoleId>\n      <Arn>{}</Arn>\n    \
         </AssumedRoleUser>\n    <Credentials>\n      <AccessKeyId>{}</AccessKeyId>\n      \
         <SecretAccessKey>{}</SecretAccessKey>\n      <SessionToken>{}</SessionToken>\n      \
         <Expiration>{}</Expiration>\n    </Credentials>{source_identity}{more}",
        escape(&key.principal.user_id),
        escape(&key.principal.arn),
        key.id,
        key.secret,
        key.session_token.as_deref().unwrap_or_default(),
        end.strftime("%Y-%m-%dT%H:%M:%SZ"),
    );
    Ok(wrap(action, &body))
}

fn caller_identity(key: &AccessKey) -> String {
    let body = format!(
        "\n    <Arn>{}</Arn>\n    <UserId>{}</UserId>\n    <Account>{}</Account>",
        escape(&key.principal.arn),
        escape(&key.principal.user_id),
        Account::NUMBER
    );
    wrap("GetCallerIdentity", &body)
}

fn wrap(action: &str, body: &str) -> String {
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  \
         <{action}Result>{body}\n  </{action}Result>\n  <ResponseMetadata>\n    \
         <RequestId>{REQUEST_ID}</RequestId>\n  </ResponseMetadata>\n</{action}Response>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-02T03:04:05Z";
    const DATE: &str = "20260102T030405Z";

    /// Sends a form as `key` would sign it, or unsigned.
    fn send(
        account: &mut Account,
        key: Option<&AccessKey>,
        form: &str,
        now: &str,
    ) -> Result<String, Refusal> {
        let body = format!("Version={}&{form}", parameters::VERSION);
        let mut headers = vec![
            (
                "content-type".to_owned(),
                "application/x-www-form-urlencoded".to_owned(),
            ),
            ("host".to_owned(), "127.0.0.1:1".to_owned()),
            ("x-amz-date".to_owned(), DATE.to_owned()),
        ];
        if let Some(key) = key {
            sign(key, &mut headers, &body);
        }
        let request = parts(&headers, &body);
        let pairs = decode(&request)?;
        answer(&request, &pairs, account, now.parse().unwrap(), None)
    }

    fn parts<'a>(headers: &'a [(String, String)], body: &'a str) -> SignedParts<'a> {
        SignedParts {
            method: "POST",
            path: "/",
            query: "",
            headers,
            body: body.as_bytes(),
        }
    }

    fn sign(key: &AccessKey, headers: &mut Vec<(String, String)>, body: &str) {
        if let Some(token) = &key.session_token {
            headers.push(("x-amz-security-token".to_owned(), token.clone()));
        }
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let unsigned = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}/eu-central-1/sts/aws4_request, SignedHeaders={}, Signature=",
            key.id,
            &DATE[..8],
            names.join(";")
        );
        let signature = Authorization::parse(&unsigned).unwrap().signature_over(
            &parts(headers, body),
            &key.secret,
            DATE,
        );
        headers.push(("authorization".to_owned(), unsigned + &signature));
    }

    fn assume(role: &str, more: &str) -> String {
        format!("Action=AssumeRole&RoleArn={role}&RoleSessionName=me{more}")
    }

    #[test]
    fn issued_credentials_speak_for_the_role_until_they_expire() {
        let mut account = Account::example();
        let alice = account.user("alice").clone();
        let form = assume(Account::DEV_ROLE, "&DurationSeconds=900");
        let xml = send(&mut account, Some(&alice), &form, NOW).unwrap();
        assert!(
            xml.contains("<Expiration>2026-01-02T03:19:05Z</Expiration>"),
            "{xml}"
        );

        let issued = account.issued().next().unwrap().clone();
        let who = "Action=GetCallerIdentity";
        let xml = send(&mut account, Some(&issued), who, NOW).unwrap();
        let arn = "arn:aws:sts::123456789012:assumed-role/dev-role/me";
        assert!(xml.contains(&format!("<Arn>{arn}</Arn>")), "{xml}");

        account.keys.last_mut().unwrap().expires = Some(NOW.parse().unwrap());
        let refusal = send(&mut account, Some(&issued), who, NOW).unwrap_err();
        assert_eq!((refusal.status, refusal.code), (403, "ExpiredToken"));
    }

    #[test]
    fn an_unsigned_a_foreign_and_a_wrongly_signed_request_are_refused() {
        let mut account = Account::example();
        let alice = account.user("alice").clone();
        let mut refusal = |key: Option<&AccessKey>| {
            send(&mut account, key, "Action=GetCallerIdentity", NOW)
                .unwrap_err()
                .code
        };
        assert_eq!(refusal(None), "MissingAuthenticationToken");
        let mut changed = alice.clone();
        changed.secret.push('x');
        assert_eq!(refusal(Some(&changed)), "SignatureDoesNotMatch");
        changed.id = "AKIASOMEBODYELSE0001".to_owned();
        assert_eq!(refusal(Some(&changed)), "InvalidClientTokenId");
        // A user's key with somebody's session token.
        let mut changed = alice;
        changed.session_token = Some("token".to_owned());
        assert_eq!(refusal(Some(&changed)), "InvalidClientTokenId");
    }

    #[test]
    fn a_role_is_assumed_only_as_its_trust_policy_allows() {
        let mut account = Account::example();
        let alice = account.user("alice").clone();
        account.roles[0].external_id = Some("x1".to_owned());
        account.roles[1].mfa = Some(("arn:aws:iam::1:mfa/me".to_owned(), "123456".to_owned()));
        let mut ask = |role: &str, more: &str| {
            let answer = send(&mut account, Some(&alice), &assume(role, more), NOW);
            answer.map_or_else(|refusal| refusal.code, |_| "ok")
        };
        assert_eq!(ask(Account::DEV_ROLE, ""), "AccessDenied");
        assert_eq!(ask(Account::DEV_ROLE, "&ExternalId=x2"), "AccessDenied");
        assert_eq!(ask(Account::DEV_ROLE, "&ExternalId=x1"), "ok");
        let device = "&SerialNumber=arn:aws:iam::1:mfa/me";
        assert_eq!(ask(Account::OPS_ROLE, ""), "AccessDenied");
        assert_eq!(ask(Account::OPS_ROLE, device), "ValidationError");
        let code = |code: &str| format!("{device}&TokenCode={code}");
        assert_eq!(ask(Account::OPS_ROLE, &code("000000")), "AccessDenied");
        assert_eq!(ask(Account::OPS_ROLE, &code("123456")), "ok");
        assert_eq!(
            ask("arn:aws:iam::123456789012:role/none", ""),
            "AccessDenied"
        );
    }

    #[test]
    fn a_chained_role_lasts_one_hour_at_most() {
        let mut account = Account::example();
        let alice = account.user("alice").clone();
        let form = assume(Account::DEV_ROLE, "&DurationSeconds=7200");
        send(&mut account, Some(&alice), &form, NOW).unwrap();
        let session = account.issued().next().unwrap().clone();
        let refusal = send(&mut account, Some(&session), &form, NOW).unwrap_err();
        assert!(refusal.message.contains("role chaining"), "{refusal:?}");
        let form = assume(Account::OPS_ROLE, "&DurationSeconds=3600");
        send(&mut account, Some(&session), &form, NOW).unwrap();
    }

    #[test]
    fn session_policies_are_json_and_short() {
        let mut account = Account::example();
        let alice = account.user("alice").clone();
        let mut ask = |policy: &str| {
            let form = assume(Account::DEV_ROLE, policy);
            send(&mut account, Some(&alice), &form, NOW)
                .map_or_else(|refusal| refusal.code, |_| "ok")
        };
        assert_eq!(ask("&Policy=%7B%7D"), "ok");
        assert_eq!(ask("&Policy=%7B"), "MalformedPolicyDocument");
        let long = format!("&Policy=%7B{}%7D", "+".repeat(2000));
        let arn = format!(
            "&PolicyArns.member.1.arn=arn:aws:iam::aws:policy/{}",
            "a".repeat(40)
        );
        assert_eq!(ask(&long), "ok");
        assert_eq!(ask(&(long + &arn)), "PackedPolicyTooLarge");
    }

    #[test]
    fn a_known_web_identity_assumes_a_role_unsigned() {
        let mut account = Account::example();
        let alice = account.user("alice").clone();
        account
            .web_identities
            .push(("token-1".to_owned(), "repo:me/it".to_owned()));
        let form = |token: &str| {
            format!(
                "Action=AssumeRoleWithWebIdentity&RoleArn={}&RoleSessionName=ci&WebIdentityToken={token}",
                Account::DEV_ROLE
            )
        };
        let xml = send(&mut account, None, &form("token-1"), NOW).unwrap();
        assert!(
            xml.contains("<SubjectFromWebIdentityToken>repo:me/it<"),
            "{xml}"
        );
        let refusal = send(&mut account, None, &form("token-2"), NOW).unwrap_err();
        assert_eq!(refusal.code, "InvalidIdentityToken");
        let refusal = send(&mut account, Some(&alice), &form("token-1"), NOW).unwrap_err();
        assert!(refusal.message.contains("no signature"), "{refusal:?}");
    }
}

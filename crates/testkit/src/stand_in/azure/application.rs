//! The client credentials grant.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};

use super::{Application, Azure};
use crate::stand_in::issuer::{Reply, Request};
use crate::stand_in::jwt;

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How far a client's clock may be off. Microsoft does not say; five minutes is what its libraries count on.
const SKEW: f64 = 300.0;

type Fields = BTreeMap<String, String>;

impl Azure {
    pub(super) fn token(
        &mut self,
        request: &Request,
        tenant: &str,
        (now, is_expired): (Timestamp, bool),
    ) -> Reply {
        let fields = match fields(request) {
            Ok(fields) => fields,
            Err(reply) => return reply,
        };
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        if field("grant_type") != "client_credentials" {
            return Reply::undocumented("a grant that is not `client_credentials`");
        }
        if !self.applications.keys().any(|(known, _)| known == tenant) {
            let text = format!(
                "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID."
            );
            return refused(400, "invalid_request", 90_002, &text, now);
        }
        let client = field("client_id").to_owned();
        let Some(application) = self.applications.get(&(tenant.to_owned(), client.clone())) else {
            let text = format!(
                "Application with identifier '{client}' was not found in the directory '{tenant}'."
            );
            return refused(400, "unauthorized_client", 700_016, &text, now);
        };
        let application = application.clone();
        let host = request.header("host").unwrap_or_default();
        let audiences =
            ["http", "https"].map(|scheme| format!("{scheme}://{host}{}", request.path));
        let login = match fields.get("client_assertion") {
            None => by_secret(&application, field("client_secret"), now),
            Some(_) if field("client_assertion_type") != ASSERTION => Err(Reply::undocumented(
                "a `client_assertion_type` of another kind",
            )),
            Some(assertion) => {
                self.by_assertion(&application, &client, assertion, (&audiences, now))
            }
        };
        if let Err(reply) = login {
            return reply;
        }
        self.granted(&client, field("scope"), (now, is_expired))
    }

    fn granted(
        &mut self,
        client: &str,
        scope: &str,
        (now, is_expired): (Timestamp, bool),
    ) -> Reply {
        let Some(resource) = scope.strip_suffix("/.default") else {
            let text = format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with \
                 /.default suffixed to the resource identifier (application ID URI)."
            );
            return refused(400, "invalid_scope", 1_002_012, &text, now);
        };
        if !self.resources.contains(resource) {
            let text = format!(
                "The resource principal named {resource} was not found in the tenant named x."
            );
            return refused(400, "invalid_resource", 500_011, &text, now);
        }
        let seconds = if is_expired { 0 } else { self.seconds };
        let token = self.issue(client, resource);
        let expires_in = if self.as_text {
            json!(seconds.to_string())
        } else {
            json!(seconds)
        };
        Reply::json(
            200,
            &json!({
                "token_type": "Bearer",
                "expires_in": expires_in,
                "ext_expires_in": expires_in,
                "access_token": token,
            }),
        )
    }

    /// A certificate's assertion, or the token of another issuer.
    fn by_assertion(
        &self,
        application: &Application,
        client: &str,
        assertion: &str,
        (audiences, now): (&[String], Timestamp),
    ) -> Result<(), Reply> {
        let header = jwt::header(assertion).unwrap_or_default();
        if header.contains_key("x5t#S256") {
            let claims = by_certificate(application, &header, assertion, now)?;
            return Self::check_certificate_claims(&claims, client, audiences, now);
        }
        let issuer = claim(assertion, "iss").unwrap_or_default();
        let invalid = |code: u64, text: &str| Err(refused(401, "invalid_client", code, text, now));
        let of_issuer: Vec<_> = application
            .federated
            .iter()
            .filter(|federated| federated.issuer == issuer)
            .collect();
        let trusted = match self.issuers.get(&issuer) {
            Some(trusted) if !of_issuer.is_empty() => trusted,
            _ => {
                let text = format!(
                    "No matching federated identity record found for presented assertion issuer '{issuer}'."
                );
                return invalid(700_211, &text);
            }
        };
        let verified = jwt::verified(assertion, trusted.key.public, Algorithm::RS256)
            .filter(|(header, _)| header.get("kid") == Some(&json!(trusted.kid)));
        let Some((_, claims)) = verified else {
            return invalid(50_013, "Assertion failed signature validation.");
        };
        if !is_timely(&claims, now) {
            return invalid(
                700_024,
                "Client assertion is not within its valid time range.",
            );
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        // "must exactly match, case-sensitive"
        let Some(of_subject) = of_issuer
            .iter()
            .find(|federated| federated.subject == text("sub"))
        else {
            let text = format!(
                "No matching federated identity record found for presented assertion subject '{}'.",
                text("sub")
            );
            return invalid(700_213, &text);
        };
        if of_subject.audience != text("aud") {
            let text = format!(
                "No matching federated identity record found for presented assertion audience '{}'.",
                text("aud")
            );
            return invalid(700_212, &text);
        }
        Ok(())
    }

    fn check_certificate_claims(
        claims: &Map<String, Value>,
        client: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<(), Reply> {
        let known = ["aud", "exp", "iat", "iss", "jti", "nbf", "sub"];
        if let Some(name) = claims.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(Reply::undocumented(format!("the claim `{name}`")));
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let invalid = |code: u64, said: &str| Err(refused(401, "invalid_client", code, said, now));
        if text("iss") != client || text("sub") != client {
            return invalid(
                700_021,
                "Client assertion application identifier doesn't match 'client_id' parameter.",
            );
        }
        if !audiences.iter().any(|audience| audience == text("aud")) {
            return invalid(
                700_023,
                "Client assertion audience claim does not match Realm issuer.",
            );
        }
        if !is_timely(claims, now) {
            return invalid(
                700_024,
                "Client assertion is not within its valid time range.",
            );
        }
        let lives = number(claims, "exp").unwrap_or_default() - now.as_duration().as_secs_f64();
        if lives > 600.0 + SKEW {
            return Err(Reply::undocumented(
                "an assertion that works for more than ten minutes",
            ));
        }
        // "a unique identifier for the JWT". Entra takes one more than once: MSAL sends an assertion as long as it works.
        if text("jti").is_empty() {
            return Err(Reply::undocumented("an assertion without `jti`"));
        }
        Ok(())
    }
}

fn by_secret(application: &Application, secret: &str, now: Timestamp) -> Result<(), Reply> {
    if application.secrets.contains(secret) {
        return Ok(());
    }
    let text = "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not \
                the client secret ID.";
    Err(refused(401, "invalid_client", 7_000_215, text, now))
}

fn by_certificate(
    application: &Application,
    header: &Map<String, Value>,
    assertion: &str,
    now: Timestamp,
) -> Result<Map<String, Value>, Reply> {
    // "alg: Should be PS256; typ: Should be JWT"
    if header.get("alg") != Some(&json!("PS256")) || header.get("typ") != Some(&json!("JWT")) {
        return Err(Reply::undocumented(
            "an assertion that is not a JWT by PS256",
        ));
    }
    // MSAL leaves the padding on, which RFC 7515 section 2 does not have.
    let thumbprint = header["x5t#S256"]
        .as_str()
        .unwrap_or_default()
        .trim_end_matches('=');
    application
        .certificates
        .get(thumbprint)
        .and_then(|public| jwt::verified(assertion, public, Algorithm::PS256))
        .map(|(_, claims)| claims)
        .ok_or_else(|| {
            let text = "Client assertion contains an invalid signature. The key was not found.";
            refused(401, "invalid_client", 700_027, text, now)
        })
}

/// A NumericDate may have a fraction (RFC 7519 section 2), and MSAL's have one.
fn is_timely(claims: &Map<String, Value>, now: Timestamp) -> bool {
    let now = now.as_duration().as_secs_f64();
    number(claims, "exp").is_some_and(|exp| exp > now - SKEW)
        && number(claims, "nbf").is_none_or(|nbf| nbf <= now + SKEW)
}

fn number(claims: &Map<String, Value>, name: &str) -> Option<f64> {
    claims.get(name)?.as_f64()
}

fn claim(token: &str, name: &str) -> Option<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&bytes).ok()?;
    Some(claims.get(name)?.as_str()?.to_owned())
}

/// The fields of the form: each once, none but the documented ones, and one way to log in.
fn fields(request: &Request) -> Result<Fields, Reply> {
    if !request.query.is_empty() {
        return Err(Reply::undocumented("the token endpoint has no query"));
    }
    let pairs = request
        .form()
        .ok_or_else(|| Reply::undocumented("a body that is not a form"))?;
    let count = pairs.len();
    let fields: Fields = pairs.into_iter().collect();
    if fields.len() != count {
        return Err(Reply::undocumented("a field that came twice"));
    }
    let known = [
        "client_assertion",
        "client_assertion_type",
        "client_id",
        "client_info",
        "client_secret",
        "grant_type",
        "scope",
    ];
    if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(Reply::undocumented(format!("the field `{name}`")));
    }
    for name in ["client_id", "grant_type", "scope"] {
        if fields.get(name).is_none_or(String::is_empty) {
            return Err(Reply::undocumented(format!("a request without `{name}`")));
        }
    }
    if fields.contains_key("client_secret") == fields.contains_key("client_assertion") {
        return Err(Reply::undocumented(
            "not exactly one of secret and assertion",
        ));
    }
    Ok(fields)
}

/// "Handling error codes in your application": the example of an answer.
fn refused(status: u16, error: &str, code: u64, text: &str, now: Timestamp) -> Reply {
    let trace = "0000aaaa-11bb-cccc-dd22-eeeeee333333";
    Reply::json(
        status,
        &json!({
            "error": error,
            "error_description": format!(
                "AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {trace} Timestamp: {now}"
            ),
            "error_codes": [code],
            "timestamp": now.to_string(),
            "trace_id": trace,
            "correlation_id": trace,
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        }),
    )
}

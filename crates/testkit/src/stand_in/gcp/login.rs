//! The token endpoint and the token exchange.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};

use super::{EXCHANGE_FIELDS, Gcp, Issued, after};
use crate::stand_in::issuer::{Reply, Request};
use crate::stand_in::jwt;

/// "aud: … always `https://oauth2.googleapis.com/token`".
pub(super) const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// How far a client's clock may be off. Google does not say; its libraries use the clock as it is.
const SKEW: i64 = 300;

type Fields = BTreeMap<String, String>;

impl Gcp {
    pub(super) fn grant_token(&mut self, request: &Request, now: Timestamp) -> Reply {
        let fields = match fields(request) {
            Ok(fields) => fields,
            Err(reply) => return reply,
        };
        match fields.get("grant_type").map(String::as_str) {
            Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => {
                match has_only(&fields, &["grant_type", "assertion"]) {
                    Ok(()) => self.by_assertion(&fields["assertion"], now),
                    Err(reply) => reply,
                }
            }
            Some("refresh_token") => {
                let known = ["grant_type", "client_id", "client_secret", "refresh_token"];
                match has_only(&fields, &known) {
                    Ok(()) => self.by_refresh_token(&fields, now),
                    Err(reply) => reply,
                }
            }
            _ => Reply::undocumented("a grant type that the token endpoint does not have"),
        }
    }

    /// RFC 7523 section 3 and Google's page.
    fn by_assertion(&mut self, assertion: &str, now: Timestamp) -> Reply {
        let email = jwt_claim(assertion, "iss").unwrap_or_default();
        let Some(signer) = self.keys.get(&email).cloned() else {
            return refused(400, "invalid_grant", "Invalid grant: account not found");
        };
        let Some((header, claims)) = jwt::verified(assertion, signer.key.public, Algorithm::RS256)
        else {
            return refused(400, "invalid_grant", "Invalid JWT Signature.");
        };
        if header.get("typ") != Some(&json!("JWT")) || header.get("kid") != Some(&json!(signer.kid))
        {
            return Reply::undocumented("a header without `typ` JWT and the key's `kid`");
        }
        let known = ["iss", "sub", "scope", "aud", "iat", "exp"];
        if let Some(name) = claims.keys().find(|name| !known.contains(&name.as_str())) {
            return Reply::undocumented(format!("the claim `{name}`"));
        }
        let Some(scope) = claims.get("scope").and_then(Value::as_str) else {
            return refused(400, "invalid_scope", "Empty or missing scope not allowed.");
        };
        if claims.get("aud") != Some(&json!(TOKEN_URI)) {
            return refused(400, "invalid_grant", "Invalid JWT: Failed audience check.");
        }
        if !is_timely(&claims, now, 3600) {
            return refused(
                400,
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. \
                 Check your iat and exp values in the JWT claim.",
            );
        }
        let scopes = scope.split(' ').map(str::to_owned).collect();
        self.granted(&format!("serviceAccount:{email}"), scopes, now)
    }

    fn by_refresh_token(&mut self, fields: &Fields, now: Timestamp) -> Reply {
        let user = self
            .users
            .iter()
            .find(|user| user.refresh_token == fields["refresh_token"]);
        let Some(user) = user else {
            return refused(400, "invalid_grant", "Token has been expired or revoked.");
        };
        if user.client_id != fields["client_id"] || user.client_secret != fields["client_secret"] {
            return refused(
                401,
                "invalid_client",
                "The provided client secret is invalid.",
            );
        }
        let principal = format!("user:{}", user.name);
        let scopes = vec!["https://www.googleapis.com/auth/cloud-platform".to_owned()];
        self.granted(&principal, scopes, now)
    }

    fn granted(&mut self, principal: &str, scopes: Vec<String>, now: Timestamp) -> Reply {
        let token = self.issue(principal, scopes, after(now, 3599));
        Reply::json(
            200,
            &json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}),
        )
    }

    /// `v1.token` of the discovery document `sts`.
    pub(super) fn exchange(&mut self, request: &Request, now: Timestamp) -> Reply {
        let fields = match fields(request) {
            Ok(fields) => fields,
            Err(reply) => return reply,
        };
        if let Some(name) = fields
            .keys()
            .find(|name| !EXCHANGE_FIELDS.contains(&name.as_str()))
        {
            return Reply::undocumented(format!("the field `{name}`"));
        }
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        for (name, wanted) in [
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
        ] {
            if field(name) != wanted {
                return Reply::undocumented(format!("a `{name}` that is not {wanted}"));
            }
        }
        // "Required when exchanging an external credential for a Google access token."
        if field("scope").is_empty() || field("audience").is_empty() {
            return Reply::undocumented("an exchange without `scope` or `audience`");
        }
        let jwt_types = [
            "urn:ietf:params:oauth:token-type:jwt",
            "urn:ietf:params:oauth:token-type:id_token",
        ];
        if !jwt_types.contains(&field("subject_token_type")) {
            return Reply::undocumented("a `subject_token_type` that is not of a JWT");
        }
        let Some(provider) = self.providers.get(field("audience")).cloned() else {
            return refused(
                400,
                "invalid_target",
                "The target service indicated by the \"audience\" parameters is invalid. This might either be because \
                 the pool or provider is disabled or deleted or because it doesn't exist.",
            );
        };
        let key = provider.signer.key.public;
        let Some((header, claims)) = jwt::verified(field("subject_token"), key, Algorithm::RS256)
        else {
            return refused(
                400,
                "invalid_grant",
                "Error connecting to the given credential's issuer.",
            );
        };
        // "The following headers are required: kid, alg".
        if header.get("kid") != Some(&json!(provider.signer.kid)) {
            return refused(
                400,
                "invalid_grant",
                "The key of the ID Token is not in the issuer's JWKS.",
            );
        }
        if let Some(said) = wrong_claims(&claims, &provider.issuer, field("audience"), now) {
            return refused(400, "invalid_grant", &said);
        }
        let subject = claims["sub"].as_str().unwrap_or_default();
        let pool = field("audience")
            .split("/providers/")
            .next()
            .unwrap_or_default();
        let principal = format!("principal:{pool}/subject/{subject}");
        let scopes = field("scope").split(' ').map(str::to_owned).collect();
        let token = self.issue(&principal, scopes, after(now, 3599));
        Reply::json(
            200,
            &json!({
                "access_token": token,
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "token_type": "Bearer",
                "expires_in": 3599,
            }),
        )
    }

    /// Who calls the API, or the refusal. A self-signed token (AIP-4111) is as good as an issued one.
    pub(super) fn caller(&self, request: &Request, now: Timestamp) -> Result<Issued, Reply> {
        let unauthenticated = || {
            let message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                           other valid authentication credential.";
            super::api::error(401, "UNAUTHENTICATED", message)
        };
        let token = request.bearer().ok_or_else(unauthenticated)?;
        if let Some(issued) = self.issued.get(token) {
            let is_alive = issued.expires_at > now;
            return is_alive.then(|| issued.clone()).ok_or_else(unauthenticated);
        }
        let email = jwt_claim(token, "iss").ok_or_else(unauthenticated)?;
        let signer = self.keys.get(&email).ok_or_else(unauthenticated)?;
        let (_, claims) = jwt::verified(token, signer.key.public, Algorithm::RS256)
            .ok_or_else(unauthenticated)?;
        let is_own = claims.get("sub") == Some(&json!(email));
        if !is_own || !is_timely(&claims, now, 3600) {
            return Err(unauthenticated());
        }
        let scope = claims
            .get("scope")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Ok(Issued {
            principal: format!("serviceAccount:{email}"),
            scopes: scope.split(' ').map(str::to_owned).collect(),
            expires_at: now,
        })
    }
}

/// The claims that the exchange requires, and what it says of a wrong one.
fn wrong_claims(
    claims: &Map<String, Value>,
    issuer: &str,
    provider: &str,
    now: Timestamp,
) -> Option<String> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(issuer) {
        return Some("The issuer in ID Token does not match the expected ones.".to_owned());
    }
    if text("sub").is_none() {
        return Some("The ID Token has no subject.".to_owned());
    }
    let audience = text("aud").unwrap_or_default();
    if audience != provider && audience != format!("https:{provider}") {
        return Some(format!(
            "The audience in ID Token [{audience}] does not match the expected audience."
        ));
    }
    // "in the past and no more than 24 hours in the past"
    (!is_timely(claims, now, 24 * 3600)).then(|| "ID Token issued is stale to sign-in.".to_owned())
}

/// Whether it was issued, not too long ago, has not expired, and does not live longer than this.
fn is_timely(claims: &Map<String, Value>, now: Timestamp, longest: i64) -> bool {
    let number = |name: &str| claims.get(name).and_then(Value::as_i64);
    let (Some(iat), Some(exp)) = (number("iat"), number("exp")) else {
        return false;
    };
    let now = now.as_second();
    iat <= now + SKEW && now - iat <= longest && exp > now && exp - iat <= longest
}

/// The fields of a form, each of which may come once.
fn fields(request: &Request) -> Result<Fields, Reply> {
    if !request.query.is_empty() {
        return Err(Reply::undocumented("a token endpoint has no query"));
    }
    let pairs = request
        .form()
        .ok_or_else(|| Reply::undocumented("a body that is not a form"))?;
    let count = pairs.len();
    let fields: Fields = pairs.into_iter().collect();
    // RFC 6749 section 3.2: "Request and response parameters MUST NOT be included more than once."
    if fields.len() != count {
        return Err(Reply::undocumented("a field that came twice"));
    }
    Ok(fields)
}

fn has_only(fields: &Fields, known: &[&str]) -> Result<(), Reply> {
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    let mut known = known.to_vec();
    known.sort_unstable();
    if names == known {
        return Ok(());
    }
    Err(Reply::undocumented(format!(
        "the fields {names:?} instead of {known:?}"
    )))
}

fn jwt_claim(token: &str, name: &str) -> Option<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&bytes).ok()?;
    Some(claims.get(name)?.as_str()?.to_owned())
}

/// RFC 6749 section 5.2.
fn refused(status: u16, error: &str, description: &str) -> Reply {
    Reply::json(
        status,
        &json!({"error": error, "error_description": description}),
    )
}

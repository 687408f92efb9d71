//! The IAM Service Account Credentials API.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{ACCESS_TOKEN_FIELDS, Gcp, ID_TOKEN_FIELDS, Issued, after};
use crate::stand_in::issuer::{Reply, Request};
use crate::stand_in::jwt;

pub(super) const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

impl Gcp {
    pub(super) fn api(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply {
        // "The `-` wildcard character is required; replacing it with a project ID is invalid."
        let method = request
            .path
            .strip_prefix("/v1/projects/-/serviceAccounts/")
            .and_then(|rest| rest.split_once(':'));
        let Some((account, verb)) = method.filter(|(account, _)| !account.contains('/')) else {
            return Reply::undocumented("no such method of the API");
        };
        if !request.query.is_empty() {
            return Reply::undocumented("parameters in the query");
        }
        let caller = match self.caller(request, now) {
            Ok(caller) => caller,
            Err(reply) => return reply,
        };
        // The document lists this scope alone; `…/auth/iam` works as well, for Google's own library uses it.
        let is_scoped = caller
            .scopes
            .iter()
            .any(|scope| scope == CLOUD_PLATFORM || scope == "https://www.googleapis.com/auth/iam");
        if !is_scoped {
            let message = "Request had insufficient authentication scopes.";
            return error(403, "PERMISSION_DENIED", message);
        }
        let Some(Value::Object(body)) = request.json() else {
            return Reply::undocumented("a body that is not a JSON object");
        };
        let account = account.replace("%40", "@");
        match verb {
            "generateAccessToken" => match checked(&body, &ACCESS_TOKEN_FIELDS) {
                Ok(()) => self.access_token(&caller, &account, &body, (now, is_expired)),
                Err(reply) => reply,
            },
            "generateIdToken" => match checked(&body, &ID_TOKEN_FIELDS) {
                Ok(()) => self.id_token(&caller, &account, &body, (now, is_expired)),
                Err(reply) => reply,
            },
            _ => Reply::undocumented("no such method of the API"),
        }
    }

    fn access_token(
        &mut self,
        caller: &Issued,
        account: &str,
        body: &Map<String, Value>,
        (now, is_expired): (Timestamp, bool),
    ) -> Reply {
        if let Some(reply) = self.forbidden(caller, account, body, "getAccessToken") {
            return reply;
        }
        let scopes = texts(body, "scope");
        if scopes.is_empty() {
            return error(
                400,
                "INVALID_ARGUMENT",
                "Request contains an invalid argument.",
            );
        }
        let lifetime = body
            .get("lifetime")
            .and_then(Value::as_str)
            .unwrap_or("3600s");
        let seconds = lifetime
            .strip_suffix('s')
            .and_then(|text| text.parse::<i64>().ok());
        let Some(seconds) = seconds.filter(|seconds| *seconds > 0) else {
            return Reply::undocumented("a lifetime that is no duration of whole seconds");
        };
        let longest = if self.extended.contains(account) {
            12 * 3600
        } else {
            3600
        };
        if seconds > longest {
            let message = format!(
                "Access tokens for service account {account} can not have lifetimes of more than 1 hour. Use the Org \
                 Policy Constraint constraints/iam.allowServiceAccountCredentialLifetimeExtension to allow up to 12 hours."
            );
            return error(400, "INVALID_ARGUMENT", &message);
        }
        let expires_at = if is_expired {
            after(now, -60)
        } else {
            after(now, seconds)
        };
        let token = self.issue(&format!("serviceAccount:{account}"), scopes, expires_at);
        let answer = json!({"accessToken": token, "expireTime": expires_at.to_string()});
        Reply::json(200, &answer)
    }

    fn id_token(
        &self,
        caller: &Issued,
        account: &str,
        body: &Map<String, Value>,
        (now, is_expired): (Timestamp, bool),
    ) -> Reply {
        if let Some(reply) = self.forbidden(caller, account, body, "getOpenIdToken") {
            return reply;
        }
        let Some(audience) = body.get("audience").and_then(Value::as_str) else {
            return error(
                400,
                "INVALID_ARGUMENT",
                "Request contains an invalid argument.",
            );
        };
        let issued_at = if is_expired { after(now, -7200) } else { now };
        let mut claims = json!({
            "iss": "https://accounts.google.com",
            "aud": audience,
            "azp": "107517467455664443765",
            "sub": "107517467455664443765",
            "iat": issued_at.as_second(),
            "exp": after(issued_at, 3600).as_second(),
        });
        if body.get("includeEmail") == Some(&json!(true)) {
            claims["email"] = json!(account);
            claims["email_verified"] = json!(true);
        }
        Reply::json(
            200,
            &json!({"token": jwt::signed(&claims, jwt::SECOND, "google")}),
        )
    }

    /// "Each service account must be granted the `roles/iam.serviceAccountTokenCreator` role on its next service account in
    /// the chain."
    fn forbidden(
        &self,
        caller: &Issued,
        account: &str,
        body: &Map<String, Value>,
        permission: &str,
    ) -> Option<Reply> {
        let mut holder = caller.principal.clone();
        let delegates = texts(body, "delegates");
        let chain = delegates
            .iter()
            .map(|name| name.strip_prefix("projects/-/serviceAccounts/"))
            .chain([Some(account)]);
        for next in chain {
            let Some(next) = next else {
                return Some(Reply::undocumented("a delegate that is no full name"));
            };
            if !self.accounts.contains(next) {
                let message = format!("Not found; Gaia id not found for email {next}");
                return Some(error(404, "NOT_FOUND", &message));
            }
            if !self.may_impersonate.contains(&(holder, next.to_owned())) {
                let message = format!(
                    "Permission 'iam.serviceAccounts.{permission}' denied on resource (or it may not exist)."
                );
                return Some(error(403, "PERMISSION_DENIED", &message));
            }
            holder = format!("serviceAccount:{next}");
        }
        None
    }
}

/// AIP-193.
pub(super) fn error(code: u16, status: &str, message: &str) -> Reply {
    Reply::json(
        code,
        &json!({"error": {"code": code, "message": message, "status": status}}),
    )
}

/// The same with an `ErrorInfo` (AIP-193), whose reason is one of `google.api.ErrorReason`.
pub(super) fn error_for(code: u16, status: &str, reason: &str, message: &str) -> Reply {
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "domain": "googleapis.com",
        "reason": reason,
    });
    Reply::json(
        code,
        &json!({"error": {"code": code, "message": message, "status": status, "details": [info]}}),
    )
}

/// Whether a body has only documented fields, of the documented types.
pub(super) fn checked(body: &Map<String, Value>, fields: &[(&str, &str)]) -> Result<(), Reply> {
    for (name, value) in body {
        let Some((_, kind)) = fields.iter().find(|(known, _)| known == name) else {
            return Err(Reply::undocumented(format!("the field `{name}`")));
        };
        // ProtoJSON: "null is an accepted value for all field types and treated as the default value". Google's own library
        // sends it.
        let is_right = match *kind {
            _ if value.is_null() => true,
            "array" => value
                .as_array()
                .is_some_and(|list| list.iter().all(Value::is_string)),
            "boolean" => value.is_boolean(),
            _ => value.is_string(),
        };
        if !is_right {
            return Err(Reply::undocumented(format!(
                "the field `{name}` of another type"
            )));
        }
    }
    Ok(())
}

fn texts(body: &Map<String, Value>, name: &str) -> Vec<String> {
    body.get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|value| Some(value.as_str()?.to_owned()))
        .collect()
}

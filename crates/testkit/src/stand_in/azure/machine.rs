//! Managed identities of machines.

use jiff::Timestamp;
use serde_json::json;

use super::Azure;
use crate::stand_in::issuer::{Reply, Request};

impl Azure {
    /// Azure Instance Metadata Service. All values of an answer are texts.
    pub(super) fn metadata(
        &mut self,
        request: &Request,
        now: Timestamp,
        is_expired: bool,
    ) -> Reply {
        if request.header("metadata") != Some("true") || request.header("x-forwarded-for").is_some()
        {
            return Reply::undocumented("a request without `Metadata: true`");
        }
        let (resource, client) = match asked(request, "2018-02-01") {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        if !self.identities.contains(&client) {
            let body =
                json!({"error": "invalid_request", "error_description": "Identity not found"});
            return Reply::json(400, &body);
        }
        if !self.resources.contains(&resource) {
            let text =
                format!("AADSTS500011: The resource principal named {resource} was not found.");
            return Reply::json(
                400,
                &json!({"error": "invalid_resource", "error_description": text}),
            );
        }
        let seconds = if is_expired { -60 } else { 86_399 };
        let token = self.issue(&format!("machine {client}"), &resource);
        Reply::json(
            200,
            &json!({
                "access_token": token,
                "client_id": client,
                "expires_in": seconds.to_string(),
                "expires_on": (now.as_second() + seconds).to_string(),
                "not_before": (now.as_second() - 300).to_string(),
                "resource": resource,
                "token_type": "Bearer",
            }),
        )
    }

    /// App Service, Azure Functions, Container Apps. The answer has no `expires_in`.
    pub(super) fn app_service(
        &mut self,
        request: &Request,
        now: Timestamp,
        is_expired: bool,
    ) -> Reply {
        if request.header("x-identity-header") != Some(self.identity_header.as_str()) {
            return Reply::json(401, &json!({"statusCode": 401, "message": "Unauthorized"}));
        }
        let (resource, client) = match asked(request, "2019-08-01") {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        if !self.identities.contains(&client) {
            let body = json!({"statusCode": 400, "message": "No User Assigned or Delegated Managed Identity found"});
            return Reply::json(400, &body);
        }
        let seconds = if is_expired { -60 } else { 86_399 };
        let token = self.issue(&format!("machine {client}"), &resource);
        Reply::json(
            200,
            &json!({
                "access_token": token,
                "client_id": client,
                "expires_on": (now.as_second() + seconds).to_string(),
                "resource": resource,
                "token_type": "Bearer",
            }),
        )
    }
}

/// Resource and client id, which is empty for the system's own identity.
fn asked(request: &Request, version: &str) -> Result<(String, String), Reply> {
    let (mut resource, mut client, mut has_version) = (None, String::new(), false);
    for (name, value) in request.query() {
        match name.as_str() {
            "api-version" if value == version && !has_version => has_version = true,
            "resource" if resource.is_none() => resource = Some(value),
            "client_id" if client.is_empty() => client = value,
            _ => {
                return Err(Reply::undocumented(format!(
                    "the parameter `{name}` = `{value}`"
                )));
            }
        }
    }
    match resource {
        Some(resource) if has_version => Ok((resource, client)),
        _ => Err(Reply::undocumented(
            "a request without `api-version` or `resource`",
        )),
    }
}

//! The calls that would be made, for people.

use super::issue::parameters;
use super::login::CHILD;
use super::settings::{Auth, Settings, TOKENS};
use crate::mint::{CreateRequest, MintContext, PlannedCall};

pub(super) fn calls(
    settings: &Settings,
    context: &MintContext,
    request: &CreateRequest,
) -> Vec<PlannedCall> {
    let address = match settings.address(&context.env) {
        Ok(url) => url.as_str().trim_end_matches('/').to_owned(),
        Err(_) => "VAULT_ADDR".to_owned(),
    };
    let planned = |action: &str, path: &str, purpose: &str, master: &str| PlannedCall {
        action: action.to_owned(),
        target: format!("{address}/v1/{path}"),
        purpose: purpose.to_owned(),
        master: master.to_owned(),
        details: Vec::new(),
    };
    let mut calls = Vec::new();
    let master = master(settings, context);
    let token = match login(&settings.auth) {
        None if settings.child_token => {
            let purpose = "make a child of the token, which ends with the lease";
            calls.push(planned("POST", CHILD, purpose, &master));
            "the child token".to_owned()
        }
        None => master,
        Some((path, details)) => {
            let path = format!("auth/{}/{path}", settings.mount);
            calls.push(PlannedCall {
                details,
                ..planned("POST", &path, "log in", &master)
            });
            "the token of the login".to_owned()
        }
    };
    let mut details = parameters(settings, request);
    if let Some(namespace) = settings.namespace(&context.env) {
        details.push(("namespace".to_owned(), namespace.to_owned()));
    }
    calls.push(PlannedCall {
        details,
        ..planned(
            settings.method.as_str(),
            &settings.path,
            "issue the credential",
            &token,
        )
    });
    if settings.wrapped {
        let purposes = [
            ("lookup", "see where the wrapped answer was created"),
            ("unwrap", "fetch the wrapped answer"),
        ];
        calls.extend(purposes.map(|(path, purpose)| {
            let path = format!("sys/wrapping/{path}");
            planned("POST", &path, purpose, "the token of the wrapped answer")
        }));
    }
    if login(&settings.auth).is_none() && !settings.child_token {
        let purpose = "see when the token ends, if the credential has a lease";
        calls.push(planned("GET", "auth/token/lookup-self", purpose, &token));
    }
    calls
}

/// The end of a login's path, and what it says besides secrets.
fn login(auth: &Auth) -> Option<(String, Vec<(String, String)>)> {
    let role = |role: &str| vec![("role".to_owned(), role.to_owned())];
    Some(match auth {
        Auth::Token | Auth::TokenFile => return None,
        Auth::AppRole { .. } => ("login".to_owned(), Vec::new()),
        Auth::Jwt { role: name, .. } => (
            "login".to_owned(),
            name.as_deref().map(role).unwrap_or_default(),
        ),
        Auth::Kubernetes { role: name, .. } => ("login".to_owned(), role(name)),
        Auth::Userpass { username, .. } => (format!("login/{username}"), Vec::new()),
    })
}

/// The master's name: the first one that is there, as the login looks for them.
fn master(settings: &Settings, context: &MintContext) -> String {
    let file = || match &settings.token_file {
        Some(file) => file.display().to_string(),
        None => "~/.vault-token".to_owned(),
    };
    match &settings.auth {
        Auth::TokenFile => file(),
        Auth::Token if settings.token.is_some() => "`token` of the lease".to_owned(),
        Auth::Token => match context.env.first(&TOKENS) {
            Some((name, _)) => name.to_owned(),
            None if settings.credential_command.is_some() => "`credential_command`".to_owned(),
            None => file(),
        },
        Auth::AppRole { role_id, secret_id } => match role_id {
            Some(_) => secret_id.clone(),
            None => format!("VAULT_ROLE_ID, {secret_id}"),
        },
        Auth::Jwt { identity, .. } => format!("an OIDC token for {}", identity.audience()),
        Auth::Kubernetes { file, .. } => file.display().to_string(),
        Auth::Userpass { password, .. } => password.clone(),
    }
}

//! The token with which a lease is asked for: one that somebody got, a child of it, or one of a login.
//!
//! Only one way is tried. "AppRole auth method (API)", "JWT/OIDC auth method (API)", "Kubernetes auth method (API)" and
//! "Userpass auth method (API)": each is `POST auth/MOUNT/login…` and answers with `auth`.

use std::path::Path;
use std::time::Duration;

use fnox_core::{Env, SecretString};
use fnox_providers::command_template;
use fnox_providers::process::{Program, complaint};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::answer::Envelope;
use super::server::Server;
use super::settings::{Auth, Settings, TOKENS};
use crate::issuer::Answer;
use crate::jwt;
use crate::mint::{CreateRequest, MintContext, MintError, MintErrorKind};

/// Where children of a token are made.
pub(super) const CHILD: &str = "auth/token/create";

/// How long a `credential_command` may run.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// A token.
pub(super) struct Token {
    pub(super) value: SecretString,
    /// Whether it is of a login of this lease, which is therefore withdrawn with it.
    pub(super) is_own: bool,
    /// When it ends, as far as known.
    pub(super) expires_at: Option<Timestamp>,
}

/// Gets a token of our own, which ends with what it asks for: of a login, or a child of the one that somebody got where
/// that is wanted. `None`: the one that somebody got is to be used itself.
pub(super) async fn own(
    settings: &Settings,
    context: &MintContext,
    server: &mut Server,
    request: &CreateRequest,
) -> Result<Option<Token>, MintError> {
    if matches!(settings.auth, Auth::Token | Auth::TokenFile) && !settings.child_token {
        return Ok(None);
    }
    let token = token(settings, context, server).await?;
    if token.is_own {
        return Ok(Some(token));
    }
    child(context, server, &token, request).await.map(Some)
}

/// Makes a child of a token ("Token auth method (API)", "Create token"). It has its parent's policies and ends with it.
async fn child(
    context: &MintContext,
    server: &mut Server,
    parent: &Token,
    request: &CreateRequest,
) -> Result<Token, MintError> {
    let body = json!({
        "ttl": format!("{}s", request.duration.as_secs()),
        "display_name": "fnox",
        "meta": {"fnox": request.provisional_id},
    });
    let asked_at = context.clock.now();
    let call = server
        .call(reqwest::Method::POST, CHILD, Some(&parent.value))?
        .json(&body)?;
    let answer = server.issuer.send(call.changes()).await?;
    if !answer.is_success() {
        return Err(server.refusal(&answer, CHILD, "update"));
    }
    own_of(server, &answer, asked_at, "the request for a child token")
}

/// Gets the token.
pub(super) async fn token(
    settings: &Settings,
    context: &MintContext,
    server: &mut Server,
) -> Result<Token, MintError> {
    let (path, body, identity) = match &settings.auth {
        Auth::Token | Auth::TokenFile => {
            let value = given(settings, context).await?;
            server.issuer.hide(&value);
            return Ok(Token {
                value,
                is_own: false,
                expires_at: None,
            });
        }
        Auth::AppRole { role_id, secret_id } => {
            let role_id = match role_id {
                Some(id) => SecretString::from(id.as_str()),
                None => variable(&context.env, "VAULT_ROLE_ID")?,
            };
            // Roles can be bound to addresses in the place of a secret id.
            let mut body = json!({"role_id": role_id.expose_secret()});
            if let Some(secret) = context.env.secret(secret_id) {
                server.issuer.hide(&secret);
                body["secret_id"] = secret.expose_secret().trim().into();
            }
            ("login".to_owned(), body, None)
        }
        Auth::Jwt { role, identity } => {
            let token = identity.fetch(context).await?.ok_or_else(|| {
                MintError::authentication("there is no identity token to log in with")
            })?;
            let mut body = json!({"jwt": token.expose_secret()});
            if let Some(role) = role {
                body["role"] = role.as_str().into();
            }
            ("login".to_owned(), body, Some(token))
        }
        Auth::Kubernetes { role, file } => {
            let token = read(file)?;
            let body = json!({"role": role, "jwt": token.expose_secret()});
            ("login".to_owned(), body, Some(token))
        }
        Auth::Userpass { username, password } => {
            let password = variable(&context.env, password)?;
            server.issuer.hide(&password);
            let body = json!({"password": password.expose_secret()});
            (format!("login/{username}"), body, None)
        }
    };
    let body = Secret(body);
    if let Some(token) = &identity {
        server.issuer.hide(token);
    }
    let path = format!("auth/{}/{path}", settings.mount);
    let asked_at = context.clock.now();
    let call = server
        .call(reqwest::Method::POST, &path, None)?
        .json(&body)?;
    let answer = server.issuer.send(call.changes()).await?;
    if !answer.is_success() {
        return Err(refused(server, &answer, &path, identity.as_ref()));
    }
    own_of(server, &answer, asked_at, "the login")
}

/// The token in an answer to what asked for one.
fn own_of(
    server: &mut Server,
    answer: &Answer,
    asked_at: Timestamp,
    question: &str,
) -> Result<Token, MintError> {
    let envelope: Envelope = answer.json(&server.issuer)?;
    let Some(login) = envelope
        .auth
        .filter(|login| !login.client_token.0.is_empty())
    else {
        let message = format!("Vault answered {question} without a token");
        return Err(MintError::unavailable(message).maybe_issued());
    };
    server.issuer.hide(&login.client_token.0);
    Ok(Token {
        value: login.client_token.0,
        is_own: true,
        expires_at: after(asked_at, login.lease_duration),
    })
}

/// A body with a secret in it, wiped when it is dropped.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub(super) struct Secret(pub(super) serde_json::Value);

impl Drop for Secret {
    fn drop(&mut self) {
        super::answer::wipe(&mut self.0);
    }
}

/// A moment so many seconds later; `None` for 0, which means without end.
pub(super) fn after(moment: Timestamp, seconds: i64) -> Option<Timestamp> {
    if seconds == 0 {
        return None;
    }
    moment.checked_add(SignedDuration::from_secs(seconds)).ok()
}

fn refused(
    server: &Server,
    answer: &Answer,
    path: &str,
    identity: Option<&SecretString>,
) -> MintError {
    let status = answer.status();
    // 400 is "invalid role or secret ID", "error validating token: …", "invalid username or password".
    if !matches!(status, 400 | 401 | 403) {
        return match status {
            404 => MintError::misconfigured("auth", format!("Vault has no login at `{path}`"))
                .with_remedy("is `auth_mount` right, and the namespace?"),
            _ => server.refusal(answer, path, "update"),
        };
    }
    let mut message = format!(
        "Vault refuses the login at `{path}`: {}",
        server.said(answer)
    );
    if let Some(token) = identity {
        message = format!(
            "{message}; {}",
            server.issuer.cleaned(&jwt::described(token))
        );
    }
    MintError::new(MintErrorKind::AuthenticationNeeded, message)
        .with_remedy("compare what was sent with the role's bindings in Vault")
}

/// The token that somebody else got.
async fn given(settings: &Settings, context: &MintContext) -> Result<SecretString, MintError> {
    let env = &context.env;
    let file = settings.token_file.as_deref();
    if matches!(settings.auth, Auth::TokenFile) {
        return read(file.unwrap_or(Path::new(".vault-token")));
    }
    if let Some(token) = &settings.token {
        return Ok(token.clone());
    }
    if let Some(token) = TOKENS.iter().find_map(|name| env.secret(name)) {
        return Ok(trimmed(&token));
    }
    if let Some(command) = &settings.credential_command {
        return run(settings, command, context).await;
    }
    match file {
        Some(file) if file.exists() => read(file),
        _ => Err(MintError::authentication("VAULT_TOKEN is not set")
            .with_remedy("run `vault login`, or set VAULT_TOKEN")),
    }
}

async fn run(
    settings: &Settings,
    command: &str,
    context: &MintContext,
) -> Result<SecretString, MintError> {
    let address = settings.address(&context.env)?.to_string();
    let namespace = settings.namespace(&context.env);
    let values = [
        ("address", address.as_str()),
        ("secret_path", settings.path.as_str()),
        ("namespace", namespace.unwrap_or_default()),
    ];
    let command = command_template::render(command, &values).map_err(|reason| {
        MintError::misconfigured(
            "credential_command",
            format!("`credential_command` {reason}"),
        )
        .with_remedy("the command has VAULT_ADDR and VAULT_NAMESPACE in its environment too")
    })?;
    let mut additions = vec![("VAULT_ADDR".to_owned(), SecretString::new(address))];
    if let Some(namespace) = namespace {
        additions.push(("VAULT_NAMESPACE".to_owned(), SecretString::from(namespace)));
    }
    let env = context.env.with_overlay(additions);
    let program = Program {
        name: "sh",
        arguments: vec!["-c".into(), command.into()],
        env: &env,
        input: None,
        time_limit: COMMAND_LIMIT,
        install_hint: "install a POSIX shell",
    };
    let output = program.run().await.map_err(|error| MintError {
        remedy: error.remedy,
        ..MintError::authentication(format!("`credential_command` failed: {}", error.message))
    })?;
    let masters: Vec<&SecretString> = context.masters.iter().collect();
    if !output.status.success() {
        return Err(MintError::authentication(format!(
            "`credential_command` failed: {}",
            complaint(&output.stderr, &masters)
        )));
    }
    let token = std::str::from_utf8(output.stdout.expose_secret())
        .map(|text| SecretString::from(text.trim()))
        .ok()
        .filter(|token| !token.is_empty() && !token.expose_secret().contains(char::is_whitespace));
    token.ok_or_else(|| {
        MintError::authentication("`credential_command` did not print a token and nothing else")
    })
}

fn variable(env: &Env, name: &str) -> Result<SecretString, MintError> {
    env.secret(name)
        .map(|value| trimmed(&value))
        .ok_or_else(|| MintError::authentication(format!("{name} is not set")))
}

fn trimmed(value: &SecretString) -> SecretString {
    SecretString::from(value.expose_secret().trim())
}

fn read(path: &Path) -> Result<SecretString, MintError> {
    crate::identity_token::read(path)
}

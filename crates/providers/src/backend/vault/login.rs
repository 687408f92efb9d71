//! The token with which Vault is asked: one that somebody got, or one of a login.
//!
//! Only the way that `auth` names is tried. "AppRole auth method (API)", "JWT/OIDC auth method (API)", "Kubernetes auth method (API)"
//! and "Userpass auth method (API)": each is `POST auth/MOUNT/login…` and answers with `auth`.

use std::path::PathBuf;
use std::time::Duration;

use fnox_core::{Env, SecretString};
use fnox_http::{Answer, Method, Service};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::wipe;
use super::server::Server;
use crate::backend::rest;
use crate::ci_token;
use crate::error::{ErrorKind, ProviderError};
use crate::kubernetes::SERVICE_ACCOUNT_FOLDER;
use crate::process::{Program, complaint};
use crate::provider::Context;
use crate::settings::Settings;
use crate::wiped::Wiped;
use crate::{command_template, jwt, token_file};

const TOKENS: [&str; 3] = ["FNOX_VAULT_TOKEN", "VAULT_TOKEN", "BAO_TOKEN"];

/// How long a `credential_command` may run.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// What fnox logs in with.
#[derive(Debug)]
enum Auth {
    Given(SecretString),
    Command(String),
    AppRole {
        role_id: SecretString,
        /// Roles can be bound to addresses in the place of a secret id.
        secret_id: Option<SecretString>,
    },
    Jwt {
        role: Option<String>,
        token: Identity,
    },
    Kubernetes {
        role: String,
        file: PathBuf,
    },
    Userpass {
        username: String,
        password: SecretString,
    },
}

/// Where an OIDC token comes from.
#[derive(Debug)]
enum Identity {
    File(PathBuf),
    Ci { audience: String },
}

/// A way to a token.
#[derive(Debug)]
pub(super) struct Login {
    auth: Auth,
    mount: String,
    env: Env,
    time_limit: Duration,
}

/// The response of a login, as far as it is of use here.
#[derive(Deserialize)]
struct Envelope {
    auth: Option<Issued>,
}

#[derive(Deserialize)]
struct Issued {
    client_token: Wiped,
}

impl Login {
    /// `values` are those that a `credential_command` may name.
    pub(super) fn new(
        settings: &Settings,
        context: &Context,
        values: &[(&str, &str)],
    ) -> Result<Self, ProviderError> {
        let name = settings.fields().text("auth").unwrap_or("token");
        let mount = settings
            .text("auth_mount")
            .unwrap_or(name)
            .trim_matches('/');
        if mount.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(
                ProviderError::misconfigured("`auth_mount` is no path of a login method")
                    .at_key("auth_mount"),
            );
        }
        Ok(Self {
            auth: auth(name, settings, context, values)?,
            mount: mount.to_owned(),
            env: context.env.clone(),
            time_limit: context.time_limit,
        })
    }

    /// Gets the token.
    pub(super) async fn token(
        &self,
        server: &Server,
        mut service: Service,
    ) -> Result<SecretString, ProviderError> {
        let (path, body, secret) = match &self.auth {
            Auth::Given(token) => return Ok(token.clone()),
            Auth::Command(command) => return self.run(command, server).await,
            Auth::AppRole { role_id, secret_id } => {
                let mut body = json!({"role_id": role_id.expose_secret()});
                if let Some(secret) = secret_id {
                    body["secret_id"] = secret.expose_secret().into();
                }
                ("login".to_owned(), body, secret_id.clone())
            }
            Auth::Jwt { role, token } => {
                let token = self.identity(token).await?;
                let mut body = json!({"jwt": token.expose_secret()});
                if let Some(role) = role {
                    body["role"] = role.as_str().into();
                }
                ("login".to_owned(), body, Some(token))
            }
            Auth::Kubernetes { role, file } => {
                let token = token_file::read(file)?;
                let body = json!({"role": role, "jwt": token.expose_secret()});
                ("login".to_owned(), body, Some(token))
            }
            Auth::Userpass { username, password } => {
                let body = json!({"password": password.expose_secret()});
                (format!("login/{username}"), body, Some(password.clone()))
            }
        };
        let path = format!("auth/{}/{path}", self.mount);
        if let Some(secret) = &secret {
            service.hide(secret);
        }
        let body = Secret(body);
        let call = server.prepared(Method::POST, &path)?.json(&body.0)?;
        // A secret id may be good for so many logins only.
        let answer = service.send(call.changes()).await?;
        if !answer.is_success() {
            return Err(self.refused(&service, &answer, &path, secret.as_ref()));
        }
        let envelope: Envelope = answer.json(&service)?;
        match envelope.auth {
            Some(Issued { client_token }) if !client_token.0.is_empty() => Ok(client_token.0),
            _ => Err(ProviderError::unavailable(
                "Vault answered the login without a token",
            )),
        }
    }

    async fn identity(&self, token: &Identity) -> Result<SecretString, ProviderError> {
        match token {
            Identity::File(file) => token_file::read(file),
            Identity::Ci { audience } => ci_token::find(&self.env, audience, self.time_limit)
                .await?
                .ok_or_else(|| {
                    ProviderError::authentication(
                        "there is no identity token to log in to Vault with",
                    )
                    .with_remedy(
                        "set `identity_token_file`, or let the CI's job have identity tokens",
                    )
                }),
        }
    }

    async fn run(&self, command: &str, server: &Server) -> Result<SecretString, ProviderError> {
        let address = SecretString::new(server.address.to_string());
        let namespace = server.namespace.as_deref().map(SecretString::from);
        let additions = [("VAULT_ADDR".to_owned(), address)]
            .into_iter()
            .chain(namespace.map(|namespace| ("VAULT_NAMESPACE".to_owned(), namespace)));
        let env = self.env.with_overlay(additions);
        let program = Program {
            name: "sh",
            arguments: vec!["-c".into(), command.into()],
            env: &env,
            input: None,
            time_limit: COMMAND_LIMIT,
            install_hint: "install a POSIX shell",
        };
        let failed = |reason: &str| {
            ProviderError::authentication(format!("`credential_command` failed: {reason}"))
                .at_key("credential_command")
        };
        let output = program
            .run()
            .await
            .map_err(|error| failed(&error.message))?;
        if !output.status.success() {
            return Err(failed(&complaint(&output.stderr, &[])));
        }
        std::str::from_utf8(output.stdout.expose_secret())
            .map(str::trim)
            .ok()
            .filter(|token| !token.is_empty() && !token.contains(char::is_whitespace))
            .map(SecretString::from)
            .ok_or_else(|| failed("it did not print a token and nothing else"))
    }

    fn refused(
        &self,
        service: &Service,
        answer: &Answer,
        path: &str,
        secret: Option<&SecretString>,
    ) -> ProviderError {
        // 400 is "invalid role or secret ID", "error validating token: …", "invalid username or password".
        let said = service.cleaned(&answer.said().unwrap_or_default());
        match answer.status() {
            400 | 401 | 403 => {
                let mut message = format!("Vault refuses the login at `{path}`: {said}");
                if let (Auth::Jwt { .. } | Auth::Kubernetes { .. }, Some(token)) =
                    (&self.auth, secret)
                {
                    message = format!("{message}; {}", service.cleaned(&jwt::described(token)));
                }
                ProviderError::authentication(message)
                    .with_remedy("compare what was sent with the role's bindings in Vault")
            }
            404 => ProviderError::new(
                ErrorKind::Misconfigured,
                format!("Vault has no login at `{path}`"),
            )
            .with_remedy("is `auth_mount` right, and the namespace?"),
            _ => answer.refusal(service).into(),
        }
    }
}

/// A body with a secret in it, wiped when it is dropped.
struct Secret(Value);

impl Drop for Secret {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn auth(
    name: &str,
    settings: &Settings,
    context: &Context,
    values: &[(&str, &str)],
) -> Result<Auth, ProviderError> {
    let env = &context.env;
    let needed = |key: &'static str, variable: Option<&str>| {
        let names: Vec<&str> = variable.into_iter().collect();
        rest::credential(settings, key, env, &names).ok_or_else(|| {
            let or = variable.map(|name| format!(", or {name}"));
            ProviderError::authentication(format!("the login `{name}` of Vault needs `{key}`"))
                .with_remedy(format!("set `{key}`{}", or.unwrap_or_default()))
                .at_key(key)
        })
    };
    Ok(match name {
        "approle" => Auth::AppRole {
            role_id: needed("role_id", Some("VAULT_ROLE_ID"))?,
            secret_id: rest::credential(settings, "secret_id", env, &["VAULT_SECRET_ID"]),
        },
        "jwt" => Auth::Jwt {
            role: settings.text("role").map(str::to_owned),
            token: match settings.path("identity_token_file") {
                Some(file) => Identity::File(file),
                None => Identity::Ci {
                    audience: settings
                        .text("identity_token_audience")
                        .unwrap_or("vault")
                        .to_owned(),
                },
            },
        },
        "kubernetes" => Auth::Kubernetes {
            role: settings.required("role")?.to_owned(),
            file: settings
                .path("token_file")
                .unwrap_or_else(|| PathBuf::from(SERVICE_ACCOUNT_FOLDER).join("token")),
        },
        "userpass" => Auth::Userpass {
            username: user(settings.required("username")?)?,
            password: needed("password", Some("VAULT_PASSWORD"))?,
        },
        _ => given(settings, context, values)?,
    })
}

/// A name is one segment of the login's path.
fn user(name: &str) -> Result<String, ProviderError> {
    if name.contains(['/', '?', '#']) || matches!(name, "." | "..") {
        return Err(
            ProviderError::misconfigured("`username` must be one name, without a slash")
                .at_key("username"),
        );
    }
    Ok(name.to_owned())
}

/// Whether the token is the one that `vault login` leaves: nothing that comes before it is configured.
pub(super) fn uses_login_of_others(settings: &Settings, env: &Env) -> bool {
    let fields = settings.fields();
    let is_given = fields.text("auth").is_none_or(|auth| auth == "token");
    is_given
        && rest::credential(settings, "token", env, &TOKENS).is_none()
        && !fields.contains("credential_command")
        && settings.path("token_file").is_none()
}

/// The token that somebody else got: of the key, the environment, a command, or `vault login`.
fn given(
    settings: &Settings,
    context: &Context,
    values: &[(&str, &str)],
) -> Result<Auth, ProviderError> {
    if let Some(token) = rest::credential(settings, "token", &context.env, &TOKENS) {
        return Ok(Auth::Given(token));
    }
    if let Some(command) = settings.fields().text("credential_command") {
        return command_template::render(command, values)
            .map(Auth::Command)
            .map_err(|reason| {
                ProviderError::misconfigured(format!("`credential_command` {reason}"))
                    .at_key("credential_command")
                    .with_remedy(
                        "the command has VAULT_ADDR and VAULT_NAMESPACE in its environment too",
                    )
            });
    }
    let of_login = context.folders.home().map(|home| home.join(".vault-token"));
    let file = settings
        .path("token_file")
        .or_else(|| of_login.filter(|file| file.exists()));
    match file {
        Some(file) => Ok(Auth::Given(token_file::read(&file)?)),
        None => Err(ProviderError::authentication("there is no token for Vault")
            .with_remedy("set VAULT_TOKEN, or log in with `vault login`")),
    }
}

//! Programs that log in, run as kubectl runs them ("client-go credential plugins", `client.authentication.k8s.io/v1` and
//! `v1beta1`): without a terminal, with `KUBERNETES_EXEC_INFO`, and ended with all that they started when their time is up.

use std::time::Duration;

use base64::Engine as _;
use fnox_core::{Env, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::access::Place;
use super::kubeconfig::{Exec, Found, User};
use crate::error::ProviderError;
use crate::process::{Program, complaint};
use crate::wiped::Wiped;

const LIMIT: Duration = Duration::from_mins(1);

const INFO: &str = "KUBERNETES_EXEC_INFO";

/// What such a program answers.
pub(super) struct Login {
    pub(super) token: Option<SecretString>,
    /// Certificate and key in PEM.
    pub(super) certificate: Option<(String, SecretString)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    api_version: String,
    kind: String,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<Wiped>,
    client_certificate_data: Option<String>,
    client_key_data: Option<Wiped>,
}

/// What is wrong with an entry, seen before anything is run.
fn check(exec: &Exec) -> Result<(), ProviderError> {
    let wrong = |what: String| Err(ProviderError::authentication(what));
    if exec.command.is_empty() {
        return wrong("`exec` of the kubeconfig names no command".to_owned());
    }
    if !matches!(
        exec.api_version.as_str(),
        "client.authentication.k8s.io/v1" | "client.authentication.k8s.io/v1beta1"
    ) {
        return wrong(format!(
            "`exec` of the kubeconfig is of version `{}`, which fnox does not speak",
            exec.api_version.escape_debug()
        ));
    }
    match exec.interactive_mode.as_deref() {
        None if exec.api_version.ends_with("/v1") => wrong(
            "`exec` of the kubeconfig has no `interactiveMode`, which version v1 requires"
                .to_owned(),
        ),
        Some("Always") => Err(ProviderError::authentication(format!(
            "`{}` of the kubeconfig logs in at a terminal only",
            exec.command
        ))
        .with_remedy("use a kubeconfig whose user needs nobody to type")),
        _ => Ok(()),
    }
}

/// Runs the program.
pub(super) async fn run(
    user: &Found<'_, User>,
    exec: &Exec,
    place: &Place,
    env: &Env,
    hidden: &[SecretString],
) -> Result<Login, ProviderError> {
    check(exec)?;
    // A name is looked for on PATH; what has a slash is relative to the kubeconfig, as in client-go.
    let command = if exec.command.contains('/') {
        user.path(&exec.command).display().to_string()
    } else {
        exec.command.clone()
    };
    let env = environment(exec, place, env);
    let program = Program {
        name: &command,
        arguments: exec.args.iter().flatten().map(Into::into).collect(),
        env: &env,
        input: None,
        time_limit: LIMIT,
        install_hint: exec
            .install_hint
            .as_deref()
            .unwrap_or("it is named in `exec` of the kubeconfig"),
    };
    let failed = |reason: &str| {
        ProviderError::authentication(format!(
            "`{}` of the kubeconfig failed: {reason}",
            exec.command
        ))
    };
    let output = program.run().await.map_err(|error| ProviderError {
        remedy: error.remedy.clone(),
        ..failed(&error.message)
    })?;
    let hidden: Vec<&SecretString> = hidden.iter().collect();
    if !output.status.success() {
        return Err(failed(&complaint(&output.stderr, &hidden)));
    }
    // The parser's message may quote the output, which has a token.
    let answer: ExecCredential = serde_json::from_slice(output.stdout.expose_secret())
        .map_err(|_| failed("it did not print an ExecCredential"))?;
    if answer.kind != "ExecCredential" || answer.api_version != exec.api_version {
        return Err(failed(
            "it printed another kind or another version than the kubeconfig says",
        ));
    }
    let status = answer
        .status
        .ok_or_else(|| failed("it printed no `status`"))?;
    let token = status.token.map(|Wiped(token)| token);
    let certificate = match (status.client_certificate_data, status.client_key_data) {
        (Some(certificate), Some(Wiped(key))) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            return Err(failed(
                "it printed a certificate without its key, or a key alone",
            ));
        }
    };
    if token.is_none() && certificate.is_none() {
        return Err(failed("it printed neither a token nor a certificate"));
    }
    Ok(Login { token, certificate })
}

fn environment(exec: &Exec, place: &Place, env: &Env) -> Env {
    let mut spec = json!({"interactive": false});
    if exec.provide_cluster_info {
        let mut cluster = json!({"server": place.configured_server});
        if let Some(name) = &place.tls_server_name {
            cluster["tls-server-name"] = name.as_str().into();
        }
        if let Some((_, pem)) = &place.authority {
            let data = base64::engine::general_purpose::STANDARD.encode(pem);
            cluster["certificate-authority-data"] = data.into();
        }
        if place.is_unchecked {
            cluster["insecure-skip-tls-verify"] = true.into();
        }
        spec["cluster"] = cluster;
    }
    let info = json!({"apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec});
    let own = exec.env.iter().flatten();
    let additions = own
        .map(|variable| (variable.name.clone(), variable.value.0.clone()))
        .chain([(INFO.to_owned(), SecretString::new(info.to_string()))]);
    env.with_overlay(additions)
}

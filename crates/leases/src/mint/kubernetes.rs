//! `kubernetes`: a service account's token, by `TokenRequest` (`authentication.k8s.io/v1`).
//!
//! fnox reads kubeconfig files as kubectl does, calls the API server itself and needs no kubectl. The master is the user of
//! a context, or the pod's own account.
//!
//! Guarantees: a server whose certificate cannot be checked gets nothing, but on this machine; who is named in the
//! kubeconfig is asked for and nobody else (what fnox does not support is an error); the end is the server's word.
//!
//! Such a token has no name and cannot be withdrawn: it only expires. So nothing has to be found after a crash.
//!
//! Facts are from "TokenRequest" of the Kubernetes API reference, "Managing Service Accounts", "Organizing Cluster Access
//! Using kubeconfig Files", "kubeconfig (v1)", "client-go credential plugins" and "Accessing the Kubernetes API from a Pod".

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use fnox_config::{ConfigError, Fields, LeaseConfig};
use fnox_core::{Credential, Env, Lifetime};
use fnox_providers::kubernetes::{Access, Choice, SERVICE_ACCOUNT_FOLDER, Target};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, MintErrorKind, PlannedCall,
    Prerequisite, RevocationKind,
};
use crate::error::LeaseError;
use crate::issuer::{self, Answer, Call, Issuer, below};
use crate::wiped::Wiped;

/// What names the masters.
const MASTERS: [&str; 1] = ["KUBECONFIG"];

/// What says where a pod's cluster is.
const OF_POD: [&str; 2] = ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"];

/// A life for which API servers issue tokens of a year: they take it for that of an old client
/// (`--service-account-extend-token-expiration`).
const EXTENDED_LIFE: u64 = 3607;

const MISSING: &str = "Kubernetes credentials not found. Set KUBECONFIG or `kubeconfig`, or run in a pod with a service account.";

/// A lease's keys.
#[derive(Debug)]
struct Settings {
    service_account: String,
    audiences: Vec<String>,
    env_var: String,
    choice: Choice,
}

#[derive(Debug)]
struct Kubernetes {
    settings: Settings,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for names that Kubernetes would refuse.
pub(crate) fn open(lease: &LeaseConfig, home: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    Ok(Box::new(Kubernetes {
        settings: Settings::read(&lease.fields, home)?,
    }))
}

impl Settings {
    fn read(fields: &Fields, home: Option<&Path>) -> Result<Self, ConfigError> {
        let text = |key: &str| fields.text(key).map(str::to_owned);
        let name = |key: &str| match text(key) {
            Some(name) if !is_name(&name) => Err(fields.invalid(
                key,
                "must be a name of Kubernetes: lower-case letters, digits, `-` and `.`",
            )),
            name => Ok(name),
        };
        let env_var = text("env_var").unwrap_or_else(|| "KUBE_TOKEN".to_owned());
        if !fnox_core::name::is_variable_name(&env_var) {
            return Err(fields.invalid("env_var", "must be the name of a variable"));
        }
        Ok(Self {
            service_account: name("service_account")?.unwrap_or_default(),
            audiences: fields.list("audiences").to_vec(),
            env_var,
            choice: Choice {
                context: text("context"),
                namespace: name("namespace")?,
                kubeconfig: fields.path("kubeconfig", home),
                service_account_folder: fields
                    .path("service_account_folder", home)
                    .unwrap_or_else(|| PathBuf::from(SERVICE_ACCOUNT_FOLDER)),
                home: home.map(Path::to_owned),
            },
        })
    }
}

/// A DNS subdomain ("Object Names and IDs").
fn is_name(name: &str) -> bool {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let is_edge = |c: char| c.is_ascii_alphanumeric();
    name.len() <= 253
        && name.chars().all(is_good)
        && name.starts_with(is_edge)
        && name.ends_with(is_edge)
        && !name.contains("..")
}

/// `TokenRequest` as it comes back.
#[derive(Deserialize)]
struct Issued {
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Wiped,
    expiration_timestamp: Timestamp,
}

impl Kubernetes {
    fn target(&self, env: &Env) -> Result<Target, MintError> {
        Target::find(&self.settings.choice, env)?.ok_or_else(|| {
            MintError::authentication("there is no kubeconfig").with_remedy(
                "set KUBECONFIG or `kubeconfig`, or run in a pod with a service account",
            )
        })
    }

    fn refused(
        &self,
        issuer: &Issuer,
        answer: &Answer,
        namespace: &str,
        access: &Access,
    ) -> MintError {
        let account = &self.settings.service_account;
        let mut error = answer.refusal(issuer);
        let described = issuer.cleaned(&access.described);
        match answer.status() {
            401 => error
                .with_remedy(format!("log in again: the cluster was asked as {described}")),
            403 => error.with_remedy(format!(
                "the cluster was asked as {described}; a Role in namespace {namespace} must allow the verb `create` of \
                 `serviceaccounts/token` with resourceNames [\"{account}\"]"
            )),
            404 => {
                error.key = Some("service_account");
                error.with_remedy(format!(
                    "is there a service account {account} in namespace {namespace} (`kubectl get serviceaccounts -n {namespace}`), \
                     and is it the right cluster?"
                ))
            }
            400 | 422 => error.with_remedy("the message names the field: `duration` or `audiences`"),
            300..=399 => MintError::new(
                MintErrorKind::Unavailable,
                format!("Kubernetes sends elsewhere (status {})", answer.status()),
            )
            .with_remedy("is `server` of the kubeconfig the API server, and not a page to log in at?"),
            _ => error,
        }
    }
}

#[async_trait]
impl Mint for Kubernetes {
    /// "spec.expirationSeconds … may not specify a duration less than 10 minutes".
    fn limits(&self) -> Limits {
        Limits {
            minimum: Lifetime::from_secs(600),
            maximum: Lifetime::from_secs(24 * 3600),
        }
    }

    fn produces(&self) -> Vec<String> {
        vec![self.settings.env_var.clone()]
    }

    fn consumes(&self) -> Consumes {
        let names = MASTERS.iter().chain(&OF_POD);
        Consumes::Names(names.map(|name| (*name).to_owned()).collect())
    }

    fn surroundings(&self, env: &Env) -> Vec<String> {
        match Target::find(&self.settings.choice, env) {
            Ok(Some(target)) => target.principal(),
            Ok(None) | Err(_) => Vec::new(),
        }
    }

    fn withholds(&self, _: &dyn Fn(&str) -> bool) -> Vec<String> {
        MASTERS.map(str::to_owned).to_vec()
    }

    fn revocation(&self) -> RevocationKind {
        RevocationKind::ExpiresOnly
    }

    fn prerequisites(&self, context: &MintContext) -> Prerequisite {
        match Target::find(&self.settings.choice, &context.env) {
            Ok(None) => Prerequisite::Missing {
                message: MISSING.to_owned(),
                prompts: Vec::new(),
            },
            // Something is there. What is wrong with it, `create` tells.
            Ok(Some(_)) | Err(_) => Prerequisite::Present,
        }
    }

    fn explain(&self, context: &MintContext, request: &CreateRequest) -> Vec<PlannedCall> {
        let settings = &self.settings;
        let target = Target::find(&settings.choice, &context.env).ok().flatten();
        let (target, master) = match &target {
            Some(target) => (
                url(target, settings).to_string(),
                target.master(&settings.choice),
            ),
            None => (
                "the cluster of the kubeconfig".to_owned(),
                MASTERS[0].to_owned(),
            ),
        };
        let mut details = vec![(
            "expirationSeconds".to_owned(),
            seconds(request.duration).to_string(),
        )];
        if !settings.audiences.is_empty() {
            details.push(("audiences".to_owned(), settings.audiences.join(", ")));
        }
        vec![PlannedCall {
            action: "POST".to_owned(),
            target,
            purpose: "create a token of the service account".to_owned(),
            master,
            details,
        }]
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let settings = &self.settings;
        let target = self.target(&context.env)?;
        let access = target
            .open(&settings.choice, &context.env, &context.masters)
            .await?;
        let mut issuer = issuer::open_with("Kubernetes", context, &access.tls)?;
        let mut spec = json!({"expirationSeconds": seconds(request.duration)});
        if !settings.audiences.is_empty() {
            spec["audiences"] = settings.audiences.clone().into();
        }
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": spec,
        });
        let mut call = Call::post(url(&target, settings)).json(&body)?;
        if let Some(token) = &access.token {
            issuer.hide(token);
            call = call.bearer(token)?;
        }
        let answer = issuer.send(call.changes()).await?;
        if !answer.is_success() {
            return Err(self.refused(&issuer, &answer, &target.namespace, &access));
        }
        let Issued { status } = answer.json(&issuer)?;
        if status.token.0.is_empty() {
            return Err(
                MintError::unavailable("Kubernetes answered without a token").maybe_issued(),
            );
        }
        if status.expiration_timestamp <= context.clock.now() {
            return Err(MintError::unavailable(format!(
                "the token that Kubernetes issued has expired already, at {}",
                status.expiration_timestamp
            ))
            .with_remedy("is this machine's clock right?")
            .maybe_issued());
        }
        Ok(Credential {
            variables: vec![(settings.env_var.clone(), status.token.0)],
            expires_at: Some(status.expiration_timestamp),
            id: request.provisional_id.clone(),
            private: Vec::new(),
        })
    }
}

fn url(target: &Target, settings: &Settings) -> reqwest::Url {
    below(
        &target.place.base(),
        &[
            "api",
            "v1",
            "namespaces",
            &target.namespace,
            "serviceaccounts",
            &settings.service_account,
            "token",
        ],
    )
}

fn seconds(duration: Lifetime) -> u64 {
    match duration.as_secs() {
        EXTENDED_LIFE => EXTENDED_LIFE - 1,
        seconds => seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubernetes() {
        for good in ["default", "a", "build-1", "a.b"] {
            assert!(is_name(good), "{good}");
        }
        for wrong in [
            "",
            "A",
            "a/b",
            "..",
            "a..b",
            "-a",
            "a_b",
            "a b",
            &"a".repeat(254),
        ] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_life_of_which_servers_make_a_year_is_not_asked_for() {
        assert_eq!(seconds(Lifetime::from_secs(3607)), 3606);
        assert_eq!(seconds(Lifetime::from_secs(3600)), 3600);
    }
}

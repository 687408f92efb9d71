//! `kubernetes`: values in Secrets of a Kubernetes cluster, over its API.
//!
//! A reference is `secret`, `secret/key` or `namespace/secret/key`; without a key the Secret must have exactly one. `prefix` is put before the
//! Secret's name. Each Secret is read once in a batch. Which cluster is asked, and as whom, is what kubectl would take: see
//! [`crate::kubernetes`].
//!
//! Facts are from the Kubernetes API reference ("Secret": `data` is base64; `GET /api/v1/namespaces/{namespace}/secrets/{name}`), "Object Names and
//! IDs" and "Secrets" (what a key may be called).

mod reference;

use std::collections::BTreeMap;

use async_trait::async_trait;
use base64::Engine as _;
use fnox_core::{Env, SecretBytes, SecretString};
use fnox_http::{Answer, Call, Limits, Service, Url, below};
use futures_util::StreamExt as _;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::OnceCell;

use self::reference::{Place, Reference};
use super::rest;
use crate::error::{ErrorKind, ProviderError};
use crate::kubernetes::{Choice, SERVICE_ACCOUNT_FOLDER, Target};
use crate::provider::{Context, Provider, Request};
use crate::settings::Settings;
use crate::wiped::Wiped;

/// How many Secrets are read at once.
const CONCURRENT: usize = 8;

/// Opens a provider of this type. Nothing is read or contacted yet.
///
/// # Errors
/// None so far: what is wrong with a kubeconfig is told by the first use.
pub fn open(settings: &Settings, context: &Context) -> Result<Box<dyn Provider>, ProviderError> {
    let env = &context.env;
    let of_variable = rest::variable(env, &["FNOX_K8S_CONTEXT"]);
    let text = |key: &str| settings.text(key).map(str::to_owned);
    Ok(Box::new(Kubernetes {
        choice: Choice {
            context: text("context").or_else(|| of_variable.map(str::to_owned)),
            namespace: text("namespace"),
            kubeconfig: settings.path("kubeconfig"),
            service_account_folder: SERVICE_ACCOUNT_FOLDER.into(),
            home: context.folders.home().map(Into::into),
        },
        prefix: text("prefix").unwrap_or_default(),
        env: env.clone(),
        limits: rest::limits(context),
        cluster: OnceCell::new(),
    }))
}

#[derive(Debug)]
struct Kubernetes {
    choice: Choice,
    prefix: String,
    env: Env,
    limits: Limits,
    cluster: OnceCell<Cluster>,
}

/// A cluster, and a way to call it.
#[derive(Debug)]
struct Cluster {
    service: Service,
    base: Url,
    token: Option<SecretString>,
    /// Where references without a namespace are.
    namespace: String,
    /// As whom it is called, for messages.
    described: String,
}

/// `Secret` of `v1`.
#[derive(Deserialize)]
struct Object {
    kind: String,
    #[serde(default)]
    data: Option<BTreeMap<String, Wiped>>,
}

type Data = BTreeMap<String, Wiped>;

#[async_trait]
impl Provider for Kubernetes {
    async fn get_many(&self, requests: &[Request]) -> Vec<Result<SecretString, ProviderError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        let cluster = match self.cluster().await {
            Ok(cluster) => cluster,
            Err(error) => return rest::all(requests, &error),
        };
        let references: Vec<_> = requests
            .iter()
            .map(|request| Reference::parse(&request.reference, &self.prefix, &cluster.namespace))
            .collect();
        let mut places: Vec<&Place> = references.iter().flatten().map(|it| &it.place).collect();
        places.sort_unstable();
        places.dedup();
        let service = cluster.service.restarted();
        let reads: Vec<_> = places
            .iter()
            .map(|place| cluster.read(&service, place))
            .collect();
        let read: Vec<_> = stream::iter(reads).buffered(CONCURRENT).collect().await;
        let read: BTreeMap<_, _> = places.into_iter().zip(read).collect();
        references
            .iter()
            .map(|reference| {
                let reference = reference.as_ref().map_err(Clone::clone)?;
                match read.get(&reference.place) {
                    Some(Ok(data)) => value(data, reference),
                    Some(Err(error)) => Err(error.clone()),
                    None => Err(missing(&reference.place)),
                }
            })
            .collect()
    }

    /// Reads a Secret that nobody has. Roles are often about single names, so that being refused this one says nothing about
    /// others; the login was accepted.
    async fn check(&self) -> Result<(), ProviderError> {
        let cluster = self.cluster().await?;
        let place = Place {
            namespace: cluster.namespace.clone(),
            secret: "fnox-check-of-access".to_owned(),
        };
        match cluster.read(&cluster.service.restarted(), &place).await {
            Err(error) if !matches!(error.kind, ErrorKind::NotFound | ErrorKind::Denied) => {
                Err(error)
            }
            _ => Ok(()),
        }
    }
}

impl Kubernetes {
    async fn cluster(&self) -> Result<&Cluster, ProviderError> {
        self.cluster
            .get_or_try_init(|| async {
                let target = Target::find(&self.choice, &self.env)?.ok_or_else(|| {
                    ProviderError::authentication("there is no kubeconfig").with_remedy(
                        "set KUBECONFIG or `kubeconfig`, or run in a pod with a service account",
                    )
                })?;
                let access = target.open(&self.choice, &self.env, &[]).await?;
                let mut service = Service::with_tls("Kubernetes", self.limits, &access.tls)?;
                if let Some(token) = &access.token {
                    service.hide(token);
                }
                Ok(Cluster {
                    service,
                    base: target.place.base(),
                    token: access.token,
                    namespace: target.namespace,
                    described: access.described,
                })
            })
            .await
    }
}

impl Cluster {
    async fn read(&self, service: &Service, place: &Place) -> Result<Data, ProviderError> {
        let path = [
            "api",
            "v1",
            "namespaces",
            &place.namespace,
            "secrets",
            &place.secret,
        ];
        let mut call = Call::get(below(&self.base, &path));
        if let Some(token) = &self.token {
            call = call.bearer(token)?;
        }
        let answer = service.send(call).await?;
        if !answer.is_success() {
            return Err(self.refused(service, &answer, place));
        }
        let object: Object = answer.json(service)?;
        if object.kind != "Secret" {
            return Err(ProviderError::unavailable(
                "Kubernetes answered with something else than a Secret",
            )
            .with_remedy("is `server` of the kubeconfig the API server?"));
        }
        Ok(object.data.unwrap_or_default())
    }

    fn refused(&self, service: &Service, answer: &Answer, place: &Place) -> ProviderError {
        let error = ProviderError::from(answer.refusal(service));
        let described = service.cleaned(&self.described);
        match answer.status() {
            401 => error.with_remedy(format!("log in again: the cluster was asked as {described}")),
            403 => error.with_remedy(format!(
                "the cluster was asked as {described}; a Role in the namespace `{}` must allow the verb `get` of `secrets` with resourceNames [\"{}\"]",
                place.namespace, place.secret
            )),
            404 => missing(place),
            _ => error,
        }
    }
}

fn missing(place: &Place) -> ProviderError {
    ProviderError::new(
        ErrorKind::NotFound,
        format!(
            "there is no Secret `{}` in the namespace `{}`",
            place.secret, place.namespace
        ),
    )
}

/// The value under the reference's key, or the only one.
fn value(data: &Data, reference: &Reference) -> Result<SecretString, ProviderError> {
    let place = &reference.place;
    let named = format!(
        "the Secret `{}` in the namespace `{}`",
        place.secret, place.namespace
    );
    let keys = || {
        data.keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (key, encoded) = if let Some(key) = &reference.key {
        data.get_key_value(key).ok_or_else(|| {
            ProviderError::new(ErrorKind::NotFound, format!("{named} has no key `{key}`"))
                .with_remedy(format!("its keys: {}", keys()))
        })?
    } else {
        let mut all = data.iter();
        match (all.next(), all.next()) {
            (Some(only), None) => only,
            (None, _) => {
                return Err(ProviderError::new(
                    ErrorKind::NotFound,
                    format!("{named} is empty"),
                ));
            }
            (Some(_), Some(_)) => {
                return Err(ProviderError::misconfigured(format!(
                    "{named} has {} keys, and the reference names none",
                    data.len()
                ))
                .with_remedy(format!(
                    "write `{}/KEY` with one of: {}",
                    place.secret,
                    keys()
                )));
            }
        }
    };
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(encoded.0.expose_secret())
        .map(SecretBytes::new)
        .map_err(|_| {
            ProviderError::unavailable(format!("the key `{key}` of {named} is not base64"))
        })?;
    bytes.into_string().map_err(|_| {
        ProviderError::misconfigured(format!("the key `{key}` of {named} is not UTF-8 text"))
    })
}

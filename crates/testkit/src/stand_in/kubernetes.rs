//! A Kubernetes API server's `TokenRequest`, and its Secrets to read.
//!
//! Checked against the Kubernetes API reference ("TokenRequest" of `authentication.k8s.io/v1`, operation
//! `createCoreV1NamespacedServiceAccountToken`; "Secret" of `v1`, operation `readCoreV1NamespacedSecret`), "Managing Service Accounts" (lives, audiences, the claims of tokens) and "Kubernetes
//! API Concepts" (the form of a refusal).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::issuer::{Reply, Request, Service};
use super::jwt;

/// The server.
#[derive(Debug)]
pub struct Kubernetes {
    /// Service accounts: namespace and name.
    pub accounts: BTreeSet<(String, String)>,
    /// Secrets by namespace and name: their keys and values.
    pub secrets: BTreeMap<(String, String), BTreeMap<String, Vec<u8>>>,
    /// Whether whoever asks may not.
    pub is_forbidden: bool,
    /// Whether callers are known by the certificate that they showed to a proxy before the server.
    pub is_by_certificate: bool,
    /// The longest life that is given (`--service-account-max-token-expiration`), in seconds.
    pub longest: i64,
    issued: Vec<Value>,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self::new()
    }
}

impl Kubernetes {
    /// The token of a user.
    pub const USER_TOKEN: &str = "sa-user-token-0123456789abcdef0123456789abcdef";
    /// The server's own audience.
    pub const AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";

    /// A server with the account `deploy` in `apps` and in `default`.
    #[must_use]
    pub fn new() -> Self {
        let accounts = ["apps", "default"].map(|space| (space.to_owned(), "deploy".to_owned()));
        Self {
            accounts: accounts.into(),
            secrets: BTreeMap::new(),
            is_forbidden: false,
            is_by_certificate: false,
            longest: 48 * 3600,
            issued: Vec::new(),
        }
    }

    /// The claims of the tokens that were issued.
    #[must_use]
    pub fn issued(&self) -> &[Value] {
        &self.issued
    }

    /// Sets a key of a Secret.
    pub fn set_secret(&mut self, namespace: &str, name: &str, key: &str, value: &[u8]) {
        let place = (namespace.to_owned(), name.to_owned());
        let data = self.secrets.entry(place).or_default();
        data.insert(key.to_owned(), value.to_vec());
    }

    fn is_known(&self, request: &Request) -> Result<bool, Reply> {
        match (request.header("authorization"), request.bearer()) {
            (None, _) => Ok(self.is_by_certificate),
            (Some(_), Some(token)) => Ok(token == Self::USER_TOKEN),
            (Some(_), None) => Err(Reply::undocumented(
                "basic authentication is gone since 1.19",
            )),
        }
    }

    /// `GET /api/v1/namespaces/{namespace}/secrets/{name}`
    fn read_secret(&self, request: &Request, namespace: &str, name: &str) -> Reply {
        if request.method != "GET" || !request.query.is_empty() || !request.body.is_empty() {
            return Reply::undocumented("reading a Secret is a GET without query and body");
        }
        match self.is_known(request) {
            Err(reply) => return reply,
            Ok(false) => return failure(401, "Unauthorized", "Unauthorized"),
            Ok(true) => {}
        }
        if self.is_forbidden {
            let message = format!(
                "secrets \"{name}\" is forbidden: User \"ada\" cannot get resource \"secrets\" in API group \"\" in the namespace \
                 \"{namespace}\""
            );
            return failure(403, "Forbidden", &message);
        }
        let place = (namespace.to_owned(), name.to_owned());
        let Some(data) = self.secrets.get(&place) else {
            return failure(404, "NotFound", &format!("secrets \"{name}\" not found"));
        };
        let encoded: Map<String, Value> = data
            .iter()
            .map(|(key, value)| {
                let value = base64::engine::general_purpose::STANDARD.encode(value);
                (key.clone(), value.into())
            })
            .collect();
        let mut object = json!({
            "kind": "Secret",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": namespace, "uid": "1", "resourceVersion": "7"},
            "type": "Opaque",
        });
        // An empty map is left out.
        if !encoded.is_empty() {
            object["data"] = encoded.into();
        }
        Reply::json(200, &object)
    }

    fn create(
        &mut self,
        account: (&str, &str),
        fields: &Map<String, Value>,
        now: Timestamp,
        is_expired: bool,
    ) -> Reply {
        let (namespace, name) = account;
        let known = (namespace.to_owned(), name.to_owned());
        if !self.accounts.contains(&known) {
            let message = format!("serviceaccounts \"{name}\" not found");
            return failure(404, "NotFound", &message);
        }
        let Some(Value::Object(spec)) = fields.get("spec") else {
            return Reply::undocumented("there is no `spec`");
        };
        if let Some(name) = unknown(spec, &["audiences", "expirationSeconds", "boundObjectRef"]) {
            return Reply::undocumented(format!("`spec` has {name}"));
        }
        let audiences = match spec.get("audiences") {
            None | Some(Value::Null) => vec![json!(Self::AUDIENCE)],
            Some(Value::Array(list)) if list.is_empty() => vec![json!(Self::AUDIENCE)],
            Some(Value::Array(list)) if list.iter().all(Value::is_string) => list.clone(),
            Some(_) => return Reply::undocumented("`audiences` is a list of texts"),
        };
        let asked = match spec.get("expirationSeconds") {
            None | Some(Value::Null) => 3600,
            Some(value) => match value.as_i64() {
                Some(seconds) => seconds,
                None => return Reply::undocumented("`expirationSeconds` is an integer"),
            },
        };
        if asked < 600 {
            let message = format!(
                "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: {asked}: may not \
                 specify a duration less than 10 minutes"
            );
            return failure(422, "Invalid", &message);
        }
        let life = if is_expired {
            -60
        } else {
            asked.min(self.longest)
        };
        let end = now + SignedDuration::from_secs(life);
        let claims = json!({
            "aud": audiences,
            "exp": end.as_second(),
            "iat": now.as_second(),
            "iss": Self::AUDIENCE,
            "jti": format!("token-{}", self.issued.len()),
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": "1"}},
            "nbf": now.as_second(),
            "sub": format!("system:serviceaccount:{namespace}:{name}"),
        });
        let token = jwt::signed(&claims, jwt::FIRST, "cluster");
        self.issued.push(claims);
        Reply::json(
            201,
            &json!({
                "kind": "TokenRequest",
                "apiVersion": "authentication.k8s.io/v1",
                "metadata": {"name": name, "namespace": namespace, "creationTimestamp": second(now)},
                "spec": {"audiences": audiences, "expirationSeconds": life, "boundObjectRef": null},
                "status": {"token": token, "expirationTimestamp": second(end)},
            }),
        )
    }
}

impl Service for Kubernetes {
    fn answer(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply {
        let segments: Vec<&str> = request.path.split('/').collect();
        if request
            .header("accept")
            .is_none_or(|kinds| !kinds.contains("application/json"))
        {
            return Reply::undocumented("`Accept` has no application/json");
        }
        if let ["", "api", "v1", "namespaces", namespace, "secrets", name] = segments.as_slice() {
            return self.read_secret(request, namespace, name);
        }
        let [
            "",
            "api",
            "v1",
            "namespaces",
            namespace,
            "serviceaccounts",
            name,
            "token",
        ] = segments.as_slice()
        else {
            return Reply::undocumented("there is no such path");
        };
        if request.method != "POST" || !request.query.is_empty() {
            return Reply::undocumented("`TokenRequest` is a POST without a query");
        }
        match self.is_known(request) {
            Err(reply) => return reply,
            Ok(false) => return failure(401, "Unauthorized", "Unauthorized"),
            Ok(true) => {}
        }
        let Some(Value::Object(fields)) = request.json() else {
            return Reply::undocumented("the body is no JSON object");
        };
        // `status` is the server's.
        if let Some(name) = unknown(&fields, &["apiVersion", "kind", "metadata", "spec"]) {
            return Reply::undocumented(format!("the body has {name}"));
        }
        let is = |name: &str, wanted: &str| fields.get(name) == Some(&json!(wanted));
        if !is("apiVersion", "authentication.k8s.io/v1") || !is("kind", "TokenRequest") {
            return Reply::undocumented("the body is no TokenRequest of authentication.k8s.io/v1");
        }
        if self.is_forbidden {
            let message = format!(
                "serviceaccounts \"{name}\" is forbidden: User \"ada\" cannot create resource \"serviceaccounts/token\" in API group \
                 \"\" in the namespace \"{namespace}\""
            );
            return failure(403, "Forbidden", &message);
        }
        self.create((namespace, name), &fields, now, is_expired)
    }
}

fn unknown<'a>(fields: &'a Map<String, Value>, known: &[&str]) -> Option<&'a str> {
    let mut names = fields.keys().map(String::as_str);
    names.find(|name| !known.contains(name))
}

/// `metav1.Time`: whole seconds.
fn second(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `metav1.Status`.
fn failure(code: u16, reason: &str, message: &str) -> Reply {
    Reply::json(
        code,
        &json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        }),
    )
}

//! Doppler's API, as far as it reads secrets.
//!
//! Checked against Doppler's pages "API Reference" (bearer tokens, kinds of tokens, the form of errors), "Secrets: List" (`project`, `config`,
//! `secrets`, `include_dynamic_secrets`, `dynamic_secrets_ttl_sec`, `include_managed_secrets`), "Secrets: List Names", "Secrets" (what a name
//! is) and "Secret Visibility" (what is restricted is not shown).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::issuer::{Reply, Request, Service};

/// A workplace with one config.
#[derive(Debug)]
pub struct Doppler {
    /// Its secrets.
    pub secrets: BTreeMap<String, String>,
    /// Those that are not shown.
    pub restricted: BTreeSet<String>,
    /// Whether whoever asks may not read them.
    pub is_forbidden: bool,
}

impl Default for Doppler {
    fn default() -> Self {
        Self::new()
    }
}

impl Doppler {
    /// A token for all configs of the account.
    pub const PERSONAL_TOKEN: &str = "dp.pt.stand-in-personal-token-0123456789";
    /// A token for the one config.
    pub const SERVICE_TOKEN: &str = "dp.st.prd.stand-in-service-token-0123456789";
    /// The project.
    pub const PROJECT: &str = "shop";
    /// Its config.
    pub const CONFIG: &str = "prd";

    /// A config without secrets but those that Doppler puts there.
    #[must_use]
    pub fn new() -> Self {
        Self {
            secrets: BTreeMap::from([("DOPPLER_CONFIG".to_owned(), Self::CONFIG.to_owned())]),
            restricted: BTreeSet::new(),
            is_forbidden: false,
        }
    }

    /// Of which config the request is.
    fn refusal(&self, request: &Request, query: &BTreeMap<String, String>) -> Option<Reply> {
        let is_of_config = match request.bearer() {
            Some(Self::PERSONAL_TOKEN) => false,
            Some(Self::SERVICE_TOKEN) => true,
            Some(_) => return Some(failure(401, "Invalid Auth token")),
            None => return Some(Reply::undocumented("there is no bearer token")),
        };
        let project = query.get("project").map(String::as_str);
        let config = query.get("config").map(String::as_str);
        if !is_of_config && (project.is_none() || config.is_none()) {
            return Some(failure(400, "You must provide a project and a config"));
        }
        if project.is_some_and(|project| project != Self::PROJECT) {
            return Some(failure(404, "Could not find requested project"));
        }
        if config.is_some_and(|config| config != Self::CONFIG) {
            return Some(failure(404, "Could not find requested config"));
        }
        self.is_forbidden
            .then(|| failure(403, "This token does not have access to requested config"))
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Reply {
        let wanted: Option<BTreeSet<&str>> =
            query.get("secrets").map(|names| names.split(',').collect());
        if let Some(name) = wanted.iter().flatten().find(|name| !is_name(name)) {
            return Reply::undocumented(format!("{name:?} is no name of a secret"));
        }
        let is_wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| wanted.contains(name));
        let secrets: Map<String, Value> = self
            .secrets
            .iter()
            .filter(|(name, _)| is_wanted(name))
            .map(|(name, value)| (name.clone(), self.shown(name, value)))
            .collect();
        Reply::json(200, &json!({"secrets": secrets, "success": true}))
    }

    fn shown(&self, name: &str, value: &str) -> Value {
        if self.restricted.contains(name) {
            return json!({
                "raw": null, "computed": null, "note": "",
                "rawVisibility": "restricted", "computedVisibility": "restricted",
            });
        }
        json!({
            "raw": format!("${{RAW_OF_{name}}}"), "computed": value, "note": "",
            "rawVisibility": "masked", "computedVisibility": "masked",
        })
    }
}

impl Service for Doppler {
    fn answer(&mut self, request: &Request, _: Timestamp, _: bool) -> Reply {
        if request.method != "GET" || !request.body.is_empty() {
            return Reply::undocumented("reading is a GET without a body");
        }
        if request.header("accept") != Some("application/json") {
            return Reply::undocumented("`Accept` is not application/json");
        }
        let (known, is_names): (&[&str], bool) = match request.path.as_str() {
            "/v3/configs/config/secrets" => (
                &[
                    "project",
                    "config",
                    "secrets",
                    "include_dynamic_secrets",
                    "dynamic_secrets_ttl_sec",
                    "include_managed_secrets",
                ],
                false,
            ),
            "/v3/configs/config/secrets/names" => (
                &[
                    "project",
                    "config",
                    "include_dynamic_secrets",
                    "include_managed_secrets",
                ],
                true,
            ),
            _ => return Reply::undocumented("there is no such path"),
        };
        let mut query = BTreeMap::new();
        for (name, value) in request.query() {
            if !known.contains(&name.as_str()) {
                return Reply::undocumented(format!("there is no parameter {name}"));
            }
            if query.insert(name.clone(), value).is_some() {
                return Reply::undocumented(format!("{name} is there twice"));
            }
        }
        if query
            .get("include_dynamic_secrets")
            .is_some_and(|value| value != "false")
        {
            return Reply::undocumented("that would lease dynamic secrets");
        }
        if let Some(refusal) = self.refusal(request, &query) {
            return refusal;
        }
        if is_names {
            let names: Vec<&String> = self.secrets.keys().collect();
            return Reply::json(200, &json!({"names": names, "success": true}));
        }
        self.list(&query)
    }
}

/// "Secret names may only contain uppercase letters, numbers, and underscores"; "may not start with a number".
fn is_name(name: &str) -> bool {
    let is_good = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    name.chars().all(is_good) && name.starts_with(|c: char| !c.is_ascii_digit())
}

/// "messages" says what is wrong.
fn failure(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"messages": [message], "success": false}))
}

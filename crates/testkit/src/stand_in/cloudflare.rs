//! Cloudflare's API of tokens.
//!
//! Checked against Cloudflare's Python library 5.9, which is generated from its OpenAPI description
//! (`resources/user/tokens`, `resources/accounts/tokens`, `types/shared_params/token_policy.py`), and its page "Create tokens via
//! API". Error codes are those that its pages and public issues quote: 1000, 6003, 7003, 9109; a body that is refused has the
//! general code 1001. Fractions of seconds in `expires_on` are refused.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::issuer::{Reply, Request, Service};

/// A token as Cloudflare keeps it.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its secret.
    pub value: String,
    /// The request that made it.
    pub body: Value,
    /// Whose it is: `user`, or the id of the account.
    pub owner: String,
}

/// A user, an account, and their tokens.
#[derive(Debug)]
pub struct Cloudflare {
    /// Policies of the master, with names.
    pub own_policies: Value,
    /// Condition of the master.
    pub own_condition: Option<Value>,
    /// Whether the master may make tokens.
    pub may_create: bool,
    /// Most tokens on a page of the list.
    pub page_limit: usize,
    tokens: BTreeMap<String, Token>,
    issued: u64,
}

impl Default for Cloudflare {
    fn default() -> Self {
        Self::new()
    }
}

impl Cloudflare {
    /// The master.
    pub const MASTER: &str = "v1.0-master-of-the-user-0123456789abcdef";
    /// The account.
    pub const ACCOUNT: &str = "eb78d65290b24279ba6f44721b3ea3c4";
    /// `DNS Write`
    pub const DNS_WRITE: &str = "4755a26eedb94da69e1066d98aa820be";
    /// `Access: Apps and Policies Read` of accounts.
    pub const ACCESS_OF_ACCOUNTS: &str = "7ea222f6d5064cfa89ea366d7c1fee89";
    /// `Access: Apps and Policies Read` of zones.
    pub const ACCESS_OF_ZONES: &str = "eb258a38ea634c86a0c89da6b27cb6b6";
    const MASTER_ID: &str = "ed17574386854bf78a67040be0a770b0";
    const API_TOKENS_WRITE: &str = "686d18d5ac6c441c867cbf6771e58a0a";

    /// A master that can make tokens and edit DNS.
    #[must_use]
    pub fn new() -> Self {
        Self {
            own_policies: json!([
                {
                    "id": "f267e341f3dd4697bd3b9f71dd96247f",
                    "effect": "allow",
                    "permission_groups": [
                        {"id": Self::API_TOKENS_WRITE, "name": "API Tokens Write"},
                        {"id": Self::DNS_WRITE, "name": "DNS Write", "meta": {"key": "k", "value": "v"}},
                    ],
                    "resources": {"com.cloudflare.api.account.zone.*": "*"},
                },
                {
                    "id": "a267e341f3dd4697bd3b9f71dd96247f",
                    "effect": "allow",
                    "permission_groups": [{"id": Self::API_TOKENS_WRITE, "name": "API Tokens Write"}],
                    "resources": {"com.cloudflare.api.user.x": "*"},
                },
            ]),
            own_condition: None,
            may_create: true,
            page_limit: 50,
            tokens: BTreeMap::new(),
            issued: 0,
        }
    }

    /// The token with this secret, if it works.
    #[must_use]
    pub fn token(&self, value: &str) -> Option<&Token> {
        self.tokens.values().find(|token| token.value == value)
    }

    /// All tokens but the master, by id.
    #[must_use]
    pub fn tokens(&self) -> &BTreeMap<String, Token> {
        &self.tokens
    }

    /// Somebody else's token.
    pub fn add(&mut self, name: &str) {
        let body = json!({"name": name, "policies": []});
        self.insert(body, "user");
    }

    fn insert(&mut self, body: Value, owner: &str) -> (String, String) {
        self.issued += 1;
        let id = format!("{:032x}", 0xabc0_0000_0000_u64 + self.issued);
        let value = format!("v1.0-{:08}-{}", self.issued, "y".repeat(32));
        let token = Token {
            value: value.clone(),
            body,
            owner: owner.to_owned(),
        };
        self.tokens.insert(id.clone(), token);
        (id, value)
    }

    fn groups() -> Value {
        let group = |id: &str, name: &str, scope: &str| json!({"id": id, "name": name, "scopes": [scope], "category": "other", "is_selectable": true});
        json!([
            group(
                Self::API_TOKENS_WRITE,
                "API Tokens Write",
                "com.cloudflare.api.user"
            ),
            group(
                Self::DNS_WRITE,
                "DNS Write",
                "com.cloudflare.api.account.zone"
            ),
            group(
                "82e64a83756745bbbb1c9c2701bf816b",
                "DNS Read",
                "com.cloudflare.api.account.zone"
            ),
            group(
                Self::ACCESS_OF_ACCOUNTS,
                "Access: Apps and Policies Read",
                "com.cloudflare.api.account",
            ),
            group(
                Self::ACCESS_OF_ZONES,
                "Access: Apps and Policies Read",
                "com.cloudflare.api.account.zone",
            ),
        ])
    }

    fn create(&mut self, request: &Request, owner: &str, now: Timestamp, expired: bool) -> Reply {
        let Some(body @ Value::Object(_)) = request.json() else {
            return Reply::undocumented("the body is no JSON object");
        };
        if let Err(reason) = check_body(&body) {
            return Reply::undocumented(reason);
        }
        if !self.may_create {
            return refusal(403, 9109, "Unauthorized to access requested resource");
        }
        let known = Self::groups();
        let known: Vec<&Value> = known
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| &one["id"])
            .collect();
        let policies = body["policies"].as_array().into_iter().flatten();
        let mut groups = policies
            .flat_map(|policy| policy["permission_groups"].as_array().into_iter().flatten());
        if !groups.all(|group| known.contains(&&group["id"])) {
            return refusal(400, 1001, "Invalid permission group");
        }
        let end: Option<Timestamp> = body["expires_on"]
            .as_str()
            .and_then(|text| text.parse().ok());
        if end.is_some_and(|end| end <= now) {
            return refusal(400, 1001, "expires_on must be in the future");
        }
        let (id, value) = self.insert(body.clone(), owner);
        let mut result = body;
        if expired {
            let past = now - SignedDuration::from_secs(60);
            result["expires_on"] = json!(past.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
        result["id"] = json!(id);
        result["value"] = json!(value);
        result["status"] = json!("active");
        result["issued_on"] = json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        envelope(&result)
    }

    fn list(&self, request: &Request, owner: &str) -> Reply {
        let (mut page, mut per_page) = (1, 20);
        for (name, value) in request.query() {
            match (name.as_str(), value.parse::<usize>()) {
                ("page", Ok(number)) if number > 0 => page = number,
                ("per_page", Ok(number)) if (1..=50).contains(&number) => per_page = number,
                _ => return Reply::undocumented(format!("the query has {name}={value}")),
            }
        }
        let per_page = per_page.min(self.page_limit);
        let own: Vec<Value> = self
            .tokens
            .iter()
            .filter(|(_, token)| token.owner == owner)
            .map(|(id, token)| json!({"id": id, "name": token.body["name"], "status": "active"}))
            .collect();
        let shown: Vec<&Value> = own
            .iter()
            .skip((page - 1) * per_page)
            .take(per_page)
            .collect();
        let mut reply = envelope(&json!(shown));
        if let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) {
            body["result_info"] = json!({
                "page": page,
                "per_page": per_page,
                "count": shown.len(),
                "total_count": own.len(),
                "total_pages": own.len().div_ceil(per_page),
            });
            reply.body = body.to_string().into_bytes();
        }
        reply
    }

    fn own(&self) -> Reply {
        let mut own = json!({
            "id": Self::MASTER_ID,
            "name": "master",
            "status": "active",
            "policies": self.own_policies,
        });
        if let Some(condition) = &self.own_condition {
            own["condition"] = condition.clone();
        }
        envelope(&own)
    }
}

impl Service for Cloudflare {
    fn answer(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply {
        let Some(token) = request.bearer() else {
            return Reply::undocumented("there is no bearer token");
        };
        let path = request.path.strip_prefix("/client/v4/").unwrap_or_default();
        let segments: Vec<&str> = path.split('/').collect();
        let (owner, rest) = match segments.as_slice() {
            ["user", "tokens", rest @ ..] => ("user", rest),
            ["accounts", account, "tokens", rest @ ..] => (*account, rest),
            _ => return Reply::undocumented("there is no such operation"),
        };
        let is_listing = (request.method.as_str(), rest) == ("GET", &[]);
        if !is_listing && !request.query.is_empty() {
            return Reply::undocumented("this operation has no query");
        }
        if token != Self::MASTER {
            return match rest {
                ["verify"] => refusal(401, 1000, "Invalid API Token"),
                _ => refusal(403, 9109, "Invalid access token"),
            };
        }
        if ![Self::ACCOUNT, "user"].contains(&owner) {
            let message =
                "Could not route to the account, perhaps your object identifier is invalid?";
            return refusal(404, 7003, message);
        }
        match (request.method.as_str(), rest) {
            ("GET", []) => self.list(request, owner),
            ("POST", []) => self.create(request, owner, now, is_expired),
            ("GET", ["verify"]) => envelope(&json!({"id": Self::MASTER_ID, "status": "active"})),
            ("GET", ["permission_groups"]) => envelope(&Self::groups()),
            ("GET", [id]) if *id == Self::MASTER_ID => self.own(),
            ("DELETE", [id]) => match self.tokens.remove(*id) {
                Some(_) => envelope(&json!({"id": id})),
                None => refusal(404, 1003, "Token not found"),
            },
            _ => Reply::undocumented("there is no such operation"),
        }
    }
}

/// `TokenCreateParams`
fn check_body(body: &Value) -> Result<(), String> {
    let known = ["name", "policies", "condition", "expires_on", "not_before"];
    only(body, &known)?;
    let name = body["name"].as_str().unwrap_or_default();
    if name.is_empty() || name.chars().count() > 120 {
        return Err("name must have 1 to 120 characters".to_owned());
    }
    let end = body["expires_on"].as_str().unwrap_or_default();
    if end.len() != "2026-01-01T00:00:00Z".len() || end.parse::<Timestamp>().is_err() {
        return Err(format!("expires_on is not in whole seconds of UTC: {end}"));
    }
    let policies = body["policies"].as_array().filter(|list| !list.is_empty());
    for policy in policies.ok_or("there are no policies")? {
        only(policy, &["effect", "permission_groups", "resources"])?;
        if !["allow", "deny"]
            .map(|word| json!(word))
            .contains(&policy["effect"])
        {
            return Err("effect is neither allow nor deny".to_owned());
        }
        let groups = policy["permission_groups"]
            .as_array()
            .filter(|list| !list.is_empty());
        for group in groups.ok_or("there are no permission groups")? {
            only(group, &["id"])?;
            if group["id"].as_str().is_none_or(|id| id.len() != 32) {
                return Err("a permission group has no id".to_owned());
            }
        }
        let resources = policy["resources"]
            .as_object()
            .filter(|map| !map.is_empty());
        check_resources(resources.ok_or("there are no resources")?)?;
    }
    let condition = &body["condition"];
    if condition.is_null() {
        return Ok(());
    }
    only(condition, &["request_ip"])?;
    only(&condition["request_ip"], &["in", "not_in"])?;
    for list in condition["request_ip"]
        .as_object()
        .into_iter()
        .flat_map(Map::values)
    {
        let texts = list.as_array().filter(|list| !list.is_empty());
        if texts.is_none_or(|list| !list.iter().all(Value::is_string)) {
            return Err("a list of addresses is none".to_owned());
        }
    }
    Ok(())
}

fn check_resources(resources: &Map<String, Value>) -> Result<(), String> {
    for (name, value) in resources {
        let is_name = name.starts_with("com.cloudflare.") && !name.contains('{');
        let is_value = match value {
            Value::String(text) => text == "*",
            Value::Object(inner) => !inner.is_empty() && inner.values().all(|value| value == "*"),
            _ => false,
        };
        if !is_name || !is_value {
            return Err(format!("the resource {name} is none"));
        }
    }
    Ok(())
}

fn only(value: &Value, known: &[&str]) -> Result<(), String> {
    let fields = value.as_object().ok_or("something is no object")?;
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("there is a field {name}")),
        None => Ok(()),
    }
}

fn envelope(result: &Value) -> Reply {
    let body = json!({"success": true, "errors": [], "messages": [], "result": result});
    Reply::json(200, &body)
}

fn refusal(status: u16, code: u32, message: &str) -> Reply {
    let errors = json!([{"code": code, "message": message}]);
    let body = json!({"success": false, "errors": errors, "messages": [], "result": null});
    Reply::json(status, &body)
}

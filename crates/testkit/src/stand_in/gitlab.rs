//! GitLab's API of project and group access tokens.
//!
//! Checked against GitLab's pages "Project access tokens API", "Group access tokens API", "REST API" (pagination, status codes)
//! and its `lib/api/resource_access_tokens.rb`: which fields there are, what they may be, and that a token which was revoked is
//! not there any more.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use super::issuer::{Reply, Request, Service};

/// A token as GitLab keeps it.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its secret.
    pub value: String,
    /// The request that made it.
    pub body: Value,
    /// The path of the collection that it is in.
    pub collection: String,
}

/// A project, a group, and their tokens.
#[derive(Debug)]
pub struct GitLab {
    /// Role of the master's owner.
    pub level: u64,
    /// Whether the master has the scope `api`.
    pub has_scope: bool,
    /// Whether the project and the group are there.
    pub is_there: bool,
    /// Most tokens on a page of the list.
    pub page_limit: usize,
    /// Whether the list can be searched.
    pub can_search: bool,
    /// What is answered in the place of the date that was asked for.
    pub other_date: Option<Value>,
    tokens: BTreeMap<u64, Token>,
    issued: u64,
}

impl Default for GitLab {
    fn default() -> Self {
        Self::new()
    }
}

const SCOPES: [&str; 9] = [
    "api",
    "read_api",
    "create_runner",
    "manage_runner",
    "read_repository",
    "write_repository",
    "read_registry",
    "write_registry",
    "self_rotate",
];

const FILTERS: [&str; 5] = ["state", "search", "page", "per_page", "sort"];

impl GitLab {
    /// The master.
    pub const MASTER: &str = "glpat-master-0123456789";
    /// The project.
    pub const PROJECT: &str = "platform/app";
    /// The group.
    pub const GROUP: &str = "platform";

    /// A maintainer's token.
    #[must_use]
    pub fn new() -> Self {
        Self {
            level: 40,
            has_scope: true,
            is_there: true,
            page_limit: 100,
            can_search: true,
            other_date: None,
            tokens: BTreeMap::new(),
            issued: 40,
        }
    }

    /// The token with this secret, if it works.
    #[must_use]
    pub fn token(&self, value: &str) -> Option<&Token> {
        self.tokens.values().find(|token| token.value == value)
    }

    /// All tokens that work.
    #[must_use]
    pub fn tokens(&self) -> &BTreeMap<u64, Token> {
        &self.tokens
    }

    /// Somebody else's token of the project.
    pub fn add(&mut self, name: &str) {
        let body = json!({"name": name, "scopes": ["read_api"], "access_level": 10});
        self.insert(body, "/api/v4/projects/platform%2Fapp/access_tokens");
    }

    fn insert(&mut self, body: Value, collection: &str) -> (u64, String) {
        self.issued += 1;
        let value = format!("glpat-{}-{}", self.issued, "z".repeat(20));
        let token = Token {
            value: value.clone(),
            body,
            collection: collection.to_owned(),
        };
        self.tokens.insert(self.issued, token);
        (self.issued, value)
    }

    fn create(&mut self, request: &Request, kind: &str, now: Timestamp, is_expired: bool) -> Reply {
        let Some(Value::Object(fields)) = request.json() else {
            return Reply::undocumented("the body is no JSON object");
        };
        let known = [
            "name",
            "description",
            "scopes",
            "access_level",
            "expires_at",
        ];
        if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
            return Reply::undocumented(format!("the body has {name}"));
        }
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let name = text("name").unwrap_or_default();
        let scopes = fields.get("scopes").and_then(Value::as_array);
        if name.is_empty() || name.len() > 255 || scopes.is_none_or(Vec::is_empty) {
            return Reply::undocumented("there is no name, or there are no scopes");
        }
        let mut scopes = scopes.into_iter().flatten();
        if !scopes.all(|scope| SCOPES.map(|known| json!(known)).contains(scope)) {
            return Reply::json(400, &json!({"error": "scopes does not have a valid value"}));
        }
        let level = fields
            .get("access_level")
            .and_then(Value::as_u64)
            .unwrap_or(40);
        if ![10, 15, 20, 30, 40, 50].contains(&level) {
            return Reply::undocumented("access_level is none");
        }
        if !self.has_scope {
            return insufficient();
        }
        if self.level < 40 {
            let reason = format!("User does not have permission to create {kind} access token");
            return refusal(400, &format!("400 Bad request - {reason}"));
        }
        if level > self.level {
            let reason = "Access level of the token can't be greater the access level of the user";
            return refusal(
                400,
                &format!("400 Bad request - {reason} who created the token"),
            );
        }
        let today = now.to_zoned(TimeZone::UTC).date();
        let Some(date) = text("expires_at").and_then(|text| text.parse::<Date>().ok()) else {
            return Reply::undocumented("expires_at is no date");
        };
        if date <= today || date > today + 365.days() {
            return refusal(
                400,
                "400 Bad request - Expiration date must be in the future",
            );
        }
        let mut answer = Value::Object(fields);
        let collection = request.path.clone();
        let (id, value) = self.insert(answer.clone(), &collection);
        if is_expired {
            answer["expires_at"] = json!((today - 1.day()).to_string());
        } else if let Some(other) = &self.other_date {
            answer["expires_at"] = other.clone();
        }
        answer["id"] = json!(id);
        answer["token"] = json!(value);
        answer["active"] = json!(true);
        answer["revoked"] = json!(false);
        Reply::json(201, &answer)
    }

    fn list(&self, request: &Request) -> Reply {
        let query = request.query();
        if let Some((name, _)) = query
            .iter()
            .find(|(name, _)| !FILTERS.contains(&name.as_str()))
        {
            return Reply::undocumented(format!("the query has {name}"));
        }
        let value = |name: &str| {
            let found = query.iter().find(|(own, _)| own == name);
            found.map(|(_, value)| value.as_str())
        };
        if value("state").is_some_and(|state| !["active", "inactive"].contains(&state)) {
            return Reply::undocumented("there is no such state");
        }
        let number =
            |name, default| value(name).map_or(Some(default), |text| text.parse::<usize>().ok());
        let (Some(page @ 1..), Some(size @ 1..=100)) = (number("page", 1), number("per_page", 20))
        else {
            return Reply::undocumented("there is no such page");
        };
        let size = size.min(self.page_limit);
        let search = value("search")
            .filter(|_| self.can_search)
            .unwrap_or_default();
        let found: Vec<Value> = self
            .tokens
            .iter()
            .filter(|(_, token)| token.collection == request.path)
            .filter(|(_, token)| token.body["name"].as_str().is_some_and(|name| name.contains(search)))
            .map(|(id, token)| json!({"id": id, "name": token.body["name"], "active": true, "revoked": false}))
            .collect();
        let shown: Vec<&Value> = found.iter().skip((page - 1) * size).take(size).collect();
        let next = if page * size < found.len() {
            (page + 1).to_string()
        } else {
            String::new()
        };
        Reply::json(200, &json!(shown)).with("x-next-page", next)
    }
}

impl Service for GitLab {
    fn answer(&mut self, request: &Request, now: Timestamp, is_expired: bool) -> Reply {
        let Some(token) = request.header("private-token") else {
            return Reply::undocumented("there is no PRIVATE-TOKEN");
        };
        let project = "/api/v4/projects/platform%2Fapp/access_tokens";
        let group = "/api/v4/groups/platform/access_tokens";
        let path = request.path.clone();
        let (collection, id) = match path.split_once("/access_tokens") {
            Some((holder, "")) => (format!("{holder}/access_tokens"), None),
            Some((holder, rest)) => {
                let id = rest.strip_prefix('/').and_then(|id| id.parse::<u64>().ok());
                let Some(id) = id else {
                    return Reply::undocumented("a token's id is a number");
                };
                (format!("{holder}/access_tokens"), Some(id))
            }
            None => return Reply::undocumented("there is no such operation"),
        };
        if token != Self::MASTER {
            return refusal(401, "401 Unauthorized");
        }
        let kind = if collection.starts_with("/api/v4/projects/") {
            "project"
        } else if collection.starts_with("/api/v4/groups/") {
            "group"
        } else {
            return Reply::undocumented("there is no such operation");
        };
        if !self.is_there || ![project, group].contains(&collection.as_str()) {
            let name = if kind == "project" {
                "Project"
            } else {
                "Group"
            };
            return refusal(404, &format!("404 {name} Not Found"));
        }
        let is_here = |token: &Token| token.collection == collection;
        match (request.method.as_str(), id) {
            ("GET", None) => self.list(request),
            ("POST", None) => self.create(request, kind, now, is_expired),
            ("GET", Some(id)) => match self.tokens.get(&id).filter(|token| is_here(token)) {
                Some(token) => Reply::json(
                    200,
                    &json!({"id": id, "name": token.body["name"], "revoked": false}),
                ),
                None => refusal(404, &format!("404 {kind} Access Token Not Found")),
            },
            ("DELETE", Some(id)) => match self.tokens.get(&id).filter(|token| is_here(token)) {
                Some(_) => {
                    self.tokens.remove(&id);
                    Reply::empty(204)
                }
                None => refusal(404, &format!("404 {kind} Access Token Not Found")),
            },
            _ => Reply::undocumented("there is no such operation"),
        }
    }
}

fn refusal(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({ "message": message }))
}

fn insufficient() -> Reply {
    let description = "The request requires higher privileges than provided by the access token.";
    Reply::json(
        403,
        &json!({"error": "insufficient_scope", "error_description": description, "scope": "api"}),
    )
}

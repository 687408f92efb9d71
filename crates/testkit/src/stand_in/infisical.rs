//! Infisical's API, as far as it reads secrets.
//!
//! Checked against Infisical's pages "Secrets: List" (`GET /api/v4/secrets`; `GET /api/v3/secrets/raw` of older servers), "Universal Auth: Login",
//! "Secret Referencing and Importing" and "Errors".

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::issuer::{Reply, Request, Service};

/// A server with one project, of which the folder `/app` of the environment `prod` is asked for.
#[derive(Debug)]
pub struct Infisical {
    /// The folder's own secrets.
    pub secrets: BTreeMap<String, String>,
    /// What it imports, the last one last.
    pub imports: Vec<BTreeMap<String, String>>,
    /// Keys whose values whoever asks may not see.
    pub hidden: BTreeSet<String>,
    /// Whether the server is older than version 4 of this API.
    pub is_old: bool,
    /// Whether whoever asks may not read the folder.
    pub is_forbidden: bool,
    tokens: BTreeSet<String>,
    logins: usize,
}

impl Default for Infisical {
    fn default() -> Self {
        Self::new()
    }
}

impl Infisical {
    /// A token of a machine identity.
    pub const TOKEN: &str = "infisical-stand-in-access-token-0123456789";
    /// A client of "Universal Auth".
    pub const CLIENT_ID: &str = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
    /// Its secret.
    pub const CLIENT_SECRET: &str = "infisical-stand-in-client-secret-0123456789";
    /// The project.
    pub const PROJECT: &str = "7e2f1a64-2a4e-4f0e-b2a1-9d2f4b1c0a11";

    /// A folder without secrets.
    #[must_use]
    pub fn new() -> Self {
        Self {
            secrets: BTreeMap::new(),
            imports: Vec::new(),
            hidden: BTreeSet::new(),
            is_old: false,
            is_forbidden: false,
            tokens: BTreeSet::from([Self::TOKEN.to_owned()]),
            logins: 0,
        }
    }

    /// How many logins there were.
    #[must_use]
    pub fn logins(&self) -> usize {
        self.logins
    }

    /// Ends every token.
    pub fn end_tokens(&mut self) {
        self.tokens.clear();
    }

    /// `POST /api/v1/auth/universal-auth/login`
    fn log_in(&mut self, request: &Request) -> Reply {
        if request.method != "POST" || !request.query.is_empty() {
            return Reply::undocumented("a login is a POST without a query");
        }
        if request.header("authorization").is_some() {
            return Reply::undocumented("a login needs no token");
        }
        let Some(Value::Object(fields)) = request.json() else {
            return Reply::undocumented("the body is no JSON object");
        };
        let known = ["clientId", "clientSecret", "organizationSlug"];
        if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
            return Reply::undocumented(format!("the body has {name}"));
        }
        let is = |name: &str, wanted: &str| fields.get(name) == Some(&json!(wanted));
        if !is("clientId", Self::CLIENT_ID) || !is("clientSecret", Self::CLIENT_SECRET) {
            return failure(401, "Unauthorized", "Invalid credentials");
        }
        self.logins += 1;
        let token = format!("infisical-token-of-login-{}", self.logins);
        self.tokens.insert(token.clone());
        Reply::json(
            200,
            &json!({"accessToken": token, "expiresIn": 7200, "accessTokenMaxTTL": 7200, "tokenType": "Bearer"}),
        )
    }

    fn list(&self, request: &Request, project: &str, imports: &str) -> Reply {
        if request.method != "GET" || !request.body.is_empty() {
            return Reply::undocumented("a list is a GET without a body");
        }
        let known = [
            project,
            imports,
            "environment",
            "secretPath",
            "viewSecretValue",
            "expandSecretReferences",
            "recursive",
        ];
        let mut query = BTreeMap::new();
        for (name, value) in request.query() {
            if !known.contains(&name.as_str()) {
                return Reply::undocumented(format!("there is no parameter {name}"));
            }
            if query.insert(name.clone(), value).is_some() {
                return Reply::undocumented(format!("{name} is there twice"));
            }
        }
        match request.bearer() {
            None => return Reply::undocumented("there is no bearer token"),
            Some(token) if !self.tokens.contains(token) => {
                return failure(401, "Unauthorized", "Token missing or expired");
            }
            Some(_) => {}
        }
        let value = |name: &str| query.get(name).map(String::as_str);
        if value("expandSecretReferences") != Some("true") || value(imports) != Some("true") {
            return Reply::undocumented("references and imports are not asked for");
        }
        if value(project) != Some(Self::PROJECT) {
            return failure(404, "NotFound", "Project with ID not found");
        }
        if value("environment") != Some("prod") || value("secretPath") != Some("/app") {
            let message = "Folder with path not found in environment with slug";
            return failure(404, "NotFound", message);
        }
        if self.is_forbidden {
            let message = "You are not allowed to describe secret";
            return failure(403, "PermissionDenied", message);
        }
        let is_shown = match value("viewSecretValue") {
            Some("true") => true,
            Some("false") => false,
            _ => return Reply::undocumented("`viewSecretValue` is true or false"),
        };
        let imports: Vec<Value> = self
            .imports
            .iter()
            .map(|secrets| json!({"secretPath": "/shared", "environment": "prod", "secrets": self.shown(secrets, is_shown)}))
            .collect();
        Reply::json(
            200,
            &json!({"secrets": self.shown(&self.secrets, is_shown), "imports": imports}),
        )
    }

    fn shown(&self, secrets: &BTreeMap<String, String>, is_shown: bool) -> Vec<Value> {
        let shown = |(key, value): (&String, &String)| {
            let is_hidden = !is_shown || self.hidden.contains(key);
            let value = if is_hidden {
                "<hidden-by-infisical>"
            } else {
                value
            };
            json!({
                "id": "1", "workspace": Self::PROJECT, "environment": "prod", "version": 1, "type": "shared",
                "secretKey": key, "secretValue": value, "secretComment": "", "secretValueHidden": is_hidden,
            })
        };
        secrets.iter().map(shown).collect()
    }
}

impl Service for Infisical {
    fn answer(&mut self, request: &Request, _: Timestamp, _: bool) -> Reply {
        if request.header("accept") != Some("application/json") {
            return Reply::undocumented("`Accept` is not application/json");
        }
        match request.path.as_str() {
            "/api/v1/auth/universal-auth/login" => self.log_in(request),
            "/api/v4/secrets" if !self.is_old => self.list(request, "projectId", "includeImports"),
            "/api/v3/secrets/raw" if self.is_old => {
                self.list(request, "workspaceId", "include_imports")
            }
            "/api/v4/secrets" => {
                let message = format!("Route {}:{} not found", request.method, request.path);
                failure(404, "Not Found", &message)
            }
            _ => Reply::undocumented("there is no such path"),
        }
    }
}

fn failure(status: u16, error: &str, message: &str) -> Reply {
    Reply::json(
        status,
        &json!({"reqId": "req-1", "statusCode": status, "message": message, "error": error}),
    )
}

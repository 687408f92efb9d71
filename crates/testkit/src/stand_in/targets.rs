//! The services that `fnox push` sends secrets to, as far as it calls them.
//!
//! Checked against: docs.github.com/rest/actions/secrets (version 2022-11-28), `docs.gitlab.com/api/project_level_variables`,
//! Forgejo's `/api/swagger` (`updateRepoSecret`), developers.cloudflare.com/api (Workers, script secrets),
//! vercel.com/docs/rest-api (create one or more environment variables), docs.machines.dev (app secrets),
//! developer.hashicorp.com/terraform/cloud-docs/api-docs/workspace-variables. Members of bodies that are not in those pages
//! are refused, although some of the services would ignore them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::issuer::{Reply, Request, Service};

/// All of them behind one address; their paths are distinct.
#[derive(Debug, Default)]
pub struct Targets {
    /// The public key of every place on GitHub, in base64.
    pub public_key: String,
    /// What was accepted: method and path with the query, and the body.
    pub kept: BTreeMap<String, Value>,
    /// GitLab's variables and those of Terraform: what is there already.
    variables: BTreeMap<String, String>,
    counter: u32,
}

impl Targets {
    /// The token that all of them take.
    pub const TOKEN: &str = "target-token-0123456789";

    /// Services with nothing in them.
    #[must_use]
    pub fn new(public_key: String) -> Self {
        Self {
            public_key,
            ..Self::default()
        }
    }

    fn keep(&mut self, request: &Request, body: Value, reply: Reply) -> Reply {
        let query = if request.query.is_empty() {
            String::new()
        } else {
            format!("?{}", request.query)
        };
        let place = format!("{} {}{query}", request.method, request.path);
        self.kept.insert(place, body);
        reply
    }

    /// 201 for a secret that is new, 204 for one that is there (docs.github.com/rest/actions/secrets, "Create or update a
    /// repository secret"; Forgejo's `updateRepoSecret` says the same).
    fn put(&self, request: &Request) -> Reply {
        let place = format!("{} {}", request.method, request.path);
        Reply::empty(if self.kept.contains_key(&place) {
            204
        } else {
            201
        })
    }

    fn github(&mut self, request: &Request, parts: &[&str]) -> Reply {
        if request.header("accept") != Some("application/vnd.github+json")
            || request.header("x-github-api-version") != Some("2022-11-28")
        {
            return Reply::undocumented("GitHub wants its media type and a version");
        }
        if request.bearer() != Some(Self::TOKEN) {
            return Reply::json(401, &json!({"message": "Bad credentials"}));
        }
        match (request.method.as_str(), parts) {
            ("GET", ["repos", _, name]) if *name != "gone" => {
                let id = name.len();
                Reply::json(200, &json!({"id": id, "name": name}))
            }
            ("GET", [.., "secrets", "public-key"]) if !parts.contains(&"gone") => {
                let key = json!({"key_id": "k-1", "key": self.public_key});
                Reply::json(200, &key)
            }
            (
                "PUT",
                [
                    "repos",
                    _,
                    _,
                    "actions" | "codespaces" | "dependabot",
                    "secrets",
                    _,
                ],
            )
            | ("PUT", ["repos", _, _, "environments", _, "secrets", _]) => {
                let allowed = ["encrypted_value", "key_id"];
                let reply = self.put(request);
                self.accept(request, &allowed, &allowed, reply)
            }
            (
                "PUT",
                [
                    "orgs",
                    _,
                    "actions" | "codespaces" | "dependabot",
                    "secrets",
                    _,
                ],
            ) => {
                let needed = ["encrypted_value", "key_id", "visibility"];
                let allowed = [needed.as_slice(), &["selected_repository_ids"]].concat();
                let reply = self.put(request);
                self.accept(request, &needed, &allowed, reply)
            }
            _ => Reply::json(404, &json!({"message": "Not Found"})),
        }
    }

    fn gitlab(&mut self, request: &Request, parts: &[&str]) -> Reply {
        if request.header("private-token") != Some(Self::TOKEN) {
            return Reply::json(401, &json!({"message": "401 Unauthorized"}));
        }
        let mut allowed = vec![
            "value",
            "environment_scope",
            "masked",
            "protected",
            "raw",
            "variable_type",
            "description",
        ];
        match (request.method.as_str(), parts) {
            ("PUT", [kind, owner, "variables", key]) => {
                let query = request.query();
                let [(name, scope)] = query.as_slice() else {
                    return Reply::undocumented("one filter");
                };
                if name != "filter[environment_scope]" {
                    return Reply::undocumented("the filter is for the scope");
                }
                let variable = format!("{kind}/{owner}/{key}/{scope}");
                if !self.variables.contains_key(&variable) {
                    return Reply::json(404, &json!({"message": "404 Variable Not Found"}));
                }
                self.accept(request, &["value"], &allowed, Reply::json(200, &json!({})))
            }
            ("POST", [kind, owner, "variables"]) if request.query.is_empty() => {
                allowed.push("key");
                let Some(body) = request.json() else {
                    return Reply::undocumented("a JSON body");
                };
                let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
                let variable = format!(
                    "{kind}/{owner}/{}/{}",
                    text("key"),
                    text("environment_scope")
                );
                self.variables.insert(variable, String::new());
                self.accept(
                    request,
                    &["key", "value"],
                    &allowed,
                    Reply::json(201, &json!({})),
                )
            }
            _ => Reply::undocumented("no such call of GitLab's"),
        }
    }

    fn terraform(&mut self, request: &Request, parts: &[&str]) -> Reply {
        if request.bearer() != Some(Self::TOKEN) {
            return Reply::json(
                401,
                &json!({"errors": [{"status": "401", "title": "unauthorized"}]}),
            );
        }
        match (request.method.as_str(), parts) {
            ("GET", ["organizations", "acme", "workspaces", "prod"]) => {
                Reply::json(200, &json!({"data": {"id": "ws-1", "type": "workspaces"}}))
            }
            ("GET", ["workspaces", "ws-1", "vars"]) => {
                let all = self.variables.iter().filter_map(|(key, id)| {
                    let key = key.strip_prefix("tf/")?;
                    Some(json!({"id": id, "type": "vars", "attributes": {"key": key, "category": "env"}}))
                });
                Reply::json(200, &json!({"data": all.collect::<Vec<_>>()}))
            }
            ("POST", ["workspaces", "ws-1", "vars"])
            | ("PATCH", ["workspaces", "ws-1", "vars", _]) => {
                if request.header("content-type") != Some("application/vnd.api+json") {
                    return Reply::json(415, &json!({"errors": [{"status": "415"}]}));
                }
                let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
                    return Reply::undocumented("a JSON body");
                };
                let data = &body["data"];
                let Some(key) = data["attributes"]["key"].as_str().map(str::to_owned) else {
                    return Reply::undocumented("`key` must be there");
                };
                let is_new = request.method == "POST";
                if data["type"] != "vars" || is_new == data["id"].is_string() {
                    return Reply::undocumented("`type` is `vars`, and `id` is for updates");
                }
                if is_new {
                    self.counter += 1;
                    let id = format!("var-{}", self.counter);
                    let known = self.variables.insert(format!("tf/{key}"), id);
                    if known.is_some() {
                        return Reply::json(
                            422,
                            &json!({"errors": [{"detail": "Key has already been taken"}]}),
                        );
                    }
                }
                let status = if is_new { 201 } else { 200 };
                let reply = Reply::json(status, &json!({"data": {"id": "var-1"}}));
                self.keep(request, body.clone(), reply)
            }
            _ => Reply::json(
                404,
                &json!({"errors": [{"status": "404", "title": "not found"}]}),
            ),
        }
    }

    /// Keeps a body that has all of `needed` and nothing but `allowed`.
    fn accept(
        &mut self,
        request: &Request,
        needed: &[&str],
        allowed: &[&str],
        reply: Reply,
    ) -> Reply {
        let Some(body) = request.json() else {
            return Reply::undocumented("a JSON body");
        };
        let Some(members) = body.as_object() else {
            return Reply::undocumented("a JSON object");
        };
        if let Some(missing) = needed.iter().find(|member| !members.contains_key(**member)) {
            return Reply::undocumented(format!("`{missing}` must be there"));
        }
        if let Some(strange) = members
            .keys()
            .find(|member| !allowed.contains(&member.as_str()))
        {
            return Reply::undocumented(format!("`{strange}` is not documented"));
        }
        self.keep(request, body.clone(), reply)
    }

    fn with_bearer(&mut self, request: &Request, members: &[&str], optional: &[&str]) -> Reply {
        if request.bearer() != Some(Self::TOKEN) {
            return Reply::json(401, &json!({"error": {"message": "invalid token"}}));
        }
        let allowed = [members, optional].concat();
        self.accept(
            request,
            members,
            &allowed,
            Reply::json(200, &json!({"success": true})),
        )
    }
}

impl Service for Targets {
    fn answer(&mut self, request: &Request, _: Timestamp, _: bool) -> Reply {
        let path = request.path.clone();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (request.method.as_str(), parts.as_slice()) {
            (_, ["repos" | "orgs", ..]) => self.github(request, &parts),
            (_, ["api", "v4", "projects" | "groups", ..]) => self.gitlab(request, &parts[2..]),
            (_, ["api", "v2", ..]) => self.terraform(request, &parts[2..]),
            ("PUT", ["api", "v1", "repos", _, _, "actions", "secrets", _])
            | ("PUT", ["api", "v1", "orgs", _, "actions", "secrets", _]) => {
                let expected = format!("token {}", Self::TOKEN);
                if request.header("authorization") != Some(expected.as_str()) {
                    return Reply::json(401, &json!({"message": "token is required"}));
                }
                let reply = self.put(request);
                self.accept(request, &["data"], &["data"], reply)
            }
            ("PUT", ["accounts", _, "workers", "scripts", _, "secrets"]) => {
                self.with_bearer(request, &["name", "text", "type"], &[])
            }
            ("POST", ["v10", "projects", _, "env"]) => {
                if !request
                    .query()
                    .contains(&("upsert".to_owned(), "true".to_owned()))
                {
                    return Reply::json(400, &json!({"error": {"code": "ENV_ALREADY_EXISTS"}}));
                }
                let optional = ["gitBranch", "customEnvironmentIds"];
                self.with_bearer(request, &["key", "value", "type", "target"], &optional)
            }
            ("POST", ["v1", "apps", _, "secrets", _]) => self.with_bearer(request, &["value"], &[]),
            _ => Reply::undocumented(format!("{} {}", request.method, request.path)),
        }
    }
}

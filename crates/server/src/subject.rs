//! Who a session belongs to: verified claims, and what people may do.

use std::collections::BTreeMap;

use fnox_api::{Requester, Role};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::settings::Preset;

/// The claims of a verified token, by name, with the types that they had.
pub type Claims = BTreeMap<String, serde_json::Value>;

/// Whoever a session belongs to. Stored with the session, so that the policy always sees what was verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The configured name of the issuer; `bootstrap`, `scim` and `gateway` for tokens that this server made itself.
    pub issuer: String,
    /// What kind of issuer it is.
    pub preset: Preset,
    /// `sub`
    pub subject: String,
    /// All claims.
    pub claims: Claims,
    /// What a person may do. Empty for a CI job.
    pub roles: Vec<Role>,
}

impl Subject {
    /// A claim that is a text.
    #[must_use]
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }

    /// Whether it has a role. CI jobs have none.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether somebody logged in: the groups of people give them roles. Jobs and tokens of this server's own are none.
    #[must_use]
    pub fn is_person(&self) -> bool {
        const OWN: [&str; 3] = ["bootstrap", "scim", "gateway"];
        !self.roles.is_empty() && !OWN.contains(&self.issuer.as_str())
    }

    /// Whether a policy that names people means this one: `group:NAME`, a verified mail, a user name, or the exact subject.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        if let Some(group) = name.strip_prefix("group:") {
            return match self.claims.get("groups") {
                Some(serde_json::Value::Array(groups)) => {
                    groups.iter().any(|it| it.as_str() == Some(group))
                }
                _ => false,
            };
        }
        let mail_is_verified =
            self.claims.get("email_verified") == Some(&serde_json::Value::Bool(true));
        self.subject == name
            || self.text("preferred_username") == Some(name)
            || (mail_is_verified
                && self
                    .text("email")
                    .is_some_and(|mail| mail.eq_ignore_ascii_case(name)))
    }

    /// The claim that names what does not change its identity, for each kind of CI.
    #[must_use]
    pub fn stable_claim(&self) -> &'static str {
        self.preset.stable_claim()
    }

    /// One word for the requester: the issuer's name and the stable id. Limits count by it.
    #[must_use]
    pub fn principal(&self) -> String {
        let id = self
            .claim_as_text(self.stable_claim())
            .unwrap_or_else(|| self.subject.clone());
        format!("{}:{id}", self.issuer)
    }

    /// A claim that is a text or a number, as text.
    #[must_use]
    pub fn claim_as_text(&self, claim: &str) -> Option<String> {
        match self.claims.get(claim)? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            serde_json::Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// What an approval is bound to: issuer, subject, stable id and the one run. A new token of the same
    /// job is the same requester, another run or attempt is not.
    #[must_use]
    pub fn binding(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        part("fnox requester v1");
        part(&self.issuer);
        part(&self.subject);
        part(self.stable_claim());
        for claim in
            std::iter::once(self.stable_claim()).chain(self.preset.run_claims().iter().copied())
        {
            part(claim);
            part(&self.claim_as_text(claim).unwrap_or_default());
        }
        hash.finalize().into()
    }

    /// For whoever decides: built from verified claims only.
    #[must_use]
    pub fn requester(&self) -> Requester {
        let mut facts = Vec::new();
        for (label, claim) in self.preset.shown_claims() {
            if let Some(value) = self.claim_as_text(claim).filter(|value| !value.is_empty()) {
                facts.push(((*label).to_owned(), value));
            }
        }
        if facts.is_empty() {
            facts.push(("Subject".to_owned(), self.subject.clone()));
        }
        Requester {
            issuer: self.issuer.clone(),
            principal: self.principal(),
            name: self.name(),
            facts,
            run_url: self.run_url(),
        }
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> String {
        [
            "repository",
            "project_path",
            "email",
            "preferred_username",
            "name",
        ]
        .into_iter()
        .find_map(|claim| self.text(claim))
        .map_or_else(|| self.subject.clone(), str::to_owned)
    }

    /// The run's page. Parts come from verified claims, and only plain ones make an address.
    fn run_url(&self) -> Option<String> {
        let plain = |text: &str| {
            !text.is_empty()
                && text
                    .split('/')
                    .all(|part| !part.is_empty() && part != "." && part != "..")
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
        };
        match self.preset {
            Preset::Github => {
                let server = self.text("server_url").unwrap_or("https://github.com");
                let repository = self.text("repository").filter(|text| plain(text))?;
                let run = self.claim_as_text("run_id").filter(|text| plain(text))?;
                (server.starts_with("https://") && plain(&server["https://".len()..]))
                    .then(|| format!("{server}/{repository}/actions/runs/{run}"))
            }
            Preset::Gitlab => {
                let server = self.text("iss").filter(|iss| iss.starts_with("https://"))?;
                let project = self.text("project_path").filter(|text| plain(text))?;
                let job = self.claim_as_text("job_id").filter(|text| plain(text))?;
                Some(format!(
                    "{}/{project}/-/jobs/{job}",
                    server.trim_end_matches('/')
                ))
            }
            _ => None,
        }
    }
}

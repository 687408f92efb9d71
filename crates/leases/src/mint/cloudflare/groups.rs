//! What a new token may do: names of permission groups become ids, or the master's own policies become the token's.

use std::collections::BTreeSet;

use fnox_config::suggest::nearest;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::api::Api;
use super::settings::{Group, Policy};
use crate::mint::MintError;

/// In the names of the groups that make, change and read tokens: `API Tokens Write`, `Account API Tokens Read`, …
const OF_TOKENS: &str = "api tokens";

/// Scopes of permission groups by the beginnings of the resources that have them, longer ones first.
const SCOPES: [(&str, &str); 4] = [
    (
        "com.cloudflare.edge.r2.bucket.",
        "com.cloudflare.edge.r2.bucket",
    ),
    (
        "com.cloudflare.api.account.zone.",
        "com.cloudflare.api.account.zone",
    ),
    ("com.cloudflare.api.account.", "com.cloudflare.api.account"),
    ("com.cloudflare.api.user.", "com.cloudflare.api.user"),
];

/// Parts of the request for a token.
pub(super) struct Wanted {
    pub(super) policies: Vec<Value>,
    pub(super) condition: Option<Value>,
}

/// One of the groups in the list.
#[derive(Deserialize)]
struct Known {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Verified {
    id: String,
}

/// The master's own token.
#[derive(Deserialize)]
struct Own {
    policies: Vec<OwnPolicy>,
    condition: Option<Value>,
}

#[derive(Deserialize)]
struct OwnPolicy {
    effect: String,
    permission_groups: Vec<OwnGroup>,
    resources: Value,
}

#[derive(Deserialize)]
struct OwnGroup {
    id: String,
    name: Option<String>,
}

/// What the lease asks for, in ids.
pub(super) async fn wanted(api: &Api<'_>) -> Result<Wanted, MintError> {
    let condition = api.settings.condition.clone();
    let Some(policies) = &api.settings.policies else {
        let own = copied(api).await?;
        return Ok(Wanted {
            policies: own.policies,
            condition: condition.or(own.condition),
        });
    };
    let has_names = policies
        .iter()
        .any(|policy| policy.groups.iter().any(Group::is_name));
    let known: Vec<Known> = if has_names {
        api.read(api.settings.below(&["permission_groups"])).await?
    } else {
        Vec::new()
    };
    let mut out = Vec::with_capacity(policies.len());
    for policy in policies {
        let mut groups = Vec::with_capacity(policy.groups.len());
        for group in &policy.groups {
            let id = match group {
                Group::Id(id) => id,
                Group::Name(name) => find(name, policy, &known)?,
            };
            groups.push(json!({ "id": id }));
        }
        out.push(json!({
            "effect": policy.effect,
            "permission_groups": groups,
            "resources": policy.resources,
        }));
    }
    Ok(Wanted {
        policies: out,
        condition,
    })
}

/// The id of a name. Some names stand for two groups, one for accounts and one for zones; the policy's resources decide.
fn find<'k>(name: &str, policy: &Policy, known: &'k [Known]) -> Result<&'k String, MintError> {
    let called: Vec<&Known> = known
        .iter()
        .filter(|group| group.name.eq_ignore_ascii_case(name))
        .collect();
    let shown = name.escape_debug();
    match called.as_slice() {
        [] => Err(unknown(name, known)),
        [only] => Ok(&only.id),
        several => {
            let mut wanted = BTreeSet::new();
            add_scopes(&policy.resources, &mut wanted);
            let mut fitting = several.iter().filter(|group| {
                group
                    .scopes
                    .iter()
                    .any(|scope| wanted.contains(scope.as_str()))
            });
            if let (Some(only), None) = (fitting.next(), fitting.next()) {
                return Ok(&only.id);
            }
            let listed: Vec<String> = several
                .iter()
                .map(|group| format!("{} for {}", group.id, group.scopes.join(", ")))
                .collect();
            Err(MintError::misconfigured(
                "policies",
                format!("several permission groups are called `{shown}`"),
            )
            .with_remedy(format!("write the id instead: {}", listed.join("; "))))
        }
    }
}

fn unknown(name: &str, known: &[Known]) -> MintError {
    let names = || known.iter().map(|group| group.name.as_str());
    // The dashboard says "Edit" where the API says "Write".
    let written = name
        .strip_suffix("Edit")
        .map(|beginning| format!("{beginning}Write"));
    let meant = written
        .as_deref()
        .and_then(|written| names().find(|own| own.eq_ignore_ascii_case(written)))
        .or_else(|| nearest(name, names()));
    let error = MintError::misconfigured(
        "policies",
        format!(
            "Cloudflare has no permission group `{}` for this kind of token",
            name.escape_debug()
        ),
    );
    match meant {
        Some(meant) => error.with_remedy(format!("did you mean `{}`?", meant.escape_debug())),
        None => error.with_remedy(
            "names and ids are in Cloudflare's page \"API token permissions\" and in its list of permission groups",
        ),
    }
}

fn add_scopes(resources: &Map<String, Value>, scopes: &mut BTreeSet<&'static str>) {
    for (name, value) in resources {
        match value {
            Value::Object(inner) => add_scopes(inner, scopes),
            _ => scopes.extend(
                SCOPES
                    .iter()
                    .find(|(beginning, _)| name.starts_with(beginning))
                    .map(|(_, scope)| *scope),
            ),
        }
    }
}

/// The master's own policies without the groups that make tokens: a token that could make tokens would outlive its lease in
/// them. What the master is forbidden, and from where it works, stays as it is.
async fn copied(api: &Api<'_>) -> Result<Wanted, MintError> {
    let settings = api.settings;
    let verified: Verified = api.read(settings.below(&["verify"])).await?;
    let own: Own = api.read(settings.below(&[&verified.id])).await?;
    let mut policies = Vec::new();
    for policy in own.policies {
        let is_allowing = policy.effect == "allow";
        let mut groups = Vec::new();
        for group in policy.permission_groups {
            let Some(name) = &group.name else {
                return Err(MintError::misconfigured(
                    "policies",
                    "Cloudflare does not tell the names of the master's permission groups",
                )
                .with_remedy("say in `policies` what the token may do"));
            };
            if name.len() < 999 || !is_allowing || !name.to_ascii_lowercase().contains(OF_TOKENS) {
                groups.push(json!({"id": group.id}));
            }
        }
        if !groups.is_empty() {
            policies.push(json!({
                "effect": policy.effect,
                "permission_groups": groups,
                "resources": policy.resources,
            }));
        }
    }
    if !policies.iter().any(|policy| policy["effect"] == "allow") {
        return Err(MintError::misconfigured(
            "policies",
            "the master can do nothing but make tokens, so there is nothing to copy",
        )
        .with_remedy("say in `policies` what the token may do"));
    }
    let condition = own
        .condition
        .filter(|value| value.as_object().is_some_and(|fields| !fields.is_empty()));
    Ok(Wanted {
        policies,
        condition,
    })
}

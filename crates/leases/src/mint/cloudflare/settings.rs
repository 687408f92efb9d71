//! What a `cloudflare` lease says.

use std::net::IpAddr;

use fnox_config::{ConfigError, Fields};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use toml_edit::Item;

use crate::issuer::{below, parse};

const API: &str = "https://api.cloudflare.com/client/v4";

/// Stands for the lease's `account_id` in the names of resources.
const PLACEHOLDER: &str = "{account_id}";

#[derive(Debug)]
pub(super) struct Settings {
    /// The account that owns the token; `None`: the master's user does.
    pub(super) owner: Option<String>,
    /// What the token may do. `None`: what its master may.
    pub(super) policies: Option<Vec<Policy>>,
    /// `condition` of the request.
    pub(super) condition: Option<Value>,
    pub(super) env_var: String,
    /// Where tokens are made and listed.
    pub(super) tokens: Url,
}

/// One of `policies`.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) effect: Effect,
    pub(super) groups: Vec<Group>,
    /// Names of resources to `*`, or to such names again.
    pub(super) resources: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Effect {
    #[default]
    Allow,
    Deny,
}

#[derive(Debug)]
pub(super) enum Group {
    Id(String),
    Name(String),
}

impl Group {
    pub(super) fn is_name(&self) -> bool {
        matches!(self, Self::Name(_))
    }
}

impl Settings {
    pub(super) fn read(fields: &Fields) -> Result<Self, ConfigError> {
        let text = |key: &str| fields.text(key).map(str::to_owned);
        let account = text("account_id");
        if account.as_deref().is_some_and(|id| !is_id(id)) {
            return Err(fields.invalid("account_id", "must be 32 hexadecimal digits"));
        }
        let is_of_account = fields.text("token_type") == Some("account");
        if is_of_account && account.is_none() {
            return Err(fields.invalid(
                "account_id",
                "must say whose token it is when `token_type` is `account`",
            ));
        }
        let policies = fields
            .opaque("policies")
            .map(|item| policies(item, account.as_deref()))
            .transpose()
            .map_err(|reason| fields.invalid("policies", reason))?;
        let base = parse(fields.text("api_base").unwrap_or(API))
            .map_err(|reason| fields.invalid("api_base", reason))?;
        let owner = account.filter(|_| is_of_account);
        let tokens = match &owner {
            Some(account) => below(&base, &["accounts", account, "tokens"]),
            None => below(&base, &["user", "tokens"]),
        };
        Ok(Self {
            owner,
            policies,
            condition: condition(fields)?,
            env_var: text("env_var").unwrap_or_else(|| "CLOUDFLARE_API_TOKEN".to_owned()),
            tokens,
        })
    }

    /// A URL below that of the tokens.
    pub(super) fn below(&self, segments: &[&str]) -> Url {
        below(&self.tokens, segments)
    }

    /// The permission that a master needs, as the dashboard calls it.
    pub(super) fn permission(&self) -> &'static str {
        match self.owner {
            Some(_) => "Account > Account API Tokens > Edit",
            None => "User > API Tokens > Edit (template \"Create additional tokens\")",
        }
    }
}

/// Policies for people.
pub(super) fn described(policies: &[Policy]) -> String {
    let told: Vec<Value> = policies
        .iter()
        .map(|policy| {
            let groups: Vec<&String> = policy
                .groups
                .iter()
                .map(|group| match group {
                    Group::Id(text) | Group::Name(text) => text,
                })
                .collect();
            json!({"effect": policy.effect, "permission_groups": groups, "resources": policy.resources})
        })
        .collect();
    Value::Array(told).to_string()
}

/// `IPv4/IPv6 CIDR`; a lone address is taken as well.
fn condition(fields: &Fields) -> Result<Option<Value>, ConfigError> {
    let mut addresses = Map::new();
    for (key, name) in [("allowed_ips", "in"), ("denied_ips", "not_in")] {
        let list = fields.list(key);
        if let Some(wrong) = list.iter().find(|text| !is_network(text)) {
            let reason = format!(
                "has `{}`, which is neither an address nor a network such as 192.0.2.0/24",
                wrong.escape_debug()
            );
            return Err(fields.invalid(key, reason));
        }
        if !list.is_empty() {
            addresses.insert(name.to_owned(), json!(list));
        }
    }
    Ok((!addresses.is_empty()).then(|| json!({ "request_ip": addresses })))
}

fn is_network(text: &str) -> bool {
    let (address, length) = text.split_once('/').unwrap_or((text, "0"));
    let longest = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= longest)
}

/// Cloudflare's identifiers.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// One of `policies` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    effect: Effect,
    permission_groups: Vec<WrittenGroup>,
    resources: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a permission group is a name, an id, `{ id = … }` or `{ name = … }`"
)]
enum WrittenGroup {
    Text(String),
    Id { id: String },
    Name { name: String },
}

fn policies(item: &Item, account: Option<&str>) -> Result<Vec<Policy>, String> {
    let Value::Array(list) = plain(item) else {
        return Err("must be a list of tables: `[[leases.NAME.policies]]`".to_owned());
    };
    if list.is_empty() {
        return Err("has none; leave the key out for those of the master".to_owned());
    }
    list.into_iter()
        .enumerate()
        .map(|(index, value)| {
            policy(value, account)
                .map_err(|reason| format!("has a mistake in policy {}: {reason}", index + 1))
        })
        .collect()
}

fn policy(value: Value, account: Option<&str>) -> Result<Policy, String> {
    let written: Written = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let groups: Vec<Group> = written
        .permission_groups
        .into_iter()
        .map(|group| match group {
            WrittenGroup::Text(text) if is_id(&text) => Group::Id(text),
            WrittenGroup::Id { id } => Group::Id(id),
            WrittenGroup::Text(name) | WrittenGroup::Name { name } => Group::Name(name),
        })
        .collect();
    if groups.is_empty() {
        return Err("`permission_groups` is empty".to_owned());
    }
    if let Some(id) = groups.iter().find_map(|group| match group {
        Group::Id(id) if !is_id(id) => Some(id),
        _ => None,
    }) {
        return Err(format!("`{}` is no id", id.escape_debug()));
    }
    Ok(Policy {
        effect: written.effect,
        groups,
        resources: resources(written.resources, account, true)?,
    })
}

/// "Resources" of Cloudflare's page "Create tokens via API": names to `*`, or an account's name to a table of such.
fn resources(
    written: Map<String, Value>,
    account: Option<&str>,
    may_nest: bool,
) -> Result<Map<String, Value>, String> {
    if written.is_empty() {
        return Err("`resources` is empty".to_owned());
    }
    let mut out = Map::new();
    for (name, value) in written {
        let name = match account {
            Some(account) => name.replace(PLACEHOLDER, account),
            None if name.contains(PLACEHOLDER) => {
                return Err(format!("`{name}` needs the key `account_id` of the lease"));
            }
            None => name,
        };
        let value = match value {
            Value::String(_) => value,
            Value::Object(inner) if may_nest => Value::Object(resources(inner, account, false)?),
            _ => {
                return Err(format!(
                    "the resource `{name}` must be `\"*\"`, or a table of resources"
                ));
            }
        };
        out.insert(name, value);
    }
    Ok(out)
}

/// TOML as JSON. What policies cannot have becomes null, and is then refused.
fn plain(item: &Item) -> Value {
    let table = |table: &dyn toml_edit::TableLike| {
        let pairs = table
            .iter()
            .map(|(key, item)| (key.to_owned(), plain(item)));
        Value::Object(pairs.collect())
    };
    if let Some(tables) = item.as_array_of_tables() {
        return tables.iter().map(|one| table(one)).collect();
    }
    if let Some(array) = item.as_array() {
        let items = array.iter().map(|value| plain(&Item::Value(value.clone())));
        return items.collect();
    }
    match (item.as_table_like(), item.as_str()) {
        (Some(like), _) => table(like),
        (None, Some(text)) => json!(text),
        (None, None) => Value::Null,
    }
}

//! The tools as they are described to the agent, and their arguments.

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::settings::ToolName;

/// Arguments of `exec`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecArguments {
    /// The program and its arguments. No shell takes part: for pipes and variables the program is `sh`, with `-c`.
    #[schemars(length(min = 1))]
    pub(super) command: Vec<String>,
}

/// Arguments of `get_secret`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetArguments {
    /// The name of the secret.
    pub(super) name: String,
}

/// Arguments of `list_credentials`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListArguments {}

/// Arguments of `request_access`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessArguments {
    /// The secret, or the lease and its variable as LEASE.VARIABLE.
    #[schemars(length(min = 1, max = 200))]
    pub(super) credential: String,
    /// The host at which it is to be used, with the port unless that is 443.
    #[schemars(length(min = 1, max = 300))]
    pub(super) host: String,
    /// What for, in a sentence for the person who decides.
    #[schemars(length(min = 1, max = 500))]
    pub(super) reason: String,
    /// With which methods, such as `POST`. Default: `GET` and `HEAD`.
    #[schemars(length(max = 8))]
    #[serde(default)]
    pub(super) methods: Option<Vec<String>>,
}

/// What a call's arguments mean.
///
/// # Errors
/// In words for the agent.
pub(super) fn arguments<A: DeserializeOwned>(
    tool: ToolName,
    arguments: Option<JsonObject>,
) -> Result<A, String> {
    let arguments = serde_json::Value::Object(arguments.unwrap_or_default());
    serde_json::from_value(arguments)
        .map_err(|error| format!("the arguments of `{}` are wrong: {error}", tool.as_str()))
}

/// A tool as it is listed.
pub(super) fn tool(name: ToolName, has_gateway: bool, seconds: u64) -> Tool {
    let (description, schema, hints) = match name {
        ToolName::Exec => (
            exec_description(has_gateway, seconds),
            schemars::schema_for!(ExecArguments),
            ToolAnnotations::new().read_only(false).open_world(true),
        ),
        ToolName::GetSecret => (
            "Gives the value of a secret. Use `exec` with a placeholder wherever you can: what you hold can leak."
                .to_owned(),
            schemars::schema_for!(GetArguments),
            ToolAnnotations::new().read_only(true).open_world(false),
        ),
        ToolName::ListCredentials => (
            "Lists the credentials that programs of `exec` can use: name, host, allowed methods and paths, and the \
             environment variable that holds the placeholder. There are no values in it."
                .to_owned(),
            schemars::schema_for!(ListArguments),
            ToolAnnotations::new().read_only(true).open_world(false),
        ),
        ToolName::RequestAccess => (
            "Asks for the use of a credential at a host where it is not allowed yet. A vault's policy may allow it; \
             otherwise a person must decide, who may allow it for some minutes. It waits for them: if nobody answers in \
             time, ask again with the same words."
                .to_owned(),
            schemars::schema_for!(AccessArguments),
            ToolAnnotations::new()
                .read_only(false)
                .destructive(false)
                .open_world(false),
        ),
    };
    let schema = match schema.to_value() {
        serde_json::Value::Object(object) => object,
        _ => JsonObject::new(),
    };
    Tool::new(name.as_str(), description, schema).with_annotations(hints)
}

fn exec_description(has_gateway: bool, seconds: u64) -> String {
    let credentials = if has_gateway {
        "Its requests go through a gateway that puts credentials in. In its environment are placeholders, not \
         credentials: send the variable as if it were the credential, for example `Authorization: Bearer $NAME`. \
         `list_credentials` tells which variable is for which host."
    } else {
        "It gets no credentials: fnox.toml has no `[[proxy.rules]]` that say which one may go where. \
         `request_access` asks for one."
    };
    format!(
        "Runs a program, without a shell, without input, for at most {seconds} seconds, and answers its output. {credentials}"
    )
}

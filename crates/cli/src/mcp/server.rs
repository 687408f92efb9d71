//! The protocol's side of the tools.

use std::sync::Arc;

use fnox_config::Config;
use fnox_core::{SecretName, SecretString};
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    Implementation, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
    Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::json;

use super::access::{Desk, Said};
use super::credentials::Listed;
use super::program::Launcher;
use super::settings::{Settings, ToolName};
use super::tools::{self, AccessArguments, ExecArguments, GetArguments, ListArguments, arguments};
use crate::app::App;
use crate::commands::get;
use crate::commands::version::VERSION;
use crate::error::CliError;
use crate::exec::redact::Redaction;

/// The name under which clients know this server.
const NAME: &str = "fnox-mcp";

/// The server of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Server(pub(crate) Arc<Parts>);

/// What it is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) app: App,
    pub(crate) config: Arc<Config>,
    pub(crate) settings: Settings,
    pub(crate) listed: Arc<[Listed]>,
    pub(crate) has_gateway: bool,
    pub(crate) launcher: Launcher,
    pub(crate) desk: Desk,
    /// Looks for what was given away by `get_secret`, too.
    pub(crate) redaction: Arc<Redaction>,
}

/// What a tool answers: text for the agent, or why there is none.
type Answer = Result<CallToolResult, String>;

impl Server {
    fn tools(&self) -> Vec<Tool> {
        let Parts {
            settings,
            has_gateway,
            ..
        } = &*self.0;
        let tools = settings.tools.iter();
        tools
            .map(|name| tools::tool(*name, *has_gateway, settings.time.as_secs()))
            .collect()
    }

    async fn exec(&self, arguments: ExecArguments, context: RequestContext<RoleServer>) -> Answer {
        let abandoned = context.ct.clone();
        let outcome = self
            .0
            .launcher
            .run(
                arguments.command,
                self.0.given(),
                abandoned.cancelled_owned(),
            )
            .await;
        let (text, is_whole) = outcome.map_err(|error| told(&error))?;
        let blocks = vec![ContentBlock::text(text)];
        Ok(if is_whole {
            CallToolResult::success(blocks)
        } else {
            CallToolResult::error(blocks)
        })
    }

    fn list(&self) -> CallToolResult {
        let is_listed = |name: &str| self.is_behind_gateway(name);
        let readable = self.0.settings.readable(&self.0.config, is_listed);
        let mut document = json!({ "credentials": self.0.listed() });
        if !readable.is_empty() {
            let names: Vec<&str> = readable.iter().map(SecretName::as_str).collect();
            document["readable_secrets"] = json!(names);
        }
        CallToolResult::structured(document)
    }

    async fn get(&self, arguments: GetArguments) -> Answer {
        let GetArguments { name } = arguments;
        let Parts {
            app,
            config,
            settings,
            redaction,
            ..
        } = &*self.0;
        if !settings.allows_name(&name) {
            return Err(format!(
                "`{}` is not among the secrets that `[mcp] secrets` in fnox.toml allows",
                name.escape_debug()
            ));
        }
        let secret = config.secret(&name).map_err(|error| told(&error.into()))?;
        if secret.as_file {
            return Err(format!(
                "`{name}` is a file for programs and not given as text"
            ));
        }
        // What a rule is for is used through the gateway and held by nobody.
        let listed = self.0.listed();
        let rules: Vec<&Listed> = listed.iter().filter(|rule| rule.name == name).collect();
        if let Some(placeholder) = rules.iter().find_map(|rule| rule.placeholder.as_deref()) {
            let hosts: Vec<&str> = rules.iter().map(|rule| rule.host.as_str()).collect();
            let hosts = hosts.join(", ");
            let text = format!(
                "{placeholder}\n[a placeholder: programs of `exec` send it to {hosts}, and the gateway puts the value in]"
            );
            return Ok(CallToolResult::success(vec![ContentBlock::text(text)]));
        }
        let (app, config, wanted) = (app.clone(), Arc::clone(config), name.clone());
        let value: Option<SecretString> =
            aside(move || get::resolve(&app, &config, &wanted).map_err(|error| told(&error)))
                .await?;
        let value = value.ok_or_else(|| format!("`{name}` has no value"))?;
        redaction.add(vec![value.clone()]);
        let content = vec![ContentBlock::text(value.expose_secret())];
        Ok(CallToolResult::success(content))
    }

    async fn request(
        &self,
        arguments: AccessArguments,
        context: RequestContext<RoleServer>,
    ) -> Answer {
        let parts = Arc::clone(&self.0);
        let text = match aside(move || parts.desk.ask(&arguments)).await? {
            Said::All(text) => text,
            Said::Ask(asking) => tokio::select! {
                text = self.0.decide(*asking) => text?,
                () = context.ct.cancelled() => {
                    return Err("cancelled: the answer, if one comes, changes nothing unless you ask again".to_owned());
                }
            },
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]))
    }

    fn is_behind_gateway(&self, name: &str) -> bool {
        self.0
            .listed
            .iter()
            .any(|rule| rule.name == name && rule.placeholder.is_some())
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(NAME, VERSION))
            .with_instructions(
                "Programs of `exec` can use credentials that you never hold. Ask `list_credentials` which ones, and \
                 `request_access` for more. Never ask the person to paste a secret.",
            )
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let shown = request.name.escape_debug().to_string();
        let Some(tool) = ToolName::parse(&request.name) else {
            let message = format!("there is no tool `{shown}`");
            return Err(ErrorData::invalid_params(message, None));
        };
        if !self.0.settings.tools.contains(&tool) {
            let message = format!(
                "the tool `{shown}` is off: `tools` of [mcp] in fnox.toml does not name it"
            );
            return Err(ErrorData::invalid_params(message, None));
        }
        tracing::debug!("the agent calls {shown}");
        let given = request.arguments;
        let answer = match tool {
            ToolName::Exec => match arguments(tool, given) {
                Ok(arguments) => self.exec(arguments, context).await,
                Err(error) => Err(error),
            },
            ToolName::GetSecret => match arguments(tool, given) {
                Ok(arguments) => self.get(arguments).await,
                Err(error) => Err(error),
            },
            ToolName::ListCredentials => arguments(tool, given).map(|ListArguments {}| self.list()),
            ToolName::RequestAccess => match arguments(tool, given) {
                Ok(arguments) => self.request(arguments, context).await,
                Err(error) => Err(error),
            },
        };
        Ok(answer
            .unwrap_or_else(|error| CallToolResult::error(vec![ContentBlock::text(error)]))
            .into())
    }
}

/// Runs what blocks on a thread of its own.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(_) => Err("fnox failed at this".to_owned()),
    }
}

/// An error and what helps, for the agent.
pub(super) fn told(error: &CliError) -> String {
    match error.help() {
        Some(help) => format!("{error}\n{help}"),
        None => error.to_string(),
    }
}

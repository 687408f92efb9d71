//! `mcp`.

use clap::Args;

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example, for an agent that reads `.mcp.json`:\n  { \"mcpServers\": { \"fnox\": { \"command\": \"fnox\", \"args\": [\"mcp\"] } } }\n\nTools: `exec` runs a program behind the gateway, `list_credentials` tells which credential goes where, `request_access` asks for more. `get_secret`, which gives values away, is there only if `[mcp]` in fnox.toml names it.\nMessages are on stdout, everything for people on stderr. docs/guide/mcp.md"
)]
pub(crate) struct McpArgs {
    /// The agent's name, for the log and the vault
    #[arg(long, value_name = "NAME", default_value = "agent")]
    pub agent: String,
    /// Run programs in a sandbox: no network but the gateway, secrets' folders hidden, only the project writable
    /// (Linux, bubblewrap)
    #[arg(long, overrides_with = "no_sandbox")]
    pub sandbox: bool,
    /// Run programs without a sandbox although fnox.toml asks for one
    #[arg(long, overrides_with = "sandbox")]
    pub no_sandbox: bool,
}

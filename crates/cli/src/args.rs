//! The command line as it is written. No rules here: `app` turns it into settings.

pub(crate) mod agent;
mod audit;
pub(crate) mod credential;
pub(crate) mod daemon;
mod data;
mod files;
pub(crate) mod frequent;
pub(crate) mod gateway;
mod lease;
mod lifecycle;
pub(crate) mod mcp;
mod plugin;
mod provider;
mod push;
mod run;
pub(crate) mod serve;
mod shell;
mod sync;
pub(crate) mod team;
mod value;
pub(crate) mod vault;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use fnox_config::discover;

pub(crate) use self::audit::AuditArgs;
pub(crate) use self::data::{
    AgeCommand, CheckArgs, CompletionArgs, ConfigFilesArgs, DiffArgs, DoctorArgs, ExportArgs,
    ExportFormat, ImportArgs, ImportFormat, InitArgs, ProfilesArgs, ReencryptArgs, ScanArgs,
    VersionArgs,
};
pub(crate) use self::files::{FilesArgs, FilesCommand};
pub(crate) use self::lease::{
    CreateArgs, LeaseArgs, LeaseCommand, LeaseFormat, LeaseListArgs, RevokeArgs,
};
pub(crate) use self::lifecycle::{LifecycleArgs, LifecycleCommand, OffboardArgs};
pub(crate) use self::plugin::{PluginArgs, PluginCommand};
pub(crate) use self::provider::{
    ProviderAddArgs, ProviderArgs, ProviderCommand, ProviderKeysCommand, ProviderKeysRemoveArgs,
    ProviderTestArgs,
};
pub(crate) use self::push::PushArgs;
pub(crate) use self::run::{EnvArgs, EnvScope, ExecArgs, RunArgs, WatchArgs};
pub(crate) use self::shell::{ActivateArgs, DeactivateArgs, HookEnvArgs, TrustArgs, UntrustArgs};
pub(crate) use self::sync::SyncArgs;
pub(crate) use self::value::{
    CopyArgs, EditArgs, GenerateType, GetArgs, ListArgs, RemoveArgs, SetArgs,
};

/// Short-lived credentials for programs.
///
/// fnox takes long-lived secrets from where they live, mints short-lived credentials from them, and gives
/// only those to the program: `fnox exec -- your-program`.
#[derive(Debug, Parser)]
#[command(
    name = "fnox",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Start with `fnox init`, or read https://github.com/fnox-project/fnox#readme"
)]
pub struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that stand before or after the subcommand.
#[derive(Debug, Clone, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Configuration file; `fnox.toml` searches the folders upwards
    #[arg(short, long, global = true, value_name = "PATH", default_value = "fnox.toml", value_hint = clap::ValueHint::FilePath)]
    pub config: PathBuf,
    /// Profile to use; repeat or separate by commas, later ones win [env: `FNOX_PROFILE`]
    #[arg(short = 'P', long, global = true, value_name = "NAME", add = crate::completion::profiles())]
    pub profile: Vec<String>,
    /// Profile that writing commands write to
    #[arg(long, global = true, value_name = "NAME", add = crate::completion::profiles())]
    pub write_profile: Option<String>,
    /// What to do about a secret without a value: error, warn or ignore [env: `FNOX_IF_MISSING`]
    #[arg(long, global = true, value_name = "ACTION")]
    pub if_missing: Option<String>,
    /// Leave out the base's secrets when a profile is active [env: `FNOX_NO_DEFAULTS`]
    #[arg(long, global = true)]
    pub no_defaults: bool,
    /// Never ask anything [env: `FNOX_NON_INTERACTIVE`]
    #[arg(long, global = true)]
    pub non_interactive: bool,
    /// Resolve without the background process
    #[arg(long, global = true)]
    pub no_daemon: bool,
    /// No colours [env: `NO_COLOR`]
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Only data and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say what is being done
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// File of age identities
    #[arg(long, global = true, value_name = "PATH", hide = true)]
    pub age_key_file: Option<PathBuf>,
}

impl GlobalArgs {
    /// The flags that decide which secrets there are, as words for another call of fnox.
    pub(crate) fn choice(&self, cwd: &Path) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(path) = discover::explicit_path(&self.config, cwd) {
            words.extend(["--config".to_owned(), path.display().to_string()]);
        }
        for profile in &self.profile {
            words.extend(["--profile".to_owned(), profile.clone()]);
        }
        if let Some(action) = &self.if_missing {
            words.extend(["--if-missing".to_owned(), action.clone()]);
        }
        if self.no_defaults {
            words.push("--no-defaults".to_owned());
        }
        words
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a program with secrets and short-lived credentials
    #[command(visible_alias = "x")]
    Exec(ExecArgs),
    /// Like exec, but every secret and every lease must be there
    Run(RunArgs),
    /// Like exec, and start the program again when its secrets have changed
    Watch(WatchArgs),
    /// Print what a program would get as a JSON document, for tools that start programs themselves
    Env(EnvArgs),
    /// Print one secret's value
    Get(GetArgs),
    /// Store a secret
    #[command(visible_alias = "s")]
    Set(SetArgs),
    /// List secrets
    #[command(visible_alias = "ls", alias = "secrets")]
    List(ListArgs),
    /// Edit the configuration or one value in your editor, decrypted
    Edit(EditArgs),
    /// Whole files that a provider keeps: list them, write them where they belong
    Files(FilesArgs),
    /// Lua plugins by name: fetch, list, link and remove them
    Plugin(PluginArgs),
    /// Copy a secret under another name
    #[command(visible_alias = "cp")]
    Copy(CopyArgs),
    /// Rename a secret
    #[command(visible_alias = "mv")]
    Rename(CopyArgs),
    /// Remove a secret from the configuration
    #[command(visible_alias = "rm", alias = "delete")]
    Remove(RemoveArgs),
    /// Print secrets as env, shell, json, yaml, toml, or for a job of GitHub Actions
    #[command(visible_alias = "ex")]
    Export(ExportArgs),
    /// Tell GitHub Actions which values its log must not show
    #[command(hide = true)]
    CiRedact,
    /// Take secrets over from a file, or from what another tool prints
    #[command(visible_alias = "im")]
    Import(ImportArgs),
    /// Compare the secrets of two profiles, without showing them
    Diff(DiffArgs),
    /// Make a configuration file
    #[command(visible_alias = "i")]
    Init(InitArgs),
    /// Check the configuration and the secrets it requires
    #[command(visible_alias = "c")]
    Check(CheckArgs),
    /// Test everything that fnox depends on here
    #[command(visible_alias = "dr")]
    Doctor(DoctorArgs),
    /// Show which command used or changed which secret, if a log of that is kept
    Audit(AuditArgs),
    /// Find secrets in files, or in what would be committed
    Scan(ScanArgs),
    /// Encrypt stored values anew, for changed recipients
    Reencrypt(ReencryptArgs),
    /// Keep encrypted copies of values in the configuration, for use without their providers
    Sync(SyncArgs),
    /// Send secrets to services that keep their own, such as CI systems
    Push(PushArgs),
    /// Print code that makes a shell load and unload the secrets of the folders you go into
    Activate(ActivateArgs),
    /// Take the secrets out of this shell, and leave it alone from now on
    Deactivate(DeactivateArgs),
    /// What an activated shell evaluates before each prompt
    #[command(hide = true)]
    HookEnv(HookEnvArgs),
    /// Allow activated shells to load a folder, or fnox to read a file that others could have written
    Trust(TrustArgs),
    /// Take back what `fnox trust` allowed
    Untrust(UntrustArgs),
    /// Manage the places where secrets live
    Provider(ProviderArgs),
    /// List profiles
    #[command(alias = "profile")]
    Profiles(ProfilesArgs),
    /// Look at secrets, leases and providers on the whole screen, and change them
    Tui,
    /// Manage short-lived credentials; alone it creates all leases
    Lease(LeaseArgs),
    /// Credentials for programs that ask for them: AWS SDKs, Google's libraries, kubectl, Docker, git
    Credential(credential::CredentialArgs),
    /// Keep values in memory between runs
    Daemon(daemon::DaemonArgs),
    /// A vault that lends secrets to AI agents
    Vault(vault::VaultArgs),
    /// Programs and AI agents that use credentials through a gateway and never hold them
    #[command(visible_alias = "proxy")]
    Agent(agent::AgentArgs),
    /// Serve tools for an AI agent: programs that use credentials it never holds (MCP, on stdin and stdout)
    Mcp(mcp::McpArgs),
    /// A gateway that a vault's agents share
    Gateway(gateway::GatewayArgs),
    /// The team server
    Serve(Box<serve::ServeArgs>),
    /// Log in to the team server
    Login(team::LoginArgs),
    /// End the session on the team server
    Logout(team::LogoutArgs),
    /// Secrets on the team server, which it cannot read
    Secret(team::SecretArgs),
    /// Decide about requests for secrets of the team server
    Approve(team::ApproveArgs),
    /// Steps for people who leave
    Lifecycle(LifecycleArgs),
    /// age keys
    #[command(subcommand)]
    Age(AgeCommand),
    /// List the configuration files in use
    ConfigFiles(ConfigFilesArgs),
    /// Print a shell's completion script
    #[command(alias = "complete", alias = "completions")]
    Completion(CompletionArgs),
    /// Print the JSON Schema of fnox.toml
    Schema,
    /// Print the version
    #[command(visible_alias = "v")]
    Version(VersionArgs),
}

impl Command {
    /// The command's name where it uses secrets, for the record of that.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Exec(_) => "exec",
            Self::Run(_) => "run",
            Self::Watch(_) => "watch",
            Self::Env(_) => "env",
            Self::Get(_) => "get",
            Self::Set(_) => "set",
            Self::Remove(_) => "remove",
            Self::Copy(_) => "copy",
            Self::Rename(_) => "rename",
            Self::Import(_) => "import",
            Self::Tui => "tui",
            Self::Lifecycle(_) => "lifecycle",
            Self::Age(_) => "age",
            Self::List(_) => "list",
            Self::Edit(_) => "edit",
            Self::Export(_) => "export",
            Self::Files(_) => "files",
            Self::CiRedact => "ci-redact",
            Self::Diff(_) => "diff",
            Self::Check(_) => "check",
            Self::Doctor(_) => "doctor",
            Self::Scan(_) => "scan",
            Self::Reencrypt(_) => "reencrypt",
            Self::Sync(_) => "sync",
            Self::Push(_) => "push",
            Self::HookEnv(_) => "hook-env",
            Self::Provider(_) => "provider",
            Self::Lease(_) => "lease",
            Self::Credential(_) => "credential",
            Self::Vault(_) => "vault",
            Self::Agent(_) => "agent",
            Self::Mcp(_) => "mcp",
            Self::Gateway(_) => "gateway",
            _ => "fnox",
        }
    }
}

//! `exec`, `run`, `watch` and `env`.

use std::ffi::OsString;

use clap::{Args, ValueEnum};
use fnox_config::RenewalFailure;
use fnox_core::Lifetime;

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  fnox exec -- npm start\n  fnox exec --only 'DB_*' -- ./migrate\n  fnox exec -P production -- aws s3 ls"
)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub common: RunArgs,
    /// Fail if nothing is configured for a lease, instead of leaving it out
    #[arg(long)]
    pub require_leases: bool,
}

#[derive(Debug, Clone, Default, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct RunArgs {
    /// Only these secrets (globs; repeat or separate by commas); leaves `command` leases out
    #[arg(long, value_name = "NAME", value_delimiter = ',', add = crate::completion::secrets())]
    pub only: Vec<String>,
    /// All but these secrets (globs; repeat or separate by commas)
    #[arg(long, value_name = "NAME", value_delimiter = ',', add = crate::completion::secrets())]
    pub except: Vec<String>,
    /// Use only copies that `fnox sync` made, and what is kept on this machine
    #[arg(long)]
    pub offline: bool,
    /// Replace secret values in the program's output, where it is not a terminal [env: `FNOX_EXEC_REDACT`]
    #[arg(long, overrides_with = "no_redact")]
    pub redact: bool,
    /// Leave the program's output as it is
    #[arg(long, overrides_with = "redact")]
    pub no_redact: bool,
    /// Become the program instead of staying its parent
    #[arg(long)]
    pub replace: bool,
    /// Leave this credential variable to the program although fnox used it (repeat or separate by commas)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub keep: Vec<String>,
    #[command(flatten)]
    pub ending: CredentialEndingArgs,
    /// Fetch these secrets anew, even if the daemon has them (repeat or separate by commas)
    #[arg(long, value_name = "KEY", value_delimiter = ',', add = crate::completion::secrets())]
    pub refresh: Vec<String>,
    #[command(flatten)]
    pub approval: super::team::ApprovalArgs,
    /// The program and its arguments
    #[arg(last = true, value_name = "COMMAND", required = true, value_hint = clap::ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// What happens at the end of a program, and at the end of its credentials.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CredentialEndingArgs {
    /// Withdraw the credentials of leases when the program has ended
    #[arg(long)]
    pub revoke_on_exit: bool,
    /// What happens to the program when a credential ends and cannot be renewed: `warn` or `kill`
    #[arg(long, value_name = "WHAT", value_parser = renewal_failure)]
    pub on_renewal_failure: Option<RenewalFailure>,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The program starts anew when a configuration file, a file of age identities or a secret's value has changed.\n\nExamples:\n  fnox watch -- npm run dev\n  fnox watch --interval 5m -P staging -- ./server"
)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub common: RunArgs,
    /// How often values are fetched anew; files are looked at all the time
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = lifetime)]
    pub interval: Lifetime,
}

/// Whose environment `env` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EnvScope {
    /// A program's: what `fnox exec` would give it
    Exec,
    /// A shell's: only secrets that every program may have, and no leases
    Shell,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The document holds values in clear. It is described in https://github.com/fnox-project/fnox/blob/main/docs/reference/env.md"
)]
pub(crate) struct EnvArgs {
    /// Print the JSON document; there is no other form
    #[arg(long)]
    pub json: bool,
    /// Whose environment
    #[arg(long = "for", value_enum, value_name = "SCOPE", default_value = "exec")]
    pub scope: EnvScope,
    /// Only these keys (repeat or separate by commas)
    #[arg(long, value_name = "KEY", value_delimiter = ',', add = crate::completion::secrets())]
    pub keys: Option<Vec<String>>,
    /// Say which keys there are and who may have them; resolves nothing
    #[arg(long)]
    pub describe: bool,
}

fn lifetime(text: &str) -> Result<Lifetime, String> {
    Lifetime::parse(text).map_err(|error| error.to_string())
}

fn renewal_failure(word: &str) -> Result<RenewalFailure, String> {
    match word {
        "warn" => Ok(RenewalFailure::Warn),
        "kill" => Ok(RenewalFailure::Kill),
        _ => Err("it is `warn` or `kill`".to_owned()),
    }
}

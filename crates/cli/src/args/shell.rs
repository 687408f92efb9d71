//! Secrets in interactive shells: `activate`, `hook-env`, `deactivate`, `trust`, `untrust`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Add it to your shell's start-up file:\n  bash        eval \"$(fnox activate bash)\"\n  zsh         eval \"$(fnox activate zsh)\"\n  fish        fnox activate fish | source\n  elvish      eval (fnox activate elvish | slurp)\n  xonsh       import subprocess\n              execx(subprocess.check_output([\"fnox\", \"activate\", \"xonsh\"], text=True))\n  PowerShell  fnox activate pwsh | Out-String | Invoke-Expression\n  Nushell     fnox activate nu | save -f fnox.nu, and `use fnox.nu *` in config.nu\nA folder is loaded once `fnox trust` has been said there."
)]
pub(crate) struct ActivateArgs {
    /// bash, zsh, fish, nu, pwsh, elvish or xonsh; by default `FNOX_SHELL`, then `SHELL`
    #[arg(value_name = "SHELL")]
    pub shell: Option<String>,
    /// Only the `fnox` function; call the hook yourself
    #[arg(long)]
    pub no_hook_env: bool,
}

/// Which shell asks.
#[derive(Debug, Clone, Args)]
pub(crate) struct HookEnvArgs {
    /// The shell; by default `FNOX_SHELL`
    #[arg(short, long, value_name = "SHELL")]
    pub shell: Option<String>,
    /// Its process id, to which files of secrets belong
    #[arg(long, value_name = "PID", hide = true)]
    pub shell_pid: Option<u32>,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "In an activated shell, `fnox deactivate` is a function that evaluates this command's output."
)]
pub(crate) struct DeactivateArgs {
    #[command(flatten)]
    pub shell: HookEnvArgs,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "A folder is trusted whatever its files hold from then on, and those below it are not trusted with it. A file is trusted as it is now."
)]
pub(crate) struct TrustArgs {
    /// The folder whose configuration may be loaded, with the folders above that take part; or a file
    #[arg(value_name = "PATH", default_value = ".", value_hint = clap::ValueHint::AnyPath)]
    pub path: PathBuf,
    /// List what is trusted
    #[arg(long, conflicts_with = "path")]
    pub list: bool,
    /// With `--list`: print a JSON document
    #[arg(long, requires = "list")]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct UntrustArgs {
    /// The folder or file; by default the nearest folder that is trusted
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub path: Option<PathBuf>,
}

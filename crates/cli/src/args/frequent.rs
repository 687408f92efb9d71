//! The commands that start most often, by programs and at prompts rather than by people.
//!
//! To define all commands, each with its flags, was half of a start. What is defined here is read in the same way; what
//! is anything else, a mistake or a question for help included, is for the whole definition.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use super::credential::CredentialArgs;
use super::{Cli, Command, EnvArgs, ExecArgs, GetArgs, GlobalArgs, HookEnvArgs, RunArgs};

#[derive(Debug, Parser)]
#[command(name = "fnox", disable_help_subcommand = true)]
struct FrequentCli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: FrequentCommand,
}

#[derive(Debug, Subcommand)]
enum FrequentCommand {
    #[command(alias = "x")]
    Exec(ExecArgs),
    Run(RunArgs),
    Env(EnvArgs),
    Get(GetArgs),
    HookEnv(HookEnvArgs),
    Credential(CredentialArgs),
}

/// Reads one of these commands. `None`: it is another one, or cannot be read.
pub(crate) fn parse(arguments: &[OsString]) -> Option<Cli> {
    let FrequentCli { global, command } = FrequentCli::try_parse_from(arguments).ok()?;
    let command = match command {
        FrequentCommand::Exec(args) => Command::Exec(args),
        FrequentCommand::Run(args) => Command::Run(args),
        FrequentCommand::Env(args) => Command::Env(args),
        FrequentCommand::Get(args) => Command::Get(args),
        FrequentCommand::HookEnv(args) => Command::HookEnv(args),
        FrequentCommand::Credential(args) => Command::Credential(args),
    };
    Some(Cli { global, command })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn it_reads_what_the_whole_definition_reads() {
        for line in [
            "fnox exec -- true",
            "fnox x -P a,b --config /x/fnox.toml --no-daemon -- sh -c exit",
            "fnox -q run --if-missing warn -- make",
            "fnox --profile a get KEY --base64-decode -v",
            "fnox env --json",
            "fnox hook-env --shell zsh --shell-pid 7",
            "fnox credential aws production",
            "fnox credential git get",
        ] {
            let words = words(line);
            let whole = Cli::try_parse_from(&words).unwrap();
            let frequent = parse(&words).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(format!("{frequent:?}"), format!("{whole:?}"), "{line}");
        }
    }

    #[test]
    fn it_leaves_the_rest_to_the_whole_definition() {
        for line in [
            "fnox",
            "fnox --version",
            "fnox exec --help",
            "fnox exec",
            "fnox get --nonsense KEY",
            "fnox list",
            "fnox serve --config server.toml",
        ] {
            assert!(parse(&words(line)).is_none(), "{line}");
        }
    }
}

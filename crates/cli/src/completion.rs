//! Shell completion by the binary itself, names included.
//!
//! The script that `fnox completion SHELL` prints asks this binary for candidates (the variable
//! `COMPLETE` says so). Candidates come from the configuration files alone: no command is run, no network
//! touched, and an error just means no candidates.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::CompleteEnv;
use fnox_config::{Config, Folders, Loader, spec};
use fnox_core::Env;

use crate::args::Cli;

/// Answers a shell that asks for completion. `false`: it was not a shell asking.
pub(crate) fn answer(env: &Env, arguments: &[OsString]) -> bool {
    if env.var("COMPLETE").is_none() {
        return false;
    }
    let here = std::env::current_dir().ok();
    let complete = CompleteEnv::with_factory(Cli::command).bin("fnox");
    complete
        .try_complete(arguments.iter().cloned(), here.as_deref())
        .unwrap_or(true)
}

/// The script for a shell, `None` for a shell that is not known.
pub(crate) fn script(shell: &str) -> Option<Vec<u8>> {
    use clap_complete::env::EnvCompleter;
    let mut script = Vec::new();
    let completer: &dyn EnvCompleter = match shell {
        "bash" => &clap_complete::env::Bash,
        "zsh" => &clap_complete::env::Zsh,
        "fish" => &clap_complete::env::Fish,
        "elvish" => &clap_complete::env::Elvish,
        "powershell" | "pwsh" => &clap_complete::env::Powershell,
        "nu" | "nushell" => {
            // Nushell cannot ask back this way: commands and flags are complete, names are not.
            let nushell = clap_complete_nushell::Nushell;
            clap_complete::generate(nushell, &mut Cli::command(), "fnox", &mut script);
            return Some(script);
        }
        _ => return None,
    };
    completer
        .write_registration("COMPLETE", "fnox", "fnox", "fnox", &mut script)
        .ok()?;
    Some(script)
}

pub(crate) fn secrets() -> ArgValueCandidates {
    candidates(|config| names(config.secrets.keys()))
}

pub(crate) fn providers() -> ArgValueCandidates {
    candidates(|config| names(config.providers.keys()))
}

pub(crate) fn profiles() -> ArgValueCandidates {
    candidates(|config| names(&config.known_profiles))
}

pub(crate) fn leases() -> ArgValueCandidates {
    candidates(|config| names(config.leases.keys()))
}

pub(crate) fn provider_types() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        spec::PROVIDERS
            .iter()
            .map(|spec| CompletionCandidate::new(spec.name).help(Some(spec.label.into())))
            .collect()
    })
}

fn candidates(of: fn(&Config) -> Vec<String>) -> ArgValueCandidates {
    ArgValueCandidates::new(move || {
        let env = Env::of_process();
        let folders = Folders::from_env(&env);
        let Ok(cwd) = std::env::current_dir() else {
            return Vec::new();
        };
        let loader = Loader {
            env: &env,
            folders: &folders,
            cwd: &cwd,
            explicit: None,
            profiles: Vec::new(),
            may_create: None,
            no_defaults: false,
        };
        let names = loader.load().map(|config| of(&config)).unwrap_or_default();
        names.into_iter().map(CompletionCandidate::new).collect()
    })
}

fn names<'a, N, I>(names: I) -> Vec<String>
where
    N: AsRef<str> + 'a,
    I: IntoIterator<Item = &'a N>,
{
    names
        .into_iter()
        .map(|name| name.as_ref().to_owned())
        .collect()
}

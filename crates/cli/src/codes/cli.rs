//! Those of the command line itself.

use fnox_core::ExitStatus;

use super::Code;

pub(super) const CODES: &[Code] = &[
    (
        "cli::usage",
        ExitStatus::Usage,
        "The command line asks for something that makes no sense.",
        "See `fnox COMMAND --help`.",
    ),
    (
        "cli::file",
        ExitStatus::Failure,
        "A file that the command line names cannot be read or written.",
        "Look at its path and permissions.",
    ),
    (
        "cli::input",
        ExitStatus::Failure,
        "An input is not what it should be.",
        "Correct the named line.",
    ),
    (
        "cli::not_started",
        ExitStatus::CommandNotFound,
        "The program does not exist (127) or cannot be run (126).",
        "Check its name and PATH.",
    ),
    (
        "cli::only_json",
        ExitStatus::Failure,
        "`fnox env` was called without `--json`.",
        "Add `--json`, or use `fnox export` for people and shells.",
    ),
    (
        "cli::unknown_keys",
        ExitStatus::Failure,
        "`fnox env --keys` names a key that does not exist, or that may not be had there.",
        "`fnox env --json --describe` lists the keys and who may have them.",
    ),
    (
        "cli::check_failed",
        ExitStatus::Failure,
        "`fnox check`, `doctor`, `provider test` or `reencrypt --check` found something.",
        "See what it printed.",
    ),
    (
        "cli::denied",
        ExitStatus::Denied,
        "A program that asks a person tried to answer itself, or something that it started did.",
        "Answer where the agent does not run: in another terminal.",
    ),
    (
        "cli::output",
        ExitStatus::Failure,
        "The output cannot be written.",
        "Look at the free space, or at whoever reads the output.",
    ),
    (
        "cli::push_failed",
        ExitStatus::Failure,
        "Some secrets could not be sent to some targets. The lines before say which, and why.",
        "Mend what they name and push again: sending a value twice does no harm.",
    ),
    (
        "cli::audit_log",
        ExitStatus::Failure,
        "The local log of secret uses cannot be read.",
        "Look at what the message names.",
    ),
    (
        "cli::audit_broken",
        ExitStatus::Failure,
        "The local log of secret uses is not as it was written: records were changed, removed or added by somebody without its key.",
        "Find out who did it. To begin a new log, move the old one with its `.head` file and its numbered files away.",
    ),
    (
        "cli::plugin_failed",
        ExitStatus::Failure,
        "A plugin cannot be fetched, kept or listed: git failed, the repository is no plugin, or the folder of plugins cannot be used.",
        "Look at what the message names. Nothing that was installed before has changed.",
    ),
];

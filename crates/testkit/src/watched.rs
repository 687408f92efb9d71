//! Values that no program may get as an argument: `scripts/lib/record-arguments` sees every argument list of a whole test run,
//! and `scripts/lib/check-arguments` looks for these in them.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;

use fnox_core::Env;

/// Names the file to which values go, one a line, in hexadecimal.
const FILE: &str = "FNOX_TEST_WATCHED_VALUES";

/// Shorter values turn up by chance.
const LEAST: usize = 10;

/// Endings of the names of variables that hold secrets.
const SECRET_NAMES: [&str; 6] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSPHRASE",
    "_KEY",
    "_SESSION",
];

/// Adds a value, if the run is recorded.
///
/// # Panics
/// If the file is named and cannot be written.
pub fn watch(value: impl AsRef<[u8]>) {
    let value = value.as_ref();
    let Some(file) = Env::of_process().var_os(FILE).map(OsStr::to_owned) else {
        return;
    };
    if value.trim_ascii().len() < LEAST {
        return;
    }
    let line = format!("{}\n", hex::encode(value.trim_ascii()));
    // One write of a line to a file that is appended to: others' lines are not mixed with it.
    let file = OpenOptions::new().append(true).create(true).open(file);
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.expect("the file of watched values");
}

/// Adds the value of a variable whose name says that it is a secret.
///
/// # Panics
/// If the file is named and cannot be written.
pub fn watch_variable(name: &str, value: &str) {
    let is_place = value.starts_with(['/', '~', '.']) || value.contains("://");
    if SECRET_NAMES.iter().any(|it| name.ends_with(it)) && !is_place {
        watch(value);
    }
}

/// Adds what a program is given by its environment or, for `fnox set`, on its stdin.
pub(crate) fn watch_invocation(command: &Command, stdin: Option<&[u8]>) {
    for (name, value) in command.get_envs() {
        if let (Some(name), Some(value)) = (name.to_str(), value.and_then(OsStr::to_str)) {
            watch_variable(name, value);
        }
    }
    let stores = command.get_args().any(|argument| argument == "set");
    if let (true, Some(value)) = (stores, stdin) {
        watch(value);
    }
}

//! Secrets in an interactive shell: loaded on entering a folder, gone on leaving it.
//!
//! A shell's start-up file evaluates what `fnox activate` prints. From then on the shell runs `fnox hook-env`
//! before each prompt and evaluates its output. Nothing else is remembered anywhere: the variable
//! `__FNOX_SESSION` says what was set and what was there before ([`session`]).
//!
//! - [`dialect`] is what fnox can say to a shell, with one file for each shell.
//! - [`watch`] tells whether anything can have changed, by looking at files without reading them.
//! - [`load`] reads the configuration of trusted folders and resolves what shells may have.
//! - [`change`] compares that with the session and the shell's variables.
//! - [`files`] keeps the files of `as_file` secrets, [`report`] says in one line what happened.

pub(crate) mod change;
pub(crate) mod dialect;
pub(crate) mod files;
pub(crate) mod load;
pub(crate) mod program;
pub(crate) mod report;
pub(crate) mod session;
pub(crate) mod watch;

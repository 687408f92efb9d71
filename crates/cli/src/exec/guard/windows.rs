//! A helper without a console: nothing that is typed or closed there reaches it.

use std::io;
use std::os::windows::process::CommandExt as _;
use std::process::Command;

/// `CREATE_NEW_PROCESS_GROUP` and `CREATE_NO_WINDOW`
const APART: u32 = 0x0000_0200 | 0x0800_0000;

/// This binary, without the console of this process.
pub(super) fn own_program() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.creation_flags(APART);
    Ok(command)
}

/// It was started apart.
pub(super) fn stand_apart() {}

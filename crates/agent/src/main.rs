//! The binary `fnox-agent`.

use std::process::ExitCode;

fn main() -> ExitCode {
    fnox_agent::main()
}

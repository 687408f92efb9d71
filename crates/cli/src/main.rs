//! The binary `fnox`.

use std::process::ExitCode;

fn main() -> ExitCode {
    fnox_cli::main()
}

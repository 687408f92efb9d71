//! The vault against plain limits, in one run on one machine: each row of the vault stands beside a bare echo
//! server on the same transport, whose answers are as long as the vault's.
//!
//!     cargo bench --package fnox-store-sqlite --bench vault [-- --seconds N] [-- --json]
//!
//! Servers and clients share one process and all cores, each side on a runtime of its own. Clients write frames
//! that were made before and look only at what they need, so that what is measured is the server.

#![expect(
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark ends where it cannot go on, and prints what it found"
)]

#[path = "vault/client.rs"]
mod client;
#[path = "vault/echo.rs"]
mod echo;
#[path = "vault/rows.rs"]
mod rows;
#[path = "vault/server.rs"]
mod server;

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --benches` starts this too, and wants only to know that it starts.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let seconds = arguments
        .iter()
        .position(|argument| argument == "--seconds")
        .and_then(|place| arguments.get(place + 1))
        .and_then(|text| text.parse().ok())
        .unwrap_or(5);
    let is_json = arguments.iter().any(|argument| argument == "--json");
    rows::run(Duration::from_secs(seconds), is_json);
    ExitCode::SUCCESS
}

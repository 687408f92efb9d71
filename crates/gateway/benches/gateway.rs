//! The gateway beside a relay that ends TLS on both sides and copies bytes, in one run on one machine.
//!
//!   scripts/bench-gateway [--rounds N] [--json] [--mitmdump PROGRAM]
//!
//! The gateway is the program as it is delivered, `fnox agent run`, in a process of its own, and so is the relay. What
//! measures is the program that the gateway was started for: it has the placeholder and not the credential, which goes
//! into every request. The upstream and the clients share the machine's cores with what is measured.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark ends where it cannot go on, and prints what it found"
)]

#[path = "gateway/client.rs"]
mod client;
#[path = "gateway/relay.rs"]
mod relay;
#[path = "gateway/rows.rs"]
mod rows;
#[path = "gateway/world.rs"]
mod world;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("relay") => relay::run(&arguments[1..]),
        Some("measure") => rows::run(&arguments[1..]),
        // `cargo test --benches` starts this too, and wants only to know that it starts.
        _ => match option(&arguments, "--fnox") {
            Some(program) => world::run(&program, &arguments),
            None => println!("scripts/bench-gateway builds the program and runs this"),
        },
    }
}

/// What stands behind `name`.
fn option(arguments: &[String], name: &str) -> Option<String> {
    let place = arguments.iter().position(|argument| argument == name)?;
    arguments.get(place + 1).cloned()
}

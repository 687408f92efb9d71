//! Chores of the repository: `cargo xtask --help`.

mod failure;
mod generated;
mod layers;
mod links;
mod msrv;
mod promises;
mod sizes;
mod tree;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use tree::Tree;

/// Chores of the fnox repository.
#[derive(Debug, Parser)]
#[command(name = "xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Write the generated files
    Gen {
        /// Write nothing; fail if a file is not up to date
        #[arg(long)]
        check: bool,
    },
    /// Fail if a source file has more than 600 lines; list those with more than 400
    Sizes,
    /// Fail if a crate depends on one above it
    Layers,
    /// Fail if a test that SECURITY.md or another page names does not exist
    Promises,
    /// Fail if a page links to a file or a heading that does not exist
    Links,
    /// Print the least Rust version that the dependencies declare to need
    Msrv {
        /// Fail if `rust-version` is another
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let tree = Tree::of_this_repository();
    let outcome = match Arguments::parse().chore {
        Chore::Gen { check: true } => generated::check(&tree),
        Chore::Gen { check: false } => generated::write(&tree),
        Chore::Sizes => sizes::check(&tree),
        Chore::Layers => layers::check(&tree),
        Chore::Promises => promises::check(&tree),
        Chore::Links => links::check(&tree),
        Chore::Msrv { check } => msrv::run(&tree, check),
    };
    let (code, text) = match outcome {
        Ok(text) => (ExitCode::SUCCESS, text),
        Err(failure) => (ExitCode::FAILURE, format!("xtask: {failure}")),
    };
    // A reader that has gone away changes nothing about the outcome.
    drop(writeln!(std::io::stdout(), "{text}"));
    code
}

//! Each chore passes on this repository.

use std::process::Command;

fn passes(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn source_files_are_short_enough() {
    assert!(passes(&["sizes"]).contains("source files"));
}

#[test]
fn crates_stand_in_layers() {
    passes(&["layers"]);
}

#[test]
fn generated_files_are_up_to_date() {
    passes(&["gen", "--check"]);
}

#[test]
fn the_declared_rust_version_is_the_needed_one() {
    assert!(passes(&["msrv", "--check"]).starts_with("Rust 1."));
}

//! Links the release binary at a fixed address on Linux: it then starts without some 46 000 relocations, which
//! take time in front of every command. `docs/adr/0004-fixed-address.md` says what that costs; a build with
//! `FNOX_BUILD_PIE=1` is position-independent.

#![expect(
    clippy::disallowed_methods,
    reason = "the environment is how a build script is told"
)]

use std::env;

fn main() {
    println!("cargo:rerun-if-env-changed=FNOX_BUILD_PIE");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let asked_for_pie = is("FNOX_BUILD_PIE", "1");
    let glibc = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if glibc && is("PROFILE", "release") && !asked_for_pie {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}

//! What fnox's own tests share. Never part of the program.
//!
//! - [`Sandbox`] runs the real binary in a home folder and an environment of its own.
//! - [`services`] finds real services and starts them: moto, the AWS CLI, a D-Bus session with a keyring.
//! - [`stand_in`] speaks real wire protocols on loopback and is stricter than the real thing.
//! - [`canary`] looks for a value in everything that a run left behind.
//! - [`watched`] names values that no argument list of the whole suite may have.
//! - [`FakeClock`] and [`wait`] keep tests from depending on time.
//!
//! Everything here panics where it cannot do what a test asked for: a test that needs a service must
//! fail without it, never pass in silence.

pub mod canary;
pub mod clock;
pub mod filters;
pub mod run;
pub mod sandbox;
pub mod services;
pub mod stand_in;
pub mod wait;
pub mod watched;

pub use canary::Canary;
pub use clock::FakeClock;
pub use run::{Invocation, Run, Running};
pub use sandbox::Sandbox;

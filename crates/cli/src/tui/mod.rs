//! Secrets, leases and providers on the whole screen.
//!
//! [`state::State`] is all that is shown, [`update`] turns it into the next one and says what is to be done, [`view`] draws
//! it; none of them touches the world. [`work`] does what is to be done, each piece on a thread of its own, with
//! the code of the commands: what `fnox set`, `lease revoke` or `provider test` do is done here by the same functions,
//! and fails with the same words. [`screen`] owns the terminal and gives it back, whatever happens.
//!
//! Nobody can be asked while the screen is taken, so a provider that needs a person fails as it does with
//! `--non-interactive`, and says what to do.

mod dialog;
mod field;
mod keys;
mod model;
pub(crate) mod screen;
mod state;
#[cfg(test)]
mod tests;
mod update;
mod view;
mod work;

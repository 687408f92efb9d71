//! A person leaves: what has to be done, from the project's own configuration, and the part that fnox can do.

pub(crate) mod apply;
pub mod documents;
mod person;
pub(crate) mod plan;
mod recipients;
mod sessions;
mod views;

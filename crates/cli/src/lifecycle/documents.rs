//! The JSON document that `fnox lifecycle` prints.

use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

/// `fnox lifecycle offboard --json`
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Offboarding {
    /// The person, as the command was told.
    pub user: String,
    /// The names, addresses and recipients by which the person was looked for.
    pub known_as: Vec<String>,
    /// Whether fnox was told to do its part.
    pub applied: bool,
    /// What has to be done, in this order.
    pub steps: Vec<Step>,
}

/// One thing to do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Step {
    /// Its stable name: `recipients`, `rotate`, `leases`, `sessions`, `server`, `accounts`.
    pub name: &'static str,
    /// What it is about.
    pub title: String,
    /// Who can do it.
    pub by: By,
    /// How far it is.
    pub state: State,
    /// Its parts.
    pub items: Vec<Item>,
}

/// One part of a step.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Item {
    /// What.
    pub what: String,
    /// Where it stands: file and line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The command that does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Why it was not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Who can do a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// `--apply`
    Fnox,
    /// Somebody with rights that fnox has not.
    Person,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// To be done.
    Open,
    /// Done by this run.
    Done,
    /// Tried by this run, and not all of it could be done.
    Failed,
}

/// The schemas of all of them, by file name.
#[must_use]
pub(crate) fn schemas() -> Vec<(&'static str, Schema)> {
    vec![("lifecycle-offboard", schema_for!(Offboarding))]
}

//! States by their keys, and the screen by its text.

mod keys;
mod screens;

use std::time::Duration;

use fnox_core::lease::LeaseState;
use jiff::Timestamp;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::{Answer, Effect, Failure, Lease, Origin, Project, Provider, Secret, Task};
use super::state::State;
use super::update::{Event, update};

fn secret(name: &str, provider: &str, origin: Origin, description: &str) -> Secret {
    Secret {
        name: name.to_owned(),
        provider: provider.to_owned(),
        origin,
        description: description.to_owned(),
        source: "fnox.toml".to_owned(),
        keeping: "encrypted by age".to_owned(),
    }
}

fn provider(name: &str, kind: &str, is_default: bool) -> Provider {
    Provider {
        name: name.to_owned(),
        kind: kind.to_owned(),
        is_default,
        source: "fnox.toml".to_owned(),
    }
}

fn project() -> Project {
    Project {
        profile: "default".to_owned(),
        folder: "/home/ada/shop".to_owned(),
        profiles: vec![("default".to_owned(), 4), ("prod".to_owned(), 1)],
        secrets: vec![
            secret(
                "DATABASE_URL",
                "op",
                Origin::Set,
                "The shop's database, for reading and writing",
            ),
            secret("API_KEY", "age", Origin::Set, "Payments"),
            secret("LOG_LEVEL", "", Origin::Default, ""),
            secret(
                "SENTRY_DSN",
                "",
                Origin::Nowhere,
                "Where crashes are reported",
            ),
        ],
        providers: vec![
            provider("age", "age", true),
            provider("op", "1password", false),
        ],
        leases: vec!["aws".to_owned()],
        target: "fnox.toml".to_owned(),
        keeping: "encrypted by age".to_owned(),
    }
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn lease(name: &str, state: LeaseState, end: Option<&str>) -> Lease {
    Lease {
        id: format!("arn:aws:sts::123456789012:assumed-role/{name}/fnox"),
        name: name.to_owned(),
        label: "fnox-exec".to_owned(),
        state,
        expires_at: end.map(moment),
    }
}

fn state() -> State {
    State::new(project(), moment("2026-01-02T10:00:00Z"))
}

fn press(state: &mut State, code: KeyCode) -> Vec<Effect> {
    update(state, Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

/// Presses keys of one character, one after the other; what the last one has done.
fn types(state: &mut State, keys: &str) -> Vec<Effect> {
    let keys = keys.chars();
    keys.map(|key| press(state, KeyCode::Char(key)))
        .last()
        .unwrap_or_default()
}

fn tick(state: &mut State, elapsed: Duration) -> Vec<Effect> {
    let now = state.now;
    update(state, Event::Tick { elapsed, now })
}

/// Answers the last work that was started.
fn answer(state: &mut State, outcome: Result<Answer, Failure>) -> Vec<Effect> {
    let id = state.jobs.last().expect("work").id;
    update(state, Event::Answer { id, outcome })
}

/// The tasks that effects start.
fn tasks(effects: &[Effect]) -> Vec<Task> {
    let tasks = effects.iter().filter_map(|effect| match effect {
        Effect::Start { task, .. } => Some(task.clone()),
        _ => None,
    });
    tasks.collect()
}

//! From one state to the next.

use std::time::Duration;

use fnox_core::SecretString;
use jiff::Timestamp;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use zeroize::Zeroizing;

use super::dialog::{self, Dialog, SHOWN};
use super::keys;
use super::model::{Answer, Chosen, Effect, Failure, Purpose, Task};
use super::state::{Health, Job, State, Tab, Tried};

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    Key(KeyEvent),
    Paste(Zeroizing<String>),
    /// Time went by.
    Tick {
        elapsed: Duration,
        now: Timestamp,
    },
    /// Work is done.
    Answer {
        id: u64,
        outcome: Result<Answer, Failure>,
    },
}

/// Takes an event in, and says what is to be done.
pub(crate) fn update(state: &mut State, event: Event) -> Vec<Effect> {
    match event {
        Event::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
        Event::Key(key) => pressed(state, key),
        Event::Paste(text) => {
            if state.is_searching {
                state.filter.push_str(text.trim());
            } else {
                dialog::paste(state, &text);
            }
            Vec::new()
        }
        Event::Tick { elapsed, now } => ticked(state, elapsed, now),
        Event::Answer { id, outcome } => {
            let Some(place) = state.jobs.iter().position(|job| job.id == id) else {
                return Vec::new();
            };
            let job = state.jobs.remove(place);
            let effects = answered(state, job, outcome);
            if state.is_ending && !state.is_writing() && state.dialog.is_none() {
                state.is_over = true;
            }
            effects
        }
    }
}

fn pressed(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
        let effects = match state.dialog.take() {
            Some(Dialog::Revealed { .. }) => vec![Effect::Wipe],
            _ => Vec::new(),
        };
        state.later.clear();
        state.end();
        return effects;
    }
    if state.dialog.is_some() {
        dialog::key(state, key)
    } else {
        keys::key(state, key)
    }
}

fn ticked(state: &mut State, elapsed: Duration, now: Timestamp) -> Vec<Effect> {
    state.elapsed = elapsed;
    state.now = now;
    match state.dialog {
        Some(Dialog::Revealed { until, .. }) if until <= elapsed => {
            state.close();
            vec![Effect::Wipe]
        }
        _ => Vec::new(),
    }
}

fn answered(state: &mut State, job: Job, outcome: Result<Answer, Failure>) -> Vec<Effect> {
    match (job.task, outcome) {
        (Task::Project(chosen), Ok(Answer::Project(project))) => {
            let is_other = chosen != state.chosen;
            if is_other {
                state.note = format!("Profile {}", project.profile);
                state.tried.clear();
                state.health.clear();
                state.selected = [0; 3];
            }
            state.chosen = chosen;
            state.project = *project;
            // Leases belong to the folder, and who they are for may differ.
            if is_other {
                return vec![state.start(Task::Leases, None)];
            }
        }
        (Task::Leases, Ok(Answer::Leases(leases))) => state.leases = leases,
        (Task::Test(name), outcome) => {
            let health = match outcome {
                Ok(_) => Health::Works,
                Err(failure) => Health::Failed(failure),
            };
            state.health.insert(name, health);
        }
        (Task::Value { name, purpose }, outcome) => {
            return fetched(state, job.id, name, purpose, outcome);
        }
        (Task::Store(name), Ok(_)) => {
            state.note = format!("Set {name}");
            state.tried.remove(&name);
            return reread(state);
        }
        (Task::Remove(name), Ok(_)) => {
            state.note = format!("Removed {name}");
            state.tried.remove(&name);
            return reread(state);
        }
        (Task::Revoke { .. }, Ok(Answer::Done(words))) => {
            state.note = words;
            return vec![state.start(Task::Leases, None)];
        }
        (task, Err(failure)) => {
            let is_revocation = matches!(task, Task::Revoke { .. });
            let title = format!("{} failed", task.label());
            state.tell(Dialog::failed(title, failure));
            if is_revocation {
                return vec![state.start(Task::Leases, None)];
            }
        }
        // An answer to something else cannot come.
        _ => {}
    }
    Vec::new()
}

fn reread(state: &mut State) -> Vec<Effect> {
    let chosen: Chosen = state.chosen.clone();
    vec![state.start(Task::Project(chosen), None)]
}

fn fetched(
    state: &mut State,
    id: u64,
    name: String,
    purpose: Purpose,
    outcome: Result<Answer, Failure>,
) -> Vec<Effect> {
    let (tried, value): (Tried, Option<SecretString>) = match outcome {
        Ok(Answer::Value(Some(value))) => (Tried::Available, Some(value)),
        Ok(_) => (Tried::Absent, None),
        Err(failure) => (Tried::Failed(failure), None),
    };
    state.tried.insert(name.clone(), tried.clone());
    if purpose == Purpose::Try {
        state.note = match tried {
            Tried::Available => format!("{name} is there"),
            Tried::Absent => format!("{name} has no value"),
            Tried::Failed(_) => format!("{name} cannot be fetched: press i to see why"),
        };
        return Vec::new();
    }
    match state.dialog {
        Some(Dialog::Fetching { job, .. }) if job == id => drop(state.dialog.take()),
        // Whoever wanted it has gone.
        _ => return Vec::new(),
    }
    let effects = match (value, tried) {
        (Some(value), _) if purpose == Purpose::Copy => {
            state.note = format!("{name} was handed to the terminal's clipboard");
            vec![Effect::Copy(value)]
        }
        (Some(value), _) => {
            let until = state.elapsed + SHOWN;
            state.dialog = Some(Dialog::Revealed { name, value, until });
            Vec::new()
        }
        (None, Tried::Failed(failure)) => {
            state.dialog = Some(Dialog::failed(format!("fetching {name} failed"), failure));
            Vec::new()
        }
        (None, _) => {
            state.note = format!("{name} has no value");
            Vec::new()
        }
    };
    if state.dialog.is_none() {
        state.dialog = state.later.pop_front();
    }
    effects
}

/// What is to be done at the start.
pub(crate) fn begin(state: &mut State) -> Vec<Effect> {
    state.tab = Tab::Secrets;
    vec![state.start(Task::Leases, None)]
}

//! What lies over the lists, and its keys.

use std::time::Duration;

use fnox_core::{SecretName, SecretString};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::field::Field;
use super::model::{Chosen, Effect, Failure, Purpose, Task};
use super::state::State;

/// How long a value is on the screen.
pub(crate) const SHOWN: Duration = Duration::from_secs(15);

/// Something that has the keys until it is closed.
#[derive(Debug)]
pub(crate) enum Dialog {
    Help,
    /// A yes-or-no question.
    Confirm(Question),
    /// A value is on its way.
    Fetching {
        job: u64,
        name: String,
    },
    Revealed {
        name: String,
        value: SecretString,
        /// When it goes.
        until: Duration,
    },
    /// The name of a new secret is typed. What is wrong with it, if something is.
    Name(Field, String),
    /// A value is typed.
    Value {
        name: String,
        keeping: String,
        field: Field,
        complaint: &'static str,
    },
    /// A profile is chosen.
    Profiles(usize),
    Message {
        title: String,
        text: String,
        scroll: u16,
    },
}

/// What is asked before it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    Reveal(String),
    Copy(String),
    Remove(String),
    Revoke { id: String, lease: String },
}

impl Dialog {
    pub(crate) fn failed(title: String, failure: Failure) -> Self {
        Self::Message {
            title,
            text: failure.0,
            scroll: 0,
        }
    }
}

/// A key while a dialog is open.
pub(super) fn key(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    let is_escape = key.code == KeyCode::Esc;
    match &mut state.dialog {
        None => Vec::new(),
        Some(Dialog::Revealed { .. }) => {
            state.close();
            vec![Effect::Wipe]
        }
        Some(Dialog::Help) => {
            state.close();
            Vec::new()
        }
        Some(Dialog::Fetching { job, .. }) => {
            let job = *job;
            if is_escape || key.code == KeyCode::Char('q') {
                // What comes of it finds nobody and is dropped.
                state.jobs.retain(|other| other.id != job);
                state.close();
            }
            Vec::new()
        }
        Some(Dialog::Confirm(question)) => {
            let question = question.clone();
            match key.code {
                KeyCode::Char('y' | 'Y') => {
                    state.close();
                    confirmed(state, question)
                }
                KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => {
                    state.close();
                    Vec::new()
                }
                _ => Vec::new(),
            }
        }
        Some(Dialog::Message { scroll, .. }) => {
            match key.code {
                KeyCode::Char('j') | KeyCode::Down => *scroll = scroll.saturating_add(1),
                KeyCode::Char('k') | KeyCode::Up => *scroll = scroll.saturating_sub(1),
                _ => drop(state.close()),
            }
            Vec::new()
        }
        Some(Dialog::Profiles(_)) => profiles(state, key.code),
        Some(Dialog::Name(..) | Dialog::Value { .. }) if is_escape => {
            state.close();
            Vec::new()
        }
        Some(Dialog::Name(..)) => name(state, key),
        Some(Dialog::Value { .. }) => value(state, key),
    }
}

/// A text that was pasted.
pub(super) fn paste(state: &mut State, text: &str) {
    if let Some(Dialog::Name(field, _) | Dialog::Value { field, .. }) = &mut state.dialog {
        field.paste(text);
    }
}

fn confirmed(state: &mut State, question: Question) -> Vec<Effect> {
    let (name, purpose) = match question {
        Question::Remove(name) => return vec![state.start(Task::Remove(name), None)],
        Question::Revoke { id, lease } => {
            return vec![state.start(Task::Revoke { id, lease }, None)];
        }
        Question::Reveal(name) => (name, Purpose::Show),
        Question::Copy(name) => (name, Purpose::Copy),
    };
    let task = Task::Value {
        name: name.clone(),
        purpose,
    };
    let effect = state.start(task, None);
    if let Some(job) = state.jobs.last() {
        let job = job.id;
        state.dialog = Some(Dialog::Fetching { job, name });
    }
    vec![effect]
}

fn profiles(state: &mut State, code: KeyCode) -> Vec<Effect> {
    let last = state.project.profiles.len().saturating_sub(1);
    let Some(Dialog::Profiles(selected)) = &mut state.dialog else {
        return Vec::new();
    };
    match code {
        KeyCode::Char('j') | KeyCode::Down => *selected = (*selected + 1).min(last),
        KeyCode::Char('k') | KeyCode::Up => *selected = selected.saturating_sub(1),
        KeyCode::Char('g') | KeyCode::Home => *selected = 0,
        KeyCode::Char('G') | KeyCode::End => *selected = last,
        KeyCode::Enter => {
            let chosen = state.project.profiles.get(*selected);
            let chosen = chosen.map(|(name, _)| Chosen::Profile(name.clone()));
            state.close();
            return chosen
                .map(|chosen| state.start(Task::Project(chosen), None))
                .into_iter()
                .collect();
        }
        KeyCode::Esc | KeyCode::Char('q' | 'P') => drop(state.close()),
        _ => {}
    }
    Vec::new()
}

/// Types into a field; whether the key was Enter.
fn types(field: &mut Field, key: KeyEvent) -> bool {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('u') if is_control => field.clear(),
        KeyCode::Char('h') if is_control => field.pop(),
        KeyCode::Char(character) if !is_control => field.push(character),
        KeyCode::Backspace => field.pop(),
        KeyCode::Enter => return true,
        _ => {}
    }
    false
}

fn name(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    let keeping = state.project.keeping.clone();
    let Some(Dialog::Name(field, complaint)) = &mut state.dialog else {
        return Vec::new();
    };
    complaint.clear();
    if !types(field, key) {
        return Vec::new();
    }
    match SecretName::parse(field.text()) {
        Ok(name) => {
            let name = name.to_string();
            let known = state.project.secrets.iter();
            let known = known.into_iter().find(|secret| secret.name == name);
            state.dialog = Some(Dialog::Value {
                keeping: known.map_or(keeping, |secret| secret.keeping.clone()),
                name,
                field: Field::default(),
                complaint: "",
            });
        }
        Err(error) => *complaint = error.to_string(),
    }
    Vec::new()
}

fn value(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    let Some(Dialog::Value {
        name,
        field,
        complaint,
        ..
    }) = &mut state.dialog
    else {
        return Vec::new();
    };
    *complaint = "";
    if !types(field, key) {
        return Vec::new();
    }
    if field.count() == 0 {
        *complaint = "The value is empty.";
        return Vec::new();
    }
    let (name, value) = (name.clone(), field.take());
    state.close();
    vec![state.start(Task::Store(name), Some(value))]
}

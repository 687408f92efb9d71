//! The keys of the lists.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::dialog::{Dialog, Question};
use super::field::Field;
use super::model::{Effect, Purpose, Task};
use super::state::{Health, State, Tab, Tried};

/// Rows that Page Up and Page Down move by.
const PAGE: usize = 10;

/// A key while no dialog is open.
pub(super) fn key(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    if state.is_searching {
        search(state, key.code);
        return Vec::new();
    }
    state.note.clear();
    let row = state.row(state.tab);
    match key.code {
        KeyCode::Char('q') => state.end(),
        KeyCode::Char('?') => state.tell(Dialog::Help),
        KeyCode::Char('j') | KeyCode::Down => state.select(row + 1),
        KeyCode::Char('k') | KeyCode::Up => state.select(row.saturating_sub(1)),
        KeyCode::Char('g') | KeyCode::Home => state.select(0),
        KeyCode::Char('G') | KeyCode::End => state.select(usize::MAX),
        KeyCode::PageDown => state.select(row + PAGE),
        KeyCode::PageUp => state.select(row.saturating_sub(PAGE)),
        KeyCode::Tab | KeyCode::Char('l') | KeyCode::Right => turn(state, 1),
        KeyCode::BackTab | KeyCode::Char('h') | KeyCode::Left => turn(state, 2),
        KeyCode::Char('/') => {
            state.filter.clear();
            state.is_searching = true;
        }
        KeyCode::Esc => state.filter.clear(),
        KeyCode::Char('P') => {
            let profiles = &state.project.profiles;
            let is_active = |(name, _): &(String, usize)| *name == state.project.profile;
            let row = profiles.iter().position(is_active).unwrap_or_default();
            state.tell(Dialog::Profiles(row));
        }
        KeyCode::Char('r') => return refresh(state),
        KeyCode::Char('s') => state.tell(Dialog::Name(Field::default(), String::new())),
        code => return of_row(state, code),
    }
    Vec::new()
}

fn turn(state: &mut State, steps: usize) {
    state.tab = Tab::ALL[(state.tab as usize + steps) % Tab::ALL.len()];
}

/// Reads everything again.
pub(super) fn refresh(state: &mut State) -> Vec<Effect> {
    let chosen = state.chosen.clone();
    vec![
        state.start(Task::Project(chosen), None),
        state.start(Task::Leases, None),
    ]
}

fn search(state: &mut State, code: KeyCode) {
    match code {
        KeyCode::Enter | KeyCode::Down | KeyCode::Up => state.is_searching = false,
        KeyCode::Esc => {
            state.filter.clear();
            state.is_searching = false;
        }
        KeyCode::Backspace => {
            state.filter.pop();
        }
        KeyCode::Char(character) => state.filter.push(character),
        _ => {}
    }
    state.selected = [0; 3];
}

/// Keys that are about the selected row.
fn of_row(state: &mut State, code: KeyCode) -> Vec<Effect> {
    match state.tab {
        Tab::Secrets => of_secret(state, code),
        Tab::Leases => of_lease(state, code),
        Tab::Providers => of_provider(state, code),
    }
}

fn of_secret(state: &mut State, code: KeyCode) -> Vec<Effect> {
    let Some(secret) = state.secret() else {
        return Vec::new();
    };
    let name = secret.name.clone();
    match code {
        KeyCode::Enter | KeyCode::Char('V') => {
            state.tell(Dialog::Confirm(Question::Reveal(name)));
        }
        KeyCode::Char('c') => state.tell(Dialog::Confirm(Question::Copy(name))),
        KeyCode::Char('d') => state.tell(Dialog::Confirm(Question::Remove(name))),
        KeyCode::Char('e') => {
            let keeping = secret.keeping.clone();
            state.tell(Dialog::Value {
                name,
                keeping,
                field: Field::default(),
                complaint: "",
            });
        }
        KeyCode::Char('t') => {
            let purpose = Purpose::Try;
            return vec![state.start(Task::Value { name, purpose }, None)];
        }
        KeyCode::Char('i') => {
            if let Some(Tried::Failed(failure)) = state.tried.get(&name) {
                let dialog = Dialog::failed(name, failure.clone());
                state.tell(dialog);
            }
        }
        _ => {}
    }
    Vec::new()
}

fn of_lease(state: &mut State, code: KeyCode) -> Vec<Effect> {
    if code == KeyCode::Char('d')
        && let Some(lease) = state.lease()
    {
        let question = Question::Revoke {
            id: lease.id.clone(),
            lease: lease.name.clone(),
        };
        state.tell(Dialog::Confirm(question));
    }
    Vec::new()
}

fn of_provider(state: &mut State, code: KeyCode) -> Vec<Effect> {
    let names: Vec<String> = match code {
        KeyCode::Char('t') => state
            .provider()
            .map(|provider| provider.name.clone())
            .into_iter()
            .collect(),
        KeyCode::Char('a') => {
            let providers = state.providers();
            providers
                .iter()
                .map(|provider| provider.name.clone())
                .collect()
        }
        KeyCode::Enter | KeyCode::Char('i') => {
            let name = state.provider().map(|provider| provider.name.clone());
            let Some(name) = name else { return Vec::new() };
            match state.health.get(&name) {
                Some(Health::Failed(failure)) => {
                    let dialog = Dialog::failed(name, failure.clone());
                    state.tell(dialog);
                    Vec::new()
                }
                _ => vec![name],
            }
        }
        _ => Vec::new(),
    };
    let mut effects = Vec::new();
    for name in names {
        if state.health.get(&name) != Some(&Health::Testing) {
            state.health.insert(name.clone(), Health::Testing);
            effects.push(state.start(Task::Test(name), None));
        }
    }
    effects
}

//! What is on the screen.

use std::time::Duration;

use fnox_core::SecretString;
use fnox_core::lease::LeaseState;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;

use super::{answer, lease, press, state, tick, types};
use crate::tui::model::{Answer, Failure};
use crate::tui::state::{Health, State, Tab, Tried};
use crate::tui::view::{Theme, draw};

fn drawn(state: &State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let theme = Theme { colour: false };
    terminal.draw(|frame| draw(frame, state, theme)).unwrap();
    terminal.backend().to_string()
}

fn shows(state: &State) -> String {
    drawn(state, 80, 20)
}

#[test]
fn secrets() {
    let mut state = state();
    let failed = Tried::Failed(Failure(String::new()));
    state.tried.insert("API_KEY".to_owned(), Tried::Available);
    state.tried.insert("DATABASE_URL".to_owned(), failed);
    insta::assert_snapshot!(shows(&state));
    insta::assert_snapshot!("secrets_wide", drawn(&state, 120, 20));
}

#[test]
fn a_search() {
    let mut state = state();
    types(&mut state, "/dsn");
    insta::assert_snapshot!(shows(&state));
}

#[test]
fn leases() {
    let mut state = state();
    state.tab = Tab::Leases;
    insta::assert_snapshot!("no_leases", shows(&state));
    state.leases = vec![
        lease("old", LeaseState::Revoked, Some("2026-01-02T11:00:00Z")),
        lease("github", LeaseState::Active, Some("2026-01-02T11:05:07Z")),
        lease("aws", LeaseState::Active, Some("2026-01-02T10:04:09Z")),
    ];
    insta::assert_snapshot!(shows(&state));
}

#[test]
fn providers() {
    let mut state = state();
    state.tab = Tab::Providers;
    state.health.insert("age".to_owned(), Health::Works);
    let failed = Health::Failed(Failure(String::new()));
    state.health.insert("op".to_owned(), failed);
    insta::assert_snapshot!(shows(&state));
}

#[test]
fn a_question_and_a_value() {
    let mut state = state();
    press(&mut state, KeyCode::Enter);
    insta::assert_snapshot!("a_question", shows(&state));
    types(&mut state, "y");
    tick(&mut state, Duration::from_millis(400));
    insta::assert_snapshot!("a_value_is_fetched", shows(&state));
    let value = format!("-----BEGIN-----\n{}\n\u{1b}[2J", "long".repeat(30));
    answer(
        &mut state,
        Ok(Answer::Value(Some(SecretString::from(value)))),
    );
    insta::assert_snapshot!("a_value", shows(&state));
    press(&mut state, KeyCode::Esc);
    assert!(!shows(&state).contains("BEGIN"));
}

#[test]
fn a_value_that_is_typed_is_not_seen() {
    let mut state = state();
    types(&mut state, "e");
    types(&mut state, "hunter2");
    insta::assert_snapshot!(shows(&state));
}

#[test]
fn help_profiles_and_an_error() {
    let mut state = state();
    types(&mut state, "?");
    insta::assert_snapshot!("help", shows(&state));
    types(&mut state, "?");
    types(&mut state, "Pj");
    insta::assert_snapshot!("profiles", shows(&state));
    press(&mut state, KeyCode::Esc);
    types(&mut state, "dy");
    let text = "config::unknown_name\n\n  × there is no secret\n  help: set one".to_owned();
    answer(&mut state, Err(Failure(text)));
    insta::assert_snapshot!("an_error", shows(&state));
}

#[test]
fn any_size_is_drawn() {
    let mut state = state();
    for size in [(1, 1), (10, 3), (40, 5), (300, 100)] {
        drawn(&state, size.0, size.1);
    }
    types(&mut state, "?");
    for size in [(1, 1), (10, 3), (40, 5), (300, 100)] {
        drawn(&state, size.0, size.1);
    }
}

#[test]
fn a_long_list_keeps_the_selected_row_in_sight() {
    let mut state = state();
    let one = state.project.secrets[0].clone();
    state.project.secrets = (0..100)
        .map(|number| {
            let mut secret = one.clone();
            secret.name = format!("SECRET_{number:02}");
            secret
        })
        .collect();
    types(&mut state, "G");
    assert!(shows(&state).contains("SECRET_99"));
    press(&mut state, KeyCode::PageUp);
    let text = shows(&state);
    assert!(
        text.contains("SECRET_89") && text.contains("SECRET_83"),
        "{text}"
    );
}

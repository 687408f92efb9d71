//! What keys and answers do to the state.

use std::time::Duration;

use fnox_core::SecretString;
use fnox_core::lease::LeaseState;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use zeroize::Zeroizing;

use super::{answer, lease, press, project, state, tasks, tick, types};
use crate::tui::dialog::{Dialog, Question};
use crate::tui::model::{Answer, Chosen, Effect, Failure, Purpose, Task};
use crate::tui::state::{Health, State, Tab, Tried};
use crate::tui::update::{Event, update};

fn value(text: &str) -> Answer {
    Answer::Value(Some(SecretString::from(text)))
}

fn failure() -> Failure {
    Failure("provider::unavailable\n\n  × it is away\n  help: wait".to_owned())
}

/// The first secret is shown.
fn revealed() -> State {
    let mut state = state();
    press(&mut state, KeyCode::Enter);
    types(&mut state, "y");
    answer(&mut state, Ok(value("hunter2")));
    state
}

#[test]
fn the_selection_moves_and_stays_within_the_list() {
    let mut state = state();
    let row = |state: &State| state.row(state.tab);
    types(&mut state, "k");
    assert_eq!(row(&state), 0);
    types(&mut state, "jj");
    assert_eq!(row(&state), 2);
    types(&mut state, "Gj");
    assert_eq!(row(&state), 3);
    types(&mut state, "g");
    assert_eq!(row(&state), 0);
    press(&mut state, KeyCode::PageDown);
    assert_eq!(row(&state), 3);
    press(&mut state, KeyCode::Tab);
    assert_eq!((state.tab, row(&state)), (Tab::Leases, 0));
    press(&mut state, KeyCode::BackTab);
    assert_eq!((state.tab, row(&state)), (Tab::Secrets, 3));
}

#[test]
fn a_search_leaves_what_matches_until_it_is_left() {
    let mut state = state();
    types(&mut state, "/PAYm");
    let names = |state: &State| -> Vec<String> {
        let secrets = state.secrets();
        secrets.iter().map(|secret| secret.name.clone()).collect()
    };
    assert_eq!(names(&state), ["API_KEY"]);
    press(&mut state, KeyCode::Enter);
    assert!(!state.is_searching);
    // Keys are commands again, about what is left.
    types(&mut state, "d");
    assert!(
        matches!(&state.dialog, Some(Dialog::Confirm(Question::Remove(name))) if name == "API_KEY")
    );
    types(&mut state, "n");
    press(&mut state, KeyCode::Esc);
    assert_eq!(names(&state).len(), 4);
    types(&mut state, "/nothing has it");
    assert_eq!(state.count(Tab::Secrets), 0);
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.count(Tab::Secrets), 4);
}

#[test]
fn a_value_is_fetched_only_after_a_yes() {
    let mut state = state();
    press(&mut state, KeyCode::Enter);
    assert!(matches!(
        state.dialog,
        Some(Dialog::Confirm(Question::Reveal(_)))
    ));
    assert!(types(&mut state, "n").is_empty());
    assert!(state.dialog.is_none() && state.jobs.is_empty());
    types(&mut state, "V");
    // Enter is not yes: it may have been pressed twice.
    assert!(press(&mut state, KeyCode::Enter).is_empty());
    let effects = types(&mut state, "y");
    let wanted = Task::Value {
        name: "DATABASE_URL".to_owned(),
        purpose: Purpose::Show,
    };
    assert_eq!(tasks(&effects), [wanted]);
}

#[test]
fn a_shown_value_goes_with_any_key_and_does_nothing_else() {
    let mut state = revealed();
    assert!(matches!(state.dialog, Some(Dialog::Revealed { .. })));
    let effects = types(&mut state, "q");
    assert!(matches!(effects.as_slice(), [Effect::Wipe]));
    assert!(state.dialog.is_none() && !state.is_over);
}

#[test]
fn a_shown_value_goes_after_a_while() {
    let mut state = revealed();
    assert!(tick(&mut state, Duration::from_millis(14_900)).is_empty());
    assert!(matches!(state.dialog, Some(Dialog::Revealed { .. })));
    let effects = tick(&mut state, Duration::from_secs(15));
    assert!(matches!(effects.as_slice(), [Effect::Wipe]));
    assert!(state.dialog.is_none());
    assert_eq!(state.tried.get("DATABASE_URL"), Some(&Tried::Available));
}

#[test]
fn a_value_that_is_no_longer_waited_for_is_not_shown() {
    let mut state = state();
    press(&mut state, KeyCode::Enter);
    types(&mut state, "y");
    let id = state.jobs.last().unwrap().id;
    press(&mut state, KeyCode::Esc);
    let outcome = Ok(value("hunter2"));
    assert!(update(&mut state, Event::Answer { id, outcome }).is_empty());
    assert!(state.dialog.is_none());
}

#[test]
fn what_fails_is_told_in_the_words_of_the_command() {
    let mut state = state();
    press(&mut state, KeyCode::Enter);
    types(&mut state, "y");
    answer(&mut state, Err(failure()));
    assert!(matches!(&state.dialog, Some(Dialog::Message { text, .. }) if *text == failure().0));
    press(&mut state, KeyCode::Esc);
    types(&mut state, "i");
    assert!(matches!(state.dialog, Some(Dialog::Message { .. })));
}

#[test]
fn a_copy_goes_to_the_clipboard_after_a_yes() {
    let mut state = state();
    types(&mut state, "cy");
    let effects = answer(&mut state, Ok(value("hunter2")));
    assert!(
        matches!(effects.as_slice(), [Effect::Copy(copied)] if copied.expose_secret() == "hunter2")
    );
    assert!(state.dialog.is_none());
}

#[test]
fn a_new_value_is_stored_as_it_was_typed() {
    let mut state = state();
    types(&mut state, "e");
    // Nothing is no value.
    assert!(press(&mut state, KeyCode::Enter).is_empty());
    types(&mut state, "ax");
    press(&mut state, KeyCode::Backspace);
    let paste = Zeroizing::new("q \r?\r".to_owned());
    update(&mut state, Event::Paste(paste));
    let effects = press(&mut state, KeyCode::Enter);
    let [
        Effect::Start {
            task,
            value: Some(value),
            ..
        },
    ] = effects.as_slice()
    else {
        panic!("{effects:?}");
    };
    assert_eq!(*task, Task::Store("DATABASE_URL".to_owned()));
    assert_eq!(value.expose_secret(), "aq \n?");
    assert!(state.dialog.is_none());
    let effects = answer(&mut state, Ok(Answer::Done(String::new())));
    assert_eq!(tasks(&effects), [Task::Project(Chosen::AsStarted)]);
    assert_eq!(state.note, "Set DATABASE_URL");
}

#[test]
fn a_new_secret_has_a_name_that_it_can_have() {
    let mut state = state();
    types(&mut state, "sA=B");
    press(&mut state, KeyCode::Enter);
    assert!(matches!(&state.dialog, Some(Dialog::Name(_, complaint)) if !complaint.is_empty()));
    press(&mut state, KeyCode::Backspace);
    press(&mut state, KeyCode::Backspace);
    press(&mut state, KeyCode::Enter);
    assert!(matches!(&state.dialog, Some(Dialog::Value { name, .. }) if name == "A"));
    types(&mut state, "v");
    let effects = press(&mut state, KeyCode::Enter);
    assert_eq!(tasks(&effects), [Task::Store("A".to_owned())]);
}

#[test]
fn a_profile_counts_once_it_could_be_read() {
    let mut state = state();
    types(&mut state, "Pj");
    let effects = press(&mut state, KeyCode::Enter);
    let prod = Chosen::Profile("prod".to_owned());
    assert_eq!(tasks(&effects), [Task::Project(prod.clone())]);
    answer(&mut state, Err(failure()));
    assert_eq!(state.chosen, Chosen::AsStarted);
    press(&mut state, KeyCode::Esc);
    types(&mut state, "PG");
    press(&mut state, KeyCode::Enter);
    let mut other = project();
    other.profile = "prod".to_owned();
    other.secrets.truncate(1);
    let effects = answer(&mut state, Ok(Answer::Project(Box::new(other))));
    assert_eq!(tasks(&effects), [Task::Leases]);
    assert_eq!((state.chosen, state.project.secrets.len()), (prod, 1));
}

#[test]
fn a_lease_is_revoked_after_a_yes_and_the_ledger_read_again() {
    let mut state = state();
    state.leases = vec![
        lease("old", LeaseState::Revoked, None),
        lease("aws", LeaseState::Active, Some("2026-01-02T10:05:00Z")),
    ];
    press(&mut state, KeyCode::Tab);
    types(&mut state, "d");
    let effects = types(&mut state, "y");
    let id = "arn:aws:sts::123456789012:assumed-role/aws/fnox".to_owned();
    let lease = "aws".to_owned();
    assert_eq!(tasks(&effects), [Task::Revoke { id, lease }]);
    let effects = answer(&mut state, Ok(Answer::Done("aws: revoked".to_owned())));
    assert_eq!(tasks(&effects), [Task::Leases]);
    assert_eq!(state.note, "aws: revoked");
}

#[test]
fn a_lease_ends_while_one_looks_at_it() {
    let mut state = state();
    let one = lease("aws", LeaseState::Active, Some("2026-01-02T10:05:00Z"));
    assert_eq!(one.state_at(state.now), LeaseState::Active);
    let now = "2026-01-02T10:05:00Z".parse().unwrap();
    let elapsed = Duration::from_mins(5);
    update(&mut state, Event::Tick { elapsed, now });
    assert_eq!(one.state_at(state.now), LeaseState::Expired);
}

#[test]
fn providers_are_tested_once_at_a_time() {
    let mut state = state();
    state.tab = Tab::Providers;
    let effects = types(&mut state, "a");
    assert_eq!(tasks(&effects).len(), 2);
    assert!(types(&mut state, "a").is_empty());
    let tested = state.jobs[0].id;
    let outcome = Err(failure());
    update(
        &mut state,
        Event::Answer {
            id: tested,
            outcome,
        },
    );
    assert_eq!(state.health.get("age"), Some(&Health::Failed(failure())));
    assert_eq!(state.health.get("op"), Some(&Health::Testing));
    press(&mut state, KeyCode::Enter);
    assert!(matches!(state.dialog, Some(Dialog::Message { .. })));
}

#[test]
fn an_error_waits_for_the_dialog_that_is_open() {
    let mut state = state();
    types(&mut state, "dy");
    types(&mut state, "e");
    types(&mut state, "half of a va");
    answer(&mut state, Err(failure()));
    assert!(matches!(state.dialog, Some(Dialog::Value { .. })));
    press(&mut state, KeyCode::Esc);
    assert!(matches!(state.dialog, Some(Dialog::Message { .. })));
}

#[test]
fn it_ends_when_what_is_being_written_is_written_or_at_once_if_asked_twice() {
    let mut one = state();
    types(&mut one, "dy");
    types(&mut one, "q");
    assert!(!one.is_over);
    answer(&mut one, Ok(Answer::Done(String::new())));
    assert!(one.is_over);

    let mut two = state();
    types(&mut two, "dyq");
    types(&mut two, "q");
    assert!(two.is_over);

    let mut three = revealed();
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    let effects = update(&mut three, Event::Key(interrupt));
    assert!(matches!(effects.as_slice(), [Effect::Wipe]));
    assert!(three.is_over);
}

#[test]
fn nothing_that_was_typed_or_fetched_prints() {
    let mut state = revealed();
    assert!(!format!("{state:?}").contains("hunter2"));
    press(&mut state, KeyCode::Esc);
    types(&mut state, "e");
    types(&mut state, "hunter3");
    assert!(!format!("{state:?}").contains("hunter3"));
}

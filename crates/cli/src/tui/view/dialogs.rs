//! What lies over the lists.

use ratatui::Frame;
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph, Wrap};

use super::tables::first_row;
use super::{FAINT, SELECTED, Theme, harmless};
use crate::tui::dialog::{Dialog, Question};
use crate::tui::state::State;

/// Columns of a dialog, where the screen has them.
const WIDTH: u16 = 76;

/// What every key does.
const HELP: &[(&str, &str)] = &[
    ("j k ↓ ↑", "next, previous; g and G: first, last"),
    ("Tab h l", "secrets, leases, providers"),
    ("/", "search names, descriptions and providers"),
    ("P", "another profile"),
    ("r", "read everything again"),
    ("", ""),
    ("Enter V", "secret: show the value, for 15 seconds"),
    ("e  s", "secret: type a new value; a new secret"),
    ("c", "secret: hand the value to the terminal's clipboard"),
    ("t  i", "secret: see whether it can be fetched; why not"),
    ("d", "secret: remove it; lease: revoke it"),
    ("t  a", "provider: test it; test all"),
    ("Enter", "provider: why it failed"),
    ("", ""),
    ("?", "this help"),
    ("q Ctrl-C", "quit"),
];

pub(super) fn draw(frame: &mut Frame, dialog: &Dialog, state: &State, theme: Theme) {
    match dialog {
        Dialog::Help => help(frame, theme),
        Dialog::Confirm(question) => confirm(frame, question, state, theme),
        Dialog::Fetching { name, .. } => {
            let text = format!("Fetching {name} …\n\nEsc: do not wait for it");
            boxed(frame, "Please wait", Text::from(text), theme, 0);
        }
        Dialog::Revealed { name, value, until } => {
            let left = until.saturating_sub(state.elapsed);
            let seconds = left.as_millis().div_ceil(1000);
            let shown = harmless(value);
            let title = format!("{name} · any key hides it, {seconds} s");
            boxed(frame, &title, Text::raw(shown.as_str()), theme, 0);
        }
        Dialog::Name(field, complaint) => {
            let lines = vec![
                Line::from(vec![Span::raw(field.text()), Span::raw("▏")]),
                Line::default(),
                Line::styled(complaint.as_str(), theme.bad()),
                Line::styled("Enter: go on to the value   Esc: leave it", FAINT),
            ];
            boxed(frame, "Name of the secret", Text::from(lines), theme, 0);
        }
        Dialog::Value {
            name,
            keeping,
            field,
            complaint,
        } => {
            let count = field.count();
            let dots = "•".repeat(count.min(40));
            let typed = match count {
                0 => String::new(),
                1 => "  1 character".to_owned(),
                count => format!("  {count} characters"),
            };
            let lines = vec![
                Line::from(vec![
                    Span::raw(dots),
                    Span::raw("▏"),
                    Span::styled(typed, FAINT),
                ]),
                Line::default(),
                Line::raw(format!("It is kept {keeping}.")),
                Line::raw(format!("Written to {}.", state.project.target)),
                Line::styled(*complaint, theme.bad()),
                Line::styled("Enter: save   Ctrl-U: anew   Esc: leave it", FAINT),
            ];
            boxed(
                frame,
                &format!("Value of {name}"),
                Text::from(lines),
                theme,
                0,
            );
        }
        Dialog::Profiles(selected) => profiles(frame, *selected, state, theme),
        Dialog::Message {
            title,
            text,
            scroll,
        } => boxed(frame, title, Text::raw(text.as_str()), theme, *scroll),
    }
}

fn help(frame: &mut Frame, theme: Theme) {
    let lines: Vec<Line<'_>> = HELP
        .iter()
        .map(|(keys, text)| {
            Line::from(vec![
                Span::styled(format!("{keys:<10}"), theme.accent()),
                Span::raw(*text),
            ])
        })
        .collect();
    boxed(frame, "Keys", Text::from(lines), theme, 0);
}

fn confirm(frame: &mut Frame, question: &Question, state: &State, theme: Theme) {
    let (title, text) = match question {
        Question::Reveal(name) => (
            "Show a value",
            format!("Show {name} on the screen?\n\nIt goes with any key, or after 15 seconds."),
        ),
        Question::Copy(name) => (
            "Copy a value",
            format!(
                "Hand {name} to the terminal's clipboard?\n\nOther programs can read the clipboard, and fnox does not clear it."
            ),
        ),
        Question::Remove(name) => (
            "Remove a secret",
            format!(
                "Remove {name} from {}?\n\nA value that its provider keeps stays there.",
                state.project.target
            ),
        ),
        Question::Revoke { id, lease } => (
            "Revoke a lease",
            format!("Revoke the credential of {lease}?\n\n{id}\nPrograms that use it lose it."),
        ),
    };
    let mut text = Text::from(text);
    text.push_line(Line::default());
    text.push_line(Line::from(vec![
        Span::styled("y", theme.accent()),
        Span::styled(": yes   ", FAINT),
        Span::styled("n", theme.accent()),
        Span::styled(": no", FAINT),
    ]));
    boxed(frame, title, text, theme, 0);
}

fn profiles(frame: &mut Frame, selected: usize, state: &State, theme: Theme) {
    let profiles = &state.project.profiles;
    let height = usize::from(frame.area().height.saturating_sub(4));
    let first = first_row(selected, profiles.len(), height);
    let rows = profiles.iter().enumerate().skip(first).take(height.max(1));
    let lines: Vec<Line<'_>> = rows
        .map(|(row, (name, count))| {
            let mark = if *name == state.project.profile {
                "•"
            } else {
                " "
            };
            let plural = if *count == 1 { "" } else { "s" };
            let style = if row == selected {
                SELECTED
            } else {
                Style::new()
            };
            Line::styled(format!("{mark} {name:<24} {count} secret{plural} "), style)
        })
        .collect();
    boxed(frame, "Profile", Text::from(lines), theme, 0);
}

/// A box in the middle, as high as its text.
fn boxed(frame: &mut Frame, title: &str, text: Text<'_>, theme: Theme, scroll: u16) {
    let area = frame.area();
    let width = WIDTH.min(area.width.saturating_sub(2));
    let inner = usize::from(width.saturating_sub(4)).max(1);
    let lines: usize = text
        .lines
        .iter()
        .map(|line| line.width().div_ceil(inner).max(1))
        .sum();
    // Words are not broken, which may take a line more.
    let is_wrapped = lines > text.lines.len();
    let height = u16::try_from(lines + usize::from(is_wrapped) + 2).unwrap_or(u16::MAX);
    let place = middle(area, width, height.min(area.height));
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.accent())
        .title(Span::styled(
            format!(" {title} "),
            Style::new().add_modifier(Modifier::BOLD),
        ))
        .padding(ratatui::widgets::Padding::horizontal(1));
    let most = u16::try_from(lines).unwrap_or(u16::MAX).saturating_sub(1);
    let text = Paragraph::new(text)
        .wrap(Wrap { trim: false })
        .scroll((scroll.min(most), 0))
        .block(block);
    frame.render_widget(Clear, place);
    frame.render_widget(text, place);
}

fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let [row] = Layout::vertical([Constraint::Length(height)])
        .flex(Flex::Center)
        .areas(area);
    let [place] = Layout::horizontal([Constraint::Length(width)])
        .flex(Flex::Center)
        .areas(row);
    place
}

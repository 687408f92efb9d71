//! Draws the state.

mod dialogs;
mod tables;

use fnox_core::SecretString;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::state::{State, Tab};

/// What matters less.
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);

/// The selected row.
const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Colours, or only what every terminal has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    pub(crate) colour: bool,
}

impl Theme {
    fn coloured(self, colour: Color) -> Style {
        if self.colour {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    fn good(self) -> Style {
        self.coloured(Color::Green)
    }

    fn bad(self) -> Style {
        self.coloured(Color::Red)
    }

    fn warning(self) -> Style {
        self.coloured(Color::Yellow)
    }

    fn accent(self) -> Style {
        self.coloured(Color::Cyan).add_modifier(Modifier::BOLD)
    }
}

/// Draws all of it.
pub(crate) fn draw(frame: &mut Frame, state: &State, theme: Theme) {
    let [head, list, detail, status, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(heading(state, theme)), head);
    tables::draw(frame, list, state, theme);
    frame.render_widget(Paragraph::new(described(state)).style(FAINT), detail);
    frame.render_widget(Paragraph::new(standing(state, theme)), status);
    frame.render_widget(Paragraph::new(hints(state, theme, keys)), keys);
    if let Some(dialog) = &state.dialog {
        dialogs::draw(frame, dialog, state, theme);
    }
}

fn heading(state: &State, theme: Theme) -> Line<'_> {
    Line::from(vec![
        Span::styled(" fnox ", theme.accent()),
        Span::raw(" profile "),
        Span::styled(
            state.project.profile.as_str(),
            Style::new().add_modifier(Modifier::BOLD),
        ),
        Span::styled(format!("  {}", state.project.folder), FAINT),
    ])
}

/// More about the selected row.
fn described(state: &State) -> String {
    match state.tab {
        Tab::Secrets => state.secret().map(|secret| {
            format!(
                "  in {}; a new value is kept {}",
                secret.source, secret.keeping
            )
        }),
        Tab::Leases => state.lease().map(|lease| match lease.expires_at {
            Some(end) => format!(
                "  {}, until {}",
                lease.id,
                end.strftime("%Y-%m-%d %H:%M:%S UTC")
            ),
            None => format!("  {}, does not expire", lease.id),
        }),
        Tab::Providers => state
            .provider()
            .map(|provider| format!("  in {}", provider.source)),
    }
    .unwrap_or_default()
}

/// The search, what goes on, or what was done last.
fn standing(state: &State, theme: Theme) -> Line<'_> {
    const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
    if state.is_searching {
        return Line::from(vec![
            Span::styled("  /", theme.accent()),
            Span::raw(state.filter.as_str()),
            Span::raw("▏"),
        ]);
    }
    let mut spans = Vec::new();
    // What takes no time is not worth a word.
    let slow =
        |job: &&super::state::Job| state.elapsed.saturating_sub(job.since).as_millis() >= 300;
    if let Some(job) = state.jobs.iter().find(slow) {
        let turn = usize::try_from(state.elapsed.as_millis() / 100).unwrap_or_default();
        let others = match state.jobs.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        spans.push(Span::styled(
            format!("  {} ", SPINNER[turn % SPINNER.len()]),
            theme.accent(),
        ));
        spans.push(Span::raw(format!("{}{others}", job.task.label())));
    }
    if state.is_ending {
        spans.push(Span::raw("  ends when this is written; q again: at once"));
    } else if !state.note.is_empty() {
        spans.push(Span::raw(format!("  {}", state.note)));
    } else if !state.filter.is_empty() {
        spans.push(Span::raw(format!("  only `{}`; Esc: all", state.filter)));
    }
    Line::from(spans)
}

/// The keys that matter here, as many as there is room for.
fn hints(state: &State, theme: Theme, area: Rect) -> Line<'static> {
    let own: &[(&str, &str)] = match state.tab {
        _ if state.is_searching => &[("Enter", "keep"), ("Esc", "all")],
        Tab::Secrets => &[
            ("Enter", "show"),
            ("e", "edit"),
            ("s", "new"),
            ("c", "copy"),
            ("t", "try"),
            ("d", "remove"),
        ],
        Tab::Leases => &[("d", "revoke")],
        Tab::Providers => &[("t", "test"), ("a", "test all"), ("Enter", "why")],
    };
    let common: &[(&str, &str)] = if state.is_searching {
        &[]
    } else {
        &[
            ("/", "search"),
            ("P", "profile"),
            ("Tab", "next"),
            ("r", "reload"),
            ("?", "help"),
            ("q", "quit"),
        ]
    };
    let mut room = usize::from(area.width).saturating_sub(2);
    let mut spans = vec![Span::raw("  ")];
    // Help and the way out are never left out.
    let kept = &common[common.len().saturating_sub(2)..];
    let rest = &common[..common.len().saturating_sub(2)];
    let width = |(key, word): &(&str, &str)| key.chars().count() + word.chars().count() + 3;
    room = room.saturating_sub(kept.iter().map(width).sum());
    for hint in own.iter().chain(rest) {
        if width(hint) > room {
            break;
        }
        room -= width(hint);
        push_hint(&mut spans, theme, *hint);
    }
    for hint in kept {
        push_hint(&mut spans, theme, *hint);
    }
    Line::from(spans)
}

fn push_hint(spans: &mut Vec<Span<'_>>, theme: Theme, (key, word): (&str, &str)) {
    spans.push(Span::styled(key.to_owned(), theme.accent()));
    spans.push(Span::styled(format!(" {word}  "), FAINT));
}

/// A value as text that cannot control the terminal.
fn harmless(value: &SecretString) -> zeroize::Zeroizing<String> {
    zeroize::Zeroizing::new(crate::terminal::harmless(value.expose_secret()))
}

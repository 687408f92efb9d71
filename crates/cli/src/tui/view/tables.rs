//! The lists.

use fnox_core::lease::LeaseState;
use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Cell, Paragraph, Row, Table, TableState};

use super::{FAINT, SELECTED, Theme};
use crate::tui::state::{Health, State, Tab, Tried};

/// Lines of a list that are not rows: two of the border, one of headings.
const AROUND: u16 = 3;

/// The list of the tab, in a frame that has all the tabs' titles.
pub(super) fn draw(frame: &mut Frame, area: Rect, state: &State, theme: Theme) {
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(FAINT)
        .title(titles(state, theme));
    let count = state.count(state.tab);
    if count == 0 {
        let text = Paragraph::new(nothing(state)).style(FAINT);
        frame.render_widget(text.block(block), area);
        return;
    }
    let (headings, widths, rows) = match state.tab {
        Tab::Secrets => secrets(state, theme),
        Tab::Leases => leases(state, theme),
        Tab::Providers => providers(state, theme),
    };
    let heading = Row::new(headings.iter().map(|text| Cell::from(*text)));
    let table = Table::new(rows, widths)
        .header(heading.style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(SELECTED)
        .column_spacing(2)
        .block(block);
    let selected = state.row(state.tab);
    let height = usize::from(area.height.saturating_sub(AROUND));
    let mut place = TableState::new()
        .with_selected(selected)
        .with_offset(first_row(selected, count, height));
    frame.render_stateful_widget(table, area, &mut place);
}

/// The first row that is shown, so that the selected one is in the middle where that is possible.
pub(super) fn first_row(selected: usize, count: usize, height: usize) -> usize {
    selected
        .saturating_sub(height / 2)
        .min(count.saturating_sub(height))
}

fn titles(state: &State, theme: Theme) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    for tab in Tab::ALL {
        if tab != Tab::Secrets {
            spans.push(Span::styled(" · ", FAINT));
        }
        let text = format!("{} {}", tab.title(), state.count(tab));
        let style = if tab == state.tab {
            theme.accent().add_modifier(Modifier::UNDERLINED)
        } else {
            Style::new()
        };
        spans.push(Span::styled(text, style));
    }
    spans.push(Span::raw(" "));
    Line::from(spans)
}

fn nothing(state: &State) -> String {
    if !state.filter.is_empty() {
        return format!("\n  Nothing has `{}` in it. Esc shows all.", state.filter);
    }
    match state.tab {
        Tab::Secrets => "\n  No secrets in this profile. Press s to set one.".to_owned(),
        Tab::Leases if state.project.leases.is_empty() => {
            "\n  No leases, and none configured.".to_owned()
        }
        Tab::Leases => format!(
            "\n  No leases yet. Configured: {}.",
            state.project.leases.join(", ")
        ),
        Tab::Providers => "\n  No providers. `fnox provider add` adds one.".to_owned(),
    }
}

type Parts<'a> = (&'a [&'static str], Vec<Constraint>, Vec<Row<'a>>);

/// Wide enough for what is there, within limits.
fn fitting<'a>(texts: impl Iterator<Item = &'a str>, least: usize, most: usize) -> Constraint {
    let widest = texts.map(|text| text.chars().count()).max().unwrap_or(0);
    let width = widest.clamp(least, most);
    Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX))
}

fn secrets(state: &State, theme: Theme) -> Parts<'_> {
    let secrets = state.secrets();
    let rows = secrets.iter().map(|secret| {
        let (word, style) = match state.tried.get(&secret.name) {
            Some(Tried::Available) => ("✓ there", theme.good()),
            Some(Tried::Absent) => ("no value", theme.warning()),
            Some(Tried::Failed(_)) => ("✗ failed", theme.bad()),
            None => (secret.origin.word(), Style::new()),
        };
        Row::new([
            Cell::from(secret.name.as_str()),
            Cell::from(secret.provider.as_str()),
            Cell::from(word).style(style),
            Cell::from(secret.description.as_str()),
        ])
    });
    let widths = vec![
        fitting(secrets.iter().map(|secret| secret.name.as_str()), 8, 36),
        fitting(secrets.iter().map(|secret| secret.provider.as_str()), 8, 16),
        Constraint::Length(8),
        Constraint::Fill(1),
    ];
    (
        &["NAME", "PROVIDER", "STATE", "DESCRIPTION"],
        widths,
        rows.collect(),
    )
}

fn leases(state: &State, theme: Theme) -> Parts<'_> {
    let leases = state.leases();
    let rows = leases.iter().map(|lease| {
        let now = lease.state_at(state.now);
        let is_active = now == LeaseState::Active;
        let left = match lease.expires_at {
            Some(end) if is_active => left(end, state.now),
            None if is_active => "no end".to_owned(),
            _ => String::new(),
        };
        let style = match now {
            LeaseState::Active => theme.good(),
            LeaseState::Pending => theme.warning(),
            _ => FAINT,
        };
        Row::new([
            Cell::from(lease.name.as_str()),
            Cell::from(now.to_string()).style(style),
            Cell::from(left),
            Cell::from(lease.label.as_str()),
            Cell::from(lease.id.as_str()),
        ])
    });
    let widths = vec![
        fitting(leases.iter().map(|lease| lease.name.as_str()), 8, 24),
        Constraint::Length(9),
        Constraint::Length(9),
        fitting(leases.iter().map(|lease| lease.label.as_str()), 5, 20),
        Constraint::Fill(1),
    ];
    (
        &["LEASE", "STATE", "TIME LEFT", "LABEL", "ID"],
        widths,
        rows.collect(),
    )
}

fn providers(state: &State, theme: Theme) -> Parts<'_> {
    let providers = state.providers();
    let rows = providers.iter().map(|provider| {
        let (word, style) = match state.health.get(&provider.name) {
            None => ("not tested", FAINT),
            Some(Health::Testing) => ("testing…", theme.warning()),
            Some(Health::Works) => ("✓ works", theme.good()),
            Some(Health::Failed(_)) => ("✗ failed: Enter says why", theme.bad()),
        };
        Row::new([
            Cell::from(provider.name.as_str()),
            Cell::from(provider.kind.as_str()),
            Cell::from(if provider.is_default { "default" } else { "" }),
            Cell::from(word).style(style),
        ])
    });
    let names = providers.iter().map(|provider| provider.name.as_str());
    let kinds = providers.iter().map(|provider| provider.kind.as_str());
    let widths = vec![
        fitting(names, 8, 24),
        fitting(kinds, 8, 24),
        Constraint::Length(7),
        Constraint::Fill(1),
    ];
    (&["NAME", "TYPE", "", "HEALTH"], widths, rows.collect())
}

/// `1h 05m`, `4m 09s`, `30s`
pub(super) fn left(end: Timestamp, now: Timestamp) -> String {
    let seconds = end.duration_since(now).as_secs().max(0);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m {seconds:02}s"),
        (1..48, _) => format!("{hours}h {minutes:02}m"),
        _ => format!("{}d {}h", hours / 24, hours % 24),
    }
}

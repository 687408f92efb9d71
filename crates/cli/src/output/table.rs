//! Tables for people: no borders, columns as wide as they need to be.

use comfy_table::{ContentArrangement, presets};

/// A table that is being filled.
#[derive(Debug)]
pub(crate) struct Table(comfy_table::Table);

impl Table {
    /// A table with these headings. It is folded to the terminal's width unless `full`.
    pub(crate) fn new(headings: &[&str], full: bool) -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_header(headings.iter().copied());
        let arrangement = if full {
            ContentArrangement::Disabled
        } else {
            ContentArrangement::Dynamic
        };
        table.set_content_arrangement(arrangement);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self(table)
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        // A control character in a name must not move the cursor.
        let clean = |cell: String| {
            cell.chars()
                .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                .collect::<String>()
        };
        self.0.add_row(cells.into_iter().map(clean));
    }

    /// The text, without spaces at the ends of lines.
    pub(crate) fn render(&self) -> String {
        let lines: Vec<String> = self
            .0
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        lines.join("\n")
    }
}

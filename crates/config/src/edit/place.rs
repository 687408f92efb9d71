//! Finding things in a text.

use std::ops::Range;

use toml_edit::{Document, Item, TableLike};

/// How an entry is written.
#[derive(Debug)]
pub(super) enum Written {
    /// `NAME = { … }`: the braces' range.
    Inline {
        key: Range<usize>,
        value: Range<usize>,
        /// Key and value ranges of its keys, in order.
        keys: Vec<(String, Range<usize>, Range<usize>)>,
    },
    /// `[table.NAME]`, or dotted lines `NAME.key = …`: ranges of the lines' keys and values.
    Lines {
        /// Range of the header, if there is one.
        header: Option<Range<usize>>,
        /// Also those that have headers of their own.
        keys: Vec<(String, Range<usize>, Range<usize>)>,
        /// Keys and values of the lines right under the header.
        own: Vec<(String, Range<usize>, Range<usize>)>,
    },
    /// Not a table at all.
    Other {
        key: Range<usize>,
        value: Range<usize>,
    },
}

/// A table that can take entries.
#[derive(Debug)]
pub(super) enum Container {
    /// Not there.
    Absent,
    /// There, but only through the headers of its members: it takes a header of its own.
    Implicit,
    /// `[header]`: a new line goes behind this offset.
    Header { insert_behind: usize },
    /// There, but only through dotted keys of its members (`table.NAME.key = …`), so that it may have no header (TOML 1.0,
    /// "Table"): a new line goes behind this offset, and begins with what is at `prefix`.
    Dotted {
        insert_behind: usize,
        prefix: Range<usize>,
    },
    /// The top level: before the first header, or at the end.
    Top { insert_at: usize },
    /// `name = { … }`: new members go behind this offset, after a comma unless it is empty.
    Inline {
        value: Range<usize>,
        last: Option<usize>,
    },
}

pub(super) fn parse(text: &str) -> Result<Document<&str>, String> {
    Document::parse(text).map_err(|error| error.message().to_owned())
}

pub(super) fn entry_exists(text: &str, table: &[&str], entry: &str) -> bool {
    parse(text).is_ok_and(|document| {
        table_at(document.as_table(), table).is_some_and(|table| table.contains_key(entry))
    })
}

pub(super) fn table_at<'a>(root: &'a dyn TableLike, path: &[&str]) -> Option<&'a dyn TableLike> {
    path.iter()
        .try_fold(root, |table, key| table.get(key)?.as_table_like())
}

/// How the entry is written, `None` if there is none.
pub(super) fn entry(root: &dyn TableLike, path: &[&str], name: &str) -> Option<Written> {
    let table = table_at(root, path)?;
    let item = table.get(name)?;
    let key = table.key(name)?.span()?;
    Some(match item {
        Item::Value(toml_edit::Value::InlineTable(inline)) if !inline.is_dotted() => {
            Written::Inline {
                key,
                value: item.span()?,
                keys: keys_of(inline),
            }
        }
        Item::Table(lines) => Written::Lines {
            header: (!lines.is_dotted() && !lines.is_implicit())
                .then(|| lines.span())
                .flatten(),
            keys: keys_of(lines),
            own: own_keys_of(lines),
        },
        Item::Value(toml_edit::Value::InlineTable(dotted)) => Written::Lines {
            header: None,
            keys: keys_of(dotted),
            own: own_keys_of(dotted),
        },
        other => Written::Other {
            key,
            value: other.span()?,
        },
    })
}

/// The keys that stand under a table's own header.
pub(super) fn own_keys_of(table: &dyn TableLike) -> Vec<(String, Range<usize>, Range<usize>)> {
    let mut keys = keys_of(table);
    keys.retain(|(name, _, _)| !has_own_header(table.get(name)));
    keys
}

pub(super) fn keys_of(table: &dyn TableLike) -> Vec<(String, Range<usize>, Range<usize>)> {
    table
        .iter()
        .filter_map(|(name, item)| {
            if let Item::ArrayOfTables(tables) = item {
                let all = extent(tables)?;
                return Some((name.to_owned(), all.clone(), all));
            }
            let key = table.key(name)?.span()?;
            match item.as_table_like() {
                Some(dotted) if !item.is_inline_table() => {
                    // `NAME.sync.provider = …`, or `[secrets.NAME.sync]`: the outermost range of all.
                    let inner = keys_of(dotted);
                    let start = inner
                        .iter()
                        .map(|(_, key, _)| key.start)
                        .min()
                        .unwrap_or(key.start);
                    let end = inner
                        .iter()
                        .map(|(_, _, value)| value.end)
                        .max()
                        .unwrap_or(key.end);
                    Some((name.to_owned(), key.start.min(start)..key.end, start..end))
                }
                _ => Some((name.to_owned(), key, item.span()?)),
            }
        })
        .collect()
}

/// From the first header of a list of tables to the last value of its last table.
fn extent(tables: &toml_edit::ArrayOfTables) -> Option<Range<usize>> {
    let start = tables.iter().next()?.span()?.start;
    Some(start..end_of(tables.iter().last()?)?)
}

/// Where the last value of a table with a header ends.
pub(super) fn end_of(table: &toml_edit::Table) -> Option<usize> {
    let header = table.span()?.end;
    let values = keys_of(table).into_iter().map(|(_, _, value)| value.end);
    Some(values.fold(header, usize::max))
}

/// Where a table takes new entries.
pub(super) fn container(text: &str, root: &dyn TableLike, path: &[&str]) -> Container {
    if path.is_empty() {
        let headers = root.iter().filter_map(|(_, item)| first_header(item)).min();
        return Container::Top {
            insert_at: headers.unwrap_or(text.len()),
        };
    }
    let Some((name, parents)) = path.split_last() else {
        return Container::Absent;
    };
    let Some(item) = table_at(root, parents).and_then(|table| table.get(name)) else {
        return Container::Absent;
    };
    match item {
        Item::Table(table) if !table.is_implicit() && !table.is_dotted() => {
            let Some(header) = table.span() else {
                return Container::Absent;
            };
            let last = own_keys_of(table)
                .into_iter()
                .map(|(_, _, value)| value.end)
                .max();
            Container::Header {
                insert_behind: last.unwrap_or(header.end).max(header.end),
            }
        }
        Item::Table(table) if table.is_dotted() => dotted(text, table),
        Item::Table(_) => Container::Implicit,
        Item::Value(toml_edit::Value::InlineTable(table)) => match item.span() {
            Some(value) if !table.is_dotted() => Container::Inline {
                value,
                last: keys_of(table).last().map(|(_, _, value)| value.end),
            },
            _ => Container::Implicit,
        },
        _ => Container::Absent,
    }
}

/// A table that is there through dotted keys.
fn dotted(text: &str, table: &toml_edit::Table) -> Container {
    let keys = keys_of(table);
    let last = keys.iter().max_by_key(|(_, _, value)| value.end);
    last.map_or(Container::Absent, |(_, key, value)| Container::Dotted {
        insert_behind: value.end,
        prefix: start_of_line(text, key.start)..key.start,
    })
}

fn has_own_header(item: Option<&Item>) -> bool {
    match item {
        Some(Item::Table(table)) => !table.is_dotted(),
        Some(Item::ArrayOfTables(_)) => true,
        _ => false,
    }
}

fn first_header(item: &Item) -> Option<usize> {
    match item {
        Item::Table(table) if table.is_dotted() => None,
        Item::Table(table) if table.is_implicit() => table
            .iter()
            .filter_map(|(_, item)| first_header(item))
            .min(),
        Item::Table(table) => {
            let own = table.span().map(|span| span.start);
            own.into_iter()
                .chain(table.iter().filter_map(|(_, item)| first_header(item)))
                .min()
        }
        Item::ArrayOfTables(tables) => tables
            .iter()
            .filter_map(|t| t.span().map(|s| s.start))
            .min(),
        _ => None,
    }
}

/// The start of the line of an offset.
pub(super) fn start_of_line(text: &str, offset: usize) -> usize {
    text[..offset].rfind('\n').map_or(0, |at| at + 1)
}

/// The end of the line of an offset, before its line end.
pub(super) fn end_of_line(text: &str, offset: usize) -> usize {
    let end = text[offset..]
        .find('\n')
        .map_or(text.len(), |at| offset + at);
    if text[..end].ends_with('\r') {
        end - 1
    } else {
        end
    }
}

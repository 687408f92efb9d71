//! Replacing bytes.

use std::ops::Range;

use toml_edit::{Key, Value};

use super::Change;
use super::place::{
    Container, Written, container, end_of_line, entry, parse, start_of_line, table_at,
};

pub(super) type KeyRanges = (String, Range<usize>, Range<usize>);

pub(super) fn set(
    text: &str,
    table: &[&str],
    name: &str,
    changes: &[(&str, Change)],
) -> Result<String, String> {
    let document = parse(text)?;
    let mut text = text.to_owned();
    match entry(document.as_table(), table, name) {
        None => {
            let pairs = rendered(changes);
            let value = if pairs.is_empty() {
                "{}".to_owned()
            } else {
                format!("{{ {} }}", pairs.join(", "))
            };
            return add(&text, table, name, &value);
        }
        Some(Written::Other { value, .. }) => {
            let pairs = rendered(changes);
            text.replace_range(value, &format!("{{ {} }}", pairs.join(", ")));
            return Ok(text);
        }
        Some(_) => {}
    }
    // One key at a time, parsing anew in between: places move.
    for (key, change) in changes {
        let document = parse(&text)?;
        let written = entry(document.as_table(), table, name);
        let next = match (written, change) {
            (Some(Written::Inline { value, keys, .. }), Change::Set(new)) => {
                Some(set_inline(&text, &value, &keys, key, new))
            }
            (Some(Written::Inline { keys, .. }), Change::Remove) => {
                remove_inline(&text, &keys, key)
            }
            (Some(Written::Lines { header, keys, own }), Change::Set(new)) => {
                match keys.iter().find(|(name, _, _)| name == key) {
                    Some((_, _, range)) => Some(replaced(&text, range, new)),
                    None => set_line(&text, header.as_ref(), &own, key, new),
                }
            }
            (Some(Written::Lines { keys, .. }), Change::Remove) => remove_line(&text, &keys, key),
            _ => None,
        };
        if let Some(next) = next {
            text = next;
        }
    }
    Ok(text)
}

pub(super) fn remove(text: &str, table: &[&str], name: &str) -> Result<Option<String>, String> {
    let document = parse(text)?;
    let Some(written) = entry(document.as_table(), table, name) else {
        return Ok(None);
    };
    let mut text = text.to_owned();
    match written {
        Written::Inline { key, value, .. } | Written::Other { key, value } => {
            if let Container::Inline { .. } = container(&text, document.as_table(), table) {
                let keys = inline_members(document.as_table(), table);
                return Ok(remove_inline(&text, &keys, name));
            }
            text.replace_range(whole_lines(&text, &(key.start..value.end)), "");
        }
        Written::Lines {
            header: Some(header),
            keys,
            ..
        } => {
            let end = keys
                .iter()
                .map(|(_, _, value)| value.end)
                .max()
                .unwrap_or(header.end)
                .max(header.end);
            text.replace_range(whole_lines(&text, &(header.start..end)), "");
        }
        Written::Lines {
            header: None, keys, ..
        } => {
            let mut ranges: Vec<Range<usize>> = keys
                .iter()
                .map(|(_, key, value)| whole_lines(&text, &(key.start..value.end)))
                .collect();
            ranges.sort_by_key(|range| std::cmp::Reverse(range.start));
            for range in ranges {
                text.replace_range(range, "");
            }
        }
    }
    Ok(Some(text))
}

pub(super) fn set_key(
    text: &str,
    table: &[&str],
    key: &str,
    value: &Value,
) -> Result<String, String> {
    let document = parse(text)?;
    match entry(document.as_table(), table, key) {
        Some(Written::Other { value: range, .. } | Written::Inline { value: range, .. }) => {
            let mut text = text.to_owned();
            text.replace_range(range, &render(value));
            Ok(text)
        }
        Some(Written::Lines { .. }) => Err(format!("`{key}` is a table")),
        None => add(text, table, key, &render(value)),
    }
}

/// Adds `name = value` to a table, which is created if need be.
fn add(text: &str, table: &[&str], name: &str, value: &str) -> Result<String, String> {
    let document = parse(text)?;
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let line = format!("{} = {value}", Key::new(name).display_repr());
    let mut out = text.to_owned();
    match container(text, document.as_table(), table) {
        Container::Header { insert_behind } => {
            let at = end_of_line(text, insert_behind);
            let indent = indentation_of_last_line(text, insert_behind, document.as_table(), table);
            out.insert_str(at, &format!("{newline}{indent}{line}"));
        }
        Container::Dotted {
            insert_behind,
            prefix,
        } => {
            let at = end_of_line(text, insert_behind);
            out.insert_str(at, &format!("{newline}{}{line}", &text[prefix]));
        }
        Container::Top { insert_at } => {
            if insert_at == text.len() {
                let gap = if text.is_empty() || text.ends_with('\n') {
                    ""
                } else {
                    newline
                };
                out.insert_str(text.len(), &format!("{gap}{line}{newline}"));
            } else {
                // Comments right above the first header belong to it.
                let at = start_of_comment_block(text, insert_at);
                out.insert_str(at, &format!("{line}{newline}{newline}"));
            }
        }
        Container::Inline {
            value: braces,
            last,
        } => match last {
            Some(last) => out.insert_str(last, &format!(", {line}")),
            None => out.replace_range(braces, &format!("{{ {line} }}")),
        },
        Container::Absent | Container::Implicit => {
            let path: Vec<String> = table
                .iter()
                .map(|key| Key::new(*key).display_repr().into_owned())
                .collect();
            let gap = match text {
                "" => "",
                text if text.ends_with('\n') => newline,
                _ => &format!("{newline}{newline}"),
            };
            let header = path.join(".");
            out.insert_str(
                text.len(),
                &format!("{gap}[{header}]{newline}{line}{newline}"),
            );
        }
    }
    Ok(out)
}

pub(super) fn set_inline(
    text: &str,
    braces: &Range<usize>,
    keys: &[KeyRanges],
    key: &str,
    value: &Value,
) -> String {
    let mut out = text.to_owned();
    if let Some((_, _, range)) = keys.iter().find(|(name, _, _)| name == key) {
        out.replace_range(range.clone(), &render(value));
    } else if let Some((_, _, last)) = keys.last() {
        out.insert_str(last.end, &format!(", {key} = {}", render(value)));
    } else {
        out.replace_range(braces.clone(), &format!("{{ {key} = {} }}", render(value)));
    }
    out
}

fn remove_inline(text: &str, keys: &[KeyRanges], key: &str) -> Option<String> {
    let index = keys.iter().position(|(name, _, _)| name == key)?;
    let (_, key_range, value_range) = &keys[index];
    let range = match (
        index.checked_sub(1).map(|before| &keys[before]),
        keys.get(index + 1),
    ) {
        (Some((_, _, before)), _) => before.end..value_range.end,
        (None, Some((_, after, _))) => key_range.start..after.start,
        (None, None) => key_range.start..value_range.end,
    };
    let mut out = text.to_owned();
    out.replace_range(range, "");
    Some(out)
}

pub(super) fn set_line(
    text: &str,
    header: Option<&Range<usize>>,
    keys: &[KeyRanges],
    key: &str,
    value: &Value,
) -> Option<String> {
    if let Some((_, _, range)) = keys.iter().find(|(name, _, _)| name == key) {
        return Some(replaced(text, range, value));
    }
    let mut out = text.to_owned();
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    match (keys.last(), header) {
        // `NAME.key = …`: the new line begins like the last one.
        (Some((_, last_key, last_value)), None) => {
            let start = start_of_line(text, last_key.start);
            let prefix = &text[start..last_key.start];
            out.insert_str(
                end_of_line(text, last_value.end),
                &format!("{newline}{prefix}{key} = {}", render(value)),
            );
        }
        (Some((_, _, last_value)), Some(header)) => {
            let at = end_of_line(text, last_value.end.max(header.end));
            out.insert_str(at, &format!("{newline}{key} = {}", render(value)));
        }
        (None, Some(header)) => {
            out.insert_str(
                end_of_line(text, header.end),
                &format!("{newline}{key} = {}", render(value)),
            );
        }
        (None, None) => return None,
    }
    Some(out)
}

fn replaced(text: &str, range: &Range<usize>, value: &Value) -> String {
    let mut out = text.to_owned();
    out.replace_range(range.clone(), &render(value));
    out
}

fn remove_line(text: &str, keys: &[KeyRanges], key: &str) -> Option<String> {
    let (_, key_range, value_range) = keys.iter().find(|(name, _, _)| name == key)?;
    let mut out = text.to_owned();
    out.replace_range(whole_lines(text, &(key_range.start..value_range.end)), "");
    Some(out)
}

fn inline_members(root: &dyn toml_edit::TableLike, path: &[&str]) -> Vec<KeyRanges> {
    let Some(table) = table_at(root, path) else {
        return Vec::new();
    };
    table
        .iter()
        .filter_map(|(name, item)| Some((name.to_owned(), table.key(name)?.span()?, item.span()?)))
        .collect()
}

fn rendered(changes: &[(&str, Change)]) -> Vec<String> {
    changes
        .iter()
        .filter_map(|(key, change)| match change {
            Change::Set(value) => Some(format!("{key} = {}", render(value))),
            Change::Remove => None,
        })
        .collect()
}

pub(super) fn render(value: &Value) -> String {
    let mut value = value.clone();
    value.decor_mut().clear();
    value.to_string()
}

/// The lines that a range touches, with the last one's line end.
pub(super) fn whole_lines(text: &str, range: &Range<usize>) -> Range<usize> {
    let start = start_of_line(text, range.start);
    let end = text[range.end..]
        .find('\n')
        .map_or(text.len(), |at| range.end + at + 1);
    start..end
}

fn indentation_of_last_line<'a>(
    text: &'a str,
    insert_behind: usize,
    root: &dyn toml_edit::TableLike,
    table: &[&str],
) -> &'a str {
    let last_key = inline_members(root, table)
        .into_iter()
        .rfind(|(_, key, _)| key.start < insert_behind);
    let Some((_, key, _)) = last_key else {
        return "";
    };
    let start = start_of_line(text, key.start);
    let line = &text[start..key.start];
    let width = line.len() - line.trim_start_matches([' ', '\t']).len();
    &line[..width]
}

fn start_of_comment_block(text: &str, header: usize) -> usize {
    let mut start = header;
    while start > 0 {
        let before = &text[..start - 1];
        let line_start = start_of_line(before, before.len());
        if !text[line_start..start].trim_start().starts_with('#') {
            break;
        }
        start = line_start;
    }
    start
}

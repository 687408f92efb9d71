//! Giving an entry another name where it stands.

use std::ops::Range;

use serde_json::Value;
use toml_edit::{Item, Key};

use super::place::{Written, end_of_line, entry, parse, start_of_line};
use crate::json;

/// The text with the entry's name replaced in each line that says it. `None`: there is no such entry, or it is written in a
/// way in which the name alone cannot be replaced.
pub(super) fn in_place(
    text: &str,
    table: &[&str],
    name: &str,
    new: &str,
) -> Result<Option<String>, String> {
    let document = parse(text)?;
    let Some(written) = entry(document.as_table(), table, name) else {
        return Ok(None);
    };
    let mut ranges: Vec<Range<usize>> = match written {
        Written::Inline { key, .. } | Written::Other { key, .. } => vec![key],
        Written::Lines { header, .. } => {
            let mut starts = header.map_or_else(Vec::new, |header| vec![header.start]);
            let item = super::place::table_at(document.as_table(), table)
                .and_then(|table| table.get(name));
            starts_of(item, &mut starts);
            let lines = starts.into_iter().map(|start| start_of_line(text, start));
            lines
                .filter_map(|start| named_in(text, start, table, name))
                .collect()
        }
    };
    ranges.sort_by_key(|range| std::cmp::Reverse(range.start));
    ranges.dedup();
    let mut out = text.to_owned();
    for range in ranges {
        out.replace_range(range, &Key::new(new).display_repr());
    }
    // Whatever the lines look like: all is as before but for the name.
    Ok(is_renamed(text, &out, table, (name, new)).then_some(out))
}

/// Where what belongs to an entry begins: headers, and keys of lines.
fn starts_of(item: Option<&Item>, starts: &mut Vec<usize>) {
    let Some(table) = item.and_then(Item::as_table_like) else {
        return;
    };
    for (name, item) in table.iter() {
        if let Some(header) = item.as_table().and_then(toml_edit::Table::span) {
            starts.push(header.start);
        }
        if let Some(key) = table.key(name).and_then(Key::span) {
            starts.push(key.start);
        }
        if !item.is_inline_table() {
            starts_of(Some(item), starts);
        }
    }
}

/// The part of a line's dotted key that is the entry's name.
fn named_in(text: &str, start: usize, table: &[&str], name: &str) -> Option<Range<usize>> {
    let line = &text[start..end_of_line(text, start)];
    let indent = line.len() - line.trim_start().len();
    let (from, ends) = match line[indent..].strip_prefix('[') {
        Some(_) => (indent + 1, ']'),
        None => (indent, '='),
    };
    let path = &line[from..from + line[from..].find(ends)?];
    let keys = Key::parse(path).ok()?;
    let index = (0..keys.len()).find(|&index| {
        let before = keys[..index].iter().map(Key::get);
        keys[index].get() == name && index <= table.len() && {
            let above = &table[table.len() - index..];
            before.eq(above.iter().copied())
        }
    })?;
    // No key before it has a dot in it, or the parts would not be as many.
    let parts: Vec<&str> = path.split('.').collect();
    let part = *parts.get(index).filter(|_| parts.len() == keys.len())?;
    let before: usize = parts[..index].iter().map(|part| part.len() + 1).sum();
    let at = start + from + before + (part.len() - part.trim_start().len());
    Some(at..at + part.trim().len())
}

fn is_renamed(old: &str, new: &str, table: &[&str], names: (&str, &str)) -> bool {
    let value = |text: &str| {
        let document = parse(text).ok()?;
        json::object(document.as_table()).ok().map(Value::Object)
    };
    let (Some(mut wanted), Some(given)) = (value(old), value(new)) else {
        return false;
    };
    let place = table
        .iter()
        .try_fold(&mut wanted, |at, key| at.get_mut(key));
    let Some(place) = place.and_then(Value::as_object_mut) else {
        return false;
    };
    let entry = place.remove(names.0);
    let taken = entry.map(|entry| place.insert(names.1.to_owned(), entry));
    taken == Some(None) && wanted == given
}

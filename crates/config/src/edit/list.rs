//! Lists of tables within an entry: `[[table.ENTRY.KEY]]`, or `KEY = [{ … }]` where the entry itself is written in braces.

use std::ops::Range;

use toml_edit::{Array, InlineTable, Item, Key, TableLike, Value};

use super::place::{Written, end_of, end_of_line, entry, keys_of, own_keys_of, parse, table_at};
use super::splice::{render, set_inline, set_line, whole_lines};
use super::{Change, splice};

/// Which list of which entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) table: &'a [&'a str],
    pub(super) entry: &'a str,
    pub(super) key: &'a str,
}

impl Place<'_> {
    fn item<'d>(&self, root: &'d dyn TableLike) -> Option<&'d Item> {
        let table = table_at(root, self.table)?;
        table.get(self.entry)?.as_table_like()?.get(self.key)
    }

    fn header(&self) -> String {
        let path = self.table.iter().copied().chain([self.entry, self.key]);
        let path: Vec<String> = path
            .map(|key| Key::new(key).display_repr().into_owned())
            .collect();
        format!("[[{}]]", path.join("."))
    }

    fn no_list(&self) -> String {
        format!("`{}` is no list of tables", self.key)
    }
}

/// Adds a table at the end of the list, which is made if need be. The entry must be there.
pub(super) fn push(
    text: &str,
    place: Place<'_>,
    pairs: &[(&str, Value)],
) -> Result<String, String> {
    let document = parse(text)?;
    match place.item(document.as_table()) {
        None => first(text, document.as_table(), place, pairs),
        Some(Item::ArrayOfTables(tables)) => {
            let last = tables.iter().last().and_then(end_of);
            let last = last.ok_or_else(|| place.no_list())?;
            Ok(with_block(text, last, place, pairs))
        }
        Some(Item::Value(Value::Array(array))) => {
            let range = array.span().ok_or_else(|| place.no_list())?;
            Ok(with_element(text, array, &range, pairs))
        }
        Some(_) => Err(place.no_list()),
    }
}

/// Removes a table of the list. `None`: there is none of that number.
pub(super) fn remove(text: &str, place: Place<'_>, index: usize) -> Result<Option<String>, String> {
    let document = parse(text)?;
    let range = match place.item(document.as_table()) {
        Some(Item::ArrayOfTables(tables)) => tables.get(index).and_then(|table| {
            let range = whole_lines(text, &(table.span()?.start..end_of(table)?));
            Some(with_blank_line_before(text, range))
        }),
        Some(Item::Value(Value::Array(array))) => element(array, index).map(|own| {
            let before = index
                .checked_sub(1)
                .and_then(|before| element(array, before));
            match (before, element(array, index + 1)) {
                (Some(before), _) => before.end..own.end,
                (None, Some(after)) => own.start..after.start,
                (None, None) => own,
            }
        }),
        _ => None,
    };
    Ok(range.map(|range| {
        let mut out = text.to_owned();
        out.replace_range(range, "");
        out
    }))
}

/// Sets a key of one table of the list. `None`: there is none of that number.
pub(super) fn set(
    text: &str,
    place: Place<'_>,
    index: usize,
    name: &str,
    value: &Value,
) -> Result<Option<String>, String> {
    let document = parse(text)?;
    Ok(match place.item(document.as_table()) {
        Some(Item::ArrayOfTables(tables)) => tables.get(index).and_then(|table| {
            let header = table.span()?;
            set_line(text, Some(&header), &own_keys_of(table), name, value)
        }),
        Some(Item::Value(Value::Array(array))) => array.get(index).and_then(|element| {
            let table = element.as_inline_table()?;
            let braces = element.span()?;
            Some(set_inline(text, &braces, &keys_of(table), name, value))
        }),
        _ => None,
    })
}

/// The list's first table: with a header of its own where the entry has one.
fn first(
    text: &str,
    root: &dyn TableLike,
    place: Place<'_>,
    pairs: &[(&str, Value)],
) -> Result<String, String> {
    let written = entry(root, place.table, place.entry);
    if let Some(Written::Lines {
        header: Some(header),
        own,
        ..
    }) = &written
    {
        let last = own.iter().map(|(_, _, value)| value.end);
        let last = last.fold(header.end, usize::max);
        return Ok(with_block(text, last, place, pairs));
    }
    if written.is_none() {
        return Err(format!("`{}` is not there", place.entry));
    }
    let mut array = Array::new();
    let mut element = Value::InlineTable(inline(pairs));
    element.decor_mut().set_prefix("\n  ");
    array.push_formatted(element);
    array.set_trailing_comma(true);
    array.set_trailing("\n");
    let change = Change::Set(Value::Array(array));
    splice::set(text, place.table, place.entry, &[(place.key, change)])
}

fn with_block(text: &str, behind: usize, place: Place<'_>, pairs: &[(&str, Value)]) -> String {
    let newline = newline(text);
    let lines = pairs
        .iter()
        .map(|(key, value)| format!("{newline}{key} = {}", render(value)));
    let lines = lines.collect::<Vec<_>>().concat();
    let block = format!("{newline}{newline}{}{lines}", place.header());
    let mut out = text.to_owned();
    out.insert_str(end_of_line(text, behind), &block);
    out
}

fn with_element(
    text: &str,
    array: &Array,
    brackets: &Range<usize>,
    pairs: &[(&str, Value)],
) -> String {
    let element_text = render(&Value::InlineTable(inline(pairs)));
    let mut out = text.to_owned();
    match array
        .len()
        .checked_sub(1)
        .and_then(|last| element(array, last))
    {
        None => out.replace_range(brackets.clone(), &format!("[{element_text}]")),
        Some(last) => {
            let line = text[..last.start].rfind('\n').map_or(0, |at| at + 1);
            let indent = &text[line..last.start];
            let between = if indent.trim().is_empty() && line > brackets.start {
                format!("{}{indent}", newline(text))
            } else {
                " ".to_owned()
            };
            out.insert_str(last.end, &format!(",{between}{element_text}"));
        }
    }
    out
}

fn inline(pairs: &[(&str, Value)]) -> InlineTable {
    let mut table = InlineTable::new();
    for (key, value) in pairs {
        table.insert(*key, value.clone());
    }
    table
}

fn element(array: &Array, index: usize) -> Option<Range<usize>> {
    array.get(index)?.span()
}

fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// The empty line before a block belongs to it.
fn with_blank_line_before(text: &str, range: Range<usize>) -> Range<usize> {
    let before = &text[..range.start];
    let rest = before.strip_suffix('\n').unwrap_or(before);
    let line = rest.rfind('\n').map_or(0, |at| at + 1);
    if range.start > 0 && rest[line..].trim().is_empty() {
        line..range.end
    } else {
        range
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place {
        table: &["providers"],
        entry: "k",
        key: "keys",
    };

    fn pairs(name: &str) -> Vec<(&str, Value)> {
        vec![("name", "x".into()), ("wrapped", name.into())]
    }

    fn valid(text: &str) -> Vec<String> {
        let document = parse(text).unwrap();
        match PLACE.item(document.as_table()) {
            Some(Item::ArrayOfTables(tables)) => tables
                .iter()
                .map(|table| table["wrapped"].as_str().unwrap().to_owned())
                .collect(),
            Some(Item::Value(Value::Array(array))) => array
                .iter()
                .map(|value| {
                    let table = value.as_inline_table().unwrap();
                    table["wrapped"].as_str().unwrap().to_owned()
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_list_grows_changes_and_shrinks_in_the_form_that_its_entry_has() {
        let before =
            "# top\n[providers.k] # mine\ntype = \"fido2\" # kept\n\n[secrets]\nA = 1 # a\n";
        let braces = "[providers]\nk = { type = \"fido2\" } # mine\nz = 1\n";
        let dotted = "[providers]\nk.type = \"fido2\" # mine\nz = 1\n";
        let by_hand = "[providers]\nk = { type = \"fido2\", keys = [] }\n";
        for (form, text) in [
            ("header", before),
            ("braces", braces),
            ("dotted", dotted),
            ("empty", by_hand),
        ] {
            let one = push(text, PLACE, &pairs("1")).unwrap();
            let two = push(&one, PLACE, &pairs("2")).unwrap();
            let three = push(&two, PLACE, &pairs("3")).unwrap();
            assert_eq!(valid(&three), ["1", "2", "3"], "{form}: {three}");
            let changed = set(&three, PLACE, 1, "wrapped", &"two".into());
            let changed = changed.unwrap().unwrap();
            assert_eq!(valid(&changed), ["1", "two", "3"], "{form}: {changed}");
            let back = set(&changed, PLACE, 1, "wrapped", &"2".into()).unwrap();
            assert_eq!(back.unwrap(), three, "{form}");
            for index in 0..3 {
                let less = remove(&three, PLACE, index).unwrap().unwrap();
                let mut wanted = vec!["1", "2", "3"];
                wanted.remove(index);
                assert_eq!(valid(&less), wanted, "{form}: {less}");
            }
            assert_eq!(remove(&three, PLACE, 2).unwrap().unwrap(), two, "{form}");
            assert_eq!(remove(&three, PLACE, 3).unwrap(), None);
            assert_eq!(set(&three, PLACE, 3, "a", &"b".into()).unwrap(), None);
        }
    }

    #[test]
    fn what_stands_around_a_list_stays() {
        let before =
            "[providers.k] # mine\ntype = \"fido2\" # kept\n\n# of secrets\n[secrets]\nA = 1\n";
        let after = "[providers.k] # mine\ntype = \"fido2\" # kept\n\n[[providers.k.keys]]\nname = \"x\"\nwrapped = \"1\"\n\n# of secrets\n[secrets]\nA = 1\n";
        let one = push(before, PLACE, &pairs("1")).unwrap();
        assert_eq!(one, after);
        let windows = before.replace('\n', "\r\n");
        let one = push(&windows, PLACE, &pairs("1")).unwrap();
        assert_eq!(one, after.replace('\n', "\r\n"));
        let lines =
            "[providers]\nk = { type = \"a\", keys = [\n    { wrapped = \"1\" }, # one\n] }\n";
        let two = push(lines, PLACE, &[("wrapped", "2".into())]).unwrap();
        assert_eq!(valid(&two), ["1", "2"]);
        assert!(two.contains("\n    { wrapped = \"2\" }, # one\n]"), "{two}");
    }

    #[test]
    fn what_is_no_list_or_not_there_is_refused() {
        for text in ["[providers]\nk = { keys = 1 }\n", "[providers]\nj = 1\n"] {
            assert!(push(text, PLACE, &pairs("1")).is_err(), "{text}");
            assert_eq!(remove(text, PLACE, 0).unwrap(), None);
        }
    }

    #[test]
    fn a_key_of_the_entry_goes_before_its_list_and_the_list_goes_with_the_entry() {
        let text = "[providers.k]\ntype = \"a\"\n\n[[providers.k.keys]]\nwrapped = \"1\"\n\n[secrets]\nA = 1\n";
        let change = [("data_key", Change::text("d"))];
        let with = splice::set(text, &["providers"], "k", &change).unwrap();
        assert!(with.starts_with("[providers.k]\ntype = \"a\"\ndata_key = \"d\"\n\n[["));
        let without = splice::remove(&with, &["providers"], "k").unwrap().unwrap();
        assert_eq!(without.trim_start(), "[secrets]\nA = 1\n");
    }
}

//! A list of recipients in a file, changed in the style in which it is written.

use std::path::PathBuf;

use fnox_config::FileKind;
use fnox_config::edit::{Change, Editor};
use fnox_core::age::Recipient;
use toml_edit::{Array, Decor, DocumentMut, RawString, TableLike, Value};

use crate::app::App;
use crate::audit::{self, Changed};
use crate::error::CliError;

/// A list of recipients in a file.
#[derive(Debug)]
pub(crate) struct List {
    /// The file.
    pub(crate) path: PathBuf,
    /// What kind of file it is.
    pub(crate) kind: FileKind,
    /// The table of the entry; empty for the file's own.
    pub(crate) table: Vec<String>,
    /// The table that has `recipients`.
    pub(crate) entry: String,
}

impl List {
    /// Adds a recipient, in the style in which the list is written. `false`: it is there already.
    pub(crate) fn add(&self, app: &App, recipient: &Recipient) -> Result<bool, CliError> {
        let editor = Editor::open(&self.path, self.kind.clone())?;
        let mut list = self.present(editor.text());
        if list
            .iter()
            .filter_map(Value::as_str)
            .any(|text| is_same(text, recipient))
        {
            return Ok(false);
        }
        append(&mut list, recipient.as_str());
        let changed = [Changed::recipient(recipient.as_str(), self.provider())];
        let change = audit::Change::RecipientAdd;
        audit::changing(app, None, change, changed, || self.save(app, editor, list))?;
        Ok(true)
    }

    /// Takes recipients out, with the comments that stand on their lines; what stands above a line stays, unless it is
    /// about the recipient too. `false`: there is none of them.
    pub(crate) fn remove(
        &self,
        app: &App,
        is_theirs: impl Fn(&str) -> bool,
        is_about_them: impl Fn(&str) -> bool,
    ) -> Result<bool, CliError> {
        let editor = Editor::open(&self.path, self.kind.clone())?;
        let mut list = self.present(editor.text());
        let texts = list.iter().filter_map(Value::as_str);
        let theirs = texts.filter(|text| is_theirs(text));
        let changed: Vec<Changed> = theirs
            .map(|text| Changed::recipient(text, self.provider()))
            .collect();
        if changed.is_empty() {
            return Ok(false);
        }
        take_out(&mut list, is_theirs, is_about_them);
        let change = audit::Change::RecipientRemove;
        audit::changing(app, None, change, changed, || self.save(app, editor, list))?;
        Ok(true)
    }

    /// Whose list it is. `None`: all providers share it.
    fn provider(&self) -> Option<&str> {
        (!self.table.is_empty()).then_some(self.entry.as_str())
    }

    fn save(&self, app: &App, mut editor: Editor, list: Array) -> Result<(), CliError> {
        let value = Value::Array(list);
        if self.table.is_empty() {
            editor.set_key(&[&self.entry], "recipients", &value)?;
        } else {
            let table: Vec<&str> = self.table.iter().map(String::as_str).collect();
            editor.set(&table, &self.entry, &[("recipients", Change::Set(value))])?;
        }
        Ok(editor.save(&app.folders)?)
    }

    fn present(&self, text: &str) -> Array {
        let Ok(document) = text.parse::<DocumentMut>() else {
            return Array::new();
        };
        let root: &dyn TableLike = document.as_table();
        let path = self.table.iter().chain(std::iter::once(&self.entry));
        let entry = path
            .into_iter()
            .try_fold(root, |table, key| table.get(key)?.as_table_like());
        let list = entry
            .and_then(|entry| entry.get("recipients"))
            .and_then(toml_edit::Item::as_array);
        list.cloned().unwrap_or_default()
    }
}

/// An SSH key is the same under another comment.
fn is_same(text: &str, recipient: &Recipient) -> bool {
    Recipient::parse(text).is_ok_and(|other| other.canonical() == recipient.canonical())
}

/// A list over several lines gets one more line; a comment behind the last entry stays with that one.
fn append(recipients: &mut Array, text: &str) {
    let last = recipients.iter().last().map(Value::decor);
    let prefix = text_of(last.and_then(Decor::prefix));
    if !prefix.contains('\n') {
        recipients.push(text);
        return;
    }
    let indent = prefix.rsplit('\n').next().unwrap_or_default();
    let newline = if prefix.contains("\r\n") {
        "\r\n"
    } else {
        "\n"
    };
    let behind = text_of(last.and_then(Decor::suffix)) + &text_of(Some(recipients.trailing()));
    let closing = behind.rsplit('\n').next().unwrap_or_default().to_owned();
    let behind = behind.trim_end();
    let mut value = Value::from(text);
    value
        .decor_mut()
        .set_prefix(format!("{behind}{newline}{indent}"));
    let trailing = format!("{newline}{closing}");
    if let Some(last) = recipients.iter_mut().last() {
        last.decor_mut().set_suffix("");
    }
    recipients.push_formatted(value);
    recipients.set_trailing(trailing);
}

/// Takes entries out. A comment behind an entry is kept by TOML before the next one: it goes with the entry.
fn take_out(
    list: &mut Array,
    is_theirs: impl Fn(&str) -> bool,
    is_about_them: impl Fn(&str) -> bool,
) {
    let mut index = 0;
    while let Some(entry) = list.get(index) {
        if !entry.as_str().is_some_and(&is_theirs) {
            index += 1;
            continue;
        }
        let before = text_of(entry.decor().prefix());
        let behind = text_of(entry.decor().suffix());
        let is_last = index + 1 == list.len();
        let next = list
            .get(index + 1)
            .map(Value::decor)
            .and_then(Decor::prefix);
        let after = behind + &text_of(if is_last { Some(list.trailing()) } else { next });
        let joined = join(&before, &after, &is_about_them, index);
        list.remove(index);
        match list.get_mut(index) {
            Some(next) => next.decor_mut().set_prefix(joined),
            None => list.set_trailing(joined),
        }
    }
}

/// What stands between the entry before the one that goes and the entry behind it.
fn join(before: &str, after: &str, is_about_them: impl Fn(&str) -> bool, index: usize) -> String {
    let Some((own_line, above)) = before.split_once('\n') else {
        // In one line: the first entry has no space before it.
        return if index == 0 { before } else { after }.to_owned();
    };
    // Of what stands above, the last line is the indentation.
    let kept: String = above
        .rsplit_once('\n')
        .map_or("", |(lines, _)| lines)
        .split_inclusive('\n')
        .filter(|line| !is_about_them(line))
        .collect();
    let rest = after.split_once('\n').map_or("", |(_, rest)| rest);
    let kept = if kept.is_empty() || kept.ends_with('\n') {
        kept
    } else {
        kept + "\n"
    };
    format!("{own_line}\n{kept}{rest}")
}

fn text_of(raw: Option<&RawString>) -> String {
    raw.and_then(RawString::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appended(text: &str) -> String {
        let mut document: DocumentMut = text.parse().unwrap();
        append(document["recipients"].as_array_mut().unwrap(), "new");
        document.to_string()
    }

    #[test]
    fn a_list_keeps_its_style() {
        assert_eq!(appended("recipients = []\n"), "recipients = [\"new\"]\n");
        assert_eq!(
            appended("recipients = [\"a\"]\n"),
            "recipients = [\"a\", \"new\"]\n"
        );
        assert_eq!(
            appended("recipients = [\n  \"a\", # Anna\n  # the build machine\n  \"b\",\n]\n"),
            "recipients = [\n  \"a\", # Anna\n  # the build machine\n  \"b\",\n  \"new\",\n]\n"
        );
        assert_eq!(
            appended("recipients = [\n  \"a\" # Anna\n  ]\n"),
            "recipients = [\n  \"a\", # Anna\n  \"new\"\n  ]\n"
        );
        assert_eq!(
            appended("recipients = [\n  \"a\"\n]\n"),
            "recipients = [\n  \"a\",\n  \"new\"\n]\n"
        );
    }

    fn without_b(text: &str) -> String {
        let mut document: DocumentMut = text.parse().unwrap();
        let list = document["recipients"].as_array_mut().unwrap();
        take_out(list, |entry| entry == "b", |line| line.contains("Bert"));
        document.to_string()
    }

    #[test]
    fn what_goes_takes_its_own_line_along() {
        for (text, left) in [
            ("recipients = [\"b\"]\n", "recipients = []\n"),
            ("recipients = [\"b\", \"c\"]\n", "recipients = [\"c\"]\n"),
            ("recipients = [\"a\", \"b\"]\n", "recipients = [\"a\"]\n"),
            (
                "recipients = [\"a\", \"b\", \"c\"]\n",
                "recipients = [\"a\", \"c\"]\n",
            ),
            (
                "recipients = [\n  \"a\", # Anna\n  \"b\", # Bert\n  \"c\", # Carl\n]\n",
                "recipients = [\n  \"a\", # Anna\n  \"c\", # Carl\n]\n",
            ),
            (
                "recipients = [\n  \"a\", # Anna\n  \"b\" # Bert\n]\n",
                "recipients = [\n  \"a\" # Anna\n]\n",
            ),
            (
                "recipients = [\n  \"b\", # Bert\n  \"b\",\n  # machines\n  \"c\",\n]\n",
                "recipients = [\n  # machines\n  \"c\",\n]\n",
            ),
            (
                "recipients = [\n  # people\n  # Bert, at home\n  \"b\",\n  \"c\",\n]\n",
                "recipients = [\n  # people\n  \"c\",\n]\n",
            ),
        ] {
            assert_eq!(without_b(text), left, "of {text}");
        }
    }
}

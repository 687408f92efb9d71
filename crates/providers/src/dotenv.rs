//! The dotenv grammar: `NAME=value` lines, as `fnox import`, file-backed `plain` providers and 1Password
//! environments read them.
//!
//! - Blank lines and lines that start with `#` are skipped; `export ` before a name is too.
//! - The name ends at the first `=`. Names are not checked here.
//! - A value in single or double quotes may span lines; after the closing quote only a comment may follow.
//!   In double quotes `\n \r \t \\ \" \$` and `` \` `` are unescaped. A text that opens with a double quote
//!   and has more behind the closing one is kept as written. One that is never closed is an error.
//! - Any other value ends at the end of the line or at ` #`, without the blanks around it.
//!
//! Nothing is expanded. Errors give the line, never its text.

use fnox_core::SecretString;
use zeroize::Zeroizing;

/// A text is not of the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct DotenvError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Reads the pairs of a text in their order; a name that comes twice is there twice.
///
/// # Errors
/// [`DotenvError`] with the line.
pub fn parse(text: &str) -> Result<Vec<(String, SecretString)>, DotenvError> {
    let mut reader = Lines::of(text);
    let mut pairs = Vec::new();
    while let Some((line, start, content)) = reader.next_line() {
        let trimmed = content.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let Some(equals) = content.find('=') else {
            return Err(error(line, "there is no `=` in it"));
        };
        let name = name_of(content.get(..equals).unwrap_or_default())
            .ok_or(error(line, "there is no name before the `=`"))?;
        let rest = content.get(equals + 1..).unwrap_or_default();
        let blanks = rest.len() - rest.trim_start().len();
        let value_at = start + equals + 1 + blanks;
        let value = match rest.trim_start().chars().next() {
            Some('\'') => single_quoted(&mut reader, line, value_at)?,
            Some('"') => double_quoted(&mut reader, line, value_at)?
                .unwrap_or_else(|| SecretString::from(rest.trim())),
            _ => SecretString::from(unquoted(rest)),
        };
        pairs.push((name.to_owned(), value));
    }
    Ok(pairs)
}

fn error(line: usize, reason: &'static str) -> DotenvError {
    DotenvError { line, reason }
}

fn name_of(text: &str) -> Option<&str> {
    let text = text.trim();
    let name = match text.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ => text,
    };
    (!name.is_empty()).then_some(name)
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    if text.starts_with('#') {
        return "";
    }
    let comment = text
        .char_indices()
        .zip(text.chars().skip(1))
        .find(|((_, blank), mark)| matches!(blank, ' ' | '\t') && *mark == '#');
    comment
        .and_then(|((at, _), _)| text.get(..at))
        .unwrap_or(text)
        .trim_end()
}

fn single_quoted(
    reader: &mut Lines<'_>,
    line: usize,
    value_at: usize,
) -> Result<SecretString, DotenvError> {
    let body = reader.text.get(value_at + 1..).unwrap_or_default();
    let Some(length) = body.find('\'') else {
        return Err(error(line, "its quote is not closed"));
    };
    let end = value_at + 1 + length + 1;
    if only_comment(reader.rest_of_line(end)) {
        reader.go_on_after(end);
        return Ok(SecretString::from(body.get(..length).unwrap_or_default()));
    }
    // As it is written: `'it'"'"'s'` is shell, not dotenv, and this reader makes no guesses.
    if body.get(..length).is_some_and(|inner| inner.contains('\n')) {
        return Err(error(line, "something follows its closing quote"));
    }
    Ok(SecretString::from(reader.rest_of_line(value_at).trim()))
}

/// `None`: not a quoted value after all.
fn double_quoted(
    reader: &mut Lines<'_>,
    line: usize,
    value_at: usize,
) -> Result<Option<SecretString>, DotenvError> {
    let body = reader.text.get(value_at + 1..).unwrap_or_default();
    let mut value = Zeroizing::new(String::with_capacity(body.len().min(64 * 1024)));
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let end = value_at + 1 + at + 1;
                if !only_comment(reader.rest_of_line(end)) {
                    return Ok(None);
                }
                reader.go_on_after(end);
                return Ok(Some(SecretString::from(value.as_str())));
            }
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, 't')) => value.push('\t'),
                Some((_, escaped @ ('\\' | '"' | '$' | '`'))) => value.push(escaped),
                Some((_, other)) => {
                    value.push('\\');
                    value.push(other);
                }
                None => {}
            },
            other => value.push(other),
        }
    }
    Err(error(line, "its quote is not closed"))
}

fn only_comment(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text.starts_with('#')
}

/// The lines of a text, with their place in it, so that a value can take more than one.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    number: usize,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text: text.strip_prefix('\u{feff}').unwrap_or(text),
            at: 0,
            number: 0,
        }
    }

    fn next_line(&mut self) -> Option<(usize, usize, &'a str)> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let start = self.at;
        let content = rest.split('\n').next().unwrap_or_default();
        self.at += (content.len() + 1).min(rest.len());
        self.number += 1;
        Some((
            self.number,
            start,
            content.strip_suffix('\r').unwrap_or(content),
        ))
    }

    /// From a place to the end of its line.
    fn rest_of_line(&self, at: usize) -> &'a str {
        let rest = self.text.get(at..).unwrap_or_default();
        rest.split('\n').next().unwrap_or_default()
    }

    /// Continues with the line after the one in which `end` is.
    fn go_on_after(&mut self, end: usize) {
        let after = end + self.rest_of_line(end).len();
        while self.at <= after && self.next_line().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text)
            .unwrap()
            .into_iter()
            .map(|(name, value)| (name, value.expose_secret().to_owned()))
            .collect()
    }

    fn value(text: &str) -> String {
        read(text).pop().unwrap().1
    }

    #[test]
    fn order_comments_and_export_are_understood() {
        let text = "\u{feff}# head\n\nB=2\r\nexport A = 1 # one\n export_x=3\n";
        let pairs = read(text);
        let names: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(names, [("B", "2"), ("A", "1"), ("export_x", "3")]);
    }

    #[test]
    fn values_are_read_by_their_quotes() {
        assert_eq!(value("A=b=c"), "b=c");
        assert_eq!(value("A="), "");
        assert_eq!(value("A= # nothing"), "");
        assert_eq!(value("A=p#q"), "p#q");
        assert_eq!(value("A=' # kept '"), " # kept ");
        assert_eq!(value("A='x' # comment"), "x");
        assert_eq!(value(r#"A="x\n\t\"\\\$\q""#), "x\n\t\"\\$\\q");
        assert_eq!(value(r#"A="x" y"#), r#""x" y"#);
        assert_eq!(value("A='x' y"), "'x' y");
    }

    #[test]
    fn quoted_values_span_lines_and_reading_goes_on_after_them() {
        assert_eq!(
            read("A='one\ntwo\n'\nB=3"),
            [
                ("A".to_owned(), "one\ntwo\n".to_owned()),
                ("B".to_owned(), "3".to_owned())
            ]
        );
        assert_eq!(
            read("A=\"one\ntwo\" # x\nB=3\n"),
            [
                ("A".to_owned(), "one\ntwo".to_owned()),
                ("B".to_owned(), "3".to_owned())
            ]
        );
    }

    #[test]
    fn errors_name_the_line_and_not_its_text() {
        let error = parse("A=1\nhunter2\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2: there is no `=` in it");
        assert_eq!(parse("A='x\nB=1").unwrap_err().line, 1);
        let unclosed = parse("Z=1\nA=\"x\nB=1\n").unwrap_err();
        assert_eq!(unclosed.to_string(), "line 2: its quote is not closed");
        assert_eq!(parse("A=\"x\\").unwrap_err().line, 1);
        assert_eq!(
            parse("A='x\ny'\nhunter2").unwrap_err().line,
            3,
            "lines inside quotes count"
        );
        assert_eq!(parse("\n=x").unwrap_err().line, 2);
    }
}

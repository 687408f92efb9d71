//! Errors as a person reads them: what failed, where it stands underlined, what to do, the code.

use std::fmt;
use std::io::Write as _;
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
};
use regex::Regex;

use crate::error::CliError;
use crate::output::Printer;

/// Prints an error to stderr.
pub(crate) fn report(error: &CliError, printer: Printer) {
    let theme = if printer.colour() {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme);
    let text = rendered(error, handler);
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
}

/// The same text without colours, in lines of at most `width` columns.
pub(crate) fn plain(error: &CliError, width: usize) -> String {
    let theme = GraphicalTheme::unicode_nocolor();
    let handler = GraphicalReportHandler::new_themed(theme).with_width(width);
    rendered(error, handler).trim_end().to_owned()
}

fn rendered(error: &CliError, handler: GraphicalReportHandler) -> String {
    let shown = Shown::of(error);
    let handler = handler.with_context_lines(1).with_links(false);
    let mut text = String::new();
    if handler.render_report(&mut text, &shown).is_err() {
        text = shown.to_string();
    }
    text
}

/// An error prepared for printing.
struct Shown<'a> {
    error: &'a CliError,
    source: Option<NamedSource<String>>,
    span: Range<usize>,
    help: Option<String>,
}

impl<'a> Shown<'a> {
    fn of(error: &'a CliError) -> Self {
        let location = error
            .location()
            .filter(|location| !location.file.text.is_empty());
        let mut span = 0..0;
        let source = location.map(|location| {
            let (text, place) = masked(&location.file.text, &location.span);
            span = place;
            NamedSource::new(location.file.path.display().to_string(), text)
        });
        Self {
            error,
            source,
            span,
            help: error.help(),
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.error)
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl std::error::Error for Shown<'_> {
    /// The cause, unless the message has it already.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let message = self.error.to_string();
        self.error
            .source()
            .filter(|source| !message.contains(&source.to_string()))
    }
}

impl Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.error.code()))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source.as_ref()?;
        let label = LabeledSpan::new_with_span(Some("here".to_owned()), self.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

/// Texts of these keys are shown: they name things and hold no secrets.
const SHOWN_KEYS: [&str; 30] = [
    "address",
    "api_base",
    "database",
    "default_provider",
    "description",
    "domain",
    "duration",
    "egress",
    "endpoint",
    "env",
    "file",
    "format",
    "if_missing",
    "inherits",
    "json_path",
    "key_file",
    "name",
    "path",
    "prefix",
    "profile",
    "project",
    "provider",
    "ref",
    "region",
    "role_arn",
    "secret",
    "service",
    "type",
    "url",
    "vault",
];

/// A configuration's text without what may be secret, and where `span` is in it.
///
/// The excerpt around an error must not show a plain value that happens to stand on the same line. Long
/// values (ciphertexts) become short, so that the line can be read.
fn masked(text: &str, span: &Range<usize>) -> (String, Range<usize>) {
    const ASSIGNMENT: &str = r#"(?s)([A-Za-z0-9_.-]+)["']?\s*=\s*("""(?:.*?)(?:"""|\z)|'''(?:.*?)(?:'''|\z)|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?)"#;
    let Ok(pattern) = Regex::new(ASSIGNMENT) else {
        return (String::new(), 0..0);
    };
    let mut out = String::with_capacity(text.len());
    let mut shift = Shift {
        span: span.clone(),
        start: span.start,
        end: span.end,
    };
    let mut copied = 0;
    for captures in pattern.captures_iter(text) {
        let (Some(key), Some(value)) = (captures.get(1), captures.get(2)) else {
            continue;
        };
        let last_part = key.as_str().rsplit('.').next().unwrap_or_default();
        // The error itself says what is wrong with the value that it points at. A URL may hold a password.
        let is_url_of_somebody = value.as_str().contains("://") && value.as_str().contains('@');
        let is_shown = value.range() == *span || SHOWN_KEYS.contains(&last_part);
        if is_shown && !is_url_of_somebody {
            continue;
        }
        out.push_str(&text[copied..value.start()]);
        let stars = stars(value.as_str());
        shift.replaced(&value.range(), stars.len());
        out.push_str(&stars);
        copied = value.end();
    }
    out.push_str(&text[copied..]);
    let start = shift.start.min(out.len());
    (out, start..shift.end.max(start))
}

/// Follows a place through replacements, which come in the order of the text.
struct Shift {
    span: Range<usize>,
    start: usize,
    end: usize,
}

impl Shift {
    fn replaced(&mut self, range: &Range<usize>, length: usize) {
        if range.end <= self.span.start {
            self.start = self.start + length - range.len();
        }
        if range.end <= self.span.end {
            self.end = self.end + length - range.len();
        }
    }
}

/// `"********"` for a text of one line; one `*` a line for several, so that line numbers stay.
fn stars(literal: &str) -> String {
    let lines = literal.matches('\n').count();
    if lines == 0 {
        "\"********\"".to_owned()
    } else {
        format!("\"\"\"{}\"\"\"", "*\n".repeat(lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, part: &str) -> (String, String) {
        let start = text.find(part).unwrap();
        let (out, span) = masked(text, &(start..start + part.len()));
        let under = out[span].to_owned();
        (out, under)
    }

    #[test]
    fn values_are_masked_and_the_place_stays_the_place() {
        let text = "A = { value = \"hunter2\", defualt = 'häßlich' }\nB = \"hunter3\"\n";
        let (out, under) = shown(text, "defualt");
        assert_eq!(under, "defualt");
        assert!(!out.contains("hunter") && !out.contains("lich"), "{out}");
    }

    #[test]
    fn lines_stay_lines_and_names_stay_readable() {
        let text =
            "C = { value = \"\"\"\nhunter3\n\"\"\", provider = \"op\" }\nD = { valeu = 1 }\n";
        let (out, under) = shown(text, "valeu");
        assert_eq!(
            (out.lines().count(), under.as_str()),
            (text.lines().count(), "valeu")
        );
        assert!(
            out.contains("provider = \"op\"") && !out.contains("hunter"),
            "{out}"
        );
    }

    #[test]
    fn a_value_without_its_closing_quote_is_masked_too() {
        let (out, _) = masked("A = { value = \"hunter2 }\n", &(0..0));
        assert!(!out.contains("hunter2"), "{out}");
    }
}

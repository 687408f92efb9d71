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
    let shown = Shown::of(error);
    let theme = if printer.colour() {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_context_lines(1)
        .with_links(false);
    if handler.render_report(&mut text, &shown).is_err() {
        text = shown.to_string();
    }
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
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
        let span = location.map_or(0..0, |location| location.span.clone());
        let source = location.map(|location| {
            let masked = mask_values(&location.file.text, &span);
            NamedSource::new(location.file.path.display().to_string(), masked)
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
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
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

/// Overwrites texts that may be secret with `*`, byte for byte, so that places stay where they are. The
/// excerpt around an error must not show a plain value that happens to stand on the same line.
fn mask_values(text: &str, keep: &Range<usize>) -> String {
    const SECRET_KEYS: &str = r#"(?s)\b(?:value|default|token|password|pin|api_key|key|text)["']?\s*=\s*("""(?:.*?)(?:"""|\z)|'''(?:.*?)(?:'''|\z)|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?)"#;
    let Ok(pattern) = Regex::new(SECRET_KEYS) else {
        return "*".repeat(text.len());
    };
    let mut bytes = text.as_bytes().to_vec();
    for found in pattern
        .captures_iter(text)
        .filter_map(|captures| captures.get(1))
    {
        let is_kept = found.range() == *keep;
        for at in found.range().filter(|_| !is_kept) {
            if !matches!(bytes[at], b'\n' | b'"' | b'\'') {
                bytes[at] = b'*';
            }
        }
    }
    // Every replaced byte became ASCII, whole characters at a time.
    String::from_utf8(bytes).unwrap_or_else(|_| "*".repeat(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_on_the_shown_line_are_masked_and_nothing_moves() {
        let text = "A = { value = \"hunter2\", defualt = \"x\" }\nB = { default='häßlich' }\nC = { value = \"\"\"\nhunter3\n\"\"\" }\n";
        let masked = mask_values(text, &(0..0));
        assert_eq!(masked.len(), text.len());
        assert!(
            !masked.contains("hunter") && !masked.contains("lich"),
            "{masked}"
        );
        assert!(masked.contains("defualt = \"x\""), "{masked}");
    }

    #[test]
    fn a_value_without_its_closing_quote_is_masked_too() {
        let masked = mask_values("A = { value = \"hunter2 }\n", &(0..0));
        assert!(!masked.contains("hunter2"), "{masked}");
    }
}

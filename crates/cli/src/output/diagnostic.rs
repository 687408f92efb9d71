//! Errors as a person reads them: what failed, where it stands underlined, what to do, the code.

use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
};

use crate::error::CliError;
use crate::output::excerpt::masked;
use crate::output::{Printer, terminal_width};

/// Prints an error to stderr.
pub(crate) fn report(error: &CliError, printer: Printer) {
    let theme = if printer.colour() {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let mut handler = GraphicalReportHandler::new_themed(theme);
    // A terminal breaks lines that are too long within words; a file does not.
    if std::io::stderr().is_terminal() {
        handler = handler.with_width(terminal_width().unwrap_or(80).clamp(40, 100));
    }
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

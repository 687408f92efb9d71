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
use crate::terminal::harmless;

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

/// What an error and its causes say, without what would move a terminal's cursor: they quote files, servers and programs.
#[derive(Debug)]
struct Told {
    message: String,
    cause: Option<Box<Told>>,
}

impl Told {
    fn of(error: &dyn std::error::Error) -> Self {
        Self {
            message: harmless(&error.to_string()),
            cause: error.source().map(|cause| Box::new(Self::of(cause))),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Told {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.cause.as_deref()?)
    }
}

/// An error prepared for printing.
struct Shown {
    told: Told,
    code: &'static str,
    source: Option<NamedSource<String>>,
    span: Range<usize>,
    help: Option<String>,
}

impl Shown {
    fn of(error: &CliError) -> Self {
        let location = error
            .location()
            .filter(|location| !location.file.text.is_empty());
        let mut span = 0..0;
        let source = location.map(|location| {
            let (text, place) = masked(&location.file.text, &location.span);
            span = place;
            let path = location.file.path.display().to_string();
            NamedSource::new(harmless(&path), text)
        });
        Self {
            told: Told::of(error),
            code: error.code(),
            source,
            span,
            help: error.help().as_deref().map(harmless),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.told, formatter)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl std::error::Error for Shown {
    /// The cause, unless the message has it already.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let cause = self.told.cause.as_deref()?;
        (!self.told.message.contains(&cause.message)).then_some(cause)
    }
}

impl Diagnostic for Shown {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
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

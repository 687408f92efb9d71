//! A file whose whole top level is one [`Section`]: read as strictly as `fnox.toml`, without its layers.

use std::path::Path;
use std::sync::Arc;

use toml_edit::Document;

use crate::error::ConfigError;
use crate::fields::Fields;
use crate::read::Reader;
use crate::source::{FileKind, Location, SourceFile};
use crate::spec::Section;

/// Checks a text against a section.
///
/// # Errors
/// [`ConfigError`] with the place of the first thing that is wrong.
pub fn read(path: &Path, text: String, section: &'static Section) -> Result<Fields, ConfigError> {
    let source = Arc::new(SourceFile {
        path: path.to_owned(),
        text,
        kind: FileKind::Explicit,
        imported_by: None,
    });
    let at = |span| Location {
        file: Arc::clone(&source),
        span,
    };
    let document = Document::parse(source.text.as_str()).map_err(|error| ConfigError::Syntax {
        location: at(error.span().unwrap_or(0..0)),
        reason: error.message().to_owned(),
    })?;
    let reader = Reader {
        file: Arc::clone(&source),
    };
    reader.fields(
        document.as_table(),
        at(0..0),
        &[section.fields],
        section.heading,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Field, Kind};

    static INNER: Section = Section {
        heading: "[inner]",
        doc: "",
        fields: &[Field::optional("ids", Kind::Counts, "")],
    };
    static OUTER: Section = Section {
        heading: "the top level",
        doc: "",
        fields: &[
            Field::optional("name", Kind::Text, ""),
            Field::optional("inner", Kind::Table(&INNER), ""),
        ],
    };

    fn parse(text: &str) -> Result<Fields, ConfigError> {
        read(Path::new("/x.toml"), text.to_owned(), &OUTER)
    }

    #[test]
    fn known_keys_are_read_and_unknown_ones_named_with_their_line_and_the_nearest() {
        let fields = parse("name = \"n\"\ninner = { ids = [0, 1000] }\n").unwrap();
        assert_eq!(fields.text("name"), Some("n"));
        assert_eq!(fields.table("inner").unwrap().counts("ids"), [0, 1000]);
        let error = parse("name = \"n\"\n[inner]\nidss = []\n").unwrap_err();
        assert_eq!(error.to_string(), "unknown key `idss` in [inner]");
        assert_eq!(error.location().unwrap().line(), 3);
        assert!(error.help().unwrap().contains("`ids`"));
    }

    #[test]
    fn numbers_that_are_no_ids_are_refused() {
        for ids in ["[-1]", "[1.5]", "[\"root\"]", "1000"] {
            let error = parse(&format!("[inner]\nids = {ids}\n")).unwrap_err();
            assert_eq!(error.code(), "config::invalid_value", "{ids}");
        }
    }
}

//! Keeps source files short enough to be read in one go.

use std::fmt::Write as _;

use crate::failure::Failure;
use crate::tree::Tree;

/// No file may be longer.
const MOST: usize = 600;
/// Longer files are listed, for somebody to think about.
const TARGET: usize = 400;

/// Fails if a file is too long.
pub(crate) fn check(tree: &Tree) -> Result<String, Failure> {
    let mut long = Vec::new();
    let sources = tree.sources()?;
    for path in &sources {
        let lines = tree.read(path)?.unwrap_or_default().lines().count();
        if lines > TARGET {
            long.push((lines, path));
        }
    }
    long.sort_by(|left, right| right.cmp(left));
    let too_long = long.iter().filter(|(lines, _)| *lines > MOST);
    let too_long = too_long
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    Failure::unless_empty("source files have at most 600 lines", too_long, || {
        let mut text = format!(
            "{} source files, {} of them with more than {TARGET} lines",
            sources.len(),
            long.len()
        );
        for (lines, path) in &long {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n{lines:6}  {path}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_600_lines_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::at(folder.path());
        tree.write("crates/a/src/lib.rs", &"//\n".repeat(600))
            .unwrap();
        tree.write("crates/a/notes.md", &"x\n".repeat(900)).unwrap();
        let text = check(&tree).unwrap();
        assert_eq!(
            text,
            "1 source files, 1 of them with more than 400 lines\n   600  crates/a/src/lib.rs"
        );

        tree.write("xtask/src/main.rs", &"//\n".repeat(601))
            .unwrap();
        let failure = check(&tree).unwrap_err().to_string();
        assert!(
            failure.contains("xtask/src/main.rs: 601 lines"),
            "{failure}"
        );
        assert!(!failure.contains("lib.rs"), "{failure}");
    }
}

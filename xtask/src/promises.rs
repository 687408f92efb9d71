//! Every test that a page names as holding a promise exists.

use std::collections::BTreeSet;

use crate::failure::Failure;
use crate::tree::Tree;

const PAGES: [&str; 2] = ["SECURITY.md", "docs/reference/gateway-conformance.md"];

/// Fails if a named test is not in the named file.
pub(crate) fn check(tree: &Tree) -> Result<String, Failure> {
    let mut pages = Vec::new();
    for page in PAGES {
        pages.push(tree.read(page)?.unwrap_or_default());
    }
    let named: BTreeSet<(&str, &str)> = pages
        .iter()
        .flat_map(|page| page.split('`').skip(1).step_by(2))
        .filter_map(named_test)
        .collect();
    let mut missing = Vec::new();
    for (path, test) in &named {
        let text = tree.read(path)?.unwrap_or_default();
        if !text.contains(&format!("fn {test}(")) {
            missing.push(format!("{path}::{test}"));
        }
    }
    Failure::unless_empty("the tests that pages name exist", missing, || {
        format!(
            "{} tests that {} name exist",
            named.len(),
            PAGES.join(" and ")
        )
    })
}

/// `crates/…/file.rs::name_of_the_test`
fn named_test(code: &str) -> Option<(&str, &str)> {
    code.split_once(".rs::")?;
    code.split_once("::")
        .filter(|(path, _)| path.starts_with("crates/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_that_the_pages_name_exist() {
        check(&Tree::of_this_repository()).unwrap();
    }

    #[test]
    fn only_paths_with_a_test_count() {
        assert_eq!(named_test("crates/a/b.rs::c"), Some(("crates/a/b.rs", "c")));
        assert_eq!(named_test("config::io"), None);
    }
}

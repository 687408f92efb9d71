//! The table of contents of the documentation site (mdBook's `SUMMARY.md`).

use std::collections::BTreeMap;
use std::path::Path;

use crate::failure::Failure;
use crate::tree::Tree;

/// The folders below `docs/`, in the order in which a reader wants them.
const PARTS: [(&str, &str); 6] = [
    ("Guide", "docs/guide/"),
    ("Leases", "docs/leases/"),
    ("Providers", "docs/providers/"),
    ("Concepts", "docs/concept/"),
    ("Reference", "docs/reference/"),
    ("Decisions", "docs/adr/"),
];

/// What stands before the others of its part.
const FIRST: [&str; 3] = [
    "docs/guide/install.md",
    "docs/guide/quickstart.md",
    "docs/guide/moving.md",
];

/// Every page below `docs/`, by part, with its heading as title; `generated` are those that are written with it.
pub(super) fn page(tree: &Tree, generated: &[(String, String)]) -> Result<String, Failure> {
    let fresh: BTreeMap<&str, &str> = generated
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let mut pages = tree.pages()?;
    let is_page = |path: &&&str| Path::new(path).extension().is_some_and(|end| end == "md");
    pages.extend(fresh.keys().filter(is_page).map(|&path| path.to_owned()));
    pages.sort();
    pages.dedup();
    let mut lines = vec![
        super::NOTICE.to_owned(),
        String::new(),
        "# Summary".to_owned(),
    ];
    for (title, folder) in PARTS {
        let mut paths: Vec<&String> = pages
            .iter()
            .filter(|path| path.starts_with(folder))
            .collect();
        paths.sort_by_key(|path| {
            let first = FIRST.iter().position(|first| first == path);
            (first.unwrap_or(FIRST.len()), (*path).clone())
        });
        lines.extend([String::new(), format!("# {title}"), String::new()]);
        for path in paths {
            let page = match fresh.get(path.as_str()) {
                Some(text) => (*text).to_owned(),
                None => tree.read(path)?.unwrap_or_default(),
            };
            let heading = page
                .lines()
                .find_map(|line| line.strip_prefix("# "))
                .unwrap_or(path);
            let below = path.trim_start_matches("docs/");
            lines.push(format!("- [{heading}]({below})"));
        }
    }
    Ok(lines.join("\n") + "\n")
}

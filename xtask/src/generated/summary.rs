//! The table of contents of the documentation site (mdBook's `SUMMARY.md`).

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

/// Every page below `docs/`, by part, with its heading as title.
pub(super) fn page(tree: &Tree) -> Result<String, Failure> {
    let pages = tree.pages()?;
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
            let page = tree.read(path)?.unwrap_or_default();
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

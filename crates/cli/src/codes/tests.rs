//! That the table is complete.

use std::collections::BTreeSet;
use std::path::Path;

use super::all;

/// Collects `"area::reason"` from every source file.
fn in_sources(folder: &Path, found: &mut BTreeSet<String>) {
    let pattern = regex::Regex::new(
        r#""((?:config|secret|provider|lease|ledger|vault|server|team|daemon|cli)::[a-z_]+)""#,
    )
    .unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            in_sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs")
            && !path.ends_with("codes.rs")
            && !path.ends_with("codes/cli.rs")
        {
            let text = std::fs::read_to_string(&path).unwrap();
            found.extend(
                pattern
                    .captures_iter(&text)
                    .map(|captures| captures[1].to_owned()),
            );
        }
    }
}

#[test]
fn every_code_that_the_sources_name_is_documented_and_no_other() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = BTreeSet::new();
    for name in ["config", "providers", "leases", "cli"] {
        in_sources(&crates.join(name).join("src"), &mut found);
    }
    let documented: BTreeSet<String> = all().map(|code| code.0.to_owned()).collect();
    assert_eq!(documented, found);
    assert_eq!(documented.len(), all().count(), "a code stands twice");
}

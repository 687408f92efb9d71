//! Every link from one page of the repository to another leads somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::failure::Failure;
use crate::tree::Tree;

/// What a page says about itself: where it links to, and the names of its headings.
struct Page {
    links: Vec<String>,
    anchors: BTreeSet<String>,
}

/// Fails if a link names a file or a heading that does not exist. Links to other sites are not followed.
pub(crate) fn check(tree: &Tree) -> Result<String, Failure> {
    let mut pages = BTreeMap::new();
    for path in tree.pages()? {
        let text = tree.read(&path)?.unwrap_or_default();
        pages.insert(path, page(&text));
    }
    let mut broken = Vec::new();
    let mut count = 0_usize;
    for (path, page) in &pages {
        for link in page.links.iter().filter(|link| !is_elsewhere(link)) {
            count += 1;
            if let Some(why) = fault(tree, &pages, path, link) {
                broken.push(format!("{path}: {link}: {why}"));
            }
        }
    }
    Failure::unless_empty("links lead somewhere", broken, || {
        format!("{count} links of {} pages lead somewhere", pages.len())
    })
}

fn is_elsewhere(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

fn fault(
    tree: &Tree,
    pages: &BTreeMap<String, Page>,
    from: &str,
    link: &str,
) -> Option<&'static str> {
    let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if target.is_empty() {
        from.to_owned()
    } else {
        let Some(target) = joined(from, target) else {
            return Some("leaves the repository");
        };
        target
    };
    if !tree.has(&target) {
        return Some("no such file");
    }
    if anchor.is_empty() {
        return None;
    }
    match pages.get(&target) {
        Some(page) if !page.anchors.contains(anchor) => Some("no such heading"),
        _ => None,
    }
}

/// A path relative to a page's folder, from the root. `None`: above the root.
fn joined(from: &str, target: &str) -> Option<String> {
    let mut path = Path::new(from).parent().map(PathBuf::from)?;
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path.to_string_lossy().into_owned())
}

fn page(text: &str) -> Page {
    let mut links = Vec::new();
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                links.push(dest_url.into_string());
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let slug = slug(&heading.take().unwrap_or_default());
                let mut name = slug.clone();
                let mut number = 0_usize;
                while !anchors.insert(name) {
                    number += 1;
                    name = format!("{slug}-{number}");
                }
            }
            _ => {}
        }
    }
    Page { links, anchors }
}

/// A heading's name in an address, as GitHub and mdBook make it: letters, digits, `-` and `_` stay, in lower case, and
/// spaces become `-`.
fn slug(heading: &str) -> String {
    heading
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ if letter.is_alphanumeric() => Some(letter),
            _ => None,
        })
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_links_of_this_repository_lead_somewhere() {
        check(&Tree::of_this_repository()).unwrap();
    }

    #[test]
    fn a_broken_link_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::at(folder.path());
        tree.write("docs/b.md", "# One `two`!\n\n# One two\n")
            .unwrap();
        let good = "[a](docs/b.md) [b](docs/b.md#one-two) [c](docs/b.md#one-two-1) [d](#here) [e](https://a.example)\n# Here";
        tree.write("README.md", good).unwrap();
        assert_eq!(check(&tree).unwrap(), "4 links of 2 pages lead somewhere");
        for (link, why) in [
            ("docs/c.md", "no such file"),
            ("docs/b.md#three", "no such heading"),
            ("../x.md", "leaves the repository"),
        ] {
            tree.write("README.md", &format!("[a]({link})")).unwrap();
            let failure = check(&tree).unwrap_err().to_string();
            assert!(failure.contains(why) && failure.contains(link), "{failure}");
        }
    }
}

//! References between entries: `{REF:WANTED@SEARCHED:TEXT}` (`KeePass`, "Field References").
//!
//! `T` title, `U` user name, `P` password, `A` URL, `N` notes; `I`, only in the search, the UUID. A text is found
//! anywhere in a field, in any case, and the first entry wins. What is not understood or found stays as it is.

use fnox_core::SecretString;
use keepass::Database;
use keepass::db::{EntryRef, fields};
use zeroize::Zeroizing;

/// How deep references are followed, and how many in all, because they may go in circles.
const DEPTH: usize = 10;
const EXPANSIONS: usize = 256;

/// A value with its references replaced.
pub(super) fn follow(database: &Database, value: &SecretString) -> SecretString {
    let mut left = EXPANSIONS;
    SecretString::from(expand(database, value.expose_secret(), DEPTH, &mut left).as_str())
}

fn expand(database: &Database, text: &str, depth: usize, left: &mut usize) -> Zeroizing<String> {
    let mut expanded = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some(start) = rest.find("{REF:") {
        let (before, from) = rest.split_at(start);
        expanded.push_str(before);
        let found = from
            .find('}')
            .filter(|_| depth > 0 && *left > 0)
            .and_then(|end| Some((end, referred(database, &from["{REF:".len()..end])?)));
        if let Some((end, value)) = found {
            *left -= 1;
            expanded.push_str(&expand(database, &value, depth - 1, left));
            rest = &from[end + 1..];
        } else {
            expanded.push_str("{REF:");
            rest = &from["{REF:".len()..];
        }
    }
    expanded.push_str(rest);
    expanded
}

/// `P@I:46C9B1FFBD4ABC4BBB260C6190BAD20C`
fn referred(database: &Database, reference: &str) -> Option<Zeroizing<String>> {
    let (codes, text) = reference.split_once(':')?;
    let (wanted, searched) = codes.split_once('@')?;
    let wanted = field(wanted)?;
    let text = text.to_lowercase();
    let matches = |entry: &EntryRef<'_>| {
        if searched.eq_ignore_ascii_case("I") {
            return entry.id().uuid().simple().to_string() == text;
        }
        field(searched)
            .and_then(|field| entry.get(field))
            .is_some_and(|value| Zeroizing::new(value.to_lowercase()).contains(&text))
    };
    let entry = database.iter_all_entries().find(matches)?;
    entry
        .get(wanted)
        .map(|value| Zeroizing::new(value.to_owned()))
}

fn field(code: &str) -> Option<&'static str> {
    match code.to_ascii_uppercase().as_str() {
        "T" => Some(fields::TITLE),
        "U" => Some(fields::USERNAME),
        "P" => Some(fields::PASSWORD),
        "A" => Some(fields::URL),
        "N" => Some(fields::NOTES),
        _ => None,
    }
}

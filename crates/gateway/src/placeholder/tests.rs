//! What is found in texts and bodies, beside a search that looks at every place.

use proptest::prelude::*;

use super::*;

/// Of what placeholders are made of, little, so that a half of one is met often.
const SIGNS: &[u8] = b"aAbB-_.~";
/// The same, and what differs from it in the bit that tells small letters from capital ones.
const OTHERS: &[u8] = b"aAbB-_.~\x0d\x7f\x0e^";

fn text(signs: &'static [u8], lengths: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(signs), lengths)
        .prop_map(|bytes| bytes.into_iter().map(char::from).collect())
}

fn placeholders(texts: &[String]) -> Placeholders {
    let mut placeholders = Placeholders::default();
    let agent = AgentId::parse("a").unwrap();
    for (index, text) in texts.iter().enumerate() {
        let name = fnox_core::VaultName::parse(&format!("T{index}")).unwrap();
        // What is no placeholder, or like another one, is left out.
        placeholders
            .issue_fixed(&agent, &CredentialRef::Secret(name), text, None)
            .ok();
    }
    placeholders
}

/// The same, place by place.
fn every_place(placeholders: &Placeholders, text: &[u8]) -> Vec<(usize, String)> {
    let begins = |place: usize| {
        placeholders.iter().find(|it| {
            let seen = text.get(place..place + it.text.len());
            seen.is_some_and(|seen| seen.eq_ignore_ascii_case(it.text.as_bytes()))
        })
    };
    (0..text.len())
        .filter_map(|place| Some((place, begins(place)?.text.clone())))
        .collect()
}

/// Texts among which some of the placeholders are, in letters of another case.
fn around(texts: &[String], rest: &[(String, prop::sample::Index, bool)]) -> Vec<u8> {
    let mut text = String::new();
    for (before, which, is_capital) in rest {
        text.push_str(before);
        let placed = which.get(texts);
        text.push_str(&if *is_capital {
            placed.to_uppercase()
        } else {
            placed.clone()
        });
    }
    // The last one is not whole.
    text.pop();
    text.into_bytes()
}

proptest! {
    #[test]
    fn all_that_stand_in_a_text_are_found(
        texts in prop::collection::vec(text(SIGNS, 6..40), 1..6),
        rest in prop::collection::vec((text(OTHERS, 0..60), any::<prop::sample::Index>(), any::<bool>()), 1..6),
    ) {
        let placeholders = placeholders(&texts);
        let text = around(&texts, &rest);
        let found: Vec<(usize, String)> = placeholders
            .index()
            .find(&text)
            .into_iter()
            .map(|(range, entry)| (range.start, placeholders.entries[entry].text.clone()))
            .collect();
        prop_assert_eq!(found, every_place(&placeholders, &text));
    }

    #[test]
    fn a_body_ends_where_one_is_whole(
        texts in prop::collection::vec(text(SIGNS, 6..40), 1..6),
        rest in prop::collection::vec((text(OTHERS, 0..60), any::<prop::sample::Index>(), any::<bool>()), 1..6),
        pieces in prop::collection::vec(1..50_usize, 1..20),
    ) {
        let placeholders = placeholders(&texts);
        let body = around(&texts, &rest);
        let Some(mut watch) = placeholders.watch() else {
            prop_assert_eq!(placeholders.iter().count(), 0);
            return Ok(());
        };
        let mut seen = 0;
        for length in pieces.iter().cycle() {
            let end = body.len().min(seen + length);
            let outcome = watch.look(&body[seen..end]);
            let is_there = !every_place(&placeholders, &body[..end]).is_empty();
            prop_assert_eq!(outcome.is_err(), is_there);
            seen = end;
            if is_there || seen == body.len() {
                break;
            }
        }
    }
}

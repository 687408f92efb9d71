//! What mints call the things that they create.
//!
//! A name begins with `fnox-lease-`, so that a person who finds it knows where it comes from, and ends with the provisional
//! id of the intent on record. By that id `cleanup` finds what was created although the issuer's answer was lost. In between
//! stands as much of the label as there is room for.

use super::CreateRequest;

const BEGINNING: &str = "fnox-lease-";

/// The name of what a request creates: letters, digits and hyphens, at most `longest` of them.
pub(super) fn name_of(request: &CreateRequest, longest: usize) -> String {
    let id = &request.provisional_id;
    let room = longest.saturating_sub(BEGINNING.len() + id.len() + 1);
    let label: String = request
        .label
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(room)
        .collect();
    match label.trim_matches('-') {
        "" => format!("{BEGINNING}{id}"),
        label => format!("{BEGINNING}{label}-{id}"),
    }
}

/// Whether a name was given by [`name_of`] for the intent with this id.
pub(super) fn is_named_for(name: &str, provisional_id: &str) -> bool {
    !provisional_id.is_empty()
        && name.starts_with(BEGINNING)
        && name
            .strip_suffix(provisional_id)
            .is_some_and(|rest| rest.ends_with('-'))
}

#[cfg(test)]
mod tests {
    use fnox_core::Lifetime;

    use super::*;

    fn request(label: &str) -> CreateRequest {
        CreateRequest {
            duration: Lifetime::DEFAULT,
            label: label.to_owned(),
            provisional_id: "tailscale-0123456789abcdef".to_owned(),
            prepared: Vec::new(),
        }
    }

    #[test]
    fn a_name_keeps_the_id_whole_and_cuts_the_label() {
        let name = name_of(&request("fnox exec: über/alles"), 50);
        assert_eq!(name, "fnox-lease-fnox-exec-tailscale-0123456789abcdef");
        assert_eq!(
            name_of(&request(&"x".repeat(99)), 50).len(),
            50,
            "all of the room is used"
        );
        assert_eq!(
            name_of(&request("//"), 50),
            "fnox-lease-tailscale-0123456789abcdef"
        );
    }

    #[test]
    fn only_names_for_the_same_intent_are_recognised() {
        let id = "tailscale-0123456789abcdef";
        for label in ["", "ci", "a-b"] {
            assert!(is_named_for(&name_of(&request(label), 50), id), "{label}");
        }
        for other in [
            "tailscale-0123456789abcdef",
            "fnox-lease-ci-tailscale-0123456789abcdee",
            "fnox-lease-ci-xtailscale-0123456789abcdef",
            "my fnox-lease-ci-tailscale-0123456789abcdef",
        ] {
            assert!(!is_named_for(other, id), "{other}");
        }
        assert!(!is_named_for("fnox-lease-", ""));
    }
}

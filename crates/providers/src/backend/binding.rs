//! Values that know their profile and name.
//!
//! The plaintext of a bound value begins with one line of text, then the value follows to the end, exactly:
//!
//! ```text
//! fnox-bound-v1 7:default 12:DATABASE_URL
//! postgres://…
//! ```
//!
//! Each part has its length in bytes before it, so no profile or name can be mistaken for another. A person
//! with `age -d` sees at once what it is. age authenticates plaintext, so the line cannot be changed without
//! the recipients' public keys, and who re-encrypts must know the value.

use fnox_core::{SecretBytes, SecretName, SecretString};
use zeroize::Zeroizing;

use crate::error::ProviderError;
use crate::provider::Context;

/// How a bound value begins.
const MAGIC: &[u8] = b"fnox-bound-v1 ";

/// The base profile's name.
const BASE: &str = "default";

/// The profile for which values are written, and those for which they are read.
#[derive(Debug, Clone)]
pub(in crate::backend) struct Binding {
    profile: String,
    stack: Vec<String>,
}

impl Binding {
    pub(in crate::backend) fn of(context: &Context) -> Self {
        let profile = if context.profile.is_empty() {
            BASE.to_owned()
        } else {
            context.profile.clone()
        };
        let mut stack = context.profile_stack.clone();
        stack.extend(profile.split(',').map(str::to_owned));
        stack.push(profile.clone());
        stack.push(BASE.to_owned());
        Self { profile, stack }
    }

    pub(in crate::backend) fn wrap(&self, name: &SecretName, value: &SecretString) -> SecretBytes {
        let (profile, name) = (self.profile.as_str(), name.as_str());
        let head = format!("{}:{profile} {}:{name}\n", profile.len(), name.len());
        let mut bytes = Vec::with_capacity(MAGIC.len() + head.len() + value.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(value.expose_secret().as_bytes());
        SecretBytes::new(bytes)
    }

    /// The value inside, if it was stored for this name.
    pub(in crate::backend) fn unwrap<'a>(
        &self,
        name: &SecretName,
        plaintext: &'a SecretBytes,
        unbound_too: bool,
    ) -> Result<&'a [u8], ProviderError> {
        let bytes = plaintext.expose_secret();
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            if unbound_too {
                return Ok(bytes);
            }
            return Err(ProviderError::misconfigured(format!(
                "the value of `{name}` is not bound to its name, which `bind_names` demands"
            ))
            .with_remedy("if you trust the file as it is, `fnox reencrypt` binds its values")
            .at_key("bind_names"));
        };
        let (profile, stored_name, value) = parts(rest)
            .ok_or_else(|| ProviderError::misconfigured("the bound value is damaged"))?;
        if stored_name != name.as_str() {
            return Err(swapped(format!(
                "the value was stored for `{}`, not for `{name}`",
                stored_name.escape_debug()
            )));
        }
        if !self.stack.iter().any(|accepted| accepted == profile) {
            return Err(swapped(format!(
                "the value of `{name}` was stored for the profile `{}`, not for `{}`",
                profile.escape_debug(),
                self.profile
            )));
        }
        Ok(value)
    }
}

/// The plaintext of a value that is not bound.
///
/// # Errors
/// `Misconfigured` for the one kind of value that could not be told from a bound one.
pub(in crate::backend) fn unbound(
    name: &SecretName,
    value: &SecretString,
) -> Result<SecretBytes, ProviderError> {
    let bytes = value.expose_secret().as_bytes();
    if bytes.starts_with(MAGIC) {
        return Err(ProviderError::misconfigured(format!(
            "the value of `{name}` begins like a bound value (`fnox-bound-v1 `)"
        ))
        .with_remedy("set `bind_names = true` on the provider to store it"));
    }
    let mut copy = Zeroizing::new(Vec::with_capacity(bytes.len()));
    copy.extend_from_slice(bytes);
    Ok(SecretBytes::new(std::mem::take(&mut *copy)))
}

fn swapped(message: String) -> ProviderError {
    ProviderError::misconfigured(message).with_remedy(
        "somebody moved or copied the value: set it again with `fnox set`, and look at the file's history",
    )
}

/// Profile, name and value.
fn parts(rest: &[u8]) -> Option<(&str, &str, &[u8])> {
    let (profile, rest) = counted(rest)?;
    let (name, rest) = counted(rest.strip_prefix(b" ")?)?;
    Some((profile, name, rest.strip_prefix(b"\n")?))
}

/// A text with its length before it.
fn counted(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let colon = bytes.iter().take(8).position(|byte| *byte == b':')?;
    let digits = bytes.get(..colon)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let (text, rest) = bytes.get(colon + 1..)?.split_at_checked(length)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SecretName {
        SecretName::parse(text).unwrap()
    }

    fn binding(profile: &str, stack: &[&str]) -> Binding {
        let mut all: Vec<String> = stack.iter().map(|name| (*name).to_owned()).collect();
        all.push(profile.to_owned());
        all.push(BASE.to_owned());
        Binding {
            profile: profile.to_owned(),
            stack: all,
        }
    }

    #[test]
    fn a_bound_value_opens_under_its_name_and_profile_only() {
        let prod = binding("prod", &["shared"]);
        let sealed = prod.wrap(&name("A"), &SecretString::from("1:x \n"));
        assert_eq!(prod.unwrap(&name("A"), &sealed, false).unwrap(), b"1:x \n");
        let error = prod.unwrap(&name("B"), &sealed, true).unwrap_err();
        assert_eq!(error.message, "the value was stored for `A`, not for `B`");
        let error = binding("dev", &[])
            .unwrap(&name("A"), &sealed, true)
            .unwrap_err();
        assert!(error.message.contains("profile `prod`"), "{error}");
    }

    #[test]
    fn values_of_the_base_and_of_inherited_profiles_are_accepted() {
        let prod = binding("prod", &["shared"]);
        for owner in [BASE, "shared", "prod"] {
            let sealed = binding(owner, &[]).wrap(&name("A"), &SecretString::from("v"));
            assert_eq!(prod.unwrap(&name("A"), &sealed, false).unwrap(), b"v");
        }
    }

    #[test]
    fn an_unbound_value_is_refused_unless_it_is_to_be_bound() {
        let plain = SecretBytes::new(b"v".to_vec());
        let binding = binding(BASE, &[]);
        let error = binding.unwrap(&name("A"), &plain, false).unwrap_err();
        assert_eq!(error.key, Some("bind_names"));
        assert_eq!(binding.unwrap(&name("A"), &plain, true).unwrap(), b"v");
    }

    #[test]
    fn damaged_bound_values_are_refused() {
        for text in [
            "",
            "1:a",
            "2:a 1:A\nv",
            ":a 1:A\nv",
            "+1:a 1:A\nv",
            "1:a 1:A",
            "99999999999:a",
        ] {
            let bytes = [MAGIC, text.as_bytes()].concat();
            let error = binding(BASE, &["a"])
                .unwrap(&name("A"), &SecretBytes::new(bytes), true)
                .unwrap_err();
            assert_eq!(error.message, "the bound value is damaged", "{text}");
        }
        assert!(unbound(&name("A"), &SecretString::from("fnox-bound-v1 x")).is_err());
    }
}

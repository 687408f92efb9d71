//! Credentials in the path.

use fnox_core::SecretString;
use zeroize::Zeroizing;

use super::{as_sent, moved, swap_once, unfit};
use crate::placeholder::Place;
use crate::refusal::Refusal;
use crate::request::{CanonicalRequest, encoded_segment};
use crate::rule::Rule;

/// Puts `value` in the place of the placeholder.
pub(super) fn swap(
    request: &mut CanonicalRequest,
    rule: &Rule,
    swapped: Option<(&str, &Place)>,
    value: &SecretString,
) -> Result<Place, Refusal> {
    let Some((placeholder, Place::Segment(index))) = swapped else {
        return Err(moved(rule));
    };
    let old = request
        .path()
        .segments()
        .nth(*index)
        .ok_or_else(|| moved(rule))?;
    let placeholder = as_sent(old, placeholder).ok_or_else(|| moved(rule))?;
    let value = Zeroizing::new(encoded_segment(value.expose_secret()));
    let segment = Zeroizing::new(swap_once(rule, old, &placeholder, &value)?);
    request
        .path_mut()
        .replace_segment(*index, &segment)
        .map_err(|_| unfit(rule, "cannot stand in a segment of a path"))?;
    Ok(Place::Segment(*index))
}

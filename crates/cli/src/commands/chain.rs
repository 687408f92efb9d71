//! Chains of providers in commands that write.

use fnox_config::edit::Change;
use fnox_core::ProviderName;

/// `provider` of an entry that names these: one name, or a list. `None`: it names none.
pub(super) fn named(providers: &[ProviderName]) -> Option<Change> {
    match providers {
        [] => None,
        [one] => Some(Change::text(one.as_str())),
        several => Some(Change::Set(
            several.iter().map(AsRef::<str>::as_ref).collect(),
        )),
    }
}

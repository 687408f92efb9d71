//! Systems without a daemon: nothing is kept between runs, whatever is configured.

pub(crate) mod error;
mod settings;

use std::collections::BTreeSet;
use std::sync::Arc;

use fnox_config::Config;
use fnox_core::SecretName;
use fnox_leases::Held;
use fnox_providers::resolve::KeptValues;

pub(crate) use self::settings::{Settings, is_wanted};
use crate::app::App;

/// None.
pub(crate) fn kept_values(
    _: &App,
    _: &Config,
    _: BTreeSet<SecretName>,
) -> Option<Arc<dyn KeptValues>> {
    None
}

/// Nobody has anything to forget.
pub(crate) fn forget(_: &App, _: Option<&[&str]>) {}

/// Nobody renews leases ahead.
pub(crate) async fn used<'h>(_: &App, _: &Config, _: impl IntoIterator<Item = &'h Held>) {}

//! The daemon: values in memory between runs, for one person on one machine.
//!
//! It keeps what providers answered, so that a touch, a password or a slow call is needed once and not for each command.
//! It is a store: it opens no provider, reads no configuration and gets no environment. A client works
//! out a digest of everything on which a value depends ([`key`]), asks for the values under these digests
//! ([`values`]), resolves on its own whatever is not there, in its own terminal, and hands it over. So clients never
//! wait for one another, a prompt appears where the person is, and a daemon that is gone costs nothing but the values.
//!
//! With `[daemon] renew_leases`, clients also tell it which leases they used, and it starts another fnox for each before
//! its end ([`renewal`]); masters and credentials stay in that process and in the ledger.
//!
//! What it defends: values lie in its memory sealed under a key in a locked page ([`cache`]), the process cannot be
//! dumped, only the same user is answered, and all is forgotten when its time is over, when the machine sleeps or the
//! screen is locked ([`logind`]). It does not defend against programs of the same user, which could ask it as fnox does.
//!
//! The protocol is `docs/reference/daemon-protocol.md`.

mod cache;
pub(crate) mod client;
mod connection;
pub mod documents;
pub(crate) mod error;
mod key;
pub(crate) mod launch;
#[cfg_attr(not(target_os = "linux"), path = "logind/absent.rs")]
mod logind;
pub(crate) mod place;
pub mod protocol;
mod renewal;
pub(crate) mod server;
mod settings;
mod used;
mod values;

use std::collections::BTreeSet;
use std::sync::Arc;

use fnox_config::Config;
use fnox_core::SecretName;
use fnox_providers::resolve::KeptValues;

use self::error::DaemonFailure;
pub(crate) use self::settings::{IDLE_TIMEOUT, Settings, is_wanted};
pub(crate) use self::used::used;
use self::values::DaemonValues;
use crate::app::{App, block_on};

/// The daemon as the place where a run's values are kept, if it is to be used. `fresh` names secrets that are fetched
/// anew although they are kept.
pub(crate) fn kept_values(
    app: &App,
    config: &Config,
    fresh: BTreeSet<SecretName>,
) -> Option<Arc<dyn KeptValues>> {
    if !is_wanted(app, config) {
        return None;
    }
    match place::Place::of(&app.env, &app.folders) {
        Ok(place) => Some(Arc::new(DaemonValues::new(app, config, place, fresh))),
        Err(error) => {
            tracing::debug!("without the daemon: {error}");
            None
        }
    }
}

/// Tells a daemon that runs, if one does, to forget values that a command may have changed: of these secrets, or all. A
/// configuration that has changed needs no word, since its values have other digests; this is for stores elsewhere.
pub(crate) fn forget(app: &App, names: Option<&[&str]>) {
    let Ok(place) = place::Place::of(&app.env, &app.folders) else {
        return;
    };
    if !place.has_socket() {
        return;
    }
    let names = names.map(|names| {
        let names = names.iter();
        names
            .filter_map(|name| SecretName::parse(name).ok())
            .collect()
    });
    match block_on(client::clear(&place, names)) {
        Ok(Ok(_) | Err(DaemonFailure::NotRunning)) => {}
        // The command itself is done, and an old value could still be used for a while: that must be said.
        Ok(Err(error)) => app
            .printer
            .warn(&format!("the daemon may still have old values: {error}")),
        Err(error) => tracing::debug!("the daemon was not told to forget: {error}"),
    }
}

//! Telling the daemon of leases that a command used.

use fnox_config::Config;
use fnox_core::lease::renewal_margin;
use fnox_leases::Held;

use super::client;
use super::error::DaemonFailure;
use super::launch::Launcher;
use super::place::Place;
use super::protocol::{MAX_RENEWALS, Renewal};
use super::settings::{Settings, is_wanted};
use crate::app::App;

/// Has leases that were used minted anew before they end, if the daemon is to do that. Whatever goes wrong costs
/// nothing but a line of `--verbose`: the next command mints on its own.
pub(crate) async fn used<'h>(app: &App, config: &Config, held: impl IntoIterator<Item = &'h Held>) {
    let settings = Settings::of(&app.env, Some(config));
    if !settings.renews_leases || !is_wanted(app, config) {
        return;
    }
    let leases: Vec<Renewal> = held
        .into_iter()
        .filter_map(|held| renewal(app, config, held))
        .take(MAX_RENEWALS)
        .collect();
    if leases.is_empty() {
        return;
    }
    match tell(app, settings, leases).await {
        Ok(count) => tracing::debug!("the daemon renews {count} leases"),
        Err(error) => tracing::debug!("leases are not renewed ahead: {error}"),
    }
}

async fn tell(app: &App, settings: Settings, leases: Vec<Renewal>) -> Result<usize, DaemonFailure> {
    let place = Place::of(&app.env, &app.folders)?;
    match client::renew(&place, leases.clone()).await {
        Err(DaemonFailure::NotRunning) => {
            Launcher::new(&app.env, settings.idle_timeout)
                .start()
                .await?;
            client::renew(&place, leases).await
        }
        told => told,
    }
}

/// `None`: it has no end.
fn renewal(app: &App, config: &Config, held: &Held) -> Option<Renewal> {
    let end = held.credential.expires_at?;
    let margin = renewal_margin(held.created_at, end);
    Some(Renewal {
        folder: app.cwd.clone(),
        config: app.explicit_file(),
        profiles: config
            .selected_profiles
            .iter()
            .map(ToString::to_string)
            .collect(),
        no_defaults: app.no_defaults,
        lease: held.lease.to_string(),
        renew_at: end.saturating_sub(margin).ok()?.as_second(),
        ends_at: end.as_second(),
    })
}

//! `fnox serve notify`

use std::sync::Arc;

use fnox_core::SystemClock;
use fnox_core::clock::Clock;
use fnox_server::OpenError;
use fnox_server::notify::Notifier;

use super::places;
use crate::app::{App, block_on};
use crate::args::serve::{NotifyCommand, NotifyGroup};
use crate::error::CliError;
use crate::server::assemble::open_failed;
use crate::server::documents::ChannelTested;
use crate::server::error::ServerFailure;
use crate::server::settings::{self, Overrides};
use crate::vault::values::count;

pub(super) fn run(app: &App, group: &NotifyGroup) -> Result<(), CliError> {
    let NotifyCommand::Test { file, json } = &group.command;
    let (file, places) = places(app, file)?;
    let channels = settings::notify(app, &file, &Overrides::default())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let results = block_on(async {
        let notifier = Notifier::new(&channels, &places.public_url, &clock)
            .map_err(|error| open_failed(OpenError::Notify(error)))?;
        Ok::<_, CliError>(notifier.test().await)
    })??;
    let results: Vec<ChannelTested> = results
        .into_iter()
        .map(|(channel, outcome)| ChannelTested {
            channel,
            error: outcome.err().map(|error| error.to_string()),
        })
        .collect();
    let failed = results.iter().filter(|it| it.error.is_some()).count();
    if *json {
        app.printer.json(&results)?;
    } else {
        for result in &results {
            match &result.error {
                None => app.printer.done(&result.channel),
                Some(error) => app.printer.warn(error),
            }
        }
        if results.is_empty() {
            app.printer
                .warn("no channel is configured: approvers are not told");
        }
    }
    if failed == 0 {
        return Ok(());
    }
    Err(ServerFailure::Untold {
        message: format!(
            "the test did not get through by {}",
            count(failed as u64, "channel")
        ),
    }
    .into())
}

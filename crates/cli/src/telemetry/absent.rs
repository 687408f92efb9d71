//! Telemetry of a build without the feature `opentelemetry`: there is none, and whoever asks for it is told.

use std::path::Path;

use fnox_config::Fields;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::Layer;

use crate::error::CliError;
use crate::server::error::{ServerFailure, StartProblem};

/// Where traces go: nowhere, so there is no value of it.
#[derive(Debug)]
pub(crate) enum Collector {}

impl Collector {
    /// Refuses a table of this name, which would otherwise be ignored silently.
    pub(crate) fn read(
        name: &str,
        table: Option<&Fields>,
        _: Option<&Path>,
    ) -> Result<Option<Self>, CliError> {
        let Some(table) = table else { return Ok(None) };
        let message = format!(
            "{} has a [{name}] table, and this fnox was built without OpenTelemetry",
            table.location().file.path.display()
        );
        Err(ServerFailure::start(StartProblem::Settings, message)
            .with_help(
                "take the table out, or build with: cargo build --release -p fnox-cli --features opentelemetry",
            )
            .into())
    }

    pub(crate) fn start(self) -> Result<Self, CliError> {
        match self {}
    }

    #[expect(clippy::unused_async, reason = "as in a build with the feature")]
    pub(crate) async fn end(self) {
        match self {}
    }
}

/// What sees the spans: nothing.
pub(crate) fn layer(_serves: bool) -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
    None
}

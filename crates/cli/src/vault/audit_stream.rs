//! Audit records as JSON lines on stdout, for log shippers.
//!
//! The vault sends each record as a `tracing` event too. The line has the record's own words and when it was
//! written; the log in the store stays the one that proves itself.

use std::sync::atomic::{AtomicBool, Ordering};

use fnox_core::{Clock as _, SystemClock};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::output::Printer;

/// What the vault calls its audit events.
pub(crate) const TARGET: &str = "fnox_vault::audit";

/// Whether lines are written. The settings that say so are read after the layer is installed.
static ON: AtomicBool = AtomicBool::new(false);

/// Writes lines from now on.
pub(crate) fn turn_on() {
    ON.store(true, Ordering::Relaxed);
}

/// The layer that writes them.
#[derive(Debug)]
pub(crate) struct AuditStream;

impl<S: Subscriber> Layer<S> for AuditStream {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !ON.load(Ordering::Relaxed) || event.metadata().target() != TARGET {
            return;
        }
        let mut line = Line(Map::new());
        line.0
            .insert("time".to_owned(), SystemClock.now().to_string().into());
        event.record(&mut line);
        // Nobody reads: the store has the record.
        let _ = Printer::new(true, true).line(&Value::Object(line.0).to_string());
    }
}

/// A record's fields. Absent ones do not come.
struct Line(Map<String, Value>);

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0
            .insert(field.name().to_owned(), format!("{value:?}").into());
    }
}

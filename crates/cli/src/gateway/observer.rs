//! What the person is told of the gateway's work.

use fnox_core::Host;
use fnox_gateway::Reason;
use fnox_gateway::proxy::{Exchange, Observer};

use crate::output::Printer;

/// Tells of refusals, and of everything with `--verbose`.
#[derive(Debug)]
pub(crate) struct Teller {
    pub(crate) printer: Printer,
    /// Whether anything is told at all.
    pub(crate) is_on: bool,
}

impl Observer for Teller {
    fn exchanged(&self, exchange: &Exchange<'_>) {
        let Exchange {
            host,
            method,
            path,
            rules,
            outcome,
            ..
        } = exchange;
        if !self.is_on {
            return;
        }
        match outcome {
            Ok(status) => tracing::info!(
                "{method} {host}{path}: {} [{}]",
                status.as_u16(),
                rules.join(", ")
            ),
            // The first question of every client that waits to be asked for its password.
            Err(refusal) if refusal.reason == Reason::Unauthenticated => {}
            Err(refusal) => self
                .printer
                .warn(&format!("refused: {method} {host}{path}: {refusal}")),
        }
    }

    fn broken(&self, host: &Host, problem: &str) {
        if self.is_on {
            self.printer.warn(&format!("{host}: {problem}"));
        }
    }
}

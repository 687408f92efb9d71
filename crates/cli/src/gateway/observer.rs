//! What the person is told of the gateway's work.

use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};

use fnox_core::Host;
use fnox_gateway::Reason;
use fnox_gateway::proxy::{Exchange, Observer};
use fnox_gateway::reflection::SHORTEST_VALUE;
use fnox_gateway::rule::CredentialRef;
use indexmap::IndexMap;

use crate::output::Printer;

/// How many different messages are held back; of more there is only a count.
const HELD: usize = 50;

/// Tells of refusals, and of everything with `--verbose`.
#[derive(Debug)]
pub(crate) struct Teller {
    printer: Printer,
    /// Whether anything is told at all.
    is_on: bool,
    /// The credentials of which it was told that they are too short to be looked for.
    short: Mutex<HashSet<String>>,
    /// What is told when the program has ended, and how often it was to be told.
    held: Option<Mutex<IndexMap<String, usize>>>,
}

impl Teller {
    /// Tells at once if `is_on`.
    pub(crate) fn new(printer: Printer, is_on: bool) -> Self {
        Self {
            printer,
            is_on,
            short: Mutex::default(),
            held: None,
        }
    }

    /// Tells in the end if the program has the terminal to itself: it may paint all of it.
    pub(crate) fn beside_a_program(printer: Printer, is_on: bool) -> Self {
        let has_terminal = std::io::stdin().is_terminal()
            && std::io::stdout().is_terminal()
            && std::io::stderr().is_terminal();
        Self {
            held: has_terminal.then(Mutex::default),
            ..Self::new(printer, is_on)
        }
    }

    /// Tells what was held back.
    pub(crate) fn release(&self) {
        let Some(held) = &self.held else { return };
        let held = std::mem::take(&mut *held.lock().unwrap_or_else(PoisonError::into_inner));
        let mut more = 0;
        for (number, (message, count)) in held.into_iter().enumerate() {
            match count {
                _ if number >= HELD => more += count,
                1 => self.printer.warn(&message),
                count => self.printer.warn(&format!("{message}\n({count} times)")),
            }
        }
        if more > 0 {
            self.printer.warn(&format!("and {more} more"));
        }
    }

    fn warn(&self, message: String) {
        match &self.held {
            None => self.printer.warn(&message),
            Some(held) => {
                let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
                // The last place counts whatever has none of its own.
                let message = if held.len() > HELD {
                    String::new()
                } else {
                    message
                };
                *held.entry(message).or_default() += 1;
            }
        }
    }
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
            Err(refusal) => self.warn(format!("refused: {method} {host}{path}: {refusal}")),
        }
    }

    fn broken_off(&self, exchange: &Exchange<'_>) {
        let Exchange {
            host, method, path, ..
        } = exchange;
        if self.is_on
            && let Err(refusal) = exchange.outcome
        {
            self.warn(format!("broken off: {method} {host}{path}: {refusal}"));
        }
    }

    fn broken(&self, host: &Host, problem: &str) {
        if self.is_on {
            self.warn(format!("{host}: {problem}"));
        }
    }

    /// Told even if nothing else is: it is about the credential, and not about what a program does.
    fn too_short(&self, credential: &CredentialRef) {
        let mut short = self.short.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = short.insert(credential.to_string());
        drop(short);
        if is_new {
            self.warn(format!(
                "`{credential}` has fewer than {SHORTEST_VALUE} bytes, too few to be looked for in answers: an answer \
                 that repeats it shows it to the program"
            ));
        }
    }
}

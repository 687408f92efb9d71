//! `fnox watch`: a program that is started again when what it was given has changed.
//!
//! Files are looked at all the time, by their times and sizes; what a provider keeps is fetched anew once per interval.
//! The program is ended only once the new configuration can be read and its secrets can be had, so a broken file or an
//! outage costs nothing but a line. Values that a person or a policy gives to one run at a time are left out of these
//! looks: nobody wants to be asked every half minute.

mod looking;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fnox_core::ExitStatus;
use tokio::sync::oneshot;

use self::looking::{Looked, Looker};
use super::Run;
use crate::app::{App, block_on};
use crate::args::WatchArgs;
use crate::error::CliError;
use crate::exec::orders::{Order, SharedOrders};
use crate::exec::signals::{Signals, status_of};
use crate::exec::{self, Finished};

/// Pause between two looks at the files.
const PAUSE: Duration = Duration::from_millis(250);

/// How long the files must have been the same before they are read: editors and git write in several steps.
const DEBOUNCE: Duration = Duration::from_millis(300);

pub(crate) fn run(app: &App, args: &WatchArgs) -> Result<ExitStatus, CliError> {
    if args.common.replace {
        return Err(CliError::Usage {
            message: "`--replace` is not possible with `fnox watch`: somebody has to watch"
                .to_owned(),
            help: Some("`fnox exec --replace` starts the program once".to_owned()),
        });
    }
    Watch {
        app,
        args,
        signals: None,
        told: BTreeSet::new(),
    }
    .run()
}

/// The runs of one program.
struct Watch<'a> {
    app: &'a App,
    args: &'a WatchArgs,
    /// There once the first program is about to start.
    signals: Option<Signals>,
    /// What was said about why there is no new run, so that it is said once.
    told: BTreeSet<String>,
}

impl Watch<'_> {
    fn run(mut self) -> Result<ExitStatus, CliError> {
        let mut is_first = true;
        loop {
            let files = Looker::new(self.app, self.args).stamp();
            match self.run_once(is_first) {
                Ok(finished) if finished.again => is_first = false,
                Ok(finished) => return Ok(finished.status),
                Err(error) if is_first => return Err(error),
                Err(error) => {
                    if let Some(status) = self.asked_to_end() {
                        return Ok(status);
                    }
                    let what = format!(
                        "the program does not run: {}; waiting for a change",
                        one_line(&error)
                    );
                    if self.told.insert(what.clone()) {
                        self.app.printer.warn(&what);
                    }
                    if let Some(status) = self.wait_for_change(&files)? {
                        return Ok(status);
                    }
                }
            }
        }
    }

    fn run_once(&mut self, is_first: bool) -> Result<Finished, CliError> {
        let config = self.app.load()?;
        let run = Run {
            app: self.app,
            args: &self.args.common,
            require_leases: false,
            if_missing: self.app.if_missing,
            is_another: !is_first,
        };
        let redact = run.redacts(&config);
        let (app, args) = (self.app, self.args);
        let signals = &mut self.signals;
        let finished = run.with_program(&config, redact, |plan, orders, values| {
            let mut looker = Looker::new(app, args);
            looker.begin(&config, values);
            std::thread::scope(|scope| {
                let (stop, stopped) = oneshot::channel::<()>();
                let shared = Arc::clone(&orders);
                scope.spawn(move || watch(looker, &shared, stopped));
                let finished = exec::run_once(run.invocation(plan, orders, redact), signals);
                drop(stop);
                finished
            })
        })?;
        self.told.clear();
        Ok(finished)
    }

    /// Waits until files have changed, or until it is time to try again. `Some`: fnox was asked to end.
    fn wait_for_change(&mut self, before: &str) -> Result<Option<ExitStatus>, CliError> {
        let looker = Looker::new(self.app, self.args);
        let interval = self.args.interval.as_duration();
        block_on(async {
            let again = tokio::time::sleep(interval);
            tokio::pin!(again);
            loop {
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = &mut again => return None,
                }
                if let Some(status) = self.asked_to_end() {
                    return Some(status);
                }
                if looker.stamp() != before {
                    looker.settle().await;
                    return None;
                }
            }
        })
    }

    fn asked_to_end(&mut self) -> Option<ExitStatus> {
        let signal = self.signals.as_mut()?.asked_to_end()?;
        Some(status_of(signal))
    }
}

/// Looks until there is to be another run, or until nobody needs one.
fn watch(mut looker: Looker<'_>, orders: &SharedOrders, stopped: oneshot::Receiver<()>) {
    let printer = looker.printer();
    let outcome = block_on(async {
        tokio::select! {
            _ = stopped => None,
            changed = until_changed(&mut looker) => Some(changed),
        }
    });
    match outcome {
        Ok(Some(changed)) => {
            printer.note(&format!("{changed}: the program is started again"));
            orders.push(Order::AnotherRun);
        }
        Ok(None) => {}
        Err(error) => printer.warn(&format!("nothing is watched: {error}")),
    }
}

/// What changed, for the person.
async fn until_changed(looker: &mut Looker<'_>) -> String {
    let printer = looker.printer();
    let interval = looker.interval();
    let mut next = tokio::time::Instant::now() + interval;
    // The first look reads the files again: they may have changed while the program was being prepared.
    let mut seen = String::new();
    let mut told = BTreeSet::new();
    loop {
        tokio::time::sleep(PAUSE).await;
        let stamp = looker.stamp();
        let is_new = stamp != seen;
        let is_due = tokio::time::Instant::now() >= next;
        if !is_new && !is_due {
            continue;
        }
        if is_new {
            let is_first = seen.is_empty();
            seen = if is_first {
                stamp
            } else {
                looker.settle().await
            };
        }
        match looker.look(is_due).await {
            Looked::Same => told.clear(),
            Looked::Changed(what) => return what,
            Looked::Broken(error) => {
                let what = format!("the program goes on with what it has: {}", one_line(&error));
                if told.insert(what.clone()) {
                    printer.warn(&what);
                }
            }
        }
        if is_due {
            next = tokio::time::Instant::now() + interval;
        }
    }
}

fn one_line(error: &CliError) -> String {
    let text = error.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

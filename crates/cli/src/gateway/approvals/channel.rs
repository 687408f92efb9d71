//! Elsewhere that people can be asked, beside the terminal of the gateway's own machine.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use fnox_gateway::approval::{Answer, Approvals, Pending, Question};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use crate::output::Printer;

/// A service that shows a question to people and knows what they said.
#[async_trait]
pub(crate) trait Channel: Send + Sync + fmt::Debug {
    /// Where that is, for messages: `the vault`.
    fn place(&self) -> &'static str;

    /// Asks there and waits for what a person says. It is dropped when somebody answered elsewhere, or the question has grown
    /// too old. What passes by itself, such as a connection that breaks, is tried again within.
    ///
    /// # Errors
    /// Why nobody can be asked there, as the end of a sentence. The question goes on waiting for other places.
    async fn ask(&self, pending: &Pending) -> Result<Answer, String>;

    /// Takes a question back whose `ask` was dropped, so that nobody decides what is decided.
    async fn take_back(&self, pending: &Pending);

    /// Waits until everything that was said so far has arrived there, before the gateway goes.
    async fn settle(&self) {}
}

/// Brings each question to all channels, and the first answer back.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) channels: Vec<Arc<dyn Channel>>,
    pub(super) asked: mpsc::UnboundedReceiver<Pending>,
    pub(super) printer: Printer,
}

impl Relay {
    /// Works until the future is dropped, or nothing is asked any more. Then it takes back what waits elsewhere.
    pub(super) async fn run(mut self, approvals: &Approvals) {
        let mut asking = FuturesUnordered::new();
        loop {
            tokio::select! {
                pending = self.asked.recv() => {
                    let Some(pending) = pending else { break };
                    for channel in &self.channels {
                        asking.push(bring(Arc::clone(channel), pending.clone(), approvals, self.printer));
                    }
                }
                Some(()) = asking.next(), if !asking.is_empty() => {}
                () = approvals.closed() => break,
            }
        }
        // Each of them learns that it is over, and takes its question back.
        while asking.next().await.is_some() {}
        for channel in &self.channels {
            channel.settle().await;
        }
    }
}

async fn bring(
    channel: Arc<dyn Channel>,
    pending: Pending,
    approvals: &Approvals,
    printer: Printer,
) {
    tokio::select! {
        () = approvals.over(&pending.id) => channel.take_back(&pending).await,
        said = channel.ask(&pending) => match said {
            // Somebody elsewhere may have been faster by a moment: then theirs counts.
            Ok(answer) => drop(approvals.answer(&pending.id, answer)),
            Err(reason) => printer.warn(&format!(
                "Nobody can be asked at {} about {}: {reason}",
                channel.place(),
                named(&pending.question)
            )),
        },
    }
}

/// A question for messages: a request with its rule.
pub(super) fn named(question: &Question) -> String {
    match question {
        Question::Request(request) => format!("{request} [{}]", request.rule),
        Question::Access(access) => access.to_string(),
    }
}

#[cfg(test)]
mod tests;

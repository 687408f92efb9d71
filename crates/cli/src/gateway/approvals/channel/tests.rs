//! Two places are asked; one answers.

use std::sync::Mutex;
use std::time::Duration;

use fnox_core::{AgentId, Host};
use fnox_gateway::Reason;
use fnox_gateway::approval::{Approver as _, Breadth, HeldRequest, Lasting};
use fnox_testkit::FakeClock;
use http::Method;
use tokio::sync::Notify;

use super::*;

/// Says what it was given to say, once it may.
#[derive(Debug, Default)]
struct Scripted {
    says: Option<Result<Answer, String>>,
    may: Notify,
    taken_back: Mutex<Vec<String>>,
    is_taken_back: Notify,
}

impl Scripted {
    fn saying(said: Result<Answer, String>) -> Arc<Self> {
        Arc::new(Self {
            says: Some(said),
            ..Self::default()
        })
    }
}

#[async_trait]
impl Channel for Scripted {
    fn place(&self) -> &'static str {
        "a test"
    }

    async fn ask(&self, _: &Pending) -> Result<Answer, String> {
        match &self.says {
            Some(said) => {
                self.may.notified().await;
                said.clone()
            }
            None => std::future::pending().await,
        }
    }

    async fn take_back(&self, pending: &Pending) {
        let mut taken_back = self.taken_back.lock().unwrap();
        let request = pending.question.as_request().unwrap();
        taken_back.push(request.target.clone());
        self.is_taken_back.notify_one();
    }
}

fn question() -> HeldRequest {
    HeldRequest {
        agent: AgentId::parse("coder").unwrap(),
        rule: "1: TOKEN -> api.example.com".to_owned(),
        method: Method::GET,
        host: Host::parse("api.example.com:443").unwrap(),
        target: "/a".to_owned(),
        body_length: 0,
        body_sha256: [0; 32],
    }
}

/// Approvals whose questions go to these channels, and what brings them there.
fn running(channels: Vec<Arc<dyn Channel>>) -> (Arc<Approvals>, tokio::task::JoinHandle<()>) {
    let (asking, asked) = mpsc::unbounded_channel();
    let approvals = Arc::new(Approvals::new(
        Arc::new(FakeClock::at("2026-01-01T00:00:00Z")),
        Duration::from_mins(10),
        move |pending| drop(asking.send(pending.clone())),
        |_| "wait".to_owned(),
    ));
    let relay = Relay {
        channels,
        asked,
        printer: Printer::new(true, true),
    };
    let relayed = Arc::clone(&approvals);
    let running = tokio::spawn(async move { relay.run(&relayed).await });
    (approvals, running)
}

fn relayed(channels: Vec<Arc<dyn Channel>>) -> Arc<Approvals> {
    running(channels).0
}

#[tokio::test]
async fn a_gateway_that_ends_takes_back_what_it_has_asked() {
    let silent = Arc::new(Scripted::default());
    let (approvals, relay) = running(vec![silent.clone()]);
    let asking = tokio::spawn({
        let approvals = Arc::clone(&approvals);
        async move { approvals.ask(&question()).await }
    });
    while approvals.pending().is_empty() {
        tokio::task::yield_now().await;
    }
    // The relay has heard of it, too.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    approvals.close();
    relay.await.unwrap();
    assert_eq!(*silent.taken_back.lock().unwrap(), ["/a"]);
    asking.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn the_first_answer_counts_and_the_other_place_is_told() {
    let yes = Answer::Allow {
        breadth: Breadth::Request,
        lasting: Lasting::Once,
    };
    let (fast, silent) = (Scripted::saying(Ok(yes)), Arc::new(Scripted::default()));
    let approvals = relayed(vec![fast.clone(), silent.clone()]);
    fast.may.notify_one();
    approvals.ask(&question()).await.unwrap();
    silent.is_taken_back.notified().await;
    assert_eq!(*silent.taken_back.lock().unwrap(), ["/a"]);
}

#[tokio::test]
async fn a_no_from_anywhere_refuses() {
    let (strict, silent) = (
        Scripted::saying(Ok(Answer::Deny)),
        Arc::new(Scripted::default()),
    );
    let approvals = relayed(vec![silent, strict.clone()]);
    strict.may.notify_one();
    let refusal = approvals.ask(&question()).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Approval);
}

#[tokio::test]
async fn a_place_that_cannot_be_asked_answers_nothing() {
    let broken = Scripted::saying(Err("it is down".to_owned()));
    let approvals = relayed(vec![broken.clone()]);
    broken.may.notify_one();
    let asking = tokio::spawn({
        let approvals = Arc::clone(&approvals);
        async move { approvals.ask(&question()).await }
    });
    while approvals.pending().is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!asking.is_finished());
    let id = approvals.pending()[0].id.clone();
    approvals.answer(&id, Answer::Deny).unwrap();
    asking.await.unwrap().unwrap_err();
}

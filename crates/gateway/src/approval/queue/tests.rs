//! What a yes covers, and for how long.

use fnox_core::{AgentId, Host};
use fnox_testkit::FakeClock;
use http::Method;

use super::*;

const START: &str = "2026-01-01T00:00:00Z";

fn question(target: &str) -> Question {
    Question {
        agent: AgentId::parse("coder").unwrap(),
        rule: "1: TOKEN -> api.example.com".to_owned(),
        method: Method::POST,
        host: Host::parse("api.example.com:443").unwrap(),
        target: target.to_owned(),
        body_length: 3,
        body_sha256: [7; 32],
    }
}

fn answering(id: &str) -> String {
    format!("run `fnox agent approve {id}`")
}

fn patient(patience: Duration) -> (Arc<Approvals>, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::at(START));
    let approvals = Approvals::new(clock.clone(), patience, |_| {}, answering);
    (Arc::new(approvals), clock)
}

fn approvals() -> (Arc<Approvals>, Arc<FakeClock>) {
    patient(Duration::from_mins(10))
}

fn allow(breadth: Breadth, lasting: Lasting) -> Answer {
    Answer::Allow { breadth, lasting }
}

/// Asks, and answers as soon as the question waits.
async fn asked(approvals: &Arc<Approvals>, target: &str, answer: Answer) -> Result<(), Refusal> {
    let (asking, target) = (Arc::clone(approvals), target.to_owned());
    let task = tokio::spawn(async move { asking.ask(&question(&target)).await });
    while approvals.pending().is_empty() {
        tokio::task::yield_now().await;
    }
    let id = approvals.pending()[0].id.clone();
    approvals.answer(&id, answer).unwrap();
    task.await.unwrap()
}

/// Whether it passes without anybody being there.
fn passes(approvals: &Approvals, asked: &Question) -> bool {
    approvals.look(asked) == Ok(Ok(()))
}

#[tokio::test]
async fn a_yes_for_once_is_for_one_request() {
    let (approvals, _) = approvals();
    let yes = allow(Breadth::Request, Lasting::Once);
    asked(&approvals, "/a", yes).await.unwrap();
    assert!(!passes(&approvals, &question("/a")));
}

#[tokio::test]
async fn a_yes_is_for_the_same_bytes() {
    let (approvals, clock) = approvals();
    let yes = allow(
        Breadth::Request,
        Lasting::For(SignedDuration::from_mins(30)),
    );
    asked(&approvals, "/a", yes).await.unwrap();
    assert!(passes(&approvals, &question("/a")));
    for other in [
        question("/a?x=1"),
        Question {
            method: Method::PUT,
            ..question("/a")
        },
        Question {
            host: Host::parse("api.example.com:8443").unwrap(),
            ..question("/a")
        },
        Question {
            body_sha256: [8; 32],
            ..question("/a")
        },
        Question {
            agent: AgentId::parse("other").unwrap(),
            ..question("/a")
        },
        Question {
            rule: "2: TOKEN -> api.example.com".to_owned(),
            ..question("/a")
        },
    ] {
        assert!(!passes(&approvals, &other), "{other}");
    }
    clock.advance(SignedDuration::from_mins(31));
    assert!(!passes(&approvals, &question("/a")));
}

#[tokio::test]
async fn a_yes_for_a_rule_is_for_the_agents_other_requests_too() {
    let (approvals, clock) = approvals();
    let yes = allow(Breadth::Rule, Lasting::Session);
    asked(&approvals, "/a", yes).await.unwrap();
    clock.advance(SignedDuration::from_hours(24));
    assert!(passes(&approvals, &question("/b")));
    let other = Question {
        agent: AgentId::parse("other").unwrap(),
        ..question("/b")
    };
    assert!(!passes(&approvals, &other));
}

#[tokio::test]
async fn a_no_is_remembered_and_names_the_rule() {
    let (approvals, clock) = approvals();
    let refusal = asked(&approvals, "/a", Answer::Deny).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Approval);
    assert_eq!(refusal.rule.as_deref(), Some("1: TOKEN -> api.example.com"));
    let again = approvals.ask(&question("/a")).await.unwrap_err();
    assert_eq!(again.message, "a person refused this request");
    clock.advance(SignedDuration::from_mins(11));
    assert!(matches!(approvals.look(&question("/a")), Ok(Err(_))));
}

#[tokio::test]
async fn who_gave_up_may_come_again_after_the_yes() {
    let (approvals, clock) = patient(Duration::ZERO);
    let refusal = approvals.ask(&question("/a")).await.unwrap_err();
    let id = approvals.pending()[0].id.clone();
    assert!(refusal.to_string().contains(&id), "{refusal}");
    approvals
        .answer(&id, allow(Breadth::Request, Lasting::Once))
        .unwrap();
    assert!(passes(&approvals, &question("/a")));
    let refusal = approvals.ask(&question("/a")).await.unwrap_err();
    assert!(!refusal.to_string().contains(&id), "{refusal}");
    let id = approvals.pending()[0].id.clone();
    clock.advance(SignedDuration::from_mins(11));
    let late = approvals.answer(&id, Answer::Deny).unwrap_err();
    assert_eq!(late, UnknownQuestion(id));
}

#[tokio::test]
async fn a_crowd_is_turned_away() {
    let (approvals, _) = approvals();
    for number in 0..MOST {
        assert!(!passes(&approvals, &question(&format!("/{number}"))));
    }
    let refusal = approvals.ask(&question("/more")).await.unwrap_err();
    assert!(refusal.message.contains("wait for a person already"));
    assert_eq!(approvals.pending().len(), MOST);
}

#[tokio::test]
async fn whoever_waits_for_its_end_is_told() {
    let (approvals, clock) = approvals();
    approvals.look(&question("/a")).unwrap().unwrap_err();
    let id = approvals.pending()[0].id.clone();
    let over = tokio::spawn({
        let (approvals, id) = (Arc::clone(&approvals), id.clone());
        async move { approvals.over(&id).await }
    });
    tokio::task::yield_now().await;
    assert!(!over.is_finished());
    approvals.answer(&id, Answer::Deny).unwrap();
    over.await.unwrap();
    // What is too old waits no longer either.
    let aged = approvals.look(&question("/b")).unwrap().unwrap_err();
    clock.advance(KEPT);
    approvals.over(&aged).await;
}

//! What a yes covers, and for how long.

use fnox_core::{AgentId, Host};
use fnox_testkit::FakeClock;
use http::Method;

use super::super::AccessRequest;
use super::*;

const START: &str = "2026-01-01T00:00:00Z";

fn question(target: &str) -> HeldRequest {
    HeldRequest {
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
fn passes(approvals: &Approvals, asked: &HeldRequest) -> bool {
    let looked = approvals.look(&asked.clone().into());
    matches!(looked, Ok(Ok(Decided::Allowed { .. })))
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
        HeldRequest {
            method: Method::PUT,
            ..question("/a")
        },
        HeldRequest {
            host: Host::parse("api.example.com:8443").unwrap(),
            ..question("/a")
        },
        HeldRequest {
            body_sha256: [8; 32],
            ..question("/a")
        },
        HeldRequest {
            agent: AgentId::parse("other").unwrap(),
            ..question("/a")
        },
        HeldRequest {
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
    let other = HeldRequest {
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
    assert!(matches!(approvals.look(&question("/a").into()), Ok(Err(_))));
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
    assert_eq!(late, NotAnswered::Unknown(id));
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
    approvals.look(&question("/a").into()).unwrap().unwrap_err();
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
    let aged = approvals.look(&question("/b").into()).unwrap().unwrap_err();
    clock.advance(KEPT);
    approvals.over(&aged).await;
}

fn access(reason: &str) -> AccessRequest {
    AccessRequest {
        agent: AgentId::parse("coder").unwrap(),
        credential: "TOKEN".to_owned(),
        host: Host::parse("api.example.com:443").unwrap(),
        methods: vec![Method::GET],
        reason: reason.to_owned(),
    }
}

/// Leaves a question and says what it is called.
fn left(approvals: &Approvals, access: AccessRequest) -> String {
    approvals.look(&access.into()).unwrap().unwrap_err()
}

#[tokio::test]
async fn a_yes_to_a_use_is_for_a_time_and_is_heard_once() {
    let (approvals, clock) = approvals();
    let id = left(&approvals, access("to read"));
    let minutes = |minutes| Lasting::For(SignedDuration::from_mins(minutes));
    for wrong in [
        allow(Breadth::Request, Lasting::Once),
        allow(Breadth::Request, Lasting::Session),
        allow(Breadth::Rule, minutes(5)),
        allow(Breadth::Request, minutes(61)),
        allow(Breadth::Request, minutes(0)),
    ] {
        assert_eq!(approvals.answer(&id, wrong), Err(NotAnswered::Unfit));
    }
    let yes = allow(Breadth::Request, minutes(5));
    approvals.answer(&id, yes).unwrap();
    assert_eq!(
        approvals.answer(&id, yes),
        Err(NotAnswered::Unknown(id.clone()))
    );
    for other in [
        access("to write"),
        AccessRequest {
            host: Host::parse("api.example.com:8443").unwrap(),
            ..access("to read")
        },
        AccessRequest {
            methods: vec![Method::GET, Method::POST],
            ..access("to read")
        },
        AccessRequest {
            credential: "OTHER".to_owned(),
            ..access("to read")
        },
        AccessRequest {
            agent: AgentId::parse("other").unwrap(),
            ..access("to read")
        },
    ] {
        assert!(approvals.look(&other.into()).unwrap().is_err());
    }
    // From the moment of the yes, and not from that at which it is heard.
    let until = clock.now() + SignedDuration::from_mins(5);
    clock.advance(SignedDuration::from_mins(4));
    let heard = approvals.look(&access("to read").into()).unwrap();
    assert_eq!(heard, Ok(Decided::Allowed { until: Some(until) }));
}

#[tokio::test]
async fn a_yes_that_nobody_heard_ends_with_its_time() {
    let (approvals, clock) = approvals();
    let id = left(&approvals, access("to read"));
    let yes = allow(Breadth::Request, Lasting::For(SignedDuration::from_mins(5)));
    approvals.answer(&id, yes).unwrap();
    clock.advance(SignedDuration::from_mins(5));
    assert!(approvals.look(&access("to read").into()).unwrap().is_err());
}

#[tokio::test]
async fn who_is_refused_or_waits_gets_no_other_answer_with_other_words() {
    let (approvals, _) = approvals();
    let id = left(&approvals, access("to read"));
    let refusal = approvals.look(&access("please").into()).unwrap_err();
    assert!(refusal.message.contains("another reason"), "{refusal}");
    approvals.answer(&id, Answer::Deny).unwrap();
    let again = approvals.look(&access("please").into()).unwrap();
    assert_eq!(again, Ok(Decided::Denied));
}

#[tokio::test]
async fn a_gateway_that_ends_asks_nothing_any_more() {
    let (approvals, _) = approvals();
    let id = left(&approvals, access("to read"));
    let over = tokio::spawn({
        let (approvals, id) = (Arc::clone(&approvals), id.clone());
        async move { tokio::join!(approvals.over(&id), approvals.closed()) }
    });
    tokio::task::yield_now().await;
    assert!(!over.is_finished());
    approvals.close();
    over.await.unwrap();
    let late = approvals.answer(&id, Answer::Deny).unwrap_err();
    assert_eq!(late, NotAnswered::Unknown(id));
    let refusal = approvals.ask(&question("/a")).await.unwrap_err();
    assert_eq!(refusal.message, "the gateway is ending");
}

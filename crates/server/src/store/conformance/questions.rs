//! Promises about questions: a yes to a request of an agent is used once, and is a yes to nothing else.

use std::time::Duration;

use fnox_api::{AgentRequest, ApprovalStatus, Decision};
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::transactions::statement;
use super::world::{World, answer, entry, moment, new_approval, new_decision};
use super::{Place, rounds};
use crate::store::{
    ApprovalRecord, NewApproval, NewDecision, QuestionRecord, Refusal, SessionRecord, UsedYes,
};

/// How many want one yes at once.
const CROWD: usize = 64;

/// Runs all of them.
pub async fn run(place: &dyn Place) {
    a_question_comes_back_as_it_was_asked(place).await;
    a_yes_is_used_once(place).await;
    a_no_a_yes_and_a_use_at_once_agree(place).await;
    a_yes_or_the_end_of_time_comes_first(place).await;
    a_question_becomes_no_grant(place).await;
    a_request_for_keys_is_no_question(place).await;
    only_the_gateway_that_asked_uses_the_yes(place).await;
    the_shortest_of_several_yeses_counts(place).await;
    people_decide_about_their_own_agents_where_they_may(place).await;
    too_many_in_a_short_time_are_refused(place).await;
    emergencies_stop_it(place).await;
}

async fn ready(place: &dyn Place) -> (World, SessionRecord) {
    let world = World::fresh(place).await;
    let session = world.session(1).await;
    (world, session)
}

/// A question, unlike every other one.
fn new_question(session: &SessionRecord) -> NewApproval {
    let mut new = new_approval(session, &[]);
    new.approval.question = Some(QuestionRecord {
        request: AgentRequest {
            agent: "coder".to_owned(),
            rule: "github".to_owned(),
            method: "POST".to_owned(),
            host: "api.github.com".to_owned(),
            target: "/repos/acme/app/pulls?draft=1".to_owned(),
            body_length: 120,
            body_sha256: "ab".repeat(32),
        }
        .into(),
        longest: 900,
        own: false,
        lasting: None,
    });
    let empty = [
        &mut new.approval.project,
        &mut new.approval.profile,
        &mut new.approval.command_hash,
        &mut new.approval.command_display,
    ];
    for text in empty {
        text.clear();
    }
    new
}

fn used(id: Uuid, session: &SessionRecord, now: Timestamp) -> UsedYes {
    UsedYes {
        approval: id,
        binding: session.subject.binding(),
        session: session.id,
        now,
    }
}

async fn asked(world: &World, session: &SessionRecord) -> Uuid {
    world.ask(new_question(session)).await.unwrap().id
}

async fn use_yes(world: &World, number: usize, used: UsedYes) -> Result<ApprovalRecord, Refusal> {
    answer(
        world
            .store(number)
            .use_yes(used, entry("question_used"))
            .await,
    )
}

async fn a_question_comes_back_as_it_was_asked(place: &dyn Place) {
    let (world, session) = ready(place).await;
    let new = new_question(&session);
    let expected = new.approval.clone();
    assert_eq!(world.ask(new).await.unwrap(), expected);
    let found = world.store(1).approval(expected.id).await.unwrap();
    assert_eq!(found.as_ref(), Some(&expected));
    let listed = world.store(0).approvals(Some(moment(1)), 2).await.unwrap();
    assert_eq!(listed, [expected]);
    // The log tells what was asked.
    let records = world.records("approval_asked").await;
    let entry = &records[0].entry;
    assert_eq!(entry.host.as_deref(), Some("api.github.com"));
    assert!(
        entry
            .detail
            .as_ref()
            .unwrap()
            .contains("/repos/acme/app/pulls?draft=1")
    );
}

/// A crowd uses one yes at once, again and again: one of them may send the request, each time.
async fn a_yes_is_used_once(place: &dyn Place) {
    let (world, session) = ready(place).await;
    for round in 0..rounds() {
        let id = asked(&world, &session).await;
        let early = use_yes(&world, 0, used(id, &session, moment(1))).await;
        assert_eq!(early, Err(Refusal::Status(ApprovalStatus::Pending)));
        world.decide(id, "alice", Decision::Approve).await.unwrap();
        let mut crowd = JoinSet::new();
        for number in 0..CROWD {
            let (world, used) = (world.clone(), used(id, &session, moment(2)));
            crowd.spawn(async move { use_yes(&world, number, used).await.map(|_| ()) });
        }
        let answers = crowd.join_all().await;
        assert_eq!(answers.iter().flatten().count(), 1, "round {round}");
        let late = Err(Refusal::Status(ApprovalStatus::Fetched));
        let refused = answers.iter().filter(|it| **it == late).count();
        assert_eq!(refused, CROWD - 1, "round {round}");
        assert_eq!(world.status(id).await, ApprovalStatus::Fetched);
        // A no comes too late.
        assert_eq!(
            world.decide(id, "bob", Decision::Deny).await,
            Err(Refusal::Status(ApprovalStatus::Fetched))
        );
    }
    world.log_is_whole().await;
}

/// Whoever was first, all agree on it: a yes is used, or there was a no.
async fn a_no_a_yes_and_a_use_at_once_agree(place: &dyn Place) {
    let (world, session) = ready(place).await;
    for round in 0..rounds() {
        let id = asked(&world, &session).await;
        let mut crowd = JoinSet::new();
        for number in 0..8 {
            let (world, used) = (world.clone(), used(id, &session, moment(2)));
            crowd.spawn(async move {
                let decide = |by: &str, decision| {
                    let new = new_decision(id, by, decision, moment(1));
                    world.store(number).decide(new, entry("decided"))
                };
                match number % 4 {
                    0 => drop(answer(decide("alice", Decision::Approve).await)),
                    1 => drop(answer(decide("bob", Decision::Deny).await)),
                    _ => return use_yes(&world, number, used).await.is_ok(),
                }
                false
            });
        }
        let uses = crowd.join_all().await;
        let uses = uses.into_iter().filter(|used| *used).count();
        let status = world.status(id).await;
        match uses {
            0 => assert!(
                matches!(status, ApprovalStatus::Denied | ApprovalStatus::Approved),
                "round {round}: {status:?}"
            ),
            uses => {
                assert_eq!(uses, 1, "round {round}");
                assert_eq!(status, ApprovalStatus::Fetched, "round {round}");
            }
        }
    }
}

async fn a_yes_or_the_end_of_time_comes_first(place: &dyn Place) {
    let (world, session) = ready(place).await;
    for _ in 0..rounds() {
        let id = asked(&world, &session).await;
        let yes = {
            let world = world.clone();
            let new = NewDecision {
                approved_until: moment(600),
                ..new_decision(id, "alice", Decision::Approve, moment(599))
            };
            tokio::spawn(
                async move { answer(world.store(0).decide(new, entry("d")).await).is_ok() },
            )
        };
        let end = {
            let world = world.clone();
            tokio::spawn(async move { world.store(1).expire(moment(600), 200).await.unwrap() })
        };
        let (yes, _) = (yes.await.unwrap(), end.await.unwrap());
        // A yes does not outlive the question, so after that moment nothing is used, whoever was first.
        let late = use_yes(&world, 0, used(id, &session, moment(600))).await;
        assert_eq!(late, Err(Refusal::Status(ApprovalStatus::Expired)), "{yes}");
        world.store(0).expire(moment(600), 200).await.unwrap();
        assert_eq!(world.status(id).await, ApprovalStatus::Expired);
    }
}

async fn a_question_becomes_no_grant(place: &dyn Place) {
    let (world, session) = ready(place).await;
    let id = asked(&world, &session).await;
    world.decide(id, "alice", Decision::Approve).await.unwrap();
    assert_eq!(world.grant(id, &session).await, Err(Refusal::NotTheirs));
    assert_eq!(world.status(id).await, ApprovalStatus::Approved);
    // Nor by a statement that this program does not have.
    let statements = [
        (
            "UPDATE approvals SET status = 'granted' WHERE id = $1",
            vec![id.into()],
        ),
        (
            "UPDATE approvals SET question = NULL WHERE id = $1",
            vec![id.into()],
        ),
        (
            "INSERT INTO grants (id, hash, approval, session, created_at, expires_at) VALUES ($1, $2, $1, $1, 0, 1)",
            vec![id.into(), [1_u8; 32].into()],
        ),
    ];
    for (sql, values) in statements {
        let work = statement(sql, values, Vec::new());
        let outcome = world.store(0).database().write(work).await;
        assert!(outcome.is_err(), "{sql}");
    }
    use_yes(&world, 0, used(id, &session, moment(3)))
        .await
        .unwrap();
}

async fn a_request_for_keys_is_no_question(place: &dyn Place) {
    let (world, session) = ready(place).await;
    let secret = world.put("NPM_TOKEN", "one").await;
    let keys = world.ask(new_approval(&session, std::slice::from_ref(&secret)));
    let id = keys.await.unwrap().id;
    world.decide(id, "alice", Decision::Approve).await.unwrap();
    let outcome = use_yes(&world, 0, used(id, &session, moment(2))).await;
    assert_eq!(outcome, Err(Refusal::NotTheirs));
    let work = statement(
        "UPDATE approvals SET question = '{}' WHERE id = $1",
        vec![id.into()],
        Vec::new(),
    );
    assert!(world.store(0).database().write(work).await.is_err());
    world.grant(id, &session).await.unwrap();
}

async fn only_the_gateway_that_asked_uses_the_yes(place: &dyn Place) {
    let (world, session) = ready(place).await;
    let other = world.session(2).await;
    let id = asked(&world, &session).await;
    world.decide(id, "alice", Decision::Approve).await.unwrap();
    let theirs = use_yes(&world, 1, used(id, &other, moment(2))).await;
    assert_eq!(theirs, Err(Refusal::NotTheirs));
    let nothing = use_yes(&world, 1, used(Uuid::now_v7(), &session, moment(2))).await;
    assert_eq!(nothing, Err(Refusal::Missing));
    use_yes(&world, 1, used(id, &session, moment(2)))
        .await
        .unwrap();
}

async fn the_shortest_of_several_yeses_counts(place: &dyn Place) {
    let (world, session) = ready(place).await;
    let mut new = new_question(&session);
    new.approval.approvals_needed = 3;
    let id = world.ask(new).await.unwrap().id;
    for (by, lasting) in [("alice", 900), ("bob", 300), ("carol", 600)] {
        let new = NewDecision {
            lasting,
            ..new_decision(id, by, Decision::Approve, moment(1))
        };
        world.store(0).decide(new, entry("decided")).await.unwrap();
    }
    let record = use_yes(&world, 0, used(id, &session, moment(2)))
        .await
        .unwrap();
    assert_eq!(record.question.unwrap().lasting, Some(300));
}

async fn people_decide_about_their_own_agents_where_they_may(place: &dyn Place) {
    let (world, session) = ready(place).await;
    let principal = session.subject.principal();
    let id = asked(&world, &session).await;
    let own = world.decide(id, &principal, Decision::Approve).await;
    assert_eq!(own, Err(Refusal::SelfApproval));
    let mut new = new_question(&session);
    if let Some(question) = &mut new.approval.question {
        question.own = true;
    }
    let id = world.ask(new).await.unwrap().id;
    assert_eq!(
        world.decide(id, &principal, Decision::Approve).await,
        Ok(true)
    );
}

async fn too_many_in_a_short_time_are_refused(place: &dyn Place) {
    let (world, session) = ready(place).await;
    let at = |seconds: i64| {
        let mut new = new_question(&session);
        new.often = Some((3, Duration::from_mins(10)));
        new.approval.created_at = moment(seconds);
        new.approval.expires_at = moment(seconds) + SignedDuration::from_mins(10);
        new
    };
    for seconds in 0..3 {
        let id = world.ask(at(seconds)).await.unwrap().id;
        // Whoever takes it back has asked all the same.
        let binding = session.subject.binding();
        let cancel = world
            .store(0)
            .cancel(id, binding, moment(seconds), entry("x"));
        cancel.await.unwrap();
    }
    let refused = world.ask(at(3)).await;
    let until = moment(0) + Duration::from_mins(10);
    assert_eq!(refused, Err(Refusal::TooOften { limit: 3, until }));
    world.ask(at(601)).await.unwrap();
}

async fn emergencies_stop_it(place: &dyn Place) {
    let (world, session) = ready(place).await;
    let id = asked(&world, &session).await;
    world.decide(id, "alice", Decision::Approve).await.unwrap();
    let store = world.store(0);
    store.set_frozen(true, entry("frozen")).await.unwrap();
    let frozen = use_yes(&world, 1, used(id, &session, moment(2))).await;
    assert_eq!(frozen, Err(Refusal::Frozen));
    assert_eq!(
        world.ask(new_question(&session)).await,
        Err(Refusal::Frozen)
    );
    store.set_frozen(false, entry("unfrozen")).await.unwrap();
    store.end_session(session.id, entry("ended")).await.unwrap();
    let ended = use_yes(&world, 1, used(id, &session, moment(2))).await;
    assert_eq!(ended, Err(Refusal::SessionEnded));
    // A new session of the same gateway is the same gateway.
    let again = world.session(1).await;
    use_yes(&world, 1, used(id, &again, moment(2)))
        .await
        .unwrap();
}

//! Questions of gateways for people, at two vaults on one database.

use fnox_core::AgentId;
use fnox_core::question::{AgentRequest, Asked};
use fnox_vault::store::{LeaseStore as _, QuestionCaps, QuestionChange, QuestionRecord, Refusal};
use fnox_vault::store::{Said, StoreError};
use fnox_vault::{Engine, Identity, PeerBinding, VaultError};
use fnox_vault_wire::methods::{
    ApprovalState, AskApproval, AwaitApproval, Breadth, CreateToken, DecideApproval, Decision,
    Lasting, ListApprovals, Role, TakeBackApproval,
};
use fnox_vault_wire::{ApprovalId, Code};
use jiff::Timestamp;

use crate::support::{DEADLINE, Database, after, entries, keys, now, verify};
use crate::two_vaults::vaults;

const ONCE: Decision = Decision::Allow {
    breadth: Breadth::Request,
    lasting: Lasting::Once,
};

fn held(target: &str) -> Asked {
    AgentRequest {
        agent: "coder".to_owned(),
        rule: "1: token -> a.com".to_owned(),
        method: "POST".to_owned(),
        host: "a.com:443".to_owned(),
        target: target.to_owned(),
        body_length: 9,
        body_sha256: "ab".repeat(32),
    }
    .into()
}

fn gateway(uid: u32) -> Identity {
    Identity {
        role: Role::Gateway,
        agent: Some(AgentId::parse("front").unwrap()),
        peer: PeerBinding::Uid(uid),
        origin: format!("unix(uid={uid})"),
        expires_at: None,
    }
}

async fn ask(engine: &Engine, who: &Identity, target: &str) -> Result<ApprovalId, VaultError> {
    let params = AskApproval {
        request: held(target),
        ttl_secs: 600,
    };
    let asked = engine.ask_approval(who, params).await?;
    Ok(asked.id)
}

async fn hear(
    engine: &Engine,
    who: &Identity,
    id: ApprovalId,
    wait_secs: u32,
) -> Result<ApprovalState, VaultError> {
    let params = AwaitApproval { id, wait_secs };
    engine.await_approval(who, params).await
}

async fn decide(engine: &Engine, id: ApprovalId, decision: Decision) -> Result<(), VaultError> {
    let params = DecideApproval { id, decision };
    engine.decide_approval(&Identity::local(), params).await
}

async fn waiting(engine: &Engine) -> Vec<ApprovalId> {
    let listed = engine.list_approvals(ListApprovals::default()).await;
    let listed = listed.unwrap().approvals;
    listed.into_iter().map(|it| it.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL"]
async fn what_is_asked_at_one_vault_is_answered_at_the_other() {
    let database = Database::create().await;
    let [first, second] = vaults(&database).await;
    let asker = gateway(1001);
    let id = ask(&first, &asker, "/pulls?draft=1").await.unwrap();
    assert_eq!(waiting(&second).await, [id]);
    let (engine, own) = (first.clone(), asker.clone());
    let waits = tokio::spawn(async move { hear(&engine, &own, id, 20).await });
    decide(&second, id, ONCE).await.unwrap();
    let heard = tokio::time::timeout(DEADLINE, waits).await;
    assert_eq!(heard.unwrap().unwrap().unwrap().decision, Some(ONCE));
    // A gateway that comes to the other vault afterwards hears it too; another gateway at neither.
    let heard = hear(&second, &asker, id, 0).await.unwrap();
    assert_eq!(heard.decision, Some(ONCE));
    for engine in [&first, &second] {
        let other = hear(engine, &gateway(1002), id, 0).await.unwrap_err();
        assert_eq!(other.code(), Code::ApprovalNotFound);
        assert!(waiting(engine).await.is_empty());
        let late = decide(engine, id, Decision::Deny).await.unwrap_err();
        assert_eq!(late.code(), Code::Conflict);
        let text = late.to_string();
        assert!(text.contains("admin local allowed"), "{text}");
    }
    let verified = second.audit_verify(&Identity::local(), &[]).await.unwrap();
    assert!(verified.intact, "{verified:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL"]
async fn of_two_who_decide_at_two_vaults_one_counts() {
    let database = Database::create().await;
    let [first, second] = vaults(&database).await;
    let asker = gateway(1001);
    for number in 0..20 {
        let id = ask(&first, &asker, &format!("/{number}")).await.unwrap();
        let (yes, no) = tokio::join!(
            decide(&first, id, ONCE),
            decide(&second, id, Decision::Deny)
        );
        let said = match (yes, no) {
            (Ok(()), Err(late)) if late.code() == Code::Conflict => ONCE,
            (Err(late), Ok(())) if late.code() == Code::Conflict => Decision::Deny,
            other => panic!("exactly one counts: {other:?}"),
        };
        for engine in [&first, &second] {
            let heard = hear(engine, &asker, id, 0).await.unwrap();
            assert_eq!(heard.decision, Some(said));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL"]
async fn a_vault_that_ended_leaves_its_questions_to_the_others() {
    let database = Database::create().await;
    let [first, second] = vaults(&database).await;
    let asker = gateway(1001);
    let id = ask(&first, &asker, "/a").await.unwrap();
    drop(first);
    decide(&second, id, ONCE).await.unwrap();
    let heard = hear(&second, &asker, id, 0).await.unwrap();
    assert_eq!(heard.decision, Some(ONCE));
    let taken = second.take_back_approval(&asker, TakeBackApproval { id });
    taken.await.unwrap();
    let gone = hear(&second, &asker, id, 0).await.unwrap_err();
    assert_eq!(gone.code(), Code::ApprovalNotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL"]
async fn the_limit_counts_what_was_asked_at_both() {
    let database = Database::create().await;
    let vaults = vaults(&database).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40 {
        let engine = vaults[number % 2].clone();
        tasks.spawn(async move { ask(&engine, &gateway(1001), &format!("/{number}")).await });
    }
    let outcomes = tasks.join_all().await;
    let (asked, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((asked.len(), refused.len()), (32, 8));
    for error in refused.into_iter().filter_map(Result::err) {
        assert_eq!(error.code(), Code::TooManyRequests);
    }
    ask(&vaults[0], &gateway(1002), "/a").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL"]
async fn the_questions_of_a_withdrawn_token_are_gone_everywhere() {
    let database = Database::create().await;
    let [first, second] = vaults(&database).await;
    let params = CreateToken {
        agent: "front".to_owned(),
        role: Role::Gateway,
        ttl_secs: 600,
        max_uses: None,
        peer: None,
    };
    let token = first
        .create_token(&Identity::local(), &params)
        .await
        .unwrap();
    let asker = Identity {
        peer: PeerBinding::Token(token.id),
        ..gateway(1001)
    };
    ask(&first, &asker, "/a").await.unwrap();
    assert_eq!(waiting(&second).await.len(), 1);
    second
        .revoke_token(&Identity::local(), token.id)
        .await
        .unwrap();
    for engine in [&first, &second] {
        assert!(waiting(engine).await.is_empty());
    }
}

fn record(asked_at: Timestamp, expires_at: Timestamp) -> QuestionRecord {
    QuestionRecord {
        id: ApprovalId::generate(),
        request: held("/a"),
        gateway: None,
        peer: PeerBinding::Uid(7),
        asked_at,
        expires_at,
        said: None,
    }
}

const CAPS: QuestionCaps = QuestionCaps {
    per_gateway: 1,
    in_all: 2,
};

fn asking(question: &QuestionRecord) -> QuestionChange {
    QuestionChange::Ask {
        question: Box::new(question.clone()),
        caps: CAPS,
    }
}

fn answering(id: ApprovalId, now: Timestamp) -> QuestionChange {
    QuestionChange::Answer {
        id,
        said: Said {
            decision: ONCE,
            by: "admin ada".to_owned(),
        },
        now,
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_question_and_its_record_are_stored_together_or_neither_is() {
    let database = Database::create().await;
    let store = database.store().await;
    let question = record(now(), after(600));
    let change = asking(&question);
    store
        .change_question(change, entries("asked"))
        .await
        .unwrap();
    let found = store.questions(None).await.unwrap();
    assert_eq!(found, std::slice::from_ref(&question));
    let more = store
        .change_question(asking(&record(now(), after(600))), entries("more"))
        .await;
    let Err(StoreError::Refused(Refusal::Cap { what, limit: 1 })) = more else {
        panic!("one of one gateway: {more:?}");
    };
    assert_eq!(what, QuestionCaps::OF_GATEWAY);
    let answer = answering(question.id, after(1));
    store
        .change_question(answer.clone(), entries("answered"))
        .await
        .unwrap();
    let again = store.change_question(answer, entries("again")).await;
    assert!(
        matches!(again, Err(StoreError::Refused(Refusal::Moved))),
        "{again:?}"
    );
    let found = store.questions(Some(question.id)).await.unwrap();
    assert_eq!(found[0].said.as_ref().unwrap().by, "admin ada");
    let id = question.id;
    let take_back = QuestionChange::TakeBack { id };
    store
        .change_question(take_back.clone(), entries("taken back"))
        .await
        .unwrap();
    let again = store.change_question(take_back, entries("again")).await;
    assert!(
        matches!(again, Err(StoreError::Refused(Refusal::Missing))),
        "{again:?}"
    );
    let report = verify(&store, &keys()).await;
    assert!(report.flaws.is_empty(), "{report:?}");
    assert_eq!(report.records, 3, "what was refused is not on record");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_question_that_is_over_takes_no_answer_and_no_place() {
    let database = Database::create().await;
    let store = database.store().await;
    let old = record(now(), after(60));
    store
        .change_question(asking(&old), entries("asked"))
        .await
        .unwrap();
    let late = store
        .change_question(answering(old.id, after(60)), entries("late"))
        .await;
    assert!(
        matches!(late, Err(StoreError::Refused(Refusal::Moved))),
        "{late:?}"
    );
    let next = record(after(60), after(120));
    store
        .change_question(asking(&next), entries("next"))
        .await
        .unwrap();
    let found = store.questions(None).await.unwrap();
    assert_eq!(found, [next], "what is over is forgotten");
}

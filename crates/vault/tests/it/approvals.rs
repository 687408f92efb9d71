//! Questions of gateways for people.

use std::sync::Arc;

use fnox_core::question::{AccessKind, AgentAccess, AgentRequest};
use fnox_vault::{Engine, EngineOptions, EngineParts, Identity};
use fnox_vault_wire::methods::{
    ApprovalInfo, ApprovalState, AskApproval, AuditQuery, AwaitApproval, Breadth, DecideApproval,
    Decision, Lasting, ListApprovals, RevokeToken, Role, TakeBackApproval,
};
use fnox_vault_wire::{ApprovalId, Client, Code, Connector};
use jiff::SignedDuration;

use crate::records::Full;
use crate::served::{Served, refusal, soon};
use crate::support::{POLICY, World, admin, agent, code};

const ONCE: Decision = Decision::Allow {
    breadth: Breadth::Request,
    lasting: Lasting::Once,
};

fn gateway(name: &str, uid: u32) -> Identity {
    Identity {
        role: Role::Gateway,
        ..agent(name, uid)
    }
}

/// A question about this path and query.
fn about(target: &str) -> AskApproval {
    AskApproval {
        request: request(target).into(),
        ttl_secs: 600,
    }
}

fn request(target: &str) -> AgentRequest {
    AgentRequest {
        agent: "coder".to_owned(),
        rule: "1: token -> api.example.com".to_owned(),
        method: "POST".to_owned(),
        host: "api.example.com:443".to_owned(),
        target: target.to_owned(),
        body_length: 9,
        body_sha256: "ab".repeat(32),
    }
}

/// The use of a credential, with this reason.
fn access(reason: &str) -> AgentAccess {
    AgentAccess {
        kind: AccessKind::Access,
        agent: "coder".to_owned(),
        credential: "TOKEN".to_owned(),
        host: "api.example.com:443".to_owned(),
        methods: vec!["GET".to_owned(), "HEAD".to_owned()],
        reason: reason.to_owned(),
    }
}

/// A yes for so many seconds.
fn yes_for(seconds: u32) -> Decision {
    Decision::Allow {
        breadth: Breadth::Request,
        lasting: Lasting::Seconds(seconds),
    }
}

impl World {
    async fn ask(&self, who: &Identity, target: &str) -> ApprovalId {
        self.engine
            .ask_approval(who, about(target))
            .await
            .unwrap()
            .id
    }

    async fn look(
        &self,
        who: &Identity,
        id: ApprovalId,
    ) -> Result<ApprovalState, fnox_vault::VaultError> {
        let params = AwaitApproval { id, wait_secs: 0 };
        self.engine.await_approval(who, params).await
    }

    async fn decide(
        &self,
        id: ApprovalId,
        decision: Decision,
    ) -> Result<(), fnox_vault::VaultError> {
        let params = DecideApproval { id, decision };
        self.engine.decide_approval(&admin(), params).await
    }

    async fn waiting(&self) -> Vec<ApprovalInfo> {
        let list = self.engine.list_approvals(ListApprovals::default());
        list.await.unwrap().approvals
    }
}

#[tokio::test]
async fn a_question_is_asked_decided_and_heard_and_all_of_it_is_on_record() {
    let world = World::new(POLICY).await;
    let asker = gateway("front", 1001);
    let id = world.ask(&asker, "/pulls?draft=1").await;
    let waiting = world.waiting().await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].request, about("/pulls?draft=1").request);
    assert_eq!((waiting[0].id, waiting[0].gateway.as_str()), (id, "front"));
    assert_eq!(world.look(&asker, id).await.unwrap().decision, None);
    world.decide(id, ONCE).await.unwrap();
    assert_eq!(world.look(&asker, id).await.unwrap().decision, Some(ONCE));
    assert!(world.waiting().await.is_empty());
    let log = world.log().await;
    let [left, decided] = log.last_chunk().unwrap();
    assert_eq!(left.entry.event, "approval_asked");
    assert_eq!(left.entry.actor, "gateway front");
    assert_eq!(decided.entry.event, "approval_decided");
    assert_eq!(decided.entry.actor, "admin local");
    assert_eq!(decided.entry.agent.as_deref(), Some("coder"));
    assert_eq!(decided.entry.host.as_deref(), Some("api.example.com:443"));
    let expected = format!(
        "allowed this request, once: POST /pulls with 9 bytes, sha256 {}; asked by front (uid:1001) (question {id})",
        "ab".repeat(32)
    );
    assert_eq!(decided.entry.reason.as_deref(), Some(expected.as_str()));
    let verified = world.engine.audit_verify(&admin(), &[]).await.unwrap();
    assert!(verified.intact, "{verified:?}");
}

#[tokio::test]
async fn whoever_waits_hears_it_at_once() {
    let world = World::new(POLICY).await;
    let asker = gateway("front", 1001);
    let id = world.ask(&asker, "/a").await;
    let (engine, own) = (world.engine.clone(), asker.clone());
    let waiting = tokio::spawn(async move {
        let params = AwaitApproval { id, wait_secs: 20 };
        engine.await_approval(&own, params).await
    });
    tokio::task::yield_now().await;
    world.decide(id, Decision::Deny).await.unwrap();
    let heard = soon(waiting).await.unwrap().unwrap();
    assert_eq!(heard.decision, Some(Decision::Deny));
    assert_eq!(world.last(1).await, ["approval_decided denied"]);
}

#[tokio::test]
async fn of_two_who_decide_one_counts_and_the_other_hears_who_it_was() {
    let world = World::new(POLICY).await;
    let asker = gateway("front", 1001);
    let id = world.ask(&asker, "/a").await;
    let by = |name: &str, decision| {
        let (engine, identity) = (
            world.engine.clone(),
            Identity {
                role: Role::Admin,
                ..agent(name, 1)
            },
        );
        async move {
            let params = DecideApproval { id, decision };
            engine.decide_approval(&identity, params).await
        }
    };
    let (ada, ben) = tokio::join!(by("ada", ONCE), by("ben", Decision::Deny));
    let (first, late, said) = match (&ada, &ben) {
        (Ok(()), Err(late)) => ("admin ada allowed", late, ONCE),
        (Err(late), Ok(())) => ("admin ben denied", late, Decision::Deny),
        other => panic!("exactly one counts: {other:?}"),
    };
    assert_eq!(late.code(), Code::Conflict);
    assert!(late.to_string().contains(first), "{late}");
    assert_eq!(world.look(&asker, id).await.unwrap().decision, Some(said));
}

#[tokio::test]
async fn no_other_gateway_hears_it_or_takes_it_back() {
    let world = World::new(POLICY).await;
    let asker = gateway("front", 1001);
    let id = world.ask(&asker, "/a").await;
    world.decide(id, ONCE).await.unwrap();
    for other in [gateway("front", 1002), gateway("back", 1001)] {
        assert_eq!(code(world.look(&other, id).await), Code::ApprovalNotFound);
        let taken = world
            .engine
            .take_back_approval(&other, TakeBackApproval { id })
            .await;
        assert_eq!(code(taken), Code::ApprovalNotFound);
        assert_eq!(world.last(1).await, ["approval_denied denied"]);
    }
    assert_eq!(world.look(&asker, id).await.unwrap().decision, Some(ONCE));
}

#[tokio::test]
async fn what_is_taken_back_cannot_be_decided() {
    let world = World::new(POLICY).await;
    let asker = gateway("front", 1001);
    let id = world.ask(&asker, "/a").await;
    let take_back = TakeBackApproval { id };
    world
        .engine
        .take_back_approval(&asker, take_back)
        .await
        .unwrap();
    assert_eq!(world.last(1).await, ["approval_taken_back ok"]);
    assert!(world.waiting().await.is_empty());
    assert_eq!(code(world.decide(id, ONCE).await), Code::ApprovalNotFound);
    assert_eq!(code(world.look(&asker, id).await), Code::ApprovalNotFound);
}

#[tokio::test]
async fn a_question_is_forgotten_when_its_time_is_over() {
    let world = World::new(POLICY).await;
    let asker = gateway("front", 1001);
    let id = world.ask(&asker, "/a").await;
    let answered = world.ask(&asker, "/b").await;
    world.decide(answered, ONCE).await.unwrap();
    world.clock.advance(SignedDuration::from_secs(599));
    assert_eq!(world.waiting().await.len(), 1);
    world.clock.advance(SignedDuration::from_secs(1));
    assert!(world.waiting().await.is_empty());
    assert_eq!(code(world.decide(id, ONCE).await), Code::ApprovalNotFound);
    // A yes that nobody came for is none any more.
    for id in [id, answered] {
        assert_eq!(code(world.look(&asker, id).await), Code::ApprovalNotFound);
    }
}

#[tokio::test]
async fn a_vault_that_ended_has_no_questions_and_no_answers() {
    let mut world = World::new(POLICY).await;
    let asker = gateway("front", 1001);
    let id = world.ask(&asker, "/a").await;
    world.decide(id, ONCE).await.unwrap();
    world.restart(POLICY).await;
    assert_eq!(code(world.look(&asker, id).await), Code::ApprovalNotFound);
    let again = world.ask(&asker, "/a").await;
    assert_ne!(again, id);
    assert_eq!(world.look(&asker, again).await.unwrap().decision, None);
}

#[tokio::test]
async fn the_same_question_is_one_while_it_waits_and_a_new_one_afterwards() {
    let world = World::new(POLICY).await;
    let asker = gateway("front", 1001);
    let id = world.ask(&asker, "/a").await;
    assert_eq!(world.ask(&asker, "/a").await, id);
    assert_ne!(world.ask(&gateway("front", 1002), "/a").await, id);
    let mut changed = request("/a");
    changed.body_sha256 = "cd".repeat(32);
    let changed = AskApproval {
        request: changed.into(),
        ..about("/a")
    };
    let other = world.engine.ask_approval(&asker, changed).await.unwrap();
    assert_ne!(other.id, id, "another body is another question");
    world.decide(id, ONCE).await.unwrap();
    let next = world.ask(&asker, "/a").await;
    assert_ne!(next, id, "a yes for once is not found again");
    assert_eq!(world.look(&asker, next).await.unwrap().decision, None);
}

#[tokio::test]
async fn one_gateway_leaves_32_questions_and_all_of_them_256() {
    let world = World::new(POLICY).await;
    let ask = |who: Identity, number: u32| {
        let engine = world.engine.clone();
        async move {
            engine
                .ask_approval(&who, about(&format!("/{number}")))
                .await
        }
    };
    for number in 0..32 {
        ask(gateway("front", 1), number).await.unwrap();
    }
    let more = ask(gateway("front", 1), 32).await;
    assert_eq!(code(more), Code::TooManyRequests);
    assert_eq!(world.last(1).await, ["approval_asked denied"]);
    for uid in 2..=8 {
        for number in 0..32 {
            ask(gateway("front", uid), number).await.unwrap();
        }
    }
    let more = ask(gateway("front", 9), 0).await;
    assert_eq!(code(more), Code::TooManyRequests);
    // What is decided makes room.
    let first = world.waiting().await.remove(0);
    world.decide(first.id, Decision::Deny).await.unwrap();
    ask(gateway("front", 9), 0).await.unwrap();
}

#[tokio::test]
async fn a_list_of_long_questions_comes_in_pages() {
    let world = World::new(POLICY).await;
    for uid in 1..=8 {
        for number in 0..20 {
            let target = format!("/{number}/{}", "a".repeat(8000));
            world.ask(&gateway("front", uid), &target).await;
        }
    }
    let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = world.engine.list_approvals(ListApprovals { after });
        let page = page.await.unwrap();
        seen.extend(page.approvals.into_iter().map(|it| it.id));
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert!(pages > 1, "{pages}");
    assert_eq!(seen.len(), 160);
    assert!(seen.is_sorted());
}

#[tokio::test]
async fn what_is_no_request_or_too_long_is_refused() {
    let world = World::new(POLICY).await;
    let asker = gateway("front", 1001);
    let changes: [fn(&mut AgentRequest); 10] = [
        |it| it.agent.clear(),
        |it| it.rule = "a\u{1b}[2J".to_owned(),
        |it| it.rule = "a".repeat(513),
        |it| it.method = "GET /".to_owned(),
        |it| it.host = "https://a.example.com".to_owned(),
        |it| it.target = "pulls".to_owned(),
        |it| it.target = "/a\r\n".to_owned(),
        |it| it.target = format!("/{}", "a".repeat(8192)),
        |it| it.body_sha256 = "AB".repeat(32),
        |it| it.body_sha256 = "ab".repeat(31),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut request = request("/a");
        change(&mut request);
        let params = AskApproval {
            request: request.into(),
            ..about("/a")
        };
        let refused = world.engine.ask_approval(&asker, params).await;
        assert_eq!(code(refused), Code::InvalidRequest, "change {number}");
    }
    for ttl_secs in [0, 601] {
        let params = AskApproval {
            ttl_secs,
            ..about("/a")
        };
        let refused = world.engine.ask_approval(&asker, params).await;
        assert_eq!(code(refused), Code::InvalidConfig);
    }
    let id = world.ask(&asker, "/a").await;
    let params = AwaitApproval { id, wait_secs: 21 };
    let refused = world.engine.await_approval(&asker, params).await;
    assert_eq!(code(refused), Code::InvalidConfig);
    for seconds in [0, 30 * 86_400 + 1] {
        let decision = Decision::Allow {
            breadth: Breadth::Rule,
            lasting: Lasting::Seconds(seconds),
        };
        assert_eq!(code(world.decide(id, decision).await), Code::InvalidConfig);
    }
    assert_eq!(world.waiting().await.len(), 1);
}

#[tokio::test]
async fn the_use_of_a_credential_is_another_kind_of_question() {
    let world = World::new(POLICY).await;
    let asker = gateway("front", 1001);
    let ask = |request: AgentAccess| AskApproval {
        request: request.into(),
        ttl_secs: 600,
    };
    let left = world
        .engine
        .ask_approval(&asker, ask(access("to read")))
        .await;
    let id = left.unwrap().id;
    assert_eq!(
        world.waiting().await[0].request,
        access("to read").into(),
        "it is shown as what it is"
    );
    // A yes that would be one to a request is none to this.
    let broad = Decision::Allow {
        breadth: Breadth::Rule,
        lasting: Lasting::Seconds(60),
    };
    let session = Decision::Allow {
        breadth: Breadth::Request,
        lasting: Lasting::Session,
    };
    for decision in [ONCE, broad, session, yes_for(3601)] {
        assert_eq!(code(world.decide(id, decision).await), Code::InvalidConfig);
    }
    world.decide(id, yes_for(600)).await.unwrap();
    let heard = world.look(&asker, id).await.unwrap();
    assert_eq!(heard.decision, Some(yes_for(600)));
    let log = world.log().await;
    let told: Vec<String> = log
        .iter()
        .filter_map(|it| it.entry.reason.clone())
        .collect();
    let text = told.join("\n");
    assert!(
        text.contains("the use of TOKEN with GET, HEAD, because \"to read\""),
        "{text}"
    );
    assert!(text.contains("allowed this use, for 600 s"), "{text}");
}

#[tokio::test]
async fn what_is_no_use_of_a_credential_is_refused() {
    let world = World::new(POLICY).await;
    let asker = gateway("front", 1001);
    let changes: [fn(&mut AgentAccess); 10] = [
        |it| it.agent.clear(),
        |it| it.credential.clear(),
        |it| it.credential = "a\u{1b}[2J".to_owned(),
        |it| it.host = "https://a.example.com".to_owned(),
        |it| it.methods.clear(),
        |it| it.methods = vec!["GET /".to_owned()],
        |it| it.methods = vec!["GET".to_owned(); 9],
        |it| it.reason = " ".to_owned(),
        |it| it.reason = "a\u{202e}b".to_owned(),
        |it| it.reason = "a".repeat(2049),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut request = access("to read");
        change(&mut request);
        let params = AskApproval {
            request: request.into(),
            ttl_secs: 600,
        };
        let refused = world.engine.ask_approval(&asker, params).await;
        assert_eq!(code(refused), Code::InvalidRequest, "change {number}");
    }
    assert!(world.waiting().await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_recorded_is_neither_asked_nor_answered() {
    let world = World::new(POLICY).await;
    let mut stores = world.stores.clone();
    let log = Arc::new(Full::after(1));
    stores.audit = Some(log);
    let key = fnox_core::SecretString::from("a5".repeat(32).as_str());
    let key = fnox_vault::key_source::EnvKey::new("FNOX_TEST_VAULT_KEY", Some(key));
    let engine = Engine::open(EngineParts {
        stores,
        live: None,
        source: Arc::new(key.unwrap()),
        policy: fnox_vault::policy::Policy::load(POLICY, "policy.toml")
            .unwrap()
            .policy,
        clock: Arc::clone(&world.clock) as Arc<dyn fnox_core::Clock>,
        options: EngineOptions::default(),
    })
    .await
    .unwrap();
    let asker = gateway("front", 1001);
    let id = engine.ask_approval(&asker, about("/a")).await.unwrap().id;
    let decision = ONCE;
    let decided = engine
        .decide_approval(&admin(), DecideApproval { id, decision })
        .await;
    assert_eq!(code(decided), Code::AuditUnavailable);
    let wait_secs = 0;
    let state = engine.await_approval(&asker, AwaitApproval { id, wait_secs });
    assert_eq!(state.await.unwrap().decision, None);
    let refused = engine.ask_approval(&asker, about("/b")).await;
    assert_eq!(code(refused), Code::AuditUnavailable);
    let list = engine.list_approvals(ListApprovals::default());
    assert_eq!(list.await.unwrap().approvals.len(), 1);
}

impl Served {
    async fn gateway(&self, name: &str) -> (Client, fnox_vault_wire::TokenId) {
        let token = self.token(name, Role::Gateway).await;
        let door = Connector::Unix(self.agent_socket.clone());
        (self.connect(door, &token.token).await.unwrap(), token.id)
    }
}

#[tokio::test]
async fn over_the_wire_gateways_ask_administrators_decide_and_nobody_else_knows() {
    let served = Served::new(POLICY).await;
    let (front, _) = served.gateway("front").await;
    let (other, _) = served.gateway("front").await;
    let coder = served.agent("coder").await;
    let id = front.call(&about("/a")).await.unwrap().id;
    let wait = |wait_secs| AwaitApproval { id, wait_secs };
    for client in [&front, &other, &coder] {
        let listed = client.call(&ListApprovals::default()).await;
        assert_eq!(refusal(listed), "access_denied");
        let decision = ONCE;
        let decided = client.call(&DecideApproval { id, decision }).await;
        assert_eq!(refusal(decided), "access_denied");
    }
    assert_eq!(refusal(coder.call(&about("/a")).await), "access_denied");
    assert_eq!(refusal(coder.call(&wait(0)).await), "access_denied");
    assert_eq!(refusal(other.call(&wait(0)).await), "approval_not_found");
    let people = served.administrator().await;
    assert_eq!(refusal(people.call(&about("/a")).await), "access_denied");
    let listed = people.call(&ListApprovals::default()).await.unwrap();
    assert_eq!(listed.approvals.len(), 1);
    // The connection goes on answering while one of its requests waits.
    let long = wait(20);
    let waiting = front.call(&long);
    let deciding = async {
        let looked = soon(front.call(&wait(0))).await.unwrap();
        assert_eq!(looked.decision, None);
        let decision = ONCE;
        people.call(&DecideApproval { id, decision }).await.unwrap();
    };
    let (heard, ()) = soon(async { tokio::join!(waiting, deciding) }).await;
    assert_eq!(heard.unwrap().decision, Some(ONCE));
    served.stop().await;
}

#[tokio::test]
async fn the_questions_of_a_withdrawn_token_are_gone() {
    let served = Served::new(POLICY).await;
    let (front, id) = served.gateway("front").await;
    front.call(&about("/a")).await.unwrap();
    let people = served.administrator().await;
    people.call(&RevokeToken { id }).await.unwrap();
    let listed = people.call(&ListApprovals::default()).await.unwrap();
    assert!(listed.approvals.is_empty());
    let query = AuditQuery {
        event: Some("approval_asked".to_owned()),
        ..AuditQuery::default()
    };
    assert_eq!(people.call(&query).await.unwrap().records.len(), 1);
    served.stop().await;
}

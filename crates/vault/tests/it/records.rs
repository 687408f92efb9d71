//! The audit log, as the engine keeps it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use fnox_core::audit::{ChainKeys, Entry, Head, Record};
use fnox_vault::store::{AuditLog, Scanned, StoreError};
use fnox_vault::{Engine, EngineOptions, EngineParts, Identity};
use fnox_vault_wire::Code;
use fnox_vault_wire::methods::{AuditQuery, RecordRequests, RecordedRequest, RequestOutcome, Role};

use crate::support::{POLICY, World, admin, agent, code};

#[tokio::test]
async fn a_checkpoint_that_was_kept_elsewhere_proves_the_log() {
    let world = World::new(POLICY).await;
    let kept = world.engine.audit_checkpoint().await.unwrap();
    world
        .request(&agent("coder", 1), "token", "a.example.com")
        .await
        .unwrap();
    let verified = world
        .engine
        .audit_verify(&admin(), std::slice::from_ref(&kept.note))
        .await
        .unwrap();
    assert!(
        verified.intact && verified.records == verified.verified,
        "{verified:?}"
    );
    let forged = kept.note.replacen('\n', "\n9", 1);
    assert_eq!(
        code(world.engine.audit_verify(&admin(), &[forged]).await),
        Code::InvalidRequest
    );
}

#[tokio::test]
async fn a_gateway_puts_requests_on_record() {
    let world = World::new(POLICY).await;
    let gateway = Identity {
        role: Role::Gateway,
        ..agent("gateway", 1001)
    };
    let request = |path: &str, outcome| RecordedRequest {
        agent: "coder".to_owned(),
        host: "a.example.com:443".to_owned(),
        method: "GET".to_owned(),
        path: path.to_owned(),
        rule: Some("1: token -> a.example.com".to_owned()),
        outcome,
    };
    let requests = vec![
        request("/a", RequestOutcome::Answered(200)),
        request(
            "/b",
            RequestOutcome::Refused("gateway::not_allowed".to_owned()),
        ),
        request(&"/ä".repeat(2000), RequestOutcome::Lost(3)),
    ];
    let params = RecordRequests { requests };
    world
        .engine
        .record_requests(&gateway, params.clone())
        .await
        .unwrap();
    let query = AuditQuery {
        event: Some("gateway_request".to_owned()),
        ..AuditQuery::default()
    };
    let page = world.engine.audit_query(&admin(), query).await.unwrap();
    let told: Vec<(&str, &str)> = page
        .records
        .iter()
        .map(|it| {
            (
                it.entry.outcome.as_str(),
                it.entry.reason.as_deref().unwrap(),
            )
        })
        .collect();
    assert_eq!(told[0], ("ok", "GET /a: 200"));
    assert_eq!(told[1], ("denied", "GET /b: gateway::not_allowed"));
    assert_eq!(told[2].0, "error");
    assert!(told[2].1.len() < 1200, "{told:?}");
    let many = RecordRequests {
        requests: vec![params.requests[0].clone(); 257],
    };
    let refused = world.engine.record_requests(&gateway, many).await;
    assert_eq!(code(refused), Code::InvalidRequest);
}

#[tokio::test]
async fn a_log_is_read_in_pages() {
    let world = World::new(POLICY).await;
    for _ in 0..7 {
        let _ = world
            .request(&agent("nobody", 1), "token", "a.example.com")
            .await;
    }
    let query = AuditQuery {
        event: Some("lease_denied".to_owned()),
        limit: Some(3),
        ..AuditQuery::default()
    };
    let first = world
        .engine
        .audit_query(&admin(), query.clone())
        .await
        .unwrap();
    assert_eq!(first.records.len(), 3);
    let second = AuditQuery {
        from_sequence: first.next,
        ..query.clone()
    };
    let second = world.engine.audit_query(&admin(), second).await.unwrap();
    let third = AuditQuery {
        from_sequence: second.next,
        ..query
    };
    let third = world.engine.audit_query(&admin(), third).await.unwrap();
    assert_eq!(
        (second.records.len(), third.records.len(), third.next),
        (3, 1, None)
    );
    assert!(first.records[2].sequence < second.records[0].sequence);
}

/// A log that takes a few records and then nothing.
#[derive(Debug)]
pub(crate) struct Full {
    room: AtomicUsize,
}

impl Full {
    pub(crate) fn after(records: usize) -> Self {
        Self {
            room: AtomicUsize::new(records),
        }
    }
}

#[async_trait]
impl AuditLog for Full {
    fn describe(&self) -> String {
        "a full disk".to_owned()
    }
    async fn unlock(&self, _: ChainKeys) -> Result<(), StoreError> {
        Ok(())
    }
    async fn append(&self, entries: Vec<Entry>) -> Result<(), StoreError> {
        let left = |room: usize| room.checked_sub(entries.len());
        if self
            .room
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, left)
            .is_ok()
        {
            return Ok(());
        }
        Err(StoreError::Unavailable {
            store: self.describe(),
            problem: "no space left".to_owned(),
        })
    }
    async fn query(&self, _: &AuditQuery, _: usize) -> Result<Vec<Record>, StoreError> {
        Ok(Vec::new())
    }
    async fn scan(&self, _: u64, _: usize) -> Result<Vec<Scanned>, StoreError> {
        Ok(Vec::new())
    }
    async fn head(&self) -> Result<Option<Head>, StoreError> {
        Ok(None)
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_answered() {
    let world = World::new(POLICY).await;
    let mut stores = world.stores.clone();
    stores.audit = Some(Arc::new(Full::after(0)));
    let key = fnox_core::SecretString::from("a5".repeat(32).as_str());
    let engine = Engine::open(EngineParts {
        stores,
        live: None,
        source: Arc::new(
            fnox_vault::key_source::EnvKey::new("FNOX_TEST_VAULT_KEY", Some(key)).unwrap(),
        ),
        policy: fnox_vault::policy::Policy::load(POLICY, "policy.toml")
            .unwrap()
            .policy,
        clock: Arc::clone(&world.clock) as Arc<dyn fnox_core::Clock>,
        options: EngineOptions::default(),
    })
    .await
    .unwrap();
    assert_eq!(
        code(engine.list_secrets(&admin(), None, None).await),
        Code::AuditUnavailable
    );
    assert_eq!(
        code(engine.delete_secret(&admin(), "token").await),
        Code::AuditUnavailable
    );
    assert!(
        engine.secret_metadata("token").await.is_ok(),
        "nothing was deleted"
    );
    assert_eq!(engine.health(&admin()).await.status, "degraded");
}

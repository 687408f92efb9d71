//! The vault in process, without a server: store a secret, lend it once, look at the record.
//!
//!     cargo run -p fnox-vault --example basic_vault
//!
//! The store is in memory here. `fnox_store_sqlite` and `fnox_store_postgres` give durable ones with the same traits;
//! `docs/guide/embedded.md` goes on from here.

use std::collections::BTreeMap;
use std::sync::Arc;

use fnox_core::{AgentId, SecretBytes, SecretString, SystemClock};
use fnox_vault::key_source::EnvKey;
use fnox_vault::policy::Policy;
use fnox_vault::store::MemoryStore;
use fnox_vault::{Engine, EngineOptions, EngineParts, Identity, PeerBinding};
use fnox_vault_wire::SecretValue;
use fnox_vault_wire::methods::{
    AccessSecret, AuditQuery, RequestLease, RevocationReason, RevokeLease, Role, SecretKind,
    StoreSecret,
};

const POLICY: &str = r#"
[[rule]]
agent = "coder-1"
secret = "github-token"
hosts = ["api.github.com"]
ttl = "5m"
max_uses = 1
"#;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A key that lives as long as this process. A real one comes from `FileKey`, a keychain or a KMS.
    let key = SecretString::from("11".repeat(32));
    let engine = Engine::create(EngineParts {
        stores: Arc::new(MemoryStore::new()).stores(),
        live: None,
        source: Arc::new(EnvKey::new("EXAMPLE_KEY", Some(key))?),
        policy: Policy::parse(POLICY, "policy.toml")?.policy,
        clock: Arc::new(SystemClock),
        options: EngineOptions::default(),
    })
    .await?;

    // The program itself administers the vault.
    let program = Identity::local();
    let secret = StoreSecret {
        name: "github-token".to_owned(),
        plaintext: SecretValue(SecretBytes::new(b"ghp_example".to_vec())),
        kind: SecretKind::Pat,
        description: None,
        tags: BTreeMap::new(),
        algorithm: None,
    };
    engine.store_secret(&program, secret).await?;

    // Each of its agents has an identity. Only the program makes them, so no agent can be another.
    let coder = Identity {
        role: Role::Agent,
        agent: Some(AgentId::parse("coder-1")?),
        peer: PeerBinding::Local,
        origin: "task 42".to_owned(),
        expires_at: None,
    };
    let ask = |host| RequestLease::new("coder-1", "github-token", host);
    if let Err(error) = engine.request_lease(&coder, &ask("evil.example")).await {
        println!("evil.example: {error}");
    }
    let lease = engine.request_lease(&coder, &ask("api.github.com")).await?;
    println!(
        "lease for {} until {}",
        lease.allowed_domains[0], lease.expires_at
    );

    let access = AccessSecret::new(lease.lease_id, "api.github.com");
    let delivered = engine.access_secret(&coder, &access).await?;
    println!(
        "a value of {} bytes",
        delivered.secret.expose_secret().len()
    );
    if let Err(error) = engine.access_secret(&coder, &access).await {
        println!("the second time: {error}");
    }
    let revoke = RevokeLease {
        lease_id: lease.lease_id,
        reason: RevocationReason::Released,
    };
    engine.revoke_lease(&coder, &revoke).await?;

    for record in engine
        .audit_query(&program, AuditQuery::default())
        .await?
        .records
    {
        println!(
            "{:3} {} {} {}",
            record.sequence, record.entry.actor, record.entry.event, record.entry.outcome
        );
    }
    let report = engine.audit_verify(&program, &[]).await?;
    println!(
        "the record is intact: {} ({} records)",
        report.intact, report.records
    );
    Ok(())
}

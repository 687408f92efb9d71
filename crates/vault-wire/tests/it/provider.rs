//! Credentials and their return.

use fnox_core::{SecretBytes, SecretString};
use fnox_vault_wire::client::{
    CredentialProvider, CredentialRequest, ProviderError, StaticProvider, VaultProvider,
};
use fnox_vault_wire::methods::{Delivery, LeaseGrant};
use fnox_vault_wire::{Code, LeaseId, WireError};
use serde_json::{Value, json};

use crate::script::{Line, Vault};

fn grant(lease_id: LeaseId, delivery: Delivery) -> Value {
    serde_json::to_value(LeaseGrant {
        lease_id,
        secret_name: "github-pat".to_owned(),
        allowed_domains: vec!["api.github.com".to_owned()],
        expires_at: "2030-01-01T00:00:00Z".parse().unwrap(),
        renewable: false,
        remaining_uses: Some(1),
        delivery,
    })
    .unwrap()
}

fn wanted() -> CredentialRequest {
    CredentialRequest::new("agent", "github-pat", "api.github.com")
}

async fn expect_return(line: &mut Line, lease: LeaseId) {
    let asked = line.asked().await;
    assert_eq!(asked.method, "revoke_lease");
    assert_eq!(
        asked.params,
        json!({"lease_id": lease, "reason": "Released"})
    );
    line.answer(&asked, json!({})).await;
}

/// Answers one `acquire` with a value.
async fn deliver(line: &mut Line, lease: LeaseId) {
    let asked = line.asked().await;
    assert_eq!(asked.method, "request_lease");
    line.answer(&asked, grant(lease, Delivery::Value)).await;
    let asked = line.asked().await;
    assert_eq!(
        asked.params,
        json!({"lease_id": lease, "target_domain": "api.github.com"})
    );
    line.answer(&asked, json!({"secret": "Z2hwX2NhbmFyeQ=="}))
        .await;
}

#[tokio::test]
async fn a_credential_is_shown_and_given_back_over_one_connection() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let provider = VaultProvider::new(client);
    let lease = LeaseId::generate();
    let (guard, ()) = tokio::join!(provider.acquire(wanted()), deliver(&mut line, lease));
    let guard = guard.unwrap();
    assert_eq!(guard.expose(<[u8]>::to_vec), b"ghp_canary");
    assert_eq!(guard.expose_str(str::len).unwrap(), 10);
    assert_eq!(
        (guard.lease_id(), guard.host()),
        (Some(lease), "api.github.com")
    );
    assert!(!format!("{guard:?}").contains("ghp_canary"));
    drop(guard);
    expect_return(&mut line, lease).await;

    let (guard, ()) = tokio::join!(provider.acquire(wanted()), deliver(&mut line, lease));
    let (released, ()) = tokio::join!(guard.unwrap().release(), expect_return(&mut line, lease));
    released.unwrap();
    drop(provider);
    assert!(line.ends().await, "it was given back twice");
}

#[tokio::test]
async fn session_and_tool_reach_the_vault() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let provider = VaultProvider::new(client);
    let mut wanted = wanted();
    wanted.tool = Some("gh".to_owned());
    wanted.session_token = Some(SecretString::from("session-canary"));
    assert!(!format!("{wanted:?}").contains("session-canary"));
    let (refused, ()) = tokio::join!(provider.acquire(wanted), async {
        let asked = line.asked().await;
        assert_eq!(
            asked.params,
            json!({
                "agent": "agent", "secret_name": "github-pat", "domain": "api.github.com",
                "session_token": "session-canary", "tool_name": "gh",
            })
        );
        line.refuse(asked.id, WireError::new(Code::AccessDenied, "no rule"))
            .await;
    });
    let ProviderError::Vault(error) = refused.unwrap_err() else {
        panic!("another error");
    };
    assert_eq!(error.known_code(), Some(Code::AccessDenied));
}

#[tokio::test]
async fn a_lease_without_a_value_is_given_back() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let provider = VaultProvider::new(client);
    let lease = LeaseId::generate();
    let (refused, ()) = tokio::join!(provider.acquire(wanted()), async {
        let asked = line.asked().await;
        line.answer(&asked, grant(lease, Delivery::Value)).await;
        let asked = line.asked().await;
        line.refuse(asked.id, WireError::new(Code::Storage, "disk"))
            .await;
    });
    assert!(refused.is_err());
    expect_return(&mut line, lease).await;

    let (refused, ()) = tokio::join!(provider.acquire(wanted()), async {
        let asked = line.asked().await;
        line.answer(&asked, grant(lease, Delivery::Inject)).await;
    });
    assert!(matches!(refused, Err(ProviderError::InjectOnly { .. })));
    expect_return(&mut line, lease).await;
}

#[tokio::test]
async fn a_lease_that_is_granted_when_nobody_waits_is_given_back() {
    let vault = Vault::new();
    let (client, mut line) = vault.with_client().await;
    let provider = VaultProvider::new(client);
    let acquiring = tokio::spawn(async move { provider.acquire(wanted()).await });
    let asked = line.asked().await;
    acquiring.abort();
    assert!(acquiring.await.unwrap_err().is_cancelled());
    let lease = LeaseId::generate();
    line.answer(&asked, grant(lease, Delivery::Value)).await;
    expect_return(&mut line, lease).await;
    assert!(line.ends().await);
}

#[tokio::test]
async fn a_value_that_is_no_text_is_still_a_value() {
    let values = [("cert".to_owned(), SecretBytes::new(vec![0xff, 0]))];
    let provider = StaticProvider::new(values);
    let guard = provider
        .acquire(CredentialRequest::new("agent", "cert", "any.example"))
        .await
        .unwrap();
    assert_eq!(guard.expose(<[u8]>::len), 2);
    assert!(matches!(
        guard.expose_str(str::len),
        Err(ProviderError::NotText)
    ));
    assert_eq!(guard.lease_id(), None);
    guard.release().await.unwrap();
}

#[tokio::test]
async fn the_static_provider_says_loudly_what_it_is() {
    let values = [("pat".to_owned(), SecretBytes::new(b"canary".to_vec()))];
    let provider = StaticProvider::new(values);
    for text in [provider.describe(), format!("{provider:?}")] {
        assert!(text.contains("FOR TESTS"), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
    let unknown = CredentialRequest::new("agent", "other", "any.example");
    let refused = provider.acquire(unknown).await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no secret `other` here");
}

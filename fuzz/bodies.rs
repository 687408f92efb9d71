//! What each fuzz target does with its bytes, and what must hold whatever they are.
//!
//! The targets under `targets/` call these, and so does the ordinary test run with the committed seeds. Nothing
//! here may panic for any input but by an assertion that found something.

#[path = "bodies/gateway_connections.rs"]
mod gateway_connections;
#[path = "bodies/gateway_credentials.rs"]
mod gateway_credentials;
#[path = "bodies/gateway_requests.rs"]
mod gateway_requests;
#[path = "bodies/gateway_socks.rs"]
mod gateway_socks;

use fnox_core::git_credential as git;
use fnox_core::{AgentId, Host, HostPattern, VaultName};
use fnox_server::oidc::jws::Compact;
use fnox_server::oidc::keys::KeySet;
use fnox_server::settings::Algorithm;
use fnox_vault::policy::{Decision, Policy, Question};
use fnox_vault_wire::envelope::{MessageRef, RequestRef};
use fnox_vault_wire::hello::{ClientHello, ServerHello};
use fnox_vault_wire::methods::{
    AccessSecret, AskApproval, AuditCheckpoint, AuditQuery, AuditVerify, AwaitApproval, Backup,
    Call, CloseSession, CreateToken, DecideApproval, DeleteSecret, GetMetadata, Health, KeyRewrap,
    KeyRotate, KeyStatus, ListApprovals, ListLeases, ListSecrets, ListTokens, Method, OpenSession,
    PolicyExplain, PolicyReload, PruneSecrets, RecordRequests, RenewLease, RequestLease, ReturnUse,
    RevokeAllForAgent, RevokeLease, RevokeLeases, RevokeToken, StoreSecret, Subscribe,
    TakeBackApproval, UpdateSecret, Whoami,
};

pub use self::gateway_connections::{gateway_http2, gateway_sni};
pub use self::gateway_credentials::{gateway_injection, gateway_placeholder, gateway_stream};
pub use self::gateway_requests::{gateway_host, gateway_path, gateway_request};
pub use self::gateway_socks::gateway_socks;

/// A target's name and what it does.
pub type Body = (&'static str, fn(&[u8]));

/// Every target.
pub const BODIES: [Body; 17] = [
    ("frame", frame),
    ("hello", hello),
    ("envelope", envelope),
    ("host_pattern", host_pattern),
    ("policy", policy),
    ("git_credential", git_credential),
    ("oidc_token", oidc_token),
    ("jwks", jwks),
    ("gateway_request", gateway_request),
    ("gateway_host", gateway_host),
    ("gateway_path", gateway_path),
    ("gateway_placeholder", gateway_placeholder),
    ("gateway_stream", gateway_stream),
    ("gateway_injection", gateway_injection),
    ("gateway_socks", gateway_socks),
    ("gateway_sni", gateway_sni),
    ("gateway_http2", gateway_http2),
];

/// Frames are the same however their bytes come. The first byte says how large the pieces are.
pub fn frame(data: &[u8]) {
    fnox_vault_wire::frame::fuzz_frame(data);
}

/// Hellos of both sides.
pub fn hello(data: &[u8]) {
    match ClientHello::parse(data) {
        Ok(hello) => {
            if let Err(text) = hello.check() {
                is_one_line(&text);
            }
            is_same_again(&hello, |bytes| ClientHello::parse(bytes).ok());
            let mut other = hello.clone();
            other.token = other.token.map(|_| "another".into());
            assert_eq!(
                format!("{hello:?}"),
                format!("{other:?}"),
                "Debug shows the token"
            );
        }
        Err(error) => is_one_line(&error.to_string()),
    }
    match ServerHello::parse(data) {
        Ok(hello) => is_same_again(&hello, |bytes| ServerHello::parse(bytes).ok()),
        Err(error) => is_one_line(&error.to_string()),
    }
}

/// Requests with the parameters of their method, responses and events.
pub fn envelope(data: &[u8]) {
    if let Err(error) = MessageRef::parse(data) {
        is_one_line(&error.to_string());
    }
    match RequestRef::parse(data) {
        Ok(request) => {
            if let Some(method) = Method::parse(&request.method) {
                params(method, &request);
            }
        }
        Err(error) => is_one_line(&error.to_string()),
    }
}

fn params(method: Method, request: &RequestRef<'_>) {
    macro_rules! of_every_method {
        ($($call:ty),* $(,)?) => {
            $(if method == <$call as Call>::METHOD { return params_of::<$call>(request); })*
        };
    }
    of_every_method!(
        StoreSecret,
        RequestLease,
        AccessSecret,
        RevokeLease,
        RevokeAllForAgent,
        ListSecrets,
        RenewLease,
        DeleteSecret,
        Whoami,
        Health,
        GetMetadata,
        UpdateSecret,
        PruneSecrets,
        ListLeases,
        RevokeLeases,
        OpenSession,
        CloseSession,
        Subscribe,
        RecordRequests,
        ReturnUse,
        AskApproval,
        AwaitApproval,
        TakeBackApproval,
        ListApprovals,
        DecideApproval,
        PolicyExplain,
        PolicyReload,
        AuditQuery,
        AuditVerify,
        AuditCheckpoint,
        CreateToken,
        ListTokens,
        RevokeToken,
        KeyStatus,
        KeyRotate,
        KeyRewrap,
        Backup,
    );
    unreachable!("no line for {}", method.name());
}

fn params_of<P: Call>(request: &RequestRef<'_>) {
    match request.params::<P>() {
        Ok(params) => is_same_again(&params, |bytes| serde_json::from_slice::<P>(bytes).ok()),
        Err(error) => is_one_line(&error.message),
    }
}

/// Hosts and patterns: one host a line, the first line is the pattern.
pub fn host_pattern(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.split('\n');
    let pattern = lines
        .next()
        .and_then(|line| match HostPattern::parse(line) {
            Ok(pattern) => {
                let again = HostPattern::parse(&pattern.to_string());
                assert_eq!(
                    again.as_ref(),
                    Ok(&pattern),
                    "a pattern that reads differently when written"
                );
                assert!(
                    pattern.covers(&pattern),
                    "a pattern that does not cover itself"
                );
                Some(pattern)
            }
            Err(error) => {
                is_one_line(&error.to_string());
                None
            }
        });
    for line in lines {
        match Host::parse(line) {
            Ok(host) => is_a_host(&host, pattern.as_ref()),
            Err(error) => is_one_line(&error.to_string()),
        }
    }
}

fn is_a_host(host: &Host, pattern: Option<&HostPattern>) {
    let shown = host.to_string();
    assert_eq!(
        Host::parse(&shown).as_ref(),
        Ok(host),
        "a host that reads differently when written"
    );
    let is_plain = shown.bytes().all(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]_".contains(&byte)
    });
    assert!(is_plain, "{shown:?} is no host for a resolver");
    assert!(host.covers(host));
    if let Some(pattern) = pattern {
        assert!(
            !pattern.matches(host) || pattern.touches(host),
            "matched and not touched"
        );
    }
}

/// Policies as TOML and as zerolease's JSON.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Policy::load(text, "policy.toml") {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                is_readable(&warning.to_string());
            }
            decides(&loaded.policy);
        }
        Err(error) => {
            assert!(!error.findings.is_empty(), "refused without a word");
            is_readable(&error.to_string());
        }
    }
}

fn decides(policy: &Policy) {
    let names = ["a", "ci-1", "prod-db"];
    let hosts = ["api.example.com", "db.internal:5432", "10.0.0.7", "com"];
    for name in names {
        let (Ok(agent), Ok(secret)) = (AgentId::parse(name), VaultName::parse(name)) else {
            continue;
        };
        for host in hosts.iter().filter_map(|host| Host::parse(host).ok()) {
            let now = jiff::Timestamp::UNIX_EPOCH;
            let question = Question {
                agent: &agent,
                secret: &secret,
                host: &host,
                tool: Some("git"),
                now,
            };
            let explained = policy.explain(&question);
            let is_allowed = matches!(policy.decide(&question), Decision::Allowed { .. });
            assert_eq!(
                explained.allowed, is_allowed,
                "explained otherwise than decided"
            );
            assert!(
                !is_allowed || !policy.rules().is_empty(),
                "allowed by nobody"
            );
        }
    }
}

/// Tokens of issuers, before a key is looked for.
pub fn oidc_token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Compact::parse(text) {
        Ok(token) => {
            assert_eq!(format!("{}.{}", token.signed, token.signature), text);
            let is_plain = text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            assert!(is_plain, "a token with other letters than base64url has");
            assert_eq!(text.matches('.').count(), 2);
            // Two bytes need three letters; no other text stands for the same bytes.
            let segment = token.signed.split('.').nth(1).unwrap_or_default();
            assert_eq!(segment.len(), (token.payload.len() * 4).div_ceil(3));
        }
        Err(error) => {
            is_one_line(&error.to_string());
            let told = error.problem();
            assert_eq!(told.code, "oidc_invalid");
            is_one_line(&told.detail.unwrap_or_default());
        }
    }
}

/// Documents of keys. What is read never stops working because of what was not.
pub fn jwks(data: &[u8]) {
    match KeySet::parse(data, &Algorithm::ALL) {
        Ok(keys) => {
            for why in keys.refused() {
                is_one_line(why);
            }
            let count = keys.len();
            assert_eq!(keys.is_empty(), count == 0);
            // The text of no token, signed by nobody.
            for id in ["", "k1", "same"] {
                if let Some(key) = keys.find(id) {
                    assert_eq!(key.id(), Some(id));
                    assert!(
                        !Algorithm::ALL
                            .iter()
                            .any(|it| key.has_signed(*it, "a.b", "AAAA"))
                    );
                }
            }
        }
        Err(why) => is_one_line(&why),
    }
}

/// What git writes to a credential helper.
pub fn git_credential(data: &[u8]) {
    match git::parse(data) {
        Ok(question) => {
            let texts = [Some(&question.protocol), question.username.as_ref()];
            for text in texts.into_iter().flatten() {
                let is_split = text.bytes().any(|byte| byte.is_ascii_control());
                assert!(!is_split, "a line end within {text:?}");
            }
            if let Some(host) = &question.host {
                is_a_host(host, None);
            }
            if let Some(answer) =
                git::answer(question.username.as_deref().unwrap_or("me"), "password")
            {
                assert_eq!(
                    answer.lines().count(),
                    2,
                    "git would read more than was said"
                );
            }
        }
        Err(error) => is_one_line(&error.to_string()),
    }
}

/// Written and read again, it is the same text.
fn is_same_again<T: serde::Serialize>(value: &T, read: impl Fn(&[u8]) -> Option<T>) {
    let Ok(written) = serde_json::to_vec(value) else {
        return;
    };
    let Some(again) = read(&written) else {
        panic!("what was written cannot be read")
    };
    let rewritten = serde_json::to_vec(&again).unwrap_or_default();
    assert!(written == rewritten, "it reads differently when written");
}

/// Messages go to terminals and logs.
fn is_one_line(text: &str) {
    assert!(text.len() < 4096, "a message of {} bytes", text.len());
    assert!(
        !text.chars().any(char::is_control),
        "control characters in {text:?}"
    );
}

fn is_readable(text: &str) {
    let is_control = |c: char| c.is_control() && c != '\n';
    assert!(
        !text.chars().any(is_control),
        "control characters in {text:?}"
    );
}

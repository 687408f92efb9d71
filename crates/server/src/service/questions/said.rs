//! What a gateway says, read before people are shown it and before the policy is asked, and told apart from what else it says.

use fnox_api::{AgentAccess, AgentRequest, Asked, Problem};
use fnox_core::question::{LONGEST_REASON, MOST_METHODS, is_method, visible};
use fnox_core::{AgentId, Host};
use uuid::Uuid;

use crate::service::approvals::Parts;
use crate::service::names::{self, invalid};
use crate::store::ApprovalRecord;

/// What a gateway says.
pub(super) struct Said {
    pub(super) asked: Asked,
    pub(super) agent: AgentId,
    /// With its port.
    pub(super) host: Host,
}

impl Said {
    /// Reads it. It is shown to people, so it must be what it looks like; it is compared with the policy, so agent and host
    /// must be names.
    pub(super) fn parse(asked: Asked) -> Result<Self, Problem> {
        let agent = AgentId::parse(asked.agent())
            .map_err(|error| invalid(&field("agent"), &error.to_string()))?;
        let host = Host::parse(asked.host())
            .map_err(|error| invalid(&field("host"), &error.to_string()))?;
        let asked = match asked {
            Asked::Request(asked) => request(asked, &agent, &host)?.into(),
            Asked::Access(asked) => access(asked, &agent, &host)?.into(),
        };
        Ok(Self {
            asked,
            agent,
            host: host.with_default_port(HTTPS),
        })
    }
}

fn field(name: &str) -> String {
    format!("request.{name}")
}

fn request(request: AgentRequest, agent: &AgentId, host: &Host) -> Result<AgentRequest, Problem> {
    if !is_method(&request.method) {
        return Err(invalid(&field("method"), "it is no method of HTTP"));
    }
    let is_target = request.target.starts_with('/')
        && request.target.len() <= LONGEST_TARGET
        && request.target.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_target {
        let wrong = "it is no path and query (RFC 9112, section 3.2.1), or longer than 8192 bytes";
        return Err(invalid(&field("target"), wrong));
    }
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if request.body_sha256.len() != 64 || !request.body_sha256.bytes().all(is_hex) {
        let wrong = "it is not SHA-256 in 64 lower-case hex digits";
        return Err(invalid(&field("body_sha256"), wrong));
    }
    if i64::try_from(request.body_length).is_err() {
        return Err(invalid(&field("body_length"), "no body is so long"));
    }
    Ok(AgentRequest {
        rule: names::text(&request.rule, &field("rule"), 256)?,
        agent: agent.to_string(),
        host: host.authority(HTTPS),
        ..request
    })
}

fn access(access: AgentAccess, agent: &AgentId, host: &Host) -> Result<AgentAccess, Problem> {
    let is_name = (1..=LONGEST_NAME).contains(&access.credential.len())
        && access
            .credential
            .bytes()
            .all(|byte| byte.is_ascii_graphic());
    if !is_name {
        let wrong = "it is no name of a credential, or longer than 512 bytes";
        return Err(invalid(&field("credential"), wrong));
    }
    let is_usual = (1..=MOST_METHODS).contains(&access.methods.len());
    if !is_usual || !access.methods.iter().all(|method| is_method(method)) {
        return Err(invalid(
            &field("methods"),
            "they are not 1 to 8 methods of HTTP",
        ));
    }
    let reason = &access.reason;
    if reason.trim().is_empty() || reason.len() > LONGEST_REASON || visible(reason) != *reason {
        let wrong = "it is empty, longer than 2048 bytes, or has characters that cannot be seen";
        return Err(invalid(&field("reason"), wrong));
    }
    Ok(AgentAccess {
        agent: agent.to_string(),
        host: host.authority(HTTPS),
        ..access
    })
}

/// The same question of the same gateway.
pub(super) fn exactly(binding: &[u8; 32], key: Uuid, approval: &ApprovalRecord) -> [u8; 32] {
    let asked = approval.question.as_ref().map(|it| &it.request);
    // One kind cannot be made to look like the other.
    let mut digest = Parts::new(match asked.and_then(Asked::as_access) {
        None => "fnox question v1",
        Some(_) => "fnox access question v1",
    });
    digest.add(binding);
    digest.add(key.as_bytes());
    match asked {
        Some(Asked::Request(request)) => add(&mut digest, request),
        Some(Asked::Access(access)) => {
            add_wish(&mut digest, access);
            digest.add(access.reason.as_bytes());
        }
        None => {}
    }
    digest.finish()
}

/// Requester and request: what a no is remembered for. With other words an agent asks for the same.
pub(super) fn roughly(principal: &str, asked: &Asked) -> [u8; 32] {
    let mut digest = Parts::new(match asked {
        Asked::Request(_) => "fnox quiet question v1",
        Asked::Access(_) => "fnox quiet access question v1",
    });
    digest.add(principal.as_bytes());
    match asked {
        Asked::Request(request) => add(&mut digest, request),
        Asked::Access(access) => add_wish(&mut digest, access),
    }
    digest.finish()
}

fn add(digest: &mut Parts, request: &AgentRequest) {
    for text in [
        &request.agent,
        &request.rule,
        &request.method,
        &request.host,
        &request.target,
        &request.body_sha256,
    ] {
        digest.add(text.as_bytes());
    }
    digest.add(&request.body_length.to_be_bytes());
}

fn add_wish(digest: &mut Parts, access: &AgentAccess) {
    for text in [&access.agent, &access.credential, &access.host] {
        digest.add(text.as_bytes());
    }
    digest.add(access.methods.join(" ").as_bytes());
}

/// Requests of agents leave by TLS.
const HTTPS: u16 = 443;
/// What an address on the web may have; a page that shows more shows nobody anything.
const LONGEST_TARGET: usize = 8192;
const LONGEST_NAME: usize = 512;

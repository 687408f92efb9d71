//! What a gateway says, read before people are shown it.

use fnox_core::question::{
    AgentAccess, AgentRequest, Asked, LONGEST_REASON, MOST_METHODS, is_method, visible,
};
use fnox_core::{AgentId, Host};

use crate::error::VaultError;

/// Most bytes of a request's path and query. A person who is to read it is not helped by more.
const MAX_TARGET: usize = 8192;
/// Most bytes of a rule's or a credential's name.
const MAX_NAME: usize = 512;

/// What is asked, if it is that. What people will read has no control characters.
pub(super) fn checked(asked: Asked) -> Result<Asked, VaultError> {
    AgentId::parse(asked.agent())?;
    let host = Host::parse(asked.host())?.to_string();
    Ok(match asked {
        Asked::Request(asked) => {
            request(&asked)?;
            AgentRequest { host, ..asked }.into()
        }
        Asked::Access(asked) => {
            access(&asked)?;
            AgentAccess { host, ..asked }.into()
        }
    })
}

fn request(request: &AgentRequest) -> Result<(), VaultError> {
    let AgentRequest {
        rule,
        method,
        target,
        body_sha256,
        ..
    } = request;
    if !is_method(method) {
        return invalid("method is a word of HTTP (RFC 9110, section 5.6.2) of at most 32 bytes");
    }
    if rule.is_empty() || rule.len() > MAX_NAME || rule.chars().any(char::is_control) {
        return invalid("rule has 1 to 512 bytes and no control characters");
    }
    if target.len() > MAX_TARGET || target.chars().any(|it| it.is_control() || it == ' ') {
        return invalid("target has at most 8192 bytes, no spaces and no control characters");
    }
    if !target.starts_with('/') && target != "*" {
        return invalid("target is a path, perhaps with a query, or `*`");
    }
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if body_sha256.len() != 64 || !body_sha256.bytes().all(is_digit) {
        return invalid("body_sha256 is 64 hexadecimal digits in lower case");
    }
    Ok(())
}

fn access(access: &AgentAccess) -> Result<(), VaultError> {
    let AgentAccess {
        credential,
        methods,
        reason,
        ..
    } = access;
    let is_name = (1..=MAX_NAME).contains(&credential.len())
        && credential.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_name {
        return invalid("credential has 1 to 512 visible characters of ASCII");
    }
    let is_usual = (1..=MOST_METHODS).contains(&methods.len());
    if !is_usual || !methods.iter().all(|method| is_method(method)) {
        return invalid("methods are 1 to 8 words of HTTP (RFC 9110, section 5.6.2)");
    }
    if reason.trim().is_empty() || reason.len() > LONGEST_REASON || visible(reason) != *reason {
        return invalid("reason has 1 to 2048 bytes, and no characters that cannot be seen");
    }
    Ok(())
}

fn invalid(what: &str) -> Result<(), VaultError> {
    Err(VaultError::Invalid(what.to_owned()))
}

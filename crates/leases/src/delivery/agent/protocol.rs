//! Messages of an SSH agent.

use fnox_core::Credential;
use ssh_key::{Certificate, PrivateKey, Signature, SigningKey};

use crate::mint::ssh::wire::{add_string, string};
use crate::mint::ssh::{CERTIFICATE, PRIVATE_KEY};

/// Longest message, as in OpenSSH's agent.
pub(super) const LIMIT: usize = 256 * 1024;

// Section 6.1 "Message numbers".
const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// What a program asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// Which keys are there.
    Identities,
    /// A signature.
    Sign {
        /// With which key.
        key: &'a [u8],
        /// Over what.
        data: &'a [u8],
    },
    /// Something that this agent does not do, or nonsense.
    Other,
}

/// Reads a message.
pub(super) fn parse(body: &[u8]) -> Request<'_> {
    match body.split_first() {
        Some((&REQUEST_IDENTITIES, [])) => Request::Identities,
        Some((&SIGN_REQUEST, rest)) => sign_request(rest).unwrap_or(Request::Other),
        _ => Request::Other,
    }
}

fn sign_request(rest: &[u8]) -> Option<Request<'_>> {
    let (key, rest) = string(rest)?;
    let (data, rest) = string(rest)?;
    // The flags choose a hash for RSA keys; the key of a lease is never one.
    (rest.len() == 4).then_some(Request::Sign { key, data })
}

/// The answer of somebody who holds a credential. `None`: it is refused.
pub(super) fn answer(request: &Request<'_>, credential: &Credential) -> Option<Vec<u8>> {
    let certificate = credential.variable(CERTIFICATE)?;
    let certificate = Certificate::from_openssh(certificate.expose_secret().trim()).ok()?;
    let own = certificate.to_bytes().ok()?;
    match request {
        Request::Identities => {
            let mut body = vec![IDENTITIES_ANSWER];
            body.extend(1_u32.to_be_bytes());
            add_string(&mut body, &own)?;
            add_string(&mut body, certificate.comment().as_bytes())?;
            message(&body)
        }
        Request::Sign { key, data } if *key == own => {
            let private_key = credential.variable(PRIVATE_KEY)?;
            let private_key = PrivateKey::from_openssh(private_key.expose_secret()).ok()?;
            let signature = signed(&private_key, data)?;
            let mut body = vec![SIGN_RESPONSE];
            add_string(&mut body, &signature)?;
            message(&body)
        }
        Request::Sign { .. } | Request::Other => None,
    }
}

/// "No", without a reason: the protocol has none.
pub(super) fn failure() -> Vec<u8> {
    vec![0, 0, 0, 1, FAILURE]
}

/// A signature as RFC 8709 section 6 writes it.
fn signed<K: SigningKey>(key: &K, data: &[u8]) -> Option<Vec<u8>> {
    let signature: Signature = key.try_sign(data).ok()?;
    let mut bytes = Vec::new();
    add_string(&mut bytes, signature.algorithm().as_str().as_bytes())?;
    add_string(&mut bytes, signature.as_bytes())?;
    Some(bytes)
}

fn message(body: &[u8]) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(body.len() + 4);
    add_string(&mut message, body)?;
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_requests_are_read() {
        assert_eq!(parse(&[11]), Request::Identities);
        let good = [13, 0, 0, 0, 1, 7, 0, 0, 0, 2, 8, 9, 0, 0, 0, 0];
        let wanted = Request::Sign {
            key: &[7],
            data: &[8, 9],
        };
        assert_eq!(parse(&good), wanted);
        for end in 0..good.len() {
            assert_eq!(parse(&good[..end]), Request::Other, "{end}");
        }
        let mut longer = good.to_vec();
        longer.push(0);
        assert_eq!(parse(&longer), Request::Other);
        assert_eq!(parse(&[11, 0]), Request::Other);
        assert_eq!(parse(&[13, 255, 255, 255, 255, 0]), Request::Other);
        // Add, remove, remove all, lock, unlock, extension.
        for kind in [17, 25, 18, 19, 22, 23, 27, 0, 255] {
            assert_eq!(parse(&[kind]), Request::Other);
        }
    }
}

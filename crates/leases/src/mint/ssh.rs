//! `ssh`: an SSH user certificate that is valid for minutes, for a key that nobody had before.
//!
//! fnox is the authority: it makes an Ed25519 key per credential and signs a certificate for it with the key of a
//! certificate authority. That key is the master; it never leaves the process, or never the agent that holds it, which may be one
//! of a hardware token. The certificate always names the users
//! as whom it lets in, because one that names nobody is good for everybody, and its serial number is the id under
//! which the intent is on record, so that a server's log leads to the ledger.
//!
//! A certificate cannot be withdrawn, short of a revocation list on every server: it ends by itself.
//!
//! Sources: OpenSSH `PROTOCOL.certkeys`, `PROTOCOL.key`; `ssh-keygen(1)` "CERTIFICATES"; RFC 8709 (Ed25519), RFC
//! 8332 (`rsa-sha2-512`).

mod authority;
mod certificate;
mod held;
mod openssh;
mod settings;
pub(crate) mod wire;

use std::path::Path;

use async_trait::async_trait;
use fnox_config::LeaseConfig;
use fnox_core::{Credential, Env, Lifetime};

use self::settings::{Authority, Settings};
use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, PlannedCall, Prerequisite,
    RevocationKind,
};
use crate::error::LeaseError;

/// The variable that has the new private key, in OpenSSH's format.
pub(crate) const PRIVATE_KEY: &str = "FNOX_SSH_PRIVATE_KEY";

/// The variable that has the certificate, as a line of a `-cert.pub` file.
pub(crate) const CERTIFICATE: &str = "FNOX_SSH_CERTIFICATE";

/// Where a program would find an agent with long-lived keys.
const AGENT: [&str; 2] = ["SSH_AUTH_SOCK", "SSH_AGENT_PID"];

#[derive(Debug)]
struct Ssh {
    settings: Settings,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for a key that a server would not understand, or understand as more than was meant.
pub(crate) fn open(lease: &LeaseConfig, home: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    Ok(Box::new(Ssh {
        settings: Settings::read(&lease.fields, home)?,
    }))
}

#[async_trait]
impl Mint for Ssh {
    fn limits(&self) -> Limits {
        Limits {
            minimum: Lifetime::from_secs(1),
            maximum: Lifetime::from_secs(24 * 3600),
        }
    }

    fn produces(&self) -> Vec<String> {
        vec![PRIVATE_KEY.to_owned(), CERTIFICATE.to_owned()]
    }

    fn consumes(&self) -> Consumes {
        Consumes::Names(match &self.settings.authority {
            Authority::File(_) | Authority::Agent(_) => Vec::new(),
            Authority::Variable(name) => vec![name.clone()],
        })
    }

    fn surroundings(&self, _: &Env) -> Vec<String> {
        match &self.settings.authority {
            Authority::File(path) => vec![authority::fingerprint_of_file(path)],
            // The public key is one of the lease's keys, and says more than at which socket it is.
            Authority::Variable(_) | Authority::Agent(_) => Vec::new(),
        }
    }

    fn withholds(&self, _: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut names: Vec<String> = AGENT.map(str::to_owned).to_vec();
        names.push(settings::USUAL_VARIABLE.to_owned());
        if let Authority::Variable(name) = &self.settings.authority {
            names.push(name.clone());
        }
        names
    }

    fn revocation(&self) -> RevocationKind {
        RevocationKind::ExpiresOnly
    }

    fn prerequisites(&self, context: &MintContext) -> Prerequisite {
        let message = match &self.settings.authority {
            Authority::File(path) if path.exists() => return Prerequisite::Present,
            Authority::File(path) => format!(
                "{}, the key of the certificate authority, does not exist.",
                path.display()
            ),
            Authority::Variable(name) if context.env.var(name).is_some() => {
                return Prerequisite::Present;
            }
            Authority::Variable(name) => {
                format!("{name}, the key of the certificate authority, is not set.")
            }
            Authority::Agent(_) if context.env.var(held::SOCKET).is_some() => {
                return Prerequisite::Present;
            }
            Authority::Agent(_) => format!(
                "{} is not set: no SSH agent has the key of the certificate authority.",
                held::SOCKET
            ),
        };
        // A key has many lines, which nobody types.
        Prerequisite::Missing {
            message,
            prompts: Vec::new(),
        }
    }

    fn explain(&self, _: &MintContext, request: &CreateRequest) -> Vec<PlannedCall> {
        let master = match &self.settings.authority {
            Authority::File(path) => path.display().to_string(),
            Authority::Variable(name) => name.clone(),
            Authority::Agent(key) => format!(
                "{} in the SSH agent",
                key.fingerprint(ssh_key::HashAlg::Sha256)
            ),
        };
        vec![PlannedCall {
            action: "sign".to_owned(),
            target: "a certificate of OpenSSH".to_owned(),
            purpose: "let a new key log in".to_owned(),
            master,
            details: self.settings.described(request),
        }]
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let signatory = authority::load(&self.settings.authority, context)?;
        certificate::issue(&self.settings, &signatory, context, request).await
    }
}

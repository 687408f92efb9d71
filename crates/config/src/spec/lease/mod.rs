//! The types of lease and their keys.

mod aws;
mod cloud;
mod common;
mod forge;
mod machine;

use super::{Field, Kind, Sight};

pub use aws::AWS_MASTERS;
pub use cloud::{AZURE_MASTERS, GCP_MASTERS};
pub use common::{LEASE_COMMON, LEASE_FILE, MINT};

/// A type of lease.
#[derive(Debug)]
pub struct LeaseSpec {
    /// Its name in `type`.
    pub name: &'static str,
    /// Its name in messages.
    pub label: &'static str,
    /// Its own keys.
    pub fields: &'static [Field],
    /// Variables that its masters are in unless a key names others, and variables that lead programs to a long-lived
    /// credential of the same kind.
    pub variables: &'static [&'static str],
}

impl LeaseSpec {
    /// The type of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        LEASES.iter().copied().find(|spec| spec.name == name)
    }

    /// The keys of which any makes the credential narrower than its master: without them it may do whatever that may.
    /// Empty where it is always narrow, or the issuer has no such thing.
    #[must_use]
    pub fn narrowed_by(&self) -> &'static [&'static str] {
        match self.name {
            "aws-sts" => &["session_policy", "policy_arns"],
            "gcp-iam" => &["scopes"],
            "github-app" => &["permissions", "repositories", "repository_ids"],
            "github-oauth" | "oauth2-client-credentials" => &["scope"],
            _ => &[],
        }
    }

    /// One of its own keys.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

const fn text(name: &'static str, doc: &'static str) -> Field {
    Field::optional(name, Kind::Text, doc)
}

const fn required(name: &'static str, doc: &'static str) -> Field {
    Field::required(name, Kind::Text, doc)
}

const fn list(name: &'static str, doc: &'static str) -> Field {
    Field::optional(name, Kind::TextList, doc)
}

const fn flag(name: &'static str, doc: &'static str) -> Field {
    Field::optional(name, Kind::Flag, doc)
}

const fn hidden_file(name: &'static str, doc: &'static str) -> Field {
    Field::optional(name, Kind::Path(Sight::Hidden), doc)
}

const fn shown_file(name: &'static str, doc: &'static str) -> Field {
    Field::optional(name, Kind::Path(Sight::Shown), doc)
}

const fn count(name: &'static str, doc: &'static str) -> Field {
    Field::optional(name, Kind::Count, doc)
}

const fn map(name: &'static str, doc: &'static str) -> Field {
    Field::optional(name, Kind::TextMap, doc)
}

const fn choice(name: &'static str, words: &'static [&'static str], doc: &'static str) -> Field {
    Field::optional(name, Kind::Choice(words), doc)
}

const ENV_VAR: Field = text("env_var", "Variable that holds the token.");

const IDENTITY_TOKEN_FILE: Field = hidden_file(
    "identity_token_file",
    "File with the OIDC token that is exchanged, read anew each time (default: the CI's own token).",
);

const IDENTITY_TOKEN_VARIABLE: Field = text(
    "identity_token_variable",
    "Variable or secret with the OIDC token that is exchanged.",
);

/// All types of lease.
pub static LEASES: &[&LeaseSpec] = &[
    &aws::STS,
    &aws::SSO,
    &aws::ROLES_ANYWHERE,
    &cloud::GCP_IAM,
    &cloud::AZURE_TOKEN,
    &cloud::VAULT,
    &cloud::CLOUDFLARE,
    &forge::GITHUB_APP,
    &forge::GITHUB_OAUTH,
    &forge::GITLAB,
    &machine::KUBERNETES,
    &cloud::OAUTH2_CLIENT_CREDENTIALS,
    &machine::TAILSCALE,
    &machine::DATABASE,
    &machine::SSH,
    &machine::COMMAND,
];

//! One line of policy: which credential may be used where, for what, and how.

mod capture;
mod condition;
mod hosts;
mod path_glob;
mod wildcard;

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use fnox_core::{LeaseName, Rate, SecretName, VaultName};
use http::Method;

pub use self::capture::Capture;
pub use self::condition::{Condition, ConditionPlace};
pub use self::hosts::Hosts;
pub use self::path_glob::{InvalidPathGlob, PathGlob};
pub use self::wildcard::Wildcard;
use crate::injection::Injection;
use crate::proxy::Ended;
use crate::request::{BodyLength, CanonicalRequest};

/// A rule. Whatever it does not allow, it forbids.
#[derive(Debug, Clone)]
pub struct Rule {
    /// How its configuration names it.
    pub name: String,
    /// Where.
    pub hosts: Hosts,
    /// For which methods; all if there are none, but never TRACE and CONNECT.
    pub methods: Vec<Method>,
    /// For which paths; all if there are none.
    pub paths: Vec<PathGlob>,
    /// For requests that meet all of these.
    pub conditions: Vec<Condition>,
    /// For bodies of at most so many bytes.
    pub body_limit: Option<u64>,
    /// What is used.
    pub credential: CredentialRef,
    /// Where in a request it goes.
    pub injection: Injection,
    /// Whether the client asks for it with a placeholder.
    pub mode: Mode,
    /// The placeholder's text, if it is not a random one.
    pub placeholder: Option<String>,
    /// So many requests, then no more.
    pub max_uses: Option<u32>,
    /// So many requests in so much time.
    pub rate: Option<Rate>,
    /// Whether a person must agree.
    pub approve: Approve,
    /// Whom to believe about the server besides the system's own authorities: a file of PEM certificates.
    pub ca_file: Option<PathBuf>,
    /// What of the answers the client does not get.
    pub capture: Option<Capture>,
    /// Whether it is over, if it was added to a gateway that runs.
    pub(crate) ended: Option<Ended>,
}

/// The name of what is used.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CredentialRef {
    /// A secret of a project or of a vault.
    Secret(VaultName),
    /// A variable of what a lease mints; its only one if none is named.
    Lease {
        /// Which lease.
        name: LeaseName,
        /// Which variable.
        variable: Option<SecretName>,
    },
    /// What an answer brought ([`Capture`]). There may be several; their placeholders tell them apart.
    Captured {
        /// By which rule.
        rule: String,
    },
}

/// Whether a client asks for a credential.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The credential takes the place of its placeholder; without one, nothing is put in.
    #[default]
    Swap,
    /// The credential is put into every request, for clients that send none at first.
    Set,
}

/// Whether a person must agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Approve {
    /// No.
    #[default]
    Never,
    /// To each request, or for as long as the person says.
    Ask,
}

/// What of a rule a request to its host does not meet; the later, the nearer it is to being allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Miss {
    /// The path.
    Path,
    /// The method.
    Method,
    /// One of the conditions.
    Condition,
    /// The length of the body.
    Body,
}

impl Rule {
    /// A rule that allows every request to `hosts`, with `credential` swapped into `authorization`.
    #[must_use]
    pub fn new(name: impl Into<String>, hosts: Hosts, credential: CredentialRef) -> Self {
        Self {
            name: name.into(),
            hosts,
            methods: Vec::new(),
            paths: Vec::new(),
            conditions: Vec::new(),
            body_limit: None,
            credential,
            injection: Injection::default(),
            mode: Mode::default(),
            placeholder: None,
            max_uses: None,
            rate: None,
            approve: Approve::default(),
            ca_file: None,
            capture: None,
            ended: None,
        }
    }

    /// Whether it allows a request to one of its hosts.
    ///
    /// # Errors
    /// The first [`Miss`].
    pub fn check(&self, request: &CanonicalRequest) -> Result<(), Miss> {
        let met = |is_met: bool, miss| if is_met { Ok(()) } else { Err(miss) };
        let path = request.path();
        met(
            self.paths.is_empty() || self.paths.iter().any(|glob| glob.matches(path)),
            Miss::Path,
        )?;
        met(
            self.methods.is_empty() || self.methods.contains(request.method()),
            Miss::Method,
        )?;
        met(
            self.conditions.iter().all(|it| it.is_met(request)),
            Miss::Condition,
        )?;
        let is_short_enough = match (self.body_limit, request.body_length()) {
            (Some(limit), BodyLength::Known(length)) => length <= limit,
            (None, _) | (_, BodyLength::Unknown) => true,
        };
        met(is_short_enough, Miss::Body)
    }

    /// What it allows, for people: `GET, POST on /repos/acme/**`.
    #[must_use]
    pub fn allowed(&self) -> String {
        let mut text = if self.methods.is_empty() {
            "all methods".to_owned()
        } else {
            let methods: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
            methods.join(", ")
        };
        if !self.paths.is_empty() {
            let paths: Vec<String> = self.paths.iter().map(ToString::to_string).collect();
            // Writing to a string cannot fail.
            let _ = write!(text, " on {}", paths.join(", "));
        }
        text
    }
}

impl fmt::Display for CredentialRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(name) => write!(formatter, "{name}"),
            Self::Lease {
                name,
                variable: None,
            } => write!(formatter, "{name}"),
            Self::Lease {
                name,
                variable: Some(variable),
            } => write!(formatter, "{name}.{variable}"),
            Self::Captured { rule } => write!(formatter, "what rule {rule} captured"),
        }
    }
}

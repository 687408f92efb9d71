//! What is shown, and what passes between the screen and the work.

use fnox_core::SecretString;
use fnox_core::lease::LeaseState;
use jiff::Timestamp;

use crate::error::CliError;
use crate::output::plain;

/// Which profile: the one that the command line means, or one that was chosen here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Chosen {
    #[default]
    AsStarted,
    Profile(String),
}

/// A configuration as it was last read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Project {
    pub(crate) profile: String,
    pub(crate) folder: String,
    /// Each profile with its number of secrets.
    pub(crate) profiles: Vec<(String, usize)>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) providers: Vec<Provider>,
    /// The leases that are configured.
    pub(crate) leases: Vec<String>,
    /// The file and profile that are written to.
    pub(crate) target: String,
    /// How the value of a new secret is kept.
    pub(crate) keeping: String,
}

/// A secret, without its value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secret {
    pub(crate) name: String,
    pub(crate) provider: String,
    pub(crate) origin: Origin,
    pub(crate) description: String,
    /// Where it is defined.
    pub(crate) source: String,
    /// How a new value of it is kept.
    pub(crate) keeping: String,
}

/// Where a value comes from, as far as that is known without asking anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Origin {
    /// The configuration has it, or says where it is.
    #[default]
    Set,
    /// Only a default.
    Default,
    /// A variable of the environment.
    Environment,
    /// Nowhere.
    Nowhere,
}

impl Origin {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Default => "default",
            Self::Environment => "variable",
            Self::Nowhere => "no value",
        }
    }
}

/// A provider.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) is_default: bool,
    pub(crate) source: String,
}

/// A record of the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) id: String,
    /// Its name in the configuration.
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) state: LeaseState,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Lease {
    /// Its state at a moment: what was active when it was read may be over.
    pub(crate) fn state_at(&self, now: Timestamp) -> LeaseState {
        match self.expires_at {
            Some(end) if end <= now && self.state == LeaseState::Active => LeaseState::Expired,
            _ => self.state,
        }
    }
}

/// What the value is fetched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Show,
    Copy,
    /// To see whether it is there.
    Try,
}

/// Work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// Reads the configuration in the profile.
    Project(Chosen),
    /// Reads the ledger.
    Leases,
    /// Asks a provider whether it could answer.
    Test(String),
    Value {
        name: String,
        purpose: Purpose,
    },
    Store(String),
    Remove(String),
    Revoke {
        id: String,
        lease: String,
    },
}

impl Task {
    /// What the status line says while it is done.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Project(_) => "reading the configuration".to_owned(),
            Self::Leases => "reading the ledger".to_owned(),
            Self::Test(name) => format!("testing {name}"),
            Self::Value { name, .. } => format!("fetching {name}"),
            Self::Store(name) => format!("storing {name}"),
            Self::Remove(name) => format!("removing {name}"),
            Self::Revoke { lease, .. } => format!("revoking {lease}"),
        }
    }

    /// Whether it changes something, so that it is not left half done.
    pub(crate) fn writes(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Remove(_) | Self::Revoke { .. })
    }
}

/// What came of work.
#[derive(Debug)]
pub(crate) enum Answer {
    Project(Box<Project>),
    Leases(Vec<Lease>),
    Value(Option<SecretString>),
    /// It is done; what there is to say about it.
    Done(String),
}

/// Why work failed: the words of the command that does the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) String);

/// Columns of an error's text.
const WIDTH: usize = 70;

impl From<&CliError> for Failure {
    fn from(error: &CliError) -> Self {
        Self(crate::terminal::harmless(&plain(error, WIDTH)))
    }
}

/// What is to be done in the world.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Work, with the value that it stores.
    Start {
        id: u64,
        chosen: Chosen,
        task: Task,
        value: Option<SecretString>,
    },
    /// Hands a value to the terminal's clipboard.
    Copy(SecretString),
    /// A value was on the screen and is to be gone from memory too.
    Wipe,
}

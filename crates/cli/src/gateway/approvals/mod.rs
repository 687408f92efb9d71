//! Where people answer what rules ask them: a socket of each gateway with `fnox agent approve` at its other end, and channels to
//! services that people are at.
//!
//! A message on the socket is a line of JSON, and so is its answer. The socket is the user's own and stands where no sandbox shows it.

pub(crate) mod asking;
pub(crate) mod channel;
pub(crate) mod office;
pub(crate) mod server;
pub(crate) mod vault;

use std::path::PathBuf;
use std::sync::Arc;

use fnox_config::{Config, Folders};
use fnox_core::Host;
use fnox_core::question::{
    AccessKind, AgentAccess, AgentRequest, Asked, LONGEST_ACCESS, USUAL_ACCESS,
};
use fnox_gateway::approval::{Answer, Breadth, Lasting, Pending, Question};
use http::Method;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use self::channel::Channel;
use self::server::TeamServer;
use super::documents::PendingQuestion;
use crate::app::App;
use crate::args::agent::YesArgs;
use crate::error::CliError;

/// Where people can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At this machine: `fnox agent approve`.
    Terminal,
    /// At a vault: `fnox vault approve`.
    Vault,
    /// By the team server's channels.
    Server,
}

impl Place {
    /// As settings name it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "terminal" => Some(Self::Terminal),
            "vault" => Some(Self::Vault),
            "server" => Some(Self::Server),
            _ => None,
        }
    }

    /// How people answer there, to go after "Ask one to".
    fn how(self, id: &str) -> String {
        match self {
            Self::Terminal => format!("run `fnox agent approve {id}`"),
            Self::Vault => "answer it at the vault (`fnox vault approvals`)".to_owned(),
            Self::Server => "answer the team server's message".to_owned(),
        }
    }

    /// The same for the person themselves, as a line.
    fn told(self, id: &str) -> String {
        match self {
            Self::Terminal => {
                format!("In another terminal: fnox agent approve {id}, or fnox agent deny {id}")
            }
            Self::Vault => "At the vault: fnox vault approvals lists it".to_owned(),
            Self::Server => "By the team server: its message has the link".to_owned(),
        }
    }
}

/// What is known of the places that are not this machine.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    /// The vault whose queue is used.
    pub(crate) vault: Option<vault::Desk>,
    /// The team server with the gateway's own token. Otherwise it is the one that commands of the team speak with.
    pub(crate) server: Option<server::Named>,
}

impl Ways {
    /// What `[proxy]` of a project says of them.
    ///
    /// # Errors
    /// If it says too little of one that is used.
    pub(crate) fn of_project(
        app: &App,
        config: &Config,
        places: &[Place],
    ) -> Result<Self, CliError> {
        let proxy = config.settings.sections.get("proxy");
        let proxy = proxy.filter(|_| places.contains(&Place::Vault));
        let vault = proxy.map(|proxy| vault::Desk::read(app, proxy));
        Ok(Self {
            vault: vault.transpose()?,
            server: None,
        })
    }
}

/// The ways to the places that are not this machine.
///
/// # Errors
/// If there is none to one of them.
pub(crate) fn channels(
    app: &App,
    places: &[Place],
    ways: Ways,
) -> Result<Vec<Arc<dyn Channel>>, CliError> {
    let missing = |place: &str| {
        CliError::usage(format!(
            "`approve_at` names `{place}`, which this fnox cannot ask"
        ))
    };
    let mut channels: Vec<Arc<dyn Channel>> = Vec::new();
    let Ways { vault, mut server } = ways;
    for place in places {
        match place {
            Place::Terminal => {}
            Place::Vault => {
                let desk = vault.as_ref().ok_or_else(|| missing("vault"))?;
                channels.push(vault::VaultQueue::new(desk));
            }
            Place::Server => channels.push(Arc::new(TeamServer::open(app, server.take())?)),
        }
    }
    Ok(channels)
}

/// The folder of all gateways' sockets.
fn folder(folders: &Folders) -> PathBuf {
    folders.runtime.join("approvals")
}

/// What is said to a gateway.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Message {
    /// What waits?
    Pending,
    /// An answer.
    Answer { id: String, answer: Said },
}

/// An answer on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    Deny,
    Allow {
        /// Whether to whatever the rule allows.
        rule: bool,
        lasting: For,
    },
}

/// How long a yes lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum For {
    Once,
    Seconds(u32),
    Session,
}

/// What a gateway says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Pending(Vec<PendingQuestion>),
    /// What was answered.
    Answered(String),
    /// Nothing of this name waits.
    Unknown,
    /// The answer comes from the program that asks.
    NotAPerson,
    /// This is no answer to what waits, and why.
    Unfit(String),
}

impl From<Said> for Answer {
    fn from(said: Said) -> Self {
        match said {
            Said::Deny => Self::Deny,
            Said::Allow { rule, lasting } => Self::Allow {
                breadth: if rule {
                    Breadth::Rule
                } else {
                    Breadth::Request
                },
                lasting: match lasting {
                    For::Once => Lasting::Once,
                    For::Seconds(seconds) => {
                        Lasting::For(SignedDuration::from_secs(seconds.into()))
                    }
                    For::Session => Lasting::Session,
                },
            },
        }
    }
}

impl From<&YesArgs> for Said {
    fn from(arguments: &YesArgs) -> Self {
        let lasting = match (&arguments.lasting, arguments.session) {
            (Some(time), _) => For::Seconds(u32::try_from(time.as_secs()).unwrap_or(u32::MAX)),
            (None, true) => For::Session,
            (None, false) => For::Once,
        };
        Self::Allow {
            rule: arguments.rule,
            lasting,
        }
    }
}

impl Said {
    /// The same as an answer about the use of a credential: a time, which is the usual one if none is said.
    ///
    /// # Errors
    /// Why it is none, for whoever said it.
    pub(crate) fn of_use(self) -> Result<Self, String> {
        let seconds = match self {
            Self::Deny => return Ok(self),
            Self::Allow { rule: true, .. }
            | Self::Allow {
                lasting: For::Session,
                ..
            } => {
                return Err(
                    "this is the use of a credential, and no request of a rule: it is allowed for a time (`--for`)"
                        .to_owned(),
                );
            }
            Self::Allow {
                lasting: For::Once, ..
            } => USUAL_ACCESS,
            Self::Allow {
                lasting: For::Seconds(seconds),
                ..
            } => seconds,
        };
        if seconds > LONGEST_ACCESS {
            return Err(format!(
                "the use of a credential is allowed for an hour ({LONGEST_ACCESS} s) at the most"
            ));
        }
        Ok(Self::Allow {
            rule: false,
            lasting: For::Seconds(seconds),
        })
    }
}

impl From<&Pending> for PendingQuestion {
    fn from(pending: &Pending) -> Self {
        Self {
            id: pending.id.clone(),
            asked: asked(&pending.question, Host::to_string),
            asked_at: pending.asked_at.to_string(),
        }
    }
}

/// What is asked, as it goes over a wire that writes hosts so.
fn asked(question: &Question, host: impl Fn(&Host) -> String) -> Asked {
    match question {
        Question::Request(request) => Asked::Request(AgentRequest {
            agent: request.agent.to_string(),
            rule: request.rule.clone(),
            method: request.method.to_string(),
            host: host(&request.host),
            target: request.target.clone(),
            body_length: request.body_length as u64,
            body_sha256: hex::encode(request.body_sha256),
        }),
        Question::Access(access) => Asked::Access(AgentAccess {
            kind: AccessKind::Access,
            agent: access.agent.to_string(),
            credential: access.credential.clone(),
            host: host(&access.host),
            methods: access.methods.iter().map(Method::to_string).collect(),
            reason: access.reason.clone(),
        }),
    }
}

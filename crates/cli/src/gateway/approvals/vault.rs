//! The vault's queue: a question is left there, and whoever administers the vault answers it with `fnox vault approve`.
//!
//! The vault may go away and come back meanwhile. One that has lost the question, because it ended, is asked again; one that
//! does not answer is tried again for as long as the question waits here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fnox_config::Fields;
use fnox_core::{Host, SecretString};
use fnox_gateway::approval::{Answer, Breadth, Lasting, Pending};
use fnox_vault_wire::methods::{
    self, AskApproval, AwaitApproval, Decision, LONGEST_QUESTION, LONGEST_WAIT, TakeBackApproval,
};
use fnox_vault_wire::{ApprovalId, Client, ClientError, ClientOptions, Code, Connector};
use jiff::SignedDuration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::asked;
use super::channel::Channel;
use crate::app::App;
use crate::error::CliError;
use crate::vault::connect;

/// Pauses between attempts, the first and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Questions that are on their way at a time; there are never so many.
const AT_A_TIME: u32 = 1024;

/// Which vault, and who asks there.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) vault: Connector,
    /// Of the role `gateway`.
    pub(crate) token: SecretString,
}

impl Desk {
    /// What `[proxy]` says of it.
    ///
    /// # Errors
    /// Without a token: a gateway that were the user to the vault could answer its own questions.
    pub(crate) fn read(app: &App, proxy: &Fields) -> Result<Self, CliError> {
        let Some(token) = proxy.path("approval_token_file", app.folders.home()) else {
            let reason = "is missing: `approve_at` has `vault`, where the gateway presents itself by a token \
                          (`fnox vault token create --agent gateway --role gateway --ttl 30d --output FILE`)";
            return Err(proxy.invalid("approval_token_file", reason).into());
        };
        let vault = match proxy.text("approval_vault") {
            None => connect::usual_place(app)?,
            Some(text) => {
                let parsed = text.parse::<Connector>();
                let invalid = |error: String| proxy.invalid("approval_vault", error);
                match parsed.map_err(|error| invalid(error.to_string()))? {
                    // As a path of this file, and not of the folder that fnox happens to run in.
                    Connector::Unix(written) => Connector::Unix(
                        proxy
                            .path("approval_vault", app.folders.home())
                            .filter(|_| !text.starts_with("unix:"))
                            .unwrap_or(written),
                    ),
                    other => other,
                }
            }
        };
        Ok(Self {
            vault,
            token: connect::read_token(&token)?,
        })
    }
}

/// The way to the queue.
#[derive(Debug)]
pub(super) struct VaultQueue {
    options: ClientOptions,
    client: tokio::sync::Mutex<Option<Client>>,
    /// What the vault calls the questions that wait there, by what they are called here.
    left: Mutex<HashMap<String, ApprovalId>>,
    /// A place for each question that is on its way there, until the vault has answered it.
    on_its_way: Arc<Semaphore>,
    /// Whether it was told that the vault does not answer, which it is once until it does.
    is_away: AtomicBool,
}

impl VaultQueue {
    pub(super) fn new(desk: &Desk) -> Arc<Self> {
        let options = ClientOptions::new(desk.vault.clone());
        Arc::new(Self {
            options: options.with_token(desk.token.clone()),
            client: tokio::sync::Mutex::default(),
            left: Mutex::default(),
            on_its_way: Arc::new(Semaphore::new(AT_A_TIME as usize)),
            is_away: AtomicBool::new(false),
        })
    }

    /// The connection. Once there was one, it renews itself.
    async fn client(&self) -> Result<Client, ClientError> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let opened = Client::connect(self.options.clone()).await?;
        Ok(client.insert(opened).clone())
    }

    /// Waits a while for what was said. `None`: nothing yet.
    async fn look(
        &self,
        pending: &Pending,
        until: Instant,
    ) -> Result<Option<Decision>, ClientError> {
        let client = self.client().await?;
        let known = self.left().get(&pending.id).copied();
        let id = match known {
            Some(id) => id,
            None => self.leave(&client, pending, until).await?,
        };
        let wait_secs = LONGEST_WAIT;
        let state = client.call(&AwaitApproval { id, wait_secs }).await;
        if let Err(error) = &state
            && error.known_code() == Some(Code::ApprovalNotFound)
        {
            // Another vault than the one that was asked, or the same after a new start.
            self.left().remove(&pending.id);
        }
        Ok(state?.decision)
    }

    async fn leave(
        &self,
        client: &Client,
        pending: &Pending,
        until: Instant,
    ) -> Result<ApprovalId, ClientError> {
        let left = until.saturating_duration_since(Instant::now()).as_secs();
        let ttl_secs = u32::try_from(left).unwrap_or(LONGEST_QUESTION);
        if ttl_secs == 0 {
            // As old as a question can be: the gateway is about to give it up.
            return std::future::pending().await;
        }
        let ask = AskApproval {
            request: asked(&pending.question, Host::to_string),
            ttl_secs: ttl_secs.min(LONGEST_QUESTION),
        };
        let own = client.clone();
        // Nobody closes it, so there is one.
        let place = Arc::clone(&self.on_its_way).acquire_owned().await.ok();
        let nobody_waits = move |asked: methods::ApprovalAsked| {
            own.fire(&TakeBackApproval { id: asked.id });
            drop(place);
        };
        let left = client.call_or_else(&ask, nobody_waits).await?;
        self.left().insert(pending.id.clone(), left.id);
        Ok(left.id)
    }

    fn left(&self) -> MutexGuard<'_, HashMap<String, ApprovalId>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Channel for VaultQueue {
    fn place(&self) -> &'static str {
        "the vault"
    }

    async fn ask(&self, pending: &Pending) -> Result<Answer, String> {
        let until = Instant::now() + Duration::from_secs(LONGEST_QUESTION.into());
        let mut pause = FIRST_PAUSE;
        loop {
            match self.look(pending, until).await {
                Ok(None) => {
                    pause = FIRST_PAUSE;
                    self.is_away.store(false, Ordering::Relaxed);
                }
                Ok(Some(decision)) => {
                    self.left().remove(&pending.id);
                    return Ok(answer(decision));
                }
                Err(error) if passes(&error) => {
                    if !self.is_away.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            "a person cannot be asked at the vault yet: {error}; it is tried again as long as the request waits"
                        );
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
                Err(error) => {
                    self.left().remove(&pending.id);
                    return Err(error.to_string());
                }
            }
        }
    }

    async fn take_back(&self, pending: &Pending) {
        let left = self.left().remove(&pending.id);
        let client = self.client.lock().await.clone();
        if let (Some(id), Some(client)) = (left, client) {
            client.fire(&TakeBackApproval { id });
        }
    }

    async fn settle(&self) {
        // What the vault gets to know of only now is taken back then.
        let _ = self.on_its_way.acquire_many(AT_A_TIME).await;
        let client = self.client.lock().await.clone();
        if let Some(client) = client {
            client.settle().await;
        }
    }
}

/// Whether it is worth trying again.
fn passes(error: &ClientError) -> bool {
    match error {
        ClientError::Connect { .. } | ClientError::TimedOut | ClientError::Closed => true,
        other => matches!(
            other.known_code(),
            Some(
                Code::ApprovalNotFound
                    | Code::TooManyRequests
                    | Code::Storage
                    | Code::AuditUnavailable
                    | Code::TimedOut
                    | Code::ShuttingDown
            )
        ),
    }
}

fn answer(decision: Decision) -> Answer {
    let Decision::Allow { breadth, lasting } = decision else {
        return Answer::Deny;
    };
    Answer::Allow {
        breadth: match breadth {
            methods::Breadth::Request => Breadth::Request,
            methods::Breadth::Rule => Breadth::Rule,
        },
        lasting: match lasting {
            methods::Lasting::Once => Lasting::Once,
            methods::Lasting::Seconds(seconds) => {
                Lasting::For(SignedDuration::from_secs(seconds.into()))
            }
            methods::Lasting::Session => Lasting::Session,
        },
    }
}

#[cfg(test)]
mod tests {
    use fnox_vault_wire::WireError;

    use super::*;

    #[test]
    fn what_the_vault_says_counts_here_as_it_was_said() {
        let said = |breadth, lasting| answer(Decision::Allow { breadth, lasting });
        assert_eq!(answer(Decision::Deny), Answer::Deny);
        assert_eq!(
            said(methods::Breadth::Request, methods::Lasting::Once),
            Answer::Allow {
                breadth: Breadth::Request,
                lasting: Lasting::Once,
            }
        );
        assert_eq!(
            said(methods::Breadth::Rule, methods::Lasting::Seconds(90)),
            Answer::Allow {
                breadth: Breadth::Rule,
                lasting: Lasting::For(SignedDuration::from_secs(90)),
            }
        );
        assert_eq!(
            said(methods::Breadth::Request, methods::Lasting::Session),
            Answer::Allow {
                breadth: Breadth::Request,
                lasting: Lasting::Session,
            }
        );
    }

    #[test]
    fn only_what_passes_by_itself_is_tried_again() {
        let remote = |code| ClientError::Remote(WireError::new(code, "no"));
        for code in [
            Code::ApprovalNotFound,
            Code::AuditUnavailable,
            Code::ShuttingDown,
        ] {
            assert!(passes(&remote(code)), "{code:?}");
        }
        for code in [
            Code::AccessDenied,
            Code::AuthenticationFailed,
            Code::InvalidRequest,
        ] {
            assert!(!passes(&remote(code)), "{code:?}");
        }
        assert!(passes(&ClientError::Closed));
        let refused = ClientError::Refused {
            code: "authentication_failed".to_owned(),
            message: "the token is not valid here".to_owned(),
        };
        assert!(!passes(&refused));
    }
}

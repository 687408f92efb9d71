//! The team server: a question becomes a message to the people whom its policy names, and a page on which they decide.
//!
//! The match code is shown here, where the gateway runs, so that whoever decides compares it: a message that only looks like
//! this gateway's brings no yes. A yes is used up at the server before it counts here, so it counts once, wherever it was
//! heard. Whatever is not certain is no yes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fnox_api::client::{ApiClient, ClientError};
use fnox_api::{ApprovalStatus, CreateQuestion, ProblemCode, QuestionCreated};
use fnox_core::{Clock as _, SecretString};
use fnox_gateway::approval::{Answer, Breadth, Lasting, Pending};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use jiff::SignedDuration;
use uuid::Uuid;

use super::asked;
use super::channel::{Channel, named};
use crate::app::App;
use crate::args::team::ServerArgs;
use crate::error::CliError;
use crate::output::Printer;
use crate::team::server::{client, given_token, url};
use crate::team::session;
use crate::terminal::harmless;

/// How long an answer of the server is waited for at a time.
const POLL: Duration = Duration::from_secs(30);

/// Between two attempts, the first time; then twice as long up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// How often it is looked whether somebody has logged in.
const LOOK: Duration = Duration::from_secs(2);

/// Requests of agents leave by TLS.
const HTTPS: u16 = 443;

/// How long taking a question back may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// Which server, and in whose name it is asked.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) url: String,
    /// The gateway's own token.
    pub(crate) token: SecretString,
}

/// A team server as a place where people are asked.
pub(super) struct TeamServer {
    client: ApiClient,
    url: String,
    name: Name,
    printer: Printer,
    asked: Mutex<HashMap<String, Asking>>,
}

/// In whose name.
enum Name {
    Token(SecretString),
    /// Of the person who logs in with `fnox login`. A login lasts minutes, so it is read anew each time.
    Login(Box<App>),
}

/// A question on its way to the server. It goes on when nobody waits for it any more, so that it can be taken back.
type Asking = Shared<BoxFuture<'static, Result<QuestionCreated, String>>>;

impl TeamServer {
    /// The server that is named, or the one that commands of the team speak with.
    ///
    /// # Errors
    /// If no server is known.
    pub(super) fn open(app: &App, named: Option<Named>) -> Result<Self, CliError> {
        let (url, name) = if let Some(Named { url, token }) = named {
            (url, Name::Token(token))
        } else {
            let url = url(app, &ServerArgs::default())?;
            match given_token(app)? {
                Some(token) => (url, Name::Token(token)),
                None => (url, Name::Login(Box::new(app.clone()))),
            }
        };
        Ok(Self {
            client: client(app, &url)?,
            url,
            name,
            printer: app.printer,
            asked: Mutex::default(),
        })
    }

    /// The server in the name of whoever asks. Without a login it waits for one; one that the server refused is none.
    async fn known(&self, refused: Option<&SecretString>) -> Result<Known, String> {
        let app = match &self.name {
            Name::Token(token) => return Ok(self.known_by(token)),
            Name::Login(app) => app,
        };
        let mut is_told = false;
        loop {
            let kept = session::kept(app, &self.url).map_err(|error| error.to_string())?;
            let now = app.clock.now();
            let token = kept
                .filter(|kept| kept.expires_at > now)
                .map(|kept| kept.token);
            let is_refused = |token: &SecretString| {
                refused.is_some_and(|it| it.expose_secret() == token.expose_secret())
            };
            if let Some(token) = token.filter(|token| !is_refused(token)) {
                return Ok(self.known_by(&token));
            }
            if !is_told {
                is_told = true;
                self.printer.warn(&format!(
                    "Nobody is logged in at {}, so nobody is asked there yet: run `fnox login`",
                    self.url
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn known_by(&self, token: &SecretString) -> Known {
        Known {
            client: self.client.clone().with_bearer(token.clone()),
            token: token.clone(),
        }
    }

    /// One call, repeated for as long as it may still work.
    async fn call<T, F>(&self, call: impl Fn(ApiClient) -> F + Send) -> Result<T, String>
    where
        F: Future<Output = Result<T, ClientError>> + Send,
    {
        let mut known = self.known(None).await?;
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match call(known.client.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if is_login_over(&error) && matches!(self.name, Name::Login(_)) {
                known = self.known(Some(&known.token)).await?;
            } else if passes(&error) {
                tracing::debug!(%error, ?pause, "the team server is asked again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            } else {
                return Err(harmless(&error.to_string()));
            }
        }
    }

    /// The question as the server has it. It is sent by a task of its own, once.
    async fn create(&self, pending: &Pending) -> Result<QuestionCreated, String> {
        // Whoever is not logged in has asked nothing that could be taken back.
        let known = self.known(None).await?;
        let question = CreateQuestion {
            key: Uuid::now_v7(),
            request: asked(&pending.question, |host| host.authority(HTTPS)),
        };
        let asking = {
            let sent = tokio::spawn(async move { ask_until_heard(&known, &question).await });
            sent.map(|outcome| outcome.unwrap_or_else(|error| Err(error.to_string())))
                .boxed()
                .shared()
        };
        self.asked().insert(pending.id.clone(), asking.clone());
        asking.await
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<String, Asking>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With `--quiet` too: without the code nobody can say yes.
    fn show(&self, pending: &Pending, created: &QuestionCreated) {
        let asked = match created.asked.as_slice() {
            [] => String::new(),
            channels => format!(" by {}", channels.join(", ")),
        };
        let line = format!(
            "Asked the people of {}{asked} about {}: match code {}",
            self.url,
            named(&pending.question),
            created.code
        );
        self.printer.say(&harmless(&line.replace('\n', " ")));
    }

    async fn decided(&self, id: Uuid) -> Result<Answer, String> {
        loop {
            let question = self
                .call(|client| async move { client.question(id, Some(POLL)).await })
                .await?;
            match question.status {
                ApprovalStatus::Pending => {}
                ApprovalStatus::Approved => return self.take(id).await,
                ApprovalStatus::Denied => return Ok(Answer::Deny),
                ApprovalStatus::Expired => return Err("nobody answered in time".to_owned()),
                ApprovalStatus::Cancelled => {
                    return Err("an administrator of the server ended the question".to_owned());
                }
                ApprovalStatus::Granted | ApprovalStatus::Fetched => {
                    return Err("the yes was used already".to_owned());
                }
            }
        }
    }

    async fn take(&self, id: Uuid) -> Result<Answer, String> {
        let used = self
            .call(|client| async move { client.use_question(id).await })
            .await
            .map_err(|reason| format!("the yes could not be used: {reason}"))?;
        let lasting = match used.lasting_seconds {
            0 => Lasting::Once,
            seconds => Lasting::For(SignedDuration::from_secs(seconds.into())),
        };
        Ok(Answer::Allow {
            breadth: Breadth::Request,
            lasting,
        })
    }
}

#[async_trait]
impl Channel for TeamServer {
    fn place(&self) -> &'static str {
        "the team server"
    }

    async fn ask(&self, pending: &Pending) -> Result<Answer, String> {
        let created = self.create(pending).await?;
        self.show(pending, &created);
        let said = self.decided(created.id).await;
        self.asked().remove(&pending.id);
        said
    }

    async fn take_back(&self, pending: &Pending) {
        let Some(asking) = self.asked().remove(&pending.id) else {
            return;
        };
        let take_back = async {
            let created = asking.await?;
            self.call(|client| async move { client.cancel_question(created.id).await })
                .await
        };
        // Somebody may have decided there a moment ago; what nobody decides ends by itself.
        match tokio::time::timeout(FAREWELL, take_back).await {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => tracing::debug!(reason, "a question was not taken back"),
            Err(_) => tracing::debug!("a question was not taken back in time"),
        }
    }
}

impl fmt::Debug for TeamServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TeamServer")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// A server that knows who asks.
struct Known {
    client: ApiClient,
    token: SecretString,
}

/// The key makes one question of all attempts.
async fn ask_until_heard(
    known: &Known,
    question: &CreateQuestion,
) -> Result<QuestionCreated, String> {
    let mut pause = FIRST_PAUSE;
    loop {
        match known.client.ask_question(question).await {
            Ok(created) => return Ok(created),
            Err(error) if passes(&error) => {
                tracing::debug!(%error, ?pause, "the team server is asked again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
            Err(error) => return Err(harmless(&error.to_string())),
        }
    }
}

/// Whether the same call may work in a moment.
fn passes(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } | ClientError::TimedOut { .. } => true,
        // A proxy before a server that starts.
        ClientError::NotAServer { status, .. } => *status >= 500,
        error => matches!(
            error.code(),
            Some(ProblemCode::StoreUnavailable | ProblemCode::Timeout | ProblemCode::Internal)
        ),
    }
}

fn is_login_over(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(ProblemCode::TokenInvalid | ProblemCode::Unauthenticated)
    )
}

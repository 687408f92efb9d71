//! From keys to an approval, and from an approval to age files.

use std::collections::BTreeMap;
use std::time::Duration;

use fnox_api::client::{ApiClient, ClientError, command_display, command_hash};
use fnox_api::{
    Approval, ApprovalCreated, ApprovalStatus, CreateApproval, CreateGrant, Decision,
    FetchedSecret, ProblemCode,
};
use fnox_core::ExitStatus;
use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Place, TeamServer, Wanted, explain};
use crate::error::{ErrorKind, ProviderError};
use crate::run::{Asked, RunRequest, Wait};

/// What came of asking.
pub(super) struct Outcome {
    /// The approval; `None` if no key is left to ask for.
    pub(super) approval: Option<Uuid>,
    /// Its keys.
    pub(super) keys: Vec<String>,
    /// Keys that the run goes on without.
    pub(super) refused: BTreeMap<String, ProviderError>,
}

/// The command as the server hears of it.
struct Command {
    hash: String,
    display: String,
}

impl Command {
    fn of(run: Option<&RunRequest>, keys: &[Wanted]) -> Self {
        let single;
        let argv = if let Some(run) = run {
            &run.argv
        } else {
            let words = ["fnox", "get"].into_iter().map(str::to_owned);
            let names = keys.iter().map(|one| one.name.to_string());
            single = words.chain(names).map(Into::into).collect();
            &single
        };
        Self {
            hash: command_hash(argv),
            display: command_display(argv),
        }
    }
}

impl TeamServer {
    /// Asks for all keys at once, and waits for a person where one has to be asked.
    pub(super) async fn ask(
        &self,
        place: &Place,
        mut batch: Vec<Wanted>,
    ) -> Result<Outcome, ProviderError> {
        let client = self.log_in().await?;
        let run = self.run.as_ref();
        let command = Command::of(run, &batch);
        let mut refused = BTreeMap::new();
        if let Some(id) = run.and_then(|run| run.resume) {
            let keys = keys_of(&batch);
            let approval = client
                .approval(id, None)
                .await
                .map_err(|error| explain::client(&error))?;
            same_request(&approval, place, &keys, &command)?;
            let asked = self.asked_again(&approval);
            self.settled(&client, &asked, approval.status, Some(&approval))
                .await?;
            return Ok(Outcome {
                approval: Some(id),
                keys,
                refused,
            });
        }
        loop {
            let request = CreateApproval {
                project: place.project.clone(),
                profile: Some(place.profile.clone()),
                keys: keys_of(&batch),
                command_hash: command.hash.clone(),
                command_display: command.display.clone(),
                reason: run.and_then(|run| run.reason.clone()),
            };
            match client.create_approval(&request).await {
                Ok(created) => {
                    let asked = self.asked(&created, &request.keys);
                    self.settled(&client, &asked, created.status, None).await?;
                    return Ok(Outcome {
                        approval: Some(created.id),
                        keys: request.keys,
                        refused,
                    });
                }
                Err(error) => {
                    let (key, error) = self.without(&mut batch, &error)?;
                    refused.insert(key, error);
                    if batch.is_empty() {
                        return Ok(Outcome {
                            approval: None,
                            keys: Vec::new(),
                            refused,
                        });
                    }
                }
            }
        }
    }

    /// Takes the key that the server stumbled over out of the batch, if the run goes on without it.
    fn without(
        &self,
        batch: &mut Vec<Wanted>,
        error: &ClientError,
    ) -> Result<(String, ProviderError), ProviderError> {
        let explained = explain::client(error);
        let named = error.problem().and_then(|problem| problem.key.as_deref());
        let index = batch.iter().position(|one| Some(one.key.as_str()) == named);
        let Some(index) = index else {
            return Err(explained);
        };
        let one = &batch[index];
        let is_tolerated = if explained.kind == ErrorKind::NotFound {
            self.tolerated.missing.contains(&one.name)
        } else {
            self.tolerated.failing.contains(&one.name)
        };
        // A batch of one is that key's own failure.
        if !is_tolerated && batch.len() > 1 {
            return Err(ProviderError {
                message: format!("nothing was asked for: {}", explained.message),
                ..explained
            });
        }
        let one = batch.remove(index);
        Ok((one.key, explained))
    }

    fn asked(&self, created: &ApprovalCreated, keys: &[String]) -> Asked {
        Asked {
            id: created.id,
            code: created.code.clone(),
            asked: created.asked.clone(),
            expires_at: created.expires_at,
            server: self.client.url().to_owned(),
            keys: keys.to_vec(),
        }
    }

    /// What is known of a request of an earlier run. Its code was told then.
    fn asked_again(&self, approval: &Approval) -> Asked {
        Asked {
            id: approval.id,
            code: String::new(),
            asked: Vec::new(),
            expires_at: approval.expires_at,
            server: self.client.url().to_owned(),
            keys: approval.items.iter().map(|item| item.key.clone()).collect(),
        }
    }

    /// Returns once somebody has said yes.
    async fn settled(
        &self,
        client: &ApiClient,
        asked: &Asked,
        status: ApprovalStatus,
        approval: Option<&Approval>,
    ) -> Result<(), ProviderError> {
        if status != ApprovalStatus::Pending {
            return said(asked, status, approval);
        }
        let Some(run) = &self.run else {
            return self.wait(client, asked, None).await;
        };
        run.progress.asked(asked);
        if run.wait == Wait::No {
            self.leave_for(asked.id, asked.expires_at).await;
            run.progress.pending_left(asked.id);
            return Err(ProviderError::new(
                ErrorKind::Pending,
                format!("the approval {} is pending", asked.id),
            )
            .with_remedy(format!(
                "once somebody has said yes: `fnox run --approval {} -- …` with the same command",
                asked.id
            )));
        }
        self.wait(client, asked, Some(run)).await?;
        run.progress.approved(asked.id);
        Ok(())
    }

    /// Waits, unless nobody wants the answer any more.
    async fn wait(
        &self,
        client: &ApiClient,
        asked: &Asked,
        run: Option<&RunRequest>,
    ) -> Result<(), ProviderError> {
        let cancelled = async {
            match run.and_then(|run| run.cancelled.clone()) {
                Some(mut signal) => {
                    let is_cancelled = signal.wait_for(|signal| *signal).await.is_ok();
                    // A sender that is gone will never say anything.
                    if !is_cancelled {
                        std::future::pending::<()>().await;
                    }
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = self.poll(client, asked, run) => outcome,
            () = cancelled => Err(take_back(client, asked.id).await),
        }
    }

    /// Long polls until there is a decision.
    async fn poll(
        &self,
        client: &ApiClient,
        asked: &Asked,
        run: Option<&RunRequest>,
    ) -> Result<(), ProviderError> {
        let begun = Instant::now();
        let mut client = client.clone();
        loop {
            let wait = Duration::from_secs(rand::rng().random_range(20..=LONGEST_POLL));
            match client.approval(asked.id, Some(wait)).await {
                Ok(approval) if approval.status == ApprovalStatus::Pending => {}
                Ok(approval) => return said(asked, approval.status, Some(&approval)),
                Err(error) if error.code() == Some(ProblemCode::TokenInvalid) => {
                    match self.log_in_again().await? {
                        Some(again) => client = again,
                        None => return Err(explain::client(&error)),
                    }
                }
                Err(error) if error.exit_status() == ExitStatus::Unavailable => {
                    if late(self.clock.now(), asked.expires_at) {
                        return Err(explain::client(&error));
                    }
                    tracing::debug!("asking for {} again: {error}", asked.id);
                    if let Some(run) = run {
                        run.progress.away(asked, &error.to_string());
                    }
                    let pause = rand::rng().random_range(1000..=3000);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    continue;
                }
                Err(error) => return Err(explain::client(&error)),
            }
            if let Some(run) = run {
                run.progress.waiting(asked, begun.elapsed());
            }
        }
    }

    /// Exchanges an approval for the age files, once.
    pub(super) async fn fetch(
        &self,
        approval: Uuid,
        keys: &[String],
    ) -> Result<Vec<FetchedSecret>, ProviderError> {
        let client = self.log_in().await?;
        let failed = |error: ClientError| explain::client(&error);
        let request = CreateGrant::of(approval);
        let grant = client.create_grant(&request).await.map_err(failed)?;
        let fetched = client.fetch(&grant.token).await.map_err(failed)?.secrets;
        self.forget_left(approval);
        let mut found: Vec<&str> = fetched.iter().map(|secret| secret.key.as_str()).collect();
        found.sort_unstable();
        let mut wanted: Vec<&str> = keys.iter().map(String::as_str).collect();
        wanted.sort_unstable();
        if found != wanted {
            return Err(ProviderError::unavailable(format!(
                "the server handed out other keys than were asked for: {}",
                found.join(", ").escape_debug()
            )));
        }
        Ok(fetched)
    }
}

fn keys_of(batch: &[Wanted]) -> Vec<String> {
    batch.iter().map(|one| one.key.clone()).collect()
}

/// Nobody decided, and the server that would say so is gone for good.
fn late(now: Timestamp, expires_at: Timestamp) -> bool {
    now.duration_since(expires_at) > SignedDuration::from_mins(1)
}

/// Takes the request back. The person who ends the run is not kept waiting for long.
async fn take_back(client: &ApiClient, id: Uuid) -> ProviderError {
    let cancelled = tokio::time::timeout(Duration::from_secs(5), client.cancel(id)).await;
    let message = match cancelled {
        Ok(Ok(())) => "nobody waits for the approval any more; it was taken back".to_owned(),
        _ => format!("nobody waits for the approval any more, but {id} could not be taken back"),
    };
    ProviderError::new(ErrorKind::Interrupted, message)
}

/// A resumed approval has to be for this command and these keys: the person said yes to no other.
fn same_request(
    approval: &Approval,
    place: &Place,
    keys: &[String],
    command: &Command,
) -> Result<(), ProviderError> {
    let mut approved: Vec<&String> = approval.items.iter().map(|item| &item.key).collect();
    let mut wanted: Vec<&String> = keys.iter().collect();
    approved.sort();
    wanted.sort();
    let differs = if approval.command_hash != command.hash {
        "command"
    } else if approval.project != place.project || approval.profile != place.profile {
        "project or profile"
    } else if approved != wanted {
        "set of keys"
    } else {
        return Ok(());
    };
    Err(ProviderError::denied(format!(
        "the approval {} is for another {differs}",
        approval.id
    ))
    .with_remedy(
        "run the command that the approval was asked for, or ask anew without `--approval`",
    ))
}

/// What the end of a request means.
fn said(
    asked: &Asked,
    status: ApprovalStatus,
    approval: Option<&Approval>,
) -> Result<(), ProviderError> {
    let id = asked.id;
    let message = match status {
        ApprovalStatus::Approved => return Ok(()),
        ApprovalStatus::Denied => {
            let no = approval
                .and_then(|approval| {
                    let mut all = approval.decisions.iter().rev();
                    all.find(|decision| decision.decision == Decision::Deny)
                })
                .map(|decision| {
                    let why = decision.reason.as_deref().map(|why| format!(": {why}"));
                    format!(" by {}{}", decision.by, why.unwrap_or_default())
                });
            // What people write goes to a terminal.
            let no: String = no.unwrap_or_default().chars().take(500).collect();
            format!("the approval {id} was denied{}", no.escape_debug())
        }
        ApprovalStatus::Expired => format!("nobody decided about the approval {id} in time"),
        ApprovalStatus::Cancelled => format!("the approval {id} was taken back"),
        ApprovalStatus::Granted | ApprovalStatus::Fetched => {
            format!("the approval {id} was used already")
        }
        ApprovalStatus::Pending => format!("the approval {id} is still pending"),
    };
    Err(ProviderError::denied(message))
}

/// Seconds of the longest poll.
const LONGEST_POLL: u64 = 28;

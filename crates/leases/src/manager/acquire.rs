//! From the name of a lease to a credential: a cached one, or a new one, or the reason why there is none.

use fnox_config::LeaseConfig;
use fnox_core::{Credential, LeaseName, Lifetime, ProfileName, SecretString};
use futures_util::future::join_all;
use jiff::Timestamp;

use super::Manager;
use crate::error::LeaseError;
use crate::ledger::entry::{Identity, reusable};
use crate::ledger::{Opened, lock};
use crate::mint::{Mint, MintContext, Prerequisite, PromptField};
use crate::principal::identify;

/// How a lease is wanted.
#[derive(Debug, Clone)]
pub struct Acquire {
    /// What to call it at the issuer.
    pub label: String,
    /// How long it should live. `None`: what the configuration says, or 15 minutes.
    pub duration: Option<Lifetime>,
    /// Whether a cached credential will do.
    pub reuse: bool,
    /// Whether a person may be asked for masters that are missing.
    pub interactive: bool,
    /// Whether missing masters are an error instead of a reason to go on without the lease.
    pub require: bool,
    /// Who gets this credential besides.
    pub sharing: Sharing,
}

/// Who gets a credential besides the one who asks for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Whoever asks for the same one.
    #[default]
    Everybody,
    /// Nobody. It is withdrawn when the run ends, for all of which the [`Manager`] is there, or by `cleanup` if it was killed.
    ThisRun,
    /// Nobody. Whoever asks keeps an account of what is to be withdrawn.
    Nobody,
}

impl Acquire {
    /// For `exec`: a cached credential will do, and the lease is skipped if nothing is configured for it.
    #[must_use]
    pub fn for_exec(lease: &LeaseName) -> Self {
        Self {
            label: format!("fnox-exec-{lease}"),
            duration: None,
            reuse: true,
            interactive: false,
            require: false,
            sharing: Sharing::Everybody,
        }
    }

    /// For `lease create`: always a new credential.
    #[must_use]
    pub fn for_create() -> Self {
        Self {
            label: "fnox-lease".to_owned(),
            duration: None,
            reuse: false,
            interactive: false,
            require: true,
            sharing: Sharing::Everybody,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone)]
pub enum Acquired {
    /// A credential that was issued before and has enough of its life left.
    Cached(Held),
    /// A new credential.
    Minted(Held),
    /// Nothing is configured or present to mint with.
    Skipped(Skip),
}

/// A credential that may be used.
#[derive(Debug, Clone)]
pub struct Held {
    /// The lease.
    pub lease: LeaseName,
    /// The credential.
    pub credential: Credential,
    /// When it was issued.
    pub created_at: Timestamp,
    /// Variables that whoever gets the credential must not have: they are, or lead to, the masters.
    pub withhold: Vec<String>,
}

/// A lease without masters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// The lease.
    pub lease: LeaseName,
    /// What is missing, as a sentence.
    pub message: String,
    /// What to do about it, as a sentence.
    pub hint: String,
    /// Long-lived variables of the environment that the program will find instead.
    pub remaining: Vec<String>,
}

impl std::fmt::Display for Skip {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "Skipping lease '{}': {}\n{}",
            self.lease, self.message, self.hint
        )
    }
}

/// One lease on its way to a credential.
pub(super) struct Plan<'c> {
    pub(super) lease: &'c LeaseConfig,
    pub(super) mint: Box<dyn Mint>,
    pub(super) duration: Lifetime,
    pub(super) label: String,
    pub(super) sharing: Sharing,
}

/// Why a plan goes no further.
pub(super) enum Stop {
    Skipped(Skip),
    Failed(LeaseError),
}

impl Stop {
    pub(super) fn into_error(self) -> LeaseError {
        match self {
            Self::Failed(error) => error,
            Self::Skipped(skip) => LeaseError::PrerequisitesMissing {
                lease: skip.lease,
                message: skip.message,
                hint: skip.hint,
            },
        }
    }
}

impl From<LeaseError> for Stop {
    fn from(error: LeaseError) -> Self {
        Self::Failed(error)
    }
}

impl Manager<'_> {
    /// A credential for a lease.
    ///
    /// # Errors
    /// [`LeaseError`]; missing masters are one only if the lease or the request says that they are required.
    pub async fn acquire(
        &self,
        name: &LeaseName,
        request: Acquire,
    ) -> Result<Acquired, LeaseError> {
        match self.advance(name, request).await {
            Ok(acquired) => Ok(acquired),
            Err(Stop::Skipped(skip)) => Ok(Acquired::Skipped(skip)),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// Credentials for several leases, minted at the same time. The answers are in the order of the
    /// requests. A person is asked about one lease after the other.
    pub async fn acquire_many(
        &self,
        requests: Vec<(LeaseName, Acquire)>,
    ) -> Vec<Result<Acquired, LeaseError>> {
        if requests.iter().any(|(_, request)| request.interactive) {
            let mut answers = Vec::with_capacity(requests.len());
            for (name, request) in requests {
                answers.push(self.acquire(&name, request).await);
            }
            return answers;
        }
        join_all(
            requests
                .iter()
                .map(|(name, request)| self.acquire(name, request.clone())),
        )
        .await
    }

    async fn advance(&self, name: &LeaseName, request: Acquire) -> Result<Acquired, Stop> {
        let config = self.options.config;
        let lease = config.lease(name.as_str()).map_err(LeaseError::from)?;
        let plan = self.plan(lease, &request)?;
        let may_reuse = request.reuse && request.sharing == Sharing::Everybody;
        if may_reuse {
            let opened = self.ledger.open().await.map_err(LeaseError::from)?;
            if let Some(held) = self.cached(&plan, &opened) {
                return Ok(Acquired::Cached(held));
            }
        }
        if plan.mint.via().is_none()
            && self.master_names(plan.mint.as_ref()).is_empty()
            && !request.interactive
        {
            // Nothing has to be resolved to see that there is nothing: no lock, no file is needed.
            let context = self.context_with(Vec::new());
            self.prepared(&plan, &request, context)?;
        }
        // Whoever can do with a cached credential waits for the one who is minting it, before anybody
        // is asked to unlock anything. Whoever wants a new one asks first and holds up nobody meanwhile.
        let mut guard: Option<lock::Lock> = None;
        if may_reuse {
            guard = Some(self.lock(lease).await?);
            let opened = self.ledger.open().await.map_err(LeaseError::from)?;
            if let Some(held) = self.cached(&plan, &opened) {
                return Ok(Acquired::Cached(held));
            }
        }
        let context = self.context_of(&plan, &request).await?;
        let context = self.prepared(&plan, &request, context)?;
        if guard.is_none() {
            guard = Some(self.share_lock(lease).await?);
        }
        let held = self.issue(&plan, &context).await?;
        drop(guard);
        Ok(Acquired::Minted(held))
    }

    pub(super) fn plan<'c>(
        &self,
        lease: &'c LeaseConfig,
        request: &Acquire,
    ) -> Result<Plan<'c>, LeaseError> {
        let mint = self.mint(lease)?;
        self.steps(lease)?;
        let duration = request
            .duration
            .or(lease.duration)
            .unwrap_or(Lifetime::DEFAULT);
        let limits = mint.limits();
        if duration < limits.minimum || duration > limits.maximum {
            return Err(LeaseError::DurationOutOfRange {
                lease: lease.name.clone(),
                requested: duration,
                minimum: limits.minimum,
                maximum: limits.maximum,
            });
        }
        Ok(Plan {
            lease,
            mint,
            duration,
            label: request.label.clone(),
            sharing: request.sharing,
        })
    }

    pub(super) fn cached(&self, plan: &Plan<'_>, opened: &Opened) -> Option<Held> {
        let identity = self.identity(plan, opened)?;
        let now = self.options.clock.now();
        let entry = reusable(&opened.entries, plan.lease.name.as_str(), &identity, now)?;
        Some(Held {
            lease: plan.lease.name.clone(),
            credential: entry.credential()?,
            created_at: entry.created_at,
            withhold: self.withheld_in(plan).ok()?,
        })
    }

    /// What names the credentials that this plan may use. `None`: there is no key yet, so there are no records.
    pub(super) fn identity(&self, plan: &Plan<'_>, opened: &Opened) -> Option<Identity> {
        let key = opened.key.as_ref()?;
        Some(identify(
            key,
            plan.lease,
            plan.mint.as_ref(),
            self.options.config,
            self.options.env,
        ))
    }

    pub(super) async fn lock(&self, lease: &LeaseConfig) -> Result<lock::Lock, LeaseError> {
        let limit = self.options.limits.lease_lock;
        Ok(self.ledger.lock_lease(lease.name.as_str(), limit).await?)
    }

    /// For a credential that is new in any case: several are minted at the same time.
    pub(super) async fn share_lock(&self, lease: &LeaseConfig) -> Result<lock::Lock, LeaseError> {
        let limit = self.options.limits.lease_lock;
        Ok(self.ledger.share_lease(lease.name.as_str(), limit).await?)
    }

    /// The context with which the lease can be minted, after asking a person if that is wanted.
    pub(super) fn prepared(
        &self,
        plan: &Plan<'_>,
        request: &Acquire,
        context: MintContext,
    ) -> Result<MintContext, Stop> {
        let (message, prompts) = match plan.mint.prerequisites(&context) {
            Prerequisite::Present => return Ok(context),
            Prerequisite::Missing { message, prompts } => (message, prompts),
        };
        let lease = &plan.lease.name;
        let cannot_ask = request.interactive && !self.options.prompt.is_interactive();
        let hint = if cannot_ask && !prompts.is_empty() {
            NOBODY_TO_ASK.to_owned()
        } else {
            self.hint(lease, !prompts.is_empty())
        };
        let missing = |message: String| LeaseError::PrerequisitesMissing {
            lease: lease.clone(),
            message,
            hint: hint.clone(),
        };
        if request.interactive {
            let answers = self
                .ask(&context, &message, &prompts)
                .ok_or_else(|| missing(message))?;
            let mut context = context;
            let values = answers.iter().map(|(_, value)| value.clone());
            context.masters.extend(values);
            context.env = context.env.with_overlay(answers);
            return match plan.mint.prerequisites(&context) {
                Prerequisite::Present => Ok(context),
                Prerequisite::Missing { message, .. } => Err(missing(message).into()),
            };
        }
        if request.require || plan.lease.required {
            return Err(missing(message).into());
        }
        let present = |name: &String| self.options.env.var(name).is_some();
        Err(Stop::Skipped(Skip {
            lease: lease.clone(),
            message,
            remaining: self
                .withheld_by(plan.mint.as_ref())
                .into_iter()
                .filter(present)
                .collect(),
            hint,
        }))
    }

    /// What a person does about missing prerequisites. What no answer can give, such as a file, nobody is told to be asked for.
    fn hint(&self, lease: &LeaseName, can_be_asked: bool) -> String {
        let profiles: Vec<&str> = self
            .options
            .config
            .selected_profiles
            .iter()
            .map(ProfileName::as_str)
            .collect();
        let profile = if profiles.is_empty() {
            String::new()
        } else {
            format!(" -P {}", profiles.join(","))
        };
        if can_be_asked {
            format!(
                "Run 'fnox lease create {lease} -i{profile}' to set up credentials interactively."
            )
        } else {
            format!(
                "Run 'fnox lease create {lease} --explain{profile}' to see where they are looked for."
            )
        }
    }

    /// Asks for what is missing. `None`: nobody can be asked.
    fn ask(
        &self,
        context: &MintContext,
        message: &str,
        prompts: &[PromptField],
    ) -> Option<Vec<(String, SecretString)>> {
        let prompt = &self.options.prompt;
        if !prompt.is_interactive() {
            return None;
        }
        prompt.message(&format!("{message}\n"));
        let mut answers = Vec::new();
        for field in prompts {
            if context.env.var(&field.variable).is_some() {
                continue;
            }
            let question = format!("{} ({})", field.variable, field.description);
            let answer = if field.secret {
                prompt.secret(&question)?
            } else {
                SecretString::from(prompt.text(&question)?.trim())
            };
            if !answer.is_empty() {
                answers.push((field.variable.clone(), answer));
            }
        }
        Some(answers)
    }
}

/// What a person does who wanted to be asked where that cannot be.
const NOBODY_TO_ASK: &str = "`-i` needs a terminal to ask at: run it in one, without `--non-interactive`, or set what is missing beforehand.";

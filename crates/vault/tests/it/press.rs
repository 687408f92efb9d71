//! A mint in memory that writes down what it is asked, and waits where a test says so.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fnox_core::credential::{
    CredentialMints, IsLive, IssueError, IssueErrorKind, Loan, Masters, MintTerms, Settled,
    Withdrawal,
};
use fnox_core::{Clock, Credential, Lifetime, SecretString};
use fnox_testkit::FakeClock;
use jiff::SignedDuration;
use tokio::sync::Semaphore;

/// The mints `pair` (two variables, cannot be withdrawn), `one` (one variable, can be) and `each` (one for each use).
#[derive(Debug)]
pub(crate) struct Press {
    clock: Arc<FakeClock>,
    terms: Vec<MintTerms>,
    state: Mutex<State>,
    count: AtomicUsize,
    /// One permit for each call that may be answered.
    pub gate: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<String>,
    issued: Vec<Issued>,
    failure: Option<IssueErrorKind>,
    short: Option<i64>,
}

#[derive(Debug, Clone)]
struct Issued {
    name: String,
    holder: String,
    id: String,
    lifetime: Lifetime,
    is_withdrawn: bool,
}

impl Press {
    pub(crate) fn new(clock: &Arc<FakeClock>) -> Arc<Self> {
        let terms = |name: &str| MintTerms {
            name: name.to_owned(),
            kind: "press".to_owned(),
            description: None,
            minimum: Lifetime::from_secs(1),
            maximum: Lifetime::from_secs(900),
            is_withdrawable: true,
            per_operation: false,
            variable: None,
        };
        let pair = MintTerms {
            minimum: Lifetime::from_secs(300),
            is_withdrawable: false,
            ..terms("pair")
        };
        let each = MintTerms {
            per_operation: true,
            variable: Some("TOKEN".to_owned()),
            ..terms("each")
        };
        Arc::new(Self {
            clock: Arc::clone(clock),
            terms: vec![pair, terms("one"), each],
            state: Mutex::default(),
            count: AtomicUsize::new(0),
            gate: Semaphore::new(1_000_000),
        })
    }

    /// Lets no call be answered until the test adds permits.
    pub(crate) fn close_gate(&self) {
        self.gate.forget_permits(usize::MAX >> 4);
    }

    pub(crate) fn fail_with(&self, failure: Option<IssueErrorKind>) {
        self.state.lock().unwrap().failure = failure;
    }

    /// Credentials end after so many seconds, whatever is asked for.
    pub(crate) fn give_only(&self, seconds: i64) {
        self.state.lock().unwrap().short = Some(seconds);
    }

    /// The calls so far, `issue one`, `renew one`, …; forgets them.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }

    /// How many credentials work.
    pub(crate) fn working(&self) -> usize {
        let state = self.state.lock().unwrap();
        state.issued.iter().filter(|one| !one.is_withdrawn).count()
    }

    /// The seconds that the last credential was asked for.
    pub(crate) fn last_lifetime(&self) -> u64 {
        let state = self.state.lock().unwrap();
        state.issued.last().unwrap().lifetime.as_secs()
    }

    /// Puts something on record that nobody here holds.
    pub(crate) fn leave_behind(&self, holder: &str) {
        self.state.lock().unwrap().issued.push(Issued {
            name: "one".to_owned(),
            holder: holder.to_owned(),
            id: "left-behind".to_owned(),
            lifetime: Lifetime::DEFAULT,
            is_withdrawn: false,
        });
    }

    fn note(&self, call: String) {
        self.state.lock().unwrap().calls.push(call);
    }

    async fn make(&self, name: &str, loan: &Loan) -> Result<Credential, IssueError> {
        self.gate.acquire().await.unwrap().forget();
        let mut state = self.state.lock().unwrap();
        if let Some(kind) = state.failure {
            return Err(IssueError {
                kind,
                message: "the issuer of press said: arn:aws:iam::1:role/details".to_owned(),
            });
        }
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let id = format!("issued-{number}");
        state.issued.push(Issued {
            name: name.to_owned(),
            holder: loan.holder.clone(),
            id: id.clone(),
            lifetime: loan.lifetime,
            is_withdrawn: false,
        });
        let seconds = state
            .short
            .unwrap_or_else(|| loan.lifetime.as_secs().try_into().unwrap());
        let value = |name: &str| {
            (
                name.to_owned(),
                SecretString::from(format!("value {number}")),
            )
        };
        let variables = match name {
            "pair" => vec![value("KEY"), value("SECRET")],
            _ => vec![value("TOKEN")],
        };
        Ok(Credential {
            variables,
            expires_at: Some(self.clock.now() + SignedDuration::from_secs(seconds)),
            id,
            private: Vec::new(),
        })
    }

    fn end(&self, fits: impl Fn(&str) -> bool) -> Vec<Withdrawal> {
        let mut state = self.state.lock().unwrap();
        let failure = state.failure;
        let mut done = Vec::new();
        for one in &mut state.issued {
            if one.is_withdrawn || !fits(&one.holder) {
                continue;
            }
            one.is_withdrawn = failure.is_none();
            done.push(Withdrawal {
                holder: Some(one.holder.clone()),
                name: one.name.clone(),
                credential: one.id.clone(),
                outcome: match failure {
                    None => Settled::Withdrawn,
                    Some(_) => Settled::Failed("the issuer is away".to_owned()),
                },
            });
        }
        done
    }
}

#[async_trait]
impl CredentialMints for Press {
    fn describe(&self) -> String {
        "press.toml".to_owned()
    }

    fn terms(&self) -> &[MintTerms] {
        &self.terms
    }

    async fn issue(
        &self,
        name: &str,
        loan: &Loan,
        masters: Arc<dyn Masters>,
    ) -> Result<Credential, IssueError> {
        self.note(format!("issue {name}"));
        assert!(masters.master("no such secret").await?.is_none());
        assert!(
            masters.master("one").await?.is_none(),
            "a mint is no master"
        );
        let master = masters.master("token").await?.expect("the stored secret");
        assert_eq!(master.expose_secret(), "value of token");
        self.make(name, loan).await
    }

    async fn renew(
        &self,
        name: &str,
        loan: &Loan,
        held: &Credential,
        _: Arc<dyn Masters>,
    ) -> Result<Credential, IssueError> {
        self.note(format!("renew {name} {}", held.id));
        self.make(name, loan).await
    }

    async fn withdraw(
        &self,
        holder: &str,
        _: Arc<dyn Masters>,
    ) -> Result<Vec<Withdrawal>, IssueError> {
        self.note("withdraw".to_owned());
        Ok(self.end(|other| other == holder))
    }

    async fn settle(
        &self,
        is_live: Arc<IsLive>,
        _: Arc<dyn Masters>,
    ) -> Result<Vec<Withdrawal>, IssueError> {
        Ok(self.end(|holder| !is_live(holder)))
    }
}

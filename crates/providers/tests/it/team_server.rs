//! A team server of which the test decides how honest it is.
//!
//! It speaks the API on loopback and keeps what it was told to hand out. What the real server does is tested there;
//! here it is about what a client does with a server that lies.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use fnox_api::{
    Approval, ApprovalCreated, ApprovalItem, ApprovalStatus, CheckRequest, CheckedKey, Checks,
    Ciphertext, CreateApproval, Decision, DecisionView, Fetched, FetchedSecret, GrantCreated,
    Problem, ProblemCode, Requester, SessionCreated, SessionView,
};
use fnox_core::age::{Recipient, encrypt};
use fnox_core::prompt::{NoPrompt, Prompt};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

pub(crate) const APPROVAL: Uuid = Uuid::from_u128(0xA11);

/// What the server does.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Key, version, plaintext.
    pub(crate) secrets: BTreeMap<String, (u64, Vec<u8>)>,
    /// What polls answer, in turn; the last one for ever. Empty: nobody has to be asked.
    pub(crate) statuses: VecDeque<ApprovalStatus>,
    /// The name that a fetched secret is handed out under, instead of its own.
    pub(crate) swaps: BTreeMap<String, String>,
    /// Keys that a fetch leaves out.
    pub(crate) withheld: Vec<String>,
    /// The request that is pending.
    pub(crate) request: Option<CreateApproval>,
    /// How often each call was made: `POST /v1/fetch`.
    pub(crate) calls: BTreeMap<String, usize>,
    /// The next poll finds that its session has ended.
    pub(crate) session_ends: bool,
    /// The recipient of all values.
    recipient: String,
}

pub(crate) struct TeamServer {
    server: MockServer,
    plan: Arc<Mutex<Plan>>,
}

impl TeamServer {
    pub(crate) async fn start(recipient: &str) -> Self {
        let plan = Arc::new(Mutex::new(Plan {
            recipient: recipient.to_owned(),
            ..Plan::default()
        }));
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(Answers(Arc::clone(&plan)))
            .mount(&server)
            .await;
        Self { server, plan }
    }

    pub(crate) fn url(&self) -> String {
        self.server.uri()
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Plan) -> T) -> T {
        change(&mut self.plan.lock().unwrap())
    }

    pub(crate) fn keep(&self, key: &str, version: u64, plaintext: impl AsRef<[u8]>) {
        let plaintext = plaintext.as_ref().to_vec();
        self.change(|plan| plan.secrets.insert(key.to_owned(), (version, plaintext)));
    }

    pub(crate) fn statuses(&self, statuses: &[ApprovalStatus]) {
        self.change(|plan| plan.statuses = statuses.iter().copied().collect());
    }

    pub(crate) fn count(&self, call: &str) -> usize {
        self.change(|plan| plan.calls.get(call).copied().unwrap_or(0))
    }

    pub(crate) fn asked_keys(&self) -> Vec<String> {
        self.change(|plan| plan.request.clone().map(|it| it.keys).unwrap_or_default())
    }
}

struct Answers(Arc<Mutex<Plan>>);

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut plan = self.0.lock().unwrap();
        let bearer = request
            .headers
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        let path = request.url.path().replace(&APPROVAL.to_string(), "ID");
        let call = format!("{} {path}", request.method);
        *plan.calls.entry(call.clone()).or_default() += 1;
        let is_known = bearer.starts_with("fxs_");
        match call.as_str() {
            "GET /healthz" => json(200, &serde_json::json!({"status": "ok"})),
            "POST /v1/sessions" => open_session(bearer),
            "POST /v1/fetch" if bearer == "fxg_1" => json(200, &plan.hand_out()),
            _ if !is_known => refuse(&Problem::new(ProblemCode::TokenInvalid)),
            "GET /v1/sessions/current" => json(200, &session_view()),
            "POST /v1/checks" => json(200, &plan.check(&body(request))),
            "POST /v1/approvals" => plan.ask(body(request)),
            "GET /v1/approvals/ID" => plan.poll(),
            "DELETE /v1/approvals/ID" => ResponseTemplate::new(204),
            "POST /v1/grants" => json(
                201,
                &GrantCreated {
                    grant_token: "fxg_1".to_owned(),
                    expires_at: later(),
                },
            ),
            _ => refuse(&Problem::new(ProblemCode::NotFound)),
        }
    }
}

impl Plan {
    fn ask(&mut self, request: CreateApproval) -> ResponseTemplate {
        if let Some(key) = request
            .keys
            .iter()
            .find(|key| !self.secrets.contains_key(*key))
        {
            return refuse(&Problem::new(ProblemCode::NotFound).at_key(key));
        }
        if let Some(key) = request.keys.iter().find(|key| key.starts_with("FORBIDDEN")) {
            return refuse(
                &Problem::new(ProblemCode::PolicyDenied)
                    .at_key(key)
                    .at_claim("ref"),
            );
        }
        self.request = Some(request);
        let status = if self.statuses.is_empty() {
            ApprovalStatus::Approved
        } else {
            ApprovalStatus::Pending
        };
        json(
            201,
            &ApprovalCreated {
                id: APPROVAL,
                code: "K7X2Q9".to_owned(),
                expires_at: later(),
                status,
                asked: vec!["ntfy".to_owned()],
            },
        )
    }

    fn poll(&mut self) -> ResponseTemplate {
        if std::mem::take(&mut self.session_ends) {
            return refuse(&Problem::new(ProblemCode::TokenInvalid));
        }
        let status = match self.statuses.len() {
            0 => ApprovalStatus::Approved,
            1 => self.statuses[0],
            _ => self.statuses.pop_front().unwrap(),
        };
        let request = self.request.clone().unwrap();
        let items = request.keys.iter().map(|key| ApprovalItem {
            key: key.clone(),
            version: 1,
            ciphertext_sha256: String::new(),
            needs_approval: true,
            is_new: false,
        });
        let denial = (status == ApprovalStatus::Denied).then(|| DecisionView {
            by: "alice".to_owned(),
            decision: Decision::Deny,
            at: later(),
            reason: Some("not on\u{1b}[2J a Friday".to_owned()),
        });
        json(
            200,
            &Approval {
                id: APPROVAL,
                status,
                question: None,
                project: request.project.clone(),
                profile: request.profile.clone().unwrap_or_default(),
                items: items.collect(),
                command_display: request.command_display.clone(),
                command_hash: request.command_hash.clone(),
                reason: request.reason.clone(),
                requester: Requester {
                    issuer: "github".to_owned(),
                    principal: "github:1".to_owned(),
                    name: "o/r".to_owned(),
                    facts: Vec::new(),
                    run_url: None,
                },
                address: None,
                created_at: later(),
                expires_at: later(),
                approvals_needed: 1,
                decisions: denial.into_iter().collect(),
            },
        )
    }

    fn hand_out(&self) -> Fetched {
        let keys = self.request.clone().unwrap().keys;
        let secrets = keys
            .iter()
            .filter(|key| !self.withheld.contains(key))
            .map(|key| {
                let source = self.swaps.get(key).unwrap_or(key);
                let (version, plaintext) = &self.secrets[source];
                FetchedSecret {
                    key: key.clone(),
                    version: *version,
                    ciphertext: age_file(&self.recipient, plaintext),
                    recipients: vec![self.recipient.clone()],
                }
            });
        Fetched {
            secrets: secrets.collect(),
        }
    }

    fn check(&self, request: &CheckRequest) -> Checks {
        let keys = request.keys.iter().map(|key| {
            let version = self.secrets.get(key).map(|(version, _)| *version);
            CheckedKey {
                key: key.clone(),
                version,
                needs_approval: !self.statuses.is_empty(),
                refused: version
                    .is_none()
                    .then(|| format!("the server has no `{key}`")),
            }
        });
        Checks {
            keys: keys.collect(),
        }
    }
}

fn age_file(recipient: &str, plaintext: &[u8]) -> Ciphertext {
    let nobody: Arc<dyn Prompt> = Arc::new(NoPrompt);
    let recipients = [Recipient::parse(recipient).unwrap()];
    Ciphertext::parse(encrypt(&recipients, plaintext, &nobody).unwrap()).unwrap()
}

fn open_session(bearer: &str) -> ResponseTemplate {
    // A token that begins so is one that the server has not seen yet.
    if !bearer.starts_with("oidc") {
        return refuse(&Problem::new(ProblemCode::OidcInvalid));
    }
    json(
        201,
        &SessionCreated {
            token: format!("fxs_of_{bearer}"),
            expires_at: later(),
            principal: "github:1".to_owned(),
            roles: Vec::new(),
        },
    )
}

fn session_view() -> SessionView {
    SessionView {
        principal: "github:1".to_owned(),
        issuer: "github".to_owned(),
        roles: Vec::new(),
        expires_at: later(),
        claims: BTreeMap::new(),
    }
}

fn later() -> Timestamp {
    "2100-01-01T00:00:00Z".parse().unwrap()
}

fn body<T: serde::de::DeserializeOwned>(request: &Request) -> T {
    serde_json::from_slice(&request.body).unwrap()
}

fn json<T: Serialize>(status: u16, value: &T) -> ResponseTemplate {
    let text = serde_json::to_string(value).unwrap();
    ResponseTemplate::new(status).set_body_raw(text, "application/json")
}

fn refuse(problem: &Problem) -> ResponseTemplate {
    let text = serde_json::to_string(problem).unwrap();
    ResponseTemplate::new(problem.status).set_body_raw(text, "application/problem+json")
}

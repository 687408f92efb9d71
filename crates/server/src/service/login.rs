//! Sessions: an OIDC token opens one, and only one.

use std::net::IpAddr;
use std::time::Duration;

use fnox_api::{Problem, ProblemCode, Role, SessionCreated, SessionView};
use fnox_core::audit::{Entry, Outcome};
use fnox_core::{Token, TokenKind};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Caller, Service};
use crate::notify::Notice;
use crate::oidc::VerifiedToken;
use crate::settings::LoginSettings;
use crate::store::{KnownName, NewSession, Refusal, Replay, SessionRecord};
use crate::subject::{Claims, Subject};

impl Service {
    /// Opens a session with an OIDC token.
    pub(crate) async fn login(
        &self,
        token: &str,
        address: IpAddr,
    ) -> Result<SessionCreated, Problem> {
        let verified = self.verified(token, address).await?;
        self.enter(verified, address).await
    }

    /// What a token proves.
    pub(super) async fn verified(
        &self,
        token: &str,
        address: IpAddr,
    ) -> Result<VerifiedToken, Problem> {
        self.verifier().verify(token).await.map_err(|error| {
            // Not in the audit log: anybody can send these, and each record costs a sync of the disk.
            tracing::info!(%address, %error, "a token was not accepted");
            metrics::counter!("fnox_logins_total", "outcome" => "refused").increment(1);
            error.problem()
        })
    }

    /// Opens a session for whoever a token proved to be.
    pub(super) async fn enter(
        &self,
        verified: VerifiedToken,
        address: IpAddr,
    ) -> Result<SessionCreated, Problem> {
        let login = self
            .settings()
            .login
            .as_ref()
            .filter(|login| login.issuer == verified.issuer);
        let roles = login.map_or_else(Vec::new, |login| roles(login, &verified.claims));
        let subject = Subject {
            issuer: verified.issuer.clone(),
            preset: verified.preset,
            subject: verified.subject.clone(),
            claims: verified.claims.clone(),
            roles,
        };
        self.admit(&subject, login, address).await?;
        let outcome = self.open(&verified, subject, login, address).await;
        let word = if outcome.is_ok() { "ok" } else { "denied" };
        metrics::counter!("fnox_logins_total", "outcome" => word).increment(1);
        outcome
    }

    /// Whether the subject may log in at all.
    async fn admit(
        &self,
        subject: &Subject,
        login: Option<&LoginSettings>,
        address: IpAddr,
    ) -> Result<(), Problem> {
        if login.is_some() && !subject.roles.is_empty() {
            return Ok(());
        }
        match self.policy().current().admit(subject) {
            Ok(admission) => {
                if let Some(renamed) = admission.renamed {
                    tracing::warn!(
                        principal = %subject.principal(), from = %renamed.from, to = %renamed.to,
                        "the policy names it otherwise; it was renamed"
                    );
                }
                Ok(())
            }
            Err(denial) => {
                tracing::warn!(principal = %subject.principal(), %address, %denial, "login denied");
                let mut entry = Entry::new("login", &subject.principal(), Outcome::Denied);
                entry.peer = Some(address.to_string());
                entry.reason = Some(denial.to_string());
                if denial.is_resurrection() {
                    "name_resurrected".clone_into(&mut entry.event);
                    self.alarm_of_name(subject);
                }
                let recorded = self.store().record(vec![entry]).await;
                self.stored(recorded)?;
                metrics::counter!("fnox_logins_total", "outcome" => "denied").increment(1);
                Err(denial.for_client())
            }
        }
    }

    async fn open(
        &self,
        verified: &VerifiedToken,
        subject: Subject,
        login: Option<&LoginSettings>,
        address: IpAddr,
    ) -> Result<SessionCreated, Problem> {
        let now = self.now();
        let token = Token::generate(TokenKind::Session)
            .map_err(|error| Problem::new(ProblemCode::Internal).with_detail(error.to_string()))?;
        let session = SessionRecord {
            id: Uuid::now_v7(),
            hash: token.hash(),
            expires_at: self.session_end(verified, now),
            created_at: now,
            ended: false,
            subject,
        };
        let subject = session.subject.clone();
        let created = SessionCreated {
            token: token.secret().expose_secret().to_owned(),
            expires_at: session.expires_at,
            principal: subject.principal(),
            roles: subject.roles.clone(),
        };
        let mut entry = Entry::new("login", &created.principal, Outcome::Ok);
        entry.peer = Some(address.to_string());
        entry.lease = Some(session.id);
        entry.detail = Some(described(&subject));
        let new = NewSession {
            replay: Some(Replay {
                id: verified.replay_id,
                keep_until: verified.keep_until,
            }),
            name: known_name(&subject),
            logins: if login.is_some() {
                logins(&subject)
            } else {
                [None, None, None]
            },
            must_be_provisioned: login.is_some_and(|login| login.require_provisioned),
            session,
        };
        match self.store().open_session(new, entry).await {
            Ok(None) => Ok(created),
            Ok(Some(from)) => {
                tracing::warn!(principal = %created.principal, %from, to = %subject.name(), "it was renamed");
                Ok(created)
            }
            Err(error) => {
                if let Some(Refusal::Resurrected { name, known }) = error.refusal() {
                    tracing::warn!(
                        principal = %created.principal, %name, %known,
                        "a name came back under another id"
                    );
                    self.alarm_of_name(&subject);
                }
                self.stored(Err(error))
            }
        }
    }

    /// At most the configured life, and three times that of the token: what was given for minutes does not open
    /// something for longer.
    fn session_end(&self, verified: &VerifiedToken, now: Timestamp) -> Timestamp {
        let token_life = verified
            .expires_at
            .duration_since(verified.issued_at)
            .unsigned_abs();
        let life = self
            .settings()
            .approvals
            .session_lifetime
            .min(LONGEST_SESSION)
            .min(token_life.saturating_mul(3));
        now.checked_add(life).unwrap_or(now)
    }

    fn alarm_of_name(&self, subject: &Subject) {
        self.notifier().send(Notice::Alarm {
            title: "A name was taken over".to_owned(),
            text: format!(
                "{} now has another id than before ({}); its login was refused.",
                subject.name(),
                subject.principal()
            ),
            approval: None,
        });
    }

    /// The caller's session.
    pub(crate) fn current_session(caller: &Caller) -> SessionView {
        let session = &caller.session;
        SessionView {
            principal: session.subject.principal(),
            issuer: session.subject.issuer.clone(),
            roles: session.subject.roles.clone(),
            expires_at: session.expires_at,
            claims: session.subject.claims.clone(),
        }
    }

    /// Ends the caller's session.
    pub(crate) async fn logout(&self, caller: &Caller) -> Result<(), Problem> {
        let mut entry = caller.entry("logout");
        entry.lease = Some(caller.session.id);
        let ended = self.store().end_session(caller.session.id, entry).await;
        self.stored(ended)
    }
}

/// The roles that the groups of a person give.
pub(super) fn roles(login: &LoginSettings, claims: &Claims) -> Vec<Role> {
    let groups: Vec<&str> = match claims.get(&login.groups_claim) {
        Some(serde_json::Value::Array(groups)) => groups
            .iter()
            .filter_map(serde_json::Value::as_str)
            .collect(),
        Some(serde_json::Value::String(group)) => vec![group],
        _ => Vec::new(),
    };
    let mut roles: Vec<Role> = login
        .roles
        .iter()
        .filter(|(_, wanted)| {
            wanted
                .iter()
                .any(|wanted| groups.contains(&wanted.as_str()))
        })
        .map(|(role, _)| *role)
        .collect();
    roles.sort_unstable();
    roles.dedup();
    roles
}

fn known_name(subject: &Subject) -> Option<KnownName> {
    let name = subject.text(subject.preset.name_claim()?)?;
    Some(KnownName {
        issuer: subject.issuer.clone(),
        stable_id: subject.claim_as_text(subject.stable_claim())?,
        name: name.to_owned(),
    })
}

/// How an identity provider may call the person. Only a verified mail counts.
fn logins(subject: &Subject) -> [Option<String>; 3] {
    let mail = subject
        .text("email")
        .filter(|_| subject.claims.get("email_verified") != Some(&serde_json::Value::Bool(false)));
    let lower = |text: &str| text.to_lowercase();
    [
        Some(lower(&subject.subject)),
        subject.text("preferred_username").map(lower),
        mail.map(lower),
    ]
}

fn described(subject: &Subject) -> String {
    let requester = subject.requester();
    serde_json::json!({
        "name": requester.name,
        "facts": requester.facts,
        "roles": subject.roles,
    })
    .to_string()
}

/// No session lasts longer, whatever is configured.
const LONGEST_SESSION: Duration = Duration::from_mins(15);

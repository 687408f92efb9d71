//! Everything that a server must know to run, parsed already. Reading `server.toml` and flags is the caller's
//! business.

use std::path::PathBuf;
use std::time::Duration;

use fnox_api::Role;
use fnox_core::SecretString;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Kinds of issuers whose tokens look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
    /// CircleCI.
    Circleci,
    /// Buildkite.
    Buildkite,
    /// Any OpenID provider.
    Generic,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Github,
        Self::Gitlab,
        Self::Circleci,
        Self::Buildkite,
        Self::Generic,
    ];

    /// The word in configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Circleci => "circleci",
            Self::Buildkite => "buildkite",
            Self::Generic => "generic",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }

    /// The issuer's address, where there is only one.
    #[must_use]
    pub fn url(self) -> Option<&'static str> {
        match self {
            Self::Github => Some("https://token.actions.githubusercontent.com"),
            Self::Gitlab => Some("https://gitlab.com"),
            Self::Buildkite => Some("https://agent.buildkite.com"),
            // CircleCI's issuer has the organisation's id in it.
            Self::Circleci | Self::Generic => None,
        }
    }

    /// The claim that stays the same when things are renamed.
    #[must_use]
    pub fn stable_claim(self) -> &'static str {
        match self {
            Self::Github => "repository_id",
            Self::Gitlab => "project_id",
            Self::Circleci => "oidc.circleci.com/project-id",
            Self::Buildkite => "pipeline_id",
            Self::Generic => "sub",
        }
    }

    /// The claim that people know it by, and that may come to mean something else.
    #[must_use]
    pub fn name_claim(self) -> Option<&'static str> {
        match self {
            Self::Github => Some("repository"),
            Self::Gitlab => Some("project_path"),
            Self::Buildkite => Some("pipeline_slug"),
            Self::Circleci | Self::Generic => None,
        }
    }

    /// The claims that tell one run from another.
    #[must_use]
    pub fn run_claims(self) -> &'static [&'static str] {
        match self {
            Self::Github => &["run_id", "run_attempt", "check_run_id"],
            Self::Gitlab => &["pipeline_id", "job_id"],
            Self::Circleci => &["oidc.circleci.com/workflow-id", "oidc.circleci.com/job-id"],
            Self::Buildkite => &["build_number", "job_id"],
            Self::Generic => &[],
        }
    }

    /// What whoever decides should see, with the words for people.
    #[must_use]
    pub fn shown_claims(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Github => &[
                ("Repository", "repository"),
                ("Repository id", "repository_id"),
                ("Ref", "ref"),
                ("Commit", "sha"),
                ("Workflow", "workflow_ref"),
                ("Reusable workflow", "job_workflow_ref"),
                ("Event", "event_name"),
                ("Environment", "environment"),
                ("Actor", "actor"),
                ("Actor id", "actor_id"),
                ("Runner", "runner_environment"),
                ("Attempt", "run_attempt"),
            ],
            Self::Gitlab => &[
                ("Project", "project_path"),
                ("Project id", "project_id"),
                ("Ref", "ref_path"),
                ("Commit", "sha"),
                ("Source", "pipeline_source"),
                ("Environment", "environment"),
                ("User", "user_login"),
                ("Runner", "runner_environment"),
            ],
            Self::Circleci => &[
                ("Project id", "oidc.circleci.com/project-id"),
                ("Repository", "oidc.circleci.com/vcs-origin"),
                ("Ref", "oidc.circleci.com/vcs-ref"),
            ],
            Self::Buildkite => &[
                ("Organisation", "organization_slug"),
                ("Pipeline", "pipeline_slug"),
                ("Pipeline id", "pipeline_id"),
                ("Branch", "build_branch"),
                ("Commit", "build_commit"),
                ("Step", "step_key"),
            ],
            Self::Generic => &[("Name", "name"), ("Mail", "email"), ("Subject", "sub")],
        }
    }
}

/// Signature algorithms of tokens (RFC 7518, section 3.1; RFC 8037). Symmetric ones and `none` cannot be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The word in JOSE headers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// One `[[issuer]]`.
#[derive(Debug, Clone)]
pub struct IssuerSettings {
    /// Its name in the policy.
    pub name: String,
    /// What its tokens look like.
    pub preset: Preset,
    /// `iss`, compared byte for byte.
    pub url: String,
    /// `aud` must contain it. Default: `public_url`.
    pub audience: String,
    /// What tokens may be signed with. Default: RS256.
    pub algorithms: Vec<Algorithm>,
    /// The keys, instead of discovery.
    pub jwks_file: Option<PathBuf>,
    /// Origins (scheme, host, port) that may be private addresses, or plain HTTP on loopback, or another host than the
    /// issuer's.
    pub allow_origins: Vec<String>,
    /// How far clocks may differ. Default 60 s, at most 300 s.
    pub leeway: Duration,
    /// The longest life of a token that is accepted. At most 24 h.
    pub longest_life: Duration,
}

/// `[login]`: how people log in.
#[derive(Debug, Clone)]
pub struct LoginSettings {
    /// Which `[[issuer]]`; its audience is the client id.
    pub issuer: String,
    /// The client id.
    pub client_id: String,
    /// Only needed for the pages, if the provider does not know public clients.
    pub client_secret: Option<SecretString>,
    /// What to ask for. Default: openid, email, profile, groups.
    pub scopes: Vec<String>,
    /// The claim that lists groups. Default: `groups`.
    pub groups_claim: String,
    /// Groups of each role.
    pub roles: Vec<(Role, Vec<String>)>,
    /// Whether only people that SCIM provisioned may log in.
    pub require_provisioned: bool,
}

/// How people decide on the page behind a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApproveBy {
    /// Whoever has the link and the match code.
    #[default]
    Link,
    /// Whoever has logged in and is an approver, with the match code.
    Login,
}

/// `[approvals]`
#[derive(Debug, Clone)]
pub struct ApprovalSettings {
    /// How long a request waits for a decision, and how long a yes lasts. Default 10 min.
    pub lifetime: Duration,
    /// How long a grant lasts. Default 60 s.
    pub grant_lifetime: Duration,
    /// How long a session lasts at most. At most 15 min.
    pub session_lifetime: Duration,
    /// How many requests of one requester may be pending. Default 5.
    pub pending_limit: u32,
    /// How long the same request is refused after a no. Default 5 min.
    pub quiet_time: Duration,
    /// How people decide behind a link.
    pub approve_by: ApproveBy,
    /// Offer three codes to choose from, instead of a field to type one in.
    pub choose_code: bool,
    /// How many have to say yes, unless a rule says more. Default 1.
    pub approvals_needed: u32,
    /// How many versions of a secret are kept. Default 10.
    pub keep_versions: u32,
    /// The largest age file, in bytes. Default 256 KiB.
    pub ciphertext_limit: usize,
}

impl Default for ApprovalSettings {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_mins(10),
            grant_lifetime: Duration::from_mins(1),
            session_lifetime: Duration::from_mins(15),
            pending_limit: 5,
            quiet_time: Duration::from_mins(5),
            approve_by: ApproveBy::Link,
            choose_code: false,
            approvals_needed: 1,
            keep_versions: 10,
            ciphertext_limit: 256 * 1024,
        }
    }
}

/// `[notify.…]`: where approvers are asked.
#[derive(Debug, Clone)]
pub enum NotifySettings {
    /// ntfy.
    Ntfy(NtfySettings),
    /// A signed POST of JSON.
    Webhook {
        /// Where to.
        url: String,
        /// The key of the signature.
        secret: SecretString,
    },
    /// A webhook that takes Slack's messages.
    Slack {
        /// Where to; it is a secret.
        url: SecretString,
    },
    /// Mail.
    Email(EmailSettings),
}

/// `[notify.ntfy]`
#[derive(Debug, Clone)]
pub struct NtfySettings {
    /// The server.
    pub url: String,
    /// The topic.
    pub topic: String,
    /// An access token.
    pub token: Option<SecretString>,
    /// 1 to 5. Default 4.
    pub priority: u8,
    /// Offer one-tap decisions in the notification. Whoever can read the topic can then decide.
    pub one_tap: bool,
}

/// `[notify.email]`
#[derive(Debug, Clone)]
pub struct EmailSettings {
    /// `smtps://` or `smtp://` with a host and perhaps a port, without credentials.
    pub server: String,
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<SecretString>,
    /// Sender.
    pub from: String,
    /// Recipients.
    pub to: Vec<String>,
}

/// `[limits]`
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// Connections at once. Default 4096.
    pub connections: usize,
    /// Largest body, in bytes. Default 512 KiB.
    pub body: usize,
    /// Longest time of a request, without the wait of a long poll. Default 30 s.
    pub request: Duration,
    /// Longest time for a request's head. Default 10 s.
    pub header: Duration,
    /// Refused requests per minute from one address; after that they are answered with 429. Default 600.
    pub anonymous_per_minute: u32,
    /// Requests per minute of one principal. Default 6000.
    pub principal_per_minute: u32,
    /// How long requests may still take after a SIGTERM. Default 20 s.
    pub drain: Duration,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            connections: 4096,
            body: 512 * 1024,
            request: Duration::from_secs(30),
            header: Duration::from_secs(10),
            anonymous_per_minute: 600,
            principal_per_minute: 6000,
            drain: Duration::from_secs(20),
        }
    }
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What clients and approvers reach it by, without a slash at the end.
    pub public_url: String,
    /// Who may say who somebody is.
    pub issuers: Vec<IssuerSettings>,
    /// How people log in.
    pub login: Option<LoginSettings>,
    /// Times and counts.
    pub approvals: ApprovalSettings,
    /// Where approvers are asked.
    pub notify: Vec<NotifySettings>,
    /// Limits.
    pub limits: LimitSettings,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpNet>,
    /// What `GET /metrics` wants as bearer. Without one it answers only to loopback.
    pub metrics_token: Option<SecretString>,
    /// The policy's file, read again when it changes.
    pub policy: PathBuf,
}

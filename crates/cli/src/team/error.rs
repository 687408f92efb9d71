//! Why the team server's client did not do what a command asked: for the person, and for the exit code.

use std::path::PathBuf;

use fnox_api::ProblemCode;
use fnox_api::client::ClientError;
use fnox_core::ExitStatus;

use crate::team::place::Place;

/// Something about the team server failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TeamFailure {
    /// What its client says.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Nobody says which server.
    #[error("it is not clear which team server is meant")]
    NoServer,
    /// Nobody says which project.
    #[error("it is not clear which project is meant")]
    NoProject,
    /// There is no such secret, or none for this person.
    #[error("the team server has no secret `{key}` for you in {place}")]
    NoSuchSecret { key: String, place: String },
    /// There is no session.
    #[error("you are not logged in to {server}")]
    NotLoggedIn { server: String },
    /// A token cannot be read.
    #[error("the token cannot be read from {from}: {reason}")]
    Token { from: String, reason: String },
    /// The OpenID provider did not let the person in.
    #[error("the login failed: {reason}")]
    Login {
        reason: String,
        help: Option<&'static str>,
    },
    /// The OpenID provider did not answer.
    #[error("the OpenID provider {provider} does not answer: {reason}")]
    ProviderUnreachable { provider: String, reason: String },
    /// The person did not log in in time.
    #[error("nobody logged in within {minutes} minutes")]
    LoginTimedOut { minutes: u64 },
    /// A recipient is no recipient.
    #[error("`{recipient}` is no recipient: {reason}")]
    Recipient { recipient: String, reason: String },
    /// Nobody says whom to encrypt to.
    #[error("it is not clear whom to encrypt `{key}` to")]
    NoRecipients { key: String },
    /// The writer key cannot be used.
    #[error("the writer key {} cannot be used: {reason}", path.display())]
    Writer { path: PathBuf, reason: String },
    /// Signed values are wanted and there is no key to sign with.
    #[error("the project names writers, and there is no writer key to sign `{key}` with")]
    NoWriter { key: String, path: PathBuf },
    /// A stored value is not what it should be.
    #[error("the stored value of `{key}` is refused: {reason}")]
    Value { key: String, reason: String },
    /// A value cannot be signed or encrypted.
    #[error("the value of `{key}` cannot be encrypted: {reason}")]
    Sealing { key: String, reason: String },
    /// None of the identities here opens a stored value.
    #[error("`{key}` cannot be opened here: {reason}")]
    NotForUs { key: String, reason: String },
    /// Others kept changing the same secret.
    #[error("`{key}` was changed by somebody else at the same time, again and again")]
    Contended { key: String },
    /// Not an approval's id.
    #[error("`{}` is not the id of an approval", text.escape_debug())]
    ApprovalId { text: String },
    /// There is no match code.
    #[error("an approval needs the match code")]
    NoCode,
    /// `--timeout` is over.
    #[error("nobody decided within {seconds} s; the request was taken back")]
    NobodyDecided { seconds: u64 },
    /// Some of several keys failed; what exactly has been printed.
    #[error("{message}")]
    Some { message: String, status: ExitStatus },
}

impl TeamFailure {
    /// What the server says about one secret; that there is none is told with its name.
    pub(crate) fn about(error: ClientError, key: &str, place: &Place) -> Self {
        if error.code() == Some(ProblemCode::NotFound) {
            return Self::NoSuchSecret {
                key: key.to_owned(),
                place: format!("project `{}`, profile `{}`", place.project, place.profile),
            };
        }
        Self::Client(error)
    }

    pub(crate) fn login(reason: impl Into<String>) -> Self {
        Self::Login {
            reason: reason.into(),
            help: None,
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Client(error) => client_code(error),
            Self::NoSuchSecret { .. } => "team::not_found",
            Self::NoServer | Self::NoProject => "team::settings",
            Self::NotLoggedIn { .. } | Self::Token { .. } => "team::not_logged_in",
            Self::Login { .. } | Self::LoginTimedOut { .. } => "team::login",
            Self::ProviderUnreachable { .. } => "team::provider_unreachable",
            Self::Recipient { .. } | Self::NoRecipients { .. } | Self::Sealing { .. } => {
                "team::recipients"
            }
            Self::Writer { .. } | Self::NoWriter { .. } => "team::writer",
            Self::Value { .. } => "team::value",
            Self::NotForUs { .. } => "team::no_identity",
            Self::Contended { .. } => "team::contended",
            Self::ApprovalId { .. } | Self::NoCode => "team::approval",
            Self::NobodyDecided { .. } => "team::nobody_decided",
            Self::Some { .. } => "team::some_failed",
        }
    }

    pub(crate) fn status(&self) -> ExitStatus {
        match self {
            Self::Client(error) => error.exit_status(),
            Self::NoSuchSecret { .. } => ExitStatus::SecretMissing,
            Self::NoServer | Self::NoProject => ExitStatus::Configuration,
            Self::NotLoggedIn { .. }
            | Self::Token { .. }
            | Self::Login { .. }
            | Self::LoginTimedOut { .. }
            | Self::Writer { .. }
            | Self::NoWriter { .. }
            | Self::NotForUs { .. } => ExitStatus::AuthenticationNeeded,
            Self::ProviderUnreachable { .. } => ExitStatus::Unavailable,
            Self::Recipient { .. }
            | Self::NoRecipients { .. }
            | Self::Sealing { .. }
            | Self::ApprovalId { .. }
            | Self::NoCode => ExitStatus::Usage,
            Self::Value { .. } | Self::NobodyDecided { .. } => ExitStatus::Denied,
            Self::Contended { .. } => ExitStatus::Failure,
            Self::Some { status, .. } => *status,
        }
    }

    pub(crate) fn help(&self) -> Option<String> {
        let text = match self {
            Self::Client(error) => error.help()?,
            Self::NoSuchSecret { .. } => {
                "`fnox secret list --all` shows what there is, in which profile"
            }
            Self::NoServer => {
                "name it with --server or FNOX_SERVER_URL, or set `server_url` in the global file"
            }
            Self::NoProject => {
                "name it with --project, or in fnox.toml:\n[project]\nname = \"my-app\""
            }
            Self::NotLoggedIn { server } => {
                return Some(format!(
                    "log in: fnox login --server {server}\nor present a token: FNOX_SERVER_TOKEN_FILE, FNOX_SERVER_TOKEN"
                ));
            }
            Self::Token { .. } => "the file holds one token and nothing else",
            Self::Login { help, .. } => (*help)?,
            Self::LoginTimedOut { .. } => {
                "run `fnox login` again; `--device` needs no browser here"
            }
            Self::ProviderUnreachable { .. } => {
                "look at the network; with a token that you have already: --token-file"
            }
            Self::Recipient { .. } => "a recipient looks like age1…, ssh-ed25519 … or ssh-rsa …",
            Self::Sealing { .. } => "look at the recipients: a plugin's needs its program",
            Self::NoRecipients { .. } => {
                "name them with --recipients, or once for all: fnox age add-recipient age1…"
            }
            Self::Writer { .. } => {
                "`fnox age keygen` makes one; FNOX_WRITER_KEY_FILE names another"
            }
            Self::NoWriter { path, .. } => {
                return Some(format!(
                    "`fnox age keygen` makes one in {}; the public key it prints goes into `[project] writers`",
                    path.display()
                ));
            }
            Self::Value { .. } => {
                "somebody may have put it there who must not: ask who stored it (`fnox secret versions`), and store it anew with `fnox secret set`"
            }
            Self::NotForUs { .. } => {
                "only whoever has an identity for a present recipient can encrypt it anew; or store the value again with `fnox secret set`"
            }
            Self::Contended { .. } => "try again",
            Self::NobodyDecided { .. } => {
                "ask again with more time, or with --no-wait and later --approval ID"
            }
            Self::ApprovalId { .. } => "`fnox approve list` shows the ids",
            Self::NoCode => {
                "the log of whoever asks shows it; give it with --code, or on a terminal when it is asked for"
            }
            Self::Some { .. } => return None,
        };
        Some(text.to_owned())
    }
}

fn client_code(error: &ClientError) -> &'static str {
    match error.exit_status() {
        ExitStatus::AuthenticationNeeded => "team::not_logged_in",
        ExitStatus::Denied => "team::denied",
        ExitStatus::SecretMissing => "team::not_found",
        ExitStatus::Unavailable => "team::unavailable",
        ExitStatus::Configuration => "team::settings",
        _ => "team::refused",
    }
}

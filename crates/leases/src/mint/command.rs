//! `command`: a shell command that prints a credential as JSON.
//!
//! With `consumes` the commands get these masters and the few variables without which a shell is of no
//! use; without it, the inherited environment and every secret of the profile. The command's whole process
//! group ends when its time is up. A command that exits with a failure is taken at its word that nothing
//! was issued.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use fnox_config::LeaseConfig;
use fnox_core::name::is_variable_name;
use fnox_core::{Credential, Env, Lifetime, SecretString};
use fnox_providers::process::{Output, Program, complaint};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, Visitor};

use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, MintErrorKind, PlannedCall,
    Prerequisite, PromptField, RevocationKind, RevokeRequest,
};
use crate::error::LeaseError;

/// What a shell needs to find programs and folders and to speak the person's language.
const ALWAYS_GIVEN: &[&str] = if cfg!(windows) {
    &[
        "PATH",
        "HOME",
        "LANG",
        "LANGUAGE",
        "APPDATA",
        "COMSPEC",
        "LOCALAPPDATA",
        "PATHEXT",
        "PROGRAMDATA",
        "PROGRAMFILES",
        "SYSTEMDRIVE",
        "SYSTEMROOT",
        "TEMP",
        "TMP",
        "USERPROFILE",
    ]
} else {
    &["PATH", "HOME", "LANG", "LANGUAGE", "TMPDIR"]
};

/// How long a command may run unless the configuration says otherwise.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Largest output that is read as a credential.
const OUTPUT_LIMIT: usize = 1024 * 1024;

#[derive(Debug)]
struct Command {
    create: String,
    revoke: Option<String>,
    time_limit: Duration,
    consumes: Option<Vec<String>>,
    produces: Vec<String>,
    folder: PathBuf,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for an empty command or a name that is no variable.
pub(crate) fn open(lease: &LeaseConfig, _: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    let fields = &lease.fields;
    let create = fields.text("create_command").unwrap_or_default();
    if create.trim().is_empty() {
        return Err(fields.invalid("create_command", "must not be empty").into());
    }
    for key in ["consumes", "produces"] {
        if let Some(name) = fields.list(key).iter().find(|name| !is_variable_name(name)) {
            let reason = format!("names `{}`, which is no variable", name.escape_debug());
            return Err(fields.invalid(key, reason).into());
        }
    }
    Ok(Box::new(Command {
        create: create.to_owned(),
        revoke: fields
            .text("revoke_command")
            .filter(|command| !command.trim().is_empty())
            .map(str::to_owned),
        time_limit: fields
            .lifetime("timeout")
            .map_or(TIME_LIMIT, Lifetime::as_duration),
        consumes: fields
            .contains("consumes")
            .then(|| fields.list("consumes").to_vec()),
        produces: fields.list("produces").to_vec(),
        folder: fields.location().file.folder().to_owned(),
    }))
}

#[async_trait]
impl Mint for Command {
    fn limits(&self) -> Limits {
        Limits {
            minimum: Lifetime::from_secs(1),
            maximum: Lifetime::from_secs(24 * 3600),
        }
    }

    fn produces(&self) -> Vec<String> {
        self.produces.clone()
    }

    fn consumes(&self) -> Consumes {
        match &self.consumes {
            Some(names) => Consumes::Names(names.clone()),
            None => Consumes::Everything,
        }
    }

    fn withholds(&self, _: &dyn Fn(&str) -> bool) -> Vec<String> {
        self.consumes.clone().unwrap_or_default()
    }

    fn revocation(&self) -> RevocationKind {
        match self.revoke {
            Some(_) => RevocationKind::Supported,
            None => RevocationKind::ExpiresOnly,
        }
    }

    fn prerequisites(&self, context: &MintContext) -> Prerequisite {
        let missing: Vec<&String> = self
            .consumes
            .iter()
            .flatten()
            .filter(|name| context.env.var(name).is_none())
            .collect();
        if missing.is_empty() {
            return Prerequisite::Present;
        }
        let names: Vec<&str> = missing.iter().map(|name| name.as_str()).collect();
        Prerequisite::Missing {
            message: format!(
                "{} {} not set.",
                names.join(", "),
                if names.len() == 1 { "is" } else { "are" }
            ),
            prompts: missing
                .into_iter()
                .map(|name| PromptField {
                    variable: name.clone(),
                    description: "master of this lease".to_owned(),
                    secret: true,
                    optional: false,
                })
                .collect(),
        }
    }

    fn explain(&self, _: &MintContext, request: &CreateRequest) -> Vec<PlannedCall> {
        let master = match &self.consumes {
            None => "the whole environment and every secret of the profile".to_owned(),
            Some(names) if names.is_empty() => "nothing".to_owned(),
            Some(names) => names.join(", "),
        };
        vec![PlannedCall {
            action: "run".to_owned(),
            target: "sh".to_owned(),
            purpose: "print the credential as JSON".to_owned(),
            master,
            details: vec![
                ("create_command".to_owned(), self.create.clone()),
                ("folder".to_owned(), self.folder.display().to_string()),
                (
                    "FNOX_LEASE_DURATION".to_owned(),
                    request.duration.as_secs().to_string(),
                ),
                ("FNOX_LEASE_LABEL".to_owned(), request.label.clone()),
            ],
        }]
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let seconds = request.duration.as_secs().to_string();
        let env = self.env(
            context,
            &[
                ("FNOX_LEASE_DURATION", &seconds),
                ("FNOX_LEASE_LABEL", &request.label),
                ("FNOX_LEASE_ID", &request.provisional_id),
            ],
        );
        let output = self
            .run(&self.create, &env)
            .await
            .map_err(MintError::maybe_issued)?;
        self.require_success("create_command", &output, context)?;
        self.read(&output, request, context.clock.now())
            .map_err(MintError::maybe_issued)
    }

    async fn revoke(
        &self,
        context: &MintContext,
        request: &RevokeRequest,
    ) -> Result<(), MintError> {
        let Some(command) = &self.revoke else {
            return Err(MintError::misconfigured(
                "revoke_command",
                "there is no `revoke_command`, so the credential only expires",
            ));
        };
        let env = self.env(
            context,
            &[
                ("FNOX_LEASE_LABEL", &request.label),
                ("FNOX_LEASE_ID", &request.lease_id),
            ],
        );
        let output = self.run(command, &env).await?;
        self.require_success("revoke_command", &output, context)
    }
}

impl Command {
    fn env(&self, context: &MintContext, additions: &[(&str, &str)]) -> Env {
        let base = match &self.consumes {
            None => context.env.clone(),
            Some(names) => {
                let given = |name: &str| {
                    ALWAYS_GIVEN.contains(&name)
                        || name.starts_with("LC_")
                        || names.iter().any(|consumed| consumed == name)
                };
                let (masters, inherited): (Vec<_>, Vec<_>) = context
                    .env
                    .iter()
                    .filter_map(|(name, value)| Some((name.to_str()?, value)))
                    .filter(|(name, _)| given(name))
                    .partition(|(name, _)| names.iter().any(|consumed| consumed == name));
                let inherited: Env = inherited
                    .into_iter()
                    .map(|(name, value)| (OsString::from(name), value.to_owned()))
                    .collect();
                inherited.with_overlay(masters.into_iter().filter_map(|(name, value)| {
                    Some((name.to_owned(), SecretString::from(value.to_str()?)))
                }))
            }
        };
        base.with_overlay(
            additions
                .iter()
                .map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))),
        )
    }

    async fn run(&self, command: &str, env: &Env) -> Result<Output, MintError> {
        // The commands run in the folder of the file that declares the lease, whatever folder fnox was
        // started in: the path is an argument, so no quoting of it can go wrong.
        let script = OsString::from(format!("cd -- \"$1\" || exit; shift\n{command}"));
        let program = Program {
            name: "sh",
            arguments: vec![
                "-c".into(),
                script,
                "sh".into(),
                self.folder.clone().into_os_string(),
            ],
            env,
            input: None,
            time_limit: self.time_limit,
            install_hint: "install a POSIX shell",
        };
        let key = if command == self.create {
            "create_command"
        } else {
            "revoke_command"
        };
        program.run().await.map_err(|error| MintError {
            remedy: error
                .remedy
                .map(|remedy| remedy.replace("the command", &format!("`{key}`"))),
            ..MintError::unavailable(format!(
                "the command failed: {}",
                error.message.replace("`sh`", "it")
            ))
        })
    }

    fn masters(&self, context: &MintContext) -> Vec<SecretString> {
        let consumed = self.consumes.iter().flatten();
        let inherited = consumed.filter_map(|name| context.env.secret(name));
        context.masters.iter().cloned().chain(inherited).collect()
    }

    fn require_success(
        &self,
        key: &'static str,
        output: &Output,
        context: &MintContext,
    ) -> Result<(), MintError> {
        if output.status.success() {
            return Ok(());
        }
        let how = match output.status.code() {
            Some(code) => format!("ended with exit code {code}"),
            None => "was killed by a signal".to_owned(),
        };
        let masters = self.masters(context);
        let masters: Vec<&SecretString> = masters.iter().collect();
        let said = complaint(&output.stderr, &masters);
        let message = format!("`{key}` {how}: {said}");
        let error = MintError::unavailable(message);
        Err(match output.status.code() {
            Some(_) => error,
            None => error.maybe_issued(),
        })
    }

    fn read(
        &self,
        output: &Output,
        request: &CreateRequest,
        now: Timestamp,
    ) -> Result<Credential, MintError> {
        let bytes = output.stdout.expose_secret();
        if bytes.len() > OUTPUT_LIMIT {
            return Err(answer("is larger than 1 MiB"));
        }
        // The parser's own words could repeat a part of the credential; its place in the text cannot.
        let parsed: Answer = serde_json::from_slice(bytes).map_err(|error| {
            answer(&format!(
                "is not the expected JSON (line {}, column {})",
                error.line(),
                error.column()
            ))
            .with_remedy(
                "print {\"credentials\": {\"NAME\": \"value\"}, \"expires_at\": \"2030-01-01T00:00:00Z\", \
                 \"lease_id\": \"…\"} on stdout and everything else on stderr",
            )
        })?;
        let variables = self.variables(parsed.credentials)?;
        let expires_at = match parsed.expires_at {
            None => None,
            Some(text) => Some(text.parse::<Timestamp>().map_err(|_| {
                let text: String = text.chars().take(40).collect();
                answer(&format!(
                    "has the `expires_at` `{}`, which is no RFC 3339 time",
                    text.escape_debug()
                ))
            })?),
        };
        if let Some(expires_at) = expires_at.filter(|expires_at| *expires_at <= now) {
            return Err(answer(&format!(
                "had already expired, at {expires_at}, and it is {now}"
            ))
            .with_remedy(
                "print the `expires_at` of a new credential, or set this machine's clock",
            ));
        }
        Ok(Credential {
            variables,
            expires_at,
            id: match parsed.lease_id {
                Some(id) if !id.is_empty() => id,
                _ => request.provisional_id.clone(),
            },
            private: Vec::new(),
        })
    }

    fn variables(
        &self,
        credentials: IndexMap<String, Text>,
    ) -> Result<Vec<(String, SecretString)>, MintError> {
        let mut variables = Vec::with_capacity(credentials.len());
        for (name, value) in credentials {
            if !is_variable_name(&name) {
                return Err(answer(&format!(
                    "names `{}`, which is no variable",
                    name.escape_debug()
                )));
            }
            if !self.produces.is_empty() && !self.produces.contains(&name) {
                return Err(answer(&format!("has `{name}`, which is not in `produces`")));
            }
            match value.0 {
                Some(value) if value.expose_secret().contains('\0') => {
                    return Err(answer(&format!("has a NUL byte in `{name}`")));
                }
                Some(value) => variables.push((name, value)),
                None => tracing::warn!("the value of `{name}` is not a string and is left out"),
            }
        }
        let lacking = |name: &&String| !variables.iter().any(|(known, _)| known == *name);
        if let Some(name) = self.produces.iter().find(lacking) {
            return Err(answer(&format!("lacks `{name}`, which is in `produces`")));
        }
        if variables.is_empty() {
            return Err(answer("has no credentials"));
        }
        Ok(variables)
    }
}

fn answer(what: &str) -> MintError {
    MintError {
        key: Some("create_command"),
        ..MintError::new(
            MintErrorKind::Unavailable,
            format!("the answer of `create_command` {what}"),
        )
    }
}

#[derive(Deserialize)]
struct Answer {
    credentials: IndexMap<String, Text>,
    #[serde(default)]
    expires_at: Option<String>,
    #[serde(default)]
    lease_id: Option<String>,
}

/// A string, or whatever else stood in its place.
struct Text(Option<SecretString>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(Some(SecretString::from(text))))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Text, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
}

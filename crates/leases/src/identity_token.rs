//! The OIDC token that says who fnox is to an issuer that takes one in the place of a secret.
//!
//! Looked for in this order: the lease's `identity_token_file` (read anew each time), its
//! `identity_token_variable` (a variable or a secret), and the CI's own token for the audience.

use std::path::{Path, PathBuf};

use fnox_config::Fields;
use fnox_core::{Env, SecretString};
use fnox_providers::{ci_token, token_file};

use crate::mint::{MintContext, MintError};

/// Variables by which a CI gives its jobs tokens; whoever gets them can ask for more.
pub(crate) const CI_VARIABLES: [&str; 6] = [
    "FNOX_OIDC_TOKEN_FILE",
    "FNOX_OIDC_TOKEN",
    "FNOX_ID_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "CIRCLE_OIDC_TOKEN_V2",
];

/// Where a lease's identity token comes from.
#[derive(Debug, Clone)]
pub(crate) struct IdentityToken {
    file: Option<PathBuf>,
    variable: Option<String>,
    audience: String,
}

impl IdentityToken {
    /// From the keys `identity_token_file`, `identity_token_variable` and `identity_token_audience`.
    pub(crate) fn of(fields: &Fields, home: Option<&Path>, default_audience: &str) -> Self {
        Self {
            file: fields.path("identity_token_file", home),
            variable: fields.text("identity_token_variable").map(str::to_owned),
            audience: fields
                .text("identity_token_audience")
                .unwrap_or(default_audience)
                .to_owned(),
        }
    }

    /// One that no key says anything of: the CI's own, for an audience.
    pub(crate) fn of_ci(audience: &str) -> Self {
        Self {
            file: None,
            variable: None,
            audience: audience.to_owned(),
        }
    }

    /// Reads this file if the lease names no source itself.
    pub(crate) fn or_file(mut self, file: Option<PathBuf>) -> Self {
        if self.file.is_none() && self.variable.is_none() {
            self.file = file;
        }
        self
    }

    /// The audience that is asked of a CI.
    pub(crate) fn audience(&self) -> &str {
        &self.audience
    }

    /// The variables that it may be read from.
    pub(crate) fn variables(&self) -> Vec<String> {
        let own = self.variable.clone();
        let of_ci = CI_VARIABLES.map(str::to_owned);
        own.into_iter()
            .chain(of_ci)
            .chain([ci_token::audience_variable(&self.audience)])
            .collect()
    }

    /// Whether there is a source.
    pub(crate) fn is_present(&self, env: &Env) -> bool {
        self.file.is_some()
            || self
                .variable
                .as_ref()
                .is_some_and(|name| env.var(name).is_some())
            || (self.variable.is_none() && ci_token::TokenSource::of(env, &self.audience).is_some())
    }

    /// The token; `None` where there is no source.
    ///
    /// # Errors
    /// [`MintError`] if there is a source and it gives none.
    pub(crate) async fn fetch(
        &self,
        context: &MintContext,
    ) -> Result<Option<SecretString>, MintError> {
        if let Some(path) = &self.file {
            return read(path).map(Some);
        }
        if let Some(name) = &self.variable {
            return match context.env.secret(name) {
                Some(token) => Ok(Some(SecretString::new(
                    token.expose_secret().trim().to_owned(),
                ))),
                None => Ok(None),
            };
        }
        ci_token::find(&context.env, &self.audience, context.call_limit)
            .await
            .map_err(|error| MintError {
                remedy: error.remedy,
                ..MintError::authentication(error.message)
            })
    }
}

/// The token in a file, without space around it.
pub(crate) fn read(path: &Path) -> Result<SecretString, MintError> {
    Ok(token_file::read(path)?)
}

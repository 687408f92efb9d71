//! The real keys.

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::identity::Identity;
use fnox_core::SecretString;

use crate::injection::is_one_line;
use crate::refusal::Refusal;
use crate::rule::Rule;

/// The keys of one identity. They belong together.
#[derive(Debug, Clone)]
pub struct AwsKeys {
    /// `AWS_ACCESS_KEY_ID`
    pub access_key_id: SecretString,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret_access_key: SecretString,
    /// `AWS_SESSION_TOKEN`, if the keys are short-lived.
    pub session_token: Option<SecretString>,
}

impl AwsKeys {
    /// Refuses keys that could end a line.
    pub(super) fn check(&self, rule: &Rule) -> Result<(), Refusal> {
        let token = self.session_token.as_ref();
        [&self.access_key_id, &self.secret_access_key]
            .into_iter()
            .chain(token)
            .try_for_each(|key| is_one_line(rule, key))
    }

    /// The keys as the signer takes them.
    pub(super) fn identity(&self) -> Identity {
        let token = self.session_token.as_ref();
        Credentials::new(
            self.access_key_id.expose_secret(),
            self.secret_access_key.expose_secret(),
            token.map(|token| token.expose_secret().to_owned()),
            None,
            "fnox",
        )
        .into()
    }
}

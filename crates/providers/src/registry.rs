//! Which types of provider are built, one line each.

use fnox_config::spec::ProviderSpec;

#[cfg(feature = "lua")]
use crate::backend::lua;
use crate::backend::{
    age, aws_kms, aws_ps, aws_sm, azure_ac, azure_kms, azure_sm, bitwarden, bitwarden_sm, doppler,
    enpass, external, fido2, fnox_server, foks, gcp_kms, gcp_sm, gopass, infisical, keepass,
    keeper_sm, keychain, kubernetes, onepassword, password_store, passwordstate, plain,
    proton_pass, vault, vault_agent, yubikey,
};
use crate::error::ProviderError;
use crate::provider::{Context, Provider};
use crate::settings::Settings;

type Build = fn(&Settings, &Context) -> Result<Box<dyn Provider>, ProviderError>;

/// The types of provider that this binary can open.
#[derive(Debug, Clone, Copy, Default)]
pub struct Registry;

const BUILT: &[(&str, Build)] = &[
    ("1password", onepassword::open),
    ("age", age::open),
    ("aws-kms", aws_kms::open),
    ("aws-ps", aws_ps::open),
    ("aws-sm", aws_sm::open),
    ("azure-ac", azure_ac::open),
    ("azure-kms", azure_kms::open),
    ("azure-sm", azure_sm::open),
    ("bitwarden", bitwarden::open),
    ("bitwarden-sm", bitwarden_sm::open),
    ("doppler", doppler::open),
    ("enpass", enpass::open),
    ("external", external::open),
    ("fido2", fido2::open),
    ("fnox-server", fnox_server::open),
    ("foks", foks::open),
    ("gcp-kms", gcp_kms::open),
    ("gcp-sm", gcp_sm::open),
    ("gopass", gopass::open),
    ("infisical", infisical::open),
    ("keepass", keepass::open),
    ("keeper-sm", keeper_sm::open),
    ("keychain", keychain::open),
    ("kubernetes", kubernetes::open),
    #[cfg(feature = "lua")]
    ("lua", lua::open),
    ("password-store", password_store::open),
    ("passwordstate", passwordstate::open),
    ("plain", plain::open),
    ("proton-pass", proton_pass::open),
    ("vault", vault::open),
    ("vault-agent", vault_agent::open),
    ("yubikey", yubikey::open),
];

impl Registry {
    /// Whether a type is built.
    #[must_use]
    pub fn has(self, spec: &ProviderSpec) -> bool {
        BUILT.iter().any(|(name, _)| *name == spec.name)
    }

    /// Opens a provider. Nothing is contacted yet.
    ///
    /// # Errors
    /// `Misconfigured` if the type is not built yet or its keys are wrong.
    pub fn open(
        self,
        settings: &Settings,
        context: &Context,
    ) -> Result<Box<dyn Provider>, ProviderError> {
        let spec = settings.config.spec;
        match BUILT.iter().find(|(name, _)| *name == spec.name) {
            Some((_, build)) => build(settings, context),
            None => Err(ProviderError::misconfigured(format!(
                "providers of type `{}` cannot be opened by this version of fnox",
                spec.name
            ))
            .with_remedy("`fnox doctor` lists the types that this version can open")),
        }
    }
}

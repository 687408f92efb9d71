//! `azure-token`: an access token of Microsoft Entra.
//!
//! By the client credentials grant with a secret, a certificate or a federated token, from the managed identity of the
//! machine, or from a login of the Azure CLI. With `auth = "auto"` the first of these that is there is used; if it fails,
//! no other one is tried: a token of somebody else than expected would be worse than none.
//!
//! How long a token lives is not ours to choose: Entra gives each one a life of its own, an hour and more. A lease's
//! `duration` says when fnox asks for a new one at the latest, not when the old one stops working. There is no call that
//! withdraws such a token, and it has no name: it only expires. So nothing has to be found after a crash.
//!
//! Facts are from Microsoft's pages "OAuth 2.0 client credentials flow on the Microsoft identity platform", "Microsoft
//! identity platform application authentication certificate credentials", "Workload identity federation", "How to use
//! managed identities for Azure resources on an Azure VM to acquire an access token" and "How to use managed identities for
//! App Service", and from Microsoft's own library `azure-identity`.

mod certificate;
mod cli;
mod login;
mod machine;
mod refusal;
mod settings;
mod source;

use std::path::Path;

use async_trait::async_trait;
use fnox_config::LeaseConfig;
use fnox_config::spec::AZURE_MASTERS;
use fnox_core::{Credential, Lifetime, SecretString};
use fnox_providers::{AccessToken, AzureCloud, AzureLogin};
use jiff::Timestamp;

use self::settings::{Auth, Settings};
use self::source::Source;
use super::{
    Consumes, CreateRequest, Limits, Mint, MintContext, MintError, PlannedCall, Prerequisite,
    PromptField, RevocationKind,
};
use crate::error::LeaseError;
use crate::issuer;

const SECRET: &str = "AZURE_CLIENT_SECRET";
const CERTIFICATE_PATH: &str = "AZURE_CLIENT_CERTIFICATE_PATH";
const FEDERATED_TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";

const MISSING: &str = "Azure credentials not found. Run 'az login' or set \
                       AZURE_CLIENT_ID/AZURE_CLIENT_SECRET/AZURE_TENANT_ID.";

#[derive(Debug)]
struct AzureToken {
    settings: Settings,
}

/// Makes the mint of a configured lease.
///
/// # Errors
/// [`LeaseError::Config`] for a value that Entra would refuse.
pub(crate) fn open(lease: &LeaseConfig, home: Option<&Path>) -> Result<Box<dyn Mint>, LeaseError> {
    Ok(Box::new(AzureToken {
        settings: Settings::read(&lease.fields, home)?,
    }))
}

/// A token and when it stops working.
struct Issued {
    token: SecretString,
    expires_at: Timestamp,
}

#[async_trait]
impl Mint for AzureToken {
    fn limits(&self) -> Limits {
        Limits {
            minimum: Lifetime::from_secs(1),
            // "The default lifetime of an access token is variable … between 60-90 minutes": an hour is what can be counted on.
            maximum: Lifetime::from_secs(3600),
        }
    }

    fn produces(&self) -> Vec<String> {
        vec![self.settings.env_var.clone()]
    }

    fn consumes(&self) -> Consumes {
        let of_application: &[&str] =
            &["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_AUTHORITY_HOST"];
        let of = |auth: Auth| -> &[&str] {
            match auth {
                Auth::Auto => &[],
                Auth::ClientSecret => &[SECRET],
                Auth::Certificate => &[CERTIFICATE_PATH],
                Auth::Federated => &[FEDERATED_TOKEN_FILE],
                Auth::ManagedIdentity => &["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IMDS_ENDPOINT"],
                Auth::AzureCli => &["AZURE_CONFIG_DIR"],
            }
        };
        let auth = self.settings.auth;
        let mut names: Vec<&str> = match auth {
            Auth::Auto => Auth::ALL.into_iter().flat_map(of).copied().collect(),
            auth => of(auth).to_vec(),
        };
        if !matches!(auth, Auth::ManagedIdentity | Auth::AzureCli) {
            names.extend(of_application);
        }
        let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        if matches!(auth, Auth::Auto | Auth::Federated) {
            names.extend(self.settings.identity.variables());
        }
        Consumes::Names(names)
    }

    fn withholds(&self, present: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut names: Vec<String> = AZURE_MASTERS.iter().copied().map(str::to_owned).collect();
        if Source::may_be_federated(&self.settings, present) {
            names.extend(self.settings.identity.variables());
        }
        names
    }

    fn revocation(&self) -> RevocationKind {
        RevocationKind::ExpiresOnly
    }

    fn prerequisites(&self, context: &MintContext) -> Prerequisite {
        match Source::find(&self.settings, &context.env) {
            Ok(_) => Prerequisite::Present,
            Err(message) => Prerequisite::Missing {
                message,
                prompts: match self.settings.auth {
                    Auth::Auto | Auth::ClientSecret => prompts(&self.settings),
                    _ => Vec::new(),
                },
            },
        }
    }

    fn explain(&self, context: &MintContext, request: &CreateRequest) -> Vec<PlannedCall> {
        let source = Source::find(&self.settings, &context.env).ok();
        let mut call = match &source {
            Some(Source::ManagedIdentity) => machine::explain(&self.settings, &context.env),
            Some(Source::AzureCli) => cli::explain(&self.settings),
            source => login::explain(&self.settings, source.as_ref(), &context.env),
        };
        call.details.push((
            "lifetime".to_owned(),
            format!(
                "chosen by Entra; asked for {} s",
                request.duration.as_secs()
            ),
        ));
        vec![call]
    }

    async fn create(
        &self,
        context: &MintContext,
        request: &CreateRequest,
    ) -> Result<Credential, MintError> {
        let settings = &self.settings;
        let asked_at = context.clock.now();
        let issued = log_in(settings, context).await?;
        Ok(credential(settings, request, issued, asked_at))
    }
}

/// Logs in in the way that there is, and in no other one if that fails.
async fn log_in(settings: &Settings, context: &MintContext) -> Result<Issued, MintError> {
    let source = Source::find(settings, &context.env)
        .map_err(|message| MintError::authentication(message.trim_end_matches('.')))?;
    let issued = match &source {
        Source::AzureCli => cli::token(settings, context).await?,
        Source::ManagedIdentity => {
            let issuer = issuer::open("the managed identity endpoint", context, None)?;
            machine::token(settings, context, issuer).await?
        }
        source => {
            let issuer = issuer::open("Microsoft Entra", context, None)?;
            login::token(settings, source, context, issuer).await?
        }
    };
    let now = context.clock.now();
    if issued.token.is_empty() {
        return Err(MintError::unavailable("Azure answered without a token").maybe_issued());
    }
    if issued.expires_at <= now {
        return Err(MintError::unavailable(format!(
            "Azure answered with a token that expired at {}, and it is {now}",
            issued.expires_at
        ))
        .with_remedy("is this machine's clock right?"));
    }
    Ok(issued)
}

/// Logs in for a provider.
///
/// # Errors
/// [`MintError`], with the key `auth` if that is no word for a way.
pub(crate) async fn access(
    login: &AzureLogin,
    context: &MintContext,
) -> Result<AccessToken, MintError> {
    let word = login.auth.as_deref().unwrap_or(Auth::Auto.name());
    let auth = Auth::parse(word).ok_or_else(|| {
        let ways = Auth::ALL.map(Auth::name).join(", ");
        let message = format!("`{}` is no way to log in at Azure", word.escape_debug());
        MintError::misconfigured("auth", message).with_remedy(format!("the ways are auto, {ways}"))
    })?;
    let cloud = match login.cloud {
        AzureCloud::Public => "public",
        AzureCloud::Government => "government",
        AzureCloud::China => "china",
    };
    let identity = login.managed_identity.as_deref();
    let settings = Settings::of_provider(&login.scope, auth, identity, cloud);
    let issued = log_in(&settings, context).await?;
    Ok(AccessToken {
        value: issued.token,
        expires_at: Some(issued.expires_at),
    })
}

fn credential(
    settings: &Settings,
    request: &CreateRequest,
    issued: Issued,
    asked_at: Timestamp,
) -> Credential {
    let life = issued.expires_at.as_second() - asked_at.as_second();
    if i64::try_from(request.duration.as_secs()).unwrap_or(i64::MAX) < life {
        tracing::debug!(
            "the token works for {life} s, {} s were asked for: Entra decides how long its tokens live",
            request.duration.as_secs()
        );
    }
    Credential {
        variables: vec![(settings.env_var.clone(), issued.token)],
        expires_at: Some(issued.expires_at),
        // These tokens have no id by which anything could be done with them.
        id: request.provisional_id.clone(),
        private: Vec::new(),
    }
}

fn prompts(settings: &Settings) -> Vec<PromptField> {
    let field = |variable: &str, description: &str, secret| PromptField {
        variable: variable.to_owned(),
        description: description.to_owned(),
        secret,
        optional: false,
    };
    let mut fields = Vec::new();
    if settings.tenant.is_none() {
        fields.push(field("AZURE_TENANT_ID", "tenant", false));
    }
    if settings.client.is_none() {
        fields.push(field("AZURE_CLIENT_ID", "application (client) id", false));
    }
    fields.push(field(SECRET, "client secret of the application", true));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    pub(super) use crate::testing::context;

    const SCOPE: &str = "scope = 'https://management.azure.com/.default'";

    pub(super) fn settings(toml: &str) -> Settings {
        let lease = testing::lease(&format!("type = 'azure-token'\n{SCOPE}\n{toml}"));
        Settings::read(&lease.fields, Some(Path::new("/home/u"))).unwrap()
    }

    fn open_with(toml: &str) -> Result<Box<dyn Mint>, LeaseError> {
        open(
            &testing::lease(&format!("type = 'azure-token'\n{toml}")),
            None,
        )
    }

    #[test]
    fn what_entra_would_refuse_is_an_error_with_a_line() {
        for (wrong, wanted) in [
            ("scope = 'https://management.azure.com'", "/.default"),
            (
                "scope = 'https://a/.default https://b/.default'",
                "one resource",
            ),
            (
                &*format!("{SCOPE}\ntenant_id = 'a/b'"),
                "`tenant_id` must be",
            ),
            (
                &*format!("{SCOPE}\nclient_id = 'a b'"),
                "`client_id` must be",
            ),
            (&*format!("{SCOPE}\nenv_var = 'A-B'"), "name of a variable"),
            (
                &*format!("{SCOPE}\nauthority_host = 'http://x.example'"),
                "https://",
            ),
            (
                &*format!("{SCOPE}\ncloud = 'china'\nauthority_host = 'https://x.example'"),
                "one of them",
            ),
            (
                &*format!("{SCOPE}\nmanaged_identity_endpoint = 'http://x.example'"),
                "https://",
            ),
        ] {
            let error = open_with(wrong).unwrap_err();
            assert!(error.to_string().contains(wanted), "{wrong}: {error}");
            assert!(error.location().is_some_and(|location| location.line() > 1));
        }
    }

    #[test]
    fn missing_credentials_are_told_in_the_agreed_words() {
        let mint = open_with(SCOPE).unwrap();
        let Prerequisite::Missing { message, prompts } =
            mint.prerequisites(&context(&[("PATH", "/nonexistent")]))
        else {
            panic!("something was found");
        };
        assert!(message.contains("az login"), "{message}");
        assert!(message.contains("AZURE_CLIENT_ID/AZURE_CLIENT_SECRET/AZURE_TENANT_ID"));
        let secret: Vec<bool> = prompts.iter().map(|prompt| prompt.secret).collect();
        assert_eq!(secret, [false, false, true]);
    }

    #[test]
    fn a_way_that_needs_no_secret_asks_for_none() {
        let consumed = |auth: &str| {
            let mint = open_with(&format!("{SCOPE}\nauth = '{auth}'")).unwrap();
            match mint.consumes() {
                Consumes::Names(names) => names,
                Consumes::Everything => panic!("everything"),
            }
        };
        for auth in ["managed-identity", "azure-cli", "federated", "certificate"] {
            assert!(!consumed(auth).contains(&SECRET.to_owned()), "{auth}");
        }
        for auth in ["auto", "client-secret"] {
            assert!(consumed(auth).contains(&SECRET.to_owned()), "{auth}");
        }
    }

    #[test]
    fn a_job_token_is_withheld_only_if_it_is_the_master() {
        let withheld = |toml: &str, all: &[&str]| {
            let mint = open_with(&format!("{SCOPE}\n{toml}")).unwrap();
            mint.withholds(&|name| all.contains(&name))
                .contains(&"ACTIONS_ID_TOKEN_REQUEST_TOKEN".to_owned())
        };
        assert!(withheld("auth = 'federated'", &[]));
        assert!(withheld("", &["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]));
        assert!(!withheld("", &["ACTIONS_ID_TOKEN_REQUEST_TOKEN", SECRET]));
        assert!(!withheld(
            "auth = 'azure-cli'",
            &["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
        ));
    }

    #[test]
    fn a_plan_names_the_call_and_says_who_chooses_the_lifetime() {
        let mint = open_with(&format!("{SCOPE}\ntenant_id = 't'\nclient_id = 'c'")).unwrap();
        let request = CreateRequest {
            duration: Lifetime::from_secs(900),
            label: "l".to_owned(),
            provisional_id: "p".to_owned(),
            prepared: Vec::new(),
        };
        let calls = mint.explain(&context(&[(SECRET, "hunter2")]), &request);
        let told = format!("{calls:?}");
        for wanted in [
            "login.microsoftonline.com/t/oauth2/v2.0/token",
            SECRET,
            "chosen by Entra",
        ] {
            assert!(told.contains(wanted), "{wanted}: {told}");
        }
        assert!(!told.contains("hunter2"), "{told}");
    }
}

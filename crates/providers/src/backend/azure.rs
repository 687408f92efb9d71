//! What the providers at Azure have in common: who calls, where, and what refusals mean.
//!
//! An access token of Microsoft Entra is for one service of one cloud and opens everything there that its owner may open. So it
//! goes only to hosts whose names Microsoft gives out, which tell the cloud too, and to this machine. Facts are from "Key Vault
//! REST API", "Authentication, requests and responses" (Key Vault), "Microsoft Entra authentication" (App Configuration) and
//! "National clouds".

mod refusal;

use fnox_http::{Answer, Call, Service, Url, address, below};

use crate::accounts::{AccessToken, AzureCloud, AzureLogin, Kept};
use crate::error::ProviderError;
use crate::provider::Context;
use crate::settings::Settings;

pub(super) use self::refusal::{Facts, explain};

/// How many calls are under way at a time.
pub(super) const AT_ONCE: usize = 10;

/// A service of Azure.
#[derive(Debug)]
pub(super) struct Api {
    /// What messages call it.
    pub(super) name: &'static str,
    /// The version of its REST API.
    version: &'static str,
    places: &'static [Ending],
}

use AzureCloud::{China, Government, Public};

/// How host names of a service end, in which cloud, and the scope of its tokens there.
type Ending = (&'static str, AzureCloud, &'static str);

const VAULTS: [Ending; 3] = [
    (
        ".vault.azure.net",
        Public,
        "https://vault.azure.net/.default",
    ),
    (
        ".vault.usgovcloudapi.net",
        Government,
        "https://vault.usgovcloudapi.net/.default",
    ),
    (".vault.azure.cn", China, "https://vault.azure.cn/.default"),
];

/// Secrets and keys of vaults.
pub(super) static VAULT: Api = Api {
    name: "Key Vault",
    version: "7.4",
    places: &VAULTS,
};

/// Keys of managed HSMs too, which answer as vaults do.
pub(super) static KEYS: Api = Api {
    name: "Key Vault",
    version: "7.4",
    places: &[
        VAULTS[0],
        VAULTS[1],
        VAULTS[2],
        (
            ".managedhsm.azure.net",
            Public,
            "https://managedhsm.azure.net/.default",
        ),
        (
            ".managedhsm.usgovcloudapi.net",
            Government,
            "https://managedhsm.usgovcloudapi.net/.default",
        ),
        (
            ".managedhsm.azure.cn",
            China,
            "https://managedhsm.azure.cn/.default",
        ),
    ],
};

const CONFIGURATION_SCOPES: [&str; 3] = [
    "https://appconfig.azure.com/.default",
    "https://appconfig.azure.us/.default",
    "https://appconfig.azure.cn/.default",
];

/// App Configuration. Stores have the first kind of name; the second one is Microsoft's newer domain.
pub(super) static CONFIGURATION: Api = Api {
    name: "App Configuration",
    version: "1.0",
    places: &[
        (".azconfig.io", Public, CONFIGURATION_SCOPES[0]),
        (".appconfig.azure.com", Public, CONFIGURATION_SCOPES[0]),
        (".azconfig.azure.us", Government, CONFIGURATION_SCOPES[1]),
        (".appconfig.azure.us", Government, CONFIGURATION_SCOPES[1]),
        (".azconfig.azure.cn", China, CONFIGURATION_SCOPES[2]),
        (".appconfig.azure.cn", China, CONFIGURATION_SCOPES[2]),
    ],
};

/// A vault or a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) url: Url,
    pub(super) cloud: AzureCloud,
    scope: &'static str,
}

impl Api {
    /// The place that a key names.
    pub(super) fn place(
        &self,
        settings: &Settings,
        key: &'static str,
    ) -> Result<Place, ProviderError> {
        let text = settings.required(key)?;
        self.parse(&address::of_key(key, text)?).ok_or_else(|| {
            let endings: Vec<&str> = self.places.iter().map(|(ending, ..)| *ending).collect();
            ProviderError::misconfigured(format!(
                "`{key}` is no address of {}: {}",
                self.name,
                text.escape_debug()
            ))
            .with_remedy(format!(
                "it is `https://NAME` and one of {}; tokens go nowhere else",
                endings.join(", ")
            ))
            .at_key(key)
        })
    }

    /// A root whose host is one name below one that Microsoft gives out, or on this machine.
    fn parse(&self, url: &Url) -> Option<Place> {
        let of = |cloud, scope| Place {
            url: url.clone(),
            cloud,
            scope,
        };
        if url.path() != "/" || url.query().is_some() {
            return None;
        }
        if address::is_loopback(url) {
            let &(_, cloud, scope) = self.places.first()?;
            return Some(of(cloud, scope));
        }
        let host = url.host_str()?;
        self.places.iter().find_map(|&(ending, cloud, scope)| {
            let name = host.strip_suffix(ending)?;
            (!name.is_empty() && !name.contains('.')).then(|| of(cloud, scope))
        })
    }

    /// The root of an address somewhere below it, if it is a place of this service.
    pub(super) fn place_of(&self, url: &Url) -> Option<Place> {
        let mut root = url.clone();
        root.set_path("/");
        root.set_query(None);
        self.parse(&root)
    }

    /// The scope of its tokens in a cloud.
    fn scope(&self, wanted: AzureCloud) -> &'static str {
        let found = self.places.iter().find(|(_, cloud, _)| *cloud == wanted);
        // invariant: each service is in all three clouds.
        found.map_or("", |&(.., scope)| scope)
    }
}

impl Place {
    /// Its name: the first label of the host.
    pub(super) fn name(&self) -> &str {
        let host = self.url.host_str().unwrap_or_default();
        // An address on this machine has no name.
        match self
            .url
            .domain()
            .and_then(|domain| domain.split('.').next())
        {
            Some(name) => name,
            None => host,
        }
    }
}

/// A login for one service in one cloud, made when it is needed.
#[derive(Debug)]
pub(super) struct Login {
    context: Context,
    api: &'static Api,
    wanted: AzureLogin,
    access: Kept<AccessToken>,
}

impl Login {
    pub(super) fn of(
        settings: &Settings,
        context: &Context,
        api: &'static Api,
        place: &Place,
    ) -> Self {
        Self::with_scope(settings, context, api, (place.cloud, place.scope))
    }

    /// The same for any place of the service in a cloud.
    pub(super) fn in_cloud(
        settings: &Settings,
        context: &Context,
        api: &'static Api,
        cloud: AzureCloud,
    ) -> Self {
        Self::with_scope(settings, context, api, (cloud, api.scope(cloud)))
    }

    fn with_scope(
        settings: &Settings,
        context: &Context,
        api: &'static Api,
        (cloud, scope): (AzureCloud, &str),
    ) -> Self {
        let text = |key| settings.text(key).map(str::to_owned);
        Self {
            context: context.clone(),
            api,
            wanted: AzureLogin {
                scope: scope.to_owned(),
                cloud,
                auth: text("auth"),
                managed_identity: text("managed_identity_client_id"),
            },
            access: Kept::default(),
        }
    }

    /// Logs in, if that has not been done. The time limit of an operation begins here.
    pub(super) async fn session(&self, place: &Place) -> Result<Session, ProviderError> {
        let context = &self.context;
        let log_in = context.accounts.azure(context, &self.wanted);
        let token = self.access.get(context.clock.as_ref(), log_in).await?;
        let mut service = Service::new(self.api.name, context.http_limits(), None)?;
        service.hide(&token.value);
        Ok(Session {
            api: self.api,
            place: place.clone(),
            service,
            token,
        })
    }
}

/// One operation of a provider at one place.
#[derive(Debug)]
pub(super) struct Session {
    api: &'static Api,
    pub(super) place: Place,
    service: Service,
    token: AccessToken,
}

impl Session {
    /// An address below the place; each segment is one.
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        below(&self.place.url, segments)
    }

    /// Makes a call as whoever is logged in. Refusals are the caller's to judge.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, ProviderError> {
        let call = call
            .query("api-version", self.api.version)
            .bearer(&self.token.value)?;
        Ok(self.service.send(call).await?)
    }

    /// The JSON of a good answer, or the error that a refusal stands for.
    pub(super) async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        call: Call,
        facts: &Facts<'_>,
    ) -> Result<T, ProviderError> {
        let answer = self.send(call).await?;
        if !answer.is_success() {
            return Err(self.refused(&answer, facts));
        }
        self.json(&answer)
    }

    /// The JSON of a good answer.
    pub(super) fn json<T: serde::de::DeserializeOwned>(
        &self,
        answer: &Answer,
    ) -> Result<T, ProviderError> {
        Ok(answer.json(&self.service)?)
    }

    /// The error that a refusal stands for.
    pub(super) fn refused(&self, answer: &Answer, facts: &Facts<'_>) -> ProviderError {
        explain(answer, &self.service, &self.place, facts)
    }
}

/// Names of secrets and keys: "a string of 1-127 characters containing only 0-9, a-z, A-Z, and -".
pub(super) fn is_name(text: &str) -> bool {
    (1..=127).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Versions, which the service makes: 32 hexadecimal digits. Longer ones are let through as long as they are one word.
pub(super) fn is_version(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_only_to_hosts_of_the_service() {
        let cloud = |api: &Api, text: &str| {
            let place = api.parse(&Url::parse(text).unwrap());
            place.map(|place| (place.cloud, place.name().to_owned()))
        };
        let named = |cloud, name: &str| Some((cloud, name.to_owned()));
        assert_eq!(
            cloud(&VAULT, "https://Team.vault.azure.net/"),
            named(Public, "team")
        );
        assert_eq!(cloud(&VAULT, "https://t.vault.azure.cn"), named(China, "t"));
        assert_eq!(
            cloud(&KEYS, "https://t.managedhsm.usgovcloudapi.net"),
            named(Government, "t")
        );
        assert_eq!(
            cloud(&CONFIGURATION, "https://t.azconfig.azure.us"),
            named(Government, "t")
        );
        assert!(cloud(&VAULT, "http://127.0.0.1:1").is_some());
        for wrong in [
            "https://vault.azure.net",
            "https://.vault.azure.net",
            "https://a.b.vault.azure.net",
            "https://evil.example",
            "https://t.vault.azure.net.evil.example",
            "https://tvault.azure.net",
            "https://t.managedhsm.azure.net",
            "https://t.vault.azure.net/secrets/x",
            "https://t.vault.azure.net/?x=y",
            "https://t.azconfig.io",
        ] {
            assert_eq!(cloud(&VAULT, wrong), None, "{wrong}");
        }
        for api in [&VAULT, &KEYS, &CONFIGURATION] {
            for cloud in [Public, Government, China] {
                assert!(api.scope(cloud).ends_with("/.default"));
            }
        }
    }
}

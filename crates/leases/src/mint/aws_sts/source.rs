//! Where the credentials come from with which a role is assumed.

use std::path::PathBuf;

use fnox_aws::profiles;
use fnox_core::Env;

use super::settings::Settings;
use crate::mint::MintContext;

/// The variables with which a GitHub Actions job asks for its OIDC token.
pub(super) const GITHUB_ACTIONS: [&str; 2] = [
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
];

const KEYS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// A source of credentials. The first one that is there is used, and if it fails no other one is tried: a
/// session of somebody else than expected would be worse than none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// `saml_assertion_file`
    Saml,
    /// `web_identity_token_file`
    ConfiguredTokenFile,
    /// `web_identity_token_variable`
    TokenVariable,
    /// A key pair in variables or secrets.
    Keys,
    /// A profile that the configuration or `AWS_PROFILE` names.
    Profile,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`
    TokenFile,
    /// A GitHub Actions job that may ask for a token.
    GitHubActions,
    /// The rest of the AWS SDK's chain: the default profile, SSO, container, instance.
    Chain,
}

impl Source {
    /// The source, if anything is configured or present.
    pub(super) fn find(settings: &Settings, context: &MintContext) -> Option<Self> {
        let present = |name: &str| context.env.var(name).is_some();
        Self::named(settings, &present).or_else(|| {
            let may_look = settings.via.is_none() && in_surroundings(context, &present);
            may_look.then_some(Self::Chain)
        })
    }

    /// The source, as far as the configuration and the variables that are `present` tell.
    pub(super) fn named(settings: &Settings, present: &dyn Fn(&str) -> bool) -> Option<Self> {
        let token_variable = settings.token_variable.as_deref();
        let has_keys = || KEYS.iter().all(|name| present(name));
        if settings.via.is_some() {
            // What else the environment has is not what the lease names.
            return has_keys().then_some(Self::Keys);
        }
        if settings.saml.is_some() {
            Some(Self::Saml)
        } else if settings.token_file.is_some() {
            Some(Self::ConfiguredTokenFile)
        } else if token_variable.is_some_and(present) {
            Some(Self::TokenVariable)
        } else if has_keys() {
            Some(Self::Keys)
        } else if settings.profile.is_some()
            || present("AWS_PROFILE")
            || present("AWS_DEFAULT_PROFILE")
        {
            Some(Self::Profile)
        } else if present("AWS_WEB_IDENTITY_TOKEN_FILE") {
            Some(Self::TokenFile)
        } else if GITHUB_ACTIONS.iter().all(|name| present(name)) {
            Some(Self::GitHubActions)
        } else {
            None
        }
    }

    /// Whether the source is an OIDC token.
    pub(super) fn is_token(self) -> bool {
        matches!(
            self,
            Self::ConfiguredTokenFile | Self::TokenVariable | Self::TokenFile | Self::GitHubActions
        )
    }
}

/// The profile by name that the configuration or the environment selects.
pub(super) fn selected_profile<'a>(settings: &'a Settings, env: &'a Env) -> Option<&'a str> {
    settings.profile.as_deref().or_else(|| {
        env.first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
            .map(|(_, name)| name)
    })
}

fn in_surroundings(context: &MintContext, present: &dyn Fn(&str) -> bool) -> bool {
    [
        "AWS_SSO_SESSION",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ]
    .into_iter()
    .any(present)
        || profiles::has_credentials(&context.env, "default")
        || is_instance(context, present)
}

fn is_instance(context: &MintContext, present: &dyn Fn(&str) -> bool) -> bool {
    if context.env.switch("AWS_EC2_METADATA_DISABLED") == Some(true) {
        return false;
    }
    present("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        || std::fs::read_to_string(&context.firmware_vendor)
            .is_ok_and(|vendor| vendor.trim() == "Amazon EC2")
}

/// Where Linux shows what the firmware says about the machine.
pub(crate) fn firmware_vendor() -> PathBuf {
    PathBuf::from("/sys/class/dmi/id/sys_vendor")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{context, settings};
    use super::*;

    fn found(toml: &str, env: &[(&str, &str)]) -> Option<Source> {
        Source::find(&settings(toml), &context(env))
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(found("", &[]), None);
        assert_eq!(found("", &[("AWS_ACCESS_KEY_ID", "AKIA")]), None);
        assert_eq!(found("", &[("AWS_REGION", "eu-west-1")]), None);
        assert_eq!(found("web_identity_token_variable = 'TOKEN'", &[]), None);
    }

    #[test]
    fn each_source_is_found_in_its_order() {
        let all = [
            ("TOKEN", "t"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_PROFILE", "p"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://x"),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "x"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x"),
        ];
        let order = [
            (0, Source::TokenVariable),
            (1, Source::Keys),
            (3, Source::Profile),
            (4, Source::TokenFile),
            (5, Source::GitHubActions),
            (7, Source::Chain),
        ];
        for (from, wanted) in order {
            let toml = "web_identity_token_variable = 'TOKEN'";
            assert_eq!(found(toml, &all[from..]), Some(wanted));
        }
        assert_eq!(
            found("web_identity_token_file = 'x'", &all),
            Some(Source::ConfiguredTokenFile)
        );
        assert_eq!(found("profile = 'x'", &all[4..]), Some(Source::Profile));
    }

    #[test]
    fn an_instance_is_known_by_its_firmware_or_its_metadata_endpoint() {
        let folder = tempfile::tempdir().unwrap();
        let vendor = folder.path().join("sys_vendor");
        std::fs::write(&vendor, "Amazon EC2\n").unwrap();
        let mut on_instance = context(&[]);
        on_instance.firmware_vendor = vendor.clone();
        assert_eq!(
            Source::find(&settings(""), &on_instance),
            Some(Source::Chain)
        );
        let mut disabled = context(&[("AWS_EC2_METADATA_DISABLED", "true")]);
        disabled.firmware_vendor = vendor;
        assert_eq!(Source::find(&settings(""), &disabled), None);
        assert_eq!(
            found("", &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://[::1]")]),
            Some(Source::Chain)
        );
    }
}

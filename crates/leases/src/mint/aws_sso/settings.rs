//! The keys of an `aws-sso` lease, and what the AWS configuration files add to them.
//!
//! `[sso-session NAME]` and `[profile NAME]`: AWS SDKs and Tools Reference Guide, "IAM Identity Center credential
//! provider". Keys of the lease win over those of the session, those of the session over those of the profile.

use fnox_aws::profile_files;
use fnox_aws::profiles::{self, Section};
use fnox_config::{ConfigError, Fields, LeaseConfig};
use fnox_core::{Env, LeaseName};
use reqwest::Url;

use crate::issuer;
use crate::mint::MintError;
use crate::mint::aws_sts::settings::{is_account, is_region};

/// The scope that a role's credentials take.
const USUAL_SCOPE: &str = "sso:account:access";

/// How a person logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// With a code on any device.
    Device,
    /// In this machine's browser.
    Browser,
}

/// A lease's keys.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) lease: LeaseName,
    pub(super) profile: Option<String>,
    pub(super) region: Option<String>,
    pub(super) flow: Flow,
    pub(super) open_browser: bool,
    session: Option<String>,
    start_url: Option<String>,
    sso_region: Option<String>,
    account_id: Option<String>,
    role_name: Option<String>,
    scopes: Vec<String>,
    oidc_endpoint: Option<Url>,
    portal_endpoint: Option<Url>,
}

impl Settings {
    pub(super) fn read(lease: &LeaseConfig) -> Result<Self, ConfigError> {
        let fields = &lease.fields;
        let text = |key: &str| {
            fields
                .text(key)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let has_files = text("profile").is_some() || text("sso_session").is_some();
        for (key, of_session) in [
            ("start_url", true),
            ("sso_region", true),
            ("account_id", false),
            ("role_name", false),
        ] {
            let is_elsewhere = if of_session {
                has_files
            } else {
                text("profile").is_some()
            };
            if text(key).is_none() && !is_elsewhere {
                return Err(fields.invalid(key, "is missing, and no `profile` says it"));
            }
        }
        for key in ["region", "sso_region"] {
            if text(key).is_some_and(|region| !is_region(&region)) {
                return Err(fields.invalid(key, "must be an AWS region such as eu-central-1"));
            }
        }
        if text("account_id").is_some_and(|account| !is_account(&account)) {
            return Err(fields.invalid("account_id", "must have 12 digits"));
        }
        // It may end in `#/`, as the console shows it.
        let page = text("start_url").map(|url| url.split('#').next().map(issuer::parse));
        if let Some(Some(Err(reason))) = page {
            return Err(fields.invalid("start_url", reason));
        }
        Ok(Self {
            lease: lease.name.clone(),
            profile: text("profile"),
            region: text("region"),
            flow: match fields.text("flow") {
                Some("browser") => Flow::Browser,
                _ => Flow::Device,
            },
            open_browser: fields.flag("open_browser").unwrap_or(true),
            session: text("sso_session"),
            start_url: text("start_url"),
            sso_region: text("sso_region"),
            account_id: text("account_id"),
            role_name: text("role_name"),
            scopes: fields.list("scopes").to_vec(),
            oidc_endpoint: endpoint(fields, "oidc_endpoint")?,
            portal_endpoint: endpoint(fields, "portal_endpoint")?,
        })
    }
}

fn endpoint(fields: &Fields, key: &'static str) -> Result<Option<Url>, ConfigError> {
    match fields.text(key).map(issuer::parse) {
        None => Ok(None),
        Some(Ok(url)) => Ok(Some(url)),
        Some(Err(reason)) => Err(fields.invalid(key, reason)),
    }
}

/// Which role of which portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Portal {
    /// The `[sso-session]`, if it is one.
    pub(super) session: Option<String>,
    pub(super) start_url: String,
    pub(super) region: String,
    pub(super) account_id: String,
    pub(super) role_name: String,
    pub(super) scopes: Vec<String>,
    /// Where tokens are made.
    pub(super) oidc: Url,
    /// Where they are turned into credentials.
    pub(super) access: Url,
}

impl Portal {
    /// From the lease's keys and the files that the environment names.
    pub(super) fn of(settings: &Settings, env: &Env) -> Result<Self, MintError> {
        let profile = match &settings.profile {
            Some(name) => profiles::profile(env, name)
                .ok_or_else(|| absent("profile", &format!("profile `{name}`"), env))?,
            None => Section::new(),
        };
        let session = settings
            .session
            .clone()
            .or_else(|| profile.get("sso_session").cloned());
        let of_session = match &session {
            Some(name) => profiles::sso_session(env, name)
                .ok_or_else(|| absent("sso_session", &format!("[sso-session {name}]"), env))?,
            None => Section::new(),
        };
        let found = |own: &Option<String>, key: &'static str, in_files: &str| {
            own.clone()
                .or_else(|| of_session.get(in_files).cloned())
                .or_else(|| profile.get(in_files).cloned())
                .filter(|text| !text.is_empty())
                .ok_or_else(|| {
                    MintError::misconfigured(
                        key,
                        format!("`{key}` is missing, and the AWS files have no `{in_files}`"),
                    )
                    .with_remedy(format!(
                        "add `{key}` to the lease, or `{in_files}` to the file"
                    ))
                })
        };
        let region = found(&settings.sso_region, "sso_region", "sso_region")?;
        if !is_region(&region) {
            return Err(MintError::misconfigured(
                "sso_region",
                format!("`{}` is no AWS region", region.escape_debug()),
            ));
        }
        let scopes = match of_session.get("sso_registration_scopes") {
            Some(scopes) if settings.scopes.is_empty() => scopes
                .split(',')
                .map(|scope| scope.trim().to_owned())
                .filter(|scope| !scope.is_empty())
                .collect(),
            _ => settings.scopes.clone(),
        };
        Ok(Self {
            start_url: found(&settings.start_url, "start_url", "sso_start_url")?,
            account_id: found(&settings.account_id, "account_id", "sso_account_id")?,
            role_name: found(&settings.role_name, "role_name", "sso_role_name")?,
            scopes: if scopes.is_empty() {
                vec![USUAL_SCOPE.to_owned()]
            } else {
                scopes
            },
            oidc: address(settings.oidc_endpoint.as_ref(), env, OIDC, &region)?,
            access: address(settings.portal_endpoint.as_ref(), env, PORTAL, &region)?,
            session,
            region,
        })
    }

    /// What the AWS CLI calls the login: the session's name, else the start URL.
    pub(super) fn login_name(&self) -> &str {
        self.session.as_deref().unwrap_or(&self.start_url)
    }

    /// Whose credentials it gives, as far as files say.
    pub(super) fn facts(&self) -> Vec<String> {
        vec![
            self.login_name().to_owned(),
            self.start_url.clone(),
            self.region.clone(),
            self.account_id.clone(),
            self.role_name.clone(),
            self.oidc.to_string(),
            self.access.to_string(),
        ]
    }
}

/// The key, the variable of the SDKs ("Service-specific endpoints", ibid.) and the beginning of the host.
type Service = (&'static str, &'static str, &'static str);
const OIDC: Service = ("oidc_endpoint", "AWS_ENDPOINT_URL_SSO_OIDC", "oidc");
const PORTAL: Service = ("portal_endpoint", "AWS_ENDPOINT_URL_SSO", "portal.sso");

/// AWS General Reference, "IAM Identity Center endpoints"; China has a domain of its own.
fn address(
    own: Option<&Url>,
    env: &Env,
    (key, variable, host): Service,
    region: &str,
) -> Result<Url, MintError> {
    if let Some(url) = own {
        return Ok(url.clone());
    }
    if let Some((_, url)) = env.first(&[variable, "AWS_ENDPOINT_URL"]) {
        return issuer::address(key, url);
    }
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    issuer::address(
        key,
        &format!("https://{host}.{region}.amazonaws.com{suffix}"),
    )
}

fn absent(key: &'static str, what: &str, env: &Env) -> MintError {
    let place = profile_files::config(env).map_or_else(
        || "the AWS configuration file".to_owned(),
        |path| path.display().to_string(),
    );
    MintError::misconfigured(
        key,
        format!("there is no {} in {place}", what.escape_debug()),
    )
    .with_remedy("correct the name, or make it with `aws configure sso`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn settings(keys: &str) -> Result<Settings, ConfigError> {
        Settings::read(&testing::lease(&format!("type = 'aws-sso'\n{keys}")))
    }

    fn env(config: &str) -> (tempfile::TempDir, Env) {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        std::fs::write(home.path().join(".aws/config"), config).unwrap();
        let env = testing::env_in(home.path(), &[]);
        (home, env)
    }

    const FILE: &str = "[sso-session corp]\nsso_region = eu-west-1\n\
        sso_start_url = https://corp.awsapps.com/start\n\
        sso_registration_scopes = sso:account:access, other:scope\n\
        [profile dev]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Dev\n\
        [profile old]\nsso_start_url = https://old.awsapps.com/start\nsso_region = us-east-1\n\
        sso_account_id = 210987654321\nsso_role_name = Old\n[profile half]\nsso_session = corp\n\
        [profile lost]\nsso_session = nowhere\n";

    #[test]
    fn a_profile_leads_to_its_session() {
        let (_home, env) = env(FILE);
        let portal = Portal::of(&settings("profile = 'dev'").unwrap(), &env).unwrap();
        assert_eq!(portal.login_name(), "corp");
        assert_eq!(portal.start_url, "https://corp.awsapps.com/start");
        assert_eq!(portal.account_id, "123456789012");
        assert_eq!(portal.scopes, ["sso:account:access", "other:scope"]);
        assert_eq!(
            portal.oidc.as_str(),
            "https://oidc.eu-west-1.amazonaws.com/"
        );
        assert_eq!(
            portal.access.as_str(),
            "https://portal.sso.eu-west-1.amazonaws.com/"
        );
    }

    #[test]
    fn a_profile_without_a_session_is_named_by_its_start_url() {
        let (_home, env) = env(FILE);
        let portal = Portal::of(&settings("profile = 'old'").unwrap(), &env).unwrap();
        assert_eq!(portal.login_name(), "https://old.awsapps.com/start");
        assert_eq!(portal.scopes, ["sso:account:access"]);
    }

    #[test]
    fn keys_of_the_lease_win() {
        let (_home, env) = env(FILE);
        let keys = "profile = 'dev'\nrole_name = 'Ops'\naccount_id = '111122223333'\nsso_region = 'cn-north-1'";
        let portal = Portal::of(&settings(keys).unwrap(), &env).unwrap();
        assert_eq!(portal.role_name, "Ops");
        assert_eq!(portal.account_id, "111122223333");
        assert_eq!(
            portal.oidc.as_str(),
            "https://oidc.cn-north-1.amazonaws.com.cn/"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let (_home, env) = env(FILE);
        for (profile, wanted) in [
            ("half", "`account_id` is missing"),
            ("lost", "[sso-session nowhere]"),
            ("none", "profile `none`"),
        ] {
            let settings = settings(&format!("profile = '{profile}'")).unwrap();
            let error = Portal::of(&settings, &env).unwrap_err();
            assert!(error.message.contains(wanted), "{error}");
        }
        for (wrong, wanted) in [
            ("", "`start_url`"),
            ("sso_session = 'corp'", "`account_id`"),
            ("profile = 'x'\nregion = 'EU'", "`region`"),
            ("profile = 'x'\naccount_id = '1'", "12 digits"),
            ("profile = 'x'\nstart_url = 'ftp://x'", "`start_url`"),
            (
                "profile = 'x'\noidc_endpoint = 'http://x'",
                "`oidc_endpoint`",
            ),
        ] {
            let error = settings(wrong).unwrap_err().to_string();
            assert!(error.contains(wanted), "{wrong}: {error}");
        }
    }
}

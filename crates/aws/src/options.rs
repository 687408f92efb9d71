//! Where the services are and how long they may take.

use std::sync::Arc;
use std::time::Duration;

use fnox_core::{Clock, Env, SystemClock};

use crate::client::Service;
use crate::error::{AwsError, clean};

/// Settings of a client. What is `None` comes from the environment and from the AWS configuration files.
#[derive(Debug, Clone)]
pub struct AwsOptions {
    /// The region. Else `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile's, the instance's.
    pub region: Option<String>,
    /// The URL of the services. Else `AWS_ENDPOINT_URL_KMS`, `AWS_ENDPOINT_URL_SECRETS_MANAGER` and
    /// `AWS_ENDPOINT_URL_SSM`, then `AWS_ENDPOINT_URL`, then the region's.
    pub endpoint_url: Option<String>,
    /// The profile. Else `AWS_PROFILE`, unless the environment has keys.
    pub profile: Option<String>,
    /// A role to assume first, with what the rest leads to. STS is asked at `AWS_ENDPOINT_URL_STS`, else at
    /// `AWS_ENDPOINT_URL`, else in the region.
    pub role: Option<Role>,
    /// How long connecting may take.
    pub connect_limit: Duration,
    /// How long a call may take, with all its attempts.
    pub call_limit: Duration,
    /// How long to wait before the first repetition, at most; twice as long before the next.
    pub pause: Duration,
    /// What tells the time of signatures.
    pub clock: Arc<dyn Clock>,
}

/// A role that is assumed before a service is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// `arn:aws:iam::123456789012:role/NAME`.
    pub arn: String,
    /// How the session is called in AWS's logs.
    pub session_name: String,
}

impl Default for AwsOptions {
    fn default() -> Self {
        Self {
            region: None,
            endpoint_url: None,
            profile: None,
            role: None,
            connect_limit: Duration::from_secs(3),
            call_limit: Duration::from_secs(20),
            pause: Duration::from_millis(200),
            clock: Arc::new(SystemClock),
        }
    }
}

impl AwsOptions {
    /// The URL of a service, without a slash at its end.
    ///
    /// # Errors
    /// [`AwsError`] if it is no URL, or one of plain HTTP to another machine: KMS answers with keys.
    pub(crate) fn endpoint(
        &self,
        env: &Env,
        region: &str,
        service: Service,
    ) -> Result<String, AwsError> {
        let ignored = env.switch("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") == Some(true);
        let configured = match &self.endpoint_url {
            Some(url) => Some(("endpoint", url.as_str())),
            None if ignored => None,
            None => env.first(&[service.endpoint_variable(), "AWS_ENDPOINT_URL"]),
        };
        match configured {
            Some((origin, url)) => acceptable(origin, url),
            None => Ok(regional(service.name(), region)),
        }
    }
}

/// The URL of STS, as far as the environment or the region tells it.
///
/// # Errors
/// As [`AwsOptions::endpoint`].
pub(crate) fn sts_endpoint(env: &Env, region: &str) -> Result<String, AwsError> {
    let ignored = env.switch("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") == Some(true);
    match env.first(&["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"]) {
        Some((origin, url)) if !ignored => acceptable(origin, url),
        _ => Ok(regional("sts", region)),
    }
}

fn regional(service: &str, region: &str) -> String {
    format!("https://{service}.{region}.{}", domain(region))
}

fn acceptable(origin: &str, url: &str) -> Result<String, AwsError> {
    let url = url.trim_end_matches('/');
    match problem(url) {
        None => Ok(url.to_owned()),
        Some(problem) => Err(AwsError::configuration(format!(
            "{origin} `{}` {problem}",
            clean(url, 200)
        ))),
    }
}

/// Whether a text can be a region: it becomes part of a host's name.
pub(crate) fn is_region(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The partitions' domains: AWS SDK endpoint rules, "partitions".
fn domain(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "amazonaws.com.cn",
        Some("eusc") => "amazonaws.eu",
        _ => "amazonaws.com",
    }
}

fn problem(url: &str) -> Option<&'static str> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '@');
    if url.contains(odd) {
        return Some("must be a plain URL, without user, query and fragment");
    }
    if url
        .strip_prefix("https://")
        .is_some_and(|rest| !rest.is_empty())
    {
        return None;
    }
    let Some(rest) = url.strip_prefix("http://") else {
        return Some("must begin with https://");
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    };
    let is_here = host == "localhost"
        || host == "[::1]"
        || host
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|ip| ip.is_loopback());
    (!is_here).then_some("must begin with https://; plain HTTP is only spoken with this machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(variables: &[(&str, &str)], explicit: Option<&str>, service: Service) -> String {
        let options = AwsOptions {
            endpoint_url: explicit.map(str::to_owned),
            ..AwsOptions::default()
        };
        let env = variables.iter().copied().collect();
        match options.endpoint(&env, "eu-west-1", service) {
            Ok(url) => url,
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_nearest_endpoint_wins() {
        let mut all = vec![
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1/"),
            ("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:2"),
        ];
        let explicit = Some("https://c.example");
        assert_eq!(endpoint(&all, explicit, Service::Kms), "https://c.example");
        assert_eq!(endpoint(&all, None, Service::Kms), "http://127.0.0.1:2");
        let other = endpoint(&all, None, Service::SecretsManager);
        assert_eq!(other, "http://127.0.0.1:1");
        let regional = "https://secretsmanager.eu-west-1.amazonaws.com";
        assert_eq!(endpoint(&[], None, Service::SecretsManager), regional);
        all.push(("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"));
        assert_eq!(endpoint(&all, None, Service::SecretsManager), regional);
        let options = AwsOptions::default();
        let url = options.endpoint(&Env::default(), "cn-north-1", Service::Kms);
        assert_eq!(url.unwrap(), "https://kms.cn-north-1.amazonaws.com.cn");
    }

    #[test]
    fn keys_do_not_travel_in_the_clear() {
        for url in [
            "http://localhost:4566",
            "http://[::1]:1",
            "http://127.9.9.9",
        ] {
            assert_eq!(endpoint(&[], Some(url), Service::Kms), url);
        }
        for url in [
            "http://kms.example",
            "http://localhost.evil.example",
            "http://127.0.0.1.nip.io",
            "kms.example",
            "https://",
            "ftp://x",
            "https://user:pw@x",
            "https://x?y",
            "http://127.0.0.1@evil.example",
        ] {
            let told = endpoint(&[], Some(url), Service::Kms);
            assert!(told.starts_with("aws: endpoint"), "{url}: {told}");
        }
    }

    #[test]
    fn a_region_is_a_label() {
        assert!(is_region("eu-west-1") && is_region("us-gov-east-1"));
        for bad in ["", "eu.west", "EU-WEST-1", "-a", "a/b", "a@b", "a\n"] {
            assert!(!is_region(bad), "{bad:?}");
        }
    }
}

//! Leases that are to be minted anew before they end, on the wire.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fnox_core::LeaseName;
use serde::{Deserialize, Serialize};

/// Most leases in one request, and that are waited for at a time.
pub const MAX_RENEWALS: usize = 256;

/// The variables that a renewal may have: where things are and who somebody is, never a secret.
pub const RENEWAL_VARIABLES: &[&str] = &[
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AZURE_CONFIG_DIR",
    "BAO_ADDR",
    "BAO_NAMESPACE",
    "CLOUDSDK_ACTIVE_CONFIG_NAME",
    "CLOUDSDK_CONFIG",
    "DBUS_SESSION_BUS_ADDRESS",
    "FNOX_AGE_KEY_FILE",
    "FNOX_CONFIG_DIR",
    "FNOX_DAEMON_SOCKET_DIR",
    "FNOX_DATA_DIR",
    "FNOX_HTTP_TIMEOUT",
    "FNOX_IF_MISSING",
    "FNOX_NO_DEFAULTS",
    "FNOX_PROFILE",
    "FNOX_PROVIDER_TIMEOUT",
    "FNOX_STATE_DIR",
    "GNUPGHOME",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_PROJECT",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "KUBECONFIG",
    "LANG",
    "LC_ALL",
    "NO_PROXY",
    "PASSWORD_STORE_DIR",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "USER",
    "VAULT_ADDR",
    "VAULT_CACERT",
    "VAULT_NAMESPACE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// A lease that was used, and where `fnox` finds it again. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// The folder in which the command was started.
    pub folder: PathBuf,
    /// The flags of its command line that choose configuration and profile.
    pub arguments: Vec<String>,
    /// The lease's name.
    pub lease: String,
    /// When its early end comes, in seconds since 1970 (UTC).
    pub renew_at: i64,
    /// When the credential ends.
    pub ends_at: i64,
    /// Variables that say where things are and who somebody is, by name: only [those](RENEWAL_VARIABLES).
    pub variables: BTreeMap<String, String>,
}

/// Whether there are not too many, and each is one that this daemon may start fnox for.
pub(super) fn are_in_order(leases: &[Renewal]) -> bool {
    let is_in_order = |lease: &Renewal| {
        lease.folder.is_absolute()
            && LeaseName::parse(&lease.lease).is_ok()
            && lease
                .variables
                .iter()
                .all(|(name, value)| is_for_renewal(name, value))
    };
    leases.len() <= MAX_RENEWALS && leases.iter().all(is_in_order)
}

/// Whether a variable may be kept for a renewal: it names a place or a person, and has no password in a URL.
pub(in crate::daemon) fn is_for_renewal(name: &str, value: &str) -> bool {
    let has_password = value.contains("://") && value.contains('@');
    RENEWAL_VARIABLES.contains(&name) && !has_password && !value.contains('\0')
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::daemon) fn renewal() -> Renewal {
        Renewal {
            folder: "/home/ada/shop".into(),
            arguments: vec!["--profile".to_owned(), "prod".to_owned()],
            lease: "aws".to_owned(),
            renew_at: 1_700_000_000,
            ends_at: 1_700_000_300,
            variables: BTreeMap::from([("HOME".to_owned(), "/home/ada".to_owned())]),
        }
    }

    #[test]
    fn a_renewal_has_no_secrets() {
        let with = |name: &str, value: &str| {
            let mut renewal = renewal();
            renewal.variables.insert(name.to_owned(), value.to_owned());
            are_in_order(&[renewal])
        };
        assert!(with("AWS_PROFILE", "ops"));
        assert!(with("HTTPS_PROXY", "http://proxy:3128"));
        assert!(!with("HTTPS_PROXY", "http://me:hunter2@proxy:3128"));
        assert!(!with("AWS_SECRET_ACCESS_KEY", "hunter2"));
        assert!(!with("FNOX_AGE_KEY", "AGE-SECRET-KEY-1"));
        assert!(!with("LD_PRELOAD", "/tmp/a.so"));
        let mut relative = renewal();
        relative.folder = "shop".into();
        assert!(!are_in_order(&[relative]));
    }
}

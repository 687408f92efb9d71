//! Leases that are to be minted anew before they end, on the wire.

use std::path::PathBuf;

use fnox_core::{LeaseName, ProfileName};
use serde::{Deserialize, Serialize};

/// Most leases in one request, and that are waited for at a time.
pub const MAX_RENEWALS: usize = 256;

/// Most profiles of one lease.
const MAX_PROFILES: usize = 32;

/// A lease that was used, and where `fnox` finds it again.
///
/// There is nothing in it that decides what a renewal runs or for whom: a client may be a program in a sandbox that
/// reaches the daemon's socket and should reach nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// The folder in which the command was started.
    pub folder: PathBuf,
    /// The configuration file that its command line named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// The profiles that were selected.
    pub profiles: Vec<String>,
    /// Whether the base's secrets were left out.
    pub no_defaults: bool,
    /// The lease's name.
    pub lease: String,
    /// When its early end comes, in seconds since 1970 (UTC).
    pub renew_at: i64,
    /// When the credential ends.
    pub ends_at: i64,
}

impl Renewal {
    /// The arguments with which fnox finds the lease.
    pub(in crate::daemon) fn arguments(&self) -> Vec<std::ffi::OsString> {
        let mut arguments = Vec::new();
        if let Some(path) = &self.config {
            arguments.extend(["--config".into(), path.clone().into_os_string()]);
        }
        let profiles = self.profiles.iter();
        arguments.extend(profiles.map(|profile| format!("--profile={profile}").into()));
        if self.no_defaults {
            arguments.push("--no-defaults".into());
        }
        arguments
    }

    fn is_in_order(&self) -> bool {
        let are_profiles = |names: &[String]| {
            names.len() <= MAX_PROFILES && names.iter().all(|name| ProfileName::parse(name).is_ok())
        };
        self.folder.is_absolute()
            && self.config.as_ref().is_none_or(|path| path.is_absolute())
            && are_profiles(&self.profiles)
            && LeaseName::parse(&self.lease).is_ok()
    }
}

/// Whether there are not too many, and each is one that this daemon may start fnox for.
pub(super) fn are_in_order(leases: &[Renewal]) -> bool {
    leases.len() <= MAX_RENEWALS && leases.iter().all(Renewal::is_in_order)
}

#[cfg(test)]
pub(in crate::daemon) mod tests {
    use super::*;

    pub(in crate::daemon) fn renewal(lease: &str, renew_at: i64, ends_at: i64) -> Renewal {
        Renewal {
            folder: "/home/ada/shop".into(),
            config: None,
            profiles: vec!["prod".to_owned()],
            no_defaults: false,
            lease: lease.to_owned(),
            renew_at,
            ends_at,
        }
    }

    #[test]
    fn nothing_in_it_is_an_argument_of_its_own() {
        let lease = renewal("aws", 1, 2);
        let all = Renewal {
            config: Some("/home/ada/other.toml".into()),
            no_defaults: true,
            ..lease.clone()
        };
        let wanted = [
            "--config",
            "/home/ada/other.toml",
            "--profile=prod",
            "--no-defaults",
        ];
        assert_eq!(all.arguments(), wanted);
        assert!(are_in_order(&[lease.clone(), all]));
        for wrong in [
            Renewal {
                folder: "shop".into(),
                ..lease.clone()
            },
            Renewal {
                config: Some("--help".into()),
                ..lease.clone()
            },
            Renewal {
                profiles: vec!["a,b".to_owned()],
                ..lease.clone()
            },
            Renewal {
                lease: String::new(),
                ..lease
            },
        ] {
            assert!(!are_in_order(std::slice::from_ref(&wrong)), "{wrong:?}");
        }
    }
}

//! What to do about a secret without a value.

use fnox_config::{Config, IfMissing, SecretConfig};
use fnox_core::Env;

use crate::error::ErrorKind;

/// The rule that holds for one secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What to do.
    pub action: IfMissing,
    /// Whether somebody asked for it: by flag, environment, secret or file. The built-in `warn` lets only
    /// a value that is not there pass; an outage or a locked store then stops the run.
    pub explicit: bool,
}

impl Policy {
    /// `--if-missing`, `FNOX_IF_MISSING`, the secret, the file, `FNOX_IF_MISSING_DEFAULT`, `warn`.
    #[must_use]
    pub fn of(secret: &SecretConfig, config: &Config, flag: Option<IfMissing>, env: &Env) -> Self {
        let variable = |name: &str| {
            env.var(name)
                .map(|word| IfMissing::parse(word).unwrap_or(IfMissing::Warn))
        };
        let asked = flag
            .or_else(|| variable("FNOX_IF_MISSING"))
            .or(secret.if_missing)
            .or(config.settings.if_missing)
            .or_else(|| variable("FNOX_IF_MISSING_DEFAULT"));
        Self {
            action: asked.unwrap_or(IfMissing::Warn),
            explicit: asked.is_some(),
        }
    }

    /// Whether a failure of this kind stops the run.
    #[must_use]
    pub fn stops(self, kind: ErrorKind) -> bool {
        match (self.action, kind) {
            (IfMissing::Error, _) => true,
            (_, ErrorKind::NotFound) => false,
            (_, _) => !self.explicit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_warning_covers_only_values_that_are_not_there() {
        let built_in = Policy {
            action: IfMissing::Warn,
            explicit: false,
        };
        assert!(!built_in.stops(ErrorKind::NotFound));
        for kind in [
            ErrorKind::AuthenticationNeeded,
            ErrorKind::Unavailable,
            ErrorKind::Misconfigured,
        ] {
            assert!(built_in.stops(kind), "{kind:?}");
            assert!(
                !Policy {
                    action: IfMissing::Warn,
                    explicit: true
                }
                .stops(kind),
                "{kind:?}"
            );
            assert!(
                !Policy {
                    action: IfMissing::Ignore,
                    explicit: true
                }
                .stops(kind),
                "{kind:?}"
            );
            assert!(
                Policy {
                    action: IfMissing::Error,
                    explicit: true
                }
                .stops(kind),
                "{kind:?}"
            );
        }
    }
}

//! Which types of lease are built, one line each.

use std::path::Path;

use fnox_config::LeaseConfig;

use crate::error::LeaseError;
use crate::mint::{Mint, aws_sts, command};

type Build = fn(&LeaseConfig, Option<&Path>) -> Result<Box<dyn Mint>, LeaseError>;

/// The types of lease that this binary can mint.
#[derive(Debug, Clone, Copy, Default)]
pub struct Registry;

const BUILT: &[(&str, Build)] = &[("aws-sts", aws_sts::open), ("command", command::open)];

impl Registry {
    /// Whether a type is built.
    #[must_use]
    pub fn has(self, kind: &str) -> bool {
        BUILT.iter().any(|(name, _)| *name == kind)
    }

    /// The mint of a configured lease. Nothing is contacted. `home` is what `~` in paths means.
    ///
    /// # Errors
    /// [`LeaseError::NotBuilt`] or [`LeaseError::Config`] if a key is wrong.
    pub fn open(
        self,
        lease: &LeaseConfig,
        home: Option<&Path>,
    ) -> Result<Box<dyn Mint>, LeaseError> {
        match BUILT.iter().find(|(name, _)| *name == lease.spec.name) {
            Some((_, build)) => build(lease, home),
            None => Err(LeaseError::NotBuilt {
                lease: lease.name.clone(),
                kind: lease.spec.name,
                location: lease.fields.location().clone(),
            }),
        }
    }
}

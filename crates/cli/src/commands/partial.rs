//! The values that can be had, where some cannot.

use fnox_core::SecretName;
use fnox_providers::resolve::{Resolution, ResolveError, Resolver};

use crate::error::CliError;

/// Resolves with a resolver for which everything may be missing, so that one failure does not hide the others. What stops
/// even that is told, and the rest is tried without it, unless `tell` wants to stop.
pub(super) async fn resolve(
    resolver: &Resolver<'_>,
    mut names: Vec<SecretName>,
    mut tell: impl FnMut(ResolveError) -> Result<(), CliError>,
) -> Result<Resolution, CliError> {
    while !names.is_empty() {
        let error = match resolver.resolve(&names).await {
            Ok(resolution) => return Ok(resolution),
            Err(error) => error,
        };
        let culprit = match &error {
            ResolveError::Unfit { name, .. }
            | ResolveError::Missing { name, .. }
            | ResolveError::Provider { name, .. } => Some(name.clone()),
            _ => None,
        };
        tell(error)?;
        let Some(culprit) = culprit else { break };
        let before = names.len();
        names.retain(|name| {
            let needs = resolver.closure(std::slice::from_ref(name));
            !needs.is_ok_and(|needs| needs.contains(&culprit))
        });
        if names.len() == before {
            break;
        }
    }
    Ok(Resolution::default())
}

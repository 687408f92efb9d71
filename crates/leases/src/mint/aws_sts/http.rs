//! HTTP for the AWS SDK, as `fnox-aws` speaks it.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use fnox_aws::AwsError;
use fnox_aws::http::{capped, trust};

use crate::mint::{MintContext, MintError};

/// Largest answer that is read. A session token has no documented size; a few KiB are usual.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// A client for the AWS SDK.
///
/// # Errors
/// [`MintError`] if `AWS_CA_BUNDLE` names a file without certificates.
pub(super) fn client(context: &MintContext) -> Result<SharedHttpClient, MintError> {
    let trust = trust(&context.env).map_err(refused)?;
    Ok(http_client_fn(move |settings, _| {
        capped(settings.clone(), trust.clone(), ANSWER_LIMIT)
    }))
}

/// One connection outside of the SDK.
///
/// # Errors
/// As [`client`].
pub(super) fn connector(context: &MintContext) -> Result<SharedHttpConnector, MintError> {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(context.connect_limit)
        .read_timeout(context.call_limit.min(Duration::from_secs(10)))
        .build();
    let trust = trust(&context.env).map_err(refused)?;
    Ok(capped(settings, trust, ANSWER_LIMIT))
}

fn refused(error: AwsError) -> MintError {
    MintError::authentication(error.message)
}

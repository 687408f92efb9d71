//! What AWS's errors mean for a store.

use fnox_aws::{AwsError, AwsErrorKind};
use fnox_vault::store::StoreError;

/// A call failed. Whether something was changed is not known.
pub(crate) fn unavailable(store: &str, error: &AwsError) -> StoreError {
    StoreError::Unavailable {
        store: store.to_owned(),
        problem: error.to_string(),
    }
}

/// There is no such secret, or none any more.
pub(crate) fn is_absent(error: &AwsError) -> bool {
    error.is("ResourceNotFoundException") || is_being_deleted(error)
}

/// AWS has one code for everything that a secret's state forbids: "You can't perform this operation on the
/// secret because it was marked for deletion", "… is already scheduled for deletion".
pub(crate) fn is_being_deleted(error: &AwsError) -> bool {
    error.is("InvalidRequestException")
        && ["deletion", "marked deleted"]
            .iter()
            .any(|words| error.message.contains(words))
}

/// The name of a new secret is taken, by a living one or by one that is being deleted.
pub(crate) fn is_taken(error: &AwsError) -> bool {
    error.kind == AwsErrorKind::Refused
        && (error.is("ResourceExistsException") || is_being_deleted(error))
}

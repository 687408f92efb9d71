//! Times as they are stored: nanoseconds since 1970, from 1677 to 2262.

use jiff::Timestamp;

use crate::problem::Failure;

/// The number that is stored.
pub(crate) fn stored(time: Timestamp) -> Result<i64, Failure> {
    i64::try_from(time.as_nanosecond()).map_err(|_| Failure::TooFar {
        what: "a time after the year 2262 or before 1677",
    })
}

/// The nearest number that can be stored, for comparing.
pub(crate) fn nearest(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(if time < Timestamp::UNIX_EPOCH {
        i64::MIN
    } else {
        i64::MAX
    })
}

/// The time of a stored number.
pub(crate) fn of(column: &'static str, stored: i64) -> Result<Timestamp, Failure> {
    Timestamp::from_nanosecond(i128::from(stored)).map_err(|_| Failure::Unreadable { column })
}

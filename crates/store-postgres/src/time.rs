//! Times as they are stored: nanoseconds since 1970, in 64 bits.

use jiff::Timestamp;

/// The number for a time. Times that 64 bits cannot tell (before 1677, after 2262) become the nearest that they can.
pub(crate) fn stored(time: Timestamp) -> i64 {
    let nanoseconds = time.as_nanosecond();
    i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX })
}

/// The time for a number.
pub(crate) fn read(nanoseconds: i64) -> Timestamp {
    // Every i64 is within what a timestamp can be, so the fall-back is never taken.
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The nearest time that comes back from the store as it went in.
pub(crate) fn storable(time: Timestamp) -> Timestamp {
    read(stored(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_to_the_nanosecond() {
        let time: Timestamp = "2026-03-01T12:00:00.123456789Z".parse().unwrap();
        assert_eq!(read(stored(time)), time);
        assert_eq!(storable(time), time);
    }

    #[test]
    fn absurd_times_become_the_nearest_that_can_be_stored() {
        assert_eq!(stored(Timestamp::MAX), i64::MAX);
        assert_eq!(stored(Timestamp::MIN), i64::MIN);
        assert!(storable(Timestamp::MAX) < Timestamp::MAX);
    }
}

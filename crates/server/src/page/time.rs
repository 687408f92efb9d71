//! Moments for people.

use jiff::Timestamp;

/// To the second, in UTC: phones and servers may be in different zones.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The same for machines (HTML, `datetime`).
pub(super) fn machine(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How far away a moment is, in the largest unit that says enough.
pub(super) fn distance(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_until(at).as_secs();
    let size = seconds.unsigned_abs();
    let size = match size {
        0..60 => format!("{size} s"),
        60..3600 => format!("{} min", size / 60),
        3600..172_800 => format!("{} h", size / 3600),
        _ => format!("{} days", size / 86_400),
    };
    if seconds >= 0 {
        format!("in {size}")
    } else {
        format!("{size} ago")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_rounded_down() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for (seconds, shown) in [
            (0, "in 0 s"),
            (59, "in 59 s"),
            (599, "in 9 min"),
            (-61, "1 min ago"),
            (7200, "in 2 h"),
            (-864_000, "10 days ago"),
        ] {
            let at = Timestamp::from_second(1_800_000_000 + seconds).unwrap();
            assert_eq!(distance(at, now), shown);
        }
    }
}

//! Lifetimes such as `15m` and `1h30m`.

use std::fmt;
use std::time::Duration;

use crate::shown;

/// A positive length of time in whole seconds, at most ten years.
///
/// Written as one or more `<integer><s|m|h|d>` parts; a bare trailing number counts seconds:
///
/// ```
/// # use fnox_core::Lifetime;
/// assert_eq!(Lifetime::parse("1h30m").unwrap().as_secs(), 5400);
/// assert_eq!(Lifetime::parse("90").unwrap().to_string(), "1m30s");
/// assert!(Lifetime::parse("0s").is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime(u64);

/// Why a text is not a lifetime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLifetime {
    /// Neither digits nor a unit where one was expected.
    #[error("`{text}` is not a duration: write it like 90s, 15m, 1h30m or 2d")]
    Malformed {
        /// The text, control characters escaped.
        text: String,
    },
    /// A unit other than the four.
    #[error("`{text}` has the unknown unit `{unit}`: use s, m, h or d")]
    UnknownUnit {
        /// The text, control characters escaped.
        text: String,
        /// The unit that is not one.
        unit: char,
    },
    /// Zero, or longer than ten years.
    #[error("`{text}` is out of range: use between 1s and 3650d")]
    OutOfRange {
        /// The text, control characters escaped.
        text: String,
    },
}

const MAXIMUM: u64 = 3650 * 86_400;
/// More characters of a text are not in a message.
const LONGEST_SHOWN: usize = 80;

impl Lifetime {
    /// Fifteen minutes: how long a credential lives unless told otherwise.
    pub const DEFAULT: Self = Self(15 * 60);

    /// A lifetime of so many seconds, kept within 1 second and ten years.
    #[must_use]
    pub fn from_secs(seconds: u64) -> Self {
        Self(seconds.clamp(1, MAXIMUM))
    }

    /// Reads a lifetime.
    ///
    /// # Errors
    /// [`InvalidLifetime`] names the text and, for a wrong unit, the unit.
    pub fn parse(text: &str) -> Result<Self, InvalidLifetime> {
        let malformed = || InvalidLifetime::Malformed {
            text: shown(text, LONGEST_SHOWN),
        };
        let out_of_range = || InvalidLifetime::OutOfRange {
            text: shown(text, LONGEST_SHOWN),
        };
        let mut total: u64 = 0;
        let mut number: Option<u64> = None;
        for character in text.trim().chars() {
            if let Some(digit) = character.to_digit(10) {
                let value = number.unwrap_or(0).checked_mul(10);
                number = Some(
                    value
                        .and_then(|v| v.checked_add(digit.into()))
                        .ok_or_else(out_of_range)?,
                );
                continue;
            }
            let value = number.take().ok_or_else(malformed)?;
            let unit: u64 = match character {
                's' => 1,
                'm' => 60,
                'h' => 3600,
                'd' => 86_400,
                unit if unit.is_alphabetic() => {
                    return Err(InvalidLifetime::UnknownUnit {
                        text: shown(text, LONGEST_SHOWN),
                        unit,
                    });
                }
                _ => return Err(malformed()),
            };
            let part = value.checked_mul(unit).ok_or_else(out_of_range)?;
            total = total.checked_add(part).ok_or_else(out_of_range)?;
        }
        if text.trim().is_empty() {
            return Err(malformed());
        }
        total = total
            .checked_add(number.unwrap_or(0))
            .ok_or_else(out_of_range)?;
        if total == 0 || total > MAXIMUM {
            return Err(out_of_range());
        }
        Ok(Self(total))
    }

    /// Whole seconds.
    #[must_use]
    pub fn as_secs(self) -> u64 {
        self.0
    }

    /// As the standard library's duration.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl fmt::Display for Lifetime {
    /// Days are left out below one day, seconds at a full minute: `45s`, `15m`, `1h0m`, `1h30m`, `2d0h`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, hours) = (self.0 / 86_400, self.0 / 3600 % 24);
        let (minutes, seconds) = (self.0 / 60 % 60, self.0 % 60);
        if days > 0 {
            write!(formatter, "{days}d{hours}h")
        } else if hours > 0 {
            write!(formatter, "{hours}h{minutes}m")
        } else if minutes > 0 && seconds > 0 {
            write!(formatter, "{minutes}m{seconds}s")
        } else if minutes > 0 {
            write!(formatter, "{minutes}m")
        } else {
            write!(formatter, "{seconds}s")
        }
    }
}

impl std::str::FromStr for Lifetime {
    type Err = InvalidLifetime;

    fn from_str(text: &str) -> Result<Self, InvalidLifetime> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_unit_and_sums_parts() {
        for (text, seconds) in [
            ("15m", 900),
            ("1h30m", 5400),
            ("2d", 172_800),
            ("90", 90),
            ("1m30", 90),
            ("1h1h", 7200),
        ] {
            assert_eq!(Lifetime::parse(text).unwrap().as_secs(), seconds, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration_and_says_why() {
        for (text, wanted) in [
            ("", "not a duration"),
            ("m", "not a duration"),
            ("1.5h", "not a duration"),
            ("-1h", "not a duration"),
            ("1 h", "not a duration"),
            ("1w", "unknown unit `w`"),
            ("0", "out of range"),
            ("99999999999999999999s", "out of range"),
            ("9999d", "out of range"),
        ] {
            let message = Lifetime::parse(text).unwrap_err().to_string();
            assert!(message.contains(wanted), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,40}") {
            let _ = Lifetime::parse(&text);
        }

        #[test]
        fn seconds_survive_a_round_trip(seconds in 1..MAXIMUM) {
            prop_assert_eq!(Lifetime::parse(&format!("{seconds}s")).unwrap().as_secs(), seconds);
        }
    }
}

//! How often something may happen.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// So many in so much time, for example `10/m`.
///
/// The whole number may be used up at once; after that, they come back evenly. So in any stretch of time there
/// are at most twice as many.
///
/// ```
/// # use fnox_core::Rate;
/// assert_eq!(Rate::parse("10/m").unwrap().per().as_secs(), 60);
/// assert!(Rate::parse("10").is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    count: NonZeroU32,
    per: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Rate {
    /// The greatest number of a rate.
    pub const MOST: u32 = 1_000_000;

    /// Reads `10/m`, `1/s`, `100/h`.
    ///
    /// # Errors
    /// [`InvalidRate`], whatever is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidRate> {
        let (count, unit) = text.split_once('/').ok_or(InvalidRate)?;
        if !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidRate);
        }
        let count: NonZeroU32 = count.parse().map_err(|_| InvalidRate)?;
        if count.get() > Self::MOST {
            return Err(InvalidRate);
        }
        let per = match unit {
            "s" => Unit::Second,
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            _ => return Err(InvalidRate),
        };
        Ok(Self { count, per })
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> NonZeroU32 {
        self.count
    }

    /// In how much time.
    #[must_use]
    pub fn per(&self) -> Duration {
        Duration::from_secs(match self.per {
            Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 3600,
        })
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        Self::parse(text)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per {
            Unit::Second => 's',
            Unit::Minute => 'm',
            Unit::Hour => 'h',
        };
        write!(formatter, "{}/{unit}", self.count)
    }
}

/// A text is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not a rate: write a number from 1 to 1000000 and a unit, as in `1/s`, `10/m` or `100/h`"
)]
pub struct InvalidRate;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_unit() {
        for text in ["1/s", "10/m", "1000000/h"] {
            assert_eq!(Rate::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "10",
            "/m",
            "0/m",
            "-1/m",
            "+1/m",
            "1/d",
            "1/m ",
            "1000001/s",
            "1/m/s",
        ] {
            assert_eq!(Rate::parse(text), Err(InvalidRate), "{text}");
        }
    }
}

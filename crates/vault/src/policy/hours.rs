//! When a rule applies: `mon-fri 08:00-18:00`.

use std::cell::OnceCell;
use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MIDNIGHT: u16 = 24 * 60;

/// Days of the week, and a time of those days.
///
/// Written `DAYS FROM-UNTIL`, either half alone, for example `mon-fri 08:00-18:00`, `sat,sun`, `22:00-06:00`.
/// The end does not belong to it. A time that ends before it begins runs into the next day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Bit 0 is Monday.
    days: u8,
    from: u16,
    until: u16,
    text: Box<str>,
}

impl Window {
    /// Reads one entry of `hours`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidWindow> {
        let (days, times) = match text.split_once(' ') {
            Some((days, times)) => (Some(days), Some(times)),
            None if text.contains(':') => (None, Some(text)),
            None => (Some(text), None),
        };
        let days = days.map_or(Ok(0b111_1111), parse_days)?;
        let (from, until) = times.map_or(Ok((0, MIDNIGHT)), parse_times)?;
        Ok(Self {
            days,
            from,
            until,
            text: text.into(),
        })
    }

    fn contains(&self, local: Local) -> bool {
        let is_on = |day: u8| self.days & (1 << day) != 0;
        if self.from < self.until {
            return is_on(local.day) && (self.from..self.until).contains(&local.minute);
        }
        let yesterday = (local.day + 6) % 7;
        is_on(local.day) && local.minute >= self.from
            || is_on(yesterday) && local.minute < self.until
    }
}

impl fmt::Display for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn parse_days(text: &str) -> Result<u8, InvalidWindow> {
    let day = |name: &str| {
        DAYS.iter()
            .position(|known| *known == name)
            .ok_or_else(|| InvalidWindow::Day(name.escape_debug().take(40).collect()))
    };
    let mut mask = 0;
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        // `fri-mon` goes over the end of the week.
        let length = (last + 7 - first) % 7;
        for offset in 0..=length {
            mask |= 1 << ((first + offset) % 7);
        }
    }
    Ok(mask)
}

fn parse_times(text: &str) -> Result<(u16, u16), InvalidWindow> {
    let (from, until) = text.split_once('-').ok_or(InvalidWindow::Times)?;
    let (from, until) = (parse_minute(from)?, parse_minute(until)?);
    if from == MIDNIGHT {
        return Err(InvalidWindow::Times);
    }
    if from == until {
        return Err(InvalidWindow::Empty);
    }
    Ok((from, until))
}

/// `08:30` as minutes after midnight; `24:00` is the end of the day.
fn parse_minute(text: &str) -> Result<u16, InvalidWindow> {
    let two_digits = |part: &str| {
        (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<u16>().ok())
            .flatten()
            .ok_or(InvalidWindow::Times)
    };
    let (hour, minute) = text.split_once(':').ok_or(InvalidWindow::Times)?;
    let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
    let total = hour * 60 + minute;
    if minute > 59 || total > MIDNIGHT {
        return Err(InvalidWindow::Times);
    }
    Ok(total)
}

/// A text is not an entry of `hours`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidWindow {
    /// Not a day.
    #[error("`{0}` is not a day: use mon, tue, wed, thu, fri, sat, sun")]
    Day(String),
    /// Not two times.
    #[error("the time must be two times of day from 00:00 to 24:00, as in `08:00-18:00`")]
    Times,
    /// It never applies.
    #[error("the time begins and ends in the same minute; leave it out to mean the whole day")]
    Empty,
}

/// A moment, on the wall of the policy's time zone once somebody asks.
#[derive(Debug)]
pub(super) struct Moment<'a> {
    now: Timestamp,
    timezone: &'a TimeZone,
    local: OnceCell<Local>,
}

#[derive(Debug, Clone, Copy)]
struct Local {
    /// Monday is 0.
    day: u8,
    minute: u16,
}

impl<'a> Moment<'a> {
    pub(super) fn new(now: Timestamp, timezone: &'a TimeZone) -> Self {
        Self {
            now,
            timezone,
            local: OnceCell::new(),
        }
    }

    pub(super) fn is_in(&self, window: &Window) -> bool {
        window.contains(self.local())
    }

    /// `mon 17:05`, for people.
    pub(super) fn shown(&self) -> String {
        let Local { day, minute } = self.local();
        let day = DAYS.get(usize::from(day)).copied().unwrap_or_default();
        format!("{day} {:02}:{:02}", minute / 60, minute % 60)
    }

    /// What the wall's time zone is called.
    pub(super) fn zone(&self) -> &str {
        self.timezone.iana_name().unwrap_or("UTC")
    }

    fn local(&self) -> Local {
        *self.local.get_or_init(|| {
            let civil = self.timezone.to_datetime(self.now);
            Local {
                day: civil.weekday().to_monday_zero_offset().unsigned_abs(),
                minute: u16::from(civil.hour().unsigned_abs()) * 60
                    + u16::from(civil.minute().unsigned_abs()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applies(window: &str, now: &str, zone: &str) -> bool {
        let zone = TimeZone::get(zone).unwrap();
        let window = Window::parse(window).unwrap_or_else(|error| panic!("{window}: {error}"));
        Moment::new(now.parse().unwrap(), &zone).is_in(&window)
    }

    #[test]
    fn a_window_applies_on_its_days_from_its_first_minute_to_before_its_last() {
        // 2026-03-02 is a Monday.
        for (window, now, expected) in [
            ("mon-fri 08:00-18:00", "2026-03-02T07:59:59Z", false),
            ("mon-fri 08:00-18:00", "2026-03-02T08:00:00Z", true),
            ("mon-fri 08:00-18:00", "2026-03-06T17:59:59Z", true),
            ("mon-fri 08:00-18:00", "2026-03-02T18:00:00Z", false),
            ("mon-fri 08:00-18:00", "2026-03-07T12:00:00Z", false),
            ("sat,sun", "2026-03-07T23:59:59Z", true),
            ("sat,sun", "2026-03-09T00:00:00Z", false),
            ("fri-mon", "2026-03-02T00:00:00Z", true),
            ("fri-mon", "2026-03-03T00:00:00Z", false),
            ("mon,wed-thu", "2026-03-05T00:00:00Z", true),
            ("08:00-24:00", "2026-03-05T23:59:59Z", true),
            ("fri 22:00-06:00", "2026-03-06T23:00:00Z", true),
            ("fri 22:00-06:00", "2026-03-07T05:59:00Z", true),
            ("fri 22:00-06:00", "2026-03-07T06:00:00Z", false),
            ("fri 22:00-06:00", "2026-03-06T05:00:00Z", false),
            ("sun 22:00-06:00", "2026-03-02T01:00:00Z", true),
        ] {
            assert_eq!(applies(window, now, "UTC"), expected, "{window} at {now}");
        }
    }

    #[test]
    fn hours_are_those_of_the_time_zone_in_summer_and_winter() {
        let window = "mon-fri 08:00-18:00";
        assert!(!applies(window, "2026-01-05T06:59:00Z", "Europe/Berlin"));
        assert!(applies(window, "2026-01-05T07:00:00Z", "Europe/Berlin"));
        assert!(applies(window, "2026-07-06T06:00:00Z", "Europe/Berlin"));
        assert!(!applies(window, "2026-07-06T16:00:00Z", "Europe/Berlin"));
    }

    #[test]
    fn what_is_no_window_is_refused_with_the_reason() {
        for (text, wanted) in [
            ("", "`` is not a day"),
            ("someday", "`someday` is not a day"),
            ("Mon", "`Mon` is not a day"),
            ("mon-", "`` is not a day"),
            ("mon 8:00-18:00", "two times of day"),
            ("mon 08:00", "two times of day"),
            ("mon 08:00-25:00", "two times of day"),
            ("mon 08:60-09:00", "two times of day"),
            ("mon 24:00-01:00", "two times of day"),
            ("mon  08:00-18:00", "two times of day"),
            ("mon 08:00-08:00", "same minute"),
            ("mon +8:00-18:00", "two times of day"),
        ] {
            let message = Window::parse(text).unwrap_err().to_string();
            assert!(message.contains(wanted), "{text:?}: {message}");
        }
    }
}

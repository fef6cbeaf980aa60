//! When a job is due.

use std::str::FromStr as _;
use std::time::Duration;

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// When a job is due, again and again.
#[derive(Clone, Debug)]
pub(crate) enum Schedule {
    /// So long after each other, from when the link was made.
    Every(Duration),
    /// Whenever the clock of a time zone matches.
    Cron(Box<Cron>, TimeZone),
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Every(a), Self::Every(b)) => a == b,
            (Self::Cron(a, a_zone), Self::Cron(b, b_zone)) => {
                a.as_str() == b.as_str() && a_zone == b_zone
            }
            _ => false,
        }
    }
}

/// The shortest interval. A job that is due more often than a component can answer has no schedule.
const SHORTEST: Duration = Duration::from_millis(10);

/// The longest interval: a year. A job that is due less often has a cron line.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3_600);

/// An interval: `500ms`, `10s`, `1h 30m`.
pub(crate) fn interval(text: &str) -> Option<Duration> {
    let interval: SignedDuration = text.parse().ok()?;
    let interval = Duration::try_from(interval).ok()?;
    (SHORTEST..=LONGEST).contains(&interval).then_some(interval)
}

/// Why a text is no cron line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CronLineError {
    #[error(transparent)]
    Pattern(#[from] croner::errors::CronError),
    /// There is no such day.
    #[error("it never comes")]
    Never,
}

/// A cron line with five fields, or six, of which the first is the second.
pub(crate) fn cron(text: &str) -> Result<Cron, CronLineError> {
    let cron = Cron::from_str(text)?;
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    match cron.find_next_occurrence(&now, false) {
        Ok(_) => Ok(cron),
        Err(_) => Err(CronLineError::Never),
    }
}

impl Schedule {
    /// The moment that a time is for, in milliseconds since 1970: the same on all hosts, whose links were made at
    /// different times. Of an interval it is the beginning, counted from 1970.
    pub(crate) fn moment(&self, due: Timestamp) -> u64 {
        let millis = u64::try_from(due.as_millisecond()).unwrap_or(0);
        match self {
            Self::Every(interval) => {
                let interval = u64::try_from(interval.as_millis())
                    .unwrap_or(u64::MAX)
                    .max(1);
                millis - millis % interval
            }
            Self::Cron(..) => millis,
        }
    }

    /// When a job is due that was due at `last`, or whose link was made then. `None` if that is never.
    ///
    /// Times that have passed meanwhile, as the machine slept or the clock was set, are left out.
    pub(crate) fn next(&self, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(interval) => {
                let passed = Duration::try_from(now.duration_since(last)).unwrap_or_default();
                // In milliseconds both fit: an interval has at least ten, and a year at most.
                let steps = passed.as_millis().div_ceil(interval.as_millis()).max(1);
                let steps = i32::try_from(steps).ok()?;
                let interval = SignedDuration::try_from(*interval).ok()?;
                let due = last.checked_add(interval.checked_mul(steps)?).ok()?;
                // A clock that was set back would have it wait for long.
                Some(due.min(now.checked_add(interval).ok()?))
            }
            Self::Cron(cron, zone) => {
                let now = now.max(last).to_zoned(zone.clone());
                let next = cron.find_next_occurrence(&now, false).ok()?;
                Some(next.timestamp())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn intervals_are_read_as_people_write_them() {
        for (text, millis) in [
            ("500ms", Some(500)),
            ("10s", Some(10_000)),
            ("5 minutes", Some(300_000)),
            ("1h 30m", Some(5_400_000)),
            ("1h30m", Some(5_400_000)),
            ("0s", None),
            ("1ms", None),
            ("-5s", None),
            ("9999999h", None),
            ("10", None),
            ("soon", None),
            ("", None),
        ] {
            let read = interval(text).map(|interval| interval.as_millis());
            assert_eq!(read, millis, "{text}");
        }
    }

    #[test]
    fn an_interval_follows_the_last_time_and_not_the_call() {
        let every = Schedule::Every(Duration::from_secs(10));
        let last = at("2026-01-01T00:00:00Z");
        let next = |now| every.next(last, at(now)).unwrap().to_string();
        assert_eq!(next("2026-01-01T00:00:03Z"), "2026-01-01T00:00:10Z");
        // The machine slept.
        assert_eq!(next("2026-01-01T01:00:00Z"), "2026-01-01T01:00:00Z");
        assert_eq!(next("2026-01-01T01:00:03Z"), "2026-01-01T01:00:10Z");
        // The clock was set back.
        assert_eq!(next("2025-01-01T00:00:00Z"), "2025-01-01T00:00:10Z");
    }

    #[test]
    fn a_time_is_for_one_moment_on_all_hosts() {
        let every = Schedule::Every(Duration::from_secs(10));
        let moment = |text| every.moment(at(text));
        let first = moment("2026-01-01T00:00:03Z");
        assert_eq!(first, moment("2026-01-01T00:00:09.9Z"));
        assert_eq!(first + 10_000, moment("2026-01-01T00:00:13Z"));
        let cron = Schedule::Cron(Box::new(cron("* * * * *").unwrap()), TimeZone::UTC);
        assert_eq!(cron.moment(at("1970-01-01T00:01:00Z")), 60_000);
    }

    #[test]
    fn cron_lines_follow_their_time_zone() {
        let daily = |zone: &str| {
            let zone = TimeZone::fixed(jiff::tz::offset(zone.parse().unwrap()));
            Schedule::Cron(Box::new(cron("30 9 * * *").unwrap()), zone)
        };
        let last = at("2026-03-01T09:30:00Z");
        let next = |zone| daily(zone).next(last, last).unwrap().to_string();
        assert_eq!(next("0"), "2026-03-02T09:30:00Z");
        assert_eq!(next("2"), "2026-03-02T07:30:00Z");
        assert_eq!(next("-5"), "2026-03-01T14:30:00Z");
    }

    #[test]
    fn seconds_may_be_said_and_missed_times_are_left_out() {
        let line = Schedule::Cron(Box::new(cron("*/5 * * * * *").unwrap()), TimeZone::UTC);
        let next = |last, now| line.next(at(last), at(now)).unwrap().to_string();
        let (last, later) = ("2026-01-01T00:00:05Z", "2026-01-01T00:01:07Z");
        assert_eq!(next(last, last), "2026-01-01T00:00:10Z");
        assert_eq!(next(last, later), "2026-01-01T00:01:10Z");
    }

    #[test]
    fn what_is_no_cron_line_is_refused() {
        for text in ["", "* * * *", "99 * * * *", "a b c d e", "0 0 30 2 *"] {
            cron(text).unwrap_err();
        }
    }
}

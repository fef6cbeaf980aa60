//! Days and times: between the interface's records, the text that databases write, and the numbers that PostgreSQL counts.
//!
//! PostgreSQL counts days and microseconds from the beginning of 2000, in the Gregorian calendar for all times. The
//! crates for time have smaller ranges than it, so the two formulas for that calendar are here.

use crate::invalid::ValueError;
use crate::wit::wasmcloud::postgres::types::{Date, Offset, Time, Timestamp, TimestampTz};

const MICROS_A_SECOND: i64 = 1_000_000;
const MICROS_A_DAY: i64 = 86_400 * MICROS_A_SECOND;
/// Days from the first of March of the year 0 to the first of January of 2000.
const MARCH_0_TO_2000: i64 = 730_425;
/// Years that a date may have.
const YEARS: std::ops::RangeInclusive<i32> = -4713..=5_874_897;
/// The last year that a time with a date may have.
const LAST_YEAR_OF_TIMES: i32 = 294_276;

/// Days since the beginning of 2000.
fn days(year: i32, month: u32, day: u32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let month = i64::from((month + 9) % 12);
    let day_of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - MARCH_0_TO_2000
}

/// Year, month and day of a number of days since the beginning of 2000.
fn civil(days: i64) -> (i64, u32, u32) {
    let days = days + MARCH_0_TO_2000;
    let era = days.div_euclid(146_097);
    let day = days.rem_euclid(146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, after) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    // Both are small: a month and its day.
    (year + era * 400 + after, month as u32, day as u32)
}

fn is_day(year: i32, month: u32, day: u32) -> bool {
    let days_of_month = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days_of_month).contains(&day)
}

/// The day that is so many days after the beginning of 2000, as PostgreSQL counts.
pub(crate) fn date(days: i32) -> Date {
    match days {
        i32::MAX => Date::PositiveInfinity,
        i32::MIN => Date::NegativeInfinity,
        days => day_of(days.into()),
    }
}

fn day_of(days: i64) -> Date {
    let (year, month, day) = civil(days);
    // PostgreSQL's counts have no years beyond it.
    let year = i32::try_from(year).unwrap_or(if year > 0 { i32::MAX } else { i32::MIN });
    Date::Ymd((year, month, day))
}

/// The time that is so many microseconds after midnight.
pub(crate) fn time(micros: i64) -> Time {
    let seconds = micros.div_euclid(MICROS_A_SECOND);
    // A day's parts, which are small.
    Time {
        hour: (seconds / 3600) as u32,
        min: (seconds / 60 % 60) as u32,
        sec: (seconds % 60) as u32,
        micro: micros.rem_euclid(MICROS_A_SECOND) as u32,
    }
}

/// The moment that is so many microseconds after the beginning of 2000.
pub(crate) fn timestamp(micros: i64) -> Timestamp {
    let (date, micros) = match micros {
        i64::MAX => (Date::PositiveInfinity, 0),
        i64::MIN => (Date::NegativeInfinity, 0),
        micros => (
            day_of(micros.div_euclid(MICROS_A_DAY)),
            micros.rem_euclid(MICROS_A_DAY),
        ),
    };
    Timestamp {
        date,
        time: time(micros),
    }
}

/// A moment of UTC.
pub(crate) fn utc(micros: i64) -> TimestampTz {
    TimestampTz {
        timestamp: timestamp(micros),
        offset: Offset::EasternHemisphereSecs(0),
    }
}

/// A day as text: `2024-02-29`, and `0044-03-15 BC`.
pub(crate) fn date_text(date: &Date) -> Result<String, ValueError> {
    let (text, era) = day_text(date, *YEARS.end())?;
    Ok(format!("{text}{era}"))
}

/// A day as text, and what comes behind the time.
fn day_text(date: &Date, last: i32) -> Result<(String, &'static str), ValueError> {
    let (year, month, day) = match *date {
        Date::PositiveInfinity => return Ok(("infinity".into(), "")),
        Date::NegativeInfinity => return Ok(("-infinity".into(), "")),
        Date::Ymd(ymd) => ymd,
    };
    if !(*YEARS.start()..=last).contains(&year) || !is_day(year, month, day) {
        return Err(ValueError::Date { year, month, day });
    }
    let (year, era) = match year {
        ..=0 => (1 - year, " BC"),
        _ => (year, ""),
    };
    Ok((format!("{year:04}-{month:02}-{day:02}"), era))
}

/// A time as text: `13:05:00.25`.
pub(crate) fn time_text(time: &Time) -> Result<String, ValueError> {
    let Time {
        hour,
        min,
        sec,
        micro,
    } = *time;
    let midnight = (hour, min, sec, micro) == (24, 0, 0, 0);
    if !midnight && (hour > 23 || min > 59 || sec > 59 || micro > 999_999) {
        return Err(ValueError::Time {
            hour,
            min,
            sec,
            micro,
        });
    }
    let mut text = format!("{hour:02}:{min:02}:{sec:02}");
    if micro > 0 {
        text += format!(".{micro:06}").trim_end_matches('0');
    }
    Ok(text)
}

/// A moment as text: `2024-02-29 13:05:00`.
pub(crate) fn timestamp_text(timestamp: &Timestamp) -> Result<String, ValueError> {
    let (day, era) = day_text(&timestamp.date, LAST_YEAR_OF_TIMES)?;
    match timestamp.date {
        Date::Ymd(_) => Ok(format!("{day} {}{era}", time_text(&timestamp.time)?)),
        _ => Ok(day),
    }
}

/// A moment as text in UTC: `2024-02-29 13:05:00+00:00`.
pub(crate) fn utc_text(moment: &TimestampTz) -> Result<String, ValueError> {
    let Date::Ymd((year, month, day)) = moment.timestamp.date else {
        return timestamp_text(&moment.timestamp);
    };
    let ahead = match moment.offset {
        Offset::EasternHemisphereSecs(ahead) => i64::from(ahead),
        Offset::WesternHemisphereSecs(behind) => -i64::from(behind),
    };
    if ahead.abs() >= 86_400 {
        return Err(ValueError::Offset(ahead));
    }
    // Checks the parts.
    timestamp_text(&moment.timestamp)?;
    let Time {
        hour,
        min,
        sec,
        micro,
    } = moment.timestamp.time;
    let seconds = i64::from(hour * 3600 + min * 60 + sec) - ahead;
    // Years that were checked are far from overflowing.
    let micros =
        days(year, month, day) * MICROS_A_DAY + seconds * MICROS_A_SECOND + i64::from(micro);
    let (day, era) = day_text(&day_of(micros.div_euclid(MICROS_A_DAY)), LAST_YEAR_OF_TIMES)?;
    let time = time_text(&time(micros.rem_euclid(MICROS_A_DAY)))?;
    Ok(format!("{day} {time}+00:00{era}"))
}

/// The seconds of an offset as text: `+02:00`.
pub(crate) fn offset_text(ahead: i32) -> String {
    let sign = if ahead < 0 { '-' } else { '+' };
    let seconds = ahead.unsigned_abs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match seconds {
        0 => format!("{sign}{hours:02}:{minutes:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// Reads what [`date_text`] writes.
pub(crate) fn parse_date(text: &str) -> Option<Date> {
    match text {
        "infinity" => return Some(Date::PositiveInfinity),
        "-infinity" => return Some(Date::NegativeInfinity),
        _ => {}
    }
    let (text, before_christ) = match text.strip_suffix(" BC") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let mut parts = text.splitn(3, '-');
    let mut number = |least: usize| {
        let part = parts.next()?;
        (part.len() >= least && part.bytes().all(|b| b.is_ascii_digit())).then_some(part)
    };
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    let (year, month, day) = (
        year.parse::<i32>().ok()?,
        month.parse().ok()?,
        day.parse().ok()?,
    );
    let year = if before_christ { 1 - year } else { year };
    is_day(year, month, day).then_some(Date::Ymd((year, month, day)))
}

/// Reads what [`time_text`] writes, and times without seconds.
pub(crate) fn parse_time(text: &str) -> Option<Time> {
    let mut parts = text.splitn(3, ':');
    let number = |part: &str| {
        let is_one = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        is_one.then(|| part.parse::<u32>().ok())?
    };
    let (hour, min) = (number(parts.next()?)?, number(parts.next()?)?);
    let (sec, fraction) = match parts.next() {
        Some(rest) => rest.split_once('.').unwrap_or((rest, "0")),
        None => ("00", "0"),
    };
    if fraction.is_empty() || fraction.len() > 6 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let time = Time {
        hour,
        min,
        sec: number(sec)?,
        micro: format!("{fraction:0<6}").parse().ok()?,
    };
    time_text(&time).ok().map(|_| time)
}

/// Reads what [`timestamp_text`] writes, with a `T` for the space too.
pub(crate) fn parse_timestamp(text: &str) -> Option<Timestamp> {
    if text.ends_with("infinity") {
        let time = time(0);
        return parse_date(text).map(|date| Timestamp { date, time });
    }
    let (text, era) = match text.strip_suffix(" BC") {
        Some(text) => (text, " BC"),
        None => (text, ""),
    };
    let (day, time) = text.split_once([' ', 'T'])?;
    Some(Timestamp {
        date: parse_date(&format!("{day}{era}"))?,
        time: parse_time(time)?,
    })
}

/// Reads what [`utc_text`] writes, with a `Z` for the offset too.
pub(crate) fn parse_utc(text: &str) -> Option<TimestampTz> {
    let (text, era) = match text.strip_suffix(" BC") {
        Some(text) => (text, " BC"),
        None => (text, ""),
    };
    let local = match text.ends_with("infinity") {
        true => text,
        false => ["+00:00", "+00", "Z"]
            .iter()
            .find_map(|utc| text.strip_suffix(utc))?,
    };
    Some(TimestampTz {
        timestamp: parse_timestamp(&format!("{local}{era}"))?,
        offset: Offset::EasternHemisphereSecs(0),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hour: u32, min: u32, sec: u32, micro: u32) -> Time {
        Time {
            hour,
            min,
            sec,
            micro,
        }
    }

    #[test]
    fn days_are_counted_as_postgresql_does() {
        for (count, ymd) in [
            (0, (2000, 1, 1)),
            (-1, (1999, 12, 31)),
            (59, (2000, 2, 29)),
            (8825, (2024, 2, 29)),
            (-730_119, (1, 1, 1)),
            (-730_120, (0, 12, 31)),
            (-2_451_507, (-4712, 1, 1)),
            (2_145_031_948, (5_874_897, 12, 31)),
        ] {
            assert_eq!(date(count), Date::Ymd(ymd), "{count}");
            assert_eq!(days(ymd.0, ymd.1, ymd.2), i64::from(count), "{ymd:?}");
        }
    }

    #[test]
    fn what_is_no_day_or_time_is_refused() {
        for ymd in [
            (2023, 2, 29),
            (1900, 2, 29),
            (2000, 0, 1),
            (2000, 13, 1),
            (2000, 4, 31),
            (2000, 1, 0),
            (i32::MIN, 1, 1),
            (6_000_000, 1, 1),
        ] {
            assert!(date_text(&Date::Ymd(ymd)).is_err(), "{ymd:?}");
        }
        for time in [
            at(24, 0, 0, 1),
            at(23, 60, 0, 0),
            at(0, 0, 60, 0),
            at(0, 0, 0, 1_000_000),
        ] {
            assert!(time_text(&time).is_err(), "{time:?}");
        }
        let beyond = Offset::WesternHemisphereSecs(i32::MIN);
        let (date, time) = (Date::Ymd((2000, 1, 1)), at(0, 0, 0, 0));
        let timestamp = Timestamp { date, time };
        assert!(
            utc_text(&TimestampTz {
                timestamp,
                offset: beyond
            })
            .is_err()
        );
    }

    #[test]
    fn offsets_are_taken_away() {
        for (offset, text) in [
            (
                Offset::EasternHemisphereSecs(7200),
                "2024-02-29 23:30:00.5+00:00",
            ),
            (
                Offset::WesternHemisphereSecs(4 * 3600),
                "2024-03-01 05:30:00.5+00:00",
            ),
            (
                Offset::EasternHemisphereSecs(0),
                "2024-03-01 01:30:00.5+00:00",
            ),
        ] {
            let timestamp = Timestamp {
                date: Date::Ymd((2024, 3, 1)),
                time: at(1, 30, 0, 500_000),
            };
            assert_eq!(
                utc_text(&TimestampTz { timestamp, offset }).as_deref(),
                Ok(text)
            );
        }
        assert_eq!(offset_text(7200), "+02:00");
        assert_eq!(offset_text(-12_345), "-03:25:45");
    }

    #[test]
    fn years_before_christ_are_said() {
        assert_eq!(
            date_text(&Date::Ymd((-43, 3, 15))).as_deref(),
            Ok("0044-03-15 BC")
        );
        assert_eq!(parse_date("0044-03-15 BC"), Some(Date::Ymd((-43, 3, 15))));
    }

    #[test]
    fn other_text_is_not_read() {
        for text in ["", "24-1-1", "2024-02-30", "2024-02", "now", "2024-01-01 "] {
            assert_eq!(parse_date(text), None, "{text}");
        }
        for text in [
            "",
            "1:00",
            "25:00:00",
            "10:00:00.",
            "10:00:00.1234567",
            "10:00:00x",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
        assert_eq!(parse_time("10:05"), Some(at(10, 5, 0, 0)));
        assert_eq!(parse_utc("2024-01-01 10:00:00"), None);
        assert!(parse_utc("2024-01-01T10:00:00Z").is_some());
    }

    proptest! {
        #[test]
        fn moments_come_back(micros in -211_000_000_000_000_000..9_000_000_000_000_000_000_i64) {
            let moment = timestamp(micros);
            prop_assert_eq!(parse_timestamp(&timestamp_text(&moment).unwrap()), Some(moment));
            prop_assert_eq!(parse_utc(&utc_text(&utc(micros)).unwrap()), Some(utc(micros)));
            prop_assert_eq!(parse_date(&date_text(&moment.date).unwrap()), Some(moment.date));
        }
    }
}

//! Moments as people read them.

/// Days from the 1st of March of the year 0 to the beginning of 1970.
const TO_1970: u64 = 719_468;
/// Days in 400 years, after which the calendar is the same again.
const IN_400_YEARS: u64 = 146_097;

/// A moment in milliseconds since 1970 as RFC 3339 has it, in UTC, to the second.
pub(crate) fn date(millis: u64) -> String {
    let seconds = millis / 1_000;
    // Years are counted from March, so that the day that only some have comes last.
    let days = seconds / 86_400 + TO_1970;
    let (era, day) = (days / IN_400_YEARS, days % IN_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = match month {
        0..=9 => (month + 3, 0),
        _ => (month - 9, 1),
    };
    let year = era * 400 + year + next;
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // By `date -u -d @SECONDS`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(date(seconds * 1_000), text);
        }
        // A forged one is a date, too.
        assert!(date(u64::MAX).ends_with('Z'));
    }
}

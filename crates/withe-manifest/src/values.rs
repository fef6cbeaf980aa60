//! Durations and sizes as people write them.

use std::time::Duration;

/// Why a text is not a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// The problem with it.
    pub(crate) why: String,
    /// The text to write instead.
    pub(crate) help: String,
}

impl Unreadable {
    pub(crate) fn new(why: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            help: help.into(),
        }
    }
}

/// A duration longer than zero: whole numbers with the units `h`, `m`, `s` and `ms`, largest
/// first, each at most once (`1m30s`).
pub(crate) fn duration(text: &str) -> Result<Duration, Unreadable> {
    const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    const HELP: &str = "write it like `500ms`, `2s`, `1m30s` or `5m`";
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) {
        return Err(Unreadable::new(
            "the unit is missing",
            format!("write `{text}s` for seconds or `{text}ms` for milliseconds"),
        ));
    }
    let malformed = |why: &str| Unreadable::new(why, HELP);
    let mut units = UNITS.iter();
    let mut milliseconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, unit, after) =
            number_and_unit(rest).ok_or_else(|| malformed("it is not a duration"))?;
        // Taking from one iterator makes units come in order, and each only once.
        let Some((_, factor)) = units.find(|(name, _)| *name == unit) else {
            return Err(malformed(if UNITS.iter().any(|(name, _)| *name == unit) {
                "larger units come first, and each only once"
            } else {
                "a unit is not one of `h`, `m`, `s` and `ms`"
            }));
        };
        milliseconds = number
            .checked_mul(*factor)
            .and_then(|part| milliseconds.checked_add(part))
            .ok_or_else(|| malformed("it is too long"))?;
        rest = after;
    }
    if milliseconds == 0 {
        return Err(malformed("it must be longer than nothing"));
    }
    Ok(Duration::from_millis(milliseconds))
}

/// A number of bytes above zero: a whole number, alone or with a unit (`64MiB`).
pub(crate) fn size(text: &str) -> Result<u64, Unreadable> {
    const UNITS: [(&str, u64); 9] = [
        ("", 1),
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
    ];
    let malformed = |why: &str| Unreadable::new(why, "write it like `64MiB`, `1GiB` or `1048576`");
    let (number, unit) = match number_and_unit(text) {
        Some((number, unit, "")) => (number, unit.trim_start()),
        _ => return Err(malformed("it is not a size")),
    };
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let full = UNITS[1..]
            .iter()
            .map(|(name, _)| *name)
            .find(|name| name.to_lowercase().starts_with(&unit.to_lowercase()) && *name != "B");
        return Err(match full {
            Some(name) => Unreadable::new(
                format!("`{unit}` is not a unit"),
                format!("did you mean `{number}{name}`?"),
            ),
            None => malformed(&format!("`{unit}` is not a unit")),
        });
    };
    match number.checked_mul(*factor) {
        Some(0) => Err(malformed("it must be more than nothing")),
        Some(bytes) => Ok(bytes),
        None => Err(malformed("it is too large")),
    }
}

/// Splits digits, the letters (and spaces) after them, and the rest. `None` if it does not begin
/// with digits, or if they are too many.
fn number_and_unit(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let letters = rest
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    Some((number.parse().ok()?, unit, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let good = [
            ("500ms", 500),
            ("2s", 2_000),
            ("1m30s", 90_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1h1m1s1ms", 3_661_001),
        ];
        for (text, milliseconds) in good {
            assert_eq!(
                duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        let bad = [
            ("30", "unit is missing"),
            ("", "longer than nothing"),
            ("0s", "longer than nothing"),
            ("s", "not a duration"),
            ("-1s", "not a duration"),
            ("1.5s", "not one of"),
            ("1 s", "not one of"),
            ("1d", "not one of"),
            ("30s1m", "larger units"),
            ("1s1s", "larger units"),
            ("99999999999999999h", "too long"),
            ("99999999999999999999s", "not a duration"),
            ("5é", "not one of"),
        ];
        for (text, why) in bad {
            let problem = duration(text).unwrap_err();
            assert!(problem.why.contains(why), "{text}: {}", problem.why);
        }
        assert!(duration("30").unwrap_err().help.contains("`30s`"));
    }

    #[test]
    fn sizes() {
        let good = [
            ("64MiB", 64 << 20),
            ("1GiB", 1 << 30),
            ("65536", 65_536),
            ("10 MB", 10_000_000),
            ("1B", 1),
        ];
        for (text, bytes) in good {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        let bad = [
            ("", "not a size"),
            ("0", "more than nothing"),
            ("-1", "not a size"),
            ("1.5GiB", "not a size"),
            ("64Mi", "`Mi` is not a unit"),
            ("64XB", "`XB` is not a unit"),
            ("99999999999TiB", "too large"),
        ];
        for (text, why) in bad {
            let problem = size(text).unwrap_err();
            assert!(problem.why.contains(why), "{text}: {}", problem.why);
        }
        assert_eq!(size("64Mi").unwrap_err().help, "did you mean `64MiB`?");
        assert_eq!(size("64M").unwrap_err().help, "did you mean `64MiB`?");
    }
}

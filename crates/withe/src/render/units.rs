//! Numbers for people.

use std::time::Duration;

/// `1 link`, `2 links`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// `817 bytes`, `12.3 KiB`, `1.5 MiB`.
pub(crate) fn bytes(number: usize) -> String {
    const KIB: f64 = 1024.0;
    // Exact up to 2^53 bytes, and shown to one decimal.
    let n = number as f64;
    if n < KIB {
        count(number, "byte", "bytes")
    } else if n < KIB * KIB {
        format!("{:.1} KiB", n / KIB)
    } else {
        format!("{:.1} MiB", n / KIB / KIB)
    }
}

/// `30 s`, `1.5 s`, `250 ms`: milliseconds below a second, else seconds.
pub(crate) fn duration(time: Duration) -> String {
    let ms = time.as_millis();
    if ms < 1000 {
        format!("{ms} ms")
    } else if ms.is_multiple_of(1000) {
        format!("{} s", ms / 1000)
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// A number in few characters: `0`, `0.4`, `12`, `3.4k`, `1.2M`.
pub(crate) fn short_number(number: f64) -> String {
    if number <= 0.0 {
        return "0".to_owned();
    }
    if number < 0.05 {
        return "<0.1".to_owned();
    }
    let (size, unit) = match number {
        n if n < 999.5 => (1.0, ""),
        n if n < 999_500.0 => (1e3, "k"),
        n if n < 999_500_000.0 => (1e6, "M"),
        _ => (1e9, "G"),
    };
    let scaled = number / size;
    match scaled < 9.95 {
        true => {
            let text = format!("{scaled:.1}");
            format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
        }
        false => format!("{scaled:.0}{unit}"),
    }
}

/// A duration in nanoseconds in few characters: `850 ns`, `12 µs`, `3.4 ms`, `2.5 s`.
pub(crate) fn nanos(nanos: u64) -> String {
    // Exact up to 2^53 nanoseconds, and shown to one decimal.
    let (size, unit) = match nanos {
        n if n < 1_000 => (1.0, "ns"),
        n if n < 999_500 => (1e3, "µs"),
        n if n < 999_500_000 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    let scaled = nanos as f64 / size;
    match scaled < 9.95 && size > 1.0 {
        true => format!("{scaled:.1} {unit}"),
        false => format!("{scaled:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_fit_the_number() {
        assert_eq!(bytes(1), "1 byte");
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(3 << 20), "3.0 MiB");
        assert_eq!(duration(Duration::from_millis(999)), "999 ms");
        assert_eq!(duration(Duration::from_secs(30)), "30 s");
        assert_eq!(duration(Duration::from_millis(1500)), "1.5 s");
        for (number, text) in [
            (0.0, "0"),
            (0.01, "<0.1"),
            (0.42, "0.4"),
            (3.0, "3"),
            (37.4, "37"),
            (999.7, "1k"),
            (12_345.0, "12k"),
            (4_200_000.0, "4.2M"),
        ] {
            assert_eq!(short_number(number), text);
        }
        for (number, text) in [
            (0, "0 ns"),
            (850, "850 ns"),
            (1_200, "1.2 µs"),
            (340_000, "340 µs"),
            (2_500_000, "2.5 ms"),
            (30_000_000_000, "30 s"),
        ] {
            assert_eq!(nanos(number), text);
        }
    }
}

//! Numbers as the interface has them: floating-point ones in parts, and those of any precision as decimal text.

use crate::invalid::ValueError;

/// A floating-point number's mantissa, exponent and sign.
pub(crate) type Parts = (u64, i16, i8);

/// The exponent of infinity, and of what is no number, with 64 bits.
const SPECIAL_64: i16 = 972;
/// The same with 32 bits.
const SPECIAL_32: i16 = 105;

/// The parts of a number.
pub(crate) fn parts_64(number: f64) -> Parts {
    let bits = number.to_bits();
    let sign = if bits >> 63 == 0 { 1 } else { -1 };
    let exponent = (bits >> 52 & 0x7ff) as i16;
    let fraction = bits & ((1 << 52) - 1);
    let mantissa = match exponent {
        0 => fraction << 1,
        _ => fraction | 1 << 52,
    };
    (mantissa, exponent - 1075, sign)
}

/// The parts of a number of 32 bits.
pub(crate) fn parts_32(number: f32) -> Parts {
    let bits = number.to_bits();
    let sign = if bits >> 31 == 0 { 1 } else { -1 };
    let exponent = (bits >> 23 & 0xff) as i16;
    let fraction = bits & ((1 << 23) - 1);
    let mantissa = match exponent {
        0 => fraction << 1,
        _ => fraction | 1 << 23,
    };
    (mantissa.into(), exponent - 150, sign)
}

/// The number that parts are of.
pub(crate) fn float_64((mantissa, exponent, sign): Parts) -> Result<f64, ValueError> {
    let sign = f64::from(check_sign(sign)?);
    if exponent == SPECIAL_64 && ((1 << 52) + 1..1 << 53).contains(&mantissa) {
        return Ok(f64::NAN);
    }
    // In two steps: the smallest numbers have exponents that are no numbers themselves.
    let half = i32::from(exponent) / 2;
    let rest = i32::from(exponent) - half;
    Ok(sign * (mantissa as f64 * 2_f64.powi(half) * 2_f64.powi(rest)))
}

/// The number of 32 bits that parts are of.
pub(crate) fn float_32(parts: Parts) -> Result<f32, ValueError> {
    let (mantissa, exponent, _) = parts;
    if exponent == SPECIAL_32 && ((1 << 23) + 1..1 << 24).contains(&mantissa) {
        check_sign(parts.2)?;
        return Ok(f32::NAN);
    }
    Ok(float_64(parts)? as f32)
}

fn check_sign(sign: i8) -> Result<i8, ValueError> {
    match sign {
        1 | -1 => Ok(sign),
        _ => Err(ValueError::Sign(sign)),
    }
}

/// Whether `text` is a decimal number, or one of the three that are none.
pub(crate) fn is_numeric(text: &str) -> bool {
    let text = text.trim();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if ["nan", "infinity", "inf"].contains(&unsigned.to_ascii_lowercase().as_str()) {
        return true;
    }
    let (number, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let exponent_is_one = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent_is_one
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_as_they_are_elsewhere() {
        assert_eq!(parts_64(1.0), (1 << 52, -52, 1));
        assert_eq!(parts_64(-0.5), (1 << 52, -53, -1));
        assert_eq!(parts_64(0.0), (0, -1075, 1));
        assert_eq!(parts_64(f64::INFINITY), (1 << 52, SPECIAL_64, 1));
        assert_eq!(parts_32(1.0), (1 << 23, -23, 1));
        assert_eq!(parts_32(f32::NEG_INFINITY), (1 << 23, SPECIAL_32, -1));
    }

    #[test]
    fn odd_parts_are_understood_or_refused() {
        assert_eq!(float_64((5, 0, 1)), Ok(5.0));
        assert_eq!(float_64((1, 2000, -1)), Ok(f64::NEG_INFINITY));
        assert_eq!(float_64((1, -2000, 1)), Ok(0.0));
        assert_eq!(float_64((u64::MAX, i16::MIN, 1)), Ok(0.0));
        assert_eq!(float_64((1, 0, 0)), Err(ValueError::Sign(0)));
        assert!(float_64(parts_64(f64::NAN)).is_ok_and(f64::is_nan));
        assert!(float_32(parts_32(f32::NAN)).is_ok_and(f32::is_nan));
        assert_eq!(float_32(parts_32(f32::INFINITY)), Ok(f32::INFINITY));
    }

    #[test]
    fn numbers_are_told_from_other_text() {
        for number in [
            "0",
            "-1.50",
            "+.5",
            "5.",
            "1e10",
            "1.5E-3",
            "NaN",
            "-Infinity",
        ] {
            assert!(is_numeric(number), "{number}");
        }
        for text in [
            "", "-", ".", "1e", "1e+", "0x10", "1_000", "1,5", "a", "1 2",
        ] {
            assert!(!is_numeric(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_number_comes_back(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(!number.is_nan());
            prop_assert_eq!(float_64(parts_64(number)).map(f64::to_bits), Ok(bits));
        }

        #[test]
        fn every_number_of_32_bits_comes_back(bits: u32) {
            let number = f32::from_bits(bits);
            prop_assume!(!number.is_nan());
            prop_assert_eq!(float_32(parts_32(number)).map(f32::to_bits), Ok(bits));
        }
    }
}

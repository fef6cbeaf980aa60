//! Values as the text that PostgreSQL writes and reads: `{1,2}` for an array, `(1,2)` for a point.

use std::fmt::Write as _;

use crate::calendar::{date_text, time_text, timestamp_text, utc_text};
use crate::invalid::ValueError;
use crate::number::{Parts, float_32, float_64, is_numeric};
use crate::wit::wasmcloud::postgres::types::{Interval, Lexeme, LexemeWeight, PgValue, TimeTz};

type Text = Result<String, ValueError>;

/// The text of a value; none for null.
pub(crate) fn literal(value: &PgValue) -> Result<Option<String>, ValueError> {
    use PgValue as V;
    let text = match value {
        V::Null => return Ok(None),
        V::BigInt(n) | V::Int8(n) | V::BigSerial(n) | V::Serial8(n) | V::TxidSnapshot(n) => {
            n.to_string()
        }
        V::Int8Array(list) => array(list, |n| Ok(n.to_string()))?,
        V::Bool(b) | V::Boolean(b) => boolean(*b),
        V::BoolArray(list) => array(list, |b| Ok(boolean(*b)))?,
        V::Double(parts) | V::Float8(parts) => double(*parts)?,
        V::Float8Array(list) => array(list, |parts| double(*parts))?,
        V::Real(parts) | V::Float4(parts) => real(*parts)?,
        V::Float4Array(list) => array(list, |parts| real(*parts))?,
        V::Integer(n) | V::Int(n) | V::Int4(n) => n.to_string(),
        V::Int4Array(list) => array(list, |n| Ok(n.to_string()))?,
        V::Numeric(text) | V::Decimal(text) | V::Money(text) => numeric(text)?,
        V::NumericArray(list) | V::MoneyArray(list) => array(list, |text| numeric(text))?,
        V::Serial(n) | V::Serial4(n) => n.to_string(),
        V::SmallInt(n) | V::Int2(n) | V::SmallSerial(n) | V::Serial2(n) => n.to_string(),
        V::Int2Array(list) => array(list, |n| Ok(n.to_string()))?,
        V::Int2Vector(list) => vector(list),
        V::Int2VectorArray(list) => array(list, |list| Ok(vector(list)))?,
        V::Bit((bits, bytes)) => bit_string(Some(*bits), bytes)?,
        V::BitArray(list) => array(list, |(bits, bytes)| bit_string(Some(*bits), bytes))?,
        V::BitVarying((bits, bytes)) | V::Varbit((bits, bytes)) => bit_string(*bits, bytes)?,
        V::VarbitArray(list) => array(list, |(bits, bytes)| bit_string(*bits, bytes))?,
        V::Bytea(bytes) => hex(bytes),
        V::ByteaArray(list) => array(list, |bytes| Ok(hex(bytes)))?,
        V::Char((most, bytes)) => characters(Some(*most), bytes)?,
        V::CharArray(list) => array(list, |(most, bytes)| characters(Some(*most), bytes))?,
        V::Varchar((most, bytes)) => characters(*most, bytes)?,
        V::VarcharArray(list) => array(list, |(most, bytes)| characters(*most, bytes))?,
        V::Macaddr(mac) => {
            let (a, b, c, d, e, f) = mac.bytes;
            octets(&[a, b, c, d, e, f])
        }
        V::MacaddrArray(list) => array(list, |mac| {
            let (a, b, c, d, e, f) = mac.bytes;
            Ok(octets(&[a, b, c, d, e, f]))
        })?,
        V::Macaddr8(mac) => {
            let (a, b, c, d, e, f, g, h) = mac.bytes;
            octets(&[a, b, c, d, e, f, g, h])
        }
        V::Macaddr8Array(list) => array(list, |mac| {
            let (a, b, c, d, e, f, g, h) = mac.bytes;
            Ok(octets(&[a, b, c, d, e, f, g, h]))
        })?,
        V::Box((low, high)) => points(&[*high, *low])?,
        // Boxes are the one type whose arrays have another separator.
        V::BoxArray(list) => separated(list, ';', |(low, high)| points(&[*high, *low]))?,
        V::Circle(circle) => circle_text(circle)?,
        V::CircleArray(list) => array(list, circle_text)?,
        V::Line((start, end)) | V::Lseg((start, end)) => format!("[{}]", points(&[*start, *end])?),
        V::LineArray(list) | V::LsegArray(list) => array(list, |(start, end)| {
            Ok(format!("[{}]", points(&[*start, *end])?))
        })?,
        V::Path(list) => path(list)?,
        V::PathArray(list) => array(list, |list| path(list))?,
        V::Point(at) => points(&[*at])?,
        V::PointArray(list) => array(list, |at| points(&[*at]))?,
        V::Polygon(list) => format!("({})", points(list)?),
        V::PolygonArray(list) => array(list, |list| Ok(format!("({})", points(list)?)))?,
        V::Date(date) => date_text(date)?,
        V::DateArray(list) => array(list, date_text)?,
        V::Interval(range) => interval(range)?,
        V::IntervalArray(list) => array(list, interval)?,
        V::Time(time) => time_text(time)?,
        V::TimeArray(list) => array(list, time_text)?,
        V::TimeTz(time) => time_tz(time)?,
        V::TimeTzArray(list) => array(list, time_tz)?,
        V::Timestamp(moment) => timestamp_text(moment)?,
        V::TimestampArray(list) => array(list, timestamp_text)?,
        V::TimestampTz(moment) => utc_text(moment)?,
        V::TimestampTzArray(list) => array(list, utc_text)?,
        V::PgLsn(at) => lsn(*at),
        V::PgLsnArray(list) => array(list, |at| Ok(lsn(*at)))?,
        V::PgSnapshot((xmin, xmax, list)) => {
            let list: Vec<_> = list.iter().map(i64::to_string).collect();
            format!("{xmin}:{xmax}:{}", list.join(","))
        }
        V::Cidr(text)
        | V::Inet(text)
        | V::Json(text)
        | V::Jsonb(text)
        | V::Name(text)
        | V::Text(text)
        | V::Xml(text)
        | V::TsQuery(text)
        | V::Uuid(text) => plain(text)?,
        V::CidrArray(list)
        | V::InetArray(list)
        | V::JsonArray(list)
        | V::JsonbArray(list)
        | V::NameArray(list)
        | V::TextArray(list)
        | V::XmlArray(list)
        | V::UuidArray(list) => array(list, |text| plain(text))?,
        V::TsVector(list) => {
            let list: Result<Vec<_>, _> = list.iter().map(lexeme).collect();
            list?.join(" ")
        }
        V::Hstore(list) => {
            let list = list.iter().map(|(key, value)| {
                let value = match value {
                    Some(value) => quoted(&plain(value)?),
                    None => "NULL".into(),
                };
                Ok(format!("{}=>{value}", quoted(&plain(key)?)))
            });
            list.collect::<Result<Vec<_>, _>>()?.join(",")
        }
    };
    Ok(Some(text))
}

fn array<T>(list: &[T], element: impl Fn(&T) -> Text) -> Text {
    separated(list, ',', element)
}

fn separated<T>(list: &[T], separator: char, element: impl Fn(&T) -> Text) -> Text {
    let mut text = String::from("{");
    for (n, value) in list.iter().enumerate() {
        if n > 0 {
            text.push(separator);
        }
        text += &quoted(&element(value)?);
    }
    text.push('}');
    Ok(text)
}

/// `"a \"b\""`
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

fn boolean(value: bool) -> String {
    if value { "t" } else { "f" }.into()
}

fn plain(text: &str) -> Text {
    match text.contains('\0') {
        false => Ok(text.to_owned()),
        true => Err(ValueError::Zero),
    }
}

fn numeric(text: &str) -> Text {
    match is_numeric(text) {
        true => Ok(text.trim().to_owned()),
        false => Err(ValueError::Numeric(text.to_owned())),
    }
}

fn double(parts: Parts) -> Text {
    let number = float_64(parts)?;
    Ok(match number.abs() {
        // No name of a number has hundreds of digits.
        size if size.is_finite() && size != 0.0 && !(1e-5..1e17).contains(&size) => {
            format!("{number:e}")
        }
        size if size.is_infinite() => infinity(number > 0.0),
        _ => number.to_string(),
    })
}

fn real(parts: Parts) -> Text {
    let number = float_32(parts)?;
    Ok(match number.abs() {
        size if size.is_finite() && size != 0.0 && !(1e-5..1e8).contains(&size) => {
            format!("{number:e}")
        }
        size if size.is_infinite() => infinity(number > 0.0),
        _ => number.to_string(),
    })
}

fn infinity(positive: bool) -> String {
    if positive { "Infinity" } else { "-Infinity" }.into()
}

fn vector(list: &[i16]) -> String {
    let list: Vec<_> = list.iter().map(i16::to_string).collect();
    list.join(" ")
}

fn bit_string(bits: Option<u32>, bytes: &[u8]) -> Text {
    let count = match bits {
        Some(bits) if (bits as usize).div_ceil(8) == bytes.len() => bits as usize,
        Some(bits) => {
            let bytes = bytes.len();
            return Err(ValueError::Bits { bits, bytes });
        }
        None => bytes.len() * 8,
    };
    let bit = |n: usize| bytes[n / 8] & (0x80 >> (n % 8)) != 0;
    Ok((0..count).map(|n| if bit(n) { '1' } else { '0' }).collect())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text += "\\x";
    for byte in bytes {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn octets(bytes: &[u8]) -> String {
    let list: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    list.join(":")
}

fn characters(most: Option<u32>, bytes: &[u8]) -> Text {
    let text = std::str::from_utf8(bytes).map_err(|_| ValueError::NotUtf8)?;
    let given = text.chars().count();
    match most {
        Some(most) if given > most as usize => Err(ValueError::TooLong { given, most }),
        _ => plain(text),
    }
}

/// `(1,2),(3,4)`
fn points(list: &[(Parts, Parts)]) -> Text {
    let list = list
        .iter()
        .map(|(x, y)| Ok(format!("({},{})", double(*x)?, double(*y)?)));
    Ok(list.collect::<Result<Vec<_>, _>>()?.join(","))
}

fn circle_text(((x, y), radius): &((Parts, Parts), Parts)) -> Text {
    Ok(format!("<{},{}>", points(&[(*x, *y)])?, double(*radius)?))
}

/// A path that ends where it began is closed.
fn path(list: &[(Parts, Parts)]) -> Text {
    match list {
        [first, between @ .., last] if first == last && !between.is_empty() => {
            Ok(format!("({})", points(&list[..list.len() - 1])?))
        }
        _ => Ok(format!("[{}]", points(list)?)),
    }
}

fn interval(range: &Interval) -> Text {
    let open = if range.start_inclusive { '[' } else { '(' };
    let close = if range.end_inclusive { ']' } else { ')' };
    let (start, end) = (date_text(&range.start)?, date_text(&range.end)?);
    Ok(format!("{open}{start},{end}{close}"))
}

fn time_tz(time: &TimeTz) -> Text {
    Ok(format!(
        "{}{}",
        time_text(&time.time)?,
        plain(&time.timesonze)?
    ))
}

fn lsn(at: u64) -> String {
    format!("{:X}/{:X}", at >> 32, at & 0xffff_ffff)
}

fn lexeme(lexeme: &Lexeme) -> Text {
    let word = plain(&lexeme.data)?
        .replace('\\', "\\\\")
        .replace('\'', "''");
    let weight = match lexeme.weight {
        Some(LexemeWeight::A) => "A",
        Some(LexemeWeight::B) => "B",
        Some(LexemeWeight::C) => "C",
        Some(LexemeWeight::D) | None => "",
    };
    Ok(match lexeme.position {
        Some(position) => format!("'{word}':{position}{weight}"),
        None => format!("'{word}'"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::parts_64;
    use crate::wit::wasmcloud::postgres::types::{Date, Time};

    fn at(x: f64, y: f64) -> (Parts, Parts) {
        (parts_64(x), parts_64(y))
    }

    #[test]
    fn values_are_written_as_postgresql_does() {
        let day = |day| Date::Ymd((2024, 2, day));
        for (value, text) in [
            (PgValue::Int8(-5), "-5"),
            (PgValue::Bool(true), "t"),
            (PgValue::Float8(parts_64(0.1)), "0.1"),
            (PgValue::Float8(parts_64(5.0)), "5"),
            (PgValue::Float8(parts_64(1e300)), "1e300"),
            (PgValue::Float8(parts_64(-0.0)), "-0"),
            (PgValue::Float8(parts_64(f64::NEG_INFINITY)), "-Infinity"),
            (PgValue::Float8(parts_64(f64::NAN)), "NaN"),
            (PgValue::Numeric(" 12.50 ".into()), "12.50"),
            (PgValue::Int2Vector(vec![1, -2]), "1 -2"),
            (
                PgValue::Int2VectorArray(vec![vec![1, 2], vec![]]),
                r#"{"1 2",""}"#,
            ),
            (PgValue::Bit((3, vec![0b1010_0000])), "101"),
            (PgValue::Varbit((None, vec![0x0f])), "00001111"),
            (PgValue::Bytea(vec![0, 255]), r"\x00ff"),
            (PgValue::ByteaArray(vec![vec![1]]), r#"{"\\x01"}"#),
            (
                PgValue::TextArray(vec![r#"a"b\c"#.into(), "NULL".into()]),
                r#"{"a\"b\\c","NULL"}"#,
            ),
            (PgValue::Box((at(0.0, 0.5), at(1.0, 2.0))), "(1,2),(0,0.5)"),
            (
                PgValue::BoxArray(vec![(at(0.0, 0.0), at(1.0, 1.0))]),
                r#"{"(1,1),(0,0)"}"#,
            ),
            (PgValue::Circle((at(1.0, 2.0), parts_64(3.0))), "<(1,2),3>"),
            (
                PgValue::Path(vec![at(0.0, 0.0), at(1.0, 1.0)]),
                "[(0,0),(1,1)]",
            ),
            (
                PgValue::Path(vec![at(0.0, 0.0), at(1.0, 1.0), at(0.0, 0.0)]),
                "((0,0),(1,1))",
            ),
            (
                PgValue::Interval(Interval {
                    start: day(1),
                    start_inclusive: true,
                    end: day(29),
                    end_inclusive: false,
                }),
                "[2024-02-01,2024-02-29)",
            ),
            (
                PgValue::TimeTz(TimeTz {
                    timesonze: "+02".into(),
                    time: Time {
                        hour: 1,
                        min: 2,
                        sec: 3,
                        micro: 40,
                    },
                }),
                "01:02:03.00004+02",
            ),
            (PgValue::PgLsn(0x16_B374_D848), "16/B374D848"),
            (PgValue::PgSnapshot((10, 20, vec![10, 14])), "10:20:10,14"),
            (
                PgValue::TsVector(vec![
                    Lexeme {
                        position: Some(1),
                        weight: Some(LexemeWeight::A),
                        data: "it's".into(),
                    },
                    Lexeme {
                        position: None,
                        weight: None,
                        data: "b".into(),
                    },
                ]),
                "'it''s':1A 'b'",
            ),
            (
                PgValue::Hstore(vec![("a\"".into(), Some("1".into())), ("b".into(), None)]),
                r#""a\""=>"1","b"=>NULL"#,
            ),
        ] {
            assert_eq!(
                literal(&value).as_ref().map(Option::as_deref),
                Ok(Some(text)),
                "{value:?}"
            );
        }
        assert_eq!(literal(&PgValue::Null), Ok(None));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for value in [
            PgValue::Text("a\0".into()),
            PgValue::Numeric("1; DROP TABLE t".into()),
            PgValue::Bit((9, vec![0])),
            PgValue::Bit((8, vec![0, 0])),
            PgValue::Char((1, b"ab".to_vec())),
            PgValue::Varchar((None, vec![0xff])),
            PgValue::Real((1, 0, 0)),
            PgValue::Date(Date::Ymd((2024, 2, 30))),
        ] {
            assert!(literal(&value).is_err(), "{value:?}");
        }
        // Letters and marks are counted, not bytes.
        assert_eq!(
            literal(&PgValue::Char((2, "äö".into()))),
            Ok(Some("äö".into()))
        );
    }
}

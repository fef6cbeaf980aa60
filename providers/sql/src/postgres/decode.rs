//! PostgreSQL's binary forms, as values of the interface.
//!
//! The forms are those that the server's functions for sending types write. The reader of each type is known before a
//! statement runs ([`reader`]), so that a statement whose rows could not be returned is refused, and not run for
//! nothing. Bytes come from a server that is not trusted to be one: reading never panics, and never allocates by a
//! count before the bytes are there.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use tokio_postgres::types::{Kind, Type};

use crate::calendar::{date, offset_text, time, timestamp, utc};
use crate::number::{Parts, parts_32, parts_64};
use crate::wit::wasmcloud::postgres::types::{
    Date, Interval, Lexeme, LexemeWeight, MacAddressEui48, MacAddressEui64, PgValue, TimeTz,
};

/// Why bytes are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DecodeError {
    #[error("it is not what the server writes for its type")]
    Malformed,
    #[error("its text is not UTF-8")]
    NotUtf8,
    #[error(
        "it is an array with a NULL, for which there is no value; replace it (`COALESCE`, `array_remove`), or cast the array to text"
    )]
    NullInArray,
    #[error("it is an array of arrays, for which there is no value; cast it to text")]
    Dimensions,
    #[error(
        "it is a range that is empty or has no bounds, for which there is no value; cast it to text"
    )]
    Range,
}

/// The facts that reading needs besides the bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Digits of an amount of money behind its point.
    pub(super) money_digits: u32,
}

type Result<T> = std::result::Result<T, DecodeError>;

/// Reads a value of one type.
pub(super) type Reader = fn(&[u8], Reading) -> Result<PgValue>;

/// Lists the types: what reads one of it, and which values it and an array of it are.
macro_rules! readers {
    ($($ty:ident, $array:ident: $one:ident, $many:ident = $read:expr;)*) => {
        fn of_builtin(ty: &Type) -> Option<Reader> {
            match *ty {
                $(
                    Type::$ty => Some(|bytes, reading| {
                        let read: fn(&mut Bytes<'_>, Reading) -> Result<_> = $read;
                        whole(bytes, |bytes| read(bytes, reading)).map(PgValue::$one)
                    }),
                    Type::$array => Some(|bytes, reading| {
                        let read: fn(&mut Bytes<'_>, Reading) -> Result<_> = $read;
                        array(bytes, |bytes| read(bytes, reading)).map(PgValue::$many)
                    }),
                )*
                _ => None,
            }
        }
    };
}

readers! {
    BOOL, BOOL_ARRAY: Bool, BoolArray = |b, _| Ok(b.u8()? != 0);
    INT2, INT2_ARRAY: Int2, Int2Array = |b, _| b.i16();
    INT4, INT4_ARRAY: Int4, Int4Array = |b, _| b.i32();
    INT8, INT8_ARRAY: Int8, Int8Array = |b, _| b.i64();
    OID, OID_ARRAY: Int8, Int8Array = |b, _| b.u32().map(i64::from);
    XID, XID_ARRAY: Int8, Int8Array = |b, _| b.u32().map(i64::from);
    FLOAT4, FLOAT4_ARRAY: Float4, Float4Array = |b, _| Ok(parts_32(f32::from_bits(b.u32()?)));
    FLOAT8, FLOAT8_ARRAY: Float8, Float8Array = |b, _| b.double();
    NUMERIC, NUMERIC_ARRAY: Numeric, NumericArray = |b, _| numeric(b);
    MONEY, MONEY_ARRAY: Money, MoneyArray = |b, reading| Ok(money(b.i64()?, reading.money_digits));
    INT2_VECTOR, INT2_VECTOR_ARRAY: Int2Vector, Int2VectorArray = |b, _| array(b.rest(), |b| b.i16());
    BIT, BIT_ARRAY: Bit, BitArray = |b, _| bits(b);
    VARBIT, VARBIT_ARRAY: Varbit, VarbitArray = |b, _| bits(b).map(|(n, bytes)| (Some(n), bytes));
    BYTEA, BYTEA_ARRAY: Bytea, ByteaArray = |b, _| Ok(b.rest().to_vec());
    CHAR, CHAR_ARRAY: Char, CharArray = |b, _| Ok((1, b.rest().to_vec()));
    BPCHAR, BPCHAR_ARRAY: Char, CharArray = |b, _| {
        let text = b.text()?;
        let count = u32::try_from(text.chars().count()).map_err(|_| DecodeError::Malformed)?;
        Ok((count, text.into_bytes()))
    };
    VARCHAR, VARCHAR_ARRAY: Varchar, VarcharArray = |b, _| Ok((None, b.text()?.into_bytes()));
    TEXT, TEXT_ARRAY: Text, TextArray = |b, _| b.text();
    NAME, NAME_ARRAY: Name, NameArray = |b, _| b.text();
    XML, XML_ARRAY: Xml, XmlArray = |b, _| b.text();
    JSON, JSON_ARRAY: Json, JsonArray = |b, _| b.text();
    JSONB, JSONB_ARRAY: Jsonb, JsonbArray = |b, _| match b.u8()? {
        1 => b.text(),
        _ => Err(DecodeError::Malformed),
    };
    UUID, UUID_ARRAY: Uuid, UuidArray = |b, _| Ok(uuid(b.array()?));
    CIDR, CIDR_ARRAY: Cidr, CidrArray = |b, _| network(b, true);
    INET, INET_ARRAY: Inet, InetArray = |b, _| network(b, false);
    MACADDR, MACADDR_ARRAY: Macaddr, MacaddrArray = |b, _| {
        let [x, y, z, u, v, w] = b.array()?;
        Ok(MacAddressEui48 { bytes: (x, y, z, u, v, w) })
    };
    MACADDR8, MACADDR8_ARRAY: Macaddr8, Macaddr8Array = |b, _| {
        let [x, y, z, u, v, w, s, t] = b.array()?;
        Ok(MacAddressEui64 { bytes: (x, y, z, u, v, w, s, t) })
    };
    POINT, POINT_ARRAY: Point, PointArray = |b, _| b.point();
    LSEG, LSEG_ARRAY: Lseg, LsegArray = |b, _| Ok((b.point()?, b.point()?));
    BOX, BOX_ARRAY: Box, BoxArray = |b, _| {
        let high = b.point()?;
        Ok((b.point()?, high))
    };
    LINE, LINE_ARRAY: Line, LineArray = |b, _| line(b);
    CIRCLE, CIRCLE_ARRAY: Circle, CircleArray = |b, _| Ok((b.point()?, b.double()?));
    PATH, PATH_ARRAY: Path, PathArray = |b, _| path(b);
    POLYGON, POLYGON_ARRAY: Polygon, PolygonArray = |b, _| points(b);
    DATE, DATE_ARRAY: Date, DateArray = |b, _| b.i32().map(date);
    DATE_RANGE, DATE_RANGE_ARRAY: Interval, IntervalArray = |b, _| date_range(b);
    INTERVAL, INTERVAL_ARRAY: Text, TextArray = |b, _| duration(b);
    TIME, TIME_ARRAY: Time, TimeArray = |b, _| b.i64().map(time);
    TIMETZ, TIMETZ_ARRAY: TimeTz, TimeTzArray = |b, _| {
        let time = time(b.i64()?);
        // The server counts to the west.
        let ahead = b.i32()?.checked_neg().ok_or(DecodeError::Malformed)?;
        Ok(TimeTz { timesonze: offset_text(ahead), time })
    };
    TIMESTAMP, TIMESTAMP_ARRAY: Timestamp, TimestampArray = |b, _| b.i64().map(timestamp);
    TIMESTAMPTZ, TIMESTAMPTZ_ARRAY: TimestampTz, TimestampTzArray = |b, _| b.i64().map(utc);
    PG_LSN, PG_LSN_ARRAY: PgLsn, PgLsnArray = |b, _| b.u64();
}

/// The reader of a type's values; none if the interface has no value for it.
pub(super) fn reader(ty: &Type) -> Option<Reader> {
    let found = of_builtin(ty).or(match *ty {
        Type::VOID => Some(|_, _| Ok(PgValue::Null)),
        Type::UNKNOWN | Type::CSTRING => Some(text),
        Type::PG_SNAPSHOT | Type::TXID_SNAPSHOT => {
            Some(|bytes, _| whole(bytes, snapshot).map(PgValue::PgSnapshot))
        }
        Type::TS_VECTOR => Some(|bytes, _| whole(bytes, ts_vector).map(PgValue::TsVector)),
        Type::TSQUERY => Some(|bytes, _| whole(bytes, ts_query).map(PgValue::TsQuery)),
        _ => None,
    });
    let of_name = || -> Option<Reader> {
        match ty.name() {
            "citext" => Some(text),
            "hstore" => Some(|bytes, _| whole(bytes, hstore).map(PgValue::Hstore)),
            _ => None,
        }
    };
    found.or_else(|| match ty.kind() {
        Kind::Enum(_) => Some(text),
        Kind::Domain(base) => reader(base),
        Kind::Array(of) if matches!(of.kind(), Kind::Enum(_)) || of.name() == "citext" => {
            Some(|bytes, _| array(bytes, |b| b.text()).map(PgValue::TextArray))
        }
        Kind::Simple => of_name(),
        _ => None,
    })
}

fn text(bytes: &[u8], _: Reading) -> Result<PgValue> {
    whole(bytes, |b| b.text()).map(PgValue::Text)
}

/// Reads all of `bytes`.
fn whole<T>(bytes: &[u8], read: impl FnOnce(&mut Bytes<'_>) -> Result<T>) -> Result<T> {
    let mut bytes = Bytes(bytes);
    let value = read(&mut bytes)?;
    match bytes.0.is_empty() {
        true => Ok(value),
        false => Err(DecodeError::Malformed),
    }
}

/// Reads an array of one dimension.
fn array<T>(bytes: &[u8], read: impl Fn(&mut Bytes<'_>) -> Result<T>) -> Result<Vec<T>> {
    let mut bytes = Bytes(bytes);
    let dimensions = bytes.i32()?;
    // Whether there are NULLs, and the type of the elements.
    bytes.take(8)?;
    match dimensions {
        0 => return Ok(Vec::new()),
        1 => {}
        _ => return Err(DecodeError::Dimensions),
    }
    let count = bytes.i32()?;
    // Where it begins to count.
    bytes.i32()?;
    let mut list = Vec::new();
    for _ in 0..count {
        let element = bytes.sized()?.ok_or(DecodeError::NullInArray)?;
        list.push(whole(element, &read)?);
    }
    match bytes.0.is_empty() {
        true => Ok(list),
        false => Err(DecodeError::Malformed),
    }
}

/// Bytes that are read from their beginning.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(DecodeError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DecodeError::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    fn double(&mut self) -> Result<Parts> {
        Ok(parts_64(f64::from_bits(self.u64()?)))
    }

    fn point(&mut self) -> Result<(Parts, Parts)> {
        Ok((self.double()?, self.double()?))
    }

    fn text(&mut self) -> Result<String> {
        utf8(self.rest())
    }

    /// Bytes behind their count; none if that is -1.
    fn sized(&mut self) -> Result<Option<&'a [u8]>> {
        match self.i32()? {
            -1 => Ok(None),
            count => {
                let count = usize::try_from(count).map_err(|_| DecodeError::Malformed)?;
                self.take(count).map(Some)
            }
        }
    }

    /// Text that ends with a 0.
    fn terminated(&mut self) -> Result<String> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let text = self.take(end.ok_or(DecodeError::Malformed)?)?;
        self.take(1)?;
        utf8(text)
    }
}

fn utf8(bytes: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8)?;
    Ok(text.to_owned())
}

/// A number in groups of four digits.
fn numeric(bytes: &mut Bytes<'_>) -> Result<String> {
    let groups = bytes.u16()?;
    let weight = i32::from(bytes.i16()?);
    let sign = bytes.u16()?;
    let scale = usize::from(bytes.u16()?);
    let mut text = match sign {
        0x0000 => String::new(),
        0x4000 => String::from("-"),
        0xc000 => return Ok("NaN".into()),
        0xd000 => return Ok("Infinity".into()),
        0xf000 => return Ok("-Infinity".into()),
        _ => return Err(DecodeError::Malformed),
    };
    let groups: Vec<_> = (0..groups).map(|_| bytes.u16()).collect::<Result<_>>()?;
    // The group with this power of 10,000; zeros are left out at both ends.
    let group = |power: i32| {
        let at = usize::try_from(weight - power).ok();
        at.and_then(|at| groups.get(at)).copied().unwrap_or(0)
    };
    // Writing to a text does not fail.
    for power in (0..=weight.max(0)).rev() {
        let _ = match power == weight.max(0) {
            true => write!(text, "{}", group(power)),
            false => write!(text, "{:04}", group(power)),
        };
    }
    if scale > 0 {
        let mut fraction = String::new();
        let mut power = -1;
        while fraction.len() < scale {
            let _ = write!(fraction, "{:04}", group(power));
            power -= 1;
        }
        // Digits are of one byte each.
        fraction.truncate(scale);
        text.push('.');
        text += &fraction;
    }
    Ok(text)
}

fn money(amount: i64, digits: u32) -> String {
    let sign = if amount < 0 { "-" } else { "" };
    let amount = u128::from(amount.unsigned_abs());
    let unit = 10_u128.checked_pow(digits).unwrap_or(u128::MAX);
    match digits {
        0 => format!("{sign}{amount}"),
        _ => {
            let (whole, fraction, width) = (amount / unit, amount % unit, digits as usize);
            format!("{sign}{whole}.{fraction:0width$}")
        }
    }
}

fn bits(bytes: &mut Bytes<'_>) -> Result<(u32, Vec<u8>)> {
    let count = bytes.u32()?;
    let list = bytes.rest().to_vec();
    match list.len() == (count as usize).div_ceil(8) {
        true => Ok((count, list)),
        false => Err(DecodeError::Malformed),
    }
}

fn uuid(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (n, byte) in bytes.iter().enumerate() {
        if matches!(n, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// An address, with the bits of its network where they are not all.
fn network(bytes: &mut Bytes<'_>, always: bool) -> Result<String> {
    const IPV4: u8 = 2;
    const IPV6: u8 = 3;
    let (family, bits) = (bytes.u8()?, bytes.u8()?);
    // Whether it is a network, which the type says too.
    bytes.u8()?;
    let count = bytes.u8()?;
    let address = bytes.take(count.into())?;
    let (address, all) = match (family, address.len()) {
        (IPV4, 4) => (Ipv4Addr::from(Bytes(address).array::<4>()?).to_string(), 32),
        (IPV6, 16) => (
            Ipv6Addr::from(Bytes(address).array::<16>()?).to_string(),
            128,
        ),
        _ => return Err(DecodeError::Malformed),
    };
    Ok(match always || bits != all {
        true => format!("{address}/{bits}"),
        false => address,
    })
}

/// Two points of a line, which the server has as the numbers of `ax + by + c = 0`.
fn line(bytes: &mut Bytes<'_>) -> Result<((Parts, Parts), (Parts, Parts))> {
    let mut number = || Ok(f64::from_bits(bytes.u64()?));
    let (a, b, c) = (number()?, number()?, number()?);
    let point = |x: f64, y: f64| (parts_64(x + 0.0), parts_64(y + 0.0));
    Ok(match b == 0.0 {
        true => (point(-c / a, 0.0), point(-c / a, 1.0)),
        false => (point(0.0, -c / b), point(1.0, -(a + c) / b)),
    })
}

fn points(bytes: &mut Bytes<'_>) -> Result<Vec<(Parts, Parts)>> {
    let count = bytes.i32()?;
    (0..count).map(|_| bytes.point()).collect()
}

/// The points of a path; a closed one ends where it began.
fn path(bytes: &mut Bytes<'_>) -> Result<Vec<(Parts, Parts)>> {
    let closed = bytes.u8()? != 0;
    let mut list = points(bytes)?;
    if closed {
        list.extend(list.first().copied());
    }
    Ok(list)
}

fn date_range(bytes: &mut Bytes<'_>) -> Result<Interval> {
    const EMPTY: u8 = 0x01;
    const START_INCLUSIVE: u8 = 0x02;
    const END_INCLUSIVE: u8 = 0x04;
    const NO_START: u8 = 0x08;
    const NO_END: u8 = 0x10;
    let flags = bytes.u8()?;
    if flags & EMPTY != 0 {
        return Err(DecodeError::Range);
    }
    let mut bound = |none: u8, without: Date| match flags & none {
        0 => {
            let bytes = bytes.sized()?.ok_or(DecodeError::Malformed)?;
            whole(bytes, |b| b.i32()).map(date)
        }
        _ => Ok(without),
    };
    Ok(Interval {
        start: bound(NO_START, Date::NegativeInfinity)?,
        start_inclusive: flags & START_INCLUSIVE != 0,
        end: bound(NO_END, Date::PositiveInfinity)?,
        end_inclusive: flags & END_INCLUSIVE != 0,
    })
}

/// A length of time, in the form of ISO 8601: `P1Y2M3DT4H5M6.7S`.
fn duration(bytes: &mut Bytes<'_>) -> Result<String> {
    let (micros, days, months) = (bytes.i64()?, bytes.i32()?, bytes.i32()?);
    match (micros, days, months) {
        (i64::MAX, i32::MAX, i32::MAX) => return Ok("infinity".into()),
        (i64::MIN, i32::MIN, i32::MIN) => return Ok("-infinity".into()),
        _ => {}
    }
    let mut text = String::from("P");
    let mut part = |amount: i64, unit: &str| {
        if amount != 0 {
            // Writing to a text does not fail.
            let _ = write!(text, "{amount}{unit}");
        }
    };
    part((months / 12).into(), "Y");
    part((months % 12).into(), "M");
    part(days.into(), "D");
    if micros != 0 {
        text.push('T');
        let mut part = |amount: i64, unit: &str| {
            if amount != 0 {
                let _ = write!(text, "{amount}{unit}");
            }
        };
        part(micros / 3_600_000_000, "H");
        part(micros / 60_000_000 % 60, "M");
        let rest = micros % 60_000_000;
        if rest != 0 {
            let sign = if rest < 0 { "-" } else { "" };
            let rest = rest.unsigned_abs();
            let seconds = format!("{sign}{}.{:06}", rest / 1_000_000, rest % 1_000_000);
            text += seconds.trim_end_matches('0').trim_end_matches('.');
            text.push('S');
        }
    }
    if text == "P" {
        text += "T0S";
    }
    Ok(text)
}

fn snapshot(bytes: &mut Bytes<'_>) -> Result<(i64, i64, Vec<i64>)> {
    let count = bytes.i32()?;
    let (xmin, xmax) = (bytes.i64()?, bytes.i64()?);
    let list = (0..count).map(|_| bytes.i64()).collect::<Result<_>>()?;
    Ok((xmin, xmax, list))
}

/// Words of a document, each as often as it has places.
fn ts_vector(bytes: &mut Bytes<'_>) -> Result<Vec<Lexeme>> {
    let count = bytes.i32()?;
    let mut list = Vec::new();
    for _ in 0..count {
        let data = bytes.terminated()?;
        let places = bytes.u16()?;
        if places == 0 {
            list.push(Lexeme {
                position: None,
                weight: None,
                data: data.clone(),
            });
        }
        for _ in 0..places {
            let place = bytes.u16()?;
            let weight = match place >> 14 {
                3 => LexemeWeight::A,
                2 => LexemeWeight::B,
                1 => LexemeWeight::C,
                _ => LexemeWeight::D,
            };
            list.push(Lexeme {
                position: Some(place & 0x3fff),
                weight: Some(weight),
                data: data.clone(),
            });
        }
    }
    Ok(list)
}

/// A search for words. The server writes each operator before what it is for, the right side first, so that read from
/// the end it is what a machine with a stack does.
fn ts_query(bytes: &mut Bytes<'_>) -> Result<String> {
    enum Item {
        Word(String),
        Not,
        Between(String),
    }
    let count = bytes.i32()?;
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(match bytes.u8()? {
            1 => Item::Word(ts_word(bytes)?),
            2 => match bytes.u8()? {
                1 => Item::Not,
                2 => Item::Between("&".into()),
                3 => Item::Between("|".into()),
                4 => match bytes.u16()? {
                    1 => Item::Between("<->".into()),
                    distance => Item::Between(format!("<{distance}>")),
                },
                _ => return Err(DecodeError::Malformed),
            },
            _ => return Err(DecodeError::Malformed),
        });
    }
    let mut stack: Vec<String> = Vec::new();
    for item in items.into_iter().rev() {
        let mut pop = || stack.pop().ok_or(DecodeError::Malformed);
        let text = match item {
            Item::Word(word) => word,
            Item::Not => format!("!{}", pop()?),
            Item::Between(operator) => {
                let (right, left) = (pop()?, pop()?);
                format!("( {left} {operator} {right} )")
            }
        };
        stack.push(text);
    }
    match (stack.pop(), stack.is_empty()) {
        (None, _) => Ok(String::new()),
        (Some(text), true) => Ok(text),
        _ => Err(DecodeError::Malformed),
    }
}

/// A word that is searched for: `'cat':*AB`.
fn ts_word(bytes: &mut Bytes<'_>) -> Result<String> {
    let (weights, prefix) = (bytes.u8()?, bytes.u8()?);
    let word = bytes
        .terminated()?
        .replace('\\', "\\\\")
        .replace('\'', "''");
    let mut text = format!("'{word}'");
    if weights != 0 || prefix != 0 {
        text.push(':');
    }
    if prefix != 0 {
        text.push('*');
    }
    for (bit, name) in [(8, 'A'), (4, 'B'), (2, 'C'), (1, 'D')] {
        if weights & bit != 0 {
            text.push(name);
        }
    }
    Ok(text)
}

fn hstore(bytes: &mut Bytes<'_>) -> Result<Vec<(String, Option<String>)>> {
    let count = bytes.i32()?;
    let mut list = Vec::new();
    for _ in 0..count {
        let key = bytes.sized()?.ok_or(DecodeError::Malformed)?;
        let value = bytes.sized()?.map(utf8).transpose()?;
        list.push((utf8(key)?, value));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const READING: Reading = Reading { money_digits: 2 };

    fn number(groups: &[u16], weight: i16, sign: u16, scale: u16) -> String {
        let mut bytes = (groups.len() as u16).to_be_bytes().to_vec();
        bytes.extend(weight.to_be_bytes());
        bytes.extend(sign.to_be_bytes());
        bytes.extend(scale.to_be_bytes());
        bytes.extend(groups.iter().flat_map(|group| group.to_be_bytes()));
        whole(&bytes, numeric).unwrap()
    }

    #[test]
    fn numbers_are_read_digit_by_digit() {
        assert_eq!(number(&[], 0, 0, 0), "0");
        assert_eq!(number(&[], 0, 0, 2), "0.00");
        assert_eq!(number(&[12, 5000], 0, 0, 2), "12.50");
        assert_eq!(number(&[1, 2], 1, 0x4000, 0), "-10002");
        assert_eq!(number(&[1], 3, 0, 0), "1000000000000");
        assert_eq!(number(&[5], -2, 0, 8), "0.00000005");
        assert_eq!(number(&[], 0, 0xc000, 0), "NaN");
    }

    #[test]
    fn amounts_of_money_have_the_digits_of_their_place() {
        for (amount, digits, text) in [
            (1234, 2, "12.34"),
            (-5, 2, "-0.05"),
            (7, 0, "7"),
            (i64::MIN, 3, "-9223372036854775.808"),
        ] {
            assert_eq!(money(amount, digits), text);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, n in 0..TYPES.len()) {
            let read = reader(&TYPES[n]).unwrap();
            let _ = read(&bytes, READING);
        }

        #[test]
        fn what_could_be_an_array_is_read_or_refused(bytes: Vec<u8>, count in 0..4_i32, n in 0..TYPES.len()) {
            let mut array = [1, 0, 25, count, 1].map(i32::to_be_bytes).concat();
            for _ in 0..count {
                array.extend((bytes.len() as i32).to_be_bytes());
                array.extend(&bytes);
            }
            let read = reader(&TYPES[n]).unwrap();
            let _ = read(&array, READING);
        }
    }

    const TYPES: [Type; 42] = [
        Type::BOOL,
        Type::INT2,
        Type::INT4_ARRAY,
        Type::INT8,
        Type::FLOAT4,
        Type::FLOAT8_ARRAY,
        Type::NUMERIC,
        Type::NUMERIC_ARRAY,
        Type::MONEY,
        Type::INT2_VECTOR,
        Type::INT2_VECTOR_ARRAY,
        Type::BIT,
        Type::VARBIT_ARRAY,
        Type::BYTEA,
        Type::CHAR,
        Type::BPCHAR,
        Type::VARCHAR,
        Type::TEXT,
        Type::JSONB,
        Type::UUID,
        Type::CIDR,
        Type::INET_ARRAY,
        Type::MACADDR,
        Type::MACADDR8,
        Type::POINT,
        Type::BOX_ARRAY,
        Type::LINE,
        Type::PATH,
        Type::PATH_ARRAY,
        Type::POLYGON,
        Type::DATE,
        Type::DATE_RANGE,
        Type::INTERVAL,
        Type::TIME,
        Type::TIMETZ,
        Type::TIMESTAMP,
        Type::TIMESTAMPTZ,
        Type::PG_LSN,
        Type::PG_SNAPSHOT,
        Type::TS_VECTOR,
        Type::TSQUERY,
        Type::CIRCLE,
    ];
}

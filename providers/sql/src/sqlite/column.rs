//! SQLite's values, as values of the interface.
//!
//! SQLite has five kinds of values, and a column holds any of them. A column's declared type decides: values come as
//! PostgreSQL would return them for a column of that type, so a statement that both understand returns the same from
//! both. A value that is none of its column's type comes as what it is: a number of 64 bits, text, or bytes.

use rusqlite::types::ValueRef;

use crate::calendar::{parse_date, parse_time, parse_timestamp, parse_utc};
use crate::number::{is_numeric, parts_32, parts_64};
use crate::wit::wasmcloud::postgres::types::PgValue;

/// The type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Nothing: an expression, or a type that is not known.
    Any,
    Bool,
    Int2,
    Int4,
    Float4,
    Numeric,
    Char,
    Varchar,
    Uuid,
    Json,
    Jsonb,
    Xml,
    Date,
    Time,
    Timestamp,
    TimestampTz,
}

impl Sort {
    /// Of a declared type, such as `VARCHAR(10)`.
    pub(super) fn of(declared: Option<&str>) -> Self {
        let declared = declared.unwrap_or_default().to_ascii_lowercase();
        // `timestamp(3) with time zone` has its digits in the middle.
        let (name, rest) = declared.split_once('(').unwrap_or((&declared, ""));
        let rest = rest.split_once(')').map_or("", |(_, rest)| rest);
        let words: Vec<_> = name
            .split_whitespace()
            .chain(rest.split_whitespace())
            .collect();
        match words.join(" ").as_str() {
            "bool" | "boolean" => Self::Bool,
            "smallint" | "int2" | "smallserial" | "serial2" => Self::Int2,
            "int" | "integer" | "int4" | "serial" | "serial4" => Self::Int4,
            "float4" => Self::Float4,
            "numeric" | "decimal" => Self::Numeric,
            "char" | "character" | "bpchar" => Self::Char,
            "varchar" | "character varying" => Self::Varchar,
            "uuid" => Self::Uuid,
            "json" => Self::Json,
            "jsonb" => Self::Jsonb,
            "xml" => Self::Xml,
            "date" => Self::Date,
            "time" | "time without time zone" => Self::Time,
            "timestamp" | "timestamp without time zone" => Self::Timestamp,
            "timestamptz" | "timestamp with time zone" => Self::TimestampTz,
            _ => Self::Any,
        }
    }

    /// A value of a column of this sort.
    pub(super) fn value(self, value: ValueRef<'_>) -> PgValue {
        match value {
            ValueRef::Null => PgValue::Null,
            ValueRef::Integer(number) => self.integer(number),
            ValueRef::Real(number) => match self {
                // A number that comes in with 32 bits goes out with as many.
                Self::Float4 => PgValue::Float4(parts_32(number as f32)),
                Self::Numeric => PgValue::Numeric(number.to_string()),
                _ => PgValue::Float8(parts_64(number)),
            },
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => self.text(text),
                Err(_) => PgValue::Bytea(bytes.to_vec()),
            },
            ValueRef::Blob(bytes) => PgValue::Bytea(bytes.to_vec()),
        }
    }

    fn integer(self, number: i64) -> PgValue {
        let fits = match self {
            Self::Bool => Some(PgValue::Bool(number != 0)),
            Self::Int2 => number.try_into().ok().map(PgValue::Int2),
            Self::Int4 => number.try_into().ok().map(PgValue::Int4),
            Self::Numeric => Some(PgValue::Numeric(number.to_string())),
            _ => None,
        };
        fits.unwrap_or(PgValue::Int8(number))
    }

    fn text(self, text: &str) -> PgValue {
        let whole = || text.to_owned();
        let fits = match self {
            Self::Numeric => is_numeric(text).then(|| PgValue::Numeric(whole())),
            Self::Varchar => Some(PgValue::Varchar((None, whole().into_bytes()))),
            Self::Char => u32::try_from(text.chars().count())
                .ok()
                .map(|count| PgValue::Char((count, whole().into_bytes()))),
            Self::Uuid => Some(PgValue::Uuid(whole())),
            Self::Json => Some(PgValue::Json(whole())),
            Self::Jsonb => Some(PgValue::Jsonb(whole())),
            Self::Xml => Some(PgValue::Xml(whole())),
            Self::Date => parse_date(text).map(PgValue::Date),
            Self::Time => parse_time(text).map(PgValue::Time),
            Self::Timestamp => parse_timestamp(text).map(PgValue::Timestamp),
            Self::TimestampTz => parse_utc(text).map(PgValue::TimestampTz),
            _ => None,
        };
        fits.unwrap_or_else(|| PgValue::Text(whole()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_are_understood() {
        for (declared, sort) in [
            ("INTEGER", Sort::Int4),
            ("bigint", Sort::Any),
            ("VARCHAR(10)", Sort::Varchar),
            ("character  varying (3)", Sort::Varchar),
            ("NUMERIC(10, 2)", Sort::Numeric),
            ("timestamp(3) with time zone", Sort::TimestampTz),
            ("TIMESTAMP", Sort::Timestamp),
            ("made up", Sort::Any),
        ] {
            assert_eq!(Sort::of(Some(declared)), sort, "{declared}");
        }
        assert_eq!(Sort::of(None), Sort::Any);
    }

    #[test]
    fn what_does_not_fit_comes_as_it_is() {
        let large = i64::from(i32::MAX) + 1;
        assert_eq!(Sort::Int4.value(ValueRef::Integer(7)), PgValue::Int4(7));
        assert_eq!(
            Sort::Int4.value(ValueRef::Integer(large)),
            PgValue::Int8(large)
        );
        assert_eq!(
            Sort::Int4.value(ValueRef::Text(b"x")),
            PgValue::Text("x".into())
        );
        assert_eq!(
            Sort::Date.value(ValueRef::Text(b"soon")),
            PgValue::Text("soon".into())
        );
        assert_eq!(
            Sort::Any.value(ValueRef::Text(&[0xff])),
            PgValue::Bytea(vec![0xff])
        );
        assert_eq!(Sort::Bool.value(ValueRef::Integer(0)), PgValue::Bool(false));
    }
}

//! Statements on a SQLite connection.

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::ffi;
use rusqlite::types::Value;
use rusqlite::{Batch, CachedStatement, Column, Connection, Error, ErrorCode, Statement};

use super::column::Sort;
use crate::database::{Fault, Limits, NOTHING_DONE, Rows, SqlError, first_word, is_empty};
use crate::invalid::ValueError;
use crate::literal::literal;
use crate::number::{float_32, float_64};
use crate::wit::wasmcloud::postgres::types::{PgValue, ResultRow, ResultRowEntry};

/// Runs one statement and returns its rows.
pub(super) fn query(
    connection: &Connection,
    sql: &str,
    params: &[PgValue],
    limits: Limits,
) -> Result<Vec<ResultRow>, SqlError> {
    let mut collected = Rows::new(limits);
    let Some(mut statement) = statement(connection, sql)? else {
        bind(None, params)?;
        return Ok(collected.finish());
    };
    bind(Some(&mut statement), params)?;
    let mut columns = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(failed)? {
        collected.admit()?;
        if columns.is_empty() {
            // A statement that was prepared before its table changed has other columns from its first step on.
            let statement: &Statement<'_> = row.as_ref();
            let column = |c: Column<'_>| (c.name().to_owned(), Sort::of(c.decl_type()));
            columns = statement.columns().map(column).collect();
        }
        let mut values = Vec::with_capacity(columns.len());
        for (n, (name, sort)) in columns.iter().enumerate() {
            let value = row.get_ref(n).map_err(failed)?;
            let bytes = value.as_bytes_or_null().ok().flatten();
            collected.count(name, bytes.map_or(8, <[u8]>::len))?;
            values.push(ResultRowEntry {
                column_name: name.clone(),
                value: sort.value(value),
            });
        }
        collected.push(values);
    }
    Ok(collected.finish())
}

/// Runs one statement and returns how many rows it changed, or found.
pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    params: &[PgValue],
) -> Result<u64, SqlError> {
    let Some(mut statement) = statement(connection, sql)? else {
        bind(None, params)?;
        return Ok(0);
    };
    bind(Some(&mut statement), params)?;
    let has_rows = statement.column_count() > 0;
    let before = connection.total_changes();
    let mut found = 0;
    let mut rows = statement.raw_query();
    while rows.next().map_err(failed)?.is_some() {
        found += 1;
    }
    Ok(match has_rows {
        true => found,
        // Statements that change no rows leave the count of the one before.
        false if connection.total_changes() == before => 0,
        false => connection.changes(),
    })
}

/// Runs statements one after another: all or none, unless they say where transactions begin and end, as PostgreSQL
/// takes such texts.
pub(super) fn batch(connection: &Connection, sql: &str) -> Result<(), SqlError> {
    let mut batch = Batch::new(connection, sql);
    // Whether a transaction is open that the text did not begin.
    let mut implicit = false;
    while let Some(mut statement) = batch.next().map_err(failed)? {
        if let Some(name) = statement.parameter_name(1) {
            return Err(refused(
                Fault::Query,
                "42P02",
                format!("there is no parameter {name}: statements of a batch have none"),
            ));
        }
        let word = first_word(&statement.expanded_sql().unwrap_or_default());
        match word.as_str() {
            "BEGIN" if implicit => {
                // The statements before it belong to that transaction.
                implicit = false;
                continue;
            }
            // These end transactions or begin them, or cannot be in one.
            "BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "VACUUM" | "PRAGMA" => {}
            _ if connection.is_autocommit() => {
                connection.execute_batch("BEGIN").map_err(failed)?;
                implicit = true;
            }
            _ => {}
        }
        let mut rows = statement.raw_query();
        while rows.next().map_err(failed)?.is_some() {}
        implicit = implicit && !connection.is_autocommit();
    }
    if implicit {
        connection.execute_batch("COMMIT").map_err(failed)?;
    }
    Ok(())
}

/// Checks that a statement can be run.
pub(super) fn prepare(connection: &Connection, sql: &str) -> Result<(), SqlError> {
    statement(connection, sql).map(drop)
}

/// Whether the file can be read.
pub(super) fn check(connection: &Connection) -> Result<(), SqlError> {
    let read = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    read.map_err(failed)
}

/// Rolls an open transaction back; returns whether there was one.
pub(super) fn end_transaction(connection: &Connection) -> Result<bool, SqlError> {
    match connection.is_autocommit() {
        true => Ok(false),
        false => connection
            .execute_batch("ROLLBACK")
            .map(|()| true)
            .map_err(failed),
    }
}

/// A statement, if there is one in the text.
fn statement<'c>(
    connection: &'c Connection,
    sql: &str,
) -> Result<Option<CachedStatement<'c>>, SqlError> {
    match is_empty(sql) {
        true => Ok(None),
        false => connection.prepare_cached(sql).map(Some).map_err(failed),
    }
}

/// Gives a statement its parameters, by the numbers in their names: SQLite itself counts them as they come.
fn bind(statement: Option<&mut Statement<'_>>, params: &[PgValue]) -> Result<(), SqlError> {
    let given = params.len();
    let Some(statement) = statement else {
        return match given {
            0 => Ok(()),
            _ => Err(SqlError::Count { needed: 0, given }),
        };
    };
    let mut numbers = Vec::new();
    for index in 1..=statement.parameter_count() {
        // There is no name for a number that is passed over, as 1 is in `?2`.
        let name = statement.parameter_name(index).unwrap_or("?");
        let number = name
            .strip_prefix(['$', '?'])
            .and_then(|number| number.parse::<usize>().ok());
        match number.filter(|number| *number > 0) {
            Some(number) => numbers.push((index, number)),
            None => return Err(SqlError::Unnumbered(name.to_owned())),
        }
    }
    let needed = numbers.iter().map(|(_, number)| *number).max().unwrap_or(0);
    if needed != given {
        return Err(SqlError::Count { needed, given });
    }
    for (index, number) in numbers {
        let value = value(&params[number - 1]);
        let value = value.map_err(|why| SqlError::Parameter { number, why })?;
        statement.raw_bind_parameter(index, value).map_err(failed)?;
    }
    Ok(())
}

/// A value as SQLite keeps it.
fn value(value: &PgValue) -> Result<Value, ValueError> {
    use PgValue as V;
    Ok(match value {
        V::BigInt(n) | V::Int8(n) | V::BigSerial(n) | V::Serial8(n) | V::TxidSnapshot(n) => {
            Value::Integer(*n)
        }
        V::Integer(n) | V::Int(n) | V::Int4(n) => Value::Integer((*n).into()),
        V::Serial(n) | V::Serial4(n) => Value::Integer((*n).into()),
        V::SmallInt(n) | V::Int2(n) | V::SmallSerial(n) | V::Serial2(n) => {
            Value::Integer((*n).into())
        }
        V::Bool(b) | V::Boolean(b) => Value::Integer((*b).into()),
        V::Double(parts) | V::Float8(parts) => real(float_64(*parts)?)?,
        V::Real(parts) | V::Float4(parts) => real(float_32(*parts)?.into())?,
        V::Bytea(bytes) => Value::Blob(bytes.clone()),
        other => match literal(other)? {
            Some(text) => Value::Text(text),
            None => Value::Null,
        },
    })
}

/// SQLite would take what is no number for NULL.
fn real(number: f64) -> Result<Value, ValueError> {
    match number.is_nan() {
        false => Ok(Value::Real(number)),
        true => Err(ValueError::NotANumber),
    }
}

fn refused(fault: Fault, code: &str, message: String) -> SqlError {
    SqlError::Refused {
        fault,
        code: code.into(),
        message,
    }
}

/// SQLite's error, with the code that PostgreSQL has for the same.
fn failed(error: Error) -> SqlError {
    let (error, message) = match error {
        Error::SqliteFailure(error, message) => (error, message),
        Error::SqlInputError {
            error, msg, offset, ..
        } => {
            let at = match usize::try_from(offset) {
                Ok(offset) => format!(" at character {}", offset + 1),
                Err(_) => String::new(),
            };
            (error, Some(format!("{msg}{at}")))
        }
        Error::MultipleStatement => {
            let text = "a query is one statement: several go into `query-batch`";
            return refused(Fault::Query, "42601", text.into());
        }
        other => return refused(Fault::Other, "XX000", other.to_string()),
    };
    let message = message.unwrap_or_else(|| error.to_string());
    let (fault, code) = match error.code {
        ErrorCode::OperationInterrupted => return SqlError::Late(NOTHING_DONE),
        ErrorCode::ConstraintViolation => match error.extended_code {
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID => (Fault::Other, "23505"),
            ffi::SQLITE_CONSTRAINT_NOTNULL => (Fault::Other, "23502"),
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => (Fault::Other, "23503"),
            ffi::SQLITE_CONSTRAINT_CHECK => (Fault::Other, "23514"),
            ffi::SQLITE_CONSTRAINT_DATATYPE => (Fault::Params, "22P02"),
            _ => (Fault::Other, "23000"),
        },
        ErrorCode::TypeMismatch => (Fault::Params, "22P02"),
        ErrorCode::TooBig => (Fault::Params, "54000"),
        ErrorCode::AuthorizationForStatementDenied => {
            let text =
                format!("{message}: components may not attach files, set pragmas or load code");
            return refused(Fault::Query, "42501", text);
        }
        ErrorCode::ReadOnly => (Fault::Other, "25006"),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => (Fault::Other, "55P03"),
        ErrorCode::DiskFull => (Fault::Other, "53100"),
        ErrorCode::OutOfMemory => (Fault::Other, "53200"),
        ErrorCode::SystemIoFailure => (Fault::Other, "58030"),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => (Fault::Other, "XX001"),
        ErrorCode::Unknown if error.extended_code == ffi::SQLITE_ERROR => of_text(&message),
        _ => (Fault::Other, "XX000"),
    };
    refused(fault, code, message)
}

/// SQLite has one code for all that is wrong with a statement, and tells the rest in words.
fn of_text(message: &str) -> (Fault, &'static str) {
    const WORDS: [(&str, Fault, &str); 9] = [
        ("syntax error", Fault::Query, "42601"),
        ("incomplete input", Fault::Query, "42601"),
        ("unrecognized token", Fault::Query, "42601"),
        ("no such table", Fault::Query, "42P01"),
        ("no such column", Fault::Query, "42703"),
        ("no such function", Fault::Query, "42883"),
        ("already exists", Fault::Query, "42P07"),
        ("integer overflow", Fault::Params, "22003"),
        ("malformed JSON", Fault::Params, "22P02"),
    ];
    let found = WORDS.iter().find(|(words, ..)| message.contains(words));
    found.map_or((Fault::Query, "42000"), |(_, fault, code)| (*fault, code))
}

//! Failures of PostgreSQL and its client, in this provider's terms.

use std::error::Error as _;

use tokio_postgres::error::{DbError, ErrorPosition, Severity, SqlState};

use crate::database::{Fault, SqlError};

/// Whether a statement whose connection failed was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// The statement was not sent.
    No,
    /// The statement was sent.
    Perhaps,
}

/// An error of the client as an error of this provider. `address` says where the server is.
pub(super) fn sql_error(error: &tokio_postgres::Error, address: &str, begun: Begun) -> SqlError {
    if let Some(refused) = error.as_db_error()
        && !is_fatal(refused)
    {
        return SqlError::Refused {
            fault: fault(refused.code()),
            code: refused.code().code().to_owned(),
            message: message(refused),
        };
    }
    let mut text = format!(
        "the connection to PostgreSQL at `{address}` failed: {}",
        describe(error)
    );
    if let Some(code) = error.code() {
        text = format!("{text} ({})", code.code());
    }
    match begun {
        Begun::No => SqlError::NotBegun(text),
        Begun::Perhaps => SqlError::Lost(text),
    }
}

/// Whether the server ended the connection, and not the statement alone: as it stops or crashes, it may do so after it has
/// committed, and before it says so.
fn is_fatal(error: &DbError) -> bool {
    matches!(
        error.parsed_severity(),
        Some(Severity::Fatal | Severity::Panic)
    )
}

/// An error with what caused it: the client's own text leaves that out.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(refused) = error.as_db_error() {
        return message(refused);
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.to_string();
        if !text.contains(&inner) {
            text = format!("{text}: {inner}");
        }
        cause = error.source();
    }
    text
}

fn message(error: &DbError) -> String {
    let mut text = error.message().to_owned();
    if let Some(detail) = error.detail() {
        text = format!("{text} ({detail})");
    }
    if let Some(ErrorPosition::Original(at)) = error.position() {
        text = format!("{text} at character {at}");
    }
    if let Some(hint) = error.hint() {
        text = format!("{text}; {hint}");
    }
    text
}

fn fault(code: &SqlState) -> Fault {
    match code.code() {
        // A parameter whose type nothing says.
        "42P18" => Fault::Params,
        code => match &code[..code.len().min(2)] {
            "22" => Fault::Params,
            "0A" | "25" | "26" | "42" => Fault::Query,
            _ => Fault::Other,
        },
    }
}

/// Whether connecting may succeed a moment later: the server starts, stops, or has too many connections.
pub(super) fn is_transient(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(code) => {
            *code == SqlState::CANNOT_CONNECT_NOW
                || *code == SqlState::ADMIN_SHUTDOWN
                || *code == SqlState::CRASH_SHUTDOWN
                || *code == SqlState::TOO_MANY_CONNECTIONS
        }
        // The rest is of the network, but for what the client refuses itself: a name that does not resolve may
        // resolve later.
        None => !is_tls(error),
    }
}

/// Whether TLS is what failed.
pub(super) fn is_tls(error: &tokio_postgres::Error) -> bool {
    error.to_string().contains("TLS")
}

/// Whether a prepared statement is of no use any more: a table changed, or somebody let go of all statements. The
/// statement was not run then.
pub(super) fn is_stale(error: &tokio_postgres::Error) -> bool {
    match error.as_db_error() {
        Some(error) if *error.code() == SqlState::FEATURE_NOT_SUPPORTED => {
            error.routine() == Some("RevalidateCachedQuery")
        }
        Some(error) => *error.code() == SqlState::INVALID_SQL_STATEMENT_NAME,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_whose_fault_it_is() {
        for (code, want) in [
            ("22P02", Fault::Params),
            ("42P18", Fault::Params),
            ("42601", Fault::Query),
            ("42P01", Fault::Query),
            ("0A000", Fault::Query),
            ("23505", Fault::Other),
            ("57014", Fault::Other),
            ("XX000", Fault::Other),
        ] {
            assert_eq!(fault(&SqlState::from_code(code)), want, "{code}");
        }
    }
}

//! The state that a call leaves in its connection, which the next call must not find.
//!
//! Calls take whichever connection is free, so a setting, a temporary table or an open transaction of one would appear in
//! another at random. Cleaning a connection after every call costs a round trip; the statements that applications run
//! all day leave nothing, and are told by their first word. All others are cleaned up after.

use crate::database::first_word;

/// Words with which statements begin that leave nothing in their session.
const CLEAN: [&str; 8] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE",
];
/// Functions that such statements can change a session with.
const FUNCTIONS: [&str; 3] = ["set_config", "advisory_lock", "dblink"];

/// Clears all that a session has, but the statements that are prepared: the client has some of its own.
pub(super) const FORGET: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
     SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";
/// Words of statements that prepare others, or forget those that are prepared.
const PREPARING: [&str; 3] = ["prepare", "deallocate", "discard"];

/// Whether a statement may have changed what is prepared, after which a connection is of no use.
pub(super) fn may_prepare(sql: &str) -> bool {
    let lower = sql.to_ascii_lowercase();
    PREPARING.iter().any(|word| lower.contains(word))
}

/// Whether a statement may leave something in its session.
pub(super) fn may_leave_something(sql: &str) -> bool {
    let word = first_word(sql);
    if !CLEAN.contains(&word.as_str()) {
        return true;
    }
    let lower = sql.to_ascii_lowercase();
    FUNCTIONS.iter().any(|function| lower.contains(function))
        // SELECT … INTO TEMP makes a table.
        || (word == "SELECT" && lower.contains("into") && lower.contains("temp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_leave_nothing_are_told() {
        for sql in [
            "SELECT 1",
            "  insert into t values ($1)",
            "-- find\n WITH a AS (SELECT 1) SELECT * FROM a",
            "(VALUES (1))",
        ] {
            assert!(!may_leave_something(sql), "{sql}");
        }
        for sql in [
            "BEGIN",
            "SET search_path = x",
            "CREATE TEMP TABLE t (a int)",
            "SELECT set_config('a.b', 'c', false)",
            "SELECT pg_Advisory_Lock(1)",
            "SELECT 1 INTO TEMPORARY t",
            "LISTEN a",
            "DO $$ BEGIN END $$",
            "",
        ] {
            assert!(may_leave_something(sql), "{sql}");
        }
        assert!(may_prepare("Prepare a AS SELECT 1"));
        assert!(may_prepare("SELECT 1; DISCARD ALL"));
        assert!(!may_prepare("SELECT 1"));
    }
}

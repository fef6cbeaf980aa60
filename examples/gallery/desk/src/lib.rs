//! Keeps the notes in a database, and counts in a key-value store. Old notes go to a second database: two links
//! lead to two backends of one interface, and `set-link-name` chooses between them.

wit_bindgen::generate!({ world: "desk", path: "../wit", generate_all });

use std::fmt::Debug;

use exports::withe_examples::gallery::notes::{Counts, Guest, Note};
use wasi::keyvalue::{atomics, store};
use wasmcloud::bus::lattice::{CallTargetInterface, set_link_name};
use wasmcloud::postgres::prepared;
use wasmcloud::postgres::query::{PgValue, query, query_batch};
use wasmcloud::postgres::types::{QueryError, ResultRow};

struct Desk;
export!(Desk);

/// SQL that SQLite and PostgreSQL both understand.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS notes (id BIGINT PRIMARY KEY, text TEXT NOT NULL)";
const PIN: &str = "INSERT INTO notes (id, text) SELECT coalesce(max(id), 0) + 1, $1 FROM notes";
const LATEST: &str = "SELECT id, text FROM notes ORDER BY id DESC LIMIT $1";
const OLD: &str =
    "SELECT id, text FROM notes WHERE id <= (SELECT coalesce(max(id), 0) FROM notes) - $1";
const TAKE_DOWN: &str = "DELETE FROM notes WHERE id = $1";
/// A note that is there already came in an earlier round, which ended before it was taken down.
const ARCHIVE: &str = "INSERT INTO notes (id, text) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";

const PINNED: &str = "pinned";
const ROUNDS: &str = "rounds";

impl Guest for Desk {
    fn pin(text: String) -> Result<(), String> {
        table()?;
        execute(PIN, PgValue::Text(text))?;
        add(PINNED, 1).map(drop)
    }

    fn latest(limit: u32) -> Result<Vec<Note>, String> {
        table()?;
        notes(query(LATEST, &[PgValue::Int8(limit.into())]))
    }

    fn tidy(keep: u32) -> Result<u64, String> {
        table()?;
        let old = notes(query(OLD, &[PgValue::Int8(keep.into())]))?;
        in_archive(|| {
            table()?;
            (old.iter()).try_for_each(|Note { id, text }| {
                let values = [PgValue::Int8(*id), PgValue::Text(text.clone())];
                query(ARCHIVE, &values).map(drop).map_err(said)
            })
        })?;
        let mut gone = 0;
        for note in old {
            gone += execute(TAKE_DOWN, PgValue::Int8(note.id))?;
        }
        add(ROUNDS, 1)?;
        Ok(gone)
    }

    fn archived(limit: u32) -> Result<Vec<Note>, String> {
        in_archive(|| Self::latest(limit))
    }

    fn count() -> Result<Counts, String> {
        Ok(Counts {
            pinned: add(PINNED, 0)?,
            rounds: add(ROUNDS, 0)?,
        })
    }
}

/// Does something with the archive in place of the database.
fn in_archive<T>(work: impl FnOnce() -> T) -> T {
    let link = |name| {
        let queries = CallTargetInterface::new("wasmcloud", "postgres", "query");
        set_link_name(name, vec![queries]);
    };
    link("archive");
    let done = work();
    link("default");
    done
}

fn table() -> Result<(), String> {
    query_batch(TABLE).map_err(said)
}

fn notes(rows: Result<Vec<ResultRow>, QueryError>) -> Result<Vec<Note>, String> {
    let notes = rows.map_err(said)?.into_iter().map(|row| {
        let values: Vec<_> = row.into_iter().map(|entry| entry.value).collect();
        match <[PgValue; 2]>::try_from(values) {
            Ok([PgValue::Int8(id), PgValue::Text(text)]) => Ok(Note { id, text }),
            other => Err(format!("a row that is no note: {other:?}")),
        }
    });
    notes.collect()
}

/// Executes a statement with one parameter; returns how many rows it changed.
fn execute(statement: &str, parameter: PgValue) -> Result<u64, String> {
    let token = prepared::prepare(statement).map_err(said)?;
    prepared::exec(&token, &[parameter]).map_err(said)
}

/// Adds to a count, and returns it.
fn add(key: &str, more: u64) -> Result<u64, String> {
    let bucket = store::open("").map_err(said)?;
    atomics::increment(&bucket, key, more).map_err(said)
}

fn said(error: impl Debug) -> String {
    format!("{error:?}")
}

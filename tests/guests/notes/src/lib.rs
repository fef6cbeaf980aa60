//! Keeps notes in whichever database it is linked to, with SQL that all of them understand.

wit_bindgen::generate!({ world: "notes", path: "../wit", generate_all });

use exports::t::notes::notes::Guest;
use wasmcloud::postgres::prepared::{exec, prepare};
use wasmcloud::postgres::query::{PgValue, query, query_batch};
use wasmcloud::postgres::types::Date;

struct Notes;
export!(Notes);

const TABLE: &str = "CREATE TABLE IF NOT EXISTS notes (
    id BIGINT PRIMARY KEY, text TEXT NOT NULL, due DATE, done BOOLEAN NOT NULL
)";

impl Guest for Notes {
    fn add(text: String) -> Result<i64, String> {
        table()?;
        let insert = prepare(
            "INSERT INTO notes (id, text, due, done)
             SELECT coalesce(max(id), 0) + 1, $1, $2, $3 FROM notes",
        );
        let insert = insert.map_err(|e| format!("{e:?}"))?;
        let due = PgValue::Date(Date::Ymd((2024, 2, 29)));
        let params = [PgValue::Text(text), due, PgValue::Bool(false)];
        exec(&insert, &params).map_err(|e| format!("{e:?}"))?;
        let rows = query("SELECT count(*) FROM notes", &[]).map_err(|e| format!("{e:?}"))?;
        match &rows[0][0].value {
            PgValue::Int8(count) => Ok(*count),
            other => Err(format!("{other:?}")),
        }
    }

    fn all() -> Result<Vec<String>, String> {
        table()?;
        let rows = query("SELECT id, text, due, done FROM notes ORDER BY id", &[]);
        let rows = rows.map_err(|e| format!("{e:?}"))?;
        let values = rows.into_iter().map(|row| {
            let values: Vec<_> = row.into_iter().map(|entry| entry.value).collect();
            match values.as_slice() {
                [
                    PgValue::Int8(id),
                    PgValue::Text(text),
                    PgValue::Date(Date::Ymd((y, m, d))),
                    PgValue::Bool(done),
                ] => Ok(format!("{id}: {text}, {y}-{m}-{d}, {done}")),
                other => Err(format!("{other:?}")),
            }
        });
        values.collect()
    }

    fn done(text: String) -> Result<u64, String> {
        table()?;
        let update = prepare("UPDATE notes SET done = $2 WHERE text = $1");
        let update = update.map_err(|e| format!("{e:?}"))?;
        let params = [PgValue::Text(text), PgValue::Boolean(true)];
        exec(&update, &params).map_err(|e| format!("{e:?}"))
    }
}

fn table() -> Result<(), String> {
    query_batch(TABLE).map_err(|e| format!("{e:?}"))
}

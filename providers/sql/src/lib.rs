//! The SQL providers: `wasmcloud:postgres` over SQLite and PostgreSQL.
//!
//! There are two, made of the same parts: `withe:sql` keeps its data in a file unless it is told of a server, and
//! `withe:postgres` is a server always. A call's way:
//!
//! * [`provider`]: the link that the call came over;
//! * [`wit`], which is generated: which function it is, its parameters and its result;
//! * [`interface`]: what the function asks of the database, and until when;
//! * [`database`]: what every database can do, and [`sqlite`] and [`postgres`], which do it.
//!
//! The interface's types are PostgreSQL's. Values go to both databases in the text that PostgreSQL writes them in
//! ([`literal`]): there is such a text for each of the types, and the server knows best what a parameter is to be. The
//! binary forms were the other way; then a number of the wrong width, or a text for a date, would be refused. Results
//! are read from PostgreSQL's binary forms ([`postgres`]), or after the types of SQLite's columns ([`sqlite`]).

mod calendar;
mod config;
mod counted;
mod database;
mod interface;
mod invalid;
mod literal;
mod number;
mod postgres;
mod provider;
mod sqlite;
mod url;

use std::sync::Arc;

use withe_provider::{Alias, Descriptor};

use config::Choice;
pub use provider::Sql;

/// The interfaces and their types.
mod wit {
    withe_provider::generate!("wit/wasmcloud-postgres-0.1.1-draft", "wit");
}

/// The description of `withe:sql`, available without starting it.
pub const SQL: Descriptor = Descriptor {
    name: "sql",
    version: env!("CARGO_PKG_VERSION"),
    summary: "runs SQL in a SQLite file, in memory or in PostgreSQL",
    wit: wit::WIT,
    aliases: &[],
    paths: &["path", "postgres_tls_ca_file"],
    check_config: |role, config| config::check(Choice::Any, role, config),
    create: |config| Arc::new(Sql::any(config)),
};

/// The description of `withe:postgres`, available without starting it.
pub const POSTGRES: Descriptor = Descriptor {
    name: "postgres",
    version: env!("CARGO_PKG_VERSION"),
    summary: "runs SQL in PostgreSQL",
    wit: wit::WIT,
    aliases: &[Alias {
        image: "ghcr.io/wasmcloud/sqldb-postgres",
        config: &[],
    }],
    paths: &["postgres_tls_ca_file"],
    check_config: |role, config| config::check(Choice::Postgres, role, config),
    create: |config| Arc::new(Sql::postgres(config)),
};

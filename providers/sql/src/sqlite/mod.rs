//! SQLite: a file, or memory.
//!
//! A database has one connection, and a thread that uses it: SQLite writes one thing at a time anyway, and its calls
//! block. Callers wait in a queue. A statement whose caller has stopped waiting is interrupted where it is, and SQLite
//! takes back what it did, so a call that fails has changed nothing.

mod column;
mod run;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, ffi};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;

use crate::database::{Database, Limits, NOTHING_DONE, SqlError};
use crate::wit::wasmcloud::postgres::types::{PgValue, ResultRow};

/// Calls that wait for the thread. More wait before they are in its queue.
const QUEUE: usize = 64;
/// Steps of SQLite's machine after which it checks whether somebody still waits.
const STEPS: i32 = 1000;
/// The most bytes of a value, and of a statement: as many go through one call over a wire.
const LARGEST: i32 = 64 << 20;
/// The most that a database in memory may take.
const MEMORY: u64 = 1 << 30;
/// Statements that are kept prepared.
const STATEMENTS: usize = 128;
/// Pragmas that ask, though with a value, or that do no harm: all others can only be read.
const PRAGMAS: [&str; 14] = [
    "application_id",
    "foreign_key_check",
    "foreign_key_list",
    "incremental_vacuum",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "optimize",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
    "user_version",
];

/// There is no database.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("cannot make the folder of `{path}`: {why}; make it, or set another `path`")]
    Folder {
        path: String,
        #[source]
        why: std::io::Error,
    },
    #[error(
        "cannot open `{path}`: {why}; it must be a SQLite database that can be read and written, or not be there"
    )]
    File {
        path: String,
        #[source]
        why: rusqlite::Error,
    },
    #[error("cannot make a database in memory: {0}")]
    Memory(#[source] rusqlite::Error),
    #[error("cannot start a thread for the database: {0}")]
    Thread(#[source] std::io::Error),
}

/// The path of a file by which links that mean the same are known. Makes its folder.
pub(crate) fn whole_path(path: &str) -> Result<PathBuf, OpenError> {
    let failed = |why| OpenError::Folder {
        path: path.to_owned(),
        why,
    };
    let whole = std::path::absolute(path).map_err(failed)?;
    let (Some(folder), Some(name)) = (whole.parent(), whole.file_name()) else {
        return Ok(whole);
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    Ok(folder.canonicalize().map_err(failed)?.join(name))
}

/// A database that is open.
pub(crate) struct Sqlite {
    name: String,
    /// There until it is dropped, which ends the thread.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// A caller's request to the thread, which answers it.
type Job = Box<dyn FnOnce(&mut Session) + Send>;

/// A call for which somebody waits.
#[derive(Clone)]
struct Waiting {
    deadline: Instant,
    /// Gone when the caller is.
    caller: Weak<()>,
}

impl Waiting {
    fn is_over(&self) -> bool {
        self.caller.strong_count() == 0 || Instant::now() >= self.deadline
    }
}

impl Sqlite {
    /// Opens a file, and makes it if it is not there.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or is no database.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(path, flags)?;
            // Others may have it open; what they do takes moments.
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            // A write that was answered is on the disk; readers of other processes do not stop writers.
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            Ok(connection)
        };
        let name = path.display().to_string();
        let file = |why| OpenError::File {
            path: path.display().to_string(),
            why,
        };
        Self::start(name, open().map_err(file)?, file)
    }

    /// Makes a database in memory.
    ///
    /// # Errors
    ///
    /// If there is no thread for it.
    pub(crate) fn memory() -> Result<Self, OpenError> {
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(":memory:", flags)?;
            let page: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
            connection.pragma_update(
                None,
                "max_page_count",
                (MEMORY / u64::from(page.max(1))).to_string(),
            )?;
            Ok(connection)
        };
        let connection = open().map_err(OpenError::Memory)?;
        Self::start("memory".into(), connection, OpenError::Memory)
    }

    fn start(
        name: String,
        mut connection: Connection,
        failed: impl Fn(rusqlite::Error) -> OpenError,
    ) -> Result<Self, OpenError> {
        let current = Arc::<Mutex<Option<Waiting>>>::default();
        confine(&mut connection, current.clone()).map_err(failed)?;
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let mut session = Session {
            connection,
            current,
        };
        let thread = std::thread::Builder::new()
            .name("withe-sqlite".into())
            .spawn(move || {
                // Until no more jobs can come.
                while let Some(job) = queue.blocking_recv() {
                    job(&mut session);
                }
            })
            .map_err(OpenError::Thread)?;
        Ok(Self {
            name,
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Has the thread do something, which is broken off when the caller waits no longer.
    async fn ask<T: Send + 'static>(
        &self,
        deadline: Instant,
        what: impl FnOnce(&Connection) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, SqlError> {
        let ended = || SqlError::Lost("the thread of the SQLite database has ended".into());
        // The caller: when this future is dropped, nobody waits any more.
        let caller = Arc::new(());
        let call = Waiting {
            deadline,
            caller: Arc::downgrade(&caller),
        };
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |session| {
            // A caller that has gone does not hear it.
            let _ = answer.send(session.run(call, what));
        });
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        match timeout_at(deadline.into(), jobs.send(job)).await {
            Ok(sent) => sent.map_err(|_| ended())?,
            Err(_) => return Err(SqlError::Late(NOTHING_DONE)),
        }
        // The thread looks at the deadline itself, and says what became of the statement.
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// The thread's connection.
struct Session {
    connection: Connection,
    /// The call that the thread works for, as SQLite asks while it works.
    current: Arc<Mutex<Option<Waiting>>>,
}

impl Session {
    fn run<T>(
        &mut self,
        call: Waiting,
        what: impl FnOnce(&Connection) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        if call.is_over() {
            return Err(SqlError::Late(NOTHING_DONE));
        }
        self.set(Some(call));
        let done = what(&self.connection);
        // Whatever is taken back is taken back as a whole.
        self.set(None);
        let left_open = run::end_transaction(&self.connection);
        let done = done?;
        match left_open? {
            false => Ok(done),
            true => Err(SqlError::LeftOpen),
        }
    }

    fn set(&self, call: Option<Waiting>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = call;
    }
}

/// Denies components what they may not do: reach other files, change how the database is kept, or go on when nobody
/// waits.
fn confine(
    connection: &mut Connection,
    current: Arc<Mutex<Option<Waiting>>>,
) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LARGEST)?;
    connection.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, LARGEST)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.authorizer(Some(authorize))?;
    connection.progress_handler(
        STEPS,
        Some(move || {
            let current = current.lock().unwrap_or_else(PoisonError::into_inner);
            current.as_ref().is_some_and(Waiting::is_over)
        }),
    )
}

fn authorize(context: AuthContext<'_>) -> Authorization {
    let allowed = match context.action {
        // `VACUUM` attaches a database without a name; with a name it would be a file.
        AuthAction::Attach { filename } => filename.is_empty(),
        // The name is computed.
        AuthAction::Unknown {
            code: ffi::SQLITE_ATTACH,
            ..
        } => false,
        AuthAction::Pragma {
            pragma_name,
            pragma_value: Some(_),
        } => PRAGMAS.contains(&pragma_name.to_ascii_lowercase().as_str()),
        AuthAction::Function { function_name } => {
            !function_name.eq_ignore_ascii_case("load_extension")
        }
        _ => true,
    };
    match allowed {
        true => Authorization::Allow,
        false => Authorization::Deny,
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // The thread panics nowhere, and if it did, its database is closed all the same.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sqlite").field(&self.name).finish()
    }
}

#[async_trait::async_trait]
impl Database for Sqlite {
    async fn query(
        &self,
        sql: String,
        params: Vec<PgValue>,
        limits: Limits,
        deadline: Instant,
    ) -> Result<Vec<ResultRow>, SqlError> {
        let query = move |c: &Connection| run::query(c, &sql, &params, limits);
        self.ask(deadline, query).await
    }

    async fn execute(
        &self,
        sql: String,
        params: Vec<PgValue>,
        deadline: Instant,
    ) -> Result<u64, SqlError> {
        let execute = move |c: &Connection| run::execute(c, &sql, &params);
        self.ask(deadline, execute).await
    }

    async fn batch(&self, sql: String, deadline: Instant) -> Result<(), SqlError> {
        self.ask(deadline, move |c| run::batch(c, &sql)).await
    }

    async fn prepare(&self, sql: String, deadline: Instant) -> Result<(), SqlError> {
        self.ask(deadline, move |c| run::prepare(c, &sql)).await
    }

    async fn check(&self, deadline: Instant) -> Result<(), SqlError> {
        self.ask(deadline, run::check).await
    }

    async fn close(&self, _: Instant) {
        // Statements that nobody waits for are interrupted by themselves.
    }
}

//! Disks that fail, below redb's own storage, and files that somebody changed.

use std::cell::Cell;
use std::fs;
use std::io;
use std::ops::Bound;
use std::thread::sleep;

use redb::backends::FileBackend;
use redb::{BackendError, ReadableDatabase as _, StorageBackend, TableDefinition};

use super::*;

const TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("table");

fn make_tables(database: &Database) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    writing.open_table(TABLE)?;
    Ok(writing.commit()?)
}

fn put(file: &DatabaseFile, key: &str, value: &[u8]) -> Result<(), DatabaseError> {
    file.run(|database| {
        let writing = database.begin_write()?;
        writing.open_table(TABLE)?.insert(key, value)?;
        Ok(writing.commit()?)
    })
}

fn get(file: &DatabaseFile, key: &str) -> Result<Option<Vec<u8>>, DatabaseError> {
    file.run(|database| {
        let table = database.begin_read()?.open_table(TABLE)?;
        Ok(table.get(key)?.map(|value| value.value().to_vec()))
    })
}

thread_local! {
    /// The operations at which the disks of this thread's tests fail.
    static BROKEN: Cell<Option<Broken>> = const { Cell::new(None) };
}

#[derive(Clone, Copy, PartialEq)]
enum Broken {
    Writing,
    Syncing,
    Everything,
}

/// A file on a disk that fails.
#[derive(Debug)]
struct Disk(FileBackend);

fn works(what: Option<Broken>) -> io::Result<()> {
    let broken = BROKEN.get();
    if broken.is_some() && (broken == what || broken == Some(Broken::Everything)) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        works(None)?;
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        works(None)?;
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        works(Some(Broken::Writing))?;
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        works(Some(Broken::Syncing))?;
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        works(Some(Broken::Writing))?;
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }
}

fn open(path: &Path) -> Result<DatabaseFile, OpenError> {
    let mut opener = Opener::new(path, 1 << 20, make_tables);
    opener.backend = |builder, file| builder.create_with_backend(Disk(file));
    DatabaseFile::with(opener)
}

/// Tries until it goes well: after a failure, waits are short and grow.
fn eventually<T>(mut work: impl FnMut() -> Result<T, DatabaseError>) -> T {
    for _ in 0..1_000 {
        match work() {
            Ok(done) => return done,
            Err(DatabaseError::Unavailable { .. }) => sleep(Duration::from_millis(10)),
            Err(other) => panic!("{other}"),
        }
    }
    panic!("it did not come back");
}

#[test]
fn a_disk_that_failed_for_a_moment_costs_what_was_under_way_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = open(&folder.path().join("data.redb")).unwrap();
    let large = vec![7; 1 << 20];
    for broken in [Broken::Writing, Broken::Syncing, Broken::Everything] {
        put(&file, "before", b"1").unwrap();
        BROKEN.set(Some(broken));
        let failed = put(&file, "lost", &large).unwrap_err();
        assert!(matches!(failed, DatabaseError::Io { .. }), "{failed}");
        // Others are told why, at once.
        let told = get(&file, "before").unwrap_err();
        assert!(told.to_string().contains("cannot be used now"), "{told}");
        assert!(file.check().is_err());
        // The file is tried again meanwhile, with no more success where reading fails too.
        sleep(Duration::from_millis(120));
        if broken == Broken::Everything {
            assert!(file.check().is_err());
        }
        BROKEN.set(None);
        assert_eq!(eventually(|| get(&file, "before")).unwrap(), b"1");
        eventually(|| put(&file, "after", &large));
        assert_eq!(get(&file, "after").unwrap().unwrap(), large);
        file.check().unwrap();
    }
}

#[test]
fn a_file_is_made_where_there_is_none_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.redb");
    BROKEN.set(Some(Broken::Writing));
    assert!(open(&path).is_err());
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    BROKEN.set(None);
    let file = open(&path).unwrap();
    assert!(matches!(open(&path), Err(OpenError::InUse(_))));
    put(&file, "key", b"1").unwrap();
    drop(file);
    assert_eq!(get(&open(&path).unwrap(), "key").unwrap().unwrap(), b"1");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    // Emptied, it is not new.
    fs::write(&path, "").unwrap();
    let why = open(&path).unwrap_err();
    assert!(matches!(why, OpenError::Empty(_)), "{why}");
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
}

#[test]
fn a_file_that_goes_while_it_is_used_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.redb");
    let file = open(&path).unwrap();
    put(&file, "key", b"1").unwrap();
    fs::remove_file(&path).unwrap();
    BROKEN.set(Some(Broken::Everything));
    put(&file, "key", b"2").unwrap_err();
    BROKEN.set(None);
    sleep(Duration::from_millis(60));
    let why = put(&file, "key", b"2").unwrap_err().to_string();
    assert!(why.contains("is gone"), "{why}");
    assert!(!path.exists());
}

#[test]
fn damage_anywhere_in_a_file_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.redb");
    let file = open(&path).unwrap();
    for n in 0..50 {
        put(&file, &format!("key-{n}"), &[n; 3_000]).unwrap();
    }
    drop(file);
    let good = fs::read(&path).unwrap();
    let mut refused = 0;
    for part in 0..40 {
        let mut bad = good.clone();
        let at = bad.len() / 40 * part;
        let end = (at + 4_096).min(bad.len());
        bad[at..end].iter_mut().for_each(|byte| *byte ^= 0xa5);
        fs::write(&path, &bad).unwrap();
        match open(&path) {
            // Pages that nothing is in.
            Ok(file) => {
                for n in 0..50 {
                    let value = get(&file, &format!("key-{n}")).unwrap();
                    assert_eq!(value.unwrap(), [n; 3_000]);
                }
            }
            Err(why) => {
                refused += 1;
                assert!(matches!(why, OpenError::Damaged { .. }), "{part}: {why}");
                let why = why.to_string();
                assert!(why.contains("restore it from a backup"), "{why}");
            }
        }
    }
    assert!(refused > 0);
    for cut in [1, 100, 4_096, good.len() / 2, good.len() - 1] {
        fs::write(&path, &good[..cut]).unwrap();
        let why = open(&path).unwrap_err();
        assert!(matches!(why, OpenError::Damaged { .. }), "{cut}: {why}");
    }
    fs::write(&path, "something else").unwrap();
    assert!(matches!(open(&path), Err(OpenError::Damaged { .. })));
}

#[test]
fn a_panic_within_is_damage_and_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = open(&folder.path().join("data.redb")).unwrap();
    put(&file, "key", b"1").unwrap();
    let why = file.run::<()>(|_| panic!("as redb does")).unwrap_err();
    assert!(matches!(why, DatabaseError::Damaged(_)), "{why}");
    assert_eq!(eventually(|| get(&file, "key")).unwrap(), b"1");
}

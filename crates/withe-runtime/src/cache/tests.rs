//! Entries that somebody else made, or changed, are not loaded.

use std::fs;
use std::path::{Path, PathBuf};

use wasmtime::component::Component;
use wasmtime::{Config, Engine, Module};

use super::*;

const COMPONENT: &str =
    "(component (core module $m (func (export \"f\") (result i32) (i32.const 1))))";
const OTHER: &str = "(component (core module $m (func (export \"f\") (result i32) (i32.const 2))))";

fn engine() -> Engine {
    Engine::new(Config::new().epoch_interruption(true)).unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// The component that has these bytes, and whether it was found compiled.
fn component(
    cache: &CodeCache,
    engine: &Engine,
    bytes: &[u8],
) -> wasmtime::Result<(Component, bool)> {
    let name = EntryName::of(engine, CodeKind::Component, bytes);
    if let Some(found) = cache.get(engine, &name) {
        return Ok((found, true));
    }
    let component = Component::new(engine, bytes)?;
    cache.put(&name, component.serialize());
    Ok((component, false))
}

/// Whether the component was found compiled.
fn is_found(cache: &CodeCache, text: &str) -> bool {
    component(cache, &engine(), &bytes(text)).unwrap().1
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).unwrap().flatten();
    let named = found.filter(|entry| entry.file_name().len() == 64);
    named.map(|entry| entry.path()).collect()
}

#[test]
fn what_was_compiled_is_found_by_whoever_has_the_key() {
    let (folder, key) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open = |key: &Path| CodeCache::open(folder.path(), Some(key)).unwrap();
    assert!(!is_found(&open(key.path()), COMPONENT));
    assert!(is_found(&open(key.path()), COMPONENT));
    assert!(!is_found(&open(key.path()), OTHER));
    // With other settings it is another one.
    let other = Engine::new(Config::new().epoch_interruption(false)).unwrap();
    let found = component(&open(key.path()), &other, &bytes(COMPONENT));
    assert!(!found.unwrap().1);
    // Another user's key makes it nothing, and it is made anew.
    let others = tempfile::tempdir().unwrap();
    assert!(!is_found(&open(others.path()), COMPONENT));
    assert!(is_found(&open(others.path()), COMPONENT));
    assert!(!is_found(&open(key.path()), COMPONENT));
}

#[test]
fn an_entry_that_was_changed_in_any_way_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CodeCache::open(folder.path(), None).unwrap();
    assert!(!is_found(&cache, OTHER));
    let [other] = &entries(folder.path())[..] else {
        panic!("not one entry");
    };
    let other = fs::read(other).unwrap();
    assert!(!is_found(&cache, COMPONENT));
    let entry = folder
        .path()
        .join(&*EntryName::of(&engine(), CodeKind::Component, &bytes(COMPONENT)).0);
    let good = fs::read(&entry).unwrap();
    type Change<'a> = &'a dyn Fn(&mut Vec<u8>);
    let changes: [(&str, Change<'_>); 7] = [
        ("a bit of the code", &|b| b[CODE_LEN + 700] ^= 1),
        ("a bit of its authentication", &|b| b[3] ^= 1),
        ("its last byte is gone", &|b| _ = b.pop()),
        ("a byte more", &|b| b.push(0)),
        ("nothing is left", &|b| b.clear()),
        ("only its authentication is left", &|b| b.truncate(CODE_LEN)),
        ("the entry of another component", &|b| b.clone_from(&other)),
    ];
    for (what, change) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        assert_ne!(bad, good);
        fs::write(&entry, bad).unwrap();
        assert!(!is_found(&cache, COMPONENT), "{what}");
        assert_eq!(fs::read(&entry).unwrap(), good, "{what}");
        assert!(is_found(&cache, COMPONENT), "{what}");
    }
    // A link to a good entry is no entry.
    let moved = folder.path().join("moved");
    fs::rename(&entry, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &entry).unwrap();
    assert!(!is_found(&cache, COMPONENT));
    assert!(!entry.is_symlink() && is_found(&cache, COMPONENT));
    // One that is larger than anything that is kept costs no memory: the file has no bytes on the disk.
    let large = fs::File::create(&entry).unwrap();
    large.set_len(MOST_ENTRY * 1_000).unwrap();
    assert!(!is_found(&cache, COMPONENT));
}

#[test]
fn a_module_is_no_component_of_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CodeCache::open(folder.path(), None).unwrap();
    let (engine, bytes) = (engine(), bytes("(module)"));
    let [module, component] =
        [CodeKind::Module, CodeKind::Component].map(|kind| EntryName::of(&engine, kind, &bytes));
    assert_ne!(module, component);
    let code = Module::new(&engine, &bytes).unwrap().serialize().unwrap();
    for name in [&module, &component] {
        cache.put(name, Ok(code.clone()));
    }
    assert!(cache.get::<Module>(&engine, &module).is_some());
    assert!(cache.get::<Component>(&engine, &component).is_none());
}

#[test]
fn a_key_that_is_none_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let open = || CodeCache::open(folder.path(), None).unwrap();
    assert!(!is_found(&open(), COMPONENT));
    for bad in [&b""[..], b"short", &[0; 33]] {
        fs::write(folder.path().join("cache.key"), bad).unwrap();
        assert!(!is_found(&open(), COMPONENT));
        assert!(is_found(&open(), COMPONENT));
    }
}

#[test]
fn a_disk_that_is_full_keeps_nothing_from_running() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CodeCache::open(folder.path(), None).unwrap();
    // Nothing can be written where a folder stands in the way, which holds for root too.
    let entry = folder
        .path()
        .join(&*EntryName::of(&engine(), CodeKind::Component, &bytes(COMPONENT)).0);
    fs::create_dir_all(entry.join("deep")).unwrap();
    assert!(!is_found(&cache, COMPONENT));
    assert!(!is_found(&cache, COMPONENT));
}

#[test]
fn what_was_not_used_for_longest_goes_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let private = PrivateFolder::open(folder.path()).unwrap();
    let names: Vec<_> = (0..4).map(|n| hex::encode([n; 32])).collect();
    for (name, age) in names.iter().zip([40, 10, 30, 20]) {
        private.write(name, &[&[0; 10]]).unwrap();
        let file = fs::File::open(folder.path().join(name)).unwrap();
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
        file.set_modified(then).unwrap();
    }
    private.touch(&names[0]).unwrap();
    private.write("cache.key", &[&[0; 32]]).unwrap();
    private.remove_oldest(size::is_name, 30, 100);
    let is_there = |name: &String| folder.path().join(name).exists();
    let there: Vec<_> = names.iter().map(is_there).collect();
    assert_eq!(there, [true, true, false, true]);
    private.remove_oldest(size::is_name, 100, 1);
    let there: Vec<_> = names.iter().map(is_there).collect();
    assert_eq!(there, [true, false, false, false]);
    assert!(folder.path().join("cache.key").exists());
}

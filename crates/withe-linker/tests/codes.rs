//! Every diagnostic is held by a snapshot.

use std::path::PathBuf;

#[test]
fn every_code_stands_in_a_snapshot() {
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let mut snapshots = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "snap") {
                snapshots += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    let held = |code: &str| snapshots.contains(&format!("[{code}]"));
    let missing: Vec<_> = withe_linker::CODES
        .iter()
        .map(|c| c.code.0)
        .filter(|c| !held(c))
        .collect();
    assert!(missing.is_empty(), "no snapshot shows {missing:?}");
}

//! The gallery: the example with most of the capabilities, as its manifest is.

use std::fs;

use crate::support::Folder;
use crate::support::client::get;
use crate::support::examples::gallery;
use crate::support::rig::{Rig, eventually};

/// The answer to `GET` of a path.
fn text(address: &str, path: &str) -> String {
    let response = get(address, path).unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    response.text()
}

#[test]
fn notes_go_through_all_of_its_parts_and_survive_a_restart() {
    let folder = Folder::with(&gallery());
    let up = folder.up(&[]);
    let mut rig = Rig::of(folder, up);
    let address = rig.up.address();
    for note in ["buy milk", "<b>call</b> mother"] {
        let (status, _) = crate::events::post(&address, "/notes", note).unwrap();
        assert_eq!(status, 202);
    }
    eventually("both notes are pinned", || {
        text(&address, "/notes") == "<b>call</b> mother\nbuy milk\n"
    });
    eventually("the clerk comes by", || {
        !text(&address, "/").contains("2 pinned, 0 rounds")
    });
    let page = text(&address, "/");
    assert!(
        page.contains("<li>&lt;b&gt;call&lt;/b&gt; mother</li>"),
        "{page}"
    );
    assert!(page.contains("2 pinned"), "{page}");
    let (status, _) = crate::events::post(&address, "/notes", "  ").unwrap();
    assert_eq!(status, 400);
    rig.up.interrupt();
    assert_eq!(rig.up.exit_code(), Some(0));

    let data = rig.folder.path("data");
    assert_eq!(
        fs::read_dir(&data).unwrap().count(),
        2,
        "a database and a store"
    );
    let again = rig.folder.up(&[]);
    let address = again.address();
    assert_eq!(text(&address, "/notes"), "<b>call</b> mother\nbuy milk\n");
}

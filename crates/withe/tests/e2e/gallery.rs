//! The gallery: the example with most of the capabilities, as its manifest is.

use std::fs;

use crate::support::Folder;
use crate::support::client::{Exchange, get};
use crate::support::examples::gallery_of;
use crate::support::rig::{Rig, eventually};

/// The answer to `GET` of a path.
fn text(address: &str, path: &str) -> String {
    let response = get(address, path).unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    response.text()
}

/// The status of an answer to `PUT`. A body that is refused may not be taken whole.
fn put(address: &str, path: &str, body: &[u8]) -> u16 {
    let mut exchange = Exchange::start(address, &format!("PUT {path}"), body.len()).unwrap();
    _ = exchange.send(body);
    exchange.status().unwrap()
}

#[test]
fn notes_go_through_all_of_its_parts_and_survive_a_restart() {
    let folder = Folder::with(&gallery_of("gallery.yaml"));
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
    let picture: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    assert_eq!(put(&address, "/pictures/cat.jpg", &picture), 201);
    assert_eq!(put(&address, "/pictures/a%20cat", b""), 400);
    let large = vec![0; (16 << 20) + 1];
    assert_eq!(put(&address, "/pictures/large.png", &large), 413);
    assert!(text(&address, "/").contains("src=\"/pictures/cat.jpg\""));
    assert_eq!(get(&address, "/pictures/large.png").unwrap().status, 404);
    rig.up.interrupt();
    assert_eq!(rig.up.exit_code(), Some(0));

    let data = rig.folder.path("data");
    assert_eq!(
        fs::read_dir(&data).unwrap().count(),
        3,
        "a database, a store and a folder of objects"
    );
    let again = rig.folder.up(&[]);
    let address = again.address();
    assert_eq!(text(&address, "/notes"), "<b>call</b> mother\nbuy milk\n");
    let kept = get(&address, "/pictures/cat.jpg").unwrap();
    assert!(kept.body == picture, "{} bytes", kept.body.len());
}

/// The status of an answer to a note, with these header lines.
fn pin(address: &str, headers: &str) -> String {
    let answer = crate::middleware::post(address, "/notes", headers);
    let status = answer.split_whitespace().nth(1).unwrap_or_default();
    status.to_owned()
}

const PASSWORD: &str = "authorization: Bearer swordfish\r\n";

/// Two links lead elsewhere than before, while the application runs: requests then pass the guard, and counts the cache.
#[test]
fn components_are_put_in_between_by_links_alone() {
    let folder = Folder::with(&gallery_of("gallery.yaml"));
    let up = folder.up(&["--watch"]);
    let mut rig = Rig::of(folder, up);
    let address = rig.up.address();
    rig.up.says("`gallery` runs");
    assert_eq!(pin(&address, ""), "202");
    let guarded = gallery_of("guarded.yaml");
    // In this process, and in others.
    let apart = guarded
        .replace(
            "target: cache\n",
            "target: cache\n            binding: unix\n",
        )
        .replace(
            "target: board\n",
            "target: board\n            binding: unix\n",
        );
    assert_ne!(apart, guarded);
    for (n, manifest) in [guarded, apart].iter().enumerate() {
        rig.folder.write("app.yaml", manifest);
        rig.up.says("`gallery` reloaded");
        for wrong in ["", "authorization: Bearer trout\r\n"] {
            assert_eq!(pin(&address, wrong), "401");
        }
        assert_eq!(pin(&address, PASSWORD), "202");
        // Notes that were refused are not among them; the cache tells of a change in a second.
        let pinned = format!("<p>{} pinned", n + 2);
        eventually("the note is pinned", || {
            text(&address, "/").contains(&pinned)
        });
    }
    rig.up.interrupt();
    assert_eq!(rig.up.exit_code(), Some(0));
}

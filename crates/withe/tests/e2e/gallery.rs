//! The gallery: the example with most of the capabilities, as its manifest is.

use std::fs;

use crate::support::Folder;
use crate::support::client::{Exchange, get};
use crate::support::rig::{Rig, eventually};
use crate::support::shipped::gallery_of;

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
        4,
        "two databases, a store and a folder of objects"
    );
    let again = rig.folder.up(&[]);
    let address = again.address();
    assert_eq!(text(&address, "/notes"), "<b>call</b> mother\nbuy milk\n");
    let kept = get(&address, "/pictures/cat.jpg").unwrap();
    assert!(kept.body == picture, "{} bytes", kept.body.len());
}

/// Two links for one interface lead from `desk` to two databases.
#[test]
fn old_notes_go_to_another_database() {
    let manifest = gallery_of("gallery.yaml");
    let hasty = manifest.replace("payload: \"100\"", "payload: \"1\"");
    assert_ne!(hasty, manifest);
    let folder = Folder::with(&hasty);
    let up = folder.up(&[]);
    let mut rig = Rig::of(folder, up);
    let address = rig.up.address();
    for note in ["buy milk", "call mother", "sleep"] {
        assert_eq!(post(&address, "POST /notes", "", note), 202);
    }
    eventually("all but the last are archived", || {
        text(&address, "/archive") == "call mother\nbuy milk\n"
    });
    assert_eq!(text(&address, "/notes"), "sleep\n");
    rig.up.interrupt();
    assert_eq!(rig.up.exit_code(), Some(0));
}

/// The status of an answer to a request with a body and these header lines.
fn post(address: &str, request: &str, headers: &str, body: &str) -> u16 {
    let mut exchange = Exchange::start_with(address, request, headers, body.len()).unwrap();
    exchange.send(body.as_bytes()).unwrap();
    exchange.status().unwrap()
}

/// Has a picture fetched.
fn fetch(address: &str, name: &str, url: &str) -> u16 {
    post(address, &format!("POST /pictures/{name}"), PASSWORD, url)
}

#[test]
fn pictures_are_fetched_from_where_the_link_allows() {
    let folder = Folder::with(&gallery_of("gallery.yaml"));
    let up = folder.up(&[]);
    let mut rig = Rig::of(folder, up);
    let address = rig.up.address();
    let picture: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    assert_eq!(put(&address, "/pictures/cat.jpg", &picture), 201);
    let here = |path: &str| format!("http://{address}/pictures/{path}");
    for (url, status) in [
        (here("cat.jpg"), 201),
        (here("dog.jpg"), 502),
        ("http://pictures.example/cat.jpg".into(), 403),
        ("cat.jpg".into(), 400),
        ("http://".into(), 400),
    ] {
        assert_eq!(fetch(&address, "again.jpg", &url), status, "{url}");
    }
    let fetched = get(&address, "/pictures/again.jpg").unwrap();
    assert!(fetched.body == picture, "{} bytes", fetched.body.len());
    rig.up.interrupt();
    assert_eq!(rig.up.exit_code(), Some(0));
}

const PASSWORD: &str = "authorization: Bearer swordfish\r\n";

/// Three links lead elsewhere than before, while the application runs: requests then pass the guard, counts the cache, and
/// what is fetched the limiter.
#[test]
fn components_are_put_in_between_by_links_alone() {
    let folder = Folder::with(&gallery_of("gallery.yaml"));
    let up = folder.up(&["--watch"]);
    let mut rig = Rig::of(folder, up);
    let address = rig.up.address();
    rig.up.says("`gallery` runs");
    assert_eq!(post(&address, "POST /notes", "", "a note"), 202);
    let guarded = gallery_of("guarded.yaml").replace("per_minute: \"30\"", "per_minute: \"2\"");
    assert!(guarded.contains("per_minute: \"2\""), "{guarded}");
    // In this process, and in others.
    let mut apart = guarded.clone();
    for target in ["cache", "board", "limiter"] {
        let link = format!("target: {target}\n");
        assert!(apart.contains(&link), "{target}");
        apart = apart.replace(&link, &format!("{link}            binding: unix\n"));
    }
    for (n, manifest) in [guarded, apart].iter().enumerate() {
        rig.folder.write("app.yaml", manifest);
        rig.up.says("`gallery` reloaded");
        for wrong in ["", "authorization: Bearer trout\r\n"] {
            assert_eq!(post(&address, "POST /notes", wrong, "a note"), 401);
        }
        assert_eq!(post(&address, "POST /notes", PASSWORD, "a note"), 202);
        // Notes that were refused are not among them; the cache tells of a change in a second.
        let pinned = format!("<p>{} pinned", n + 2);
        eventually("the note is pinned", || {
            text(&address, "/").contains(&pinned)
        });
        // However many minutes it takes, one has more than two.
        let missing = format!("http://{address}/pictures/none.jpg");
        eventually("too much is fetched", || {
            let status = fetch(&address, "some.jpg", &missing);
            assert!([403, 502].contains(&status), "{status}");
            status == 403
        });
    }
    rig.up.interrupt();
    assert_eq!(rig.up.exit_code(), Some(0));
}

/// Each of the changes that the manifest names in its comments passes the check.
#[test]
fn a_backend_is_changed_in_one_line() {
    let notes = "path: ./data/notes.sqlite\n";
    let counters = "path: ./data/counters.redb\n";
    let pictures = "root: ./data/pictures\n";
    for manifest in ["gallery.yaml", "guarded.yaml"] {
        let text = gallery_of(manifest);
        for (from, to) in [
            (notes, "url: postgres://postgres@127.0.0.1/postgres\n"),
            (counters, "url: redis://127.0.0.1:6379\n"),
            (counters, "url: nats://127.0.0.1:4222\n"),
            (
                pictures,
                "{backend: s3, region: eu-north-1, bucket: pictures}\n",
            ),
        ] {
            let key = "properties:\n              ";
            let (from, to) = match to.strip_prefix('{') {
                Some(_) => (format!("{key}{from}"), format!("properties: {to}")),
                None => (from.to_owned(), to.to_owned()),
            };
            assert!(text.contains(&from), "{manifest}: {from}");
            let folder = Folder::with(&text.replace(&from, &to));
            let checked = folder.run(&["check", "app.yaml"]);
            assert_eq!(checked.code, Some(0), "{to}: {checked:#?}");
        }
    }
}

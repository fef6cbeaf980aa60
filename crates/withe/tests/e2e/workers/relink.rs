//! Links that are bound anew while requests use them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Rig, eventually};
use crate::support::client::get;
use crate::support::manifest::{application, component, http_server, provider};

/// `front` goes by way of one of two components to a counter.
fn version(n: usize, binding: &str, middle: &str) -> String {
    let link = format!("target: {middle}, binding: {binding}");
    let env = format!("grants: {{env: {{WHO: v{n}}}}}");
    application(&[
        http_server("front"),
        component("front", "chain-front", "", &[&link]),
        component(middle, "chain-middle", &env, &["target: end"]),
        component("end", "chain-end", "", &["target: keyvalue"]),
        provider("keyvalue", "", &[]),
    ])
}

#[test]
fn links_are_bound_anew_under_load_and_no_request_is_lost() {
    let versions = [
        ("unix", "left", 1),
        ("local", "left", 0),
        ("unix", "left", 1),
        ("unix", "right", 1),
        ("fused", "right", 0),
        ("unix", "left", 1),
    ];
    let (binding, middle, _) = versions[0];
    let rig = Rig::start(&version(0, binding, middle), &["--watch"]);
    let address = rig.up.address();
    rig.up.says("`app` runs");

    let stop = AtomicBool::new(false);
    // For each version, the counts that it answered with.
    let answers = Mutex::new(BTreeMap::<String, Vec<usize>>::new());
    let answered = |version: &str| answers.lock().unwrap().contains_key(version);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // A panic here is handed on by the scope.
                    let response = get(&address, "/").unwrap();
                    let text = response.text();
                    assert_eq!(response.status, 200, "{text}");
                    let mut words = text.split(' ').skip(1);
                    let (version, count) = (words.next().unwrap(), words.next().unwrap());
                    let mut answers = answers.lock().unwrap();
                    let counts = answers.entry(version.to_owned()).or_default();
                    counts.push(count.parse().unwrap());
                }
            });
        }
        let stopper = StopOnDrop(&stop);
        eventually("the first version answers", || answered("v0"));
        for (n, (binding, middle, workers)) in versions.into_iter().enumerate().skip(1) {
            rig.folder.write("app.yaml", &version(n, binding, middle));
            rig.up.says("`app` reloaded");
            let version = format!("v{n}");
            eventually("the next version answers", || answered(&version));
            eventually("the workers of the last version have ended", || {
                rig.workers().len() == workers
            });
        }
        drop(stopper);
    });
    // Every call was answered, and none was made twice.
    let answers = answers.into_inner().unwrap();
    assert_eq!(answers.len(), versions.len());
    for (version, mut counts) in answers {
        counts.sort_unstable();
        let expected: Vec<_> = (1..=counts.len()).collect();
        assert_eq!(counts, expected, "{version}");
    }
    // One folder of sockets is left, that of the workers that are there.
    assert_eq!(rig.temporary().len(), 1);
}

/// Ends the threads also when waiting for the command fails, so that the failure is seen.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

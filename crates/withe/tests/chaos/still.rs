//! A host that stands still for longer than its lease, and goes on as if nothing had been.

use std::thread::sleep;
use std::time::Instant;

use rustix::process::Signal;
use withe_lattice::LEASE;

use crate::everywhere::Everywhere;
use crate::support::eventually;

#[test]
fn a_controller_that_stood_still_decides_no_more_and_deploys_nothing_older() {
    let chaos = Everywhere::new(&["a", "b", "c"]);
    let app = chaos.app("0");
    chaos.begin_up(&app).says(" runs on ");
    chaos.answers(&app);
    let before = chaos.controller();
    let stopped = &chaos.hosts[chaos.place_of(&before)];
    stopped.signal(Signal::STOP);
    let fault = Instant::now();
    let other = eventually("another host decides", || {
        let now = chaos.controller();
        (now != before).then_some(now)
    });
    eprintln!(
        "measured: a controller stopped: another decides after {:?}",
        fault.elapsed()
    );
    // The stopped host has not seen this version.
    let next = chaos.app("1");
    chaos.begin_up(&next).says(" runs on ");
    eprintln!(
        "measured: a controller stopped: a new version runs after {:?}",
        fault.elapsed()
    );
    let number = chaos.number();

    stopped.signal(Signal::CONT);
    let woken = Instant::now();
    // All three run the new version then.
    chaos.answers(&next);
    eprintln!(
        "measured: it goes on: all hosts run the new version after {:?}",
        woken.elapsed()
    );
    while woken.elapsed() < LEASE {
        assert_eq!(chaos.controller(), other);
        assert!(chaos.number() >= number);
        assert_eq!(chaos.desired(), next.greeting);
        sleep(LEASE / 60);
    }
    chaos.answers(&next);
    let last = chaos.app("2");
    chaos.begin_up(&last).says(" runs on ");
    chaos.answers(&last);
}

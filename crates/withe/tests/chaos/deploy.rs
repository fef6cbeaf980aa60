//! A deploy during which somebody is killed, at each of its steps.

use std::thread::sleep;
use std::time::Duration;

use crate::everywhere::{Everywhere, after};

/// When the deployer is killed: so many milliseconds after it began.
const EARLY: [u64; 8] = [0, 5, 10, 15, 20, 30, 60, 150];

#[test]
fn a_deployer_that_is_killed_leaves_the_old_version_or_the_new_one() {
    let chaos = Everywhere::new(&["a", "b", "c"]);
    let mut before = chaos.app("0");
    chaos.begin_up(&before).says(" runs on ");
    chaos.answers(&before);
    for (n, delay) in EARLY.into_iter().enumerate() {
        let next = chaos.app(&format!("e{n}"));
        let mut up = chaos.begin_up(&next);
        sleep(Duration::from_millis(delay));
        up.kill();
        // Its last message may still be on the way.
        sleep(Duration::from_millis(100));
        // Whatever is desired now, all of it runs, and nothing else.
        let now = match chaos.desired() {
            desired if desired == next.greeting => &next,
            desired => {
                assert_eq!(desired, before.greeting);
                &before
            }
        };
        let took = chaos.answers(now);
        eprintln!(
            "measured: `withe up` killed after {delay} ms: {:?} answers after {took:?}",
            now.greeting
        );
        // And putting it again makes it the new one.
        chaos.begin_up(&next).says(" runs on ");
        chaos.answers(&next);
        before = next;
    }
    // As soon as the record is there, when nobody waits for the hosts any more.
    let next = chaos.app("midway");
    let known = chaos.revision();
    let mut up = chaos.begin_up(&next);
    after("it is desired", 0, || chaos.revision() > known);
    up.kill();
    let took = chaos.answers(&next);
    eprintln!("measured: `withe up` killed when its record was put: it answers after {took:?}");
}

#[test]
fn a_controller_that_is_killed_during_a_deploy_is_replaced_and_the_deploy_goes_on() {
    let mut chaos = Everywhere::new(&["a", "b", "c", "d"]);
    let app = chaos.app("0");
    chaos.begin_up(&app).says(" runs on ");
    chaos.answers(&app);
    // Once before it can have decided, and once when it has.
    for (n, is_decided) in [false, true].into_iter().enumerate() {
        let next = chaos.app(&format!("c{n}"));
        let (desired, decided) = (chaos.revision(), chaos.decided());
        let number = chaos.number();
        let controller = chaos.controller();
        let place = chaos.place_of(&controller);
        let mut up = chaos.begin_up(&next);
        match is_decided {
            false => after("it is desired", 0, || chaos.revision() > desired),
            true => after("it is decided", 0, || chaos.decided() > decided),
        }
        let name = chaos.kill(place);
        let took = chaos.answers(&next);
        eprintln!(
            "measured: controller `{name}` killed, decided: {is_decided}: {:?} answers after {took:?}",
            next.greeting
        );
        // The deployer sees it through, whichever host is the controller.
        up.says(" runs on ");
        assert_ne!(chaos.controller(), controller);
        assert!(chaos.number() > number);
    }
}

#[test]
fn a_host_that_is_killed_while_it_starts_parts_is_replaced_by_the_others() {
    let mut chaos = Everywhere::new(&["a", "b", "c", "d"]);
    let app = chaos.app("0");
    chaos.begin_up(&app).says(" runs on ");
    chaos.answers(&app);
    for (n, delay) in [0, 60].into_iter().enumerate() {
        let next = chaos.app(&format!("s{n}"));
        let decided = chaos.decided();
        let starting = match n {
            0 => {
                let controller = chaos.place_of(&chaos.controller());
                (0..chaos.hosts.len()).find(|place| *place != controller)
            }
            // The only one that listens: what it hands to its successor is lost with it.
            _ => {
                let [listens] = &chaos.lattice.hosts_of("http")[..] else {
                    panic!("one host listens");
                };
                chaos.hosts.iter().position(|host| host.name() == listens)
            }
        };
        let mut up = chaos.begin_up(&next);
        after("it is decided", delay, || chaos.decided() > decided);
        let name = chaos.kill(starting.unwrap());
        let took = chaos.answers(&next);
        eprintln!(
            "measured: `{name}` killed {delay} ms after it was to start parts: {:?} answers after {took:?}",
            next.greeting
        );
        up.says(" runs on ");
        // Putting it again changes nothing, and works.
        chaos.begin_up(&next).says(" runs on ");
        chaos.answers(&next);
    }
}

//! Accounts of one small host, taken from by several.

use std::time::Duration;

use super::*;

fn soon() -> std::time::Instant {
    std::time::Instant::now() + Duration::from_secs(60)
}

fn host(instances: u32, shares: ShareLimits) -> std::sync::Arc<HostQuota> {
    HostQuota::new(instances, shares)
}

fn all() -> ShareLimits {
    ShareLimits {
        application: 100,
        component: 100,
        ..ShareLimits::default()
    }
}

#[tokio::test]
async fn a_component_cannot_take_what_is_left_for_others() {
    let host = host(10, ShareLimits::default());
    let (greedy, quiet) = (host.account("app", "greedy"), host.account("app", "quiet"));
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(greedy.enter(1, soon()).await.unwrap());
    }
    let mut more = Box::pin(greedy.enter(1, soon()));
    assert!(futures::poll!(&mut more).is_pending());
    // Three more are the application's.
    for _ in 0..3 {
        held.push(quiet.enter(1, soon()).await.unwrap());
    }
    let mut beyond = Box::pin(quiet.enter(1, soon()));
    assert!(futures::poll!(&mut beyond).is_pending());
    let stranger = host.account("other", "stranger");
    let _held = stranger.enter(1, soon()).await.unwrap();
    // One that the greedy one gives back goes to the one that has fewer.
    drop(held.remove(0));
    let _beyond = beyond.await.unwrap();
    assert!(futures::poll!(&mut more).is_pending());
    drop(held);
    more.await.unwrap();
}

#[tokio::test]
async fn what_becomes_free_goes_to_whoever_has_least() {
    let host = host(4, all());
    let (many, few) = (host.account("app", "many"), host.account("app", "few"));
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(many.enter(1, soon()).await.unwrap());
    }
    let mut first = Box::pin(many.enter(1, soon()));
    assert!(futures::poll!(&mut first).is_pending());
    let mut second = Box::pin(few.enter(1, soon()));
    assert!(futures::poll!(&mut second).is_pending());
    drop(held.pop());
    assert!(futures::poll!(&mut first).is_pending());
    let _few = second.await.unwrap();
    drop(held.pop());
    let _many = first.await.unwrap();
}

#[tokio::test]
async fn one_that_gives_up_leaves_the_line_and_takes_nothing() {
    let host = host(2, all());
    let account = host.account("app", "a");
    let held = account.enter(1, soon()).await.unwrap();
    let _other = account.enter(1, soon()).await.unwrap();
    for _ in 0..100 {
        let mut waiting = Box::pin(account.enter(1, soon()));
        assert!(futures::poll!(&mut waiting).is_pending());
    }
    assert_eq!(host.level.used(Resource::Waiting), 0);
    assert!(!account.is_waited_for());
    // One that has been given something and never looks gives it back.
    let mut waiting = Box::pin(account.enter(1, soon()));
    assert!(futures::poll!(&mut waiting).is_pending());
    drop(held);
    drop(waiting);
    assert_eq!(host.level.used(Resource::Instances), 1);
}

#[tokio::test]
async fn so_many_wait_and_no_more_and_the_limit_is_named() {
    let shares = ShareLimits {
        waiting: 2,
        ..ShareLimits::default()
    };
    let host = host(2, shares);
    let account = host.account("app", "a");
    let _held = account.enter(1, soon()).await.unwrap();
    let mut waiting = Box::pin(account.enter(1, soon()));
    assert!(futures::poll!(&mut waiting).is_pending());
    let refused = account.enter(1, soon()).await.map(drop).unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains("component `a` may have 1 calls that wait"),
        "{text}"
    );
    assert!(text.contains("--max-waiting"), "{text}");
    assert_eq!(account.levels[0].refused(Resource::Waiting), 1);
    let late = std::time::Instant::now() + Duration::from_millis(1);
    drop(waiting);
    let refused = account.enter(1, late).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("--max-instances"), "{refused}");
}

#[tokio::test]
async fn what_calls_cause_counts_against_whoever_began_them() {
    let host = host(20, ShareLimits::default());
    let (caller, callee) = (host.account("app", "caller"), host.account("app", "callee"));
    let outer = caller.enter(1, soon()).await.unwrap();
    let mut chain = vec![outer.nested.nest(1, soon()).await.unwrap()];
    while chain.len() < 9 {
        let next = chain[chain.len() - 1].nested.nest(1, soon()).await;
        chain.push(next.unwrap());
    }
    // A half of the host's are the caller's share.
    let refused = chain[8].nested.nest(1, std::time::Instant::now()).await;
    let refused = refused.map(drop).unwrap_err().to_string();
    assert!(refused.contains("component `caller`"), "{refused}");
    assert_eq!(caller.levels[0].used(Resource::Instances), 10);
    assert_eq!(callee.levels[0].used(Resource::Instances), 0);
    drop(chain);
    // They are the tenancy's until it ends.
    assert_eq!(caller.levels[0].used(Resource::Instances), 10);
    drop(outer);
    assert_eq!(host.level.used(Resource::Instances), 0);
}

#[tokio::test]
async fn depth_has_a_limit_with_a_name() {
    let shares = ShareLimits { depth: 3, ..all() };
    let account = host(100, shares).account("app", "a");
    let outer = account.enter(1, soon()).await.unwrap();
    let second = outer.nested.nest(1, soon()).await.unwrap();
    let third = second.nested.nest(1, soon()).await.unwrap();
    let refused = third.nested.nest(1, soon()).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("--max-depth"), "{refused}");
    // Width is no depth.
    let _other = second.nested.nest(1, soon()).await.unwrap();
}

/// Were nothing kept for them, callers would hold all slots and wait for those of their callees.
#[tokio::test]
async fn calls_keep_as_many_slots_as_such_calls_needed() {
    let host = host(32, all());
    let account = host.account("app", "a");
    let learned = account.enter(1, soon()).await.unwrap();
    let nested = learned.nested.nest(1, soon()).await.unwrap();
    drop((learned, nested));
    let mut outer = Vec::new();
    for _ in 0..16 {
        outer.push(account.enter(1, soon()).await.unwrap());
    }
    let mut beyond = Box::pin(account.enter(1, soon()));
    assert!(futures::poll!(&mut beyond).is_pending());
    for outer in &outer {
        outer.nested.nest(1, soon()).await.unwrap();
    }
    drop(outer);
    beyond.await.unwrap();
    assert_eq!(host.level.used(Resource::Instances), 0);
}

#[test]
fn memory_is_counted_at_all_levels_and_comes_back() {
    let shares = ShareLimits {
        memory: 1000,
        ..ShareLimits::default()
    };
    let host = host(10, shares);
    let (a, b) = (host.account("app", "a"), host.account("app", "b"));
    a.take_memory(500).unwrap();
    let refused = a.take_memory(1).unwrap_err().to_string();
    assert!(
        refused.contains("component `a` may have 500 bytes"),
        "{refused}"
    );
    b.take_memory(300).unwrap();
    let refused = b.take_memory(1).unwrap_err().to_string();
    assert!(refused.contains("application `app`"), "{refused}");
    let c = host.account("other", "c");
    let refused = c.take_memory(201).unwrap_err().to_string();
    assert!(
        refused.contains("this host may have 1000 bytes"),
        "{refused}"
    );
    a.give_memory(500);
    c.take_memory(500).unwrap();
}

#[test]
fn an_account_is_one_for_all_who_have_it_and_goes_with_them() {
    let host = host(10, ShareLimits::default());
    let (one, other) = (host.account("app", "a"), host.account("app", "a"));
    assert!(std::sync::Arc::ptr_eq(&one, &other));
    let call = one.call().unwrap();
    assert_eq!(host.level.used(Resource::Calls), 1);
    drop(call);
    assert_eq!(host.level.used(Resource::Calls), 0);
}

/// Keeps nothing, and lets another come when asked to drop it.
struct Reentrant(std::sync::Arc<HostQuota>);

impl KeepsIdle for Reentrant {
    fn drop_idle(&self) {
        self.0.keeps_idle(std::sync::Weak::<Self>::new());
    }
}

#[test]
fn nothing_is_locked_while_what_is_kept_for_later_is_dropped() {
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let most = 1 << 20;
        let host = host(
            10,
            ShareLimits {
                memory: most,
                ..all()
            },
        );
        let keeper = std::sync::Arc::new(Reentrant(host.clone()));
        let weak = std::sync::Arc::downgrade(&keeper);
        host.keeps_idle(weak);
        let (first, second) = (host.account("app", "a"), host.account("app", "b"));
        first.take_memory(most).unwrap();
        done.send(second.take_memory(1).is_err()).unwrap();
    });
    // The thread would wait for itself.
    let refused = is_done.recv_timeout(Duration::from_secs(60));
    assert_eq!(refused, Ok(true));
}

#[tokio::test]
async fn an_instance_that_serves_again_begins_anew_beside_what_goes_on() {
    let host = host(100, all());
    let account = host.account("app", "gate");
    let used = || account.levels[0].used(Resource::Instances);
    let mut slot = account.enter(1, soon()).await.unwrap();
    assert!(slot.begin_next_call().is_none());
    let mut going = Vec::new();
    for calls in 1..=3 {
        let noted = slot.nested.goes_on();
        let callee = slot.nested.nest(1, soon()).await.unwrap();
        going.push((noted, callee));
        assert!(slot.begin_next_call().is_some());
        assert_eq!(used(), 1 + calls);
    }
    // Each of them is given back with what went on, and needed two slots.
    going.pop();
    assert_eq!(used(), 3);
    going.clear();
    assert_eq!(used(), 1);
    assert_eq!(account.typical(), 2);
    drop(slot);
    assert_eq!(used(), 0);
}

//! The connections of listeners: how many there are, whose, and which has to go when there are too many.
//!
//! Descriptors are the process's, not a listener's. A listener that took all of them would stop the others, and one
//! whose clients keep connections that they do not use would stop itself. So a connection that is not used goes when its
//! place is needed, the one first that has been idle longest; and the last quarter of the descriptors is shared evenly
//! among listeners.
//!
//! Addresses are limited as well: of IPv6, whole networks of 64 bits, since one client has all of one.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::time::Instant;

use crate::stop::Stop;

/// How many there may be at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CrowdLimits {
    pub(crate) connections: usize,
    pub(crate) connections_of_address: usize,
    pub(crate) requests: usize,
    pub(crate) requests_of_address: usize,
    /// TLS handshakes under way; an address may have a quarter of them.
    pub(crate) handshakes: usize,
}

/// Why a request is not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// The listener has as many as it may.
    Listener,
    /// The client's address has.
    Address,
}

/// The connections of one listener.
pub(crate) struct Crowd {
    /// Locked when a connection comes or goes, not for requests.
    inside: Mutex<Inside>,
    requests: Count,
    handshakes: Count,
    began: Instant,
}

#[derive(Default)]
struct Inside {
    next: u64,
    connections: BTreeMap<u64, Arc<Member>>,
    addresses: HashMap<IpAddr, Arc<OfAddress>>,
}

#[derive(Default)]
struct OfAddress {
    connections: AtomicUsize,
    requests: Count,
    handshakes: Count,
}

/// How many there are.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    /// One more, if there are fewer than that.
    fn add(&self, most: usize) -> bool {
        let more = |count| (count < most).then_some(count + 1);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    fn remove(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection, as its crowd has it.
struct Member {
    address: IpAddr,
    of_address: Arc<OfAddress>,
    /// Requests under way.
    requests: AtomicUsize,
    /// When it was last used: milliseconds since the crowd began.
    idle_since: AtomicU64,
    /// Given when it has to go at once.
    close: Stop,
}

/// The listeners of this process.
static CROWDS: Mutex<Vec<Weak<Crowd>>> = Mutex::new(Vec::new());

/// The part that one listener may have of the process's descriptors: all but those that are kept for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Descriptors {
    /// Connections of all listeners.
    in_use: usize,
    listeners: usize,
    /// The most that the process may have.
    most: usize,
}

impl Descriptors {
    /// Whether a listener that has so many may have one more.
    fn leave_room_for(&self, own: usize) -> bool {
        // Files, other sockets and programs need some, too.
        let most = self.most - self.most / 4;
        let free_for_all = most - most / 4;
        self.in_use < free_for_all || own < most / self.listeners.max(1)
    }
}

impl Crowd {
    pub(crate) fn new() -> Arc<Self> {
        let crowd = Arc::new(Self {
            inside: Mutex::default(),
            requests: Count::default(),
            handshakes: Count::default(),
            began: Instant::now(),
        });
        let mut crowds = crowds();
        crowds.retain(|crowd| crowd.strong_count() > 0);
        crowds.push(Arc::downgrade(&crowd));
        crowd
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // Nothing panics while it is held.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn len(&self) -> usize {
        self.inside().connections.len()
    }

    /// Whether there is room for one more. If there is not, the one goes for it that has been idle longest.
    pub(crate) fn makes_room(&self, limits: &CrowdLimits) -> bool {
        let own = self.len();
        let has_room = own < limits.connections && descriptors().leave_room_for(own);
        has_room || self.inside().drop_idle(|_| true)
    }

    /// A connection comes; `None` if its address has too many, of which none is idle.
    pub(crate) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        limits: &CrowdLimits,
    ) -> Option<CrowdPlace> {
        let address = network(address);
        let mut inside = self.inside();
        let of_address = inside.addresses.entry(address).or_default().clone();
        let own = of_address.connections.load(Ordering::Relaxed);
        if own >= limits.connections_of_address
            && !inside.drop_idle(|member| member.address == address)
        {
            return None;
        }
        let member = Arc::new(Member {
            address,
            of_address,
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(self.now()),
            close: Stop::default(),
        });
        inside.next += 1;
        let id = inside.next;
        inside.connections.insert(id, member.clone());
        // Under the lock, under which it is removed.
        member
            .of_address
            .connections
            .fetch_add(1, Ordering::Relaxed);
        drop(inside);
        Some(CrowdPlace {
            crowd: self.clone(),
            id,
            member,
        })
    }
}

impl Inside {
    /// Closes the connection that has been idle longest among those that are `meant`. Whether there is one.
    fn drop_idle(&mut self, meant: impl Fn(&Member) -> bool) -> bool {
        let idle = self.connections.values().filter(|member| {
            let unused = member.requests.load(Ordering::Relaxed) == 0;
            unused && !member.close.is_given() && meant(member)
        });
        match idle.min_by_key(|member| member.idle_since.load(Ordering::Relaxed)) {
            Some(oldest) => {
                oldest.close.give();
                true
            }
            None => false,
        }
    }
}

/// Closes the connection that has been idle longest, at the listener that has most: the process has no descriptors
/// left. Whether there is one.
pub(crate) fn give_up_one() -> bool {
    let mut crowds: Vec<_> = crowds().iter().filter_map(Weak::upgrade).collect();
    crowds.sort_by_key(|crowd| std::cmp::Reverse(crowd.len()));
    crowds
        .iter()
        .any(|crowd| crowd.inside().drop_idle(|_| true))
}

fn crowds() -> MutexGuard<'static, Vec<Weak<Crowd>>> {
    CROWDS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn descriptors() -> Descriptors {
    let crowds: Vec<_> = crowds().iter().filter_map(Weak::upgrade).collect();
    Descriptors {
        in_use: crowds.iter().map(|crowd| crowd.len()).sum(),
        listeners: crowds.len(),
        most: most_descriptors(),
    }
}

#[cfg(unix)]
fn most_descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = limit.current.and_then(|most| usize::try_from(most).ok());
    most.unwrap_or(usize::MAX)
}

#[cfg(not(unix))]
fn most_descriptors() -> usize {
    usize::MAX
}

/// Whether an error of accepting says that there are no descriptors.
#[cfg(unix)]
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let of_system = error.raw_os_error();
    of_system.is_some_and(|code| {
        code == Errno::MFILE.raw_os_error() || code == Errno::NFILE.raw_os_error()
    })
}

#[cfg(not(unix))]
pub(crate) fn is_out_of_descriptors(_: &io::Error) -> bool {
    false
}

/// The network that counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.into(),
            None => {
                let [a, b, c, d, ..] = v6.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        },
    }
}

/// A connection's place in its crowd, which is left when this is dropped.
pub(crate) struct CrowdPlace {
    crowd: Arc<Crowd>,
    id: u64,
    member: Arc<Member>,
}

impl CrowdPlace {
    /// Waits until the connection has to go at once.
    pub(crate) async fn closed(&self) {
        self.member.close.wait().await;
    }

    /// Counts a TLS handshake, for as long as what this returns is kept; `None` if there are too many.
    pub(crate) fn handshake(&self, limits: &CrowdLimits) -> Option<Handshake<'_>> {
        let most = limits.handshakes;
        if !self.crowd.handshakes.add(most) {
            return None;
        }
        if !self.member.of_address.handshakes.add((most / 4).max(1)) {
            self.crowd.handshakes.remove();
            return None;
        }
        Some(Handshake(self))
    }

    /// Counts a request, for as long as what this returns is kept.
    ///
    /// # Errors
    ///
    /// If there are too many.
    pub(crate) fn request(&self, limits: &CrowdLimits) -> Result<UnderWay, Crowded> {
        if !self.crowd.requests.add(limits.requests) {
            return Err(Crowded::Listener);
        }
        let of_address = &self.member.of_address;
        if !of_address.requests.add(limits.requests_of_address) {
            self.crowd.requests.remove();
            return Err(Crowded::Address);
        }
        self.member.requests.fetch_add(1, Ordering::Relaxed);
        Ok(UnderWay {
            crowd: self.crowd.clone(),
            member: self.member.clone(),
        })
    }
}

impl Drop for CrowdPlace {
    fn drop(&mut self) {
        let mut inside = self.crowd.inside();
        inside.connections.remove(&self.id);
        let of_address = &self.member.of_address;
        if of_address.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            inside.addresses.remove(&self.member.address);
        }
    }
}

/// A TLS handshake that is counted.
pub(crate) struct Handshake<'a>(&'a CrowdPlace);

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.0.crowd.handshakes.remove();
        self.0.member.of_address.handshakes.remove();
    }
}

/// A request that is counted until its response is sent.
pub(crate) struct UnderWay {
    crowd: Arc<Crowd>,
    member: Arc<Member>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.crowd.requests.remove();
        self.member.of_address.requests.remove();
        let now = self.crowd.now();
        self.member.idle_since.store(now, Ordering::Relaxed);
        self.member.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CrowdLimits = CrowdLimits {
        connections: 3,
        connections_of_address: 2,
        requests: 3,
        requests_of_address: 2,
        handshakes: 4,
    };

    fn from(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_is_idle_longest_goes_for_one_that_comes() {
        let crowd = Crowd::new();
        let first = crowd.enter(from(1), &LIMITS).unwrap();
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        let second = crowd.enter(from(2), &LIMITS).unwrap();
        let third = crowd.enter(from(3), &LIMITS).unwrap();
        let busy = first.request(&LIMITS).unwrap();
        assert!(crowd.makes_room(&LIMITS));
        assert!(!first.member.close.is_given() && second.member.close.is_given());
        let busy_too = third.request(&LIMITS).unwrap();
        assert!(
            !crowd.makes_room(&LIMITS),
            "none of those that are left is idle"
        );
        drop(second);
        assert!(crowd.makes_room(&LIMITS));
        drop((busy, busy_too, third, first));
        assert!(crowd.inside().addresses.is_empty());
    }

    #[test]
    fn an_address_has_its_share_of_connections_requests_and_handshakes() {
        let crowd = Crowd::new();
        let (one, other) = (
            crowd.enter(from(1), &LIMITS).unwrap(),
            crowd.enter(from(1), &LIMITS).unwrap(),
        );
        let requests = [one.request(&LIMITS), other.request(&LIMITS)];
        assert!(requests.iter().all(Result::is_ok));
        assert_eq!(one.request(&LIMITS).err(), Some(Crowded::Address));
        // Both are used, so none goes for a third.
        assert!(crowd.enter(from(1), &LIMITS).is_none());
        let stranger = crowd.enter(from(2), &LIMITS).unwrap();
        let _request = stranger.request(&LIMITS).ok().unwrap();
        assert_eq!(stranger.request(&LIMITS).err(), Some(Crowded::Listener));
        let handshake = one.handshake(&LIMITS);
        assert!(handshake.is_some() && other.handshake(&LIMITS).is_none());
        assert!(stranger.handshake(&LIMITS).is_some());
        drop(requests);
        assert!(crowd.enter(from(1), &LIMITS).is_some(), "an idle one goes");
    }

    #[test]
    fn a_network_of_version_6_is_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), from(1));
        assert_ne!(from(1), from(2));
    }

    #[test]
    fn the_last_descriptors_are_for_those_that_have_few() {
        let descriptors = |in_use| Descriptors {
            in_use,
            listeners: 2,
            most: 1600,
        };
        // 1200 are for connections, 900 of them for the first to come.
        assert!(descriptors(899).leave_room_for(899));
        assert!(!descriptors(900).leave_room_for(899));
        assert!(descriptors(1199).leave_room_for(300));
        assert!(!descriptors(1200).leave_room_for(600));
    }
}

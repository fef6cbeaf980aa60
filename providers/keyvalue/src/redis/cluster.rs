//! A cluster: servers that have some of the keys each.
//!
//! A command goes to the master of its key's slot, as an answer to `CLUSTER SLOTS` has it. The master may say that
//! another has it by now: then it has done nothing, and the command goes there. The client's own connection to clusters
//! is not used, as it sends commands again whose answer was lost: a count would be added twice.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redis as client;
use client::{Cmd, ConnectionAddr, ErrorKind, FromRedisValue, RedisError, ServerErrorKind};
use futures::FutureExt as _;
use futures::future::{select_ok, try_join_all};
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::{Instant, sleep, timeout_at};
use withe_provider::BackOff;

use super::config::{RedisConfig, urls};
use super::error::ConnectError;
use super::server::{Access, Server};
use super::slots::{Node, Slots};
use crate::store::StoreError;

/// How often a command is sent elsewhere. A cluster at rest needs one, one whose slots move a few.
const REDIRECTIONS: usize = 16;
/// How long it is waited before a command is sent again that the cluster cannot do yet.
const AGAIN: BackOff = BackOff {
    first: Duration::from_millis(20),
    most: Duration::from_millis(500),
};

/// Connections to a cluster.
pub(super) struct Cluster {
    access: Access,
    /// The servers that the configuration names.
    named: Vec<Node>,
    /// Who has what, as far as is known.
    slots: watch::Sender<Arc<Slots>>,
    /// Held while that is asked for.
    asking: AsyncMutex<()>,
    servers: Mutex<HashMap<Node, Server>>,
    /// Whether a server has not answered since that was asked for: another may have its slots by now.
    is_doubtful: AtomicBool,
    /// Where it is, for messages.
    pub(super) address: String,
    /// Longest that one command may take, connecting again included.
    pub(super) limit: Duration,
}

/// Whether a command may have an effect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Sent again if the connection turns out to be broken.
    Reads,
    /// Sent at most once to whom it may concern.
    Writes,
}

/// A command that is under way. If nobody waits for its answer any more, its server is doubted.
struct Unanswered<'a>(&'a AtomicBool);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The next step for a command that failed.
enum Next {
    /// Another server has the slot.
    Moved(Node),
    /// Another server is being given the slot, and has the key.
    Ask(Node),
    /// The cluster cannot do it now, and has not.
    Wait,
    /// The connection broke: somebody else may have the slot by now.
    Broken,
    /// There is nothing to do.
    GiveUp,
}

impl Cluster {
    /// Connects to whichever of the servers that are named answers first.
    ///
    /// # Errors
    ///
    /// If there is none: what is wrong with the last of them.
    pub(super) async fn connect(config: &RedisConfig) -> Result<Self, ConnectError> {
        let urls = urls(&config.url);
        let access = Access::new(config, urls.first().map_or("", String::as_str)).await?;
        let mut ways = Vec::new();
        for url in &urls {
            ways.push(Access::new(config, url).await?);
        }
        let asking = ways.iter().map(|way| Self::ask_first(way).boxed());
        let ((node, server, slots), _) = select_ok(asking).await?;
        Ok(Self {
            access,
            named: ways.iter().filter_map(|way| node_of(way.at())).collect(),
            slots: watch::Sender::new(Arc::new(slots)),
            asking: AsyncMutex::default(),
            servers: Mutex::new(HashMap::from([(node, server)])),
            is_doubtful: AtomicBool::new(false),
            address: super::config::address(&config.url),
            limit: config.limit(),
        })
    }

    async fn ask_first(access: &Access) -> Result<(Node, Server, Slots), ConnectError> {
        let server = Server::connect(access).await?;
        let address = server.address.clone();
        let command = slots_command();
        let asking = server.send(&command);
        let answer = match tokio::time::timeout(access.limit, asking).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) if why.to_string().contains("cluster support disabled") => {
                return Err(ConnectError::NoCluster { address, why });
            }
            Ok(Err(why)) => return Err(ConnectError::new(address, false, why.into())),
            Err(_) => {
                let late = super::error::NoConnection::Late(access.limit);
                return Err(ConnectError::new(address, false, late));
            }
        };
        let node = node_of(access.at()).unwrap_or_else(|| Node {
            host: address.clone(),
            port: 0,
        });
        match Slots::parse(answer, &node) {
            Ok(slots) => Ok((node, server, slots)),
            Err(why) => Err(ConnectError::Slots { address, why }),
        }
    }

    /// Who has what, as far as is known, and what comes to be known.
    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Slots>> {
        self.slots.subscribe()
    }

    fn known(&self) -> Arc<Slots> {
        self.slots.borrow().clone()
    }

    /// The connection to a server.
    pub(super) fn server(&self, node: &Node) -> Result<Server, StoreError> {
        // Nothing panics while it is held.
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get(node) {
            return Ok(server.clone());
        }
        let server = Server::new(&self.access.to(&node.host, node.port));
        let server = server.map_err(|why| {
            StoreError::Failed(format!("Redis at `{}:{}`: {why}", node.host, node.port))
        })?;
        servers.insert(node.clone(), server.clone());
        Ok(server)
    }

    /// Asks who has what now.
    ///
    /// # Errors
    ///
    /// If no server says so.
    pub(super) async fn look(&self) -> Result<Arc<Slots>, StoreError> {
        self.look_again(&self.known(), Instant::now() + self.limit)
            .await
    }

    /// The same, unless somebody has since `seen` was known.
    async fn look_again(
        &self,
        seen: &Arc<Slots>,
        deadline: Instant,
    ) -> Result<Arc<Slots>, StoreError> {
        let asking = async {
            let _turn = self.asking.lock().await;
            let known = self.known();
            if !Arc::ptr_eq(&known, seen) {
                return Ok(known);
            }
            let mut nodes: Vec<_> = known.masters.iter().map(|master| &master.node).collect();
            nodes.extend(
                self.named
                    .iter()
                    .filter(|node| !nodes.contains(node))
                    .collect::<Vec<_>>(),
            );
            let asking = nodes.into_iter().map(|node| self.ask(node).boxed());
            let (slots, _) = select_ok(asking).await?;
            let slots = Arc::new(slots);
            let is_needed = |node: &Node| {
                let mut masters = slots.masters.iter();
                masters.any(|master| master.node == *node) || self.named.contains(node)
            };
            let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
            servers.retain(|node, _| is_needed(node));
            drop(servers);
            self.slots.send_replace(slots.clone());
            Ok(slots)
        };
        let asked = timeout_at(deadline, asking).await;
        asked.unwrap_or_else(|_| Err(StoreError::Failed(self.no_answer())))
    }

    async fn ask(&self, node: &Node) -> Result<Slots, StoreError> {
        let server = self.server(node)?;
        let answer = server.read(&slots_command()).await?;
        Slots::parse(answer, node)
            .map_err(|why| StoreError::Failed(format!("Redis at `{}`: {why}", server.address)))
    }

    /// Sends a command whose keys are all in `slot`.
    pub(super) async fn send<T: FromRedisValue>(
        &self,
        slot: u16,
        command: &Cmd,
        effect: Effect,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.limit;
        let mut elsewhere: Option<(Node, bool)> = None;
        let mut redirections = 0;
        let mut failures = 0;
        if self.is_doubtful.swap(false, Ordering::Relaxed) {
            _ = self.look_again(&self.known(), deadline).await;
        }
        loop {
            let slots = self.known();
            let (node, is_asking) = match elsewhere.take() {
                Some(elsewhere) => elsewhere,
                None => match slots.master(slot) {
                    Some(master) => (master.node.clone(), false),
                    None => {
                        let seen = self.look_again(&slots, deadline).await?;
                        if seen.master(slot).is_none() {
                            return Err(self.nobody_has(slot));
                        }
                        continue;
                    }
                },
            };
            let server = self.server(&node)?;
            let sending = async {
                match is_asking {
                    true => server.send_asking(command).await,
                    false => server.send(command).await,
                }
            };
            let unanswered = Unanswered(&self.is_doubtful);
            let answer = timeout_at(deadline, sending).await;
            if answer.is_ok() {
                std::mem::forget(unanswered);
            }
            let why = match answer {
                Ok(Ok(answer)) => {
                    let answer = client::from_redis_value(answer).map_err(RedisError::from);
                    return answer.map_err(|why| server.error(&why));
                }
                Ok(Err(why)) => why,
                Err(_) if effect == Effect::Writes => {
                    return Err(StoreError::Lost(self.no_answer()));
                }
                Err(_) => return Err(StoreError::Failed(self.no_answer())),
            };
            match next(&why, &node) {
                Next::Moved(to) if redirections < REDIRECTIONS => {
                    redirections += 1;
                    // The answer may be as old as what is known. The redirection of this server is newer.
                    _ = self.look_again(&slots, deadline).await;
                    elsewhere = Some((to, false));
                }
                Next::Ask(to) if redirections < REDIRECTIONS => {
                    redirections += 1;
                    elsewhere = Some((to, true));
                }
                Next::Wait => {
                    failures += 1;
                    let pause = AGAIN.after(failures);
                    if Instant::now() + pause >= deadline {
                        return Err(server.error(&why));
                    }
                    sleep(pause).await;
                    _ = self.look_again(&slots, deadline).await;
                }
                Next::Broken => {
                    let looked = self.look_again(&slots, deadline).await;
                    // Who was never connected to has done nothing.
                    let has_effect = effect == Effect::Writes && !why.is_connection_refusal();
                    if has_effect {
                        return Err(StoreError::Lost(server.describe(&why)));
                    }
                    failures += 1;
                    let is_elsewhere = looked.is_ok_and(|slots| {
                        slots.master(slot).is_some_and(|master| master.node != node)
                    });
                    let is_old = failures == 1 && why.is_connection_dropped();
                    let again = is_elsewhere || is_old && effect == Effect::Reads;
                    if !again || Instant::now() >= deadline {
                        return Err(server.error(&why));
                    }
                }
                Next::Moved(_) | Next::Ask(_) | Next::GiveUp => return Err(server.error(&why)),
            }
        }
    }

    /// Whether all masters can be reached, and have all slots.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        let slots = self.look().await?;
        self.is_whole(&slots)?;
        let ping = client::cmd("PING");
        let asking = slots.masters.iter().map(async |master| {
            let () = self.server(&master.node)?.read(&ping).await?;
            Ok(())
        });
        try_join_all(asking).await.map(drop)
    }

    /// An error if no master has some slot.
    pub(super) fn is_whole(&self, slots: &Slots) -> Result<(), StoreError> {
        match slots.missing() {
            None => Ok(()),
            Some(slot) => Err(self.nobody_has(slot)),
        }
    }

    fn nobody_has(&self, slot: impl fmt::Display) -> StoreError {
        let at = &self.address;
        StoreError::Failed(format!(
            "the Redis cluster at `{at}` has no master for slot {slot}; see what `redis-cli --cluster check` says"
        ))
    }

    fn no_answer(&self) -> String {
        let limit = self.limit.as_millis();
        format!(
            "the Redis cluster at `{}` did not answer in {limit} ms",
            self.address
        )
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cluster").field(&self.address).finish()
    }
}

fn slots_command() -> Cmd {
    let mut command = client::cmd("CLUSTER");
    command.arg("SLOTS");
    command
}

fn node_of(address: &ConnectionAddr) -> Option<Node> {
    match address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Some(Node {
            host: host.clone(),
            port: *port,
        }),
        _ => None,
    }
}

/// The next step for a command that `asked` did not do.
fn next(why: &RedisError, asked: &Node) -> Next {
    let to = || Node::parse(why.redirect_node()?.0, asked);
    match why.kind() {
        ErrorKind::Server(ServerErrorKind::Moved) => to().map_or(Next::GiveUp, Next::Moved),
        ErrorKind::Server(ServerErrorKind::Ask) => to().map_or(Next::GiveUp, Next::Ask),
        ErrorKind::Server(
            ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::BusyLoading
            | ServerErrorKind::ReadOnly,
        ) => Next::Wait,
        ErrorKind::Io => Next::Broken,
        _ => Next::GiveUp,
    }
}

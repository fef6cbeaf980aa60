//! A session with a broker: who waits for what of it, and the task that keeps it.
//!
//! The task reads and writes beside each other and waits for nobody: a slow subscriber has a queue with a bound, and
//! the broker has no more under way to this client than fits. When the connection is lost, another is made, within the
//! same session if the broker still has it; if not, everything is subscribed to again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use withe_provider::BackOff;

use super::connect::{CONNECT, ConnectError, MqttConfig, NoConnection, Stream, Way};
use super::packet::{self, Accepted, Incoming, PacketError, Publish, Qos};
use super::state::{ANSWERS, Asked, Came, Line, Member, MqttState};
use super::topic::subject_of;
use super::work::{Work, flush, put};
use crate::broker::{BrokerError, BrokerMessage, Deliveries, Delivery};
use crate::mqtt_codes::refusal;
use crate::subject::matches;

/// How many messages the broker may have under way to this client that are not acknowledged.
const RECEIVED: u16 = 128;
/// How many messages of a subscription wait here at most; those that the broker acknowledges are no more than [`RECEIVED`].
const WAITING: usize = 4_096;
/// How many bytes of those that nobody acknowledges wait at most. The others are no more than [`RECEIVED`] packets.
const WAITING_BYTES: usize = 64 << 20;
/// How many messages may be under way to the broker.
const SENT: usize = 1_024;
/// Packets that wait to be written; more wait at who sends them.
const OUT: usize = 64;
/// The largest packet that is taken: the broker is told so, and sends none that is larger. A message has two topics at most
/// besides its body, and properties that are of no use here.
const LARGEST_PACKET: u32 = packet::LARGEST_MESSAGE as u32 + (3 << 16);
/// How long a connection may be silent.
const KEEP_ALIVE: u16 = 30;
/// How long the broker keeps the session while there is no connection.
const KEPT: u32 = 60;
/// How long what is to be written yet may take when the session ends.
const LEAVING: Duration = Duration::from_secs(2);
/// How long it is waited before connecting again.
const AGAIN: BackOff = BackOff {
    first: Duration::from_millis(50),
    most: Duration::from_secs(2),
};
/// How often at most it is waited for a broker that is away and has messages of a subscription yet which has ended.
const AWAY: u32 = 8;
/// A session with a broker.
pub(super) struct Session {
    way: Way,
    address: String,
    /// This client's name, which no other has.
    client: String,
    state: Lock<MqttState>,
    /// Held while a subscription is made or ended.
    subscribing: Mutex<()>,
    end: CancellationToken,
    /// How many messages were dropped that nobody acknowledges.
    dropped: AtomicUsize,
}

/// A connection over which the broker let this client in.
struct Connection {
    stream: Box<dyn Stream>,
    /// The bytes that were read behind the broker's answer.
    read: BytesMut,
    accepted: Accepted,
}

impl Session {
    /// Connects, and keeps the session until it is told to end: by one of `tasks`, whose owner waits for them.
    pub(super) async fn begin(
        config: &MqttConfig,
        tasks: &TaskTracker,
    ) -> Result<Arc<Self>, ConnectError> {
        let way = Way::of(config).await?;
        let session = Arc::new(Self {
            address: way.place.address(),
            way,
            client: format!("withe-{:016x}", fastrand::u64(..)),
            state: Lock::default(),
            subscribing: Mutex::default(),
            end: CancellationToken::new(),
            dropped: AtomicUsize::new(0),
        });
        let first = (session.enter(true).await)
            .map_err(|why| ConnectError::new(session.address.clone(), why))?;
        let (line, work) = session.line(&first.accepted);
        session.state().line = Some(line);
        tasks.spawn(session.clone().keep(first, work));
        Ok(session)
    }

    /// Ends the session: what was sent is written, and then the broker forgets it.
    pub(super) fn end(&self) {
        self.end.cancel();
    }

    fn state(&self) -> MutexGuard<'_, MqttState> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn away(&self) -> BrokerError {
        BrokerError::Away(self.address.clone())
    }

    /// Why there is no connection, if there is none.
    pub(super) fn trouble(&self) -> Option<String> {
        match self.state().line {
            Some(_) => None,
            None => Some(format!(
                "the MQTT broker at {} cannot be reached",
                self.address
            )),
        }
    }

    /// The largest packet that the broker takes.
    pub(super) fn largest(&self) -> usize {
        let state = self.state();
        state.line.as_ref().map_or(usize::MAX, |line| line.largest)
    }

    /// Sends a packet that has no answer.
    pub(super) async fn send(&self, packet: Bytes) -> Result<(), BrokerError> {
        let line = self.state().line.clone().ok_or_else(|| self.away())?;
        line.packets.send(packet).await.map_err(|_| self.away())
    }

    /// Sends the packet that `make` makes of its number; the broker's answer. Dropped before the packet is on its way, it
    /// has taken no number; after that, the number stays taken until the answer is there.
    pub(super) async fn ask(&self, make: impl FnOnce(u16) -> Bytes) -> Result<u8, BrokerError> {
        let line = self.state().line.clone().ok_or_else(|| self.away())?;
        let permit = line.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| self.away())?;
        let place = line.packets.reserve().await.map_err(|_| self.away())?;
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut state = self.state();
            // Nobody answers over a connection that was lost meanwhile.
            let is_there =
                (state.line.as_ref()).is_some_and(|now| now.packets.same_channel(&line.packets));
            let asked = Asked {
                answer: Some(answer),
                what: None,
                ends: None,
                _permit: Some(permit),
            };
            is_there.then(|| state.ask(asked)).flatten()
        };
        place.send(make(id.ok_or_else(|| self.away())?));
        let lost = |_| BrokerError::Lost(self.address.clone());
        answered.await.map_err(lost)
    }

    /// A topic on which one answer is waited for.
    pub(super) fn inbox(self: &Arc<Self>) -> (Inbox, oneshot::Receiver<BrokerMessage>) {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state();
        state.last_inbox += 1;
        let topic = format!("withe/inbox/{}/{}", self.client, state.last_inbox);
        state.inboxes.insert(topic.clone(), answer);
        (Inbox(topic, self.clone()), answered)
    }

    /// Nobody waits for the answer any more.
    pub(super) fn no_answer(&self, topic: &str) {
        self.state().inboxes.remove(topic);
    }

    /// Subscribes to a pattern, whose filter this is.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        filter: &str,
        pattern: &str,
        qos: Qos,
    ) -> Result<MqttDeliveries, BrokerError> {
        let _subscribing = self.subscribing.lock().await;
        let (messages, came) = mpsc::channel(WAITING);
        let (member, asks) = self.state().join(filter, pattern, qos, messages);
        // Dropped, it is forgotten again.
        let deliveries = MqttDeliveries {
            session: self.clone(),
            filter: filter.to_owned(),
            member,
            messages: came,
            left: None,
        };
        if let Some(number) = asks {
            let asked = self.ask(|id| packet::subscribe(filter, number, qos, id));
            match asked.await? {
                0..0x80 => {}
                code => return Err(BrokerError::Refused(code)),
            }
        }
        Ok(deliveries)
    }

    /// Ends a member's share of a subscription, and the subscription with the last one. The broker's session, if what it
    /// has of the subscription yet still comes: then the member has to [`part`](Self::forget) when that has come.
    async fn leave(&self, filter: &str, member: u64) -> Option<u64> {
        let _subscribing = self.subscribing.lock().await;
        let is_last = {
            let mut state = self.state();
            let found = state.filters.get(filter);
            let is_last = found.is_some_and(|filter| filter.is_only(member));
            if !is_last {
                state.part(filter, member);
            }
            is_last
        };
        if !is_last {
            return None;
        }
        let told = self.ask(|id| packet::unsubscribe(filter, id)).await;
        let mut state = self.state();
        let left = state.filters.remove(filter)?;
        if told.is_err() {
            state.ended.push(filter.to_owned());
        }
        let waits = left.qos == Qos::AtLeastOnce;
        if waits {
            state.leaving.push(left);
        }
        waits.then_some(state.number)
    }

    /// Whether nothing more can come of a filter that was left in this session.
    ///
    /// The broker sends what it has as long as it has fewer messages under way than it may. So it has nothing more if
    /// it has room after all messages that arrived were acknowledged: those it sent by then are here when it answers.
    /// Messages under way at that time are no more than those unacknowledged before the question and those that came
    /// until the answer.
    async fn is_quiet(&self, filter: &str, session: u64) -> Result<bool, BrokerError> {
        let (waiting, before) = {
            let state = self.state();
            if state.number != session {
                return Ok(true);
            }
            if state.line.is_none() {
                return Err(self.away());
            }
            if state.ended.iter().any(|ended| ended == filter) {
                return Ok(false);
            }
            (state.unacknowledged.len(), state.came)
        };
        // Any question does whose answer comes behind all else. Nobody has subscribed to this.
        let nothing = format!("withe/inbox/{}/none", self.client);
        self.ask(|id| packet::unsubscribe(&nothing, id)).await?;
        let state = self.state();
        let came = usize::try_from(state.came - before).unwrap_or(usize::MAX);
        Ok(state.number != session || waiting.saturating_add(came) < usize::from(RECEIVED))
    }

    /// Ends a member's share without waiting for anybody.
    fn forget(&self, filter: &str, member: u64) {
        let mut state = self.state();
        state.leaving.retain(|left| !left.is_only(member));
        if !state.part(filter, member) {
            return;
        }
        let place = state.line.clone();
        let place = place
            .as_ref()
            .and_then(|line| line.packets.try_reserve().ok());
        match place.and_then(|place| Some((place, state.ask(Asked::end_of(filter))?))) {
            Some((place, id)) => place.send(packet::unsubscribe(filter, id)),
            // The writer sends it when there is room.
            None => state.ended.push(filter.to_owned()),
        }
    }

    /// The packets that tell the broker of filters that have ended.
    fn endings(&self) -> Vec<Bytes> {
        let mut state = self.state();
        let mut packets = Vec::new();
        while let Some(filter) = state.ended.pop() {
            let Some(id) = state.ask(Asked::end_of(&filter)) else {
                state.ended.push(filter);
                break;
            };
            packets.push(packet::unsubscribe(&filter, id));
        }
        packets
    }

    /// The connection is lost.
    fn lost(&self) {
        let mut state = self.state();
        state.line = None;
        // Callers that wait for an answer learn that there is none.
        let asked = std::mem::take(&mut state.asked);
        for filter in asked.into_values().filter_map(|asked| asked.ends) {
            if !state.filters.contains_key(&filter) {
                state.ended.push(filter);
            }
        }
    }

    /// A message's turn has come: the broker need not keep it any more.
    pub(super) fn taken(&self, came: Came) -> BrokerMessage {
        came.waiting
            .fetch_sub(came.message.body.len(), Ordering::Relaxed);
        if let Some((session, id)) = came.id {
            let mut state = self.state();
            if state.number == session {
                state.unacknowledged.remove(&id);
                state.acknowledge(id);
            }
        }
        came.message
    }
}

/// How the task of a connection ends.
enum End {
    /// The session was told to end.
    Told,
    Lost(NoConnection),
}

impl Session {
    /// Connects, and asks the broker to be let in.
    async fn enter(&self, clean: bool) -> Result<Connection, NoConnection> {
        let mut stream = self.way.connect().await?;
        let hello = packet::connect(&packet::Connect {
            client: &self.client,
            user: self.way.place.user.as_deref(),
            password: self.way.place.password.as_deref(),
            clean,
            keep_alive: KEEP_ALIVE,
            session: KEPT,
            receive_maximum: RECEIVED,
            maximum_packet: LARGEST_PACKET,
        });
        let entering = async {
            stream.write_all(&hello).await?;
            stream.flush().await?;
            let mut read = BytesMut::new();
            loop {
                if let Some(answer) = packet::read(&mut read, LARGEST_PACKET as usize)? {
                    return Ok((answer, read));
                }
                if stream.read_buf(&mut read).await? == 0 {
                    return Err(NoConnection::Closed);
                }
            }
        };
        let (answer, read) = timeout(CONNECT, entering)
            .await
            .unwrap_or(Err(NoConnection::Late(CONNECT)))?;
        let accepted = match answer {
            Incoming::Accepted(accepted) => accepted,
            Incoming::Disconnect { code } => return Err(NoConnection::Refused(code)),
            _ => return Err(NoConnection::Packet(PacketError::Kind(0))),
        };
        match accepted {
            Accepted { code: 1.., .. } => Err(NoConnection::Refused(accepted.code)),
            Accepted {
                lacks_qos: true, ..
            } => Err(NoConnection::Lacks("QoS 1")),
            Accepted {
                lacks_subscription_ids: true,
                ..
            } => Err(NoConnection::Lacks("numbers of subscriptions")),
            Accepted {
                lacks_shared_subscriptions: true,
                ..
            } => Err(NoConnection::Lacks("shared subscriptions")),
            accepted => Ok(Connection {
                stream,
                read,
                accepted,
            }),
        }
    }

    fn line(&self, accepted: &Accepted) -> (Line, Work) {
        let (packets, packets_out) = mpsc::channel(OUT);
        let (acknowledged, acknowledged_out) = mpsc::channel(2 * usize::from(RECEIVED));
        let most = accepted.receive_maximum.map_or(SENT, usize::from);
        let line = Line {
            packets,
            acknowledged,
            permits: Arc::new(Semaphore::new(most.clamp(1, SENT))),
            largest: accepted
                .maximum_packet
                .map_or(usize::MAX, |most| most as usize),
        };
        let work = Work {
            packets: packets_out,
            acknowledged: acknowledged_out,
            held: None,
        };
        (line, work)
    }

    /// Keeps a connection, and makes it again whenever it is lost, until it is told to end.
    async fn keep(self: Arc<Self>, first: Connection, work: Work) {
        self.keep_connected(first, work).await;
        self.lost();
    }

    async fn keep_connected(&self, first: Connection, work: Work) {
        let (mut connection, mut work) = (first, work);
        loop {
            match self.drive(connection, work).await {
                End::Told => return,
                End::Lost(why) => tracing::warn!(
                    "the connection to the MQTT broker at {} is lost, and is made again: {why}",
                    self.address
                ),
            }
            self.lost();
            let mut failures = 0;
            connection = loop {
                failures += 1;
                tokio::select! {
                    () = self.end.cancelled() => return,
                    () = sleep(AGAIN.after(failures)) => {}
                }
                tokio::select! {
                    () = self.end.cancelled() => return,
                    entered = self.enter(false) => match entered {
                        Ok(connection) => break connection,
                        Err(why) => tracing::debug!("the MQTT broker at {}: {why}", self.address),
                    }
                }
            };
            tracing::info!("connected to the MQTT broker at {}", self.address);
            let (line, taken) = self.line(&connection.accepted);
            self.state().line = Some(line);
            work = taken;
        }
    }

    /// Reads and writes until the connection is lost, or it is told to end.
    async fn drive(&self, connection: Connection, work: Work) -> End {
        let Connection {
            stream,
            read,
            accepted,
        } = connection;
        let first = self.resume(accepted.session_present);
        let keep_alive = accepted
            .keep_alive
            .map_or(KEEP_ALIVE, |most| most.clamp(2, KEEP_ALIVE));
        let keep_alive = Duration::from_secs(keep_alive.into());
        let (reading, writing) = split(stream);
        let mut writing = std::pin::pin!(self.write(writing, first, work, keep_alive));
        let lost = tokio::select! {
            why = self.read(reading, read, keep_alive) => why,
            why = &mut writing => why,
            () = self.end.cancelled() => {
                self.state().line = None;
                _ = timeout(LEAVING, writing).await;
                return End::Told;
            }
        };
        End::Lost(lost)
    }

    /// The packets that are written first: in a session that the broker has no more, all subscriptions.
    fn resume(&self, session_present: bool) -> Vec<Bytes> {
        if session_present {
            return self.endings();
        }
        let mut state = self.state();
        state.ended.clear();
        let mut packets = Vec::new();
        let mut note = |state: &mut MqttState, what: String, make: &dyn Fn(u16) -> Bytes| {
            let asked = Asked {
                answer: None,
                what: Some(what),
                ends: None,
                _permit: None,
            };
            packets.extend(state.ask(asked).map(make));
        };
        state.number += 1;
        state.unacknowledged.clear();
        let answers = format!("withe/inbox/{}/+", self.client);
        note(&mut state, answers.clone(), &|id| {
            packet::subscribe(&answers, ANSWERS, Qos::AtLeastOnce, id)
        });
        let filters: Vec<_> = state
            .filters
            .iter()
            .map(|(name, filter)| (name.clone(), filter.number, filter.qos))
            .collect();
        for (name, number, qos) in filters {
            note(&mut state, name.clone(), &|id| {
                packet::subscribe(&name, number, qos, id)
            });
        }
        packets
    }

    async fn read(
        &self,
        mut reading: ReadHalf<Box<dyn Stream>>,
        mut buffer: BytesMut,
        keep_alive: Duration,
    ) -> NoConnection {
        loop {
            match packet::read(&mut buffer, LARGEST_PACKET as usize) {
                Ok(Some(incoming)) => {
                    if let Err(why) = self.take(incoming) {
                        return why;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(why) => return why.into(),
            }
            // Asked twice in this time whether it is there, the broker has answered.
            match timeout(keep_alive, reading.read_buf(&mut buffer)).await {
                Ok(Ok(0)) => return NoConnection::Closed,
                Ok(Ok(_)) => {}
                Ok(Err(why)) => return why.into(),
                Err(_) => return NoConnection::Late(keep_alive),
            }
        }
    }

    fn take(&self, incoming: Incoming) -> Result<(), NoConnection> {
        match incoming {
            Incoming::Publish(publish) => self.deliver(publish),
            Incoming::Published { id, code } | Incoming::Subscribed { id, code } => {
                self.answered(id, code);
            }
            Incoming::Unsubscribed { id } => self.answered(id, 0),
            Incoming::Pong => {}
            Incoming::Disconnect { code } => return Err(NoConnection::Refused(code)),
            Incoming::Accepted(_) => return Err(NoConnection::Packet(PacketError::Kind(0x20))),
        }
        Ok(())
    }

    fn answered(&self, id: u16, code: u8) {
        let asked = self.state().asked.remove(&id);
        let Some(Asked { answer, what, .. }) = asked else {
            return;
        };
        if let Some(answer) = answer {
            // The caller may have gone.
            _ = answer.send(code);
        } else if let (Some(what), 0x80..) = (what, code) {
            tracing::warn!(
                "the MQTT broker at {} refuses a subscription to `{what}`: {}",
                self.address,
                refusal(code)
            );
        }
    }

    /// Hands a message to those it is for: one of each filter's members, the next in turn.
    fn deliver(&self, publish: Publish) {
        let mut state = self.state();
        let MqttState {
            filters,
            leaving,
            unacknowledged,
            came: all,
            number,
            ..
        } = &mut *state;
        *all += u64::from(publish.id.is_some());
        if publish.id.is_some_and(|id| unacknowledged.contains(&id)) {
            // The message came once more, and waits already.
            return;
        }
        let subject = subject_of(&publish.topic);
        let message = || BrokerMessage {
            subject: subject.clone(),
            body: publish.body.clone(),
            reply_to: publish.response_topic.as_deref().map(subject_of),
        };
        // The first who takes it acknowledges it.
        let mut id = publish.id.map(|id| (*number, id));
        let mut is_wanted = false;
        let all = filters.values_mut().chain(leaving);
        for filter in all.filter(|filter| {
            publish.subscriptions.contains(&filter.number) && matches(&filter.pattern, &subject)
        }) {
            is_wanted = true;
            let came = |member: &Member, id| Came {
                message: message(),
                id,
                waiting: member.waiting.clone(),
            };
            filter.turn = filter.turn.wrapping_add(1);
            let count = filter.members.len();
            let mut order = (0..count).map(|n| &filter.members[(filter.turn + n) % count]);
            let bytes = publish.body.len();
            let is_taken = order.any(|member| {
                // There is always room for those that the broker keeps until they are acknowledged: the first copy.
                let has_room = id.is_some()
                    || member.messages.capacity() > usize::from(RECEIVED)
                        && member.waiting.load(Ordering::Relaxed) + bytes <= WAITING_BYTES;
                // Counted before it can be taken out.
                member.waiting.fetch_add(bytes, Ordering::Relaxed);
                let is_taken = has_room && member.messages.try_send(came(member, id)).is_ok();
                if !is_taken {
                    member.waiting.fetch_sub(bytes, Ordering::Relaxed);
                }
                is_taken
            });
            match is_taken {
                true => {
                    if let Some((_, id)) = id.take() {
                        unacknowledged.insert(id);
                    }
                }
                false => self.note_dropped(),
            }
        }
        if publish.subscriptions.contains(&ANSWERS) {
            // The caller may have gone.
            if let Some(answer) = state.inboxes.remove(&publish.topic) {
                _ = answer.send(message());
            }
        } else if !is_wanted {
            self.note_dropped();
        }
        if let Some((_, id)) = id {
            state.acknowledge(id);
        }
    }

    /// One more message was dropped; said of the first, and of so many.
    fn note_dropped(&self) {
        let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        if dropped.is_power_of_two() {
            tracing::warn!(
                "{dropped} messages of the MQTT broker at {} were dropped: more wait for their components than are kept, or \
                 their links have ended",
                self.address
            );
        }
    }
}

/// The messages of a subscription.
pub(super) struct MqttDeliveries {
    session: Arc<Session>,
    filter: String,
    /// Its number among those who share the subscription here.
    member: u64,
    messages: mpsc::Receiver<Came>,
    /// The broker's session in which the subscription was left, while what it has of it still comes.
    left: Option<u64>,
}

impl MqttDeliveries {
    /// The next message that comes yet of a subscription that was left.
    async fn rest(&mut self, session: u64) -> Option<Came> {
        let (mut attempts, mut failures) = (0_u32, 0_u32);
        loop {
            let is_quiet = tokio::select! {
                biased;
                came = self.messages.recv() => return came,
                is_quiet = self.session.is_quiet(&self.filter, session) => is_quiet,
            };
            attempts += 1;
            match is_quiet {
                Ok(false) => {}
                Err(_) if failures < AWAY => failures += 1,
                // Nothing more can come, or the broker is away and nobody waits for it as long as it keeps the session.
                Ok(true) | Err(_) => {
                    self.session.forget(&self.filter, self.member);
                    self.messages.close();
                    return self.messages.recv().await;
                }
            }
            tokio::select! {
                came = self.messages.recv() => return came,
                () = sleep(AGAIN.after(attempts)) => {}
            }
        }
    }
}

#[async_trait::async_trait]
impl Deliveries for MqttDeliveries {
    async fn next(&mut self) -> Option<Delivery> {
        let came = match self.left {
            Some(session) => self.rest(session).await?,
            None => self.messages.recv().await?,
        };
        let message = self.session.taken(came);
        Some(Delivery {
            message,
            receipt: None,
        })
    }

    async fn leave(&mut self) {
        let left = timeout(CONNECT, self.session.leave(&self.filter, self.member)).await;
        self.left = left.unwrap_or_default();
        if self.left.is_none() {
            self.messages.close();
        }
    }
}

impl Drop for MqttDeliveries {
    fn drop(&mut self) {
        self.session.forget(&self.filter, self.member);
        self.messages.close();
        while let Ok(came) = self.messages.try_recv() {
            drop(self.session.taken(came));
            self.session.note_dropped();
        }
    }
}

/// A topic on which one answer is waited for.
pub(super) struct Inbox(pub(super) String, Arc<Session>);

impl Drop for Inbox {
    fn drop(&mut self) {
        self.1.no_answer(&self.0);
    }
}

impl Session {
    /// Writes what is sent, until nobody can send any more; then leaves.
    async fn write(
        &self,
        mut writing: WriteHalf<Box<dyn Stream>>,
        first: Vec<Bytes>,
        mut work: Work,
        keep_alive: Duration,
    ) -> NoConnection {
        let written = async {
            for packet in first {
                put(&mut writing, &packet, keep_alive).await?;
            }
            let mut ping = Instant::now() + keep_alive / 3;
            loop {
                for packet in self.endings() {
                    put(&mut writing, &packet, keep_alive).await?;
                }
                flush(&mut writing, keep_alive).await?;
                // Asked first whether it is time: there may always be something to write, and a broker that acknowledges
                // nothing of that answers to nothing else.
                let next = tokio::select! {
                    biased;
                    () = sleep_until(ping) => {
                        ping = Instant::now() + keep_alive / 3;
                        Some(packet::ping())
                    }
                    next = work.next() => next,
                };
                let Some(packet) = next else { break };
                put(&mut writing, &packet, keep_alive).await?;
                // Packets that wait besides go in the same write, so many of them as fit between two looks at the clock.
                for _ in 0..OUT {
                    let Some(packet) = work.ready() else {
                        break;
                    };
                    put(&mut writing, &packet, keep_alive).await?;
                    if Instant::now() >= ping {
                        break;
                    }
                }
            }
            put(&mut writing, &packet::disconnect(), keep_alive).await?;
            flush(&mut writing, keep_alive).await?;
            writing.shutdown().await?;
            Ok::<_, NoConnection>(())
        };
        match written.await {
            Ok(()) => NoConnection::Closed,
            Err(why) => why,
        }
    }
}

#[cfg(test)]
mod tests;

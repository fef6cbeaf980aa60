//! A connection to Redis over `wasi:sockets`, every wait of which has a deadline.

use std::io::{self, Read};
use std::net::IpAddr;
use std::time::Duration;

use ::redis as client;
use client::{Cmd, Parser, Value};

use crate::config::RedisConfig;
use crate::wit::wasi::clocks::monotonic_clock::{now, subscribe_instant};
use crate::wit::wasi::io::poll::{Pollable, poll};
use crate::wit::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::wit::wasi::sockets::instance_network::instance_network;
use crate::wit::wasi::sockets::ip_name_lookup::resolve_addresses;
use crate::wit::wasi::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
    Network,
};
use crate::wit::wasi::sockets::tcp::TcpSocket;
use crate::wit::wasi::sockets::tcp_create_socket::create_tcp_socket;

/// The most bytes that are read at a time.
const PIECE: u64 = 64 << 10;

/// The moment by which something has to be over.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    /// Of the monotonic clock.
    at: u64,
    limit: Duration,
}

impl Deadline {
    pub(super) fn after(limit: Duration) -> Self {
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        Self {
            at: now().saturating_add(nanos),
            limit,
        }
    }

    /// How long there is until then.
    pub(super) fn left(self) -> Duration {
        Duration::from_nanos(self.at.saturating_sub(now()))
    }

    /// The moment by which the first of `parts` has to be over that are to come one after the other, each with as much time.
    fn first_of(self, parts: usize) -> Self {
        Self {
            at: now().saturating_add(share(self.left(), parts)),
            limit: self.limit,
        }
    }

    fn check(self) -> Result<(), NoAnswer> {
        match self.left().is_zero() {
            true => Err(NoAnswer::Late(self.limit)),
            false => Ok(()),
        }
    }

    /// Waits until something is ready.
    fn wait(self, ready: &Pollable) -> Result<(), NoAnswer> {
        let over = subscribe_instant(self.at);
        match poll(&[ready, &over]).contains(&0) {
            true => Ok(()),
            false => Err(NoAnswer::Late(self.limit)),
        }
    }
}

/// Waits for so long.
pub(super) fn pause(duration: Duration) {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    subscribe_instant(now().saturating_add(nanos)).block();
}

/// Why there is no answer, or no connection that could give one.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error(
        "this component is not granted the network: write `grants: {{network: true}}` below its `properties`, where \
         the policy of its host allows that"
    )]
    NotGranted,
    #[error("its name has no address")]
    NoAddress,
    #[error(
        "its name cannot be looked up; if this component is not granted the network, write \
         `grants: {{network: true}}` below its `properties`"
    )]
    NoLookup,
    #[error("{}", socket_error(.0))]
    Socket(ErrorCode),
    #[error("no answer in {} ms", .0.as_millis())]
    Late(Duration),
    #[error("the connection was closed")]
    Closed,
    #[error("{0}")]
    Stream(String),
    /// The server says no.
    #[error(transparent)]
    Refused(client::RedisError),
    /// The answer is none of Redis's.
    #[error("the answer cannot be understood: {0}")]
    Malformed(client::RedisError),
}

fn socket_error(code: &ErrorCode) -> String {
    match code {
        ErrorCode::ConnectionRefused => "the connection was refused".into(),
        ErrorCode::RemoteUnreachable => "there is no way to it".into(),
        ErrorCode::Timeout => "it did not answer".into(),
        other => other.name().into(),
    }
}

impl From<ErrorCode> for NoAnswer {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::AccessDenied => Self::NotGranted,
            code => Self::Socket(code),
        }
    }
}

impl From<StreamError> for NoAnswer {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Closed => Self::Closed,
            StreamError::LastOperationFailed(why) => Self::Stream(why.to_debug_string()),
        }
    }
}

/// A connection. The streams are dropped before the socket that they are of.
pub(super) struct Connection {
    input: InputStream,
    output: OutputStream,
    _socket: TcpSocket,
    parser: Parser,
}

impl Connection {
    /// Connects, and says who asks and which database is meant. Of several addresses each has an equal share of the time that is left,
    /// so that one that drops what is sent does not keep from those behind it. `attempt` says at which one to begin.
    pub(super) fn open(
        config: &RedisConfig,
        deadline: Deadline,
        attempt: usize,
    ) -> Result<Self, NoAnswer> {
        let network = instance_network();
        let mut addresses = addresses(&network, &config.host, deadline)?;
        begin_at(&mut addresses, attempt);
        let mut last = NoAnswer::NoAddress;
        for (tried, address) in addresses.iter().enumerate() {
            let deadline = deadline.first_of(addresses.len() - tried);
            let opened = Self::to(&network, *address, config.port, deadline);
            match opened.and_then(|connection| connection.greeted(config, deadline)) {
                Ok(connection) => return Ok(connection),
                Err(why @ NoAnswer::Refused(_)) => return Err(why),
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    fn to(
        network: &Network,
        address: IpAddr,
        port: u16,
        deadline: Deadline,
    ) -> Result<Self, NoAnswer> {
        let (family, remote) = socket_address(address, port);
        let socket = create_tcp_socket(family)?;
        socket.start_connect(network, remote)?;
        let ready = socket.subscribe();
        let (input, output) = loop {
            match socket.finish_connect() {
                Ok(streams) => break streams,
                Err(ErrorCode::WouldBlock) => deadline.wait(&ready)?,
                Err(code) => return Err(code.into()),
            }
        };
        drop(ready);
        Ok(Self {
            input,
            output,
            _socket: socket,
            parser: Parser::new(),
        })
    }

    fn greeted(mut self, config: &RedisConfig, deadline: Deadline) -> Result<Self, NoAnswer> {
        if let Some(password) = &config.password {
            let mut auth = client::cmd("AUTH");
            if let Some(user) = &config.user {
                auth.arg(user);
            }
            self.ask(auth.arg(password), deadline)?;
        }
        if config.database != 0 {
            self.ask(client::cmd("SELECT").arg(config.database), deadline)?;
        }
        Ok(self)
    }

    /// Whether the other end has not closed it, as far as that is known without asking.
    pub(super) fn is_open(&self) -> bool {
        // Nothing comes that was not asked for.
        self.input.read(1).is_ok_and(|bytes| bytes.is_empty())
    }

    /// Sends a command and waits for its answer. After any error but [`NoAnswer::Refused`] nothing can be said any more
    /// of what comes over the connection.
    pub(super) fn ask(&mut self, command: &Cmd, deadline: Deadline) -> Result<Value, NoAnswer> {
        self.send(&command.get_packed_command(), deadline)?;
        let mut incoming = Incoming {
            stream: &self.input,
            deadline,
            has_begun: false,
            failure: None,
        };
        let answer = self.parser.parse_value(&mut incoming);
        match (answer, incoming.failure) {
            (Ok(answer), _) => answer.extract_error().map_err(NoAnswer::Refused),
            (Err(_), Some(failure)) => Err(failure),
            (Err(why), None) => Err(NoAnswer::Malformed(why)),
        }
    }

    fn send(&self, mut bytes: &[u8], deadline: Deadline) -> Result<(), NoAnswer> {
        let ready = self.output.subscribe();
        while !bytes.is_empty() {
            // A server that takes a little at a time may be late as well.
            deadline.check()?;
            let room = usize::try_from(self.output.check_write()?).unwrap_or(usize::MAX);
            if room == 0 {
                deadline.wait(&ready)?;
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.output.write(now)?;
            bytes = later;
        }
        Ok(self.output.flush()?)
    }
}

/// The answers on a connection, as they come.
struct Incoming<'a> {
    stream: &'a InputStream,
    deadline: Deadline,
    /// Whether a part of the answer has come.
    has_begun: bool,
    /// Why nothing comes any more: whoever reads knows errors of another type.
    failure: Option<NoAnswer>,
}

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = PIECE.min(buffer.len() as u64);
        let mut read = || loop {
            // An answer that keeps coming may be late as well. One that is there when it is looked for is not.
            if self.has_begun {
                self.deadline.check()?;
            }
            let bytes = self.stream.read(room)?;
            if !bytes.is_empty() {
                self.has_begun = true;
                return Ok(bytes);
            }
            self.deadline.wait(&self.stream.subscribe())?;
        };
        match read() {
            Ok(bytes) => {
                // No more bytes come than were asked for.
                buffer[..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            }
            Err(why) => {
                self.failure = Some(why);
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
    }
}

/// An equal share of a time for the first of `parts`, in nanoseconds.
fn share(left: Duration, parts: usize) -> u64 {
    let left = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
    left / (parts.max(1) as u64)
}

/// Has attempts begin at one address after the other.
fn begin_at(addresses: &mut [IpAddr], attempt: usize) {
    if let Some(first) = attempt.checked_rem(addresses.len()) {
        addresses.rotate_left(first);
    }
}

/// The addresses of a host, by name or by itself.
fn addresses(network: &Network, host: &str, deadline: Deadline) -> Result<Vec<IpAddr>, NoAnswer> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let no_lookup = |code| match code {
        ErrorCode::AccessDenied => NoAnswer::NotGranted,
        ErrorCode::NameUnresolvable => NoAnswer::NoAddress,
        // Hosts say this, too, where the network is not granted.
        ErrorCode::PermanentResolverFailure => NoAnswer::NoLookup,
        code => NoAnswer::Socket(code),
    };
    let found = resolve_addresses(network, host).map_err(no_lookup)?;
    let ready = found.subscribe();
    let mut addresses = Vec::new();
    loop {
        match found.resolve_next_address() {
            Ok(Some(address)) => addresses.push(ip_address(address)),
            Ok(None) => return Ok(addresses),
            Err(ErrorCode::WouldBlock) => deadline.wait(&ready)?,
            Err(code) => return Err(no_lookup(code)),
        }
    }
}

fn ip_address(address: IpAddress) -> IpAddr {
    match address {
        IpAddress::Ipv4((a, b, c, d)) => IpAddr::from([a, b, c, d]),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => IpAddr::from([a, b, c, d, e, f, g, h]),
    }
}

fn socket_address(address: IpAddr, port: u16) -> (IpAddressFamily, IpSocketAddress) {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            let address = Ipv4SocketAddress {
                port,
                address: (a, b, c, d),
            };
            (IpAddressFamily::Ipv4, IpSocketAddress::Ipv4(address))
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.segments();
            let address = Ipv6SocketAddress {
                port,
                flow_info: 0,
                address: (a, b, c, d, e, f, g, h),
                scope_id: 0,
            };
            (IpAddressFamily::Ipv6, IpSocketAddress::Ipv6(address))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_begins_at_another_address() {
        let all = [[1; 4], [2; 4], [3; 4]].map(IpAddr::from);
        let begun = |attempt| {
            let mut addresses = all;
            begin_at(&mut addresses, attempt);
            addresses.map(|address| all.iter().position(|a| *a == address))
        };
        let order = |a, b, c| [Some(a), Some(b), Some(c)];
        assert_eq!(begun(0), order(0, 1, 2));
        assert_eq!(begun(1), order(1, 2, 0));
        assert_eq!(begun(5), order(2, 0, 1));
        begin_at(&mut [], 1);
    }

    #[test]
    fn an_address_that_does_not_answer_leaves_time_for_those_behind_it() {
        // Each takes all that it is given.
        let mut left = Duration::from_secs(3);
        for behind in [2, 1, 0] {
            left -= Duration::from_nanos(share(left, behind + 1));
            assert_eq!(left, Duration::from_secs(behind as u64));
        }
        assert_eq!(share(Duration::ZERO, 2), 0);
        assert_eq!(share(Duration::MAX, 1), u64::MAX);
    }
}

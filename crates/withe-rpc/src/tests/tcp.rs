//! TCP with TLS: who is let in and who is not, and what is noticed of a peer that vanishes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::target::{ArcTarget, ECHO, HANG, NOTE, Target};
use super::{AGES, context, payload, request, until, within};
use crate::tcp::{TcpConnector, TcpListener};
use crate::{
    CallError, Client, Connect, Fingerprint, Identity, Limits, Listener, Members, Payload, serve,
};

fn identity() -> Identity {
    Identity::generate().unwrap()
}

/// A connector, and the listener that it connects to.
pub(crate) async fn both() -> (TcpConnector, TcpListener) {
    let (client, server) = (identity(), identity());
    let members = Members::new([client.fingerprint()].into());
    let listener = TcpListener::bind("127.0.0.1:0", &server, members)
        .await
        .unwrap();
    let addr = listener.local_addr().unwrap();
    let connect = connector(addr, &client, server.fingerprint());
    (connect, listener)
}

fn connector(addr: SocketAddr, identity: &Identity, expected: Fingerprint) -> TcpConnector {
    TcpConnector::new([addr.to_string()], identity, expected).unwrap()
}

/// A server, as a host has it.
struct Host {
    identity: Identity,
    members: Members,
    addr: SocketAddr,
    target: Arc<Target>,
    tasks: JoinSet<()>,
}

impl Host {
    async fn start() -> Self {
        Self::start_at("127.0.0.1:0", identity(), Members::default()).await
    }

    async fn start_at(addr: &str, identity: Identity, members: Members) -> Self {
        let listener = TcpListener::bind(addr, &identity, members.clone())
            .await
            .unwrap();
        let (addr, target) = (listener.local_addr().unwrap(), Target::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(
            listener,
            Arc::new(ArcTarget(target.clone())),
            Limits::default(),
            std::future::pending(),
        ));
        Self {
            identity,
            members,
            addr,
            target,
            tasks,
        }
    }

    fn client(&self, identity: &Identity) -> Arc<Client> {
        let connect = connector(self.addr, identity, self.identity.fingerprint());
        Client::new(Arc::new(connect), Limits::default())
    }

    fn admit(&self, identity: &Identity) {
        self.members.replace([identity.fingerprint()].into());
    }
}

/// Why one attempt to connect failed.
async fn failure(client: &Arc<Client>) -> String {
    match client.try_connection(Instant::now() + AGES).await {
        Err(CallError::Unreachable(text)) => text,
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[tokio::test]
async fn only_members_are_let_in() {
    let host = Host::start().await;
    let (member, stranger) = (identity(), identity());
    host.admit(&member);
    let session = host.client(&member).link(request()).session();
    let sent = vec![7; 1 << 20];
    let result = session.call(ECHO, payload(sent.clone()), context()).await;
    assert!(result.unwrap().bytes == sent);

    let text = failure(&host.client(&stranger)).await;
    assert_eq!(
        text,
        format!(
            "cannot connect to `{}`: the other side does not know this one as a member of its lattice",
            host.addr
        )
    );
    assert_eq!(host.target.sessions(), 1);
}

#[tokio::test]
async fn only_the_host_that_is_expected_is_talked_to() {
    let host = Host::start().await;
    let member = identity();
    host.admit(&member);
    let connect = connector(host.addr, &member, member.fingerprint());
    let e = connect.connect().await.err().unwrap();
    assert!(e.to_string().contains("invalid peer certificate"), "{e}");
}

#[tokio::test]
async fn who_is_no_member_any_more_loses_its_connection_and_gets_no_other() {
    let host = Host::start().await;
    let (stays, goes) = (identity(), identity());
    host.members
        .replace([stays.fingerprint(), goes.fingerprint()].into());
    let (staying, going) = (host.client(&stays), host.client(&goes));
    let stays_on = staying.link(request()).session();
    let session = going.link(request()).session();
    stays_on.call(NOTE, payload([1]), context()).await.unwrap();
    let (lost, ()) = tokio::join!(session.call(HANG, Payload::default(), context()), async {
        until("the call runs", || host.target.running() == 1).await;
        host.admit(&stays);
    });
    assert!(matches!(lost, Err(CallError::Unreachable(_))), "{lost:?}");
    until("the call ends", || host.target.running() == 0).await;
    let text = failure(&going).await;
    assert!(text.contains("does not know this one"), "{text}");
    stays_on.call(NOTE, payload([2]), context()).await.unwrap();
    assert_eq!(host.target.sessions(), 1);
}

/// A client without a certificate, which accepts any.
fn anonymous(version: &'static rustls::SupportedProtocolVersion) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

async fn handshake_error(addr: SocketAddr, config: ClientConfig) -> io::Error {
    let stream = TcpStream::connect(addr).await.unwrap();
    let name = ServerName::try_from("withe").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.err().unwrap()
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let host = Host::start().await;
    let e = handshake_error(host.addr, anonymous(&TLS12)).await;
    assert!(e.to_string().contains("ProtocolVersion"), "{e}");
}

#[tokio::test]
async fn other_protocols_are_refused() {
    let host = Host::start().await;
    let mut config = anonymous(&TLS13);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let e = handshake_error(host.addr, config).await;
    assert!(e.to_string().contains("NoApplicationProtocol"), "{e}");
}

#[tokio::test]
async fn whoever_does_not_say_that_it_speaks_the_protocol_is_refused() {
    let host = Host::start().await;
    let member = identity();
    host.admit(&member);
    let mut config = crate::tls::client(&member, host.identity.fingerprint()).unwrap();
    config.alpn_protocols.clear();
    let stream = TcpStream::connect(host.addr).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("withe").unwrap();
    // The handshake itself succeeds.
    let mut stream = connector.connect(name, stream).await.unwrap();
    let mut out = Vec::new();
    crate::hello::put(&mut out, &Limits::default());
    _ = stream.write_all(&out).await;
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, []);
}

#[tokio::test]
async fn what_is_not_tls_is_refused_and_others_are_served() {
    let host = Host::start().await;
    let member = identity();
    host.admit(&member);
    let long = vec![0xff; 1 << 20];
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"WITHE\r\n\0", b"", &long] {
        let mut stream = TcpStream::connect(host.addr).await.unwrap();
        // The server may hang up before all was written.
        _ = stream.write_all(garbage).await;
        _ = stream.shutdown().await;
        _ = stream.read_to_end(&mut Vec::new()).await;
    }
    let session = host.client(&member).link(request()).session();
    session.call(NOTE, payload([1]), context()).await.unwrap();
}

#[tokio::test]
async fn slow_handshakes_do_not_keep_others_waiting() {
    let host = Host::start().await;
    let member = identity();
    host.admit(&member);
    // Many times as many as there may be at a time, which would all have to be waited for.
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(TcpStream::connect(host.addr).await.unwrap());
    }
    let session = host.client(&member).link(request()).session();
    let call = session.call(ECHO, payload([7]), within(Duration::from_secs(9)));
    assert_eq!(call.await.unwrap().bytes, [7]);
    // The oldest were given up: what a client of theirs reads is the end.
    let mut byte = [0];
    let read = tokio::time::timeout(AGES, slow[0].read(&mut byte)).await;
    assert!(matches!(read.unwrap(), Ok(0) | Err(_)));
}

#[tokio::test]
async fn accepting_can_be_given_up_and_gone_on_with() {
    let (connect, mut listener) = both().await;
    let connecting = tokio::spawn(async move { connect.connect().await.map(drop) });
    loop {
        // Given up each time after it was polled once.
        tokio::select! {
            biased;
            accepted = listener.accept() => break drop(accepted.unwrap()),
            () = tokio::task::yield_now() => {}
        }
    }
    connecting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_host_that_starts_again_is_found_again() {
    let member = identity();
    let mut host = Host::start().await;
    host.admit(&member);
    let session = host.client(&member).link(request()).session();
    session.call(NOTE, payload([1]), context()).await.unwrap();
    host.tasks.shutdown().await;
    let (addr, members) = (host.addr.to_string(), host.members.clone());
    let host = Host::start_at(&addr, host.identity.clone(), members).await;
    // The call may be lost only now, when nobody knows whether it took place; the next is made
    // anew.
    _ = session.call(NOTE, payload([2]), context()).await;
    session.call(NOTE, payload([3]), context()).await.unwrap();
    assert!(host.target.has_noted("call 3"));
}

#[tokio::test]
async fn all_addresses_are_tried() {
    let host = Host::start().await;
    let member = identity();
    host.admit(&member);
    // Bound, so that nobody else listens there, and not listening.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let closed = nobody.local_addr().unwrap();
    let addrs = [
        "no such name".to_owned(),
        closed.to_string(),
        host.addr.to_string(),
    ];
    let connect = TcpConnector::new(&addrs[..2], &member, host.identity.fingerprint()).unwrap();
    assert_eq!(connect.to_string(), format!("`no such name` or `{closed}`"));
    let text = connect.connect().await.err().unwrap().to_string();
    assert!(text.starts_with("`no such name`: "), "{text}");
    assert!(text.contains(&format!("; `{closed}`: ")), "{text}");
    let connect = TcpConnector::new(addrs, &member, host.identity.fingerprint()).unwrap();
    connect.connect().await.unwrap();
}

/// A line to `addr` that can be cut so that neither side is told.
async fn line(addr: SocketAddr) -> (SocketAddr, watch::Sender<bool>, JoinSet<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (cut, is_cut) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut lines = JoinSet::new();
        while let Ok((mut from, _)) = listener.accept().await {
            let mut is_cut = is_cut.clone();
            lines.spawn(async move {
                let mut to = TcpStream::connect(addr).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut from, &mut to) => return,
                    _ = is_cut.wait_for(|cut| *cut) => {}
                }
                // Both sockets stay open, and nothing is read.
                std::future::pending().await
            });
        }
    });
    (at, cut, tasks)
}

#[tokio::test]
async fn a_host_that_vanished_is_noticed() {
    let host = Host::start().await;
    let member = identity();
    host.admit(&member);
    let (addr, cut, _line) = line(host.addr).await;
    let limits = Limits {
        keep_alive: Duration::from_millis(50),
        // Long enough for a live host to answer on a busy machine.
        answer: Duration::from_secs(3),
        ..Limits::default()
    };
    let connect = connector(addr, &member, host.identity.fingerprint());
    let client = Client::new(Arc::new(connect), limits);
    let session = client.link(request()).session();
    session.call(NOTE, payload([1]), context()).await.unwrap();
    let (result, ()) = tokio::join!(session.call(HANG, Payload::default(), context()), async {
        until("the call runs", || host.target.running() == 1).await;
        cut.send_replace(true);
    });
    let Err(CallError::Unreachable(text)) = result else {
        panic!("{result:?}")
    };
    assert!(
        text.contains("does not answer any more; whether the call took place is not known"),
        "{text}"
    );
    // A new line to the same host is as good as the old one was.
    cut.send_replace(false);
    session.call(NOTE, payload([2]), context()).await.unwrap();
}

#[tokio::test]
async fn tcp_connections_are_watched_closely_by_themselves() {
    let (connect, mut listener) = both().await;
    let (connected, accepted) = tokio::join!(connect.connect(), listener.accept());
    for duplex in [connected.unwrap(), accepted.unwrap()] {
        let keep_alive = duplex.keep_alive.unwrap();
        // The server knows after twice that at most.
        assert!(keep_alive.after + keep_alive.answer <= Duration::from_secs(8));
    }
}

//! Connections over NATS, through a real server.

use std::io;
use std::time::Duration;

use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::timeout;
use withe_lattice::transport::{NatsConnector, NatsListener};
use withe_rpc::{Connect, Duplex, Listener};
use withe_testing::nats::NatsServer;

/// Long enough for anything that ends at all.
const AGES: Duration = Duration::from_secs(60);

type Reader = Box<dyn tokio::io::AsyncRead + Send + Unpin>;
type Writer = Box<dyn tokio::io::AsyncWrite + Send + Unpin>;

async fn client(server: &NatsServer) -> async_nats::Client {
    let options =
        async_nats::ConnectOptions::new().reconnect_delay_callback(|_| Duration::from_millis(20));
    options.connect(server.url()).await.unwrap()
}

/// Two hosts on one server, each with its own connection to it.
struct Pair {
    server: NatsServer,
    listener: NatsListener,
    connector: NatsConnector,
    listening: async_nats::Client,
}

impl Pair {
    async fn new() -> Self {
        Self::on(NatsServer::start().unwrap()).await
    }

    async fn on(server: NatsServer) -> Self {
        let listening = client(&server).await;
        let listener = NatsListener::bind(listening.clone(), "test", "host").await;
        let listener = listener.unwrap();
        settle(&listening).await;
        let connector = NatsConnector::new(client(&server).await, "test", "host").unwrap();
        Self {
            server,
            listener,
            connector,
            listening,
        }
    }

    /// Both ends of a new connection: who connects first.
    async fn connect(&mut self) -> [(Reader, Writer); 2] {
        let (ours, theirs) = tokio::join!(self.connector.connect(), self.listener.accept());
        [ours.unwrap().into_halves(), theirs.unwrap().into_halves()]
    }
}

/// Waits until the server has seen all that this client told it.
async fn settle(client: &async_nats::Client) {
    // Nobody answers, which the server says at once.
    client
        .request(client.new_inbox(), "".into())
        .await
        .unwrap_err();
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| ((n / 3) ^ (n / 1_000)) as u8).collect()
}

async fn within_ages<T>(future: impl Future<Output = T>) -> T {
    timeout(AGES, future).await.expect("it ends")
}

/// Sends back what comes, until the end.
async fn echo(duplex: Duplex) {
    let (mut reader, mut writer) = duplex.into_halves();
    tokio::io::copy(&mut reader, &mut writer).await.unwrap();
    writer.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_streams_in_both_directions() {
    let mut pair = Pair::new().await;
    let [(mut reader, mut writer), (mut far_reader, mut far_writer)] = pair.connect().await;
    let there = pattern(20_000_003);
    let back = pattern(7_000_001);
    let (a, b) = (there.clone(), back.clone());
    let writing = tokio::spawn(async move {
        writer.write_all(&a).await.unwrap();
        writer.shutdown().await.unwrap();
        writer
    });
    let far_writing = tokio::spawn(async move {
        far_writer.write_all(&b).await.unwrap();
        far_writer.shutdown().await.unwrap();
        far_writer
    });
    let (mut got, mut far_got) = (Vec::new(), Vec::new());
    let read = async {
        tokio::join!(
            reader.read_to_end(&mut got),
            far_reader.read_to_end(&mut far_got)
        )
    };
    let (read, far_read) = within_ages(read).await;
    read.unwrap();
    far_read.unwrap();
    assert!(got == back && far_got == there);
    writing.await.unwrap();
    far_writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_at_once() {
    let mut pair = Pair::new().await;
    let mut echoes = JoinSet::new();
    let serving = async {
        for _ in 0..100 {
            let duplex = pair.listener.accept().await.unwrap();
            echoes.spawn(echo(duplex));
        }
    };
    let mut callers = JoinSet::new();
    for n in 0..100 {
        let connector = pair.connector.clone();
        callers.spawn(async move {
            let (mut reader, mut writer) = connector.connect().await.unwrap().into_halves();
            let bytes = pattern(1_000 * n + 1);
            let mut got = Vec::new();
            let write = async {
                writer.write_all(&bytes).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            let ((), read) = tokio::join!(write, reader.read_to_end(&mut got));
            read.unwrap();
            assert!(got == bytes);
        });
    }
    within_ages(serving).await;
    within_ages(callers.join_all()).await;
    within_ages(echoes.join_all()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_stops_its_writer_and_no_other() {
    let mut pair = Pair::new().await;
    let [(_reader, mut writer), (mut far_reader, _far_writer)] = pair.connect().await;
    let mut written = 0;
    let piece = pattern(10_000);
    // The writer stops by itself: then nothing moves however long one waits.
    while let Ok(n) = timeout(Duration::from_millis(300), writer.write(&piece)).await {
        written += n.unwrap();
        assert!(written < 2 << 20, "the window bounds it");
    }
    let [
        (mut reader, mut other_writer),
        (mut other_reader, mut far_writer),
    ] = pair.connect().await;
    let other = async {
        other_writer.write_all(b"ping").await.unwrap();
        other_reader.read_exact(&mut [0; 4]).await.unwrap();
        far_writer.write_all(b"pong").await.unwrap();
        reader.read_exact(&mut [0; 4]).await.unwrap();
    };
    within_ages(other).await;
    // And goes on when it is read.
    let mut read = vec![0; written];
    within_ages(far_reader.read_exact(&mut read)).await.unwrap();
    within_ages(writer.write_all(&piece)).await.unwrap();
    within_ages(far_reader.read_exact(&mut read[..10_000]))
        .await
        .unwrap();
    assert!(read[..10_000] == piece);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_maximum_payloads_are_kept_to() {
    let server = NatsServer::start_with("max_payload: 1000\n").unwrap();
    let mut pair = Pair::on(server).await;
    let [(_reader, mut writer), (mut far_reader, _far_writer)] = pair.connect().await;
    let bytes = pattern(100_000);
    let sent = bytes.clone();
    let writing = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer
    });
    let mut got = vec![0; bytes.len()];
    within_ages(far_reader.read_exact(&mut got)).await.unwrap();
    assert!(got == bytes);
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_known_at_once() {
    let pair = Pair::new().await;
    let nobody = pair.connector.to("nobody").unwrap();
    // Long before anything would have to be given up.
    let error = timeout(Duration::from_secs(4), nobody.connect()).await;
    let error = error.unwrap().err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(error.to_string(), "nobody serves it");
    assert_eq!(nobody.to_string(), "host `nobody` over NATS");
    // Hosts of other lattices are others.
    let elsewhere = NatsConnector::new(client(&pair.server).await, "other", "host").unwrap();
    assert!(elsewhere.connect().await.is_err());
    drop(pair.listener);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_lets_go_is_noticed() {
    let mut pair = Pair::new().await;
    let [(mut reader, writer), far] = pair.connect().await;
    drop(far);
    let error = within_ages(reader.read(&mut [0])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(error.to_string().contains("not used any more"), "{error}");
    drop(writer);
    let [ours, (mut far_reader, far_writer)] = pair.connect().await;
    drop(ours);
    let error = within_ages(far_reader.read(&mut [0])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    drop(far_writer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_vanished_is_noticed_when_it_is_sent_something() {
    let mut pair = Pair::new().await;
    let [(mut reader, mut writer), _far] = pair.connect().await;
    // As when the host was killed: its connection to the broker is gone, and nothing is said.
    pair.listening.drain().await.unwrap();
    let noticed = async {
        loop {
            _ = writer.write_all(b"anybody there?").await;
            let mut byte = [0];
            let read = timeout(Duration::from_millis(50), reader.read(&mut byte));
            if let Ok(read) = read.await {
                return read.unwrap_err();
            }
        }
    };
    let error = within_ages(noticed).await;
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_outlive_the_listener_and_the_connector() {
    let mut pair = Pair::new().await;
    let [(mut reader, mut writer), (mut far_reader, mut far_writer)] = pair.connect().await;
    let Pair {
        listener,
        connector,
        server: _server,
        ..
    } = pair;
    drop(connector);
    drop(listener);
    writer.write_all(b"ping").await.unwrap();
    within_ages(far_reader.read_exact(&mut [0; 4]))
        .await
        .unwrap();
    far_writer.write_all(b"pong").await.unwrap();
    within_ages(reader.read_exact(&mut [0; 4])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_is_gone_refuses() {
    let mut pair = Pair::new().await;
    let kept = pair.connect().await;
    drop(pair.listener);
    let error = within_ages(pair.connector.connect()).await.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    drop(kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_server_never_corrupts_a_stream() {
    let mut pair = Pair::new().await;
    let [(mut reader, mut writer), far] = pair.connect().await;
    let [quiet, far_quiet] = pair.connect().await;
    let echoing = tokio::spawn(async move {
        let (mut far_reader, mut far_writer) = far;
        // The echo ends with the connection.
        tokio::io::copy(&mut far_reader, &mut far_writer).await
    });
    let writing = tokio::spawn(async move {
        let mut written = 0_usize;
        // Numbers in order, until it fails.
        loop {
            let bytes: Vec<u8> = (written..written + 5_000)
                .map(|n| (n % 251) as u8)
                .collect();
            match writer.write_all(&bytes).await {
                Ok(()) => written += bytes.len(),
                Err(_) => return,
            }
        }
    });
    let mut read = 0_usize;
    let mut buffer = vec![0; 10_000];
    let mut is_restarted = false;
    let reading = async {
        while let Ok(n @ 1..) = reader.read(&mut buffer).await {
            for byte in &buffer[..n] {
                assert_eq!(*byte, (read % 251) as u8, "at {read}");
                read += 1;
            }
            if read > 1 << 20 && !is_restarted {
                is_restarted = true;
                pair.server.restart().unwrap();
            }
            // With luck nothing was lost, and it goes on; that is enough then.
            if read > 200 << 20 {
                return;
            }
        }
    };
    within_ages(reading).await;
    assert!(is_restarted);
    if read > 200 << 20 {
        // The connection goes on as long as one of its halves is used.
        writing.abort();
    }
    drop(reader);
    _ = within_ages(echoing).await.unwrap();
    _ = within_ages(writing).await;
    // One where nothing was under way has lost nothing, or knows that it did.
    let (mut reader, mut writer) = quiet;
    let (mut far_reader, mut far_writer) = far_quiet;
    let asked = async {
        writer.write_all(b"ping").await?;
        let mut bytes = [0; 4];
        far_reader.read_exact(&mut bytes).await?;
        assert_eq!(&bytes, b"ping");
        far_writer.write_all(b"pong").await?;
        reader.read_exact(&mut bytes).await?;
        assert_eq!(&bytes, b"pong");
        io::Result::Ok(())
    };
    _ = within_ages(asked).await;
    // New ones can be made.
    let again = async {
        loop {
            let both = tokio::join!(
                pair.connector.connect(),
                timeout(Duration::from_secs(1), pair.listener.accept())
            );
            if let (Ok(_), Ok(Ok(_))) = both {
                return;
            }
        }
    };
    within_ages(again).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_harms_nobody() {
    let mut pair = Pair::new().await;
    let [(mut reader, mut writer), (mut far_reader, mut far_writer)] = pair.connect().await;
    let stranger = client(&pair.server).await;
    let inbox = stranger.new_inbox();
    let subject = "withe.test.calls.host.00000000000000000000000000000000";
    for kind in 0..20_u8 {
        for len in [0, 1, 16, 17, 100] {
            let payload = vec![kind; len];
            let sent = stranger.publish_with_reply(subject, inbox.clone(), payload.into());
            sent.await.unwrap();
        }
    }
    stranger.flush().await.unwrap();
    writer.write_all(b"ping").await.unwrap();
    within_ages(far_reader.read_exact(&mut [0; 4]))
        .await
        .unwrap();
    far_writer.write_all(b"pong").await.unwrap();
    within_ages(reader.read_exact(&mut [0; 4])).await.unwrap();
}

/// A host whose connection to the broker was away for a moment probes; the other end has failed meanwhile, as the
/// broker said that nobody listens, and is not dropped yet. The probe comes once, so it must be answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_has_failed_says_so_to_who_still_uses_it() {
    const ACCEPT: u8 = 2;
    const PROBE: u8 = 6;
    const RESET: u8 = 7;
    let message = |kind: u8, first: u64, second: u64| {
        let mut bytes = vec![kind];
        bytes.extend(first.to_le_bytes());
        bytes.extend(second.to_le_bytes());
        bytes
    };
    let server = NatsServer::start().unwrap();
    let host = client(&server).await;
    let connector = NatsConnector::new(client(&server).await, "test", "host").unwrap();
    let mut hellos = host.subscribe("withe.test.calls.host.*").await.unwrap();
    settle(&host).await;
    let accepting = async {
        let hello = hellos.next().await.unwrap();
        let to = hello.reply.unwrap();
        let accept = message(ACCEPT, 1, 1 << 20).into();
        let sent = host.publish_with_reply(to.clone(), hello.subject.clone(), accept);
        sent.await.unwrap();
        (to, hello.subject)
    };
    let (connected, (to, from)) =
        within_ages(async { tokio::join!(connector.connect(), accepting) }).await;
    let (mut reader, mut writer) = connected.unwrap().into_halves();
    // The host is away, and the broker tells the connection.
    hellos.unsubscribe().await.unwrap();
    settle(&host).await;
    writer.write_all(b"anybody there?").await.unwrap();
    let error = within_ages(reader.read(&mut [0])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    // The host is back and asks; both halves of the failed end are still there.
    let mut back = host.subscribe(from.clone()).await.unwrap();
    settle(&host).await;
    let probe = message(PROBE, 0, 0).into();
    host.publish_with_reply(to, from, probe).await.unwrap();
    let answer = within_ages(back.next()).await.unwrap();
    assert_eq!(answer.payload[0], RESET);
    drop((reader, writer));
}

#[tokio::test]
async fn names_are_checked() {
    let server = NatsServer::start().unwrap();
    let client = client(&server).await;
    assert!(NatsConnector::new(client.clone(), "a.b", "host").is_err());
    assert!(NatsConnector::new(client.clone(), "a", ">").is_err());
    assert!(NatsListener::bind(client, "a", "*").await.is_err());
}

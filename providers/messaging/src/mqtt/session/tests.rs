use std::task::Poll;

use tokio::net::{TcpListener, TcpStream};

use super::*;

const PING: u8 = 0xc0;
const SUBSCRIBE: u8 = 0x82;
const UNSUBSCRIBE: u8 = 0xa2;
const PUBLISH: u8 = 0x30;

/// Takes the next packet out of `read`, and says what its first byte is.
fn next(read: &mut BytesMut) -> Option<u8> {
    let (mut length, mut at) = (0, 1);
    loop {
        let byte = *read.get(at)?;
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let is_whole = read.len() >= at + length;
    is_whole.then(|| read.split_to(at + length)[0])
}

/// Lets a client in that is to say something every two seconds, and answers nothing else.
async fn listen(mut stream: TcpStream, kinds: &mpsc::UnboundedSender<u8>) {
    let mut read = BytesMut::new();
    loop {
        while let Some(kind) = next(&mut read) {
            let answer: &[u8] = match kind {
                0x10 => &[0x20, 6, 0, 0, 3, 0x13, 0, 2],
                PING => &[0xd0, 0],
                _ => &[],
            };
            if stream.write_all(answer).await.is_err() {
                return;
            }
            if kind != PUBLISH {
                // The test may be over.
                _ = kinds.send(kind);
            }
        }
        if !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
            return;
        }
    }
}

/// A session with such a broker, and the first bytes of what comes there besides messages.
async fn session() -> (Arc<Session>, mpsc::UnboundedReceiver<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtt://{}", listener.local_addr().unwrap());
    let (kinds, came) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            listen(stream, &kinds).await;
        }
    });
    let config = MqttConfig {
        url,
        qos: Qos::AtLeastOnce,
        ca_file: None,
        ca: None,
    };
    let session = Session::begin(&config, &TaskTracker::new()).await.unwrap();
    (session, came)
}

async fn until(kinds: &mut mpsc::UnboundedReceiver<u8>, kind: u8) {
    let came = async { while kinds.recv().await.unwrap() != kind {} };
    timeout(Duration::from_secs(60), came).await.unwrap();
}

/// Leaves no room for a packet, as long as nothing is waited for.
fn fill(session: &Session) -> Line {
    let line = session.state().line.clone().unwrap();
    while line.packets.try_send(packet::ping()).is_ok() {}
    line
}

#[tokio::test]
async fn a_question_that_is_given_up_before_it_was_sent_takes_nothing() {
    let (session, _came) = session().await;
    let line = fill(&session);
    let before = session.state().asked.len();
    let mut asking = Box::pin(session.ask(|id| packet::unsubscribe("f", id)));
    let polled = std::future::poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx))).await;
    assert!(polled.is_pending());
    drop(asking);
    assert_eq!(session.state().asked.len(), before);
    assert_eq!(line.permits.available_permits(), SENT);
}

#[tokio::test]
async fn the_broker_is_told_of_an_end_for_which_there_was_no_room() {
    let (session, mut came) = session().await;
    // Messages from before the session began are nothing to it.
    until(&mut came, SUBSCRIBE).await;
    let (messages, _messages) = mpsc::channel(1);
    let (member, _) = session.state().join("f", "f", Qos::AtLeastOnce, messages);
    fill(&session);
    session.forget("f", member);
    assert_eq!(session.state().ended, ["f"]);
    until(&mut came, UNSUBSCRIBE).await;
    assert!(session.state().ended.is_empty());
}

#[tokio::test]
async fn a_writer_that_always_has_something_to_write_says_that_it_is_there() {
    let (session, mut came) = session().await;
    let message = packet::publish("t", b"body", None, None);
    let flood = async {
        while !session.end.is_cancelled() {
            // While the connection is lost, it fails at once.
            _ = session.send(message.clone()).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = flood => {}
        () = until(&mut came, PING) => {}
    }
}

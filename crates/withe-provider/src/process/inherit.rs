//! How listening sockets get from a provider's process to that of its successor.
//!
//! The predecessor listens at a path that its host gave it. The successor connects, and is sent a line of JSON for each
//! socket with the socket's descriptor beside it (`SCM_RIGHTS`), then an empty line. From then on nothing is said: the
//! connection ends when the predecessor accepts no more connections, in whichever way it ends.
//!
//! Rejected: the host keeps all sockets and gives them to each process that it starts. A provider that removes a link
//! would have to ask its host to close the address, and one that nobody asks keeps it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use withe_rpc::unix::{UnixConnector, UnixListener};

use crate::{InheritedSockets, ListeningSocket, Provider};

/// How long handing the sockets over may take.
const TRANSFER: Duration = Duration::from_secs(10);
/// The longest line, in bytes.
const LONGEST: usize = 4 << 10;
/// The most sockets that a successor takes.
const MOST: usize = 10_000;

/// The description that goes with a socket.
#[derive(Serialize, Deserialize)]
struct Announced {
    asked: SocketAddr,
    name: String,
}

/// Gives the sockets of `provider` to whoever connects, until `left` is cancelled.
pub(super) async fn hand_out(
    mut listener: UnixListener,
    provider: Arc<dyn Provider>,
    left: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = left.cancelled() => return,
            accepted = listener.accept_stream() => accepted,
        };
        let mut stream = match accepted {
            Ok(stream) => stream,
            Err(e) => return tracing::warn!("its sockets cannot be handed to a successor: {e}"),
        };
        let (provider, left) = (provider.clone(), left.clone());
        tokio::spawn(async move {
            let sockets = provider.sockets().unwrap_or_default();
            match timeout(TRANSFER, send(&mut stream, &sockets)).await {
                // The duplicates that were sent are the successor's. The successor goes away first if its plan is given up.
                Ok(Ok(())) => tokio::select! {
                    () = left.cancelled() => {}
                    _ = stream.read_u8() => {}
                },
                Ok(Err(e)) => tracing::warn!("a successor did not take its sockets: {e}"),
                Err(_) => tracing::warn!("a successor did not take its sockets in time"),
            }
        });
    }
}

async fn send(stream: &mut UnixStream, sockets: &[ListeningSocket]) -> io::Result<()> {
    for ListeningSocket {
        asked,
        name,
        socket,
    } in sockets
    {
        let mut line = serde_json::to_vec(&Announced {
            asked: *asked,
            name: name.clone(),
        })?;
        line.push(b'\n');
        let sent = stream
            .async_io(Interest::WRITABLE, || {
                send_with(&*stream, &line, socket.as_fd())
            })
            .await?;
        // The descriptor went with the first byte.
        stream.write_all(&line[sent..]).await?;
    }
    stream.write_all(b"\n").await
}

fn send_with(stream: &UnixStream, bytes: &[u8], socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sockets = [socket];
    control.push(SendAncillaryMessage::ScmRights(&sockets));
    let bytes = [IoSlice::new(bytes)];
    Ok(rustix::net::sendmsg(
        stream,
        &bytes,
        &mut control,
        SendFlags::NOSIGNAL,
    )?)
}

/// The sockets of the predecessor that hands them out at `path`. The predecessor accepts no more when their
/// [`left`](InheritedSockets::left) is cancelled.
///
/// # Errors
///
/// If nobody hands any out there, or what comes is not as it is to be.
pub(super) async fn inherit(path: &Path) -> io::Result<Arc<InheritedSockets>> {
    let (mut stream, sockets) = timeout(TRANSFER, async {
        let stream = UnixConnector::new(path).connect_stream().await?;
        let sockets = receive(&stream).await?;
        Ok::<_, io::Error>((stream, sockets))
    })
    .await??;
    let left = CancellationToken::new();
    let inherited = Arc::new(InheritedSockets::new(sockets, left.clone()));
    let unused = inherited.clone();
    // Ends with the predecessor, or this process.
    tokio::spawn(async move {
        _ = stream.read_u8().await;
        left.cancel();
        unused.close();
    });
    Ok(inherited)
}

async fn receive(stream: &UnixStream) -> io::Result<Vec<ListeningSocket>> {
    let (mut sockets, mut descriptors) = (Vec::new(), Vec::new());
    let mut text = Vec::new();
    loop {
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            if line.len() == 1 {
                return Ok(sockets);
            }
            let Announced { asked, name } = serde_json::from_slice(&line)?;
            if descriptors.is_empty() || sockets.len() == MOST {
                return Err(wrong("a socket without a descriptor, or too many"));
            }
            let socket = TcpListener::from(descriptors.remove(0));
            socket.set_nonblocking(true)?;
            sockets.push(ListeningSocket {
                asked,
                name,
                socket,
            });
        }
        if text.len() > LONGEST || descriptors.len() > 1 {
            return Err(wrong("a line that is too long"));
        }
        let read = stream
            .async_io(Interest::READABLE, || {
                receive_some(stream, &mut text, &mut descriptors)
            })
            .await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn receive_some(
    stream: &UnixStream,
    text: &mut Vec<u8>,
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; LONGEST];
    let read = rustix::net::recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    text.extend_from_slice(&bytes[..read.bytes]);
    Ok(read.bytes)
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the predecessor sent {what}"),
    )
}

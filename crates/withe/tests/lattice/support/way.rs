//! A way to a host that can be broken while both ends go on.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// An address from where connections lead to a host, or to nobody.
pub(crate) struct Way {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    to: Option<SocketAddr>,
    connections: Vec<TcpStream>,
    is_over: bool,
}

impl Way {
    /// One that leads nowhere yet.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        thread::spawn({
            let state = state.clone();
            move || {
                for connection in listener.incoming().map_while(Result::ok) {
                    let mut state = state.lock().unwrap();
                    if state.is_over {
                        return;
                    }
                    // One that leads nowhere ends at once.
                    let other = state.to.and_then(|to| TcpStream::connect(to).ok());
                    if let Some(other) = other {
                        let ends = [connection, other];
                        state
                            .connections
                            .extend(ends.iter().map(|end| end.try_clone().unwrap()));
                        join(ends);
                    }
                }
            }
        });
        Self { address, state }
    }

    pub(crate) fn leads_to(&self, host: SocketAddr) {
        self.state.lock().unwrap().to = Some(host);
    }

    /// Ends all connections; those that are made from now on lead nowhere.
    pub(crate) fn breaks(&self) {
        let mut state = self.state.lock().unwrap();
        state.to = None;
        for connection in state.connections.drain(..) {
            // The connection may have ended by itself.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.breaks();
        self.state.lock().unwrap().is_over = true;
        // Wakes the one who waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

/// Carries what comes at each of the two ends to the other, until one of them ends.
fn join(ends: [TcpStream; 2]) {
    let [one, other] = ends;
    for (mut from, mut to) in [
        (one.try_clone().unwrap(), other.try_clone().unwrap()),
        (other, one),
    ] {
        thread::spawn(move || {
            // Whichever way it ends, the other end is told.
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}

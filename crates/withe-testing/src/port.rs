//! Ports of the loopback interface for programs that cannot say which one they took.
//!
//! A port that was free a moment ago may be anybody's the next: another test's server, or the near end of any
//! connection. So the port stays bound, by a socket that does not listen: nobody is given it, clients that connect
//! to it are refused, and a server that is told of it, and sets `SO_REUSEADDR` as servers do, can listen there,
//! stop, and listen again. Only Linux has it so; elsewhere the port is let go again, and only most likely still
//! free.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port that nobody takes who was not told of it, as long as this is held.
#[derive(Debug)]
pub struct ReservedPort {
    address: SocketAddr,
    _held: Option<TcpSocket>,
}

impl ReservedPort {
    /// Whether a port is held here, or only likely to be free.
    pub const HOLDS: bool = cfg!(target_os = "linux");

    /// Reserves a port.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn new() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // Asked for beforehand, it would let the system give out a port that another holds.
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        socket.set_reuseaddr(true)?;
        Ok(Self {
            address: socket.local_addr()?,
            _held: Self::HOLDS.then_some(socket),
        })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The port with its interface.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn whoever_is_told_of_a_port_can_listen_there_again_and_again() {
        let port = ReservedPort::new().unwrap();
        for _ in 0..3 {
            let refused = TcpStream::connect(port.address()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            // The standard library sets `SO_REUSEADDR`.
            let listener = TcpListener::bind(port.address()).unwrap();
            let near = TcpStream::connect(port.address()).unwrap();
            let far = listener.accept().unwrap();
            // The end that closes first keeps the port busy for a while.
            drop(far);
            drop(near);
        }
    }

    #[test]
    fn nobody_else_is_given_a_port_that_is_held() {
        let held: Vec<_> = (0..500).map(|_| ReservedPort::new().unwrap()).collect();
        let mut ports: Vec<_> = held.iter().map(ReservedPort::port).collect();
        let others: Vec<_> = (0..500)
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
            .collect();
        ports.extend(others.iter().map(|l| l.local_addr().unwrap().port()));
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 1_000);
    }
}

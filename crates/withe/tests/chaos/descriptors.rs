//! Hosts that have no more descriptors.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use crate::alone::Folder;
use crate::alone::manifest::{application, component, http_server};
use crate::alone::process::Up;
use crate::shim::through_shell;
use crate::support::client::get;
use crate::support::lattice::Lattice;
use crate::support::load::Load;
use crate::support::{LONG, eventually};

/// How many descriptors the host may have. About half of them it needs for itself.
const DESCRIPTORS: usize = 64;

/// How many connections come at once.
const FLOOD: usize = 200;

/// The same command with so few descriptors, a limit that it cannot raise.
fn with_few(command: &Command) -> Command {
    through_shell(&format!("ulimit -n {DESCRIPTORS}"), command)
}

/// A connection that is kept.
struct Kept(BufReader<TcpStream>);

impl Kept {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Asks once more; the status of the answer, whose body is read.
    fn ask(&mut self) -> std::io::Result<u16> {
        let request = b"GET / HTTP/1.1\r\nhost: app\r\n\r\n";
        self.0.get_mut().write_all(request)?;
        let status = self
            .line()?
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok());
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(": ") {
                None => break,
                Some(("content-length", n)) => length = n.parse().unwrap(),
                Some(("transfer-encoding", _)) => chunked = true,
                Some(_) => {}
            }
        }
        while chunked {
            let size = usize::from_str_radix(&self.line()?, 16).unwrap();
            self.skip(size + 2)?;
            chunked = size > 0;
        }
        self.skip(length)?;
        Ok(status.unwrap_or_default())
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn skip(&mut self, length: usize) -> std::io::Result<()> {
        self.0.read_exact(&mut vec![0; length])
    }
}

#[test]
fn whoever_holds_a_connection_is_answered_when_there_are_no_descriptors_left() {
    let folder = Folder::with(&application(&[
        http_server("hello"),
        component("hello", "hello", "", &[]),
    ]));
    let mut up = Up::start(with_few(&folder.command(&["up", "app.yaml"])));
    let address = up.address();
    up.says("runs; Ctrl-C");
    let mut kept = Kept::connect(&address);
    assert_eq!(kept.ask().unwrap(), 200);
    for _ in 0..2 {
        // They begin a request each, and never end it.
        let mut flood: Vec<_> = (0..FLOOD)
            .map(|_| {
                let stream = TcpStream::connect(&address).unwrap();
                assert_eq!(kept.ask().unwrap(), 200);
                stream
            })
            .collect();
        for stream in &mut flood {
            // A connection may have had to go.
            _ = stream.write_all(b"GET / HTTP/1.1\r\n");
            assert_eq!(kept.ask().unwrap(), 200);
        }
        // A new client is served, too: idle connections make room.
        assert_eq!(get(&address, "/").unwrap().status, 200);
        drop(flood);
        eventually("all works again", || {
            (get(&address, "/").ok()?.status == 200).then_some(())
        });
        assert_eq!(kept.ask().unwrap(), 200);
    }
    up.interrupt();
    assert_eq!(up.exit_code(), Some(0));
    let said = up.ended().stderr;
    assert!(!said.contains("panicked"), "{said}");
    assert!(said.lines().count() < 100, "{said}");
}

#[test]
fn calls_between_hosts_go_on_when_one_of_them_has_no_descriptors_left() {
    let lattice = Lattice::new();
    let _a = lattice.host("a");
    let host = [
        "host",
        "--name",
        "b",
        "--listen",
        "127.0.0.1:0",
        "--label",
        "zone=b",
    ];
    let mut b = lattice.start(with_few(&lattice.command(&host)), "b");
    let said = b.says(" is on the lattice ");
    let (_, listens) = said.split_once("listening at ").unwrap();
    let listens = listens.split(';').next().unwrap();
    let mut app = lattice.visits();
    app.visits = &["b"];
    let address = lattice.up(&app);
    let load = Load::start(&address, "/crowded");
    load.goes_on(50);
    // They say nothing, and are no hosts.
    let flood: Vec<_> = (0..FLOOD)
        .map(|_| TcpStream::connect(listens).unwrap())
        .collect();
    b.says("Too many open files");
    load.goes_on(200);
    drop(flood);
    // A new version, and what takes descriptors for that.
    app.greeting = "After the flood".into();
    lattice.up(&app);
    let page = get(&address, "/page").unwrap().text();
    assert!(page.contains("After the flood"), "{page}");
    load.goes_on(50);
    let answers = load.stop();
    answers.none_failed();
    answers.add_up(&lattice, &["visits"]);
    let log = b.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(log.matches("Too many open files").count() < 50, "{log}");
}

//! `withe up`: it serves until it is told to stop.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::sandbox::{COUNTER, Sandbox, built_shop};

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(120);

/// The running command; it is killed if the test ends before it does.
struct Up {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Up {
    fn start(sandbox: &Sandbox, options: &[&str]) -> Self {
        Self::run(sandbox, &[&["up", "shop.yaml"], options].concat())
    }

    fn run(sandbox: &Sandbox, args: &[&str]) -> Self {
        let mut command = sandbox.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    /// Where it says that it listens.
    fn address(&self) -> String {
        let line = wait_for(&self.out, "http://");
        let address = line.trim_start_matches("http://").split([' ', '/']).next();
        address.unwrap_or_default().to_owned()
    }

    fn interrupt(&self) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &id])
                .status()
                .unwrap()
                .success()
        );
    }

    fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + LONG;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("`withe up` did not end in {LONG:?}");
    }
}

/// Reads lines as they come, so that the command never waits for a reader.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // Nobody may be listening any more.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// The next line that has `text` in it.
fn wait_for(lines: &Receiver<String>, text: &str) -> String {
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(LONG) {
            Ok(line) if line.contains(text) => return line,
            Ok(line) => seen.push(line),
            Err(_) => panic!("in {LONG:?} no line with {text:?} in {seen:#?}"),
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_serves_until_interrupted_and_ends_well() {
    let sandbox = Sandbox::shop("127.0.0.1:0");
    let mut up = Up::start(&sandbox, &[]);
    let mut stream = TcpStream::connect(up.address()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    // The component sets no response: the server has to answer for it.
    assert!(answer.starts_with("HTTP/1.1 5"), "{answer}");
    // An application answers a moment before it is said to run, and until then an interrupt is one of its start.
    wait_for(&up.err, "`shop` runs");
    up.interrupt();
    assert_eq!(up.exit_code(), Some(0));
}

#[test]
fn a_change_is_taken_over_and_a_faulty_one_is_not() {
    let sandbox = Sandbox::shop("127.0.0.1:0");
    let manifest = fs::read_to_string(sandbox.path("shop.yaml")).unwrap();
    let mut up = Up::start(&sandbox, &["--watch"]);
    let address = up.address();
    wait_for(&up.err, "`shop` runs");

    let faulty = manifest.replace("counter.wasm", "countre.wasm");
    fs::write(sandbox.path("shop.yaml"), faulty).unwrap();
    wait_for(&up.err, "what runs goes on as it was");

    let changed = manifest.replace(
        "target: counter",
        "target: counter\n            timeout: 5s",
    );
    fs::write(sandbox.path("shop.yaml"), changed).unwrap();
    wait_for(&up.err, "`shop` reloaded");
    TcpStream::connect(address).unwrap();
    up.interrupt();
    assert_eq!(up.exit_code(), Some(0));
}

/// From a source that cannot be built to one that runs, and on to another, without anybody starting it again.
#[test]
fn what_is_worked_at_is_built_and_reloaded() {
    let sandbox = built_shop();
    let source = fs::read(sandbox.path("counter.src")).unwrap();
    fs::write(sandbox.path("counter.src"), "not a component").unwrap();
    let mut up = Up::run(&sandbox, &["dev"]);
    wait_for(&up.err, "waiting for a change");
    fs::write(sandbox.path("counter.src"), &source).unwrap();
    let address = up.address();
    wait_for(&up.err, "`shop` runs");
    // The same with another number.
    let other = COUNTER.replace("i32.const 7", "i32.const 8");
    fs::write(sandbox.path("counter.src"), wat::parse_str(other).unwrap()).unwrap();
    wait_for(&up.err, "built counter");
    wait_for(&up.err, "`shop` reloaded");
    TcpStream::connect(address).unwrap();
    up.interrupt();
    assert_eq!(up.exit_code(), Some(0));
}

#[test]
fn a_port_that_is_taken_is_one_clear_message() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let shown = Sandbox::shop(&address).run(&["up", "shop.yaml"]);
    assert!(
        shown.starts_with("exit code: 1\n") && shown.contains(&address),
        "{shown}"
    );
    assert_eq!(shown.matches("error").count(), 1, "{shown}");
}

#[test]
fn with_errors_nothing_is_started() {
    let sandbox = Sandbox::shop("127.0.0.1:0").file("front.wasm", b"\0asm\x01\0\0\0");
    insta::assert_snapshot!(sandbox.run(&["up", "shop.yaml"]), @r#"
    exit code: 1
    ----- stderr -----
    error[W0055]: `front` cannot be loaded: `front.wasm` is a core WebAssembly module, not a component
      --> shop.yaml:23:16
       |
    23 |         image: ./front.wasm
       |                ^^^^^^^^^^^^
       |
       = help: build for a component target (`cargo build --release --target wasm32-wasip2`), or turn the module into a component: `withe componentize front.wasm -o front.component.wasm`

    error: 1 problem in shop.yaml; nothing was started
    "#);
}

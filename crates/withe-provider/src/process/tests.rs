//! A provider's process as its host sees it, run within the test.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use withe_rpc::codec::Handle;
use withe_rpc::unix::{UnixConnector, UnixListener};
use withe_rpc::{CallContext, CallError, Client, Limits, LinkRequest, Payload, Session};

use super::inherit::{hand_out, inherit};
use super::*;
use crate::resources::{Borrow, Resources};
use crate::{
    Call, ConfigMap, ConfigProblem, ConfigRole, Descriptor, FunctionName, Health, Link, LinkId,
    ListeningSocket, Provider, ProviderError,
};

/// Long enough for anything that ends at all.
const AGES: Duration = Duration::from_secs(60);

/// Gives out resources that hold the number of their link.
struct Numbers {
    config: ConfigMap,
    resources: Resources,
}

const MAKE: usize = 0;
const READ: usize = 1;

#[async_trait::async_trait]
impl Provider for Numbers {
    async fn start(&self) -> Result<(), ProviderError> {
        match self.config.get("start") {
            Some(why) => Err(ProviderError(why.clone())),
            None => Ok(()),
        }
    }

    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        match link.config.get("refuse") {
            Some(why) => Err(ProviderError(why.clone())),
            None => Ok(()),
        }
    }

    async fn link_deleted(&self, _: LinkId, _: Duration) {}

    async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        match call.function {
            MAKE => Ok(Payload::of(&(self.resources.add(call.link.0)?,))),
            READ => {
                let (handle,): (Borrow<u64>,) = call.params.read().unwrap();
                let number = *self.resources.get(&handle)?;
                Ok(Payload::of(&(format!("{number} {}", call.caller),)))
            }
            _ => Err(CallError::Trap("as asked".into())),
        }
    }

    fn drop_resource(&self, _: LinkId, handle: u32) {
        self.resources.remove(handle);
    }

    async fn health(&self) -> Health {
        Health::Unhealthy("not today".into())
    }

    async fn shutdown(&self, _: Duration) {}
}

const NUMBERS: Descriptor = Descriptor {
    name: "numbers",
    version: "1.2.3",
    summary: "gives out numbers",
    wit: &["package a:b; world provider {}"],
    aliases: &[],
    paths: &["file"],
    check_config: |role, config| {
        let wrong = config.get("file").filter(|_| role == ConfigRole::Own);
        let problem = |file: &String| ConfigProblem {
            key: Some("file".into()),
            message: format!("`{file}` is no file"),
            help: None,
        };
        wrong.map(problem).into_iter().collect()
    },
    create: |config| {
        Arc::new(Numbers {
            config,
            resources: Resources::new(10),
        })
    },
};

struct Process {
    input: DuplexStream,
    output: BufReader<DuplexStream>,
    running: JoinHandle<Result<(), ProcessError>>,
    client: Arc<Client>,
    folder: tempfile::TempDir,
}

impl Process {
    /// Starts one; `edit` changes its assignment.
    async fn start(edit: impl FnOnce(&mut Assignment)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut assignment = Assignment {
            protocol: PROTOCOL,
            name: "numbers".into(),
            socket: folder.path().join("provider.sock"),
            host: folder.path().join("host.sock"),
            handover: folder.path().join("handover.sock"),
            predecessor: None,
            config: ConfigMap::new(),
            grace_ms: 1_000,
            first_resource: 0,
        };
        edit(&mut assignment);
        let (mut input, theirs) = tokio::io::duplex(1 << 16);
        let (output, ours) = tokio::io::duplex(1 << 16);
        let connector = UnixConnector::new(&assignment.socket);
        let running = tokio::spawn(run(&NUMBERS, theirs, ours));
        let mut line = serde_json::to_vec(&assignment).unwrap();
        line.push(b'\n');
        input.write_all(&line).await.unwrap();
        Self {
            input,
            output: BufReader::new(output),
            running,
            client: Client::new(Arc::new(connector), Limits::default()),
            folder,
        }
    }

    async fn event(&mut self) -> Event {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        timeout(AGES, read).await.unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn session(
        &self,
        target: &str,
        name: &str,
        functions: Vec<withe_rpc::LinkFunction>,
    ) -> Session {
        let request = LinkRequest {
            importer: "caller".into(),
            name: name.into(),
            target: target.into(),
            functions,
            ..LinkRequest::default()
        };
        self.client.link(request).session()
    }

    async fn ask(&self, request: Request) -> Answer {
        let control = self.session(CONTROL, "", control_functions());
        let answer = control.call(0, write_request(&request), context()).await;
        read_answer(&answer.unwrap()).unwrap()
    }

    async fn has_ended(&mut self) -> Result<(), ProcessError> {
        timeout(AGES, &mut self.running).await.unwrap().unwrap()
    }
}

fn context() -> CallContext {
    CallContext {
        deadline: Instant::now() + AGES,
        trace: None,
    }
}

fn link(number: u64, config: &[(&str, &str)]) -> Request {
    let owned = |(key, value): &(&str, &str)| ((*key).into(), (*value).into());
    Request::LinkPut(LinkPut {
        link: LinkId(number),
        name: "default".into(),
        application: "app".into(),
        component: "caller".into(),
        config: config.iter().map(owned).collect(),
        peer: LinkPeer::Importer(vec![FunctionName {
            interface: "a:b/c".into(),
            function: "make".into(),
        }]),
    })
}

fn two_functions() -> Vec<withe_rpc::LinkFunction> {
    vec![Default::default(); 2]
}

#[tokio::test]
async fn describes_itself_in_a_line() {
    let mut line = Vec::new();
    describe(&NUMBERS, &mut line).unwrap();
    let read: Description = serde_json::from_slice(&line).unwrap();
    assert_eq!(read, Description::from(&NUMBERS));
    assert_eq!((read.name.as_str(), read.protocol), ("numbers", PROTOCOL));
    assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
}

#[test]
fn says_what_is_wrong_with_a_configuration() {
    let asked = |question: &str| {
        let mut line = Vec::new();
        check(&NUMBERS, &mut question.as_bytes(), &mut line)
            .map(|()| String::from_utf8(line).unwrap())
    };
    let answer = asked(r#"{"role":"own","config":{"file":"x"}}"#).unwrap();
    assert_eq!(
        answer,
        "[{\"key\":\"file\",\"message\":\"`x` is no file\",\"help\":null}]\n"
    );
    assert_eq!(
        asked(r#"{"role":"link-target","config":{"file":"x"}}"#).unwrap(),
        "[]\n"
    );
    assert!(asked("{}").unwrap_err().to_string().contains("role"));
}

#[tokio::test]
async fn is_started_linked_called_and_stopped() {
    let mut process = Process::start(|a| a.first_resource = 1_000).await;
    assert_eq!(process.event().await, Event::Ready);
    let done = || Answer::Done(ProviderState::default());
    assert_eq!(process.ask(Request::Start).await, done());
    assert_eq!(process.ask(link(7, &[])).await, done());
    let session = process.session("numbers", "7", two_functions());
    let made = session
        .call(MAKE, Payload::default(), context())
        .await
        .unwrap();
    let (handle,): (Handle,) = made.read().unwrap();
    assert!(handle.0 >= 1_000);
    let read = session.call(READ, Payload::of(&(handle,)), context()).await;
    assert_eq!(read.unwrap().read(), Ok(("7 caller".to_owned(),)));
    // The resource went with the call, and was not given out by this process before.
    let gone = session.call(READ, Payload::of(&(handle,)), context()).await;
    assert!(gone.is_err(), "{gone:?}");

    let deleted = Request::LinkDeleted {
        link: LinkId(7),
        grace_ms: 0,
    };
    assert_eq!(process.ask(deleted).await, done());
    let late = process.session("numbers", "7", two_functions());
    let late = late.call(MAKE, Payload::default(), context()).await;
    assert!(matches!(late, Err(CallError::Unlinked(_))), "{late:?}");

    process.input.write_u8(0).await.unwrap();
    process.has_ended().await.unwrap();
    assert!(!process.folder.path().join("provider.sock").exists());
}

#[tokio::test]
async fn ends_with_its_host() {
    let mut process = Process::start(|_| {}).await;
    assert_eq!(process.event().await, Event::Ready);
    // The host's leftovers go as well, as far as nothing else is there.
    let folder = process.folder.path().to_owned();
    std::fs::write(folder.join("host.sock"), "").unwrap();
    process.input.shutdown().await.unwrap();
    process.has_ended().await.unwrap();
    assert!(!folder.exists());
}

#[tokio::test]
async fn what_the_provider_says_reaches_the_host() {
    let mut process = Process::start(|a| {
        a.config.insert("start".into(), "no file".into());
    })
    .await;
    assert_eq!(process.event().await, Event::Ready);
    let failed = |why: &str| Answer::Failed(why.into());
    assert_eq!(process.ask(Request::Start).await, failed("no file"));
    assert_eq!(process.ask(Request::Health).await, failed("not today"));
    let refused = link(7, &[("refuse", "no such bucket")]);
    assert_eq!(process.ask(refused).await, failed("no such bucket"));
    let unlinked = process.session("numbers", "7", two_functions());
    let call = unlinked.call(MAKE, Payload::default(), context()).await;
    assert!(matches!(call, Err(CallError::Unlinked(_))), "{call:?}");
}

#[tokio::test]
async fn another_version_and_a_bad_socket_are_said() {
    let mut process = Process::start(|a| a.protocol = PROTOCOL + 1).await;
    let Event::Failed(why) = process.event().await else {
        panic!("it is ready")
    };
    assert!(why.contains(&format!("version {PROTOCOL}")), "{why}");
    assert!(process.has_ended().await.is_err());

    let mut process = Process::start(|a| a.socket = "/nowhere/at/all.sock".into()).await;
    let Event::Failed(why) = process.event().await else {
        panic!("it is ready")
    };
    assert!(why.contains("socket"), "{why}");
}

/// Listens on as many sockets as it was made with.
struct Listening(Vec<std::net::TcpListener>);

#[async_trait::async_trait]
impl Provider for Listening {
    fn sockets(&self) -> Option<Vec<ListeningSocket>> {
        let socket = |(n, socket): (usize, &std::net::TcpListener)| ListeningSocket {
            asked: ([127, 0, 0, 1], 0).into(),
            name: format!("socket {n}"),
            socket: socket.try_clone().unwrap(),
        };
        Some(self.0.iter().enumerate().map(socket).collect())
    }

    async fn link_put(&self, _: Link) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn link_deleted(&self, _: LinkId, _: Duration) {}

    async fn shutdown(&self, _: Duration) {}
}

#[tokio::test]
async fn a_successor_has_all_sockets_and_its_turn_when_the_predecessor_leaves() {
    // More than one message with descriptors can carry.
    const SOCKETS: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover.sock");
    let sockets = (0..SOCKETS).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let sockets: Vec<_> = sockets.collect();
    let addresses: Vec<_> = sockets.iter().map(|s| s.local_addr().unwrap()).collect();
    let left = CancellationToken::new();
    let listener = UnixListener::bind(&path).await.unwrap();
    let predecessor = Arc::new(Listening(sockets));
    let handing_out = tokio::spawn(hand_out(listener, predecessor.clone(), left.clone()));

    let inherited = inherit(&path).await.unwrap();
    assert!(!inherited.left().is_cancelled());
    let mut taken = Vec::new();
    for (n, address) in addresses.iter().enumerate().skip(1) {
        let name = format!("socket {n}");
        let socket = inherited.take(|socket| socket.name == name).unwrap();
        assert_eq!(socket.socket.local_addr().unwrap(), *address);
        taken.push(socket);
    }
    left.cancel();
    timeout(AGES, handing_out).await.unwrap().unwrap();
    timeout(AGES, inherited.left().cancelled()).await.unwrap();
    drop(predecessor);
    // The one that nobody took is closed, and nobody listens on it any more; the others are as they were.
    let connect = |n: usize| tokio::net::TcpStream::connect(addresses[n]);
    timeout(AGES, async {
        while connect(0).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    connect(1).await.unwrap();
}

#[tokio::test]
async fn who_hands_over_something_else_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("", "eof"),
        (
            "{\"asked\": \"127.0.0.1:1\", \"name\": \"a\"}\n",
            "without a descriptor",
        ),
        ("nothing\n", "expected"),
        (&"a".repeat(100_000), "too long"),
    ];
    for (n, (sent, expected)) in cases.into_iter().enumerate() {
        let path = folder.path().join(n.to_string());
        let mut listener = UnixListener::bind(&path).await.unwrap();
        let sending = async {
            let mut stream = listener.accept_stream().await.unwrap();
            _ = stream.write_all(sent.as_bytes()).await;
        };
        let (inherited, ()) = tokio::join!(timeout(AGES, inherit(&path)), sending);
        let error = format!("{:?}", inherited.unwrap().unwrap_err()).to_lowercase();
        assert!(error.contains(expected), "{expected:?} in {error}");
    }
}

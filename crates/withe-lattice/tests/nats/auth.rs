//! Checks who may join, and that no secret is shown.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nkeys::KeyPair;
use withe_lattice::nats::{Auth, Options};
use withe_lattice::{Expect, Lattice, LatticeError, Nats};
use withe_testing::certificates::Certificates;
use withe_testing::nats::NatsServer;

use crate::credentials::Credentials;
use crate::options;

/// A secret that must never be shown.
const SECRET: &str = "hush-hush";

fn password(password: &str) -> Auth {
    Auth::Password {
        user: "me".into(),
        password: password.into(),
    }
}

fn with(server: &NatsServer, auth: Auth) -> Options {
    Options {
        auth,
        ..options(server)
    }
}

async fn joins(options: Options) {
    let shown = format!("{options:?}");
    assert!(!shown.contains(SECRET), "{shown}");
    let lattice = Nats::connect(options).await.unwrap();
    lattice.put("k", "v".into(), Expect::Any).await.unwrap();
    assert_eq!(lattice.get("k").await.unwrap().unwrap().value, "v");
}

/// Why these options do not do.
async fn why_not(options: Options) -> LatticeError {
    let error = Nats::connect(options).await.err().expect("it is refused");
    for shown in [error.to_string(), format!("{error:?}")] {
        assert!(!shown.contains(SECRET), "{shown}");
    }
    error
}

async fn is_refused(options: Options) {
    let error = why_not(options).await;
    assert!(matches!(error, LatticeError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn users_with_passwords() {
    let configuration = format!("authorization {{ user: me, password: {SECRET} }}\n");
    let server = NatsServer::start_with(&configuration).unwrap();
    joins(with(&server, password(SECRET))).await;
    is_refused(with(&server, password("hush-hush-wrong"))).await;
    is_refused(with(&server, Auth::Token(SECRET.into()))).await;
    is_refused(options(&server)).await;
    // Also in the URL.
    let url = |user: &str| format!("nats://{user}@127.0.0.1:{}", server.port());
    joins(Options::new(url(&format!("me:{SECRET}")), "test")).await;
    is_refused(Options::new(url(&format!("you:{SECRET}")), "test")).await;
}

#[tokio::test]
async fn tokens() {
    let configuration = format!("authorization {{ token: {SECRET} }}\n");
    let server = NatsServer::start_with(&configuration).unwrap();
    joins(with(&server, Auth::Token(SECRET.into()))).await;
    let url = format!("nats://{SECRET}@127.0.0.1:{}", server.port());
    joins(Options::new(url, "test")).await;
    is_refused(with(&server, Auth::Token("hush-hush-wrong".into()))).await;
}

#[tokio::test]
async fn nkeys() {
    let (ours, other) = (KeyPair::new_user(), KeyPair::new_user());
    let configuration = format!(
        "authorization {{ users: [ {{ nkey: {} }} ] }}\n",
        ours.public_key()
    );
    let server = NatsServer::start_with(&configuration).unwrap();
    let seed = ours.seed().unwrap();
    joins(with(&server, Auth::Nkey(seed.clone().into()))).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seed");
    std::fs::write(&file, format!("# ours\n{seed}\n")).unwrap();
    joins(with(&server, Auth::NkeyFile(file))).await;

    let refused = with(&server, Auth::Nkey(other.seed().unwrap().into()));
    let error = why_not(refused).await.to_string();
    assert!(!error.contains(&other.seed().unwrap()), "{error}");
    // Text that is no seed is not shown either.
    is_refused(with(&server, Auth::Nkey(SECRET.into()))).await;
}

#[tokio::test]
async fn credentials_files() {
    let credentials = Credentials::new();
    let server = NatsServer::start_with(&credentials.configuration).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Auth::Credentials(path)
    };
    let good = write("good.creds", &credentials.file);
    joins(with(&server, good)).await;
    let others = Credentials::new();
    let stranger = write("stranger.creds", &others.file);
    let error = why_not(with(&server, stranger)).await;
    assert!(matches!(error, LatticeError::Refused(_)), "{error:?}");
    assert!(!error.to_string().contains(&others.seed), "{error}");
    let none = write("none.creds", SECRET);
    let error = why_not(with(&server, none)).await.to_string();
    assert!(
        error.contains("none.creds") && error.contains("is no credentials file"),
        "{error}"
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let server = NatsServer::start().unwrap();
    let missing = Path::new("/nowhere/at-all").to_path_buf();
    let mut tls = options(&server);
    tls.tls.ca = Some(missing.clone());
    for options in [
        with(&server, Auth::Credentials(missing.clone())),
        with(&server, Auth::NkeyFile(missing)),
        tls,
    ] {
        let error = why_not(options).await;
        assert!(matches!(error, LatticeError::Invalid(_)), "{error:?}");
        assert!(error.to_string().contains("/nowhere/at-all"), "{error}");
    }
}

fn tls_server(certificates: &Certificates, more: &str) -> NatsServer {
    let (certificate, key) = certificates.server();
    let configuration = format!(
        "tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {:?}, {more} }}\n",
        certificates.ca(),
    );
    NatsServer::start_with(&configuration).unwrap()
}

#[tokio::test]
async fn tls_with_an_authority_of_ones_own() {
    let certificates = Certificates::new().unwrap();
    let server = tls_server(&certificates, "");
    let mut ours = options(&server);
    ours.tls.ca = Some(certificates.ca());
    joins(ours.clone()).await;
    // The system does not know it, and another is another.
    why_not(options(&server)).await;
    ours.tls.ca = Some(Certificates::new().unwrap().ca());
    why_not(ours).await;
}

#[tokio::test]
async fn tls_with_both_sides_known() {
    let certificates = Certificates::new().unwrap();
    let server = tls_server(&certificates, "verify: true");
    let mut ours = options(&server);
    ours.tls.ca = Some(certificates.ca());
    why_not(ours.clone()).await;
    ours.tls.identity = Some(certificates.client());
    joins(ours).await;
}

#[tokio::test]
async fn tls_before_anything_else() {
    let certificates = Certificates::new().unwrap();
    let server = tls_server(&certificates, "handshake_first: true");
    let mut ours = options(&server);
    ours.tls.ca = Some(certificates.ca());
    ours.tls.first = true;
    joins(ours).await;
}

#[tokio::test]
async fn what_the_server_does_not_allow_is_said() {
    let configuration = r#"
        authorization {
            users: [ {
                user: me, password: p,
                permissions: { publish: { deny: ["$KV.withe-leases_test.>", "withe.test.request.>"] } }
            } ]
        }
    "#;
    let server = NatsServer::start_with(configuration).unwrap();
    let mut ours = with(&server, password("p"));
    ours.timeout = Duration::from_secs(1);
    let lattice = Nats::connect(ours).await.unwrap();
    lattice.put("k", "v".into(), Expect::Any).await.unwrap();
    let refused = lattice.put_lease("k", "v".into(), Expect::Any).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, LatticeError::Refused(_)), "{error:?}");
    assert!(
        error.to_string().contains("$KV.withe-leases_test.k"),
        "{error}"
    );
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_secret_is_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // Holds for this thread, on which all of this test runs.
    let _logging = tracing::subscriber::set_default(subscriber);
    let configuration = format!("authorization {{ user: me, password: {SECRET} }}\n");
    let mut server = NatsServer::start_with(&configuration).unwrap();
    let url = format!("nats://me:{SECRET}@127.0.0.1:{}", server.port());
    let lattice = Nats::connect(Options::new(url, "test")).await.unwrap();
    is_refused(with(&server, password("hush-hush-wrong"))).await;
    server.restart().unwrap();
    while lattice.get("k").await.is_err() {}
    let log = log.0.lock().unwrap().clone();
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("connect"), "something is logged");
    assert!(!log.contains("hush"), "{log}");
}

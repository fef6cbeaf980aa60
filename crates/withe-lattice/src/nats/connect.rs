//! Connecting to NATS, and knowing whether we are.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{
    Client, ClientError, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerError, rustls,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::options::{Auth, Options};
use crate::LatticeError;

/// The first pause before connecting is tried again; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often the server is asked whether it is there. A server that is not is noticed after three times this.
const PING: Duration = Duration::from_secs(3);

/// What happens to the connection, for all who go by it.
pub(super) struct Signals {
    state: watch::Sender<Connection>,
    /// What the server refused last, and how often it did.
    refused: Mutex<(u64, String)>,
}

/// The state of the connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connection {
    pub(super) is_up: bool,
    /// How often it was made: what was done before is to be looked at again when this changes.
    pub(super) generation: u64,
}

impl Signals {
    fn new() -> Self {
        Self {
            state: watch::Sender::new(Connection::default()),
            refused: Mutex::default(),
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Connection> {
        self.state.subscribe()
    }

    /// How often the server refused something, and what it said last.
    pub(super) fn refusals(&self) -> (u64, String) {
        let refused = self.refused.lock();
        refused.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn on(&self, event: &Event) {
        match event {
            Event::Connected => self.state.send_modify(|state| {
                state.is_up = true;
                state.generation += 1;
            }),
            Event::Disconnected | Event::Closed => {
                self.state.send_modify(|state| state.is_up = false);
            }
            Event::ServerError(ServerError::AuthorizationViolation) => {
                self.refuse("it does not know us".into());
            }
            Event::ServerError(ServerError::Other(text)) => self.refuse(text.clone()),
            Event::ClientError(ClientError::Other(text)) => {
                tracing::debug!(reason = text, "cannot reach the lattice");
            }
            Event::SlowConsumer(_) => {
                tracing::warn!("messages of the lattice are lost: they come faster than they go");
            }
            _ => {}
        }
    }

    fn refuse(&self, text: String) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.1 != text {
            tracing::warn!(reason = text, "the lattice refuses something");
        }
        *refused = (refused.0 + 1, text);
    }
}

/// Connects, trying again for as long as the options say.
///
/// # Errors
///
/// [`LatticeError::Invalid`] if the options cannot be used, [`LatticeError::Refused`] or
/// [`LatticeError::Unreachable`].
pub(super) async fn connect(options: &Options) -> Result<(Client, Arc<Signals>), LatticeError> {
    let (addresses, url_auth) = options.urls.parse()?;
    let auth = match &options.auth {
        Auth::None => &url_auth,
        auth => auth,
    };
    let signals = Arc::new(Signals::new());
    let prepared = prepare(options, auth, &signals).await?;
    let give_up = Instant::now() + options.wait;
    let mut pause = FIRST_PAUSE;
    loop {
        let attempt = prepared.clone().connect(&addresses[..]);
        // Several servers may each take their time, but not longer than an operation may.
        let error = match timeout(options.timeout, attempt).await {
            Ok(Ok(client)) => return Ok((client, signals)),
            Ok(Err(e)) if is_final(&e) => return Err(refused(options, &e)),
            Ok(Err(e)) => text(&e),
            Err(_) => "it does not answer".into(),
        };
        if Instant::now() + pause > give_up {
            return Err(LatticeError::Unreachable(format!(
                "`{}`: {error}",
                options.urls
            )));
        }
        tracing::debug!(server = %options.urls, error, "cannot reach the lattice yet");
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn prepare(
    options: &Options,
    auth: &Auth,
    signals: &Arc<Signals>,
) -> Result<ConnectOptions, LatticeError> {
    let signals = signals.clone();
    let mut prepared = ConnectOptions::new()
        .name("withe")
        .connection_timeout(options.timeout)
        .request_timeout(Some(options.timeout))
        .ping_interval(PING)
        .reconnect_delay_callback(pause_before)
        .event_callback(move |event| {
            signals.on(&event);
            std::future::ready(())
        });
    prepared = match auth {
        Auth::None => prepared,
        Auth::Credentials(path) => {
            let text = read(path).await?;
            prepared.credentials(&text).map_err(|_| {
                LatticeError::Invalid(format!("`{}` is no credentials file", path.display()))
            })?
        }
        Auth::Nkey(seed) => prepared.nkey(seed.reveal().trim().into()),
        Auth::NkeyFile(path) => {
            let text = read(path).await?;
            let seed = text
                .lines()
                .map(str::trim)
                .find(|line| line.starts_with('S'));
            let seed = seed.ok_or_else(|| {
                LatticeError::Invalid(format!("`{}` holds no nkey seed", path.display()))
            })?;
            prepared.nkey(seed.into())
        }
        Auth::Password { user, password } => {
            prepared.user_and_password(user.clone(), password.reveal().into())
        }
        Auth::Token(token) => prepared.token(token.reveal().into()),
    };
    let tls = &options.tls;
    if let Some(ca) = &tls.ca {
        read(ca).await?;
        prepared = prepared.add_root_certificates(ca.clone()).require_tls(true);
    }
    if let Some((certificate, key)) = &tls.identity {
        read(certificate).await?;
        read(key).await?;
        prepared = prepared
            .add_client_certificate(certificate.clone(), key.clone())
            .require_tls(true);
    }
    if tls.first {
        prepared = prepared.tls_first();
    }
    // TLS may turn out to be wanted by the server; which implementation of it is used must be known then.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have said so meanwhile.
        _ = rustls::crypto::ring::default_provider().install_default();
    }
    Ok(prepared)
}

/// How long to wait before a try to connect again, the first of which has the number 1.
fn pause_before(attempt: usize) -> Duration {
    match attempt {
        0 | 1 => Duration::ZERO,
        _ => {
            let doublings = u32::try_from(attempt - 2).unwrap_or(u32::MAX).min(16);
            (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
        }
    }
}

async fn read(path: &Path) -> Result<String, LatticeError> {
    tokio::fs::read_to_string(path)
        .await
        .map_err(|e| LatticeError::Invalid(format!("cannot read `{}`: {e}", path.display())))
}

/// Whether trying again would not help.
fn is_final(e: &ConnectError) -> bool {
    matches!(
        e.kind(),
        ConnectErrorKind::Authentication
            | ConnectErrorKind::AuthorizationViolation
            | ConnectErrorKind::ServerParse
            | ConnectErrorKind::Tls
    )
}

fn refused(options: &Options, e: &ConnectError) -> LatticeError {
    let why = match e.kind() {
        ConnectErrorKind::Authentication => "the nkey or credentials cannot be used".into(),
        ConnectErrorKind::AuthorizationViolation => {
            "it does not know us, or not with this password, token or key".into()
        }
        _ => text(e),
    };
    LatticeError::Refused(format!("`{}`: {why}", options.urls))
}

/// What the error and its sources say. Addresses in it hold no secrets: they are taken out before.
fn text(e: &ConnectError) -> String {
    use std::error::Error;
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

//! Connecting to NATS, and knowing whether we are.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{
    Client, ClientError, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerError, rustls,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use withe_rpc::BackOff;

use super::options::{Auth, Options};
use crate::LatticeError;
use crate::error::{Cause, Invalid, Refused, Unreachable};

/// The pauses before connecting is tried again.
const PAUSES: BackOff = BackOff {
    first: Duration::from_millis(50),
    most: Duration::from_secs(1),
};

/// How often the server is asked whether it is there. A server that is not is noticed after three times this.
const PING: Duration = Duration::from_secs(3);

/// The events of the connection, for all its users.
pub(super) struct Signals {
    state: watch::Sender<Connectivity>,
    /// The server's last refusal, and the number of refusals.
    refused: Mutex<(u64, String)>,
}

/// The state of the connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connectivity {
    pub(super) is_up: bool,
    /// How often it was made: what was done before is to be looked at again when this changes.
    pub(super) generation: u64,
}

impl Signals {
    fn new() -> Self {
        Self {
            state: watch::Sender::new(Connectivity::default()),
            refused: Mutex::default(),
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Connectivity> {
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
    let mut failures = 0;
    loop {
        let attempt = prepared.clone().connect(&addresses[..]);
        // Several servers may each take their time, but not longer than an operation may.
        let error = match timeout(options.timeout, attempt).await {
            Ok(Ok(client)) => return Ok((client, signals)),
            Ok(Err(e)) if is_final(&e) => return Err(refused(options, e).into()),
            Ok(Err(e)) => Cause::new(e),
            Err(_) => Cause::new("it does not answer"),
        };
        failures += 1;
        let pause = PAUSES.after(failures);
        if Instant::now() + pause > give_up {
            let at = options.urls.to_string();
            return Err(Unreachable::At { at, why: error }.into());
        }
        tracing::debug!(server = %options.urls, %error, "cannot reach the lattice yet");
        sleep(pause).await;
    }
}

async fn prepare(
    options: &Options,
    auth: &Auth,
    signals: &Arc<Signals>,
) -> Result<ConnectOptions, Invalid> {
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
            let prepared = prepared.credentials(&text);
            prepared.map_err(|_| Invalid::NoCredentials(path.clone()))?
        }
        Auth::Nkey(seed) => prepared.nkey(seed.reveal().trim().into()),
        Auth::NkeyFile(path) => {
            let text = read(path).await?;
            let seed = text
                .lines()
                .map(str::trim)
                .find(|line| line.starts_with('S'));
            let seed = seed.ok_or_else(|| Invalid::NoSeed(path.clone()))?;
            prepared.nkey(seed.into())
        }
        Auth::Password { user, password } => {
            prepared.user_and_password(user.clone(), password.reveal().into())
        }
        Auth::Token(token) => prepared.token(token.reveal().into()),
    };
    if let Some(inbox) = &options.inbox {
        if !is_subject(inbox) {
            return Err(Invalid::Inbox(inbox.clone()));
        }
        prepared = prepared.custom_inbox_prefix(inbox);
    }
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

/// Whether messages can be published to it: words between dots, none of which stands for others.
fn is_subject(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || matches!(c, '*' | '>'))
    };
    text.split('.').all(is_word)
}

/// How long to wait before a try to connect again, the first of which has the number 1.
fn pause_before(attempt: usize) -> Duration {
    PAUSES.after(u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX))
}

async fn read(path: &Path) -> Result<String, Invalid> {
    let text = tokio::fs::read_to_string(path).await;
    text.map_err(|e| Invalid::File {
        path: path.into(),
        why: Arc::new(e),
    })
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

fn refused(options: &Options, e: ConnectError) -> Refused {
    let at = options.urls.to_string();
    match e.kind() {
        ConnectErrorKind::AuthorizationViolation => Refused::Unknown { at },
        kind => {
            // Addresses in it hold no secrets: they are taken out before.
            let why = Cause::new(e);
            match kind {
                ConnectErrorKind::Authentication => Refused::Credentials { at, why },
                _ => Refused::Connect { at, why },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_subject;

    #[test]
    fn inboxes_are_subjects_without_wildcards() {
        for right in ["_INBOX", "_INBOX_shop_host", "a.b"] {
            assert!(is_subject(right), "{right}");
        }
        for wrong in ["", ".", "a..b", "a.", "a b", "a.*", ">", "a\tb"] {
            assert!(!is_subject(wrong), "{wrong}");
        }
    }
}

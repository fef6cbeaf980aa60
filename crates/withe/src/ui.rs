//! `withe ui`, and `--ui` of what runs a host: a page that shows what a lattice does, served by this program.
//!
//! * [`hub`]: looks at the lattice while anybody looks at the page, and tells all of them what is new.
//! * [`api`]: the paths of the page's server, and what each answers.
//! * [`guard`]: who is answered.
//! * [`assets`]: the page itself, which is in this program.
//!
//! The page shows what the process that serves it may read, and changes nothing. Calling exports has to be allowed, and
//! goes to the host that serves the page. Its address has a secret, for everybody on this machine can connect to it,
//! and logs are not for everybody.
//!
//! The page is three hand-written modules without a framework: what builds one is a second tool chain, and a program that is one
//! file has nowhere to put a thousand of others. The browser is told what is new by server-sent events, which need no library at
//! either end; a WebSocket would give a way back that nobody needs.

mod api;
mod assets;
mod guard;
mod hub;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use withe_lattice::SharedLattice;
use withe_node::calls::Calls;

use crate::http_listener::{self, ConnectionLimits};
use crate::terminal::Terminal;
use crate::usage::Expected;
use api::Api;
use guard::Guard;
use hub::Hub;

const LIMITS: ConnectionLimits = ConnectionLimits {
    connections: 64,
    lasts: Duration::from_secs(1_200),
};

/// Whether a page shows what runs here, and where.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct UiArgs {
    /// Serve a page at this address that shows what runs: parts, links, rates, logs, traces. A port alone is one of this machine,
    /// which nobody else can connect to; 0 is a free one.
    #[arg(long, value_name = "ADDRESS", value_parser = address, help_heading = "Watching")]
    pub(crate) ui: Option<SocketAddr>,
    /// Let whoever has the page's address, with its secret, call what this host's components export.
    #[arg(long, requires = "ui", help_heading = "Watching")]
    pub(crate) ui_allow_calls: bool,
    /// A name by which browsers reach the page, besides `localhost` and addresses. May be given several times.
    #[arg(long = "ui-name", value_name = "NAME", requires = "ui", value_parser = name, help_heading = "Watching")]
    pub(crate) ui_names: Vec<String>,
}

/// An address, or a port of this machine alone.
pub(crate) fn address(text: &str) -> Result<SocketAddr, Expected> {
    if let Ok(port) = text.parse() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let text = text.replacen("localhost:", "127.0.0.1:", 1);
    text.parse()
        .map_err(|_| Expected("a port, or an address such as `127.0.0.1:7171`"))
}

/// A name of the page, which has no port: the page is found by it at any.
pub(crate) fn name(text: &str) -> Result<String, Expected> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    match !text.is_empty() && text.chars().all(is_of_name) {
        true => Ok(text.to_owned()),
        false => Err(Expected(
            "a name without a port or a scheme, such as `build.example`",
        )),
    }
}

/// The state and the rights that a page is served with.
pub(crate) struct Served {
    pub(crate) lattice: SharedLattice,
    /// By which exports are called, where that is allowed.
    pub(crate) calls: Option<Calls>,
    /// Names by which it is reached.
    pub(crate) names: Vec<String>,
}

/// A page that is served. The page ends when this is dropped.
pub(crate) struct Page {
    address: SocketAddr,
    token: String,
    calls: bool,
    _server: JoinSet<()>,
}

impl Page {
    /// Takes the address, before anything runs that would have to end again if it cannot be had.
    ///
    /// # Errors
    ///
    /// If nobody can listen there.
    pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
        let failed = || format!("cannot listen at `{address}` for the page");
        TcpListener::bind(address).await.with_context(failed)
    }

    /// Serves it.
    ///
    /// # Errors
    ///
    /// If the system gives no random numbers.
    pub(crate) fn serve(listener: TcpListener, served: Served) -> anyhow::Result<Self> {
        let address = listener.local_addr().context("no address to listen at")?;
        let token = guard::token()?;
        let calls = served.calls.is_some();
        let guard = Guard::new(served.names, token.clone(), calls);
        let mut server = JoinSet::new();
        let hub = Hub::start(served.lattice, &mut server);
        let api = Arc::new(Api::new(hub, guard, served.calls));
        server.spawn(http_listener::serve(listener, LIMITS, move |request| {
            let api = api.clone();
            async move { api.answer(request).await }
        }));
        Ok(Self {
            address,
            token,
            calls,
            _server: server,
        })
    }

    /// Says where it is.
    pub(crate) fn say(&self, terminal: &Terminal) {
        let mut address = self.address;
        if let Some(warning) = warning(address, self.calls) {
            terminal.say(&warning);
        }
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::from(Ipv4Addr::LOCALHOST));
        }
        let token = &self.token;
        terminal.say(&format!("the page is at http://{address}/#token={token}\n"));
    }
}

/// A warning to a person who serves the page to other machines.
fn warning(address: SocketAddr, calls: bool) -> Option<String> {
    if address.ip().to_canonical().is_loopback() {
        return None;
    }
    let may = match calls {
        true => "see the page and call what components export",
        false => "see the page",
    };
    Some(format!(
        "the page at {address} is served to other machines without TLS: whoever can read that traffic learns the secret of its \
         address, and can {may}. Serve it on this machine alone, behind a proxy with TLS or `ssh -L`, where the network is not \
         trusted\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_serves_other_machines_is_warned() {
        let of = |text: &str, calls| warning(address(text).unwrap(), calls);
        for local in ["7171", "127.0.0.2:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(of(local, true), None, "{local}");
        }
        for open in ["0.0.0.0:80", "[::]:80", "10.0.0.7:80", "[fe80::1]:80"] {
            assert!(of(open, false).unwrap().contains(open), "{open}");
            assert!(of(open, true).unwrap().contains("call"), "{open}");
        }
    }

    #[test]
    fn a_name_has_no_port() {
        for good in ["build.example", "Build", "a-b_c.example"] {
            assert_eq!(name(good).unwrap(), good);
        }
        for bad in ["", "build.example:80", "http://build.example", "a b", "a/b"] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_port_alone_is_of_this_machine() {
        let table = [
            ("7171", "127.0.0.1:7171"),
            ("0", "127.0.0.1:0"),
            ("localhost:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:80", "[::1]:80"),
        ];
        for (text, want) in table {
            assert_eq!(address(text).unwrap().to_string(), want);
        }
        for text in ["", "host", "70000", "127.0.0.1"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}

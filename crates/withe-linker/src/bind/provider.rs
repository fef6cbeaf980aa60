//! How a link with a provider at one end is bound. Providers run in the host's own process: what is
//! there calls them and is called by them directly, what a worker serves calls them over a socket.

use crate::diagnostic::Diagnostics;
use crate::input::{BindingChoice, Scope};
use crate::parts::PartId;
use crate::place::Placed;
use crate::plan::Binding;
use crate::problems;
use crate::resolve::ResolvedLink;
use crate::wording::list;

use super::processes::{Process, Processes};
use super::{Bound, Settings, carry, obstacle};

/// The link's binding; none if it was reported.
pub(super) fn bind(
    placed: &Placed<'_>,
    link: &ResolvedLink<'_>,
    settings: &Settings,
    processes: &Processes,
    out: &mut Diagnostics,
) -> Option<Bound> {
    let resolved = &placed.checked.resolved;
    let parts = &resolved.parts;
    let (provider, component) = if parts.is_provider(link.target) {
        (link.target, link.source)
    } else {
        (link.source, link.target)
    };
    let callers = Callers::of(link, provider, processes);
    let name = parts.name(provider);
    let apart = format!(
        "`{name}` is a provider in the host's process, `{}` is served by another one",
        parts.name(component)
    );
    let misfit = match settings.binding {
        BindingChoice::Auto => None,
        BindingChoice::Host => (!callers.workers.is_empty()).then(|| apart.clone()),
        BindingChoice::Unix => callers.in_host.then(|| {
            format!(
                "`{name}` is a provider in the host's process, and so is `{}`",
                parts.name(component)
            )
        }),
        BindingChoice::Fused | BindingChoice::Local | BindingChoice::Tcp | BindingChoice::Nats => {
            Some(format!(
                "`{name}` is a provider, which only the host can call"
            ))
        }
    };
    if let Some(reason) = misfit {
        out.push(problems::bindings::pinned(
            parts,
            link,
            settings.binding,
            &reason,
        ));
        return None;
    }
    if provider == link.target && settings.scope != Scope::Caller {
        out.push(problems::bindings::provider_scope(
            parts,
            link,
            settings.scope,
        ));
        return None;
    }
    if let Some(reason) = carry::host_obstacle(resolved, link) {
        out.push(problems::bindings::none(parts, link, &[("host", &reason)]));
        return None;
    }
    if callers.workers.is_empty() {
        let why = format!("`{name}` is a provider in this host");
        return Some(Bound::by(Binding::Host, why));
    }
    let not_unix = obstacle::outside_locality(settings);
    if let Some(reason) = not_unix.or_else(|| carry::http_obstacle(resolved, link)) {
        let reasons = [("host", apart.as_str()), ("unix", reason.as_str())];
        out.push(problems::bindings::none(parts, link, &reasons));
        return None;
    }
    if !callers.in_host {
        return Some(Bound::by(Binding::Unix, apart));
    }
    let workers = if callers.workers.len() == 1 {
        "the worker"
    } else {
        "the workers"
    };
    let served = list(callers.workers.iter().map(|root| parts.name(*root)));
    let why = format!(
        "`{name}` is a provider in this host, called over a Unix socket by {workers} of {served}"
    );
    Some(Bound::by(Binding::Host, why))
}

/// Where the calls over a link come from.
struct Callers {
    /// Whether from the host's own process.
    in_host: bool,
    /// The roots of the workers from which they come.
    workers: Vec<PartId>,
}

impl Callers {
    fn of(link: &ResolvedLink<'_>, provider: PartId, processes: &Processes) -> Self {
        let mut workers = Vec::new();
        // A provider calls from its own process, whatever it calls.
        if provider == link.source {
            return Self {
                in_host: true,
                workers,
            };
        }
        let mut in_host = false;
        for process in processes.of_part(link.source) {
            match process {
                Process::Host => in_host = true,
                Process::Worker(root) => workers.push(root),
            }
        }
        Self {
            // What nothing calls would run in the host.
            in_host: in_host || workers.is_empty(),
            workers,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::App;

    const WIT: &str = "
        package a:b {
            interface x { f: func(); }
            interface kv { get: func(); }
            interface flow { read: func() -> stream<u8>; }
        }
        package wasi:http@0.2.0 { interface outgoing-handler { handle: func(); } }
        package wasi:http@0.3.0 { interface client { send: func(body: stream<u8>); } }
        world shop { import a:b/x; }
        world cart { export a:b/x; import a:b/kv; }
        world sends { export a:b/x; import wasi:http/outgoing-handler@0.2.0; import wasi:http/client@0.3.0; }
        world reads { import a:b/flow; }
        world kv { export a:b/kv; }
        world http-client { export wasi:http/outgoing-handler@0.2.0; export wasi:http/client@0.3.0; }
        world flows { export a:b/flow; }
        world server { import a:b/x; }
    ";

    fn cart(settings: &[&str]) -> App {
        App::new(WIT)
            .component("shop")
            .called("shop")
            .link("cart", &["binding: unix"])
            .component("cart")
            .link("kv", settings)
            .provider("kv")
    }

    #[test]
    fn a_worker_calls_providers_over_a_socket() {
        let both = cart(&[]).called("cart");
        let called = App::new(WIT)
            .provider("server")
            .link("cart", &[])
            .component("cart")
            .link("kv", &["binding: host", "locality: host"])
            .provider("kv");
        let texts = [
            cart(&[]).processes(),
            cart(&["binding: unix", "locality: machine"]).processes(),
            both.processes(),
            called.processes(),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn pins_have_to_fit_where_the_component_runs() {
        let in_host = App::new(WIT)
            .component("cart")
            .called("cart")
            .link("kv", &["binding: unix"])
            .provider("kv");
        let texts = [
            cart(&["binding: host"]).problems(),
            cart(&["locality: host"]).problems(),
            cart(&["binding: unix"]).called("cart").problems(),
            cart(&["binding: host"]).called("cart").problems(),
            in_host.problems(),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn streams_stay_in_the_host() {
        let app = App::new(WIT)
            .component("shop")
            .called("shop")
            .link("sends", &["binding: unix"])
            .component("sends")
            .link("http-client", &["for: wasi:http", "interfaces: client"])
            .link("proxy", &[])
            .provider("http-client")
            .provider_of("http-client", "proxy")
            .component("reads")
            .called("reads")
            .link("flows", &[])
            .provider("flows");
        insta::assert_snapshot!(app.problems());
    }
}

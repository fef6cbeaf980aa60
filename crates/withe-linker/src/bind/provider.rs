//! How a link with a provider at one end is bound. Providers run in the host's own process: what is
//! there calls them and is called by them directly, what a worker serves over a socket. Over a link that is
//! pinned to a wire the host calls itself.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::input::{BindingChoice, Scope};
use crate::parts::PartId;
use crate::place::Placed;
use crate::plan::Binding;
use crate::problems;
use crate::resolved::ResolvedLink;
use crate::wording::list;

use super::bound::Bound;
use super::processes::{Process, Processes};
use super::settings::Settings;
use super::{carry, obstacle};

/// The binding of a link from a provider to a component; none if it was reported.
pub(super) fn bind_source(
    placed: &Placed<'_>,
    link: &ResolvedLink<'_>,
    settings: &Settings,
    out: &mut Diagnostics,
) -> Option<Bound> {
    let resolved = &placed.checked.resolved;
    let name = resolved.parts.name(link.source);
    let pin = match settings.binding {
        BindingChoice::Auto | BindingChoice::Host => None,
        BindingChoice::Unix => Some(Binding::Unix),
        BindingChoice::Tcp => Some(Binding::Tcp),
        BindingChoice::Nats => Some(Binding::Nats),
        BindingChoice::Fused | BindingChoice::Local => {
            out.push(misfit(placed, link, settings, &only_the_host(name)));
            return None;
        }
    };
    let Some(pin) = pin else {
        return in_host(placed, link, name, out);
    };
    wire(placed, link, settings, pin, out)
}

/// The binding of a link from a component to a provider; none if it was reported.
pub(super) fn bind_target(
    placed: &Placed<'_>,
    link: &ResolvedLink<'_>,
    settings: &Settings,
    processes: &Processes,
    out: &mut Diagnostics,
) -> Option<Bound> {
    let resolved = &placed.checked.resolved;
    let parts = &resolved.parts;
    let callers = Callers::of(link, processes);
    let name = parts.name(link.target);
    let component = parts.name(link.source);
    let apart = format!(
        "`{name}` is a provider in the host's process, `{component}` is served by another one"
    );
    let misfits = match settings.binding {
        BindingChoice::Auto | BindingChoice::Tcp | BindingChoice::Nats => None,
        BindingChoice::Host => (!callers.workers.is_empty()).then(|| apart.clone()),
        BindingChoice::Unix => callers.in_host.then(|| {
            format!("`{name}` is a provider in the host's process, and so is `{component}`")
        }),
        BindingChoice::Fused | BindingChoice::Local => Some(only_the_host(name)),
    };
    if let Some(reason) = misfits {
        out.push(misfit(placed, link, settings, &reason));
        return None;
    }
    if settings.scope != Scope::Caller {
        let scope = settings.scope;
        out.push(problems::bindings::provider_scope(parts, link, scope));
        return None;
    }
    let not_from_workers = (!callers.workers.is_empty())
        .then(|| carry::streaming_obstacle(resolved, link))
        .flatten();
    let pin = match settings.binding {
        BindingChoice::Tcp => Some(Binding::Tcp),
        BindingChoice::Nats => Some(Binding::Nats),
        _ => None,
    };
    if let Some(pin) = pin {
        let reason = not_from_workers.or_else(|| carry::streaming_obstacle(resolved, link));
        if let Some(reason) = reason {
            out.push(misfit(placed, link, settings, &reason));
            return None;
        }
        return wire(placed, link, settings, pin, out);
    }
    let in_host = in_host(placed, link, name, out)?;
    if callers.workers.is_empty() {
        return Some(in_host);
    }
    if let Some(reason) = obstacle::outside_locality(settings).or(not_from_workers) {
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

/// A link within the host's process; none if it cannot be carried, which is reported.
fn in_host(
    placed: &Placed<'_>,
    link: &ResolvedLink<'_>,
    provider: &str,
    out: &mut Diagnostics,
) -> Option<Bound> {
    let resolved = &placed.checked.resolved;
    if let Some(reason) = carry::host_obstacle(resolved, link) {
        let reasons = [("host", reason.as_str())];
        out.push(problems::bindings::none(&resolved.parts, link, &reasons));
        return None;
    }
    let why = format!("`{provider}` is a provider in this host");
    Some(Bound::by(Binding::Host, why))
}

/// A link that is pinned to a way out of the process; none if it cannot be carried there, which is reported.
fn wire(
    placed: &Placed<'_>,
    link: &ResolvedLink<'_>,
    settings: &Settings,
    binding: Binding,
    out: &mut Diagnostics,
) -> Option<Bound> {
    let resolved = &placed.checked.resolved;
    let obstacle =
        obstacle::outside_locality(settings).or_else(|| carry::host_obstacle(resolved, link));
    if let Some(reason) = obstacle {
        out.push(misfit(placed, link, settings, &reason));
        return None;
    }
    Some(Bound::by(
        binding,
        format!("pinned by {}", settings.asked_by),
    ))
}

fn only_the_host(provider: &str) -> String {
    format!("`{provider}` is a provider, which only the host can call")
}

fn misfit(
    placed: &Placed<'_>,
    link: &ResolvedLink<'_>,
    settings: &Settings,
    reason: &str,
) -> Diagnostic {
    let parts = &placed.checked.resolved.parts;
    problems::bindings::pinned(parts, link, settings.binding, reason)
}

/// Where the calls over a link to a provider come from.
struct Callers {
    /// Whether from the host's own process.
    in_host: bool,
    /// The roots of the workers from which they come.
    workers: Vec<PartId>,
}

impl Callers {
    fn of(link: &ResolvedLink<'_>, processes: &Processes) -> Self {
        let mut workers = Vec::new();
        let mut in_host = false;
        for process in processes.of_part(link.source) {
            match process {
                Process::Host => in_host = true,
                Process::Worker(root) => workers.push(root),
            }
        }
        Self {
            // A component that nothing calls would run in the host.
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
            interface errors { last: func() -> stream<error-context>; }
            interface shelf { resource book; lend: func() -> book; }
            interface store { resource bucket; open: func(name: string) -> result<bucket>; get: func(b: borrow<bucket>); }
            interface watcher { use store.{bucket}; changed: func(b: bucket, key: string); }
            interface taker { use store.{bucket}; take: func(key: string, b: bucket); }
        }
        package wasi:io@0.2.0 { interface streams { resource input-stream; resource output-stream; } }
        package wasi:blobstore@0.2.0-draft {
            interface types {
                use wasi:io/streams@0.2.0.{output-stream};
                resource outgoing-value { write: func() -> output-stream; }
            }
            interface container {
                use types.{outgoing-value};
                resource container { write-data: func(data: borrow<outgoing-value>); }
            }
        }
        package wasi:http@0.2.0 { interface outgoing-handler { handle: func(); } }
        package wasi:http@0.3.0 { interface client { send: func(body: stream<u8>); } }
        world shop { import a:b/x; }
        world cart { export a:b/x; import a:b/kv; }
        world sends { export a:b/x; import wasi:http/outgoing-handler@0.2.0; import wasi:http/client@0.3.0; }
        world sends-and-gets { export a:b/x; import wasi:http/client@0.3.0; import a:b/kv; }
        world client-and-kv { export wasi:http/client@0.3.0; export a:b/kv; }
        world keeps { export a:b/x; import wasi:blobstore/container@0.2.0-draft; }
        world keeps-and-gets { export a:b/x; import wasi:blobstore/container@0.2.0-draft; import a:b/kv; }
        world blobs { export wasi:blobstore/types@0.2.0-draft; export wasi:blobstore/container@0.2.0-draft; }
        world blobs-and-kv {
            export wasi:blobstore/types@0.2.0-draft; export wasi:blobstore/container@0.2.0-draft; export a:b/kv;
        }
        world calls-blobs { import wasi:blobstore/container@0.2.0-draft; }
        world reads { import a:b/flow; }
        world passes { import a:b/flow; export a:b/x; }
        world kv { export a:b/kv; }
        world http-client { export wasi:http/outgoing-handler@0.2.0; export wasi:http/client@0.3.0; }
        world flows { export a:b/flow; }
        world asks { import a:b/errors; }
        world errs { export a:b/errors; }
        world server { import a:b/x; }
        world events { import a:b/x; import a:b/kv; import a:b/flow; import a:b/shelf; }
        world takes { export a:b/kv; export a:b/x; }
        world lends { export a:b/shelf; }
        world keeps-and-tells { export a:b/store; import a:b/watcher; import a:b/taker; }
        world store { export a:b/store; }
        world watches { import a:b/store; export a:b/watcher; }
        world takes-late { import a:b/store; export a:b/taker; }
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
    fn pins_to_a_wire_lead_from_the_host_to_itself() {
        let app = |binding: &str| {
            let pin = format!("binding: {binding}");
            App::new(WIT)
                .provider("server")
                .link("cart", &[&pin])
                .component("cart")
                .link("kv", &[&pin])
                .provider("kv")
        };
        let from_worker = cart(&["binding: tcp"]);
        let sends = |http: &str| {
            App::new(WIT)
                .component("shop")
                .called("shop")
                .link("sends", &[http])
                .component("sends")
                .link("http-client", &["for: wasi:http", "binding: nats"])
                .provider("http-client")
        };
        let texts = [
            app("tcp").processes(),
            app("nats").processes(),
            app("unix").processes(),
            from_worker.processes(),
            sends("binding: tcp").problems(),
            sends("binding: unix").problems(),
            app("local").problems(),
            cart(&["binding: nats", "locality: host"]).problems(),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn a_provider_calls_all_that_a_component_exports_and_it_imports() {
        let app = |target: &str, settings: &[&str]| {
            App::new(WIT)
                .provider("events")
                .link(target, settings)
                .component(target)
        };
        let texts = [
            app("takes", &[]).processes(),
            app("takes", &["for: a:b", "interfaces: kv"]).processes(),
            app("lends", &[]).problems(),
            app("flows", &[]).processes(),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn a_resource_that_comes_first_is_opened_over_the_components_own_link() {
        let app = |target: &str, binding: &[&str]| {
            App::new(WIT)
                .provider("keeps-and-tells")
                .link(target, binding)
                .component(target)
                .link("keeps-and-tells", &[])
        };
        // A component that is fused into it would keep the resource to itself.
        let apart = App::new(WIT)
            .provider("keeps-and-tells")
            .link("watches", &[])
            .component("watches")
            .link("store", &[])
            .component("store");
        let texts = [
            app("watches", &[]).processes(),
            app("watches", &["binding: unix"]).processes(),
            app("watches", &["binding: tcp"]).processes(),
            apart.processes(),
            app("takes-late", &[]).problems(),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn objects_and_requests_are_carried_everywhere_but_not_with_others() {
        let app = |component: &str, blobs: &str, to_component: &str, to_blobs: &[&str]| {
            App::new(WIT)
                .host(&["wasi:io/streams@0.2.0"])
                .component("shop")
                .called("shop")
                .link(component, &[to_component])
                .component(component)
                .link(blobs, to_blobs)
                .provider(blobs)
        };
        let texts = [
            app("keeps", "blobs", "binding: local", &[]).processes(),
            app("keeps", "blobs", "binding: unix", &[]).processes(),
            app("keeps", "blobs", "binding: local", &["binding: tcp"]).processes(),
            app("keeps-and-gets", "blobs-and-kv", "binding: local", &[]).processes(),
            app("keeps-and-gets", "blobs-and-kv", "binding: unix", &[]).problems(),
            app(
                "keeps-and-gets",
                "blobs-and-kv",
                "binding: local",
                &["binding: nats"],
            )
            .problems(),
            app("sends-and-gets", "client-and-kv", "binding: local", &[]).processes(),
            app("sends-and-gets", "client-and-kv", "binding: unix", &[]).problems(),
            App::new(WIT)
                .host(&["wasi:io/streams@0.2.0"])
                .provider("calls-blobs")
                .link("blobs", &[])
                .component("blobs")
                .problems(),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn streams_cross_to_a_provider_and_error_contexts_do_not() {
        let app = |binding: &str| {
            App::new(WIT)
                .component("shop")
                .called("shop")
                .link("passes", &[binding])
                .component("passes")
                .link("flows", &[])
                .provider("flows")
        };
        let tcp = App::new(WIT)
            .component("reads")
            .called("reads")
            .link("flows", &["binding: tcp"])
            .provider("flows");
        let errors = |source: &str| {
            let app = App::new(WIT);
            match source {
                "asks" => app
                    .component("asks")
                    .called("asks")
                    .link("errs", &[])
                    .provider("errs"),
                _ => app.provider("asks").link("errs", &[]).component("errs"),
            }
        };
        let texts = [
            app("binding: local").processes(),
            app("binding: unix").processes(),
            tcp.processes(),
            errors("asks").problems(),
            errors("provider").problems(),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn http_is_sent_from_other_processes() {
        let app = App::new(WIT)
            .component("shop")
            .called("shop")
            .link("sends", &["binding: unix"])
            .component("sends")
            .link("http-client", &["for: wasi:http", "interfaces: client"])
            .link("proxy", &[])
            .provider("http-client")
            .provider_of("http-client", "proxy");
        assert_eq!(app.codes(), [""; 0]);
    }
}

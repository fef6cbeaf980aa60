//! Links that leave the host: one end runs here, and the other on other hosts only.
//!
//! How such a link is bound is for the host to say that has its source. On the host of its target it is
//! *incoming*: in the plan, so that the target is there to be called, and bound by nothing there.

use crate::diagnostic::Diagnostics;
use crate::input::{BindingChoice, Elsewhere, Locality, Scope};
use crate::place::Placed;
use crate::plan::Binding;
use crate::problems;
use crate::resolved::ResolvedLink;
use crate::wording::list;

use super::bound::Bound;
use super::carry;
use super::settings::Settings;

/// Where the ends of a link run, as this host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// Both on this host.
    Here,
    /// The source here, the target elsewhere.
    Away,
    /// The source elsewhere; whatever there is of the target here is called from there.
    Incoming,
}

/// Where the ends of `link` run.
pub(super) fn ends(placed: &Placed<'_>, link: &ResolvedLink<'_>) -> Ends {
    let parts = &placed.checked.resolved.parts;
    match (parts.is_here(link.source), parts.is_here(link.target)) {
        (false, _) => Ends::Incoming,
        (true, false) => Ends::Away,
        (true, true) => Ends::Here,
    }
}

/// The binding of a link whose target is elsewhere; none if it was reported.
pub(super) fn bind(
    placed: &Placed<'_>,
    link: &ResolvedLink<'_>,
    settings: &Settings,
    out: &mut Diagnostics,
) -> Option<Bound> {
    let resolved = &placed.checked.resolved;
    let parts = &resolved.parts;
    let target = parts.elsewhere(link.target)?;
    let runs = format!("`{}` runs on {}", parts.name(link.target), names(target));
    let not_direct = target.hosts.iter().filter(|host| !host.direct);
    let not_direct: Vec<&str> = not_direct.map(|host| host.name.as_str()).collect();
    // What runs nowhere yet may come to run anywhere.
    let is_direct = not_direct.len() < target.hosts.len() || target.hosts.is_empty();
    let reached = |by: &str| match not_direct.as_slice() {
        [] => String::new(),
        [one] => format!("; `{one}` cannot be reached directly and is {by}"),
        several => format!(
            "; {} cannot be reached directly and are {by}",
            list(several)
        ),
    };
    let pinned_by = || format!("pinned by {}", settings.asked_by);
    let refused = |reason: &str| problems::bindings::pinned(parts, link, settings.binding, reason);
    let (binding, why) = match settings.binding {
        BindingChoice::Auto if is_direct => {
            (Binding::Tcp, runs.clone() + &reached("called over `nats`"))
        }
        BindingChoice::Auto => (
            Binding::Nats,
            format!("{runs}, which cannot be reached directly"),
        ),
        BindingChoice::Nats => (Binding::Nats, pinned_by()),
        BindingChoice::Tcp if is_direct => (Binding::Tcp, pinned_by() + &reached("not called")),
        BindingChoice::Tcp => {
            out.push(refused(&format!(
                "{runs}, which cannot be reached directly"
            )));
            return None;
        }
        BindingChoice::Fused | BindingChoice::Local | BindingChoice::Host | BindingChoice::Unix => {
            let source = parts.name(link.source);
            out.push(refused(&format!("{runs}, and `{source}` on this one")));
            return None;
        }
    };
    if let Some(reason) =
        outside(settings, target, &runs).or_else(|| obstacle(placed, link, settings))
    {
        let binding = problems::written::planned_name(binding);
        out.push(problems::bindings::none(parts, link, &[(binding, &reason)]));
        return None;
    }
    Some(Bound {
        binding,
        by_host: settings.binding == BindingChoice::Auto,
        why,
    })
}

/// A link whose source is elsewhere, as its target's host has it.
pub(super) fn incoming(placed: &Placed<'_>, link: &ResolvedLink<'_>) -> Bound {
    let resolved = &placed.checked.resolved;
    let source = resolved.parts.elsewhere(link.source);
    let is_direct = source.is_some_and(|source| source.hosts.iter().all(|host| host.direct));
    let hosts = source.map(names).unwrap_or_default();
    let why = format!("`{}` runs on {hosts}", resolved.parts.name(link.source));
    let binding = if is_direct {
        Binding::Tcp
    } else {
        Binding::Nats
    };
    Bound::by(binding, why)
}

/// The hosts, for the middle of a sentence.
fn names(part: &Elsewhere) -> String {
    match part.hosts.as_slice() {
        [] => "no host yet".into(),
        hosts => list(hosts.iter().map(|host| &host.name)),
    }
}

/// Why the target is farther away than the link allows.
fn outside(settings: &Settings, target: &Elsewhere, runs: &str) -> Option<String> {
    match settings.locality {
        Some(Locality::Host) => Some(format!("its locality is `host`, and {runs}")),
        Some(Locality::Machine) => {
            let others = target.hosts.iter().filter(|host| !host.same_machine);
            let others: Vec<&str> = others.map(|host| host.name.as_str()).collect();
            match others.len() {
                0 => None,
                n if n == target.hosts.len() => Some(format!(
                    "its locality is `machine`, and {runs}, on another machine"
                )),
                _ => Some(format!(
                    "its locality is `machine`, and {runs}; not on this machine: {}",
                    list(others)
                )),
            }
        }
        Some(Locality::Lattice) | None => None,
    }
}

/// Why no wire can carry the link.
fn obstacle(placed: &Placed<'_>, link: &ResolvedLink<'_>, settings: &Settings) -> Option<String> {
    let resolved = &placed.checked.resolved;
    if !resolved.involves_provider(link) {
        return carry::call_obstacle(resolved, link, settings.scope);
    }
    if resolved.parts.is_provider(link.target) && settings.scope != Scope::Caller {
        return Some(format!(
            "`{}` is a provider, which has no scope",
            resolved.parts.name(link.target)
        ));
    }
    carry::host_obstacle(resolved, link).or_else(|| carry::blobs_obstacle(resolved, link))
}

#[cfg(test)]
mod tests {
    use crate::input::{Elsewhere, OtherHost, Surroundings};
    use crate::testing::App;

    const WIT: &str = "
        package a:b {
            interface x { f: func(); }
            interface kv { get: func(); }
            interface errors { last: func() -> error-context; }
        }
        package wasi:http@0.2.0 {
            interface types { resource request; }
            interface incoming-handler { use types.{request}; handle: func(r: request); }
        }
        world server { import wasi:http/incoming-handler@0.2.0; }
        world shop { import a:b/x; export wasi:http/incoming-handler@0.2.0; }
        world cart { export a:b/x; import a:b/kv; }
        world kv { export a:b/kv; }
        world asks { import a:b/errors; }
        world errs { export a:b/errors; }
    ";

    /// `server` calls `shop`, which calls `cart`, which calls `kv`.
    fn app(shop: &[&str], cart: &[&str]) -> App {
        App::new(WIT)
            .host(&["wasi:http/types@0.2.6"])
            .provider("server")
            .link("shop", &[])
            .component("shop")
            .link("cart", shop)
            .component("cart")
            .link("kv", cart)
            .provider("kv")
    }

    fn away(app: App, parts: &[(&str, bool)]) -> App {
        let parts = parts.iter();
        parts.fold(app, |app, (part, direct)| {
            on(app, part, &[("east", *direct), ("west", *direct)])
        })
    }

    /// A part on these hosts, which can be reached directly or not.
    fn on(mut app: App, part: &str, hosts: &[(&str, bool)]) -> App {
        app.inputs.placement.surroundings = Surroundings::Lattice;
        let hosts = hosts.iter().map(|(name, direct)| OtherHost {
            name: (*name).into(),
            direct: *direct,
            same_machine: *name == "beside",
        });
        let elsewhere = Elsewhere {
            hosts: hosts.collect(),
        };
        app.inputs
            .placement
            .elsewhere
            .insert(part.into(), elsewhere);
        app
    }

    #[test]
    fn each_host_has_its_side_of_a_link() {
        let sides = [
            away(app(&[], &[]), &[("cart", true), ("kv", true)]),
            away(app(&[], &[]), &[("server", true), ("cart", false)]),
            away(
                app(&[], &[]),
                &[("server", true), ("shop", true), ("kv", true)],
            ),
            away(
                app(&[], &[]),
                &[("server", true), ("shop", true), ("cart", false)],
            ),
        ];
        let texts: Vec<_> = sides.iter().map(App::processes).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn what_other_hosts_call_is_a_unit_also_if_it_is_fused_here() {
        let mut app = away(app(&[], &[]), &[]);
        app.inputs.placement.served.insert("cart".into());
        insta::assert_snapshot!(app.processes());
    }

    #[test]
    fn each_host_is_called_as_it_can_be() {
        let cart = |settings: &[&str]| {
            let hosts = [("beside", true), ("east", false), ("west", false)];
            on(app(settings, &[]), "cart", &hosts)
        };
        let one = [("east", true), ("west", false)];
        let texts = [
            on(app(&[], &[]), "cart", &one).processes(),
            cart(&[]).processes(),
            cart(&["binding: tcp"]).processes(),
            cart(&["binding: nats"]).processes(),
            on(app(&["binding: tcp"], &[]), "cart", &[]).processes(),
            cart(&["locality: machine"]).problems(),
        ];
        insta::assert_snapshot!(texts.join("\n"));
        let by_host = |app: App| app.plan().links[1].by_host;
        assert!(by_host(cart(&[])));
        assert!(!by_host(cart(&["binding: tcp"])));
    }

    #[test]
    fn pins_and_localities_have_to_fit_where_the_ends_run() {
        let texts = [
            away(app(&["binding: fused"], &[]), &[("cart", true)]).problems(),
            away(app(&["binding: tcp"], &[]), &[("cart", false)]).problems(),
            away(
                app(&["locality: machine"], &["locality: host"]),
                &[("cart", true)],
            )
            .problems(),
            away(app(&[], &["locality: host"]), &[("kv", true)]).problems(),
            away(
                app(&["binding: nats"], &["binding: nats"]),
                &[("cart", true)],
            )
            .processes(),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn what_no_wire_carries_is_refused() {
        let errors = App::new(WIT)
            .component("asks")
            .called("asks")
            .link("errs", &[])
            .component("errs");
        insta::assert_snapshot!(away(errors, &[("errs", true)]).problems());
    }
}

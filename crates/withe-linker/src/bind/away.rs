//! Links that leave the host: one end runs here, and the other on other hosts only.
//!
//! How such a link is bound is for the host to say that has its source. On the host of its target it is
//! *incoming*: in the plan, so that the target is there to be called, and bound by nothing there.

use crate::diagnostic::Diagnostics;
use crate::input::{BindingChoice, Elsewhere, Locality, OtherHost, Scope};
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
    let ways = Ways::of(target);
    let pinned = |left_out: &[&str], over: &str| {
        let pinned_by = format!("pinned by {}", settings.asked_by);
        match left_out {
            [] => pinned_by,
            [one] => format!("{pinned_by}; `{one}` cannot be reached {over} and is not called"),
            several => format!(
                "{pinned_by}; {} cannot be reached {over} and are not called",
                list(several)
            ),
        }
    };
    let mut refused = |reason: &str| {
        let pinned = problems::bindings::pinned(parts, link, settings.binding, reason);
        out.push(pinned);
    };
    let (binding, why) = match settings.binding {
        BindingChoice::Auto => {
            let binding = ways.cheapest();
            (binding, runs.clone() + &ways.others(binding))
        }
        BindingChoice::Nats => (Binding::Nats, pinned(&[], "over NATS")),
        BindingChoice::Tcp | BindingChoice::Unix => {
            let (binding, over) = match settings.binding {
                BindingChoice::Unix => (Binding::Unix, "over a Unix socket"),
                _ => (Binding::Tcp, "over TCP"),
            };
            let Some(left_out) = ways.not_over(binding) else {
                refused(&format!("{runs}, which cannot be reached {over}"));
                return None;
            };
            (binding, pinned(&left_out, over))
        }
        BindingChoice::Fused | BindingChoice::Local | BindingChoice::Host => {
            let source = parts.name(link.source);
            refused(&format!("{runs}, and `{source}` on this one"));
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
    let hosts = source.map(names).unwrap_or_default();
    let why = format!("`{}` runs on {hosts}", resolved.parts.name(link.source));
    let all = |is_reached: fn(&OtherHost) -> bool| {
        source.is_some_and(|source| source.hosts.iter().all(is_reached))
    };
    let binding = if all(|host| host.unix) && source.is_some_and(|source| !source.hosts.is_empty())
    {
        Binding::Unix
    } else if all(OtherHost::is_direct) {
        Binding::Tcp
    } else {
        Binding::Nats
    };
    Bound::by(binding, why)
}

/// The hosts of a link's target, by the cheapest way to each.
struct Ways<'a> {
    target: &'a Elsewhere,
    unix: Vec<&'a str>,
    tcp: Vec<&'a str>,
    nats: Vec<&'a str>,
}

impl<'a> Ways<'a> {
    fn of(target: &'a Elsewhere) -> Self {
        let (mut unix, mut tcp, mut nats) = (Vec::new(), Vec::new(), Vec::new());
        for host in &target.hosts {
            let names = match host {
                _ if host.unix => &mut unix,
                _ if host.tcp => &mut tcp,
                _ => &mut nats,
            };
            names.push(host.name.as_str());
        }
        Self {
            target,
            unix,
            tcp,
            nats,
        }
    }

    /// The binding that the link is said to have: that of the hosts which are farther away than others, as long as they
    /// are reached directly.
    fn cheapest(&self) -> Binding {
        match (
            self.unix.as_slice(),
            self.tcp.as_slice(),
            self.nats.as_slice(),
        ) {
            (_, [_, ..], _) => Binding::Tcp,
            ([_, ..], [], _) => Binding::Unix,
            ([], [], [_, ..]) => Binding::Nats,
            // A part that runs nowhere yet may come to run anywhere.
            ([], [], []) => Binding::Tcp,
        }
    }

    /// How the hosts are called that are not called over `binding`, for the end of a sentence.
    fn others(&self, binding: Binding) -> String {
        let mut text = String::new();
        let is_mixed = binding == Binding::Tcp;
        match self.unix.as_slice() {
            [one] if is_mixed => {
                text += &format!("; `{one}` is on this machine and called over `unix`");
            }
            several @ [_, ..] if is_mixed => {
                let names = list(several);
                text += &format!("; {names} are on this machine and called over `unix`");
            }
            _ => {}
        }
        match self.nats.as_slice() {
            [] => {}
            _ if binding == Binding::Nats => text += ", which cannot be reached directly",
            [one] => {
                text += &format!("; `{one}` cannot be reached directly and is called over `nats`");
            }
            several => {
                let names = list(several);
                text += &format!("; {names} cannot be reached directly and are called over `nats`");
            }
        }
        text
    }

    /// The hosts that `binding` does not reach; none at all if that would be all of them.
    fn not_over(&self, binding: Binding) -> Option<Vec<&'a str>> {
        let is_left_out = |host: &&OtherHost| match binding {
            Binding::Unix => !host.unix,
            _ => !host.tcp,
        };
        let hosts = self.target.hosts.iter();
        let left_out: Vec<_> = hosts.filter(is_left_out).map(|host| &*host.name).collect();
        let is_any_reached = left_out.len() < self.target.hosts.len();
        (is_any_reached || self.target.hosts.is_empty()).then_some(left_out)
    }
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
        return carry::wire_obstacle(resolved, link, settings.scope);
    }
    if resolved.parts.is_provider(link.target) && settings.scope != Scope::Caller {
        return Some(format!(
            "`{}` is a provider, which has no scope",
            resolved.parts.name(link.target)
        ));
    }
    carry::host_obstacle(resolved, link).or_else(|| carry::streaming_obstacle(resolved, link))
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

    /// A part on these hosts, which can be reached directly or not: siblings over Unix sockets.
    fn on(mut app: App, part: &str, hosts: &[(&str, bool)]) -> App {
        app.inputs.placement.surroundings = Surroundings::Lattice;
        let hosts = hosts.iter().map(|(name, direct)| OtherHost {
            name: (*name).into(),
            tcp: *direct && !name.starts_with("sibling"),
            unix: *direct && name.starts_with("sibling"),
            same_machine: *name == "beside" || name.starts_with("sibling"),
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
    fn hosts_of_this_machine_are_called_over_its_sockets() {
        let cart = |settings: &[&str], hosts: &[(&str, bool)]| {
            let app = on(app(settings, &[]), "cart", hosts);
            let problems = app.problems();
            if problems.is_empty() {
                app.processes()
            } else {
                problems
            }
        };
        let (one, two) = (("sibling-1", true), ("sibling-2", true));
        let (east, west) = (("east", true), ("west", false));
        let texts = [
            cart(&[], &[one, two]),
            cart(&[], &[one, two, east]),
            cart(&[], &[one, east, west]),
            cart(&[], &[one, west]),
            cart(&["binding: unix"], &[one, two]),
            cart(&["binding: unix"], &[one, east, west]),
            cart(&["binding: tcp"], &[one, east]),
            cart(&["binding: nats"], &[one]),
            cart(&["binding: unix"], &[east]),
            cart(&["binding: tcp"], &[one]),
            cart(&["locality: machine"], &[one, east]),
        ];
        insta::assert_snapshot!(texts.join("\n"));
        // The other side of such a link.
        let shop = away(app(&[], &[]), &[]);
        let shop = on(shop, "server", &[("sibling-1", true)]);
        let shop = on(shop, "shop", &[("sibling-1", true)]);
        insta::assert_snapshot!(shop.processes());
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

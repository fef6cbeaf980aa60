//! Links that leave the host: one end runs here, and the other on other hosts only.
//!
//! How such a link is bound is for the host to say that has its source. On the host of its target it is
//! *incoming*: in the plan, so that the target is there to be called, and bound by nothing there.

use crate::diagnostic::Diagnostics;
use crate::input::{BindingChoice, Elsewhere, Locality, Scope};
use crate::parts::PartId;
use crate::place::Placed;
use crate::plan::Binding;
use crate::problems;
use crate::resolve::{Resolved, ResolvedLink};
use crate::wording::list;

use super::{Bound, Settings, carry, involves_provider};

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
    let resolved = &placed.checked.resolved;
    match (
        elsewhere(resolved, link.source),
        elsewhere(resolved, link.target),
    ) {
        (Some(_), _) => Ends::Incoming,
        (None, Some(_)) => Ends::Away,
        (None, None) => Ends::Here,
    }
}

/// Where a part runs that does not run here.
pub(super) fn elsewhere<'a>(resolved: &Resolved<'a>, part: PartId) -> Option<&'a Elsewhere> {
    let parts = &resolved.parts;
    parts.inputs.placement.elsewhere.get(parts.name(part))
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
    let target = elsewhere(resolved, link.target)?;
    let name = parts.name(link.target);
    let hosts = match target.hosts.as_slice() {
        [] => "no host yet".to_owned(),
        hosts => list(hosts.iter().map(String::as_str)),
    };
    let runs = format!("`{name}` runs on {hosts}");
    let (binding, why) = match settings.binding {
        BindingChoice::Auto if target.direct => (Binding::Tcp, runs.clone()),
        BindingChoice::Auto => (
            Binding::Nats,
            format!("{runs}, which cannot be reached directly"),
        ),
        BindingChoice::Nats => (Binding::Nats, pinned_by(settings)),
        BindingChoice::Tcp if target.direct => (Binding::Tcp, pinned_by(settings)),
        BindingChoice::Tcp => {
            let reason = format!("{runs}, which cannot be reached directly");
            out.push(problems::bindings::pinned(
                parts,
                link,
                settings.binding,
                &reason,
            ));
            return None;
        }
        BindingChoice::Fused | BindingChoice::Local | BindingChoice::Host | BindingChoice::Unix => {
            let reason = format!("{runs}, and `{}` on this one", parts.name(link.source));
            out.push(problems::bindings::pinned(
                parts,
                link,
                settings.binding,
                &reason,
            ));
            return None;
        }
    };
    if let Some(reason) =
        outside(settings, target, &runs).or_else(|| obstacle(placed, link, settings))
    {
        let binding = problems::bindings::planned_name(binding);
        out.push(problems::bindings::none(parts, link, &[(binding, &reason)]));
        return None;
    }
    Some(Bound { binding, why })
}

/// A link whose source is elsewhere, as its target's host has it.
pub(super) fn incoming(placed: &Placed<'_>, link: &ResolvedLink<'_>) -> Bound {
    let resolved = &placed.checked.resolved;
    let source = elsewhere(resolved, link.source);
    let direct = source.is_some_and(|source| source.direct);
    let hosts = source.map(|source| list(source.hosts.iter().map(String::as_str)));
    Bound {
        binding: if direct { Binding::Tcp } else { Binding::Nats },
        why: format!(
            "`{}` runs on {}",
            resolved.parts.name(link.source),
            hosts.unwrap_or_default()
        ),
    }
}

fn pinned_by(settings: &Settings) -> String {
    format!("pinned by {}", settings.asked_by)
}

/// Why the target is farther away than the link allows.
fn outside(settings: &Settings, target: &Elsewhere, runs: &str) -> Option<String> {
    match settings.locality {
        Some(Locality::Host) => Some(format!("its locality is `host`, and {runs}")),
        Some(Locality::Machine) if !target.same_machine => Some(format!(
            "its locality is `machine`, and {runs}, on another machine"
        )),
        Some(Locality::Machine | Locality::Lattice) | None => None,
    }
}

/// Why no wire can carry the link.
fn obstacle(placed: &Placed<'_>, link: &ResolvedLink<'_>, settings: &Settings) -> Option<String> {
    let resolved = &placed.checked.resolved;
    if !involves_provider(placed, link) {
        return carry::call_obstacle(resolved, link, settings.scope);
    }
    if resolved.parts.is_provider(link.target) && settings.scope != Scope::Caller {
        return Some(format!(
            "`{}` is a provider, which has no scope",
            resolved.parts.name(link.target)
        ));
    }
    carry::host_obstacle(resolved, link)
}

#[cfg(test)]
mod tests {
    use crate::input::{Elsewhere, Surroundings};
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

    fn away(mut app: App, parts: &[(&str, bool)]) -> App {
        app.inputs.placement.surroundings = Surroundings::Lattice;
        for (part, direct) in parts {
            let elsewhere = Elsewhere {
                hosts: vec!["east".into(), "west".into()],
                direct: *direct,
                same_machine: false,
            };
            let name = (*part).to_owned();
            app.inputs.placement.elsewhere.insert(name, elsewhere);
        }
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

//! Last pass: how each link is realised. `auto` takes the cheapest binding that is correct.
//!
//! * A link with a provider at one end is bound through the `host`, or `unix` to or from a process other than
//!   the host's (`provider`).
//! * Between components, `fused` is the cheapest: the target becomes part of the source. An obstacle
//!   to that is a property of the link (`obstacle`), of its types (`carry`), or of what else is
//!   fused (`fuse`).
//! * Otherwise the link is `local`, a call between two instances through the host, which carries
//!   most types but not all (`carry`).
//! * A link that asks for it is `unix`: its target is served by another process on this machine. What
//!   runs where follows from that (`processes`), and keeps shared instances to one process (`shared`).
//! * A link to what runs on other hosts is `tcp`, and `nats` to those hosts that cannot be reached directly
//!   (`away`). One that is pinned so, with both ends on this host, leads from the host to itself.

mod away;
mod bound;
mod carry;
mod compositions;
mod emit;
mod fuse;
mod graph;
mod obstacle;
mod processes;
mod provider;
mod settings;
mod shared;

use crate::diagnostic::Diagnostics;
use crate::input::{BindingChoice, Scope, Surroundings};
use crate::ix::PerLink;
use crate::place::Placed;
use crate::plan::Plan;
use crate::problems;

use away::Ends;
use bound::Bound;
use graph::Graph;
use processes::Processes;
use settings::Settings;

/// Of how many cycles the way is looked for: beyond them, only where each is closed is said.
const SHOWN_CYCLES: usize = 20;

/// Chooses a binding for every link. The plan is complete only if `out` holds no errors afterwards.
pub(crate) fn bind(placed: &Placed<'_>, out: &mut Diagnostics) -> Plan {
    let resolved = &placed.checked.resolved;
    let links = resolved.links.values();
    let settings: PerLink<Settings> = links.map(|link| Settings::of(resolved, link)).collect();
    check_shared_cycles(placed, &settings, out);
    let mut bound: PerLink<Option<Bound>> = PerLink::filled(None, settings.len());
    let (mut between_components, mut to_providers) = (Vec::new(), Vec::new());
    let parts = &resolved.parts;
    for (i, link) in resolved.links.iter() {
        let settings = &settings[i];
        let surroundings = resolved.parts.inputs.placement.surroundings;
        let ends = away::ends(placed, link);
        if settings.binding == BindingChoice::Nats && surroundings == Surroundings::Alone {
            out.push(problems::bindings::no_broker(&resolved.parts, link));
        } else if ends == Ends::Incoming {
            // One with both ends elsewhere is nothing to this host.
            bound[i] = parts
                .is_here(link.target)
                .then(|| away::incoming(placed, link));
        } else if ends == Ends::Away {
            bound[i] = away::bind(placed, link, settings, out);
        } else if parts.is_provider(link.source) {
            bound[i] = provider::bind_source(placed, link, settings, out);
        } else if parts.is_provider(link.target) {
            to_providers.push(i);
        } else {
            between_components.push(i);
        }
    }
    for (i, choice) in fuse::choose(placed, &settings, &between_components, out) {
        bound[i] = choice;
    }
    shared::settle(placed, &settings, &mut bound, out);
    // No link to a component changes any more, so it is known what runs in which process.
    let processes = Processes::of(resolved, &bound);
    for i in to_providers {
        let (link, settings) = (&resolved.links[i], &settings[i]);
        bound[i] = provider::bind_target(placed, link, settings, &processes, out);
    }
    emit::emit(placed, &settings, &bound, &processes)
}

/// Refuses links to shared instances that calls can come back to.
fn check_shared_cycles(placed: &Placed<'_>, settings: &PerLink<Settings>, out: &mut Diagnostics) {
    let resolved = &placed.checked.resolved;
    let shared = || {
        let links = resolved.links.iter();
        links.filter(|(i, link)| {
            settings[*i].scope == Scope::Shared && !resolved.parts.is_provider(link.source)
        })
    };
    if shared().next().is_none() {
        return;
    }
    let graph = Graph::of_components(resolved);
    let cycles = graph.cycles();
    let on_cycles = shared().filter(|(_, link)| cycles.of(link.target) == cycles.of(link.source));
    for (shown, (_, link)) in on_cycles.enumerate() {
        // Two parts of one number lead to each other.
        let path = (shown < SHOWN_CYCLES).then(|| graph.path(link.target, link.source));
        let path = path.flatten().map(|mut path| {
            path.push(link.target);
            path
        });
        out.push(problems::bindings::shared_cycle(
            &resolved.parts,
            link,
            path.as_deref(),
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::input::{BindingChoice, Scope, Spanned};
    use crate::plan::Binding;
    use crate::testing::App;

    const WIT: &str = "
        package wasi:io@0.2.0 { interface streams { resource input-stream; } }
        package a:b {
            interface x { f: func(); }
            interface y { f: func(); }
            interface z { resource r { get: func() -> list<r>; } }
            interface over { use wasi:io/streams@0.2.0.{input-stream}; take: func(s: input-stream); }
            interface kv { resource bucket; open: func() -> bucket; }
            interface atomics { use kv.{bucket}; inc: func(b: borrow<bucket>); }
            interface slow { wait: async func(); }
        }
        world a { import a:b/x; export a:b/y; }
        world b { export a:b/x; import a:b/y; }
        world c { export a:b/y; }
        world res { import a:b/z; }
        world resx { export a:b/z; }
        world gives { import wasi:io/streams@0.2.0; import a:b/over; }
        world takes { import wasi:io/streams@0.2.0; export a:b/over; }
        world counts { import a:b/kv; import a:b/atomics; }
        world keyvalue { export a:b/kv; export a:b/atomics; }
        world waits { import a:b/slow; }
        world slow { export a:b/slow; }
        package wasi:http@0.3.0 {
            interface types { resource request; }
            interface handler { use types.{request}; handle: async func(r: request); }
            interface client { use types.{request}; send: async func(r: request); }
        }
        package wasi:http@0.2.0 {
            interface types { resource request; }
            interface incoming-handler { use types.{request}; handle: func(r: request); }
        }
        world asks-both { import wasi:http/handler@0.3.0; import wasi:http/incoming-handler@0.2.0; }
        world answers-both { export wasi:http/handler@0.3.0; export wasi:http/incoming-handler@0.2.0; }
        world gate { import wasi:http/handler@0.3.0; export wasi:http/handler@0.3.0; }
        world answers { export wasi:http/handler@0.3.0; }
        world asks-and-gates { import wasi:http/handler@0.3.0; import wasi:http/client@0.3.0; }
        world answers-and-sends { export wasi:http/handler@0.3.0; export wasi:http/client@0.3.0; }
        world tree { export a:b/x; import i1: a:b/x; import i2: a:b/x; import i3: a:b/x; import i4: a:b/x; }
    ";

    fn pair(settings: &[&str]) -> App {
        App::new(WIT)
            .component("a")
            .called("a")
            .link("b", settings)
            .component("b")
            .link("c", &[])
            .component("c")
    }

    #[test]
    fn what_is_watched_stays_apart_where_it_can() {
        let bindings = |mut app: App| {
            app.inputs.defaults.apart = true;
            let links = app.plan().links;
            links.iter().map(|link| link.binding).collect::<Vec<_>>()
        };
        assert_eq!(bindings(pair(&[])), [Binding::Local, Binding::Local]);
        // Who says how it is bound has it so.
        assert_eq!(
            bindings(pair(&["binding: fused"])),
            [Binding::Fused, Binding::Local]
        );
    }

    #[test]
    fn links_between_components_are_fused() {
        insta::assert_snapshot!(pair(&[]).links());
        let plan = pair(&[]).plan();
        let entries: Vec<_> = plan.components.iter().map(|c| c.entry).collect();
        assert_eq!(entries, [true, false, false]);
        assert_eq!(
            (plan.links[0].timeout_ms, plan.links[0].timeout_given),
            (30_000, false)
        );
    }

    #[test]
    fn what_cannot_be_fused_is_local() {
        let mut text = String::new();
        for settings in [
            &["scope: call"][..],
            &["scope: shared"],
            &["seconds: 2"],
            &["binding: local"],
        ] {
            text += &pair(settings).links();
        }
        let limited = |change: fn(&mut crate::input::Component)| {
            App::new(WIT)
                .component("a")
                .called("a")
                .link("b", &[])
                .component("b")
                .edit(change)
                .link("c", &[])
                .component("c")
        };
        text +=
            &limited(|c| c.limits.time = Some(Spanned::unplaced(Duration::from_secs(1)))).links();
        text += &limited(|c| c.grants.network = Some(Spanned::unplaced(true))).links();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_local_target_is_an_entry_with_what_is_fused_into_it() {
        let plan = pair(&["scope: call"]).plan();
        let entries: Vec<_> = plan.components.iter().map(|c| c.entry).collect();
        assert_eq!(entries, [true, true, false]);
    }

    #[test]
    fn the_command_line_pins_links_that_say_nothing() {
        let mut app = pair(&["binding: fused"]);
        app.inputs.defaults.binding = Some(BindingChoice::Local);
        app.inputs.defaults.scope = Some(Scope::Caller);
        insta::assert_snapshot!(app.links());
    }

    #[test]
    fn cycles_are_closed_by_a_local_link() {
        let app = App::new(WIT)
            .component("a")
            .link("b", &[])
            .component("b")
            .link("a", &[]);
        insta::assert_snapshot!(app.links());
    }

    #[test]
    fn a_component_may_call_itself_locally() {
        let app = App::new(
            "package a:b { interface x { f: func(); } } world again { import a:b/x; export a:b/x; }",
        );
        insta::assert_snapshot!(
            app.component("again")
                .link("again", &[])
                .called("again")
                .links()
        );
    }

    #[test]
    fn resources_of_the_link_and_of_the_host_can_be_passed() {
        let app = App::new(WIT)
            .component("res")
            .link("resx", &["binding: local"])
            .component("resx")
            .component("gives")
            .link("takes", &[])
            .component("takes")
            .component("counts")
            .link("keyvalue", &[])
            .provider("keyvalue");
        let app = app
            .host(&["wasi:io/streams@0.2.6"])
            .called("res")
            .called("gives")
            .called("counts");
        insta::assert_snapshot!(app.links());
    }

    #[test]
    fn requests_are_carried_between_components() {
        let app = |settings: &[&str]| {
            App::new(WIT)
                .host(&["wasi:http/types@0.3.0"])
                .component("gate")
                .called("gate")
                .link("answers", settings)
                .component("answers")
        };
        let links = [
            &[][..],
            &["binding: local"],
            &["binding: unix"],
            &["binding: tcp"],
            &["scope: call"],
        ];
        let links = links.map(|settings| app(settings).links()).join("\n");
        let both = App::new(WIT)
            .host(&["wasi:http/types@0.3.0"])
            .component("asks-and-gates")
            .called("asks-and-gates")
            .link("answers-and-sends", &["binding: local"])
            .component("answers-and-sends");
        let refused = app(&["scope: shared"]).problems();
        insta::assert_snapshot!([links, refused, both.problems()].join("\n"));
    }

    #[test]
    fn one_link_to_two_handlers_stays_in_the_process() {
        let app = |binding: &str| {
            App::new(WIT)
                .host(&["wasi:http/types@0.2.0", "wasi:http/types@0.3.0"])
                .component("asks-both")
                .called("asks-both")
                .link("answers-both", &[binding])
                .component("answers-both")
        };
        assert_eq!(
            app("binding: local").plan().links[0].binding,
            Binding::Local
        );
        for binding in ["binding: unix", "binding: tcp"] {
            let problems = app(binding).problems();
            let why = "requests go to `wasi:http/handler@0.3.0` and to `wasi:http/incoming-handler@0.2.0`";
            assert!(problems.contains(why), "{problems}");
        }
    }

    #[test]
    fn an_error_of_the_call_itself_is_no_foreign_resource() {
        let app = App::new(
            "
            package wrpc:rpc@0.1.0 { interface error { resource error; } }
            package a:b {
                interface f {
                    use wrpc:rpc/error@0.1.0.{error};
                    f: func() -> result<u32, error>;
                }
                interface g {
                    use wrpc:rpc/error@0.1.0.{error};
                    g: func() -> result<error, error>;
                }
            }
            world userf { import a:b/f; }
            world userg { import a:b/g; }
            world maker { import wrpc:rpc/error@0.1.0; export a:b/f; export a:b/g; }
            ",
        );
        let app = app.host(&["wrpc:rpc/error@0.1.0"]);
        let users = ["userf", "userg"].into_iter().fold(app, |app, user| {
            app.component(user)
                .called(user)
                .link("maker", &["binding: local"])
        });
        insta::assert_snapshot!(users.component("maker").problems());
    }

    #[test]
    fn async_types_make_the_whole_composition_concurrent() {
        let app = App::new(WIT)
            .component("waits")
            .called("waits")
            .link("slow", &[])
            .component("slow");
        let plan = app.component("c").called("c").plan();
        let concurrency: Vec<_> = plan.components.iter().map(|c| c.concurrency).collect();
        assert_eq!(concurrency, [true, true, false]);
    }

    #[test]
    fn compositions_are_bounded() {
        // Each of three levels has four links to the next: 85 constituents if all were fused.
        let labels = ["name: i1", "name: i2", "name: i3", "name: i4"];
        let level = |app: App, name: &str, next: &str| {
            labels
                .iter()
                .fold(app.instance_of("tree", name), |app, label| {
                    app.link(next, &[label])
                })
        };
        let app = level(App::new(WIT), "one", "two");
        let app = level(level(app, "two", "three"), "three", "leaf")
            .instance_of("b", "leaf")
            .link("c", &[])
            .component("c");
        let links = app.called("one").plan().links;
        let local: Vec<String> = (links.iter())
            .filter(|l| l.binding == Binding::Local)
            .map(|l| format!("{} -> {}: {}", l.source, l.target, l.why))
            .collect();
        insta::assert_snapshot!(local.join("\n"));
    }
}

//! Properties of a provider that its kind, a component or none, has no use for.

use crate::Span;
use crate::diagnostic::{Code, CodeInfo, Diagnostic};
use crate::input::{Component, NamedConfig};

pub(crate) const LINK_CONFIG: CodeInfo = CodeInfo {
    code: Code("W0505"),
    title: "configuration of a link that its end cannot see",
    explanation: "\
A provider that is a component has one configuration, which it reads by `wasi:config/store`: it is not told which \
link it is called over. So a link to it, or from it, cannot configure it. Write the entry below `properties.config` \
of the provider; where links need different ones, declare the provider once for each, with the same image:

```yaml
- name: kv-carts
  type: capability
  properties:
    image: ./keyvalue.wasm
    config:
    - name: carts
      properties:
        url: redis://carts.internal
```",
};

pub(crate) const PROPERTY: CodeInfo = CodeInfo {
    code: Code("W0506"),
    title: "a property that the provider's kind has no use for",
    explanation: "\
Under `type: capability` there are providers that are components, and others. A component runs in the sandbox: it has \
`limits`, `grants` and `on-missing`, and runs in another process where a link to it says `binding: unix`. A provider \
that is none runs outside of the sandbox, in the host or, with `process: true`, as a process of its own. Remove the \
property, or name an image of the other kind.",
};

pub(crate) fn link_config(end: &str, config: &NamedConfig) -> Diagnostic {
    let name = &config.name.value;
    let message = format!(
        "the configuration `{name}` of a link is for `{end}`, which is a component and cannot see the link"
    );
    Diagnostic::error(LINK_CONFIG.code, message)
        .at(config.name.span, "nobody reads it")
        .with_help(format!(
            "write it below `properties.config` of `{end}`; for links that need different ones, declare `{end}` once \
             for each"
        ))
}

pub(crate) fn only_a_component(
    declared: &Component,
    property: &str,
    place: Option<Span>,
) -> Diagnostic {
    let name = &declared.name.value;
    let message = format!(
        "`{property}` is for components, and the provider `{name}` is none: it does not run in the sandbox"
    );
    Diagnostic::error(PROPERTY.code, message)
        .at(place.or(declared.name.span), "not for this provider")
        .with_help("remove it, or name the image of a component")
}

pub(crate) fn process(declared: &Component, place: Option<Span>) -> Diagnostic {
    let name = &declared.name.value;
    let message = format!("`process` is not for `{name}`, which is a component");
    Diagnostic::error(PROPERTY.code, message)
        .at(place.or(declared.name.span), "not for a component")
        .with_help(
            "remove it, and write `binding: unix` on the links to it for a process of its own",
        )
}

#[cfg(test)]
mod tests {
    use crate::input::{ComponentKind, DirectoryGrant, OnMissing, Scope, Spanned};
    use crate::plan::Binding;
    use crate::testing::App;

    const WIT: &str = "
        package a:b { interface x { f: func(); } interface h { f: func(); } }
        world server { import a:b/h; }
        world keyvalue { export a:b/x; }
        world front { export a:b/h; import a:b/x; }
        world kv { export a:b/x; }
    ";

    fn app(link: &[&str]) -> App {
        App::new(WIT)
            .provider("server")
            .link("front", &["source_config: listen url=x"])
            .component("front")
            .link("kv", link)
            .component("kv")
            .edit(|c| c.kind = ComponentKind::Provider)
    }

    #[test]
    fn links_to_a_component_that_is_a_provider_share_its_instance() {
        let link = |app: App| app.plan().links[1].clone();
        let shared = link(app(&[]));
        assert_eq!(
            (shared.scope, shared.binding),
            (Scope::Shared, Binding::Local)
        );
        // A link may say otherwise.
        assert_eq!(link(app(&["scope: call"])).scope, Scope::Call);
        let kept = link(app(&["scope: caller"]));
        assert_eq!((kept.scope, kept.binding), (Scope::Caller, Binding::Fused));
        let process = link(app(&["binding: unix"]));
        assert_eq!(
            (process.scope, process.binding),
            (Scope::Shared, Binding::Unix)
        );
        let kv = app(&[]).plan().components[2].clone();
        assert!(kv.provider && kv.entry);
    }

    #[test]
    fn the_configuration_of_its_link_reaches_nobody() {
        // The other end is no provider: what a component's side of a link configures is its own affair.
        let app = app(&["target_config: data url=y", "source_config: own url=z"]);
        insta::assert_snapshot!(app.problems());
    }

    #[test]
    fn each_kind_has_its_own_properties() {
        let native = App::new(WIT)
            .component("front")
            .called("front")
            .link("keyvalue", &[])
            .provider("keyvalue")
            .edit(|c| {
                c.limits.memory = Some(Spanned::unplaced(1 << 20));
                c.grants.directories.push(DirectoryGrant {
                    host: Spanned::unplaced("data".into()),
                    guest: "/data".into(),
                    read_only: true,
                });
                c.on_missing = Some(Spanned::unplaced(OnMissing::Trap));
            });
        let component = app(&[]).edit(|c| c.process = Some(Spanned::unplaced(true)));
        insta::assert_snapshot!([native.problems(), component.problems()].join("\n"));
    }
}

//! Pairs of an import and an export of which one cannot be had.

use withe_wit::Extern;

use crate::diagnostic::{Code, CodeInfo, Diagnostic};
use crate::input::{Link, NamePair};
use crate::matching::describe;
use crate::parts::{PartId, Parts};
use crate::wording::{closest, list};

pub(crate) const UNUSABLE: CodeInfo = CodeInfo {
    code: Code("W0214"),
    title: "an import cannot be paired with this export",
    explanation: "\
A link's `interfaces` may pair an import with an export of another name:

```yaml
interfaces:
  - import: cache
    export: wasi:keyvalue/store
```

Each is what stands in the component's world: a label, a function of the world, or an interface with its namespace and \
package. `withe inspect` shows them. An interface is paired with an interface and a function with a function; their types \
have to agree (W0301).",
};

/// Why a pair connects nothing.
pub(crate) enum PairFault<'a> {
    /// The source does not import what the pair names; it imports these.
    NoImport(&'a [Extern]),
    /// The target does not export what the pair names; it exports these.
    NoExport(&'a [Extern]),
    /// One is an interface and the other a function.
    Kinds(&'a Extern, &'a Extern),
    /// The import has only types, which nobody needs to satisfy.
    TypesOnly,
}

pub(crate) fn unusable(
    parts: &Parts<'_>,
    source: PartId,
    link: &Link,
    pair: &NamePair,
    fault: &PairFault<'_>,
) -> Diagnostic {
    let (from, to) = (parts.name(source), link.target.value.as_str());
    let (import, export) = (&pair.import, &pair.export);
    let problem = |message: String| Diagnostic::error(UNUSABLE.code, message);
    let others = |problem: Diagnostic, name: &str, who: &str, verb: &str, items: &[Extern]| {
        let names = items.iter().map(|item| item.name.as_str());
        match closest(name, names) {
            Some(near) => problem.with_help(format!("did you mean `{near}`?")),
            None if items.is_empty() => problem.with_note(format!("`{who}` {verb} nothing")),
            None => problem.with_note(format!(
                "`{who}` {verb} {}",
                list(items.iter().map(describe))
            )),
        }
    };
    match fault {
        PairFault::NoImport(items) => {
            let problem = problem(format!("`{from}` does not import `{}`", import.value))
                .at(import.span.or(link.span), "not imported");
            others(problem, &import.value, from, "imports", items)
        }
        PairFault::NoExport(items) => {
            let problem = problem(format!("`{to}` does not export `{}`", export.value))
                .at(export.span.or(link.span), "not exported by the target");
            others(problem, &export.value, to, "exports", items)
        }
        PairFault::Kinds(wanted, found) => {
            let kind = |item: &Extern| match item.interface() {
                Some(_) => "an interface",
                None => "a function",
            };
            problem(format!(
                "`{}` of `{to}` cannot serve `{}` of `{from}`: one is {}, the other {}",
                export.value,
                import.value,
                kind(found),
                kind(wanted)
            ))
            .at(
                export.span.or(link.span),
                format!("this is {}", kind(found)),
            )
            .also(import.span, format!("this is {}", kind(wanted)))
        }
        PairFault::TypesOnly => problem(format!(
            "`{}` of `{from}` has types only, and needs no link",
            import.value
        ))
        .at(import.span.or(link.span), "nothing is called here")
        .with_help("remove the pair"),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::App;

    const WIT: &str = "
        package kv:kv@1.0.0 { interface store { get: func() -> u32; resource r; of: func(r: borrow<r>); } }
        package my:part { interface cache { get: func() -> u32; resource r; of: func(r: borrow<r>); } interface t { type u = u8; } }
        package my:other { interface cache { get: func() -> u64; } }
        world shop { import cache: kv:kv/store@1.0.0; import my:part/cache; import add: func(a: u32) -> u32; }
        world words { import my:part/cache; import add: func(a: u32) -> u32; }
        world redis { export kv:kv/store@1.0.0; export plus: func(a: u32) -> u32; export my:other/cache; }
    ";

    fn app(source: &str, settings: &[&str]) -> App {
        App::new(WIT)
            .component(source)
            .called(source)
            .link("redis", settings)
            .component("redis")
    }

    #[test]
    fn an_import_is_served_by_an_export_of_another_name() {
        for binding in ["auto", "fused", "local", "unix", "tcp"] {
            let binding = format!("binding: {binding}");
            let pairs = "pairs: my:part/cache=kv:kv/store, add=plus";
            let app = app("words", &[pairs, &binding]);
            assert_eq!(app.problems(), "", "{binding}");
            let plan = app.plan();
            let pairs: Vec<_> = (plan.links[0].interfaces.iter())
                .map(|i| (i.import.as_str(), i.export.as_str()))
                .collect();
            assert_eq!(
                pairs,
                [("my:part/cache", "kv:kv/store@1.0.0"), ("add", "plus")]
            );
        }
    }

    #[test]
    fn a_pair_takes_its_import_and_the_rest_is_inferred_by_other_links() {
        let app = app(
            "shop",
            &["pairs: my:part/cache=kv:kv/store@1.0.0, add=plus"],
        )
        .instance_of("redis", "b");
        let app = app.problems();
        assert!(app.contains("`cache: kv:kv/store@1.0.0`"), "{app}");
        assert!(!app.contains("my:part/cache"), "{app}");
    }

    #[test]
    fn what_cannot_be_paired_is_named() {
        let mut all = String::new();
        for pairs in [
            "pairs: my:part/cach=kv:kv/store",
            "pairs: my:part/cache=kv:kv/stor, add=plus",
            "pairs: my:part/cache=plus, add=kv:kv/store",
            "pairs: my:part/cache=my:other/cache, add=plus",
        ] {
            all += &app("words", &[pairs]).problems();
        }
        insta::assert_snapshot!(all);
    }
}

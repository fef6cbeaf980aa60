//! Configuration that is missing, wrong, or given twice.

use crate::Span;
use crate::diagnostic::{Code, CodeInfo, Diagnostic};
use crate::input::{ConfigProblem, NamedConfig, SecretRef};
use crate::wording::{Suggestions, list_of};

pub(crate) const MISSING: CodeInfo = CodeInfo {
    code: Code("W0501"),
    title: "configuration that is not defined",
    explanation: "\
A `config` entry without `properties` refers to configuration that is defined elsewhere under the same \
name. No entry of this manifest defines it. Give the entry `properties`, or correct the name.

```yaml
config:
- name: limits
  properties:
    max: \"10\"
```",
};

pub(crate) const INVALID: CodeInfo = CodeInfo {
    code: Code("W0502"),
    title: "configuration that its provider does not accept",
    explanation: "\
Providers check their configuration when the application is planned, before anything starts. This piece has \
a key that the provider does not know, a value it cannot use, or lacks one it needs.",
};

pub(crate) const SECRETS: CodeInfo = CodeInfo {
    code: Code("W0503"),
    title: "a secret that nobody reads",
    explanation: "\
A component reads its secrets by `wasmcloud:secrets/store`; one that does not import that never sees them. The \
secrets of a link are for the provider at that end, which has them among its configuration: a component at that end \
is given none. Remove the secret, or give it to whoever needs it.",
};

pub(crate) const DEFINED_TWICE: CodeInfo = CodeInfo {
    code: Code("W0504"),
    title: "configuration that is defined twice",
    explanation: "\
Two `config` entries have the same name and different `properties`, or only one of them is marked \
`secret`. An entry of this name without `properties` could mean either. Rename one of them, or write both alike.",
};

pub(crate) fn missing(
    config: &NamedConfig,
    defined: &[&str],
    suggestions: &Suggestions,
) -> Diagnostic {
    let name = &config.name.value;
    let report = Diagnostic::error(
        MISSING.code,
        format!("the configuration `{name}` is not defined in this manifest"),
    )
    .at(config.name.span, "has no `properties`, here or elsewhere");
    match suggestions.closest(name, defined.iter().copied()) {
        Some(near) => report.with_help(format!("did you mean `{near}`?")),
        None if defined.is_empty() => report.with_help("give it `properties`"),
        None => report
            .with_note(format!("defined are {}", list_of(defined.len(), defined)))
            .with_help("give it `properties`"),
    }
}

pub(crate) fn invalid(whose: &str, problem: &ConfigProblem, at: Option<Span>) -> Diagnostic {
    let report =
        Diagnostic::error(INVALID.code, format!("{whose}: {}", problem.message)).at(at, "");
    match &problem.help {
        Some(help) => report.with_help(help),
        None => report,
    }
}

pub(crate) fn unread_secret(secret: &SecretRef, component: &str) -> Diagnostic {
    let name = &secret.name.value;
    let message = format!(
        "`{component}` is given the secret `{name}`, and does not import `wasmcloud:secrets/store`"
    );
    Diagnostic::warning(SECRETS.code, message)
        .at(secret.name.span, "nobody reads it")
        .with_help("remove it, or give it to the provider that needs it")
}

pub(crate) fn secret_of_a_component(secret: &SecretRef, component: &str) -> Diagnostic {
    let name = &secret.name.value;
    let message = format!(
        "the secret `{name}` of a link is for `{component}`, which is a component and is not given it"
    );
    Diagnostic::warning(SECRETS.code, message)
        .at(secret.name.span, "nobody reads it")
        .with_help(format!("write it below `properties` of `{component}`"))
}

pub(crate) fn defined_twice(first: &NamedConfig, second: &NamedConfig) -> Diagnostic {
    let name = &second.name.value;
    let how = match first.secret == second.secret {
        true => "with different properties",
        false => "once as a secret and once not",
    };
    Diagnostic::error(
        DEFINED_TWICE.code,
        format!("the configuration `{name}` is defined twice, {how}"),
    )
    .at(second.name.span, "defined differently here")
    .also(first.name.span, "first defined here")
    .with_help("rename one of them")
}

#[cfg(test)]
mod tests {
    use crate::testing::App;

    const WIT: &str = "
        package a:b { interface x { f: func(); } interface h { f: func(); } }
        world server { import a:b/h; }
        world keyvalue { export a:b/x; }
        world front { export a:b/h; import a:b/x; }
    ";

    fn app() -> App {
        App::new(WIT)
            .provider("keyvalue")
            .component("front")
            .called("front")
    }

    #[test]
    fn missing_configuration() {
        let app = app()
            .config("limits", &["a=1"])
            .config("limit", &[])
            .config("other", &[]);
        insta::assert_snapshot!(app.link("keyvalue", &["target_config: limts"]).problems());
    }

    #[test]
    fn configuration_that_a_provider_refuses() {
        let app = App::new(WIT)
            .provider("server")
            .config("one", &["url=1", "prt=80"])
            .link("front", &["source_config: two adress=x"])
            .component("front")
            .link(
                "keyvalue",
                &["target_config: three url=1", "target_config: four bucket=b"],
            )
            .provider("keyvalue");
        insta::assert_snapshot!(app.problems());
    }

    #[test]
    fn secrets() {
        insta::assert_snapshot!(
            app()
                .secret("password")
                .link("keyvalue", &["secret: token"])
                .problems()
        );
    }

    #[test]
    fn configuration_defined_twice() {
        let app = app().config("c", &["a=1"]).link(
            "keyvalue",
            &["source_config: c a=2", "source_config: c a=1"],
        );
        insta::assert_snapshot!(app.problems());
    }

    #[test]
    fn later_configuration_wins_and_names_refer_to_definitions() {
        let app = app()
            .config("one", &["a=1", "b=1"])
            .config("two", &["b=2"])
            .link("keyvalue", &["source_config: two", "source_config: one"]);
        let plan = app.plan();
        let values = |map: &crate::input::ConfigMap| {
            map.iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(values(&plan.components[1].config), ["a=1", "b=2"]);
        assert_eq!(values(&plan.links[0].source_config), ["a=1", "b=1"]);
        assert!(plan.links[0].target_config.is_empty());
    }

    #[test]
    fn what_is_secret_is_so_for_all_who_refer_to_it_and_not_shown() {
        let app = app()
            .config("one", &["a=1", "b=1"])
            .config("two", &["a=hidden", "b=hidden"])
            .edit(|component| component.config[1].secret = true)
            .config("three", &["b=3"])
            .link("keyvalue", &["source_config: one", "source_config: two"]);
        let plan = app.plan();
        let front = &plan.components[1];
        assert_eq!(Vec::from_iter(&front.secret_keys), ["a"]);
        assert_eq!((&*front.config["a"], &*front.config["b"]), ("hidden", "3"));
        let link = &plan.links[0];
        assert_eq!(Vec::from_iter(&link.source_secret_keys), ["a", "b"]);
        assert!(link.target_secret_keys.is_empty());
        let shown = plan.masked();
        assert_eq!(shown.components[1].config["a"], "•••");
        assert_eq!(shown.components[1].config["b"], "3");
        assert_eq!(shown.links[0].source_config["b"], "•••");
        assert_eq!(plan.secrets().mask("a hidden one"), "a ••• one");
        let written = serde_json::to_string(&plan).unwrap();
        assert_eq!(
            serde_json::from_str::<crate::plan::Plan>(&written).unwrap(),
            plan
        );
    }

    #[test]
    fn a_provider_does_not_repeat_what_is_secret_and_is_not_asked_about_a_mask() {
        let app = |value: &str| {
            App::new(WIT)
                .provider("server")
                .config("own", &[&format!("{value}=1"), &format!("b={value}")])
                .edit(|component| component.config[0].secret = true)
                .link("front", &[])
                .component("front")
        };
        // The provider of these tests repeats keys, of which one is as the value here.
        let problems = app("hidden").problems();
        assert!(problems.contains("unknown key `•••`"), "{problems}");
        assert!(!app("•••").problems().contains("unknown key"));
    }

    #[test]
    fn one_name_is_not_both_secret_and_not() {
        let app = app()
            .config("c", &["a=1"])
            .edit(|component| component.config[0].secret = true)
            .link("keyvalue", &["source_config: c a=1"]);
        let problems = app.problems();
        assert!(
            problems.contains("once as a secret and once not"),
            "{problems}"
        );
    }
}

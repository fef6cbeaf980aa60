//! Applications for tests, written down so that places can be shown.
//!
//! A test gives WIT with a world for each component, and the components with their links. The
//! builder keeps a text in which everything that has a place is written, as a manifest would be.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use withe_wit::{Extern, ExternItem, Interface, InterfaceName, World};

use crate::diagnostic::{Diagnostic, Label};
use crate::input::{
    Application, BindingChoice, Component, ComponentKind, ConfigCheck, ConfigMap, ConfigProblem,
    ConfigRole, Grants, Image, Inputs, Limits, Link, LinkDefaults, Locality, NamePair, NamedConfig,
    Part, Placement, ProviderWorld, Scope, SecretRef, Span, Spanned,
};
use crate::plan::Plan;
use crate::{LinkOutcome, link};

/// An application in the making.
pub(crate) struct App {
    wit: String,
    text: String,
    placed: bool,
    pub(crate) inputs: Inputs,
    /// The names of interfaces that the host provides.
    host: Vec<String>,
    /// The worlds made so far, by their text and name: those of equal components are one.
    worlds: HashMap<(String, String), Arc<World>>,
}

impl App {
    /// An application whose components have the worlds of `wit`: the body of a package, in which
    /// other packages may be nested.
    pub(crate) fn new(wit: &str) -> Self {
        let mut app = Self {
            wit: wit.into(),
            text: String::new(),
            placed: true,
            worlds: HashMap::new(),
            host: Vec::new(),
            inputs: Inputs {
                application: Arc::new(Application {
                    name: Spanned::unplaced("app".into()),
                    version: None,
                    description: None,
                    shared: false,
                    components: Vec::new(),
                    policies: Vec::new(),
                }),
                parts: Vec::new(),
                host: Arc::default(),
                called: Vec::new(),
                defaults: LinkDefaults::default(),
                placement: Placement::default(),
            },
        };
        let name = app.put("app");
        app.application().name = name;
        app.text.push('\n');
        app
    }

    /// The same as from the command line: nothing has a place.
    pub(crate) fn without_manifest(wit: &str) -> Self {
        let mut app = Self::new(wit);
        app.placed = false;
        app.application().name.span = None;
        app
    }

    /// Other WIT for the components that follow.
    pub(crate) fn wit(mut self, wit: &str) -> Self {
        self.wit = wit.into();
        self
    }

    fn application(&mut self) -> &mut Application {
        Arc::make_mut(&mut self.inputs.application)
    }

    fn put(&mut self, value: &str) -> Spanned<String> {
        let start = self.text.len();
        self.text.push_str(value);
        let span = self.placed.then_some(Span {
            start,
            end: self.text.len(),
        });
        Spanned {
            value: value.into(),
            span,
        }
    }

    fn world(&mut self, name: &str) -> Arc<World> {
        let wit = format!("package test:app;\n{}", self.wit);
        let world = || World::from_wit(&[&wit], name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let known = self.worlds.entry((wit.clone(), name.into()));
        known.or_insert_with(|| Arc::new(world())).clone()
    }

    /// A component with the world of the same name.
    pub(crate) fn component(mut self, name: &str) -> Self {
        let part = Part::Component {
            world: self.world(name),
            digest: format!("sha256:{name}"),
            check_config: None,
        };
        self.part(name, ComponentKind::Component, part)
    }

    /// A component with the world of another name.
    pub(crate) fn instance_of(mut self, world: &str, name: &str) -> Self {
        let part = Part::Component {
            world: self.world(world),
            digest: format!("sha256:{world}"),
            check_config: None,
        };
        self.part(name, ComponentKind::Component, part)
    }

    /// A provider with the world of the same name. The provider knows the configuration key `url` only.
    pub(crate) fn provider(self, name: &str) -> Self {
        self.provider_of(name, name)
    }

    /// A provider with the world of another name.
    pub(crate) fn provider_of(mut self, world: &str, name: &str) -> Self {
        let world = ProviderWorld {
            name: name.into(),
            world: self.world(world),
            digest: format!("provider:{world}"),
            check_config: ConfigCheck::new(check_config),
            may_be_component: false,
        };
        self.part(name, ComponentKind::Provider, Part::Provider(world))
    }

    /// A component that could not be read.
    pub(crate) fn unavailable(self, name: &str) -> Self {
        self.part(name, ComponentKind::Component, Part::Unavailable)
    }

    fn part(mut self, name: &str, kind: ComponentKind, part: Part) -> Self {
        let name = self.put(name);
        self.text.push('\n');
        self.application().components.push(Component {
            name,
            kind,
            image: Spanned::unplaced(Image::Invalid),
            id: None,
            config: Vec::new(),
            secrets: Vec::new(),
            links: Vec::new(),
            scaling: None,
            limits: Limits::default(),
            grants: Grants::default(),
            reuse: None,
            process: None,
            command: None,
            on_missing: None,
            build: None,
        });
        self.inputs.parts.push(part);
        self
    }

    /// Changes the last component.
    pub(crate) fn edit(mut self, change: impl FnOnce(&mut Component)) -> Self {
        change(self.application().components.last_mut().unwrap());
        self
    }

    /// Gives the last component configuration: `key=value …`, or only a name.
    pub(crate) fn config(mut self, name: &str, values: &[&str]) -> Self {
        self.text.push_str("  config: ");
        let config = self.named_config(name, values);
        self.text.push('\n');
        self.edit(|c| c.config.push(config))
    }

    fn named_config(&mut self, name: &str, values: &[&str]) -> NamedConfig {
        let name = self.put(name);
        let mut properties = BTreeMap::new();
        for value in values {
            let (key, value) = value.split_once('=').unwrap();
            write!(self.text, " {key}=").unwrap();
            properties.insert(key.to_owned(), self.put(value));
        }
        NamedConfig {
            name,
            properties: (!values.is_empty()).then_some(properties),
            secret: false,
        }
    }

    /// A link from the last component, with settings as `key: value`.
    pub(crate) fn link(mut self, target: &str, settings: &[&str]) -> Self {
        self.text.push_str("  -> ");
        let target = self.put(target);
        let mut link = Link {
            span: target.span,
            target,
            name: None,
            namespace: None,
            package: None,
            interfaces: None,
            pairs: Vec::new(),
            source_config: Vec::new(),
            source_secrets: Vec::new(),
            target_config: Vec::new(),
            target_secrets: Vec::new(),
            binding: None,
            scope: None,
            timeout: None,
            locality: None,
            idempotent: None,
        };
        for setting in settings {
            let (key, value) = setting.split_once(": ").unwrap();
            write!(self.text, ", {key}: ").unwrap();
            self.set(&mut link, key, value);
        }
        self.text.push('\n');
        self.edit(|c| c.links.push(link))
    }

    fn set(&mut self, link: &mut Link, key: &str, value: &str) {
        if let "source_config" | "target_config" = key {
            let words: Vec<&str> = value.split(' ').collect();
            let config = self.named_config(words[0], &words[1..]);
            let side = if key == "source_config" {
                &mut link.source_config
            } else {
                &mut link.target_config
            };
            return side.push(config);
        }
        if key == "interfaces" {
            let list = value.split(", ").map(|v| {
                self.text.push(' ');
                self.put(v)
            });
            link.interfaces = Some(list.collect());
            return;
        }
        if key == "pairs" {
            for pair in value.split(", ") {
                let (import, export) = pair.split_once('=').unwrap();
                self.text.push(' ');
                let import = self.put(import);
                self.text.push('=');
                let export = self.put(export);
                link.pairs.push(NamePair { import, export });
            }
            return;
        }
        let text = self.put(value);
        match key {
            "name" => link.name = Some(text),
            "for" => {
                let (namespace, package) = value.split_once(':').unwrap();
                link.namespace = Some(Spanned {
                    value: namespace.into(),
                    span: text.span,
                });
                link.package = Some(Spanned {
                    value: package.into(),
                    span: text.span,
                });
            }
            "binding" => {
                let value = match value {
                    "auto" => BindingChoice::Auto,
                    "fused" => BindingChoice::Fused,
                    "local" => BindingChoice::Local,
                    "host" => BindingChoice::Host,
                    "unix" => BindingChoice::Unix,
                    "tcp" => BindingChoice::Tcp,
                    _ => BindingChoice::Nats,
                };
                link.binding = Some(Spanned {
                    value,
                    span: text.span,
                });
            }
            "scope" => {
                let value = match value {
                    "call" => Scope::Call,
                    "shared" => Scope::Shared,
                    _ => Scope::Caller,
                };
                link.scope = Some(Spanned {
                    value,
                    span: text.span,
                });
            }
            "seconds" => {
                let value = Duration::from_secs(value.parse().unwrap());
                link.timeout = Some(Spanned {
                    value,
                    span: text.span,
                });
            }
            "locality" => {
                let value = match value {
                    "machine" => Locality::Machine,
                    "lattice" => Locality::Lattice,
                    _ => Locality::Host,
                };
                link.locality = Some(Spanned {
                    value,
                    span: text.span,
                })
            }
            "secret" => link.target_secrets.push(secret(text)),
            other => panic!("no setting {other}"),
        }
    }

    /// A secret of the last component.
    pub(crate) fn secret(mut self, name: &str) -> Self {
        self.text.push_str("  secret: ");
        let name = self.put(name);
        self.text.push('\n');
        self.edit(|c| c.secrets.push(secret(name)))
    }

    /// Interfaces that the host provides, by their names, with the types that the components know them by.
    pub(crate) fn host(mut self, names: &[&str]) -> Self {
        self.host = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    fn host_world(&self) -> World {
        let mut host = World::default();
        for text in &self.host {
            let name: InterfaceName = text.parse().unwrap();
            let worlds = self.inputs.parts.iter().filter_map(|part| match part {
                Part::Component { world, .. } => Some(world),
                Part::Provider(_) | Part::Unavailable => None,
            });
            let known = worlds.flat_map(|world| &world.imports).find_map(|import| {
                let interface = import.interface()?;
                (interface.name.as_ref()?.same_interface(&name))
                    .then(|| Interface::clone(interface))
            });
            host.imports.push(Extern {
                name: text.clone(),
                item: ExternItem::Interface(Arc::new(Interface {
                    name: Some(name),
                    ..known.unwrap_or_default()
                })),
            });
        }
        host
    }

    /// Sets the interfaces that the host provides: the imports of the world `host` of `wit`.
    pub(crate) fn host_wit(mut self, wit: &str) -> Self {
        let wit = format!("package test:host;\n{wit}");
        let world = World::from_wit(&[&wit], "host").unwrap_or_else(|e| panic!("{e}"));
        self.inputs.host = Arc::new(world);
        self
    }

    /// Something outside the application calls this component.
    pub(crate) fn called(mut self, name: &str) -> Self {
        self.inputs.called.push(name.into());
        self
    }

    pub(crate) fn link_all(&self) -> LinkOutcome {
        if self.host.is_empty() {
            return link(&self.inputs);
        }
        link(&Inputs {
            host: Arc::new(self.host_world()),
            ..self.inputs.clone()
        })
    }

    /// The plan, where there must not be errors.
    pub(crate) fn plan(&self) -> Plan {
        let linked = self.link_all();
        linked
            .plan
            .unwrap_or_else(|| panic!("{}", self.render(&linked.diagnostics.0)))
    }

    /// All diagnostics as text.
    pub(crate) fn problems(&self) -> String {
        self.render(&self.link_all().diagnostics.0)
    }

    /// The codes of all diagnostics.
    pub(crate) fn codes(&self) -> Vec<&'static str> {
        self.link_all()
            .diagnostics
            .0
            .iter()
            .map(|d| d.code.0)
            .collect()
    }

    /// The links of the plan, a line each: ends, interfaces, binding, reason.
    pub(crate) fn links(&self) -> String {
        let mut text = String::new();
        for link in self.plan().links {
            let interfaces: Vec<String> = (link.interfaces.iter())
                .map(|i| {
                    let own = |name: &str| {
                        if name == i.interface {
                            String::new()
                        } else {
                            format!(" ({name})")
                        }
                    };
                    format!("{}{}{}", i.interface, own(&i.import), own(&i.export))
                })
                .collect();
            let (source, target, name) = (link.source, link.target, link.name);
            let named = if name == "default" {
                String::new()
            } else {
                format!(" as {name}")
            };
            let binding = format!("{:?}", link.binding).to_lowercase();
            writeln!(
                text,
                "{source} -> {target}{named}: {}: {binding}, {}",
                interfaces.join(", "),
                link.why
            )
            .unwrap();
        }
        text
    }

    /// The links of the plan, and then its processes, a line each.
    pub(crate) fn processes(&self) -> String {
        let mut text = self.links();
        let plan = self.plan();
        writeln!(text, "the host: {}", plan.host_units.join(", ")).unwrap();
        for worker in plan.workers {
            let units = worker.units.join(", ");
            writeln!(text, "the worker of {}: {units}", worker.component).unwrap();
        }
        text
    }

    fn render(&self, diagnostics: &[Diagnostic]) -> String {
        let mut text = String::new();
        for d in diagnostics {
            let severity = format!("{:?}", d.severity).to_lowercase();
            writeln!(text, "{severity}[{}]: {}", d.code.0, d.message).unwrap();
            d.primary
                .iter()
                .for_each(|label| self.render_label(&mut text, "-->", label));
            d.related
                .iter()
                .for_each(|label| self.render_label(&mut text, ":::", label));
            let indent = |lines: &str| lines.replace('\n', "\n    ");
            d.notes
                .iter()
                .for_each(|note| writeln!(text, "  note: {}", indent(note)).unwrap());
            d.help
                .iter()
                .for_each(|help| writeln!(text, "  help: {}", indent(help)).unwrap());
        }
        text
    }

    fn render_label(&self, text: &mut String, arrow: &str, label: &Label) {
        let line = self.text[..label.span.start].matches('\n').count() + 1;
        let marked = &self.text[label.span.start..label.span.end];
        writeln!(text, "  {arrow} line {line}, `{marked}`: {}", label.text).unwrap();
    }
}

fn secret(name: Spanned<String>) -> SecretRef {
    let policy = Spanned::unplaced("vault".into());
    SecretRef {
        name,
        policy,
        key: "key".into(),
        field: None,
        version: None,
    }
}

fn check_config(role: ConfigRole, config: &ConfigMap) -> Vec<ConfigProblem> {
    let unknown = config.keys().filter(|key| *key != "url");
    let report = |key: &String| ConfigProblem {
        key: Some(key.clone()),
        message: format!("unknown key `{key}` ({role:?})"),
        help: Some("the key is `url`".into()),
    };
    unknown.map(report).collect()
}

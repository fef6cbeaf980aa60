//! Writes a component anew with some of its core modules imported.
//!
//! Only what mentions modules or core instances by their number changes; all else is copied.

use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{
    Alias, ComponentAliasSection, ComponentImportSection, ComponentOuterAliasKind,
    ComponentSection as _, ComponentSectionId, ComponentTypeRef, CoreTypeSection, InstanceSection,
    ModuleArg, ModuleType,
};
use wasmparser::{
    BinaryReader, ComponentAlias, ComponentExport, ComponentExternalKind, ComponentImport,
    ComponentInstance, FromReader, Instance, SectionLimited,
};

use crate::sections::{Sections, custom_name, header, put_section};

use super::needs::InstanceNeeds;
use super::snapshot::SNAPSHOT;
use super::{Fate, IMPORT, Site, import_name};

/// The custom section with names for people, by numbers that change.
const NAMES: &str = "component-name";

/// Writes `component`, whose modules have `sites` in the order in which they are read, with imports of `types`, and counts what
/// an instance needs. `None` if there is anything in it that is not known here.
pub(super) fn rewrite(
    component: &[u8],
    sites: &[Site],
    types: &[ModuleType],
) -> Option<(Vec<u8>, InstanceNeeds)> {
    let mut writer = Writer {
        sites: sites.iter(),
        types,
        scopes: Vec::new(),
    };
    let (out, needs) = writer.component(component)?;
    Some((out, needs))
}

struct Writer<'a> {
    /// The modules that are still to come.
    sites: std::slice::Iter<'a, Site>,
    types: &'a [ModuleType],
    /// The components around what is read, from outside to inside.
    scopes: Vec<Scope>,
}

/// The items that a component has been found to have so far.
#[derive(Default)]
struct Scope {
    modules: Vec<Module>,
    /// How many modules it has now.
    written_modules: u32,
    /// By the number that it had, the one that each core instance has.
    instances: Vec<u32>,
    /// How many core instances it has now.
    written_instances: u32,
    /// The needs of an instance, for each of the components in it.
    components: Vec<InstanceNeeds>,
    /// The needs of an instance of it.
    needs: InstanceNeeds,
}

/// A module of a component, with its number now.
#[derive(Clone, Copy)]
struct Module {
    needs: InstanceNeeds,
    code: u32,
    /// The number of the module with its memory, if that has become one.
    memory: Option<u32>,
}

impl Scope {
    fn module(&mut self) -> u32 {
        self.written_modules += 1;
        self.written_modules - 1
    }

    fn instance(&mut self) -> u32 {
        self.written_instances += 1;
        self.written_instances - 1
    }
}

impl Writer<'_> {
    fn component(&mut self, component: &[u8]) -> Option<(Vec<u8>, InstanceNeeds)> {
        let mut out = header(component).ok()?.to_vec();
        let mut scope = Scope::default();
        let is_root = self.scopes.is_empty();
        if is_root {
            self.imports(&mut out, &mut scope)?;
        }
        self.scopes.push(scope);
        for section in Sections::new(component) {
            let (id, whole, body) = section.ok()?;
            let (whole, body) = (&component[whole], &component[body]);
            match Kind::of(id)? {
                Kind::Module => self.module(&mut out, whole)?,
                Kind::Component => {
                    let (nested, needs) = self.component(body)?;
                    put_section(&mut out, id, &nested);
                    self.scope()?.components.push(needs);
                }
                Kind::CoreInstances => self.core_instances(&mut out, body)?,
                Kind::Aliases => self.aliases(&mut out, body)?,
                // The types of the imports come first, and would give those behind them other numbers.
                Kind::CoreTypes if is_root => return None,
                Kind::Instances => {
                    self.instances(body)?;
                    out.extend_from_slice(whole);
                }
                Kind::Imports => {
                    for import in read::<ComponentImport<'_>>(body)? {
                        let import = import.ok()?;
                        let is_ours = is_root && import.name.name.starts_with(IMPORT);
                        if is_ours || !is_countable(import.ty.kind()) {
                            return None;
                        }
                    }
                    out.extend_from_slice(whole);
                }
                Kind::Exports => {
                    for export in read::<ComponentExport<'_>>(body)? {
                        if !is_countable(export.ok()?.kind) {
                            return None;
                        }
                    }
                    out.extend_from_slice(whole);
                }
                Kind::Custom if custom_name(body).ok()? == NAMES => {}
                Kind::Custom | Kind::CoreTypes | Kind::Other => out.extend_from_slice(whole),
            }
        }
        let scope = self.scopes.pop()?;
        Some((out, scope.needs))
    }

    fn scope(&mut self) -> Option<&mut Scope> {
        self.scopes.last_mut()
    }

    /// The imports of all modules that were taken out.
    fn imports(&self, out: &mut Vec<u8>, scope: &mut Scope) -> Option<()> {
        let mut types = CoreTypeSection::new();
        let mut imports = ComponentImportSection::new();
        for (number, ty) in self.types.iter().enumerate() {
            types.ty().module(ty);
            let index = u32::try_from(number).ok()?;
            imports.import(import_name(number), ComponentTypeRef::Module(index));
            scope.module();
        }
        types.append_to_component(out);
        imports.append_to_component(out);
        Some(())
    }

    /// A module, or what stands for it.
    fn module(&mut self, out: &mut Vec<u8>, whole: &[u8]) -> Option<()> {
        let site = self.sites.next()?;
        let depth = u32::try_from(self.scopes.len()).ok()?.checked_sub(1)?;
        let scope = self.scope()?;
        // In the outermost component the import itself has a number, which the others have to be given.
        let mut imported = |import: u32| match depth {
            0 => import,
            count => {
                let mut aliases = ComponentAliasSection::new();
                aliases.alias(outer_module(count, import));
                aliases.append_to_component(out);
                scope.module()
            }
        };
        let (code, memory) = match &site.fate {
            Fate::Kept => {
                out.extend_from_slice(whole);
                (scope.module(), None)
            }
            Fate::Imported(import) => (imported(*import), None),
            Fate::Split { code, memory } => {
                let code = imported(*code);
                put_section(out, ComponentSectionId::CoreModule.into(), memory);
                (code, Some(scope.module()))
            }
        };
        scope.modules.push(Module {
            needs: site.needs,
            code,
            memory,
        });
        Some(())
    }

    fn core_instances(&mut self, out: &mut Vec<u8>, body: &[u8]) -> Option<()> {
        let mut section = InstanceSection::new();
        let scope = self.scope()?;
        for instance in read::<Instance<'_>>(body)? {
            match instance.ok()? {
                Instance::Instantiate { module_index, args } => {
                    let module = *scope.modules.get(module_index as usize)?;
                    scope.needs.add(module.needs);
                    let mut arguments = Vec::with_capacity(args.len() + 1);
                    for arg in &args {
                        let instance = *scope.instances.get(arg.index as usize)?;
                        arguments.push((arg.name, ModuleArg::Instance(instance)));
                    }
                    if let Some(memory) = module.memory {
                        section.instantiate::<_, &str>(memory, []);
                        arguments.push((SNAPSHOT, ModuleArg::Instance(scope.instance())));
                    }
                    section.instantiate(module.code, arguments);
                }
                Instance::FromExports(exports) => {
                    let exports = exports.iter().map(|export| {
                        let kind = RoundtripReencoder.export_kind(export.kind).ok()?;
                        Some((export.name, kind, export.index))
                    });
                    section.export_items(exports.collect::<Option<Vec<_>>>()?);
                }
            }
            let number = scope.instance();
            scope.instances.push(number);
        }
        section.append_to_component(out);
        Some(())
    }

    fn aliases(&mut self, out: &mut Vec<u8>, body: &[u8]) -> Option<()> {
        let mut section = ComponentAliasSection::new();
        for alias in read::<ComponentAlias<'_>>(body)? {
            match alias.ok()? {
                ComponentAlias::CoreInstanceExport {
                    kind,
                    instance_index,
                    name,
                } => {
                    let instance = *self.scope()?.instances.get(instance_index as usize)?;
                    let kind = RoundtripReencoder.export_kind(kind).ok()?;
                    section.alias(Alias::CoreInstanceExport {
                        instance,
                        kind,
                        name,
                    });
                }
                ComponentAlias::InstanceExport {
                    kind,
                    instance_index,
                    name,
                } => {
                    if !is_countable(kind) {
                        return None;
                    }
                    section.alias(Alias::InstanceExport {
                        instance: instance_index,
                        kind: kind.into(),
                        name,
                    });
                }
                ComponentAlias::Outer { kind, count, index } => {
                    use wasmparser::ComponentOuterAliasKind as Outer;
                    let depth = self.scopes.len().checked_sub(1 + count as usize)?;
                    let outer = self.scopes.get(depth)?;
                    match kind {
                        Outer::CoreModule => {
                            let module = *outer.modules.get(index as usize)?;
                            let scope = self.scope()?;
                            let mut alias = |module| {
                                section.alias(outer_module(count, module));
                                scope.module()
                            };
                            let module = Module {
                                needs: module.needs,
                                code: alias(module.code),
                                memory: module.memory.map(alias),
                            };
                            scope.modules.push(module);
                            continue;
                        }
                        Outer::Component => {
                            let needs = *outer.components.get(index as usize)?;
                            self.scope()?.components.push(needs);
                        }
                        // The outermost component has none, or their numbers would have changed.
                        Outer::CoreType if depth == 0 => return None,
                        Outer::CoreType | Outer::Type => {}
                    }
                    section.alias(Alias::Outer {
                        kind: kind.into(),
                        count,
                        index,
                    });
                }
            }
        }
        section.append_to_component(out);
        Some(())
    }

    /// Counts what instances of components need. Nothing in them changes.
    fn instances(&mut self, body: &[u8]) -> Option<()> {
        let scope = self.scope()?;
        for instance in read::<ComponentInstance<'_>>(body)? {
            match instance.ok()? {
                ComponentInstance::Instantiate {
                    component_index,
                    args,
                } => {
                    if !args.iter().all(|arg| is_countable(arg.kind)) {
                        return None;
                    }
                    let needs = *scope.components.get(component_index as usize)?;
                    scope.needs.add(needs);
                }
                ComponentInstance::FromExports(exports) => {
                    if !exports.iter().all(|export| is_countable(export.kind)) {
                        return None;
                    }
                }
            }
        }
        Some(())
    }
}

/// The sections of a component, by what is to be done with them.
enum Kind {
    Module,
    Component,
    CoreInstances,
    CoreTypes,
    Instances,
    Aliases,
    Imports,
    Exports,
    Custom,
    Other,
}

impl Kind {
    fn of(id: u8) -> Option<Self> {
        use ComponentSectionId as Id;
        let kinds = [
            (Id::CoreModule, Self::Module),
            (Id::Component, Self::Component),
            (Id::CoreInstance, Self::CoreInstances),
            (Id::CoreType, Self::CoreTypes),
            (Id::Instance, Self::Instances),
            (Id::Alias, Self::Aliases),
            (Id::Import, Self::Imports),
            (Id::Export, Self::Exports),
            (Id::CoreCustom, Self::Custom),
            (Id::Type, Self::Other),
            (Id::CanonicalFunction, Self::Other),
            (Id::Start, Self::Other),
        ];
        let mut kinds = kinds.into_iter();
        kinds.find_map(|(known, kind)| (u8::from(known) == id).then_some(kind))
    }
}

/// Whether items of a kind that come from elsewhere leave all numbers and sums as they are: with modules or components that a
/// component is given, nobody knows what an instance needs.
fn is_countable(kind: ComponentExternalKind) -> bool {
    !matches!(
        kind,
        ComponentExternalKind::Module | ComponentExternalKind::Component
    )
}

fn read<'a, T: FromReader<'a>>(body: &'a [u8]) -> Option<SectionLimited<'a, T>> {
    SectionLimited::new(BinaryReader::new(body, 0)).ok()
}

fn outer_module(count: u32, index: u32) -> Alias<'static> {
    Alias::Outer {
        kind: ComponentOuterAliasKind::CoreModule,
        count,
        index,
    }
}

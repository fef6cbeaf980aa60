//! The type of a core module: what it imports and exports.

use std::collections::HashMap;
use std::ops::Range;

use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{EntityType, HeapType, ModuleType, ValType};
use wasmparser::{
    CompositeInnerType, ElementItems, ExternalKind, FuncType, Imports, MemoryType, Parser, Payload,
    RecGroup, TypeRef,
};

/// The imports, exports and definitions of a module, as far as they are typed.
#[derive(Default)]
pub(super) struct Interface<'a> {
    /// By their number; `None` are those that are no plain types of functions.
    types: Vec<Option<FuncType>>,
    pub(super) imports: Vec<(&'a str, &'a str, TypeRef)>,
    exports: Vec<(&'a str, TypeRef)>,
    /// The memories that it defines.
    pub(super) memories: Vec<MemoryType>,
    /// How many tables it defines.
    pub(super) tables: usize,
    /// How many functions it imports and defines.
    pub(super) functions: usize,
    /// How often a function may be mentioned where that gives it a reference in each instance; at least so often.
    pub(super) mentions: usize,
    /// How many globals and tags it defines.
    pub(super) globals_and_tags: usize,
    /// How many segments of data and of elements it has.
    pub(super) segments: usize,
    /// How many bytes its functions have.
    pub(super) code: usize,
    /// How many bytes its data has.
    pub(super) data: usize,
}

impl<'a> Interface<'a> {
    /// Reads it, if the module is well-formed as far as that is looked at.
    pub(super) fn of(module: &'a [u8]) -> Option<Self> {
        let mut interface = Self::default();
        let (mut functions, mut tables) = (Vec::new(), Vec::new());
        let (mut memories, mut globals, mut tags) = (Vec::new(), Vec::new(), Vec::new());
        let mut exports = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            match payload.ok()? {
                Payload::TypeSection(section) => {
                    for group in section {
                        interface.group(&group.ok()?);
                    }
                }
                Payload::ImportSection(section) => {
                    for group in section {
                        // Names of many imports at once are no different, and no tool writes them yet.
                        let Imports::Single(_, import) = group.ok()? else {
                            return None;
                        };
                        let ty = import.ty;
                        match ty {
                            TypeRef::Func(_) => functions.push(ty),
                            TypeRef::Table(_) => tables.push(ty),
                            TypeRef::Memory(_) => memories.push(ty),
                            TypeRef::Global(_) => globals.push(ty),
                            TypeRef::Tag(_) => tags.push(ty),
                            TypeRef::FuncExact(_) => return None,
                        }
                        interface.imports.push((import.module, import.name, ty));
                    }
                }
                Payload::FunctionSection(section) => {
                    for ty in section {
                        functions.push(TypeRef::Func(ty.ok()?));
                    }
                }
                Payload::TableSection(section) => {
                    interface.mentions += len(&section.range())?;
                    for table in section {
                        tables.push(TypeRef::Table(table.ok()?.ty));
                        interface.tables += 1;
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        let memory = memory.ok()?;
                        memories.push(TypeRef::Memory(memory));
                        interface.memories.push(memory);
                    }
                }
                Payload::TagSection(section) => {
                    for tag in section {
                        tags.push(TypeRef::Tag(tag.ok()?));
                        interface.globals_and_tags += 1;
                    }
                }
                Payload::GlobalSection(section) => {
                    interface.mentions += len(&section.range())?;
                    for global in section {
                        globals.push(TypeRef::Global(global.ok()?.ty));
                        interface.globals_and_tags += 1;
                    }
                }
                Payload::ElementSection(section) => {
                    for element in section {
                        let element = element.ok()?;
                        interface.segments += 1;
                        interface.mentions += match element.items {
                            ElementItems::Functions(functions) => functions.count() as usize,
                            // A mention takes a byte at least, here and in the sections of globals and tables.
                            ElementItems::Expressions(..) => len(&element.range)?,
                        };
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        exports.push(export.ok()?);
                    }
                }
                Payload::CodeSectionStart { size, .. } => interface.code = size as usize,
                Payload::DataSection(section) => {
                    interface.data = len(&section.range())?;
                    interface.segments += section.count() as usize;
                }
                _ => {}
            }
        }
        interface.functions = functions.len();
        for export in exports {
            let of_kind = match export.kind {
                ExternalKind::Func => &functions,
                ExternalKind::Table => &tables,
                ExternalKind::Memory => &memories,
                ExternalKind::Global => &globals,
                ExternalKind::Tag => &tags,
                ExternalKind::FuncExact => return None,
            };
            let ty = *of_kind.get(export.index as usize)?;
            interface.mentions += usize::from(matches!(ty, TypeRef::Func(_)));
            interface.exports.push((export.name, ty));
        }
        Some(interface)
    }

    fn group(&mut self, group: &RecGroup) {
        let is_alone = group.types().len() == 1;
        for ty in group.types() {
            let is_plain = is_alone
                && ty.is_final
                && ty.supertype_idx.is_none()
                && !ty.composite_type.shared
                && ty.composite_type.descriptor_idx.is_none()
                && ty.composite_type.describes_idx.is_none();
            self.types.push(match &ty.composite_type.inner {
                CompositeInnerType::Func(function) if is_plain => Some(function.clone()),
                _ => None,
            });
        }
    }

    /// The type, if it can be written where the module is imported: not with types that refer to others.
    pub(super) fn module_type(&self) -> Option<ModuleType> {
        let mut encoder = TypeEncoder {
            interface: self,
            ty: ModuleType::new(),
            numbers: HashMap::new(),
        };
        for (module, name, ty) in &self.imports {
            let ty = encoder.entity(*ty)?;
            encoder.ty.import(module, name, ty);
        }
        for (name, ty) in &self.exports {
            let ty = encoder.entity(*ty)?;
            encoder.ty.export(name, ty);
        }
        Some(encoder.ty)
    }
}

fn len(range: &Range<u64>) -> Option<usize> {
    usize::try_from(range.end.checked_sub(range.start)?).ok()
}

struct TypeEncoder<'a> {
    interface: &'a Interface<'a>,
    ty: ModuleType,
    /// The types that were written, by their number in the module.
    numbers: HashMap<u32, u32>,
}

impl TypeEncoder<'_> {
    fn entity(&mut self, ty: TypeRef) -> Option<EntityType> {
        let ty = match ty {
            TypeRef::Func(number) => TypeRef::Func(self.function(number)?),
            TypeRef::Tag(mut tag) => {
                tag.func_type_idx = self.function(tag.func_type_idx)?;
                TypeRef::Tag(tag)
            }
            other => other,
        };
        let ty = RoundtripReencoder.entity_type(ty).ok()?;
        let refers = match ty {
            EntityType::Global(global) => is_concrete(global.val_type),
            EntityType::Table(table) => is_concrete(ValType::Ref(table.element_type)),
            _ => false,
        };
        (!refers).then_some(ty)
    }

    fn function(&mut self, number: u32) -> Option<u32> {
        if let Some(written) = self.numbers.get(&number) {
            return Some(*written);
        }
        let ty = self.interface.types.get(number as usize)?.as_ref()?;
        let ty = RoundtripReencoder.func_type(ty.clone()).ok()?;
        if ty
            .params()
            .iter()
            .chain(ty.results())
            .any(|ty| is_concrete(*ty))
        {
            return None;
        }
        let written = self.ty.type_count();
        self.ty.ty().func_type(&ty);
        self.numbers.insert(number, written);
        Some(written)
    }
}

/// Whether a type refers to another one by its number.
fn is_concrete(ty: ValType) -> bool {
    let ValType::Ref(reference) = ty else {
        return false;
    };
    !matches!(reference.heap_type, HeapType::Abstract { .. })
}

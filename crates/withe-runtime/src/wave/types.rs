//! Types as they were read from a component, as WAVE's own.
//!
//! So that what is written can be compared with a function before anything is compiled: WAVE's parser wants types of its
//! own making, and Wasmtime has them only for a component that is compiled.
//!
//! Some types have no text in WAVE. Where a call can pass them all the same, another type's text stands for theirs:
//! [`written`] says which for arguments, [`shown`] for results.

use wasmtime::component::wasm_wave::value::{FuncType, Type as WaveType};
use wasmtime::component::wasm_wave::wasm::WasmTypeKind;
use withe_wit::{Function, ResourceRef, Type};

use crate::invoke::InvokeError;

/// A function's type; `None` if WAVE has no text for one of its types.
///
/// # Errors
///
/// If it takes or returns what cannot be passed from outside.
pub(super) fn function(function: &Function) -> Result<Option<FuncType>, InvokeError> {
    let mut found = None;
    for ty in function.types() {
        ty.walk(&mut |ty| found = found.or_else(|| handle(ty)));
    }
    if let Some(kind) = found {
        return Err(InvokeError::Handles {
            function: function.name.clone(),
            kind,
        });
    }
    let params = function.params.iter();
    let params: Option<Vec<_>> = params
        .map(|(name, ty)| Some((name.clone(), value(ty)?)))
        .collect();
    let result = match &function.result {
        Some(ty) => value(ty).map(|ty| vec![(String::new(), ty)]),
        None => Some(Vec::new()),
    };
    let (Some(params), Some(result)) = (params, result) else {
        return Ok(None);
    };
    Ok(FuncType::new(params, result).ok())
}

/// The kind of value that belongs to an instance.
pub(super) fn handle(ty: &Type) -> Option<&'static str> {
    match ty {
        Type::Own(_) | Type::Borrow(_) => Some("resource"),
        Type::Future(_) => Some("future"),
        Type::Stream(_) => Some("stream"),
        Type::ErrorContext => Some("error context"),
        _ => None,
    }
}

/// A value's type; `None` if WAVE has no text for such values.
pub(super) fn value(ty: &Type) -> Option<WaveType> {
    match ty {
        Type::FixedList(of, length) => Some(WaveType::fixed_length_list(value(of)?, *length)),
        ty => made(ty, &value),
    }
}

/// The type of the text that an argument is written as: a stream is a list of its elements, a future its value, a map a
/// list of pairs. `None` if it has no text.
pub(super) fn written(ty: &Type) -> Option<WaveType> {
    match ty {
        Type::Stream(of) => Some(WaveType::list(written(of.as_ref()?)?)),
        Type::Future(of) => written(of.as_ref()?),
        Type::FixedList(of, _) => Some(WaveType::list(written(of)?)),
        Type::Map(key, of) => pairs(written(key)?, written(of)?),
        ty => made(ty, &written),
    }
}

/// The type of the text that a result is shown as: in the place of a stream or a future stands that word, a map is a list
/// of pairs. `None` if it has no text.
pub(super) fn shown(ty: &Type) -> Option<WaveType> {
    match ty {
        Type::Stream(_) => WaveType::enum_ty([STREAM]),
        Type::Future(_) => WaveType::enum_ty([FUTURE]),
        Type::Own(resource) if is_input_stream(resource) => WaveType::enum_ty([STREAM]),
        Type::FixedList(of, _) => Some(WaveType::list(shown(of)?)),
        Type::Map(key, of) => pairs(shown(key)?, shown(of)?),
        ty => made(ty, &shown),
    }
}

/// The word in the place of a stream.
pub(super) const STREAM: &str = "stream";

/// The word in the place of a future.
pub(super) const FUTURE: &str = "future";

fn pairs(key: WaveType, of: WaveType) -> Option<WaveType> {
    Some(WaveType::list(WaveType::tuple([key, of])?))
}

/// Whether a resource is the `input-stream` of `wasi:io/streams`: a stream of bytes from before the component model had streams.
pub fn is_input_stream(resource: &ResourceRef) -> bool {
    let interface = resource.interface.as_ref();
    resource.name == "input-stream"
        && interface.is_some_and(|interface| {
            (
                &*interface.namespace,
                &*interface.package,
                &*interface.interface,
            ) == ("wasi", "io", "streams")
        })
}

/// The type whose parts are what `part` makes of them; `None` if WAVE has no such type, or one of the parts has none.
fn made(ty: &Type, part: &dyn Fn(&Type) -> Option<WaveType>) -> Option<WaveType> {
    let simple = WaveType::simple;
    match ty {
        Type::Bool => simple(WasmTypeKind::Bool),
        Type::U8 => simple(WasmTypeKind::U8),
        Type::U16 => simple(WasmTypeKind::U16),
        Type::U32 => simple(WasmTypeKind::U32),
        Type::U64 => simple(WasmTypeKind::U64),
        Type::S8 => simple(WasmTypeKind::S8),
        Type::S16 => simple(WasmTypeKind::S16),
        Type::S32 => simple(WasmTypeKind::S32),
        Type::S64 => simple(WasmTypeKind::S64),
        Type::F32 => simple(WasmTypeKind::F32),
        Type::F64 => simple(WasmTypeKind::F64),
        Type::Char => simple(WasmTypeKind::Char),
        Type::String => simple(WasmTypeKind::String),
        Type::List(of) => Some(WaveType::list(part(of)?)),
        Type::Option(some) => Some(WaveType::option(part(some)?)),
        Type::Result(ok, err) => {
            // Each may be nothing, or something without a text.
            let side = |side: &Option<std::sync::Arc<Type>>| match side {
                Some(ty) => part(ty).map(Some),
                None => Some(None),
            };
            Some(WaveType::result(side(ok)?, side(err)?))
        }
        Type::Tuple(types) => {
            let types: Option<Vec<_>> = types.iter().map(part).collect();
            WaveType::tuple(types?)
        }
        Type::Record(record) => {
            let fields = record.body.iter();
            let fields: Option<Vec<_>> = fields
                .map(|(name, ty)| Some((name.as_str(), part(ty)?)))
                .collect();
            WaveType::record(fields?)
        }
        Type::Variant(variant) => {
            let cases = variant.body.iter();
            let cases: Option<Vec<_>> = cases
                .map(|(name, ty)| match ty {
                    Some(ty) => Some((name.as_str(), Some(part(ty)?))),
                    None => Some((name.as_str(), None)),
                })
                .collect();
            WaveType::variant(cases?)
        }
        Type::Enum(cases) => WaveType::enum_ty(cases.body.iter().map(String::as_str)),
        Type::Flags(names) => WaveType::flags(names.body.iter().map(String::as_str)),
        Type::FixedList(..)
        | Type::Map(..)
        | Type::ErrorContext
        | Type::Own(_)
        | Type::Borrow(_)
        | Type::Stream(_)
        | Type::Future(_) => None,
    }
}

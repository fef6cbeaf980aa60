//! Whether a value is of a type.
//!
//! Wasmtime checks that too, but only while it lowers the value into an instance: its error cannot be told from what
//! the instance does.

use std::fmt;

use wasmtime::component::{Type, Val};

/// Where a value is not what it has to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// From the value inwards: fields, cases, places.
    path: Vec<String>,
    /// The difference found there.
    what: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.path.iter().rev() {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// Where `value` is not of the type `ty`, if anywhere.
pub(crate) fn misfit(value: &Val, ty: &Type) -> Option<Misfit> {
    match (value, ty) {
        (Val::Bool(_), Type::Bool)
        | (Val::S8(_), Type::S8)
        | (Val::U8(_), Type::U8)
        | (Val::S16(_), Type::S16)
        | (Val::U16(_), Type::U16)
        | (Val::S32(_), Type::S32)
        | (Val::U32(_), Type::U32)
        | (Val::S64(_), Type::S64)
        | (Val::U64(_), Type::U64)
        | (Val::Float32(_), Type::Float32)
        | (Val::Float64(_), Type::Float64)
        | (Val::Char(_), Type::Char)
        | (Val::String(_), Type::String) => None,
        (Val::List(items), Type::List(list)) => each(items, &list.ty()),
        (Val::FixedLengthList(items), Type::FixedLengthList(list)) => {
            let wanted = list.len() as usize;
            if items.len() != wanted {
                return wrong(format!("expected {wanted} elements, found {}", items.len()));
            }
            each(items, &list.ty())
        }
        (Val::Map(entries), Type::Map(map)) => entries.iter().find_map(|(key, value)| {
            let key = misfit(key, &map.key()).map(|m| m.within("a key".into()));
            key.or_else(|| misfit(value, &map.value()).map(|m| m.within("a value".into())))
        }),
        (Val::Record(fields), Type::Record(record)) => {
            let names: Vec<_> = record.fields().map(|f| f.name.to_owned()).collect();
            let found: Vec<_> = fields.iter().map(|(name, _)| name.clone()).collect();
            if names != found {
                return wrong(format!(
                    "expected the fields {}, found {}",
                    listed(&names),
                    listed(&found)
                ));
            }
            let mut pairs = record.fields().zip(fields);
            pairs.find_map(|(field, (name, value))| {
                Some(misfit(value, &field.ty)?.within(format!("field `{name}`")))
            })
        }
        (Val::Tuple(items), Type::Tuple(tuple)) => {
            let types = tuple.types();
            if items.len() != types.len() {
                return wrong(format!(
                    "expected {} elements, found {}",
                    types.len(),
                    items.len()
                ));
            }
            let mut pairs = types.zip(items).enumerate();
            pairs
                .find_map(|(i, (ty, item))| Some(misfit(item, &ty)?.within(format!("element {i}"))))
        }
        (Val::Variant(case, payload), Type::Variant(variant)) => {
            let Some(known) = variant.cases().find(|c| c.name == case) else {
                return wrong(format!("there is no case `{case}`"));
            };
            within_case(case, payload.as_deref(), known.ty.as_ref())
        }
        (Val::Enum(case), Type::Enum(known)) => match known.names().any(|name| name == case) {
            true => None,
            false => wrong(format!("there is no case `{case}`")),
        },
        (Val::Option(value), Type::Option(option)) => {
            let value = value.as_deref()?;
            Some(misfit(value, &option.ty())?.within("`some`".into()))
        }
        (Val::Result(Ok(value)), Type::Result(result)) => {
            within_case("ok", value.as_deref(), result.ok().as_ref())
        }
        (Val::Result(Err(value)), Type::Result(result)) => {
            within_case("err", value.as_deref(), result.err().as_ref())
        }
        (Val::Flags(set), Type::Flags(flags)) => {
            let unknown = set
                .iter()
                .find(|flag| flags.names().all(|name| name != *flag));
            unknown.and_then(|flag| wrong(format!("there is no flag `{flag}`")))
        }
        _ => wrong(format!(
            "expected {}, found {}",
            type_name(ty),
            value_name(value)
        )),
    }
}

fn each(items: &[Val], ty: &Type) -> Option<Misfit> {
    let mut items = items.iter().enumerate();
    items.find_map(|(i, item)| Some(misfit(item, ty)?.within(format!("element {i}"))))
}

fn within_case(case: &str, payload: Option<&Val>, ty: Option<&Type>) -> Option<Misfit> {
    match (payload, ty) {
        (None, None) => None,
        (Some(value), Some(ty)) => Some(misfit(value, ty)?.within(format!("`{case}`"))),
        (Some(_), None) => wrong(format!("`{case}` has no value")),
        (None, Some(ty)) => wrong(format!("`{case}` needs a value: {}", type_name(ty))),
    }
}

fn wrong(what: String) -> Option<Misfit> {
    let path = Vec::new();
    Some(Misfit { path, what })
}

impl Misfit {
    fn within(mut self, part: String) -> Self {
        self.path.push(part);
        self
    }
}

fn listed(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn type_name(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "a bool",
        Type::S8 => "an s8",
        Type::U8 => "a u8",
        Type::S16 => "an s16",
        Type::U16 => "a u16",
        Type::S32 => "an s32",
        Type::U32 => "a u32",
        Type::S64 => "an s64",
        Type::U64 => "a u64",
        Type::Float32 => "an f32",
        Type::Float64 => "an f64",
        Type::Char => "a char",
        Type::String => "a string",
        Type::List(_) => "a list",
        Type::FixedLengthList(_) => "a list of fixed length",
        Type::Map(_) => "a map",
        Type::Record(_) => "a record",
        Type::Tuple(_) => "a tuple",
        Type::Variant(_) => "a variant",
        Type::Enum(_) => "an enum",
        Type::Option(_) => "an option",
        Type::Result(_) => "a result",
        Type::Flags(_) => "flags",
        Type::Own(_) | Type::Borrow(_) => "a resource",
        Type::Future(_) => "a future",
        Type::Stream(_) => "a stream",
        Type::ErrorContext => "an error context",
    }
}

fn value_name(value: &Val) -> &'static str {
    match value {
        Val::Bool(_) => "a bool",
        Val::S8(_) => "an s8",
        Val::U8(_) => "a u8",
        Val::S16(_) => "an s16",
        Val::U16(_) => "a u16",
        Val::S32(_) => "an s32",
        Val::U32(_) => "a u32",
        Val::S64(_) => "an s64",
        Val::U64(_) => "a u64",
        Val::Float32(_) => "an f32",
        Val::Float64(_) => "an f64",
        Val::Char(_) => "a char",
        Val::String(_) => "a string",
        Val::List(_) => "a list",
        Val::FixedLengthList(_) => "a list of fixed length",
        Val::Map(_) => "a map",
        Val::Record(_) => "a record",
        Val::Tuple(_) => "a tuple",
        Val::Variant(..) => "a variant",
        Val::Enum(_) => "an enum",
        Val::Option(_) => "an option",
        Val::Result(_) => "a result",
        Val::Flags(_) => "flags",
        Val::Resource(_) => "a resource",
        Val::Future(_) => "a future",
        Val::Stream(_) => "a stream",
        Val::ErrorContext(_) => "an error context",
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::component::Component;
    use wasmtime::component::types::ComponentItem;
    use wasmtime::{Config, Engine};

    use super::*;

    /// The type that WAT has for a parameter.
    fn ty(text: &str) -> Type {
        let mut config = Config::new();
        config
            .wasm_component_model_map(true)
            .wasm_component_model_fixed_length_lists(true);
        let engine = Engine::new(&config).unwrap();
        let text = format!(
            "(component (type $t {text}) (import \"t\" (type $named (eq $t))) (import \"f\" (func (param \"p\" $named))))"
        );
        let component = Component::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let imports = component.component_type();
        let item = imports.get_import(&engine, "f").unwrap();
        let ComponentItem::ComponentFunc(function) = item.ty else {
            panic!("a function was imported");
        };
        let mut params = function.params();
        params.next().unwrap().1
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        let text = || Val::String("a".into());
        let boxed = |value| Some(Box::new(value));
        let record = |fields: &[(&str, Val)]| {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.to_string(), value.clone()));
            Val::Record(fields.collect())
        };
        for (wat, value, wrong) in [
            ("u32", Val::U32(1), None),
            ("u32", Val::U64(1), Some("expected a u32, found a u64")),
            ("(list string)", Val::List(vec![text()]), None),
            (
                "(list string)",
                Val::List(vec![text(), Val::Bool(true)]),
                Some("element 1: expected a string, found a bool"),
            ),
            (
                "(list u8 2)",
                Val::FixedLengthList(vec![Val::U8(1)]),
                Some("expected 2 elements, found 1"),
            ),
            (
                "(record (field \"a\" u8) (field \"b\" (option string)))",
                record(&[("a", Val::U8(1)), ("b", Val::Option(boxed(text())))]),
                None,
            ),
            (
                "(record (field \"a\" u8) (field \"b\" (option string)))",
                record(&[("a", Val::U8(1)), ("b", Val::Option(boxed(Val::U8(1))))]),
                Some("field `b`: `some`: expected a string, found a u8"),
            ),
            (
                "(record (field \"a\" u8))",
                record(&[("b", Val::U8(1))]),
                Some("expected the fields `a`, found `b`"),
            ),
            (
                "(variant (case \"none\") (case \"one\" u8))",
                Val::Variant("one".into(), None),
                Some("`one` needs a value: a u8"),
            ),
            (
                "(result u8 (error string))",
                Val::Result(Err(boxed(Val::U8(1)))),
                Some("`err`: expected a string, found a u8"),
            ),
            (
                "(result u8)",
                Val::Result(Err(boxed(Val::U8(1)))),
                Some("`err` has no value"),
            ),
            (
                "(tuple u8 u8)",
                Val::Tuple(vec![Val::U8(1)]),
                Some("expected 2 elements, found 1"),
            ),
            (
                "(flags \"a\" \"b\")",
                Val::Flags(vec!["a".into(), "c".into()]),
                Some("there is no flag `c`"),
            ),
            (
                "(enum \"a\" \"b\")",
                Val::Enum("c".into()),
                Some("there is no case `c`"),
            ),
            (
                "(map string u8)",
                Val::Map(vec![(text(), text())]),
                Some("a value: expected a u8, found a string"),
            ),
        ] {
            let found = misfit(&value, &ty(wat)).map(|misfit| misfit.to_string());
            assert_eq!(found.as_deref(), wrong, "{wat} {value:?}");
        }
    }
}

//! Values of the component model as JSON, both ways.
//!
//! Records are objects, lists and tuples arrays, flags arrays of their names, enums their names. A variant's case is
//! its name, or, with a payload, an object of one member: `{"circle": 2.5}`; a `result` is such a variant of `ok` and
//! `err`. An option's value stands for itself, and an absent one is `null`. An option within an option would be lost by
//! that: its inner one is `{"some": …}` or `"none"`. A whole number that JSON's readers may round (beyond 53 bits) is a
//! number all the same, as JSON itself has no bound; other numbers that it has none of (`nan`, `inf`) are texts.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Number, Value as Json};
use wasmtime::component::wasm_wave::value::{Type, Value};
use wasmtime::component::wasm_wave::wasm::{WasmType as _, WasmTypeKind as Kind, WasmValue as _};

/// Where JSON is not what a function takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) struct JsonMisfit {
    /// From the value outwards: fields, cases, places.
    path: Vec<String>,
    what: String,
}

impl fmt::Display for JsonMisfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.path.iter().rev() {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.what)
    }
}

impl JsonMisfit {
    fn within(mut self, part: impl Into<String>) -> Self {
        self.path.push(part.into());
        self
    }
}

fn wrong<T>(what: impl Into<String>) -> Result<T, JsonMisfit> {
    Err(JsonMisfit {
        path: Vec::new(),
        what: what.into(),
    })
}

/// The value of type `ty` that `json` is.
///
/// # Errors
///
/// Where it is none.
pub(super) fn value(json: &Json, ty: &Type) -> Result<Value, JsonMisfit> {
    let made = match (ty.kind(), json) {
        (Kind::Bool, Json::Bool(value)) => return Ok(Value::make_bool(*value)),
        (Kind::Char, Json::String(text)) => {
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(only), None) => return Ok(Value::make_char(only)),
                _ => return wrong(format!("expected one character, found {json}")),
            }
        }
        (Kind::String, Json::String(text)) => return Ok(Value::make_string(text.into())),
        (kind, Json::Number(number)) if is_number(kind) => return self::number(number, kind, json),
        (Kind::F32 | Kind::F64, Json::String(text)) => {
            let special = match text.as_str() {
                "nan" => f64::NAN,
                "inf" => f64::INFINITY,
                "-inf" => f64::NEG_INFINITY,
                _ => return wrong(format!("expected a number, found {json}")),
            };
            return Ok(float(special, ty.kind()));
        }
        (Kind::List | Kind::FixedLengthList, Json::Array(items)) => {
            let of = ty.list_element_type();
            let items: Result<Vec<_>, _> = items
                .iter()
                .enumerate()
                .map(|(place, item)| element(item, of.as_ref()).map_err(|e| e.within(at(place))))
                .collect();
            Value::make_list(ty, items?)
        }
        (Kind::Tuple, Json::Array(items)) => {
            let types: Vec<_> = ty.tuple_element_types().collect();
            if types.len() != items.len() {
                return wrong(format!(
                    "expected {} elements, found {}",
                    types.len(),
                    items.len()
                ));
            }
            let items: Result<Vec<_>, _> = (items.iter().zip(&types).enumerate())
                .map(|(place, (item, ty))| value(item, ty).map_err(|e| e.within(at(place))))
                .collect();
            Value::make_tuple(ty, items?)
        }
        (Kind::Record, Json::Object(members)) => return record(members, ty),
        (Kind::Enum, Json::String(case)) => Value::make_enum(ty, case),
        (Kind::Flags, Json::Array(names)) => {
            let names: Option<Vec<&str>> = names.iter().map(Json::as_str).collect();
            match names {
                Some(names) => Value::make_flags(ty, names),
                None => return wrong(format!("expected names of flags, found {json}")),
            }
        }
        (Kind::Variant, json) => {
            let (case, payload) = case(json)?;
            let mut cases = ty.variant_cases();
            let Some((_, of)) = cases.find(|(name, _)| *name == case) else {
                return wrong(format!("there is no case `{case}`"));
            };
            let payload = self::payload(payload, of.as_ref()).map_err(|e| e.within(case))?;
            Value::make_variant(ty, case, payload)
        }
        (Kind::Result, json) => {
            let (case, payload) = case(json)?;
            let (ok, err) = ty.result_types().unwrap_or_default();
            let of = match case {
                "ok" => ok,
                "err" => err,
                _ => return wrong(format!("expected `ok` or `err`, found `{case}`")),
            };
            let payload = self::payload(payload, of.as_ref()).map_err(|e| e.within(case))?;
            Value::make_result(
                ty,
                if case == "ok" {
                    Ok(payload)
                } else {
                    Err(payload)
                },
            )
        }
        (Kind::Option, json) => {
            let Some(some) = ty.option_some_type() else {
                return wrong("its type is not known");
            };
            let inner = match json {
                Json::Null => None,
                json if some.kind() != Kind::Option => Some(value(json, &some)?),
                // An option within an option.
                json => match case(json)? {
                    ("none", None) => Some(value(&Json::Null, &some)?),
                    ("some", Some(json)) => Some(value(json, &some)?),
                    _ => {
                        return wrong(format!(
                            "expected {{\"some\": …}} or \"none\", found {json}"
                        ));
                    }
                },
            };
            Value::make_option(ty, inner)
        }
        (kind, json) => return wrong(format!("expected {}, found {json}", expected(kind))),
    };
    made.or_else(|error| wrong(error.to_string()))
}

fn element(item: &Json, of: Option<&Type>) -> Result<Value, JsonMisfit> {
    match of {
        Some(of) => value(item, of),
        None => wrong("its type is not known"),
    }
}

fn at(place: usize) -> String {
    format!("element {}", place + 1)
}

/// The case that a variant's JSON names, and what it holds.
fn case(json: &Json) -> Result<(&str, Option<&Json>), JsonMisfit> {
    match json {
        Json::String(case) => Ok((case, None)),
        Json::Object(members) if members.len() == 1 => {
            let member = members.iter().next();
            Ok(member.map_or(("", None), |(case, payload)| (case.as_str(), Some(payload))))
        }
        json => wrong(format!(
            "expected \"CASE\" or {{\"CASE\": …}}, found {json}"
        )),
    }
}

fn payload(given: Option<&Json>, of: Option<&Type>) -> Result<Option<Value>, JsonMisfit> {
    match (given, of) {
        (None | Some(Json::Null), None) => Ok(None),
        (Some(json), Some(of)) => value(json, of).map(Some),
        (Some(json), None) => wrong(format!("the case holds nothing, found {json}")),
        (None, Some(_)) => wrong("the case holds a value, and none is given"),
    }
}

fn record(members: &Map<String, Json>, ty: &Type) -> Result<Value, JsonMisfit> {
    let fields: Vec<(Cow<'_, str>, Type)> = ty.record_fields().collect();
    if let Some(unknown) = members
        .keys()
        .find(|m| !fields.iter().any(|(name, _)| name == *m))
    {
        return wrong(format!("there is no field `{unknown}`"));
    }
    let mut values = Vec::new();
    for (name, of) in &fields {
        let json = match members.get(&**name) {
            Some(json) => json,
            None if of.kind() == Kind::Option => &Json::Null,
            None => return wrong(format!("the field `{name}` is missing")),
        };
        values.push((
            &**name,
            value(json, of).map_err(|e| e.within(name.clone()))?,
        ));
    }
    Value::make_record(ty, values).or_else(|error| wrong(error.to_string()))
}

fn is_number(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::S8 | Kind::S16 | Kind::S32 | Kind::S64
    ) || matches!(kind, Kind::F32 | Kind::F64)
}

fn number(number: &Number, kind: Kind, json: &Json) -> Result<Value, JsonMisfit> {
    let whole = || number.as_i128().or_else(|| number.as_u64().map(i128::from));
    // Makes a whole number of the type, if it has such a one.
    macro_rules! whole {
        ($make:ident) => {
            whole().and_then(|n| n.try_into().ok()).map(Value::$make)
        };
    }
    let made = match kind {
        Kind::U8 => whole!(make_u8),
        Kind::U16 => whole!(make_u16),
        Kind::U32 => whole!(make_u32),
        Kind::U64 => whole!(make_u64),
        Kind::S8 => whole!(make_s8),
        Kind::S16 => whole!(make_s16),
        Kind::S32 => whole!(make_s32),
        Kind::S64 => whole!(make_s64),
        kind => number.as_f64().map(|number| float(number, kind)),
    };
    match made {
        Some(made) => Ok(made),
        None => wrong(format!("expected {}, found {json}", expected(kind))),
    }
}

fn float(number: f64, kind: Kind) -> Value {
    match kind {
        Kind::F32 => Value::make_f32(number as f32),
        _ => Value::make_f64(number),
    }
}

fn expected(kind: Kind) -> String {
    match kind {
        Kind::Bool => "true or false".into(),
        Kind::Char | Kind::String => format!("a {kind} in quotes"),
        Kind::List | Kind::FixedLengthList | Kind::Tuple => format!("a {kind}: […]"),
        Kind::Record => "a record: {…}".into(),
        Kind::Enum => "an enum's case in quotes".into(),
        Kind::Flags => "flags: [\"NAME\", …]".into(),
        kind => format!("a number of type {kind}"),
    }
}

/// A value as JSON.
pub(super) fn json(value: &Value) -> Json {
    match value.kind() {
        Kind::Bool => value.unwrap_bool().into(),
        Kind::U8 => value.unwrap_u8().into(),
        Kind::U16 => value.unwrap_u16().into(),
        Kind::U32 => value.unwrap_u32().into(),
        Kind::U64 => value.unwrap_u64().into(),
        Kind::S8 => value.unwrap_s8().into(),
        Kind::S16 => value.unwrap_s16().into(),
        Kind::S32 => value.unwrap_s32().into(),
        Kind::S64 => value.unwrap_s64().into(),
        Kind::F32 => {
            let number = value.unwrap_f32();
            // The digits that the number has, and not those of the nearest one of 64 bits.
            number.to_string().parse().map_or(Json::Null, float_json)
        }
        Kind::F64 => float_json(value.unwrap_f64()),
        Kind::Char => value.unwrap_char().to_string().into(),
        Kind::String => value.unwrap_string().into_owned().into(),
        Kind::List | Kind::FixedLengthList => value.unwrap_list().map(|v| json(&v)).collect(),
        Kind::Tuple => value.unwrap_tuple().map(|v| json(&v)).collect(),
        Kind::Record => {
            let fields = value.unwrap_record();
            fields
                .map(|(name, v)| (name.into_owned(), json(&v)))
                .collect()
        }
        Kind::Enum => value.unwrap_enum().into_owned().into(),
        Kind::Flags => value.unwrap_flags().map(Cow::into_owned).collect(),
        Kind::Variant => {
            let (case, payload) = value.unwrap_variant();
            with_payload(&case, payload.as_deref())
        }
        Kind::Result => match value.unwrap_result() {
            Ok(payload) => with_payload("ok", payload.as_deref()),
            Err(payload) => with_payload("err", payload.as_deref()),
        },
        Kind::Option => match value.unwrap_option() {
            None => Json::Null,
            Some(inner) if inner.kind() != Kind::Option => json(&inner),
            Some(inner) => match inner.unwrap_option() {
                None => "none".into(),
                Some(_) => with_payload("some", Some(&inner)),
            },
        },
        _ => Json::Null,
    }
}

fn with_payload(case: &str, payload: Option<&Value>) -> Json {
    match payload {
        None => case.into(),
        Some(payload) => Json::Object([(case.to_owned(), json(payload))].into_iter().collect()),
    }
}

fn float_json(number: f64) -> Json {
    match Number::from_f64(number) {
        Some(number) => Json::Number(number),
        None if number.is_nan() => "nan".into(),
        None if number > 0.0 => "inf".into(),
        None => "-inf".into(),
    }
}

#[cfg(test)]
mod tests {
    use withe_wit::World;

    use super::super::types;
    use super::*;

    const WIT: &str = "package t:t; world w {
        enum color { red, none }
        flags rights { read, write }
        record item { name: string, price: f64, note: option<string> }
        variant shape { circle(f32), point }
        import f: func(a: list<item>, b: tuple<u8, s64>, c: color, d: rights, e: shape, f: result<u32, string>,
            g: option<option<bool>>, h: char, i: u64);
    }";

    fn types() -> Vec<Type> {
        let world = World::from_wit(&[WIT], "w").unwrap();
        let function = &world
            .imports
            .iter()
            .find(|i| i.name == "f")
            .unwrap()
            .functions()[0];
        let params = function.params.iter();
        params.map(|(_, ty)| types::value(ty).unwrap()).collect()
    }

    #[test]
    fn values_go_both_ways() {
        let types = types();
        let table = [
            (0, r#"[{"name":"pen","note":null,"price":1.5}]"#),
            (1, "[255,-9223372036854775808]"),
            (2, r#""none""#),
            (3, r#"["write"]"#),
            (4, r#"{"circle":0.1}"#),
            (4, r#""point""#),
            (5, r#"{"ok":7}"#),
            (5, r#"{"err":"no"}"#),
            (6, "null"),
            (6, r#""none""#),
            (6, r#"{"some":true}"#),
            (7, r#""é""#),
            (8, "18446744073709551615"),
        ];
        for (at, text) in table {
            let given: Json = serde_json::from_str(text).unwrap();
            let made = value(&given, &types[at]).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(json(&made), given, "{text}");
        }
        // A field that is an option may be left out.
        let given = serde_json::json!([{"name": "pen", "price": 1}]);
        assert!(value(&given, &types[0]).is_ok());
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        let types = types();
        let table = [
            (
                0,
                r#"[{"name": 1, "price": 2}]"#,
                "element 1: name: expected a string in quotes, found 1",
            ),
            (
                0,
                r#"[{"name": "a"}]"#,
                "element 1: the field `price` is missing",
            ),
            (0, r#"[{"nam": "a"}]"#, "element 1: there is no field `nam`"),
            (
                1,
                "[256, 1]",
                "element 1: expected a number of type u8, found 256",
            ),
            (
                1,
                "[1.5, 1]",
                "element 1: expected a number of type u8, found 1.5",
            ),
            (1, "[1]", "expected 2 elements, found 1"),
            (
                4,
                r#""circle""#,
                "circle: the case holds a value, and none is given",
            ),
            (
                4,
                r#"{"point": 1}"#,
                "point: the case holds nothing, found 1",
            ),
            (5, "1", "expected \"CASE\" or {\"CASE\": …}, found 1"),
            (7, r#""ab""#, "expected one character, found \"ab\""),
        ];
        for (at, text, expected) in table {
            let given: Json = serde_json::from_str(text).unwrap();
            let error = value(&given, &types[at]).unwrap_err();
            assert_eq!(error.to_string(), expected, "{text}");
        }
    }
}

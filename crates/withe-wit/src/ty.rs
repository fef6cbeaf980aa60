//! The component model's types as plain data.
//!
//! `wit-parser` keeps types in an arena, so a type means something only beside its `Resolve`. A
//! linker compares types of *different* components all the time; here a type stands on its own.
//! Aliases are resolved away: two types are the same when they have the same structure, except
//! resources, which are known by name within the interface that defines them.

use std::fmt;
use std::sync::Arc;

use crate::name::InterfaceName;

/// A value type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// `bool`
    Bool,
    /// `u8`
    U8,
    /// `u16`
    U16,
    /// `u32`
    U32,
    /// `u64`
    U64,
    /// `s8`
    S8,
    /// `s16`
    S16,
    /// `s32`
    S32,
    /// `s64`
    S64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `char`
    Char,
    /// `string`
    String,
    /// `error-context`
    ErrorContext,
    /// `list<T>`
    List(Arc<Type>),
    /// `list<T, N>`
    FixedList(Arc<Type>, u32),
    /// `map<K, V>`
    Map(Arc<Type>, Arc<Type>),
    /// `option<T>`
    Option(Arc<Type>),
    /// `result<T, E>`, either side of which may carry nothing.
    Result(Option<Arc<Type>>, Option<Arc<Type>>),
    /// `tuple<…>`
    Tuple(Arc<[Type]>),
    /// A record: named fields in order.
    Record(Named<Arc<[(String, Type)]>>),
    /// A variant: named cases in order, each with or without a payload.
    Variant(Named<Arc<[Case]>>),
    /// An enum: named cases in order.
    Enum(Named<Arc<[String]>>),
    /// Flags: named bits in order.
    Flags(Named<Arc<[String]>>),
    /// `own<R>`
    Own(ResourceRef),
    /// `borrow<R>`
    Borrow(ResourceRef),
    /// `stream<T>` or `stream`
    Stream(Option<Arc<Type>>),
    /// `future<T>` or `future`
    Future(Option<Arc<Type>>),
}

/// A variant's case: its name, and its payload if it has one.
pub type Case = (String, Option<Type>);

/// A structural type with the name it was declared under. The name is for messages: it takes no
/// part in equality, as it takes none in the component model's subtyping.
#[derive(Clone, Debug)]
pub struct Named<T> {
    /// The declared name, where there is one.
    pub name: Option<String>,
    /// The structure.
    pub body: T,
}

impl<T: PartialEq> PartialEq for Named<T> {
    fn eq(&self, other: &Self) -> bool {
        self.body == other.body
    }
}

impl<T: Eq> Eq for Named<T> {}

impl<T: std::hash::Hash> std::hash::Hash for Named<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.body.hash(state);
    }
}

/// Which resource type a handle refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ResourceRef {
    /// The interface that defines the resource; `None` when the world itself does.
    pub interface: Option<InterfaceName>,
    /// The resource's name there.
    pub name: String,
}

/// The sort of the function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FuncKind {
    /// A plain function.
    Free,
    /// `[method]r.f`
    Method(String),
    /// `[static]r.f`
    Static(String),
    /// `[constructor]r`
    Constructor(String),
}

/// A function's name and type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// The full name as the binary has it: `get`, `[method]bucket.get`, `[constructor]r`.
    pub name: String,
    /// Free function, or what it is to which resource.
    pub kind: FuncKind,
    /// Whether it is declared `async`.
    pub is_async: bool,
    /// Parameters in order, a method's `self` first.
    pub params: Vec<(String, Type)>,
    /// The result, if any.
    pub result: Option<Type>,
}

impl Function {
    /// Every type that stands in the signature.
    pub fn types(&self) -> impl Iterator<Item = &Type> {
        self.params.iter().map(|(_, ty)| ty).chain(&self.result)
    }

    /// Whether its result has the `error` of wRPC's `wrpc:rpc/error` as its error: such a function
    /// returns a failure of the call itself, where others trap. The error itself is never sent.
    pub fn has_rpc_error(&self) -> bool {
        let Some(Type::Result(_, Some(error))) = &self.result else {
            return false;
        };
        let Type::Own(ResourceRef {
            interface: Some(interface),
            name,
        }) = &**error
        else {
            return false;
        };
        let path = [
            &interface.namespace,
            &interface.package,
            &interface.interface,
        ];
        path == ["wrpc", "rpc", "error"] && name == "error"
    }

    /// The types of what is sent when it is called: those of the parameters, and of what it returns.
    pub fn sent(&self) -> impl Iterator<Item = &Type> {
        let result = match &self.result {
            Some(Type::Result(ok, _)) if self.has_rpc_error() => ok.as_deref(),
            result => result.as_ref(),
        };
        self.params.iter().map(|(_, ty)| ty).chain(result)
    }
}

impl Type {
    /// Calls `f` on this type and on every type inside it, outermost first.
    pub fn walk<'a>(&'a self, f: &mut dyn FnMut(&'a Type)) {
        f(self);
        match self {
            Type::List(t) | Type::FixedList(t, _) | Type::Option(t) => t.walk(f),
            Type::Map(k, v) => {
                k.walk(f);
                v.walk(f);
            }
            Type::Result(ok, err) => [ok, err].into_iter().flatten().for_each(|t| t.walk(f)),
            Type::Tuple(types) => types.iter().for_each(|t| t.walk(f)),
            Type::Record(r) => r.body.iter().for_each(|(_, t)| t.walk(f)),
            Type::Variant(v) => v
                .body
                .iter()
                .filter_map(|(_, t)| t.as_ref())
                .for_each(|t| t.walk(f)),
            Type::Stream(Some(t)) | Type::Future(Some(t)) => t.walk(f),
            Type::Bool
            | Type::U8
            | Type::U16
            | Type::U32
            | Type::U64
            | Type::S8
            | Type::S16
            | Type::S32
            | Type::S64
            | Type::F32
            | Type::F64
            | Type::Char
            | Type::String
            | Type::ErrorContext
            | Type::Enum(_)
            | Type::Flags(_)
            | Type::Own(_)
            | Type::Borrow(_)
            | Type::Stream(None)
            | Type::Future(None) => {}
        }
    }

    /// Whether values of this type, or parts of them, arrive over time or outside the value:
    /// streams, futures and error contexts.
    pub fn is_asynchronous(&self) -> bool {
        self.any(|t| matches!(t, Type::Stream(_) | Type::Future(_) | Type::ErrorContext))
    }

    /// The type's declaration on one line, if it is of a kind that WIT declares:
    /// `record item { name: string, price: f64 }`.
    pub fn declaration(&self) -> Option<String> {
        fn declare<T>(kind: &str, n: &Named<T>, parts: Vec<String>) -> Option<String> {
            Some(format!(
                "{kind} {} {{ {} }}",
                n.name.as_deref().unwrap_or("_"),
                parts.join(", ")
            ))
        }
        match self {
            Type::Record(r) => {
                let fields = r.body.iter().map(|(name, ty)| format!("{name}: {ty}"));
                declare("record", r, fields.collect())
            }
            Type::Variant(v) => {
                let case = |(name, ty): &Case| match ty {
                    Some(ty) => format!("{name}({ty})"),
                    None => name.clone(),
                };
                declare("variant", v, v.body.iter().map(case).collect())
            }
            Type::Enum(e) => declare("enum", e, e.body.to_vec()),
            Type::Flags(n) => declare("flags", n, n.body.to_vec()),
            _ => None,
        }
    }

    /// Whether `pred` holds for this type or any type inside it.
    pub fn any(&self, pred: impl Fn(&Type) -> bool) -> bool {
        let mut found = false;
        self.walk(&mut |t| found |= pred(t));
        found
    }
}

/// Types print as WIT prints them; a declared type prints as its name.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn opt(t: &Option<Arc<Type>>) -> String {
            t.as_ref().map_or_else(|| "_".into(), |t| t.to_string())
        }
        fn named<T>(f: &mut fmt::Formatter<'_>, kind: &str, n: &Named<T>) -> fmt::Result {
            f.write_str(n.name.as_deref().unwrap_or(kind))
        }
        match self {
            Type::Bool => f.write_str("bool"),
            Type::U8 => f.write_str("u8"),
            Type::U16 => f.write_str("u16"),
            Type::U32 => f.write_str("u32"),
            Type::U64 => f.write_str("u64"),
            Type::S8 => f.write_str("s8"),
            Type::S16 => f.write_str("s16"),
            Type::S32 => f.write_str("s32"),
            Type::S64 => f.write_str("s64"),
            Type::F32 => f.write_str("f32"),
            Type::F64 => f.write_str("f64"),
            Type::Char => f.write_str("char"),
            Type::String => f.write_str("string"),
            Type::ErrorContext => f.write_str("error-context"),
            Type::List(t) => write!(f, "list<{t}>"),
            Type::FixedList(t, n) => write!(f, "list<{t}, {n}>"),
            Type::Map(k, v) => write!(f, "map<{k}, {v}>"),
            Type::Option(t) => write!(f, "option<{t}>"),
            Type::Result(None, None) => f.write_str("result"),
            Type::Result(Some(ok), None) => write!(f, "result<{ok}>"),
            Type::Result(ok, err) => write!(f, "result<{}, {}>", opt(ok), opt(err)),
            Type::Tuple(types) => {
                let types: Vec<_> = types.iter().map(Type::to_string).collect();
                write!(f, "tuple<{}>", types.join(", "))
            }
            Type::Record(r) => named(f, "record", r),
            Type::Variant(v) => named(f, "variant", v),
            Type::Enum(e) => named(f, "enum", e),
            Type::Flags(n) => named(f, "flags", n),
            Type::Own(r) => f.write_str(&r.name),
            Type::Borrow(r) => write!(f, "borrow<{}>", r.name),
            Type::Stream(None) => f.write_str("stream"),
            Type::Stream(Some(t)) => write!(f, "stream<{t}>"),
            Type::Future(None) => f.write_str("future"),
            Type::Future(Some(t)) => write!(f, "future<{t}>"),
        }
    }
}

/// Functions print as WIT declares them: `increment: func(key: string, by: u64) -> u64`.
impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}func(",
            self.name,
            if self.is_async { "async " } else { "" }
        )?;
        for (i, (name, ty)) in self.params.iter().enumerate() {
            write!(f, "{}{name}: {ty}", if i == 0 { "" } else { ", " })?;
        }
        f.write_str(")")?;
        match &self.result {
            Some(ty) => write!(f, " -> {ty}"),
            None => Ok(()),
        }
    }
}

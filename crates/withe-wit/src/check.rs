//! Whether an export can satisfy an import, and where they differ.
//!
//! The rule is the component model's as its implementations have it today: an exported interface may
//! have more functions and types than the import asks for, and must have those it asks for with
//! *equal* types; names of parameters, fields and cases count, names of types only within the
//! interface that declares them. Wasmtime and `wac` decide the same way, so that what is accepted
//! here is not refused by them later. One thing is stricter than `wac`: a resource is told by the
//! interface it comes from, not by its name alone.
//!
//! Unlike them, this does not stop at the first difference: a person wants all of them. Most comparisons find
//! none, so whether two things agree is found out first, and only where they do not is it told in words.

use std::collections::HashSet;
use std::fmt;

use crate::name::InterfaceName;
use crate::ty::{Case, FuncKind, Function, ResourceRef, Type};
use crate::world::Interface;

/// One difference between an import and the export that should satisfy it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mismatch {
    /// Where: `item.price`, or `func increment, parameter by`.
    pub path: String,
    /// The type that the importer expects there.
    pub expected: String,
    /// The type that the exporter has there.
    pub found: String,
    /// Whether the export lacks a function, resource or type altogether.
    pub missing: bool,
    /// The function or type that it is in, as the importer declares it.
    pub imported: String,
    /// The same as the exporter declares it, if it does.
    pub exported: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: expected {}, found {}",
            self.path, self.expected, self.found
        )
    }
}

/// All differences that keep the interface `export` from satisfying `import`, types before
/// functions and otherwise in the importer's order. Whether their names match is not looked at.
pub fn interface(import: &Interface, export: &Interface) -> Vec<Mismatch> {
    let check = Check::new(import.name.as_ref(), export.name.as_ref());
    check.interface(import, export)
}

/// The same, where a link has paired interfaces of different names: a resource of one is that of the other.
pub fn paired_interface(
    import: &Interface,
    export: &Interface,
    pairs: &[(InterfaceName, InterfaceName)],
) -> Vec<Mismatch> {
    let mut check = Check::new(import.name.as_ref(), export.name.as_ref());
    check.pairs = pairs;
    check.interface(import, export)
}

/// The same for what the host implements. Its functions take parameters by position, so their names do not
/// count; and its resources are told by their interfaces whatever the versions of these are, so that a draft may
/// have the shape of the release.
pub fn host_interface(import: &Interface, export: &Interface) -> Vec<Mismatch> {
    let mut check = Check::new(import.name.as_ref(), export.name.as_ref());
    check.by_host = true;
    check.interface(import, export)
}

/// All differences that keep the world-level function `export` from satisfying `import`, where a link has paired these
/// interfaces.
pub fn function(
    import: &Function,
    export: &Function,
    pairs: &[(InterfaceName, InterfaceName)],
) -> Vec<Mismatch> {
    let mut check = Check::new(None, None);
    check.pairs = pairs;
    check.function(import, export);
    check.found
}

struct Check<'a> {
    /// The interfaces compared: their own resources match by name.
    import: Option<&'a InterfaceName>,
    export: Option<&'a InterfaceName>,
    /// Other interfaces that stand for each other, though their names differ.
    pairs: &'a [(InterfaceName, InterfaceName)],
    /// Whether the host implements the export.
    by_host: bool,
    /// The declarations that are being compared.
    imported: String,
    exported: String,
    found: Vec<Mismatch>,
    /// Differences known already: one in a type is found again in each function that uses it.
    seen: HashSet<(String, String, String)>,
}

impl<'a> Check<'a> {
    fn new(import: Option<&'a InterfaceName>, export: Option<&'a InterfaceName>) -> Self {
        Self {
            import,
            export,
            pairs: &[],
            by_host: false,
            imported: String::new(),
            exported: String::new(),
            found: Vec::new(),
            seen: HashSet::new(),
        }
    }

    fn interface(mut self, import: &Interface, export: &Interface) -> Vec<Mismatch> {
        for name in &import.resources {
            // An exporter may take the resource from somewhere else; then it names it all the same.
            if !export.resources.contains(name) && !export.types.iter().any(|(n, _)| n == name) {
                self.missing(
                    format!("resource {name}"),
                    "a resource of this name".into(),
                    format!("resource {name}"),
                );
            }
        }
        for (name, ty) in &import.types {
            match export.types.iter().find(|(n, _)| n == name) {
                Some((_, found)) => self.declared(name, ty, found),
                // The export may define a resource that the importer knows from elsewhere.
                None if matches!(ty, Type::Own(_)) && export.resources.contains(name) => {}
                None => self.missing(
                    format!("type {name}"),
                    "a type of this name".into(),
                    declaration(name, ty),
                ),
            }
        }
        for wanted in &import.functions {
            match export.functions.iter().find(|f| f.name == wanted.name) {
                Some(found) => self.function(wanted, found),
                None => self.missing(function_path(wanted), signature(wanted), wanted.to_string()),
            }
        }
        self.found
    }

    fn missing(&mut self, path: String, expected: String, imported: String) {
        let found = "nothing".into();
        self.found.push(Mismatch {
            path,
            expected,
            found,
            missing: true,
            imported,
            exported: None,
        });
    }

    fn differ(&mut self, path: &str, expected: impl Into<String>, found: impl Into<String>) {
        let (path, expected, found) = (path.to_owned(), expected.into(), found.into());
        if self
            .seen
            .insert((path.clone(), expected.clone(), found.clone()))
        {
            self.found.push(Mismatch {
                path,
                expected,
                found,
                missing: false,
                imported: self.imported.clone(),
                exported: Some(self.exported.clone()),
            });
        }
    }

    /// Runs `compare` with these declarations as the ones that differences are reported in.
    fn within(&mut self, imported: String, exported: String, compare: impl FnOnce(&mut Self)) {
        let outer = (
            std::mem::replace(&mut self.imported, imported),
            std::mem::replace(&mut self.exported, exported),
        );
        compare(self);
        (self.imported, self.exported) = outer;
    }

    /// Compares what both sides declare as the type `name`.
    fn declared(&mut self, name: &str, a: &Type, b: &Type) {
        if !self.agree(a, b) {
            self.within(declaration(name, a), declaration(name, b), |check| {
                check.ty(name, a, b);
            });
        }
    }

    fn function(&mut self, a: &Function, b: &Function) {
        let same_params = a.params.len() == b.params.len()
            && (a.params.iter().zip(&b.params))
                .all(|((m, a), (n, b))| (m == n || self.by_host) && self.agree(a, b));
        if a.is_async == b.is_async
            && same_params
            && self.agree_optional(a.result.as_ref(), b.result.as_ref())
        {
            return;
        }
        let path = function_path(a);
        self.within(a.to_string(), b.to_string(), |check| {
            if a.is_async != b.is_async {
                let word = |f: &Function| {
                    if f.is_async {
                        "an async function"
                    } else {
                        "a function that is not async"
                    }
                };
                check.differ(&path, word(a), word(b));
            }
            if a.params.len() != b.params.len() {
                check.differ(
                    &path,
                    count(a.params.len(), "parameter"),
                    count(b.params.len(), "parameter"),
                );
            } else {
                for (i, ((name, a), (found, b))) in a.params.iter().zip(&b.params).enumerate() {
                    if name != found && !check.by_host {
                        let path = format!("{path}, parameter {}", i + 1);
                        check.differ(
                            &path,
                            format!("the name {name}"),
                            format!("the name {found}"),
                        );
                    }
                    check.ty(&format!("{path}, parameter {name}"), a, b);
                }
            }
            check.optional(
                &format!("{path}, result"),
                a.result.as_ref(),
                b.result.as_ref(),
            );
        });
    }

    fn optional(&mut self, path: &str, a: Option<&Type>, b: Option<&Type>) {
        match (a, b) {
            (Some(a), Some(b)) => self.ty(path, a, b),
            (None, None) => {}
            (Some(a), None) => self.differ(path, a.to_string(), "nothing"),
            (None, Some(b)) => self.differ(path, "nothing", b.to_string()),
        }
    }

    /// Whether the types are equal, resources by the rule of [`Self::same_resource`].
    fn agree(&self, a: &Type, b: &Type) -> bool {
        match (a, b) {
            (Type::Record(x), Type::Record(y)) => {
                x.body.len() == y.body.len()
                    && (x.body.iter().zip(y.body.iter()))
                        .all(|((m, a), (n, b))| m == n && self.agree(a, b))
            }
            (Type::Variant(x), Type::Variant(y)) => {
                x.body.len() == y.body.len()
                    && (x.body.iter().zip(y.body.iter())).all(|((m, a), (n, b))| {
                        m == n && self.agree_optional(a.as_ref(), b.as_ref())
                    })
            }
            (Type::List(a), Type::List(b)) | (Type::Option(a), Type::Option(b)) => self.agree(a, b),
            (Type::FixedList(a, m), Type::FixedList(b, n)) => m == n && self.agree(a, b),
            (Type::Map(k, v), Type::Map(l, w)) => self.agree(k, l) && self.agree(v, w),
            (Type::Result(ok, err), Type::Result(ok2, err2)) => {
                self.agree_optional(ok.as_deref(), ok2.as_deref())
                    && self.agree_optional(err.as_deref(), err2.as_deref())
            }
            (Type::Tuple(x), Type::Tuple(y)) => {
                x.len() == y.len() && x.iter().zip(y.iter()).all(|(a, b)| self.agree(a, b))
            }
            (Type::Stream(x), Type::Stream(y)) | (Type::Future(x), Type::Future(y)) => {
                self.agree_optional(x.as_deref(), y.as_deref())
            }
            (Type::Own(x), Type::Own(y)) | (Type::Borrow(x), Type::Borrow(y)) => {
                self.same_resource(x, y)
            }
            _ => a == b,
        }
    }

    fn agree_optional(&self, a: Option<&Type>, b: Option<&Type>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => self.agree(a, b),
            (None, None) => true,
            _ => false,
        }
    }

    fn ty(&mut self, path: &str, a: &Type, b: &Type) {
        match (a, b) {
            (Type::Record(x), Type::Record(y)) => {
                self.in_declaration(path, a, b, |check, path| {
                    check.fields(path, &x.body, &y.body)
                });
            }
            (Type::Variant(x), Type::Variant(y)) => {
                self.in_declaration(path, a, b, |check, path| {
                    check.cases(path, &x.body, &y.body)
                });
            }
            (Type::Enum(x), Type::Enum(y)) | (Type::Flags(x), Type::Flags(y)) => {
                let what = if matches!(a, Type::Enum(_)) {
                    "case"
                } else {
                    "flag"
                };
                self.in_declaration(path, a, b, |check, path| {
                    check.names(path, what, &x.body, &y.body)
                });
            }
            (Type::List(a), Type::List(b)) => self.ty(&format!("{path}[]"), a, b),
            (Type::FixedList(x, m), Type::FixedList(y, n)) => {
                if m != n {
                    self.differ(path, a.to_string(), b.to_string());
                }
                self.ty(&format!("{path}[]"), x, y);
            }
            (Type::Map(k, v), Type::Map(l, w)) => {
                self.ty(&format!("{path}, key"), k, l);
                self.ty(&format!("{path}, value"), v, w);
            }
            (Type::Option(a), Type::Option(b)) => self.ty(&format!("{path}?"), a, b),
            (Type::Result(ok, err), Type::Result(ok2, err2)) => {
                self.optional(&format!("{path}.ok"), ok.as_deref(), ok2.as_deref());
                self.optional(&format!("{path}.err"), err.as_deref(), err2.as_deref());
            }
            (Type::Tuple(x), Type::Tuple(y)) if x.len() == y.len() => {
                for (i, (a, b)) in x.iter().zip(y.iter()).enumerate() {
                    self.ty(&format!("{path}.{i}"), a, b);
                }
            }
            (Type::Stream(x), Type::Stream(y)) | (Type::Future(x), Type::Future(y)) => {
                self.optional(&format!("{path}, payload"), x.as_deref(), y.as_deref());
            }
            (Type::Own(x), Type::Own(y)) | (Type::Borrow(x), Type::Borrow(y)) => {
                if !self.same_resource(x, y) {
                    self.differ(path, full(x), full(y));
                }
            }
            _ if a == b => {}
            _ => self.differ(path, describe(a), describe(b)),
        }
    }

    /// Compares two declared types: paths below start at the type's name, where it has one, because
    /// that is where a person has to look, whatever function it was met in.
    fn in_declaration(
        &mut self,
        path: &str,
        a: &Type,
        b: &Type,
        compare: impl FnOnce(&mut Self, &str),
    ) {
        let name = |t: &Type| match t {
            Type::Record(n) => n.name.clone(),
            Type::Variant(n) => n.name.clone(),
            Type::Enum(n) | Type::Flags(n) => n.name.clone(),
            _ => None,
        };
        match (name(a), a.declaration(), b.declaration()) {
            (Some(name), Some(imported), Some(exported)) => {
                self.within(imported, exported, |check| compare(check, &name));
            }
            _ => compare(self, path),
        }
    }

    fn fields(&mut self, path: &str, a: &[(String, Type)], b: &[(String, Type)]) {
        for (name, ty) in a {
            match b.iter().find(|(n, _)| n == name) {
                Some((_, found)) => self.ty(&format!("{path}.{name}"), ty, found),
                None => self.differ(&format!("{path}.{name}"), ty.to_string(), "no such field"),
            }
        }
        for (name, ty) in b.iter().filter(|(n, _)| !a.iter().any(|(m, _)| m == n)) {
            self.differ(&format!("{path}.{name}"), "no such field", ty.to_string());
        }
        self.order(
            path,
            "fields",
            a.iter().map(|(n, _)| n),
            b.iter().map(|(n, _)| n),
        );
    }

    fn cases(&mut self, path: &str, a: &[Case], b: &[Case]) {
        let payload = |ty: &Option<Type>| match ty {
            Some(ty) => format!("a case with {ty}"),
            None => "a case without payload".into(),
        };
        for (name, ty) in a {
            let path = format!("{path}.{name}");
            match b.iter().find(|(n, _)| n == name) {
                Some((_, found)) => match (ty, found) {
                    (Some(a), Some(b)) => self.ty(&path, a, b),
                    (None, None) => {}
                    _ => self.differ(&path, payload(ty), payload(found)),
                },
                None => self.differ(&path, payload(ty), "no such case"),
            }
        }
        for (name, ty) in b.iter().filter(|(n, _)| !a.iter().any(|(m, _)| m == n)) {
            self.differ(&format!("{path}.{name}"), "no such case", payload(ty));
        }
        self.order(
            path,
            "cases",
            a.iter().map(|(n, _)| n),
            b.iter().map(|(n, _)| n),
        );
    }

    fn names(&mut self, path: &str, what: &str, a: &[String], b: &[String]) {
        for name in a.iter().filter(|n| !b.contains(n)) {
            self.differ(
                &format!("{path}.{name}"),
                format!("a {what}"),
                format!("no such {what}"),
            );
        }
        for name in b.iter().filter(|n| !a.contains(n)) {
            self.differ(
                &format!("{path}.{name}"),
                format!("no such {what}"),
                format!("a {what}"),
            );
        }
        self.order(path, &format!("{what}s"), a.iter(), b.iter());
    }

    /// Fields and cases are known by position: the same ones in another order do not match.
    fn order<'s>(
        &mut self,
        path: &str,
        what: &str,
        a: impl Iterator<Item = &'s String>,
        b: impl Iterator<Item = &'s String>,
    ) {
        let (a, b): (Vec<_>, Vec<_>) = (a.collect(), b.collect());
        let list = |names: &[&String]| {
            names
                .iter()
                .map(|n| n.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let same_names = a.len() == b.len() && a.iter().all(|n| b.contains(n));
        if same_names && a != b {
            self.differ(
                path,
                format!("{what} in the order {}", list(&a)),
                format!("the order {}", list(&b)),
            );
        }
    }

    fn same_resource(&self, a: &ResourceRef, b: &ResourceRef) -> bool {
        if a.name != b.name {
            return false;
        }
        match (&a.interface, &b.interface) {
            (a, b) if a.as_ref() == self.import && b.as_ref() == self.export => true,
            (Some(a), Some(b)) if self.pairs.iter().any(|(x, y)| (a, b) == (x, y)) => true,
            (Some(a), Some(b)) if self.by_host => a.same_interface(b),
            (Some(a), Some(b)) => a.is_satisfied_by(b),
            (None, None) => true,
            _ => false,
        }
    }
}

/// A type as `name` declares it.
fn declaration(name: &str, ty: &Type) -> String {
    ty.declaration()
        .unwrap_or_else(|| format!("type {name} = {ty}"))
}

/// A function as the path of a mismatch names it.
fn function_path(f: &Function) -> String {
    let plain = f
        .name
        .split_once(']')
        .map_or(f.name.as_str(), |(_, name)| name);
    let kind = match f.kind {
        FuncKind::Free => "func",
        FuncKind::Method(_) => "method",
        FuncKind::Static(_) => "static func",
        FuncKind::Constructor(_) => "constructor",
    };
    format!("{kind} {plain}")
}

/// A function's type without its name: `func(key: string) -> u64`.
fn signature(f: &Function) -> String {
    let text = f.to_string();
    text.split_once(": ")
        .map_or(text.clone(), |(_, signature)| signature.to_owned())
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A type for a message: a declared one with its kind, since two types of one name may differ in it.
fn describe(ty: &Type) -> String {
    let kind = match ty {
        Type::Record(_) => "record",
        Type::Variant(_) => "variant",
        Type::Enum(_) => "enum",
        Type::Flags(_) => "flags",
        Type::Own(_) => "resource",
        _ => return ty.to_string(),
    };
    let name = ty.to_string();
    if name == kind {
        name
    } else {
        format!("{kind} {name}")
    }
}

fn full(r: &ResourceRef) -> String {
    match &r.interface {
        Some(interface) => format!("resource {} of {interface}", r.name),
        None => format!("resource {} of the world itself", r.name),
    }
}

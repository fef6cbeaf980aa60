//! Which of a component's functions a person means.
//!
//! A function has a long name (`shop:api/cart@1.0.0#total`), of which mostly the end says enough. The written name
//! is compared with all that the component exports, as it was read; the whole name goes before the one without a
//! version, and that before an end of it. Of several that are meant alike none is called.

use std::borrow::Cow;
use std::fmt;

use withe_host::wave::is_input_stream;
use withe_wit::{ExternItem, FuncKind, Function, InterfaceName, ResourceRef, Type, World};

use super::expression::CallExpression;

/// How many functions a message lists.
const LISTED: usize = 12;

/// A function that a component exports.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundFunction<'a> {
    /// The export that has it; `None` for a function of the world.
    pub(super) interface: Option<&'a str>,
    pub(super) function: &'a Function,
}

impl fmt::Display for FoundFunction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(interface) = self.interface {
            write!(f, "{interface}#")?;
        }
        f.write_str(&plain(self.function))
    }
}

/// A function's name as people write it: `cart.new` for a resource's constructor, `cart.total` for what else it has.
pub(super) fn plain(function: &Function) -> Cow<'_, str> {
    let name = &function.name;
    match &function.kind {
        FuncKind::Constructor(resource) => format!("{resource}.new").into(),
        // The constructor has that name.
        FuncKind::Static(_) if name.ends_with(".new") => name.into(),
        _ => name
            .split_once(']')
            .map_or(name.as_str(), |(_, plain)| plain)
            .into(),
    }
}

/// The last part of a function's name, by which it is called on its resource.
fn last(function: &Function) -> &str {
    let name = function.name.rsplit(['.', ']']).next();
    name.unwrap_or(&function.name)
}

/// Whether a written name is a function's.
fn is_named(function: &Function, written: &str) -> bool {
    let is_constructor =
        matches!(&function.kind, FuncKind::Constructor(resource) if resource == written);
    is_constructor || function.name == written || plain(function) == written
}

/// The resource that a function takes first.
pub(super) fn taken(function: &Function) -> Option<&ResourceRef> {
    match function.params.first() {
        Some((_, Type::Own(resource) | Type::Borrow(resource))) => goes_on(resource),
        _ => None,
    }
}

/// The resource that a function returns, perhaps in the place of an error, or of nothing.
pub(super) fn returned(function: &Function) -> Option<&ResourceRef> {
    let ty = match function.result.as_ref()? {
        Type::Option(ty) | Type::Result(Some(ty), _) => ty,
        ty => ty,
    };
    match ty {
        Type::Own(resource) => goes_on(resource),
        _ => None,
    }
}

/// A resource, if functions are called on it: the streams of WASI 0.2 are passed and printed like others.
fn goes_on(resource: &ResourceRef) -> Option<&ResourceRef> {
    (!is_input_stream(resource)).then_some(resource)
}

/// Why no function is called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FindError {
    #[error("`{component}` exports no function `{written}`{}; it exports: {exported}", near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    None {
        component: String,
        written: String,
        /// The one that may have been meant.
        near: Option<String>,
        exported: String,
    },
    #[error("`{written}` may be any of {candidates}: write one of these")]
    Several { written: String, candidates: String },
    /// A function of a resource, of which there is none yet.
    #[error(
        "`{written}` is called on a resource `{resource}`: begin with what returns one, as in `{begin} | {last}(…)`"
    )]
    Begins {
        written: String,
        resource: String,
        begin: String,
        last: String,
    },
    /// The functions before returned no resource.
    #[error(
        "there is no resource for `{written}` to be called on: none of the calls before it returns one, or it was taken"
    )]
    NoResource { written: String },
    #[error("`{resource}` has no function `{written}`{}; it has: {has}", near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    NoneOfResource {
        resource: String,
        written: String,
        near: Option<String>,
        has: String,
    },
    /// The last function returns a resource, which nobody outside can have.
    #[error(
        "`{written}` returns a resource `{resource}`, which ends with the call: go on with what is called on it, as in `{written}(…) | {has}(…)`"
    )]
    ReturnsResource {
        written: String,
        resource: String,
        has: String,
    },
}

/// The function of `component` that `call` means, which is called by itself.
///
/// # Errors
///
/// If it is none, or several, or one that takes a resource first.
pub(super) fn find<'a>(
    component: &str,
    world: &'a World,
    call: &CallExpression,
) -> Result<FoundFunction<'a>, FindError> {
    let found = find_all(component, world, call)?;
    match taken(found.function) {
        None => Ok(found),
        Some(resource) => {
            let all: Vec<_> = functions(world).collect();
            Err(begins(&all, &found, resource, call))
        }
    }
}

/// The function of `component` that `call` means, whatever it takes.
///
/// # Errors
///
/// If it is none, or several.
fn find_all<'a>(
    component: &str,
    world: &'a World,
    call: &CallExpression,
) -> Result<FoundFunction<'a>, FindError> {
    let all: Vec<_> = functions(world).collect();
    let named = all
        .iter()
        .filter(|found| is_named(found.function, &call.function));
    let ranked =
        named.filter_map(|found| Some((rank(call.interface.as_deref(), found.interface)?, found)));
    let ranked: Vec<_> = ranked.collect();
    let best = ranked.iter().map(|(rank, _)| *rank).min();
    let meant = ranked.iter().filter(|(rank, _)| Some(*rank) == best);
    let meant: Vec<FoundFunction<'_>> = meant.map(|(_, found)| **found).collect();
    match meant.as_slice() {
        [one] => Ok(*one),
        [] => {
            let mut of_resources = all
                .iter()
                .filter(|found| last(found.function) == call.function);
            let found = of_resources.find_map(|found| Some((found, taken(found.function)?)));
            Err(match found {
                Some((found, resource)) => begins(&all, found, resource, call),
                None => FindError::None {
                    component: component.into(),
                    written: written(call),
                    near: near(&all, call),
                    exported: list(&all),
                },
            })
        }
        several => Err(FindError::Several {
            written: written(call),
            candidates: list(several),
        }),
    }
}

/// The error for a function that is called on a resource, of which there is none yet.
fn begins(
    all: &[FoundFunction<'_>],
    found: &FoundFunction<'_>,
    resource: &ResourceRef,
    call: &CallExpression,
) -> FindError {
    let returning = all.iter().find(|found| {
        returned(found.function) == Some(resource) && taken(found.function).is_none()
    });
    FindError::Begins {
        written: written(call),
        resource: resource.name.clone(),
        begin: returning.map_or_else(
            || "…".into(),
            |found| format!("{}(…)", plain(found.function)),
        ),
        last: last(found.function).to_owned(),
    }
}

/// The function of `component` that `call` means, of those that take `count` arguments, a resource among them: by its name, or by the
/// end of it.
///
/// # Errors
///
/// If it is none, or several.
pub(super) fn find_given<'a>(
    component: &str,
    world: &'a World,
    call: &CallExpression,
    count: usize,
) -> Result<FoundFunction<'a>, FindError> {
    let interface = call.interface.as_deref();
    let meant = functions(world).filter(|found| {
        let name = &call.function;
        let is_meant = last(found.function) == name || is_named(found.function, name);
        let is_there = rank(interface, found.interface).is_some();
        is_meant && is_there && found.function.params.len() == count
    });
    let meant: Vec<FoundFunction<'_>> = meant.collect();
    match meant.as_slice() {
        [one] => Ok(*one),
        [] => find_all(component, world, call),
        several => Err(FindError::Several {
            written: written(call),
            candidates: list(several),
        }),
    }
}

/// The function that `call` means of those which take `resource` first.
///
/// # Errors
///
/// If it is none, or several.
pub(super) fn find_on<'a>(
    world: &'a World,
    resource: &ResourceRef,
    call: &CallExpression,
) -> Result<FoundFunction<'a>, FindError> {
    let all: Vec<_> = functions(world)
        .filter(|found| taken(found.function) == Some(resource))
        .collect();
    let meant = all.iter().filter(|found| {
        let name = &call.function;
        let is_named = last(found.function) == name || is_named(found.function, name);
        let interface = call.interface.as_deref();
        is_named && (interface.is_none() || rank(interface, found.interface).is_some())
    });
    let meant: Vec<FoundFunction<'_>> = meant.copied().collect();
    match meant.as_slice() {
        [one] => Ok(*one),
        [] => {
            let names: Vec<_> = all.iter().map(|found| last(found.function)).collect();
            Err(FindError::NoneOfResource {
                resource: resource.name.clone(),
                written: written(call),
                near: nearest(&names, &call.function).map(|at| names[at].to_owned()),
                has: match names.is_empty() {
                    true => "none".into(),
                    false => names.join(", "),
                },
            })
        }
        several => Err(FindError::Several {
            written: written(call),
            candidates: list(several),
        }),
    }
}

/// Sees to it that the last function of a row returns what can be printed.
///
/// # Errors
///
/// If it returns a resource.
pub(super) fn ends(
    world: &World,
    found: FoundFunction<'_>,
    call: &CallExpression,
) -> Result<(), FindError> {
    let Some(resource) = returned(found.function) else {
        return Ok(());
    };
    let on = functions(world).find(|found| taken(found.function) == Some(resource));
    Err(FindError::ReturnsResource {
        written: written(call),
        resource: resource.name.clone(),
        has: on.map_or_else(|| "…".into(), |found| last(found.function).to_owned()),
    })
}

fn functions(world: &World) -> impl Iterator<Item = FoundFunction<'_>> {
    world.exports.iter().flat_map(|export| {
        let interface = match &export.item {
            ExternItem::Function(_) => None,
            _ => Some(export.name.as_str()),
        };
        let functions = export.functions().iter();
        functions.map(move |function| FoundFunction {
            interface,
            function,
        })
    })
}

/// How well what is written names an interface, the least the best; `None` if it does not.
fn rank(written: Option<&str>, export: Option<&str>) -> Option<u8> {
    let (written, export) = match (written, export) {
        (None, None) => return Some(0),
        (None, Some(_)) => return Some(2),
        (Some(_), None) => return None,
        (Some(written), Some(export)) => (written, export),
    };
    if written == export {
        return Some(0);
    }
    let names = (
        written.parse::<InterfaceName>(),
        export.parse::<InterfaceName>(),
    );
    if let (Ok(written), Ok(export)) = names {
        let is_meant = written.version.is_none() && written.same_interface(&export);
        return is_meant.then_some(1);
    }
    let unversioned = export.split('@').next().unwrap_or(export);
    let ends = |export: &str| {
        let before = export.strip_suffix(written);
        before.is_some_and(|before| before.is_empty() || before.ends_with([':', '/']))
    };
    (ends(export) || ends(unversioned)).then_some(2)
}

fn written(call: &CallExpression) -> String {
    match &call.interface {
        Some(interface) => format!("{interface}#{}", call.function),
        None => call.function.clone(),
    }
}

fn near(all: &[FoundFunction<'_>], call: &CallExpression) -> Option<String> {
    // A right name in a wrong interface is nearer than a wrong name.
    let names: Vec<_> = all.iter().map(|found| plain(found.function)).collect();
    nearest(&names, &call.function).map(|at| all[at].to_string())
}

/// The index of the name that may have been meant by what is written.
fn nearest<T: AsRef<str>>(names: &[T], written: &str) -> Option<usize> {
    let distance = |name: &T| strsim::damerau_levenshtein(name.as_ref(), written);
    let (at, nearest) = (names.iter().enumerate()).min_by_key(|(_, name)| distance(name))?;
    let most = (written.chars().count() / 3).clamp(1, 3);
    (distance(nearest) <= most).then_some(at)
}

fn list(all: &[FoundFunction<'_>]) -> String {
    let mut names: Vec<_> = all.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    if let more @ 1.. = names.len().saturating_sub(LISTED) {
        names.truncate(LISTED);
        names.push(format!("and {more} more"));
    }
    match names.is_empty() {
        true => "none".into(),
        false => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIT: [&str; 2] = [
        "package shop:api@1.0.0; interface cart { total: func(); add: func(); } interface logic { total: func(); }",
        "package t:t; world w { export shop:api/cart@1.0.0; export shop:api/logic@1.0.0; export run: func(); }",
    ];

    fn found(call: &str) -> Result<String, String> {
        let world = World::from_wit(&WIT, "w").unwrap();
        let call: CallExpression = call.parse().unwrap();
        let found = find("shop", &world, &call);
        found.map(|f| f.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_end_of_a_name_is_enough() {
        for (call, name) in [
            ("run()", "run"),
            ("add()", "shop:api/cart@1.0.0#add"),
            ("cart#total()", "shop:api/cart@1.0.0#total"),
            ("cart@1.0.0#total()", "shop:api/cart@1.0.0#total"),
            ("api/logic#total()", "shop:api/logic@1.0.0#total"),
            ("shop:api/logic#total()", "shop:api/logic@1.0.0#total"),
        ] {
            assert_eq!(found(call).as_deref(), Ok(name), "{call}");
        }
    }

    #[test]
    fn what_is_several_or_none_says_what_there_is() {
        for (call, said) in [
            (
                "total()",
                "`total` may be any of shop:api/cart@1.0.0#total, shop:api/logic@1.0.0#total: write one",
            ),
            (
                "ad()",
                "`shop` exports no function `ad`; did you mean `shop:api/cart@1.0.0#add`?; it exports: run, ",
            ),
            (
                "art#add()",
                "no function `art#add`; did you mean `shop:api/cart@1.0.0#add`?",
            ),
            (
                "shop:api/cart@2.0.0#add()",
                "no function `shop:api/cart@2.0.0#add`; did you mean",
            ),
            ("else()", "no function `else`; it exports: run, "),
        ] {
            let error = found(call).unwrap_err();
            assert!(error.contains(said), "{call}: {error}");
        }
    }

    const RESOURCES: &str = "package t:t;
        interface shop {
          resource cart { constructor(who: string); add: func(item: string) -> u32; merge: static func(a: cart, b: cart) -> cart; }
          total: func(cart: borrow<cart>) -> u32;
          find: func(who: string) -> option<cart>;
        }
        world w { export shop; }";

    fn named(call: &str) -> Result<String, String> {
        let world = World::from_wit(&[RESOURCES], "w").unwrap();
        let found = find("shop", &world, &call.parse().unwrap());
        found.map(|f| f.to_string()).map_err(|e| e.to_string())
    }

    fn on(call: &str) -> Result<String, String> {
        let world = World::from_wit(&[RESOURCES], "w").unwrap();
        let cart = find("shop", &world, &"cart.new()".parse().unwrap()).unwrap();
        let cart = returned(cart.function).unwrap();
        let found = find_on(&world, cart, &call.parse().unwrap());
        found.map(|f| f.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_row_begins_with_what_returns_a_resource_and_goes_on_with_what_takes_it() {
        for call in [
            "cart()",
            "cart.new()",
            "shop#cart.new()",
            "[constructor]cart()",
        ] {
            assert_eq!(named(call).as_deref(), Ok("t:t/shop#cart.new"), "{call}");
        }
        assert_eq!(named("find()").as_deref(), Ok("t:t/shop#find"));
        for (call, name) in [
            ("add()", "t:t/shop#cart.add"),
            ("cart.add()", "t:t/shop#cart.add"),
            ("total()", "t:t/shop#total"),
            ("shop#total()", "t:t/shop#total"),
            ("merge()", "t:t/shop#cart.merge"),
        ] {
            assert_eq!(on(call).as_deref(), Ok(name), "{call}");
        }
        let begins = named("cart.add()").unwrap_err();
        assert!(begins.contains("as in `cart.new(…) | add(…)`"), "{begins}");
        let near = on("ad()").unwrap_err();
        assert!(
            near.contains("`cart` has no function `ad`; did you mean `add`?; it has: "),
            "{near}"
        );
        let world = World::from_wit(&[RESOURCES], "w").unwrap();
        let call = "find()".parse().unwrap();
        let found = find("shop", &world, &call).unwrap();
        let returns = ends(&world, found, &call).unwrap_err().to_string();
        assert!(returns.contains("returns a resource `cart`"), "{returns}");
    }
}

//! Which of a component's functions a person means.
//!
//! A function has a long name (`shop:api/cart@1.0.0#total`), of which mostly the end says enough. The written name
//! is compared with all that the component exports, as it was read; the whole name goes before the one without a
//! version, and that before an end of it. Of several that are meant alike none is called.

use std::fmt;

use withe_wit::{ExternItem, Function, InterfaceName, World};

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
        f.write_str(&self.function.name)
    }
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
}

/// The function of `component` that `call` means.
///
/// # Errors
///
/// If it is none, or several.
pub(super) fn find<'a>(
    component: &str,
    world: &'a World,
    call: &CallExpression,
) -> Result<FoundFunction<'a>, FindError> {
    let all: Vec<_> = functions(world).collect();
    let named = all
        .iter()
        .filter(|found| found.function.name == call.function);
    let ranked =
        named.filter_map(|found| Some((rank(call.interface.as_deref(), found.interface)?, found)));
    let ranked: Vec<_> = ranked.collect();
    let best = ranked.iter().map(|(rank, _)| *rank).min();
    let meant = ranked.iter().filter(|(rank, _)| Some(*rank) == best);
    let meant: Vec<FoundFunction<'_>> = meant.map(|(_, found)| **found).collect();
    match meant.as_slice() {
        [one] => Ok(*one),
        [] => Err(FindError::None {
            component: component.into(),
            written: written(call),
            near: near(&all, call),
            exported: list(&all),
        }),
        several => Err(FindError::Several {
            written: written(call),
            candidates: list(several),
        }),
    }
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
    let distance = |found: &&FoundFunction<'_>| {
        strsim::damerau_levenshtein(&found.function.name, &call.function)
    };
    let nearest = all.iter().min_by_key(distance)?;
    let most = (call.function.chars().count() / 3).clamp(1, 3);
    (distance(&nearest) <= most).then(|| nearest.to_string())
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
}

//! A row of calls, compared with what a component exports.

use std::fs::File;

use anyhow::{Context as _, bail};
use withe_host::FunctionPath;
use withe_host::wave::{self, Argument, Feed, RowCall, Written};
use withe_wit::{Function, ResourceRef, Type, World};

use super::expression::{CallRow, Piece, pieces};
use super::find::{FindError, ends, find, find_given, find_on, returned};

/// The functions to call, with their arguments.
pub(super) struct CheckedRow {
    pub(super) component: String,
    /// None for a component that could not be read.
    pub(super) calls: Vec<RowCall>,
    /// The functions' names, as they were written.
    pub(super) names: Vec<String>,
}

/// A resource that a call of the row returned.
struct Held<'a> {
    resource: &'a ResourceRef,
    /// The call that took it away.
    taken_by: Option<usize>,
}

impl CheckedRow {
    /// The functions of `component`, whose world this is, that are meant. Files that are arguments are opened.
    ///
    /// # Errors
    ///
    /// If there is none, or the arguments are not what it takes.
    pub(super) fn of(
        component: &str,
        world: Option<&World>,
        written: &CallRow,
    ) -> anyhow::Result<Self> {
        let mut row = Self {
            component: component.to_owned(),
            calls: Vec::new(),
            names: written.0.iter().map(|call| call.function.clone()).collect(),
        };
        let Some(world) = world else {
            // Why it could not be read is said with all that is wrong.
            return Ok(row);
        };
        // By call the resource that it returned, and the call whose resource the next one is called on.
        let mut held: Vec<Option<Held<'_>>> = Vec::new();
        let mut on: Option<usize> = None;
        let mut reads_input = false;
        for (at, call) in written.0.iter().enumerate() {
            let calling = || row.calling(at);
            let given = pieces(&call.arguments);
            let resource = on
                .and_then(|on| held[on].as_ref())
                .map(|held| held.resource);
            let names_earlier = given.iter().any(|piece| matches!(piece, Piece::Earlier(_)));
            let (found, is_on) = if let Some(resource) = resource {
                match find_on(world, resource, call) {
                    // All resources are given, the first one as well.
                    Ok(found) if names_earlier && found.function.params.len() <= given.len() => {
                        (find_given(component, world, call, given.len()), false)
                    }
                    // Another resource may be begun, for a call that takes both.
                    Err(none @ FindError::NoneOfResource { .. }) => {
                        (find(component, world, call).map_err(|_| none), false)
                    }
                    found => (found, true),
                }
            } else if names_earlier {
                (find_given(component, world, call, given.len()), false)
            } else if at == 0 {
                (find(component, world, call), false)
            } else {
                let written = call.function.clone();
                (Err(FindError::NoResource { written }), false)
            };
            let found = found.with_context(calling)?;
            if at + 1 == written.0.len() {
                ends(world, found, call).with_context(calling)?;
                wave::returns(found.function).with_context(calling)?;
            }
            let arguments = Arguments {
                function: found.function,
                on: on.filter(|_| is_on),
                call: at,
                reads_input: &mut reads_input,
            };
            let arguments =
                (arguments.read(&call.arguments, &given, &mut held)).with_context(calling)?;
            if on.is_some_and(|on| held[on].as_ref().is_some_and(|h| h.taken_by.is_some())) {
                on = None;
            }
            let returned = returned(found.function);
            held.push(returned.map(|resource| Held {
                resource,
                taken_by: None,
            }));
            if returned.is_some() {
                on = Some(at);
            }
            row.calls.push(RowCall {
                path: FunctionPath {
                    interface: found.interface.map(ToOwned::to_owned),
                    function: found.function.name.clone(),
                },
                function: found.function.clone(),
                arguments,
            });
        }
        Ok(row)
    }

    /// The words for one of the calls.
    pub(super) fn calling(&self, at: usize) -> String {
        let name = self.names.get(at).map_or("", String::as_str);
        format!("calling `{name}` of `{}`", self.component)
    }
}

/// The arguments of one call.
struct Arguments<'a> {
    function: &'a Function,
    /// The call whose resource is the first of them.
    on: Option<usize>,
    /// The call's own place in the row.
    call: usize,
    /// Whether an argument before was standard input, which can be read once.
    reads_input: &'a mut bool,
}

impl Arguments<'_> {
    /// The arguments as they are passed: `text` as it is written, `given` its pieces.
    fn read(
        mut self,
        text: &str,
        given: &[Piece<'_>],
        held: &mut [Option<Held<'_>>],
    ) -> anyhow::Result<Vec<Argument>> {
        let skipped = usize::from(self.on.is_some());
        // The part that people write, and the result that can be printed.
        let written = Function {
            params: self.function.params[skipped..].to_vec(),
            result: printed(self.function),
            ..self.function.clone()
        };
        let mut arguments = Vec::new();
        if let Some(on) = self.on {
            arguments.push(self.resource(on, &self.function.params[0].1, held)?);
        }
        let is_value = |piece: &Piece<'_>| matches!(piece, Piece::Value(_));
        if given.iter().all(is_value) {
            let places: Vec<_> = (0..written.params.len()).collect();
            let values = Written::read(&format!("({text})"), &written, &places)?;
            arguments.extend(values.into_iter().map(Argument::Value));
            return Ok(arguments);
        }
        let (expected, found) = (written.params.len(), given.len());
        if expected != found {
            bail!("expected {expected} arguments, found {found}; the function is `{written}`");
        }
        let (mut places, mut texts) = (Vec::new(), Vec::new());
        for (place, piece) in given.iter().enumerate() {
            if let Piece::Value(text) = piece {
                places.push(place);
                texts.push(*text);
            }
        }
        let values = Written::read(&format!("({})", texts.join(", ")), &written, &places)?;
        let mut values = values.into_iter();
        for (piece, (name, ty)) in given.iter().zip(&written.params) {
            let argument = match piece {
                Piece::Value(_) => values.next().map(Argument::Value),
                Piece::File(path) => {
                    let feed = self.feed(path, ty);
                    Some(Argument::Feed(
                        feed.with_context(|| format!("argument `{name}`"))?,
                    ))
                }
                Piece::Earlier(number) => {
                    let earlier = self.earlier(*number, ty, held);
                    Some(earlier.with_context(|| format!("argument `{name}`"))?)
                }
            };
            arguments.extend(argument);
        }
        Ok(arguments)
    }

    /// The resource that the call at `of` returned, as an argument.
    fn resource(
        &self,
        of: usize,
        ty: &Type,
        held: &mut [Option<Held<'_>>],
    ) -> anyhow::Result<Argument> {
        if let (Type::Own(_), Some(held)) = (ty, &mut held[of]) {
            held.taken_by = Some(self.call);
        }
        Ok(Argument::Resource(of))
    }

    /// The resource that is written `$N`.
    fn earlier(
        &self,
        number: usize,
        ty: &Type,
        held: &mut [Option<Held<'_>>],
    ) -> anyhow::Result<Argument> {
        let (Type::Own(wanted) | Type::Borrow(wanted)) = ty else {
            bail!("`${number}` stands for a resource, and a `{ty}` is expected");
        };
        let Some(of) = number.checked_sub(1).filter(|of| *of < self.call) else {
            bail!(
                "`${number}` stands for what call {number} of the row returned, which does not come before this one"
            );
        };
        match &held[of] {
            Some(held) if held.resource != wanted => bail!(
                "call {number} returns a resource `{}`, and a `{}` is expected",
                held.resource.name,
                wanted.name
            ),
            Some(Held {
                taken_by: Some(by), ..
            }) => bail!("call {} took the resource of call {number}", by + 1),
            Some(_) => self.resource(of, ty, held),
            None => bail!("call {number} returns no resource"),
        }
    }

    /// The file that is written `@PATH`, or standard input.
    fn feed(&mut self, path: &str, ty: &Type) -> anyhow::Result<Feed> {
        let takes_streams = match ty {
            Type::Stream(of) => of.is_some(),
            Type::Own(of) | Type::Borrow(of) => wave::is_input_stream(of),
            _ => false,
        };
        if !takes_streams {
            bail!("`@{path}` is read as a stream, and a `{ty}` is expected");
        }
        if path != "-" {
            let file = File::open(path).with_context(|| format!("cannot read `{path}`"))?;
            return Ok(Feed {
                name: format!("`{path}`"),
                from: Box::new(tokio::fs::File::from_std(file)),
            });
        }
        if std::mem::replace(self.reads_input, true) {
            bail!("standard input (`@-`) is read already");
        }
        Ok(Feed {
            name: "standard input".into(),
            from: Box::new(tokio::io::stdin()),
        })
    }
}

/// The type of a function's result, so far as it can be printed: in the place of a resource there may be an error, or nothing.
fn printed(function: &Function) -> Option<Type> {
    let result = function.result.clone()?;
    if returned(function).is_none() {
        return Some(result);
    }
    match result {
        Type::Result(_, error) => Some(Type::Result(None, error)),
        Type::Option(_) => Some(Type::Option(Type::Bool.into())),
        _ => None,
    }
}

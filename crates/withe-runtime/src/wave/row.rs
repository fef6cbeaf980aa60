//! Calls in a row: a function that returns a resource, and then functions of that resource.
//!
//! A resource ends with its instance, so a call by itself can neither take nor return one. The calls of a row share an
//! instance, which ends with the row, or with the last stream that the row returned. A session as processes have them (`serve`) was the
//! other way: there are many callers, and handles have to outlive calls that fail; here the first failure ends the row.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::AsContextMut as _;
use wasmtime::component::wasm_wave::value::{FuncType, Value};
use withe_rpc::{CallContext, HandleRef, Payload, Writer};
use withe_wit::{Function, Type};

use super::arguments;
use super::feed::Feed;
use super::input;
use super::parsed::{Parsed, parse};
use super::returned::{Returned, returned};
use super::types::{self, is_input_stream};
use super::values::{ValueError, encode};

use crate::core::Graph;
use crate::invoke::{FunctionPath, Invocation, InvokeError, InvokeTarget};

/// One call of a row.
#[derive(Debug)]
pub struct RowCall {
    /// The function's name.
    pub path: FunctionPath,
    /// Its type, as it was read from the component.
    pub function: Function,
    /// An argument for each of its parameters.
    pub arguments: Vec<Argument>,
}

/// An argument of a call in a row.
#[derive(Debug)]
pub enum Argument {
    /// A value.
    Value(Written),
    /// The elements of a stream, or the bytes of an `input-stream` of WASI 0.2.
    Feed(Feed),
    /// The resource that a call before it returned: the place of that call in the row, from 0.
    Resource(usize),
}

/// A value that was written in WAVE or in JSON: a stream as a list of its elements, a future as its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Written(Value);

impl Written {
    /// The values that `text`, such as `(1, "a")`, has for the parameters of `function` at `places`.
    ///
    /// # Errors
    ///
    /// If they are not what it takes there.
    pub fn read(
        text: &str,
        function: &Function,
        places: &[usize],
    ) -> Result<Vec<Self>, InvokeError> {
        let params = places
            .iter()
            .filter_map(|place| function.params.get(*place));
        let params: Vec<_> = params.cloned().collect();
        let mut written = Vec::new();
        for (name, ty) in &params {
            if let Type::Own(of) | Type::Borrow(of) = ty {
                let how = match is_input_stream(of) {
                    true => "`@FILE`, or `@-` for standard input".into(),
                    false => "`$N`, which call N of the row returned".to_owned(),
                };
                let resource = &of.name;
                return Err(InvokeError::Types(format!(
                    "argument `{name}`: a resource `{resource}` is written as {how}"
                )));
            }
            check(&function.name, ty)?;
            let no_text = || {
                InvokeError::Types(format!(
                    "argument `{name}`: a value of type `{ty}` has no text"
                ))
            };
            written.push((name.clone(), types::written(ty).ok_or_else(no_text)?));
        }
        let ty = FuncType::new(written, []).map_err(|e| InvokeError::Types(e.to_string()))?;
        let as_declared = types::function(function).ok().flatten();
        let signature = match as_declared {
            Some(ty) => arguments::signature(&function.name, &ty),
            // Text of types that WAVE has no name for.
            None => function.to_string(),
        };
        let part = Function {
            params,
            ..function.clone()
        };
        let (Parsed::Wave(values) | Parsed::Json(values)) = parse(text, &part, &ty, &signature)?;
        Ok(values.into_iter().map(Self).collect())
    }
}

/// Sees to it that a type has nothing that ends with an instance, and cannot be written or shown.
fn check(function: &str, ty: &Type) -> Result<(), InvokeError> {
    let mut found = None;
    ty.walk(&mut |ty| {
        let kind = match ty {
            Type::Stream(_) | Type::Future(_) => None,
            Type::Own(resource) if is_input_stream(resource) => None,
            ty => types::handle(ty),
        };
        found = found.or(kind);
    });
    match found {
        Some(kind) => Err(InvokeError::Handles {
            function: function.into(),
            kind,
        }),
        None => Ok(()),
    }
}

/// Sees to it that what a function returns can be shown.
///
/// # Errors
///
/// If it returns a resource, which ends with the row.
pub fn returns(function: &Function) -> Result<(), InvokeError> {
    let in_streams = |ty: &Type| match ty {
        Type::Stream(Some(of)) | Type::Future(Some(of)) => {
            of.any(|ty| matches!(ty, Type::Own(_) | Type::Borrow(_)))
        }
        _ => false,
    };
    let Some(ty) = &function.result else {
        return Ok(());
    };
    check(&function.name, ty)?;
    // An `input-stream` may be in the result, and in no element of a stream.
    match ty.any(in_streams) {
        true => Err(InvokeError::Handles {
            function: function.name.clone(),
            kind: "resource",
        }),
        false => Ok(()),
    }
}

/// The outcome of a row.
#[derive(Debug)]
pub struct RowResult {
    /// The call whose result it is: the last, or one that returned an error, or nothing, in the place of a resource.
    pub call: usize,
    /// The result. Streams in it keep the row's instance.
    pub returned: Returned,
}

/// Why a row gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct RowError {
    /// The call that failed.
    pub call: usize,
    /// Why.
    #[source]
    pub error: InvokeError,
}

/// Makes `calls` one after the other, all on one instance of the unit whose root is `component`. Has to be called within a Tokio
/// runtime, as streams have tasks of their own.
///
/// # Errors
///
/// If one of them fails: which, and why. No call behind it is made.
pub async fn call_in_row(
    graph: &Arc<Graph>,
    component: &str,
    calls: Vec<RowCall>,
    deadline: Instant,
) -> Result<RowResult, RowError> {
    let at = |call| move |error| RowError { call, error };
    let find = |(call, made): (usize, &RowCall)| {
        InvokeTarget::find(graph, component, &made.path).map_err(at(call))
    };
    let targets = calls.iter().enumerate().map(find);
    let targets = targets.collect::<Result<Vec<_>, _>>()?;
    let (Some(first), Some(target)) = (calls.first(), targets.first()) else {
        let nothing = InvokeError::NoFunction("no function is named".into());
        return Err(at(0)(nothing));
    };
    let (path, mut under_way) = (first.path.clone(), 0);
    let run = async |context| {
        let mut row = Row {
            invocation: target.begin(context).await?,
            context,
            held: Vec::new(),
        };
        let last = calls.len() - 1;
        let needed = last_uses(&calls);
        for (call, (target, made)) in targets.iter().zip(calls).enumerate() {
            under_way = call;
            row.invocation.turn_to(target)?;
            if let Some((ty, payload)) = row.make(made, call == last, &needed).await? {
                let returned = row.end(ty.as_ref(), payload)?;
                return Ok(RowResult { call, returned });
            }
        }
        Err(InvokeError::NoFunction("no function is named".into()))
    };
    let result = target.traced(&path, deadline, run).await;
    result.map_err(at(under_way))
}

/// For each call of a row, the last call that takes the resource that it returns; 0 if none does.
fn last_uses(calls: &[RowCall]) -> Vec<usize> {
    let mut uses = vec![0; calls.len()];
    for (call, made) in calls.iter().enumerate() {
        for argument in &made.arguments {
            if let Argument::Resource(of) = argument
                && let Some(last) = uses.get_mut(*of)
            {
                *last = call;
            }
        }
    }
    uses
}

/// A row whose calls are being made.
struct Row<'a> {
    invocation: Invocation<'a>,
    context: CallContext,
    /// By call, the resource that it returned, unless that was taken since.
    held: Vec<Option<u32>>,
}

impl Row<'_> {
    /// Makes a call: its result and the type of that, if the row ends with it.
    async fn make(
        &mut self,
        call: RowCall,
        is_last: bool,
        last_uses: &[usize],
    ) -> Result<Option<(Option<Type>, Payload)>, InvokeError> {
        if is_last {
            returns(&call.function)?;
        }
        let mut payload = self.encoded(call.arguments, &call.function)?;
        self.invocation.pass(&mut payload, self.context).await?;
        let (result, holds_resource) = without_resource(call.function.result);
        if !holds_resource {
            self.held.push(None);
            return Ok(is_last.then_some((result, payload)));
        }
        let Some(returned) = payload.handles.first() else {
            // An error or nothing is in its place, and there is nothing to go on with.
            return Ok(Some((result, payload)));
        };
        self.held.push(Some(returned.id));
        let now = self.held.len() - 1;
        for (held, last_use) in self.held.iter_mut().zip(last_uses).take(now) {
            if *last_use <= now
                && let Some(id) = held.take()
            {
                self.invocation.drop_handle(id).await?;
            }
        }
        Ok(None)
    }

    /// The arguments of a call, encoded.
    fn encoded(
        &mut self,
        arguments: Vec<Argument>,
        function: &Function,
    ) -> Result<Payload, InvokeError> {
        let (expected, found) = (function.params.len(), arguments.len());
        if expected != found {
            return Err(InvokeError::Types(format!(
                "expected {expected} arguments, found {found}; the function is `{function}`"
            )));
        }
        let mut w = Writer::default();
        for (argument, (name, ty)) in arguments.into_iter().zip(&function.params) {
            let own = matches!(ty, Type::Own(_));
            match (argument, ty) {
                (Argument::Value(Written(value)), ty) => {
                    let encoded = encode(&value, ty, &mut w);
                    encoded.map_err(|e| InvokeError::Types(format!("argument `{name}`: {e}")))?;
                }
                (Argument::Feed(feed), Type::Stream(Some(of))) => w.stream(feed.stream(of.clone())),
                (Argument::Feed(feed), Type::Own(of) | Type::Borrow(of)) if is_input_stream(of) => {
                    let bytes = feed.stream(Arc::new(Type::U8));
                    let store = &mut self.invocation.instance().store;
                    let stream = input::lead_in(store.as_context_mut(), bytes);
                    let stream = stream.map_err(|e| InvokeError::Types(format!("{e:#}")))?;
                    for HandleRef { id, .. } in store.data_mut().handles.put(vec![stream]) {
                        w.handle(HandleRef { id, own });
                    }
                }
                (Argument::Resource(of), Type::Own(_) | Type::Borrow(_)) => {
                    let held = self.held.get_mut(of);
                    let id = held.and_then(|held| if own { held.take() } else { *held });
                    let Some(id) = id else {
                        let name = &function.name;
                        let what = format!("there is no resource for `{name}`");
                        return Err(InvokeError::Types(what));
                    };
                    w.handle(HandleRef { id, own });
                }
                (_, ty) => {
                    return Err(InvokeError::Types(format!(
                        "argument `{name}`: expected a value of type `{ty}`"
                    )));
                }
            }
        }
        Ok(w.finish())
    }

    /// Ends the row with a result. The instance goes on for as long as somebody reads a stream in it.
    fn end(mut self, ty: Option<&Type>, payload: Payload) -> Result<Returned, InvokeError> {
        let handles = payload.handles.clone();
        let mut failed = None;
        let mut input = |place: usize| {
            let store = &mut self.invocation.instance().store;
            let resource = store.data_mut().handles.remove(handles.get(place)?.id)?;
            let led = input::lead_out(store.as_context_mut(), resource);
            led.map_err(|e| failed = Some(format!("{e:#}"))).ok()
        };
        let returned = returned(ty, payload, &mut input);
        if let Some(why) = failed {
            return Err(InvokeError::Types(format!(
                "the stream cannot be read: {why}"
            )));
        }
        let mut returned = returned.map_err(|e: ValueError| InvokeError::Types(e.to_string()))?;
        if !returned.streams.is_empty() {
            let readers = returned.streams.iter_mut().map(|stream| stream.reader());
            self.invocation.go_on(readers);
        }
        Ok(returned)
    }
}

/// The type of a result but for the resource that it is, or holds where it may hold an error, or nothing; and whether there
/// is such a one.
fn without_resource(result: Option<Type>) -> (Option<Type>, bool) {
    let is_resource = |ty: &Type| matches!(ty, Type::Own(of) if !is_input_stream(of));
    match result {
        Some(ty) if is_resource(&ty) => (None, true),
        Some(Type::Option(of)) if is_resource(&of) => (Some(Type::Option(Type::Bool.into())), true),
        Some(Type::Result(Some(ok), err)) if is_resource(&ok) => {
            (Some(Type::Result(None, err)), true)
        }
        result => (result, false),
    }
}

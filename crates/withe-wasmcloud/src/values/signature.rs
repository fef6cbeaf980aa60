//! The facts about a function when a link is made: whether v1 can carry it, and where its streams stand.

use bytes::Bytes;
use withe_rpc::{CallError, DecodeError, Payload, Reader};
use withe_wit::{Function, Type};

use super::streams::{Arriving, Leaving, Past};
use super::walk;
use crate::wire::V1Wire;
use crate::wire::connection::OutgoingValues;
use crate::wire::mailbox::ChannelReader;
use crate::wire::names;

/// Calls of a function cannot be carried by wasmCloud v1's wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wasmCloud v1 cannot carry calls of `{function}`: {what}")]
pub struct CannotCarry {
    /// The function's name.
    pub function: String,
    /// The part of its type that stands in the way.
    #[source]
    pub what: Uncarried,
}

/// A type that wasmCloud v1's wire does not have. Displayed, it is a sentence of which v1 is the subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncarried {
    /// Resources of components.
    #[error(
        "it has no resources of components, such as `{0}`; pass data instead, or link to a provider"
    )]
    Resource(String),
    /// Error contexts.
    #[error("it has no `error-context`; pass a string instead")]
    ErrorContext,
    /// Streams and futures in lists, or in streams and futures.
    #[error(
        "it has streams and futures only by themselves or in records, tuples and variants, and `{0}` \
         is inside of a list, stream or future"
    )]
    Nested(Box<Type>),
}

/// Whether wasmCloud v1's wire can carry calls of `function`.
///
/// # Errors
///
/// Returns [`CannotCarry`], with the part of the type that v1 cannot carry.
pub fn can_carry(function: &Function) -> Result<(), CannotCarry> {
    Signature::new(function).map(|_| ())
}

/// A function whose calls v1 can carry.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) params: Shape,
    pub(crate) result: Shape,
}

impl Signature {
    /// Looks at `function`'s type.
    ///
    /// # Errors
    ///
    /// Returns [`CannotCarry`], with the part of the type that v1 cannot carry.
    pub(crate) fn new(function: &Function) -> Result<Self, CannotCarry> {
        let params = function.params.len();
        let types: Vec<_> = function.sent().cloned().collect();
        let (params, result) = types.split_at(params);
        let shape = |types: &[Type]| {
            Shape::new(types).map_err(|what| CannotCarry {
                function: function.name.clone(),
                what,
            })
        };
        Ok(Self {
            params: shape(params)?,
            result: shape(result)?,
        })
    }
}

/// The types of a function's parameters, or of its result.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    types: Vec<Type>,
    /// Where streams and futures may stand.
    pub(crate) paths: Vec<String>,
}

impl Shape {
    fn new(types: &[Type]) -> Result<Self, Uncarried> {
        let mut paths = Vec::new();
        for (i, ty) in types.iter().enumerate() {
            find(ty, &mut vec![i], &mut paths)?;
        }
        // Cases of one variant may have streams at the same position.
        paths.sort();
        paths.dedup();
        Ok(Self {
            types: types.to_vec(),
            paths,
        })
    }

    /// Whether there is any value.
    pub(crate) fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// Whether `bytes` are all of the values; streams apart.
    pub(crate) fn is_complete(&self, bytes: &[u8]) -> bool {
        if !self.paths.is_empty() {
            return walk::copy(self.types.iter(), bytes, &mut Past).is_ok();
        }
        let mut r = Reader::from_bytes(bytes);
        let all = self.types.iter().try_for_each(|ty| walk::skip(ty, &mut r));
        all.and_then(|()| r.finish()).is_ok()
    }

    /// Turns values of a link into what v1 sends.
    ///
    /// # Errors
    ///
    /// If they are not of these types.
    pub(crate) fn lower(&self, payload: Payload) -> Result<OutgoingValues, CallError> {
        if self.paths.is_empty() {
            return Ok(OutgoingValues::plain(payload.bytes));
        }
        let mut leaving = Leaving::new(payload.streams);
        let bytes =
            walk::copy(self.types.iter(), &payload.bytes, &mut leaving).map_err(mismatch)?;
        Ok(OutgoingValues {
            bytes: bytes.into(),
            streams: leaving.finish().map_err(mismatch)?,
        })
    }

    /// Turns what v1 sent into values of a link. `streams` are those at [`paths`](Self::paths).
    ///
    /// # Errors
    ///
    /// If it is not of these types.
    pub(crate) fn lift(
        &self,
        bytes: Bytes,
        streams: Vec<ChannelReader>,
        wire: &V1Wire,
    ) -> Result<Payload, CallError> {
        if self.paths.is_empty() {
            return Ok(Payload {
                bytes: bytes.into(),
                ..Payload::default()
            });
        }
        let channels = self.paths.iter().cloned().zip(streams);
        let mut arriving = Arriving::new(channels, wire.limits().payload);
        let bytes = walk::copy(self.types.iter(), &bytes, &mut arriving).map_err(mismatch)?;
        let (streams, pumps) = arriving.finish();
        for pump in pumps {
            wire.spawn(pump)?;
        }
        Ok(Payload {
            bytes,
            handles: Vec::new(),
            streams,
        })
    }
}

/// The error for values that are not of their types.
pub(crate) fn mismatch(e: DecodeError) -> CallError {
    CallError::TypeMismatch(format!("values of a wasmCloud v1 call: {e}"))
}

/// Collects where in `ty`, which stands at `at`, streams may be.
fn find(ty: &Type, at: &mut Vec<usize>, paths: &mut Vec<String>) -> Result<(), Uncarried> {
    let mut fields = |types: &mut dyn Iterator<Item = &Type>| {
        for (i, ty) in types.enumerate() {
            at.push(i);
            find(ty, at, paths)?;
            at.pop();
        }
        Ok(())
    };
    match ty {
        Type::Record(record) => fields(&mut record.body.iter().map(|(_, ty)| ty)),
        Type::Tuple(types) => fields(&mut types.iter()),
        Type::Option(some) => find(some, at, paths),
        Type::Result(ok, err) => [ok, err]
            .into_iter()
            .flatten()
            .try_for_each(|ty| find(ty, at, paths)),
        Type::Variant(variant) => (variant.body.iter())
            .filter_map(|(_, ty)| ty.as_ref())
            .try_for_each(|ty| find(ty, at, paths)),
        Type::Stream(element) | Type::Future(element) => {
            paths.push(names::path(at));
            element.iter().try_for_each(|ty| plain(ty))
        }
        ty => plain(ty),
    }
}

/// Checks that `ty` is made of values only.
fn plain(ty: &Type) -> Result<(), Uncarried> {
    let mut bad = None;
    ty.walk(&mut |ty| {
        let why = match ty {
            Type::Own(r) | Type::Borrow(r) => Uncarried::Resource(r.name.to_string()),
            Type::ErrorContext => Uncarried::ErrorContext,
            Type::Stream(_) | Type::Future(_) => Uncarried::Nested(Box::new(ty.clone())),
            _ => return,
        };
        bad.get_or_insert(why);
    });
    // A list is walked from itself, a stream's element from the element.
    bad.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use withe_wit::FuncKind;
    use withe_wit::ty::Named;

    fn function(params: &[Type], result: Option<Type>) -> Function {
        let named = |(i, ty): (usize, &Type)| (format!("p{i}"), ty.clone());
        Function {
            name: "f".into(),
            kind: FuncKind::Free,
            is_async: false,
            params: params.iter().enumerate().map(named).collect(),
            result,
        }
    }

    fn stream(ty: Type) -> Type {
        Type::Stream(Some(Arc::new(ty)))
    }

    fn record(fields: Vec<Type>) -> Type {
        let fields: Vec<_> = fields.into_iter().map(|ty| ("f".to_owned(), ty)).collect();
        Type::Record(Named {
            name: None,
            body: fields.into(),
        })
    }

    #[test]
    fn paths_are_positions_as_v1_counts_them() {
        let response = record(vec![
            stream(Type::U8),
            Type::Future(Some(Arc::new(Type::Option(Arc::new(Type::String))))),
            Type::U16,
        ]);
        let result = Type::Result(Some(Arc::new(response)), Some(Arc::new(Type::String)));
        let params = [Type::String, Type::Option(Arc::new(stream(Type::U32)))];
        let signature = Signature::new(&function(&params, Some(result))).unwrap();
        assert_eq!(signature.params.paths, ["1"]);
        assert_eq!(signature.result.paths, ["0.0", "0.1"]);
    }

    #[test]
    fn what_v1_cannot_carry_is_refused_by_name() {
        let resource = withe_wit::ResourceRef {
            interface: None,
            name: "cursor".into(),
        };
        for (ty, says) in [
            (Type::List(Arc::new(Type::Own(resource))), "`cursor`"),
            (Type::ErrorContext, "`error-context`"),
            (Type::List(Arc::new(stream(Type::U8))), "`stream<u8>`"),
            (stream(stream(Type::U8)), "`stream<u8>`"),
        ] {
            let why = can_carry(&function(&[ty], None)).unwrap_err();
            let why = why.to_string();
            assert!(why.contains(says) && why.contains("`f`"), "{why}");
        }
        assert_eq!(
            can_carry(&function(&[Type::List(Arc::new(Type::U8))], None)),
            Ok(())
        );
    }

    #[test]
    fn parameters_are_complete_when_all_of_them_are_there() {
        let params = [Type::List(Arc::new(Type::String)), Type::U64];
        let shape = Signature::new(&function(&params, None)).unwrap().params;
        let whole = b"\x02\x01a\x02bc\x81\x01";
        assert!(shape.is_complete(whole));
        for n in 0..whole.len() {
            assert!(!shape.is_complete(&whole[..n]), "{n} bytes");
        }
        // The values of a streaming function are complete without what is streamed.
        let params = [stream(Type::U8), Type::Bool];
        let shape = Signature::new(&function(&params, None)).unwrap().params;
        assert!(shape.is_complete(b"\x00\x01") && shape.is_complete(b"\x02ab\x01"));
        assert!(!shape.is_complete(b"\x00"));
    }
}

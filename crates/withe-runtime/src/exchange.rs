//! A call's values where they enter the exporter's store, and where they leave it.

use wasmtime::StoreContextMut;
use wasmtime::component::ResourceAny;
use withe_rpc::{CallError, Payload};

use crate::abi::{MAX_FLAT, Values};
use crate::core::InstanceState;
use crate::functions::rpc;
use crate::stream::{ElementSide, lead_in, lead_out};

/// A call's parameters, as the exporter has them.
pub(crate) type Params = Values<ResourceAny, MAX_FLAT>;

/// A call's results, as the exporter has them.
pub(crate) type Results = Values<ResourceAny, 0>;

/// Takes a call's parameters out of `payload`, as the exporter's store has them.
pub(crate) fn receive(
    store: &mut StoreContextMut<'_, InstanceState>,
    payload: &mut Payload,
) -> Result<Params, CallError> {
    let handles = store.data_mut().handles.take(&payload.handles)?;
    let streams = std::mem::take(&mut payload.streams);
    let streams = lead_in(store, streams, ElementSide::Exporter)
        .map_err(|e| CallError::TypeMismatch(e.to_string()))?;
    Ok(Params {
        bytes: std::mem::take(&mut payload.bytes),
        handles,
        streams,
    })
}

/// Puts a call's results into `payload`, as they leave the exporter's store; or returns the error of
/// `wrpc:rpc/error` that they are.
pub(crate) fn give(
    store: &mut StoreContextMut<'_, InstanceState>,
    results: Results,
    payload: &mut Payload,
) -> wasmtime::Result<Result<(), CallError>> {
    for handle in &results.handles {
        if let Some(text) = rpc::text(store, *handle)? {
            return Ok(Err(CallError::Refused(text)));
        }
    }
    payload.bytes = results.bytes;
    payload.handles = store.data_mut().handles.put(results.handles);
    payload.streams = lead_out(store, results.streams, ElementSide::Exporter)?;
    Ok(Ok(()))
}

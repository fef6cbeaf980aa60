//! Resources that a provider hands to a component by name.
//!
//! A provider calls from outside, so a resource that it made would be none of the component's. The provider sends a
//! name in the resource's place, and the resource is opened here: by the function `open` of the interface that the
//! component imports the resource from, over the component's own link, in the instance that is called. So the
//! component can use what it is given, and drops it as any other, wherever it and the provider run.

use wasmtime::component::{Accessor, ResourceDynamic};
use wasmtime::{AsContextMut as _, StoreContextMut};
use withe_rpc::{CallError, HandleRef, Payload, Reader, Writer};

use crate::core::InstanceState;
use crate::exchange::Params;
use crate::link::{self, Args};
use crate::links::UnitLinks;
use crate::trap;

/// Parameters whose first is a name that has not been opened yet.
struct Named {
    name: String,
    /// The bytes of the other parameters.
    rest: Vec<u8>,
}

/// The parameters of a call whose first is a name, which the function `opener` opens, one of those that the unit calls
/// over links.
///
/// # Errors
///
/// If it cannot be opened.
pub(crate) async fn open(
    mut cx: StoreContextMut<'_, InstanceState>,
    opener: usize,
    payload: &mut Payload,
) -> Result<Params, CallError> {
    let links = cx.data().links.clone();
    let named = Named::of(payload)?;
    let opened = link::call(&links, opener, cx.as_context_mut(), named.ask()).await;
    let opened = opened.map_err(|e| trap::to_call_error(cx.data(), e))?;
    named.given(&mut cx, &links, opener, opened)
}

/// The same beside other calls of the store.
pub(crate) async fn open_concurrent(
    accessor: &Accessor<InstanceState>,
    opener: usize,
    payload: &mut Payload,
) -> Result<Params, CallError> {
    let links = accessor.with(|mut access| access.data_mut().links.clone());
    let named = Named::of(payload)?;
    let opened = link::call_concurrent(&links, opener, accessor, named.ask()).await;
    accessor.with(|mut access| {
        let mut cx = access.as_context_mut();
        let opened = opened.map_err(|e| trap::to_call_error(cx.data(), e))?;
        named.given(&mut cx, &links, opener, opened)
    })
}

impl Named {
    fn of(payload: &mut Payload) -> Result<Self, CallError> {
        if !payload.handles.is_empty() || !payload.streams.is_empty() {
            let why = "a provider passes no resources and streams to a component that it calls";
            return Err(CallError::TypeMismatch(why.into()));
        }
        let mut reader = Reader::from_bytes(&payload.bytes);
        let name = reader.str().map_err(|e| {
            CallError::TypeMismatch(format!("the name of a resource is expected first: {e}"))
        })?;
        let behind = payload.bytes.len() - reader.remaining();
        let named = Self {
            name: name.to_owned(),
            rest: payload.bytes[behind..].to_vec(),
        };
        payload.bytes.clear();
        Ok(named)
    }

    /// The parameters of `open`.
    fn ask(&self) -> Args {
        let mut writer = Writer::default();
        writer.counted(self.name.as_bytes());
        Args {
            bytes: writer.finish().bytes,
            ..Args::default()
        }
    }

    /// The parameters as the component has them, with what was opened in the name's place.
    fn given(
        self,
        cx: &mut StoreContextMut<'_, InstanceState>,
        links: &UnitLinks,
        opener: usize,
        opened: Args,
    ) -> Result<Params, CallError> {
        let stub = &links.stubs[opener];
        // The interface alone knows the type that says what an error means.
        let ([handle], Some(0)) = (&opened.handles[..], opened.bytes.first()) else {
            return Err(CallError::Unreachable(format!(
                "`{}` does not open `{}`, which the call is about",
                stub.name, self.name
            )));
        };
        let resource = ResourceDynamic::new_own(handle.id, link::resource_number(stub.member))
            .try_into_resource_any(cx)
            .map_err(|e| CallError::TypeMismatch(e.to_string()))?;
        let mut writer = Writer::default();
        writer.handle(HandleRef {
            id: handle.id,
            own: true,
        });
        writer.raw(&self.rest);
        Ok(Params {
            bytes: writer.finish().bytes,
            handles: vec![resource],
            streams: Vec::new(),
        })
    }
}

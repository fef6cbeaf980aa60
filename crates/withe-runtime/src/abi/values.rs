//! The types of values between guests and bytes: all values of a call, their handles, and their streams, whose elements
//! are values again.

use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex};

use wasmtime::component::__internal::{ComponentTypes, InterfaceType, LiftContext, LowerContext};
use wasmtime::component::{FutureReader, Lift, Lower, ResourceAny, StreamReader};
use wasmtime::{Result, ValRaw, bail};
use withe_rpc::{HandleRef, StreamKind};

/// All parameters or all results of a function: `bytes` in the codec's encoding, with handles of kind
/// `H`. `N` is the number of flat values Wasmtime passes them in (see the module).
pub(crate) struct Values<H, const N: usize> {
    pub(crate) bytes: Vec<u8>,
    pub(crate) handles: Vec<H>,
    pub(crate) streams: Vec<Transmit>,
}

impl<H, const N: usize> Default for Values<H, N> {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            handles: Vec::new(),
            streams: Vec::new(),
        }
    }
}

impl<H, const N: usize> Values<H, N> {
    /// The same values, passed in another number of flat values.
    pub(crate) fn reshape<const M: usize>(self) -> Values<H, M> {
        Values {
            bytes: self.bytes,
            handles: self.handles,
            streams: self.streams,
        }
    }
}

/// A resource handle on this side of a link.
pub(crate) trait GuestHandle: Copy + Send + Sync + 'static {
    /// Takes the guest's handle `index` of the resource table that `ty` names.
    fn lift(cx: &mut LiftContext<'_>, ty: InterfaceType, index: u32) -> Result<Self>;

    /// Gives the guest a handle in the resource table that `ty` names.
    fn lower<T>(self, cx: &mut LowerContext<'_, T>, ty: InterfaceType) -> Result<u32>;
}

/// The importer's side: the resource is the host's, its representation is the callee's number.
impl GuestHandle for HandleRef {
    fn lift(cx: &mut LiftContext<'_>, ty: InterfaceType, index: u32) -> Result<Self> {
        match ty {
            InterfaceType::Own(table) => {
                let (id, _dtor, _instance) = cx.guest_resource_lift_own(table, index)?;
                Ok(Self { id, own: true })
            }
            InterfaceType::Borrow(table) => Ok(Self {
                id: cx.guest_resource_lift_borrow(table, index)?,
                own: false,
            }),
            _ => Err(not_a_handle()),
        }
    }

    fn lower<T>(self, cx: &mut LowerContext<'_, T>, ty: InterfaceType) -> Result<u32> {
        match ty {
            InterfaceType::Own(table) => cx.guest_resource_lower_own(table, self.id),
            InterfaceType::Borrow(table) => cx.guest_resource_lower_borrow(table, self.id),
            _ => Err(not_a_handle()),
        }
    }
}

/// The exporter's side: the resource is the guest's own.
impl GuestHandle for ResourceAny {
    fn lift(cx: &mut LiftContext<'_>, ty: InterfaceType, index: u32) -> Result<Self> {
        <Self as Lift>::linear_lift_from_flat(cx, ty, &ValRaw::u32(index))
    }

    fn lower<T>(self, cx: &mut LowerContext<'_, T>, ty: InterfaceType) -> Result<u32> {
        let mut index = MaybeUninit::uninit();
        self.linear_lower_to_flat(cx, ty, &mut index)?;
        // SAFETY: `linear_lower_to_flat` returned `Ok`, so it has written the slot.
        Ok(unsafe { index.assume_init() }.get_u32())
    }
}

fn not_a_handle() -> wasmtime::Error {
    wasmtime::format_err!("a handle was expected to have a handle's type")
}

/// Where in memory a value lies that is lifted from `bytes`: those are none, as the declared size is 0,
/// but they start where the value does.
pub(super) fn offset(cx: &LiftContext<'_>, bytes: &[u8]) -> usize {
    let start = cx.memory().as_ptr().addr();
    bytes.as_ptr().addr().wrapping_sub(start)
}

/// Checks the alignment of a pointer that a guest gave.
pub(super) fn check_aligned(
    types: &ComponentTypes,
    ty: InterfaceType,
    offset: usize,
) -> Result<()> {
    let align = types.canonical_abi(&ty).align32 as usize;
    if !offset.is_multiple_of(align) {
        wasmtime::bail!("a pointer to parameters or results is not aligned");
    }
    Ok(())
}

/// The readable end of a stream or future, as a value that crosses a boundary.
pub(crate) enum Transmit {
    Bytes(StreamReader<u8>),
    Items(StreamReader<Item>),
    Units(StreamReader<()>),
    Future(FutureReader<Item>),
    Signal(FutureReader<()>),
}

impl Transmit {
    /// Takes the guest's end `index` of the stream or future type `ty`.
    pub(super) fn lift(cx: &mut LiftContext<'_>, ty: InterfaceType, index: u32) -> Result<Self> {
        let raw = &ValRaw::u32(index);
        Ok(match kind(cx.types, ty)? {
            StreamKind::Bytes => Self::Bytes(Lift::linear_lift_from_flat(cx, ty, raw)?),
            StreamKind::Items => Self::Items(Lift::linear_lift_from_flat(cx, ty, raw)?),
            StreamKind::Units => Self::Units(Lift::linear_lift_from_flat(cx, ty, raw)?),
            StreamKind::Future => Self::Future(Lift::linear_lift_from_flat(cx, ty, raw)?),
            StreamKind::Signal => Self::Signal(Lift::linear_lift_from_flat(cx, ty, raw)?),
        })
    }

    /// Gives the guest the end, of its stream or future type `ty`.
    pub(super) fn lower<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType) -> Result<u32> {
        if kind(cx.types, ty)? != self.kind() {
            bail!(withe_rpc::DecodeError::Stream);
        }
        let mut index = MaybeUninit::uninit();
        match self {
            Self::Bytes(s) => s.linear_lower_to_flat(cx, ty, &mut index)?,
            Self::Items(s) => s.linear_lower_to_flat(cx, ty, &mut index)?,
            Self::Units(s) => s.linear_lower_to_flat(cx, ty, &mut index)?,
            Self::Future(f) => f.linear_lower_to_flat(cx, ty, &mut index)?,
            Self::Signal(f) => f.linear_lower_to_flat(cx, ty, &mut index)?,
        }
        // SAFETY: `linear_lower_to_flat` returned `Ok`, so it has written the slot.
        Ok(unsafe { index.assume_init() }.get_u32())
    }

    fn kind(&self) -> StreamKind {
        match self {
            Self::Bytes(_) => StreamKind::Bytes,
            Self::Items(_) => StreamKind::Items,
            Self::Units(_) => StreamKind::Units,
            Self::Future(_) => StreamKind::Future,
            Self::Signal(_) => StreamKind::Signal,
        }
    }
}

fn kind(types: &ComponentTypes, ty: InterfaceType) -> Result<StreamKind> {
    Ok(match ty {
        InterfaceType::Stream(i) => match types[types[i].ty].payload {
            None => StreamKind::Units,
            Some(InterfaceType::U8) => StreamKind::Bytes,
            Some(_) => StreamKind::Items,
        },
        InterfaceType::Future(i) => match types[types[i].ty].payload {
            None => StreamKind::Signal,
            Some(_) => StreamKind::Future,
        },
        _ => bail!("a stream or future was expected to have such a type"),
    })
}

/// Encoded elements, one behind the other. Their streams and resources are still the store's.
pub(crate) type Elements = Values<ResourceAny, 0>;

/// One element of a stream or future: of those read, nothing more than that it is there; of those to be
/// written, the next one of its batch. Elements of a batch are lowered in their order, each once.
#[derive(Clone)]
pub(crate) struct Item(pub(super) Option<Arc<Batch>>);

/// Elements to be written, and how far that is done.
pub(super) struct Batch {
    pub(super) elements: Elements,
    pub(super) cursor: Mutex<Cursor>,
}

/// Where the next element of a batch begins.
#[derive(Clone, Copy, Default)]
pub(super) struct Cursor {
    pub(super) byte: usize,
    pub(super) handle: usize,
    pub(super) stream: usize,
}

impl Item {
    /// The `count` elements that `elements` holds.
    pub(crate) fn batch(elements: Elements, count: usize) -> Vec<Self> {
        let cursor = Mutex::default();
        vec![Self(Some(Arc::new(Batch { elements, cursor }))); count]
    }
}

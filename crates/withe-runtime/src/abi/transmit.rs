//! Elements of streams and futures, of any type.
//!
//! Wasmtime wants an element's type when *we* are compiled. [`Item`] stands for an element of any type:
//! reading lifts a run of them into one batch of encoded values, writing lowers them from one. Bytes,
//! which most streams are made of, go through Wasmtime's own `u8` instead, a copy each way.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::{Arc, PoisonError};

use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext,
};
use wasmtime::component::{ComponentType, Lift, Lower, ReadBuffer as _, Source};
use wasmtime::{AsContextMut, Result, ValRaw, bail};

use super::values::{Elements, Item, offset};
use super::{lift, lower};

thread_local! {
    /// The values that the read under way has lifted so far. Wasmtime lifts elements one by one, and gives each no
    /// more than where the first one lies, as [`Item`] has no size of its own; no other read can come between, as
    /// all happens within one call of [`read`].
    static LIFTED: Cell<Option<Run>> = const { Cell::new(None) };
}

#[derive(Default)]
struct Run {
    elements: Elements,
    count: usize,
}

/// The most bytes and the most handles and streams that are taken beyond what the reader wants: see [`read_ahead`].
const AHEAD_BYTES: usize = 64 << 10;
const AHEAD_REFS: usize = 64;

/// Takes up to `most` elements of what the writer offers.
pub(crate) fn read(
    source: &mut Source<'_, Item>,
    store: impl AsContextMut,
    most: usize,
) -> Result<(usize, Elements)> {
    let run = more(source, store, most, Run::default())?;
    Ok((run.count, run.elements))
}

/// Takes `wanted` elements of what the writer offers, and all the others, up to `most`, if they are not large.
pub(crate) fn read_ahead(
    source: &mut Source<'_, Item>,
    mut store: impl AsContextMut,
    wanted: usize,
    most: usize,
) -> Result<(usize, Elements)> {
    let mut run = more(
        source,
        store.as_context_mut(),
        wanted.min(most),
        Run::default(),
    )?;
    loop {
        let Elements {
            bytes,
            handles,
            streams,
        } = &run.elements;
        let refs = handles.len().max(streams.len());
        // About as many as will fit, by those that came.
        let room = AHEAD_BYTES.saturating_sub(bytes.len());
        let each = (bytes.len() / run.count.max(1)).max(1);
        let next = (room / each)
            .min(AHEAD_REFS.saturating_sub(refs))
            .min(most.saturating_sub(run.count))
            .min(run.count);
        if next == 0 || source.remaining(store.as_context_mut()) == 0 {
            return Ok((run.count, run.elements));
        }
        run = more(source, store.as_context_mut(), next, run)?;
    }
}

/// Takes up to `most` further elements of a write of which those of `run` were taken.
fn more(
    source: &mut Source<'_, Item>,
    mut store: impl AsContextMut,
    most: usize,
    run: Run,
) -> Result<Run> {
    let mut items = Vec::with_capacity(most.min(source.remaining(store.as_context_mut())));
    debug_assert!(items.remaining_capacity() <= most);
    let before = run.count;
    LIFTED.set(Some(run));
    source.read(store, &mut items)?;
    let run = LIFTED.take().unwrap_or_default();
    if run.count - before == items.len() {
        return Ok(run);
    }
    // They come from the host, as we made them: a future that a guest only passes on.
    let count = items.len();
    let Some(Item(Some(batch))) = items.pop() else {
        bail!("elements of a stream were lifted, and are not there")
    };
    items.clear();
    match Arc::try_unwrap(batch) {
        Ok(batch) if count == 1 && before == 0 => Ok(Run {
            elements: batch.elements,
            count,
        }),
        _ => bail!("a stream whose elements were partly read cannot be passed on"),
    }
}

// SAFETY: see the documentation of `abi`. An item has no size as Wasmtime sees it, so that Wasmtime's own
// offsets into a run of them are those of the first: `lift` and `lower` know the real ones.
unsafe impl ComponentType for Item {
    type Lower = [ValRaw; 0];

    const ABI: CanonicalAbiInfo = CanonicalAbiInfo {
        size32: 0,
        align32: 1,
        size64: 0,
        align64: 1,
        flat_count: None,
    };

    fn typecheck(_ty: &InterfaceType, _types: &InstanceType<'_>) -> Result<()> {
        Ok(())
    }
}

// SAFETY: see `ComponentType` above.
unsafe impl Lift for Item {
    fn linear_lift_from_flat(
        _cx: &mut LiftContext<'_>,
        _ty: InterfaceType,
        _src: &Self::Lower,
    ) -> Result<Self> {
        bail!("elements of streams are not passed as core values")
    }

    fn linear_lift_from_memory(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        bytes: &[u8],
    ) -> Result<Self> {
        let first = offset(cx, bytes);
        let Run { elements, count } = LIFTED.take().unwrap_or_default();
        let at = first + count * cx.types.canonical_abi(&ty).size32 as usize;
        let elements = lift::element(cx, ty, at, elements)?;
        let count = count + 1;
        LIFTED.set(Some(Run { elements, count }));
        Ok(Self(None))
    }
}

// SAFETY: see `ComponentType` above.
unsafe impl Lower for Item {
    fn linear_lower_to_flat<T>(
        &self,
        _cx: &mut LowerContext<'_, T>,
        _ty: InterfaceType,
        _dst: &mut MaybeUninit<Self::Lower>,
    ) -> Result<()> {
        bail!("elements of streams are not passed as core values")
    }

    fn linear_lower_to_memory<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        offset: usize,
    ) -> Result<()> {
        let Self(Some(batch)) = self else {
            bail!("an element that was read is not there to be written")
        };
        let mut cursor = batch.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        lower::elements(&batch.elements, &mut cursor, cx, ty, offset, 1)
    }

    fn linear_store_list_to_memory<T>(
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        offset: usize,
        items: &[Self],
    ) -> Result<()> {
        let size = cx.types.canonical_abi(&ty).size32 as usize;
        for (i, item) in items.iter().enumerate() {
            item.linear_lower_to_memory(cx, ty, offset + i * size)?;
        }
        Ok(())
    }
}

//! Values between a guest's memory and the codec's bytes, for any type, at compiled speed.
//!
//! A link needs to move values whose types are known only when the link is made. Wasmtime's two
//! ready ways do not fit: typed functions need the types when *we* are compiled, and `Val` makes a
//! boxed value of every byte of a `list<u8>`. Stubs generated as wasm would do, but cost a second
//! module, memory and instance on each side.
//!
//! So this module implements Wasmtime's own `ComponentType`, `Lift` and `Lower` for one type,
//! [`Values`]: *all* parameters, or all results, of a function whose type is whatever the component
//! says it is. Wasmtime hands every `lift` and `lower` the interface type; [`lift`] walks it and
//! writes [`withe_rpc::codec`]'s encoding straight from linear memory, [`lower`] walks it and reads
//! the encoding straight into linear memory. A `list<u8>` is one copy each way.
//!
//! # Safety
//!
//! Wasmtime keeps these traits open for `bindgen!` and says that implementing them is at one's own risk;
//! they are not covered by its stability promise. Their demands, and why these hold here:
//!
//! * *`Lower` is a sequence of `ValRaw` of the right length.* Ours is `[ValRaw; N]`. For host
//!   functions `N` is the function's exact flat count, taken from the component's own type when the link is
//!   made ([`crate::dispatch`]); if they do not fit in registers Wasmtime goes by way of memory and never
//!   looks at `N`. For calls into a guest `N` is [`MAX_FLAT`] for parameters (unused slots are zeroed;
//!   Wasmtime passes a slice of at least that length and the callee reads only its own).
//! * *Everything the callee reads is initialised.* [`lower`] fills the flat slots of the type it walks
//!   and the rest is zeroed.
//! * *Size and alignment are right.* They are declared as 0 and 1 and never relied on: the only use
//!   Wasmtime makes of them for a whole parameter or result list is a bounds check, and for elements
//!   of a stream an offset ([`transmit`]). More than [`MAX_FLAT`] flat parameters go by way of memory, which
//!   [`lower`] allocates itself. Offsets into memory are checked against the real type here.
//! * *A type check was passed.* The linker checked both ends structurally before; `lift` and `lower` go by
//!   the component's own type and treat whatever they read, guest memory or payload, as untrusted.
//!
//! The pinned Wasmtime minor version, and a test that compares this module with `Val` on generated
//! types, guard against drift.
#![allow(
    unsafe_code,
    reason = "implements Wasmtime's unsafe traits; see the module's documentation"
)]

#[cfg(test)]
mod dynamic;
mod flat;
mod lift;
mod lower;
#[cfg(test)]
mod tests;
mod transmit;
mod values;

pub(crate) use flat::{MAX_FLAT, Shape};
pub(crate) use transmit::{read, read_ahead};
pub(crate) use values::{Elements, Item, Transmit, Values};

use std::mem::MaybeUninit;

use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext,
};
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Lower};
use wasmtime::{Result, ValRaw};

use values::{GuestHandle, offset};

// SAFETY: see the module's documentation.
unsafe impl<H: GuestHandle, const N: usize> ComponentType for Values<H, N> {
    type Lower = [ValRaw; N];

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

// SAFETY: a parameter list of any type lifts from and lowers to what Wasmtime calls a tuple.
unsafe impl<H: GuestHandle, const N: usize> ComponentNamedList for Values<H, N> {}

// SAFETY: see the module's documentation.
unsafe impl<H: GuestHandle, const N: usize> Lift for Values<H, N> {
    fn linear_lift_from_flat(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        src: &Self::Lower,
    ) -> Result<Self> {
        lift::from_flat(cx, ty, src)
    }

    fn linear_lift_from_memory(
        cx: &mut LiftContext<'_>,
        ty: InterfaceType,
        bytes: &[u8],
    ) -> Result<Self> {
        let offset = offset(cx, bytes);
        lift::from_memory(cx, ty, offset)
    }
}

// SAFETY: see the module's documentation.
unsafe impl<H: GuestHandle, const N: usize> Lower for Values<H, N> {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<Self::Lower>,
    ) -> Result<()> {
        // SAFETY: an array of `MaybeUninit` needs no initialisation, and has the layout of its elements.
        let dst: &mut [MaybeUninit<ValRaw>; N] = unsafe { &mut *std::ptr::from_mut(dst).cast() };
        lower::to_flat(self, cx, ty, dst)
    }

    fn linear_lower_to_memory<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        offset: usize,
    ) -> Result<()> {
        lower::to_memory(self, cx, ty, offset)
    }
}

//! The types that calls of an interface carry, which decide the bindings that can carry it.
//!
//! Thousands of links may be of one interface, so its types are walked once, and what was found is kept.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use withe_wit::{Extern, ExternItem, Function, ResourceRef, Type};

use crate::work;

/// The types in one import or export that not every binding can carry: the first function with each, and the type.
#[derive(Clone, Debug, Default)]
pub(crate) struct Carried<'a> {
    /// Handles to resources, each resource once, in the order of the functions.
    pub(crate) handles: Vec<(&'a Function, &'a ResourceRef)>,
    /// All resources that it names, in types and functions, each once, in this order.
    pub(crate) named: Vec<&'a ResourceRef>,
    /// An error context.
    pub(crate) error_context: Option<(&'a Function, &'a Type)>,
    /// A stream, a future or an error context.
    pub(crate) asynchronous: Option<(&'a Function, &'a Type)>,
    /// A stream or a future that a result holds.
    pub(crate) pending_result: Option<(&'a Function, &'a Type)>,
    /// Whether a function is declared async.
    pub(crate) has_async: bool,
}

impl<'a> Carried<'a> {
    fn by(item: &'a Extern) -> Self {
        let mut carried = Self::default();
        let mut named = HashSet::new();
        let types = item.interface().into_iter().flat_map(|i| &i.types);
        let of_functions = item.functions().iter().flat_map(Function::types);
        for ty in types.map(|(_, ty)| ty).chain(of_functions) {
            ty.walk(&mut |ty| {
                if let Type::Own(resource) | Type::Borrow(resource) = ty
                    && named.insert(resource)
                {
                    carried.named.push(resource);
                }
            });
        }
        let mut resources = HashSet::new();
        for function in item.functions() {
            work::note(1);
            carried.has_async |= function.is_async;
            for ty in function.sent() {
                ty.walk(&mut |ty| {
                    if let Type::Own(resource) | Type::Borrow(resource) = ty
                        && resources.insert(resource)
                    {
                        carried.handles.push((function, resource));
                    }
                });
            }
            let is_context = |ty: &Type| matches!(ty, Type::ErrorContext);
            let is_pending = |ty: &Type| matches!(ty, Type::Stream(_) | Type::Future(_));
            for ty in function.types() {
                ty.walk(&mut |ty| {
                    if is_context(ty) {
                        carried.error_context.get_or_insert((function, ty));
                    }
                    if is_context(ty) || is_pending(ty) {
                        carried.asynchronous.get_or_insert((function, ty));
                    }
                });
            }
            if let Some(result) = &function.result {
                result.walk(&mut |ty| {
                    if is_pending(ty) {
                        carried.pending_result.get_or_insert((function, ty));
                    }
                });
            }
        }
        carried
    }
}

/// The results so far, by the address of the item examined.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walked<'a>(RefCell<HashMap<*const (), Rc<Carried<'a>>>>);

impl<'a> Walked<'a> {
    /// The types that calls of `item` carry.
    pub(crate) fn carried(&self, item: &'a Extern) -> Rc<Carried<'a>> {
        // Nothing moves while it is borrowed for so long.
        let mut walked = self.0.borrow_mut();
        let carried = walked.entry(place(item));
        carried
            .or_insert_with(|| Rc::new(Carried::by(item)))
            .clone()
    }
}

/// Where that is in memory what an import or export is: several may share one interface.
pub(crate) fn place(item: &Extern) -> *const () {
    match &item.item {
        ExternItem::Interface(interface) => Arc::as_ptr(interface).cast(),
        ExternItem::Function(function) => std::ptr::from_ref(function).cast(),
    }
}

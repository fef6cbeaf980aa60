//! Resources that are handed over by name.
//!
//! A provider has no resources of a component, and a resource that it made would be one of its own connection to
//! nowhere. So where a function that it calls takes a resource first, and the resource's interface opens it by a name,
//! the name is what is sent, and the component's host opens it over the component's own link.

use crate::{Function, ResourceRef, Type};

/// The function by which an interface opens a resource.
pub const OPEN: &str = "open";

impl Function {
    /// The resource of an interface that the first parameter hands over.
    pub fn first_owned(&self) -> Option<&ResourceRef> {
        match self.params.first() {
            Some((_, Type::Own(resource))) if resource.interface.is_some() => Some(resource),
            _ => None,
        }
    }

    /// Whether it opens a resource by name: `open: func(string) -> result<resource, …>`.
    pub fn opens(&self, resource: &ResourceRef) -> bool {
        let by_name = matches!(&self.params[..], [(_, Type::String)]);
        let opened = match &self.result {
            Some(Type::Result(Some(opened), _)) => Some(&**opened),
            _ => None,
        };
        self.name == OPEN
            && by_name
            && matches!(opened, Some(Type::Own(opened)) if opened == resource)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn function(name: &str, params: Vec<Type>, result: Option<Type>) -> Function {
        Function {
            name: name.into(),
            kind: crate::FuncKind::Free,
            is_async: false,
            params: params.into_iter().map(|ty| ("p".into(), ty)).collect(),
            result,
        }
    }

    #[test]
    fn a_resource_is_opened_by_a_function_of_that_shape_only() {
        let bucket = |interface: &str| ResourceRef {
            interface: Some(interface.parse().unwrap()),
            name: "bucket".into(),
        };
        let store = bucket("wasi:keyvalue/store@0.2.0-draft2");
        let opened = |ty| {
            Some(Type::Result(
                Some(Arc::new(ty)),
                Some(Arc::new(Type::String)),
            ))
        };
        let open = function(OPEN, vec![Type::String], opened(Type::Own(store.clone())));
        assert!(open.opens(&store));
        assert!(!open.opens(&bucket("wasi:keyvalue/store@0.2.0-draft")));
        let others = [
            function(
                "close",
                vec![Type::String],
                opened(Type::Own(store.clone())),
            ),
            function(OPEN, vec![Type::U8], opened(Type::Own(store.clone()))),
            function(OPEN, vec![Type::String], Some(Type::Own(store.clone()))),
            function(OPEN, vec![Type::String], opened(Type::String)),
        ];
        assert!(others.iter().all(|other| !other.opens(&store)));
        let on_set = function("on-set", vec![Type::Own(store.clone()), Type::String], None);
        assert_eq!(on_set.first_owned(), Some(&store));
        let borrows = function("f", vec![Type::Borrow(store)], None);
        assert_eq!(borrows.first_owned(), None);
    }
}

//! `wasi:keyvalue/watcher` for components, `wrpc:keyvalue/watcher` on the wire: a v1 provider tells a component of changes.
//!
//! On the wire a bucket is its name, as in [`super::keyvalue`]. A component's host opens it by that name, over the
//! component's own link, so the name goes on as it came. v1's host makes a bucket of the name itself, for which a
//! component needs no link there.

use withe_provider::FunctionName;
use withe_wit::{Function, Type};

/// The interface that a component exports, and its name on the wire.
const INTERFACE: &str = "wasi:keyvalue/watcher@0.2.0-draft";
const INSTANCE: &str = "wrpc:keyvalue/watcher@0.2.0-draft";

/// Whether an interface of a component hears of changes: then it is called as a provider calls it, with the name of a
/// bucket in its place.
pub fn is_watcher(interface: &str) -> bool {
    interface == INTERFACE
}

/// A function of the interface as it is on the wire; `None` for one that has not its form.
pub(crate) fn on_wire(name: &FunctionName, ty: &Function) -> Option<(FunctionName, Function)> {
    let bucket = ty.first_owned().filter(|_| is_watcher(&name.interface))?;
    if bucket.name != "bucket" {
        return None;
    }
    let mut ty = ty.clone();
    if let Some((_, first)) = ty.params.first_mut() {
        *first = Type::String;
    }
    let name = FunctionName {
        interface: INSTANCE.into(),
        function: name.function.clone(),
    };
    Some((name, ty))
}

#[cfg(test)]
mod tests {
    use withe_wit::{FuncKind, ResourceRef};

    use super::*;

    fn function(first: Type) -> Function {
        Function {
            name: "on-set".into(),
            kind: FuncKind::Free,
            is_async: false,
            params: vec![("bucket".into(), first), ("key".into(), Type::String)],
            result: None,
        }
    }

    #[test]
    fn buckets_go_by_name_under_v1s_name_of_the_interface() {
        let name = |interface: &str| FunctionName {
            interface: interface.into(),
            function: "on-set".into(),
        };
        let bucket = |resource: &str| {
            Type::Own(ResourceRef {
                interface: Some("wasi:keyvalue/store@0.2.0-draft".parse().unwrap()),
                name: resource.into(),
            })
        };
        let (wire, ty) = on_wire(&name(INTERFACE), &function(bucket("bucket"))).unwrap();
        assert_eq!(wire, name(INSTANCE));
        assert_eq!(ty, function(Type::String));
        for (interface, first) in [
            ("wasi:keyvalue/watcher@0.2.0", bucket("bucket")),
            (INTERFACE, bucket("cas")),
            (INTERFACE, Type::String),
        ] {
            assert_eq!(on_wire(&name(interface), &function(first)), None);
        }
    }
}

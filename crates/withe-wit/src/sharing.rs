//! One copy of what many components have alike.
//!
//! An interface that thousands of components import is the same in all of them, and in each as large as its
//! types. A reader of many components keeps it once, and a comparison of two of them sees that they are one
//! without going through them.

use std::collections::HashSet;
use std::sync::Arc;

use crate::world::{Extern, ExternItem, Interface, World};

/// The interfaces that were met so far, each once.
///
/// Two are equal if nothing in them differs but names of types inside of others, which take no part in equality;
/// messages then use those of the first.
#[derive(Clone, Debug, Default)]
pub struct Interfaces(HashSet<Arc<Interface>>);

impl Interfaces {
    /// Lets `world` have those interfaces in common with the worlds before it that it has like them.
    pub fn share(&mut self, world: &mut World) {
        for item in world.imports.iter_mut().chain(&mut world.exports) {
            self.share_item(item);
        }
    }

    fn share_item(&mut self, item: &mut Extern) {
        let ExternItem::Interface(interface) = &mut item.item else {
            return;
        };
        match self.0.get(interface) {
            Some(known) => *interface = Arc::clone(known),
            None => _ = self.0.insert(Arc::clone(interface)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(wit: &str) -> World {
        let wit = format!("package t:t@1.0.0; {wit}");
        World::from_wit(&[&wit], "w").unwrap()
    }

    fn item<'w>(world: &'w World, name: &str) -> &'w Arc<Interface> {
        let items = world.imports.iter().chain(&world.exports);
        let mut named = items.filter(|item| item.name.contains(name));
        match named.next().map(|item| &item.item) {
            Some(ExternItem::Interface(interface)) => interface,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn equal_interfaces_become_one_and_others_stay() {
        let api = "interface api { record item { name: string } get: func() -> item; }";
        let mut first = world(&format!(
            "{api} interface mine {{ f: func(); }} world w {{ import api; import mine; }}"
        ));
        let mut second = world(&format!(
            "{api} interface mine {{ g: func(); }} world w {{ export api; export mine; }}"
        ));
        let before = (first.clone(), second.clone());
        let mut interfaces = Interfaces::default();
        interfaces.share(&mut first);
        interfaces.share(&mut second);
        assert_eq!((&first, &second), (&before.0, &before.1));
        assert!(Arc::ptr_eq(item(&first, "api"), item(&second, "api")));
        assert!(!Arc::ptr_eq(item(&first, "mine"), item(&second, "mine")));
    }
}

//! Resources that a provider gives out.
//!
//! A component holds a resource as a number that the provider chose. Numbers are not used twice, not
//! even across a restart of the provider's process: a component that still holds a resource of the process
//! before must not reach one of another by it.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use withe_rpc::codec::{Decode, DecodeError, Encode, Reader, Writer};
use withe_rpc::{CallError, HandleRef};

/// The most resources of one link at a time, unless the provider says otherwise.
const MOST: usize = 100_000;

/// The first number of this process.
static FIRST: AtomicU32 = AtomicU32::new(0);

/// Has the tables that are made from now on begin with `first`.
pub(crate) fn number_from(first: u32) {
    FIRST.store(first, Ordering::Relaxed);
}

/// Where a provider that numbers its resources itself begins: those of the processes before were below.
pub fn first_number() -> u32 {
    FIRST.load(Ordering::Relaxed)
}

/// An `own<T>` as it crosses a link: the number of a resource that goes to the other side for good.
pub struct Own<T> {
    number: u32,
    resource: PhantomData<fn() -> T>,
}

/// A `borrow<T>` as it crosses a link: the number of a resource that the other side may use during the call.
pub struct Borrow<T> {
    number: u32,
    resource: PhantomData<fn() -> T>,
}

macro_rules! handles {
    ($($name:ident: own $own:literal;)*) => {$(
        impl<T> $name<T> {
            /// The handle of the resource that has this number.
            pub fn new(number: u32) -> Self {
                Self {
                    number,
                    resource: PhantomData,
                }
            }

            /// The resource's number.
            pub fn number(&self) -> u32 {
                self.number
            }
        }

        // Not derived, since `T` need not have what its number has.
        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.number).finish()
            }
        }

        impl<T> PartialEq for $name<T> {
            fn eq(&self, other: &Self) -> bool {
                self.number == other.number
            }
        }

        impl<T> Eq for $name<T> {}

        impl<T> Encode for $name<T> {
            fn encode(&self, w: &mut Writer) {
                w.handle(HandleRef {
                    id: self.number,
                    own: $own,
                });
            }
        }

        impl<T> Decode for $name<T> {
            const MIN_BYTES: usize = 1;
            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let handle = r.handle()?;
                // An owned resource can be lent; a lent one is not owned.
                if handle.own >= $own {
                    Ok(Self::new(handle.id))
                } else {
                    Err(DecodeError::Handle)
                }
            }
        }
    )*};
}
handles! {
    Own: own true;
    Borrow: own false;
}

/// The resources, of any types, that the component at the other end of a link holds.
#[derive(Debug)]
pub struct Resources {
    most: usize,
    table: Mutex<HeldTable>,
}

#[derive(Debug)]
struct HeldTable {
    held: HashMap<u32, Arc<dyn Any + Send + Sync>>,
    next: u32,
}

impl Default for Resources {
    /// A table for as many resources as a component can be expected to hold: 100 000.
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl Resources {
    /// A table that holds up to `most` resources at a time.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            table: Mutex::new(HeldTable {
                held: HashMap::new(),
                next: first_number(),
            }),
        }
    }

    /// Keeps a resource, and numbers it.
    ///
    /// # Errors
    ///
    /// [`CallError::Exhausted`] if the component holds as many as it may.
    pub fn add<T: Send + Sync + 'static>(&self, resource: T) -> Result<Own<T>, CallError> {
        let mut table = self.lock();
        if table.held.len() >= self.most {
            return Err(CallError::Exhausted(format!(
                "the component holds {} resources of the link; does it drop those it has done with?",
                self.most
            )));
        }
        while table.held.contains_key(&table.next) {
            table.next = table.next.wrapping_add(1);
        }
        let number = table.next;
        table.next = number.wrapping_add(1);
        table.held.insert(number, Arc::new(resource));
        Ok(Own::new(number))
    }

    /// The resource that a component means.
    ///
    /// # Errors
    ///
    /// [`CallError::TypeMismatch`] if it holds none of that number, or one of another type.
    pub fn get<T: Send + Sync + 'static>(&self, handle: &Borrow<T>) -> Result<Arc<T>, CallError> {
        let found = self.lock().held.get(&handle.number).cloned();
        found
            .and_then(|resource| resource.downcast().ok())
            .ok_or_else(|| no_resource(handle.number))
    }

    /// Takes a resource that a component hands over.
    ///
    /// # Errors
    ///
    /// As [`Resources::get`].
    pub fn take<T: Send + Sync + 'static>(&self, handle: Own<T>) -> Result<Arc<T>, CallError> {
        let mut table = self.lock();
        let found = table.held.remove(&handle.number);
        let found = found.ok_or_else(|| no_resource(handle.number))?;
        found.downcast().map_err(|other| {
            table.held.insert(handle.number, other);
            no_resource(handle.number)
        })
    }

    /// Forgets a resource: the component dropped it. Nothing happens if it was forgotten before.
    pub fn remove(&self, number: u32) {
        let gone = self.lock().held.remove(&number);
        // Outside the lock: its end is the provider's own code.
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, HeldTable> {
        // Nothing panics while the lock is held.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_resource(number: u32) -> CallError {
    CallError::TypeMismatch(format!(
        "{number} is no resource of this link, or not of the type that the function takes"
    ))
}

#[cfg(test)]
mod tests {
    use withe_rpc::Payload;

    use super::*;

    fn borrow<T>(own: &Own<T>) -> Borrow<T> {
        Borrow::new(own.number())
    }

    #[test]
    fn resources_are_held_until_they_are_removed_and_no_more_than_may_be() {
        let resources = Resources::new(2);
        let a = resources.add("a").unwrap();
        let b = resources.add("b").unwrap();
        assert!(matches!(resources.add("c"), Err(CallError::Exhausted(_))));
        assert_eq!(*resources.get(&borrow(&a)).unwrap(), "a");
        assert_eq!(*resources.get(&borrow(&b)).unwrap(), "b");
        let (first, again) = (a.number(), borrow(&a));
        assert_eq!(*resources.take(a).unwrap(), "a");
        assert!(matches!(
            resources.get(&again),
            Err(CallError::TypeMismatch(_))
        ));
        resources.remove(first);
        resources.remove(b.number());
        assert!(resources.get(&borrow(&b)).is_err());
        assert_ne!(resources.add("c").unwrap().number(), first);
    }

    #[test]
    fn a_resource_of_another_type_is_refused_and_stays() {
        let resources = Resources::default();
        let number = resources.add(7u8).unwrap().number();
        assert!(resources.get(&Borrow::<String>::new(number)).is_err());
        assert!(resources.take(Own::<String>::new(number)).is_err());
        assert_eq!(*resources.get(&Borrow::<u8>::new(number)).unwrap(), 7);
    }

    #[test]
    fn what_is_lent_is_not_owned() {
        let (own, lent) = (Own::<u8>::new(3), Borrow::<u8>::new(3));
        assert_eq!(
            Payload::of(&lent).read::<Own<u8>>(),
            Err(DecodeError::Handle)
        );
        assert_eq!(Payload::of(&lent).read(), Ok(Borrow::<u8>::new(3)));
        assert_eq!(Payload::of(&own).read(), Ok(Own::<u8>::new(3)));
        assert_eq!(Payload::of(&own).read(), Ok(lent));
    }
}

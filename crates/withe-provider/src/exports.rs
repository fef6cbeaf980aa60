//! Writing a provider that is called: its functions, each with its own types.
//!
//! A provider that exports interfaces can implement [`Provider`] itself, and read and write values with
//! [`codec`](crate::codec). Most need not: [`Functions`] names each function beside the Rust function
//! that it is, and [`Exporter`] makes a provider of them, with links that come and go.
//!
//! ```
//! use withe_provider::{Exporter, Functions, record};
//!
//! record! {
//!     /// `record person { name: string, age: u32 }`
//!     pub struct Person {
//!         pub name: String,
//!         pub age: u32,
//!     }
//! }
//!
//! let functions = Functions::of("acme:greeter/greeter@0.1.0")
//!     .function("greet", async |cx, (person,): (Person,)| {
//!         let greeting: &String = &cx.link;
//!         Ok(format!("{greeting}, {}!", person.name))
//!     });
//! // What the provider has of each link: here, the greeting that the link's configuration says.
//! let provider = Exporter::new(functions, async |link| {
//!     Ok(link.config.get("greeting").cloned().unwrap_or("Hello".into()))
//! });
//! # let _ = provider;
//! ```

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use withe_rpc::codec::{Decode, Encode, Handle};
use withe_rpc::{BoxFuture, CallError, Payload, TraceContext};
use withe_wit::InterfaceName;

use crate::{Call, FunctionName, Link, LinkId, Peer, Provider, ProviderError};

/// What a function is called with besides its parameters. `L` is what the provider has of a link.
#[derive(Clone, Debug)]
pub struct Context<L> {
    /// The link that the call came over.
    pub link: Arc<L>,
    /// When the caller stops waiting; the call is dropped then.
    pub deadline: Instant,
    /// The component that calls.
    pub caller: String,
    /// The trace that the call is part of.
    pub trace: Option<TraceContext>,
}

type Handler<L> = Arc<
    dyn Fn(Context<L>, Payload) -> BoxFuture<'static, Result<Payload, CallError>> + Send + Sync,
>;

/// The functions that a provider exports.
pub struct Functions<L> {
    interface: &'static str,
    functions: Vec<(&'static str, &'static str, Handler<L>)>,
}

impl<L: Send + Sync + 'static> Functions<L> {
    /// None yet; those to come are of the interface of this name and version.
    pub fn of(interface: &'static str) -> Self {
        Self {
            interface,
            functions: Vec::new(),
        }
    }

    /// Those to come are of another interface.
    #[must_use]
    pub fn and_of(self, interface: &'static str) -> Self {
        Self { interface, ..self }
    }

    /// Adds a function by its name in WIT; that of a method is `[method]resource.name`. `P` are its
    /// parameters, a tuple, and `R` is its result; what its WIT calls them is given by the types that implement
    /// [`Decode`] and [`Encode`]. An error reaches the caller as a trap; one that the interface can express
    /// belongs into the result.
    #[must_use]
    pub fn function<P, R, F, A>(mut self, name: &'static str, function: F) -> Self
    where
        P: Decode + Send + 'static,
        R: Encode + Send + 'static,
        F: Fn(Context<L>, P) -> A + Send + Sync + 'static,
        A: Future<Output = Result<R, CallError>> + Send + 'static,
    {
        let interface = self.interface;
        let function = Arc::new(function);
        let handler: Handler<L> = Arc::new(move |context, payload| {
            let function = function.clone();
            Box::pin(async move {
                let params = payload.read().map_err(|e| {
                    CallError::TypeMismatch(format!("parameters of `{name}` of `{interface}`: {e}"))
                })?;
                Ok(Payload::of(&(function(context, params).await?,)))
            })
        });
        self.functions.push((interface, name, handler));
        self
    }

    /// The function that an importer means, which may have been built with another version of the interface.
    fn find(&self, wanted: &FunctionName) -> Result<Handler<L>, ProviderError> {
        let wanted_interface: Option<InterfaceName> = wanted.interface.parse().ok();
        let is_it = |interface: &str| match (&wanted_interface, interface.parse()) {
            (Some(wanted), Ok(export)) => wanted.is_satisfied_by(&export),
            _ => wanted.interface == interface,
        };
        let found = (self.functions.iter())
            .find(|(interface, name, _)| *name == wanted.function && is_it(interface));
        found.map(|(_, _, handler)| handler.clone()).ok_or_else(|| {
            let FunctionName {
                interface,
                function,
            } = wanted;
            ProviderError(format!(
                "the provider has no `{function}` in `{interface}`: its WIT and its code do not go together"
            ))
        })
    }
}

type Make<L> = Box<dyn Fn(Link) -> BoxFuture<'static, Result<L, ProviderError>> + Send + Sync>;

/// A provider that is called: its [`Functions`], and what it has of each link.
pub struct Exporter<L> {
    functions: Functions<L>,
    make: Make<L>,
    drop_resource: fn(&L, Handle),
    links: RwLock<HashMap<LinkId, Arc<Linked<L>>>>,
}

/// A link as it is now.
struct Linked<L> {
    link: Arc<L>,
    /// By the number that calls carry.
    handlers: Vec<Handler<L>>,
}

impl<L: Send + Sync + 'static> Exporter<L> {
    /// A provider that makes of each link what `make` returns. It is made anew when the link is put again;
    /// calls under way go on with what they began with.
    pub fn new<F, A>(functions: Functions<L>, make: F) -> Self
    where
        F: Fn(Link) -> A + Send + Sync + 'static,
        A: Future<Output = Result<L, ProviderError>> + Send + 'static,
    {
        Self {
            functions,
            make: Box::new(move |link| Box::pin(make(link))),
            drop_resource: |_, _| {},
            links: RwLock::default(),
        }
    }

    /// What to do when a component drops a resource: usually
    /// [`Resources::remove`](crate::resources::Resources::remove).
    #[must_use]
    pub fn on_drop(self, drop_resource: fn(&L, Handle)) -> Self {
        Self {
            drop_resource,
            ..self
        }
    }

    fn links(&self) -> RwLockReadGuard<'_, HashMap<LinkId, Arc<Linked<L>>>> {
        // Nothing panics while the lock is held.
        self.links.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, HashMap<LinkId, Arc<Linked<L>>>> {
        // Nothing panics while the lock is held.
        self.links.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl<L: Send + Sync + 'static> Provider for Exporter<L> {
    async fn link_put(&self, link: Link) -> Result<(), ProviderError> {
        let id = link.id;
        let Peer::Importer(names) = &link.peer else {
            return Err(ProviderError(
                "the provider calls nothing: it must be the link's target".into(),
            ));
        };
        let handlers = names.iter().map(|name| self.functions.find(name));
        let handlers = handlers.collect::<Result<_, _>>()?;
        let linked = Linked {
            link: Arc::new((self.make)(link).await?),
            handlers,
        };
        let before = self.change().insert(id, Arc::new(linked));
        // Outside the lock: what a provider has of a link may take long to let go.
        drop(before);
        Ok(())
    }

    async fn link_deleted(&self, id: LinkId, _: Duration) {
        let gone = self.change().remove(&id);
        drop(gone);
    }

    async fn call(&self, call: Call<'_>) -> Result<Payload, CallError> {
        let linked = self.links().get(&call.link).cloned();
        let linked = linked.ok_or_else(|| CallError::Unlinked("the link was removed".into()))?;
        let handler = linked.handlers.get(call.function).ok_or_else(|| {
            CallError::TypeMismatch(format!("the link has no function {}", call.function))
        })?;
        let context = Context {
            link: linked.link.clone(),
            deadline: call.deadline,
            caller: call.caller.to_owned(),
            trace: call.trace,
        };
        handler(context, call.params).await
    }

    fn drop_resource(&self, link: LinkId, handle: u32) {
        let linked = self.links().get(&link).cloned();
        if let Some(linked) = linked {
            (self.drop_resource)(&linked.link, Handle(handle));
        }
    }

    async fn shutdown(&self, _: Duration) {
        let gone = std::mem::take(&mut *self.change());
        drop(gone);
    }
}

/// Declares a struct that is a `record` in WIT: its fields are written and read in their order.
#[macro_export]
macro_rules! record {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[$field_meta])* $field_vis $field: $type),+
        }

        impl $crate::codec::Encode for $name {
            fn encode(&self, w: &mut $crate::codec::Writer) {
                $($crate::codec::Encode::encode(&self.$field, w);)+
            }
        }

        impl $crate::codec::Decode for $name {
            const MIN_BYTES: usize = 0 $(+ <$type as $crate::codec::Decode>::MIN_BYTES)+;

            fn decode(
                r: &mut $crate::codec::Reader<'_>,
            ) -> ::std::result::Result<Self, $crate::codec::DecodeError> {
                ::std::result::Result::Ok(Self {
                    $($field: $crate::codec::Decode::decode(r)?),+
                })
            }
        }
    };
}

/// Declares an enum that is a `variant` or an `enum` in WIT: its cases are numbered in their order, and have
/// one value at most, which is given a name: `TooLong(limit: u32)`.
#[macro_export]
macro_rules! variant {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $($(#[$case_meta:meta])* $case:ident $(($value:ident: $type:ty))?),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        $vis enum $name {
            $($(#[$case_meta])* $case $(($type))?),+
        }

        const _: () = {
            enum Number {
                $($case),+
            }

            impl $crate::codec::Encode for $name {
                fn encode(&self, w: &mut $crate::codec::Writer) {
                    match self {
                        $(Self::$case $(($value))? => {
                            w.unsigned(Number::$case as u64);
                            $($crate::codec::Encode::encode($value, w);)?
                        })+
                    }
                }
            }

            impl $crate::codec::Decode for $name {
                const MIN_BYTES: usize = 1;

                fn decode(
                    r: &mut $crate::codec::Reader<'_>,
                ) -> ::std::result::Result<Self, $crate::codec::DecodeError> {
                    let number = r.unsigned(32)?;
                    $(if number == Number::$case as u64 {
                        return ::std::result::Result::Ok(
                            Self::$case $((<$type as $crate::codec::Decode>::decode(r)?))?,
                        );
                    })+
                    ::std::result::Result::Err($crate::codec::DecodeError::Discriminant)
                }
            }
        };
    };
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::resources::Resources;
    use crate::{ConfigMap, codec::DecodeError};

    record! {
        /// `record item { name: string, tags: list<string> }`
        #[derive(Clone, Debug, PartialEq)]
        struct Item {
            name: String,
            tags: Vec<String>,
        }
    }

    variant! {
        /// `variant verdict { unknown, fine(item), bad(u32) }`
        #[derive(Clone, Debug, PartialEq)]
        enum Verdict {
            Unknown,
            Fine(item: Item),
            Bad(why: u32),
        }
    }

    fn item() -> Item {
        Item {
            name: "a".into(),
            tags: vec!["b".into(), "c".into()],
        }
    }

    #[test]
    fn declared_types_are_what_wit_says() {
        assert_eq!(Payload::of(&item()).bytes, b"\x01a\x02\x01b\x01c");
        assert_eq!(Item::MIN_BYTES, 2);
        let table: [(Verdict, &[u8]); 3] = [
            (Verdict::Unknown, &[0]),
            (Verdict::Fine(item()), b"\x01\x01a\x02\x01b\x01c"),
            (Verdict::Bad(300), &[2, 0xac, 2]),
        ];
        for (verdict, bytes) in table {
            let payload = Payload::of(&verdict);
            assert_eq!(payload.bytes, bytes);
            assert_eq!(payload.read(), Ok(verdict));
        }
        let unknown = Payload::of(&3u32).read::<Verdict>();
        assert_eq!(unknown, Err(DecodeError::Discriminant));
    }

    /// What a provider has of a link in these tests.
    struct Shelf {
        label: String,
        items: Resources<Item>,
    }

    fn provider() -> Exporter<Shelf> {
        let functions = Functions::of("a:b/shelf@1.2.0")
            .function(
                "[constructor]entry",
                async |cx: Context<Shelf>, (item,): (Item,)| cx.link.items.add(item),
            )
            .function(
                "[method]entry.show",
                async |cx: Context<Shelf>, (entry,): (Handle,)| {
                    let item = cx.link.items.get(entry)?;
                    Ok(format!("{} {} {}", cx.caller, cx.link.label, item.name))
                },
            )
            .and_of("a:b/judge@1.2.0")
            .function("judge", async |_, (item,): (Item,)| {
                Ok(Ok::<_, String>(Verdict::Bad(item.tags.len() as u32)))
            });
        let make = async |link: Link| match link.config.get("label") {
            Some(label) => Ok(Shelf {
                label: label.clone(),
                items: Resources::new(1),
            }),
            None => Err(ProviderError("`label` is missing".into())),
        };
        Exporter::new(functions, make).on_drop(|shelf, entry| drop(shelf.items.remove(entry.0)))
    }

    const NAMES: [(&str, &str); 3] = [
        ("a:b/judge@1.0.0", "judge"),
        ("a:b/shelf@1.9.1", "[constructor]entry"),
        ("a:b/shelf@1.2.0", "[method]entry.show"),
    ];

    fn link(names: &[(&str, &str)], label: Option<&str>) -> Link {
        let names = names.iter().map(|(interface, function)| FunctionName {
            interface: (*interface).into(),
            function: (*function).into(),
        });
        let mut config = ConfigMap::new();
        config.extend(label.map(|label| ("label".into(), label.into())));
        Link {
            id: LinkId(1),
            name: "default".into(),
            application: "app".into(),
            component: "caller".into(),
            config,
            peer: Peer::Importer(names.collect()),
        }
    }

    async fn call(
        provider: &Exporter<Shelf>,
        function: usize,
        params: Payload,
    ) -> Result<Payload, CallError> {
        let call = Call {
            link: LinkId(1),
            function,
            params,
            deadline: Instant::now() + Duration::from_secs(60),
            trace: None,
            caller: "caller",
        };
        provider.call(call).await
    }

    #[tokio::test]
    async fn functions_are_called_by_the_numbers_that_the_link_gives_them() {
        let provider = provider();
        provider.link_put(link(&NAMES, Some("top"))).await.unwrap();
        let judged = call(&provider, 0, Payload::of(&(item(),))).await.unwrap();
        assert_eq!(judged.read(), Ok(Ok::<_, String>(Verdict::Bad(2))));
        let made = call(&provider, 1, Payload::of(&(item(),))).await.unwrap();
        let (entry,): (Handle,) = made.read().unwrap();
        let full = call(&provider, 1, Payload::of(&(item(),))).await;
        assert!(matches!(full, Err(CallError::Exhausted(_))), "{full:?}");
        let shown = call(&provider, 2, Payload::of(&(entry,))).await.unwrap();
        assert_eq!(shown.read(), Ok(("caller top a".to_owned(),)));
        provider.drop_resource(LinkId(1), entry.0);
        let gone = call(&provider, 2, Payload::of(&(entry,))).await;
        assert!(matches!(gone, Err(CallError::TypeMismatch(_))), "{gone:?}");
    }

    #[tokio::test]
    async fn what_is_not_there_is_said() {
        let provider = provider();
        let error = provider.link_put(link(&NAMES, None)).await.unwrap_err();
        assert_eq!(error.0, "`label` is missing");
        let names = [("a:b/shelf@2.0.0", "[constructor]entry")];
        let error = provider
            .link_put(link(&names, Some("x")))
            .await
            .unwrap_err();
        assert!(error.0.contains("`a:b/shelf@2.0.0`"), "{error}");
        let unlinked = call(&provider, 0, Payload::default()).await;
        assert!(
            matches!(unlinked, Err(CallError::Unlinked(_))),
            "{unlinked:?}"
        );
        provider.link_put(link(&NAMES, Some("top"))).await.unwrap();
        let wrong = call(&provider, 0, Payload::of(&(7u8,))).await;
        assert!(
            matches!(wrong, Err(CallError::TypeMismatch(_))),
            "{wrong:?}"
        );
        provider.link_deleted(LinkId(1), Duration::ZERO).await;
        let gone = call(&provider, 0, Payload::of(&(item(),))).await;
        assert!(matches!(gone, Err(CallError::Unlinked(_))), "{gone:?}");
    }
}

//! Resources: given out, lent, handed over, dropped.

use std::sync::{Arc, Mutex};

use withe_provider::{Borrow, CallError, Context, Exporter, LinkId, Own, Provider};

use crate::generated::test::all::{rooms, shelves, types};
use crate::{call, generated, link};

/// The provider's state of a link.
struct Library {
    prefix: String,
}

/// A shelf, as the provider has it.
#[derive(Debug)]
struct Shelf {
    label: String,
    items: Mutex<Vec<String>>,
}

type Labelled = shelves::Labelled<Shelf>;
type ShelfError = shelves::ShelfError<Shelf>;

fn shelf(label: String, items: Vec<String>) -> Shelf {
    Shelf {
        label,
        items: Mutex::new(items),
    }
}

fn items(shelf: &Shelf) -> Vec<String> {
    shelf.items.lock().unwrap().clone()
}

impl shelves::Interface for Library {
    type Shelf = Shelf;

    async fn shelf_new(&self, cx: &Context<'_>, label: String) -> Result<Own<Shelf>, CallError> {
        cx.own(shelf(format!("{}{label}", self.prefix), Vec::new()))
    }

    async fn shelf_filled(
        &self,
        cx: &Context<'_>,
        label: String,
        items: Vec<String>,
    ) -> Result<Result<Own<Shelf>, String>, CallError> {
        if items.len() > 2 {
            return Ok(Err("no room".into()));
        }
        Ok(Ok(cx.own(shelf(label, items))?))
    }

    async fn shelf_put(
        &self,
        _: &Context<'_>,
        shelf: &Shelf,
        item: String,
    ) -> Result<(), CallError> {
        shelf.items.lock().unwrap().push(item);
        Ok(())
    }

    async fn shelf_items(&self, _: &Context<'_>, shelf: &Shelf) -> Result<Vec<String>, CallError> {
        Ok(items(shelf))
    }

    async fn shelf_wait(&self, _: &Context<'_>, shelf: &Shelf) -> Result<u32, CallError> {
        tokio::task::yield_now().await;
        Ok(items(shelf).len() as u32)
    }

    async fn merge(
        &self,
        cx: &Context<'_>,
        into: Arc<Shelf>,
        others: Vec<Borrow<Shelf>>,
    ) -> Result<Result<Labelled, ShelfError>, CallError> {
        let mut all = items(&into);
        for other in others {
            all.extend(items(&*cx.get(&other)?));
        }
        let count = all.len();
        let merged = cx.own(shelf(into.label.clone(), all))?;
        Ok(match count {
            0 => Err(ShelfError::Lost),
            1..4 => Ok(Labelled {
                label: into.label.clone(),
                shelf: merged,
            }),
            _ => Err(ShelfError::Full(merged)),
        })
    }

    async fn label(
        &self,
        cx: &Context<'_>,
        labelled: Labelled,
    ) -> Result<(String, Option<Own<Shelf>>), CallError> {
        let shelf = cx.take(labelled.shelf)?;
        Ok((format!("{} {}", labelled.label, shelf.label), None))
    }
}

impl rooms::Interface for Library {
    /// A number is enough.
    type Shelf = u32;

    async fn shelf_size(&self, _: &Context<'_>, shelf: &u32) -> Result<u32, CallError> {
        Ok(*shelf)
    }

    async fn furnish(
        &self,
        cx: &Context<'_>,
        beside: &Shelf,
        more: Labelled,
        room: &u32,
    ) -> Result<Own<Shelf>, CallError> {
        let more = cx.take(more.shelf)?;
        cx.own(shelf(
            format!("{} {} {room}", beside.label, more.label),
            Vec::new(),
        ))
    }
}

impl types::Interface for Library {
    async fn echo(
        &self,
        _: &Context<'_>,
        all: types::Everything,
    ) -> Result<types::Everything, CallError> {
        Ok(all)
    }

    async fn note(
        &self,
        _: &Context<'_>,
        _: String,
        _: String,
        _: Vec<u8>,
        _: Option<u8>,
    ) -> Result<(), CallError> {
        Ok(())
    }

    async fn nothing(&self, _: &Context<'_>) -> Result<(), CallError> {
        Ok(())
    }

    #[rustfmt::skip]
    async fn count(
        &self, _: &Context<'_>,
        a: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8,
    ) -> Result<u32, CallError> {
        Ok(a.into())
    }

    async fn fail(
        &self,
        _: &Context<'_>,
        how: types::BigError,
    ) -> Result<Result<types::Colour, types::BigError>, CallError> {
        Ok(Err(how))
    }

    async fn wait(&self, _: &Context<'_>, for_: u32) -> Result<(u32,), CallError> {
        Ok((for_,))
    }
}

const SHELVES: &str = "test:all/shelves@1.2.0";
const FUNCTIONS: [(&str, &str); 8] = [
    (SHELVES, "[constructor]shelf"),
    (SHELVES, "[static]shelf.filled"),
    (SHELVES, "[method]shelf.put"),
    (SHELVES, "[method]shelf.items"),
    (SHELVES, "[method]shelf.wait"),
    (SHELVES, "merge"),
    (SHELVES, "label"),
    ("test:all/rooms@1.2.0", "furnish"),
];

type Made = Result<Own<Shelf>, String>;

async fn linked() -> Exporter<Library> {
    let provider = Exporter::new(generated::functions(), async |link| {
        let prefix = link.config.get("prefix").cloned().unwrap_or_default();
        Ok(Library { prefix })
    });
    provider.link_put(link(&FUNCTIONS)).await.unwrap();
    provider
}

async fn new(provider: &Exporter<Library>, label: &str) -> Own<Shelf> {
    let (made,) = call(provider, 0, (label,)).await.unwrap();
    made
}

/// The number again, lent.
fn lent<T>(own: &Own<T>) -> Borrow<T> {
    Borrow::new(own.number())
}

/// The number again, as a component has it: nothing keeps a hostile one from sending it twice.
fn owned<T>(own: &Own<T>) -> Own<T> {
    Own::new(own.number())
}

#[tokio::test]
async fn methods_are_of_the_resource_that_is_lent() {
    let provider = linked().await;
    let (a, b) = (new(&provider, "a").await, new(&provider, "b").await);
    for item in ["x", "y"] {
        call::<()>(&provider, 2, (lent(&a), item)).await.unwrap();
    }
    let (in_a,) = call::<(Vec<String>,)>(&provider, 3, (lent(&a),))
        .await
        .unwrap();
    assert_eq!(in_a, ["x", "y"]);
    let (in_b,) = call::<(u32,)>(&provider, 4, (lent(&b),)).await.unwrap();
    assert_eq!(in_b, 0);
    let (refused,) = call::<(Made,)>(&provider, 1, ("c", vec!["1", "2", "3"]))
        .await
        .unwrap();
    assert_eq!(refused, Err("no room".into()));
}

#[tokio::test]
async fn what_is_handed_over_is_gone() {
    let provider = linked().await;
    let (a, b) = (new(&provider, "a").await, new(&provider, "b").await);
    call::<()>(&provider, 2, (lent(&b), "x")).await.unwrap();
    type Merged = (Result<Labelled, ShelfError>,);
    let (merged,) = call::<Merged>(&provider, 5, (owned(&a), vec![lent(&b), lent(&b)]))
        .await
        .unwrap();
    let merged = merged.unwrap();
    assert_eq!(merged.label, "a");
    let (items,) = call::<(Vec<String>,)>(&provider, 3, (lent(&merged.shelf),))
        .await
        .unwrap();
    assert_eq!(items, ["x", "x"]);
    let gone = call::<(u32,)>(&provider, 4, (lent(&a),)).await;
    assert!(matches!(gone, Err(CallError::TypeMismatch(_))), "{gone:?}");

    let (error,) = call::<Merged>(&provider, 5, (merged.shelf, vec![lent(&b), lent(&b)]))
        .await
        .unwrap();
    let Err(ShelfError::Full(all)) = error else {
        panic!("{error:?}")
    };
    let params = (Labelled {
        label: "all".into(),
        shelf: all,
    },);
    let (label, none) = call::<((String, Option<Own<Shelf>>),)>(&provider, 6, params)
        .await
        .unwrap()
        .0;
    assert_eq!((label.as_str(), none), ("all a", None));
    assert_eq!(ShelfError::Lost.to_string(), "lost");
    assert_eq!(ShelfError::Full(a).to_string(), "full");
}

#[tokio::test]
async fn resources_of_other_interfaces_are_theirs() {
    let provider = linked().await;
    let (a, b) = (new(&provider, "a").await, new(&provider, "b").await);
    // A shelf of the other interface is a number, which a shelf of this one is not.
    let more = || Labelled {
        label: String::new(),
        shelf: owned(&b),
    };
    let wrong = call::<(Own<Shelf>,)>(&provider, 7, (lent(&a), more(), lent(&a))).await;
    assert!(
        matches!(wrong, Err(CallError::TypeMismatch(_))),
        "{wrong:?}"
    );
    // A lent resource cannot be kept.
    let params = (lent(&a), (String::new(), lent(&b)), lent(&a));
    let wrong = call::<(Own<Shelf>,)>(&provider, 7, params).await;
    assert!(
        matches!(wrong, Err(CallError::TypeMismatch(_))),
        "{wrong:?}"
    );
}

#[tokio::test]
async fn what_is_dropped_is_forgotten_and_what_stays_outlives_a_change_of_the_link() {
    let provider = linked().await;
    let (a, b) = (new(&provider, "a").await, new(&provider, "b").await);
    provider.drop_resource(LinkId(1), a.number());
    let gone = call::<(u32,)>(&provider, 4, (lent(&a),)).await;
    assert!(matches!(gone, Err(CallError::TypeMismatch(_))), "{gone:?}");

    let mut changed = link(&FUNCTIONS);
    changed.config.insert("prefix".into(), "new ".into());
    provider.link_put(changed).await.unwrap();
    let (count,) = call::<(u32,)>(&provider, 4, (lent(&b),)).await.unwrap();
    assert_eq!(count, 0);
    let c = new(&provider, "c").await;
    assert_ne!(c.number(), b.number());
    let params = (Labelled {
        label: "c is".into(),
        shelf: c,
    },);
    let ((label, _),) = call::<((String, Option<Own<Shelf>>),)>(&provider, 6, params)
        .await
        .unwrap();
    assert_eq!(label, "c is new c");
}

//! Functions of a world, called by the numbers that a link gives them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use withe_provider::codec::Encode;
use withe_provider::{
    CallError, Context, Exporter, Functions, LinkId, Peer, Provider, ProviderError,
};

use crate::generated::test::all::types::{self, BigError, Colour, Everything};
use crate::{call, generated, link};

/// The state of a link that the provider of these tests has.
#[derive(Default)]
struct Ours {
    noted: Arc<AtomicU32>,
}

impl types::Interface for Ours {
    async fn echo(&self, _: &Context<'_>, everything: Everything) -> Result<Everything, CallError> {
        Ok(everything)
    }

    async fn note(
        &self,
        cx: &Context<'_>,
        cx_: String,
        link: String,
        params: Vec<u8>,
        result: Option<u8>,
    ) -> Result<(), CallError> {
        assert_eq!(
            (cx.caller, cx.interface, cx.function),
            ("caller", "test:all/types@1.2.0", "note")
        );
        let sum = cx_.len() + link.len() + params.len() + usize::from(result.unwrap_or(0));
        self.noted.fetch_add(sum as u32, Ordering::Relaxed);
        Ok(())
    }

    async fn nothing(&self, _: &Context<'_>) -> Result<(), CallError> {
        Err(CallError::Refused("nothing is done".into()))
    }

    #[rustfmt::skip]
    async fn count(
        &self, _: &Context<'_>,
        a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: u8, m: u8, n: u8,
    ) -> Result<u32, CallError> {
        let all = [a, b, c, d, e, f, g, h, i, j, k, l, m, n];
        Ok(all.iter().rev().fold(0, |sum, n| sum * 2 + u32::from(*n)))
    }

    async fn fail(
        &self,
        _: &Context<'_>,
        how: BigError,
    ) -> Result<Result<Colour, BigError>, CallError> {
        Ok(match how {
            BigError::Unknown => Ok(Colour::Red),
            how => Err(how),
        })
    }

    async fn wait(&self, _: &Context<'_>, for_: u32) -> Result<(u32,), CallError> {
        tokio::task::yield_now().await;
        Ok((for_,))
    }
}

const TYPES: &str = "test:all/types@1.2.0";

fn provider(noted: &Arc<AtomicU32>) -> Exporter<Ours> {
    let mut functions = Functions::new();
    types::add_functions(&mut functions);
    let noted = noted.clone();
    Exporter::new(functions, move |link| {
        let noted = noted.clone();
        async move {
            match link.config.get("broken") {
                Some(_) => Err(ProviderError("`broken` is set".into())),
                None => Ok(Ours { noted }),
            }
        }
    })
}

async fn linked(functions: &[&str]) -> Exporter<Ours> {
    let names: Vec<_> = functions.iter().map(|name| (TYPES, *name)).collect();
    let provider = provider(&Arc::default());
    provider.link_put(link(&names)).await.unwrap();
    provider
}

/// A type's own methods, as a component would write them: the params' tuple has no such length.
struct Fourteen;

impl Encode for Fourteen {
    fn encode(&self, w: &mut withe_provider::codec::Writer) {
        w.raw(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}

#[tokio::test]
async fn values_come_and_go() {
    let provider = linked(&["echo", "fail", "count", "wait"]).await;
    let value = crate::types::everything();
    let (echoed,) = call::<(Everything,)>(&provider, 0, (&value,))
        .await
        .unwrap();
    assert_eq!(echoed, value);
    type Failed = (Result<Colour, BigError>,);
    let (red,) = call::<Failed>(&provider, 1, (BigError::Unknown,))
        .await
        .unwrap();
    assert_eq!(red, Ok(Colour::Red));
    let text = BigError::Text("so".into());
    let (failed,) = call::<Failed>(&provider, 1, (&text,)).await.unwrap();
    assert_eq!(failed, Err(text));
    let (sum,) = call::<(u32,)>(&provider, 2, Fourteen).await.unwrap();
    assert_eq!(sum, (1 << 13) + 1);
    let ((waited,),) = call::<((u32,),)>(&provider, 3, (5u32,)).await.unwrap();
    assert_eq!(waited, 5);
}

#[tokio::test]
async fn functions_without_results_have_empty_ones() {
    let noted = Arc::default();
    let provider = provider(&noted);
    provider
        .link_put(link(&[(TYPES, "note"), (TYPES, "nothing")]))
        .await
        .unwrap();
    let params = ("a", "bc", vec![1u8, 2, 3], Some(10u8));
    call::<()>(&provider, 0, params).await.unwrap();
    assert_eq!(noted.load(Ordering::Relaxed), 16);
    let refused = call::<()>(&provider, 1, ()).await;
    assert_eq!(refused, Err(CallError::Refused("nothing is done".into())));
}

#[tokio::test]
async fn parameters_that_are_others_are_refused_by_name() {
    let provider = linked(&["wait"]).await;
    let wrong = call::<((u32,),)>(&provider, 0, ("text",))
        .await
        .unwrap_err();
    let CallError::TypeMismatch(text) = wrong else {
        panic!("{wrong:?}")
    };
    assert!(
        text.starts_with("parameters of `wait` of `test:all/types@1.2.0`: "),
        "{text}"
    );
    let none = call::<()>(&provider, 1, ()).await;
    assert!(matches!(none, Err(CallError::TypeMismatch(_))), "{none:?}");
}

#[tokio::test]
async fn importers_of_older_versions_are_served_and_others_are_not() {
    let provider = provider(&Arc::default());
    provider
        .link_put(link(&[("test:all/types@1.0.0", "nothing")]))
        .await
        .unwrap();
    for (interface, function) in [("test:all/types@2.0.0", "nothing"), (TYPES, "absent")] {
        let error = provider
            .link_put(link(&[(interface, function)]))
            .await
            .unwrap_err();
        assert_eq!(
            error.0,
            format!("the provider has no `{function}` in `{interface}`")
        );
    }
    let mut broken = link(&[]);
    broken.config.insert("broken".into(), String::new());
    let error = provider.link_put(broken).await.unwrap_err();
    assert_eq!(error.0, "`broken` is set");
    // The link is as it was.
    let refused = call::<()>(&provider, 0, ()).await;
    assert!(matches!(refused, Err(CallError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn links_that_have_gone_are_not_called() {
    let provider = linked(&["wait"]).await;
    provider.link_deleted(LinkId(1), Duration::ZERO).await;
    let gone = call::<((u32,),)>(&provider, 0, (1u32,)).await;
    assert!(matches!(gone, Err(CallError::Unlinked(_))), "{gone:?}");
    let source = withe_provider::Link {
        peer: Peer::Importer([].into()),
        ..link(&[])
    };
    provider.link_put(source).await.unwrap();
    provider.shutdown(Duration::ZERO).await;
    let gone = call::<((u32,),)>(&provider, 0, (1u32,)).await;
    assert!(matches!(gone, Err(CallError::Unlinked(_))), "{gone:?}");
}

#[test]
fn the_wit_is_handed_out_as_it_was_read() {
    let [dependency, own] = generated::WIT else {
        panic!("{:?}", generated::WIT)
    };
    assert_eq!(*dependency, include_str!("wit/deps/other/things.wit"));
    assert_eq!(own.matches("package test:all@1.2.0;").count(), 1);
    let world = withe_wit::World::from_wit(generated::WIT, "provider").unwrap();
    assert_eq!(world.exports.len(), 3);
}

//! A document that a server has for everybody at a known path (RFC 8615), such as the one that says where packages of WIT are.

use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::timeout;

use crate::error::OciError;
use crate::http::{BodyError, Call, Http, body, is_passing};
use crate::settings::Place;

/// The most bytes of a document.
const MOST: u64 = 256 << 10;
/// How long it may take, with all attempts.
const MOST_TIME: Duration = Duration::from_secs(120);

/// The document of a server; `None` if it has none there.
///
/// # Errors
///
/// If the server cannot be asked, does not say whether it has one, answers with an error of its own, or has a larger document.
pub(crate) async fn document(
    http: &Http,
    server: &Place,
    path: &str,
) -> Result<Option<Vec<u8>>, OciError> {
    let asking = timeout(MOST_TIME, ask(http, server, path));
    asking.await.unwrap_or_else(|_| {
        Err(OciError::TooLong {
            what: format!("`{path}` of `{}`", server.registry),
            seconds: MOST_TIME.as_secs(),
        })
    })
}

async fn ask(http: &Http, server: &Place, path: &str) -> Result<Option<Vec<u8>>, OciError> {
    let registry = || server.registry.clone();
    let what = || format!("`{path}`");
    let unreachable = |source| OciError::Unreachable {
        registry: registry(),
        source,
    };
    let url = format!("{}://{}{path}", server.scheme, server.address);
    let answer = (http.send(&Call::new(Method::GET, url)).await).map_err(unreachable)?;
    match answer.status() {
        StatusCode::OK => {}
        // A client that is refused does not know whether there is a document, and would look in another place than those who are let in.
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            return Err(OciError::Status {
                registry: registry(),
                status: status.as_u16(),
                what: what(),
                said: ", which everybody should be given, so nobody knows whether there is one"
                    .into(),
            });
        }
        status if status.is_client_error() && !is_passing(status) => return Ok(None),
        status => {
            return Err(OciError::Status {
                registry: registry(),
                status: status.as_u16(),
                what: what(),
                said: String::new(),
            });
        }
    }
    match body(answer, MOST, |_| {}).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(BodyError::TooLarge) => Err(OciError::TooLarge {
            what: what(),
            most: MOST,
        }),
        Err(BodyError::Http(source)) => Err(unreachable(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tls;
    use crate::shelf::{Shelf, block_on};

    #[test]
    fn a_document_is_there_or_not_or_too_large() {
        let mut shelf = Shelf::default();
        shelf.put("/.well-known/a", b"{}".to_vec(), None);
        let most = usize::try_from(MOST).unwrap();
        shelf.put("/.well-known/most", vec![b' '; most], None);
        shelf.put("/.well-known/more", vec![b' '; most + 1], None);
        shelf.refuse("/.well-known/closed", "401 Unauthorized");
        shelf.refuse("/.well-known/forbidden", "403 Forbidden");
        let (server, _) = shelf.serve("");
        let get = |path: &str| {
            let path = format!("/.well-known/{path}");
            block_on(async { document(&Http::new(tls().unwrap()), &server, &path).await })
        };
        assert_eq!(get("a").unwrap().unwrap(), b"{}");
        assert!(get("b").unwrap().is_none());
        assert_eq!(get("most").unwrap().unwrap().len(), most);
        assert!(matches!(get("more"), Err(OciError::TooLarge { .. })));
        for (path, code) in [("closed", 401), ("forbidden", 403)] {
            let refused = get(path).unwrap_err();
            assert!(matches!(refused, OciError::Status { status, .. } if status == code));
        }
    }
}

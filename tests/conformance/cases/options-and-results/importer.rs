wit_bindgen::generate!({ world: "importer", path: "cases/options-and-results" });

use case::options_and_results::api::{self, Failure};
use conformance::Transcript;

struct Importer;
export!(Importer);

impl Guest for Importer {
    fn run() -> String {
        let mut t = Transcript::default();
        t.note("plain", (api::plain(None), api::plain(Some(0))));
        for v in [None, Some(None), Some(Some(None)), Some(Some(Some("deep")))] {
            t.note("nested", api::nested(v));
        }
        t.note("neither", (api::neither(Ok(())), api::neither(Err(()))));
        t.note(
            "ok only",
            (api::ok_only(Ok(1 << 63)), api::ok_only(Err(()))),
        );
        t.note(
            "err only",
            (api::err_only(Ok(())), api::err_only(Err("no"))),
        );
        let failure = |code, reason: Option<&str>| {
            Err(Failure {
                code,
                reason: reason.map(String::from),
            })
        };
        for v in [Ok("text".into()), failure(7, None), failure(8, Some("why"))] {
            t.note("both", api::both(v.as_ref().map(String::as_str)));
        }
        for v in [
            Ok(None),
            Ok(Some(-0.0)),
            Err(Ok(255)),
            Err(Err(None)),
            Err(Err(Some(i64::MIN))),
        ] {
            t.note("mixed", api::mixed(v));
        }
        t.note("as result", (api::as_result(false), api::as_result(true)));
        t.note("unit", (api::unit(false), api::unit(true)));
        t.text()
    }
}

wit_bindgen::generate!({ world: "exporter", path: "cases/options-and-results" });

use exports::case::options_and_results::api::{Failure, Guest};

struct Exporter;
export!(Exporter);

type Nested = Option<Option<Option<String>>>;
type Mixed = Result<Option<f32>, Result<u8, Option<i64>>>;

impl Guest for Exporter {
    fn plain(v: Option<u32>) -> Option<u32> {
        v.map(|v| v ^ u32::MAX)
    }

    fn nested(v: Nested) -> (Nested, String) {
        let seen = format!("{v:?}");
        (v, seen)
    }

    fn neither(v: Result<(), ()>) -> Result<(), ()> {
        match v {
            Ok(()) => Err(()),
            Err(()) => Ok(()),
        }
    }

    fn ok_only(v: Result<u64, ()>) -> Result<u64, ()> {
        v.map(|v| v - 1)
    }

    fn err_only(v: Result<(), String>) -> Result<(), String> {
        v.map_err(|text| text + "!")
    }

    fn both(v: Result<String, Failure>) -> Result<String, Failure> {
        match v {
            Ok(text) => Err(Failure {
                code: text.len() as u16,
                reason: Some(text),
            }),
            Err(failure) => failure.reason.ok_or(Failure {
                code: failure.code + 1,
                reason: None,
            }),
        }
    }

    fn mixed(v: Mixed) -> (Mixed, String) {
        (v, format!("{v:?}"))
    }

    fn as_result(fail: bool) -> Result<Vec<Option<Result<u8, ()>>>, Failure> {
        if fail {
            return Err(Failure {
                code: 65535,
                reason: Some(String::new()),
            });
        }
        Ok(vec![None, Some(Err(())), Some(Ok(0)), Some(Ok(255))])
    }

    fn unit(fail: bool) -> Result<(), ()> {
        if fail { Err(()) } else { Ok(()) }
    }
}

//! Takes and returns `input-stream`s.

wit_bindgen::generate!({ world: "io-streams", path: "../wit", generate_all });

use exports::t::io::pass::{Guest, InputStream};
use wasi::io::streams::StreamError;

struct IoStreams;
export!(IoStreams);

/// How many bytes are read at a time.
const CHUNK: u64 = 4096;

impl Guest for IoStreams {
    fn pass(input: InputStream) -> InputStream {
        input
    }

    fn length(input: &InputStream) -> u64 {
        let mut length = 0;
        loop {
            match input.blocking_read(CHUNK) {
                Ok(bytes) => length += bytes.len() as u64,
                Err(StreamError::Closed) => return length,
                Err(StreamError::LastOperationFailed(error)) => {
                    panic!("{}", error.to_debug_string())
                }
            }
        }
    }
}

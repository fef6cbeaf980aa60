//! Whatever an attached process asks of the lattice, it is answered or refused. The first byte says which function
//! is called; the rest are its parameters.

#![no_main]

use std::sync::Arc;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use tokio::runtime::Builder;
use tokio::time::timeout;
use withe_lattice::{Embedded, attached};
use withe_rpc::{CallContext, Payload};

/// Far more than any question takes, but for one that is to be answered by another process.
const PATIENCE: Duration = Duration::from_millis(100);

fuzz_target!(|bytes: &[u8]| {
    let Some((function, params)) = bytes.split_first() else {
        return;
    };
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        let session = attached::session(Arc::new(Embedded::in_memory("fuzz").expect("a name")));
        let params = Payload {
            bytes: params.to_vec(),
            ..Payload::default()
        };
        let context = CallContext {
            deadline: Instant::now() + PATIENCE,
            trace: None,
        };
        let call = session.call(usize::from(function % 3), params, context);
        _ = timeout(PATIENCE, call).await;
    });
});

//! Any bytes are values of a type, or are not; values that were read are written as they can be read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use withe_rpc::codec::{ByteList, Handle};
use withe_rpc::{Decode, Encode, HandleRef, Payload};

/// As much of everything as fits into one type.
type Everything = (
    Vec<Option<Result<String, u32>>>,
    (u8, i8, bool, char),
    (u16, i16, u32, i32, u64, i64),
    Vec<(ByteList, Vec<bool>)>,
    (f32, f64),
);

fn check<T: Decode + Encode>(payload: &Payload) {
    let Ok(value) = payload.read::<T>() else {
        return;
    };
    let written = Payload::of(&value);
    let Ok(again) = written.read::<T>() else {
        panic!("what was written cannot be read");
    };
    // Compared as bytes, for not every float is equal to itself.
    assert!(Payload::of(&again).bytes == written.bytes);
}

fuzz_target!(|bytes: &[u8]| {
    let payload = Payload {
        bytes: bytes.to_vec(),
        handles: vec![HandleRef { id: 7, own: true }; 3],
        ..Payload::default()
    };
    check::<Everything>(&payload);
    check::<(u64, i64)>(&payload);
    check::<Vec<i16>>(&payload);
    check::<(String, String, u64)>(&payload);
    check::<Vec<Vec<Option<char>>>>(&payload);
    check::<(ByteList,)>(&payload);
    // Handles are numbered anew when they are written, so these are only read.
    _ = payload.read::<Vec<Handle>>();
});
